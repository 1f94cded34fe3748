"""Displays: a run, a verdict, a decision, evidence, actions and events show themselves, whatever their names are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.ci.actions.action_tree import Resolved, Tree
from chainlab.ci.runs.run_record import JobRun, Run, StepRecord
from chainlab.course.authoring import execution
from chainlab.digests import Digest
from chainlab.display import MAX_LINES, MAX_ROWS, MAX_TEXT, Display, Fold, Fresh, Mark, Shown
from chainlab.events import Event, EventList
from chainlab.evidence import verifying
from chainlab.evidence.statements import Statement
from chainlab.policy.gate import Check, Decision
from chainlab.registry.bundle_summary import BundleSummary
from chainlab.registry.evidence.document import EvidenceDocument

ROOT = Path(__file__).parents[1]
HOSTILE = '<script>alert(1)</script><img src=x onerror="a">\x1b]0;owned\x07\u202e\n✓ passed'
HEX = "0f" * 20
VOID = {"wbr"}


class Read(HTMLParser):
    """What a browser makes of HTML: elements with attributes, and text; refuses what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def run_of(name: str, *, result: str = "success", log: str = "") -> Run:
    step = StepRecord(name, result, 1.0, log)
    job = JobRun(name, result, steps=(StepRecord("checkout", "success", 1.0), step), why="", permissions={name: "read"})
    return Run(1, "acme/x", f"{name}.yml", "push", name, HEX, "alice", {"j": job})


def event(subject: str) -> Event:
    return Event(1, "dev.chainlab.step.finished", "/ci", subject, "2026-05-11T19:20:39Z", {})


def shown(name: str) -> dict[str, Shown]:
    """Every class that shows itself, with this text wherever a stranger may put one."""
    digest = Digest.of(b"x")
    bundle = {"predicateType": name, "identity": name}
    document: dict[str, Any] = {
        "digest": str(digest),
        "quarantined": None,
        "places": [
            {"protocol": "index", "project": name, "file": name, "by": name},
            {"protocol": "oci", "repository": name, "tags": [name], "by": name},
        ],
        "provenance": [{"project": name, "file": name, "attestations": [bundle, None]}],
        "referrers": [{"repository": name, "artifactType": name, "by": name, "files": [{"bundle": bundle}]}],
        "attached": [{"kind": name, "source": name, "bundle": None}],
        "channels": [{"to": name, "artifact": name, "by": name}],
        "quarantine": [{"reason": name, "released": None, "by": name}],
        "events": [{}],
    }
    checks = (Check(name, "refused", name, name), Check("sbom", "passed", ""))
    steps = (
        verifying.VerificationStep("signature", "failed", name, name),
        verifying.VerificationStep("subject", "not reached"),
    )
    return {
        "run": run_of(name, result="failure", log=name),
        "verdict": verifying.Verdict(steps, signer=name, signed_at=datetime.now(UTC)),
        "decision": Decision(name, digest, name, digest, checks, False, datetime.now(UTC)),
        "statement": Statement.about(
            {name: digest}, name, {name: {name: [name]}, "b": None, "at": "2026-05-11T19:20:39Z"}
        ),
        "facts": BundleSummary(name, (f"{name} sha256:{HEX}",), name, name, "2026-05-11T19:20:39Z", HEX, 17, 2),
        "known": EvidenceDocument(document),
        "actions": Tree([Resolved("acme", name, name, name, HEX, file=name, line=1)]),
        "events": EventList([event(name)]),
    }


@pytest.mark.parametrize("kind", shown(""))
def test_a_stranger_s_text_is_neither_markup_nor_a_line_nor_a_terminal_s_order(kind: str) -> None:
    plain, hostile = shown("name")[kind], shown(HOSTILE)[kind]
    read = Read(hostile._repr_html_())
    assert [tag for tag, _ in read.elements if tag not in VOID] == [
        tag for tag, _ in Read(plain._repr_html_()).elements if tag not in VOID
    ]
    assert not [
        name
        for _, attributes in read.elements
        for name in attributes
        if name not in ("style", "scope", "class", "title")
    ]
    assert r"<script>alert(1)</script>" in read.text
    for text in (repr(hostile), read.text):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        assert r"\x1b]0;owned\x07\u202e\n" in text
    assert len(repr(hostile).splitlines()) == len(repr(plain).splitlines())


@pytest.mark.parametrize("kind", shown(""))
def test_what_is_missing_is_shown_as_missing(kind: str) -> None:
    nothing = {
        "run": Run(1, "", "", "", "", "", "", {}),
        "verdict": verifying.Verdict(()),
        "decision": Decision("", Digest.of(b""), "", Digest.of(b""), (), False, datetime.now(UTC)),
        "statement": Statement((), "", None),
        "facts": BundleSummary(),
        "known": EvidenceDocument(digest=""),
        "actions": Tree(),
        "events": EventList(),
    }[kind]
    words = {"run": "no job", "actions": "no action is used", "statement": "null"}.get(kind, "nothing")
    assert words in repr(nothing)
    assert words in Read(nothing._repr_html_()).text


@pytest.mark.parametrize("kind", shown(""))
def test_the_stored_form_is_the_same_in_every_run(kind: str) -> None:
    """Other digests, ports, folders and times: the text differs nowhere, and the HTML only in what is masked."""
    first, second = (
        shown(
            f"sha256:{digit * 64}, commit {digit * 40}, {digit * 12}… at http://127.0.0.1:4{digit}5/"
            f" in /tmp/j-{digit}/x #{digit * 8}"
        )[kind]
        for digit in "19"
    )
    patterns = execution.sanitiser(ROOT)
    assert repr(first) == repr(second)
    assert "…" in repr(first)
    assert first._repr_html_() != second._repr_html_()
    assert execution._clean(first._repr_html_(), patterns) == execution._clean(second._repr_html_(), patterns)


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_stored_displays_look_as_they_do_today(path: Path) -> None:
    """Otherwise strict nbval fails later: `chainlab build --execute NAME`."""
    head = Display("", (), ()).html().partition("</caption>")[0]
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [
        output["data"].get("text/html", "") for cell in cells for output in cell.get("outputs", ()) if "data" in output
    ]
    shown = ["".join(html) for html in outputs if "".join(html).startswith(head.partition("<table")[0])]
    assert [html for html in shown if not html.startswith(head)] == []


@given(st.text(max_size=400))
def test_html_and_text_say_the_same(text: str) -> None:
    display = Display(text, ("one", "two"), [(text, "x"), ("", Mark("passed", text))])
    lines = Read(display.html()).text
    for part in display.text().splitlines()[0].split("…"):
        assert part.strip() in lines


def test_much_is_cut_and_what_is_left_out_is_counted() -> None:
    rows = [(f"row {number}", "z" * 10_000) for number in range(MAX_ROWS + 93)]
    log = Fold("log", [f"line {number}" for number in range(MAX_LINES + 7)])
    display = Display("much", ("name", "text"), rows, folds=[log])
    assert display.text().endswith("… and 93 more")
    read = Read(display.html())
    assert "… and 93 more" in read.text
    assert "z" * MAX_TEXT + "…" in read.text
    assert "z" * (MAX_TEXT + 1) not in read.text
    assert "… 7 lines before\nline 7\n" in read.text
    assert len(display.text().splitlines()) <= 40


def test_a_digest_is_cut_and_whole_on_hovering() -> None:
    html = Display("", ("",), [(f"sha256:{'ab' * 32}",)]).html()
    assert f'sha256:<code class="fresh" title="{"ab" * 32}">{"ab" * 6}…</code>' in html


def test_a_statement_s_predicate_is_listed_two_levels_deep() -> None:
    predicate = {
        "policy": {"digest": {"sha256": "ab" * 32}, "uri": "u"},
        "levels": ["L1"],
        "inputs": [{}, {}],
        "more": {"deep": {"a": 1, "b": 2}, "none": {}},
    }
    lines = repr(Statement.about({}, "t", predicate)).splitlines()
    assert [line.split(maxsplit=2)[1:] for line in lines[2:]] == [
        ["policy.digest", "sha256:…"],
        ["policy.uri", "u"],
        ["levels", "L1"],
        ["inputs", "a list of 2"],
        ["more.deep", "{a, b}"],
        ["more.none", "{}"],
    ]


def test_a_column_without_content_is_left_out() -> None:
    assert Display("t", ("a", "b", "c"), [("1", "", Fresh("")), ("2", "", "3")]).text() == "t\na  c\n1\n2  3"


def test_a_run_says_which_step_failed_and_keeps_its_log_closed() -> None:
    run = run_of("build it", result="failure", log="No module named build\n")
    assert repr(run).splitlines()[0] == "✗ failure · run 1: build it.yml on push at build it"
    assert "failed at: build it" in repr(run)
    read = Read(run._repr_html_())
    assert [tag for tag, attributes in read.elements if tag == "details" and "open" not in attributes] == [
        "details"
    ] * 2
    assert "No module named build" in read.text


@pytest.mark.parametrize(
    ("permissions", "message"),
    [
        ({}, "nothing"),
        ({"contents": "read", "id-token": "write"}, "contents: read, id-token: write"),
        (dict.fromkeys("abcd", "write") | {"e": "read"}, "write: a, b, c, d; read: e"),
    ],
)
def test_a_job_s_rights_are_one_cell(permissions: Mapping[str, str], message: str) -> None:
    job = JobRun("j", "success", permissions=permissions)
    assert repr(Run(1, "a/b", "w.yml", "push", "main", HEX, "alice", {"j": job})).endswith(message)


def test_actions_stand_below_the_one_that_names_them() -> None:
    def resolved(repo: str, ref: str, depth: int, file: str, **more: Any) -> Resolved:
        return Resolved("acme", repo, more.pop("path", ""), ref, HEX, depth=depth, file=file, line=1, **more)

    tree = Tree(
        [
            resolved("tools", "v1", 0, "ci.yml", path="a"),
            resolved("tools", "v1", 0, "ci.yml", path="b"),
            resolved("last", HEX, 0, "ci.yml", only_in_fork=True),
            resolved("of-b", "v2", 1, "acme/tools@v1: b/action.yml"),
            resolved("inner", HEX, 2, "acme/of-b@v2: action.yaml"),
            resolved("elsewhere", HEX, 1, "acme/gone@v1: action.yml"),
        ]
    )
    assert [line.rstrip() for line in repr(tree).splitlines()] == [
        "✗ 3 movable, 1 of a fork · 6 actions reached",
        "action          named by                   in",
        "acme/tools/a    ✗ movable v1               ci.yml, line 1",
        "acme/tools/b    ✗ movable v1               ci.yml, line 1",
        "└ acme/of-b     ✗ movable v2               acme/tools@v1: b/action.yml, line 1",
        "  └ acme/inner  ✓ commit 0f0f0f0           acme/of-b@v2: action.yaml, line 1",
        "acme/last       ✗ a fork's commit 0f0f0f0  ci.yml, line 1",
        "acme/elsewhere  ✓ commit 0f0f0f0           acme/gone@v1: action.yml, line 1",
    ]


def test_events_are_counted_and_a_slice_shows_itself() -> None:
    events = EventList([event("a"), event("b"), event("b")])
    assert repr(events).splitlines() == [
        "3 events",
        "event          about  reported by",
        "step.finished  a      /ci",
        "step.finished  b      /ci          2 times",
    ]
    assert repr(events[1:]).startswith("2 events")
    assert events[0] == event("a")


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("", True),
        ("step", True),
        ("step.finished", True),
        ("dev.chainlab.step", True),
        ("ste", False),
        ("finished", False),
    ],
)
def test_an_event_is_of_its_type_and_those_above(type: str, *, expected: bool) -> None:
    assert event("a").is_of(type) == expected
