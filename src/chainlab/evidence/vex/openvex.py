"""OpenVEX 0.2.0 documents: claims written and read.

    >>> read(write(claims, author="security@acme.example", at=now)) == claims          # doctest: +SKIP
    True

A statement binds each product with its own subcomponents. A product has as many identifiers as its author knows, and
any of them names it. github.com/openvex/spec, OPENVEX-SPEC.md.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.evidence.statements import OPENVEX, value_at
from chainlab.evidence.vex.statement import NAMESPACE, STATES, VexStatement, VexStatements, read_each, read_statement
from chainlab.shapes import Many, Moment, Shape

__all__ = ["read", "write"]

NOTE = re.compile(r"CycloneDX: (\w+)(?:, (\w+))?")
SHA256 = ("sha-256", "sha256")  # as hashes are called by the specification, and by some tools


class _OpenVexComponent(Shape):
    id: str = Field("", alias="@id")
    identifiers: dict[str, str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every identifier. Raises `MalformedInput` for none: the claim would be about more than was said."""
        digests = (f"sha256:{digits}" for kind, digits in self.hashes.items() if kind.lower() in SHA256)
        found = tuple(dict.fromkeys(filter(None, (self.id, *self.identifiers.values(), *digests))))
        if not found:
            raise MalformedInput("a product or component has no name that is compared")
        return found


class _OpenVexProduct(_OpenVexComponent):
    subcomponents: Many[_OpenVexComponent] = ()


class _OpenVexVulnerability(Shape):
    id: str = Field("", alias="@id")
    name: str = ""
    aliases: Many[str] = ()


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value  # as OpenVEX 0.0.x wrote it


class _OpenVexStatement(Shape):
    vulnerability: Annotated[_OpenVexVulnerability, BeforeValidator(_named)]
    status: str
    products: Many[_OpenVexProduct] = ()
    justification: str = ""
    impact_statement: str = ""
    action_statement: str = ""
    status_notes: str = ""
    timestamp: Moment | None = None
    last_updated: Moment | None = None


def write(claims: Iterable[VexStatement], *, author: str, at: datetime, version: int = 1) -> dict[str, Any]:
    """An OpenVEX 0.2.0 document; the same claims give the same bytes. Raise ``version`` with every change."""
    statements = []
    for claim in claims:
        products = list(_written(claim.products))
        for product in products:
            if claim.components:
                product["subcomponents"] = [each for name in claim.components for each in _written([name])]
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


def read(document: Mapping[str, Any]) -> VexStatements:
    """The claims of a document, one for each product of a statement. Raises `MalformedInput` where there is no list."""
    inherited = {name: document[name] for name in ("timestamp", "last_updated") if name in document}
    return read_each(document, "statements", lambda entry, at: _claims(entry, at, inherited), _ids)


def _claims(entry: Any, at: str, inherited: Mapping[str, Any]) -> list[VexStatement]:
    dated = not isinstance(entry, dict) or {"timestamp", "last_updated"} & entry.keys()
    statement = _OpenVexStatement.read(entry if dated else {**inherited, **entry}, at=at)
    if not statement.products:
        raise MalformedInput(f"{at}: the statement names no product")
    note = NOTE.fullmatch(statement.status_notes)
    vulnerability = statement.vulnerability.name or statement.vulnerability.id
    found = []
    for number, product in enumerate(statement.products):
        try:
            products, components = product.names, [name for part in product.subcomponents for name in part.names]
        except MalformedInput as error:
            raise MalformedInput(f"{at}.products[{number}]: {error.message}") from error
        found.append(
            read_statement(
                at,
                statement.last_updated or statement.timestamp,
                vulnerability=vulnerability,
                aliases=statement.vulnerability.aliases,
                products=products,
                components=tuple(dict.fromkeys(components)),
                status=statement.status,
                justification=statement.justification,
                impact=statement.impact_statement,
                action=statement.action_statement,
                finer=_finer(note[1], note[2] or "") if note else ("", ""),
            )
        )
    return found


def _ids(entry: Any) -> list[Any]:
    named = value_at(entry, "vulnerability")
    aliases = value_at(named, "aliases")
    listed = aliases if isinstance(aliases, list) else []
    return [named, value_at(named, "name"), value_at(named, "@id"), *listed]


def _finer(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first in STATES else ("", first)


def _written(names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A product with its names; with more than one package URL, or digest, there are further products."""
    left = list(names)
    while left:
        purl = next((name for name in left if name.startswith("pkg:")), "")
        digest = next((name for name in left if name.startswith("sha256:")), "")
        product: dict[str, Any] = {"@id": left[0]}
        if purl:
            product["identifiers"] = {"purl": purl}
        if digest:
            product["hashes"] = {"sha-256": digest.removeprefix("sha256:")}
        yield product
        left = [name for name in left[1:] if name not in (purl, digest)]
