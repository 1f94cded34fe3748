"""The platform's services of one workspace: git server, mirror of actions, caches, artifacts, pull requests.

    WORKSPACE/ci/git/…                repositories
    WORKSPACE/ci/cache, …/artifacts   bytes by digest
    WORKSPACE/trust/state.db          names, credentials, events

Every part has its own connection to the database, so jobs' requests and a notebook's calls do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chainlab.ci.actions.mirror import Mirror
from chainlab.ci.git.repositories import Repositories
from chainlab.ci.services.artifacts import Artifacts
from chainlab.ci.services.cache import Cache
from chainlab.ci.services.pull_requests import PullRequestComments
from chainlab.credentials import Credentials
from chainlab.database import SqliteStore, connect
from chainlab.events import Events
from chainlab.jobs import Jobs
from chainlab.workspace import Workspace

__all__ = ["Platform"]


class Platform(SqliteStore):
    """The services, opened; close it. Several processes may have one workspace's open.

    ``data`` holds the mirror's actions; None means the course's own.
    """

    def __init__(self, workspace: Workspace, *, data: Path | None = None) -> None:
        state = workspace.trust / "state.db"
        directory = workspace.path / "ci"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(state)
        with ExitStack() as undo:
            undo.callback(super().close)
            self._events = Events(self._connection)
            connection = connect(state)  # an issue and a report at once would share a transaction
            undo.callback(connection.close)
            self.credentials = Credentials(connection)
            self.jobs = undo.enter_context(Jobs(state))
            self.repositories = undo.enter_context(Repositories(directory, state))
            self.mirror = Mirror(self.repositories, data=data)
            self.cache = undo.enter_context(Cache(directory / "cache", state))
            self.artifacts = undo.enter_context(Artifacts(directory / "artifacts", state))
            self.comments = undo.enter_context(PullRequestComments(state))
            self._undo = undo.pop_all()

    def report(self, type: str, subject: str, data: Mapping[str, Any]) -> None:
        """Append an event ``dev.chainlab.<type>`` of the CI host."""
        with self._transaction():
            self._events.append(f"dev.chainlab.{type}", source="/ci", subject=subject, data=data)

    def close(self) -> None:
        """Close the services and their connections."""
        self._undo.close()
