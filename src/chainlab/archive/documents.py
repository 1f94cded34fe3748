"""What the archive reads out of a document: components, who depends on whom, and what it does not say.

A document is CycloneDX JSON, alone, as an in-toto statement's predicate, or inside a signed bundle (a DSSE envelope
in a Sigstore bundle). Nested components count, and hang on the component that holds them.

    >>> read(b'{"bomFormat": "CycloneDX", "components": [{"name": "NumPy", "purl": "pkg:pypi/numpy@2.1"}]}').components
    [Row(name='numpy', title='NumPy', version='', purl='pkg:pypi/numpy@2.1', ...)]

CycloneDX 1.4 to 1.7, JSON; DSSE 1.0.2. Signatures are not verified here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.statements import SBOM, Statement, parse_json, payload

__all__ = ["Memo", "Reading", "Row", "address", "key", "read", "unwrap"]


MEMO: Final = 50_000  # components: 60 MB or so


class Row(NamedTuple):
    """One component; what the document does not state is empty."""

    name: str  # the name to search by, see `key`
    title: str  # the name as written, with its group
    version: str
    purl: str
    kind: str  # library, machine-learning-model, …
    sha256: str  # hex digits
    hashes: str  # the other ones, as "sha-512:…", a space between
    licence: str  # SPDX expression, identifier or name
    supplier: str
    scope: str  # required, optional, excluded


@dataclass
class Reading:
    """What one document says. A component's node is its place in the list, counted from ``first``."""

    signed: bool = False  # it is a bundle; whether the signature holds is not asked here
    form: str = ""  # "CycloneDX 1.6", or the predicate type
    subjects: tuple[str, ...] = ()  # digests that the statement is about
    composition: str = ""  # complete | dependencies | incomplete | unsaid
    stated_at: str = ""  # metadata.timestamp
    root: int = -1  # node of the subject, metadata.component: 0, or -1 when the document names none
    components: list[Row] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)  # who needs, who is needed
    dangling: int = 0  # references to nothing in the document

    @property
    def first(self) -> int:
        """The node of the first component."""
        return 0 if self.root == 0 else 1


def key(name: str, purl: str = "") -> str:
    """The name that the archive searches by: PEP 503's for Python packages and where no purl tells the ecosystem."""
    if purl and not purl.startswith("pkg:pypi/"):
        return name
    return canonicalize_name(name)


def address(purl: str) -> str:
    """A package URL in its one canonical form; as it is when it cannot be read."""
    if not purl:
        return ""
    try:
        return PackageURL.from_string(purl).to_string()
    except ValueError:
        return purl


def unwrap(data: bytes) -> tuple[Any, Reading]:
    """The JSON that a document is about, out of its bundle or statement; and what the wrapping said."""
    document, reading = parse_json(data, "the document"), Reading()
    if not isinstance(document, dict):
        raise MalformedInput("the document is JSON, but no object")
    if "dsseEnvelope" in document or "payload" in document:
        reading.signed = True
        data = payload(document)
        document = parse_json(data, "the bundle's payload")
    elif "messageSignature" in document:
        reading.signed = True
    if isinstance(document, dict) and "predicateType" in document:
        statement = Statement.load(data)
        reading.form = statement.predicate_type
        reading.subjects = tuple(
            f"{name}:{value}" for _, digests in statement.subjects for name, value in digests.items()
        )
        document = statement.predicate
    return document, reading


Memo = dict[tuple[Any, Any], tuple[dict[str, Any], Row]]


def read(data: bytes, memo: Memo | None = None) -> Reading:
    """Components and edges of a CycloneDX document.

    ``memo`` remembers components from one document to the next: many builds hold the same ones.
    Raises `MalformedInput` for anything else; the message says what it is instead.
    """
    document, reading = unwrap(data)
    if reading.form and reading.form != SBOM:
        raise MalformedInput(f"the statement's predicate is {reading.form}, not an SBOM")
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        other = "SPDX" if isinstance(document, dict) and "spdxVersion" in document else "this"
        raise MalformedInput(f"{other} is not CycloneDX JSON", mend="convert it, or build it anew")
    reading.form = f"CycloneDX {_text(document, 'specVersion')}".strip()
    metadata = _object(document, "metadata")
    reading.stated_at = _text(metadata, "timestamp")
    nodes: dict[str, int] = {}  # bom-ref to node
    memo = {} if memo is None else memo
    rows = reading.components
    subject = _object(metadata, "component")
    if subject:
        reading.root = 0
        rows.append(_row(subject, memo))
        _refer(nodes, subject, 0)
    waiting = [(-1, component) for component in reversed(_objects(document, "components"))]
    waiting += [(0, component) for component in reversed(_objects(subject, "components"))]
    node = 0
    while waiting:
        holder, component = waiting.pop()
        node += 1
        rows.append(_row(component, memo))
        _refer(nodes, component, node)
        if holder >= 0:
            reading.edges.append((holder, node))
        if "components" in component:
            inner = _objects(component, "components")
            waiting += [(node, part) for part in reversed(inner)]
    edges = set(reading.edges)
    for dependency in _objects(document, "dependencies"):
        parent = nodes.get(_text(dependency, "ref"), -1)
        needed = dependency.get("dependsOn") or []
        if needed.__class__ is not list:
            raise MalformedInput("dependsOn is no list")
        for reference in needed:
            child = nodes.get(reference, -1) if reference.__class__ is str else -1
            if parent < 0 or child < 0:
                reading.dangling += 1
            else:
                edges.add((parent, child))
    reading.edges = sorted(edges)
    reading.composition = _composition(document, set(nodes), len(nodes) == len(reading.components))
    return reading


def _refer(nodes: dict[str, int], component: dict[str, Any], node: int) -> None:
    reference = component.get("bom-ref")
    if reference.__class__ is str:
        nodes.setdefault(reference, node)


def _row(component: dict[str, Any], memo: Memo) -> Row:
    get = component.get
    name, version = get("name"), get("version")
    if name.__class__ is not str or not name or not (version is None or version.__class__ is str):
        raise MalformedInput("a component has no name, or its name or version is no text")
    known = memo.get((name, version))
    if known and known[0] == component:
        return known[1]
    group, purl = _text(component, "group"), _text(component, "purl")
    sha256, others = _hashes(_objects(component, "hashes"))
    owner = get("supplier") or get("manufacturer")
    row = Row(
        *_names(str(name), group, purl)[:2],
        version or "",
        _names(str(name), group, purl)[2],
        _text(component, "type"),
        sha256,
        others,
        _licence(_objects(component, "licenses")),
        _text(owner, "name") if isinstance(owner, dict) else "",
        _text(component, "scope"),
    )
    if "components" not in component:
        if len(memo) >= MEMO:
            memo.clear()
        memo[name, version] = component, row
    return row


@lru_cache(maxsize=2**16)
def _names(name: str, group: str, purl: str) -> tuple[str, str, str]:
    """Key, title and canonical purl."""
    title, canonical = f"{group}/{name}" if group else name, address(purl)
    return key(title, canonical), title, canonical


def _hashes(entries: list[dict[str, Any]]) -> tuple[str, str]:
    """SHA-256 in hex digits, and all others."""
    sha256, others = "", []
    for entry in entries:
        algorithm, value = _text(entry, "alg").lower(), _text(entry, "content").lower()
        if algorithm == "sha-256" and not sha256:
            sha256 = value
        else:
            others.append(f"{algorithm}:{value}")
    return sha256, " ".join(others)


def _licence(choices: list[dict[str, Any]]) -> str:
    said = []
    for choice in choices:
        text = _text(choice, "expression")
        if not text:
            licence = _object(choice, "license")
            text = _text(licence, "id") or _text(licence, "name")
        if text:
            said.append(text)
    if len(said) == 1:
        return said[0]
    return " AND ".join(f"({text})" if " OR " in text else text for text in said)


def _composition(document: dict[str, Any], refs: set[str], named: bool) -> str:
    """What may be concluded from a component's absence, by the document's own word.

    A composition without references speaks of the whole document. One with references speaks of these alone: they "do
    not cascade" (CycloneDX, compositions). ``named``: every component has a reference.
    """
    said: dict[str, set[str]] = {"assemblies": set(), "dependencies": set()}
    whole: set[str] = set()
    covered: dict[str, set[str]] = {"assemblies": set(), "dependencies": set()}
    for part in _objects(document, "compositions"):
        aggregate = _text(part, "aggregate") or "not_specified"
        lists = [name for name in said if name in part]
        if not lists:
            whole.add(aggregate)
        for name in lists:
            said[name].add(aggregate)
            covered[name].update(r for r in part[name] or () if isinstance(r, str))

    def vouched(name: str) -> bool:
        told = said[name] | whole
        return told == {"complete"} and ("complete" in whole or (named and refs <= covered[name]))

    if vouched("assemblies") and said["dependencies"] <= {"complete"}:
        return "complete"
    if vouched("dependencies"):
        return "dependencies"
    return "incomplete" if set().union(whole, *said.values()) - {"complete", "not_specified"} else "unsaid"


def _text(place: dict[str, Any], name: str) -> str:
    value = place.get(name)
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    raise MalformedInput(f"{name} is no text")


def _object(place: dict[str, Any], name: str) -> dict[str, Any]:
    value = place.get(name) or {}
    if not isinstance(value, dict):
        raise MalformedInput(f"{name} is no object")
    return value


def _objects(place: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = place.get(name) or []
    if value.__class__ is list:
        for item in value:
            if item.__class__ is not dict:
                break
        else:
            return value
    raise MalformedInput(f"{name} is no list of objects")
