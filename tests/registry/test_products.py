"""What a job stored is noted by the credential that brought it, not guessed from names and times."""

from __future__ import annotations

from pathlib import Path

from index_world import wheel
from oci_world import MANIFEST, image

from chainlab.credentials import JOB, Credential
from chainlab.registry.oci_access import Access
from chainlab.registry.products import Product
from chainlab.registry.registry import Registry

RUN = "acme/m/runs/3"
BUILD = Credential("anything", frozenset({"packages:upload:*", f"{JOB}{RUN}/jobs/build"}))
TEST = Credential("anything", frozenset({"packages:upload:*", f"{JOB}{RUN}/jobs/test"}))
ALICE = Credential("anything", frozenset({"packages:upload:*"}))


def test_a_file_is_its_job_s_whoever_else_has_the_same_name_and_time(registry: Registry, tmp_path: Path) -> None:
    first = registry.index.publish(wheel(tmp_path, "one"), by=BUILD)
    second = registry.index.publish(wheel(tmp_path, "two"), by=TEST)
    registry.index.publish(wheel(tmp_path, "three"), by=ALICE)
    assert registry.produced_by(RUN, "build") == [Product("index", first.filename, first.digest)]
    assert registry.produced_by(RUN, "test") == [Product("index", second.filename, second.digest)]
    assert registry.produced_by("acme/m/runs/4", "build") == []


def test_a_job_that_stores_the_same_bytes_again_stored_them_too(registry: Registry, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    file = registry.index.publish(path, by=ALICE)
    for _ in range(2):
        registry.index.publish(path, by=BUILD)
    assert registry.produced_by(RUN, "build") == [Product("index", file.filename, file.digest)]


def test_a_manifest_is_its_job_s_and_what_is_about_it_is_not(registry: Registry) -> None:
    registry.images.link("acme/m", registry.blobs.put(b"{}"))
    raw = image()
    pushed = registry.images.push("acme/m", "v1", raw, MANIFEST, by="x", job=BUILD.producer)
    subject = {"mediaType": MANIFEST, "digest": str(pushed.digest), "size": len(raw)}
    registry.images.push("acme/m", "v2", image(subject=subject), MANIFEST, by="x", job=BUILD.producer)
    registry.images.push("acme/m", "v3", raw, MANIFEST, by="x", job="")
    assert registry.produced_by(RUN, "build") == [Product("oci", "acme/m", pushed.digest)]


def test_the_token_for_the_registry_names_the_job_of_the_one_it_was_exchanged_for(registry: Registry) -> None:
    access = Access(registry.credentials)
    token = registry.credentials.check(access.token(BUILD))
    assert token is not None
    assert token.producer == BUILD.producer == f"{RUN}/jobs/build"
    assert ALICE.producer == ""
