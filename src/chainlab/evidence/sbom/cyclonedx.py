"""The reader of CycloneDX documents, for gate, archive and command line.

    >>> bill = read({"bomFormat": "CycloneDX", "components": [{"name": "NumPy"}, {"name": 5}]})
    >>> [component.name for component in bill.components], bill.unread
    (['NumPy'], ('component 2 has no name that is text',))

With ``strict`` the first entry that cannot be read raises an error. Otherwise the bill holds what can be read, and
`Bill.unread` names the rest: an unread entry must not count as absent.

Components inside other components count too, also inside the subject (``metadata.component``); the outer one depends
on the inner ones. They are numbered in the order of the document; 0 is the subject. CycloneDX 1.4 to 1.7, JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from chainlab.errors import MalformedInput
from chainlab.evidence.components import ALGORITHMS, HASH_ORIGIN, ORIGINS, Component

__all__ = ["Bill", "entries", "join_licences", "read"]

CLAIMS: Final = ("assemblies", "dependencies")  # the two things that a composition may be about
WORDS: Final = {str: "text", list: "a list", dict: "an object"}
TEXTS: Final = ("name", "version", "purl", "scope", "type", "description", "group")  # as a `Component` calls them
SHA256: Final = "SHA-256"
NAMES: Final = {name.lower(): name for name in ALGORITHMS.values()}
KEYS: Final = {words: name for name, words in ORIGINS.items()}
Value = TypeVar("Value", str, list[Any], dict[str, Any])


@dataclass(frozen=True)
class Bill:
    """The content of one document."""

    subject: Component | None
    components: tuple[Component, ...]  # nested ones too; not the subject
    edges: tuple[tuple[int, int], ...] = ()  # a component's number, and that of one that it depends on; sorted
    composition: str = "unsaid"  # complete | dependencies | incomplete | unsaid
    version: str = ""  # of the specification
    stated_at: str = ""  # metadata.timestamp
    dangling: int = 0  # references to nothing in the document
    unread: tuple[str, ...] = ()  # what could not be read, each with its place

    @property
    def digest(self) -> str:
        """The digest of the document's subject, ``sha256:…``; empty where the document does not state one."""
        if self.subject is None or self.subject.hash_origin == "record":
            return ""
        sha256 = self.subject.hashes.get(SHA256)
        return f"sha256:{sha256}" if sha256 else ""


def read(document: Any, *, strict: bool = False) -> Bill:
    """Read a document. Raises `MalformedInput` with ``strict`` only."""
    return _BillReader(strict).bill(document)


def entries(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every component as JSON, the subject first; without recursion, so that a deep document does no harm."""
    metadata = document.get("metadata")
    waiting: list[Any] = [document, metadata.get("component") if isinstance(metadata, dict) else None]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, dict):
            if entry is not document:
                yield entry
            parts = entry.get("components")
            waiting += reversed(parts) if isinstance(parts, list) else ()


def join_licences(texts: Iterable[str]) -> str:
    """Join licences that all apply into one SPDX expression."""
    stated = [text for text in texts if text]
    return " AND ".join(f"({text})" if " OR " in text.upper() and len(stated) > 1 else text for text in stated)


class _BillReader:
    """Reads one document, and notes what it cannot read."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.unread: list[str] = []
        self.depends: dict[str, list[str]] = {}

    def bill(self, document: Any) -> Bill:
        if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
            other = "SPDX" if isinstance(document, dict) and "spdxVersion" in document else "this"
            self.note(f"{other} is not CycloneDX JSON", "convert it, or build it anew")
            document = document if isinstance(document, dict) else {}
        metadata = self.get(document, "metadata", dict)
        for dependency in self.entries(document, "dependencies", dict):
            needed = self.entries(dependency, "dependsOn", str, "dependencies")
            self.depends.setdefault(self.get(dependency, "ref", str, "dependencies"), []).extend(needed)
        subject = self.get(metadata, "component", dict, "metadata")
        waiting = [(-1, entry) for entry in reversed(self.entries(document, "components", dict))]
        waiting += [(-1, subject)] if subject else []
        components: dict[int, Component] = {}
        nodes: dict[str, int] = {}  # bom-ref to number
        edges: set[tuple[int, int]] = set()
        first = number = 0 if subject else 1
        while waiting:
            holder, entry = waiting.pop()
            at = f"component {number}" if number else "metadata.component"
            if reference := self.get(entry, "bom-ref", str, at):
                nodes.setdefault(reference, number)
            if (component := self.component(entry, reference, at)) is not None:
                components[number] = component
            if holder >= 0:
                edges.add((holder, number))
            waiting += [(number, part) for part in reversed(self.entries(entry, "components", dict, at))]
            number += 1
        ends = [(nodes.get(ref), nodes.get(to)) for ref, needed in self.depends.items() for to in needed]
        edges |= {(parent, child) for parent, child in ends if parent is not None and child is not None}
        return Bill(
            components.pop(0, None),
            tuple(components.values()),
            tuple(sorted(edges)),
            self.composition(document, set(nodes), all_named=len(nodes) == number - first),
            self.get(document, "specVersion", str),
            self.get(metadata, "timestamp", str, "metadata"),
            sum(None in end for end in ends),
            tuple(self.unread),
        )

    def component(self, entry: dict[str, Any], reference: str, at: str) -> Component | None:
        if not isinstance(entry.get("name"), str) or not entry["name"]:
            self.note(f"{at} has no name that is text")
            return None
        texts: dict[str, Any] = {name: self.get(entry, name, str, at) for name in TEXTS}
        hashes: dict[str, str] = {}
        accepted: list[tuple[str, str]] = []
        for one in self.entries(entry, "hashes", dict, at):
            algorithm, value = self.get(one, "alg", str, at), self.get(one, "content", str, at).lower()
            algorithm = NAMES.get(algorithm.lower(), algorithm)
            if hashes.setdefault(algorithm, value) == value:
                continue
            if algorithm == SHA256:  # from merged documents that differ: the file may be either
                accepted.append((algorithm, value))
            else:
                self.note(f"{at} has two values of {algorithm[:40]!r}")
        for link in self.entries(entry, "externalReferences", dict, at):
            if link.get("type") == "distribution":
                for one in self.entries(link, "hashes", dict, at):
                    algorithm, value = self.get(one, "alg", str, at), self.get(one, "content", str, at).lower()
                    accepted += [(NAMES.get(algorithm.lower(), algorithm), value)] if algorithm else []
        listed = self.entries(entry, "properties", dict, at)
        properties = tuple((self.get(one, "name", str, at), self.get(one, "value", str, at)) for one in listed)
        choices = [(one, self.get(one, "license", dict, at)) for one in self.entries(entry, "licenses", dict, at)]
        stated = [self.get(one, "expression", str, at) or self.get(of, "id", str, at) for one, of in choices]
        names = [self.get(of, "name", str, at) for (_, of), text in zip(choices, stated, strict=True) if not text]
        owner = self.get(entry, "supplier", dict, at) or self.get(entry, "manufacturer", dict, at)
        return Component(
            **{**texts, "type": texts["type"] or "library"},
            hashes=hashes,
            hash_origin=next((KEYS.get(value, value) for key, value in properties if key == HASH_ORIGIN), ""),
            licence=join_licences(stated) or None,
            supplier=self.get(owner, "name", str, at),
            requires=tuple(self.depends.get(reference, ()) if reference else ()),
            properties=properties,
            licence_name=", ".join(filter(None, names)),
            accepted=tuple(accepted),
        )

    def composition(self, document: dict[str, Any], refs: set[str], *, all_named: bool) -> str:
        """Say what the document declares to be complete; ``all_named``: each component has a reference of its own.

        A composition without references speaks of the whole document. One with references speaks of these alone: they
        "do not cascade" (CycloneDX, compositions).
        """
        listed = self.entries(document, "compositions", dict)
        parts = [(part, self.get(part, "aggregate", str, "compositions") or "not_specified") for part in listed]
        whole = {aggregate for part, aggregate in parts if part.keys().isdisjoint(CLAIMS)}
        aggregates_of = {name: {aggregate for part, aggregate in parts if name in part} for name in CLAIMS}
        vouched = {}
        for name, aggregates in aggregates_of.items():
            covered = {text for part, _ in parts for text in self.entries(part, name, str, "compositions")}
            everything = "complete" in whole or (all_named and refs <= covered)
            vouched[name] = everything and aggregates | whole == {"complete"}
        if vouched["assemblies"] and aggregates_of["dependencies"] <= {"complete"}:
            return "complete"
        if vouched["dependencies"]:
            return "dependencies"
        return "incomplete" if whole.union(*aggregates_of.values()) - {"complete", "not_specified"} else "unsaid"

    def note(self, message: str, hint: str = "") -> None:
        if self.strict:
            raise MalformedInput(message, hint=hint)
        self.unread.append(message)

    def get(self, place: Mapping[str, Any], name: str, kind: type[Value], at: str = "") -> Value:
        """Return a field's value; an empty one if it is missing or has another type, which is noted."""
        value = place.get(name)
        if isinstance(value, kind):
            return value
        if value is not None:
            self.note(f"{at + ': ' if at else ''}{name} is not {WORDS[kind]}")
        return kind()

    def entries(self, place: Mapping[str, Any], name: str, kind: type[Value], at: str = "") -> list[Value]:
        """Return the entries of a list that have one type; others are noted."""
        if name not in place:
            return []
        items: list[Any] = self.get(place, name, list, at)
        if others := [number for number, item in enumerate(items, 1) if not isinstance(item, kind)]:
            self.note(f"{at + ': ' if at else ''}{name} has an entry that is not {WORDS[kind]}: number {others[0]}")
            items = [item for item in items if isinstance(item, kind)]
        return items
