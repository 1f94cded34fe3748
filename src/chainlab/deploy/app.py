"""``/deploy/`` over HTTP, for the jobs of a workflow.

    POST /deploy/verdicts     {"reference": "oci/acme/…@sha256:…"}    what the gate says
    POST /deploy/promotions   the same                                and lets it go to prod, and to the archive

Asking needs the identity token (audience ``chainlab-deploy``) of a job of the repository whose artifact it is;
promotion needs a job in the environment ``production``. The answer is 200 with ``{"allowed": …, "table": …}`` for yes
and for no: a no is an answer. A refusal of the question is ``{"message": "…"}`` with its status.
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
    """The endpoints; the deployment is opened when first asked for."""

    async def asked(request: Request, environment: str = "") -> str:
        """The reference, if the caller may ask about it."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise Refused(401, "a job says who it is with its identity token")
        claims = trust.claims(token, AUDIENCE)
        document = wire.json_object(await wire.body(request.stream(), MAX_BODY))
        reference = wire.string(document, "reference")
        artifact = ArtifactRef.parse(reference).artifact
        owner = names.repository(claims.get("repository", ""))
        if not f"{artifact.name}/".startswith(f"{owner}/"):
            raise Refused(403, f"{owner} may not ask about {artifact}")
        place = claims.get("environment", "")
        if environment and (not place or names.environment(place) != environment):
            raise Refused(403, f"only a job in the environment {environment} may ask for that")
        return reference

    async def verdict(request: Request) -> Response:
        reference = await asked(request)
        decision = await anyio.to_thread.run_sync(lambda: deployment().judge(reference))
        return JSONResponse(_told(decision))

    async def promotion(request: Request) -> Response:
        reference = await asked(request, ENVIRONMENT)

        try:
            decision = await anyio.to_thread.run_sync(lambda: deployment().promote(reference))
        except NotPromoted as error:
            return JSONResponse(_told(error.decision))
        return JSONResponse(_told(decision))

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


def _told(decision: Decision) -> dict[str, Any]:
    return {**decision.document(), "table": decision.table()}
