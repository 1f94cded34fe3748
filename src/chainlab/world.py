"""A workspace with everything that works on it: services, registry, CI host.

Joins the services where another process runs them, else runs them in this process until `close`.
"""

from __future__ import annotations

import contextlib
from functools import cached_property

from chainlab.ci.host import Host
from chainlab.ci.platform import Platform
from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import InUse
from chainlab.registry.registry import Registry
from chainlab.services import Server, open_registry
from chainlab.trust.client import Trust
from chainlab.workspace import Workspace, course_root, wheelhouse

__all__ = ["World"]

COMPANY = "acme"  # whose projects the course works on


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
            registry = self._server.registry
        else:
            registry = self._undo.enter_context(open_registry(self.workspace))
        _stock(registry)
        return registry

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


def _stock(registry: Registry) -> None:
    """Publish the company's own libraries, which its projects need; those that are there already stay."""
    company = Credential(COMPANY, frozenset({"packages:upload:*"}))
    for wheel in sorted((course_root() / "data" / "packages" / "wheels").glob("*.whl")):
        if not registry.index.holding(Digest.of_file(wheel)):
            registry.index.publish(wheel, by=company)
