"""The platform's services over one workspace: git server, mirror of actions, caches, artifacts, pull requests.

    WORKSPACE/ci/git/…                repositories
    WORKSPACE/ci/cache, …/artifacts   bytes by digest
    WORKSPACE/trust/state.db          names, credentials, events

Every part opens the database itself, so that jobs' requests and a notebook's calls do not wait for one another.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from chainlab import database
from chainlab.ci.actions.mirror import Mirror
from chainlab.ci.git.repositories import Repositories
from chainlab.ci.services.artifacts import Artifacts
from chainlab.ci.services.cache import Cache
from chainlab.ci.services.pull_requests import PullRequestComments
from chainlab.credentials import Credentials
from chainlab.events import Events
from chainlab.jobs import Jobs
from chainlab.workspace import Workspace

__all__ = ["Platform"]


class Platform:
    """The services, opened; close it. Several processes may have one workspace's open.

    ``data`` holds the mirror's actions; the course's own when None.
    """

    def __init__(self, workspace: Workspace, *, data: Path | None = None) -> None:
        state = workspace.trust / "state.db"
        directory = workspace.path / "ci"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with ExitStack() as undo:
            self._lock = threading.Lock()
            self._connection = database.connect(state)
            undo.callback(self._connection.close)
            self._events = Events(self._connection)
            connection = database.connect(state)  # an issue and a report at once would share a transaction
            undo.callback(connection.close)
            self.credentials = Credentials(connection)
            self.jobs = undo.enter_context(closing(Jobs(state)))
            self.repositories = undo.enter_context(closing(Repositories(directory, state)))
            self.mirror = Mirror(self.repositories, data=data)
            self.cache = undo.enter_context(closing(Cache(directory / "cache", state)))
            self.artifacts = undo.enter_context(closing(Artifacts(directory / "artifacts", state)))
            self.comments = undo.enter_context(closing(PullRequestComments(state)))
            self._undo = undo.pop_all()

    def report(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        """Append an event ``dev.chainlab.<type>`` of the CI host."""
        with self._lock, database.transaction(self._connection):
            self._events.append(f"dev.chainlab.{type}", source="/ci", subject=subject, data=data)

    def close(self) -> None:
        """Let go of the state."""
        self._undo.close()

    def __enter__(self) -> Platform:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
