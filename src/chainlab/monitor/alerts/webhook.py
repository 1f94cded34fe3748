"""The webhook: each alert that begins or ends is posted to an address on this machine, in Alertmanager's format.

    webhook = Webhook("http://127.0.0.1:5001/alerts", book, link=lambda: world.url + "/alerts")
    webhook.deliver()                  # posts what has not been delivered yet, the oldest first

Whatever reads Alertmanager's webhook (version 4) reads this one. The book of alerts is the queue: the number of the
last delivered notice is stored after the receiver's answer. If this process is killed in between, the notice comes
again: each is delivered at least once, and the fingerprint tells the alert.

Specification: Prometheus, "Alerting configuration", webhook_config.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from chainlab.errors import MalformedInput, Unavailable
from chainlab.monitor.alerts.alert import Alert, Notice
from chainlab.monitor.alerts.alert_book import AlertBook

__all__ = ["Webhook", "webhook_document"]

ATTEMPTS: Final = 3  # in a row
PAUSE: Final = 0.2  # seconds after the first failure; doubled after each
LONGEST_PAUSE: Final = 60.0  # seconds between two rows of attempts
PATIENCE: Final = 5.0  # seconds to wait for an answer
NEVER: Final = "0001-01-01T00:00:00Z"  # Alertmanager's end of an alert that goes on
SENT: Final = ("firing", "resolved")  # the format has no word for an acknowledgement


class Webhook:
    """One receiver of alerts. Raises `MalformedInput` for an address that is not on this machine."""

    def __init__(self, url: str, book: AlertBook, *, link: Callable[[], str]) -> None:
        self.url = url
        self._book = book
        self._link = link
        self._host, self._port, self._path = _loopback(url)
        self._reader = f"webhook {url}"
        self._failures = 0
        self._resume = 0.0  # on the monotonic clock
        if not book.cursor(self._reader):  # a new receiver: what is open, and nothing before it
            book.move(self._reader, book.before_open)

    def deliver(self) -> int:
        """Post what has not been delivered; returns how many notices.

        Raises `Unavailable` when the receiver does not take one; the rest stays in the queue, and the pause until the
        next attempt grows.
        """
        if time.monotonic() < self._resume:
            raise Unavailable(f"the webhook {self.url} is tried again in {self._resume - time.monotonic():.0f} s")
        delivered = 0
        for notice in self._book.notices(after=self._book.cursor(self._reader)):
            if notice.state in SENT:
                self._post(json.dumps(webhook_document(notice, self._link())).encode())
                delivered += 1
            self._book.move(self._reader, notice.number)
        return delivered

    def _post(self, body: bytes) -> None:
        pause, problem = PAUSE, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(pause)
                pause *= 2
            problem = self._attempt(body)
            if not problem:
                self._failures = 0
                return
        self._failures += 1
        self._resume = time.monotonic() + min(2.0**self._failures, LONGEST_PAUSE)
        raise Unavailable(
            f"the webhook {self.url} does not take alerts",
            why=problem,
            hint="the alerts wait on disk and are delivered when it does; until then read them on the page /alerts",
        )

    def _attempt(self, body: bytes) -> str:
        """Post once; returns what went wrong, nothing when the receiver took it. Redirects are not followed."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE)
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return str(error) or type(error).__name__
        finally:
            connection.close()
        return "" if 200 <= status < 300 else f"it answered with HTTP status {status}"


def webhook_document(notice: Notice, link: str) -> dict[str, Any]:
    """Return a notice in the format of Alertmanager's webhook, version 4: a group of one alert."""
    alert = notice.alert
    group = {"alertname": alert.name, "subject": alert.subject}
    named = group | {"severity": alert.level}
    annotations = {
        "summary": alert.summary,
        "response": alert.response,
        "technique": ", ".join(alert.technique),
    }
    return {
        "version": "4",
        "groupKey": f"{{}}:{json.dumps(group)}",
        "truncatedAlerts": 0,
        "status": notice.state,
        "receiver": "chainlab",
        "groupLabels": group,
        "commonLabels": named,
        "commonAnnotations": annotations,
        "externalURL": link,
        "alerts": [
            {
                "status": notice.state,
                "labels": named,
                "annotations": annotations,
                "startsAt": alert.first,
                "endsAt": notice.time if notice.state == "resolved" else NEVER,
                "generatorURL": f"{link}#alert-{alert.id}",
                "fingerprint": _fingerprint(alert),
            }
        ],
    }


def _fingerprint(alert: Alert) -> str:
    """Return 16 hex digits that are the same for every notice of an alert, and differ between alerts."""
    return hashlib.sha256(f"{alert.id}\n{alert.name}\n{alert.subject}".encode()).hexdigest()[:16]


def _loopback(url: str) -> tuple[str, int, str]:
    """Return host, port and path. Raises `MalformedInput` for everything but http on this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback or parts.scheme != "http" or parts.username is not None or not url.isprintable():
        raise MalformedInput(
            f"not an address of this machine: {url!r}",
            why="alerts name artifacts, people and weaknesses, and this course sends nothing to other machines",
            hint="use http://127.0.0.1:PORT/PATH; a program that listens there may pass alerts on",
        )
    return host, port, f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
