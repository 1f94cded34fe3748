"""The platform's services around the runs over HTTP, as one app.

/git/OWNER/REPO…   /raw/OWNER/REPO/REF/PATH      git_http.py        repositories
/ci/cache/…                                      cache.py           caches
/ci/artifacts/…                                  artifacts.py       artifacts of runs
/ci/api/repos/…                                  pull_requests.py   labels and comments of pull requests

Endpoints raise `chainlab.errors.ChainlabError`. A refusal is plain text, which git and curl show to their users, with a
challenge where a credential is missing.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from chainlab.ci.services.artifacts import artifact_routes
from chainlab.ci.services.cache import cache_routes
from chainlab.ci.services.git_http import git_routes
from chainlab.ci.services.platform import Platform
from chainlab.ci.services.pull_requests import pull_request_routes
from chainlab.credentials import CHALLENGE
from chainlab.errors import ChainlabError
from chainlab.protocol import refusals

__all__ = ["platform_app"]


def platform_app(platform: Platform) -> Starlette:
    """Serve git, caches, artifacts and pull requests."""
    return Starlette(
        routes=[
            *git_routes(platform.repositories, platform.credentials),
            *cache_routes(platform.cache, platform.credentials),
            *artifact_routes(platform.artifacts, platform.credentials),
            *pull_request_routes(platform.comments, platform.credentials),
        ],
        exception_handlers=refusals(_refuse),
    )


async def _refuse(_: Request, error: ChainlabError) -> Response:
    return PlainTextResponse(f"{error}\n", error.status, CHALLENGE if error.status == 401 else None)
