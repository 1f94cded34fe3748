"""Requests of clients, built by hand so that a test can change any part of them."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from chainlab.trust.authority import certify, precertify
from chainlab.trust.instance import Instance
from chainlab.trust.issuer import ISSUER, Identity
from chainlab.trust.keys import CertificateAuthority, pem
from chainlab.trust.log_v1 import pae

ALICE = "alice@example.com"
CLAIMS = {  # a job's, with GitHub's names
    "sub": "repo:acme/triage-model:ref:refs/heads/main",
    "repository": "acme/triage-model",
    "repository_id": "904",
    "repository_owner": "acme",
    "repository_owner_id": "9",
    "repository_visibility": "public",
    "ref": "refs/heads/main",
    "sha": "0123456789abcdef0123456789abcdef01234567",
    "workflow": "release",
    "workflow_ref": "acme/triage-model/.github/workflows/release.yml@refs/heads/main",
    "workflow_sha": "0123456789abcdef0123456789abcdef01234567",
    "job_workflow_ref": "acme/triage-model/.github/workflows/release.yml@refs/heads/main",
    "job_workflow_sha": "0123456789abcdef0123456789abcdef01234567",
    "event_name": "push",
    "run_id": "12",
    "run_attempt": "1",
    "runner_environment": "self-hosted",
}
JOB = f"https://git.chainlab.localhost/{CLAIMS['job_workflow_ref']}"  # the SAN it is certified as
PAYLOAD_TYPE = "application/vnd.in-toto+json"
Run = Callable[..., subprocess.CompletedProcess[str]]  # the fixture `run`


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def csr(key: Any) -> bytes:
    """A certificate signing request, PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def with_csr(request: bytes) -> dict[str, Any]:
    """A request for a certificate as sigstore-python sends it."""
    return {"certificateSigningRequest": b64(request)}


def with_proof(token: str, key: Any, public: bytes, owner: bytes) -> dict[str, Any]:
    """A request for a certificate as sigstore-js sends it; the proof of possession signs `owner`."""
    return {
        "credentials": {"oidcIdentityToken": token},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "ECDSA", "content": public.decode()},
            "proofOfPossession": b64(key.sign(owner, ec.ECDSA(hashes.SHA256()))),
        },
    }


def public_pem(key: Any) -> bytes:
    data: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


@dataclass(frozen=True)
class Signer:
    """A key and the certificate for it."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[str, ...]  # PEM, leaf first

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.chain[0].encode())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def entry_v2(self, artifact: bytes) -> dict[str, Any]:
        return {
            "hashedRekordRequestV002": {
                "digest": b64(hashlib.sha256(artifact).digest()),
                "signature": {
                    "content": b64(self.sign(artifact)),
                    "verifier": {
                        "x509Certificate": {"rawBytes": b64(self.der)},
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    },
                },
            }
        }

    def hashedrekord_v1(self, artifact: bytes) -> dict[str, Any]:
        return {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(artifact).hexdigest()}},
                "signature": {
                    "content": b64(self.sign(artifact)),
                    "publicKey": {"content": b64(self.chain[0].encode())},
                },
            },
        }

    def dsse_v1(self, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> dict[str, Any]:
        signature = {"sig": b64(self.sign(pae(payload_type, payload)))}
        envelope = {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [signature],
        }
        return {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "proposedContent": {
                    "envelope": json.dumps(envelope),
                    "verifiers": [b64(self.chain[0].encode())],
                }
            },
        }


def enrol(http: httpx.Client, token: str) -> Signer:
    """Get a certificate for a fresh key."""
    key = ec.generate_private_key(ec.SECP256R1())
    answer = http.post(
        "/api/v2/signingCert",
        json=with_csr(csr(key)),
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 200, answer.text
    chain = answer.json()["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    return Signer(key, tuple(chain))


def sizes(instance: Instance) -> dict[str, int]:
    """The number of entries in each log of an instance, and of its events."""
    logs = {log.name: len(log.tree) for log in (instance.ct_log, instance.log_v1, instance.log_v2)}
    return logs | {"events": instance.events.verify()[0]}


def timestamp_query(data: bytes) -> bytes:
    """A TimeStampReq over ``data``, as sigstore-python sends it."""
    builder = TimestampRequestBuilder(data=data, cert_req=True)
    return bytes(builder.hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True).build().as_bytes())


def bundle(http: httpx.Client, signer: Signer, artifact: bytes, version: int) -> str:
    """Sign, timestamp and log by hand: a bundle, as JSON."""
    signature = signer.sign(artifact)
    if version == 2:
        request = signer.entry_v2(artifact)
        request["hashedRekordRequestV002"]["signature"]["content"] = b64(signature)
    else:
        request = signer.hashedrekord_v1(artifact)
        request["spec"]["signature"]["content"] = b64(signature)
    answer = http.post(f"/api/v{version}/log/entries", json=request)
    assert answer.status_code == 201, answer.text
    stamp = http.post("/api/v1/timestamp", content=timestamp_query(signature))
    assert stamp.status_code == 201, stamp.text
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": b64(signer.der)},
            "tlogEntries": [answer.json() if version == 2 else _entry_v1(answer.json())],
            "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": b64(stamp.content)}]},
        },
        "messageSignature": {
            "messageDigest": {
                "algorithm": "SHA2_256",
                "digest": b64(hashlib.sha256(artifact).digest()),
            },
            "signature": b64(signature),
        },
    }
    return json.dumps(document)


def _entry_v1(answer: dict[str, Any]) -> dict[str, Any]:
    """Rekor v1's answer as a bundle holds it."""
    (entry,) = answer.values()
    proof = entry["verification"]["inclusionProof"]
    return {
        "logIndex": str(entry["logIndex"]),
        "logId": {"keyId": b64(bytes.fromhex(entry["logID"]))},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
        "integratedTime": str(entry["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": entry["verification"]["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": str(proof["logIndex"]),
            "rootHash": b64(bytes.fromhex(proof["rootHash"])),
            "treeSize": str(proof["treeSize"]),
            "hashes": [b64(bytes.fromhex(hash)) for hash in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": entry["body"],
    }


def forge(authority: CertificateAuthority, ct_key: ec.EllipticCurvePrivateKey, start: datetime) -> Signer:
    """A certificate for alice, made with a CA key that somebody kept; its SCT is genuine."""
    key = ec.generate_private_key(ec.SECP256R1())
    identity = Identity(ISSUER, ALICE, ALICE, is_email=True)
    precertificate = precertify(authority, identity, key.public_key(), start)
    return Signer(key, (pem(certify(precertificate, ct_key)),))
