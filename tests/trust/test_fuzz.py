"""Whatever is sent to an endpoint, it answers; a log takes only entries whose signature holds."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import httpx
import pytest
from client_requests import (
    ALICE,
    Signer,
    b64,
    csr,
    enrol,
    public_pem,
    sizes,
    timestamp_query,
    with_csr,
    with_proof,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given
from hypothesis import strategies as st

from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.log_v1 import pae

KEY = ec.generate_private_key(ec.SECP256R1())
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=20),  # half characters included
    st.binary(max_size=40).map(b64),
    st.sampled_from(["sha256", "dsse", "hashedrekord", "0.0.1", "PKIX_ED25519", "", "\x00"]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place inside a JSON value but its root."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    all_paths = []
    for name, inner in items:
        all_paths += [(*at, name), *paths(inner, (*at, name))]
    return all_paths


@st.composite
def damaged(draw: st.DrawFn, requests: list[dict[str, Any]]) -> Any:
    """A good request with up to three values replaced, removed, or shortened."""
    request = copy.deepcopy(draw(st.sampled_from(requests)))
    for _ in range(draw(st.integers(1, 3))):
        places = paths(request)
        if not places:
            break
        *parents, name = draw(st.sampled_from(places))
        holder: Any = request
        for step in parents:
            holder = holder[step]
        how = draw(st.sampled_from(["replace", "remove", "shorten"]))
        if how == "remove":
            del holder[name]
        elif how == "shorten" and isinstance(holder[name], str):
            # Signatures differ in length from run to run, and what is drawn must not.
            holder[name] = holder[name][: draw(st.integers(0, 400)) % (len(holder[name]) + 1)]
        else:
            holder[name] = draw(JSON)
    return request


@pytest.fixture(scope="module")
def signer(trust: Trust, http: httpx.Client) -> Signer:
    return enrol(http, trust.token(ALICE))


def post(http: httpx.Client, server: Server, path: str, body: Any, **headers: str) -> httpx.Response:
    """Send it; what is refused has a JSON error and leaves nothing."""
    before = sizes(server.instance)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post(path, content=content, headers=headers)
    assert answer.status_code < 500, (answer.text, content)
    if answer.status_code >= 400:
        assert answer.json()["message"]
        assert sizes(server.instance) == before
    return answer


@given(data=st.data())
def test_log_v2_takes_only_what_is_signed(
    http: httpx.Client, server: Server, signer: Signer, data: st.DataObject
) -> None:
    artifact = data.draw(st.binary(min_size=8, max_size=8))
    envelope = json.loads(signer.dsse_v1(artifact)["spec"]["proposedContent"]["envelope"])
    verifier = signer.entry_v2(artifact)["hashedRekordRequestV002"]["signature"]["verifier"]
    whole = {"dsseRequestV002": {"envelope": envelope, "verifiers": [verifier]}}
    request = data.draw(st.one_of(damaged([signer.entry_v2(artifact), whole]), JSON))
    answer = post(http, server, "/api/v2/log/entries", request)
    if answer.status_code == 201:
        body = json.loads(base64.b64decode(answer.json()["canonicalizedBody"]))
        record = body["spec"]["hashedRekordV002"]
        raw = record["signature"]["verifier"]["x509Certificate"]["rawBytes"]
        check_signature(
            x509.load_der_x509_certificate(base64.b64decode(raw)).public_key(),
            base64.b64decode(record["signature"]["content"]),
            base64.b64decode(record["data"]["digest"]),
        )


@given(data=st.data())
def test_log_v1_takes_only_what_is_signed(
    http: httpx.Client, server: Server, signer: Signer, data: st.DataObject
) -> None:
    artifact = data.draw(st.binary(min_size=8, max_size=8))
    good = [signer.hashedrekord_v1(artifact), signer.dsse_v1(artifact)]
    request = data.draw(st.one_of(damaged(good), JSON))
    answer = post(http, server, "/api/v1/log/entries", request)
    if answer.status_code == 201:
        (entry,) = answer.json().values()
        body = json.loads(base64.b64decode(entry["body"]))
        if body["kind"] == "hashedrekord":
            spec = body["spec"]
            check_signature(
                key_of(spec["signature"]["publicKey"]["content"]),
                base64.b64decode(spec["signature"]["content"]),
                bytes.fromhex(spec["data"]["hash"]["value"]),
            )
        else:
            envelope = json.loads(request["spec"]["proposedContent"]["envelope"])
            signed = pae(envelope["payloadType"], base64.b64decode(envelope["payload"]))
            (signature,) = body["spec"]["signatures"]
            key_of(signature["verifier"]).verify(
                base64.b64decode(signature["signature"]), signed, ec.ECDSA(hashes.SHA256())
            )


def check_signature(key: Any, signature: bytes, digest: bytes) -> None:
    key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def key_of(content: str) -> Any:
    pem = base64.b64decode(content)
    if b"PUBLIC KEY" in pem:
        return serialization.load_pem_public_key(pem)
    return x509.load_pem_x509_certificate(pem).public_key()


@given(data=st.data())
def test_an_envelope_damaged_anywhere_is_not_logged_as_another(
    http: httpx.Client, server: Server, signer: Signer, data: st.DataObject
) -> None:
    request = signer.dsse_v1(data.draw(st.binary(min_size=8, max_size=8)))
    content = request["spec"]["proposedContent"]
    envelope = data.draw(damaged([json.loads(content["envelope"])]))
    content["envelope"] = json.dumps(envelope)
    answer = post(http, server, "/api/v1/log/entries", request)
    assert answer.status_code == 400 or envelope.keys() >= {"payload", "payloadType", "signatures"}


@given(data=st.data())
def test_the_ca_certifies_nobody_but_the_bearer(
    http: httpx.Client, server: Server, trust: Trust, data: st.DataObject
) -> None:
    token = trust.token(ALICE)
    good = [with_csr(csr(KEY)), with_proof(token, KEY, public_pem(KEY), ALICE.encode())]
    request = data.draw(st.one_of(damaged(good), JSON))
    headers = {"Authorization": f"Bearer {token}"} if data.draw(st.booleans()) else {}
    answer = post(http, server, "/api/v2/signingCert", request, **headers)
    if answer.status_code == 200:
        leaf = answer.json()["signedCertificateEmbeddedSct"]["chain"]["certificates"][0]
        certificate = x509.load_pem_x509_certificate(leaf.encode())
        assert certificate.public_key() == KEY.public_key()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert list(names.value) == [x509.RFC822Name(ALICE)]


@given(email=st.emails() | st.text(max_size=30).map(lambda local: f"{local}@example.com"))
def test_an_address_is_refused_a_token_or_certified_as_it_is(http: httpx.Client, trust: Trust, email: str) -> None:
    try:
        token = trust.token(email)
    except ValueError:
        return
    names = enrol(http, token).certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert [name.value for name in names.value] == [email]


@given(
    claims=st.dictionaries(
        st.sampled_from(["repository", "ref", "sha", "environment", "run_id", "workflow", "other"]),
        st.text(st.characters(exclude_categories=()), max_size=20),
    ),
    reference=st.text(st.characters(exclude_categories=()), min_size=1, max_size=20),
)
def test_claims_are_refused_a_token_or_certified(
    http: httpx.Client, trust: Trust, claims: dict[str, str], reference: str
) -> None:
    try:
        token = trust.token(claims={**claims, "sub": "job", "job_workflow_ref": reference})
    except ValueError:
        return
    certificate = enrol(http, token).certificate
    oids = {extension.oid.dotted_string for extension in certificate.extensions}
    assert ("1.3.6.1.4.1.57264.1.14" in oids) == ("ref" in claims)


@given(
    at=st.integers(0, 60),
    cut=st.integers(0, 60),
    junk=st.binary(max_size=20),
)
def test_the_timestamp_authority_answers_every_query(
    http: httpx.Client, server: Server, at: int, cut: int, junk: bytes
) -> None:
    query = timestamp_query(b"data")
    post(http, server, "/api/v1/timestamp", query[:at] + junk + query[at + cut :])


@given(request=damaged([{"artifactHash": b64(bytes(32)), "hashAlgorithm": "sha256", "nonce": 7}]))
def test_the_timestamp_authority_answers_every_query_in_json(http: httpx.Client, server: Server, request: Any) -> None:
    post(http, server, "/api/v1/timestamp", request, **{"Content-Type": "application/json"})


@given(path=st.sampled_from(["authorize", "token"]), body=st.binary(max_size=80))
def test_the_issuer_answers_every_form(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(f"/oidc/{path}", content=body)
    assert 400 <= answer.status_code < 500
    assert answer.json().keys() == {"error", "error_description"}


@given(token=st.text(st.characters(exclude_categories=()), max_size=60))
def test_no_text_is_taken_for_a_token(http: httpx.Client, server: Server, token: str) -> None:
    proof = with_proof(token, KEY, public_pem(KEY), ALICE.encode())
    assert post(http, server, "/api/v2/signingCert", proof).status_code == 400


@given(
    path=st.text(max_size=40),
    root=st.sampled_from(["/", "/tuf/", "/api/v2/tile/", "/api/v1/log/entries/"]),
)
def test_every_path_is_answered(http: httpx.Client, path: str, root: str) -> None:
    raw = (root + "".join(f"%{byte:02x}" for byte in path.encode())).encode()
    url = http.base_url.copy_with(raw_path=raw)
    assert http.get(url).status_code in (200, 307, 400, 404, 405)
