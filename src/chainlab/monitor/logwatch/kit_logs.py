"""The workspace's own logs, watched: an observer of the monitor, which asks them over HTTP as a stranger would."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chainlab.errors import Unavailable
from chainlab.monitor.logwatch.log_sources import LogSource, LogVersion, open_witness, sources_in
from chainlab.monitor.logwatch.looks import Looks
from chainlab.monitor.logwatch.watch_list import WatchList
from chainlab.monitor.logwatch.watch_state import WatchState
from chainlab.monitor.logwatch.watching import Watching
from chainlab.monitor.observers import report
from chainlab.trust import wire
from chainlab.trust.client import Trust
from chainlab.workspace import course_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chainlab.monitor.logwatch.checkpoints import Checkpoint
    from chainlab.workspace import Workspace

__all__ = ["LogWatch", "kit_sources", "state_path", "watch_list_path"]


class LogWatch:
    """Watches the two transparency logs and the CT log of a workspace, or one ``version`` of them.

    ``url`` is another address than the instance's own, where somebody serves logs with the same keys. ``witnesses`` are
    checkpoints of these logs as others saw them, in the form in which the log signed them.
    """

    name = "log"
    every_s = 30.0

    def __init__(
        self,
        workspace: Workspace,
        *,
        url: str = "",
        version: LogVersion | None = None,
        witnesses: Sequence[str] = (),
    ) -> None:
        self._workspace = workspace
        self._state = WatchState(state_path(workspace))
        self._url = url
        self._version = version
        self._witnesses = witnesses
        self._watchings: list[Watching] = []
        self._address = ""

    def observe(self) -> None:
        """Look at each log once, and append what is new as events."""
        self.look()

    def look(self) -> Looks:
        """Look at each log once; as `observe`, and returns the looks."""
        trust = Trust(self._workspace.trust)
        address = self._url or trust.url
        watch_list = WatchList.load(watch_list_path(self._workspace))
        if address != self._address:  # also when it is served anew, at another port
            self._close_readers()
            sources = kit_sources(trust, self._version, url=address)
            witnesses = [open_witness(text, sources) for text in self._witnesses]
            self._watchings = [self._watching(source, watch_list, witnesses) for source in sources]
            self._address = address
        looks = Looks()
        for watching in self._watchings:
            watching.watch_list = watch_list  # a learner may have changed it
            looks += watching.look()
        return looks

    def _watching(self, source: LogSource, watch_list: WatchList, witnesses: Sequence[Checkpoint]) -> Watching:
        append = partial(report, self._workspace.trust / "state.db")
        reader = source.reader()
        arguments = (source.id, reader, source.certificates, self._state, watch_list, append)
        return Watching(*arguments, witnesses=witnesses)

    def _close_readers(self) -> None:
        for watching in self._watchings:
            watching.close()
        self._watchings = []

    def close(self) -> None:
        """Close connections and state."""
        self._close_readers()
        self._state.close()


def kit_sources(trust: Trust, version: LogVersion | None = None, *, url: str = "") -> list[LogSource]:
    """Return an instance's logs with the keys of its trusted root, where it listens, or at ``url``.

    Raises `Unavailable`.
    """
    address = url or trust.url
    try:
        document = wire.json_object((trust.directory / "trusted_root.json").read_bytes())
    except OSError as error:
        raise Unavailable(
            f"cannot read the trusted root of {trust.directory}", why=str(error), hint="start it: chainlab start"
        ) from error
    return sources_in(document, address, version)


def state_path(workspace: Workspace) -> Path:
    """Return where a workspace's monitor remembers logs."""
    return workspace.path / "monitor" / "logs.db"


def watch_list_path(workspace: Workspace) -> Path:
    """Return the learner's watch list, ``desk/watchlist.toml``; the course's when there is none."""
    own = workspace.desk / "watchlist.toml"
    return own if own.exists() else course_root() / "data" / "watchlists" / "acme.toml"
