"""Labels and comments on pull requests: the two things that jobs do to them, at the platform's addresses.

    POST /ci/api/repos/OWNER/REPO/issues/NUMBER/labels      {"labels": ["tests"]}
    POST /ci/api/repos/OWNER/REPO/issues/NUMBER/comments    {"body": "…"}

Both need ``pull-requests:write:OWNER/REPO`` (or ``issues:write:…``, as on the platform).
``GET`` lists them. Each one is an event.
"""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab import names
from chainlab.ci.git.repositories import check_name
from chainlab.ci.services.access import answering, receive, require
from chainlab.credentials import Credentials
from chainlab.database import connect, transaction
from chainlab.errors import MalformedInput
from chainlab.events import Events

__all__ = ["Comment", "PullRequestComments", "pull_request_routes"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS pull_notes (
    id         INTEGER PRIMARY KEY,
    repository TEXT NOT NULL,
    number     INTEGER NOT NULL,  -- of the pull request
    kind       TEXT NOT NULL,     -- 'label' or 'comment'
    text       TEXT NOT NULL,
    who        TEXT NOT NULL,
    time       REAL NOT NULL      -- seconds since 1970
) STRICT;
"""
EVENTS = {"label": "dev.chainlab.pull.labelled", "comment": "dev.chainlab.pull.commented"}
MAX_BODY = 2**18  # bytes
MAX_TEXT = {"label": 50, "comment": 65_536}  # characters, the platform's limits


@dataclass(frozen=True)
class Comment:
    """A label or a comment."""

    kind: str
    text: str
    who: str
    time: float  # seconds since 1970


class PullRequestComments:
    """Labels and comments of one state directory."""

    def __init__(self, database: Path) -> None:
        self._lock = threading.Lock()
        self._connection = connect(database)
        self._events = Events(self._connection)
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._connection.close()

    def add(self, repository: str, number: int, kind: str, texts: list[str], *, who: str) -> None:
        """Note labels or comments. Raises `MalformedInput`."""
        for text in texts:
            if not 0 < len(text) <= MAX_TEXT[kind]:
                raise MalformedInput(f"a {kind} has 1 to {MAX_TEXT[kind]} characters")
        with self._lock, transaction(self._connection):
            for text in texts:
                self._connection.execute(
                    "INSERT INTO pull_notes VALUES (NULL, ?, ?, ?, ?, ?, ?)",
                    (check_name(repository), number, kind, text, who, time.time()),
                )
                self._events.append(
                    EVENTS[kind],
                    source="/ci/pulls",
                    subject=f"{repository}#{number}",
                    data={"repository": repository, "number": number, kind: text, "who": who},
                )

    def notes(self, repository: str, number: int, kind: str | None = None) -> list[Comment]:
        """What was noted on a pull request, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT kind, text, who, time FROM pull_notes WHERE repository = ?"
                " AND number = ? AND (? IS NULL OR kind = ?) ORDER BY id",
                (repository, number, kind, kind),
            ).fetchall()
        return [Comment(*row) for row in rows]

    def labels(self, repository: str, number: int) -> list[str]:
        """The labels of a pull request, each once."""
        return list(dict.fromkeys(note.text for note in self.notes(repository, number, "label")))


def pull_request_routes(pulls: PullRequestComments, credentials: Credentials) -> list[BaseRoute]:
    """The routes of the pull requests."""

    def addressed(request: Request) -> tuple[str, int]:
        number = request.path_params["number"]
        if not (number.isascii() and number.isdigit() and len(number) <= 9):
            raise MalformedInput("expected a pull request's number")
        return names.repository("{owner}/{repo}".format(**request.path_params)), int(number)

    async def post(request: Request) -> Response:
        repository, number = addressed(request)
        credential = require(
            request,
            credentials,
            f"pull-requests:write:{repository}",
            f"issues:write:{repository}",
        )
        body = io.BytesIO()
        await receive(request, body, limit=MAX_BODY)
        kind, texts = _read(request.path_params["what"], body.getvalue())

        def add() -> None:
            pulls.add(repository, number, kind, texts, who=credential.subject)

        await run_sync(add)
        if kind == "label":
            return JSONResponse([{"name": name} for name in pulls.labels(repository, number)])
        return JSONResponse({"body": texts[0]}, 201)

    async def get(request: Request) -> Response:
        repository, number = addressed(request)
        require(request, credentials, f"contents:read:{repository}")
        if request.path_params["what"] == "labels":
            return JSONResponse([{"name": name} for name in pulls.labels(repository, number)])
        comments = pulls.notes(repository, number, "comment")
        return JSONResponse([{"body": note.text, "user": note.who} for note in comments])

    address = "/ci/api/repos/{owner}/{repo}/issues/{number}/{what}"
    return [
        Route(address, answering(post), methods=["POST"]),
        Route(address, answering(get), methods=["GET"]),
    ]


def _read(what: str, body: bytes) -> tuple[str, list[str]]:
    """Kind and texts of a request's body."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedInput("the body is not JSON") from error
    texts: Any = None
    if isinstance(document, dict):
        texts = document.get("labels") if what == "labels" else [document.get("body")]
    good = isinstance(texts, list) and 0 < len(texts) <= 100
    if what not in ("labels", "comments") or not good or not all(isinstance(t, str) for t in texts):
        raise MalformedInput('expected {"labels": ["…"]} or {"body": "…"}')
    if any(0xD800 <= ord(c) <= 0xDFFF for text in texts for c in text):
        raise MalformedInput("the text is not Unicode")
    return what.removesuffix("s"), texts
