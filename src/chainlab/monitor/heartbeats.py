"""Heartbeats: the monitor asks gate, index, log and service whether they still answer.

    >>> Heartbeats(database, trust, gate=lambda: world.gate, deployment=lambda: world.deployment).observe()

What is silent reports nothing, so its silence has to be written by somebody else. Each look is an event
``monitor.heartbeat`` for each part, with the seconds since its last answer. A service that was never deployed is not
asked.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

from chainlab.clock import rfc3339, utc_now
from chainlab.database import connect
from chainlab.deploy import prediction_service
from chainlab.deploy.deployment import Deployment
from chainlab.errors import ChainlabError
from chainlab.events import PREFIX, Events
from chainlab.monitor.observers import report
from chainlab.policy.gate import Gate
from chainlab.policy.rego import rego_client
from chainlab.trust.client import Trust

__all__ = ["Heartbeats"]

HEARTBEAT = "monitor.heartbeat"
PATIENCE = 5  # seconds that a part has to answer
MAX_ANSWER = 2**22  # bytes


class Heartbeats:
    """Asks each part once a look. ``gate`` and ``deployment`` are opened when they are asked."""

    name = "heartbeats"
    every_s = 60.0

    def __init__(
        self, database: Path, trust: Trust, *, gate: Callable[[], Gate], deployment: Callable[[], Deployment]
    ) -> None:
        self._database = database
        self._trust = trust
        self._gate = gate
        self._deployment = deployment

    def observe(self) -> None:
        """Ask every part, and report each answer or its absence."""
        questions: dict[str, Callable[[], bool]] = {
            "gate": self._gate_answers,
            "index": lambda: self._serves("/simple/"),
            "log": lambda: self._serves("/api/v2/checkpoint"),
        }
        service = self._deployment().current
        if service is not None:
            questions["service"] = lambda: prediction_service.model_served(service.service) == service.service.model
        last = self._last_answers()
        for part, question in questions.items():
            began = time.monotonic()
            try:
                answered = question()
            except (ChainlabError, OSError, ValueError):  # whatever is wrong with it: it gave no answer to use
                answered = False
            facts = {
                "answered": answered,
                "seconds": round(time.monotonic() - began, 3),
                "silent_s": 0 if answered else self._silence(last.get(part)),
            }
            report(self._database, HEARTBEAT, part, facts)

    def _gate_answers(self) -> bool:
        """Whether the rules of the policy answer: about no facts at all, each must refuse rather than be silent."""
        policy = self._gate().policy()
        return set(policy.rules) <= rego_client.ask(policy, {}).keys()

    def _serves(self, path: str) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self._trust.url}{path}", timeout=PATIENCE) as answer:
            return answer.status == 200 and bool(answer.read(MAX_ANSWER))

    def _last_answers(self) -> Mapping[str, str]:
        """Map each part to the time of its last answer; of one that never answered, that of the first question."""
        times: dict[str, str] = {}
        with closing(connect(self._database)) as connection:
            for event in Events(connection).read(PREFIX + HEARTBEAT):
                if event.data["answered"] or event.subject not in times:
                    times[event.subject] = event.scenario_time or event.time
        return times

    def _silence(self, last: str | None) -> float:
        """Seconds since a time; 0 for a part that is asked for the first time."""
        if last is None:
            return 0
        with closing(connect(self._database)) as connection:
            now = Events(connection).scenario_time or rfc3339(utc_now())
        return max(0.0, (datetime.fromisoformat(now) - datetime.fromisoformat(last)).total_seconds())
