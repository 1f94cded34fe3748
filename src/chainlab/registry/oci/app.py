"""``/v2/``: the OCI distribution specification 1.1 over HTTP.

Every request comes through one door, which reads the path, the caller and the method, so that nothing below sees
a name or a digest that was not checked. Uploaded bytes are served as what they were pushed as, never as HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Refused
from chainlab.file_response import StoredFile
from chainlab.registry.oci import names as oci_names
from chainlab.registry.oci.access import LIFETIME, Access, challenge
from chainlab.registry.oci.catalog import PAGE
from chainlab.registry.oci.errors import OciError, answer
from chainlab.registry.oci.images import Images
from chainlab.registry.oci.manifest import INDEX_TYPE, MAX_MANIFEST, MEDIA_TYPE
from chainlab.registry.oci.tables import Stored
from chainlab.registry.oci.uploads import Chunk, Uploads

__all__ = ["oci_routes"]

VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}
SHAPES = (  # what may follow the repository's name; the name is read greedily
    ("uploads", re.compile(r"(.*)/blobs/uploads/?")),
    ("upload", re.compile(r"(.*)/blobs/uploads/([^/]+)")),
    ("blob", re.compile(r"(.*)/blobs/([^/]+)")),
    ("manifest", re.compile(r"(.*)/manifests/([^/]+)")),
    ("tags", re.compile(r"(.*)/tags/list")),
    ("referrers", re.compile(r"(.*)/referrers/([^/]+)")),
)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
MAX_ANSWER = MAX_MANIFEST  # bytes of one page of referrers, which is an image index
MAX_PAGE = 10_000  # tags in one answer, however many the client asks for


@dataclass(frozen=True)
class _Asked:
    """A request whose path was read."""

    request: Request
    name: str
    reference: str
    caller: Credential | None

    @property
    def by(self) -> str:
        return self.caller.subject if self.caller else "anonymous"

    @property
    def job(self) -> str:
        return self.caller.job if self.caller else ""

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params


_Handler = Callable[[_Asked], Awaitable[Response]]


def oci_routes(images: Images, uploads: Uploads, access: Access) -> list[BaseRoute]:
    """The endpoints of the specification, and of token authentication."""
    distribution = _Endpoints(images, uploads, access)
    below = Route("/v2/{path:path}", distribution.serve, methods=METHODS)
    # A path with a line feed in it, too, is refused here.
    below.path_regex = re.compile("^/v2/(?P<path>.*)$", re.DOTALL)
    return [
        Route("/v2/", distribution.base, methods=METHODS),
        Route("/v2", distribution.base, methods=METHODS),
        Route("/v2/token", distribution.token, methods=METHODS),
        below,
    ]


class _Endpoints:
    def __init__(self, images: Images, uploads: Uploads, access: Access) -> None:
        self._images = images
        self._uploads = uploads
        self._access = access
        self._handlers: dict[tuple[str, str], tuple[str, _Handler]] = {
            ("uploads", "POST"): ("push", self._start),
            ("upload", "GET"): ("push", self._status),
            ("upload", "PATCH"): ("push", self._append),
            ("upload", "PUT"): ("push", self._finish),
            ("upload", "DELETE"): ("push", self._cancel),
            ("blob", "GET"): ("pull", self._blob),
            ("blob", "HEAD"): ("pull", self._blob),
            ("blob", "DELETE"): ("delete", self._delete_blob),
            ("manifest", "GET"): ("pull", self._manifest),
            ("manifest", "HEAD"): ("pull", self._manifest),
            ("manifest", "PUT"): ("push", self._push),
            ("manifest", "DELETE"): ("delete", self._delete_manifest),
            ("tags", "GET"): ("pull", self._tags),
            ("referrers", "GET"): ("pull", self._referrers),
        }

    # -- the door

    async def base(self, request: Request) -> Response:
        """``GET /v2/``: which API this is, and whether the credential is good."""
        try:
            if request.method not in ("GET", "HEAD"):
                raise OciError(405, "UNSUPPORTED", f"{request.method} is not served here")
            if self._access.caller(request) is None:
                raise OciError(401, "UNAUTHORIZED", "present a credential")
        except ChainlabError as error:
            return self._refusal(request, error)
        return JSONResponse({}, headers=VERSION)

    async def token(self, request: Request) -> Response:
        """``GET /v2/token``: a short-lived credential for the one in the request."""
        try:
            if request.method != "GET":
                raise OciError(405, "UNSUPPORTED", f"{request.method} is not served here")
            token = self._access.token(self._access.caller(request))
        except ChainlabError as error:
            return self._refusal(request, error)
        content = {"token": token, "access_token": token, "expires_in": LIFETIME}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    async def serve(self, request: Request) -> Response:
        """Everything below a repository's name."""
        name, action = "", "pull"
        try:
            kind, name, reference = _read(request.path_params["path"])
            caller = self._access.caller(request)
            if (kind, request.method) not in self._handlers:
                raise OciError(405, "UNSUPPORTED", f"{request.method} is not served here")
            action, handler = self._handlers[kind, request.method]
            if action != "pull" or self._images.is_private(name):
                self._access.check(caller, action, name)
            response = await handler(_Asked(request, name, reference, caller))
        except ChainlabError as error:
            return self._refusal(request, error, name, action)
        response.headers.update(VERSION)
        return response

    def _refusal(self, request: Request, error: ChainlabError, name: str = "", action: str = "pull") -> Response:
        headers = dict(VERSION)
        if isinstance(error, Refused) and error.status == 401:
            actions = {"push": "pull,push"}.get(action, action)
            headers |= challenge(request, name, actions)
        return answer(error, headers)

    # -- blobs

    async def _blob(self, asked: _Asked) -> Response:
        digest = self._images.blob(asked.name, oci_names.any_digest(asked.reference))
        return StoredFile(
            self._images.blobs.path(digest),
            media_type="application/octet-stream",
            headers={"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'},
        )

    async def _delete_blob(self, asked: _Asked) -> Response:
        digest = oci_names.any_digest(asked.reference)
        self._images.delete_blob(asked.name, digest, by=asked.by)
        return Response(status_code=202)

    async def _start(self, asked: _Asked) -> Response:
        """Begin an upload; or mount a blob, or take all of it, in this one request."""
        if "mount" in asked.query:
            digest = oci_names.any_digest(asked.query["mount"])
            source = asked.query.get("from")
            if source is not None and self._may_mount(asked.caller, oci_names.check_name(source)):
                if reason := self._images.held_back(source, digest):
                    raise OciError(403, "DENIED", f"{digest} is quarantined: {reason}")
                if self._images.mount(asked.name, digest, source):
                    return _created(asked.name, digest)
        elif "digest" in asked.query:
            digest = oci_names.digest(asked.query["digest"])
            await self._receive_whole(asked, digest)
            return _created(asked.name, digest)
        elif asked.query.get("digest-algorithm", "sha256") != "sha256":
            raise OciError(400, "DIGEST_INVALID", "the only digest algorithm here is sha256")
        return _accepted(asked.name, self._uploads.start(asked.name), 0)

    def _may_mount(self, caller: Credential | None, source: str) -> bool:
        if not self._images.is_private(source):
            return True
        try:
            self._access.check(caller, "pull", source)
        except OciError:
            return False
        return True

    async def _receive_whole(self, asked: _Asked, digest: Digest) -> None:
        with self._images.blobs.stage() as staged:
            async for data in asked.request.stream():
                staged.write(data)
            if staged.digest != digest:
                raise OciError(400, "DIGEST_INVALID", f"the bytes have digest {staged.digest}")
            await anyio.to_thread.run_sync(staged.commit, digest)
        self._images.link(asked.name, digest)

    async def _status(self, asked: _Asked) -> Response:
        size = self._uploads.size(asked.name, asked.reference)
        return _accepted(asked.name, asked.reference, size, status=204)

    async def _append(self, asked: _Asked) -> Response:
        span = _content_range(asked.request)
        start = None if span is None else span[0]
        with self._uploads.chunk(asked.name, asked.reference, start) as chunk:
            await _receive(asked.request, chunk, span)
            size = await anyio.to_thread.run_sync(chunk.keep)
        return _accepted(asked.name, asked.reference, size)

    async def _finish(self, asked: _Asked) -> Response:
        if "digest" not in asked.query:
            raise OciError(400, "DIGEST_INVALID", "the last request names the blob's digest")
        digest = oci_names.digest(asked.query["digest"])
        span = _content_range(asked.request)
        start = None if span is None else span[0]
        with self._uploads.chunk(asked.name, asked.reference, start) as chunk:
            await _receive(asked.request, chunk, span)
            await anyio.to_thread.run_sync(chunk.finish, digest)
        self._images.link(asked.name, digest)
        return _created(asked.name, digest)

    async def _cancel(self, asked: _Asked) -> Response:
        self._uploads.cancel(asked.name, asked.reference)
        return Response(status_code=204)

    # -- manifests

    async def _manifest(self, asked: _Asked) -> Response:
        stored = self._images.pull(asked.name, oci_names.reference(asked.reference))
        data = self._images.blobs.read(stored.digest)
        headers = {"Docker-Content-Digest": str(stored.digest), "ETag": f'"{stored.digest}"'}
        return Response(data, media_type=stored.media_type, headers=headers)

    async def _push(self, asked: _Asked) -> Response:
        text = asked.reference
        reference = oci_names.digest(text) if ":" in text else text
        data = bytearray()
        async for part in asked.request.stream():
            data += part
            if len(data) > MAX_MANIFEST:
                raise OciError(413, "SIZE_INVALID", f"a manifest is at most {MAX_MANIFEST} bytes")
        content_type = asked.request.headers.get("content-type", "")

        def push() -> Stored:
            return self._images.push(asked.name, reference, bytes(data), content_type, by=asked.by, job=asked.job)

        stored = await anyio.to_thread.run_sync(push)
        headers = {
            "Location": f"/v2/{asked.name}/manifests/{stored.digest}",
            "Docker-Content-Digest": str(stored.digest),
        }
        if stored.subject is not None:
            headers["OCI-Subject"] = str(stored.subject)
        return Response(status_code=201, headers=headers)

    async def _delete_manifest(self, asked: _Asked) -> Response:
        reference = oci_names.reference(asked.reference)
        self._images.delete_manifest(asked.name, reference, by=asked.by)
        return Response(status_code=202)

    # -- discovery

    async def _tags(self, asked: _Asked) -> Response:
        text = asked.query.get("n")
        count = PAGE if text is None else min(_number(text, "n"), MAX_PAGE)
        last = asked.query.get("last", "")
        names, more = self._images.tag_names(asked.name, count=count, last=last)
        headers = {}
        if more and names:
            following = urlencode({"n": count, "last": names[-1]})
            headers["Link"] = f'</v2/{asked.name}/tags/list?{following}>; rel="next"'
        return JSONResponse({"name": asked.name, "tags": names}, headers=headers)

    async def _referrers(self, asked: _Asked) -> Response:
        subject = oci_names.any_digest(asked.reference)
        wanted = asked.query.get("artifactType") or None
        if wanted is not None and not MEDIA_TYPE.fullmatch(wanted):
            raise OciError(400, "UNSUPPORTED", "artifactType is not a media type")
        after = _number(asked.query.get("after", "0"), "after")
        found = self._images.referrers(asked.name, subject, artifact_type=wanted, after=after)
        headers = {} if wanted is None else {"OCI-Filters-Applied": "artifactType"}
        manifests: list[dict[str, Any]] = []
        size = 0
        for stored in found:
            entry = stored.descriptor()
            size += len(json.dumps(entry))
            if manifests and size > MAX_ANSWER:
                following = {"after": str(after)} | ({"artifactType": wanted} if wanted else {})
                target = f"/v2/{asked.name}/referrers/{subject}?{urlencode(following)}"
                headers["Link"] = f'<{target}>; rel="next"'
                break
            manifests.append(entry)
            after = stored.order
        content = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        return Response(json.dumps(content), media_type=INDEX_TYPE, headers=headers)


def _read(path: str) -> tuple[str, str, str]:
    """Kind, repository and reference of a path below ``/v2/``. Raises `OciError`."""
    for kind, shape in SHAPES:
        if found := shape.fullmatch(path):
            reference = found[2] if shape.groups == 2 else ""
            return kind, oci_names.check_name(found[1]), reference
    raise OciError(404, "NAME_UNKNOWN", "nothing is served here")


async def _receive(request: Request, chunk: Chunk, span: tuple[int, int] | None) -> None:
    async for data in request.stream():
        chunk.write(data)
    if span is not None and chunk.size != span[1] - span[0] + 1:
        raise OciError(
            416,
            "BLOB_UPLOAD_INVALID",
            f"the chunk has {chunk.size} bytes, its Content-Range says {span[0]}-{span[1]}",
        )


def _content_range(request: Request) -> tuple[int, int] | None:
    """First and last byte of a chunk, as its header says; None without one."""
    text = request.headers.get("content-range")
    if text is None:
        return None
    found = RANGE.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise OciError(416, "BLOB_UPLOAD_INVALID", "expected Content-Range: FIRST-LAST")
    return int(found[1]), int(found[2])


def _accepted(name: str, id: str, size: int, *, status: int = 202) -> Response:
    return Response(
        status_code=status,
        headers={
            "Location": f"/v2/{name}/blobs/uploads/{id}",
            "Range": f"0-{max(size - 1, 0)}",
            "Docker-Upload-UUID": id,
        },
    )


def _created(name: str, digest: Digest) -> Response:
    location = f"/v2/{name}/blobs/{digest}"
    return Response(status_code=201, headers={"Location": location, "Docker-Content-Digest": str(digest)})


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise OciError(400, "UNSUPPORTED", f"expected a whole number in {name!r}")
    return int(text)
