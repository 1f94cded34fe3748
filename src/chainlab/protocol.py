"""Route requests to one Starlette app per protocol.

A protocol's app has its own ``exception_handlers``, so its endpoints only raise, and every refusal gets the shape that
the protocol's clients read. `ProtocolRoute` puts such an app into a list of routes:

    >>> app = Starlette(routes=[Route("/v2/", base)], exception_handlers=refusals(refuse))         # doctest: +SKIP
    >>> Starlette(routes=[ProtocolRoute(app), ProtocolRoute(another)])                             # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from chainlab.errors import ChainlabError

__all__ = ["ProtocolRoute", "refusals"]


def refusals(answer: Callable[[Request, ChainlabError], Awaitable[Response]]) -> dict[Any, Any]:
    """Return the ``exception_handlers`` that turn each `ChainlabError` into the protocol's own answer."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, ChainlabError)  # noqa: S101 - registered for these alone
        return await answer(request, error)

    return {ChainlabError: handle}


class ProtocolRoute(BaseRoute):
    """Gives an app the requests that one of the app's own routes matches.

    Unlike `starlette.routing.Mount` it needs no common prefix and leaves the path as it is. A request that no app
    serves, by path or by method, stays with the router around it: 404 and 405 look alike for all protocols.
    """

    def __init__(self, app: Starlette) -> None:
        self.app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return the best match among the app's routes."""
        matches = (route.matches(scope)[0] for route in self.app.routes)
        return max(matches, key=lambda match: match.value, default=Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer. Raises `HTTPException` (405) when only the method is wrong."""
        if self.matches(scope)[0] is not Match.FULL:
            raise HTTPException(405)
        await self.app(scope, receive, send)
