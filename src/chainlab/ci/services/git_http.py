"""Git over HTTP: the smart protocol, answered by git's own programs (gitprotocol-http, protocol 0 to 2).

    GET  /git/OWNER/REPO[.git]/info/refs?service=git-upload-pack
    POST /git/OWNER/REPO[.git]/git-upload-pack          fetch, clone
    POST /git/OWNER/REPO[.git]/git-receive-pack         push
    GET  /raw/OWNER/REPO/REF/PATH                       one file

Reading needs ``contents:read:OWNER/REPO`` unless the repository is public, pushing
``contents:write:OWNER/REPO``. A repository that the caller may not know about is answered as a missing one (404), and a
request without a credential is asked for one (401).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import IO

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from chainlab import names
from chainlab.ci.git import packs
from chainlab.ci.git.repositories import Repositories, Repository, no_such_repository
from chainlab.ci.services.access import ConcurrencyLimit, identify, receive
from chainlab.credentials import Credential, Credentials
from chainlab.errors import MalformedInput, Refused

__all__ = ["git_routes"]

MAX_REQUEST = 256 * 2**20  # bytes of a push, or of a fetch's list of commits
AT_ONCE = 16  # concurrent requests of one kind for a repository
PIECE = 2**18  # bytes of a response in memory at once
IN_MEMORY = 2**20  # bytes; larger bodies go through a file
PROTOCOL = re.compile(r"[a-z0-9=:]{1,100}")
HIDDEN_REFS = ("refs/forks", "refs/staging", "refs/checkout")
SERVICES = ("git-upload-pack", "git-receive-pack")


def git_routes(repositories: Repositories, credentials: Credentials) -> list[BaseRoute]:
    """Return the HTTP routes of the git server."""
    endpoints = _GitEndpoints(repositories, credentials)
    return [
        Route("/git/{owner}/{repo}/info/refs", endpoints.advertise),
        Route("/git/{owner}/{repo}/{service}", endpoints.serve, methods=["POST"]),
        Route("/raw/{owner}/{repo}/{rest:path}", endpoints.raw),
    ]


class _GitEndpoints:
    """The endpoints over one server's repositories."""

    def __init__(self, repositories: Repositories, credentials: Credentials) -> None:
        self._repositories = repositories
        self._credentials = credentials
        self._requests = ConcurrencyLimit(AT_ONCE)

    async def advertise(self, request: Request) -> Response:
        service = request.query_params.get("service", "")
        if service not in SERVICES:
            raise Refused(403, "only the smart protocol is served here")
        repository, _ = self._admit(request, service)
        path = self._repositories.path(repository.name)
        words = _command(service, path, "--advertise-refs")
        completed = await run_sync(partial(self._repositories.git.run, path, *words, extra=_protocol(request)))
        if completed.returncode != 0:
            raise Refused(422, "git could not list the refs", why=_without_paths(completed.stderr))
        announced = f"# service={service}\n".encode()
        head = b"%04x%b0000" % (len(announced) + 4, announced)
        media_type = f"application/x-{service}-advertisement"
        return Response(head + completed.stdout, 200, {"Cache-Control": "no-cache"}, media_type)

    async def serve(self, request: Request) -> Response:
        service = request.path_params["service"]
        if service not in SERVICES:
            raise Refused(404, f"no service {service[:40]!r}")
        repository, credential = self._admit(request, service)
        if request.headers.get("content-type") != f"application/x-{service}-request":
            raise Refused(415, f"expected content of type application/x-{service}-request")
        if credential and service == "git-receive-pack":
            self._credentials.used(credential, "git")
        with (
            self._requests.take(f"{service} {repository.name}"),
            tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body,
        ):
            await receive(request, body, limit=MAX_REQUEST)
            body.rollover()
            body.seek(0)
            who = credential.subject if credential else "anyone"
            return await run_sync(self._run, repository.name, service, body, who, _protocol(request))

    async def raw(self, request: Request) -> Response:
        repository = self._readable(request, identify(request, self._credentials))
        pieces = await run_sync(self._file, repository.name, request.path_params["rest"])
        return StreamingResponse(pieces, media_type="application/octet-stream")

    def _admit(self, request: Request, service: str) -> tuple[Repository, Credential | None]:
        """Return the repository of the path, and the credential. Raises `Refused` (401, 403, 404)."""
        credential = identify(request, self._credentials)
        try:
            repository = self._readable(request, credential)
        except Refused as error:
            raise (error if credential else Refused(401, "a credential is needed")) from error
        if service == "git-upload-pack":
            return repository, credential
        if credential is None:
            raise Refused(401, f"a credential is needed to push to {repository.name}")
        if not credential.may(f"contents:write:{repository.name}"):
            raise Refused(403, f"{credential.subject} may not push to {repository.name}")
        return repository, credential

    def _readable(self, request: Request, credential: Credential | None) -> Repository:
        """Return the repository of the path. Raises `Refused` (404) also when the caller may not read it."""
        owner, repo = request.path_params["owner"], request.path_params["repo"]
        name = f"{owner}/{repo.removesuffix('.git')}"
        try:
            repository = self._repositories.repository(names.repository(name))
        except MalformedInput:
            raise no_such_repository(name) from None
        if not self._repositories.may_read(credential, repository.name):
            raise no_such_repository(repository.name)
        return repository

    def _run(self, name: str, service: str, body: IO[bytes], who: str, protocol: dict[str, str]) -> Response:
        """Run git on a request's body, and stream its output."""
        with ExitStack() as stack:
            out = stack.enter_context(tempfile.TemporaryFile())
            changing: AbstractContextManager[Path] = nullcontext(self._repositories.path(name))
            if service == "git-receive-pack":
                packs.check(body)  # before it holds the repository
                os.lseek(body.fileno(), 0, os.SEEK_SET)  # git reads from there, whatever Python has in its buffer
                changing = self._repositories.changing(name, who)
            with changing as path:
                words = _command(service, path)
                completed = self._repositories.git.run(path, *words, stdin=body, stdout=out, extra=protocol)
            if completed.returncode != 0 and not out.seek(0, os.SEEK_END):
                raise Refused(400, "git could not read the request", why=_without_paths(completed.stderr))
            out.seek(0)
            stack.pop_all()  # the response closes it
        return StreamingResponse(_pieces(out), 200, {"Cache-Control": "no-cache"}, f"application/x-{service}-result")

    def _file(self, name: str, rest: str) -> Iterator[bytes]:
        """Read ``REF/PATH``, where REF is the longest match, because a branch's name may contain slashes."""
        parts = rest.split("/")
        for length in range(min(len(parts) - 1, 5), 0, -1):
            try:
                commit = self._repositories.resolve(name, "/".join(parts[:length]))
            except Refused:
                continue
            return self._repositories.stream(name, commit, "/".join(parts[length:]))
        raise Refused(404, f"{name} has no such ref")


def _command(service: str, repository: Path, *options: str) -> list[str]:
    """Return the words of a git program that serves a repository, hiding the host's own refs."""
    push = service == "git-receive-pack"
    section = "receive" if push else "uploadpack"
    hidden = [*HIDDEN_REFS, "refs/pull"] if push else HIDDEN_REFS
    settings = [word for ref in hidden for word in ("-c", f"{section}.hideRefs={ref}")]
    return [*settings, service.removeprefix("git-"), "--stateless-rpc", *options, str(repository)]


def _protocol(request: Request) -> dict[str, str]:
    """Return the environment that tells git which protocol version the client speaks."""
    version = request.headers.get("git-protocol", "")
    return {"GIT_PROTOCOL": version} if PROTOCOL.fullmatch(version) else {}


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes, then close the file."""
    with file:
        while piece := file.read(PIECE):
            yield piece


def _without_paths(stderr: bytes) -> str:
    """Return git's error output without the machine's paths."""
    text = stderr.decode(errors="replace").strip()
    return re.sub(r"'?/\S+'?", "…", text)[-300:]
