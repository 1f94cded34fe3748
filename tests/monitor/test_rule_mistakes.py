# ruff: noqa: E501  # a case is a line
"""Every mistake in a rule file has a message with file, line, what is wrong and how to mend it."""

from __future__ import annotations

import copy
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chainlab.ci.workflows.yaml_document import dump
from chainlab.errors import MalformedInput
from chainlab.monitor.detections import Detections, load_detections

RULE = """\
title: A tag moved
id: 0b5a2f0e-6a1e-4a43-9d1c-3d8f5a6b7c10
logsource: {product: chainlab}
detection:
  moved:
    type: change.pushed
    kind: tag
    moved: true
  condition: moved
level: high
falsepositives: [an owner moves v1]
chainlab:
  technique: [T1195.001]
  framework: ATT&CK v18.1
  unit: change.pushed
  response: Ask who moved it.
"""
CORRELATION = """\
title: Tags moved
correlation:
  type: event_count
  rules: [moved]
  group-by: [subject]
  timespan: 10m
  condition: {gte: 3}
level: high
falsepositives: [an owner moves v1]
chainlab: {technique: "none: hygiene", unit: change.pushed, response: Ask who moved them.}
---
title: A tag moved
name: moved
logsource: {product: chainlab}
detection: {moved: {type: change.pushed, moved: true}, condition: moved}
"""
# name → (text to replace in RULE, replacement, line, words of the message, words of the hint)
ONE_EVENT = {
    "not YAML": ("kind: tag", "kind: [tag", 8, "not YAML", "indentation"),
    "a key twice": ("level: high", "level: high\nlevel: low", 11, "'level' is there twice", "indentation"),
    "no title": ("title: A tag moved\n", "", 1, "no title", "write `title:`"),
    "no level": ("level: high\n", "", 1, "no level", "informational, low"),
    "another level": ("level: high", "level: loud", 10, "level is unknown", "critical"),
    "no condition": ("  condition: moved\n", "", 4, "no condition", "condition: selection"),
    "no detection": (RULE[RULE.index("detection") : RULE.index("level")], "", 1, "no detection", "detection:"),
    "no false positives": ("falsepositives: [an owner moves v1]\n", "", 1, "no false positives", "benign"),
    "no response": ("  response: Ask who moved it.\n", "", 12, "no response", "response"),
    "no technique": ("  technique: [T1195.001]\n", "", 12, "no technique", "technique"),
    "no key of ours": (RULE[RULE.index("chainlab:\n") :], "", 1, "no `chainlab:` key", "unit"),
    "technique in words": ("[T1195.001]", "[supply chain]", 13, "not a technique's id", "none: hygiene"),
    "no framework": ("  framework: ATT&CK v18.1\n", "", 12, "framework", "v18.1"),
    "unknown key of ours": ("  response:", "  respond: x\n  response:", 16, "respond", "known"),
    "unknown key": ("falsepositives:", "falsepositive: [x]\nfalsepositives:", 11, "'falsepositive'", "'falsepositives'"),
    "unknown field": ("    moved: true", "    movd: true", 8, "unknown field 'movd'", "did you mean 'moved'"),
    "field of another type": ("    moved: true", "    run_failed: true", 8, "no field 'run_failed'", "artifact.published"),
    "unknown type": ("type: change.pushed\n", "type: change.pushd\n", 6, "'change.pushd'", "did you mean 'change.pushed'"),
    "prefix": ("type: change.pushed\n", "type: dev.chainlab.change.pushed\n", 6, "dev.chainlab", "write 'change.pushed'"),
    "no type": ("    type: change.pushed\n", "", 4, "events of any type", "name the type"),
    "only excluded type": ("condition: moved", "condition: not moved", 4, "events of any type", "name the type"),
    "two types": ("condition: moved", "other: {type: token.used}\n  condition: moved and other", 4, "two at once", "`or`"),
    "unit of no type": ("unit: change.pushed", "unit: change", 15, "not an event type", "change.pushed"),
    "unit not matched": ("unit: change.pushed", "unit: token.used", 15, "never matches its unit", "change.pushed"),
    "value alone": ("condition: moved", "words: [v1]\n  condition: moved and words", 4, "without a field", "contains"),
    "unknown selection": ("condition: moved", "condition: moves", 9, "'moves' not defined", "names of selections"),
    "condition unreadable": ("condition: moved", "condition: moved and", 9, "cannot be read", "and, or, not"),
    "condition's stars": ("condition: moved", "condition: 1 of m*o*v*", 9, "too long", "at most"),
    "modifier": ("moved: true", "ref|base64: x", 8, "unsupported modifier 'base64'", "contains"),
    "back reference": ("kind: tag", r"ref|re: (a)\1", 7, "regular expression", "hours"),
    "log source": ("{product: chainlab}", "{product: windows}", 3, "log source", "product: chainlab"),
    "id": ("0b5a2f0e-6a1e-4a43-9d1c-3d8f5a6b7c10", "tag-moved-1", 2, "not a UUID", "UUID"),
    "number without end": ("moved: true", "age_s: .inf", 4, "Invalid number", "docs"),
    "two rules": ("level: high", "level: high\n---\ntitle: b\n---\ntitle: c", 1, "has 3 rules", "each rule a file"),
    "anchors that grow": ("[an owner moves v1]", f"&a [x]\nb: [{'*a, ' * 20_000}]", 1, "at most", "split it"),
}  # fmt: skip
CORRELATIONS = {
    "rule that does not exist": ("rules: [moved]", "rules: [mooved]", 4, "'mooved'", "did you mean 'moved'"),
    "absence": ("condition: {gte: 3}", "condition: moved and not other", 7, "looks forward only", "event is written"),
    "no condition": ("  condition: {gte: 3}\n", "", 2, "no condition", "gte"),
    "unsupported condition": ("condition: {gte: 3}", "condition: moved or moved", 7, "unsupported", "threshold"),
    "two thresholds": ("{gte: 3}", "{gte: 3, lt: 5}", 2, "exactly one", "docs"),
    "no time span": ("  timespan: 10m\n", "", 2, "not a time span", "10m"),
    "span of a year": ("10m", "52w", 6, "too long", "31d"),
    "type": ("event_count", "events_count", 3, "'events_count'", "'event_count'"),
    "group of no event": ("group-by: [subject]", "group-by: [run]", 5, "no field 'run'", "ref"),
    "threshold above its rules": ("event_count", "temporal", 7, "never reached", "{gte: 1}"),
    "group that is no name": ("group-by: [subject]", "group-by: [{a: b}]", 5, "not a field", "name"),
    "sum of a list": ("{gte: 3}", "{gte: 3, field: [ref]}", 7, "not a field", "name"),
    "aliases": ("  timespan", "  aliases: {}\n  timespan", 6, "'aliases'", "group-by"),
    "base rule without a name": ("name: moved\n", "", 12, "needs a name", "refer to"),
}  # fmt: skip


def load(folder: Path, text: str, name: str = "tag_moved.yml") -> Detections:
    """Load a folder with one rule."""
    (folder / name).write_text(text)
    return load_detections(folder)


@pytest.mark.parametrize(
    ("rule", "case"),
    [
        *[pytest.param(RULE, case, id=name) for name, case in ONE_EVENT.items()],
        *[pytest.param(CORRELATION, case, id=f"correlation, {name}") for name, case in CORRELATIONS.items()],
    ],
)
def test_a_mistake_names_its_line_and_its_remedy(
    tmp_path: Path, rule: str, case: tuple[str, str, int, str, str]
) -> None:
    before, after, line, message, hint = case
    assert before in rule, "the case changes the rule"
    loaded = load(tmp_path, rule.replace(before, after, 1))
    assert not loaded
    found = next((m for m in loaded.mistakes if message in m.message), None)
    assert found is not None, [str(mistake) for mistake in loaded.mistakes]
    assert (found.line, found.path.name) == (line, "tag_moved.yml")
    assert hint in found.hint, found.hint


@pytest.mark.parametrize("rule", [RULE, CORRELATION])
def test_the_rules_that_the_cases_change_have_no_mistake(tmp_path: Path, rule: str) -> None:
    loaded = load(tmp_path, rule)
    assert [rule.name for rule in loaded] == ["tag_moved"], loaded.mistakes
    assert loaded[0].types == {"change.pushed"}


def test_all_mistakes_of_a_folder_come_at_once_and_other_rules_go_on(tmp_path: Path) -> None:
    rule = RULE.replace("id: 0b5a2f0e-6a1e-4a43-9d1c-3d8f5a6b7c10\n", "")
    (tmp_path / "a.yml").write_text("title: [")
    (tmp_path / "b.yml").write_text(rule.replace("level: high", "level: 1").replace("moved: true", "mvd: true"))
    (tmp_path / "c.yml").write_text(rule)
    (tmp_path / "D.yml").write_text(rule)
    (tmp_path / "e.yaml").write_text(rule)
    (tmp_path / "f.yml").write_bytes(b"\xff")
    (tmp_path / "g.yml").write_text("#" * 70_000)
    (tmp_path / "h.yml").mkdir()
    (tmp_path / "i.yml").write_text("")
    loaded = load_detections(tmp_path, tmp_path / "missing")
    assert [rule.name for rule in loaded] == ["c"]
    assert {mistake.path.name for mistake in loaded.mistakes} == {
        "D.yml",
        "a.yml",
        "b.yml",
        "e.yaml",
        "f.yml",
        "g.yml",
        "h.yml",
        "i.yml",
    }
    with pytest.raises(MalformedInput, match=r"a\.yml line 1"):
        loaded.named("a")
    with pytest.raises(MalformedInput, match=r"did you mean|rules are c"):
        loaded.named("z")


def test_a_learners_rule_replaces_nothing(tmp_path: Path) -> None:
    course, desk = tmp_path / "course", tmp_path / "desk"
    course.mkdir()
    desk.mkdir()
    (course / "tag_moved.yml").write_text(RULE)
    (desk / "tag_moved.yml").write_text(RULE.replace("0b5a", "1b5a"))
    (desk / "other.yml").write_text(RULE)
    loaded = load_detections(course, desk)
    assert [rule.path for rule in loaded] == [course / "tag_moved.yml"]
    assert [re.sub(r"'.*'|[0-9a-f-]{36}", "…", m.message) for m in loaded.mistakes] == [
        "the id … stands twice",
        "the name … stands twice",
    ]


@pytest.mark.parametrize(
    "text",
    [
        RULE.replace("condition: moved", f"condition: {'(' * 200}moved{')' * 200}"),
        RULE.replace("condition: moved", f"condition: {'not ' * 110}moved"),
        RULE.replace("kind: tag", "ref: [" + ", ".join(f"x{number}" for number in range(5000)) + "]"),
        RULE.replace("kind: tag", f"ref|re: {'(a{1000}' * 5}{')' * 5}"),
        RULE.replace("kind: tag", "ref: '" + "*a" * 2000 + "'"),
        RULE.replace("falsepositives: [an owner moves v1]", "falsepositives: " + "[" * 200),
        CORRELATION.replace("rules: [moved]", "rules: [" + "moved, " * 500 + "]"),
    ],
)
def test_a_hostile_rule_is_read_or_refused_in_time(tmp_path: Path, text: str) -> None:
    began = time.perf_counter()
    loaded = load(tmp_path, text)
    assert len(loaded) + len(loaded.mistakes) >= 1
    assert time.perf_counter() - began < 5


def test_the_rules_of_the_guide_have_no_mistake(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "detections.md").read_text()
    rules = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    for number, text in enumerate(rules):
        (tmp_path / f"rule_{number}.yml").write_text(text)
    loaded = load_detections(tmp_path)
    assert (len(loaded), loaded.mistakes) == (2, ())


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.sampled_from(
        ["", "*", "|", "'", "(", "not moved", "1 of *", "type", "ref", "0m", "temporal", "value_sum", "gte", "\u202e"]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["gte", "field", "type", "ref|re", "|"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each container of a document with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@given(st.sampled_from([RULE, CORRELATION]), st.lists(st.tuples(st.integers(0, 99), ODD), min_size=1, max_size=3))
def test_a_rule_with_anything_anywhere_is_compiled_or_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, rule: str, changes: list[tuple[int, Any]]
) -> None:
    documents = copy.deepcopy(list(yaml.safe_load_all(rule)))
    for at, value in changes:
        container, key = (found := places(documents))[at % len(found)]
        container[key] = value
    folder = tmp_path_factory.getbasetemp() / "anything_anywhere"
    folder.mkdir(exist_ok=True)
    loaded = load(folder, "---\n".join(dump(document) for document in documents))
    assert bool(loaded) != bool(loaded.mistakes)
    assert all(mistake.hint and mistake.line >= 1 for mistake in loaded.mistakes)
