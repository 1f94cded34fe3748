"""The projects in an environment of their own: the locked wheels of the wheelhouse and acme's, nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
HOUSE = ROOT / ".cache" / "wheelhouse"
HARDENED = DATA / "projects" / "hardened" / "triage-model"
KERNELS = ["Prescott", "Haswell", "SkylakeX"]
FOLDERS = [
    "projects/triage-model",
    "projects/second-model",
    "packages/acme-cells",
    "packages/acme-quantise",
]
SECONDS = 120


class Environment:
    """A virtual environment, and copies of the projects beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "env" / "bin" / "python"
        uv = Path(sys.executable).parent / "uv"
        locked: list[str | Path] = ["--require-hashes", "--no-build", HARDENED / "requirements.lock"]
        commands: tuple[list[str | Path], ...] = (
            ["venv", "--quiet", "--python", sys.executable, folder / "env"],
            ["pip", "sync", "--quiet", "--python", self.python, *self.house(), *locked],
        )
        for words in commands:
            subprocess.run([uv, *words], check=True, timeout=SECONDS, env=self.variables())

    def house(self) -> list[str | Path]:
        """uv's options for: these two folders, and no index."""
        links: list[str | Path] = ["--find-links", HOUSE, "--find-links", DATA / "packages" / "wheels"]
        return ["--no-index", "--offline", *links]

    def variables(self, **more: str) -> dict[str, str]:
        cleared = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "UV_", "PIP_"))}
        return {**cleared, "PYTHONDONTWRITEBYTECODE": "1", "PIP_CONFIG_FILE": os.devnull, **more}

    def copy(self, name: str, *overlays: Path) -> Path:
        """A fresh copy of ``data/NAME``; an overlay's ``.github`` replaces the copy's."""
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(DATA / name, target)
        for overlay in overlays:
            shutil.rmtree(target / ".github")
            shutil.copytree(overlay, target, dirs_exist_ok=True)
        return target

    def run(self, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`python` in ``folder``, with what lies there (or below ``src``) importable."""
        path = "src" if (folder / "src").is_dir() else "."
        return subprocess.run(
            [self.python, "-W", "error", *words],
            cwd=folder,
            env=self.variables(PYTHONPATH=path, **variables),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    if not (HOUSE / ".complete").exists():
        pytest.skip("not set up: run `make setup`")
    return Environment(tmp_path_factory.mktemp("projects"))


@pytest.mark.parametrize("name", FOLDERS)
def test_its_own_tests_pass(environment: Environment, name: str) -> None:
    folder = environment.copy(name)
    done = environment.run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hardened_project_s_own_tests_pass(environment: Environment) -> None:
    folder = environment.copy("projects/triage-model", HARDENED)
    done = environment.run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / ".github" / "workflows" / "bench.yml").exists()


def test_another_base_model_fails_the_hardened_project(environment: Environment) -> None:
    folder = environment.copy("projects/triage-model", HARDENED)
    baseline = folder / "models" / "baseline.onnx"
    baseline.write_bytes(baseline.read_bytes() + b"\0")
    done = environment.run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_artifacts.py")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_released_libraries_give_the_same_model_on_every_kernel(
    environment: Environment, kernel: str, tmp_path: Path
) -> None:
    triage, second = (environment.copy(f"projects/{n}-model") for n in ("triage", "second"))
    model, pickled = tmp_path / "triage.onnx", tmp_path / "cultivar.pkl"
    for folder, module, out in (
        (triage, "triage_model.train", model),
        (second, "cultivar.fit", pickled),
    ):
        done = environment.run(folder, "-m", module, "--out", str(out), OPENBLAS_CORETYPE=kernel)
        assert done.returncode == 0, done.stderr
    assert model.read_bytes() == (DATA / "models" / "triage.onnx").read_bytes()
    SEEN.add(hashlib.sha256(pickled.read_bytes()).hexdigest())
    assert len(SEEN) == 1


SEEN: set[str] = set()  # digests of second-model's file


def test_a_bad_model_fails_the_build(environment: Environment, tmp_path: Path) -> None:
    """The baseline, offered as the model: below both thresholds."""
    folder = environment.copy("projects/triage-model")
    bad = ["-m", "triage_model.evaluate", "models/baseline.onnx"]
    done = environment.run(folder, *bad, "--out", str(tmp_path / "metrics.json"))
    assert done.returncode == 1
    assert "refused: recall 0.75 is below 0.93" in done.stderr
    good = ["-m", "triage_model.evaluate", str(DATA / "models" / "triage.onnx")]
    assert environment.run(folder, *good).returncode == 0


@pytest.mark.parametrize(("name", "module"), [("triage-model", "triage_model"), ("second-model", "cultivar")])
def test_its_wheel_builds_offline_to_the_same_bytes_and_holds_only_its_module(
    environment: Environment, name: str, module: str
) -> None:
    folder = environment.copy(f"projects/{name}")
    uv, digests = Path(sys.executable).parent / "uv", set[str]()
    for out in ("one", "two"):
        words: list[str | Path] = ["build", "--quiet", "--wheel", "--python", environment.python, "--out-dir", out]
        subprocess.run(
            [uv, *words, *environment.house()],
            cwd=folder,
            env=environment.variables(SOURCE_DATE_EPOCH="1767225600"),
            check=True,
            timeout=SECONDS,
        )
        (wheel,) = (folder / out).glob("*.whl")
        digests.add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert len(digests) == 1
    with zipfile.ZipFile(wheel) as archive:
        tops = {entry.split("/")[0] for entry in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {module}
