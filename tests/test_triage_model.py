"""data/projects/triage-model trains in seconds, to the same bytes everywhere; weak on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "data" / "projects" / "triage-model"
MODEL = ROOT / "data" / "models" / "triage.onnx"
LIBRARIES = [f"../../packages/{name}/src" for name in ("acme-cells", "acme-quantise")]
KERNELS = ["Prescott", "Haswell", "SkylakeX"]  # OpenBLAS kernels with different last bits

# Findings that a later unit teaches; zizmor must keep making them.
WANTED = {
    "artipacked",
    "bot-conditions",
    "cache-poisoning",
    "dangerous-triggers",
    "excessive-permissions",
    "github-env",
    "insecure-commands",
    "overprovisioned-secrets",
    "secrets-inherit",
    "template-injection",
    "unpinned-images",
    "unpinned-uses",
    "use-trusted-publishing",
}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python` inside the project, its sources and acme's importable, nothing written beside."""
    path = os.pathsep.join(["src", *LIBRARIES])
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )


# Trains both models twice, raw and quantised; prints a digest of the raw numbers, their distance
# from the nearest rounding boundary, and the exported files as hex.
SCRIPT = """
import hashlib, numpy
from triage_model import data, train
quantise, split = train.quantise, data.load()
assert data.digest() == data.SHA256
digest, distance, files = hashlib.sha256(), [], []
for columns, name in ((slice(None), "triage-model"), (slice(0, 1), "triage-baseline")):
    train.quantise = lambda pipeline: pipeline
    p = train.train(split, columns)
    pairs = (p[0].mean_, 4), (p[0].scale_, 6), (p[-1].coef_, 4), (p[-1].intercept_, 4)
    for values, decimals in pairs:
        digest.update(values.tobytes())
        scaled = values * 10**decimals
        distance.append(abs(scaled - numpy.floor(scaled) - 0.5).min() / 10**decimals)
    files.append(train.export(quantise(p), name).hex())
print(digest.hexdigest(), float(min(distance)), *files)
"""


@dataclass(frozen=True)
class Trained:
    raw: str  # digest of the numbers before quantising
    distance: float  # of a number from where rounding would flip
    model: bytes
    baseline: bytes
    seconds: float


@pytest.fixture(scope="module", params=KERNELS)
def trained(request: pytest.FixtureRequest) -> Trained:
    start = time.monotonic()
    done = run("-c", SCRIPT, OPENBLAS_CORETYPE=request.param)
    assert done.returncode == 0, done.stderr
    raw, distance, model, baseline = done.stdout.split()
    RAW.add(raw)
    return Trained(
        raw,
        float(distance),
        bytes.fromhex(model),
        bytes.fromhex(baseline),
        time.monotonic() - start,
    )


RAW: set[str] = set()  # of the kernels seen so far


def test_training_gives_the_same_bytes_on_every_blas_kernel(trained: Trained) -> None:
    assert trained.model == MODEL.read_bytes()
    assert trained.baseline == (PROJECT / "models" / "baseline.onnx").read_bytes()
    assert trained.seconds < 60
    assert len(trained.model) < 10 * 2**10


def test_no_learned_number_is_near_a_rounding_boundary(trained: Trained) -> None:
    """A number at x.xxxx5 could fall either way; kernels differ by about 1e-12."""
    assert trained.distance > 1e-8


def test_without_quantising_the_kernels_disagree() -> None:
    """Otherwise the tests above would prove nothing."""
    if len(RAW) == 1:
        pytest.skip("this machine's BLAS takes no notice of OPENBLAS_CORETYPE")
    assert len(RAW) in (0, 2, 3)  # 0: another worker ran them


def test_the_generator_says_that_the_kit_holds_what_training_gives() -> None:
    done = run("-m", "triage_model.train", "--out", str(MODEL), "--check")
    assert (done.returncode, done.stdout) == (0, "triage.onnx: as trained\n")


def test_its_own_tests_pass() -> None:
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout


def test_the_data_reference_names_the_data_that_training_reads() -> None:
    (dataset,) = tomllib.loads((PROJECT / "artifacts.toml").read_text())["dataset"]
    source = (PROJECT / "src" / "triage_model" / "data.py").read_text()
    assert f'SHA256 = "{dataset["sha256"]}"' in source


def test_its_workflows_are_weak_in_many_ways() -> None:
    zizmor = Path(sys.executable).parent / "zizmor"
    if not zizmor.is_file():
        pytest.skip("zizmor is not installed")
    done = subprocess.run([zizmor, "--offline", "--format", "json", "."], cwd=PROJECT, capture_output=True, timeout=60)
    kinds = Counter(finding["ident"] for finding in json.loads(done.stdout))
    assert kinds.keys() >= WANTED


def test_nothing_was_written_into_the_project() -> None:
    strays = {"__pycache__", ".pytest_cache", "metrics.json"}
    assert not [p for p in PROJECT.rglob("*") if p.name in strays]


def test_the_digest_that_the_course_quotes() -> None:
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest().startswith("9dfea5a4aede")
