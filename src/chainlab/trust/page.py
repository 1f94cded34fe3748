"""The instance's own pages: the sign-in, and a page for a person whose request was refused.

Each page contains its style and loads nothing else, so it works without a registry beside the instance.
"""

from __future__ import annotations

import secrets
from functools import cache
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse

from chainlab.characters import visible
from chainlab.errors import ChainlabError

if TYPE_CHECKING:
    import jinja2

__all__ = ["page", "refusal_page", "wants_page"]

MAX_MESSAGE = 300  # characters
TITLES = {404: "Not here", 405: "Not served"}


def page(template: str, *, status: int = 200, onward: str = "", **values: object) -> HTMLResponse:
    """Render a template; ``onward`` is one more origin that the page's form may lead to."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'{f' {onward}' if onward else ''}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    text = _environment().get_template(template).render(nonce=nonce, **values)
    return HTMLResponse(text, status, {"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def refusal_page(error: ChainlabError, *, signing_in: bool) -> HTMLResponse:
    """Render the page that says what was refused, and how to go on."""
    title = "Sign-in refused" if signing_in else TITLES.get(error.status, "Refused")
    message, hint = (visible(text[:MAX_MESSAGE]) for text in (error.message, error.hint))
    return page("refused.html", status=error.status, title=title, message=message, hint=hint, signing_in=signing_in)


def wants_page(request: Request) -> bool:
    """Whether a person sent the request: a browser accepts HTML first, a program anything or JSON."""
    return request.headers.get("accept", "").lower().startswith("text/html")


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # takes a third of the instance's start, and most instances show no page

    loader = jinja2.PackageLoader("chainlab.trust", "pages")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
