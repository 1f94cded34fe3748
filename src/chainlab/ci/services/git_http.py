"""Git over HTTP: the smart protocol, answered by git's own programs (gitprotocol-http, protocol 0 to 2).

    GET  /git/OWNER/REPO[.git]/info/refs?service=git-upload-pack
    POST /git/OWNER/REPO[.git]/git-upload-pack          fetch, clone
    POST /git/OWNER/REPO[.git]/git-receive-pack         push
    GET  /raw/OWNER/REPO/REF/PATH                       one file

Reading needs ``contents:read:OWNER/REPO`` unless the repository is public, pushing
``contents:write:OWNER/REPO``. Who may not know of a repository is told that there is none (404); who sends
no credential is asked for one (401).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import IO

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from chainlab import names
from chainlab.ci.git import packs
from chainlab.ci.git.repositories import Repositories, Repository, no_such_repository
from chainlab.ci.services.access import ConcurrencyLimit, answering, identify, receive
from chainlab.credentials import Credential, Credentials
from chainlab.errors import MalformedInput, Refused

__all__ = ["git_routes"]

MAX_REQUEST = 256 * 2**20  # bytes of a push, or of what a fetch has and wants
AT_ONCE = 16  # requests of one kind for a repository
PIECE = 2**18  # bytes of an answer that are in memory at once
IN_MEMORY = 2**20  # bytes; larger bodies and answers go through a file
PROTOCOL = re.compile(r"[a-z0-9=:]{1,100}")
HIDDEN = ("refs/forks", "refs/staging", "refs/checkout")
SERVICES = ("git-upload-pack", "git-receive-pack")


def git_routes(repositories: Repositories, credentials: Credentials) -> list[BaseRoute]:
    """The routes of git over HTTP."""
    turns = ConcurrencyLimit(AT_ONCE)

    def admit(request: Request, service: str) -> tuple[Repository, Credential | None]:
        credential = identify(request, credentials)
        try:
            repository = readable(request, credential)
        except Refused as error:
            raise (error if credential else Refused(401, "a credential is needed")) from error
        if service == "git-upload-pack":
            return repository, credential
        if credential is None:
            raise Refused(401, f"a credential is needed to push to {repository.name}")
        if not credential.may(f"contents:write:{repository.name}"):
            raise Refused(403, f"{credential.subject} may not push to {repository.name}")
        return repository, credential

    def readable(request: Request, credential: Credential | None) -> Repository:
        """The repository of the path; one that the caller may not read is none (404)."""
        owner, repo = request.path_params["owner"], request.path_params["repo"]
        given = f"{owner}/{repo.removesuffix('.git')}"
        try:
            repository = repositories.repository(names.repository(given))
        except MalformedInput:
            raise no_such_repository(given) from None
        if not repositories.may_read(credential, repository.name):
            raise no_such_repository(repository.name)
        return repository

    def command(service: str, repository: Repository, *options: str) -> list[str]:
        hidden = [*HIDDEN, *(["refs/pull"] if service == "git-receive-pack" else [])]
        section = "receive" if service == "git-receive-pack" else "uploadpack"
        settings = [word for ref in hidden for word in ("-c", f"{section}.hideRefs={ref}")]
        verb = service.removeprefix("git-")
        return [*settings, verb, "--stateless-rpc", *options, str(repositories.path(repository.name))]

    def protocol(request: Request) -> dict[str, str]:
        asked = request.headers.get("git-protocol", "")
        return {"GIT_PROTOCOL": asked} if PROTOCOL.fullmatch(asked) else {}

    async def advertise(request: Request) -> Response:
        service = request.query_params.get("service", "")
        if service not in SERVICES:
            raise Refused(403, "only the smart protocol is served here")
        repository, _ = admit(request, service)
        path = repositories.path(repository.name)
        words = command(service, repository, "--advertise-refs")
        done = await run_sync(partial(repositories.git.run, path, *words, extra=protocol(request)))
        if done.returncode != 0:
            raise Refused(422, "git could not list the refs", why=_said(done.stderr))
        announced = f"# service={service}\n".encode()
        head = b"%04x%b0000" % (len(announced) + 4, announced)
        media = f"application/x-{service}-advertisement"
        return Response(head + done.stdout, 200, {"Cache-Control": "no-cache"}, media)

    async def serve(request: Request) -> Response:
        service = request.path_params["service"]
        if service not in SERVICES:
            raise Refused(404, f"no service {service[:40]!r}")
        repository, credential = admit(request, service)
        if request.headers.get("content-type") != f"application/x-{service}-request":
            raise Refused(415, f"expected content of type application/x-{service}-request")
        with (
            turns.take(f"{service} {repository.name}"),
            tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body,
        ):
            await receive(request, body, limit=MAX_REQUEST)
            body.rollover()
            body.seek(0)
            words = command(service, repository)
            who = credential.subject if credential else "anyone"
            given = protocol(request)
            return await run_sync(_answer, repositories, repository, service, words, body, who, given)

    async def raw(request: Request) -> Response:
        repository = readable(request, identify(request, credentials))
        pieces = await run_sync(_raw, repositories, repository.name, request.path_params["rest"])
        return StreamingResponse(pieces, media_type="application/octet-stream")

    return [
        Route("/git/{owner}/{repo}/info/refs", answering(advertise)),
        Route("/git/{owner}/{repo}/{service}", answering(serve), methods=["POST"]),
        Route("/raw/{owner}/{repo}/{rest:path}", answering(raw)),
    ]


def _answer(
    repositories: Repositories,
    repository: Repository,
    service: str,
    words: list[str],
    body: IO[bytes],
    who: str,
    given: dict[str, str],
) -> Response:
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile())
        if service == "git-receive-pack":
            packs.check(body)  # before others have to wait for it
            os.lseek(body.fileno(), 0, os.SEEK_SET)  # git reads from there, whatever Python has in its buffer
            with repositories.changing(repository.name, who) as path:
                done = repositories.git.run(path, *words, stdin=body, stdout=out, extra=given)
        else:
            path = repositories.path(repository.name)
            done = repositories.git.run(path, *words, stdin=body, stdout=out, extra=given)
        if done.returncode != 0 and not out.seek(0, os.SEEK_END):
            raise Refused(400, "git could not make sense of the request", why=_said(done.stderr))
        out.seek(0)
        stack.pop_all()  # the answer closes it
    return StreamingResponse(_pieces(out), 200, {"Cache-Control": "no-cache"}, f"application/x-{service}-result")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A file's bytes, and then the file is closed."""
    with file:
        while piece := file.read(PIECE):
            yield piece


def _raw(repositories: Repositories, name: str, rest: str) -> Iterator[bytes]:
    """``REF/PATH``: the longest ref that is one, because a branch may have slashes in its name."""
    parts = rest.split("/")
    for length in range(min(len(parts) - 1, 5), 0, -1):
        try:
            commit = repositories.resolve(name, "/".join(parts[:length]))
        except Refused:
            continue
        return repositories.stream(name, commit, "/".join(parts[length:]))
    raise Refused(404, f"{name} has no such ref")


def _said(stderr: bytes) -> str:
    """What git said, without the place where the repository lies."""
    text = stderr.decode(errors="replace").strip()
    return re.sub(r"'?/\S+'?", "…", text)[-300:]
