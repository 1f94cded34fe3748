"""What a job's two secrets may do, in the words of the services that check them.

GITHUB_TOKEN           contents, pull requests and packages of its repository, as `permissions` say
ACTIONS_RUNTIME_TOKEN  the run's artifacts, the cache scopes that `Rights` give, and what is known about what its
                       repository made, so that a job can verify what it takes over
"""

from __future__ import annotations

from collections.abc import Mapping

from chainlab.ci.runs.rights import Rights

__all__ = ["runtime_grants", "token_grants"]

CHECKED = ("contents", "pull-requests", "issues")  # scopes whose services know read and write


def token_grants(levels: Mapping[str, str], repository: str) -> list[str]:
    """Of the job's GITHUB_TOKEN; ``levels`` are those of `permissions`."""
    grants = [
        f"{scope}:{level}:{repository}"
        for scope in CHECKED
        for level in {"read": ("read",), "write": ("read", "write")}.get(levels[scope], ())
    ]
    if levels["packages"] in ("read", "write"):
        grants.append(f"oci:pull:{repository}")
    if levels["packages"] == "write":
        grants.append(f"oci:push:{repository}")
    return grants


def runtime_grants(rights: Rights, repository: str, run: int) -> list[str]:
    """Of the token with which actions reach artifacts and caches."""
    grants = [f"artifacts:read:{run}", f"artifacts:write:{run}"]
    scopes = enumerate(rights.cache_read)  # numbered: the services search in this order
    grants += [f"cache:read:{order}:{repository}:{scope}" for order, scope in scopes]
    if rights.identity:  # not for a fork's pull request, whose files have no provenance either
        grants.append(f"evidence:read:{repository}")
    if rights.cache_write:
        grants.append(f"cache:write:{repository}:{rights.cache_write}")
    return grants
