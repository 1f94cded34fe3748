"""Timestamps: OpenSSL accepts them, and bad queries are refused (RFC 3161)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import httpx
import pytest
from asn1crypto import core, tsp
from asn1crypto.parser import emit
from client_requests import Run, b64, sizes
from cryptography.hazmat.primitives import serialization
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerifierBuilder,
    decode_timestamp_response,
)

from chainlab.services import Server
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


@pytest.mark.parametrize("nonce", [0, 1, 127, 128, 255, 256, 2**64, 2**159])
def test_a_nonce_comes_back_as_it_was_sent(http: httpx.Client, nonce: int) -> None:
    query = sequence(ONE, IMPRINT, integer(nonce))
    for answer in (http.post(ADDRESS, content=query), http.post(ADDRESS, json=HASH | {"nonce": nonce})):
        assert decode_timestamp_response(answer.content).tst_info.nonce == nonce


@pytest.mark.parametrize("with_certificate", [True, False])
@pytest.mark.parametrize("nonce", [b"", b"\x02\x01\x07"])
def test_the_answer_is_der_laid_out_as_its_standards_say(
    server: Server, http: httpx.Client, nonce: bytes, with_certificate: bool
) -> None:
    query = sequence(ONE, IMPRINT, nonce, TRUE if with_certificate else b"")
    answer = http.post(ADDRESS, content=query).content
    response = tsp.TimeStampResp.load(answer, strict=True)
    assert response["status"]["status"].native == "granted"
    assert response["time_stamp_token"]["content_type"].native == "signed_data"
    data = response["time_stamp_token"]["content"]
    info = data["encap_content_info"]["content"]
    assert info.parsed["message_imprint"].dump() == IMPRINT  # byte for byte (RFC 3161 §2.4.2)
    fields = info.native
    assert (fields["version"], fields["policy"]) == ("v1", "1.3.6.1.4.1.57264.2")
    assert (fields["accuracy"], fields["ordering"]) == ({"seconds": 1, "millis": None, "micros": None}, False)
    assert fields["nonce"] == (7 if nonce else None)
    assert 0 <= fields["serial_number"] < 2**128
    assert fields["gen_time"].microsecond == 0

    certificate = server.instance.keys.timestamp.public_bytes(serialization.Encoding.DER)
    assert [entry.dump() for entry in data["certificates"]] == [certificate] * with_certificate
    (signer,) = data["signer_infos"]
    assert signer["sid"].native["serial_number"] == server.instance.keys.timestamp.serial_number
    for algorithm in (signer["digest_algorithm"], *data["digest_algorithms"]):
        assert algorithm.dump() == sequence(SHA256_OID)  # without parameters (RFC 5754 §2)
    attributes = [attribute.dump() for attribute in signer["signed_attrs"]]
    assert attributes == sorted(attributes)  # X.690 §11.6
    signed_attributes = {attribute["type"].native: attribute["values"][0] for attribute in signer["signed_attrs"]}
    assert signed_attributes.keys() == {"content_type", "signing_time", "message_digest", "signing_certificate_v2"}
    assert signed_attributes["message_digest"].native == hashlib.sha256(bytes(info)).digest()
    assert signed_attributes["signing_time"].name == "utc_time"
    identifier = sequence(sequence(sequence(octets(hashlib.sha256(certificate).digest()))))
    assert signed_attributes["signing_certificate_v2"].dump() == identifier  # ESSCertIDv2 with its defaults (RFC 5035)
    assert response.dump(force=True) == answer


def sequence(*parts: bytes) -> bytes:
    return bytes(emit(0, 1, 16, b"".join(parts)))


def integer(value: int) -> bytes:
    return bytes(core.Integer(value).dump())


def octets(value: bytes) -> bytes:
    return bytes(core.OctetString(value).dump())


def oid(dotted: str) -> bytes:
    return bytes(core.ObjectIdentifier(dotted).dump())


NULL, TRUE = b"\x05\x00", b"\x01\x01\xff"
SHA256_OID = oid("2.16.840.1.101.3.4.2.1")
SHA256 = sequence(SHA256_OID, NULL)
SHA1 = sequence(oid("1.3.14.3.2.26"), NULL)
IMPRINT = sequence(SHA256, octets(bytes(32)))
ONE = integer(1)
NESTED = reduce(lambda inner, _: sequence(inner), range(300), b"")
QUERIES = {
    "nothing": b"",
    "no DER": b"hello",
    "two queries": sequence(ONE, IMPRINT) * 2,
    "trailing bytes": sequence(ONE, IMPRINT) + b"\x00",
    "truncated": sequence(ONE, IMPRINT)[:-1],
    "an indefinite length": b"\x30\x80" + ONE + IMPRINT + b"\x00\x00",
    "a length that is not the shortest": b"\x30\x81\x05\x02\x01\x01\x30\x00",
    "a length of many bytes": b"\x30\x88" + bytes((1,)) * 8,
    "a length without bytes": b"\x30\x84",
    "a multi-byte tag": b"\x3f\x81\x00\x00",
    "a SET": b"\x31" + sequence(ONE, IMPRINT)[1:],
    "version 2": sequence(integer(2), IMPRINT),
    "no version": sequence(IMPRINT),
    "no imprint": sequence(ONE),
    "an empty imprint": sequence(ONE, sequence()),
    "an imprint without algorithm": sequence(ONE, sequence(sequence(), octets(bytes(32)))),
    "SHA-1": sequence(ONE, sequence(SHA1, octets(bytes(20)))),
    "a digest of another size": sequence(ONE, sequence(SHA256, octets(bytes(20)))),
    "an algorithm with parameters": sequence(ONE, sequence(sequence(SHA256_OID, integer(7)), octets(bytes(32)))),
    "another policy": sequence(ONE, IMPRINT, oid("1.2.3.4")),
    "an extension": sequence(ONE, IMPRINT, b"\xa0\x02" + sequence()),
    "an empty nonce": sequence(ONE, IMPRINT, b"\x02\x00"),
    "two nonces": sequence(ONE, IMPRINT, ONE, ONE),
    "a nonce of a kilobyte": sequence(ONE, IMPRINT, integer(2**8191)),
    "a nonce of 33 bytes": sequence(ONE, IMPRINT, integer(2**256)),
    "a nonce that is not the shortest": sequence(ONE, IMPRINT, b"\x02\x02\x00\x07"),
    "a default that is written out": sequence(ONE, IMPRINT, b"\x01\x01\x00"),
    "an object identifier of a megabyte": sequence(ONE, IMPRINT, emit(0, 0, 6, b"\xff" * 1_000_000 + b"\x01")),
    "an object identifier that does not end": sequence(ONE, IMPRINT, b"\x06\x02\x2a\x83"),
    "a type that is not in use": sequence(ONE, IMPRINT, b"\x08\x01\x01"),
    "parameters in 300 SEQUENCEs": sequence(ONE, sequence(sequence(oid("1.2.3"), NESTED), octets(bytes(32)))),
    "a certReq that is no BOOLEAN": sequence(ONE, IMPRINT, b"\x01\x01\x01"),
    "fields out of order": sequence(ONE, IMPRINT, TRUE, ONE),
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
