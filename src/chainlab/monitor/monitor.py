"""The monitor of a workspace: one look after another, each at what is new.

    look = world.monitor.look()
    look.notices                       # the alerts that began, were acknowledged or ended since the look before
    world.monitor.alerts()             # the open alerts, the most urgent first

A look lets the observers look that are due, asks the detections about new events, and judges the metrics by the alert
rules. What it came to is on disk: a look after a restart, or in another process, goes on there. Two processes may watch
a workspace; they take turns, and each is told of every alert.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Generic, TypeVar

from filelock import FileLock, Timeout

from chainlab.clock import rfc3339
from chainlab.database import connect
from chainlab.display import Cell, Display, Mark, Shown
from chainlab.errors import ChainlabError, InUse
from chainlab.events import Event, Events
from chainlab.monitor.alerts.alert import AlertList, Notice, Signal
from chainlab.monitor.alerts.alert_book import STATE, AlertBook
from chainlab.monitor.alerts.webhook import Webhook
from chainlab.monitor.detections import Detection, Detections, load_detections
from chainlab.monitor.event_memory import EventMemory
from chainlab.monitor.matching import Match, find_matches
from chainlab.monitor.metrics.alert_rules import ActiveAlert, AlertEvaluation, load_alert_rules
from chainlab.monitor.metrics.exposition import Metrics
from chainlab.monitor.metrics.scrapes import JOB, Scrapes, read_exposition
from chainlab.monitor.metrics.series import Labels, labels
from chainlab.monitor.observers import Observer
from chainlab.monitor.schedule import MONITOR, Schedule

__all__ = ["Monitor", "MonitorLook"]

T = TypeVar("T")
PATIENCE: Final = 60  # seconds to wait for another process's look
STEP: Final = 256  # events that are read at first to find where the longest window began
HYGIENE: Final = ("none: hygiene",)
NOT_ASKED: Final = "DetectionNotAsked"  # alerts about the monitor's own rules
BROKEN: Final = "RuleFileBroken"
FAILING: Final = "AlertRuleFailing"
REWRITTEN: Final = "EventLogRewritten"
CHAIN: Final = "EventLogBroken"
EVENTS: Final = "events"  # the name under which the check of the chain is noted
CHAIN_S: Final = 300.0  # seconds between two checks of the whole chain


@dataclass(frozen=True, repr=False)
class MonitorLook(Shown):
    """What came of one look."""

    notices: tuple[Notice, ...]  # changes of alerts since the look before
    events: int  # that the detections looked at for the first time
    problems: tuple[str, ...]  # what could not be looked at, and why

    def _display(self) -> Display:
        """Show each change, then each problem."""
        rows: list[tuple[Cell, ...]]
        rows = [(n.state, n.alert.level, n.alert.name, n.alert.subject, n.alert.response) for n in self.notices]
        rows += [(Mark("failed", "not looked at"), "", "", "", problem) for problem in self.problems]
        columns = ("what", "level", "rule", "about", "first thing to do")
        new = sum(notice.state == "firing" for notice in self.notices)
        result = Mark("failed", f"{new} new") if new else Mark("passed", "nothing new")
        return Display(f"a look at {self.events} new events", columns, rows, result)


class Monitor:
    """The monitor of one workspace; safe to use from several threads.

    ``observers`` and ``scrape`` are called at the first look; ``scrape`` returns the text of `/metrics`.
    """

    def __init__(
        self,
        folder: Path,
        database_path: Path,
        *,
        detections: Sequence[Path],
        alert_rules: Sequence[Path],
        observers: Callable[[], Sequence[Observer]],
        scrape: Callable[[], str],
    ) -> None:
        self._folder = folder
        self._database = database_path
        self._detections = _Loaded(load_detections, detections)
        self._alert_rules = _Loaded(load_alert_rules, alert_rules)
        self._make_observers = observers
        self._observers: Sequence[Observer] | None = None
        self._scrape = scrape
        self._guard = threading.Lock()
        self._webhook: Webhook | None = None
        state = folder / STATE
        with contextlib.ExitStack() as undo:  # in reverse, as far as it came
            self.book = undo.enter_context(AlertBook.of(folder, database_path))
            self._schedule = undo.enter_context(Schedule(state))
            self._memory = undo.enter_context(EventMemory(state, database_path))
            self._scrapes = undo.enter_context(Scrapes(state))
            self.metrics = Metrics(database_path, self.book, self._schedule)
            self._undo = undo.pop_all()
        self._seen = self.book.last_notice

    def alerts(self, *, resolved: bool = False) -> AlertList:
        """List the open alerts, or with ``resolved`` all of them, the most urgent first."""
        return self.book.alerts(resolved=resolved)

    @property
    def last_look(self) -> float | None:
        """When some process looked last, seconds since 1970; None before the first look."""
        return next((look.looked for look in self._schedule.looks() if look.name == MONITOR), None)

    def notify(self, url: str, *, link: Callable[[], str]) -> None:
        """Post alerts to a webhook on this machine from the next look on. Raises `MalformedInput` for another host."""
        self._webhook = Webhook(url, self.book, link=link)

    def look(self) -> MonitorLook:
        """Look once at everything that is due; returns what is new since the look before.

        What cannot be looked at is a problem of the look, and the rest goes on. Raises `InUse` when another process's
        look does not end.
        """
        with self._guard, self._locked():
            problems = list(self._observe())
            rewritten = self._compare_events()
            events, unasked = self._detect()
            if not rewritten and events:
                self._memory.remember(self.book.cursor())
            self._schedule.note(MONITOR)
            problems += [*unasked, *self._judge()]
            if self._webhook is not None:
                with _reported(problems):
                    self._webhook.deliver()
            notices = tuple(self.book.notices(after=self._seen))
            self._seen = max((notice.number for notice in notices), default=self._seen)
        return MonitorLook(notices, events, tuple(problems))

    def close(self) -> None:
        """Close the state."""
        self._undo.close()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with FileLock(self._folder / "look.lock", timeout=PATIENCE, mode=0o600):
                yield
        except Timeout as error:
            raise InUse(
                "another process looks at this workspace", hint="end the other `chainlab monitor run`"
            ) from error

    # -- observers

    def _observe(self) -> Iterator[str]:
        """Let each observer look that is due; yield why one could not."""
        if self._observers is None:
            self._observers = self._make_observers()
        for observer in self._observers:
            if not self._schedule.is_due(observer.name, observer.every_s):
                continue
            problems: list[str] = []
            with _reported(problems):
                observer.observe()
            self._schedule.note(observer.name, problems[0] if problems else None)
            yield from (f"{observer.name}: {problem}" for problem in problems)

    # -- detections

    def _compare_events(self) -> bool:
        """Compare the event log with what was seen of it, and now and then check its chain; true when it differs."""
        found = {REWRITTEN: self._memory.rewritten()}
        if self._schedule.is_due(EVENTS, CHAIN_S):
            found[CHAIN] = self._memory.broken()
            self._schedule.note(EVENTS)
        now = self.book.now()
        response = (
            "Copy the state of the services before anything else; then compare its events with a copy from before."
        )
        signals = [
            Signal(name, "critical", "event log", problem, response, HYGIENE, now, now)
            for name, problem in found.items()
            if problem
        ]
        self.book.settle(found, signals)
        return bool(found[REWRITTEN])

    def _detect(self) -> tuple[int, list[str]]:
        """Ask the detections about new events; returns their number, and why a rule could not be asked."""
        cursor = self.book.cursor()
        loaded = self._detections()
        self._report_mistakes(loaded)
        with contextlib.closing(connect(self._database)) as connection:
            events = _with_window(Events(connection), cursor, loaded.window_s)
        new = [event.sequence for event in events if event.sequence > cursor]
        if not new:
            return 0, []
        matches = find_matches(loaded, events, after=cursor)
        rules = {rule.name: rule for rule in loaded}
        times = {event.sequence: event.scenario_time or event.time for event in events}
        signals = [_signal(rules[match.rule], match, times) for match in matches]
        for name, why in matches.failed.items():
            summary = f"{name} was not asked about events {new[0]} to {new[-1]}: {why}"
            ends = tuple(dict.fromkeys((new[0], new[-1])))
            response = f"Look at these events yourself, and mend or simplify {rules[name].path.name}."
            moments = times[new[0]], times[new[-1]]
            signals.append(Signal(NOT_ASKED, "medium", name, summary, response, HYGIENE, *moments, ends))
        self.book.record(signals, until=new[-1])
        return len(new), [f"detection {name}: {why}" for name, why in matches.failed.items()]

    def _report_mistakes(self, loaded: Detections) -> None:
        now = self.book.now()
        broken: dict[str, Signal] = {}
        for mistake in loaded.mistakes:
            summary = f"{mistake.path.name} line {mistake.line}: {mistake.message}; the rule is not asked"
            signal = Signal(BROKEN, "low", mistake.path.name, summary, f"{mistake.hint}.", HYGIENE, now, now)
            broken.setdefault(mistake.path.name, signal)
        self.book.settle({BROKEN}, broken.values())

    # -- metrics

    def _judge(self) -> Iterator[str]:
        """Scrape the metrics and evaluate the alert rules; yield why that could not be done."""
        now = time.time()
        samples: dict[Labels, float] = {}
        problems: list[str] = []
        with _reported(problems):
            samples = read_exposition(self._scrape())
        samples[labels("up", job=JOB)] = float(not problems)
        loaded = self._alert_rules()
        evaluation = AlertEvaluation(loaded.rules, self._scrapes.pending(now))
        self._scrapes.add(now, samples)
        series = self._scrapes.series(now)
        active = evaluation.step(series, now)
        self._scrapes.keep_pending(evaluation.since)
        firing = [self._metric_signal(alert) for alert in active if alert.firing]
        text = self.book.now()
        firing += [
            Signal(FAILING, "medium", name, f"{name}: {why}", "Mend the rule's query.", HYGIENE, text, text)
            for name, why in evaluation.problems.items()
        ]
        self.book.settle({rule.name for rule in loaded.rules} | {FAILING}, firing)
        yield from (f"metrics: {problem}" for problem in problems)
        yield from (f"alert rules: {mistake.message}" for mistake in loaded.mistakes)

    def _metric_signal(self, alert: ActiveAlert) -> Signal:
        now = self.book.now()
        since = rfc3339(datetime.fromtimestamp(alert.since, UTC))
        technique = (alert.annotation("technique"),) if alert.annotation("technique") else HYGIENE
        summary, response = alert.annotation("summary"), alert.annotation("response")
        return Signal(
            alert.rule.name, alert.rule.level, alert.subject, summary, response, technique, min(since, now), now
        )


class _Loaded(Generic[T]):
    """What a function reads from folders; read anew only when a file has changed."""

    def __init__(self, load: Callable[..., T], folders: Sequence[Path]) -> None:
        self._load = load
        self._folders = folders
        self._value: tuple[list[tuple[Path, int, int]], T] | None = None

    def __call__(self) -> T:
        paths = [path for folder in self._folders for path in sorted(folder.glob("*"))]
        state = [(path, (status := path.stat()).st_mtime_ns, status.st_size) for path in paths]
        if self._value is None or self._value[0] != state:
            self._value = state, self._load(*self._folders)
        return self._value[1]


@contextlib.contextmanager
def _reported(problems: list[str]) -> Iterator[None]:
    """Add to ``problems`` why the block failed; the look goes on."""
    try:
        yield
    except ChainlabError as error:
        problems.append(": ".join(filter(None, (error.message, error.why))))
    except (OSError, sqlite3.Error) as error:
        problems.append(str(error) or type(error).__name__)


def _with_window(events: Events, cursor: int, window_s: int) -> list[Event]:
    """Return the events after ``cursor``, and those that a window of that length may join with them."""
    new = list(events.read(after=cursor))
    if not new or not window_s or not cursor:
        return new
    begin = min(_moment(event) for event in new) - window_s - 1
    step = STEP
    while step < cursor and _moment(next(events.read(after=cursor - step))) >= begin:
        step *= 2
    return list(events.read(after=max(cursor - step, 0)))


def _moment(event: Event) -> float:
    return datetime.fromisoformat(event.scenario_time or event.time).timestamp()


def _signal(rule: Detection, match: Match, times: dict[int, str]) -> Signal:
    moments = [times[sequence] for sequence in match.sequences]
    technique = rule.technique or HYGIENE
    return Signal(
        rule.name,
        rule.level,
        match.subject,
        rule.title,
        rule.response,
        technique,
        min(moments),
        max(moments),
        match.sequences,
    )
