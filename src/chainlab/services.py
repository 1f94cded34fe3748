"""The one ASGI app and the server under it: one origin, one port, loopback only."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chainlab.errors import ChainlabError, MalformedInput, Refused, Unavailable
from chainlab.trust.app import refusal
from chainlab.trust.app import routes as trust_routes
from chainlab.trust.instance import Instance

__all__ = ["Server", "app", "serve"]

Routes = Callable[[], list[BaseRoute]]

HOSTS = ["127.0.0.1", "localhost", "[::1]", "::1", "*.localhost"]
STRICT = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",  # with no-referrer our own form would be of origin "null"
    b"cross-origin-resource-policy": b"same-origin",
}
WELCOME = """\
chainlab: a private Sigstore instance for teaching. Trust it nowhere else:
whoever has its state directory can mint any identity.
"""


class _Guard:
    """Refuses what a page of another origin sends, and marks every answer as inert.

    A request that says twice where it comes from or goes to is refused: readers would differ.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n, v) for n, v in STRICT.items() if n not in present),
                ]
            await send(message)

        hosts = [value for name, value in scope["headers"] if name == b"host"]
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if len(hosts) > 1 or origins not in ([], [b"http://" + host for host in hosts]):
            error = Refused(403, "requests from another origin are refused")
            await refusal(Request(scope), error)(scope, receive, marked)
            return
        with contextlib.suppress(ClientDisconnect):  # nobody is left to answer
            await self._app(scope, receive, marked)


def app(instance: Instance, routes: Routes | None = None) -> ASGIApp:
    """Everything that this process serves: the instance and, with ``routes``, the other parts of a workspace."""

    async def welcome(_: Request) -> Response:
        return PlainTextResponse(WELCOME)

    async def refuse(request: Request, error: Exception) -> Response:
        if not isinstance(error, ChainlabError):
            raise error
        return refusal(request, error)

    async def missing(request: Request, _: Exception) -> Response:
        return refusal(request, Refused(404, f"nothing is served at {request.url.path}"))

    async def wrong_method(request: Request, _: Exception) -> Response:
        return refusal(request, Refused(405, f"{request.method} is not served here"))

    handlers: Mapping[Any, Any] = {ChainlabError: refuse, 404: missing, 405: wrong_method}
    served = Starlette(
        routes=[
            Route("/healthz", lambda _: JSONResponse({"ok": True})),
            *([] if routes else [Route("/", welcome)]),
            *trust_routes(instance),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        ],
        exception_handlers=handlers,
    )
    if routes is not None:
        served.router.default = _Workspace(routes, handlers)
    return _Guard(served)  # outermost, so that every answer is marked


class _Workspace:
    """Serves what the instance does not; the parts of the workspace are opened by the first such request."""

    def __init__(self, routes: Routes, handlers: Mapping[Any, Any]) -> None:
        self._routes = routes
        self._handlers = handlers
        self._app: Starlette | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = Starlette(routes=self._routes(), exception_handlers=self._handlers)
        await self._app(scope, receive, send)


class Server:
    """Serves one state directory in a thread of this process until `close`.

    ``routes`` gives what is served beside the instance, at the first request for it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        routes: Routes | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._socket = _listen(host, port)
        bound = self._socket.getsockname()
        self.url = f"http://[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"http://{bound[0]}:{bound[1]}"
        with contextlib.ExitStack() as undo:  # in reverse, as far as the start came
            undo.callback(self._socket.close)
            self.instance = Instance(directory)
            undo.callback(self.instance.close)
            self.instance.publish(self.url)
            self._start(routes)
            self._undo = undo.pop_all()

    def _start(self, routes: Routes | None) -> None:
        config = uvicorn.Config(
            app(self.instance, routes),
            http="h11",  # ends a connection whose headers exceed 64 kB; httptools, C, would keep any amount
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # a stranger's garbage is no news for whoever reads this terminal
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        # Not `Thread.join`: when Ctrl-C interrupts it, it takes a running thread for an ended one.
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="chainlab-services", daemon=True).start()
        while not self._server.started:
            if self._ended.is_set():
                raise Unavailable(f"the services did not start at {self.url}")
            time.sleep(0.001)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ended.set()

    def wait(self) -> None:
        """Until the server ends by itself or somebody interrupts."""
        while not self._ended.wait(0.5):
            pass

    def close(self) -> None:
        """End the server and let go of the state."""
        self._server.should_exit = True
        self._ended.wait()
        self._undo.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(directory: Path, *, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Start the services over a state directory; port 0 takes a free one.

    Raises `MalformedInput` for an address that is not loopback, `Unavailable` for a port in use,
    `InUse` when another process serves the directory.
    """
    return Server(directory, host=host, port=port)


def _listen(host: str, port: int) -> socket.socket:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise MalformedInput(
            f"{host!r} is not a loopback address",
            why="a teaching CA that others can reach would let them be anyone",
            hint="listen on 127.0.0.1 (or ::1), the default",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it sees it: 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # on Windows the option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot listen on {host} port {port}",
            why=str(error),
            hint="choose another port, or 0 for a free one",
        ) from error
    return listener
