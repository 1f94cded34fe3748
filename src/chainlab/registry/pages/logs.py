"""The pages of the transparency logs: the newest entries, and one entry with what was signed and by whom.

Entries are read from the instance's state and not verified; the links lead to the responses that a verifier uses.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chainlab.characters import visible
from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry import bundle_summary
from chainlab.registry.registry import Registry
from chainlab.registry.rendering import address, describe, render
from chainlab.trust.merkle import leaf_hash

__all__ = ["LOGGED", "log_routes"]

LOGGED = "dev.chainlab.logentry.created"  # the event of an entry; its subject is the signed digest
VERSIONS = {"v1": 1, "v2": 2}
MAX_ROWS = 200


def log_routes(registry: Registry) -> list[BaseRoute]:
    """Return the routes of the list of entries and of each entry."""

    async def newest(_: Request) -> Response:
        return await render("log.html", _newest, registry)

    async def entry(request: Request) -> Response:
        return await render("entry.html", _entry, registry, request.path_params["log"], request.path_params["index"])

    return [
        Route("/artifacts/log", newest),
        Route("/artifacts/log/{log}/{index}", entry),
    ]


def _newest(registry: Registry) -> dict[str, Any]:
    rows = []
    for event in registry.events.read(LOGGED):
        log, index = event.data["log"], event.data["logIndex"]
        signed = describe(Digest.parse(event.subject))
        rows.append({"log": log, "index": index, "time": event.time, **signed})
    return {"count": len(rows), "entries": rows[-MAX_ROWS:][::-1]}


def _entry(registry: Registry, log: str, index: str) -> dict[str, Any]:
    if log not in VERSIONS or not (index.isascii() and index.isdigit() and len(index) <= 15):
        raise Refused(404, f"the log has no entry {index[:80]!r}", hint="choose one from the list of log entries")
    entry = registry.log_entry(log, int(index))
    document = json.loads(entry.body)
    text = visible(json.dumps(document, indent=2), lines=True)
    return {
        "log": log,
        "index": entry.index,
        "time": float(entry.time),
        "kind": f"{document['kind']} {document['apiVersion']}",
        "size": len(entry.body),
        "leaf": leaf_hash(entry.body).hex(),
        "body": Markup(escape(text)),  # noqa: S704
        "served": address(bundle_summary.entry_path(VERSIONS[log], entry.index)),
        "checkpoint": "/api/v1/log" if log == "v1" else "/api/v2/checkpoint",
        **_signed(document["kind"], document["spec"]),
    }


def _signed(kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Read the signed digest and the signer from an entry's body, which the log wrote."""
    if kind == "dsse":
        digits, signer = spec["payloadHash"]["value"], _from_pem(spec["signatures"][0]["verifier"])
    elif "hashedRekordV002" in spec:
        record = spec["hashedRekordV002"]
        digits = base64.b64decode(record["data"]["digest"]).hex()
        signer = record["signature"]["verifier"].get("x509Certificate", {}).get("rawBytes", "")
    else:
        digits, signer = spec["data"]["hash"]["value"], _from_pem(spec["signature"]["publicKey"]["content"])
    return {"signed": describe(Digest.parse(f"sha256:{digits}")), "signer": bundle_summary.identity(signer)}


def _from_pem(encoded: str) -> str:
    """Convert a PEM in base64 to a DER in base64; a bare key names nobody."""
    lines = base64.b64decode(encoded).decode().strip().splitlines()
    return "".join(lines[1:-1])
