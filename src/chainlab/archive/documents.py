"""An SBOM as rows: its components, who depends on whom, and whether it declares itself complete.

A document is CycloneDX JSON, alone, as an in-toto statement's predicate, or inside a signed bundle (a DSSE envelope
in a Sigstore bundle). Nested components count, and depend on the component that holds them.

    >>> read(b'{"bomFormat": "CycloneDX", "components": [{"name": "NumPy", "purl": "pkg:pypi/numpy@2.1"}]}').rows()
    [(1, 'numpy', 'NumPy', '', 'pkg:pypi/numpy@2.1', 'library', '', '', '', '', '')]

CycloneDX 1.4 to 1.7, JSON; DSSE 1.0.2. Signatures are not verified here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import Component
from chainlab.evidence.sbom import cyclonedx
from chainlab.evidence.sbom.cyclonedx import Bill
from chainlab.evidence.statements import SBOM, Statement, parse_json, payload

__all__ = ["SbomRows", "layer_digests", "read", "search_key", "shortest_paths", "unwrap"]

EMPTY: Final = Bill(None, (), composition="")


@dataclass(frozen=True)
class SbomRows:
    """The content of one document, and its components as rows of the index."""

    signed: bool = False  # it is a bundle; the signature is not verified here
    form: str = ""  # "CycloneDX 1.6", or the predicate type
    subjects: tuple[str, ...] = ()  # digests that the statement is about
    document: Any = None  # the JSON inside
    bill: Bill = EMPTY

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the components as rows, the subject first; a value that the document does not state is empty."""
        listed = [(0, self.bill.subject)] if self.bill.subject else []
        return [_row(node, component) for node, component in [*listed, *enumerate(self.bill.components, 1)]]


def shortest_paths(edges: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the edges of one shortest path from the subject to each node that it reaches."""
    needs: dict[int, list[int]] = {}
    for parent, child in edges:
        needs.setdefault(parent, []).append(child)
    queue, reached, chosen = [0], {0}, set()
    for parent in queue:  # the queue grows meanwhile
        for child in needs.get(parent, ()):
            if child not in reached:
                reached.add(child)
                queue.append(child)
                chosen.add((parent, child))
    return chosen


def search_key(name: str, purl: str = "") -> str:
    """Return the name to search by: as PEP 503 writes it, unless a purl names another ecosystem than Python's."""
    return name if purl and not purl.startswith("pkg:pypi/") else canonicalize_name(name)


def unwrap(data: bytes) -> SbomRows:
    """Take a document's JSON out of its bundle or statement. Raises `MalformedInput`."""
    document = parse_json(data, "the document")
    if not isinstance(document, dict):
        raise MalformedInput("the document is not a JSON object")
    signed = not {"dsseEnvelope", "payload", "messageSignature"}.isdisjoint(document)
    if "dsseEnvelope" in document or "payload" in document:
        data = payload(document)
        document = parse_json(data, "the bundle's payload")
    if not isinstance(document, dict) or "predicateType" not in document:
        return SbomRows(signed, document=document)
    statement = Statement.load(data)
    subjects = tuple(f"{name}:{value}" for _, digests in statement.subjects for name, value in digests.items())
    return SbomRows(signed, statement.predicate_type, subjects, statement.predicate)


def layer_digests(data: bytes) -> tuple[str, ...]:
    """Return the digests of the files that an OCI manifest holds. Raises `MalformedInput`."""
    manifest = parse_json(data, "the manifest")
    listed = manifest.get("layers") if isinstance(manifest, dict) else None
    return tuple(str(layer.get("digest")) for layer in listed or () if isinstance(layer, dict))


def read(data: bytes) -> SbomRows:
    """Read components and edges of a CycloneDX document. Raises `MalformedInput` when any part cannot be read."""
    rows = unwrap(data)
    if rows.form and rows.form != SBOM:
        raise MalformedInput(f"the statement's predicate is {rows.form}, not an SBOM")
    bill = cyclonedx.read(rows.document, strict=True)
    return replace(rows, form=f"CycloneDX {bill.version}".strip(), bill=bill)


def _row(node: int, component: Component) -> tuple[Any, ...]:
    title, purl = (
        f"{component.group}/{component.name}" if component.group else component.name,
        _canonical(component.purl),
    )
    hashes = " ".join(f"{name.lower()}:{value}" for name, value in component.hashes.items() if name != "SHA-256")
    licence, sha256 = (
        cyclonedx.join_licences([component.licence or "", component.licence_name]),
        component.hashes.get("SHA-256", ""),
    )
    name = search_key(title, purl)
    return (
        node,
        name,
        title,
        component.version,
        purl,
        component.type,
        sha256,
        hashes,
        licence,
        component.supplier,
        component.scope,
    )


@lru_cache(maxsize=2**16)
def _canonical(purl: str) -> str:
    try:
        return PackageURL.from_string(purl).to_string()
    except ValueError:
        return purl  # as it is written
