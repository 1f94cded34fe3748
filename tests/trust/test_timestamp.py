"""Timestamps: OpenSSL accepts them, and bad queries are refused (RFC 3161)."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from forms import Run, b64, sizes
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerifierBuilder,
    decode_timestamp_response,
)

from chainlab.services import Server
from chainlab.trust import der
from chainlab.trust.keys import pem

UNPACKED = Path(__file__).parents[2] / ".cache" / "debian" / "root" / "usr" / "bin" / "openssl"
ADDRESS = "/api/v1/timestamp"


@pytest.fixture
def openssl() -> str:
    program = shutil.which("openssl") or (str(UNPACKED) if UNPACKED.exists() else None)
    if program is None:
        pytest.skip("there is no openssl program here")
    return program


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(b"some signature")
    return path


@pytest.fixture
def roots(server: Server, tmp_path: Path) -> tuple[Path, Path]:
    """The authority's root and its certificate, PEM files."""
    keys = server.instance.keys
    paths = tmp_path / "root.pem", tmp_path / "tsa.pem"
    for path, certificate in zip(paths, (keys.timestamp_root, keys.timestamp), strict=True):
        path.write_text(pem(certificate))
    return paths


@pytest.mark.clients("openssl")
@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize(
    "options",
    [("-cert",), (), ("-no_nonce",), ("-cert", "-tspolicy", "1.3.6.1.4.1.57264.2")],
    ids=["with certificate", "without certificate", "without nonce", "with our policy"],
)
def test_openssl_verifies_our_timestamp(
    http: httpx.Client,
    run: Run,
    openssl: str,
    signed: Path,
    roots: tuple[Path, Path],
    tmp_path: Path,
    algorithm: str,
    options: tuple[str, ...],
) -> None:
    query, reply = tmp_path / "query.tsq", tmp_path / "reply.tsr"
    run(
        *(openssl, "ts", "-query", "-data", signed, f"-{algorithm}", *options),
        *("-out", query),
    )
    answer = http.post(ADDRESS, content=query.read_bytes(), headers={"Content-Type": "application/timestamp-query"})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/timestamp-reply"
    reply.write_bytes(answer.content)
    verify = (openssl, "ts", "-verify", "-in", reply, "-CAfile", roots[0])
    chain = () if "-cert" in options else ("-untrusted", roots[1])
    for against in (("-queryfile", query), ("-data", signed)):
        assert "Verification: OK" in run(*verify, *chain, *against).stdout
    signed.write_bytes(b"another signature")
    run(*verify, *chain, "-data", signed, status=1)


@pytest.mark.clients("openssl")
def test_openssl_finds_the_time_that_it_was(
    http: httpx.Client, run: Run, openssl: str, signed: Path, tmp_path: Path
) -> None:
    query, reply = tmp_path / "query.tsq", tmp_path / "reply.tsr"
    run(openssl, "ts", "-query", "-data", signed, "-sha256", "-out", query)
    before = datetime.now(UTC).replace(microsecond=0)
    reply.write_bytes(http.post(ADDRESS, content=query.read_bytes()).content)
    text = run(openssl, "ts", "-reply", "-in", reply, "-text").stdout
    assert "Status: Granted." in text
    line = next(line for line in text.splitlines() if line.startswith("Time stamp:"))
    stamped = datetime.strptime(line.removeprefix("Time stamp: "), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert before <= stamped <= datetime.now(UTC) + timedelta(seconds=1)


def test_the_json_form_of_sigstore_js_gets_the_same_kind_of_timestamp(server: Server, http: httpx.Client) -> None:
    data = b"some signature"
    query = {
        "artifactHash": b64(hashlib.sha256(data).digest()),
        "hashAlgorithm": "sha256",
        "certificates": True,
        "nonce": 2**64,
    }
    answer = http.post(ADDRESS, json=query)
    assert answer.status_code == 201
    response = decode_timestamp_response(answer.content)
    assert response.tst_info.nonce == 2**64
    keys = server.instance.keys
    verifier = VerifierBuilder().tsa_certificate(keys.timestamp).add_root_certificate(keys.timestamp_root).build()
    assert verifier.verify_message(response, data)


def test_serial_numbers_differ(http: httpx.Client) -> None:
    query = TimestampRequestBuilder().data(b"x").hash_algorithm(HashAlgorithm.SHA256).build()
    serials = {
        decode_timestamp_response(http.post(ADDRESS, content=query.as_bytes()).content).tst_info.serial_number
        for _ in range(5)
    }
    assert len(serials) == 5


SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), bytes((der.NULL, 0)))
SHA1 = der.sequence(der.oid("1.3.14.3.2.26"), bytes((der.NULL, 0)))
IMPRINT = der.sequence(SHA256, der.octets(bytes(32)))
ONE = der.integer(1)
QUERIES = {
    "nothing": b"",
    "no DER": b"hello",
    "two queries": der.sequence(ONE, IMPRINT) * 2,
    "trailing bytes": der.sequence(ONE, IMPRINT) + b"\x00",
    "truncated": der.sequence(ONE, IMPRINT)[:-1],
    "an indefinite length": b"\x30\x80" + ONE + IMPRINT + b"\x00\x00",
    "a length that is not the shortest": b"\x30\x81\x05\x02\x01\x01\x30\x00",
    "a length of many bytes": b"\x30\x88" + bytes((1,)) * 8,
    "a length without bytes": b"\x30\x84",
    "a multi-byte tag": b"\x3f\x81\x00\x00",
    "a SET": der.tlv(der.SET, ONE, IMPRINT),
    "version 2": der.sequence(der.integer(2), IMPRINT),
    "no version": der.sequence(IMPRINT),
    "no imprint": der.sequence(ONE),
    "an empty imprint": der.sequence(ONE, der.sequence()),
    "an imprint without algorithm": der.sequence(ONE, der.sequence(der.sequence(), der.octets(bytes(32)))),
    "SHA-1": der.sequence(ONE, der.sequence(SHA1, der.octets(bytes(20)))),
    "a digest of another size": der.sequence(ONE, der.sequence(SHA256, der.octets(bytes(20)))),
    "an algorithm with parameters": der.sequence(
        ONE,
        der.sequence(der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.integer(7)), der.octets(bytes(32))),
    ),
    "another policy": der.sequence(ONE, IMPRINT, der.oid("1.2.3.4")),
    "an extension": der.sequence(ONE, IMPRINT, der.context(0, der.sequence())),
    "an empty nonce": der.sequence(ONE, IMPRINT, der.tlv(der.INTEGER)),
    "two nonces": der.sequence(ONE, IMPRINT, ONE, ONE),
    "a nonce of a kilobyte": der.sequence(ONE, IMPRINT, der.tlv(der.INTEGER, b"\x01" * 1024)),
    "a certReq that is no BOOLEAN": der.sequence(ONE, IMPRINT, der.tlv(der.BOOLEAN, b"\x01")),
    "fields out of order": der.sequence(ONE, IMPRINT, der.tlv(der.BOOLEAN, b"\xff"), ONE),
}
HASH = {"artifactHash": b64(bytes(32)), "hashAlgorithm": "sha256"}
JSON_QUERIES: dict[str, Any] = {
    "no hash": {"hashAlgorithm": "sha256"},
    "a hash that is no base64": HASH | {"artifactHash": "*"},
    "a short hash": HASH | {"artifactHash": b64(bytes(20))},
    "another algorithm": HASH | {"hashAlgorithm": "sha1"},
    "an algorithm that is a list": HASH | {"hashAlgorithm": ["sha256"]},
    "a negative nonce": HASH | {"nonce": -1},
    "a huge nonce": HASH | {"nonce": 2**160},
    "a nonce that is true": HASH | {"nonce": True},
    "a nonce that is a fraction": HASH | {"nonce": 1.5},
    "a nonce that is text": HASH | {"nonce": "7"},
}


@pytest.fixture
def unchanged(server: Server) -> Iterator[None]:
    before = sizes(server.instance)
    yield
    assert sizes(server.instance) == before


@pytest.mark.parametrize("name", [*QUERIES, *JSON_QUERIES])
def test_a_bad_query_is_refused(http: httpx.Client, unchanged: None, name: str) -> None:
    if name in QUERIES:
        answer = http.post(ADDRESS, content=QUERIES[name])
    else:
        headers = {"Content-Type": "application/json"}
        answer = http.post(ADDRESS, content=json.dumps(JSON_QUERIES[name]), headers=headers)
    assert answer.status_code == 400, answer.content
    assert answer.json().keys() == {"code", "message"}
    assert answer.json()["code"] == 400


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 2**64, 2**159])
def test_the_der_of_integers_is_the_shortest(value: int) -> None:
    encoded = der.integer(value)
    (element,) = der.parse(encoded)
    assert element.tag == der.INTEGER
    assert int.from_bytes(element.value, "big") == value
    assert len(element.value) == 1 or not (element.value[0] == 0 and element.value[1] < 0x80)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536, 2**24])
def test_any_length_is_read_back(size: int) -> None:
    (element,) = der.parse(der.octets(bytes(size)))
    assert (element.tag, len(element.value)) == (der.OCTET_STRING, size)


def test_object_identifiers_are_those_of_x_690() -> None:
    # X.690 §8.19.5's example, and ours
    assert der.oid("2.999.3").hex() == "0603883703"
    assert base64.b64encode(der.oid("1.2.840.113549.1.7.2")) == b"BgkqhkiG9w0BBwI="
