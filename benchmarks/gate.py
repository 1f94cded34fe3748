"""How long the gate takes to judge a real release: the attested release of triage-model, run on the CI host first.

The first judgement starts the processes that collect and evaluate. After it, each round judges with the verdict
recorded, without, and collects the facts alone (every bundle verified, no Rego, no summary), by turns. Also how long
the run itself took, job by job.

    python benchmarks/gate.py --rounds 15
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from figures import seconds

from chainlab.ci.runs.run_record import Run
from chainlab.course.project_states import settings_of, working_copy
from chainlab.workspace import Workspace
from chainlab.world import World

PROJECTS = Path(__file__).parents[1] / "data" / "projects"


def release(world: World, folder: Path) -> Run:
    """The attested release, run to its end."""
    working_copy(PROJECTS, folder, "attested")
    project = world.ci.project("acme/triage-model", folder, settings_of(PROJECTS, "attested"))
    project.tag("v1.4.0")
    run = project.run("push", ref="refs/tags/v1.4.0", approve=["release", "production"])
    if run.result != "success":
        raise SystemExit(run.log)
    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="chainlab-bench-") as name, ExitStack() as opened:
        workspace = Workspace(Path(name) / "workspace")
        with World(workspace) as world:
            run = release(world, Path(name) / "triage-model")
        jobs = ", ".join(f"{job.name} {job.seconds:.1f}" for job in run.jobs.values())
        print(f"attested release on the host: {run.seconds:.1f} s ({jobs})", flush=True)
        reference = run.jobs["package"].outputs["reference"]
        world = opened.enter_context(World(workspace))  # its gate has no process yet
        cold, decision = seconds(lambda: world.gate.judge(reference, record=False))
        if not decision.allowed:
            raise SystemExit("the gate refuses the release")
        print(f"{'judged, the first':20} {cold:.3f} s", flush=True)
        ways: dict[str, Callable[[], object]] = {
            "judged and recorded": lambda: world.gate.judge(reference),
            "judged": lambda: world.gate.judge(reference, record=False),
            "facts alone": lambda: world.gate.facts(reference),
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, work in ways.items():
                found[way].append(seconds(work)[0])
        for way, times in found.items():
            print(f"{way:20} median {statistics.median(times):.3f} s, least {min(times):.3f}, most {max(times):.3f}")


if __name__ == "__main__":
    main()
