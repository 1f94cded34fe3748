"""Runtime: what the running service does, compared with its attested behaviour.

    RuntimeObserver(deployment, policy=gate.policy, database=workspace.trust / "state.db").observe()

The service runs under an audit hook (`deploy.audit_hook`), which reports process starts, connections, files and code.
The attested behaviour of a release is

- reading and running its own files: the deployment compared each of them with wheels that the gate's facts name by
  digest, and wrote them down before the first start
- reading its model, which is signed
- whatever ``[behaviour]`` of the policy allows; the gate signed the policy's digest into the release's summary

Anything else is unexpected. Each distinct action, target and phase becomes one event ``service.behaved``. A report that
is missing, was rewritten or has lines that no hook writes is unexpected, too.

The hook detects and does not confine: a service that means harm can hide from it. No report is no proof.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from chainlab.deploy.admission import pinned
from chainlab.deploy.deployment import Deployed, Deployment
from chainlab.deploy.prediction_service import BEHAVIOUR
from chainlab.errors import Unavailable
from chainlab.monitor.observers import report
from chainlab.policy.policy import Behaviour, Policy
from chainlab.storage import write_whole

__all__ = ["ReportedAction", "RuntimeObserver", "attested", "read_report"]

MAX_REPORT = 2**23  # bytes; a hook writes less
MAX_EVENTS = 100  # events of one look and one kind of action; further ones are counted in one event
ACTIONS = {"process": "processes", "connect": "connects", "read": "reads", "write": "writes", "code": "code"}
ACTIONS |= {"load": "loads"}  # the policy's names
PHASES = ("startup", "load", "serving")


@dataclass(frozen=True)
class ReportedAction:
    """One line of a report: what the service did, to what, and in which phase."""

    action: str
    target: str
    phase: str
    expected: bool


class RuntimeObserver:
    """Reads the running service's report and appends an event for each new line."""

    name = "runtime"
    every_s = 5.0

    def __init__(self, deployment: Deployment, *, policy: Callable[[], Policy], database: Path) -> None:
        self._deployment = deployment
        self._policy = policy
        self._database = database
        self._position = deployment.directory / "behaviour.json"  # what became events already

    def observe(self) -> None:
        """Append what the running service did since the last look; nothing when none runs."""
        current = self._deployment.current
        if current is None:
            return
        actions = list(read_report(self._deployment.folder(current) / BEHAVIOUR, self._policy().read.behaviour))
        if self._deployment.current != current:
            return  # its folder may be gone; the next look is at the release that runs now
        before = self._read_position(current.service.folder)
        if [asdict(each) for each in actions[: len(before)]] == before:
            self._append(current, actions[len(before) :])
        else:
            self._append(current, [_tampered("the hook's report was rewritten"), *actions])
        position = {"folder": current.service.folder, "actions": [asdict(each) for each in actions]}
        write_whole(self._position, json.dumps(position) + "\n")

    def _append(self, current: Deployed, actions: list[ReportedAction]) -> None:
        counts: Counter[str] = Counter()
        for each in actions:
            counts[each.action] += 1
            if counts[each.action] <= MAX_EVENTS:
                self._report(current, each)
        for action, count in counts.items():
            if count > MAX_EVENTS:
                text = f"{count - MAX_EVENTS} more; the report in the release's folder lists them"
                self._report(current, ReportedAction(action, text, "serving", False))

    def _report(self, current: Deployed, each: ReportedAction) -> None:
        facts = {"action": each.action, "target": each.target, "expected": each.expected, "phase": each.phase}
        subject = str(pinned(current.reference)[1])
        report(self._database, "service.behaved", subject, {"reference": current.reference, **facts})

    def _read_position(self, folder: str) -> list[Any]:
        """Return the actions of this installation that became events already."""
        try:
            position = json.loads(self._position.read_text(encoding="utf-8"))
            return list(position["actions"]) if position["folder"] == folder else []
        except (OSError, ValueError, KeyError, TypeError):
            return []  # everything is new: an event twice is better than none


def read_report(path: Path, behaviour: Behaviour) -> Iterator[ReportedAction]:
    """Yield the actions of a hook's report, each compared with the attested behaviour.

    Lines that no hook writes are actions, too: unexpected ones. Raises `Unavailable` when the report cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_REPORT + 1)
    except FileNotFoundError:
        yield _tampered("the hook's report is gone")
        return
    except OSError as error:
        raise Unavailable("the service's report cannot be read", why=str(error)) from error
    lines = data[:MAX_REPORT].splitlines(keepends=True)
    if not lines or "hook" not in _entry(lines[0]):
        yield _tampered("the report does not begin as a hook's")
    listens = 0
    for line in lines:
        entry = _entry(line)
        if "hook" in entry:
            listens = 0  # the service was started again
            continue
        values = (entry.get("action"), entry.get("target"), entry.get("phase"))
        action, target, phase = (value if isinstance(value, str) else "" for value in values)
        if phase not in PHASES or (action != "listen" and action not in ACTIONS):
            if line.endswith(b"\n"):  # else the hook still writes it
                yield _tampered("a line in the report that no hook writes")
            continue
        listens += action == "listen"
        yield ReportedAction(action, target, phase, attested(action, target, behaviour, listens=listens))
    if len(data) > MAX_REPORT:
        yield _tampered("the report is longer than a hook writes")


def attested(action: str, target: str, behaviour: Behaviour, *, listens: int = 1) -> bool:
    """Whether the attested behaviour includes an action; ``listens`` counts the sockets so far, this one included."""
    if action == "listen":
        return _is_loopback(target) and listens <= behaviour.listens
    patterns: tuple[str, ...] = getattr(behaviour, ACTIONS[action])
    return any(fnmatchcase(target, pattern) for pattern in patterns)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.rpartition(":")[0]).is_loopback
    except ValueError:  # a name, or the path of a socket
        return False


def _tampered(what: str) -> ReportedAction:
    return ReportedAction("write", what, "serving", False)


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}
