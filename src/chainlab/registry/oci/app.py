"""``/v2/``: the OCI distribution specification 1.1 over HTTP.

`_OciEndpoints.serve` reads the path, the caller and the method of every request before a handler runs, so no handler
sees an unchecked repository name. Uploaded bytes are served with the media type they were pushed with, never as HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chainlab.errors import ChainlabError
from chainlab.file_response import StoredFile
from chainlab.protocol import refusals
from chainlab.registry.oci import names as oci_names
from chainlab.registry.oci.access import Access, challenge
from chainlab.registry.oci.catalog import PAGE
from chainlab.registry.oci.errors import OciError, answer
from chainlab.registry.oci.images import Images
from chainlab.registry.oci.manifest import INDEX_TYPE, MAX_MANIFEST, MEDIA_TYPE
from chainlab.registry.oci.pushing import BlobPush
from chainlab.registry.oci.requests import OciRequest, number, read_path
from chainlab.registry.oci.tables import Stored
from chainlab.registry.oci.uploads import Uploads
from chainlab.trust.lifetimes import OCI_TOKEN_SECONDS

__all__ = ["oci_app"]

VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
NEEDED = "chainlab.oci.needed"  # in the scope of a request: repository and action that a credential must cover
MAX_ANSWER = MAX_MANIFEST  # bytes of one page of referrers, which is an image index
MAX_PAGE = 10_000  # tags in one answer, however many the client asks for


_Handler = Callable[[OciRequest], Awaitable[Response]]


def oci_app(images: Images, uploads: Uploads, access: Access) -> Starlette:
    """Serve the endpoints of the specification, and token authentication."""
    endpoints = _OciEndpoints(images, uploads, access)
    below = Route("/v2/{path:path}", endpoints.serve, methods=METHODS)
    below.path_regex = re.compile("^/v2/(?P<path>.*)$", re.DOTALL)  # a path with a line feed also gets OCI's refusal
    return Starlette(
        routes=[
            Route("/v2/", endpoints.base, methods=METHODS),
            Route("/v2", endpoints.base, methods=METHODS),
            Route("/v2/token", endpoints.token, methods=METHODS),
            below,
        ],
        exception_handlers=refusals(_refuse),
    )


async def _refuse(request: Request, error: ChainlabError) -> Response:
    """Answer a refusal; a 401 says which credential the request needs."""
    headers = dict(VERSION)
    if error.status == 401:
        name, action = request.scope.get(NEEDED, ("", "pull"))
        headers |= challenge(request, name, {"push": "pull,push"}.get(action, action))
    return answer(error, headers)


class _OciEndpoints:
    """Reads path, caller and method of each request, then calls the handler of that kind and method."""

    def __init__(self, images: Images, uploads: Uploads, access: Access) -> None:
        self._images = images
        self._access = access
        pushing = BlobPush(images, uploads, access)
        self._handlers: dict[tuple[str, str], tuple[str, _Handler]] = {
            ("uploads", "POST"): ("push", pushing.start),
            ("upload", "GET"): ("push", pushing.status),
            ("upload", "PATCH"): ("push", pushing.append),
            ("upload", "PUT"): ("push", pushing.finish),
            ("upload", "DELETE"): ("push", pushing.cancel),
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

    async def base(self, request: Request) -> Response:
        """``GET /v2/``: which API this is, and whether the credential is good."""
        if request.method not in ("GET", "HEAD"):
            raise _not_served(request)
        if self._access.caller(request) is None:
            raise OciError(401, "UNAUTHORIZED", "present a credential")
        return JSONResponse({}, headers=VERSION)

    async def token(self, request: Request) -> Response:
        """``GET /v2/token``: a short-lived credential for the one in the request."""
        if request.method != "GET":
            raise _not_served(request)
        token = self._access.token(self._access.caller(request))
        content = {"token": token, "access_token": token, "expires_in": OCI_TOKEN_SECONDS}
        return JSONResponse(content, headers={"Cache-Control": "no-store"})

    async def serve(self, request: Request) -> Response:
        """Serve what lies below a repository's name."""
        kind, name, reference = read_path(request.path_params["path"])
        request.scope[NEEDED] = (name, "pull")
        caller = self._access.caller(request)
        if (kind, request.method) not in self._handlers:
            raise _not_served(request)
        action, handler = self._handlers[kind, request.method]
        request.scope[NEEDED] = (name, action)
        if action != "pull" or self._images.is_private(name):
            self._access.check(caller, action, name)
        if action != "pull":
            self._access.used(caller)
        response = await handler(OciRequest(request, name, reference, caller))
        response.headers.update(VERSION)
        return response

    # -- blobs

    async def _blob(self, request: OciRequest) -> Response:
        digest = self._images.blob(request.name, oci_names.any_digest(request.reference))
        return StoredFile(
            self._images.blobs.path(digest),
            media_type="application/octet-stream",
            headers={"Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'},
        )

    async def _delete_blob(self, request: OciRequest) -> Response:
        digest = oci_names.any_digest(request.reference)
        self._images.delete_blob(request.name, digest, by=request.by)
        return Response(status_code=202)

    # -- manifests

    async def _manifest(self, request: OciRequest) -> Response:
        stored = self._images.pull(request.name, oci_names.reference(request.reference))
        data = self._images.blobs.read(stored.digest)
        headers = {"Docker-Content-Digest": str(stored.digest), "ETag": f'"{stored.digest}"'}
        return Response(data, media_type=stored.media_type, headers=headers)

    async def _push(self, request: OciRequest) -> Response:
        text = request.reference
        reference = oci_names.digest(text) if ":" in text else text
        data = bytearray()
        async for part in request.http.stream():
            data += part
            if len(data) > MAX_MANIFEST:
                raise OciError(413, "SIZE_INVALID", f"a manifest is at most {MAX_MANIFEST} bytes")
        content_type = request.http.headers.get("content-type", "")

        def push() -> Stored:
            return self._images.push(
                request.name, reference, bytes(data), content_type, by=request.by, job=request.job, at=request.at
            )

        stored = await anyio.to_thread.run_sync(push)
        headers = {
            "Location": f"/v2/{request.name}/manifests/{stored.digest}",
            "Docker-Content-Digest": str(stored.digest),
        }
        if stored.subject is not None:
            headers["OCI-Subject"] = str(stored.subject)
        return Response(status_code=201, headers=headers)

    async def _delete_manifest(self, request: OciRequest) -> Response:
        reference = oci_names.reference(request.reference)
        self._images.delete_manifest(request.name, reference, by=request.by)
        return Response(status_code=202)

    # -- discovery

    async def _tags(self, request: OciRequest) -> Response:
        text = request.query.get("n")
        count = PAGE if text is None else min(number(text, "n"), MAX_PAGE)
        last = request.query.get("last", "")
        names, more = self._images.tag_names(request.name, count=count, last=last)
        headers = {}
        if more and names:
            following = urlencode({"n": count, "last": names[-1]})
            headers["Link"] = f'</v2/{request.name}/tags/list?{following}>; rel="next"'
        return JSONResponse({"name": request.name, "tags": names}, headers=headers)

    async def _referrers(self, request: OciRequest) -> Response:
        subject = oci_names.any_digest(request.reference)
        artifact_type = request.query.get("artifactType") or None
        if artifact_type is not None and not MEDIA_TYPE.fullmatch(artifact_type):
            raise OciError(400, "UNSUPPORTED", "artifactType is not a media type")
        after = number(request.query.get("after", "0"), "after")
        referrers = self._images.referrers(request.name, subject, artifact_type=artifact_type, after=after)
        headers = {} if artifact_type is None else {"OCI-Filters-Applied": "artifactType"}
        manifests: list[dict[str, Any]] = []
        size = 0
        for stored in referrers:
            entry = stored.descriptor()
            size += len(json.dumps(entry))
            if manifests and size > MAX_ANSWER:
                following = {"after": str(after)} | ({"artifactType": artifact_type} if artifact_type else {})
                target = f"/v2/{request.name}/referrers/{subject}?{urlencode(following)}"
                headers["Link"] = f'<{target}>; rel="next"'
                break
            manifests.append(entry)
            after = stored.order
        content = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        return Response(json.dumps(content), media_type=INDEX_TYPE, headers=headers)


def _not_served(request: Request) -> OciError:
    return OciError(405, "UNSUPPORTED", f"{request.method} is not served here")
