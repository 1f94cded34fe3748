"""Render the pages: templates, text that strangers wrote, addresses, digests, times.

The pages have no script, so they work in any browser and under a policy that forbids scripts. A stranger's text is
escaped, cut where it is too long, and its invisible characters are spelled out. Links are made of checked names and
digests only; an uploaded address never becomes a link.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio.to_thread
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from chainlab.characters import visible
from chainlab.clock import rfc3339
from chainlab.credentials import CHALLENGE
from chainlab.digests import Digest
from chainlab.errors import ChainlabError

if TYPE_CHECKING:
    import jinja2

__all__ = ["POLICY", "address", "brief", "describe", "refuse", "render", "url"]

POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
MAX_TEXT = 300  # characters of one value
MAX_MARKS = 3  # accents on one letter
SHORT = 12  # hex digits of a digest, where it is cut
BLANKS = str.maketrans("\n\r\t", "   ")
LONG_DIGEST = re.compile(rf"(sha(?:256|512):[0-9a-f]{{{SHORT}}})[0-9a-f]{{{64 - SHORT},}}")
REFUSALS = {400: "Not readable", 401: "Not signed in", 403: "Not allowed", 404: "Not here"}


async def render(template: str, gather: Callable[..., dict[str, Any]], *arguments: object) -> Response:
    """Render a template with what ``gather(*arguments)`` returns, off the event loop."""

    def page() -> str:
        return _environment().get_template(template).render(gather(*arguments))

    return _html(await anyio.to_thread.run_sync(page))


async def refuse(_: Request, error: ChainlabError) -> Response:
    """Answer a refusal with a page; the pages' exception handler of `ChainlabError`."""
    title = REFUSALS.get(error.status, "Refused")
    template = _environment().get_template("refused.html")
    response = _html(template.render(title=title, message=error.message, hint=error.hint), error.status)
    if error.status == 401:
        response.headers.update(CHALLENGE)
    return response


def describe(digest: Digest) -> dict[str, Any]:
    """Return what a template needs to show a digest."""
    return {"digest": str(digest), "short": _shorten(str(digest)), "url": url(str(digest))}


def url(*parts: str) -> Markup:
    """Return the address of a page, escaped for an attribute."""
    return address("/artifacts/" + "/".join(parts))


def address(path: str) -> Markup:
    """Return a path on this origin, escaped for an attribute. Raises `ValueError` for anything else."""
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError(f"not a path on this origin: {path[:80]!r}")
    return Markup(escape(quote(path, safe="/:?=&.")))  # noqa: S704


def _shorten(text: str) -> str:
    """Shorten every digest in a text; the search finds the shortened form."""
    return LONG_DIGEST.sub(r"\1…", text)


def _moment(time: float | str) -> Markup:
    """Format a time, in seconds since 1970 or as RFC 3339."""
    when = datetime.fromisoformat(time) if isinstance(time, str) else datetime.fromtimestamp(time, UTC)
    text = when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}">{}</time>').format(rfc3339(when), text)


def brief(text: str) -> str:
    """Make a text fit to show: nothing invisible in it, and not too long.

    Line breaks become blanks; heaps of accents and everything after `MAX_TEXT` characters are cut.
    """
    kept, marks = [], 0
    for character in text[:MAX_TEXT].translate(BLANKS):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    if len(text) > MAX_TEXT:
        kept.append(f"… ({len(text):,} characters)")
    return visible("".join(kept))


def _finalize(value: Any) -> Any:
    if value is None or isinstance(value, Markup | int | float):  # `Markup` is trusted HTML
        return value
    return brief(str(value))


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # importing takes a third of the instance's start, and most instances show no page

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("chainlab.registry", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"address": address, "moment": _moment, "shorten": _shorten}
    return environment


def _html(page: str, status: int = 200) -> HTMLResponse:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(page, status, headers)
