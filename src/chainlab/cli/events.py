"""``chainlab events``: what happened in the workspace, as the services reported it."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from chainlab.cli.terminal import echo
from chainlab.errors import MalformedInput, Unavailable

if TYPE_CHECKING:
    from chainlab.events import Event

__all__ = ["commands"]

PAUSE = 0.5  # seconds between two looks at the log, with --follow
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
SPAN = re.compile(r"(\d{1,6})([smhd])", re.ASCII)


@click.command(
    short_help="Show what happened.",
    epilog="""\b
Examples: chainlab events --since 2h
          chainlab events --type artifact --about acme/triage-model
          chainlab events --follow --jsonl
          chainlab events --types --type artifact.published""",
)
@click.option("--since", default="", help="Begin at this time (2026-05-04T10:00:00Z), or that long ago (30m, 2h, 7d).")
@click.option("--type", "type_", default="", help="Only this type, or those below it: service, artifact.uploaded.")
@click.option("--about", default="", help="Only events whose subject begins with this: acme/triage-model/runs/3.")
@click.option("--types", is_flag=True, help="List the types of events and their fields instead.")
@click.option("--jsonl", is_flag=True, help="Print each event as a CloudEvents JSON object, one a line.")
@click.option("--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
def events(since: str, type_: str, about: str, types: bool, jsonl: bool, follow: bool) -> None:
    """Print the events of your workspace, oldest first: number, time, type, subject, reporting service.

    The events are chained by hash. If one was removed, changed or reordered, the command says which and fails.

    Exit status: 0 the chain is whole, 1 it is broken.
    """
    from chainlab.database import connect
    from chainlab.events import Events
    from chainlab.workspace import learner_workspace

    if types:
        _list_types(type_)
        return
    start = _start(since)
    state = learner_workspace().trust / "state.db"
    if not state.exists():
        raise Unavailable("nothing has happened yet: there is no event log", hint="start the services: chainlab start")
    with closing(connect(state)) as connection:
        log, last = Events(connection), 0
        log.verify()
        while True:
            for event in log.read(after=last):
                last = event.sequence
                if event.is_of(type_) and event.subject.startswith(about) and _moment(event.time) >= start:
                    echo(json.dumps(event.envelope()) if jsonl else _line(event))
            if not follow:
                return
            time.sleep(PAUSE)


def _list_types(beginning: str) -> None:
    """Print the types whose names begin with a text, each with its fields. Raises `MalformedInput` for none."""
    from chainlab.event_types import COMMON, EVENT_TYPES

    chosen = {name: kind for name, kind in EVENT_TYPES.items() if name.startswith(beginning)}
    if not chosen:
        raise MalformedInput(
            f"no type of event begins with {beginning!r}", hint="list them all: chainlab events --types"
        )
    for name, kind in chosen.items():
        echo(f"{name}: {kind.meaning}; by {kind.source}, about {kind.subject}")
        for field, meaning in kind.fields.items():
            echo(f"    {field:<20} {meaning}")
    echo("every event:")
    for field, meaning in COMMON.items():
        echo(f"    {field:<20} {meaning}")


def _line(event: Event) -> str:
    from chainlab.events import PREFIX

    return (
        f"{event.sequence:>6}  {event.time}  {event.type.removeprefix(PREFIX):<24}  {event.subject}  by {event.source}"
    )


def _start(text: str) -> datetime:
    """Return the moment to begin at; "" begins with the first event."""
    if not text:
        return datetime.min.replace(tzinfo=UTC)
    if span := SPAN.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{UNITS[span[2]]: int(span[1])})
    return _moment(text)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedInput(f"not a time: {text!r}", hint="write 2026-05-04T10:00:00Z, 30m, 2h or 7d") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


commands = [events]
