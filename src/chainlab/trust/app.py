"""The instance over HTTP: the endpoints of Fulcio, Rekor v1 and v2, a TSA and an OIDC issuer.

A refusal has the status and the JSON shape of the real service, and states the reason.
"""

from __future__ import annotations

import re
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from chainlab.errors import ChainlabError, MalformedInput, Refused
from chainlab.file_response import StoredFile
from chainlab.trust import keys, log_v1, wire
from chainlab.trust.instance import Instance
from chainlab.trust.issuer import ISSUER
from chainlab.trust.page import refusal_page, wants_page
from chainlab.trust.signin import SignIn
from chainlab.trust.timestamp import TimestampQuery

__all__ = ["refusal", "routes"]

GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 8, 503: 14}  # google.rpc.Code
OAUTH_ERRORS = ("invalid_grant", "unsupported_grant_type")  # RFC 6749 §5.2
MAX_ENTRIES = 1000  # CT entries in one answer
MAX_RETRIEVED = 10  # entries of log v1 in one answer (Rekor's OpenAPI, SearchLogQuery)
TUF_NAME = re.compile(r"(targets/)?[a-z0-9][a-z0-9._]{0,199}")  # no other folder, no half-written file


def refusal(request: Request, error: ChainlabError) -> Response:
    """Return the answer to a refused request: a page for a person, else JSON in the shape of the requested service."""
    status, path = error.status, request.url.path
    if wants_page(request) and not path.startswith(("/api/", "/ct/")):
        return refusal_page(error, signing_in=path.startswith("/oidc/"))
    content: dict[str, Any]
    if path.startswith("/oidc/"):  # RFC 6749 §5.2
        name = error.message if error.message in OAUTH_ERRORS else "invalid_request"
        content = {"error": name, "error_description": error.message}
    elif path.startswith(("/api/v1/", "/ct/")):
        content = {"code": status, "message": error.message}
    else:
        content = {"code": GRPC_CODES.get(status, 2), "message": error.message, "details": []}
    headers = {"Location": error.see} if status == 409 and error.see else None
    return JSONResponse(content, status, headers)


def routes(instance: Instance) -> list[BaseRoute]:
    """Return the instance's endpoints."""
    return [*_authority(instance), *_logs(instance), *_monitors(instance), *_issuer(instance)]


def _authority(instance: Instance) -> list[BaseRoute]:
    async def signing_certificate(request: Request) -> Response:
        document = wire.json_object(await wire.body(request.stream()))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = wire.string(wire.member(document, "credentials"), "oidcIdentityToken")
        identity = instance.issuer.check(token.strip())
        if "certificateSigningRequest" in document:
            key = _key_of_request(wire.base64_bytes(document, "certificateSigningRequest"))
        else:
            key_request = wire.member(document, "publicKeyRequest")
            key = wire.public_key(wire.string(wire.member(key_request, "publicKey"), "content").encode())
            proof = wire.base64_bytes(key_request, "proofOfPossession")
            owner = identity.san if identity.is_email else identity.subject
            try:
                wire.verify_signature(key, proof, owner.encode())
            except MalformedInput as error:
                raise Refused(400, "The signature supplied in the request could not be verified") from error
        certificates = instance.certificate(identity, key, token=token.strip(), address=_address(request))
        return JSONResponse({"signedCertificateEmbeddedSct": {"chain": {"certificates": certificates}}})

    async def trust_bundle(_: Request) -> Response:
        return JSONResponse({"chains": [{"certificates": instance.ca_chain}]})

    async def timestamp(request: Request) -> Response:
        data = await wire.body(request.stream())
        as_json = "json" in request.headers.get("content-type", "")
        query = TimestampQuery.from_json(wire.json_object(data)) if as_json else TimestampQuery.from_der(data)
        return Response(instance.timestamp(query), 201, media_type="application/timestamp-reply")

    return [
        Route("/api/v2/signingCert", signing_certificate, methods=["POST"]),
        Route("/api/v2/trustBundle", trust_bundle),
        Route("/api/v1/timestamp", timestamp, methods=["POST"]),
    ]


def _logs(instance: Instance) -> list[BaseRoute]:
    async def add_v2(request: Request) -> Response:
        return JSONResponse(instance.log_entry_v2(wire.json_object(await wire.body(request.stream()))), 201)

    async def checkpoint_v2(_: Request) -> Response:
        return PlainTextResponse(instance.checkpoint_v2())

    async def tile_v2(request: Request) -> Response:
        tile = instance.log_v2.tile(request.path_params["tile"])
        return Response(tile, media_type="application/octet-stream")

    async def add_v1(request: Request) -> Response:
        return JSONResponse(instance.log_entry_v1(wire.json_object(await wire.body(request.stream()))), 201)

    async def describe_v1(_: Request) -> Response:
        return JSONResponse(log_v1.description(instance.log_v1, instance.note_v1))

    async def entry_v1(request: Request) -> Response:
        if name := request.path_params.get("uuid"):
            index = log_v1.index_of(instance.log_v1, name)
            if index is None:
                raise Refused(404, "the log has no such entry")
        else:
            index = _number(request, "logIndex")
        return JSONResponse(instance.entry_v1(index))

    async def entries_v1(request: Request) -> Response:
        wanted = wire.json_object(await wire.body(request.stream())).get("logIndexes")
        if not isinstance(wanted, list) or not 0 < len(wanted) <= MAX_RETRIEVED:
            raise MalformedInput(f"expected 1 to {MAX_RETRIEVED} numbers in 'logIndexes'")
        if not all(type(index) is int and index >= 0 for index in wanted):
            raise MalformedInput("expected whole numbers in 'logIndexes'")
        return JSONResponse([instance.entry_v1(index) for index in wanted])

    async def proof_v1(request: Request) -> Response:
        first, last = _number(request, "firstSize", 1), _number(request, "lastSize")
        if request.query_params.get("treeID", str(log_v1.TREE_ID)) != str(log_v1.TREE_ID):
            raise Refused(404, "the log has no such tree")
        tree = instance.log_v1.tree
        hashes = [hash.hex() for hash in tree.consistency(first, last)]
        return JSONResponse({"rootHash": tree.root(last).hex(), "hashes": hashes})

    async def public_key_v1(_: Request) -> Response:
        pem = keys.pem(instance.keys.log_v1_key.public_key())
        return Response(pem, media_type="application/x-pem-file")

    return [
        Route("/api/v2/log/entries", add_v2, methods=["POST"]),
        Route("/api/v2/checkpoint", checkpoint_v2),
        Route("/api/v2/tile/{tile:path}", tile_v2),
        Route("/api/v1/log/entries", add_v1, methods=["POST"]),
        Route("/api/v1/log", describe_v1),
        Route("/api/v1/log/entries", entry_v1),
        Route("/api/v1/log/entries/retrieve", entries_v1, methods=["POST"]),
        Route("/api/v1/log/entries/{uuid}", entry_v1),
        Route("/api/v1/log/proof", proof_v1),
        Route("/api/v1/log/publicKey", public_key_v1),
    ]


def _monitors(instance: Instance) -> list[BaseRoute]:
    """Return the endpoints for monitors: reading the CT log (RFC 6962 §4), and the TUF repository."""
    log = instance.ct_log

    async def sth(_: Request) -> Response:
        return JSONResponse(instance.signed_tree_head())

    async def entries(request: Request) -> Response:
        start, end = _number(request, "start"), _number(request, "end")
        logged = log.entries(start, min(end + 1, start + MAX_ENTRIES))
        if not logged:
            raise Refused(400, f"no entries from {start} to {end}: the log has {len(log.tree)}")
        leaves = [{"leaf_input": wire.base64_text(entry.body), "extra_data": ""} for entry in logged]
        return JSONResponse({"entries": leaves})

    async def consistency(request: Request) -> Response:
        proof = log.tree.consistency(_number(request, "first"), _number(request, "second"))
        return JSONResponse({"consistency": [wire.base64_text(hash) for hash in proof]})

    async def proof_by_hash(request: Request) -> Response:
        hash = wire.base64_bytes(dict(request.query_params), "hash")
        index = log.find(hash)
        if index is None:
            raise Refused(404, "the log has no such leaf")
        path = log.tree.inclusion(index, _number(request, "tree_size"))
        return JSONResponse({"leaf_index": index, "audit_path": [wire.base64_text(hash) for hash in path]})

    async def tuf(request: Request) -> Response:
        name = request.path_params["name"]
        path = instance.directory / "tuf" / name
        if not TUF_NAME.fullmatch(name) or not path.is_file():
            raise Refused(404, "the repository has no such file")
        return StoredFile(path, media_type="application/octet-stream")

    return [
        Route("/ct/v1/get-sth", sth),
        Route("/ct/v1/get-entries", entries),
        Route("/ct/v1/get-sth-consistency", consistency),
        Route("/ct/v1/get-proof-by-hash", proof_by_hash),
        Route("/tuf/{name:path}", tuf),
    ]


def _issuer(instance: Instance) -> list[BaseRoute]:
    async def discovery(request: Request) -> Response:
        here = f"{request.base_url}oidc"
        return JSONResponse(
            {
                "issuer": ISSUER,  # the logical name in `iss`, whatever address we listen on
                "authorization_endpoint": f"{here}/authorize",
                "token_endpoint": f"{here}/token",
                "jwks_uri": f"{here}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "email"],
            }
        )

    async def jwks(_: Request) -> Response:
        return JSONResponse(instance.issuer.jwks())

    async def ci_token(request: Request) -> Response:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not bearer:
            raise Refused(401, "expected a job's bearer in the Authorization header")
        return JSONResponse(
            {"value": instance.job_token(bearer, request.query_params.get("audience", ""), address=_address(request))}
        )

    sign_in = SignIn(instance.issuer)
    return [
        Route("/oidc/.well-known/openid-configuration", discovery),
        Route("/oidc/jwks", jwks),
        Route("/oidc/authorize", sign_in.page),
        Route("/oidc/authorize", sign_in.consent, methods=["POST"]),
        Route("/oidc/token", sign_in.token, methods=["POST"]),
        Route("/ci/token", ci_token),
    ]


def _key_of_request(csr: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of a CSR. Raises `Refused` when its signature does not verify."""
    try:
        request = x509.load_pem_x509_csr(csr)
        valid, key = request.is_signature_valid, request.public_key()
    except wire.UNREADABLE as error:
        raise MalformedInput(f"The certificate signing request could not be parsed: {error}") from error
    if not valid:
        raise Refused(400, "The signature supplied in the request could not be verified")
    return wire.p256(key)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _number(request: Request, name: str, default: int | None = None) -> int:
    text = request.query_params.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise MalformedInput(f"expected a whole number in {name!r}")
    return int(text)
