"""Cases for exercise 5.5: which audit events does a report name, and which acts does no hook hear of?

Each case is a program that was really run, with its audit events (`fixtures.audited_programs`). It behaves honestly,
and does an act beside that which the attested behaviour does not include.
"""

from __future__ import annotations

import functools
import json
import random
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.audited_programs import HONEST, WAYS, Act, record

__all__ = ["WAYS", "Watched", "cases", "heard_by", "sample"]

SEE = "labs/05_monitoring.ipynb, 'A hook inside the process'"
TEACHES = {
    "a process": "The honest program starts Python, reads its own files and one through `..`, and writes a file that "
    "it never reads. None of that is an alarm; a start of any other program is.",
    "a process, another way": "Four events stand for a start: subprocess.Popen, os.posix_spawn, os.system and os.exec. "
    "A rule about the first has three doors beside it.",
    "a process, by a shell": "os.system has the whole command in its first argument. A shell runs whatever stands "
    "there, so no command is expected.",
    "a connection": "The expected address is host *and* port. Everything on this machine has the host 127.0.0.1.",
    "a datagram": "A datagram needs no connection, so socket.connect is never raised: socket.sendto is. The payload of "
    "torchtriton left as DNS queries, which are datagrams [V: PyTorch, 2022-12-31].",
    "a read": "An `open` for reading outside the expected folders.",
    "a read, below open()": "os.open gives no mode: the event's second argument is None. The flags are always there.",
    "a read beside the folder": "`app-old` begins with `app` and is another folder. Compare paths, not their text.",
    "a read through the folder": "The text begins with an expected folder and then leads out of it. Resolve `..` "
    "before you compare.",
    "a read and a write": "A file opened for reading and writing can be read: only O_WRONLY alone cannot.",
    "in text compiled at run time": "Whatever text becomes code, its acts go through the same functions, and they "
    "raise the same events.",
    "in a thread": "A hook is added to the interpreter: it hears of all its threads.",
    "in a fork of the process": "A fork is a copy of this process, with the hook in it.",
    "in a child program": "The hook hears of the start and of nothing that the child does: that is another process, "
    "without a hook. A hook reports what *this* interpreter is asked for. It is no sandbox.",
    "through ctypes": "The hook hears that ctypes loaded a library and looked up a name. What C code does then is a "
    "system call, and Python is not asked.",
    "inside OpenSSL": "The extension module passes the path to OpenSSL, and OpenSSL opens the file. An event is "
    "raised only where somebody wrote the line that raises it.",
    "before the hook": "What ran earlier was not heard: a `.pth` file runs while Python starts. So the launcher adds "
    "the hook first and calls `site.main()` after that.",
}

# Where an event's arguments say what it is about. Others are named by their event.
_TARGETS = {
    "subprocess.Popen": 0, "os.system": 0, "os.posix_spawn": 0, "os.exec": 0, "open": 0,
    "socket.connect": 1, "socket.sendto": 1,
}  # fmt: skip
_FAKE = "AKIAFAKEFAKEFAKEFAKE"
Report = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]
Heard = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Watched:
    """A program that was run: its text, its audit events, what was expected of it, and the act beside."""

    source: str
    events: list[list[Any]]
    expected: dict[str, Any]
    act: dict[str, Any]


def heard_by(report: Report, heard: Heard) -> Callable[..., dict[str, Any]]:
    """Make the two functions one of a recording: its alarms, and whether a hook hears of the act."""

    def run(events: list[list[Any]], expected: dict[str, Any], act: dict[str, Any]) -> dict[str, Any]:
        alarms = set()
        for event, args in events:
            kind = report(event, tuple(args), expected)
            if kind is not None:
                alarms.add(f"{kind}: {_target(event, args)}")
        return {"alarms": alarms, "heard": heard(act)}

    return run


def sample(lab: LabContext, seed: int = 1) -> Watched:
    """Run a program that reads a secret in a thread."""
    rng = random.Random(f"sample/{seed}")  # noqa: S311 (variation, not secrecy)
    return _ServiceMachine(lab.path / "hook", rng).watched("in a thread", "read")[0]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Run honest behaviour with one act beside, then acts that no hook hears of with one beside that it does."""
    machine = _ServiceMachine(lab.path / "hook", rng)
    yield machine.case("a process", "directly", "process")
    true = shutil.which("true") or "true"
    replaced = f"copy = os.fork()\nif not copy:\n    os.execv({true!r}, [{true!r}])\nos.waitpid(copy, 0)"
    yield machine.case(
        "a process, another way", "by the layer below", "process", also=replaced, alarm=f"process: {true}"
    )
    yield machine.case("a process, by a shell", "by a shell", "process")
    yield machine.case("a connection", "directly", "connect")
    yield machine.case("a datagram", "by the layer below", "connect")
    yield machine.case("a read", "directly", "read")
    yield machine.case("a read, below open()", "by the layer below", "read")
    yield machine.case("a read beside the folder", "directly", "read", SECRET=f"{machine.folder}-old/key")
    out = f"{machine.folder}/../{machine.secret.parent.name}/{machine.secret.name}"
    yield machine.case("a read through the folder", "directly", "read", SECRET=out)
    both = f"open({str(machine.secret)!r}, 'r+').close()"
    yield machine.case(
        "a read and a write", "by the layer below", "process", also=both, alarm=f"read: {machine.secret}"
    )
    for way in ("in text compiled at run time", "in a thread", "in a fork of the process"):
        yield machine.case(way, way, rng.choice(["read", "connect"]))
    for way in ("in a child program", "through ctypes"):
        yield machine.case(way, way, rng.choice(["read", "connect", "process"]), **machine.beside())
    yield machine.case("inside OpenSSL", "inside OpenSSL", "read", **machine.beside())
    yield machine.case("before the hook", "directly", rng.choice(["read", "connect"]), hooked=False, **machine.beside())


class _ServiceMachine:
    """A folder with an app, a secret beside it, ports and programs: what the recorded programs act on."""

    def __init__(self, base: Path, rng: random.Random) -> None:
        name = rng.choice(["triage", "scoring", "intake", "recall"])
        root = base / f"{rng.getrandbits(40):010x}"
        self.rng, self.folder, self.secret = rng, root / name, root / "secrets" / f"key-{rng.randrange(1000)}"
        for path in (self.folder / "model.json", self.folder / "labels.txt", self.secret, root / f"{name}-old/key"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_FAKE if path.name.startswith("key") else "{}", encoding="utf-8")
        metrics, port, other = rng.sample(range(20000, 60000), 3)
        self.names: dict[str, Any] = {
            "FOLDER": str(self.folder),
            "PYTHON": sys.executable,
            "METRICS": metrics,
            "PORT": port,
            "SECRET": str(self.secret),
            "TOUCH": shutil.which("touch") or "touch",
            "MARKER": str(self.folder / f"marker-{other}"),
        }
        self.expected = {
            "folder": str(self.folder),
            "read": [str(self.folder), sysconfig.get_path("stdlib")],
            "connect": [["127.0.0.1", metrics]],
            "process": [sys.executable],
        }

    def beside(self) -> dict[str, str]:
        """Choose one more act, which a hook hears of."""
        touch, marker = self.names["TOUCH"], self.names["MARKER"]
        return {"also": f"import os\nos.system('{touch} {marker}')", "alarm": f"process: {touch} {marker}"}

    def watched(
        self, way: str, does: str, *, hooked: bool = True, also: str = "", alarm: str = "", **names: str
    ) -> tuple[Watched, set[str]]:
        """Run the honest program with this act and ``also``; gives also the alarms that are due."""
        act = Act(does, way, self.names | names, hooked)
        before, after = ("", f"{act.source}\n") if hooked else (f"{act.source}\n", "")
        after = f"{HONEST}{after}{also}\n"
        events = _recorded(before, after, json.dumps(act.names, sort_keys=True))
        alarms = {alarm} if alarm else set()
        if act.heard:
            alarms.add(f"{does}: {_about(act)}")
        return Watched(before + after, events, self.expected, {"does": does, "way": way, "hooked": hooked}), alarms

    def case(self, name: str, way: str, does: str, **options: Any) -> Case:
        """Make the case of a program that does this act."""
        watched, alarms = self.watched(way, does, **options)
        heard = WAYS[way] and options.get("hooked", True)
        args = (watched.events, watched.expected, watched.act)
        return Case(name, args, accept=_right(alarms, heard, watched))


@functools.lru_cache(maxsize=256)
def _recorded(before: str, after: str, names: str) -> list[list[Any]]:
    """Record a program once: a check that is repeated need not run it again."""
    return record(before, after, json.loads(names))


def _about(act: Act) -> str:
    names = act.names
    if act.way == "by a shell":
        return f"{names['TOUCH']} {names['MARKER']}"
    about = {"read": names["SECRET"], "connect": f"127.0.0.1:{names['PORT']}", "process": names["TOUCH"]}
    return str(about[act.does])


def _target(event: str, args: list[Any]) -> str:
    place = _TARGETS.get(event)
    target = args[place] if place is not None and place < len(args) else event
    return ":".join(map(str, target)) if isinstance(target, list) else str(target)


def _right(due: set[str], heard: bool, watched: Watched) -> Callable[[Any], bool | Miss]:
    """Accept exactly these alarms, and the right word on whether a hook hears of the act."""

    def accept(answer: Mapping[str, Any]) -> bool | Miss:
        alarms = set(answer["alarms"])
        if missing := sorted(due - alarms):
            raised = [event for event in watched.events if _target(*event) == missing[0].partition(": ")[2]]
            event = f" on the event {raised[0][0]}" if raised else ""
            return Miss(f"no alarm '{missing[0]}'{event}")
        if surplus := sorted(alarms - due):
            return Miss(f"an alarm too many: '{surplus[0]}'")
        if answer["heard"] is not heard:
            act = f"{watched.act['does']} {watched.act['way']}" + ("" if watched.act["hooked"] else ", before the hook")
            hears = "a hook hears of it" if heard else "no event of this process says so"
            return Miss(f"the act ({act}): {hears}, and your `heard` gives {answer['heard']!r}")
        return True

    return accept
