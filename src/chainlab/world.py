"""A workspace with everything that works on it: services, registry, CI host, gate, deployment.

Joins the services where another process runs them, else runs them in this process until `close`.
"""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING

from chainlab.errors import InUse
from chainlab.services import Server
from chainlab.stores import Stores
from chainlab.trust.client import Trust
from chainlab.workspace import Workspace, wheelhouse

if TYPE_CHECKING:
    from chainlab.archive import Archive
    from chainlab.ci.project import Host
    from chainlab.deploy.deployment import Deployment
    from chainlab.policy.gate import Gate
    from chainlab.registry.registry import Registry

__all__ = ["World"]


class World:
    """One workspace, opened; a context manager. What is deployed in a ``private`` one ends with this process."""

    def __init__(self, workspace: Workspace, *, private: bool = False) -> None:
        self.workspace = workspace
        self.trust = Trust(workspace.trust)
        self._undo = contextlib.ExitStack()
        self._stores = Stores(workspace, private=private)
        self._undo.callback(self._stores.close)
        with contextlib.suppress(InUse):  # another process serves it: join
            server = Server(workspace.trust, stores=self._stores)
            self._undo.callback(server.close)

    @property
    def url(self) -> str:
        """Where the services listen. Raises `Unavailable` when they stopped."""
        return self.trust.url

    @property
    def registry(self) -> Registry:
        """The package index and the OCI registry of this workspace."""
        return self._stores.registry

    @cached_property
    def ci(self) -> Host:
        """The CI host of this workspace."""
        from chainlab.ci.project import Host

        return Host(
            self.workspace.path / "ci",
            platform=self._stores.platform,
            registry=self.registry,
            trust=self.trust,
            wheelhouse=wheelhouse(),
        )

    @property
    def archive(self) -> Archive:
        """The evidence of releases and other builds, and where a component is."""
        return self._stores.archive

    @property
    def gate(self) -> Gate:
        """What decides whether a release is fit for prod."""
        return self._stores.gate

    @property
    def deployment(self) -> Deployment:
        """What runs in prod, and the one way there."""
        return self._stores.deployment

    def close(self) -> None:
        """End what this opened."""
        self._undo.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
