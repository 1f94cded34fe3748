"""A log whose answers are hostile or broken is unknown, in bounded time and memory, and never consistent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from scripted_log import Answer, dripping, endless, hanging_up, send, serving, silent
from watched_logs import Observed, b64

from chainlab.errors import MalformedInput
from chainlab.monitor.logwatch import log_client
from chainlab.monitor.logwatch.checkpoints import LogKey
from chainlab.monitor.logwatch.log_sources import LogSource, LogVersion
from chainlab.trust.keys import der_public_key
from chainlab.trust.log import SignedNote, key_id_c2sp, signed_tree_head
from chainlab.trust.merkle import Frontier, MerkleTree, leaf_hash

NAME = "log.example"
ECDSA, ED25519 = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
KEYS = {"v1": ECDSA, "v2": ED25519, "ct": ECDSA}


def note(origin: str, size: int, root: bytes) -> str:
    if origin == NAME:
        key_id = key_id_c2sp(NAME, 1, ED25519.public_key().public_bytes_raw())
        return SignedNote(origin, NAME, key_id, ED25519.sign).checkpoint(size, root)
    key_id = bytes.fromhex(LogKey.read(der_public_key(ECDSA)).id)
    return SignedNote(origin, NAME, key_id, lambda data: ECDSA.sign(data, ec.ECDSA(hashes.SHA256()))).checkpoint(
        size, root
    )


def tree_of(*entries: bytes) -> MerkleTree:
    return MerkleTree(b"".join(map(leaf_hash, entries)))


def source(url: str, version: LogVersion) -> LogSource:
    return LogSource(version, url, LogKey.read(der_public_key(KEYS[version])), NAME)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_client.LogClient.__init__, "__kwdefaults__", {"seconds": 0.3})


def head_of(version: LogVersion, tree: MerkleTree) -> bytes:
    from chainlab.clock import utc_now

    size = len(tree)
    if version == "ct":
        return json.dumps(signed_tree_head(tree, ECDSA, utc_now())).encode()
    if version == "v2":
        return note(NAME, size, tree.root()).encode()
    head = note(f"{NAME} - 1", size, tree.root())
    return json.dumps({"treeID": "1", "treeSize": size, "signedTreeHead": head}).encode()


HEADS = {"v1": "/api/v1/log", "v2": "/api/v2/checkpoint", "ct": "/ct/v1/get-sth"}
BROKEN: dict[str, Answer] = {
    "endless": endless,
    "dripping": dripping,
    "dripping, then closing": partial(dripping, keep=False),
    "silent": silent,
    "hanging up": hanging_up,
    "a redirect": partial(send, body=b"", status=302, Location="http://127.0.0.1:9/"),
    "an error": partial(send, body=b"no", status=500),
    "compressed": partial(send, body=b"\x1f\x8b", Content_Encoding="gzip"),
    "shorter than announced": partial(send, body=b"{}", Content_Length="900"),
    "longer than allowed": partial(send, body=b"", Content_Length=str(10**15)),
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "another document": b"[]",
    "deep": b"[" * 50_000,
    "a page": b"<html>",
}


@pytest.mark.parametrize(
    ("version", "broken"), [("v2", name) for name in BROKEN] + [("v1", "another document"), ("ct", "another document")]
)
def test_a_broken_answer_is_no_answer(version: LogVersion, broken: str, tmp_path: Path) -> None:
    observer = Observed(tmp_path)
    began = time.monotonic()
    with serving({HEADS[version]: BROKEN[broken]}) as url:
        (look,) = observer.look(source(url, version))
    assert time.monotonic() - began < 5
    assert (look.answered, look.consistent, look.entries, look.status) == (False, None, 0, 3)
    ((_, data),) = observer.of("log.watched")
    assert (data["answered"], data["consistent"]) == (False, None)
    assert 10 < len(data["why"]) < 500


def heads(version: LogVersion) -> Iterator[tuple[str, bytes]]:
    good = tree_of(b"a", b"b", b"c")
    document: Any = head_of(version, good)
    if version == "v2":
        text = document.decode()
        yield "a negative size", text.replace("\n3\n", "\n-3\n").encode()
        yield "a changed size", text.replace("\n3\n", "\n4\n").encode()
        yield "a changed root", text.replace(b64(good.root()), b64(bytes(32))).encode()
        yield "an unsigned note", text.partition("\n\n")[0].encode()
        yield "no signature of the log's", (text.partition("\n\n")[0] + "\n\n— x AAAA\n").encode()
        yield "another origin", note("other.example", 3, good.root()).encode()
        yield "a signed negative size", note(NAME, -3, good.root()).encode()
        yield "a signed huge size", note(NAME, 10**30, good.root()).encode()
        yield "a signed short root", note(NAME, 3, b"short").encode()
        return
    for name, change in {
        "a negative size": {"tree_size": -3, "treeSize": -3, "signedTreeHead": note(f"{NAME} - 1", -3, good.root())},
        "a size in words": {"tree_size": "three", "signedTreeHead": "three"},
        "a boolean": {"tree_size": True, "signedTreeHead": True},
        "another size": {"tree_size": 4, "signedTreeHead": note(f"{NAME} - 2", 3, good.root())},
        "shards that are none": {"tree_size": None, "inactiveShards": [1]},
        "endless shards": {"tree_head_signature": "", "inactiveShards": [{}] * 1000},
        "one shard twice": {"timestamp": -1, "inactiveShards": [json.loads(document)]},
        "a signature of another kind": {"tree_head_signature": "BAEAAA==", "treeID": 7},
    }.items():
        yield name, json.dumps(json.loads(document) | change).encode()


@pytest.mark.parametrize(
    ("version", "name", "head"),
    [pytest.param(v, n, h, id=f"{v}: {n}") for v in ("v1", "v2", "ct") for n, h in heads(v)],
)
def test_a_head_that_is_wrong_in_one_place_is_not_believed(
    version: LogVersion, name: str, head: bytes, tmp_path: Path
) -> None:
    observer = Observed(tmp_path)
    with serving({HEADS[version]: head}) as url:
        (look,) = observer.look(source(url, version))
    assert (look.answered, look.consistent, look.status) == (False, None, 3)


def bundle(*entries: bytes) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def leaves(tree: MerkleTree) -> bytes:
    return tree.hashes(0, 0, len(tree))


def test_entries_that_the_checkpoint_does_not_cover_are_a_contradiction(tmp_path: Path) -> None:
    tree = tree_of(b"a", b"b", b"c")
    answers: dict[str, Answer] = {
        HEADS["v2"]: head_of("v2", tree),
        "/api/v2/tile/entries/000.p/3": bundle(b"a", b"b", b"X"),
    }
    observer = Observed(tmp_path)
    with serving(answers) as url:
        (look,) = observer.look(source(url, "v2"), begin=0)
        assert (look.consistent, look.status, look.sightings) == (False, 1, [])
        for short in (b"", bundle(b"a", b"b"), bundle(b"a", b"b", b"c")[:-1], b"\x00"):
            answers["/api/v2/tile/entries/000.p/3"] = short
            (look,) = observer.look(source(url, "v2"), begin=0)
            assert (look.consistent, look.answered, look.status) == (None, False, 3)
        answers["/api/v2/tile/entries/000.p/3"] = bundle(b"a", b"b", b"c")
        (look,) = observer.look(source(url, "v2"), begin=0)
    assert (look.entries, look.status) == (3, 0)
    assert look.why == "not read: 3 the body is not JSON: Expecting value: line 1 column 1 (char 0)"
    assert look.skipped == 3


def test_a_tile_that_is_no_longer_partial_is_read_whole(tmp_path: Path) -> None:
    entries = [b"%d" % number for number in range(256)]
    tree = tree_of(*entries)
    answers: dict[str, Answer] = {
        HEADS["v2"]: note(NAME, 200, tree.root(200)).encode(),
        "/api/v2/tile/0/000": leaves(tree),
        "/api/v2/tile/entries/000": bundle(*entries),
    }
    with serving(answers) as url:
        observer = Observed(tmp_path)
        assert observer.look(source(url, "v2"))[0].skipped == 200
        answers[HEADS["v2"]] = note(NAME, 203, tree.root(203)).encode()
        (look,) = observer.look(source(url, "v2"))
    assert (look.entries, look.consistent) == (3, True)


def entry_v1(tree: MerkleTree, index: int, body: bytes, offset: int = 0) -> dict[str, Any]:
    proof = {
        "hashes": [hash.hex() for hash in tree.inclusion(index, len(tree))],
        "logIndex": index,
        "rootHash": tree.root().hex(),
        "treeSize": len(tree),
    }
    return {f"{index:080x}": {"body": b64(body), "logIndex": offset + index, "verification": {"inclusionProof": proof}}}


def v1_log(*shards: tuple[str, tuple[bytes, ...]]) -> dict[str, Answer]:
    """A Rekor v1 log of several trees, the last one active."""
    entries: list[dict[str, Any]] = []
    infos = []
    trees = {}
    for tree_id, bodies in shards:
        tree = trees[tree_id] = tree_of(*bodies)
        offset = len(entries)
        entries += [entry_v1(tree, index, body, offset) for index, body in enumerate(bodies)]
        head = note(f"{NAME} - {tree_id}", len(tree), tree.root())
        infos.append({"treeID": tree_id, "treeSize": len(tree), "signedTreeHead": head})

    def retrieve(handler: Any) -> None:
        wanted = json.loads(handler.rest)["logIndexes"]
        assert len(wanted) <= 10
        send(handler, json.dumps([entries[index] for index in wanted]).encode())

    def one(handler: Any) -> None:
        send(handler, json.dumps(entries[int(handler.path.partition("=")[2])]).encode())

    def proof(handler: Any) -> None:
        query = dict(part.split("=") for part in handler.path.partition("?")[2].split("&"))
        tree = trees[query["treeID"]]
        hashes = tree.consistency(int(query["firstSize"]), int(query["lastSize"]))
        send(handler, json.dumps({"rootHash": "", "hashes": [hash.hex() for hash in hashes]}).encode())

    return {
        "/api/v1/log": json.dumps(infos[-1] | {"inactiveShards": infos[:-1]}).encode(),
        "/api/v1/log/entries": one,
        "/api/v1/log/entries/retrieve": retrieve,
        "/api/v1/log/proof": proof,
    }


def test_an_old_shard_is_read_to_its_end_and_a_new_one_from_its_start(tmp_path: Path) -> None:
    observer = Observed(tmp_path)
    old = tuple(b"old %d" % number for number in range(14))
    new = tuple(b"new %d" % number for number in range(12))
    answers = v1_log(("1", old[:5]))
    with serving(answers) as url:
        (look,) = observer.look(source(url, "v1"))
        assert (look.origin, look.size, look.skipped) == (f"{NAME} - 1", 5, 5)
        answers.update(v1_log(("1", old), ("2", new)))
        first, second = observer.look(source(url, "v1"))
        assert (first.origin, first.entries, first.consistent, first.status) == (f"{NAME} - 1", 9, True, 0)
        assert (second.origin, second.entries, second.consistent) == (f"{NAME} - 2", 12, None)
        assert (second.status, second.answered) == (0, True)
        answers.update(v1_log(("1", old), ("2", (*new, b"more"))))
        assert [look.entries for look in observer.look(source(url, "v1"))] == [0, 1]
        answers.update(v1_log(("1", (*old[:-1], b"changed")), ("2", (*new, b"more"))))  # closed, and yet rewritten
        first, _ = observer.look(source(url, "v1"))
        assert (first.consistent, first.status) == (False, 1)
        answers.update(v1_log(("2", (*new, b"more"))))  # a tree that was watched is not shown any more
        looks = {look.origin: look for look in observer.look(source(url, "v1"))}
        gone = looks[f"{NAME} - 1"]
        assert (gone.consistent, gone.status) == (False, 1)
        assert "no longer shows this tree, of which it had signed 14 entries" in gone.why
    fresh = Observed(tmp_path / "fresh")
    with serving(v1_log(("1", old), ("2", new))) as url:  # an index counts through all shards
        looks_from_10 = fresh.look(source(url, "v1"), begin=10)
    assert [(look.entries, look.skipped) for look in looks_from_10] == [(4, 10 + 4), (12, 0 + 12)]  # no JSON


def test_an_answer_that_leaves_out_or_repeats_entries_is_no_answer(tmp_path: Path) -> None:
    bodies = tuple(b"%d" % number for number in range(3))
    tree = tree_of(*bodies)
    answers = v1_log(("1", bodies))
    some = [entry_v1(tree, index, body) for index, body in enumerate(bodies)]
    wrong: list[Any] = [some[:2], [], {}, [{}], [1], some * 4, [some[0]] * 3, [{**some[0], **some[1]}, *some[1:]]]
    with serving(answers) as url:
        for entries in wrong:
            answers["/api/v1/log/entries/retrieve"] = json.dumps(entries).encode()
            (look,) = Observed(tmp_path).look(source(url, "v1"), begin=0)
            assert (look.answered, look.consistent, look.status) == (False, None, 3)


def test_an_inclusion_proof_that_does_not_hold_is_not_built_upon(tmp_path: Path) -> None:
    bodies = tuple(b"%d" % number for number in range(3))
    answers = v1_log(("1", bodies))
    other = json.dumps(entry_v1(tree_of(b"x", b"y", b"2"), 2, b"Z")).encode()
    with serving(answers | {"/api/v1/log/entries": other}) as url:
        (look,) = Observed(tmp_path).look(source(url, "v1"))
    assert (look.answered, look.status) == (False, 3)
    assert "proof for entry 2 does not hold" in look.why


def test_an_edge_needs_as_many_hashes_as_its_size_says() -> None:
    with pytest.raises(MalformedInput, match="expected 2 hashes"):
        Frontier(3, [bytes(32)])
    with pytest.raises(MalformedInput, match="expected 1 hashes"):
        Frontier(4, [b"short"])


@pytest.mark.parametrize(
    "url",
    ["", "log.example", "ftp://log.example", "file:///etc/passwd", "http://", "http://a:b@c", "http://[", "http://x?q"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(MalformedInput, match="not an address of a log"):
        log_client.LogClient(url)
