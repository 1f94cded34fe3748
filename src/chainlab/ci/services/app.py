"""The routes of the platform's services around the runs.

/git/OWNER/REPO…   /raw/OWNER/REPO/REF/PATH      repositories
/ci/cache/…        /ci/artifacts/…               what jobs keep
/ci/api/repos/…                                  labels and comments of pull requests
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from chainlab.ci.services.artifacts import artifact_routes
from chainlab.ci.services.cache import cache_routes
from chainlab.ci.services.git_http import git_routes
from chainlab.ci.services.platform import Platform
from chainlab.ci.services.pull_requests import pull_request_routes

__all__ = ["platform_routes"]


def platform_routes(platform: Platform) -> list[BaseRoute]:
    """Every route of the services around the runs."""
    return [
        *git_routes(platform.repositories, platform.credentials),
        *cache_routes(platform.cache, platform.credentials),
        *artifact_routes(platform.artifacts, platform.credentials),
        *pull_request_routes(platform.comments, platform.credentials),
    ]
