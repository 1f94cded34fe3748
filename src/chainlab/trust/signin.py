"""The sign-in: the page where a person picks an identity, and the two requests around it (RFC 6749, RFC 7636).

The page shows which program asks and where the code will go. Consent needs a token that only this page in this browser
has. Codes go only to loopback.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from chainlab.errors import Refused
from chainlab.trust import wire
from chainlab.trust.issuer import Issuer
from chainlab.trust.lifetimes import CODE_SECONDS, TOKEN_SECONDS
from chainlab.trust.page import page

__all__ = ["SignIn", "require_person"]

PEOPLE = ("alice@example.com", "bob@example.com", "release-manager@example.com")
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"  # the person copies the code by hand
JOBS = ipaddress.ip_network("127.64.0.0/10")  # source addresses of the CI host's jobs
COOKIE = "chainlab-signin"
SIGN_IN = "sign in as a person"
MAX_FORM = 16384  # bytes
# A pattern, because `urlsplit` and a browser disagree on what a host name is.
REDIRECT = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\]):([0-9]{1,5})(?:[/?][^#]*)?")
PARAMETERS = ("client_id", "redirect_uri", "code_challenge", "state", "nonce")


class SignIn:
    """The endpoints of one issuer's authorization code flow."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    async def page(self, request: Request) -> Response:
        """GET: show which program asks, and the identities to pick from."""
        require_person(request, SIGN_IN)
        query = request.query_params
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise Refused(400, "expected response_type=code and code_challenge_method=S256")
        parameters = _parameters(query)
        csrf = request.cookies.get(COOKIE) or secrets.token_urlsafe(24)
        target = parameters["redirect_uri"]
        # Browsers apply form-action to the redirect after a form as well, so the target is listed.
        onward = "" if target == OUT_OF_BAND else f"http://{urlsplit(target).netloc}"
        response = page("signin.html", onward=onward, parameters=parameters, csrf=csrf, people=PEOPLE)
        response.set_cookie(COOKIE, csrf, httponly=True, samesite="strict", path="/oidc/authorize", max_age=3600)
        return response

    async def consent(self, request: Request) -> Response:
        """POST: the person has picked an identity; send the code where the page said."""
        require_person(request, SIGN_IN)
        form = await wire.form(request.stream(), MAX_FORM)
        cookie = request.cookies.get(COOKIE, "")
        if not cookie or not secrets.compare_digest(cookie.encode(), form.get("csrf", "").encode()):
            raise Refused(403, "this consent did not come from our page: open the sign-in page again")
        parameters = _parameters(form)
        code = self._issuer.authorize(
            form.get("email", ""),
            client_id=parameters["client_id"],
            redirect_uri=parameters["redirect_uri"],
            challenge=parameters["code_challenge"],
            nonce=parameters.get("nonce"),
        )
        target = parameters["redirect_uri"]
        if target == OUT_OF_BAND:
            return page("signin.html", code=code, code_minutes=CODE_SECONDS // 60)
        answer = {"code": code} | ({"state": parameters["state"]} if "state" in parameters else {})
        return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{urlencode(answer)}", 303)

    async def token(self, request: Request) -> Response:
        """POST: exchange a code for a token."""
        require_person(request, SIGN_IN)
        form = await wire.form(request.stream(), MAX_FORM)
        if form.get("grant_type") != "authorization_code":
            raise Refused(400, "unsupported_grant_type")
        token = self._issuer.redeem(
            form.get("code", ""),
            verifier=form.get("code_verifier", ""),
            redirect_uri=form.get("redirect_uri", ""),
        )
        answer = {
            "access_token": token,
            "id_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def require_person(request: Request, act: str) -> None:
    """Raise `Refused` (403) for a CI job that would ``act``; it has its own identity or none."""
    if request.client and ipaddress.ip_address(request.client.host) in JOBS:
        raise Refused(403, f"a CI job cannot {act}")


def _parameters(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of a sign-in. Raises `Refused` when the code would leave this machine."""
    parameters = {name: fields[name] for name in PARAMETERS if fields.get(name)}
    for name in ("client_id", "redirect_uri", "code_challenge"):
        if name not in parameters:
            raise Refused(400, f"expected {name}")
    target = parameters["redirect_uri"]
    match = REDIRECT.fullmatch(target)
    is_loopback = match is not None and int(match[1]) < 2**16 and target.isprintable()
    if target != OUT_OF_BAND and not is_loopback:
        raise Refused(400, "redirect_uri must be http on this machine, with its port")
    return parameters
