"""Pushing a blob over HTTP: whole, in chunks, or mounted from another repository.

Specification: OCI distribution-spec 1.1, "Pushing blobs".
"""

from __future__ import annotations

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.registry.oci import names as oci_names
from chainlab.registry.oci.access import Access
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.images import Images
from chainlab.registry.oci.requests import OciRequest, content_range
from chainlab.registry.oci.uploads import Chunk, Uploads

__all__ = ["BlobPush"]


class BlobPush:
    """The endpoints below ``/v2/NAME/blobs/uploads/``."""

    def __init__(self, images: Images, uploads: Uploads, access: Access) -> None:
        self._images = images
        self._uploads = uploads
        self._access = access

    async def start(self, request: OciRequest) -> Response:
        """Begin an upload; or mount a blob, or receive all of it, in this one request."""
        if "mount" in request.query:
            digest = oci_names.any_digest(request.query["mount"])
            source = request.query.get("from")
            if source is not None and self._may_mount(request.caller, oci_names.check_name(source)):
                if reason := self._images.held_back(source, digest):
                    raise OciError(403, "DENIED", f"{digest} is quarantined: {reason}")
                if self._images.mount(request.name, digest, source):
                    return _created(request.name, digest)
        elif "digest" in request.query:
            digest = oci_names.digest(request.query["digest"])
            await self._receive_whole(request, digest)
            return _created(request.name, digest)
        elif request.query.get("digest-algorithm", "sha256") != "sha256":
            raise OciError(400, "DIGEST_INVALID", "the only digest algorithm here is sha256")
        return _accepted(request.name, self._uploads.start(request.name), 0)

    def _may_mount(self, caller: Credential | None, source: str) -> bool:
        if not self._images.is_private(source):
            return True
        try:
            self._access.check(caller, "pull", source)
        except OciError:
            return False
        return True

    async def _receive_whole(self, request: OciRequest, digest: Digest) -> None:
        with self._images.blobs.stage() as staged:
            async for data in request.http.stream():
                staged.write(data)
            if staged.digest != digest:
                raise OciError(400, "DIGEST_INVALID", f"the bytes have digest {staged.digest}")
            await anyio.to_thread.run_sync(staged.commit, digest)
        self._images.link(request.name, digest)

    async def status(self, request: OciRequest) -> Response:
        """Say how many bytes of an upload count."""
        size = self._uploads.size(request.name, request.reference)
        return _accepted(request.name, request.reference, size, status=204)

    async def append(self, request: OciRequest) -> Response:
        """Add a chunk to an upload."""
        span = content_range(request.http)
        start = None if span is None else span[0]
        with self._uploads.chunk(request.name, request.reference, start) as chunk:
            await _receive(request.http, chunk, span)
            size = await anyio.to_thread.run_sync(chunk.keep)
        return _accepted(request.name, request.reference, size)

    async def finish(self, request: OciRequest) -> Response:
        """Add the last chunk, if any, and store the blob."""
        if "digest" not in request.query:
            raise OciError(400, "DIGEST_INVALID", "the last request names the blob's digest")
        digest = oci_names.digest(request.query["digest"])
        span = content_range(request.http)
        start = None if span is None else span[0]
        with self._uploads.chunk(request.name, request.reference, start) as chunk:
            await _receive(request.http, chunk, span)
            await anyio.to_thread.run_sync(chunk.finish, digest)
        self._images.link(request.name, digest)
        return _created(request.name, digest)

    async def cancel(self, request: OciRequest) -> Response:
        """Forget an upload."""
        self._uploads.cancel(request.name, request.reference)
        return Response(status_code=204)


async def _receive(request: Request, chunk: Chunk, span: tuple[int, int] | None) -> None:
    async for data in request.stream():
        chunk.write(data)
    if span is not None and chunk.size != span[1] - span[0] + 1:
        raise OciError(
            416,
            "BLOB_UPLOAD_INVALID",
            f"the chunk has {chunk.size} bytes, its Content-Range says {span[0]}-{span[1]}",
        )


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
