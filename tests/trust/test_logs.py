"""The logs as a monitor sees them: tiles, checkpoints, proofs, and certificate transparency."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import rfc8785
from checkpoints import Checkpoint, key_of, log_named, open_checkpoint, verify_with
from client_requests import ALICE, CLAIMS, Signer, b64, enrol
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.merkle import (
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)


@pytest.fixture
def trusted_root(trust: Trust) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((trust.directory / "trusted_root.json").read_text())
    return document


def checkpoint(http: httpx.Client, trusted_root: dict[str, Any]) -> Checkpoint:
    return open_checkpoint(http.get("/api/v2/checkpoint").text, trusted_root)


def tile_path(level: int | str, number: int, width: int) -> str:
    groups = [f"{number:03d}"] if number < 1000 else [f"x{number // 1000:03d}", f"{number % 1000:03d}"]
    return f"/api/v2/tile/{level}/{'/'.join(groups)}{'' if width == 256 else f'.p/{width}'}"


def read_tiles(http: httpx.Client, level: int | str, size: int) -> list[bytes]:
    """All tiles of one level, for ``size`` hashes or entries."""
    tiles = []
    for start in range(0, size, 256):
        answer = http.get(tile_path(level, start // 256, min(256, size - start)))
        assert answer.status_code == 200, answer.text
        tiles.append(answer.content)
    return tiles


def split(tiles: list[bytes]) -> list[bytes]:
    hashes = b"".join(tiles)
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


def root_of(hashes: list[bytes]) -> bytes:
    """The root over leaf hashes, by RFC 6962's recursion."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_of(hashes[:middle]), root_of(hashes[middle:]))


@pytest.fixture(scope="module")
def filled(server: Server, trust: Trust, http: httpx.Client) -> Signer:
    """Log v2 with more entries than one tile holds."""
    signer = enrol(http, trust.token(ALICE))
    for number in range(300):
        server.instance.log_entry_v2(signer.entry_v2(number.to_bytes(2, "big")))
    return signer


def test_tiles_give_the_root_that_the_checkpoint_signs(
    filled: Signer, http: httpx.Client, trusted_root: dict[str, Any]
) -> None:
    signed = checkpoint(http, trusted_root)
    assert signed.size > 256
    leaves = split(read_tiles(http, 0, signed.size))
    assert len(leaves) == signed.size
    assert root_of(leaves) == signed.root
    upper = split(read_tiles(http, 1, signed.size // 256))
    assert upper == [root_of(leaves[256 * n : 256 * (n + 1)]) for n in range(signed.size // 256)]


def test_entry_tiles_hold_the_bodies_of_the_leaves(
    filled: Signer, http: httpx.Client, trusted_root: dict[str, Any]
) -> None:
    size = checkpoint(http, trusted_root).size
    bodies = []
    for tile in read_tiles(http, "entries", size):
        at = 0
        while at < len(tile):
            length = int.from_bytes(tile[at : at + 2], "big")
            bodies.append(tile[at + 2 : at + 2 + length])
            at += 2 + length
    leaves = split(read_tiles(http, 0, size))
    assert [leaf_hash(body) for body in bodies] == leaves
    for body in bodies:
        assert rfc8785.dumps(json.loads(body)) == body


def test_a_tile_that_is_not_full_yet_is_not_there(filled: Signer, http: httpx.Client) -> None:
    assert http.get("/api/v2/tile/0/000").status_code == 200
    assert http.get("/api/v2/tile/0/000.p/255").status_code == 200
    for path in ("0/001", "0/x001/000", "1/000", "entries/001", "2/000.p/1"):
        assert http.get(f"/api/v2/tile/{path}").status_code == 404, path


def test_an_answer_of_log_v2_proves_its_entry(
    server: Server, http: httpx.Client, alice: Signer, trusted_root: dict[str, Any]
) -> None:
    heads = []
    for number in range(5):
        request = alice.entry_v2(bytes([number]) * 9)
        answer = http.post("/api/v2/log/entries", json=request)
        assert answer.status_code == 201
        entry = answer.json()
        proof, body = entry["inclusionProof"], base64.b64decode(entry["canonicalizedBody"])
        head = open_checkpoint(proof["checkpoint"]["envelope"], trusted_root)
        assert isinstance(entry["logIndex"], str)
        assert entry["logIndex"] == proof["logIndex"]
        assert (head.size, head.root) == (
            int(proof["treeSize"]),
            base64.b64decode(proof["rootHash"]),
        )
        hashes = [base64.b64decode(hash) for hash in proof["hashes"]]
        assert verify_inclusion(leaf_hash(body), int(entry["logIndex"]), head.size, hashes, head.root)
        spec = json.loads(body)["spec"]["hashedRekordV002"]
        record = request["hashedRekordRequestV002"]
        assert spec["data"] == {"algorithm": "SHA2_256", "digest": record["digest"]}
        assert spec["signature"] == record["signature"]
        assert not entry.keys() & {"integratedTime", "inclusionPromise"}
        heads.append(head)
    tree = server.instance.log_v2.tree
    for old, new in itertools.pairwise(heads):
        proof_of_growth = tree.consistency(old.size, new.size)
        assert verify_consistency(old.size, new.size, old.root, new.root, proof_of_growth)


@pytest.mark.parametrize("kind", ["hashedrekord", "dsse"])
def test_an_answer_of_log_v1_promises_and_proves_its_entry(
    http: httpx.Client, alice: Signer, trusted_root: dict[str, Any], kind: str
) -> None:
    request = alice.hashedrekord_v1(b"w") if kind == "hashedrekord" else alice.dsse_v1(b"{}")
    answer = http.post("/api/v1/log/entries", json=request)
    assert answer.status_code == 201
    ((uuid, entry),) = answer.json().items()
    body = base64.b64decode(entry["body"])
    assert json.loads(body)["kind"] == kind

    promised = {name: entry[name] for name in ("body", "integratedTime", "logID", "logIndex")}
    signed = base64.b64decode(entry["verification"]["signedEntryTimestamp"])
    log = log_named(trusted_root, "log1")
    verify_with(key_of(log), signed, rfc8785.dumps(promised))
    assert base64.b64decode(log["logId"]["keyId"]).hex() == entry["logID"]

    proof = entry["verification"]["inclusionProof"]
    head = open_checkpoint(proof["checkpoint"], trusted_root)
    assert (head.size, head.root.hex()) == (proof["treeSize"], proof["rootHash"])
    hashes = [bytes.fromhex(hash) for hash in proof["hashes"]]
    assert verify_inclusion(leaf_hash(body), entry["logIndex"], head.size, hashes, head.root)

    for address in (f"/{uuid}", f"/{uuid[16:]}", f"?logIndex={entry['logIndex']}"):
        ((name, logged),) = http.get(f"/api/v1/log/entries{address}").json().items()
        assert (name, logged["body"]) == (uuid, entry["body"])
        assert logged["integratedTime"] == entry["integratedTime"]


def test_log_v1_describes_itself_and_proves_its_growth(
    http: httpx.Client, alice: Signer, trusted_root: dict[str, Any]
) -> None:
    heads = []
    for number in range(4):
        http.post("/api/v1/log/entries", json=alice.hashedrekord_v1(bytes([number])))
        description = http.get("/api/v1/log").json()
        head = open_checkpoint(description["signedTreeHead"], trusted_root)
        assert (head.size, head.root.hex()) == (description["treeSize"], description["rootHash"])
        heads.append(head)
    sizes = {"firstSize": heads[0].size, "lastSize": heads[-1].size}
    proof = http.get("/api/v1/log/proof", params=sizes).json()
    assert proof["rootHash"] == heads[-1].root.hex()
    hashes = [bytes.fromhex(hash) for hash in proof["hashes"]]
    assert verify_consistency(heads[0].size, heads[-1].size, heads[0].root, heads[-1].root, hashes)
    key = serialization.load_pem_public_key(http.get("/api/v1/log/publicKey").content)
    assert key == key_of(log_named(trusted_root, "log1"))


@pytest.mark.parametrize("version", [1, 2])
def test_the_same_entry_twice_is_a_conflict(server: Server, http: httpx.Client, alice: Signer, version: int) -> None:
    path = f"/api/v{version}/log/entries"
    entry = alice.hashedrekord_v1(b"w") if version == 1 else alice.entry_v2(b"w")
    first = http.post(path, json=entry)
    again = http.post(path, json=entry)
    assert (first.status_code, again.status_code) == (201, 409)
    assert "equivalent entry already exists" in again.json()["message"]
    if version == 1:  # as Rekor says where it is
        ((uuid, _),) = first.json().items()
        assert again.headers["location"].rpartition("/")[2] == uuid
        assert http.get(again.headers["location"]).json().keys() == {uuid}


# -- certificate transparency


def precertificate_leaf(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The MerkleTreeLeaf of a certificate's SCT, from the certificate alone (RFC 6962 §3.4)."""
    extension = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    (sct,) = extension.value
    milliseconds = round(sct.timestamp.timestamp() * 1000)
    spki = issuer.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    tbs = certificate.tbs_precertificate_bytes
    return (
        struct.pack("!BBQH", 0, 0, milliseconds, 1)
        + hashlib.sha256(spki).digest()
        + len(tbs).to_bytes(3, "big")
        + tbs
        + b"\x00\x00"
    )


def signed_tree_head(http: httpx.Client, trusted_root: dict[str, Any]) -> Checkpoint:
    """The CT log's tree head, its signature checked (RFC 6962 §3.5)."""
    sth = http.get("/ct/v1/get-sth").json()
    root, signature = (base64.b64decode(sth[name]) for name in ("sha256_root_hash", "tree_head_signature"))
    assert signature[:2] == b"\x04\x03"  # SHA-256, ECDSA
    assert int.from_bytes(signature[2:4], "big") == len(signature) - 4
    signed = struct.pack("!BBQQ", 0, 1, sth["timestamp"], sth["tree_size"]) + root
    verify_with(key_of(log_named(trusted_root, "ct", "ctlogs")), signature[4:], signed)
    return Checkpoint(sth["tree_size"], root)


@pytest.mark.parametrize("who", ["a person", "a job"])
def test_every_certificate_s_promise_is_kept_in_the_ct_log(
    http: httpx.Client, trust: Trust, trusted_root: dict[str, Any], who: str
) -> None:
    token = trust.token(ALICE) if who == "a person" else trust.token(claims=CLAIMS)
    signer = enrol(http, token)
    issuer = x509.load_pem_x509_certificate(signer.chain[1].encode())
    leaf = precertificate_leaf(signer.certificate, issuer)
    (sct,) = signer.certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    log = log_named(trusted_root, "ct", "ctlogs")
    assert sct.log_id == base64.b64decode(log["logId"]["keyId"])
    verify_with(key_of(log), sct.signature, leaf)

    head = signed_tree_head(http, trusted_root)
    query: dict[str, str | int] = {"hash": b64(leaf_hash(leaf)), "tree_size": head.size}
    proof = http.get("/ct/v1/get-proof-by-hash", params=query).json()
    hashes = [base64.b64decode(hash) for hash in proof["audit_path"]]
    assert verify_inclusion(leaf_hash(leaf), proof["leaf_index"], head.size, hashes, head.root)

    at = {"start": proof["leaf_index"], "end": proof["leaf_index"]}
    (entry,) = http.get("/ct/v1/get-entries", params=at).json()["entries"]
    assert base64.b64decode(entry["leaf_input"]) == leaf


def test_the_ct_log_only_grows(http: httpx.Client, trust: Trust, trusted_root: dict[str, Any]) -> None:
    enrol(http, trust.token(ALICE))
    old = signed_tree_head(http, trusted_root)
    for _ in range(3):
        enrol(http, trust.token(ALICE))
    new = signed_tree_head(http, trusted_root)
    assert new.size == old.size + 3
    sizes = {"first": old.size, "second": new.size}
    answer = http.get("/ct/v1/get-sth-consistency", params=sizes).json()
    proof = [base64.b64decode(hash) for hash in answer["consistency"]]
    assert verify_consistency(old.size, new.size, old.root, new.root, proof)
    entries = http.get("/ct/v1/get-entries", params={"start": 0, "end": new.size + 9}).json()
    leaves = [leaf_hash(base64.b64decode(entry["leaf_input"])) for entry in entries["entries"]]
    assert root_of(leaves) == new.root


def test_the_chain_is_what_clients_require(http: httpx.Client, trust: Trust) -> None:
    leaf, intermediate, root = (
        x509.load_pem_x509_certificate(text.encode()) for text in enrol(http, trust.token(ALICE)).chain
    )
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert (lifetime.total_seconds(), list(leaf.subject)) == (600, [])
    by_oid = {extension.oid: extension for extension in leaf.extensions}
    san = by_oid[x509.OID_SUBJECT_ALTERNATIVE_NAME]
    assert san.critical
    assert list(san.value) == [x509.RFC822Name(ALICE)]
    assert by_oid[x509.OID_KEY_USAGE].critical
    assert list(by_oid[x509.OID_EXTENDED_KEY_USAGE].value) == [ExtendedKeyUsageOID.CODE_SIGNING]
    assert leaf.extensions[-1].oid == x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
    paths = [
        entry.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        for entry in (intermediate, root)
    ]
    assert paths == [0, 1]
    for entry in (intermediate, root):
        assert "teaching only" in entry.subject.rfc4514_string()


def test_entries_of_several_threads_get_places_of_their_own(fresh: Server, fresh_http: httpx.Client) -> None:
    instance = fresh.instance
    signer = enrol(fresh_http, Trust(instance.directory).token(ALICE))
    requests = [signer.entry_v2(bytes([number])) for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(instance.log_entry_v2, requests))
    assert sorted(int(entry["logIndex"]) for entry in entries) == list(range(1, 65))
    for entry in entries:
        proof, body = entry["inclusionProof"], base64.b64decode(entry["canonicalizedBody"])
        assert verify_inclusion(
            leaf_hash(body),
            int(entry["logIndex"]),
            int(proof["treeSize"]),
            [base64.b64decode(hash) for hash in proof["hashes"]],
            base64.b64decode(proof["rootHash"]),
        )


def test_log_v1_answers_up_to_ten_entries_at_once(alice: Signer, http: httpx.Client) -> None:
    for number in range(3):
        assert http.post("/api/v1/log/entries", json=alice.hashedrekord_v1(b"at once %d" % number)).status_code == 201
    size = http.get("/api/v1/log").json()["treeSize"]
    wanted = [size - 1, 0, size - 3]
    answer = http.post("/api/v1/log/entries/retrieve", json={"logIndexes": wanted}).json()
    assert [next(iter(each.values()))["logIndex"] for each in answer] == wanted
    alone = http.get(f"/api/v1/log/entries?logIndex={size - 1}").json()
    assert [entry["body"] for entry in answer[0].values()] == [entry["body"] for entry in alone.values()]
    for indexes, status in (([], 400), ([0] * 11, 400), (["0"], 400), ([-1], 400), ([True], 400), ([size], 404)):
        assert http.post("/api/v1/log/entries/retrieve", json={"logIndexes": indexes}).status_code == status


def test_log_v1_proves_the_growth_of_its_own_tree_alone(http: httpx.Client) -> None:
    tree = http.get("/api/v1/log").json()["treeID"]
    size = http.get("/api/v1/log").json()["treeSize"]
    assert http.get(f"/api/v1/log/proof?lastSize={size}&treeID={tree}").status_code == 200
    assert http.get(f"/api/v1/log/proof?lastSize={size}&treeID=7").status_code == 404
