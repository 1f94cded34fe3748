"""``/channels/`` and ``/evidence/`` over HTTP: small JSON documents.

    GET    /channels/                          what is in which channel
    GET    /channels/oci/acme/triage-model     the channels of one artifact, and how they came to be
    POST   /channels/oci/acme/triage-model     {"digest": "sha256:…", "from": "dev", "to": "staging"}; never to prod
    POST   /channels/quarantine                {"digest": "sha256:…", "reason": "…"}
    DELETE /channels/quarantine/sha256:…       release
    GET    /evidence/sha256:…                  everything known about a digest
    GET    /evidence/sha256:…/sha256:…         a piece of evidence that was attached to it

A refusal is ``{"error": "…", "mend": "…"}`` with its status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab.credentials import CHALLENGE
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Refused
from chainlab.registry.channels import CHANNELS, Artifact
from chainlab.registry.oci_names import any_digest
from chainlab.registry.registry import Registry
from chainlab.trust import wire

__all__ = ["channel_routes"]

MAX_BODY = 2**16  # bytes
_Endpoint = Callable[[Request], Awaitable[Response]]


def channel_routes(registry: Registry) -> list[BaseRoute]:
    """The endpoints of channels, quarantine and evidence."""
    access = registry.access

    def current(artifact: Artifact) -> dict[str, Any]:
        steps = registry.channels.current(artifact)
        return {
            channel: steps[channel].facts() | {"quarantined": registry.held_back(artifact, steps[channel].digest)}
            for channel in CHANNELS
            if channel in steps
        }

    async def overview(request: Request) -> Response:
        viewer = registry.viewer(access.caller(request))
        entries = [
            {"artifact": str(artifact), "channels": current(artifact)}
            for artifact in registry.channels.artifacts()
            if viewer.artifact(artifact)
        ]
        return JSONResponse({"artifacts": entries})

    async def show(request: Request) -> Response:
        artifact = Artifact.parse(request.path_params["artifact"])
        history = registry.channels.history(artifact)
        if not history or not registry.viewer(access.caller(request)).artifact(artifact):
            raise Refused(404, f"{artifact} was never in a channel")
        document = {
            "artifact": str(artifact),
            "channels": current(artifact),
            "history": [step.facts() for step in history],
        }
        return JSONResponse(document)

    async def promote(request: Request) -> Response:
        artifact = Artifact.parse(request.path_params["artifact"])
        caller = access.caller(request)
        document = await _document(request, "digest", "to")
        if caller is not None and document["to"] == CHANNELS[-1]:
            raise Refused(403, f"{caller.subject} may not promote to {CHANNELS[-1]}: the deployment alone does")
        step = registry.channels.promote(
            artifact,
            Digest.parse(document["digest"]),
            document.get("from", ""),
            document["to"],
            caller,
        )
        return JSONResponse(step.facts(), 201)

    def warden(request: Request) -> str:
        """Who asks, if they may quarantine."""
        caller = access.caller(request)
        if caller is None:
            raise Refused(401, "quarantine needs a credential")
        if not caller.may("channel:quarantine"):
            raise Refused(403, f"{caller.subject} may not quarantine")
        return caller.subject

    async def hold(request: Request) -> Response:
        by = warden(request)
        document = await _document(request, "digest", "reason")
        digest = Digest.parse(document["digest"])
        registry.quarantine.hold(digest, document["reason"], by=by)
        return JSONResponse({"digest": str(digest), "quarantined": document["reason"]}, 201)

    async def release(request: Request) -> Response:
        by = warden(request)
        digest = Digest.parse(request.path_params["digest"])
        registry.quarantine.release(digest, by=by)
        return JSONResponse({"digest": str(digest), "quarantined": None})

    async def evidence(request: Request) -> Response:
        digest = any_digest(request.path_params["digest"])
        viewer = registry.evidence.viewer(access.caller(request))
        document = await anyio.to_thread.run_sync(lambda: registry.evidence.document(digest, viewer=viewer))
        return JSONResponse(document)

    async def attached(request: Request) -> Response:
        subject, digest = (Digest.parse(request.path_params[name]) for name in ("digest", "item"))
        viewer = registry.evidence.viewer(access.caller(request))
        data = registry.evidence.read(subject, digest, viewer=viewer)
        return Response(data, media_type="application/octet-stream")

    return [
        Route("/channels/", _told(overview)),
        Route("/channels/quarantine", _told(hold), methods=["POST"]),
        Route("/channels/quarantine/{digest}", _told(release), methods=["DELETE"]),
        Route("/channels/{artifact:path}", _told(show)),
        Route("/channels/{artifact:path}", _told(promote), methods=["POST"]),
        Route("/evidence/{digest}", _told(evidence)),
        Route("/evidence/{digest}/{item}", _told(attached)),
    ]


def _told(endpoint: _Endpoint) -> _Endpoint:
    """The endpoint, with its refusals as JSON."""

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ChainlabError as error:
            content = {"error": error.message} | ({"mend": error.mend} if error.mend else {})
            headers = CHALLENGE if error.status == 401 else None
            return JSONResponse(content, error.status, headers)

    return guarded


async def _document(request: Request, *required: str) -> dict[str, str]:
    """The body, a JSON object of texts. Raises `MalformedInput`, `Refused` (413)."""
    document = wire.json_object(await wire.body(request.stream(), MAX_BODY))
    return {name: wire.string(document, name) for name in {*required, *document}}
