"""Week 5: the truths of its exercises agree with the code and the programs that they are about."""

from __future__ import annotations

import contextlib
import os
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
from chainlab.course.exercises.fixtures.rollback_situations import KINDS
from chainlab.course.exercises.week5 import ex7_rollback

UNIT = "05_monitoring"

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
