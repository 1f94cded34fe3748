"""A workspace with everything that works on it: services, registry, CI host.

Joins the services where another process runs them, else runs them in this process until `close`.
"""

from __future__ import annotations

import contextlib
from functools import cached_property

from chainlab.ci.host import Host
from chainlab.ci.platform import Platform
from chainlab.errors import InUse
from chainlab.registry.registry import Registry
from chainlab.services import Server, open_registry
from chainlab.trust.client import Trust
from chainlab.workspace import Workspace, wheelhouse

__all__ = ["World"]


class World:
    """One workspace, opened; a context manager."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.trust = Trust(workspace.trust)
        self._undo = contextlib.ExitStack()
        self._server: Server | None = None
        with contextlib.suppress(InUse):  # another process serves it: join
            self._server = Server(workspace.trust, workspace=workspace)
            self._undo.callback(self._server.close)

    @property
    def url(self) -> str:
        """Where the services listen. Raises `Unavailable` when they stopped."""
        return self.trust.url

    @cached_property
    def registry(self) -> Registry:
        """The package index and the OCI registry of this workspace."""
        if self._server is not None and self._server.registry is not None:
            return self._server.registry
        return self._undo.enter_context(open_registry(self.workspace))

    @cached_property
    def ci(self) -> Host:
        """The CI host of this workspace."""
        platform = self._server.platform if self._server is not None else None
        return Host(
            self.workspace.path / "ci",
            platform=platform or self._undo.enter_context(Platform(self.workspace)),
            registry=self.registry,
            trust=self.trust,
            wheelhouse=wheelhouse(),
        )

    def close(self) -> None:
        """End what this opened."""
        self._undo.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
