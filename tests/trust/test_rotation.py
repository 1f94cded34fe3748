"""Rotating the CA's key: what was signed before stays good, what the retired key signs does not."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from client_requests import ALICE, Run, Signer, bundle, enrol, forge, sizes
from sigstore.errors import Error
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.verify import Verifier, policy

from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.instance import Instance

ARTIFACT = b"weights of a small model"


@dataclass
class World:
    """An instance before and after one rotation."""

    before: dict[int, str]  # log version → a bundle signed before
    old: TrustedRoot
    old_root: bytes  # tuf/root.json
    new: TrustedRoot
    fingerprint: str  # before
    forged: Signer  # by the retired key, after the rotation
    backdated: Signer  # by the retired key, its certificate begins before the rotation
    state: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    state = tmp_path_factory.mktemp("rotated") / "state"
    trust = Trust(state)
    with Server(state) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        before = {version: bundle(http, enrol(http, trust.token(ALICE)), ARTIFACT, version) for version in (1, 2)}
        old, fingerprint = trust.config.trusted_root, str(trust.fingerprint)
        kept = server.instance.keys  # what a thief, or a careless operator, keeps
        server.instance.rotate()
        rotated = datetime.now(UTC)
    old_root = (state / "tuf" / "root.json").read_bytes()
    time.sleep(1.1)  # certificates and timestamps count whole seconds
    instance = Instance(state)
    instance.publish("http://127.0.0.1:1")
    instance.close()
    return World(
        before,
        old,
        old_root,
        trust.config.trusted_root,
        fingerprint,
        forge(kept.authority, kept.ct_key, datetime.now(UTC)),
        forge(kept.authority, kept.ct_key, rotated - timedelta(minutes=5)),
        state,
    )


@pytest.fixture
def again(world: World) -> Iterator[Server]:
    """The instance, served again after the rotation."""
    with Server(world.state) as server:
        yield server


@pytest.fixture
def http(again: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=again.url, trust_env=False) as client:
        yield client


def check(root: TrustedRoot, text: str) -> None:
    who = policy.Identity(identity=ALICE, issuer=Trust.issuer)
    Verifier(trusted_root=root).verify_artifact(ARTIFACT, Bundle.from_json(text), who)


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_signed_before_verifies_with_the_old_root_and_the_new(world: World, version: int) -> None:
    check(world.old, world.before[version])
    check(world.new, world.before[version])


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_signed_afterwards_verifies_with_the_new_root_alone(
    world: World, http: httpx.Client, version: int
) -> None:
    signer = enrol(http, Trust(world.state).token(ALICE))
    text = bundle(http, signer, ARTIFACT, version)
    check(world.new, text)
    with pytest.raises(Error):
        check(world.old, text)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("certificate", ["forged", "backdated"])
def test_what_the_retired_key_certifies_afterwards_is_refused(
    world: World, http: httpx.Client, version: int, certificate: str
) -> None:
    text = bundle(http, getattr(world, certificate), ARTIFACT, version)
    # The log and the timestamp authority serve anybody, so all of the bundle but the CA is genuine:
    # a client that has not heard of the rotation is still fooled.
    check(world.old, text)
    with pytest.raises(Error, match=r"[Cc]ertificate|chain"):
        check(world.new, text)


def test_the_trusted_root_names_both_generations_and_the_fingerprint_stays(world: World) -> None:
    trust = Trust(world.state)
    root = json.loads((world.state / "trusted_root.json").read_text())
    first, second = (entry["validFor"] for entry in root["certificateAuthorities"])
    assert first["end"] <= second["start"] or first["end"][:17] == second["start"][:17]
    assert "end" not in second
    assert str(trust.fingerprint) == world.fingerprint
    assert (world.state / "tuf" / "root.json").read_bytes() == world.old_root


def test_a_tuf_client_with_the_first_root_gets_the_new_trusted_root(
    world: World, again: Server, http: httpx.Client, run: Run, tmp_path: Path
) -> None:
    root, artifact = tmp_path / "root.json", tmp_path / "model.onnx"
    root.write_bytes(world.old_root)
    artifact.write_bytes(ARTIFACT)
    sigstore = ("sigstore", "--instance", f"{again.url}/tuf")
    run(*sigstore, "trust-instance", root)
    verify = (*sigstore, "verify", "identity", "--cert-oidc-issuer", Trust.issuer)
    token = Trust(world.state).token(ALICE)
    run(*sigstore, "sign", "--identity-token", token, artifact)
    run(*verify, "--cert-identity", ALICE, artifact)
    file = tmp_path / "model.onnx.sigstore.json"
    file.write_text(world.before[2])
    run(*verify, "--cert-identity", ALICE, artifact)
    file.write_text(bundle(http, world.forged, ARTIFACT, 2))
    run(*verify, "--cert-identity", ALICE, artifact, status=1)


def test_a_tuf_client_that_was_there_before_learns_of_the_rotation(
    run: Run, tmp_path: Path, environment: dict[str, str]
) -> None:
    state, artifact = tmp_path / "state", tmp_path / "model.onnx"
    artifact.write_bytes(ARTIFACT)
    with Server(state) as server:
        port = int(server.url.rpartition(":")[2])
        sigstore = ("sigstore", "--instance", f"{server.url}/tuf")
        run(*sigstore, "trust-instance", state / "tuf" / "root.json")
        server.instance.rotate()
    with Server(state, port=port):
        run(*sigstore, "sign", "--identity-token", Trust(state).token(ALICE), artifact)
        run(
            *(*sigstore, "verify", "identity", "--cert-identity", ALICE),
            *("--cert-oidc-issuer", Trust.issuer, artifact),
        )


def test_the_command_line_rotates_an_instance_at_rest(run: Run, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Server(state) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        enrol(http, Trust(state).token(ALICE))
    output = run("chainlab", "trust", "rotate", "--state", state).stdout
    assert output.startswith("generation 2 signs from now on")
    run("chainlab", "trust", "rotate", "--state", state)
    with Server(state) as server:
        assert len(server.instance.keys.authorities) == 3
        assert sizes(server.instance)["events"] == 2 + 3  # own entries, a certificate and two rotations
        config = ClientTrustConfig.from_json((state / "trust_config.json").read_text())
        assert len(config.trusted_root.get_fulcio_certs()) == 6  # three generations, each with root


def test_there_is_nothing_to_rotate_where_there_is_no_instance(run: Run, tmp_path: Path) -> None:
    refused = run("chainlab", "trust", "rotate", "--state", tmp_path / "none", status=2)
    assert "there is no instance" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_a_rotation_that_dies_half_way_leaves_the_old_keys(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Server(state):
        pass
    keys = (state / "keys.json").read_bytes()
    (state / ".keys.json.new").write_bytes(keys[:100])  # killed before the file was whole
    with Server(state) as server:
        assert len(server.instance.keys.authorities) == 1
        server.instance.rotate()
    shutil.rmtree(state)
