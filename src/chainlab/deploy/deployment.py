"""What runs in prod: deploy a release by digest, roll back to the one before.

    deployment.deploy("oci/acme/triage-model/release@sha256:…")
    deployment.rollback()

The new service must answer before the old one ends. A rollback is a deployment of the digest before, verified like any
other: what was quarantined since does not come back. What runs is in ``deploy/state.json``; each change is an event.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from chainlab import database
from chainlab.deploy import services
from chainlab.deploy.releases import Release, fetch, pinned
from chainlab.deploy.services import Service
from chainlab.errors import InUse, MalformedInput, Refused
from chainlab.events import Events
from chainlab.registry.registry import Registry
from chainlab.storage import write_whole
from chainlab.trust.client import Trust

__all__ = ["Deployed", "Deployment"]

PATIENCE = 60  # seconds to wait for another deployment to end
KEPT = 20  # releases in the history


@dataclass(frozen=True)
class Deployed:
    """A release that runs, and its service."""

    reference: str
    service: Service


class Deployment:
    """The deployment of one workspace; one that is ``tied`` ends its service with this process."""

    def __init__(self, directory: Path, *, registry: Registry, trust: Trust, tied: bool = False) -> None:
        self.directory = directory
        self._registry = registry
        self._trust = trust
        self._tied = tied
        self._releases = directory / "releases"

    @property
    def current(self) -> Deployed | None:
        """What was deployed last and not removed; whether it answers, `services.model_served` says."""
        return self._read()[0]

    def deploy(self, reference: str) -> Deployed:
        """Fetch, verify, start, then end what ran before.

        Raises `Refused` or `VerificationFailed` when it must not run, `Unavailable` when it cannot; then what ran
        before still runs.
        """
        with self._alone():
            return self._replace(reference, "deployed")

    def rollback(self) -> Deployed:
        """Return to the release that ran before the current one. Raises `Refused` (409) when there was none."""
        with self._alone():
            current, history = self._read()
            if current is None or len(history) < 2:
                raise Refused(409, "there is nothing to roll back to", mend="deploy a release")
            return self._replace(history[-2], "rolledback")

    def stop(self) -> None:
        """End what runs; the history stays."""
        with self._alone():
            current, history = self._read()
            if current is not None:
                services.stop(current.service)
                self._write(None, history)
                self._report("removed", current.reference, {})
            self._clear()

    # -- inside

    def _replace(self, reference: str, kind: str) -> Deployed:
        release: Release = fetch(reference, self._registry, self._trust.config.trusted_root)
        current, history = self._read()
        self._releases.mkdir(exist_ok=True)
        # Installed anew each time: what was left on the disk may have been changed since.
        beginning = f"{release.digest.value.hex()[:16]}-"
        folder = Path(tempfile.mkdtemp(prefix=beginning, dir=self._releases))
        try:
            index = f"{self._trust.url}/simple/"
            service = services.start(release, folder, index=index, tied=self._tied)
        except BaseException:
            services.remove(folder)
            raise
        if kind == "rolledback":
            history = history[:-1]  # what was left is not to be returned to
        elif not history or history[-1] != release.reference:
            history = [*history, release.reference][-KEPT:]
        deployed = Deployed(release.reference, service)
        try:
            self._write(deployed, history)
        except BaseException:
            services.stop(service)  # nobody would know of it
            raise
        facts = {
            "artifact": str(release.artifact),
            "model": service.model,
            "summary": str(release.summary),
            "before": current.reference if current else None,
        }
        try:
            self._report(kind, release.reference, facts)
        finally:
            if current is not None:
                services.stop(current.service)
            self._clear(folder)
        return deployed

    def _clear(self, kept: Path | None = None) -> None:
        """Remove what was installed before, with what a deployment that was killed left running."""
        for folder in self._releases.iterdir() if self._releases.exists() else ():
            if folder != kept:
                services.remove(folder)

    def _read(self) -> tuple[Deployed | None, list[str]]:
        try:
            document = json.loads((self.directory / "state.json").read_text(encoding="utf-8"))
            now = document["current"]
            current = Deployed(str(now["reference"]), Service(**now["service"])) if now else None
            history = document["history"]
            if not isinstance(history, list):
                raise TypeError("the history is no list")
            return current, [str(reference) for reference in history]
        except FileNotFoundError:
            return None, []
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MalformedInput(
                "the state of the deployment cannot be read",
                why=str(error),
                mend=f"look at {self.directory / 'state.json'}; without it nothing counts as deployed",
            ) from error

    def _write(self, current: Deployed | None, history: list[str]) -> None:
        document = {"current": asdict(current) if current else None, "history": history}
        write_whole(self.directory / "state.json", json.dumps(document, indent=1) + "\n", durable=True)

    def _report(self, kind: str, reference: str, facts: Mapping[str, object]) -> None:
        connection = database.connect(self._trust.directory / "state.db")
        try:
            events = Events(connection)
            with database.transaction(connection):
                events.append(
                    f"dev.chainlab.service.{kind}",
                    source="/deploy",
                    subject=str(pinned(reference)[1]),
                    data={"reference": reference, **facts},
                )
        finally:
            connection.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.directory / "lock", timeout=PATIENCE, mode=0o600):
                yield
        except Timeout as error:
            raise InUse("another deployment is under way", mend="wait for it to end") from error
