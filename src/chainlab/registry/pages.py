"""The pages a person browses: artifacts, their versions and tags, what is known about each digest, log entries.

Rendered here, without a script, so that they work in any browser and under a policy that allows none. What a stranger
named is shown as text: escaped, cut where it is too long, its invisible characters spelled out. Links are made of
checked names and digests only; no address that somebody uploaded becomes a link.

    /                            what there is; search with ?q=
    /artifacts/oci/NAME          an OCI repository       /artifacts/package/NAME    a package
    /artifacts/sha256:HEX        all about a digest      /artifacts/log             entries of the trust logs

Whoever presents a credential (Basic, or Bearer) also sees the internal repositories that it may read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio.to_thread
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab.characters import visible
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput, Refused
from chainlab.registry import bundles
from chainlab.registry.channels import CHANNELS, Artifact
from chainlab.registry.oci_names import check_name
from chainlab.registry.projects import normalise
from chainlab.registry.registry import Registry
from chainlab.registry.viewing import Viewer

if TYPE_CHECKING:
    import jinja2

__all__ = ["brief", "page_routes"]

POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
MAX_ROWS = 200  # of one table
MAX_TEXT = 300  # characters of one value
MAX_MARKS = 3  # accents on one letter
BLANKS = str.maketrans("\n\r\t", "   ")
_Endpoint = Callable[[Request], Awaitable[Response]]


def page_routes(registry: Registry) -> list[BaseRoute]:
    """The pages and their style sheet."""
    pages = _Pages(registry)
    return [
        Route("/", _shown(pages.overview)),
        Route("/artifacts/style.css", _style),
        Route("/artifacts/log", _shown(pages.log)),
        Route("/artifacts/oci/{name:path}", _shown(pages.repository)),
        Route("/artifacts/package/{name}", _shown(pages.package)),
        Route("/artifacts/{digest}", _shown(pages.digest)),
    ]


class _Pages:
    """Every page is what its reader may see: anybody, or whoever the request's credential names."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def overview(self, request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if query.startswith("sha256:"):
            try:
                return RedirectResponse(f"/artifacts/{Digest.parse(query)}", 303)
            except MalformedInput:
                pass  # a part of one finds nothing, and the page says so
        return await _render("overview.html", self._overview, query, self._viewer(request))

    def _viewer(self, request: Request) -> Viewer:
        return self._registry.viewer(self._registry.access.caller(request))

    def _overview(self, query: str, viewer: Viewer) -> dict[str, Any]:
        wanted = query.casefold()
        names = [repository.name for repository in self._registry.images.repositories()]
        images = [self._image(name) for name in names if viewer.package(name)]
        projects = [p for p in self._registry.index.projects() if p.upstream or viewer.project(p.name)]
        ours = [self._project(project) for project in projects if not project.upstream]
        upstream = [{"name": p.name, "url": _url("package", p.name)} for p in projects if p.upstream]
        found = {
            "images": [row for row in images if wanted in _searched(row)],
            "packages": [row for row in ours if wanted in _searched(row)],
            "upstream": [row for row in upstream if wanted in row["name"]],
        }
        counts = {name: len(rows) for name, rows in found.items()}
        cut = {name: rows[:MAX_ROWS] for name, rows in found.items()}
        return {"query": query, "counts": counts, "channels": CHANNELS, **cut}

    def _image(self, name: str) -> dict[str, Any]:
        images = self._registry.images
        tags = images.tags(name)
        manifests = images.manifests(name)
        held = {t.digest for t in tags if images.held_back(name, t.digest) is not None}
        return {
            "name": name,
            "url": _url("oci", name),
            "versions": [tag.name for tag in sorted(tags, key=lambda t: -t.updated)][:5],
            "more": max(len(tags) - 5, 0),
            "status": "quarantined" if held else "active",
            "channels": self._channels(Artifact("oci", name)),
            "evidence": sum(stored.subject is not None for stored in manifests),
        }

    def _project(self, project: Any) -> dict[str, Any]:
        files = self._registry.index.files(project.name)
        versions = list(dict.fromkeys(file.version for file in reversed(files)))
        held = any(self._registry.quarantine.reason(file.digest) for file in files)
        return {
            "name": project.display_name,
            "url": _url("package", project.name),
            "versions": versions[:5],
            "more": max(len(versions) - 5, 0),
            "status": "quarantined" if held else str(project.status),
            "channels": self._channels(Artifact("package", project.name)),
            "evidence": sum(file.provenance is not None for file in files),
        }

    def _channels(self, artifact: Artifact) -> dict[str, dict[str, Any]]:
        return {
            channel: _digest(step.digest)
            | {
                "time": _time(step.time),
                "by": step.by,
                "held": self._registry.held_back(artifact, step.digest),
            }
            for channel, step in self._registry.channels.current(artifact).items()
        }

    def _history(self, artifact: Artifact) -> list[dict[str, Any]]:
        history = self._registry.channels.history(artifact)
        return [
            _digest(step.digest)
            | {
                "source": step.source,
                "target": step.target,
                "time": _time(step.time),
                "by": step.by,
            }
            for step in reversed(history[-MAX_ROWS:])
        ]

    # -- one artifact

    async def repository(self, request: Request) -> Response:
        return await _render("repository.html", self._repository, request.path_params["name"], self._viewer(request))

    def _repository(self, name: str, viewer: Viewer) -> dict[str, Any]:
        images = self._registry.images
        if not viewer.package(check_name(name)):
            raise Refused(404, f"there is no repository {name}")
        settings, tags, manifests = (
            images.repository(name),
            images.tags(name),
            images.manifests(name),
        )
        artifact = Artifact("oci", name)
        return {
            "name": name,
            "immutable": settings.immutable,
            "counts": {"tags": len(tags), "manifests": len(manifests)},
            "tags": [
                _digest(tag.digest)
                | {
                    "name": tag.name,
                    "updated": _time(tag.updated),
                    "held": images.held_back(name, tag.digest),
                    "evidence": len(images.referrers(name, tag.digest)),
                }
                for tag in sorted(tags, key=lambda t: -t.updated)[:MAX_ROWS]
            ],
            "manifests": [
                _digest(stored.digest)
                | {
                    "type": stored.artifact_type or stored.media_type,
                    "about": None if stored.subject is None else _digest(stored.subject),
                    "pushed": _time(stored.pushed),
                    "by": stored.pushed_by,
                }
                for stored in manifests[:MAX_ROWS]
            ],
            "channels": self._channels(artifact),
            "history": self._history(artifact),
            "order": CHANNELS,
        }

    async def package(self, request: Request) -> Response:
        return await _render("package.html", self._package, request.path_params["name"], self._viewer(request))

    def _package(self, name: str, viewer: Viewer) -> dict[str, Any]:
        if not viewer.project(name):
            raise Refused(404, f"there is no project {normalise(name)!r}")
        project = self._registry.index.project(name)
        files = self._registry.index.files(project.name)
        artifact = Artifact("package", project.name)
        return {
            "name": project.display_name,
            "owner": project.owner,
            "upstream": project.upstream,
            "status": str(project.status),
            "reason": project.reason,
            "simple": _address(f"/simple/{project.name}/"),
            "count": len(files),
            "files": [
                _digest(file.digest)
                | {
                    "name": file.filename,
                    "version": file.version,
                    "size": f"{file.size:,}",
                    "uploaded": "" if file.uploaded is None else _time(file.uploaded.timestamp()),
                    "by": file.uploader,
                    "attested": file.provenance is not None,
                    "yanked": file.yanked,
                    "held": self._registry.quarantine.reason(file.digest),
                }
                for file in list(reversed(files))[:MAX_ROWS]
            ],
            "channels": self._channels(artifact),
            "history": self._history(artifact),
            "order": CHANNELS,
        }

    # -- one digest, and the logs

    async def digest(self, request: Request) -> Response:
        viewer = self._registry.evidence.viewer(self._registry.access.caller(request))
        return await _render("digest.html", self._evidence, request.path_params["digest"], viewer)

    def _evidence(self, text: str, viewer: Viewer) -> dict[str, Any]:
        digest = Digest.parse(text)
        document = self._registry.evidence.document(digest, viewer=viewer)
        return {
            **document,
            "json": _address(f"/evidence/{digest}"),
            "oci_url": lambda name: _url("oci", name),
            "package_url": lambda name: _url("package", name),
            "digest_url": lambda name: _url(str(Digest.parse(name))),
        }

    async def log(self, _: Request) -> Response:
        return await _render("log.html", self._log)

    def _log(self) -> dict[str, Any]:
        entries = []
        for event in self._registry.events.read("dev.chainlab.logentry.created"):
            version, index = event.data.get("log"), event.data.get("logIndex")
            if version not in ("v1", "v2") or not isinstance(index, int):
                continue
            path = bundles.entry_path(int(version[1]), index)
            entries.append(
                _digest(Digest.parse(event.subject))
                | {
                    "log": version,
                    "index": index,
                    "time": event.time,
                    "path": _address(path),
                }
            )
        return {"count": len(entries), "entries": entries[-MAX_ROWS:][::-1]}


def brief(text: str) -> str:
    """Text as a person should see it: nothing invisible in it, and not too much of it.

    Line breaks are blanks, heaps of accents are cut, and so is what is longer than `MAX_TEXT` characters.
    """
    shown, marks = [], 0
    for character in text[:MAX_TEXT].translate(BLANKS):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MAX_MARKS:
            shown.append(character)
    if len(text) > MAX_TEXT:
        shown.append(f"… ({len(text):,} characters)")
    return visible("".join(shown))


def _finalize(value: Any) -> Any:
    if value is None or isinstance(value, Markup | int | float):  # `Markup` is a page's own
        return value
    return brief(str(value))


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # a third of the instance's start, and most instances show no page

    loader = jinja2.PackageLoader("chainlab.registry", "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["address"] = _address
    return environment


async def _render(template: str, gather: Callable[..., dict[str, Any]], *given: object) -> Response:
    """A page from what ``gather`` finds, off the event loop."""

    def page() -> str:
        return _environment().get_template(template).render(gather(*given))

    return _html(await anyio.to_thread.run_sync(page))


def _html(page: str, status: int = 200) -> HTMLResponse:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(page, status, headers)


def _shown(endpoint: _Endpoint) -> _Endpoint:
    """The endpoint, with its refusals as a page."""

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ChainlabError as error:
            template = _environment().get_template("refused.html")
            return _html(template.render(message=error.message, mend=error.mend), error.status)

    return guarded


async def _style(_: Request) -> Response:
    sheet = resources.files("chainlab.registry").joinpath("templates/style.css").read_text()
    return Response(sheet, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def _digest(digest: Digest) -> dict[str, Any]:
    """What a template needs to name a digest."""
    return {"digest": str(digest), "short": str(digest)[:19], "url": _url(str(digest))}


def _url(*parts: str) -> Markup:
    """The address of a page, ready for an attribute."""
    return _address("/artifacts/" + "/".join(parts))


def _address(path: str) -> Markup:
    """A path on this origin, ready for an attribute, as long as it is."""
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("not a path of ours")
    return Markup(escape(quote(path, safe="/:?=&.")))  # noqa: S704


def _searched(row: dict[str, Any]) -> str:
    return "\n".join([row["name"], *row["versions"], *row["channels"], row["status"]]).casefold()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
