"""Cases for exercise 0.5: what may this job do? The truth is chosen first, then the workflow is written."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import yaml

from chainlab.course.cases import Case, LabContext

__all__ = ["cases"]

SEE = "notebooks/00e_workflows.ipynb, 'The token's permissions: one block wins'"
TEACHES = {
    "nobody says anything": (
        "No block at all: the repository's default holds. The file alone does not tell you what it is."
    ),
    "the workflow says": (
        "A block names everything that is granted; what it does not name is none, and the default is gone."
    ),
    "the job says otherwise": "The job's block replaces the workflow's; the two are not merged.",
    "the job asks for nothing": (
        "`permissions: {}` is a block, and it grants nothing. An empty block is not an absent one."
    ),
    "the workflow grants nothing": "`permissions: {}` at the top holds for every job without a block of its own.",
    "the default has a none": "`none` grants nothing, wherever it is written: leave it out of the answer.",
    "none, at the top": "`none` grants nothing, in the workflow's block as in the job's.",
    "none, written out": "`none` grants nothing: leave it out of the answer.",
}


SCOPES = ["actions", "checks", "contents", "deployments", "id-token", "issues", "packages", "pages"]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Write workflow files with `permissions:` in different places."""
    a, b, c = rng.sample(SCOPES, 3)
    default = {"contents": rng.choice(["read", "write"]), a: "read"}

    def case(
        name: str, truth: dict[str, str], *, top: Any = None, own: Any = None, otherwise: dict[str, str] = default
    ) -> Case:
        steps = [{"run": "make"}]
        job: dict[str, Any] = {"runs-on": "ubuntu-latest"}
        job |= {"permissions": own} if own is not None else {}
        workflow: dict[str, Any] = {"name": "build", "on": {"push": {"branches": ["main"]}}}
        workflow |= {"permissions": top} if top is not None else {}
        chosen = rng.choice(["build", "test", "publish"])
        jobs = [
            ("lint", {"runs-on": "ubuntu-latest", "permissions": {b: "write"}, "steps": steps}),
            (chosen, {**job, "steps": steps}),
            ("notify", {"runs-on": "ubuntu-latest", "permissions": {b: "read"}, "steps": steps}),
        ]
        workflow["jobs"] = dict(rng.sample(jobs, len(jobs)))
        text = yaml.safe_dump(workflow, sort_keys=False)
        return Case(name, (text, chosen, dict(otherwise)), truth)

    yield case("nobody says anything", default)
    yield case("the workflow says", {a: "write"}, top={a: "write"})
    yield case("the job says otherwise", {c: "write"}, top={a: "read"}, own={c: "write"})
    yield case("the job asks for nothing", {}, top={a: "write"}, own={})
    yield case("the workflow grants nothing", {}, top={})
    yield case("the default has a none", {b: "read"}, otherwise={c: "none", b: "read"})
    yield case("none, at the top", {c: "write"}, top={b: "none", c: "write"})
    yield case("none, written out", {b: "read"}, own={a: "none", b: "read"})
