"""Variants of a hardened set of workflows: one control broken, or none.

Every mutant knows which control it broke, and which others fail with it; a benign change leaves all
in force. Changes are made to documents, or to their text where only the text is meant.

    >>> made, refs = variants(random.Random(1))
    >>> sum(bool(v.control) for v in made), sum(not v.control for v in made)
    (51, 16)
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chainlab.course.exercises.hardened import Workflows

__all__ = ["Variant", "variants"]

PUBLISH = "pypa/gh-action-pypi-publish"
Change = Callable[[Workflows], None]


@dataclass(frozen=True)
class Variant:
    """A set of workflows, and what a right review names."""

    name: str
    control: str  # that must be named; "" = a benign change
    texts: dict[str, str]
    breaks: frozenset[str] = frozenset()  # all that do not hold and may be named

    def right(self, verdict: Any) -> bool:
        """Whether these names are right: the broken one, and none that holds."""
        if not isinstance(verdict, (list, tuple, set, frozenset)):
            return False
        named = {name for name in verdict if isinstance(name, str)}
        if not self.control:
            return not verdict
        return self.control in named and named <= self.breaks and len(named) == len(set(verdict))


def variants(rng: random.Random) -> tuple[list[Variant], dict[str, str]]:
    """All mutants and benign changes of one hardened set, and what the mirror's refs name."""
    base = Workflows.build(rng)
    made = [Variant("nothing changed", "", base.texts())]
    made += [Variant(name, "", texts) for name, texts in _benign(base, rng)]
    for name, control, also, change in _mutations(base, rng):
        mutant = base.copy()
        change(mutant)
        breaks = frozenset({control, *also})
        made.append(Variant(f"{control}: {name}", control, mutant.texts(), breaks))
    return made, base.mirror.refs


# What breaks a control ---------------------------------------------------------------------------


def _mutations(base: Workflows, rng: random.Random) -> Iterator[tuple[str, str, tuple[str, ...], Change]]:
    """Name, control, what else then fails, and the change."""
    mirror = base.mirror
    some = rng.choice(["release.yml", "train.yml", "ci.yml"])

    def to(file: str, word: str, **fields: Any) -> Change:
        return lambda w: w.step(file, word).update(fields)

    def of(file: str, number: int = 0, **fields: Any) -> Change:
        renamed = {name.replace("_", "-"): value for name, value in fields.items()}
        return lambda w: w.job(file, number).update(renamed)

    def more(file: str, step: dict[str, Any], number: int = 0) -> Change:
        return lambda w: w.job(file, number)["steps"].append(dict(step))

    def top(file: str, **fields: Any) -> Change:
        return lambda w: w.documents[file].update(fields)

    def without(file: str, key: str, number: int = 0) -> Change:
        def change(w: Workflows) -> None:
            del w.job(file, number)[key]

        return change

    def bare(part: str, word: str = "") -> Change:
        def change(w: Workflows) -> None:
            del (w.step(some, word) if word else w.documents[some])[part]

        return change

    def inputs(file: str, word: str, **fields: Any) -> Change:
        renamed = {name.replace("_", "-"): value for name, value in fields.items()}
        return lambda w: w.step(file, word).setdefault("with", {}).update(renamed)

    def script(file: str, word: str, old: str, new: str) -> Change:
        def change(w: Workflows) -> None:
            step = w.step(file, word)
            step["run"] = step["run"].replace(old, new)

        return change

    checkout = {"uses": mirror.pin("actions/checkout"), "with": {"persist-credentials": False}}
    cache, short = mirror.pin("actions/cache"), mirror.own["actions/cache"][0][:7]
    key = "deps-${{ hashFiles('requirements.lock') }}"
    head = {"ref": "${{ github.event.pull_request.head.sha }}", "persist-credentials": False}
    one, none = "unpinned", ()
    yield "a tag", one, none, to(some, "checkout@", uses="actions/checkout@v7")
    yield "a branch of the publisher", one, none, to("release.yml", "pypi", uses=PUBLISH + "@main")
    notes = "acme/workflows/.github/workflows/notes.yml"
    yield "a reusable workflow by tag", one, none, of("release.yml", 1, uses=f"{notes}@v3")
    yield "a shortened commit id", one, none, to("ci.yml", "cache@", uses=f"actions/cache@{short}")
    one = "foreign-commit"
    fork = f"actions/checkout@{mirror.forks['actions/checkout']}"
    yield "a fork's checkout", one, none, to(some, "checkout@", uses=fork)
    fork = f"{PUBLISH}@{mirror.forks[PUBLISH]}"
    yield "a fork's publisher", one, none, to("release.yml", "pypi", uses=fork)
    fork = f"{notes}@{mirror.forks['acme/workflows']}"
    yield "a fork's reusable workflow", one, none, of("release.yml", 1, uses=fork)
    one = "permissions"
    yield "no block at the top", one, none, bare("permissions")
    yield "write-all at the top", one, none, top("ci.yml", permissions="write-all")
    yield "a read too many at the top", one, none, top(some, permissions={"contents": "read"})
    yield "a job without a block", one, none, without("ci.yml", "permissions")
    yield "read-all in a job", one, none, of("label.yml", permissions="read-all")
    wide = {"contents": "write"}
    yield "a build that may push", one, none, of("release.yml", permissions=wide)
    wide = {"pull-requests": "write", "packages": "write"}
    yield "a label bot that may publish", one, none, of("label.yml", permissions=wide)
    one = "identity"
    wide = {"contents": "read", "id-token": "write"}
    yield "the build gets one", one, ("environment",), of("release.yml", permissions=wide)
    yield "a script beside it", one, none, more("release.yml", {"run": "ls dist"}, 2)
    yield "the training gets one", one, none, of("train.yml", permissions=wide)
    one = "environment"
    yield "the publish job has none", one, none, without("release.yml", "environment", 2)
    token = {"HUB_TOKEN": "${{ secrets.HUB_TOKEN }}"}
    yield (
        "the model's job has none",
        one,
        ("permissions",),
        without("release.yml", "environment", 3),
    )
    yield "a secret in the tests", one, none, to("ci.yml", "pytest", env=token)
    yield "a secret for a whole job", one, none, of("report.yml", env=token)
    one = "secrets"
    yield "inherited", one, none, of("release.yml", 1, secrets="inherit")
    yield "all in one", one, none, inputs("train.yml", "push-model", all="${{ toJSON(secrets) }}")
    one = "injection"
    title = {"run": 'echo "title: ${{ github.event.pull_request.title }}"'}
    yield "a title", one, none, more("ci.yml", title)
    yield (
        "a branch's name",
        one,
        none,
        script("label.yml", "case", '"$BRANCH"', "${{github.head_ref}}"),
    )
    yield (
        "an input",
        one,
        none,
        script("train.yml", "evaluate", '"$RECALL"', "${{ inputs.recall }}"),
    )
    output = {"run": "make\necho ${{ steps.size.outputs.lines }}\n"}
    yield "another step's output", one, none, more("release.yml", output)
    two = {"run": "echo ${{ runner.os }} ${{ github.event.workflow_run.head_branch }}"}
    yield "behind an allowed one", one, none, more("report.yml", two)
    one = "pull-checkout"
    unsafe = {"uses": checkout["uses"], "with": head}
    yield "the stranger's files", one, none, more("label.yml", unsafe)
    fetch = {"run": 'git fetch origin "pull/$NUMBER/head" && make size'}
    yield "fetched by hand", one, none, more("label.yml", fetch)
    yield "by the platform's tool", one, none, more("report.yml", {"run": 'gh pr checkout "$N"'})
    one = "artifact"
    load = mirror.pin("actions/download-artifact")
    other = {"uses": load, "with": {"run-id": "${{ github.event.workflow_run.id }}"}}
    yield "the other run's files", one, none, more("report.yml", other)
    yield "by the tool", one, none, more("report.yml", {"run": 'gh run download "$RUN"'})
    one = "credentials"
    yield "left behind", one, none, bare("with", "checkout@")
    yield "left on purpose", one, none, inputs("release.yml", "checkout@", persist_credentials=True)
    one = "release-cache"
    step = {"uses": cache, "with": {"path": "~/.cache/pip", "key": key}}
    yield "in the release", one, none, more("release.yml", step)
    yield "inside another action", one, none, inputs("release.yml", "setup-python", cache="pip")
    restore = {**step, "uses": mirror.pin("actions/cache/restore")}
    yield "only restored", one, none, more("train.yml", restore)
    one = "cache-key"
    yield "a prefix", one, none, inputs("ci.yml", "cache@", restore_keys="pip-\n")
    yield "no content in it", one, none, inputs("ci.yml", "cache@", key="pip-${{ runner.os }}")
    one, extra = "index", "https://packages.acme.example/simple"
    flag = f"--require-hashes --extra-index-url {extra}"
    yield "a second one", one, none, script(some, "pip install", "--require-hashes", flag)
    yield "for a job", one, none, of("train.yml", env={"PIP_EXTRA_INDEX_URL": extra})
    yield "for a file", one, none, top("ci.yml", env={"PIP_EXTRA_INDEX_URL": extra})
    one = "hashes"
    yield "not asked for", one, none, script(some, "pip install", " --require-hashes", "")
    yield "one more package", one, none, more("release.yml", {"run": "pip install build"})
    one = "runner"
    yield "our own", one, none, of("ci.yml", runs_on="self-hosted")
    yield "in a list", one, none, of("label.yml", runs_on=["self-hosted", "linux"])
    yield "by group", one, none, of("ci.yml", runs_on={"group": "big-machines"})
    one, allow = "commands", {"ACTIONS_ALLOW_UNSECURE_COMMANDS": "true"}
    yield "for a file", one, none, top(some, env=allow)
    yield "for a job", one, none, of("label.yml", env=allow)
    yield "for a step", one, none, to("ci.yml", "pip install", env=allow)


# What breaks none --------------------------------------------------------------------------------


def _benign(base: Workflows, rng: random.Random) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and texts of changes after which every control still holds."""
    yield "quoted strings", base.texts(default_style='"')
    yield "keys in another order", base.texts(sort_keys=True)
    yield "long lines folded", base.texts(width=60)

    newer = base.texts()
    for name, commits in base.mirror.own.items():
        pinned, now = rf"({name}\S*)@[0-9a-f]{{40}}( +#.*)?", rf"\1@{commits[-1]}"
        newer = {file: re.sub(pinned, now, text) for file, text in newer.items()}
    yield "newer pins", newer

    notes = [
        "# until May this was: uses: actions/checkout@v4",
        "# never again: pip install --extra-index-url https://packages.acme.example/simple",
        "# on: pull_request_target with secrets: inherit",
    ]
    yield "comments", {f: "\n".join([*notes, text]) for f, text in base.texts().items()}

    changed = base.copy()
    jobs = changed.documents["release.yml"]["jobs"]
    first = next(iter(jobs))
    renamed = {f"{name}-{rng.randrange(90)}" if name == first else name: job for name, job in jobs.items()}
    for job in list(renamed.values())[2:]:
        job["needs"] = next(iter(renamed))
    changed.documents["release.yml"]["jobs"] = renamed
    yield "a renamed job", changed.texts()

    changed = base.copy()
    job = changed.job("ci.yml")
    job["strategy"] = {"matrix": {"python": ["3.11", "3.12"], "os": ["ubuntu-latest"]}}
    changed.step("ci.yml", "setup-python")["with"]["python-version"] = "${{ matrix.python }}"
    job["steps"].append({"run": "echo ${{ matrix.python }} ${{github.sha}} ${{ runner.os }}"})
    yield "a matrix", changed.texts()

    changed = base.copy()
    changed.documents["ci.yml"]["on"] = ["push", "pull_request"]
    changed.documents["label.yml"]["on"] = "pull_request_target"
    yield "other forms of on", changed.texts()

    changed = base.copy()
    shared = {"contents": "read"}
    for file in ("ci.yml", "train.yml"):
        changed.job(file)["permissions"] = shared
    env = {"COLOUR": "yes"}
    for step in changed.job("ci.yml")["steps"]:
        if "run" in step and "env" not in step:
            step["env"] = env
    changed.job("ci.yml")["env"] = env  # the same object twice: the writer makes an anchor
    yield "anchors", changed.texts()

    changed = base.copy()
    steps = changed.job("ci.yml")["steps"]
    steps[1], steps[2] = steps[2], steps[1]
    yield "steps in another order", changed.texts()

    changed = base.copy()
    checkout = {
        "uses": base.mirror.pin("actions/checkout", 0),
        "with": {"persist-credentials": "false"},
    }
    changed.documents["ci.yml"]["jobs"][f"lint-{rng.randrange(90)}"] = {
        "runs-on": "ubuntu-22.04",
        "permissions": {"contents": "read", "pull-requests": "read"},
        "steps": [checkout, {"uses": "./.github/actions/summary"}, {"run": "ruff check ."}],
    }
    yield "another job that only reads", changed.texts()

    changed = base.copy()
    changed.job("train.yml")["runs-on"] = ["self-hosted", "gpu"]
    yield "training on our own machine", changed.texts()

    changed = base.copy()
    changed.job("release.yml", 2)["environment"] = {
        "name": "release",
        "url": "https://acme.example",
    }
    yield "an environment with an address", changed.texts()

    changed = base.copy()
    for file in ("ci.yml", "report.yml"):
        changed.job(file)["steps"][-1]["name"] = "instead of --extra-index-url and pip install"
    changed.job("ci.yml")["steps"].append({"name": "git fetch", "run": "git log --oneline -3"})
    yield "names that sound dangerous", changed.texts()

    changed = base.copy()
    changed.job("label.yml")["steps"][0]["env"]["TITLE"] = "${{ github.event.pull_request.title }}"
    changed.job("ci.yml")["permissions"] = {"contents": "read", "packages": "read"}
    yield "one more value passed, one more read", changed.texts()
