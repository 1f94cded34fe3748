"""A release is resolved and read in one place, and a bundle is found wherever it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from served_registry import BUNDLE, MANIFEST, descriptor, image

from chainlab.digests import Digest
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.registry.oci.referrers import attach
from chainlab.registry.registry import Registry

NAME = "acme/m/release"


def push(registry: Registry, files: list[tuple[str, bytes]], **more: Any) -> str:
    """The reference of a release with these files."""
    for data in (b"{}", *(data for _, data in files)):
        registry.images.link(NAME, registry.blobs.put(data))
    document = json.loads(image())
    document["layers"] = [descriptor(data, title=name) for name, data in files]
    raw = json.dumps(document | more).encode()
    return f"oci/{NAME}@{registry.images.push(NAME, 'v1', raw, MANIFEST, by='alice').digest}"


def test_a_release_is_resolved_without_reading_a_file(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = push(registry, [("a.whl", b"wheel"), ("b.onnx", b"model")])
    read: list[Digest] = []
    whole = registry.blobs.read

    def noted(digest: Digest) -> bytes:
        read.append(digest)
        return whole(digest)

    monkeypatch.setattr(registry.blobs, "read", noted)
    release = registry.release(reference)
    assert (release.reference, release.resource) == (reference, f"oci/{NAME}")
    assert [layer.name for layer in release.layers] == ["a.whl", "b.onnx"]
    assert release.size == len(whole(release.digest)) + len(b"wheel") + len(b"model") + len(b"{}")
    assert read == []
    assert release.problems == ()
    assert release.read(release.ending(".whl")) == b"wheel"
    assert len(read) == len(set(read)) == 4  # each blob once: the manifest, two files, the configuration


def test_one_blob_of_many_layers_counts_and_is_read_once(registry: Registry) -> None:
    big = bytes(2**20)
    release = registry.release(push(registry, [(f"f{n}.txt", big) for n in range(60)]))
    assert release.size < 2**20 + 2**16
    assert release.problems == ()
    assert len(release._read) == 3


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ([("a.whl", b"1"), ("a.whl", b"2")], "two files have the name 'a.whl'"),
        ([("../a.whl", b"1")], "not a file's name: '../a.whl'"),
        ([("", b"1")], "not a file's name: ''"),
    ],
    ids=["a name twice", "a name that leads out", "no name"],
)
def test_a_manifest_in_another_form_is_a_problem(
    registry: Registry, files: list[tuple[str, bytes]], fault: str
) -> None:
    release = registry.release(push(registry, files))
    assert release.problems == (fault,)
    with pytest.raises(MalformedInput, match=r"expected one file .* got"):
        release.ending(".onnx")


def test_other_bytes_and_missing_ones_are_problems_and_are_never_handed_out(registry: Registry) -> None:
    reference = push(registry, [("a.whl", b"wheel"), ("b.onnx", b"model")])
    path = registry.blobs.path(Digest.of(b"wheel"))
    path.unlink()
    path.write_bytes(b"other")
    registry.blobs.path(Digest.of(b"model")).unlink()
    release = registry.release(reference)
    assert [problem.partition(":")[0] for problem in release.problems] == [
        "a.whl cannot be read",
        "b.onnx cannot be read",
    ]
    assert not any(release.is_intact(layer) for layer in release.layers)
    with pytest.raises(VerificationFailed, match="were changed"):
        release.read(release.ending(".whl"))


def test_the_one_look_up_finds_a_bundle_wherever_it_is_kept(registry: Registry) -> None:
    reference = push(registry, [("a.whl", b"wheel")])
    release, wheel = registry.release(reference), Digest.of(b"wheel")
    added = registry.evidence.add(wheel, "provenance", b'{"a": 1}', BUNDLE, "host")
    attach(registry.images, NAME, release.digest, b'{"b": 2}', BUNDLE, by="a job")
    attach(registry.images, NAME, release.digest, b'{"a": 1}', BUNDLE, by="a job")  # in both places
    attach(registry.images, NAME, release.digest, b"prose", "text/plain", by="a job")
    registry.evidence.add(wheel, "note", b"{}", "application/json", "host")
    bundles = registry.evidence.bundles(*release.subjects, repository=NAME)
    assert {digest: (entry.place, entry.read()) for digest, entry in bundles.items()} == {
        added: ("added", b'{"a": 1}'),
        Digest.of(b'{"b": 2}'): ("referrer", b'{"b": 2}'),
    }
    assert registry.evidence.bundles(release.digest, repository="acme/other") == {}
    other = Digest.of(b'{"b": 2}')
    registry.quarantine.hold(other, "made up", by="security")
    held = {digest: entry.held for digest, entry in registry.evidence.bundles(*release.subjects).items()}
    assert held == {added: None, other: f"it holds {other}: made up"}


def test_a_bundle_whose_bytes_changed_is_not_handed_out(registry: Registry, tmp_path: Path) -> None:
    digest = registry.evidence.add(Digest.of(b"x"), "provenance", b"{}{}", BUNDLE, "host")
    path = registry.blobs.path(digest)
    path.unlink()
    path.write_bytes(b"other")
    [bundle] = registry.evidence.bundles(Digest.of(b"x")).values()
    with pytest.raises(VerificationFailed, match="were changed"):
        bundle.read()
