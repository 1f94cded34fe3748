"""The workspace's own logs, watched: an observer of the monitor, which asks them over HTTP as a stranger would."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chainlab.errors import Unavailable
from chainlab.monitor.logwatch.log_sources import LogSource, LogVersion, sources_in
from chainlab.monitor.logwatch.watch_list import WatchList
from chainlab.monitor.logwatch.watch_state import WatchState
from chainlab.monitor.logwatch.watching import Look, Watching
from chainlab.monitor.observers import report
from chainlab.trust import wire
from chainlab.trust.client import Trust
from chainlab.workspace import course_root

if TYPE_CHECKING:
    from pathlib import Path

    from chainlab.workspace import Workspace

__all__ = ["LogWatch", "kit_sources", "state_path", "watch_list_path"]


class LogWatch:
    """Watches the two transparency logs and the CT log of a workspace."""

    name = "log"
    every_s = 30.0

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._state = WatchState(state_path(workspace))
        self._watchings: list[Watching] = []
        self._address = ""

    def observe(self) -> None:
        """Look at each log once, and append what is new as events."""
        self.look()

    def look(self) -> list[Look]:
        """Look at each log once; as `observe`, and returns the looks."""
        trust = Trust(self._workspace.trust)
        watch_list = WatchList.load(watch_list_path(self._workspace))
        if trust.url != self._address or not self._watchings:  # served anew, at another port
            self.close_readers()
            append = partial(report, self._workspace.trust / "state.db")
            self._watchings = [
                Watching(source.id, source.reader(), source.certificates, self._state, watch_list, append)
                for source in kit_sources(trust)
            ]
            self._address = trust.url
        looks = []
        for watching in self._watchings:
            watching.watch_list = watch_list  # a learner may have changed it
            looks += watching.look()
        return looks

    def close_readers(self) -> None:
        """Close the connections to the logs."""
        for watching in self._watchings:
            watching.close()
        self._watchings = []

    def close(self) -> None:
        """Close connections and state."""
        self.close_readers()
        self._state.close()


def kit_sources(trust: Trust, version: LogVersion | None = None) -> list[LogSource]:
    """Return the logs of a running instance, with the keys of its trusted root. Raises `Unavailable`."""
    url = trust.url
    try:
        document = wire.json_object((trust.directory / "trusted_root.json").read_bytes())
    except OSError as error:
        raise Unavailable(
            f"cannot read the trusted root of {trust.directory}", why=str(error), hint="start it: chainlab start"
        ) from error
    return sources_in(document, url, version)


def state_path(workspace: Workspace) -> Path:
    """Return where a workspace's monitor remembers logs."""
    return workspace.path / "monitor" / "logs.db"


def watch_list_path(workspace: Workspace) -> Path:
    """Return the learner's watch list, ``desk/watchlist.toml``; the course's when there is none."""
    own = workspace.desk / "watchlist.toml"
    return own if own.exists() else course_root() / "data" / "watchlists" / "acme.toml"
