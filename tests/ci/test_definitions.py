"""The shape of workflows, against the platform's own parser: what it takes is taken, what it refuses is refused."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from platform_parsers import PACKAGE, refusals, rounds

from chainlab.ci.workflows.definitions import BUILT_IN, DEFINITIONS, check, check_expressions
from chainlab.ci.workflows.yaml_document import dump
from chainlab.errors import MalformedInput

DATA = Path(__file__).parents[2] / "data"
FILE = ".github/workflows/ci.yml"


def workflow(*steps: str, job: str = "", head: str = "") -> str:
    """A workflow whose job begins at line 3, its steps at line 6."""
    lines = "".join(f"      - {step}\n" for step in steps or ["run: x"])
    return f"on: push\n{head}jobs:\n  a:\n    runs-on: ubuntu-latest\n{job}    steps:\n{lines}"


# What the platform refuses: (text, line, words of ours)
REFUSED = {
    "nothing": ("# a remark\n", 1, "the file is empty"),
    "function": (workflow("run: ${{ cas(true) }}"), 6, "no function 'cas'"),
    "function there": (workflow("run: ${{ success() }}"), 6, "no function 'success'"),
    "arguments": (workflow("run: ${{ format() }}"), 6, "cannot take 0 arguments"),
    "context": (workflow("run: ${{ lost.x }}"), 6, "'lost' is not known here"),
    "context of if": (workflow(job="    if: steps.a.outputs.b\n"), 5, "'steps' is not known here"),
    "if": (workflow("run: x\n        if: a b"), 7, "'a' is not known here"),
    "key": (workflow("run: x\n        bad: 1"), 7, "unexpected key 'bad'"),
    "run and uses": (workflow("run: x\n        uses: a/b@c"), 7, "unexpected key 'uses'"),
    "neither": (workflow("name: x"), 6, "one of these keys is missing: run, uses"),
    "runs-on": ("on: push\njobs:\n  a:\n    steps: []\n", 4, "'runs-on' is missing"),
    "list": (workflow(job="    env: [a]\n"), 5, "a list was not expected"),
    "mapping": (workflow("run: {a: b}"), 6, "a mapping was not expected"),
    "kind": (workflow(job="    continue-on-error: maybe\n"), 5, "unexpected value 'maybe'"),
    "not closed": (workflow("run: ${{ github.ref"), 6, "does not end"),
    "empty": (workflow("run: ${{ }}"), 6, "expected a value"),
    "expression": ("on: ${{ github.x }}\njobs: {}\n", 1, "'github' is not known here"),
    "event": ("on: pushed\njobs: {}\n", 1, "unexpected value 'pushed'"),
    "twice": (workflow(job="    env: {A: 1, a: 2}\n"), 5, "'a' is there twice"),
    "id": (workflow("{id: a, run: x}", "{id: a, run: y}"), 7, "cannot be the id of a step"),
    "id's form": (workflow("{id: __a, run: x}"), 6, "cannot be the id of a step"),
    "job's id": ("on: push\njobs:\n  __a: {runs-on: x, steps: [{run: x}]}\n", 3, "cannot be the id of a job"),
    "scope": (workflow(head="permissions: {lost: read}\n"), 2, "unexpected key 'lost'"),
    "level": (workflow(head="permissions: {contents: all}\n"), 2, "unexpected value 'all'"),
    "input": ("on: {workflow_dispatch: {inputs: {a: {type: text}}}}\njobs: {}\n", 1, "unexpected value 'text'"),
}
# What the platform takes, and this host has not.
LACKING = {
    "background": (workflow("run: x\n        background: true"), 7, "`background`: this host has no steps in the"),
    "wait": (workflow("wait: a"), 6, "`wait`: this host has no"),
    "cancel": (workflow("cancel: a"), 6, "`cancel`: this host has no"),
    "parallel": (workflow("parallel: [{run: x}]"), 6, "`parallel`: this host has no parallel steps"),
    "snapshot": (workflow(job="    snapshot: image\n"), 5, "`snapshot`: this host has no images"),
    "insert": (workflow(job="    env: {'${{ insert }}': {}}\n"), 5, "no keys by an expression"),
    "env by steps": (workflow("run: x\n        env: ${{ fromJSON(steps.a.outputs.b) }}"), 7, "`steps`"),
    "with by env": (workflow("uses: a/b@c\n        with: ${{ fromJSON(env.A) }}"), 7, "`env`"),
    "env by secrets": (workflow(job="    env: ${{ fromJSON(secrets.A) }}\n"), 5, "`secrets`"),
    "env by a file": (workflow("run: x\n        env: ${{ fromJSON(hashFiles('x')) }}"), 7, "`hashfiles`"),
    "env by a token": (workflow(job="    env: ${{ fromJSON(GitHub['token']) }}\n"), 5, "`github.token`"),
    "environment": (workflow(job="    environment: ${{ matrix.place }}\n"), 5, "`matrix`"),
    "environment's name": (workflow(job="    environment: {name: '${{ matrix.x }}'}\n"), 5, "`matrix`"),
}
TAKEN = {
    "self": workflow("uses: $/own"),
    "case": workflow("run: ${{ case(true, 1, 2) }}"),
    "number as if": workflow("{run: x, if: 1.5}"),
    "bool as text": workflow("{run: true, name: 1}"),
    "tab": workflow("run: x\t# remark"),
    "anchor": workflow("&a.b {run: x}", "*a.b"),
    "env": workflow(job="    env: ${{ fromJSON(vars.A) }}\n"),
    "matrix": workflow(job="    strategy: {matrix: '${{ fromJSON(needs.b.outputs.c) }}'}\n"),
    "strategy": workflow(job="    strategy: ${{ fromJSON(inputs.a) }}\n"),
    "literal": workflow("run: ${{ '}}' }}"),
    "scopes": workflow(head="permissions: {artifact-metadata: write, code-quality: read}\n"),
    "call": "on: push\njobs:\n  a: {uses: ./.github/workflows/b.yml, secrets: inherit, with: {a: 1}}\n",
    "labels": "on: push\njobs:\n  a: {runs-on: {group: g, labels: [x]}, steps: [{uses: a/b@c}]}\n",
    "empty names": workflow("{run: x, name: }"),
}


def faults(text: str) -> str:
    try:
        check(FILE, text)
    except MalformedInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize("case", [*REFUSED, *LACKING])
def test_what_cannot_run_is_told_with_file_line_and_feature(case: str) -> None:
    text, line, words = (REFUSED | LACKING)[case]
    with pytest.raises(MalformedInput) as caught:
        check(FILE, text)
    assert caught.value.message.startswith(f"{FILE}, line {line}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("case", TAKEN)
def test_what_the_platform_takes_is_taken(case: str) -> None:
    check(FILE, TAKEN[case])


def test_every_fault_is_told_at_once() -> None:
    text = workflow("run: ${{ cas(1) }}", "bad: 1", job="    env: [a]\n")
    assert [words in faults(text) for words in ("line 5: ", "line 7: ", "line 8: ")] == [True] * 3


@pytest.mark.parametrize("path", sorted(DATA.rglob(".github/workflows/*.yml")), ids=lambda path: path.stem)
def test_the_course_s_workflows_have_the_shape(path: Path) -> None:
    check(FILE, path.read_text())


@pytest.mark.parametrize("path", sorted(DATA.rglob("action.yml")), ids=lambda path: path.parent.name)
def test_the_course_s_actions_have_expressions_that_can_be_read(path: Path) -> None:
    check_expressions("action.yml", path.read_text())


@pytest.mark.parametrize("text", ["${{ cas(1) }}", "${{ case(true, 1, 2) }}", "${{ lost.x }}", "${{"])
def test_an_action_s_expressions_are_looked_at_too(text: str) -> None:
    action = f'runs:\n  using: composite\n  steps:\n    - {{shell: sh, run: "{text}"}}\n'
    with pytest.raises(MalformedInput, match=r"^x: action\.yml, line 4: "):
        check_expressions("x: action.yml", action)


@pytest.mark.clients("node")
def test_the_platform_refuses_and_takes_the_same() -> None:
    theirs = refusals([text for text, _, _ in REFUSED.values()])
    assert [case for case, said in zip(REFUSED, theirs, strict=True) if not said] == []
    theirs = refusals(TAKEN.values())
    assert [case for case, said in zip(TAKEN, theirs, strict=True) if said] == []
    files = [path.read_text() for path in DATA.rglob(".github/workflows/*.yml")]
    assert [said for said in refusals(files) if said] == []


@pytest.mark.clients("node")
def test_the_shape_is_the_platform_s() -> None:
    theirs = json.loads((PACKAGE / "workflow-v1.0.min.json").read_text())["definitions"]
    ours = tomllib.loads(DEFINITIONS.read_text())
    assert {name: table for name, table in ours.items() if table != told(theirs[name])} == {}
    named = {"workflow-root-strict", *(name for table in ours.values() for name in shapes(table))}
    assert named - set(BUILT_IN) == set(ours)


def told(theirs: dict[str, Any]) -> dict[str, Any]:
    """A definition of the package's as ours is written."""
    mapping, text = theirs.get("mapping", {}), theirs.get("string", {})
    keys = {
        key: rule if isinstance(rule, dict) else {"type": rule} for key, rule in mapping.get("properties", {}).items()
    }
    plain = next((kind for kind in ("null", "boolean", "number", "string") if kind in theirs), None)
    table = {
        "reads": theirs.get("context"),
        "either": theirs.get("one-of"),
        "words": theirs.get("allowed-values") or ([text["constant"]] if "constant" in text else None),
        "items": theirs.get("sequence", {}).get("item-type"),
        "keys": {key: rule["type"] for key, rule in keys.items()},
        "required": [key for key, rule in keys.items() if rule.get("required")],
        "others": [mapping["loose-key-type"], mapping["loose-value-type"]] if "loose-key-type" in mapping else None,
        "value": "text" if text.get("require-non-empty") else None if "constant" in text else plain,
    }
    assert set(text) <= {"constant", "require-non-empty"}
    return {key: value for key, value in table.items() if value}


def shapes(table: dict[str, Any]) -> list[str]:
    """The definitions that one of ours names."""
    item = [table["items"]] if "items" in table else []
    return [*table.get("either", ()), *item, *table.get("keys", {}).values(), *table.get("others", ())]


# -- drawn workflows

EXPRESSIONS = [
    "${{ github.ref }}", "${{ fromJSON('{}') }}", "${{ matrix.x }}", "${{ steps.a.outputs.b }}", "${{ secrets.X }}",
    "${{ inputs.a }}", "${{ lost.a }}", "${{ job.status }}", "${{ case(true, 1, 2) }}", "${{ hashFiles('x') }}",
    "${{ success() }}", "${{ always() }}", "${{ 'x' }}", "${{  }}", "${{ strategy.job-index }}",
    "${{ needs.a.result }}", "${{ vars.A }}", "${{ runner.os }}",
]  # fmt: skip
SCALARS = [
    "x", "", True, False, None, 1, 1.5, 0, "a b", "inherit", "read-all", "ubuntu-latest", "a", "success()", "read",
    "github.ref == 'x'", "always() && 1", "!cancelled()", "write", "_x", "__x", "1a", "${{ ", "a ${{ env.X }} b",
]  # fmt: skip
KEYS = [
    "a", "b", "image", "name", "group", "labels", "include", "exclude", "matrix", "url", "x", "types", "branches",
    "inputs", "run", "contents", "A",
]  # fmt: skip
OF_JOBS = [
    "name", "needs", "if", "strategy", "runs-on", "timeout-minutes", "continue-on-error", "services", "env",
    "environment", "permissions", "concurrency", "outputs", "defaults", "steps", "uses", "with", "secrets", "bad",
    "cancel-timeout-minutes",
]  # fmt: skip
OF_STEPS = [
    "name", "id", "if", "timeout-minutes", "run", "continue-on-error", "env", "working-directory", "shell", "uses",
    "with", "bad", "with",
]  # fmt: skip
OF_FILES = ["name", "env", "permissions", "concurrency", "defaults", "run-name", "bad"]
EVENTS = ["push", "pull_request", "workflow_dispatch", "schedule", "workflow_call", "bad", "release"]


class Drawing:
    """Workflows at random, most of them almost right."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def value(self, depth: int = 2) -> Any:
        kind = self.draw.random()
        if kind < 0.45 or (depth <= 0 and kind >= 0.7):
            return self.draw.choice(SCALARS)
        if kind < 0.7:
            return self.draw.choice(EXPRESSIONS)
        count = self.draw.randrange(3)
        if kind < 0.82:
            return [self.value(depth - 1) for _ in range(count)]
        return {self.draw.choice(KEYS): self.value(depth - 1) for _ in range(count)}

    def step(self) -> dict[str, Any]:
        found = self.draw.choice([{"run": "x"}, {"run": "x"}, {"uses": "a/b@c"}, {"uses": "$/x"}, {}])
        more = self.draw.choice([0, 0, 0, 1])
        return {**found, **{self.draw.choice(OF_STEPS): self.value() for _ in range(more)}}

    def job(self) -> dict[str, Any]:
        steps = [self.step() for _ in range(self.draw.randrange(1, 3))]
        whole: dict[str, Any] = {"runs-on": "ubuntu-latest", "steps": steps}
        found = whole if self.draw.random() < 0.85 else {"uses": "./x"}
        return {**found, **{self.draw.choice(OF_JOBS): self.value(3) for _ in range(self.draw.choice([0, 0, 1, 1]))}}

    def workflow(self) -> str:
        on: Any = "push"
        if self.draw.random() < 0.2:
            on = self.draw.choice([["push", "pull_request"], {"push": None}, self.value()])
            on = self.draw.choice([on, {self.draw.choice(EVENTS): self.value(3)}])
        more = {self.draw.choice(OF_FILES): self.value() for _ in range(self.draw.choice([0, 0, 0, 1]))}
        jobs = {"a": self.job()}
        if self.draw.random() < 0.3:
            jobs[self.draw.choice(["z", "c", "__a", "1"])] = self.job()
        return dump({"on": on, **more, "jobs": jobs})


@pytest.mark.clients("node")
@pytest.mark.parametrize("seed", rounds())
def test_drawn_workflows_are_taken_and_refused_as_there(seed: int) -> None:
    drawing = Drawing(seed)
    texts = [drawing.workflow() for _ in range(500)]
    theirs = refusals(texts)
    differing = []
    for text, said in zip(texts, theirs, strict=True):
        own = faults(text)
        if bool(own) != bool(said) and not ("this host" in own and not said):
            differing.append((text, own, said))
    assert differing == []
    assert sum(not said for said in theirs) > 60
