"""OpenVEX 0.2.0 documents: claims written and read.

    >>> read(write(claims, author="security@acme.example", at=now)) == claims          # doctest: +SKIP
    True

github.com/openvex/spec, OPENVEX-SPEC.md.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.evidence.claims import (
    NAMESPACE,
    STATES,
    Claim,
    read_claim,
    read_list,
    read_moment,
    read_object,
    read_objects,
    read_text,
)
from chainlab.evidence.statements import OPENVEX

__all__ = ["read", "write"]

NOTE = re.compile(r"CycloneDX: (\w+)(?:, (\w+))?")


def write(claims: Iterable[Claim], *, author: str, at: datetime, version: int = 1) -> dict[str, Any]:
    """An OpenVEX 0.2.0 document; the same claims give the same bytes. Raise ``version`` with every change."""
    statements = []
    for claim in claims:
        products: list[dict[str, Any]] = [_product(product) for product in claim.products]
        for product in products:
            if claim.components:
                product["subcomponents"] = [_product(each) for each in claim.components]
        named: dict[str, Any] = {"name": claim.vulnerability}
        if claim.aliases:
            named["aliases"] = list(claim.aliases)
        written = {
            "vulnerability": named,
            "timestamp": rfc3339(claim.at),
            "products": products,
            "status": claim.status,
            "justification": claim.justification,
            "impact_statement": claim.impact,
            "action_statement": claim.action,
            "status_notes": "CycloneDX: " + ", ".join(filter(None, claim.finer)) if any(claim.finer) else "",
        }
        if claim.status == "affected" and not claim.action:
            written["action_statement"] = "no action is decided yet"  # OpenVEX demands one
        statements.append({name: value for name, value in written.items() if value})
    content = json.dumps([author, rfc3339(at), version, statements], sort_keys=True)
    return {
        "@context": OPENVEX,
        "@id": f"https://openvex.dev/docs/chainlab/vex-{uuid.uuid5(NAMESPACE, content)}",
        "author": author,
        "timestamp": rfc3339(at),
        "version": version,
        "statements": statements,
    }


def read(document: Mapping[str, Any]) -> list[Claim]:
    """The claims of a document, in its order. Raises `MalformedInput`, naming the statement."""
    found = []
    for number, statement in enumerate(read_list(document, "statements", "the document")):
        at = f"statements[{number}]"
        named = read_object(statement, at).get("vulnerability")
        if isinstance(named, str):  # as OpenVEX 0.0.x wrote it
            named = {"name": named}
        named = read_object(named, f"{at}.vulnerability")
        products: list[str] = []
        components: list[str] = []
        for product in read_objects(statement, "products", at):
            products.append(_name(product, "digest", at))
            components += [_name(p, "purl", at) for p in read_objects(product, "subcomponents", at)]
        when = statement.get("last_updated") or statement.get("timestamp")
        when = when or document.get("last_updated") or document.get("timestamp")
        note = NOTE.fullmatch(read_text(statement, "status_notes", at))
        found.append(
            read_claim(
                at,
                vulnerability=read_text(named, "name", at) or read_text(named, "@id", at),
                aliases=tuple(str(alias) for alias in read_list(named, "aliases", at)),
                products=tuple(dict.fromkeys(products)),
                components=tuple(dict.fromkeys(components)),
                status=read_text(statement, "status", at),
                justification=read_text(statement, "justification", at),
                impact=read_text(statement, "impact_statement", at),
                action=read_text(statement, "action_statement", at),
                at=read_moment(when, at),
                finer=_finer(note[1], note[2] or "") if note else ("", ""),
            )
        )
    return found


def _finer(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first in STATES else ("", first)


def _product(name: str) -> dict[str, Any]:
    if name.startswith("sha256:"):
        return {"@id": name, "hashes": {"sha-256": name.removeprefix("sha256:")}}
    if name.startswith("pkg:"):
        return {"@id": name, "identifiers": {"purl": name}}
    return {"@id": name}


def _name(product: Mapping[str, Any], first: str, at: str) -> str:
    """What a product is called, by the first kind of name (``digest`` or ``purl``) where it has both.

    Raises `MalformedInput` for one that is called nothing: left out, it would leave the claim about more than was said.
    """
    identifiers, hashes = (read_object(product.get(name, {}), f"{at}.{name}") for name in ("identifiers", "hashes"))
    digits = read_text(hashes, "sha-256", at)
    names = {"purl": read_text(identifiers, "purl", at), "digest": f"sha256:{digits}" if digits else ""}
    found = names[first] or names["purl"] or names["digest"] or read_text(product, "@id", at)
    if not found:
        raise MalformedInput(f"{at}: a product or component has no name")
    return found
