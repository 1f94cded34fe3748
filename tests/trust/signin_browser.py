"""A program in place of a person with a browser at the sign-in page: it opens the page, picks, follows.

    python signin_browser.py EMAIL URL        prints the code, when the page shows one

Standing in for a browser (``BROWSER=python signin_browser.py EMAIL %s``), it sends the code onward itself.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser

import httpx


class Page(HTMLParser):
    """The page's forms, the text of its ``<code>`` and the names of all its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.code = ""
        self.text: list[str] = []
        self._in_code = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = {name: value or "" for name, value in attrs}
        self.elements.append((tag, fields))
        if tag == "form":
            self.forms.append({})
        elif tag == "input" and fields.get("type") == "hidden":
            self.forms[-1][fields["name"]] = fields["value"]
        self._in_code = tag == "code"

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._in_code:
            self.code, self._in_code = data, False


def consent(browser: httpx.Client, url: str, email: str) -> httpx.Response:
    """Open the page and choose; the answer is a redirect, or a page with the code."""
    page = browser.get(url, follow_redirects=True)
    page.raise_for_status()
    form = Page(page.text).forms[0]
    origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
    action = page.url.join("/oidc/authorize")
    return browser.post(action, data=form | {"email": email}, headers={"Origin": origin})


def main(email: str, url: str) -> None:
    with httpx.Client(trust_env=False) as browser:
        answer = consent(browser, url, email)
        if answer.is_redirect:
            browser.get(answer.headers["location"])
        else:
            print(Page(answer.text).code)


if __name__ == "__main__":
    main(*sys.argv[1:])
