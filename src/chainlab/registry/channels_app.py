"""``/channels/`` and ``/evidence/`` over HTTP: small JSON documents.

    GET    /channels/                          what is in which channel
    GET    /channels/oci/acme/triage-model     the channels of one artifact, and its promotions
    POST   /channels/oci/acme/triage-model     {"digest": "sha256:…", "from": "dev", "to": "staging"}; never to prod
    POST   /channels/quarantine                {"digest": "sha256:…", "reason": "…"}
    DELETE /channels/quarantine/sha256:…       release
    GET    /evidence/sha256:…                  all that is known about a digest
    GET    /evidence/sha256:…/sha256:…         one piece of evidence that was attached to it

A refusal is ``{"error": "…", "hint": "…"}`` with its status.
"""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chainlab.credentials import CHALLENGE
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Refused
from chainlab.protocol import refusals
from chainlab.registry.channels import CHANNELS, ChannelArtifact
from chainlab.registry.oci.names import any_digest
from chainlab.registry.registry import Registry
from chainlab.trust import wire

__all__ = ["channels_app"]

MAX_BODY = 2**16  # bytes


def channels_app(registry: Registry) -> Starlette:
    """Serve channels, quarantine and evidence."""
    endpoints = _ChannelEndpoints(registry)
    return Starlette(
        routes=[
            Route("/channels/", endpoints.overview),
            Route("/channels/quarantine", endpoints.hold, methods=["POST"]),
            Route("/channels/quarantine/{digest}", endpoints.release, methods=["DELETE"]),
            Route("/channels/{artifact:path}", endpoints.show),
            Route("/channels/{artifact:path}", endpoints.promote, methods=["POST"]),
            Route("/evidence/{digest}", endpoints.evidence),
            Route("/evidence/{digest}/{item}", endpoints.attached),
        ],
        exception_handlers=refusals(_refuse),
    )


async def _refuse(_: Request, error: ChainlabError) -> Response:
    content = {"error": error.message} | ({"hint": error.hint} if error.hint else {})
    return JSONResponse(content, error.status, CHALLENGE if error.status == 401 else None)


class _ChannelEndpoints:
    """The endpoints over one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._access = registry.access

    # -- channels

    async def overview(self, request: Request) -> Response:
        viewer = self._registry.viewer(self._access.caller(request))
        entries = [
            {"artifact": str(artifact), "channels": self._current(artifact)}
            for artifact in self._registry.channels.artifacts()
            if viewer.artifact(artifact)
        ]
        return JSONResponse({"artifacts": entries})

    async def show(self, request: Request) -> Response:
        artifact = ChannelArtifact.parse(request.path_params["artifact"])
        history = self._registry.channels.history(artifact)
        if not history or not self._registry.viewer(self._access.caller(request)).artifact(artifact):
            raise Refused(404, f"{artifact} was never in a channel")
        document = {
            "artifact": str(artifact),
            "channels": self._current(artifact),
            "history": [step.facts() for step in history],
        }
        return JSONResponse(document)

    async def promote(self, request: Request) -> Response:
        artifact = ChannelArtifact.parse(request.path_params["artifact"])
        caller = self._access.caller(request)
        document = await _document(request, "digest", "to")
        if caller is not None and document["to"] == CHANNELS[-1]:
            raise Refused(403, f"{caller.subject} may not promote to {CHANNELS[-1]}: the deployment alone does")
        step = self._registry.channels.promote(
            artifact,
            Digest.parse(document["digest"]),
            document.get("from", ""),
            document["to"],
            caller,
        )
        self._access.used(caller, "channels")
        return JSONResponse(step.facts(), 201)

    def _current(self, artifact: ChannelArtifact) -> dict[str, Any]:
        steps = self._registry.channels.current(artifact)
        return {
            channel: steps[channel].facts() | {"quarantined": self._registry.held_back(artifact, steps[channel].digest)}
            for channel in CHANNELS
            if channel in steps
        }

    # -- quarantine

    async def hold(self, request: Request) -> Response:
        by = self._warden(request)
        document = await _document(request, "digest", "reason")
        digest = Digest.parse(document["digest"])
        self._registry.quarantine.hold(digest, document["reason"], by=by)
        return JSONResponse({"digest": str(digest), "quarantined": document["reason"]}, 201)

    async def release(self, request: Request) -> Response:
        by = self._warden(request)
        digest = Digest.parse(request.path_params["digest"])
        self._registry.quarantine.release(digest, by=by)
        return JSONResponse({"digest": str(digest), "quarantined": None})

    def _warden(self, request: Request) -> str:
        """Return the caller's subject if they may quarantine. Raises `Refused` (401 or 403)."""
        caller = self._access.caller(request)
        if caller is None:
            raise Refused(401, "quarantine needs a credential")
        if not caller.may("channel:quarantine"):
            raise Refused(403, f"{caller.subject} may not quarantine")
        self._access.used(caller, "channels")
        return caller.subject

    # -- evidence

    async def evidence(self, request: Request) -> Response:
        digest = any_digest(request.path_params["digest"])
        viewer = self._registry.evidence.viewer(self._access.caller(request))
        document = await anyio.to_thread.run_sync(lambda: self._registry.evidence.document(digest, viewer=viewer))
        return JSONResponse(document)

    async def attached(self, request: Request) -> Response:
        subject, digest = (Digest.parse(request.path_params[name]) for name in ("digest", "item"))
        viewer = self._registry.evidence.viewer(self._access.caller(request))
        data = self._registry.evidence.read(subject, digest, viewer=viewer)
        return Response(data, media_type="application/octet-stream")


async def _document(request: Request, *required: str) -> dict[str, str]:
    """Read the body, a JSON object of texts. Raises `MalformedInput`, `Refused` (413)."""
    document = wire.json_object(await wire.body(request.stream(), MAX_BODY))
    return {name: wire.string(document, name) for name in {*required, *document}}
