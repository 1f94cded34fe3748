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
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab import names
from chainlab.deploy.promotion import NotPromoted
from chainlab.errors import ChainlabError, Refused
from chainlab.registry.references import ArtifactRef
from chainlab.trust import wire
from chainlab.trust.client import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainlab.deploy.deployment import Deployment
    from chainlab.policy.gate import Decision

__all__ = ["deploy_routes"]

AUDIENCE = "chainlab-deploy"
ENVIRONMENT = "production"  # folded
MAX_BODY = 2**12  # bytes


def deploy_routes(trust: Trust, deployment: Callable[[], Deployment]) -> list[BaseRoute]:
    """Return the endpoints; ``deployment`` opens the deployment at the first request."""

    async def authorized(request: Request, environment: str = "") -> str:
        """Return the reference in a request. Raises `Refused` unless the caller may ask about it."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise Refused(401, "expected a job's identity token in the Authorization header")
        claims = trust.claims(token, AUDIENCE)
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

    async def verdict(request: Request) -> Response:
        reference = await authorized(request)
        decision = await anyio.to_thread.run_sync(lambda: deployment().judge(reference))
        return JSONResponse(_document(decision))

    async def promotion(request: Request) -> Response:
        reference = await authorized(request, ENVIRONMENT)

        try:
            decision = await anyio.to_thread.run_sync(lambda: deployment().promote(reference))
        except NotPromoted as error:
            return JSONResponse(_document(error.decision))
        return JSONResponse(_document(decision))

    def guarded(endpoint: Any) -> Any:
        async def answer(request: Request) -> Response:
            try:
                response: Response = await endpoint(request)
            except ChainlabError as error:
                return JSONResponse({"message": str(error)}, error.status)
            return response

        return answer

    return [
        Route("/deploy/verdicts", guarded(verdict), methods=["POST"]),
        Route("/deploy/promotions", guarded(promotion), methods=["POST"]),
    ]


def _document(decision: Decision) -> dict[str, Any]:
    return {**decision.document(), "table": decision.table()}
