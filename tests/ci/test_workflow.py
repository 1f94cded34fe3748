"""Workflow files: how they are read, what starts them, and the copy that runs one job alone."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from single_job import run

from chainlab.ci.runs.job_copy import copy
from chainlab.ci.workflows.definitions import check
from chainlab.ci.workflows.filters import matches
from chainlab.ci.workflows.workflow import AFTER, REPORT, Workflow
from chainlab.ci.workflows.yaml_document import dump, load
from chainlab.errors import ChainlabError, MalformedInput

DATA = Path(__file__).parents[2] / "data"
PATH = ".github/workflows/ci.yml"
JOBS = "on: push\njobs:\n  build: {runs-on: ubuntu-latest, steps: []}\n"


def workflow(jobs: Mapping[str, Any], on: Any = "push", **more: Any) -> Workflow:
    return Workflow.parse(PATH, dump({"on": on, **more, "jobs": jobs}))


def job(**fields: Any) -> dict[str, Any]:
    return {"runs-on": "ubuntu-latest", "steps": [{"run": "true"}], **fields}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "text",
        "jobs: {}",
        "on: push",
        "on: push\njobs: []",
        "on: push\njobs: {a: [x]}",
        "on: push\njobs: {a: null}",
        "on: push\njobs: {1: {}}",
        "on: push\njobs: {'a b': {}}",
        "on: push\njobs: {'../a': {}}",
        "on: push\njobs: {'': {}}",
        f"on: push\njobs: {{{'a' * 101}: {{}}}}",
        f"on: push\njobs: {{{REPORT}: {{}}}}",
        "on: push\njobs: {a: {needs: b}}",
        "on: push\njobs: {a: {needs: {b: c}}}",
        "on: push\njobs: {a: {needs: [[a]]}}",
    ],
)
def test_what_is_no_workflow_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        Workflow.parse(PATH, text)


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["needs", "env", "environment", "container", "uses", "if", "outputs", "steps", "permissions"]


@given(st.dictionaries(st.sampled_from(KEYS), odd), odd)
def test_odd_values_never_end_in_anything_but_an_error_that_teaches(fields: dict[str, Any], on: Any) -> None:
    with contextlib.suppress(ChainlabError):
        parsed = workflow({"a": fields, "b": job()}, on=on)
        parsed.triggered("push", "refs/heads/main")
        parsed.triggered("pull_request", "refs/pull/1/merge", "refs/heads/main")
        check(PATH, parsed.text)
        for name in parsed.order():
            needed = {n: ("success", {"o": "v"}) for n in parsed.needs(name)}
            workflow_copy = copy(parsed, name, env={"A": "b"}, ended=needed)
            assert parsed.explain(name, workflow_copy)


@pytest.mark.parametrize("path", sorted(DATA.rglob(".github/workflows/*.yml")), ids=lambda p: p.stem)
def test_the_course_s_workflows_are_read(path: Path) -> None:
    parsed = Workflow.parse(PATH, path.read_text(encoding="utf-8"))
    assert set(parsed.order()) == set(parsed.jobs)
    assert load(dump(parsed.document)) == parsed.document


# -- what starts it: GitHub Docs, "Workflow syntax for GitHub Actions"

PULL_REF = "refs/pull/7/merge"


@pytest.mark.parametrize(
    ("on", "event", "ref", "starts"),
    [
        ("push", "push", "refs/heads/a", True),
        ("push", "pull_request", PULL_REF, False),
        (["push", "schedule"], "push", "refs/tags/v1", True),
        ({"push": None}, "push", "refs/heads/a/b", True),
        ({"push": {"branches": ["main"]}}, "push", "refs/heads/main", True),
        ({"push": {"branches": "main"}}, "push", "refs/heads/main", True),
        ({"push": {"branches": ["main"]}}, "push", "refs/heads/maine", False),
        ({"push": {"branches": ["main"]}}, "push", "refs/tags/main", False),
        ({"push": {"tags": ["v*"]}}, "push", "refs/tags/v1.0.0", True),
        ({"push": {"tags": ["v*"]}}, "push", "refs/heads/v1", False),
        ({"push": {"branches": ["main"], "tags": ["v*"]}}, "push", "refs/tags/v1", True),
        ({"push": {"branches-ignore": ["wip/**"]}}, "push", "refs/heads/wip/a/b", False),
        ({"push": {"branches-ignore": ["wip/**"]}}, "push", "refs/heads/main", True),
        ({"push": {"branches-ignore": ["wip/**"]}}, "push", "refs/tags/v1", False),
        ({"push": {"tags-ignore": ["v*"]}}, "push", "refs/tags/x", True),
        ({"push": {"branches": ["r/*"]}}, "push", "refs/heads/r/a/b", False),
        ({"push": {"branches": ["r/**", "!r/**-alpha"]}}, "push", "refs/heads/r/1-alpha", False),
        ({"push": {"branches": ["r/**", "!r/**-a", "r/x-a"]}}, "push", "refs/heads/r/x-a", True),
        ({"push": {"branches": ["!main"]}}, "push", "refs/heads/other", False),
        ({"push": {"paths": ["src/**"]}}, "push", "refs/heads/main", True),
        ({"push": {"branches": None}}, "push", "refs/heads/main", False),
        ({"push": {"branches": 3}}, "push", "refs/heads/3", True),
        ({"pull_request": {"branches": ["main"]}}, "pull_request", PULL_REF, True),
        ({"pull_request": {"branches": ["next"]}}, "pull_request", PULL_REF, False),
        ({"pull_request": {"branches-ignore": ["m*"]}}, "pull_request", PULL_REF, False),
        ({"pull_request": {"types": ["opened", "closed"]}}, "pull_request", PULL_REF, True),
        ({"pull_request": {"types": ["closed"]}}, "pull_request", PULL_REF, False),
        ({"pull_request_target": {"types": "labeled"}}, "pull_request_target", PULL_REF, False),
        ({"schedule": [{"cron": "1 2 * * *"}]}, "schedule", "refs/heads/main", True),
        ({"schedule": []}, "schedule", "refs/heads/main", False),
        ({"workflow_dispatch": {"inputs": {}}}, "workflow_dispatch", "refs/heads/f", True),
        (3, "push", "refs/heads/main", False),
    ],
)
def test_an_event_starts_what_its_filters_allow(on: Any, event: str, ref: str, starts: bool) -> None:
    assert workflow({"a": job()}, on=on).triggered(event, ref, "refs/heads/main") is starts


# "Filter pattern cheat sheet" of the same page.
@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        ("feature/*", ["feature/a"], ["feature/a/b", "feature"]),
        ("feature/**", ["feature/a", "feature/a/b"], ["feature"]),
        ("*", ["main", "x"], ["a/b"]),
        ("**", ["a/b/c", ""], []),
        ("*feature", ["my-feature", "feature"], ["features"]),
        ("v2*", ["v2", "v2.0"], ["v1"]),
        ("v[12].[0-9]+.[0-9]+", ["v1.10.1", "v2.0.0"], ["v3.1.1", "v1..1", "v1.10."]),
        ("**.jsx?", ["a/page.js", "page.jsx"], ["page.jsxx"]),
        ("[CB]at", ["Cat", "Bat"], ["at", "cat"]),
        (r"v1\*", ["v1*"], ["v12"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a+", ["a", "aaa"], ["", "b"]),
    ],
)
def test_a_filter_pattern_is_read_as_documented(pattern: str, fits: list[str], fails: list[str]) -> None:
    assert [name for name in [*fits, *fails] if matches(name, [pattern])] == fits


@pytest.mark.parametrize("pattern", ["?", "+a", "!?"])
def test_a_sign_with_nothing_before_it_is_refused(pattern: str) -> None:
    with pytest.raises(MalformedInput, match="nothing before it"):
        matches("a", [pattern])


def test_no_pattern_makes_a_name_slow() -> None:
    began = time.monotonic()
    assert not matches("a" * 250 + "b", ["*a" * 50 + "**c", "a?" * 60 + "a+" * 60 + "c"])
    assert time.monotonic() - began < 5


@given(st.text(alphabet="ab/*?+[]!\\-", max_size=12), st.text(alphabet="ab/", max_size=8))
def test_any_pattern_answers_or_is_refused(pattern: str, name: str) -> None:
    with contextlib.suppress(MalformedInput):
        assert matches(name, [pattern]) in (True, False)


# -- order


def test_jobs_come_after_those_they_need() -> None:
    parsed = workflow({"c": job(needs=["a", "b"]), "b": job(needs="a"), "a": job()})
    assert parsed.order() == ["a", "b", "c"]
    assert parsed.needs("c") == ["a", "b"]


@pytest.mark.parametrize("jobs", [{"a": job(needs="a")}, {"a": job(needs="b"), "b": job(needs="a"), "c": job()}])
def test_a_circle_is_refused(jobs: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput, match="circle"):
        workflow(jobs).order()


@pytest.mark.parametrize(("value", "name"), [("release", "release"), ({"name": "r", "url": "x"}, "r"), (None, None)])
def test_the_environment_has_a_name(value: Any, name: str | None) -> None:
    fields = {} if value is None else {"environment": value}
    assert workflow({"a": job(**fields)}).environment("a") == name


# -- the copy


def test_the_copy_differs_by_env_stubs_and_what_needs_docker_only() -> None:
    jobs = {
        "before": job(outputs={"x": "1"}),
        "other": job(),
        "after": job(needs="before", env={"OWN": "kept"}, container="alpine", services={"db": {}}),
    }
    parsed = workflow(jobs, name="n", permissions={"contents": "read"}, env={"ALL": "1"})
    workflow_copy = copy(parsed, "after", env={"TOKEN": "bearer"}, ended={"before": ("success", {"x": "1"})})
    assert {k: v for k, v in workflow_copy.items() if k != "jobs"} == {"on": "push", "name": "n", "env": {"ALL": "1"}}
    assert list(workflow_copy["jobs"]) == ["before", "after", REPORT]
    after = {"name": AFTER, "run": "chainlab-post", "shell": "sh"}
    env = {"OWN": "kept", "TOKEN": "bearer"}
    assert workflow_copy["jobs"]["after"] == job(
        **{"if": "always()"}, needs="before", env=env, steps=[{"run": "true"}, after]
    )
    assert parsed.left_out("after") == ["container", "services"]
    assert parsed.left_out("before") == []
    assert parsed.document["jobs"]["after"]["container"] == "alpine"  # the file's own is untouched


def test_the_explanation_shows_the_difference_and_nothing_else() -> None:
    parsed = workflow({"a": job(env={"OWN": "kept"})}, name="n")
    workflow_copy = copy(parsed, "a", env={"TOKEN": "bearer"}, ended={})
    lines = parsed.explain("a", workflow_copy).splitlines()
    added = [line[1:].strip() for line in lines if line.startswith("+") and line[1] != "+"]
    assert [line for line in added[: added.index(f"{REPORT}:")] if AFTER not in line] == [
        "run: chainlab-post",
        "shell: sh",
        "TOKEN: bearer",
    ]
    assert not [line for line in lines if line.startswith("-") and line[1] != "-"]


def test_a_job_that_calls_a_workflow_gets_no_env() -> None:
    parsed = workflow({"a": {"uses": "acme/workflows/.github/workflows/notes.yml@main"}})
    assert "env" not in copy(parsed, "a", env={"TOKEN": "t"}, ended={})["jobs"]["a"]


# -- the copy as act really runs it


TRICKY = {
    "plain": "text",
    "expression": "${{ github.actor }}",
    "secret": "a ${{ secrets.T }} }} b",
    "quotes": "it's ${{ 'x' }}",
    "turned": "}} ${{",
    "half": "${{",
    "triple": "${{{ '",
    "lines": "a\nb",
    "all": 'a\'b\n${{ 1 }}\nc "q"',
    "shell": '"q" \\ $HOME `id` $(id)',
    "inner": "${{ '}}' }}",
    "empty": "",
    "spaces": "  lead, trail  ",
    "command": "%0A ::set-output name=x::y",
    "yaml": "*bold* &x !y # z",
    "number": "123e4",
    "octal": "010",
    "boolean": "true",
    "null": "~",
    "date": "2025-01-01",
    "umlaut": "ä ☃ \u2028",
    "newline": "x\n",
    "dollar": "$${{ 1 }}",
}
ECHO = {"run": 'printf "%s" "$GOT"', "env": {"GOT": "${{ toJSON(needs) }}"}}


def test_outputs_of_needed_jobs_arrive_word_for_word(tmp_path: Path) -> None:
    passed = {name: f"${{{{ needs.before.outputs.{name} }}}}" for name in TRICKY}
    parsed = workflow(
        {
            "before": job(),
            "after": job(needs="before", steps=[ECHO], outputs=passed),
        }
    )
    ended = run(parsed, "after", tmp_path, secrets={"T": "FAKE-secret"}, before=("success", TRICKY))
    assert (ended.result, ended.why) == ("success", "")
    assert json.loads(ended.log) == {"before": {"outputs": TRICKY, "result": "success"}}
    assert ended.outputs == TRICKY  # and so does what the report says of it


def test_words_that_yaml_1_1_takes_for_others_reach_the_job(tmp_path: Path) -> None:
    text = """
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    container: alpine
    env: {A: on, B: '12e5', C: 010, D: 1:30, E: "yes", F: 2025-01-01}
    steps:
      - run: echo "$A $B $C $D $E $F $BEARER"
"""
    ended = run(Workflow.parse(PATH, text), "a", tmp_path)
    assert ended.log.strip() == "on 12e5 10 1:30 yes 2025-01-01 b"
