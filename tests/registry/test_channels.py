"""Channels keep digests and evidence, go up one step at a time, and prod is for the deployment alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from served_index import wheel
from served_registry import ZERO, ServedRegistry, sha256

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.registry.channels import CHANNELS, ChannelArtifact
from chainlab.registry.registry import Registry

MODEL = b"weights"


def promote(
    world: ServedRegistry, name: str, digest: str, source: str, target: str, who: str = "alice"
) -> httpx.Response:
    document = {"digest": digest, "from": source, "to": target}
    return world.as_(who).post(f"/channels/oci/{name}", json=document)


def deploy(world: ServedRegistry, name: str, digest: str) -> None:
    """What the deployment does, in its own process."""
    credential = Credential("deploy", frozenset({"channel:prod"}))
    world.registry.channels.promote(ChannelArtifact("oci", name), Digest.parse(digest), "staging", "prod", credential)


def test_an_image_goes_up_with_all_that_is_known_about_it(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", MODEL)
    signature = shared.refer(name, digest)
    before = shared.nobody.get(f"/evidence/{digest}").json()
    for source, target in [("", "dev"), ("dev", "staging")]:
        answer = promote(shared, name, digest, source, target)
        assert answer.status_code == 201, answer.text
        assert answer.json()["digest"] == digest
    deploy(shared, name, digest)
    after = shared.nobody.get(f"/evidence/{digest}").json()
    assert before["referrers"] == after["referrers"]
    assert [entry["digest"] for entry in after["referrers"]] == [signature]
    assert [(step["from"], step["to"]) for step in after["channels"]] == [
        (None, "dev"), ("dev", "staging"), ("staging", "prod"),
    ]  # fmt: skip
    document = shared.nobody.get(f"/channels/oci/{name}").json()
    assert {channel: step["digest"] for channel, step in document["channels"].items()} == dict.fromkeys(
        CHANNELS, digest
    )
    assert [step["by"] for step in document["history"]] == ["alice", "alice", "deploy"]
    promoted = [event for event in after["events"] if event["type"] == "dev.chainlab.artifact.promoted"]
    assert [(event["subject"], event["data"]["to"]) for event in promoted] == [
        (digest, channel) for channel in CHANNELS
    ]
    listed = shared.nobody.get("/channels/").json()["artifacts"]
    assert f"oci/{name}" in [entry["artifact"] for entry in listed]


REFUSALS: list[tuple[str, dict[str, Any], str, int]] = [
    ("into prod by who pushes", {"from": "staging", "to": "prod"}, "alice", 403),
    ("into dev by who deploys", {"from": "", "to": "dev"}, "deploy", 403),
    ("by nobody", {"from": "", "to": "dev"}, "nobody", 401),
    ("into prod by a secret that is granted it", {"from": "staging", "to": "prod"}, "deploy", 403),
    ("into prod by nobody", {"from": "staging", "to": "prod"}, "nobody", 401),
    ("from dev over staging", {"from": "", "to": "staging"}, "alice", 409),
    ("down", {"from": "staging", "to": "dev"}, "alice", 409),
    ("nowhere", {"from": "dev", "to": "dev"}, "alice", 409),
    ("what was never in dev", {"from": "dev", "to": "staging"}, "alice", 409),
    ("another digest", {"digest": ZERO, "to": "dev"}, "alice", 404),
    ("no digest", {"digest": "v1", "to": "dev"}, "alice", 400),
    ("an unknown channel", {"to": "production"}, "alice", 400),
    ("from an unknown channel", {"from": "test", "to": "dev"}, "alice", 400),
    ("without a channel", {}, "alice", 400),
    ("with a number", {"to": 1}, "alice", 400),
    ("with half a character", {"to": "\ud800"}, "alice", 400),
]


@pytest.mark.parametrize(("document", "who", "status"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_a_promotion_is_refused(shared: ServedRegistry, document: dict[str, Any], who: str, status: int) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", MODEL)
    body = json.dumps({"digest": digest} | document)
    answer = shared.as_(who).post(f"/channels/oci/{name}", content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert shared.nobody.get(f"/channels/oci/{name}").status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 50_000])
def test_a_body_that_is_no_document_is_400(shared: ServedRegistry, body: bytes) -> None:
    assert shared.alice.post("/channels/oci/acme/x", content=body).status_code == 400


def test_a_body_that_is_too_large_is_413(shared: ServedRegistry) -> None:
    assert shared.alice.post("/channels/oci/acme/x", content=b" " * 70_000).status_code == 413


@pytest.mark.parametrize("artifact", ["oci", "oci/", "npm/x", "%2e%2e", "oci/%2e%2e/x", "package/" + "x" * 300])
def test_what_is_no_artifact_has_no_channels(shared: ServedRegistry, artifact: str) -> None:
    assert shared.nobody.get(f"/channels/{artifact}").status_code in (400, 404)


def test_promoting_again_changes_nothing(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", MODEL)
    first, second = (promote(shared, name, digest, "", "dev").json() for _ in range(2))
    assert first == second
    assert len(shared.nobody.get(f"/channels/oci/{name}").json()["history"]) == 1


def test_no_secret_promotes_to_prod_whatever_it_is_granted(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", MODEL)
    for source, target in (("", "dev"), ("dev", "staging")):
        assert promote(shared, name, digest, source, target).status_code == 201
    secret = shared.registry.credentials.issue("mallory", ["channel:*", "channel:prod"])
    answer = httpx.post(
        f"{shared.server.url}/channels/oci/{name}",
        json={"digest": digest, "from": "staging", "to": "prod"},
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert (answer.status_code, "the deployment alone" in answer.json()["error"]) == (403, True)
    assert "prod" not in shared.nobody.get(f"/channels/oci/{name}").json()["channels"]


def test_what_was_there_before_may_come_back(shared: ServedRegistry) -> None:
    name = shared.name()
    old, new = shared.push(name, "v1", MODEL), shared.push(name, "v2", b"other weights")
    for digest in (old, new):
        for source, target in (("", "dev"), ("dev", "staging")):
            assert promote(shared, name, digest, source, target).status_code == 201
        deploy(shared, name, digest)
    deploy(shared, name, old)  # roll back
    channels = shared.nobody.get(f"/channels/oci/{name}").json()["channels"]
    assert (channels["prod"]["digest"], channels["staging"]["digest"]) == (old, new)


def test_what_is_in_quarantine_goes_nowhere_until_it_is_released(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", MODEL + name.encode())
    assert promote(shared, name, digest, "", "dev").status_code == 201
    hold = {"digest": digest, "reason": "signed by a stolen token"}
    security = shared.as_("security")
    assert shared.nobody.post("/channels/quarantine", json=hold).status_code == 401
    assert shared.as_("deploy").post("/channels/quarantine", json=hold).status_code == 403
    assert security.post("/channels/quarantine", json=hold | {"reason": " "}).status_code == 400
    assert security.post("/channels/quarantine", json=hold).status_code == 201
    assert security.post("/channels/quarantine", json=hold).status_code == 409
    refused = promote(shared, name, digest, "dev", "staging")
    assert (refused.status_code, "stolen token" in refused.json()["error"]) == (403, True)
    channels = shared.nobody.get(f"/channels/oci/{name}").json()["channels"]
    assert channels["dev"]["quarantined"] == hold["reason"]
    assert shared.nobody.delete(f"/channels/quarantine/{digest}").status_code == 401
    assert security.delete(f"/channels/quarantine/{digest}").status_code == 200
    assert security.delete(f"/channels/quarantine/{digest}").status_code == 404
    assert security.delete("/channels/quarantine/x").status_code == 400
    assert promote(shared, name, digest, "dev", "staging").status_code == 201
    document = shared.nobody.get(f"/evidence/{digest}").json()
    (stay,) = document["quarantine"]
    assert stay["released"] is not None
    types = [event["type"].rpartition(".")[2] for event in document["events"]]
    assert types == ["published", "promoted", "quarantined", "released", "promoted"]


def test_a_package_has_channels_too_and_its_quarantine_holds(registry: Registry, tmp_path: Path) -> None:
    owner = Credential("alice", frozenset({"packages:upload:triage-model", "channel:dev", "channel:staging"}))
    file = registry.index.publish(wheel(tmp_path), by=owner)
    artifact = ChannelArtifact.parse("package/triage-model")
    registry.channels.promote(artifact, file.digest, "", "dev", owner)
    registry.quarantine.hold(file.digest, "harmful", by="security")
    with pytest.raises(Refused, match="harmful") as refused:
        registry.channels.promote(artifact, file.digest, "dev", "staging", owner)
    assert refused.value.status == 403
    assert registry.index.offered("triage-model") == []
    registry.quarantine.release(file.digest, by="security")
    registry.channels.promote(artifact, file.digest, "dev", "staging", owner)
    assert registry.channels.current(artifact)["staging"].digest == file.digest


def test_threads_promote_without_losing_a_step(registry: Registry) -> None:
    registry.images.link("acme/m", registry.blobs.put(b"{}"))
    owner = Credential("alice", frozenset({"channel:dev"}))
    digests = []
    for n in range(12):
        data = f'{{"schemaVersion": 2, "layers": [], "annotations": {{"n": "{n}"}}}}'.encode()
        pushed = registry.images.push("acme/m", f"v{n}", data, "application/vnd.oci.image.manifest.v1+json", by="alice")
        digests.append(pushed.digest)
    artifact = ChannelArtifact("oci", "acme/m")
    threads = [
        threading.Thread(target=registry.channels.promote, args=(artifact, digest, "", "dev", owner))
        for digest in digests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {step.digest for step in registry.channels.history(artifact)} == set(digests)
    registry.events.verify()


def test_an_artifact_reads_back_as_it_is_written() -> None:
    for text in ("oci/acme/triage-model", "package/triage-model"):
        assert str(ChannelArtifact.parse(text)) == text
    with pytest.raises(MalformedInput):
        ChannelArtifact.parse("conda/x")


def test_a_digest_in_nobodys_hands_is_not_promoted(registry: Registry) -> None:
    owner = Credential("alice", frozenset({"channel:dev"}))
    with pytest.raises(Refused) as refused:
        registry.channels.promote(ChannelArtifact("oci", "acme/m"), Digest.parse(sha256(b"x")), "", "dev", owner)
    assert refused.value.status == 404
