"""The package index over HTTP.

    GET  /simple/  /simple/NAME/                    pages for installers (PEP 503, 691)
    GET  /files/NAME/FILE  /files/NAME/FILE.metadata (PEP 658)
    GET  /integrity/NAME/VERSION/FILE/provenance    (PEP 740)
    POST /legacy/                                   uploads, with Basic credentials
    GET  /_/oidc/audience  POST /_/oidc/mint-token  trusted publishing

A project of an internal repository is visible only to those who may read the repository's packages and present a
secret, by Basic with any user name. To others it does not exist.

A refusal is one sentence of text, which twine and uv show, or a JSON object where the protocol uses JSON.
"""

from __future__ import annotations

import sqlite3
from email.utils import format_datetime
from functools import partial

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import BaseRoute, Route

from chainlab.credentials import CHALLENGE, Credential, presented_secret
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput, Refused, Unavailable
from chainlab.file_response import StoredFile
from chainlab.protocol import refusals
from chainlab.registry.index.distributions import wheel_metadata
from chainlab.registry.index.models import IndexFile
from chainlab.registry.index.package_index import MAX_FILE, PackageIndex
from chainlab.registry.index.project_table import normalise
from chainlab.registry.index.publishers import AUDIENCE
from chainlab.registry.index.simple import Format, negotiate, page_of_project, page_of_projects
from chainlab.registry.index.upload_form import MAX_FIELDS, read_form
from chainlab.registry.rendering import POLICY
from chainlab.trust import wire

__all__ = ["index_app"]

MAX_TOKEN = 2**16  # bytes of the body that carries an identity token
INTEGRITY = "application/vnd.pypi.integrity.v1+json"
MINTING = {401: "invalid-token", 422: "invalid-publisher"}  # PyPI's codes


def index_app(index: PackageIndex) -> Starlette:
    """Serve a package index."""
    return Starlette(
        routes=[*_pages(index), *_files(index), *_uploads(index)],
        exception_handlers={**refusals(_refuse), sqlite3.Error: _unreadable_state, OSError: _unreadable_files},
    )


def _pages(index: PackageIndex) -> list[BaseRoute]:
    async def projects(request: Request) -> Response:
        format, caller = _format(request), _caller(request, index)
        visible = [project for project in index.projects() if project.upstream or index.sees(caller, project.name)]
        return _page(request, page_of_projects(visible, format), format)

    async def project(request: Request) -> Response:
        name = _name(request)
        if name != request.path_params["name"] or not request.url.path.endswith("/"):
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/simple/{name}/{query}", 301)
        format = _format(request)
        _require(request, index, name)
        entry, files = index.project(name), index.offered(name)
        return _page(request, page_of_project(entry, files, format, str(request.base_url)), format)

    async def top(_: Request) -> Response:
        return RedirectResponse("/simple/", 301)

    return [
        Route("/simple", top),
        Route("/simple/", projects),
        Route("/simple/{name}", project),
        Route("/simple/{name}/", project),
    ]


def _files(index: PackageIndex) -> list[BaseRoute]:
    async def file(request: Request) -> Response:
        name, filename = _name(request), request.path_params["file"]
        _require(request, index, name)
        if filename.endswith(".metadata"):
            return await metadata(request, name, filename.removesuffix(".metadata"))
        entry = index.file(name, filename)
        if request.method == "GET" and request.client is not None:
            index.served.record(request.client.host, entry)
        headers = _headers(entry.digest)
        if entry.uploaded is not None:
            headers["Last-Modified"] = format_datetime(entry.uploaded, usegmt=True)
        if _unchanged(request, headers["ETag"]):
            return Response(None, 304, headers)
        path = index.path(entry)
        if not path.is_file():
            raise Refused(404, f"the bytes of {filename} are gone")
        return StoredFile(path, headers=headers, media_type="application/octet-stream", filename=filename)

    async def metadata(request: Request, name: str, filename: str) -> Response:
        entry = index.file(name, filename)
        if entry.metadata is None:
            raise Refused(404, f"{filename} has no metadata file")
        headers = _headers(entry.metadata)
        if _unchanged(request, headers["ETag"]):
            return Response(None, 304, headers)
        data = await run_sync(_metadata_of, index, entry)
        return Response(data, headers=headers, media_type="application/octet-stream")

    async def provenance(request: Request) -> Response:
        name = _name(request)
        _require(request, index, name)
        entry = index.file(name, request.path_params["file"])
        document = index.provenance(entry)
        if document is None or entry.version != request.path_params["version"]:
            raise Refused(404, f"there is no provenance of {entry.filename}")
        return JSONResponse(document, media_type=INTEGRITY)

    return [
        Route("/files/{name}/{file}", file),
        Route("/integrity/{name}/{version}/{file}/provenance", provenance),
    ]


def _uploads(index: PackageIndex) -> list[BaseRoute]:
    async def upload(request: Request) -> Response:
        credential = _credential(request, index)
        length = request.headers.get("content-length", "0")
        limit = MAX_FILE + MAX_FIELDS
        if not (length.isascii() and length.isdigit()) or int(length[:18]) > limit:
            raise Refused(413, f"a distribution has at most {MAX_FILE} bytes")
        with index.blobs.stage(limit=MAX_FILE) as staged:
            form = await read_form(request.headers.get("content-type", ""), request.stream(), staged, limit=limit)
            name = form.name()
            index.authorise(name.project, credential)
            index.used(credential)
            await run_sync(form.check_digests, staged)
            accept = partial(index.accept, name, staged, by=credential, attestations=form.one("attestations"))
            await run_sync(accept)
        return PlainTextResponse("OK")

    async def audience(_: Request) -> Response:
        return JSONResponse({"audience": AUDIENCE})

    async def mint(request: Request) -> Response:
        document = wire.json_object(await wire.body(request.stream(), MAX_TOKEN))
        minted = index.mint(wire.string(document, "token"))
        return JSONResponse({"success": True, "token": minted.secret, "expires": minted.expires})

    return [
        Route("/legacy", upload, methods=["POST"]),
        Route("/legacy/", upload, methods=["POST"]),
        Route("/_/oidc/audience", audience),
        Route("/_/oidc/mint-token", mint, methods=["POST"]),
    ]


# -- answers


async def _refuse(request: Request, error: ChainlabError) -> Response:
    """Answer a refusal in the shape that the endpoint's clients read."""
    path = request.scope["path"]
    if path.startswith("/_/oidc/mint-token"):
        response = _minting_refusal(error)
    elif path.startswith(("/integrity/", "/_/")):
        response = JSONResponse({"message": error.message}, error.status)
    else:
        response = PlainTextResponse(f"{error}\n", error.status)
    if error.status == 401:
        response.headers.update(CHALLENGE)
    return response


async def _unreadable_state(request: Request, error: Exception) -> Response:
    return await _refuse(request, Unavailable("the index's state cannot be read", why=str(error)))


async def _unreadable_files(request: Request, error: Exception) -> Response:
    return await _refuse(request, Unavailable("the index's files cannot be read or written", why=str(error)))


def _minting_refusal(error: ChainlabError) -> Response:
    code = MINTING.get(error.status, "invalid-payload")
    problem = {"code": code, "description": error.message}
    status = 503 if error.status == 503 else 422  # PyPI's for every fault of the request
    return JSONResponse({"message": "Token request failed", "errors": [problem]}, status)


def _page(request: Request, text: str, format: Format) -> Response:
    data = text.encode()
    headers = _headers(Digest.of(data)) | {"Vary": "Accept"}
    if format is not Format.JSON_V1:
        headers["Content-Security-Policy"] = POLICY  # also on a 304, whose headers replace those of the cached page
    if _unchanged(request, headers["ETag"]):
        return Response(None, 304, headers)
    kind = format.value if format is Format.JSON_V1 else f"{format.value}; charset=utf-8"
    return Response(data, headers=headers | {"Content-Type": kind})


def _headers(digest: Digest) -> dict[str, str]:
    """Let clients cache a response and revalidate it each time, so that a quarantine takes effect at once."""
    return {"ETag": f'"{digest.value.hex()}"', "Cache-Control": "no-cache"}


def _unchanged(request: Request, etag: str) -> bool:
    etags = request.headers.get("if-none-match", "")
    return etag in {tag.strip().removeprefix("W/") for tag in etags.split(",")}


# -- requests


def _format(request: Request) -> Format:
    return negotiate(request.headers.get("accept"), request.query_params.get("format"))


def _name(request: Request) -> str:
    try:
        return normalise(request.path_params["name"])
    except MalformedInput as error:
        raise Refused(404, error.message) from error


def _caller(request: Request, index: PackageIndex) -> Credential | None:
    """Return whose request this is; None without a secret. Raises `Refused` (401) for an invalid secret."""
    secret = presented_secret(request.headers.getlist("authorization"))
    if secret is None:
        return None
    if (credential := _present(request, index, secret)) is None:
        raise Refused(401, "this secret is unknown, revoked or expired")
    return credential


def _require(request: Request, index: PackageIndex, name: str) -> None:
    """Raises `Refused` (404) for a project that the caller may not know of, with the message for a missing one."""
    if not index.sees(_caller(request, index), name):
        raise Refused(404, f"there is no project {name!r}")


def _credential(request: Request, index: PackageIndex) -> Credential:
    """Return who uploads. Raises `Refused`: 401 without a secret, 403 for an invalid one."""
    secret = presented_secret(request.headers.getlist("authorization"))
    if not secret:
        raise Refused(401, "an upload needs credentials: user name __token__, and the secret")
    credential = _present(request, index, secret)
    if credential is None:
        raise Refused(403, "this secret is unknown, revoked or expired")
    return credential


def _present(request: Request, index: PackageIndex, secret: str) -> Credential | None:
    return index.present(secret, request.client.host if request.client else "")


def _metadata_of(index: PackageIndex, file: IndexFile) -> bytes:
    if file.upstream:
        return wheel_metadata(index.path(file))
    assert file.metadata is not None  # noqa: S101 - the caller checked
    return index.blobs.read(file.metadata)
