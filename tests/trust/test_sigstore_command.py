"""The ``sigstore`` command line, unmodified, signs and verifies here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from client_requests import ALICE, CLAIMS, JOB, Run
from signin_browser import Page, consent

from chainlab.trust.client import Trust

BROWSER_PROGRAM = Path(__file__).with_name("signin_browser.py")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights of a small model")
    return path


@pytest.fixture
def ambient(trust: Trust) -> dict[str, str]:
    """What a job's environment says about its identity."""
    return {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{trust.url}/ci/token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": trust.job_bearer(CLAIMS),
    }


def version_of(artifact: Path) -> str:
    bundle = json.loads(artifact.with_name(f"{artifact.name}.sigstore.json").read_text())
    return str(bundle["verificationMaterial"]["tlogEntries"][0]["kindVersion"]["version"])


@pytest.mark.parametrize(("choice", "expected"), [((), "0.0.2"), (("--rekor-version", "1"), "0.0.1")])
def test_sign_and_verify_with_the_trust_config(
    run: Run, trust: Trust, artifact: Path, choice: tuple[str, ...], expected: str
) -> None:
    sigstore = ("sigstore", "--trust-config", trust.config_path)
    run(*sigstore, "sign", *choice, "--identity-token", trust.token(ALICE), artifact)
    assert version_of(artifact) == expected
    verify = (*sigstore, "verify", "identity", "--cert-oidc-issuer", trust.issuer)
    run(*verify, "--cert-identity", ALICE, artifact)
    run(*verify, "--cert-identity", "bob@example.com", artifact, status=1)
    artifact.write_bytes(b"other weights")
    run(*verify, "--cert-identity", ALICE, artifact, status=1)


@pytest.mark.parametrize("choice", [(), ("--rekor-version", "1")])
def test_attest_and_verify(run: Run, trust: Trust, artifact: Path, tmp_path: Path, choice: tuple[str, ...]) -> None:
    predicate = tmp_path / "predicate.json"
    predicate.write_text(
        json.dumps(
            {
                "buildDefinition": {
                    "buildType": "https://example.com/build/v1",
                    "externalParameters": {},
                    "resolvedDependencies": [],
                },
                "runDetails": {"builder": {"id": "https://example.com/builder/v1"}},
            }
        )
    )
    sigstore = ("sigstore", "--trust-config", trust.config_path)
    about = ("--predicate", predicate, "--predicate-type", "https://slsa.dev/provenance/v1")
    run(*sigstore, "attest", *choice, *about, "--identity-token", trust.token(ALICE), artifact)
    run(
        *(*sigstore, "verify", "identity", "--cert-identity", ALICE),
        *("--cert-oidc-issuer", trust.issuer, artifact),
    )


def test_a_job_signs_with_its_ambient_identity(run: Run, trust: Trust, artifact: Path, ambient: dict[str, str]) -> None:
    sigstore = ("sigstore", "--trust-config", trust.config_path)
    run(*sigstore, "sign", artifact, **ambient)
    issuer = ("--cert-oidc-issuer", trust.ci_issuer)
    run(*sigstore, "verify", "identity", "--cert-identity", JOB, *issuer, artifact)
    run(
        *(*sigstore, "verify", "identity", "--cert-identity", JOB.replace("main", "other")),
        *(*issuer, artifact),
        status=1,
    )


def test_trust_comes_over_tuf_from_the_root_alone(run: Run, trust: Trust, artifact: Path, tmp_path: Path) -> None:
    root = tmp_path / "root.json"
    root.write_bytes((trust.directory / "tuf" / "root.json").read_bytes())
    sigstore = ("sigstore", "--instance", f"{trust.url}/tuf")
    run(*sigstore, "trust-instance", root)
    run(*sigstore, "sign", "--identity-token", trust.token(ALICE), artifact)
    run(
        *(*sigstore, "verify", "identity", "--cert-identity", ALICE),
        *("--cert-oidc-issuer", trust.issuer, artifact),
    )


def test_a_person_signs_in_with_a_browser(run: Run, trust: Trust, artifact: Path) -> None:
    browser = f"{sys.executable} {BROWSER_PROGRAM} {ALICE} %s"
    sigstore = ("sigstore", "--trust-config", trust.config_path)
    run(*sigstore, "sign", artifact, BROWSER=browser)
    run(
        *(*sigstore, "verify", "identity", "--cert-identity", ALICE),
        *("--cert-oidc-issuer", trust.issuer, artifact),
    )


def test_a_person_copies_the_code_by_hand(
    environment: dict[str, str], trust: Trust, artifact: Path, tmp_path: Path
) -> None:
    command = ["sigstore", "--trust-config", str(trust.config_path), "sign", "--oauth-force-oob"]
    with subprocess.Popen(
        [*command, str(artifact)],
        env=environment | {"PYTHONUNBUFFERED": "1"},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        output = ""
        while not (match := re.search(r"http://127\.0\.0\.1:\d+/oidc/authorize\S+", output)):
            line = program.stdout.readline()
            assert line, output
            output += line
        with httpx.Client(trust_env=False) as browser:
            answer = consent(browser, match.group(), ALICE)
        rest, _ = program.communicate(Page(answer.text).code + "\n", timeout=30)
        assert program.returncode == 0, output + rest
    assert version_of(artifact) == "0.0.2"
