"""Cases for exercise 0.3: accept the token, or say why not. The truth is the fault put into the token."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization

from chainlab.course.cases import Case, LabContext
from chainlab.course.exercises.fixtures.identities import PEOPLE, new_key

__all__ = ["cases"]

SEE = "notebooks/00c_tokens.ipynb, 'Four questions before a token means anything'"
TEACHES = {
    "a good token": (
        "Nothing is wrong with this one at `now`, which need not be your machine's time. A verdict that refuses "
        "everything protects nobody."
    ),
    "audience in a list": "RFC 7519 allows `aud` to be a list; ours is in it.",
    "a list without ours": "A list of other services is as good as one of them: ours is not in it.",
    "for somebody else": "The token was made for another service. Whoever runs that service could replay it here.",
    "an audience that contains ours": (
        "`x in text` looks for a part of a text. `aud` is either one name or a list of names: compare whole names."
    ),
    "an issuer that begins like ours": ("A prefix is not the issuer: anybody can register the rest of that host name."),
    "expired": "`exp` has passed: the token was good until then, and is good no longer.",
    "expires this second": "`exp` is the first second at which the token is no longer good (RFC 7519 §4.1.4).",
    "signed by a stranger": "The claims are perfect and the signature is not the issuer's.",
    "not signed at all": "`alg: none` is the sender's wish. The verifier names the algorithm.",
    "a stranger's, for somebody else": (
        "Two faults. Until the signature holds, no claim means anything: that is the reason."
    ),
    "of another issuer, for somebody else": "Two faults, and the order is given: the issuer comes before the audience.",
    "for somebody else, and expired": "Two faults, and the order is given: the audience comes before the time.",
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make good tokens, then tokens with faults; the truth is the first fault."""
    audience, now = rng.choice(["sigstore", "registry", "deploy"]), rng.randrange(10**9, 2 * 10**9)
    issuer = f"https://issuer-{rng.randrange(10, 100)}.example"
    key, stranger = new_key(rng), new_key(rng)
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    good: dict[str, Any] = {
        "iss": issuer,
        "sub": f"{rng.choice(PEOPLE)}@example.com",
        "aud": audience,
        "iat": now - 60,
        "exp": now + rng.randrange(60, 600),
    }

    def case(name: str, truth: str, by: Any = key, **changed: Any) -> Case:
        algorithm = "ES256" if by is not None else "none"
        token = jwt.encode({**good, **changed}, by, algorithm=algorithm)
        return Case(name, (token, public, issuer, audience, now), truth)

    yield case("a good token", "accept")
    yield case("audience in a list", "accept", aud=["storage", audience])
    yield case("a list without ours", "audience", aud=["storage", f"{audience}-test"])
    yield case("for somebody else", "audience", aud="payments")
    yield case("an audience that contains ours", "audience", aud=f"not-{audience}")
    yield case("an issuer that begins like ours", "issuer", iss=f"{issuer}.attacker.example")
    yield case("expired", "expired", exp=now - rng.randrange(60, 600))
    yield case("expires this second", "expired", exp=now)
    yield case("signed by a stranger", "signature", by=stranger)
    yield case("not signed at all", "signature", by=None)
    yield case("a stranger's, for somebody else", "signature", by=stranger, aud="payments")
    yield case(
        "of another issuer, for somebody else", "issuer", iss=f"https://{rng.choice(PEOPLE)}.example", aud="payments"
    )
    yield case("for somebody else, and expired", "audience", aud="payments", exp=now - rng.randrange(60, 600))
