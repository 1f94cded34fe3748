"""Ranges of stored files, as RFC 9110 §14 has them, over ASGI."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chainlab.file_response import StoredFile, satisfiable_ranges

DATA = b"0123456789abcdef"
CASES = [
    ("bytes=0-3", DATA[:4]),
    ("BYTES=0-3", DATA[:4]),
    ("bytes=0-3, 99-100", DATA[:4]),
    ("bytes=99-100 ,\t0-3", DATA[:4]),
    ("bytes=,,0-3,", DATA[:4]),
    ("bytes=0-3,2-7", DATA[:8]),
    ("bytes=12-999999999999999999999999999999", DATA[12:]),
    ("bytes=0000000000000000000000000000000002-3", DATA[2:4]),
    ("bytes=-4", DATA[-4:]),
    ("bytes=-99", DATA),
    ("bytes=15-", DATA[15:]),
]
IGNORED = [
    *(
        "bytes=500-0",
        "bytes=3-2, 0-1",
        "items=0-3",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-3,x",
    ),
    *("bytes=0 - 3", "bytes=+1-2", "bytes=1_0-12", "bytes=٣-5", "bytes =0-3", "=0-3", "", "bytes:0-3", "bytes=--3"),
    *("bytes=" + ",".join(["0-0"] * 200), f"bytes={'9' * 30}-{'9' * 29}", "bytes=" + "9" * 5000 + "-"),
]
UNSATISFIABLE = ["bytes=16-", "bytes=16-20", "bytes=99-, 17-18", "bytes=-0", "bytes=" + "9" * 4000 + "-"]


class Client:
    """Asks an app that serves files, without a socket."""

    def __init__(self, folder: Path) -> None:
        async def file(request: Request) -> Response:
            path = folder / request.path_params["name"]
            return StoredFile(path, media_type="text/plain", headers={"ETag": '"one"'})

        self._app = Starlette(routes=[Route("/{name}", file)])

    def ask(self, *headers: tuple[str, str], name: str = "data", method: str = "GET") -> httpx.Response:
        encoded = [(key.encode(), value.encode()) for key, value in headers]

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                return await http.request(method, f"/{name}", headers=encoded)

        return asyncio.run(send())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("files")
    (folder / "data").write_bytes(DATA)
    (folder / "empty").write_bytes(b"")
    return Client(folder)


@pytest.mark.parametrize(("text", "data"), CASES, ids=[row[0][:40] for row in CASES])
def test_a_range_that_the_file_has_is_sent(client: Client, text: str, data: bytes) -> None:
    answer = client.ask(("Range", text))
    assert (answer.status_code, answer.content) == (206, data)
    first = DATA.index(data)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(data) - 1}/{len(DATA)}"
    assert answer.headers["Content-Length"] == str(len(data))


def test_several_ranges_come_in_parts(client: Client) -> None:
    answer = client.ask(("Range", "bytes=0-1, 99-, 8-9"))
    assert answer.status_code == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges")
    assert b"bytes 0-1/16" in answer.content
    assert b"bytes 8-9/16" in answer.content
    assert answer.headers["Content-Length"] == str(len(answer.content))


@pytest.mark.parametrize("text", IGNORED, ids=[text[:40] or "empty" for text in IGNORED])
def test_a_range_that_is_none_is_ignored(client: Client, text: str) -> None:
    answer = client.ask(("Range", text))
    assert (answer.status_code, answer.content) == (200, DATA)


@pytest.mark.parametrize("text", UNSATISFIABLE, ids=[text[:40] for text in UNSATISFIABLE])
def test_a_range_that_the_file_lacks_is_416(client: Client, text: str) -> None:
    answer = client.ask(("Range", text))
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */16")


def test_an_empty_file_is_sent_whole(client: Client) -> None:
    for text in ("bytes=0-", "bytes=-5", "bytes=0-0"):
        answer = client.ask(("Range", text), name="empty")
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("text", [CASES[0][0], IGNORED[0], UNSATISFIABLE[0]])
def test_only_get_has_ranges(client: Client, text: str) -> None:
    answer = client.ask(("Range", text), method="HEAD")
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "16")


def test_two_range_headers_are_ignored(client: Client) -> None:
    answer = client.ask(("Range", "bytes=0-1"), ("Range", "bytes=2-3"))
    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_range_counts_only_for_the_file_that_was_begun(client: Client) -> None:
    for etag, status in (('"one"', 206), ('"two"', 200)):
        assert client.ask(("Range", "bytes=0-1"), ("If-Range", etag)).status_code == status


@given(st.text("bytes=0123456789-, \t+x", max_size=40) | st.text(max_size=20).map("bytes=".__add__), st.integers(0, 40))
def test_any_header_gives_ranges_or_none(text: str, size: int) -> None:
    served = satisfiable_ranges(text, size)
    if served is None:
        return
    spans = [span.split("-") for span in served.removeprefix("bytes=").split(",")]
    assert served == f"bytes={size}-" or all(
        0 <= int(first) < size and int(last) >= int(first) for first, last in spans
    )
