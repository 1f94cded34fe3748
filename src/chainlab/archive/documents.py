"""Reads an SBOM into rows: its components, who depends on whom, and whether it declares itself complete.

A document is CycloneDX JSON, alone, as an in-toto statement's predicate, or inside a signed bundle (a DSSE envelope
in a Sigstore bundle). Nested components count, and depend on the component that holds them.

    >>> read(b'{"bomFormat": "CycloneDX", "components": [{"name": "NumPy", "purl": "pkg:pypi/numpy@2.1"}]}').components
    [Row(node=1, name='numpy', title='NumPy', version='', purl='pkg:pypi/numpy@2.1', ...)]

CycloneDX 1.4 to 1.7, JSON; DSSE 1.0.2. Signatures are not verified here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.statements import SBOM, Statement, parse_json, payload

__all__ = ["Reading", "Row", "key", "read", "unwrap"]

CLAIMS: Final = ("assemblies", "dependencies")  # what a composition may be about
WORDS: Final = {str: "text", list: "a list", dict: "an object"}
Value = TypeVar("Value", str, list[Any], dict[str, Any])


class Row(NamedTuple):
    """One component; what the document does not state is empty."""

    node: int  # its place in the document; 0 is the subject, metadata.component
    name: str  # the name to search by, see `key`
    title: str  # the name as written, with its group
    version: str
    purl: str
    kind: str  # library, machine-learning-model, …
    sha256: str  # hex digits
    hashes: str  # the others, as "sha-512:…", a space between
    licence: str  # SPDX expression, identifier or name
    supplier: str
    scope: str  # required, optional, excluded


@dataclass
class Reading:
    """The content of one document."""

    signed: bool = False  # it is a bundle; whether the signature holds is not asked here
    form: str = ""  # "CycloneDX 1.6", or the predicate type
    subjects: list[str] = field(default_factory=list)  # digests that the statement is about
    composition: str = ""  # complete | dependencies | incomplete | unsaid
    stated_at: str = ""  # metadata.timestamp
    components: list[Row] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)  # a node, and a node that it depends on; sorted
    dangling: int = 0  # references to nothing in the document

    def nearest(self) -> set[tuple[int, int]]:
        """Return the edges of one shortest way from the subject to each node that it leads to."""
        needs: dict[int, list[int]] = {}
        for parent, child in self.edges:
            needs.setdefault(parent, []).append(child)
        queue, reached, chosen = [0], {0}, set()
        for parent in queue:  # which grows meanwhile
            for child in needs.get(parent, ()):
                if child not in reached:
                    reached.add(child)
                    queue.append(child)
                    chosen.add((parent, child))
        return chosen


def key(name: str, purl: str = "") -> str:
    """Return the name to search by: PEP 503's, unless a purl names another ecosystem than Python's."""
    return name if purl and not purl.startswith("pkg:pypi/") else canonicalize_name(name)


def unwrap(data: bytes) -> tuple[Any, Reading]:
    """Take a document's JSON out of its bundle or statement; the reading has what the wrapping states."""
    document, reading = parse_json(data, "the document"), Reading()
    if not isinstance(document, dict):
        raise MalformedInput("the document is not a JSON object")
    reading.signed = not {"dsseEnvelope", "payload", "messageSignature"}.isdisjoint(document)
    if "dsseEnvelope" in document or "payload" in document:
        data = payload(document)
        document = parse_json(data, "the bundle's payload")
    if isinstance(document, dict) and "predicateType" in document:
        statement = Statement.load(data)
        reading.form, document = statement.predicate_type, statement.predicate
        reading.subjects = [f"{name}:{value}" for _, given in statement.subjects for name, value in given.items()]
    return document, reading


def read(data: bytes) -> Reading:
    """Read components and edges of a CycloneDX document. Raises `MalformedInput` for anything else."""
    document, reading = unwrap(data)
    if reading.form and reading.form != SBOM:
        raise MalformedInput(f"the statement's predicate is {reading.form}, not an SBOM")
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        other = "SPDX" if isinstance(document, dict) and "spdxVersion" in document else "this"
        raise MalformedInput(f"{other} is not CycloneDX JSON", mend="convert it, or build it anew")
    reading.form = f"CycloneDX {_text(document, 'specVersion')}".strip()
    metadata = _value(document, "metadata", dict)
    reading.stated_at = _text(metadata, "timestamp")
    nodes: dict[str, int] = {}  # bom-ref to node
    edges = set()
    subject = _value(metadata, "component", dict)
    waiting = [(-1, component) for component in reversed(_objects(document, "components"))]
    waiting += [(-1, subject)] if subject else []
    node = 0 if subject else 1
    while waiting:
        holder, component = waiting.pop()
        reading.components.append(_row(node, component))
        if isinstance(reference := component.get("bom-ref"), str):
            nodes.setdefault(reference, node)
        if holder >= 0:
            edges.add((holder, node))
        waiting += [(node, part) for part in reversed(_objects(component, "components"))]
        node += 1
    for dependency in _objects(document, "dependencies"):
        parent = nodes.get(_text(dependency, "ref"))
        for reference in _value(dependency, "dependsOn", list):
            child = nodes.get(reference) if isinstance(reference, str) else None
            if parent is None or child is None:
                reading.dangling += 1
            else:
                edges.add((parent, child))
    reading.edges = sorted(edges)
    reading.composition = _composition(document, set(nodes), len(nodes) == len(reading.components))
    return reading


def _row(node: int, component: dict[str, Any]) -> Row:
    name, version = component.get("name"), component.get("version")
    if not isinstance(name, str) or not name or not isinstance(version, str | None):
        raise MalformedInput("a component has no name, or its name or version is not text")
    group, purl = _text(component, "group"), _canonical(_text(component, "purl"))
    title = f"{group}/{name}" if group else name
    digests = [(_text(one, "alg").lower(), _text(one, "content").lower()) for one in _objects(component, "hashes")]
    sha256 = next((value for algorithm, value in digests if algorithm == "sha-256"), "")
    hashes = " ".join(f"{name}:{value}" for name, value in digests if (name, value) != ("sha-256", sha256))
    choices = [(choice, _value(choice, "license", dict)) for choice in _objects(component, "licenses")]
    texts = [_text(choice, "expression") or _text(one, "id") or _text(one, "name") for choice, one in choices]
    stated = [text for text in texts if text]
    licence = " AND ".join(f"({text})" if " OR " in text and len(stated) > 1 else text for text in stated)
    owner = component.get("supplier") or component.get("manufacturer")
    supplier = _text(owner, "name") if isinstance(owner, dict) else ""
    kind, scope = _text(component, "type"), _text(component, "scope")
    return Row(node, key(title, purl), title, version or "", purl, kind, sha256, hashes, licence, supplier, scope)


@lru_cache(maxsize=2**16)
def _canonical(purl: str) -> str:
    try:
        return PackageURL.from_string(purl).to_string()
    except ValueError:
        return purl  # as it is written


def _composition(document: dict[str, Any], refs: set[str], named: bool) -> str:
    # A composition without references speaks of the whole document. One with references speaks of these alone: they "do
    # not cascade" (CycloneDX, compositions). `named`: every component has a reference.
    parts = [(part, _text(part, "aggregate") or "not_specified") for part in _objects(document, "compositions")]
    whole = {aggregate for part, aggregate in parts if part.keys().isdisjoint(CLAIMS)}
    declared = {name: {aggregate for part, aggregate in parts if name in part} for name in CLAIMS}
    vouched = {}
    for name, aggregates in declared.items():
        covered = {text for part, _ in parts for text in _value(part, name, list) if isinstance(text, str)}
        everything = "complete" in whole or (named and refs <= covered)
        vouched[name] = everything and aggregates | whole == {"complete"}
    if vouched["assemblies"] and declared["dependencies"] <= {"complete"}:
        return "complete"
    if vouched["dependencies"]:
        return "dependencies"
    return "incomplete" if whole.union(*declared.values()) - {"complete", "not_specified"} else "unsaid"


def _value(place: dict[str, Any], name: str, kind: type[Value]) -> Value:
    value = place.get(name)
    if value is not None and not isinstance(value, kind):
        raise MalformedInput(f"{name} is not {WORDS[kind]}")
    return kind() if value is None else value


def _text(place: dict[str, Any], name: str) -> str:
    return _value(place, name, str)


def _objects(place: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = _value(place, name, list)
    if not all(isinstance(item, dict) for item in items):
        raise MalformedInput(f"{name} is not a list of objects")
    return items
