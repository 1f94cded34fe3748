"""The pages for browsing: artifacts, their versions and tags, what is known about each digest, log entries.

    /                            all artifacts; search with ?q=
    /artifacts/oci/NAME          an OCI repository       /artifacts/package/NAME    a package
    /artifacts/sha256:HEX        all that is known about a digest
    /artifacts/log               entries of the transparency logs; /artifacts/log/v2/9 is one of them

A reader with a credential (Basic, or Bearer) also sees the internal repositories that it may read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.protocol import refusals
from chainlab.registry.channels import CHANNELS, ChannelArtifact
from chainlab.registry.index.models import IndexFile, IndexProject
from chainlab.registry.index.project_table import normalise
from chainlab.registry.oci.names import any_digest, check_name
from chainlab.registry.oci.tables import Stored
from chainlab.registry.pages.logs import LOGGED, log_routes
from chainlab.registry.pages.search import SearchQuery
from chainlab.registry.registry import Registry
from chainlab.registry.rendering import address, describe, refuse, render, url
from chainlab.registry.viewing import Viewer

__all__ = ["pages_app"]

MAX_ROWS = 200  # of one table
MAX_NAMED = 5  # tags or versions of one row of the overview


def pages_app(registry: Registry) -> Starlette:
    """Serve the pages and their style sheet."""
    pages = _Pages(registry)
    return Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/artifacts/style.css", _style),
            *log_routes(registry),
            Route("/artifacts/oci/{name:path}", pages.repository),
            Route("/artifacts/package/{name}", pages.package),
            Route("/artifacts/{digest}", pages.digest),
        ],
        exception_handlers=refusals(refuse),
    )


class _Pages:
    """The pages; each shows only what the request's credential, or anybody, may see."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def overview(self, request: Request) -> Response:
        query = SearchQuery.parse(request.query_params.get("q", ""))
        caller = self._registry.access.caller(request)
        viewer, reader = self._registry.viewer(caller), self._registry.evidence.viewer(caller)
        if query.digest is not None and not self._registry.evidence.with_prefix(query.prefix, viewer=reader):
            return RedirectResponse(f"/artifacts/{query.digest}", 303)
        return await render("overview.html", self._overview, query, viewer, reader)

    def _viewer(self, request: Request) -> Viewer:
        return self._registry.viewer(self._registry.access.caller(request))

    def _overview(self, query: SearchQuery, viewer: Viewer, reader: Viewer) -> dict[str, Any]:
        images = [r.name for r in self._registry.images.repositories() if viewer.package(r.name)]
        projects = [p for p in self._registry.index.projects() if p.upstream or viewer.project(p.name)]
        rows = {
            "digests": list(self._digests(query, set(images), projects, reader)) if query.prefix else [],
            "images": list(filter(None, (self._image(query, name) for name in images))),
            "packages": list(filter(None, (self._project(query, p) for p in projects if not p.upstream))),
            "upstream": [{"name": p.name, "url": url("package", p.name)} for p in self._upstream(query, projects)],
        }
        counts = {name: len(entries) for name, entries in rows.items()}
        cut = {name: entries[:MAX_ROWS] for name, entries in rows.items()}
        return {"query": query.text, "counts": counts, "channels": CHANNELS, **cut}

    def _digests(
        self, query: SearchQuery, images: set[str], projects: Sequence[IndexProject], reader: Viewer
    ) -> Iterator[dict[str, Any]]:
        """Yield every digest on a page that begins with the query, and where it is."""
        for digest, repository in self._registry.images.with_prefix(query.prefix):
            if repository in images:
                yield describe(digest) | {"what": "in the OCI repository", "name": repository}
        for project in projects:
            for file in self._registry.index.files(project.name):
                if query.begins(file.digest):
                    yield describe(file.digest) | {"what": "file", "name": file.filename}
        for subject, digest, kind in self._registry.evidence.with_prefix(query.prefix, viewer=reader):
            where = {"what": f"evidence ({kind}) about", "name": str(subject)}
            yield describe(digest) | where | {"url": address(f"/evidence/{subject}/{digest}")}
        for event in self._registry.events.read(LOGGED):
            if query.begins(digest := Digest.parse(event.subject)):
                entry = f"entry {event.data['logIndex']} of log {event.data['log']}"
                yield describe(digest) | {"what": "signed by", "name": entry}

    def _image(self, query: SearchQuery, name: str) -> dict[str, Any] | None:
        """Return a row of the overview; None when it does not match the query."""
        images = self._registry.images
        tags = sorted(images.tags(name), key=lambda tag: -tag.updated)
        manifests = images.manifests(name)
        is_held = any(images.held_back(name, digest) is not None for digest in {tag.digest for tag in tags})
        channels = self._channels(ChannelArtifact("oci", name))
        status = "quarantined" if is_held else "active"
        digests = [digest for m in manifests for digest in (m.digest, m.subject) if digest]
        names = [f"oci/{name}", status, *channels, *(f"oci/{name}:{tag.name}" for tag in tags)]
        if not _matches(query, names, digests):
            return None
        return {
            "name": name,
            "url": url("oci", name),
            **_names(query, [tag.name for tag in tags]),
            "status": status,
            "channels": channels,
            "evidence": sum(stored.subject is not None for stored in manifests),
        }

    def _project(self, query: SearchQuery, project: IndexProject) -> dict[str, Any] | None:
        """Return a row of the overview; None when it does not match the query."""
        files = self._registry.index.files(project.name)
        versions = list(dict.fromkeys(file.version for file in reversed(files)))
        is_held = any(self._registry.quarantine.reason(file.digest) for file in files)
        channels = self._channels(ChannelArtifact("package", project.name))
        status = "quarantined" if is_held else str(project.status)
        names = [
            f"package/{project.name}",
            project.display_name,
            status,
            *channels,
            *versions,
            *(file.filename for file in files),
        ]
        if not _matches(query, names, [file.digest for file in files]):
            return None
        return {
            "name": project.display_name,
            "url": url("package", project.name),
            **_names(query, versions),
            "status": status,
            "channels": channels,
            "evidence": sum(file.provenance is not None for file in files),
        }

    def _upstream(self, query: SearchQuery, projects: Sequence[IndexProject]) -> Iterator[IndexProject]:
        for project in projects:
            files = self._registry.index.files(project.name) if project.upstream and query.text else []
            names = [project.name, *(file.filename for file in files)]
            if project.upstream and _matches(query, names, [file.digest for file in files]):
                yield project

    def _channels(self, artifact: ChannelArtifact) -> dict[str, dict[str, Any]]:
        return {
            channel: describe(step.digest)
            | {"time": step.time, "by": step.by, "held": self._registry.held_back(artifact, step.digest)}
            for channel, step in self._registry.channels.current(artifact).items()
        }

    def _history(self, artifact: ChannelArtifact) -> list[dict[str, Any]]:
        history = self._registry.channels.history(artifact)
        return [
            describe(step.digest) | {"source": step.source, "target": step.target, "time": step.time, "by": step.by}
            for step in reversed(history[-MAX_ROWS:])
        ]

    # -- one artifact

    async def repository(self, request: Request) -> Response:
        return await render("repository.html", self._repository, request.path_params["name"], self._viewer(request))

    def _repository(self, name: str, viewer: Viewer) -> dict[str, Any]:
        images = self._registry.images
        if not viewer.package(check_name(name)):
            raise Refused(404, f"there is no repository {name}")
        settings, tags, stored = images.repository(name), images.tags(name), images.manifests(name)
        manifests = [m for m in stored if m.subject is None]
        referrers = [m for m in stored if m.subject is not None]
        artifact = ChannelArtifact("oci", name)
        return {
            "name": name,
            "immutable": settings.immutable,
            "counts": {"tags": len(tags), "manifests": len(manifests), "referrers": len(referrers)},
            "tags": [
                describe(tag.digest)
                | {
                    "name": tag.name,
                    "updated": tag.updated,
                    "held": images.held_back(name, tag.digest),
                    "evidence": len(images.referrers(name, tag.digest)),
                }
                for tag in sorted(tags, key=lambda t: -t.updated)[:MAX_ROWS]
            ],
            "manifests": self._manifests(manifests[:MAX_ROWS]),
            "referrers": self._manifests(referrers[:MAX_ROWS]),
            "channels": self._channels(artifact),
            "history": self._history(artifact),
            "order": CHANNELS,
        }

    def _manifests(self, manifests: Sequence[Stored]) -> list[dict[str, Any]]:
        predicates = self._registry.evidence.predicates(m for m in manifests if m.subject is not None)
        return [
            describe(stored.digest)
            | {
                "type": predicates.get(stored.digest) or stored.artifact_type or stored.media_type,
                "about": None if stored.subject is None else describe(stored.subject),
                "pushed": stored.pushed,
                "by": stored.pushed_by,
            }
            for stored in manifests
        ]

    async def package(self, request: Request) -> Response:
        return await render("package.html", self._package, request.path_params["name"], self._viewer(request))

    def _package(self, name: str, viewer: Viewer) -> dict[str, Any]:
        if not viewer.project(name):
            raise Refused(404, f"there is no project {normalise(name)!r}")
        project = self._registry.index.project(name)
        files = self._registry.index.files(project.name)
        artifact = ChannelArtifact("package", project.name)
        return {
            "name": project.display_name,
            "owner": project.owner,
            "upstream": project.upstream,
            "status": str(project.status),
            "reason": project.reason,
            "simple": address(f"/simple/{project.name}/"),
            "count": len(files),
            "files": [self._file(file) for file in list(reversed(files))[:MAX_ROWS]],
            "channels": self._channels(artifact),
            "history": self._history(artifact),
            "order": CHANNELS,
        }

    def _file(self, file: IndexFile) -> dict[str, Any]:
        return describe(file.digest) | {
            "name": file.filename,
            "version": file.version,
            "size": f"{file.size:,}",
            "uploaded": None if file.uploaded is None else file.uploaded.timestamp(),
            "by": file.uploader,
            "attested": file.provenance is not None,
            "yanked": file.yanked,
            "held": self._registry.quarantine.reason(file.digest),
        }

    # -- one digest

    async def digest(self, request: Request) -> Response:
        viewer = self._registry.evidence.viewer(self._registry.access.caller(request))
        return await render("digest.html", self._evidence, request.path_params["digest"], viewer)

    def _evidence(self, text: str, viewer: Viewer) -> dict[str, Any]:
        digest = any_digest(text)
        document = self._registry.evidence.document(digest, viewer=viewer)
        return {
            **document,
            "json": address(f"/evidence/{digest}"),
            "oci_url": lambda name: url("oci", name),
            "package_url": lambda name: url("package", name),
            "digest_url": lambda name: url(str(any_digest(name))),
        }


def _matches(query: SearchQuery, texts: Iterable[str], digests: Iterable[Digest]) -> bool:
    return query.matches(texts) or any(map(query.begins, digests))


def _names(query: SearchQuery, names: Sequence[str]) -> dict[str, Any]:
    """Return the first tags or versions of a row; those that match the query come first."""
    first = sorted(names, key=lambda name: bool(query.text) and not query.matches([name]))
    return {"versions": first[:MAX_NAMED], "more": max(len(names) - MAX_NAMED, 0)}


async def _style(_: Request) -> Response:
    sheet = resources.files("chainlab.registry").joinpath("templates/style.css").read_text()
    return Response(sheet, media_type="text/css", headers={"Cache-Control": "no-cache"})
