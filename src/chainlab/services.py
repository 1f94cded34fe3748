"""The server of a workspace's services: one ASGI app, one origin, one port, loopback only."""

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

__all__ = ["Server", "app"]

Routes = Callable[[], list[BaseRoute]]

HOSTS = ["127.0.0.1", "localhost", "[::1]", "::1", "*.localhost"]
STRICT = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",  # with no-referrer, our own form would send the origin "null"
    b"cross-origin-resource-policy": b"same-origin",
}
WELCOME = """\
chainlab: a private Sigstore instance for teaching. Trust it nowhere else:
whoever has its state directory can mint any identity.
"""


class _Guard:
    """Middleware that refuses requests of other origins, and adds the strict headers to every answer.

    A request with two Host or Origin headers is refused, because programs differ in which of them they read.
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
        with contextlib.suppress(ClientDisconnect):  # the client is gone
            await self._app(scope, receive, marked)


def app(instance: Instance, routes: Routes | None = None) -> ASGIApp:
    """Return the app of this process: the instance and, with ``routes``, the other parts of a workspace."""

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
        served.router.default = _LazyRoutes(routes, handlers)
    return _Guard(served)  # outermost, so that every answer has the headers


class _LazyRoutes:
    """The routes of the workspace's other parts; the first request that needs them opens the parts."""

    def __init__(self, routes: Routes, handlers: Mapping[Any, Any]) -> None:
        self._routes = routes
        self._handlers = handlers
        self._app: Starlette | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = Starlette(routes=self._routes(), exception_handlers=self._handlers)
        await self._app(scope, receive, send)


class Server:
    """A server of one state directory, in a thread of this process until `close`.

    ``routes`` returns the routes beside the instance's; it is called at the first request for one of them. Port 0
    takes a free one. Raises `MalformedInput` for an address that is not loopback, `Unavailable` for a port in use,
    `InUse` when another process serves the directory.
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
            http="h11",  # closes a connection with headers above 64 kB; httptools would keep any amount
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # malformed requests must not fill the learner's terminal
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        # Not `Thread.join`: after Ctrl-C interrupts it, it reports a running thread as ended.
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
        """Wait until the server ends by itself, or Ctrl-C."""
        while not self._ended.wait(0.5):
            pass

    def close(self) -> None:
        """End the server and release the state directory."""
        self._server.should_exit = True
        self._ended.wait()
        self._undo.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise MalformedInput(
            f"{host!r} is not a loopback address",
            why="if others could reach a teaching CA, they could sign as anybody",
            hint="listen on 127.0.0.1 (or ::1), the default",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only when the protocol is named; without it each answer takes 40 ms more.
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
