"""The distribution specification's four workflows: pull, push, content discovery, content management.

Each test is a row of the specification's conformance table (distribution-spec 1.1, "Requirements" and its "Endpoints"
end-1 to end-13), asked over HTTP.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from served_registry import BYTES, INDEX, MANIFEST, ZERO, ServedRegistry, codes, descriptor, image, sha256

LAYER = b"weights of a small model" * 10


@pytest.fixture(scope="module")
def name(shared: ServedRegistry) -> str:
    """A repository with one image, tagged v1."""
    name = shared.name()
    shared.push(name, "v1", LAYER)
    return name


DIGEST = sha256(image(LAYER))
SHA512 = f"sha512:{hashlib.sha512(image(LAYER)).hexdigest()}"

# -- pull

PULLS = [
    # what it shows, method, path below the repository, status, code of the refusal
    ("a blob", "GET", f"blobs/{sha256(LAYER)}", 200, None),
    ("whether a blob is there", "HEAD", f"blobs/{sha256(LAYER)}", 200, None),
    ("no such blob", "GET", f"blobs/{ZERO}", 404, "BLOB_UNKNOWN"),
    ("whether no such blob is there", "HEAD", f"blobs/{ZERO}", 404, None),
    ("a blob by a malformed digest", "GET", "blobs/sha256:xyz", 400, "DIGEST_INVALID"),
    ("a manifest by digest", "GET", f"manifests/{DIGEST}", 200, None),
    ("a manifest by tag", "GET", "manifests/v1", 200, None),
    ("whether a manifest is there, by digest", "HEAD", f"manifests/{DIGEST}", 200, None),
    ("whether a manifest is there, by tag", "HEAD", "manifests/v1", 200, None),
    ("no such tag", "GET", "manifests/v2", 404, "MANIFEST_UNKNOWN"),
    ("what no tag can be", "GET", "manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"),
    ("whether what no tag can be is there", "HEAD", "manifests/.INVALID", 404, None),
    ("no such manifest", "GET", f"manifests/{ZERO}", 404, "MANIFEST_UNKNOWN"),
    ("a manifest by another algorithm", "GET", f"manifests/{SHA512}", 404, "MANIFEST_UNKNOWN"),
    ("whether a manifest by another algorithm is there", "HEAD", f"manifests/{SHA512}", 404, None),
    ("a blob by another algorithm", "GET", f"blobs/{SHA512}", 404, "BLOB_UNKNOWN"),
    ("whether a blob by another algorithm is there", "HEAD", f"blobs/{SHA512}", 404, None),
    ("a blob by an unregistered algorithm", "GET", "blobs/multihash+base58:QmRZxt2b1F_=", 404, "BLOB_UNKNOWN"),
    ("a blob by a short SHA-512 digest", "GET", f"blobs/{SHA512[:-1]}", 400, "DIGEST_INVALID"),
    ("a method that is not served", "POST", "manifests/v1", 405, "UNSUPPORTED"),
    ("a path that is not served", "GET", "stickers/v1", 404, "NAME_UNKNOWN"),
]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [row[1:] for row in PULLS],
    ids=[row[0] for row in PULLS],
)
def test_pull(shared: ServedRegistry, name: str, method: str, path: str, status: int, code: str | None) -> None:
    answer = shared.nobody.request(method, f"/v2/{name}/{path}")
    assert answer.status_code == status
    if method == "HEAD":
        assert answer.content == b""
    if code:
        assert codes(answer) == [code]
    elif status == 200:
        whole = LAYER if path.startswith("blobs") else image(LAYER)
        assert answer.headers["Docker-Content-Digest"] == sha256(whole)
        assert answer.headers["Content-Length"] == str(len(whole))
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.content == (b"" if method == "HEAD" else whole)
        expected = BYTES if path.startswith("blobs") else MANIFEST
        assert answer.headers["Content-Type"] == expected


def test_an_unknown_repository_has_nothing(shared: ServedRegistry) -> None:
    answer = shared.nobody.get("/v2/acme/no-such/manifests/latest")
    assert answer.status_code == 404


RANGES = [
    ("the beginning", "bytes=0-9", 206, LAYER[:10]),
    ("from the middle on", "bytes=100-", 206, LAYER[100:]),
    ("the end", "bytes=-5", 206, LAYER[-5:]),
    ("beyond the end", "bytes=0-999999", 206, LAYER),
    ("past it", f"bytes={len(LAYER)}-", 416, None),
    ("the first of two, the second past the end", "bytes=0-3, 9999-", 206, LAYER[:4]),
    ("none of two", "bytes=9999-, -0", 416, None),
    ("the last before the first", "bytes=500-0", 200, LAYER),
    ("another unit", "items=0-3", 200, LAYER),
    ("no range", "bytes=all", 200, LAYER),
]


@pytest.mark.parametrize(("header", "status", "data"), [row[1:] for row in RANGES], ids=[row[0] for row in RANGES])
def test_a_range_of_a_blob(shared: ServedRegistry, name: str, header: str, status: int, data: bytes | None) -> None:
    path = f"/v2/{name}/blobs/{sha256(LAYER)}"
    answer = shared.nobody.get(path, headers={"Range": header})
    assert answer.status_code == status
    if data is not None:
        assert answer.content == data
    if status == 416:
        assert answer.headers["Content-Range"] == f"bytes */{len(LAYER)}"


@pytest.mark.parametrize("header", [row[1] for row in RANGES], ids=[row[0] for row in RANGES])
def test_head_has_no_ranges(shared: ServedRegistry, name: str, header: str) -> None:
    answer = shared.nobody.head(f"/v2/{name}/blobs/{sha256(LAYER)}", headers={"Range": header})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(LAYER)))
    assert "Content-Range" not in answer.headers


# -- push


def test_a_blob_in_one_post(shared: ServedRegistry) -> None:
    name, data = shared.name(), b"one request"
    answer = shared.alice.post(
        f"/v2/{name}/blobs/uploads/?digest={sha256(data)}",
        content=data,
        headers={"Content-Type": BYTES},
    )
    assert answer.status_code == 201
    assert answer.headers["Docker-Content-Digest"] == sha256(data)
    assert shared.nobody.get(answer.headers["Location"]).content == data


def test_a_blob_in_post_and_put(shared: ServedRegistry) -> None:
    name, data = shared.name(), b"two requests"
    begun = shared.alice.post(f"/v2/{name}/blobs/uploads/")
    assert begun.status_code == 202
    answer = shared.alice.put(begun.headers["Location"], params={"digest": sha256(data)}, content=data)
    assert answer.status_code == 201
    assert shared.nobody.get(answer.headers["Location"]).content == data
    assert codes(shared.alice.get(begun.headers["Location"])) == ["BLOB_UPLOAD_UNKNOWN"]


def begin(world: ServedRegistry, name: str) -> str:
    answer = world.alice.post(f"/v2/{name}/blobs/uploads/")
    assert answer.status_code == 202
    return str(answer.headers["Location"])


def send(world: ServedRegistry, where: str, data: bytes, start: int | None) -> Any:
    span = {} if start is None else {"Content-Range": f"{start}-{start + len(data) - 1}"}
    return world.alice.patch(where, content=data, headers={"Content-Type": BYTES, **span})


@pytest.mark.parametrize("last_in_put", [False, True])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_blob_in_chunks(shared: ServedRegistry, last_in_put: bool, ranges: bool) -> None:
    name, data = shared.name(), b"0123456789abcdef"
    where, sent = begin(shared, name), 0
    for chunk in (data[:5], data[5:11]) if last_in_put else (data[:5], data[5:11], data[11:]):
        answer = send(shared, where, chunk, sent if ranges else None)
        sent += len(chunk)
        assert answer.status_code == 202
        assert answer.headers["Range"] == f"0-{sent - 1}"
        where = answer.headers["Location"]
        status = shared.alice.get(where)
        assert (status.status_code, status.headers["Range"]) == (204, f"0-{sent - 1}")
    rest = data[sent:]
    span = {"Content-Range": f"{sent}-{len(data) - 1}"} if rest and ranges else {}
    answer = shared.alice.put(where, params={"digest": sha256(data)}, content=rest, headers=span)
    assert answer.status_code == 201
    assert shared.nobody.get(answer.headers["Location"]).content == data


def test_a_chunk_out_of_order_is_416_and_changes_nothing(shared: ServedRegistry) -> None:
    name, data = shared.name(), b"0123456789"
    where = begin(shared, name)
    assert send(shared, where, data[:5], 0).status_code == 202
    for start in (0, 4, 6, 10**17):
        answer = send(shared, where, data[5:], start)
        assert (answer.status_code, codes(answer)) == (416, ["BLOB_UPLOAD_INVALID"])
    assert shared.alice.get(where).headers["Range"] == "0-4"
    assert send(shared, where, data[5:], 5).status_code == 202
    assert shared.alice.put(where, params={"digest": sha256(data)}).status_code == 201


@pytest.mark.parametrize("text", ["5-4", "a-b", "bytes 0-4/5", "0-", "-4", "0-4,6-7", "", "9" * 30 + "-1"])
def test_a_content_range_that_is_none_is_416(shared: ServedRegistry, text: str) -> None:
    where = begin(shared, shared.name())
    answer = shared.alice.patch(where, content=b"01234", headers={"Content-Range": text})
    assert answer.status_code == 416


def test_a_content_range_longer_than_the_chunk_is_416(shared: ServedRegistry) -> None:
    where = begin(shared, shared.name())
    answer = shared.alice.patch(where, content=b"01234", headers={"Content-Range": "0-9"})
    assert answer.status_code == 416
    assert send(shared, where, b"01234", 0).status_code == 202


def test_an_upload_can_be_cancelled(shared: ServedRegistry) -> None:
    where = begin(shared, shared.name())
    assert shared.alice.delete(where).status_code == 204
    for answer in (
        shared.alice.get(where),
        send(shared, where, b"x", 0),
        shared.alice.delete(where),
    ):
        assert (answer.status_code, codes(answer)) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_an_upload_belongs_to_its_repository(shared: ServedRegistry) -> None:
    name = shared.name()
    where = begin(shared, name)
    assert shared.alice.get(where.replace(name, shared.name())).status_code == 404


def test_a_wrong_digest_is_refused_and_the_upload_goes_on(shared: ServedRegistry) -> None:
    name, data = shared.name(), b"the right bytes"
    where = begin(shared, name)
    assert send(shared, where, data[:4], 0).status_code == 202
    wrong = shared.alice.put(where, params={"digest": sha256(data)}, content=b"other bytes")
    assert (wrong.status_code, codes(wrong)) == (400, ["DIGEST_INVALID"])
    assert shared.nobody.head(f"/v2/{name}/blobs/{sha256(data)}").status_code == 404
    assert shared.alice.get(where).headers["Range"] == "0-3"
    right = shared.alice.put(where, params={"digest": sha256(data)}, content=data[4:])
    assert right.status_code == 201


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:" + "g" * 64, "md5:" + "0" * 32, ZERO.upper()])
def test_the_last_request_needs_a_digest(shared: ServedRegistry, digest: str) -> None:
    where = begin(shared, shared.name())
    for parameters in ({"digest": digest}, {}):
        answer = shared.alice.put(where, params=parameters, content=b"x")
        assert (answer.status_code, codes(answer)) == (400, ["DIGEST_INVALID"])


MOUNTS = [
    ("a blob that the source has", True, True, 201),
    ("a blob that the source has not", False, True, 202),
    ("a blob without a source", True, False, 202),
]


@pytest.mark.parametrize(
    ("there", "names_source", "status"), [row[1:] for row in MOUNTS], ids=[row[0] for row in MOUNTS]
)
def test_mount(shared: ServedRegistry, there: bool, names_source: bool, status: int) -> None:
    source, target, data = shared.name(), shared.name(), b"to be mounted"
    digest = shared.blob(source, data) if there else ZERO
    query = {"mount": digest} | ({"from": source} if names_source else {})
    answer = shared.alice.post(f"/v2/{target}/blobs/uploads/", params=query)
    assert answer.status_code == status
    if status == 201:
        assert shared.nobody.get(answer.headers["Location"]).content == data
    else:
        assert shared.nobody.head(f"/v2/{target}/blobs/{digest}").status_code == 404
        finished = shared.alice.put(answer.headers["Location"], params={"digest": sha256(data)}, content=data)
        assert finished.status_code == 201


@pytest.mark.parametrize("source", ["../acme", "ACME", "acme//r", "a\x00b", ""])
def test_mount_from_what_is_no_name_is_refused(shared: ServedRegistry, source: str) -> None:
    query = {"mount": ZERO, "from": source}
    answer = shared.alice.post(f"/v2/{shared.name()}/blobs/uploads/", params=query)
    assert (answer.status_code, codes(answer)) == (400, ["NAME_INVALID"])


def test_a_manifest_by_tag_and_by_digest(shared: ServedRegistry) -> None:
    name, data = shared.name(), image(LAYER)
    shared.blob(name, LAYER)
    shared.blob(name, b"{}")
    for reference in ("v1", sha256(data), "v1", "v2"):
        answer = shared.put(name, reference, data)
        assert answer.status_code == 201
        assert answer.headers["Docker-Content-Digest"] == sha256(data)
        assert "OCI-Subject" not in answer.headers
        assert shared.nobody.get(answer.headers["Location"]).content == data
    assert shared.nobody.get(f"/v2/{name}/tags/list").json() == {"name": name, "tags": ["v1", "v2"]}


def test_a_manifest_without_layers(shared: ServedRegistry) -> None:
    assert shared.push(shared.name(), "empty")


def test_a_manifest_with_missing_blobs_is_404(shared: ServedRegistry) -> None:
    name = shared.name()
    for data in (image(b"never pushed"), image(b"nor this", config=b"[]")):
        answer = shared.put(name, "v1", data)
        assert (answer.status_code, codes(answer)) == (404, ["MANIFEST_BLOB_UNKNOWN"])
    assert shared.nobody.get(f"/v2/{name}/tags/list").status_code == 404


def test_a_blob_of_another_repository_is_missing(shared: ServedRegistry) -> None:
    other, name = shared.name(), shared.name()
    shared.push(other, "v1", LAYER)
    shared.blob(name, b"{}")
    assert codes(shared.put(name, "v1", image(LAYER))) == ["MANIFEST_BLOB_UNKNOWN"]


def test_an_image_index(shared: ServedRegistry) -> None:
    name = shared.name()
    first, second = shared.push(name, "", b"amd64"), shared.push(name, "", b"arm64")
    entries = [descriptor(image(layer), MANIFEST) for layer in (b"amd64", b"arm64")]
    assert [entry["digest"] for entry in entries] == [first, second]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    answer = shared.put(name, "multi", json.dumps(document).encode(), media_type=INDEX)
    assert answer.status_code == 201
    assert shared.nobody.get(f"/v2/{name}/manifests/multi").headers["Content-Type"] == INDEX
    document["manifests"] = [*entries, descriptor(b"{}", MANIFEST)]
    answer = shared.put(name, "more", json.dumps(document).encode(), media_type=INDEX)
    assert codes(answer) == ["MANIFEST_BLOB_UNKNOWN"]


# -- content discovery

PAGES = [
    ("all", {}, ["a", "b", "c", "d"], None),
    ("fewer", {"n": "2"}, ["a", "b"], "b"),
    ("the next", {"n": "2", "last": "b"}, ["c", "d"], None),
    ("after one that is not there", {"n": "3", "last": "bb"}, ["c", "d"], None),
    ("as many as there are", {"n": "4"}, ["a", "b", "c", "d"], None),
    ("more than there are", {"n": "100"}, ["a", "b", "c", "d"], None),
    ("none", {"n": "0"}, [], None),
    ("after the last", {"last": "d"}, [], None),
    ("only last", {"last": "c"}, ["d"], None),
]


@pytest.fixture(scope="module")
def tagged(shared: ServedRegistry) -> str:
    name = shared.name()
    for tag in "cbda":
        shared.push(name, tag, LAYER)
    return name


@pytest.mark.parametrize(("query", "tags", "last"), [row[1:] for row in PAGES], ids=[row[0] for row in PAGES])
def test_tags(shared: ServedRegistry, tagged: str, query: dict[str, str], tags: list[str], last: str | None) -> None:
    answer = shared.nobody.get(f"/v2/{tagged}/tags/list", params=query)
    assert answer.status_code == 200
    assert answer.json() == {"name": tagged, "tags": tags}
    assert ("Link" in answer.headers) == (last is not None)
    if last:
        following = shared.nobody.get(answer.links["next"]["url"])
        assert following.json()["tags"] == ["c", "d"]


def test_tags_are_in_byte_order(shared: ServedRegistry) -> None:
    name, tags = shared.name(), ["v1.10", "v1.2", "V1", "_x", "0", "v1-a", "v10"]
    for tag in tags:
        shared.push(name, tag, LAYER)
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == sorted(tags)


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "", "9" * 40, "١"])
def test_a_page_of_no_size_is_400(shared: ServedRegistry, tagged: str, n: str) -> None:
    assert shared.nobody.get(f"/v2/{tagged}/tags/list", params={"n": n}).status_code == 400


def test_tags_of_no_repository(shared: ServedRegistry) -> None:
    answer = shared.nobody.get("/v2/acme/no-such/tags/list")
    assert (answer.status_code, codes(answer)) == (404, ["NAME_UNKNOWN"])


def listed(world: ServedRegistry, name: str, digest: str, **query: str) -> list[dict[str, Any]]:
    answer = world.nobody.get(f"/v2/{name}/referrers/{digest}", params=query)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == INDEX
    document = answer.json()
    assert (document["schemaVersion"], document["mediaType"]) == (2, INDEX)
    applied = answer.headers.get("OCI-Filters-Applied")
    assert applied == ("artifactType" if query else None)
    manifests: list[dict[str, Any]] = document["manifests"]
    return manifests


def test_referrers(shared: ServedRegistry) -> None:
    name = shared.name()
    subject = shared.push(name, "v1", LAYER)
    assert listed(shared, name, subject) == []
    note = {"org.example.note": 'naïve ✓ "quoted" <b>'}
    signature = shared.refer(name, subject, "application/vnd.example.signature", annotations=note)
    sbom = shared.refer(name, subject, "application/vnd.example.sbom")
    referrers = listed(shared, name, subject)
    assert [entry["digest"] for entry in referrers] == [signature, sbom]
    stored = shared.nobody.get(f"/v2/{name}/manifests/{signature}").content
    assert referrers[0] == {
        "mediaType": MANIFEST,
        "digest": signature,
        "size": len(stored),
        "artifactType": "application/vnd.example.signature",
        "annotations": note,
    }
    only = listed(shared, name, subject, artifactType="application/vnd.example.sbom")
    assert [entry["digest"] for entry in only] == [sbom]
    assert listed(shared, name, subject, artifactType="application/vnd.example.none") == []


def test_the_answer_to_a_referrer_names_its_subject(shared: ServedRegistry) -> None:
    name = shared.name()
    subject = shared.push(name, "v1", LAYER)
    about = {"mediaType": MANIFEST, "digest": subject, "size": 2}
    answer = shared.put(name, "sig", image(LAYER, subject=about))
    assert answer.headers["OCI-Subject"] == subject


def test_without_an_artifact_type_it_is_the_configs_media_type(shared: ServedRegistry) -> None:
    name = shared.name()
    shared.blob(name, b"{}")
    config = descriptor(b"{}", "application/vnd.example.config+json")
    about = {"mediaType": MANIFEST, "digest": ZERO, "size": 2}
    data = image(config=b"{}", subject=about)
    document = json.loads(data) | {"config": config}
    assert shared.put(name, "x", json.dumps(document).encode()).status_code == 201
    (entry,) = listed(shared, name, ZERO)
    assert entry["artifactType"] == "application/vnd.example.config+json"


def test_an_index_may_refer_too(shared: ServedRegistry) -> None:
    name = shared.name()
    subject = shared.push(name, "v1", LAYER)
    about = {"mediaType": MANIFEST, "digest": subject, "size": 2}
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "artifactType": "application/vnd.example.list",
        "manifests": [],
        "subject": about,
        "annotations": {"a": "b"},
    }
    assert shared.put(name, "x", json.dumps(document).encode(), media_type=INDEX).status_code == 201
    (entry,) = listed(shared, name, subject)
    assert (entry["mediaType"], entry["artifactType"]) == (INDEX, "application/vnd.example.list")


def test_a_referrer_may_come_before_its_subject(shared: ServedRegistry) -> None:
    name, later = shared.name(), sha256(image(b"later"))
    referrer = shared.refer(name, later)
    assert [entry["digest"] for entry in listed(shared, name, later)] == [referrer]
    assert shared.nobody.get(f"/v2/{name}/manifests/{later}").status_code == 404
    assert shared.push(name, "v1", b"later") == later
    assert [entry["digest"] for entry in listed(shared, name, later)] == [referrer]


def test_referrers_of_what_is_nowhere_are_an_empty_list(shared: ServedRegistry, name: str) -> None:
    assert listed(shared, name, ZERO) == []
    assert listed(shared, "acme/no-such", ZERO) == []


@pytest.mark.parametrize("subject", [SHA512, "multihash+base58:QmRZxt2b1F_="])
def test_a_subject_by_another_algorithm_has_its_referrers(shared: ServedRegistry, subject: str) -> None:
    name = shared.name()
    assert listed(shared, name, subject) == []
    data = image(subject={"mediaType": MANIFEST, "digest": subject, "size": 2})
    shared.blob(name, b"{}")
    answer = shared.put(name, "v1", data)
    assert (answer.status_code, answer.headers["OCI-Subject"]) == (201, subject)
    assert [entry["digest"] for entry in listed(shared, name, subject)] == [sha256(data)]
    assert shared.nobody.get(f"/v2/{name}/manifests/v1").content == data


def test_a_manifest_that_holds_what_is_never_here_is_refused(shared: ServedRegistry) -> None:
    name = shared.name()
    shared.blob(name, b"{}")
    document = json.loads(image(b"x"))
    document["layers"][0]["digest"] = SHA512
    answer = shared.put(name, "v1", json.dumps(document).encode())
    assert (answer.status_code, codes(answer)) == (404, ["MANIFEST_BLOB_UNKNOWN"])


def test_deleting_by_another_algorithm_finds_nothing(shared: ServedRegistry, name: str) -> None:
    for kind, code in (("manifests", "MANIFEST_UNKNOWN"), ("blobs", "BLOB_UNKNOWN")):
        answer = shared.alice.delete(f"/v2/{name}/{kind}/{SHA512}")
        assert (answer.status_code, codes(answer)) == (404, [code])


def test_pushing_by_another_algorithm_is_refused(shared: ServedRegistry, name: str) -> None:
    whole = shared.alice.post(f"/v2/{name}/blobs/uploads/", params={"digest": SHA512}, content=image(LAYER))
    last = shared.alice.put(begin(shared, name), params={"digest": SHA512}, content=image(LAYER))
    manifest = shared.put(name, SHA512, image(LAYER))
    for answer in (whole, last, manifest):
        assert (answer.status_code, codes(answer)) == (400, ["DIGEST_INVALID"])
    mounted = shared.alice.post(f"/v2/{name}/blobs/uploads/", params={"mount": SHA512, "from": name})
    assert mounted.status_code == 202


def test_referrers_of_no_digest(shared: ServedRegistry, name: str) -> None:
    answer = shared.nobody.get(f"/v2/{name}/referrers/v1")
    assert (answer.status_code, codes(answer)) == (400, ["DIGEST_INVALID"])


def test_more_referrers_than_an_answer_holds_come_in_pages(shared: ServedRegistry) -> None:
    name = shared.name()
    subject = shared.push(name, "v1", LAYER)
    pushed = [shared.refer(name, subject, annotations={"number": str(at), "bulk": "x" * 1_500_000}) for at in range(4)]
    digests, where = [], f"/v2/{name}/referrers/{subject}"
    while where:
        answer = shared.nobody.get(where)
        assert len(answer.content) <= 4 * 2**20 + 1000
        digests += [entry["digest"] for entry in answer.json()["manifests"]]
        where = answer.links.get("next", {}).get("url", "")
    assert digests == pushed


# -- content management


def test_delete_by_tag_keeps_the_manifest(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", LAYER)
    assert shared.alice.delete(f"/v2/{name}/manifests/v1").status_code == 202
    assert shared.nobody.get(f"/v2/{name}/manifests/v1").status_code == 404
    assert shared.nobody.get(f"/v2/{name}/manifests/{digest}").status_code == 200
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == []
    answer = shared.alice.delete(f"/v2/{name}/manifests/v1")
    assert (answer.status_code, codes(answer)) == (404, ["MANIFEST_UNKNOWN"])


def test_delete_by_digest_takes_its_tags_and_its_place_among_referrers(shared: ServedRegistry) -> None:
    name = shared.name()
    subject = shared.push(name, "v1", LAYER)
    referrer = shared.refer(name, subject)
    assert shared.put(name, "sig", shared.nobody.get(f"/v2/{name}/manifests/{referrer}").content)
    assert shared.alice.delete(f"/v2/{name}/manifests/{referrer}").status_code == 202
    assert listed(shared, name, subject) == []
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == ["v1"]
    assert shared.nobody.get(f"/v2/{name}/manifests/{referrer}").status_code == 404
    assert shared.alice.delete(f"/v2/{name}/manifests/{referrer}").status_code == 404


def test_delete_a_blob(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.blob(name, b"nobody needs this")
    assert shared.alice.delete(f"/v2/{name}/blobs/{digest}").status_code == 202
    assert shared.nobody.get(f"/v2/{name}/blobs/{digest}").status_code == 404
    assert codes(shared.alice.delete(f"/v2/{name}/blobs/{digest}")) == ["BLOB_UNKNOWN"]


def test_what_a_manifest_needs_is_not_deleted(shared: ServedRegistry) -> None:
    name = shared.name()
    child = shared.push(name, "v1", LAYER)
    answer = shared.alice.delete(f"/v2/{name}/blobs/{sha256(LAYER)}")
    assert (answer.status_code, codes(answer)) == (405, ["UNSUPPORTED"])
    entries = [descriptor(image(LAYER), MANIFEST)]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    assert shared.put(name, "multi", index, media_type=INDEX).status_code == 201
    assert shared.alice.delete(f"/v2/{name}/manifests/{child}").status_code == 405
    for reference in (sha256(index), child):
        assert shared.alice.delete(f"/v2/{name}/manifests/{reference}").status_code == 202
    assert shared.alice.delete(f"/v2/{name}/blobs/{sha256(LAYER)}").status_code == 202


def test_immutable_tags_stay_where_they_point(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", LAYER)
    shared.registry.images.configure(name, immutable=True)
    assert shared.push(name, "v1", LAYER) == digest  # the same again is no move
    shared.blob(name, b"other")
    answer = shared.put(name, "v1", image(b"other"))
    assert (answer.status_code, codes(answer)) == (409, ["DENIED"])
    assert shared.put(name, "v2", image(b"other")).status_code == 201
    for reference in ("v1", digest):
        assert shared.alice.delete(f"/v2/{name}/manifests/{reference}").status_code == 409
    assert shared.nobody.get(f"/v2/{name}/manifests/v1").content == image(LAYER)
