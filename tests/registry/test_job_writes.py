"""The registry records what a job stored by the credential that it used; names and times prove nothing."""

from __future__ import annotations

from pathlib import Path

from served_index import wheel
from served_registry import MANIFEST, image

from chainlab.credentials import Credential
from chainlab.registry.job_writes import JobWrite
from chainlab.registry.registry import Registry

BUILD = Credential("anything", frozenset({"packages:upload:*"}), job="1")
TEST = Credential("anything", frozenset({"packages:upload:*"}), job="2")
ALICE = Credential("anything", frozenset({"packages:upload:*"}))


def test_a_file_is_its_job_s_whoever_else_has_the_same_name_and_time(registry: Registry, tmp_path: Path) -> None:
    first = registry.index.publish(wheel(tmp_path, "one"), by=BUILD)
    second = registry.index.publish(wheel(tmp_path, "two"), by=TEST)
    registry.index.publish(wheel(tmp_path, "three"), by=ALICE)
    assert registry.produced_by("1") == [JobWrite("index", first.filename, first.digest)]
    assert registry.produced_by("2") == [JobWrite("index", second.filename, second.digest)]
    assert registry.produced_by("3") == []


def test_a_job_that_stores_the_same_bytes_again_stored_them_too(registry: Registry, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    file = registry.index.publish(path, by=ALICE)
    for _ in range(2):
        registry.index.publish(path, by=BUILD)
    assert registry.produced_by("1") == [JobWrite("index", file.filename, file.digest)]


def test_a_manifest_is_its_job_s_and_what_is_about_it_is_not(registry: Registry) -> None:
    registry.images.link("acme/m", registry.blobs.put(b"{}"))
    raw = image()
    pushed = registry.images.push("acme/m", "v1", raw, MANIFEST, by="x", job=BUILD.job)
    subject = {"mediaType": MANIFEST, "digest": str(pushed.digest), "size": len(raw)}
    registry.images.push("acme/m", "v2", image(subject=subject), MANIFEST, by="x", job=BUILD.job)
    registry.images.push("acme/m", "v3", raw, MANIFEST, by="x", job="")
    assert registry.produced_by("1") == [JobWrite("oci", "acme/m", pushed.digest)]
