"""How long a hardened release takes on the CI host, and how much of it is the host's.

Each round runs the whole release (build, train, judge, publish, push and sign, provenance) and then, as the floor, the
project's own commands by hand in an environment made from the wheelhouse: no host, no sandbox, no registry. Both in
one process, by turns; medians. Seconds, wall clock.

    make bench        .venv/bin/python benchmarks/pipeline.py --rounds 5
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chainlab.ci.runs.run_record import Run
from chainlab.course.project_states import working_copy
from chainlab.workspace import Workspace, wheelhouse
from chainlab.world import World

ROOT = Path(__file__).parents[1]
PROJECTS = ROOT / "data" / "projects"


def release(folder: Path, number: int) -> Run:
    """One release in a fresh workspace."""
    workspace = Workspace(folder / f"workspace-{number}")
    with World(workspace) as world:
        settings = PROJECTS / "settings" / "triage-model.toml"
        project = world.ci.project("acme/triage-model", folder / "project", settings)
        project.tag("v1.4.0")
        run = project.run("push", ref="refs/tags/v1.4.0", approve=["release"])
    if run.result != "success":
        sys.exit(run.table())
    return run


def by_hand(folder: Path, number: int) -> float:
    """Seconds that the project's own commands take without a host."""
    began = time.perf_counter()
    uv = str(Path(sys.prefix) / "bin" / "uv")
    venv = folder / f"venv-{number}"
    wheels = [str(wheelhouse()), str(ROOT / "data" / "packages" / "wheels")]
    found = [part for place in wheels for part in ("--find-links", place)]
    environment = {
        **os.environ,
        "VIRTUAL_ENV": str(venv),
        "UV_CACHE_DIR": str(folder / f"uv-{number}"),
    }
    python = str(venv / "bin" / "python")
    commands = (
        [uv, "venv", "--quiet", "--python", sys.executable, str(venv)],
        [uv, "pip", "sync", "--quiet", "--no-index", *found, "--require-hashes", "requirements.lock"],
        [uv, "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-e", "."],
        [python, "-m", "triage_model.train", "--out", "by-hand/triage.onnx"],
        [python, "-m", "triage_model.evaluate", "by-hand/triage.onnx", "--out", "by-hand/metrics.json"],
        [uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", python, "--out-dir", "by-hand"],
    )
    for words in commands:
        subprocess.run(words, cwd=folder / "project", env=environment, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / "project" / "by-hand")
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    hosted: list[Run] = []
    floor: list[float] = []
    with tempfile.TemporaryDirectory(prefix="chainlab-bench-") as name:
        folder = Path(name)
        working_copy(PROJECTS, folder / "project", "hardened")
        for number in range(rounds):
            hosted.append(release(folder, number))
            floor.append(by_hand(folder, number))
            print(
                f"round {number + 1}: host {hosted[-1].seconds:.1f} s, by hand {floor[-1]:.1f} s",
                flush=True,
            )
    print(f"hardened release on the host: {statistics.median(r.seconds for r in hosted):.1f} s")
    for job in hosted[0].jobs:
        print(f"  job {job}: {statistics.median(r.jobs[job].seconds for r in hosted):.1f} s")
    print(f"the same commands by hand, without publishing or signing: {statistics.median(floor):.1f} s")


if __name__ == "__main__":
    main()
