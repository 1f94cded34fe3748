"""The learner's set, built apart for every Python at hand (tests/setup/environments.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LARGEST = 900_000_000  # bytes of a learner's environment
LARGEST_WHEELHOUSE = 120_000_000  # bytes of the projects' wheels
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


@pytest.mark.clients("pythons")
@pytest.mark.parametrize("name", ["environment.yml", "3.12", "3.13"])
def test_the_locked_set_signs_and_verifies(environments: dict[str, Any], name: str, root: Path, tmp_path: Path) -> None:
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


@pytest.mark.clients("pythons")
def test_the_command_line_is_installed(environments: dict[str, Any]) -> None:
    program = Path(environments["environment.yml"]["folder"]) / "bin" / "chainlab"
    run = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("chainlab, version ")


@pytest.mark.clients("pythons")
def test_a_learners_set_is_small_enough(environments: dict[str, Any]) -> None:
    assert 0 < environments["environment.yml"]["bytes"] <= LARGEST


def test_the_wheelhouse_is_small_and_makes_the_projects_environment_alone(root: Path, tmp_path: Path) -> None:
    house = root / ".cache" / "wheelhouse"
    if not (house / ".complete").exists():
        pytest.skip("not set up: run `make setup`")
    assert 0 < sum(wheel.stat().st_size for wheel in house.glob("*.whl")) <= LARGEST_WHEELHOUSE
    uv, python = root / ".venv" / "bin" / "uv", tmp_path / "env" / "bin" / "python"
    alone = ("--no-index", "--find-links", str(house), "--require-hashes", "--no-build")
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(tmp_path / "env")],
        ["pip", "install", "--quiet", "--python", str(python), *alone, "-r", "wheelhouse.lock"],
    ):
        subprocess.run([str(uv), *command], cwd=root, check=True, timeout=300)
    trained = subprocess.run(
        [
            str(python),
            "-m",
            "triage_model.train",
            "--check",
            "--out",
            str(root / "data/models/triage.onnx"),
        ],
        cwd=root / "data" / "projects" / "triage-model" / "src",
        env={
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(
                str(root / "data" / "packages" / name / "src") for name in ("acme-cells", "acme-quantise")
            ),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert trained.returncode == 0, trained.stderr
