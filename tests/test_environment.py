"""The learner's set, built apart for every Python at hand (tests/setup/environments.py)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

LARGEST = 900_000_000  # bytes of a learner's environment
SMOKE = """
import chainlab
from sigstore.models import Bundle
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy
from sigstore.errors import VerificationError

with chainlab.open("01_threats") as lab:
    context = SigningContext.from_trust_config(lab.trust.config)
    with context.signer(IdentityToken(lab.trust.token("alice@example.com"))) as signer:
        bundle = Bundle.from_json(signer.sign_artifact(b"model").to_json())
    verifier = Verifier(trusted_root=lab.trust.config.trusted_root)
    alice = policy.Identity(identity="alice@example.com", issuer=lab.trust.issuer)
    verifier.verify_artifact(b"model", bundle, alice)
    try:
        verifier.verify_artifact(b"other", bundle, alice)
    except VerificationError:
        print("signed, verified, refused")
"""


@pytest.fixture(scope="module")
def environments(root: Path) -> dict[str, Any]:
    report = root / ".cache" / "environments.json"
    if not report.exists():
        pytest.skip("not set up: run `make test`, or tests/setup/environments.py")
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", ["environment.yml", "3.12", "3.13"])
def test_the_locked_set_signs_and_verifies(
    environments: dict[str, Any], name: str, root: Path, tmp_path: Path
) -> None:
    entry = environments[name]
    assert not entry["problem"], entry["problem"]
    if not entry["python"]:
        pytest.skip(f"no such Python here for {name}; the lock was resolved for it")
    run = subprocess.run(
        [str(Path(entry["folder"]) / "bin" / "python"), "-W", "error::SyntaxWarning", "-c", SMOKE],
        cwd=root,
        env={**os.environ, "CHAINLAB_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.stdout == "signed, verified, refused\n", run.stderr


def test_the_command_line_is_installed(environments: dict[str, Any]) -> None:
    program = Path(environments["environment.yml"]["folder"]) / "bin" / "chainlab"
    run = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("chainlab, version ")


def test_a_learners_set_is_small_enough(environments: dict[str, Any]) -> None:
    assert 0 < environments["environment.yml"]["bytes"] <= LARGEST
