"""What a workspace keeps beside its Sigstore instance: registry, CI platform, gate, archive, deployment.

Each is opened when asked for.

A lesson about signatures needs neither, and should not wait for them.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.trust.client import Trust
from chainlab.workspace import Workspace, course_root, wheelhouse

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from chainlab.archive import Archive
    from chainlab.ci.services.platform import Platform
    from chainlab.deploy.deployment import Deployment
    from chainlab.policy.gate import Gate
    from chainlab.registry.registry import Registry

__all__ = ["Stores"]

COMPANY = "acme"  # whose projects the course works on


class Stores:
    """The stores of one workspace; close them. Safe to call from several threads.

    What is deployed in a ``private`` one ends with this process.
    """

    def __init__(self, workspace: Workspace, *, private: bool = False) -> None:
        self._workspace = workspace
        self._private = private
        self._guard = threading.RLock()
        self._undo = ExitStack()

    @property
    def registry(self) -> Registry:
        """The package index and the OCI registry; the company's own libraries are published in it."""
        with self._guard:
            return self._registry

    @property
    def platform(self) -> Platform:
        """The git server, the mirror of actions, caches and artifacts."""
        with self._guard:
            return self._platform

    @property
    def gate(self) -> Gate:
        """The gate, with the course's policies and advisories."""
        with self._guard:
            return self._gate

    @property
    def archive(self) -> Archive:
        """The evidence of every release that went to prod, and of what else was added."""
        with self._guard:
            return self._archive

    @property
    def deployment(self) -> Deployment:
        """What runs in prod, and the one way there."""
        with self._guard:
            return self._deployment

    def routes(self) -> list[BaseRoute]:
        """Every endpoint besides those of the instance."""
        from chainlab.ci.services.app import platform_routes
        from chainlab.deploy.app import deploy_routes
        from chainlab.registry.app import routes

        return [
            *routes(self.registry),
            *platform_routes(self.platform),
            *deploy_routes(Trust(self._workspace.trust), lambda: self.deployment),
        ]

    def close(self) -> None:
        """Let go of what was opened."""
        with self._guard:
            self._undo.close()

    @cached_property
    def _registry(self) -> Registry:
        from chainlab.registry.registry import Registry

        registry = self._undo.enter_context(
            Registry(
                self._workspace.path / "registry",
                self._workspace.trust / "state.db",
                upstream=wheelhouse(),
                trust=Trust(self._workspace.trust),
            )
        )
        registry.sweep()  # what was abandoned half-way
        company = Credential(COMPANY, frozenset({"packages:upload:*"}))
        for wheel in sorted((course_root() / "data" / "packages" / "wheels").glob("*.whl")):
            if not registry.index.holding(Digest.of_file(wheel)):
                registry.index.publish(wheel, by=company)
        return registry

    @cached_property
    def _platform(self) -> Platform:
        from chainlab.ci.services.platform import Platform

        return self._undo.enter_context(Platform(self._workspace))

    @cached_property
    def _gate(self) -> Gate:
        from chainlab.policy.gate import Gate

        data = course_root() / "data"
        return Gate(
            self.registry,
            Trust(self._workspace.trust),
            policies=data / "policies",
            advisories=data / "advisories",
        )

    @cached_property
    def _archive(self) -> Archive:
        from chainlab.archive import Archive

        archive = Archive(self._workspace.path / "archive")
        self._undo.callback(archive.close)
        return archive

    @cached_property
    def _deployment(self) -> Deployment:
        from chainlab.deploy.deployment import Deployment

        return Deployment(
            self._workspace.path / "deploy",
            registry=self.registry,
            trust=Trust(self._workspace.trust),
            gate=lambda: self.gate,
            archive=lambda: self.archive,
            tied=self._private,
        )
