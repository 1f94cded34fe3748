"""Bad input gets the real service's status and JSON error, and leaves nothing in any log."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jwt
import pytest
from client_requests import ALICE, CLAIMS, Signer, b64, csr, public_pem, sizes, with_csr, with_proof
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.issuer import ISSUER
from chainlab.trust.wire import MAX_BODY

P256 = ec.SECP256R1()
KEY = ec.generate_private_key(P256)
OTHER = ec.generate_private_key(P256)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture(autouse=True)
def logs_stay_as_they_are(server: Server, alice: Signer) -> Iterator[None]:
    """After every test of this module the logs hold what they held before."""
    before = sizes(server.instance)
    yield
    assert sizes(server.instance) == before


def check_error(answer: httpx.Response, status: int, path: str) -> str:
    """The shape that the real service answers with; gives the message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in answer.headers
    content = answer.json()
    if path.startswith("/oidc/"):  # RFC 6749 §5.2
        assert content.keys() == {"error", "error_description"}
        return str(content["error"])
    if path.startswith(("/api/v1/", "/ct/")):  # Rekor v1's swagger error
        assert content.keys() == {"code", "message"}
        assert content["code"] == status
    else:  # google.rpc.Status
        assert content.keys() == {"code", "message", "details"}
        assert content["code"] == {400: 3, 401: 16, 403: 7, 404: 5, 413: 8}.get(status, 2)
    assert content["message"]
    return str(content["message"])


# -- identity tokens


def minted(key: Any, algorithm: str = "ES256", **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": "sigstore",
        "sub": ALICE,
        "email": ALICE,
        "email_verified": True,
        "iat": now,
        "exp": now + 600,
    } | changes
    claims = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(claims, key, algorithm=algorithm)


TOKENS: dict[str, Callable[[Any], str]] = {
    "signed by a foreign key": lambda key: minted(OTHER),
    "expired": lambda key: minted(key, exp=int(time.time()) - 1),
    "not valid yet": lambda key: minted(key, nbf=int(time.time()) + 600),
    "for another audience": lambda key: minted(key, aud="somebody-else"),
    "of an unknown issuer": lambda key: minted(key, iss="https://issuer.example.com"),
    "of the other issuer": lambda key: minted(key, iss="https://ci.chainlab.localhost", aud="x"),
    "with an issuer that is no text": lambda key: spelled(b'{"iss": ["\\ud800"]}'),
    "alg none": lambda key: minted(None, "none"),
    "signed with the public key as an HMAC secret": lambda key: confused(key),
    "with an unverified email address": lambda key: minted(key, email_verified=False),
    "with an address verified as text": lambda key: minted(key, email_verified="true"),
    "without an email address": lambda key: minted(key, email=...),
    "with an address that no certificate holds": lambda key: minted(key, email="a(b)@example.com"),
    "with an address and a line break": lambda key: minted(key, email="alice@example.com\nx: y"),
    "without subject": lambda key: minted(key, sub=...),
    "with a subject that is no text": lambda key: minted(key, sub=7),
    "without expiry": lambda key: minted(key, exp=...),
    "with an expiry that is no number": lambda key: minted(key, exp="tomorrow"),
    "with an endless expiry": lambda key: minted(key, exp=float("inf")),
    "a job's bearer": lambda key: minted(key, aud="chainlab:job"),
    "of two parts": lambda key: minted(key).rpartition(".")[0],
    "with its claims changed": lambda key: altered(minted(key)),
    "whose claims are a list": lambda key: spelled(b"[]"),
    "whose claims are deeply nested": lambda key: spelled(DEEP[:3000]),
    "that is no JWT": lambda key: "alice",
    "that is empty": lambda key: "",
    "that is not ASCII": lambda key: "é.é.é",
}


def confused(key: ec.EllipticCurvePrivateKey) -> str:
    import hashlib
    import hmac

    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    signed = header + b"." + minted(key).split(".")[1].encode()
    tag = hmac.digest(public_pem(key), signed, hashlib.sha256)
    return (signed + b"." + base64.urlsafe_b64encode(tag).rstrip(b"=")).decode()


def altered(token: str) -> str:
    header, claims, signature = token.split(".")
    changed = base64.urlsafe_b64decode(claims + "==").replace(b"alice", b"mally")
    return f"{header}.{base64.urlsafe_b64encode(changed).rstrip(b'=').decode()}.{signature}"


def spelled(claims: bytes) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","typ":"JWT"}').rstrip(b"=")
    return b".".join((header, base64.urlsafe_b64encode(claims).rstrip(b"="), b"AAAA")).decode()


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("form", ["header", "body"])
def test_a_bad_token_is_refused(server: Server, http: httpx.Client, name: str, form: str) -> None:
    token = TOKENS[name](server.instance.keys.issuer_key)
    if form == "header":
        headers = {b"Authorization": f"Bearer {token}".strip().encode()}
        answer = http.post("/api/v2/signingCert", json=with_csr(csr(KEY)), headers=headers)
    else:
        proof = with_proof(token, KEY, public_pem(KEY), ALICE.encode())
        answer = http.post("/api/v2/signingCert", json=proof)
    message = check_error(answer, 400, "/api/v2/signingCert")
    assert message.startswith("There was an error processing the identity token")


def test_no_token_at_all_is_refused(http: httpx.Client) -> None:
    for headers in ({}, {"Authorization": "Basic YWxpY2U6"}):
        answer = http.post("/api/v2/signingCert", json=with_csr(csr(KEY)), headers=headers)
        check_error(answer, 400, "/api/v2/signingCert")


BAD_CLAIMS = {
    "no sub": {"job_workflow_ref": "a/b/.github/workflows/c.yml@main"},
    "no job_workflow_ref": {"sub": "repo:a/b"},
    "a sub that is no text": CLAIMS | {"sub": 7},
    "a reference that no URI holds": CLAIMS | {"job_workflow_ref": "é/b"},
    "half a character": CLAIMS | {"environment": "\ud800"},
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_a_job_whose_claims_cannot_be_certified_gets_no_token(trust: Trust, name: str) -> None:
    claims: Any = BAD_CLAIMS[name]
    with pytest.raises(ValueError, match=r"claim|CI token"):
        trust.token(claims=claims)
    with pytest.raises(ValueError, match=r"claim|CI token"):
        trust.job_bearer(claims)


@pytest.mark.parametrize("bearer", ["", "Bearer", "Basic x", "Bearer x", "person's token"])
def test_a_ci_token_needs_a_job_s_bearer(trust: Trust, http: httpx.Client, bearer: str) -> None:
    if bearer == "person's token":
        bearer = f"Bearer {trust.token(ALICE)}"
    answer = http.get("/ci/token?audience=sigstore", headers={"Authorization": bearer})
    check_error(answer, 401, "/ci/token")


# -- what a certificate is asked with


def in_version(pem: bytes, kind: str, version: int) -> bytes:
    """A CSR or certificate that says it is of another version; the signature goes with it."""
    der = bytearray(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    at = der.index(b"\x02\x01\x00" if kind == "CERTIFICATE REQUEST" else b"\xa0\x03\x02\x01\x02")
    der[at + (2 if kind == "CERTIFICATE REQUEST" else 4)] = version
    text = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN {kind}-----\n{text}-----END {kind}-----\n".encode()


def spoilt_signature(pem: bytes) -> bytes:
    """The CSR with the last byte of its signature changed."""
    der = bytearray(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    der[-1] ^= 1
    text = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n".encode()


REQUEST = csr(KEY)
EXPLICIT = (  # RFC 3279's specifiedCurve, an EC key that spells its curve out
    b"-----BEGIN PUBLIC KEY-----\nMIIBMzCB7AYHKoZIzj0CATCB4AIBATAsBgcqhkjOPQEBAiEA\n-----END PUBLIC KEY-----\n"
)
CERTIFICATE_REQUESTS: dict[str, Any] = {
    "no CSR and no key": {},
    "a CSR that is no text": {"certificateSigningRequest": 7},
    "a CSR that is no base64": {"certificateSigningRequest": "*"},
    "a CSR that is half a character": {"certificateSigningRequest": "\ud800"},
    "an empty CSR": with_csr(b""),
    "a CSR that is no PEM": with_csr(b"hello"),
    "a PEM without DER": with_csr(b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
    "a truncated CSR": with_csr(REQUEST[: len(REQUEST) // 2]),
    "a CSR of version 7": with_csr(in_version(REQUEST, "CERTIFICATE REQUEST", 7)),
    "a CSR whose signature fails": with_csr(spoilt_signature(REQUEST)),
    "a CSR of an RSA key": with_csr(csr(RSA)),
    "a CSR of a P-384 key": with_csr(csr(P384)),
    "a certificate in place of a CSR": with_csr(public_pem(KEY)),
    "a key that is no object": {"publicKeyRequest": []},
    "no public key": {"publicKeyRequest": {"proofOfPossession": ""}},
    "a proof by another key": with_proof("", OTHER, public_pem(KEY), ALICE.encode()),
    "a proof over another address": with_proof("", KEY, public_pem(KEY), b"bob@example.com"),
    "a public key that is no PEM": with_proof("", KEY, b"hello", ALICE.encode()),
    "a public key with an explicit curve": with_proof("", KEY, EXPLICIT, ALICE.encode()),
    "a P-384 public key": with_proof("", P384, public_pem(P384), ALICE.encode()),
    "an RSA public key": with_proof("", KEY, public_pem(RSA), ALICE.encode()),
    "an Ed25519 public key": with_proof("", KEY, public_pem(ED25519), ALICE.encode()),
    "a public key that is half a character": {
        "publicKeyRequest": {"publicKey": {"content": "\ud800"}, "proofOfPossession": ""}
    },
}


@pytest.mark.parametrize("name", CERTIFICATE_REQUESTS)
def test_a_bad_request_for_a_certificate_is_refused(trust: Trust, http: httpx.Client, name: str) -> None:
    answer = http.post(
        "/api/v2/signingCert",
        content=json.dumps(CERTIFICATE_REQUESTS[name]),
        headers={"Authorization": f"Bearer {trust.token(ALICE)}"},
    )
    message = check_error(answer, 400, "/api/v2/signingCert")
    if "signature fails" in name or "proof by" in name or "proof over" in name:
        assert message == "The signature supplied in the request could not be verified"


# -- what is no JSON object, for every endpoint that takes one

POSTS = (
    "/api/v2/signingCert",
    "/api/v2/log/entries",
    "/api/v1/log/entries",
    "/api/v1/timestamp",
)
BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "NaN": b"NaN",
    "deep nesting": DEEP,
    "deeply nested objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a huge number": b'{"apiVersion": ' + b"9" * 10_000 + b"}",
    "an infinite number": b'{"kind": 1e999, "apiVersion": Infinity}',
    "not UTF-8": b'{"kind": "\xff"}',
    "UTF-16": '{"kind": "dsse"}'.encode("utf-16"),
    "half a character": b'{"kind": "\\ud800", "apiVersion": "\\ud800"}',
    "NUL bytes": bytes(100),
    "an empty object": b"{}",
    "random bytes": bytes(range(256)),
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_request_is_refused(http: httpx.Client, path: str, name: str) -> None:
    headers = {"Content-Type": "application/json"}
    check_error(http.post(path, content=BODIES[name], headers=headers), 400, path)


@pytest.mark.parametrize("path", POSTS)
def test_an_oversized_body_is_refused(http: httpx.Client, path: str) -> None:
    check_error(http.post(path, content=b" " * (MAX_BODY + 1)), 413, path)
    many = (b" " * 65536 for _ in range(MAX_BODY // 65536 + 1))  # no Content-Length
    check_error(http.post(path, content=many), 413, path)


@pytest.mark.parametrize("path", ["/oidc/authorize", "/oidc/token"])
def test_an_oversized_form_is_refused(http: httpx.Client, path: str) -> None:
    check_error(http.post(path, content=b"a=" + b"b" * 20_000), 413, path)


# -- log entries

ARTIFACT = b"weights"


def changed(entry: dict[str, Any], value: Any, *path: str | int) -> dict[str, Any]:
    """The entry with another value at ``path``; ``...`` takes the field away."""
    copy: dict[str, Any] = json.loads(json.dumps(entry))
    *parents, name = path
    at: Any = copy
    for step in parents:
        at = at[step]
    if value is ...:
        del at[name]
    else:
        at[name] = value
    return copy


def self_signed(key: Any) -> bytes:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


WRONG_VERSION = in_version(self_signed(KEY), "CERTIFICATE", 6)
V2 = ("hashedRekordRequestV002",)
SIGNATURE = (*V2, "signature")
VERIFIER = (*SIGNATURE, "verifier")
RAW = (*VERIFIER, "x509Certificate", "rawBytes")
ENTRIES_V2: dict[str, Callable[[dict[str, Any], Signer], Any]] = {
    "no record": lambda e, s: {},
    "a record that is a list": lambda e, s: {V2[0]: []},
    "another entry type": lambda e, s: {"hashedRekordRequestV001": e[V2[0]]},
    "no digest": lambda e, s: changed(e, ..., *V2, "digest"),
    "a digest that is no base64": lambda e, s: changed(e, "!!!!", *V2, "digest"),
    "a digest with url-safe base64": lambda e, s: changed(e, "-_-_" * 11, *V2, "digest"),
    "a short digest": lambda e, s: changed(e, b64(b"short"), *V2, "digest"),
    "another digest": lambda e, s: changed(e, b64(bytes(32)), *V2, "digest"),
    "no signature": lambda e, s: changed(e, ..., *SIGNATURE),
    "a signature over something else": lambda e, s: changed(e, b64(s.sign(b"else")), *SIGNATURE, "content"),
    "a signature that is no DER": lambda e, s: changed(e, b64(b"no"), *SIGNATURE, "content"),
    "a signature by another key": lambda e, s: changed(
        e, b64(Signer(OTHER, s.chain).sign(ARTIFACT)), *SIGNATURE, "content"
    ),
    "no key details": lambda e, s: changed(e, ..., *VERIFIER, "keyDetails"),
    "other key details": lambda e, s: changed(e, "PKIX_ED25519", *VERIFIER, "keyDetails"),
    "key details as a list": lambda e, s: changed(e, [5], *VERIFIER, "keyDetails"),
    "a certificate that is no DER": lambda e, s: changed(e, b64(b"no"), *RAW),
    "an empty certificate": lambda e, s: changed(e, "", *RAW),
    "a truncated certificate": lambda e, s: changed(e, b64(s.der[:-9]), *RAW),
    "a certificate of version 7": lambda e, s: changed(e, b64(der(WRONG_VERSION)), *RAW),
    "a P-384 certificate": lambda e, s: changed(e, b64(der(self_signed(P384))), *RAW),
    "an RSA certificate": lambda e, s: changed(e, b64(der(self_signed(RSA))), *RAW),
    "an Ed25519 certificate": lambda e, s: changed(e, b64(der(self_signed(ED25519))), *RAW),
    "a public key that is none": lambda e, s: changed(
        changed(e, {"rawBytes": b64(b"no")}, *VERIFIER, "publicKey"), ..., *RAW[:-1]
    ),
    "a certificate larger than a tile's entry": lambda e, s: changed(
        e, b64(b"-----BEGIN CERTIFICATE-----\n" + b"\n" * 60_000 + s.chain[0].encode()), *RAW
    ),
    "an envelope without signatures": lambda e, s: {
        "dsseRequestV002": {"envelope": {"payload": "", "payloadType": ""}, "verifiers": []}
    },
    "an envelope that is none": lambda e, s: {"dsseRequestV002": {"envelope": 7}},
}


@pytest.mark.parametrize("name", ENTRIES_V2)
def test_log_v2_refuses_a_bad_entry(http: httpx.Client, alice: Signer, name: str) -> None:
    entry = ENTRIES_V2[name](alice.entry_v2(ARTIFACT), alice)
    check_error(http.post("/api/v2/log/entries", json=entry), 400, "/api/v2/log/entries")


HASH = ("spec", "data", "hash")
ENTRIES_V1: dict[str, Callable[[Signer], Any]] = {
    "an unknown kind": lambda s: changed(s.hashedrekord_v1(ARTIFACT), "rpm", "kind"),
    "a kind that is a list": lambda s: changed(s.hashedrekord_v1(ARTIFACT), [], "kind"),
    "another version": lambda s: changed(s.hashedrekord_v1(ARTIFACT), "0.0.2", "apiVersion"),
    "no spec": lambda s: changed(s.hashedrekord_v1(ARTIFACT), ..., "spec"),
    "a digest in upper case": lambda s: changed(s.hashedrekord_v1(ARTIFACT), "AB" * 32, *HASH, "value"),
    "a digest with spaces": lambda s: changed(s.hashedrekord_v1(ARTIFACT), "ab " * 32, *HASH, "value"),
    "a digest that is no hex": lambda s: changed(s.hashedrekord_v1(ARTIFACT), "x", *HASH, "value"),
    "another algorithm": lambda s: changed(s.hashedrekord_v1(ARTIFACT), "sha512", *HASH, "algorithm"),
    "another digest": lambda s: changed(s.hashedrekord_v1(ARTIFACT), "00" * 32, *HASH, "value"),
    "a signature that is no base64": lambda s: changed(
        s.hashedrekord_v1(ARTIFACT), "*", "spec", "signature", "content"
    ),
    "a certificate that is none": lambda s: changed(
        s.hashedrekord_v1(ARTIFACT), b64(b"no"), "spec", "signature", "publicKey", "content"
    ),
    "a certificate of version 7": lambda s: changed(
        s.hashedrekord_v1(ARTIFACT), b64(WRONG_VERSION), "spec", "signature", "publicKey", "content"
    ),
    "an envelope that is no JSON": lambda s: changed(s.dsse_v1(b"{}"), "{", "spec", "proposedContent", "envelope"),
    "an envelope of half characters": lambda s: changed(
        s.dsse_v1(b"{}"), "\ud800", "spec", "proposedContent", "envelope"
    ),
    "an envelope that is deeply nested": lambda s: changed(
        s.dsse_v1(b"{}"), DEEP.decode(), "spec", "proposedContent", "envelope"
    ),
    "two verifiers": lambda s: changed(s.dsse_v1(b"{}"), ["", ""], "spec", "proposedContent", "verifiers"),
    "a verifier that is no text": lambda s: changed(s.dsse_v1(b"{}"), [7], "spec", "proposedContent", "verifiers"),
    "no verifiers": lambda s: changed(s.dsse_v1(b"{}"), ..., "spec", "proposedContent", "verifiers"),
    **{
        f"an envelope with {what}": lambda s, change=change: changed(  # type: ignore[misc]
            s.dsse_v1(b"{}"),
            json.dumps(json.loads(s.dsse_v1(b"{}")["spec"]["proposedContent"]["envelope"]) | change),
            *("spec", "proposedContent", "envelope"),
        )
        for what, change in {
            "another payload": {"payload": b64(b"[]")},
            "another payload type": {"payloadType": "text/plain"},
            "half a character as payload type": {"payloadType": "\ud800"},
            "no signatures": {"signatures": []},
            "a signature that is text": {"signatures": ["x"]},
            "a signature that is nothing": {"signatures": [{}]},
        }.items()
    },
}


@pytest.mark.parametrize("name", ENTRIES_V1)
def test_log_v1_refuses_a_bad_entry(http: httpx.Client, alice: Signer, name: str) -> None:
    text = json.dumps(ENTRIES_V1[name](alice))
    check_error(http.post("/api/v1/log/entries", content=text), 400, "/api/v1/log/entries")


# -- paths, methods and query parameters

GETS = {  # path: status
    "/nothing": 404,
    "/api/v1/log/entries": 400,
    "/api/v1/log/entries?logIndex=-1": 400,
    "/api/v1/log/entries?logIndex=999999999": 404,
    "/api/v1/log/entries?logIndex=9999999999999999999999": 400,
    "/api/v1/log/entries?logIndex=%D9%A1": 400,  # a digit, but not an ASCII one
    "/api/v1/log/entries/zz": 400,
    "/api/v1/log/entries/00": 404,
    f"/api/v1/log/entries/{'0' * 80}": 404,
    "/api/v1/log/proof?lastSize=999999": 400,
    "/api/v1/log/proof?firstSize=5&lastSize=2": 400,
    "/api/v2/tile/0/999": 404,
    "/api/v2/tile/0/000.p/0": 400,
    "/api/v2/tile/0/000.p/256": 400,
    "/api/v2/tile/64/000": 400,
    "/api/v2/tile/-1/000": 400,
    "/api/v2/tile/0/x000/x000/x000/x000/x000/x000/000": 400,
    "/api/v2/tile/0/x999/x999/x999/x999/x999/999": 404,
    "/api/v2/tile/entries/zzz": 400,
    "/api/v2/tile/": 400,
    "/ct/v1/get-entries?start=5": 400,
    "/ct/v1/get-entries?start=9999999&end=99999999": 400,
    "/ct/v1/get-entries?start=1&end=0": 400,
    "/ct/v1/get-sth-consistency?first=9&second=99999999": 400,
    "/ct/v1/get-proof-by-hash?hash=*&tree_size=1": 400,
    "/ct/v1/get-proof-by-hash?hash=AAAA&tree_size=1": 404,
    "/tuf/none.json": 404,
    "/tuf/%00": 404,
    "/tuf/..%2Fkeys.json": 404,
    "/tuf/..%5Ckeys.json": 404,
    "/tuf//etc/passwd": 404,
    f"/tuf/{'a' * 5000}": 404,
    "/tuf/targets": 404,
    "/tuf/.timestamp.json.new": 404,
}


@pytest.mark.parametrize("path", GETS, ids=lambda path: path[:60])
def test_a_get_that_cannot_be_answered_is_refused(http: httpx.Client, path: str) -> None:
    check_error(http.get(path), GETS[path], path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/api/v2/signingCert", "/api/v1/timestamp", "/oidc/token")),
        *(("GET", path) for path in ("/api/v2/log/entries",)),
        *(("PUT", path) for path in POSTS),
        *(("DELETE", path) for path in ("/api/v1/log", "/tuf/root.json", "/api/v2/checkpoint")),
        ("OPTIONS", "/api/v2/signingCert"),
        ("POST", "/ci/token"),
    ],
)
def test_another_method_is_refused(http: httpx.Client, method: str, path: str) -> None:
    check_error(http.request(method, path), 405, path)


# -- who may ask

HOSTS = ["example.com", "127.0.0.1.example.com", "192.0.2.1", "localhost.example.com", "0.0.0.0"]
PATHS = ["/", "/api/v2/checkpoint", "/oidc/.well-known/openid-configuration", "/ct/v1/get-sth"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_foreign_host_header_is_refused(http: httpx.Client, host: str) -> None:
    for path in PATHS:
        answer = http.get(path, headers={"Host": host})
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "chainlab.localhost", "[::1]"])
def test_a_name_of_this_machine_is_served(http: httpx.Client, host: str) -> None:
    assert http.get("/", headers={"Host": f"{host}:8520"}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "null",
        "https://127.0.0.1",
        "http://127.0.0.1",
        "http://localhost:1",
        "",
    ],
)
def test_a_page_of_another_origin_is_refused(http: httpx.Client, trust: Trust, origin: str) -> None:
    headers = {"Origin": origin, "Authorization": f"Bearer {trust.token(ALICE)}"}
    answer = http.post("/api/v2/signingCert", json=with_csr(csr(KEY)), headers=headers)
    check_error(answer, 403, "/api/v2/signingCert")
    for path in PATHS:
        assert http.get(path, headers={"Origin": origin}).status_code == 403


def test_no_answer_lets_another_origin_read_it(http: httpx.Client, server: Server) -> None:
    preflight = {
        "Origin": "http://example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answers = [
        *(http.get(path) for path in PATHS),
        *(http.get(path, headers={"Origin": server.url}) for path in PATHS),
        *(http.options(path, headers=preflight) for path in (*PATHS, *POSTS)),
        *(http.post(path, content=b"{}") for path in POSTS),
        http.get("/nothing"),
    ]
    for answer in answers:
        cors = [name for name in answer.headers if name.startswith("access-control-")]
        assert not cors, (answer.request, cors)
        assert answer.headers["x-content-type-options"] == "nosniff", answer.request
        assert "default-src 'none'" in answer.headers["content-security-policy"]
