"""``/deploy/`` over HTTP, for the jobs of a workflow.

    POST /deploy/verdicts     {"reference": "oci/acme/…@sha256:…"}    judge the release
    POST /deploy/promotions   the same                                judge it, archive it and promote it to prod

A job may ask about artifacts of its own repository, with its identity token (audience ``chainlab-deploy``). Promotion
needs a job in the environment ``production``. The answer is 200 with ``{"allowed": …, "table": …}``, whether the gate
allows or refuses the release. A request that is refused itself gets ``{"message": "…"}`` with its status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chainlab import names
from chainlab.deploy.promotion import NotPromoted
from chainlab.errors import ChainlabError, Refused
from chainlab.protocol import refusals
from chainlab.registry.references import ArtifactRef
from chainlab.trust import wire
from chainlab.trust.client import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainlab.deploy.deployment import Deployment
    from chainlab.policy.gate import Decision

__all__ = ["deploy_app"]

AUDIENCE = "chainlab-deploy"
ENVIRONMENT = "production"  # folded
MAX_BODY = 2**12  # bytes


def deploy_app(trust: Trust, deployment: Callable[[], Deployment]) -> Starlette:
    """Serve verdicts and promotions; ``deployment`` opens the deployment at the first request."""
    endpoints = _DeployEndpoints(trust, deployment)
    return Starlette(
        routes=[
            Route("/deploy/verdicts", endpoints.verdict, methods=["POST"]),
            Route("/deploy/promotions", endpoints.promotion, methods=["POST"]),
        ],
        exception_handlers=refusals(_refuse),
    )


async def _refuse(_: Request, error: ChainlabError) -> Response:
    return JSONResponse({"message": str(error)}, error.status)


class _DeployEndpoints:
    """The endpoints over one deployment."""

    def __init__(self, trust: Trust, deployment: Callable[[], Deployment]) -> None:
        self._trust = trust
        self._deployment = deployment

    async def verdict(self, request: Request) -> Response:
        reference = await self._authorized(request)
        decision = await anyio.to_thread.run_sync(lambda: self._deployment().judge(reference))
        return JSONResponse(_document(decision))

    async def promotion(self, request: Request) -> Response:
        reference = await self._authorized(request, ENVIRONMENT)
        try:
            decision = await anyio.to_thread.run_sync(lambda: self._deployment().promote(reference))
        except NotPromoted as error:
            return JSONResponse(_document(error.decision))
        return JSONResponse(_document(decision))

    async def _authorized(self, request: Request, environment: str = "") -> str:
        """Return the reference in a request. Raises `Refused` unless the caller may ask about it."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise Refused(401, "expected a job's identity token in the Authorization header")
        claims = self._trust.claims(token, AUDIENCE)
        document = wire.json_object(await wire.body(request.stream(), MAX_BODY))
        reference = wire.string(document, "reference")
        artifact = ArtifactRef.parse(reference).artifact
        owner = names.repository(claims.get("repository", ""))
        if not f"{artifact.name}/".startswith(f"{owner}/"):
            raise Refused(403, f"{owner} may not ask about {artifact}")
        job_environment = claims.get("environment", "")
        if environment and (not job_environment or names.environment(job_environment) != environment):
            raise Refused(403, f"only a job in the environment {environment} may promote")
        return reference


def _document(decision: Decision) -> dict[str, Any]:
    return {**decision.document(), "table": decision.table()}
