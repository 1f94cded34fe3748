"""VEX in CycloneDX 1.4 to 1.7 documents, read as statements.

``vulnerabilities[].analysis`` says what its author found, ``affects[].ref`` in which product, ``affects[].versions``
for which versions. A version that is listed with a status of its own keeps that status. In a document about a product,
a statement about one of its components is about that component in that product only. ECMA-424.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from packageurl import PackageURL
from pydantic import Field

from chainlab.errors import MalformedInput
from chainlab.evidence.packages.purls import parse_purl
from chainlab.evidence.packages.versions import is_in_vers
from chainlab.evidence.sbom.cyclonedx import entries
from chainlab.evidence.statements import value_at
from chainlab.evidence.vex.statement import (
    JUSTIFICATIONS,
    STATES,
    VexStatement,
    VexStatements,
    read_entries,
    read_statement,
)
from chainlab.shapes import Many, Moment, Shape, Text

__all__ = ["read"]

EXCUSES = ("not_affected", "fixed")
OTHERWISE = {"affected": "affected", "unknown": "under_investigation"}  # a version's own status


class _Analysis(Shape):
    state: str = ""
    justification: str = ""
    detail: str = ""
    firstIssued: Moment | None = None  # noqa: N815 — CycloneDX's own names
    lastUpdated: Moment | None = None  # noqa: N815


class _Version(Shape):
    version: str = ""
    range: str = ""  # a vers
    status: Literal["affected", "unaffected", "unknown"] = "affected"


class _Affects(Shape):
    ref: Text
    versions: Many[_Version] = ()


class _Reference(Shape):
    id: str = ""


class _BomVulnerability(Shape):
    id: str = ""
    references: Many[_Reference] = ()
    analysis: _Analysis | None = None
    affects: Many[_Affects] = ()


class _Hash(Shape):
    alg: str
    content: str


class _BomComponent(Shape):
    ref: str = Field("", alias="bom-ref")
    version: str = ""
    purl: str = ""
    cpe: str = ""
    hashes: Many[_Hash] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every identifier; any of them names the component."""
        digests = (f"sha256:{each.content}" for each in self.hashes if each.alg == "SHA-256")
        return tuple(dict.fromkeys(filter(None, (self.purl, self.cpe, *digests))))

    def names_at(self, listed: _Version) -> tuple[str, ...]:
        """Its package URL at a listed version or range; its other names too when that is its own version."""
        purl = parse_purl(self.purl)
        own, kind = self.version or (purl.version if purl else ""), purl.type if purl else ""
        others = self.names if own and (listed.version == own or is_in_vers(listed.range, kind, own)) else ()
        if purl is None:
            return others
        qualifiers = {**dict(purl.qualifiers or {}), **({"vers": listed.range} if listed.range else {})}
        at_version = PackageURL(kind, purl.namespace, purl.name, listed.version, qualifiers, purl.subpath).to_string()
        return at_version, *(name for name in others if name != self.purl)


class _Metadata(Shape):
    timestamp: Moment | None = None
    component: _BomComponent | None = None  # what the document is about


def read(document: Mapping[str, Any]) -> VexStatements:
    """Read a document, in its order; an entry without an analysis, or without its state, says nothing.

    Raises `MalformedInput` when the metadata or a list has another form.
    """
    metadata = _Metadata.read(document.get("metadata") or {}, at="metadata")
    subject, parts = metadata.component, _parts(document)

    def statements(value: Any, at: str) -> list[VexStatement]:
        entry = _BomVulnerability.read(value, at=at)
        if entry.analysis is None or not entry.analysis.state:
            return []
        if not entry.affects:
            raise MalformedInput(f"{at}.affects: the statement names no product")
        result = []
        for affects in entry.affects:
            product = subject.names if subject and affects.ref in parts and affects.ref != subject.ref else ()
            for names, status in _about(affects, parts, entry.analysis.state, at):
                about: dict[str, Any] = {
                    "products": product or names,
                    "components": names if product else (),
                    "status": status,
                }
                result.append(_statement(entry, entry.analysis, at, metadata.timestamp, **about))
        return result

    return read_entries(document, "vulnerabilities", statements, _ids)


def _about(affects: _Affects, parts: Mapping[str, Any], state: str, at: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """The names that an entry of ``affects`` means, each group with its status."""
    if state not in STATES:
        raise MalformedInput(f"{at}.analysis.state: not a state: {state!r}", hint=f"one of {', '.join(STATES)}")
    part = _BomComponent.read(parts.get(affects.ref, {"purl": affects.ref}), at=f"the component {affects.ref!r}")
    if not part.names:
        raise MalformedInput(f"{at}.affects: {affects.ref!r} has no package URL, CPE or SHA-256 to know it by")
    if not affects.versions:
        yield part.names, STATES[state]
    for listed in affects.versions:
        if bool(listed.version) == bool(listed.range):
            raise MalformedInput(f"{at}.affects: expected either a version or a range")
        status = OTHERWISE.get(listed.status, STATES[state])
        if listed.status == "unaffected" and status not in EXCUSES:
            continue  # the analysis does not say why
        if names := part.names_at(listed):
            yield names, status


def _statement(
    entry: _BomVulnerability, analysis: _Analysis, at: str, written_at: datetime | None, *, status: str, **about: Any
) -> VexStatement:
    state, word = (analysis.state, analysis.justification) if status == STATES[analysis.state] else ("", "")
    if word and word not in JUSTIFICATIONS:
        raise MalformedInput(
            f"{at}.analysis.justification: not a justification: {word!r}", hint=f"one of {', '.join(JUSTIFICATIONS)}"
        )
    justification = JUSTIFICATIONS.get(word, "")
    first = next((cyclonedx for cyclonedx, openvex in JUSTIFICATIONS.items() if openvex == justification), "")
    return read_statement(
        at,
        analysis.lastUpdated or analysis.firstIssued or written_at,
        vulnerability=entry.id,
        aliases=tuple(each.id for each in entry.references if each.id),
        status=status,
        justification=justification,
        impact=analysis.detail if status == "not_affected" else "",
        action=analysis.detail if status != "not_affected" else "",
        finer=(
            state if state in ("resolved_with_pedigree", "false_positive") else "",
            word if word != first else "",
        ),
        **about,
    )


def _parts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Every component by its bom-ref, the subject too; a ref that two components have names neither of them."""
    parts: dict[str, Any] = {}
    for component in entries(document):
        ref = component.get("bom-ref")
        if isinstance(ref, str):
            parts[ref] = {} if ref in parts else component
    return parts


def _ids(entry: Any) -> list[Any]:
    references = value_at(entry, "references")
    return [value_at(each, "id") for each in (entry, *(references if isinstance(references, list) else ()))]
