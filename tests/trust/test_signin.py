"""Signing in: the authorization code flow with PKCE, and the page where a person consents."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest
from client_requests import ALICE, sizes
from playwright.sync_api import Browser, Error, sync_playwright
from signin_browser import Page

from chainlab.services import Server
from chainlab.trust.issuer import Issuer
from chainlab.trust.lifetimes import CODE_SECONDS

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BACK = "http://localhost:8501/auth/callback"
ASKED = {
    "response_type": "code",
    "code_challenge_method": "S256",
    "code_challenge": CHALLENGE,
    "client_id": "sigstore",
    "redirect_uri": BACK,
    "state": "state-1",
    "nonce": "nonce-1",
}


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A browser's session: it keeps cookies."""
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


@pytest.fixture(autouse=True)
def logs_stay_as_they_are(server: Server) -> Iterator[None]:
    before = sizes(server.instance)
    yield
    assert sizes(server.instance) == before


def form_of(http: httpx.Client, **changes: str | None) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    parameters = {name: value for name, value in (ASKED | changes).items() if value is not None}
    page = http.get("/oidc/authorize", params=parameters)
    assert page.status_code == 200, page.text
    return Page(page.text).forms[0]


def consent(http: httpx.Client, form: dict[str, str], email: str = ALICE) -> httpx.Response:
    return http.post("/oidc/authorize", data=form | {"email": email})


def code_of(http: httpx.Client) -> str:
    answer = consent(http, form_of(http))
    assert answer.status_code == 303
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]


def redeem(http: httpx.Client, code: str, /, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": BACK,
    }
    return http.post("/oidc/token", data=form | changes)


def check_refused(answer: httpx.Response, status: int = 400, error: str = "invalid_request") -> None:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error", "error_description"}
    assert answer.json()["error"] == error


def test_a_person_gets_a_token_for_the_identity_they_picked(http: httpx.Client, server: Server) -> None:
    answer = consent(http, form_of(http))
    assert answer.headers["location"].startswith(f"{BACK}?code=")
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert query["state"] == "state-1"
    token = redeem(http, query["code"])
    assert token.headers["cache-control"] == "no-store"
    response = token.json()
    assert response["access_token"] == response["id_token"]
    (key,) = http.get("/oidc/jwks").json()["keys"]
    claims = jwt.decode(response["id_token"], jwt.PyJWK(key), algorithms=["ES256"], audience="sigstore")
    assert (claims["email"], claims["nonce"]) == (ALICE, "nonce-1")
    assert server.instance.issuer.check(response["id_token"]).san == ALICE


def test_discovery_names_endpoints_where_it_listens_and_a_fixed_issuer(http: httpx.Client, server: Server) -> None:
    discovery = http.get("/oidc/.well-known/openid-configuration").json()
    assert discovery["issuer"] == "https://oidc.chainlab.localhost"
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert discovery[name].startswith(f"{server.url}/oidc/")
    assert discovery["code_challenge_methods_supported"] == ["S256"]


def test_without_state_none_comes_back(http: httpx.Client) -> None:
    answer = consent(http, form_of(http, state=None))
    assert "state" not in answer.headers["location"]


def test_a_redirect_that_has_a_query_keeps_it(http: httpx.Client) -> None:
    answer = consent(http, form_of(http, redirect_uri=f"{BACK}?a=b"))
    assert answer.headers["location"].startswith(f"{BACK}?a=b&code=")


REDIRECTS = [
    "https://example.com/",
    "http://example.com:8501/",
    "http://localhost/",
    "https://localhost:8501/",
    "http://localhost:8501@example.com/",
    "http://user@localhost:8501/",
    "http://localhost:8501/#fragment",
    "http://127.0.0.1.example.com:8501/",
    "http://localhost:99999/",
    "http://[::1/",
    "javascript:alert(1)//localhost:8501",
    "//localhost:8501/",
    "data:text/html,x",
    "urn:ietf:wg:oauth:2.0:oob2",
    "http://localhost:8501\\@example.com/",
    "http://localhost:8501/\r\nX: y",
    "http://localhost:8501 ; script-src *",
    "http://local\thost:8501/",
]


@pytest.mark.parametrize("target", REDIRECTS)
def test_a_code_goes_nowhere_but_to_this_machine(http: httpx.Client, target: str) -> None:
    check_refused(http.get("/oidc/authorize", params=ASKED | {"redirect_uri": target}))
    form = form_of(http)
    check_refused(consent(http, form | {"redirect_uri": target}))


@pytest.mark.parametrize(
    "changes",
    [
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"client_id": ""},
        {"redirect_uri": ""},
    ],
    ids=str,
)
def test_a_sign_in_that_is_not_the_code_flow_with_pkce_is_refused(http: httpx.Client, changes: dict[str, str]) -> None:
    check_refused(http.get("/oidc/authorize", params=ASKED | changes))


def test_consent_needs_the_page_s_own_token(http: httpx.Client, server: Server) -> None:
    form = form_of(http)
    for csrf in ("", "x" * 32, form["csrf"][:-1], "é"):
        check_refused(consent(http, form | {"csrf": csrf}), 403)
    check_refused(consent(http, {k: v for k, v in form.items() if k != "csrf"}), 403)
    with httpx.Client(base_url=server.url, trust_env=False) as another_browser:
        check_refused(consent(another_browser, form), 403)  # no cookie
        form_of(another_browser)
        check_refused(consent(another_browser, form), 403)  # a cookie of its own
    assert consent(http, form).status_code == 303


def test_the_cookie_is_for_the_page_alone(http: httpx.Client) -> None:
    cookie = http.get("/oidc/authorize", params=ASKED).headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/oidc/authorize"):
        assert attribute in cookie


@pytest.mark.parametrize(
    "email", ["", "alice", "a@b@c", "a b@c", "é@example.com", "a(b)@c", "a,b@c", "a@b\r\nc: d", "@"]
)
def test_an_address_that_is_none_is_refused(http: httpx.Client, email: str) -> None:
    check_refused(consent(http, form_of(http), email))


def test_a_code_works_once(http: httpx.Client) -> None:
    code = code_of(http)
    assert redeem(http, code).status_code == 200
    check_refused(redeem(http, code), 400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "unknown"},
        {"code": ""},
        {"code_verifier": "w" * 64},
        {"code_verifier": ""},
        {"code_verifier": CHALLENGE},
        {"redirect_uri": "http://localhost:8502/auth/callback"},
    ],
    ids=str,
)
def test_a_code_with_anything_wrong_beside_it_gives_no_token_and_is_spent(
    http: httpx.Client, changes: dict[str, str]
) -> None:
    code = code_of(http)
    check_refused(redeem(http, code, **changes), 400, "invalid_grant")
    if "code" not in changes:
        check_refused(redeem(http, code), 400, "invalid_grant")


def test_a_code_expires(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(server.instance.keys.issuer_key)
    code = issuer.authorize(ALICE, client_id="sigstore", redirect_uri=BACK, challenge=CHALLENGE, nonce=None)
    later = time.time() + CODE_SECONDS + 1
    monkeypatch.setattr("chainlab.trust.issuer.time.time", lambda: later)
    with pytest.raises(Exception, match="invalid_grant"):
        issuer.redeem(code, verifier=VERIFIER, redirect_uri=BACK)


@pytest.mark.parametrize("grant", ["", "refresh_token", "client_credentials"])
def test_another_grant_is_refused(http: httpx.Client, grant: str) -> None:
    answer = redeem(http, code_of(http), grant_type=grant)
    check_refused(answer, 400, "unsupported_grant_type")


@pytest.mark.parametrize("body", [b"", b"\xff", b"a", b"&&&", b"a=b;c", b"a=1&" * 100])
@pytest.mark.parametrize("path", ["/oidc/token", "/oidc/authorize"])
def test_a_form_that_cannot_be_read_is_refused(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body)
    assert answer.status_code in (400, 403)
    assert answer.json().keys() == {"error", "error_description"}


# -- what a person is told

BROWSER_PROGRAM = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def check_page(answer: httpx.Response, status: int, title: str, *words: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'nonce-")
    assert answer.headers["cache-control"] == "no-store"
    assert f"<title>{title} · chainlab</title>" in answer.text
    assert '<html lang="en">' in answer.text
    for word in words:
        assert word in answer.text


def test_a_person_is_told_on_a_page_what_is_wrong_with_a_sign_in(http: httpx.Client) -> None:
    form = form_of(http)
    http.headers.update(BROWSER_PROGRAM)
    check_page(consent(http, form, "alice"), 400, "Sign-in refused", "not an email address", "write name@example.com")
    check_page(consent(http, form | {"csrf": "x"}), 403, "Sign-in refused", "did not come from our page")
    check_page(
        http.get("/oidc/authorize", params=ASKED | {"client_id": ""}), 400, "Sign-in refused", "expected client_id"
    )
    check_page(consent(http, form, "<b>\u202e"), 400, "Sign-in refused", "&lt;b&gt;\\u202e")


def test_the_page_with_the_code_says_so_in_its_title(http: httpx.Client) -> None:
    form = form_of(http, redirect_uri="urn:ietf:wg:oauth:2.0:oob")
    assert "<title>Copy this code · chainlab</title>" in consent(http, form).text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_person_is_told_on_a_page_that_nothing_is_there(http: httpx.Client, method: str) -> None:
    check_page(http.request(method, "/no/such/<b>", headers=BROWSER_PROGRAM), 404, "Not here", "&lt;b&gt;")
    check_page(http.delete("/oidc/jwks", headers=BROWSER_PROGRAM), 405, "Sign-in refused")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html;q=0.1", ""])
def test_a_program_is_told_in_json(http: httpx.Client, accept: str) -> None:
    check_refused(http.get("/oidc/authorize", headers={"Accept": accept}))
    assert http.get("/no/such/path", headers={"Accept": accept}).json()["code"] == 5
    assert http.get("/api/v2/no/such/path", headers=BROWSER_PROGRAM).json()["code"] == 5


# -- planted HTML and script

PLANTED = (
    "\"'><script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
    "<form action=//example.com><input name=stolen></form><base href=//example.com/>"
    "</title></style></main><svg onload=window.pwned=1>{{7*7}}${7*7}<!--"
)
FIELDS: dict[str, dict[str, str]] = {
    "client_id": {"client_id": PLANTED},
    "path of redirect_uri": {"redirect_uri": f"http://localhost:8501/{PLANTED}"},
    "query of redirect_uri": {"redirect_uri": f"http://localhost:8501/?{PLANTED}"},
    "state": {"state": PLANTED},
    "nonce": {"nonce": PLANTED},
    "code_challenge": {"code_challenge": PLANTED},
}
ALL = {
    name: f"http://localhost:8501/{PLANTED}" if name == "redirect_uri" else PLANTED
    for name in ("client_id", "redirect_uri", "state", "nonce", "code_challenge")
}
FIELDS["all at once"] = ALL


def skeleton(page: Page) -> list[tuple[str, list[str]]]:
    """The page's elements and the names of their attributes, without what they say."""
    return [(tag, sorted(attributes)) for tag, attributes in page.elements]


@pytest.mark.parametrize("name", FIELDS)
def test_planted_html_adds_no_element(http: httpx.Client, name: str) -> None:
    plain = Page(http.get("/oidc/authorize", params=ASKED).text)
    planted = Page(http.get("/oidc/authorize", params=ASKED | FIELDS[name]).text)
    assert skeleton(planted) == skeleton(plain)
    for field, value in FIELDS[name].items():
        assert all(form[field] == value for form in planted.forms)
    assert "49" not in "".join(planted.text)


def test_planted_html_in_an_address_or_a_field_of_consent_is_not_shown(http: httpx.Client) -> None:
    form = form_of(http, redirect_uri="urn:ietf:wg:oauth:2.0:oob")
    check_refused(consent(http, form, PLANTED))
    # what an address may hold is not shown either: the page has the code alone
    answer = consent(http, form | {"state": PLANTED}, '"<script>alert(1)</script>"@example.com')
    page = Page(answer.text)
    assert page.code
    assert not {tag for tag, _ in page.elements} & {"script", "img", "svg", "form", "base"}


@pytest.mark.parametrize("name", FIELDS)
def test_the_policy_of_the_page_is_not_the_request_s_to_write(http: httpx.Client, name: str) -> None:
    answer = http.get("/oidc/authorize", params=ASKED | FIELDS[name])
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert policy[1].startswith("style-src 'nonce-")
    assert policy[2:] == [
        "form-action 'self' http://localhost:8501",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
    assert answer.headers["referrer-policy"] == "same-origin"


CACHED = Path(__file__).parents[2] / ".cache" / "browser.json"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium, the one that `make test` found."""
    report: dict[str, Any] = json.loads(CACHED.read_text()) if CACHED.exists() else {}
    if not report.get("path"):
        pytest.skip(f"no browser: {report.get('reason', 'run `make test`')}")
    home = tmp_path_factory.mktemp("browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=report["path"],
            args=["--no-sandbox"],
            env={**os.environ, "HOME": str(home)},
        )
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("name", FIELDS)
def test_planted_script_does_not_run_in_a_browser(browser: Browser, server: Server, name: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    messages, requests = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    try:
        page.goto(f"{server.url}/oidc/authorize?{urlencode(ASKED | FIELDS[name])}")
        assert page.evaluate("window.pwned") is None
        assert page.locator("form").count() == 2
        assert page.locator("script, img, svg, base, iframe, object").count() == 0
        shown = page.locator("dd").all_text_contents()
        assert shown == [(ASKED | FIELDS[name])[key] for key in ("client_id", "redirect_uri")]
        assert page.locator("h1").evaluate("e => getComputedStyle(e).fontSize") == "24px"
        assert not messages
        assert len(requests) == 1  # nothing was fetched beside the page
    finally:
        context.close()


@pytest.mark.browser
def test_a_person_signs_in_with_a_browser_and_the_code_arrives(browser: Browser, server: Server) -> None:
    class Program(BaseHTTPRequestHandler):
        """The program that asked, listening for its code."""

        arrived = ""

        def do_GET(self) -> None:
            if "code=" in self.path:
                Program.arrived = self.path
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    context = browser.new_context()
    page = context.new_page()
    with ThreadingHTTPServer(("127.0.0.1", 0), Program) as program:
        threading.Thread(target=program.serve_forever, daemon=True).start()
        back = f"http://127.0.0.1:{program.server_port}/auth/callback"
        try:
            parameters = urlencode(ASKED | {"redirect_uri": back})
            page.goto(f"{server.url}/oidc/authorize?{parameters}")
            page.get_by_role("button", name=ALICE).click()
            page.wait_for_url(f"{back}**", timeout=10_000)
        finally:
            context.close()
            program.shutdown()
    query = dict(parse_qsl(urlsplit(Program.arrived).query))
    assert query["state"] == "state-1"
    token = server.instance.issuer.redeem(query["code"], verifier=VERIFIER, redirect_uri=back)
    assert server.instance.issuer.check(token).san == ALICE


@pytest.mark.browser
def test_a_page_of_another_origin_can_neither_frame_nor_post_the_consent(browser: Browser, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    attacker = "http://attacker.localhost:8502/"
    target = f"{server.url}/oidc/authorize"
    body = (
        f'<iframe src="{target}?{urlencode(ASKED)}"></iframe>'
        f'<form method=post action="{target}" target=_top><input name=email value={ALICE}></form>'
    ).replace("&", "&amp;")
    page.route(attacker, lambda route: route.fulfill(status=200, body=body, content_type="text/html"))
    try:
        page.goto(attacker)
        frame = page.frames[-1]
        assert frame.locator("form").count() == 0  # frame-ancestors 'none'
        # suppressed: the page may be gone before the call returns
        with page.expect_response(target) as answer, contextlib.suppress(Error):
            page.evaluate("document.forms[0].submit()")
        assert answer.value.status == 403
    finally:
        context.close()
