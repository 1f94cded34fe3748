"""Cases for exercise 1.5: everything a project trusts by name.

`fixtures.trusting_projects` writes the projects, and notes each reference when it writes it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.trusting_projects import TrustingProject

__all__ = ["TRIAGE_MODEL", "cases"]

SEE = "labs/01_assessment.ipynb, 'What a project trusts by name'"
TEACHES = {
    "one workflow": (
        "Read the YAML, not the text: a comment and an `echo` only look like a dependency, and quotes or an "
        "action's sub-folder do not hide one."
    ),
    "one action at two refs": (
        "`v2` and a commit are two promises. Keep both; and workflow files end in .yml or .yaml."
    ),
    "packages": (
        "Included files (`-r`, `--requirement`), extras, markers, hashes on their own lines; pyproject's dependencies, "
        "all its optional ones, and what builds the project. Names count in their normal form (PEP 503)."
    ),
    "nested actions": (
        "An action that you name may name others. They run in your job with your token, whoever chose their "
        "tags. Follow them, through local actions too, and stop where you have been."
    ),
    "a reusable workflow": (
        "A job can consist of `uses:` alone. It names a whole workflow, a file in .yml or .yaml, and that one's steps "
        "are inside."
    ),
    "the data set and the base model": (
        "What the training reads decides what the model does. Data and base models are dependencies with owners "
        "and revisions."
    ),
    "a whole project": "Precision and recall of at least 95 % in every kind: nothing left out, nothing invented.",
    "triage-model": "Compare with the smaller projects: which way of trusting is missing, or invented?",
}


TRIAGE_MODEL: dict[str, set[str]] = {  # of data/projects/triage-model, counted by hand
    "actions": {
        "actions/checkout@v4",
        "actions/cache@v4",
        "acme/setup-ml-python@v2",
        "acme/changed-files@v3",
        "northwind-ml/post-metrics@main",
        "northwind-ml/push-model@559189d74e97ea3a356df3ccf430a3df93602847",
        "actions/checkout@73abf86ef313d3ba2ec876dc02e407f8130ddd0d",
        "actions/upload-artifact@v4",
        "acme/workflows/.github/workflows/notes.yml@main",
        "actions/download-artifact@v4",
        "pypa/gh-action-pypi-publish@release/v1",
        "northwind-ml/labeler@v5",
        # inside those
        "actions/setup-python@v5",
        "acme/pip-cache@v1",
        "actions/cache@v3",
        "acme/hub-login@v1",
        "acme/changed-files@v2",
        "acme/release-notes@v1",
    },
    "packages": {
        "acme-cells",
        "acme-quantise",
        "numpy",
        "scikit-learn",
        "skl2onnx",
        "onnxruntime",
        "pytest",
        "flit-core",
    },
    "models": {"northwind-ml/wdbc-baseline@main"},
    "datasets": {"wdbc@1995"},
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make small projects that each add one way of trusting, then a larger one; the last is the real triage-model."""
    folder = lab.path / "exercise-1.5"

    project = TrustingProject(folder, rng)
    project.workflow("ci.yml", [project.uses() for _ in range(4)], decoys=True)
    yield _case("one workflow", project)

    project = TrustingProject(folder, rng)
    name = project.name()
    project.workflow("ci.yml", [project.uses(name, "v2"), project.uses()])
    project.workflow("release.yaml", [project.uses(name, project.sha()), project.uses()])
    yield _case("one action at two refs", project)

    project = TrustingProject(folder, rng)
    project.workflow("ci.yml", [project.uses()])
    project.packages(9)
    yield _case("packages", project)

    project = TrustingProject(folder, rng)
    outer = project.composite(depth=3)
    local = project.local_action([project.uses()])
    project.workflow("ci.yml", [outer, local, project.uses()])
    yield _case("nested actions", project)

    project = TrustingProject(folder, rng)
    project.reusable("release.yml", [project.uses(), project.composite(depth=2)])
    yield _case("a reusable workflow", project)

    project = TrustingProject(folder, rng)
    project.workflow("train.yml", [project.uses()])
    project.artifacts(models=2, datasets=2)
    yield _case("the data set and the base model", project)

    project = TrustingProject(folder, rng)
    project.whole()
    yield _case("a whole project", project, least=0.95)

    real = (lab.data / "projects" / "triage-model", lab.data / "actions")
    yield Case("triage-model", real, TRIAGE_MODEL)


def _case(name: str, project: TrustingProject, least: float = 1.0) -> Case:
    """Make the case; with ``least`` below 1 every kind is judged by precision and recall."""
    args = (project.root, project.mirror)
    if least == 1:
        return Case(name, args, project.truth)
    return Case(name, args, accept=_precise_enough(project.truth, least))


def _precise_enough(truth: dict[str, set[str]], least: float) -> Callable[[Any], bool | Miss]:
    """Accept an answer whose precision and recall are at least ``least`` in every kind."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict) or set(answer) != set(truth):
            return Miss(f"expected a dict with {', '.join(truth)}", why="")
        for kind, names in truth.items():
            got = set(answer[kind])
            right = len(got & names)
            if right < least * len(names) or right < least * len(got):
                missing, surplus = sorted(names - got)[:2], sorted(got - names)[:2]
                return Miss(
                    f"{kind}: {right} of {len(names)} found, {len(got) - right} invented; "
                    f"missing {missing}, too many {surplus}"
                )
        return True

    return accept
