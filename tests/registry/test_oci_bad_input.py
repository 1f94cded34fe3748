"""Whatever a stranger sends to /v2/ gets the right status; nothing is lost, nothing is half-written, never a 500."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_registry import INDEX, MANIFEST, ZERO, ServedRegistry, codes, descriptor, image, sha256

from chainlab.digests import Digest
from chainlab.events import Events
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.manifest import MAX_MANIFEST, Manifest
from chainlab.registry.registry import Registry

NAMES = [
    *(
        "..",
        "../../etc",
        "acme/..",
        "acme/../../x",
        "./acme",
        "acme/.",
        "/acme",
        "acme/",
        "acme//x",
    ),
    *(
        "ACME",
        "acme/Model",
        "acme model",
        "acme\\model",
        "acme/%2e%2e",
        "acme/-x",
        "acme/x-",
        "acme/x..y",
    ),
    *(
        "acme/x\n",
        "acme/x\x00",
        "acme/‮x",
        "acmé",
        "a" * 256,
        "acme/" + "x/" * 200 + "x",
        "acme/x___y",
    ),
]
REFERENCES = [
    *("..", ".x", "-x", "x" * 129, "x y", "x\n", "%2e%2e", "v1\x00", "naïve", "<script>", "x;y"),
]
DIGESTS = [
    *("sha256:", "sha256:..", "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "G" * 64),
    *("sha256:" + "A" * 64, "sha512:" + "0" * 127, "md5:" + "." * 32, ":", "sha256:../" + "0" * 61),
]


def raw(world: ServedRegistry, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """A request whose target goes out as it stands."""
    connection = http.client.HTTPConnection(world.host, timeout=30)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        defaults = {
            "Authorization": f"Bearer {world.secrets['alice']}",
            "Content-Length": str(len(body)),
        }
        for name, value in (defaults | headers).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def quoted(text: str) -> str:
    return "".join(
        c if c.isascii() and (c.isalnum() or c in "/.-_:") else "".join(f"%{b:02X}" for b in c.encode()) for c in text
    )


def everything(path: Path) -> list[Path]:
    return sorted(entry for entry in path.rglob("*") if entry.is_file() and ".db" not in entry.name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_name_gets_nowhere(shared: ServedRegistry, name: str) -> None:
    before = everything(shared.server.instance.directory.parent)
    for method, tail in (
        ("GET", "manifests/v1"), ("PUT", "manifests/v1"), ("GET", f"blobs/{ZERO}"),
        ("POST", "blobs/uploads/"), ("GET", "tags/list"), ("GET", f"referrers/{ZERO}"),
    ):  # fmt: skip
        status, body = raw(shared, method, f"/v2/{quoted(name)}/{tail}", b"x")
        assert status in (400, 404)
        assert json.loads(body)["errors"][0]["code"] in ("NAME_INVALID", "NAME_UNKNOWN")
    assert everything(shared.server.instance.directory.parent) == before


@pytest.mark.parametrize("reference", REFERENCES)
def test_what_is_no_tag_is_refused(shared: ServedRegistry, reference: str) -> None:
    name = shared.name()
    for blob in (b"{}", b"x"):
        shared.blob(name, blob)
    target = f"/v2/{name}/manifests/{quoted(reference)}"
    status, body = raw(shared, "PUT", target, image(b"x"), **{"Content-Type": MANIFEST})
    assert (status, json.loads(body)["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
    assert raw(shared, "GET", target)[0] == 404
    assert raw(shared, "DELETE", target)[0] == 404
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == []


@pytest.mark.parametrize("digest", DIGESTS)
def test_what_is_no_digest_is_refused(shared: ServedRegistry, digest: str) -> None:
    name = shared.name()
    for method, target in (
        ("GET", f"manifests/{quoted(digest)}"), ("PUT", f"manifests/{quoted(digest)}"),
        ("DELETE", f"manifests/{quoted(digest)}"), ("GET", f"blobs/{quoted(digest)}"),
        ("DELETE", f"blobs/{quoted(digest)}"), ("GET", f"referrers/{quoted(digest)}"),
        ("POST", f"blobs/uploads/?digest={quoted(digest)}"), ("POST", f"blobs/uploads/?mount={quoted(digest)}"),
    ):  # fmt: skip
        status, body = raw(shared, method, f"/v2/{name}/{target}", b"x")
        code = json.loads(body)["errors"][0]["code"]
        # With a slash in it the path is another one.
        assert (status, code) == (400, "DIGEST_INVALID") or ("/" in digest and status in (400, 404, 405))


@pytest.mark.parametrize("id", ["x", "..", "0" * 32, "0" * 33, "%2e%2e%2fstate.db", "*", "\x00"])
def test_what_is_no_upload_is_404(shared: ServedRegistry, id: str) -> None:
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        target = f"/v2/{shared.name()}/blobs/uploads/{quoted(id)}?digest={ZERO}"
        assert raw(shared, method, target, b"x")[0] in (400, 404)


BASE = json.loads(image(b"layer"))
LAYER = BASE["layers"][0]
MANIFESTS: dict[str, Any] = {
    "an array": [],
    "a number": 1,
    "null": None,
    "another schema": BASE | {"schemaVersion": 1},
    "a media type that is no text": BASE | {"mediaType": 1},
    "another media type than it was sent as": BASE | {"mediaType": INDEX},
    "layers that are no list": BASE | {"layers": {}},
    "too many layers": BASE | {"layers": [LAYER] * 10_001},
    "a layer that is no object": BASE | {"layers": ["x"]},
    "a layer without a digest": BASE | {"layers": [{"mediaType": "a/b", "size": 1}]},
    "a layer with a digest that is none": BASE | {"layers": [LAYER | {"digest": "../../x"}]},
    "a layer with a digest that is no text": BASE | {"layers": [LAYER | {"digest": {}}]},
    "a layer without a size": BASE | {"layers": [{"mediaType": "a/b", "digest": ZERO}]},
    "a layer of negative size": BASE | {"layers": [LAYER | {"size": -1}]},
    "a layer of no whole size": BASE | {"layers": [LAYER | {"size": 1.5}]},
    "a layer of size true": BASE | {"layers": [LAYER | {"size": True}]},
    "a layer of huge size": BASE | {"layers": [LAYER | {"size": 2**63}]},
    "a layer with a media type that is none": BASE | {"layers": [LAYER | {"mediaType": "<b>"}]},
    "a config that is no object": BASE | {"config": []},
    "a config without a digest": BASE | {"config": {}},
    "a subject that is no object": BASE | {"subject": "x"},
    "a subject without a digest": BASE | {"subject": {"mediaType": MANIFEST, "size": 2}},
    "annotations that are no object": BASE | {"annotations": []},
    "an annotation that is no text": BASE | {"annotations": {"a": 1}},
    "an annotation with half a character": BASE | {"annotations": {"a": "\ud800"}},
    "an artifact type that is none": BASE | {"artifactType": "x"},
    "an artifact type that is no text": BASE | {"artifactType": ["a/b"]},
}


@pytest.mark.parametrize("document", MANIFESTS.values(), ids=list(MANIFESTS))
def test_what_is_no_manifest_is_400(shared: ServedRegistry, document: Any) -> None:
    name = shared.name()
    for blob in (b"{}", b"layer"):
        shared.blob(name, blob)
    answer = shared.put(name, "v1", json.dumps(document).encode())
    assert (answer.status_code, codes(answer)) == (400, ["MANIFEST_INVALID"])
    assert shared.nobody.get(f"/v2/{name}/manifests/v1").status_code == 404


@pytest.mark.parametrize("lists", [{"layers": 500}, {"layers": 250, "blobs": 250}, {"manifests": 501}])
def test_a_manifest_names_at_most_hundreds(shared: ServedRegistry, lists: dict[str, int]) -> None:
    name = shared.name()
    shared.blob(name, b"{}")
    document = json.loads(image()) | {key: [descriptor(b"{}")] * count for key, count in lists.items()}
    answer = shared.put(name, "v1", json.dumps(document).encode())
    assert (answer.status_code, codes(answer)) == (400, ["MANIFEST_INVALID"])
    assert "500 descriptors" in answer.text


@pytest.mark.parametrize(
    ("layer", "code"),
    [
        ([descriptor(b"{}")] * 500, "MANIFEST_INVALID"),
        ([descriptor(b"{}") | {"size": 3}], "SIZE_INVALID"),
        ([descriptor(b"not here")], "MANIFEST_BLOB_UNKNOWN"),
    ],
)
def test_what_a_manifest_holds_is_looked_at_before_the_database_is_locked(
    registry: Registry, tmp_path: Path, layer: list[Any], code: str
) -> None:
    registry.images.link("acme/m", registry.blobs.put(b"{}"))
    data = json.dumps(json.loads(image()) | {"layers": layer}).encode()
    holder = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(OciError) as refused:
        registry.images.push("acme/m", "v1", data, MANIFEST, by="mallory")
    assert refused.value.code == code
    assert time.monotonic() - began < 2  # nobody waited for the lock
    holder.close()


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000, b'{"a": NaN}', b"\x00", b"<html>"],
)
def test_what_is_no_json_is_400(shared: ServedRegistry, data: bytes) -> None:
    answer = shared.put(shared.name(), "v1", data)
    assert (answer.status_code, codes(answer)) == (400, ["MANIFEST_INVALID"])


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/html",
        "application/json",
        "image/svg+xml",
        "application/vnd.x+xml",
        "application/xhtml+xml",
        "x" * 500,
    ],
)
def test_a_manifest_is_never_served_as_something_to_show(shared: ServedRegistry, media_type: str) -> None:
    name = shared.name()
    document = {"schemaVersion": 2, "mediaType": media_type, "layers": []}
    answer = shared.put(name, "v1", json.dumps(document).encode(), media_type=media_type)
    assert (answer.status_code, codes(answer)) == (400, ["MANIFEST_INVALID"])


def test_a_manifest_of_another_digest_is_refused(shared: ServedRegistry) -> None:
    name = shared.name()
    for blob in (b"{}", b"x"):
        shared.blob(name, blob)
    answer = shared.put(name, ZERO, image(b"x"))
    assert (answer.status_code, codes(answer)) == (400, ["DIGEST_INVALID"])


def test_a_layer_of_another_size_is_refused(shared: ServedRegistry) -> None:
    name = shared.name()
    for blob in (b"{}", b"x"):
        shared.blob(name, blob)
    document = json.loads(image(b"x"))
    document["layers"][0]["size"] = 2
    answer = shared.put(name, "v1", json.dumps(document).encode())
    assert (answer.status_code, codes(answer)) == (400, ["SIZE_INVALID"])


def test_a_manifest_may_be_four_mebibytes_and_no_more(shared: ServedRegistry) -> None:
    name = shared.name()
    shared.blob(name, b"{}")
    room = MAX_MANIFEST - len(image(annotations={"a": ""}))
    assert shared.put(name, "v1", image(annotations={"a": "x" * room})).status_code == 201
    answer = shared.put(name, "v2", image(annotations={"a": "x" * (room + 1)}))
    assert (answer.status_code, codes(answer)) == (413, ["SIZE_INVALID"])
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == ["v1"]


def test_a_blob_has_a_limit(shared: ServedRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlab.registry.oci.uploads.MAX_SIZE", 10)
    begun = shared.alice.post(f"/v2/{shared.name()}/blobs/uploads/").headers["Location"]
    assert shared.alice.patch(begun, content=b"0123456").status_code == 202
    answer = shared.alice.patch(begun, content=b"789!")
    assert (answer.status_code, codes(answer)) == (413, ["SIZE_INVALID"])
    assert shared.alice.get(begun).headers["Range"] == "0-6"


@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_crash_the_reader_of_manifests(data: bytes) -> None:
    with contextlib.suppress(OciError):
        assert Manifest.parse(data, MANIFEST).digest == Digest.of(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(ZERO),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = (
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "artifactType",
    "mediaType",
    "schemaVersion",
    "blobs",
)


@given(document=st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_no_document_crashes_the_reader_of_manifests(document: dict[str, Any]) -> None:
    data = json.dumps({"schemaVersion": 2} | document).encode()
    with contextlib.suppress(OciError):
        assert Manifest.parse(data, MANIFEST).digest == Digest.of(data)


# -- many at once


def at_once(work: Sequence[Callable[[], Any]]) -> list[Any]:
    results: list[Any] = [None] * len(work)

    def one(at: int) -> None:
        results[at] = work[at]()

    threads = [threading.Thread(target=one, args=(at,)) for at in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_concurrent_referrers_are_all_kept(shared: ServedRegistry) -> None:
    name = shared.name()
    subject = shared.push(name, "v1", b"model")
    shared.refer(name, subject)  # its blobs are there
    before = len(shared.nobody.get(f"/v2/{name}/referrers/{subject}").json()["manifests"])
    about = {"mediaType": MANIFEST, "digest": subject, "size": 2}
    manifests = [image(b"evidence", subject=about, annotations={"n": str(n)}) for n in range(40)]
    answers = at_once([lambda data=data: shared.put(name, sha256(data), data) for data in manifests])  # type: ignore[misc]
    assert {answer.status_code for answer in answers} == {201}
    referrers = shared.nobody.get(f"/v2/{name}/referrers/{subject}").json()["manifests"]
    assert len(referrers) == before + 40
    assert {entry["digest"] for entry in referrers} >= {sha256(data) for data in manifests}


def test_concurrent_tags_are_all_kept_and_one_wins(shared: ServedRegistry) -> None:
    name = shared.name()
    shared.push(name, "start", b"model")
    manifests = [image(b"model", annotations={"n": str(n)}) for n in range(20)]
    work = [lambda n=n: shared.put(name, f"t{n}", manifests[n]) for n in range(20)]
    work += [lambda n=n: shared.put(name, "latest", manifests[n]) for n in range(20)]
    random.Random(7).shuffle(work)
    assert {answer.status_code for answer in at_once(work)} == {201}
    tags = shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"]
    assert set(tags) == {"start", "latest", *(f"t{n}" for n in range(20))}
    assert shared.nobody.get(f"/v2/{name}/manifests/latest").content in manifests
    for n in range(20):
        assert shared.nobody.get(f"/v2/{name}/manifests/t{n}").content == manifests[n]


def test_two_chunks_at_once_do_not_mix(shared: ServedRegistry) -> None:
    name = shared.name()
    where = shared.alice.post(f"/v2/{name}/blobs/uploads/").headers["Location"]
    chunks = [bytes([n]) * 2_000_000 for n in range(6)]
    span = {"Content-Range": "0-1999999"}
    answers = at_once(
        [lambda c=chunk: shared.alice.patch(where, content=c, headers=span) for chunk in chunks]  # type: ignore[misc]
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [202] + [416] * 5
    kept = chunks[statuses.index(202)]
    assert shared.alice.put(where, params={"digest": sha256(kept)}).status_code == 201
    assert shared.nobody.get(f"/v2/{name}/blobs/{sha256(kept)}").content == kept


def test_every_change_has_its_event_and_the_chain_holds(shared: ServedRegistry) -> None:
    name = shared.name()
    first = shared.push(name, "v1", b"one")
    shared.push(name, "v1", b"one")  # the same again
    second = shared.push(name, "v1", b"two")
    shared.alice.delete(f"/v2/{name}/manifests/{first}")
    events: Events = shared.registry.events
    messages = [
        (event.type.rpartition(".")[2], event.subject, event.data["by"])
        for event in events.read()
        if event.data.get("repository") == name
    ]
    assert messages == [
        ("published", first, "alice"),
        ("published", second, "alice"),
        ("deleted", first, "alice"),
    ]
    events.verify()


# -- cut off


def cut_off(world: ServedRegistry, method: str, target: str, data: bytes, promised: int) -> None:
    """Send less than promised, then hang up."""
    host, _, port = world.host.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: {world.host}\r\nContent-Length: {promised}\r\n"
            f"Content-Type: {MANIFEST}\r\nAuthorization: Bearer {world.secrets['alice']}\r\n\r\n"
        )
        connection.sendall(head.encode() + data)
        time.sleep(0.05)


def test_a_truncated_body_leaves_nothing(shared: ServedRegistry) -> None:
    name, data = shared.name(), b"0123456789" * 1000
    where = shared.alice.post(f"/v2/{name}/blobs/uploads/").headers["Location"]
    assert shared.alice.patch(where, content=data[:500]).status_code == 202
    before = everything(shared.server.instance.directory.parent / "registry" / "blobs")
    cut_off(shared, "PATCH", where, data[500:900], len(data))
    cut_off(shared, "PUT", f"{where}?digest={sha256(data)}", data[500:], len(data) + 1)
    cut_off(shared, "POST", f"/v2/{name}/blobs/uploads/?digest={sha256(data)}", data, len(data) + 1)
    cut_off(shared, "PUT", f"/v2/{name}/manifests/v1", image(), 5000)
    time.sleep(0.2)
    assert shared.alice.get(where).headers["Range"] == "0-499"
    assert shared.nobody.head(f"/v2/{name}/blobs/{sha256(data)}").status_code == 404
    assert everything(shared.server.instance.directory.parent / "registry" / "blobs") == before
    answer = shared.alice.put(where, params={"digest": sha256(data)}, content=data[500:])
    assert answer.status_code == 201


SERVE = """
import sys
from pathlib import Path
from served_registry import served
with served(Path(sys.argv[1])) as (server, registry):
    print(server.url, registry.credentials.issue("alice", ["oci:push:acme"]), flush=True)
    server.wait()
"""


def start(workspace: Path) -> tuple[subprocess.Popen[str], httpx.Client]:
    workspace.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(workspace)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert process.stdout is not None
    url, secret = process.stdout.readline().split()
    headers = {"Authorization": f"Bearer {secret}"}
    return process, httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)


@pytest.mark.crash
def test_kill_9_loses_nothing_acknowledged_and_leaves_nothing_half(tmp_path: Path) -> None:
    name, acknowledged, uploads = "acme/killed", {}, {}
    for round in range(3):
        process, client = start(tmp_path / "w")
        with client, process:
            killer = threading.Timer(0.4 + 0.15 * round, os.kill, (process.pid, signal.SIGKILL))
            killer.start()
            try:
                for n in range(10_000):
                    data = f"{round} {n}".encode() * 5000
                    where = client.post(f"/v2/{name}/blobs/uploads/").headers["Location"]
                    half = len(data) // 2
                    if client.patch(where, content=data[:half]).status_code == 202:
                        uploads[where] = half
                    uploads.pop(where)
                    put = client.put(where, params={"digest": sha256(data)}, content=data[half:])
                    assert put.status_code == 201
                    empty = client.post(
                        f"/v2/{name}/blobs/uploads/",
                        params={"digest": sha256(b"{}")},
                        content=b"{}",
                    )
                    assert empty.status_code == 201
                    manifest = image(data)
                    answer = client.put(
                        f"/v2/{name}/manifests/t{round}-{n}",
                        content=manifest,
                        headers={"Content-Type": MANIFEST},
                    )
                    assert answer.status_code == 201
                    acknowledged[f"t{round}-{n}"] = (manifest, data)
            except httpx.TransportError:
                pass
            killer.join()
            assert process.stdout is not None
            process.stdout.close()
    assert len(acknowledged) > 3
    process, client = start(tmp_path / "w")
    with client, process:
        for tag, (manifest, data) in acknowledged.items():
            assert client.get(f"/v2/{name}/manifests/{tag}").content == manifest
            assert client.get(f"/v2/{name}/blobs/{sha256(data)}").content == data
        for tag in client.get(f"/v2/{name}/tags/list").json()["tags"]:  # one may be unacknowledged
            document = client.get(f"/v2/{name}/manifests/{tag}").json()
            for entry in (document["config"], *document["layers"]):
                blob = client.get(f"/v2/{name}/blobs/{entry['digest']}")
                assert sha256(blob.content) == entry["digest"]
        process.kill()
        assert process.stdout is not None
        process.stdout.close()
    for path in (tmp_path / "w" / "registry" / "blobs" / "sha256").rglob("*"):
        assert path.is_dir() or Digest.of_file(path).value.hex() == path.name
