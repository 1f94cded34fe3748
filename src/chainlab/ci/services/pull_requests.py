"""Labels and comments on pull requests, which jobs add at the platform's addresses.

    POST /ci/api/repos/OWNER/REPO/issues/NUMBER/labels      {"labels": ["tests"]}
    POST /ci/api/repos/OWNER/REPO/issues/NUMBER/comments    {"body": "…"}

Adding needs ``pull-requests:write:OWNER/REPO`` (or ``issues:write:…``, as on the platform) and is reported in an event.
``GET`` lists them and needs ``contents:read:OWNER/REPO``.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab import names
from chainlab.ci.git.repositories import check_name
from chainlab.ci.services.access import receive, require
from chainlab.credentials import Credentials
from chainlab.database import SqliteStore
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
    """A comment on a pull request, or a label."""

    kind: str  # 'label' or 'comment'
    text: str
    who: str  # the subject of the credential that added it
    time: float  # seconds since 1970


class PullRequestComments(SqliteStore):
    """The comments and labels of one state directory's pull requests."""

    def __init__(self, database: Path) -> None:
        super().__init__(database, SCHEMA)
        self._events = Events(self._connection)

    def add(self, repository: str, number: int, kind: str, texts: Sequence[str], *, who: str) -> None:
        """Add labels or comments. Raises `MalformedInput` for a text that is empty or too long."""
        for text in texts:
            if not 0 < len(text) <= MAX_TEXT[kind]:
                raise MalformedInput(f"a {kind} has 1 to {MAX_TEXT[kind]} characters")
        with self._transaction():
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

    def list(self, repository: str, number: int, kind: str | None = None) -> Sequence[Comment]:
        """List the comments and labels of a pull request, or those of one kind, oldest first."""
        rows = self._rows(
            "SELECT kind, text, who, time FROM pull_notes WHERE repository = ?"
            " AND number = ? AND (? IS NULL OR kind = ?) ORDER BY id",
            (repository, number, kind, kind),
        )
        return [Comment(*row) for row in rows]

    def labels(self, repository: str, number: int) -> Sequence[str]:
        """List the labels of a pull request, each once."""
        return list(dict.fromkeys(label.text for label in self.list(repository, number, "label")))


def pull_request_routes(comments: PullRequestComments, credentials: Credentials) -> list[BaseRoute]:
    """Return the HTTP routes of the pull requests."""

    def pull_request(request: Request) -> tuple[str, int]:
        number = request.path_params["number"]
        if not (number.isascii() and number.isdigit() and len(number) <= 9):
            raise MalformedInput(f"not a pull request number: {number[:80]!r} (expected digits)")
        return names.repository("{owner}/{repo}".format(**request.path_params)), int(number)

    async def post(request: Request) -> Response:
        repository, number = pull_request(request)
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
            comments.add(repository, number, kind, texts, who=credential.subject)

        await run_sync(add)
        if kind == "label":
            return JSONResponse([{"name": name} for name in comments.labels(repository, number)])
        return JSONResponse({"body": texts[0]}, 201)

    async def get(request: Request) -> Response:
        repository, number = pull_request(request)
        require(request, credentials, f"contents:read:{repository}")
        if request.path_params["what"] == "labels":
            return JSONResponse([{"name": name} for name in comments.labels(repository, number)])
        rows = comments.list(repository, number, "comment")
        return JSONResponse([{"body": comment.text, "user": comment.who} for comment in rows])

    address = "/ci/api/repos/{owner}/{repo}/issues/{number}/{what}"
    return [
        Route(address, post, methods=["POST"]),
        Route(address, get, methods=["GET"]),
    ]


def _read(what: str, body: bytes) -> tuple[str, list[str]]:
    """Read the kind and the texts of a request's body. Raises `MalformedInput`."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedInput("the body is not JSON") from error
    texts: Any = None
    if isinstance(document, dict):
        texts = document.get("labels") if what == "labels" else [document.get("body")]
    valid = isinstance(texts, list) and 0 < len(texts) <= 100
    if what not in ("labels", "comments") or not valid or not all(isinstance(t, str) for t in texts):
        raise MalformedInput('expected {"labels": ["…"]} or {"body": "…"}')
    if any(0xD800 <= ord(c) <= 0xDFFF for text in texts for c in text):
        raise MalformedInput("the text is not Unicode")
    return what.removesuffix("s"), texts
