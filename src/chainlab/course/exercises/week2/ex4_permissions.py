"""Cases for exercise 2.4: the least permissions that each job needs.

A job is played: each step asks the platform for something, and is refused unless the job's `permissions` cover it. What
a step asks for is noted when the step is made, so the least permissions are known without reading the steps.

    >>> refused({"contents": "read"}, {"contents": "write"})
    ['contents: write']
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss

__all__ = ["LEVELS", "SCOPES", "cases", "refused", "samples"]

SEE = "labs/02_hardening.ipynb, 'What may this job do, and what must it?'"
TEACHES = {
    "a job that reads and tests": (
        "The repository is internal: to clone it takes `contents: read`. Tests ask the platform for nothing."
    ),
    "a job that pushes a tag": "One scope, one level: `write` includes `read`. Name each scope once.",
    "a job that needs nothing": (
        "Artifacts and caches of the same run go through the run's own storage, whatever the token may do. `{}` "
        "is an answer: it grants nothing."
    ),
    "a token exchange, and a password": (
        "A publish without a password exchanges the job's identity, so the job must be able to ask for it. With "
        "a stored password nobody asks."
    ),
    "another internal repository": (
        "The job's token is good for its own repository, whatever you grant. The other one is opened by its deploy key."
    ),
    "images": "Pushing and pulling are two levels of `packages`; the larger one is enough for both.",
    "words on a pull request": (
        "Pull requests and issues are two scopes. To label needs no clone: a job that never reads the stranger's "
        "files cannot be fooled by them."
    ),
    "an artifact of another run": "With `run-id` the action asks the platform for a run that is not its own.",
    "a release in one job": (
        "Right, and uncomfortable: the tests of this job now run beside an identity and a token that writes. "
        "Least privilege per job ends where one job does too much: split it."
    ),
    "a mixed workflow": "Step by step: whom does it ask, and for what?",
    "another mixed workflow": "Step by step: whom does it ask, and for what?",
}


LEVELS = {"none": 0, "read": 1, "write": 2}
SCOPES = ["actions", "attestations", "contents", "id-token", "issues", "packages", "pull-requests", "security-events"]
READ_ALL = {scope: "read" for scope in SCOPES if scope != "id-token"}
WRITE_ALL = dict.fromkeys(SCOPES, "write")


def refused(permissions: Mapping[str, str], needs: Mapping[str, str]) -> list[str]:
    """List the ``needs`` (scope to level) that the permissions do not cover; write includes read."""
    return [
        f"{scope}: {level}"
        for scope, level in sorted(needs.items())
        if LEVELS[permissions.get(scope, "none")] < LEVELS[level]
    ]


class _Steps:
    """Makes steps as workflows have them, each with the permissions that it asks for."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def _uses(self, action: str, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
        commit = f"{self.rng.getrandbits(160):040x}"
        return {"uses": f"{action}@{commit}"} | ({"with": inputs} if inputs else {})

    def checkout(self) -> tuple[dict[str, Any], dict[str, str]]:
        choices: list[dict[str, Any]] = [{}, {"persist-credentials": False}, {"fetch-depth": 0}]
        inputs = self.rng.choice(choices)
        return self._uses("actions/checkout", inputs), {"contents": "read"}

    def other_checkout(self) -> tuple[dict[str, Any], dict[str, str]]:
        inputs = {"repository": f"acme/features-{self.rng.randrange(1000)}", "ssh-key": "${{ secrets.FEATURES_KEY }}"}
        return self._uses("actions/checkout", inputs), {}

    def test(self) -> tuple[dict[str, Any], dict[str, str]]:
        scripts = ["python -m pytest -q tests", "make test", "ruff check src", "python tools/size"]
        return {"run": f"{self.rng.choice(scripts)}-{self.rng.randrange(1000)}"}, {}

    def cache(self) -> tuple[dict[str, Any], dict[str, str]]:
        inputs = {"path": "~/.cache/pip", "key": "pip-${{ hashFiles('requirements.txt') }}"}
        return self._uses("actions/cache", inputs), {}

    def artifact(self) -> tuple[dict[str, Any], dict[str, str]]:
        inputs = {"name": "dist", "path": "dist"}
        name = self.rng.choice(["actions/upload-artifact", "actions/download-artifact"])
        return self._uses(name, inputs), {}

    def other_run(self) -> tuple[dict[str, Any], dict[str, str]]:
        inputs = {"name": "scores", "run-id": self.rng.randrange(1000, 9999)}
        return self._uses("actions/download-artifact", inputs), {"actions": "read"}

    def tag(self) -> tuple[dict[str, Any], dict[str, str]]:
        version = f"v1.{self.rng.randrange(20)}.0"
        run = f"git tag {version} && git push origin {version}"
        return {"run": run}, {"contents": "write"}

    def release(self) -> tuple[dict[str, Any], dict[str, str]]:
        run = f"gh release create v2.{self.rng.randrange(20)}.1 dist/*"
        return {"run": run}, {"contents": "write"}

    def exchange(self) -> tuple[dict[str, Any], dict[str, str]]:
        inputs = {"packages-dir": self.rng.choice(["dist", "wheels"])}
        return self._uses("pypa/gh-action-pypi-publish", inputs), {"id-token": "write"}

    def password(self) -> tuple[dict[str, Any], dict[str, str]]:
        inputs = {"password": "${{ secrets.PYPI_TOKEN }}"}
        return self._uses("pypa/gh-action-pypi-publish", inputs), {}

    def sign(self) -> tuple[dict[str, Any], dict[str, str]]:
        return {"run": "sigstore sign models/triage.onnx"}, {"id-token": "write"}

    def push_image(self) -> tuple[dict[str, Any], dict[str, str]]:
        image = f"registry.example/acme/serve:{self.rng.randrange(90)}"
        return {"run": f"docker push {image}"}, {"packages": "write"}

    def pull_image(self) -> tuple[dict[str, Any], dict[str, str]]:
        image = f"registry.example/acme/base:{self.rng.randrange(90)}"
        return {"run": f"docker pull {image}"}, {"packages": "read"}

    def label(self) -> tuple[dict[str, Any], dict[str, str]]:
        name = self.rng.choice(["small", "large", "docs"])
        return {"run": f'gh pr edit "$NUMBER" --add-label {name}-{self.rng.randrange(100)}'}, {"pull-requests": "write"}

    def list_pulls(self) -> tuple[dict[str, Any], dict[str, str]]:
        return {"run": f"gh pr list --limit {self.rng.randrange(1000)}"}, {"pull-requests": "read"}

    def comment(self) -> tuple[dict[str, Any], dict[str, str]]:
        run = f'gh issue comment "$NUMBER" --body-file report-{self.rng.randrange(1000)}.md'
        return {"run": run}, {"issues": "write"}

    def findings(self) -> tuple[dict[str, Any], dict[str, str]]:
        return self._uses("acme/upload-findings"), {"security-events": "write"}


KINDS = [name for name in vars(_Steps) if not name.startswith("_")]


def samples(rng: random.Random) -> list[str]:
    """Show one step of every kind that occurs, as a line: its script, or its action and inputs."""
    lines = []
    for kind in KINDS:
        step, _ = getattr(_Steps(rng), kind)()
        inputs = ", ".join(f"{name}: {value}" for name, value in step.get("with", {}).items())
        action = str(step.get("uses", "")).partition("@")[0]
        lines.append(step.get("run") or f"uses {action}" + (f" with {inputs}" if inputs else ""))
    return lines


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make workflows of one or a few jobs, each for one confusion, then two mixed ones."""
    workflows: list[tuple[str, dict[str, list[str]]]] = [
        ("a job that reads and tests", {"test": ["checkout", "cache", "test"]}),
        ("a job that pushes a tag", {"tag": ["checkout", "test", "tag"]}),
        ("a job that needs nothing", {"pack": ["artifact", "test"], "gather": ["cache", "artifact"]}),
        (
            "a token exchange, and a password",
            {"new": ["artifact", "exchange"], "old": ["artifact", "password"]},
        ),
        ("another internal repository", {"train": ["checkout", "other_checkout", "test"], "fetch": ["other_checkout"]}),
        ("images", {"serve": ["checkout", "pull_image", "push_image"], "run": ["pull_image", "test"]}),
        ("words on a pull request", {"label": ["label", "list_pulls"], "list": ["list_pulls"], "answer": ["comment"]}),
        ("an artifact of another run", {"report": ["other_run", "comment"], "again": ["artifact"]}),
        ("a release in one job", {"release": ["checkout", "test", "sign", "release", "findings"]}),
    ]
    for name, jobs in workflows:
        yield _case(name, rng, jobs)
    for name in ("a mixed workflow", "another mixed workflow"):
        chosen = {f"job-{number}-{rng.randrange(100)}": rng.sample(KINDS, rng.randrange(2, 6)) for number in range(4)}
        yield _case(name, rng, chosen)


def _case(name: str, rng: random.Random, jobs: dict[str, list[str]]) -> Case:
    steps = _Steps(rng)
    workflow: dict[str, list[dict[str, Any]]] = {}
    requests: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for job, kinds in jobs.items():
        chosen = [getattr(steps, kind)() for kind in kinds]
        workflow[job] = [step for step, _ in chosen]
        requests[job] = [(str(step.get("run") or step.get("uses")), needs) for step, needs in chosen]
    return Case(name, (workflow,), None, accept=_least_permissions(requests))


def _least_permissions(requests: dict[str, list[tuple[str, dict[str, str]]]]) -> Callable[[Any], bool | Miss]:
    """Accept permissions with which every step passes, and none of which can be lowered."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict) or answer.keys() != requests.keys():
            return Miss(f"expected a dict with the jobs {', '.join(requests)}", why="")
        for job, steps in requests.items():
            granted = {"read-all": READ_ALL, "write-all": WRITE_ALL}.get(
                answer[job] if isinstance(answer[job], str) else "", answer[job]
            )
            if not isinstance(granted, dict) or not set(granted.values()) <= LEVELS.keys():
                return Miss(f"job {job}: expected a dict, scope to read or write", why="")
            if unknown := granted.keys() - set(SCOPES):
                return Miss(f"job {job}: no such scope here: {min(unknown)}", why="")
            for step, needs in steps:
                if lacking := refused(granted, needs):
                    return Miss(f"job {job}: `{step}` was refused, it needs {lacking[0]}")
            for scope, level in granted.items():
                lower = "read" if level == "write" and scope != "id-token" else "none"
                less = {**granted, scope: lower}
                if level != "none" and not any(refused(less, needs) for _, needs in steps):
                    return Miss(f"job {job} passes with {scope}: {lower}, and has {level}")
        return True

    return accept
