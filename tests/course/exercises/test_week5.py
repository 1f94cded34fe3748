"""Week 5: the truths of its exercises agree with the code and the programs that they are about."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solved_labs import SolvedLab, refused_at

from chainlab.course.exercises.fixtures.audited_programs import HONEST, WAYS, Act, record
from chainlab.course.exercises.fixtures.observed_logs import ObservedLog, ObserversBoard, signed_by
from chainlab.course.exercises.fixtures.rollback_situations import KINDS
from chainlab.course.exercises.fixtures.scenario_events import SCENARIOS
from chainlab.course.exercises.week5 import (
    ex1_coverage,
    ex2_detection,
    ex3_bursts,
    ex4_forked_log,
    ex6_alert_rule,
    ex7_rollback,
)
from chainlab.errors import MalformedInput
from chainlab.event_types import COMMON, EVENT_TYPES
from chainlab.events import PREFIX, Event
from chainlab.monitor.detections import load_detections
from chainlab.monitor.matching import find_matches
from chainlab.monitor.measurement import Rate, RuleMeasurement
from chainlab.trust.merkle import verify_consistency

UNIT = "05_monitoring"
ROOT = Path(__file__).parents[3]


def test_events_of_scenarios_have_the_fields_of_their_types_and_each_scenario_has_signs_and_a_twin() -> None:
    names = set()
    for case in ex1_coverage.cases(None, random.Random(3)):  # type: ignore[arg-type]
        names.add(case.name)
        for event in case.args[0]:
            assert event.keys() == COMMON.keys() | EVENT_TYPES[event["type"]].fields.keys()
    assert {*SCENARIOS, *ex1_coverage.TWINS.values()} <= names


def test_coverage_counts_signs_and_honest_events_apart(solved: Any) -> None:
    for scenario, row in ex1_coverage.coverage(solved.space["sign"]).items():
        matched, _, signs = row["signs"].partition(" of ")
        assert (matched, row["false"]) == (signs, 0), scenario
    every_event = ex1_coverage.coverage(lambda event, internal: "tag-hijack")["tag-hijack"]
    assert every_event["false"] > 20


def test_the_precision_of_exercise_5_2_is_the_one_that_the_monitor_prints(solved: Any) -> None:
    [rule] = load_detections(ROOT / "data/detections").named("tag_moved")
    for detected, attacks, false_alarms, units in ((17, 25, 4, 4000), (25, 25, 0, 400), (0, 12, 3, 900)):
        printed = RuleMeasurement(rule, Rate(detected, attacks), Rate(false_alarms, units), (), None)
        for each in printed.precisions:
            low, best, high = solved.space["worth"](detected, attacks, false_alarms, units, each.base_rate)
            assert (low, high) == pytest.approx((each.low, each.high))
            assert best == (None if each.value is None else pytest.approx(each.value))


def test_at_home_a_clause_costs_nothing_that_fails_elsewhere(solved: Any) -> None:
    """So held-out histories are needed, and `honest work it has not seen` teaches what its text says."""
    rule = solved.space["rule"]()
    careless = rule.replace("lost: {attestation_lost: true}", "lost: {attested: false, project|contains: '-'}")
    home, tempted = ex2_detection.try_rule(rule), ex2_detection.try_rule(careless)
    assert tempted["false alarms"] == home["false alarms"]
    assert tempted["recall"] >= home["recall"]


@pytest.mark.parametrize("words", ["not yaml: [", "title: a title alone", "a text"])
def test_a_rule_with_a_mistake_is_an_error_with_its_line(words: str) -> None:
    with pytest.raises(MalformedInput, match=r"stolen_publication.yml line \d+"):
        ex2_detection.try_rule(words)


@pytest.mark.parametrize("seed", range(6))
def test_the_engine_s_correlation_finds_the_bursts_of_exercise_5_3(seed: int) -> None:
    rule = load_detections(ROOT / "data/detections").named("many_tags_moved")
    compared = 0
    for case in ex3_bursts.cases(None, random.Random(seed)):  # type: ignore[arg-type]
        events, least, window_s = case.args
        if (least, window_s) != (5, 600) or not events:
            continue
        rows = [
            Event(e["sequence"], PREFIX + e["type"], "/ci/git", e["subject"], e["time"], {**e, "time": None})
            for e in events
        ]
        assert case.accept is not None
        bursts = [list(match.sequences) for match in find_matches(rule, rows)]
        assert case.accept(bursts), (case.name, case.accept(bursts))
        compared += 1
    assert compared >= 15


def test_a_note_holds_as_it_was_signed_and_for_its_own_origin() -> None:
    log = ObservedLog("log.example.com", random.Random(1))
    log.grow(9)
    note, signed = log.checkpoint(9)["note"], signed_by(log)
    assert signed(note)
    assert not signed(note.replace("\n9\n", "\n8\n"))
    assert not signed(note.replace("log.example.com", "log.example.org"))
    assert not signed(note.partition("\n\n")[0])
    assert not signed_by(ObservedLog("log.example.com", random.Random(2)))(note)


@pytest.mark.parametrize("seed", range(4))
def test_every_consistency_proof_of_exercise_5_4_holds_or_its_case_is_about_one_that_does_not(
    lab: Any, seed: int
) -> None:
    for case in ex4_forked_log.cases(lab, random.Random(seed)):
        checkpoints, proofs, signed = case.args
        failing = 0
        for proof in (proof for proof in proofs if "first" in proof):
            numbers = (proof["first"], proof["size"], proof["first_root"], proof["root"], proof["hashes"])
            failing += not verify_consistency(*numbers)
        assert failing == (2 if case.name == "a fork that nobody can prove yet" else 0), case.name
        unsigned = sum(not signed(checkpoint["note"]) for checkpoint in checkpoints)
        assert unsigned == (2 if case.name == "a checkpoint that the log did not sign" else 0), case.name


def test_a_board_keeps_its_pairs_when_it_is_shuffled() -> None:
    board = ObserversBoard(random.Random(4))
    board.two_roots()
    log = board.log(7)
    board.keep(log.checkpoint(7))
    checkpoints, _, [(one, other)] = board.shuffled()
    assert checkpoints[one]["size"] == checkpoints[other]["size"]
    assert checkpoints[one]["root"] != checkpoints[other]["root"]


ACTS = [(does, way) for way in WAYS for does in ("read", "connect", "process")]
ACTS = [
    (does, way)
    for does, way in ACTS
    if (way != "by a shell" or does == "process") and (way != "inside OpenSSL" or does == "read")
]


class Effects:
    """What acts can reach: a pipe in place of a secret, a port and a marker; says afterwards what was reached."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fifo, self.marker = folder / "app", folder / "secret", folder / "app/marker"
        self.folder.mkdir()
        for name in ("model.json", "labels.txt"):
            (self.folder / name).write_text("{}")
        os.mkfifo(self.fifo)
        self.tcp, self.udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        self.tcp.bind(("127.0.0.1", 0))
        self.tcp.listen()
        self.udp.bind(self.tcp.getsockname())
        self.names = {
            "FOLDER": str(self.folder),
            "PYTHON": sys.executable,
            "METRICS": 9,
            "PORT": self.tcp.getsockname()[1],
            "SECRET": str(self.fifo),
            "TOUCH": shutil.which("touch") or "",
            "MARKER": str(self.marker),
        }
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def _write(self) -> None:
        with contextlib.suppress(BrokenPipeError), self.fifo.open("w") as pipe:  # waits until somebody reads
            pipe.write("FAKE")

    def reached(self, does: str) -> bool:
        """Say whether an act of this kind really happened."""
        if does == "process":
            return self.marker.exists()
        if does == "read":
            self._writer.join(2)
            return not self._writer.is_alive()
        for plug in (self.tcp, self.udp):
            plug.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if plug is self.udp:
                    return plug.recv(9) == b"hello"
                plug.accept()[0].close()
                return True
        return False

    def close(self) -> None:
        """Let the waiting writer end, and close the ports."""
        with contextlib.suppress(OSError):
            os.close(os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK))
        self.tcp.close()
        self.udp.close()


@pytest.fixture
def effects(tmp_path: Path) -> Iterator[Effects]:
    there = Effects(tmp_path)
    yield there
    there.close()


def about(effects: Effects, events: list[list[Any]]) -> list[str]:
    """Name the events that say what the act was about."""
    names = effects.names
    address = ["127.0.0.1", names["PORT"]]
    starts = ("subprocess.Popen", "os.posix_spawn", "os.system")
    return [
        event
        for event, args in events
        if (event == "open" and args[0] == names["SECRET"])
        or (event in ("socket.connect", "socket.sendto") and args[1] == address)
        or (event in starts and str(args[0]).startswith(names["TOUCH"]))
    ]


@pytest.mark.parametrize(("does", "way"), ACTS)
def test_each_act_happens_and_a_hook_hears_of_it_where_the_exercise_says_so(
    effects: Effects, does: str, way: str
) -> None:
    act = Act(does, way, effects.names)
    events = record("", HONEST + act.source, effects.names)
    assert effects.reached(does)
    assert bool(about(effects, events)) is act.heard is WAYS[way]


@pytest.mark.parametrize("does", ["read", "connect", "process"])
def test_what_ran_before_the_hook_happened_and_was_not_heard(effects: Effects, does: str) -> None:
    act = Act(does, "directly", effects.names, hooked=False)
    events = record(act.source, HONEST, effects.names)
    assert effects.reached(does)
    assert not about(effects, events)
    assert not act.heard


@pytest.mark.parametrize("query", ["up == 7", "up >= 0", "absent(up)"], ids=str)
def test_rules_that_do_not_look_are_right_nowhere(lab: Any, query: str) -> None:
    rule = "{{alert: {}, expr: '{}', labels: {{severity: low}}, annotations: {{summary: s, response: r}}}}"
    text = f"groups: [{{name: g, rules: [{rule.format('GateFailing', query)}, {rule.format('NoData', query)}]}}]"
    answer = ex6_alert_rule.evaluated(lambda: text)
    for case in ex6_alert_rule.cases(lab, random.Random(4)):
        assert case.accept is not None
        assert not case.accept(answer(*case.args)), case.name


def returns_to_the_one_before(look: dict[str, Any]) -> list[tuple[str, ...]]:
    """Do everything at every look, whatever it shows."""
    cause = str(look["verdicts"][look["runs"]]["cause"])
    return [("report", cause), *(("keep", name) for name in look["evidence"]), ("deploy", look["history"][-2])]


def test_a_plan_that_does_not_look_scores_nothing(solved: SolvedLab) -> None:
    for plan in (lambda look: [], returns_to_the_one_before, lambda look: [("stop",)]):
        assert ex7_rollback.score(plan).value == 0
    for seed in range(12):
        reached = ex7_rollback.score(solved.space["plan"], seed)
        assert reached.value == 1, reached.missed


def test_every_kind_of_situation_teaches_something() -> None:
    assert set(KINDS) == {kind for kinds in ex7_rollback.GROUPS.values() for kind in kinds}


# A change to the solution that is plausible and wrong: exercise, the case that refuses it, the text and its change.
HALF_RIGHT = {
    "forgets one event of a start": ("5.5", "a process, another way", (', "os.exec"', "")),
    "knows connections and no datagrams": (
        "5.5",
        "a datagram",
        ('("socket.connect", "socket.sendto")', '("socket.connect",)'),
    ),
    "asks for read-only": ("5.5", "a read and a write", ("!= os.O_WRONLY", "== os.O_RDONLY")),
    "leaves .. in": ("5.5", "a read through the folder", ("os.path.normpath(", "(")),
    "believes that ctypes is heard": ("5.5", "through ctypes", ('"through ctypes", ', "")),
    "believes that an extension module is heard": ("5.5", "inside OpenSSL", (', "inside OpenSSL"', "")),
    "forgets what ran before": ("5.5", "before the hook", ('act["hooked"] and ', "")),
    "restarts call a person": ("5.6", "a restart", ("for: 2m", "for: 1m")),
    "waits longer than five minutes": ("5.6", "an exporter that is down", ("for: 2m", "for: 6m")),
    "counts over half an hour": ("5.6", "failures that end", ("[10m]", "[30m]")),
    "asks for the gate alone": ("5.6", "one of two is gone", (' or absent(up{job="service"})', "")),
    "calls for two failures": ("5.6", "failures that trickle", ("> 3", "> 1.5")),
    "has no patience": (
        "5.7",
        "a gate that does not answer",
        ('verdict["verified"] is None and look["silent_s"] < policy["patience_s"]', "False"),
    ),
    "never tells of a silent gate": (
        "5.7",
        "a gate that does not answer",
        (' and look["silent_s"] < policy["patience_s"]', ""),
    ),
    "goes back as far as it can": ("5.7", "it does not verify any more", ("good[-1]", "good[0]")),
    "stops whatever the policy says": ("5.7", "nothing to go back to", ('policy["without"] == "run on"', "False")),
    "deploys, then keeps": (
        "5.7",
        "it does not verify any more",
        (
            'return [*steps, ("deploy", good[-1]) if good else ("stop",)]',
            'return [("deploy", good[-1]) if good else ("stop",), *steps]',
        ),
    ),
}


@pytest.mark.parametrize("name", HALF_RIGHT)
def test_a_half_right_answer_is_refused_by_the_case_that_teaches_it(solved: SolvedLab, name: str) -> None:
    exercise, case, change = HALF_RIGHT[name]
    assert refused_at(solved, exercise, change) == case
