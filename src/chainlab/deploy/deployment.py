"""The deployment: promote a release to prod, deploy it by digest, roll back to the one before.

    deployment.promote("oci/acme/triage-model/release@sha256:…")
    deployment.deploy("oci/acme/triage-model/release@sha256:…")
    deployment.rollback()

`Deployment.promote` is the one way to prod. It owns the gate, its policy and the archive, so no other gate can promote
and nothing is promoted without being archived.

The old service ends only when the new one answers. A rollback deploys the previous digest and verifies it like any
other, so a release that was quarantined since does not come back. ``deploy/state.json`` says what runs; each change is
an event. What was installed of a release that may not go on is kept in ``deploy/evidence``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from chainlab import database
from chainlab.clock import rfc3339, utc_now
from chainlab.deploy import prediction_service, promotion
from chainlab.deploy.admission import admit, fetch, pinned
from chainlab.deploy.prediction_service import PredictionService
from chainlab.deploy.promotion import NotPromoted, archive_release
from chainlab.digests import Digest
from chainlab.errors import InUse, MalformedInput, Refused, VerificationFailed
from chainlab.events import Events
from chainlab.registry.registry import Registry
from chainlab.storage import write_whole
from chainlab.trust.client import Trust

if TYPE_CHECKING:
    from chainlab.archive import Archive
    from chainlab.policy.gate import Decision, Gate

__all__ = ["Deployed", "Deployment"]

PATIENCE = 60  # seconds to wait for another deployment to end
KEPT = 20  # releases in the history
MARK = "refused.json"  # in an installation that is kept as evidence


@dataclass(frozen=True)
class Deployed:
    """A release that runs, and its service."""

    reference: str
    service: PredictionService


class Deployment:
    """The deployment of one workspace. With ``tied``, its service ends with this process."""

    def __init__(
        self,
        directory: Path,
        *,
        registry: Registry,
        trust: Trust,
        gate: Callable[[], Gate],
        archive: Callable[[], Archive],
        tied: bool = False,
    ) -> None:
        self.directory = directory
        self._registry = registry
        self._trust = trust
        self._gate = gate  # both are opened when first needed
        self._archive = archive
        self._tied = tied
        self._releases = directory / "releases"
        self.evidence = directory / "evidence"  # installations of refused releases, by the digest's first digits

    @property
    def current(self) -> Deployed | None:
        """The release deployed last, unless it was stopped; `prediction_service.model_served` asks it."""
        return self._read()[0]

    def promote(self, reference: str) -> Decision:
        """Judge a release now, whatever the gate said before; then archive it and promote it to prod.

        A release that is in prod already stays there. Raises `NotPromoted` when the gate refuses it, `Refused` or
        `MalformedInput` for a reference that names nothing.
        """
        decision = self._gate().judge(reference)
        if not decision.allowed:
            raise NotPromoted(decision)
        if decision.policy_digest != self._gate().policy().digest:
            raise Refused(409, "the policy changed while the release was judged", hint="promote it again")
        archive_release(decision, self._registry, self._archive())
        promotion._raise_to_prod(decision, self._registry)
        return decision

    def judge(self, reference: str) -> Decision:
        """Let this deployment's gate judge a release and record the verdict; promote nothing."""
        return self._gate().judge(reference)

    def deploy(self, reference: str) -> Deployed:
        """Fetch a release, verify it and start it; then end the service that ran before.

        Raises `Refused` or `VerificationFailed` when it must not run, `Unavailable` when it cannot. The service that
        ran before then goes on.
        """
        with self._locked():
            return self._replace(reference, "deployed")

    def rollback(self, *, leaving: Deployed | None = None, why: str = "") -> Deployed:
        """Return to the release that ran before the current one. Raises `Refused` (409) when there was none.

        With ``leaving``, that release must not go on, for the reason ``why``. Earlier releases that do not verify now,
        or that the gate would refuse now, are passed over, and what was installed of it is kept in ``evidence``, with
        its reports. Raises `Refused` (409) when another release runs by now, or when none of the earlier ones verifies;
        what runs then goes on.
        """
        with self._locked():
            current, history = self._read()
            if leaving is not None and current != leaving:
                raise Refused(409, f"{leaving.reference} does not run any more", hint="look again")
            if current is None or len(history) < 2:
                raise Refused(
                    409, "there is nothing to roll back to: no release ran before this one", hint="deploy a release"
                )
            if leaving is None:
                return self._replace(history[-2], "rolledback", history[:-1])
            self._mark(leaving, why)
            reasons = []
            for end in range(len(history) - 1, 0, -1):
                if history[end - 1] == leaving.reference:
                    continue
                try:
                    self._ask_gate(history[end - 1])
                    return self._replace(history[end - 1], "rolledback", history[:end])
                except (Refused, VerificationFailed) as error:
                    reasons.append(f"{error.message}: {error.why}" if error.why else error.message)
            raise Refused(
                409,
                "no release that ran before verifies now, so there is nothing to roll back to",
                why="; ".join(reasons)[:1000],
                hint="deploy a release that the gate allows, or stop the service: chainlab deploy --stop",
            )

    def restart(self) -> Deployed:
        """Start the service of the current release again, from the files that are installed.

        As after a crash or a reboot: nothing is installed anew, and nothing is compared. Raises `Refused` (409) when
        nothing is deployed.
        """
        with self._locked():
            current, history = self._read()
            if current is None:
                raise Refused(409, "nothing is deployed, so there is nothing to start again", hint="deploy a release")
            service = prediction_service.restart(current.service, self.folder(current), tied=self._tied)
            deployed = replace(current, service=service)
            try:
                self._write(deployed, history)
            except BaseException:
                prediction_service.stop(service)
                raise
            self._report("restarted", current.reference, {"model": service.model, "files": service.files})
            return deployed

    def folder(self, deployed: Deployed) -> Path:
        """The folder of what was installed of a release."""
        return self._releases / Path(deployed.service.folder or "unknown").name

    def stop(self) -> None:
        """End the running service; the history stays."""
        with self._locked():
            current, history = self._read()
            if current is not None:
                prediction_service.stop(current.service)
                self._write(None, history)
                self._report("removed", current.reference, {})
            self._clear()

    # -- inside

    def _replace(self, reference: str, kind: str, history: list[str] | None = None) -> Deployed:
        """Deploy a release in place of the current one; the history is ``history``, or ends with the release."""
        root = self._trust.config.trusted_root
        admitted = fetch(reference, self._registry, root, self._gate().policy())
        release = admitted.release
        current, before = self._read()
        self._releases.mkdir(exist_ok=True)
        # Install anew each time: files of an earlier installation may have been changed since.
        prefix = f"{release.digest.value.hex()[:16]}-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self._releases))
        try:
            index = f"{self._trust.url}/simple/"
            service = prediction_service.start(admitted, folder, index=index, wheels=self._wheel, tied=self._tied)
        except BaseException:
            prediction_service.remove(folder)
            raise
        if history is None:
            history = before if before[-1:] == [release.reference] else [*before, release.reference][-KEPT:]
        deployed = Deployed(release.reference, service)
        try:
            # Installing takes seconds. Meanwhile a quarantine, a refusal or another policy may have come.
            verdict = admit(reference, self._registry, root, self._gate().policy())
            self._write(deployed, history)
        except BaseException:
            prediction_service.stop(service)  # no state names it, so nothing else would end it
            prediction_service.remove(folder)
            raise
        facts = {
            "artifact": str(release.artifact),
            "model": service.model,
            "files": service.files,
            "summary": str(verdict.summary),
            "before": current.reference if current else None,
        }
        try:
            self._report(kind, release.reference, facts)
        finally:
            if current is not None:
                prediction_service.stop(current.service)
            self._clear(folder)
        return deployed

    def _ask_gate(self, reference: str) -> None:
        """Raise `Refused` when the gate would refuse a release now, `Unavailable` when it cannot judge."""
        decision, _ = self._gate().preview(reference)
        if decision.allowed:
            return
        first = decision.refusals[0]
        raise Refused(403, f"the gate would refuse {reference} now", why=first.message, hint=first.hint)

    def _wheel(self, digest: str) -> tuple[str, bytes]:
        """Return file name and bytes of a wheel of the index, by its SHA-256 (hex). Raises `VerificationFailed`."""
        expected = Digest.parse(f"sha256:{digest}")
        for file in self._registry.index.with_digest(expected):
            data = self._registry.index.path(file).read_bytes()
            if Digest.of(data) == expected:
                return file.filename, data
        raise VerificationFailed(f"the index has no file {expected} any more", hint="judge the release again")

    def _mark(self, refused: Deployed, why: str) -> None:
        """Mark an installation as evidence; a marked one is kept, even if this process is killed."""
        document = {"reference": refused.reference, "why": why, "time": rfc3339(utc_now())}
        write_whole(self.folder(refused) / MARK, json.dumps(document | asdict(refused), indent=1) + "\n", durable=True)

    def _clear(self, kept: Path | None = None) -> None:
        """Remove earlier installations, and end services that a killed deployment left running.

        A marked installation moves to ``evidence``.
        """
        for folder in self._releases.iterdir() if self._releases.exists() else ():
            if folder == kept:
                continue
            if (folder / MARK).exists():
                prediction_service.end(folder)
                self.evidence.mkdir(exist_ok=True)
                folder.rename(self.evidence / folder.name)
            else:
                prediction_service.remove(folder)

    def _read(self) -> tuple[Deployed | None, list[str]]:
        try:
            document = json.loads((self.directory / "state.json").read_text(encoding="utf-8"))
            now = document["current"]
            current = Deployed(str(now["reference"]), PredictionService(**now["service"])) if now else None
            history = document["history"]
            if not isinstance(history, list):
                raise TypeError("expected a list at 'history'")
            return current, [str(reference) for reference in history]
        except FileNotFoundError:
            return None, []
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MalformedInput(
                "the state of the deployment cannot be read",
                why=str(error),
                hint=f"look at {self.directory / 'state.json'}; if you remove it, nothing counts as deployed",
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
    def _locked(self) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.directory / "lock", timeout=PATIENCE, mode=0o600):
                yield
        except Timeout as error:
            raise InUse("another deployment is in progress", hint="wait for it to end, then try again") from error
