"""Metrics and alerts over HTTP.

    GET  /metrics                    the numbers, as Prometheus scrapes them
    GET  /alerts                     a page: what is open, the most urgent first; ?all=1 what was resolved, too
    GET  /alerts.json                the same as JSON
    POST /alerts/ID/acknowledge      name              from the page's forms
    POST /alerts/ID/resolve          name, reason

Who writes is a person at this machine, and gives the name by which they are recorded. A form counts only with the token
of the page in the same browser. CI jobs, which reach the services from addresses of their own, are refused everywhere:
alerts name repositories that a job may not see, and a job must not silence the alert about itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.monitor.metrics.exposition import CONTENT_TYPE, exposition
from chainlab.protocol import refusals
from chainlab.registry.rendering import refuse, render, url
from chainlab.trust import wire
from chainlab.trust.signin import require_person

if TYPE_CHECKING:
    from chainlab.monitor.monitor import Monitor

__all__ = ["monitor_app"]

COOKIE = "chainlab-alerts"
MAX_FORM = 2**14  # bytes
MAX_ROWS = 200  # alerts on the page
STALE = 300.0  # seconds after the last look, from which on the page warns


def monitor_app(monitor: Callable[[], Monitor]) -> Starlette:
    """Serve metrics and alerts; ``monitor`` opens the monitor at the first request."""
    endpoints = _MonitorEndpoints(monitor)
    return Starlette(
        routes=[
            Route("/metrics", endpoints.metrics),
            Route("/alerts", endpoints.page),
            Route("/alerts.json", endpoints.document),
            Route("/alerts/{id:int}/acknowledge", endpoints.acknowledge, methods=["POST"]),
            Route("/alerts/{id:int}/resolve", endpoints.resolve, methods=["POST"]),
        ],
        exception_handlers=refusals(refuse),
    )


class _MonitorEndpoints:
    """The endpoints over one monitor."""

    def __init__(self, monitor: Callable[[], Monitor]) -> None:
        self._monitor = monitor

    async def metrics(self, request: Request) -> Response:
        require_person(request, "read the metrics")
        text = await anyio.to_thread.run_sync(lambda: exposition(self._monitor().metrics))
        return Response(text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    async def page(self, request: Request) -> Response:
        require_person(request, "read alerts")
        token = request.cookies.get(COOKIE) or secrets.token_urlsafe(24)
        response = await render("alerts.html", self._gather, bool(request.query_params.get("all")), token)
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/alerts", max_age=86400)
        return response

    def _gather(self, resolved: bool, token: str) -> dict[str, Any]:
        monitor = self._monitor()
        alerts, looked = monitor.alerts(resolved=resolved), monitor.last_look
        rows = [alert.document() | {"url": _page_of(alert.subject)} for alert in alerts[:MAX_ROWS]]
        return {
            "alerts": rows,
            "count": len(alerts),
            "resolved": resolved,
            "token": token,
            "looked": looked,
            "stale": looked is not None and not 0 <= time.time() - looked < STALE,
        }

    async def document(self, request: Request) -> Response:
        require_person(request, "read alerts")
        resolved = bool(request.query_params.get("all"))
        alerts = await anyio.to_thread.run_sync(lambda: self._monitor().alerts(resolved=resolved))
        return JSONResponse([alert.document() for alert in alerts], headers={"Cache-Control": "no-store"})

    async def acknowledge(self, request: Request) -> Response:
        form, number = await self._form(request), request.path_params["id"]
        await anyio.to_thread.run_sync(lambda: self._monitor().book.acknowledge(number, by=form.get("name", "")))
        return RedirectResponse(f"/alerts#alert-{number}", 303)

    async def resolve(self, request: Request) -> Response:
        form, number = await self._form(request), request.path_params["id"]
        by, reason = form.get("name", ""), form.get("reason", "")
        await anyio.to_thread.run_sync(lambda: self._monitor().book.resolve(number, by=by, reason=reason))
        return RedirectResponse("/alerts", 303)

    async def _form(self, request: Request) -> dict[str, str]:
        """Read a form of the page. Raises `Refused` (403) for one that did not come from it."""
        require_person(request, "change alerts")
        form = await wire.form(request.stream(), MAX_FORM)
        cookie = request.cookies.get(COOKIE, "")
        if not cookie or not secrets.compare_digest(cookie.encode(), form.get("token", "").encode()):
            raise Refused(
                403, "this form did not come from our page", hint="open /alerts again, then send it from there"
            )
        return form


def _page_of(subject: str) -> Markup | None:
    """Return the address of the page about a digest; None for another subject."""
    try:
        return url(str(Digest.parse(subject)))
    except MalformedInput:
        return None
