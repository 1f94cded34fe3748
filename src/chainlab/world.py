"""One workspace, opened: its registry, CI host, gate, archive and deployment, each opened when first asked for.

    >>> with World(learner_workspace()) as world:                  # doctest: +SKIP
    ...     world.gate.judge("oci/acme/triage-model@sha256:…")

The services run in this process until `close`, unless another process serves the workspace: then this one joins it.
A new part is one method marked ``@_part``, and a line in `World.routes` if it answers over HTTP.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import InUse, Unavailable
from chainlab.protocol import ProtocolRoute
from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.workspace import Workspace, course_root, wheelhouse

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from chainlab.archive import Archive
    from chainlab.ci.project import Host
    from chainlab.ci.services.platform import Platform
    from chainlab.deploy.deployment import Deployment
    from chainlab.monitor.monitor import Monitor
    from chainlab.monitor.observers import Observer
    from chainlab.monitor.reverification import ReverificationObserver
    from chainlab.monitor.runtime import RuntimeObserver
    from chainlab.policy.gate import Gate
    from chainlab.registry.registry import Registry

__all__ = ["World"]

COMPANY = "acme"  # whose projects the course works on
T = TypeVar("T")


class _part(Generic[T]):  # noqa: N801 (a decorator, as cached_property is)
    """Open a part of a world once, by whichever thread asks first; a lesson about signatures waits for none of them."""

    def __init__(self, open_part: Callable[[Any], T]) -> None:
        self._open = open_part
        self._name = open_part.__name__
        self.__doc__ = open_part.__doc__

    @overload
    def __get__(self, world: None, owner: type) -> _part[T]: ...
    @overload
    def __get__(self, world: World, owner: type) -> T: ...
    def __get__(self, world: World | None, owner: type) -> _part[T] | T:
        if world is None:
            return self
        with world._guard:
            if world._parts is None:
                raise Unavailable("this workspace was closed", hint="open it again: run the first cells")
            if self._name not in world._parts:
                world._parts[self._name] = self._open(world)
            part: T = world._parts[self._name]
            return part


class World:
    """The parts of one workspace; a context manager. Safe to use from several threads.

    What is deployed in a ``private`` workspace ends with this process. Raises `InUse` when another process serves the
    workspace and ``join`` is false.
    """

    def __init__(self, workspace: Workspace, *, private: bool = False, join: bool = True) -> None:
        self.workspace = workspace
        self.trust = Trust(workspace.trust)
        self._private = private
        self._guard = threading.RLock()
        self._parts: dict[str, Any] | None = {}  # None: closed
        self._undo = contextlib.ExitStack()
        try:
            self._server: Server | None = Server(workspace.trust, routes=self.routes)
        except InUse:
            if not join:
                raise
            self._server = None

    @property
    def is_open(self) -> bool:
        """Whether `close` has not been called."""
        return self._parts is not None

    @property
    def url(self) -> str:
        """Where the services listen. Raises `Unavailable` when they stopped."""
        return self.trust.url

    @_part
    def registry(self) -> Registry:
        """The package index and the OCI registry; the company's own libraries are published in it."""
        from chainlab.registry.registry import Registry

        registry = self._undo.enter_context(
            Registry(
                self.workspace.path / "registry",
                self.workspace.trust / "state.db",
                upstream=wheelhouse(),
                trust=self.trust,
            )
        )
        registry.sweep()  # uploads that were abandoned half-way
        company = Credential(COMPANY, frozenset({"packages:upload:*"}))
        for wheel in sorted((course_root() / "data" / "packages" / "wheels").glob("*.whl")):
            if not registry.index.with_digest(Digest.of_file(wheel)):
                registry.index.publish(wheel, by=company)
        return registry

    @_part
    def platform(self) -> Platform:
        """The CI platform's services: git server, mirror of actions, pull requests, caches and artifacts."""
        from chainlab.ci.services.platform import Platform

        return self._undo.enter_context(Platform(self.workspace))

    @_part
    def ci(self) -> Host:
        """The CI host: projects, pull requests, workflow runs."""
        from chainlab.ci.project import Host

        return Host(
            self.workspace.path / "ci",
            platform=self.platform,
            registry=self.registry,
            trust=self.trust,
            wheelhouse=wheelhouse(),
        )

    @_part
    def gate(self) -> Gate:
        """The gate, which decides whether a release is fit for prod, by the course's policies and advisories."""
        from chainlab.policy.gate import Gate

        data = course_root() / "data"
        return Gate(self.registry, self.trust, policies=data / "policies", advisories=data / "advisories")

    @_part
    def archive(self) -> Archive:
        """The archive: the evidence of releases and other builds, and where a component is."""
        from chainlab.archive import Archive

        archive = Archive(self.workspace.path / "archive")
        self._undo.callback(archive.close)
        return archive

    @_part
    def deployment(self) -> Deployment:
        """What runs in prod, and the one way there."""
        from chainlab.deploy.deployment import Deployment

        return Deployment(
            self.workspace.path / "deploy",
            registry=self.registry,
            trust=self.trust,
            gate=lambda: self.gate,
            archive=lambda: self.archive,
            tied=self._private,
        )

    @_part
    def monitor(self) -> Monitor:
        """The monitor: detections on new events, alert rules on metrics, and the alerts of both."""
        from chainlab.monitor.metrics.scrapes import read_metrics
        from chainlab.monitor.monitor import Monitor

        data = course_root() / "data"
        monitor = Monitor(
            self.workspace.path / "monitor",
            self.workspace.trust / "state.db",
            detections=(data / "detections", self.workspace.desk / "detections"),
            alert_rules=(data / "alerts", self.workspace.desk / "alerts"),
            observers=self._observers,
            scrape=lambda: read_metrics(self.url),
        )
        self._undo.callback(monitor.close)
        return monitor

    @_part
    def runtime(self) -> RuntimeObserver:
        """What the running service does, beside what is attested."""
        from chainlab.monitor.runtime import RuntimeObserver

        database = self.workspace.trust / "state.db"
        return RuntimeObserver(self.deployment, policy=lambda: self.gate.policy(), database=database)

    @_part
    def reverification(self) -> ReverificationObserver:
        """What runs, verified again."""
        from chainlab.monitor.reverification import ReverificationObserver

        return ReverificationObserver(
            self.deployment,
            self.registry,
            self.trust,
            lambda: self.gate,
            database=self.workspace.trust / "state.db",
        )

    def _observers(self) -> list[Observer]:
        """Whatever looks at the parts again and again, for the monitor."""
        from chainlab.monitor.heartbeats import Heartbeats
        from chainlab.monitor.inspection import Inspection
        from chainlab.monitor.logwatch.kit_logs import LogWatch

        state = self.workspace.trust / "state.db"
        log_watch = LogWatch(self.workspace)
        self._undo.callback(log_watch.close)
        return [
            Inspection(state, self.registry, self.platform.repositories, lambda: self.gate, self.trust),
            Heartbeats(state, self.trust, gate=lambda: self.gate, deployment=lambda: self.deployment),
            self.runtime,
            self.reverification,
            log_watch,
        ]

    def routes(self) -> list[BaseRoute]:
        """Every endpoint besides those of the Sigstore instance."""
        from chainlab.ci.services.app import platform_app
        from chainlab.deploy.app import deploy_app
        from chainlab.monitor.app import monitor_app
        from chainlab.registry.app import routes

        return [
            *routes(self.registry),
            ProtocolRoute(platform_app(self.platform)),
            ProtocolRoute(deploy_app(self.trust, lambda: self.deployment)),
            ProtocolRoute(monitor_app(lambda: self.monitor)),
        ]

    def close(self) -> None:
        """End what this world started, the services first; closing twice does nothing."""
        if self._server is not None:
            self._server.close()
            self._server = None
        with self._guard:
            self._parts = None
            self._undo.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
