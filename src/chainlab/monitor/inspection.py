"""The inspection: new files of the index compared with their source, and releases with the release before.

    >>> Inspection(database, registry, repositories, gate, trust).observe()    # doctest: +SKIP

Each published wheel is compared with the repository at the commit that its publisher's identity token or its run names;
the result is an event ``artifact.inspected``. A file without a known source gets one too, which says why it was not
compared: silence would look like a clean bill. What was inspected is what these events say; there is no other state.

Each release that the gate allowed is compared with the one that it allowed before: the SBOMs that an expected signer
attested, of both, as ``dependencies.compared``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from chainlab.ci.git.repositories import Repositories
from chainlab.database import connect
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput, Refused
from chainlab.events import PREFIX, Event, Events
from chainlab.evidence.findings import InspectionReport
from chainlab.evidence.packages.wheel_against_source import check_sdist, check_wheel
from chainlab.evidence.sbom import cyclonedx
from chainlab.evidence.sbom.difference import diff
from chainlab.monitor.observers import report
from chainlab.policy.facts.verification import verify_bundles
from chainlab.policy.gate import Gate
from chainlab.registry.index.models import IndexFile
from chainlab.registry.registry import Registry
from chainlab.trust.client import Trust

__all__ = ["Inspection"]

STARTUP = ("at-start", "pth")  # kinds of findings: every start of Python runs the file
NOT_COMPARED = "an sdist holds what its build selects: only what installing it would run was looked at"


class Inspection:
    """Looks at what was published and released since its last look. ``gate`` opens the gate when it is needed."""

    name = "inspection"
    every_s = 60.0

    def __init__(
        self, database: Path, registry: Registry, repositories: Repositories, gate: Callable[[], Gate], trust: Trust
    ) -> None:
        self._database = database
        self._registry = registry
        self._repositories = repositories
        self._gate = gate
        self._trust = trust

    def observe(self) -> None:
        """Inspect each new file of the index, then compare each newly allowed release with the one before."""
        inspected = {event.subject for event in self._events("artifact.inspected")}
        for event in self._events("artifact.published"):
            if event.data.get("file") and event.subject not in inspected:
                inspected.add(event.subject)
                report(self._database, "artifact.inspected", event.subject, self._inspect(event))
        compared = {event.subject for event in self._events("dependencies.compared")}
        for release, before in _successions(self._events("gate.answered")):
            if release.subject not in compared:
                compared.add(release.subject)
                report(self._database, "dependencies.compared", release.subject, self._compare(release, before))

    # -- files

    def _inspect(self, published: Event) -> dict[str, Any]:
        """Compare one file of the index with its source; returns the event's data."""
        facts = {name: published.data[name] for name in ("project", "version", "file")}
        try:
            file = self._file(published)
            path = self._registry.index.path(file)
            if file.kind == "sdist":
                return {**facts, **_described(check_sdist(path)), "compared": False, "why": NOT_COMPARED}
            try:
                source = self._source(published)
            except Refused as error:
                return {**facts, **_described(check_wheel(path)), "compared": False, "why": error.message}
            return {**facts, **_compared(check_wheel(path, source)), "compared": True, "why": None}
        except (MalformedInput, Refused, OSError) as error:
            return {**facts, "compared": False, "why": str(error)}

    def _file(self, published: Event) -> IndexFile:
        digest = Digest.parse(published.subject)
        file = next((f for f in self._registry.index.with_digest(digest) if not f.upstream), None)
        if file is None:
            raise Refused(404, "the index has the file no more")
        return file

    def _source(self, published: Event) -> Path:
        """Return the folder with the source of a file. Raises `Refused` when nothing names it, or it is not here."""
        claims = published.data.get("claims") or {}
        repository, commit = claims.get("repository"), claims.get("sha")
        if not (repository and commit) and (run := published.data.get("run")):
            repository = run.partition("/runs/")[0]
            commit = next((e.data["commit"] for e in self._events("pipelinerun.started") if e.subject == run), None)
        if not (repository and commit):
            raise Refused(404, "no run and no identity token names its source")
        return self._repositories.archive(self._repositories.repository(repository).name, commit)

    # -- releases

    def _compare(self, release: Event, before: Event | None) -> dict[str, Any]:
        """Compare the attested SBOM of a release with that of the release before; returns the event's data."""
        reference = release.data["reference"]
        facts = {"name": reference.partition("@")[0], "before": before.subject if before else None}
        try:
            new = self._sbom(reference)
            if before is None:
                return {**facts, "compared": False, "why": "it is the first release"}
            return {**facts, **_dependencies(self._sbom(before.data["reference"]), new), "compared": True, "why": None}
        except ChainlabError as error:
            return {**facts, "compared": False, "why": str(error)}

    def _sbom(self, reference: str) -> Mapping[str, Any]:
        """Return the SBOM that an expected signer attested for a release. Raises `Refused` when there is none."""
        release = self._registry.release(reference)
        bundles, _ = verify_bundles(release, self._gate().policy(), self._registry, self._trust.config)
        documents = [b.predicate for b in bundles if b.verified and b.facts["kind"] == "SBOM"]
        if not documents:
            raise Refused(404, f"no SBOM of {reference} holds")
        return dict(documents[-1])  # one for each wheel, and a release has one wheel

    def _events(self, type: str) -> list[Event]:
        with closing(connect(self._database)) as connection:
            return list(Events(connection).read(PREFIX + type))


def _described(found: InspectionReport) -> dict[str, Any]:
    """What a file shows by itself, without a source."""
    return {
        "startup_files": sorted({finding.where for finding in found.findings if finding.kind in STARTUP}),
        "findings": sorted({f"{finding.kind}: {finding.where}" for finding in found.findings}),
        "not_read": sorted(name for name, _ in found.not_scanned),
    }


def _compared(found: InspectionReport) -> dict[str, Any]:
    """What a wheel shows beside its source; a file that the source has as well is not new, whatever it does."""
    new = sorted({finding.where for finding in found.findings if finding.kind == "unexpected-file"})
    described = _described(found)
    return {
        **described,
        "new_files": new,
        "startup_files": [name for name in described["startup_files"] if name in new],
        "changed_files": sorted({finding.where for finding in found.findings if finding.kind == "changed-file"}),
    }


def _dependencies(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    difference, bill = diff(old, new), cyclonedx.read(new)
    direct = set(bill.subject.requires) if bill.subject else set()
    added = [component.purl or component.name for component in difference.added]
    return {
        "added": sorted(added),
        "added_transitive": sorted(set(added) - direct),
        "changed": [str(change) for change in difference.changed],
        "rehashed": [str(change) for change in difference.rehashed],
    }


def _successions(answers: Iterable[Event]) -> Iterator[tuple[Event, Event | None]]:
    """Yield each release that the gate allowed, with the one of the same name that it allowed before."""
    last: dict[str, Event] = {}
    for answer in answers:
        name = answer.data["reference"].partition("@")[0]
        if answer.data["allowed"] and (name not in last or last[name].subject != answer.subject):
            yield answer, last.get(name)
            last[name] = answer
