"""OpenVEX 0.2.0 documents, read and written.

    >>> read(write(statements, author="security@acme.example", at=now)) == statements      # doctest: +SKIP
    True

An entry binds each product to its own subcomponents. A product has as many identifiers as its author knows, and any of
them names it. github.com/openvex/spec, OPENVEX-SPEC.md.
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
from chainlab.evidence.vex.statement import NAMESPACE, STATES, VexStatement, VexStatements, read_entries, read_statement
from chainlab.shapes import Many, Moment, Shape

__all__ = ["read", "write"]

NOTE = re.compile(r"CycloneDX: (\w+)(?:, (\w+))?")
SHA256 = ("sha-256", "sha256")  # the specification's name for it, and the name that some tools use


class _OpenVexComponent(Shape):
    id: str = Field("", alias="@id")
    identifiers: dict[str, str] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every identifier. Raises `MalformedInput` for none: the entry would be about more than its author meant."""
        digests = (f"sha256:{digits}" for kind, digits in self.hashes.items() if kind.lower() in SHA256)
        names = tuple(dict.fromkeys(filter(None, (self.id, *self.identifiers.values(), *digests))))
        if not names:
            raise MalformedInput("a product or component has no identifier that can be compared")
        return names


class _OpenVexProduct(_OpenVexComponent):
    subcomponents: Many[_OpenVexComponent] = ()


class _OpenVexVulnerability(Shape):
    id: str = Field("", alias="@id")
    name: str = ""
    aliases: Many[str] = ()


def _as_object(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value  # as OpenVEX 0.0.x wrote it


class _OpenVexStatement(Shape):
    vulnerability: Annotated[_OpenVexVulnerability, BeforeValidator(_as_object)]
    status: str
    products: Many[_OpenVexProduct] = ()
    justification: str = ""
    impact_statement: str = ""
    action_statement: str = ""
    status_notes: str = ""
    timestamp: Moment | None = None
    last_updated: Moment | None = None


def write(statements: Iterable[VexStatement], *, author: str, at: datetime, version: int = 1) -> dict[str, Any]:
    """Write an OpenVEX 0.2.0 document; the same statements give the same bytes. Raise ``version`` with every change."""
    entries = [_entry(statement) for statement in statements]
    content = json.dumps([author, rfc3339(at), version, entries], sort_keys=True)
    return {
        "@context": OPENVEX,
        "@id": f"https://openvex.dev/docs/chainlab/vex-{uuid.uuid5(NAMESPACE, content)}",
        "author": author,
        "timestamp": rfc3339(at),
        "version": version,
        "statements": entries,
    }


def read(document: Mapping[str, Any]) -> VexStatements:
    """Read a document, one statement for each product of an entry. Raises `MalformedInput` when it has no list."""
    inherited = {name: document[name] for name in ("timestamp", "last_updated") if name in document}
    return read_entries(document, "statements", lambda entry, at: _statements(entry, at, inherited), _ids)


def _entry(statement: VexStatement) -> dict[str, Any]:
    products = list(_products(statement.products))
    for product in products:
        if statement.components:
            product["subcomponents"] = [each for name in statement.components for each in _products([name])]
    vulnerability: dict[str, Any] = {"name": statement.vulnerability}
    if statement.aliases:
        vulnerability["aliases"] = list(statement.aliases)
    entry = {
        "vulnerability": vulnerability,
        "timestamp": rfc3339(statement.at),
        "products": products,
        "status": statement.status,
        "justification": statement.justification,
        "impact_statement": statement.impact,
        "action_statement": statement.action,
        "status_notes": "CycloneDX: " + ", ".join(filter(None, statement.finer)) if any(statement.finer) else "",
    }
    if statement.status == "affected" and not statement.action:
        entry["action_statement"] = "no action is decided yet"  # OpenVEX demands one
    return {name: value for name, value in entry.items() if value}


def _statements(entry: Any, at: str, inherited: Mapping[str, Any]) -> list[VexStatement]:
    dated = not isinstance(entry, dict) or {"timestamp", "last_updated"} & entry.keys()
    read_entry = _OpenVexStatement.read(entry if dated else {**inherited, **entry}, at=at)
    if not read_entry.products:
        raise MalformedInput(f"{at}: the statement names no product")
    note = NOTE.fullmatch(read_entry.status_notes)
    vulnerability = read_entry.vulnerability.name or read_entry.vulnerability.id
    statements = []
    for number, product in enumerate(read_entry.products):
        try:
            products, components = product.names, [name for part in product.subcomponents for name in part.names]
        except MalformedInput as error:
            raise MalformedInput(f"{at}.products[{number}]: {error.message}") from error
        statements.append(
            read_statement(
                at,
                read_entry.last_updated or read_entry.timestamp,
                vulnerability=vulnerability,
                aliases=read_entry.vulnerability.aliases,
                products=products,
                components=tuple(dict.fromkeys(components)),
                status=read_entry.status,
                justification=read_entry.justification,
                impact=read_entry.impact_statement,
                action=read_entry.action_statement,
                finer=_finer(note[1], note[2] or "") if note else ("", ""),
            )
        )
    return statements


def _ids(entry: Any) -> list[Any]:
    vulnerability = value_at(entry, "vulnerability")
    aliases = value_at(vulnerability, "aliases")
    listed = aliases if isinstance(aliases, list) else []
    return [vulnerability, value_at(vulnerability, "name"), value_at(vulnerability, "@id"), *listed]


def _finer(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first in STATES else ("", first)


def _products(names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One product with its names; further products for a second package URL or digest."""
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
