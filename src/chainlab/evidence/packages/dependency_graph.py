"""Graphs: which package needs which, with the markers evaluated and the extras followed.

    >>> graph = Graph({"a": Node("pkg:pypi/a@1", ("b[fast]",)), "b": Node("pkg:pypi/b@2", ())}, markers)
    >>> graph.needs("a").refs
    ('pkg:pypi/b@2',)

PEP 508 (dependency specifiers), PEP 685 (names of extras).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chainlab.evidence.components import Component
from chainlab.evidence.packages import metadata

__all__ = ["Graph", "Needs", "Node", "roots", "unreached"]

SIMPLE_EXTRA = re.compile(r"""\bextra\s*==\s*['"]""")


@dataclass(frozen=True)
class Node:
    """A package in a graph: its ref, and what it requires as its metadata write it."""

    ref: str
    requires: tuple[str, ...]


@dataclass(frozen=True)
class Needs:
    """What one package needs."""

    refs: tuple[str, ...]
    missing: tuple[str, ...]  # names that no package of the graph has
    unreadable: tuple[str, ...]  # requirements as written


class Graph:
    """Packages by the name that requirements find them by."""

    def __init__(self, nodes: Mapping[str, Node], markers: Mapping[str, str]) -> None:
        self.nodes, self.markers = nodes, markers
        self.extras: dict[str, set[str]] = {}  # of each package, those that somebody asks for
        waiting = sorted(nodes)
        while waiting:
            for required in self._asked(waiting.pop())[0]:
                key = canonicalize_name(required.name)
                asked = {canonicalize_name(extra) for extra in required.extras}
                known = self.extras.setdefault(key, set())
                if asked - known:
                    known |= asked
                    waiting += [key] if key in nodes else []

    def needs(self, key: str) -> Needs:
        """What the package needs, itself left out."""
        asked, unreadable = self._asked(key)
        keys = {canonicalize_name(r.name) for r in asked} - {key}
        return Needs(
            tuple(sorted(self.nodes[k].ref for k in keys if k in self.nodes)),
            tuple(sorted(keys - set(self.nodes))),
            tuple(unreadable),
        )

    def _asked(self, key: str) -> tuple[list[Requirement], list[str]]:
        extras = self.extras.get(key, set())
        asked, unreadable = [], []
        for text in self.nodes[key].requires:
            if not extras and SIMPLE_EXTRA.search(text) and " or " not in text:
                continue  # only for an extra that nobody asks for
            parsed = metadata.parse_requirement(text)
            if parsed is None:
                unreadable.append(text)
            elif metadata.applies(parsed.marker, self.markers, extras):
                asked.append(parsed)
        return asked, unreadable


def roots(components: Iterable[Component]) -> tuple[str, ...]:
    """Refs that no component asks for, and one of each circle that nobody outside it asks for."""
    by_ref = {c.ref: c for c in components}
    wanted = {ref for c in by_ref.values() for ref in c.requires}
    found = [ref for ref in sorted(by_ref) if ref not in wanted]
    seen = _reached(found, by_ref, set())
    for ref in sorted(by_ref):
        if ref not in seen:
            found.append(ref)
            _reached([ref], by_ref, seen)
    return tuple(sorted(found))


def unreached(start: Iterable[str], components: Iterable[Component]) -> tuple[str, ...]:
    """Refs that lead nowhere from ``start``."""
    by_ref = {c.ref: c for c in components}
    return tuple(sorted(set(by_ref) - _reached(start, by_ref, set())))


def _reached(start: Iterable[str], by_ref: Mapping[str, Component], seen: set[str]) -> set[str]:
    waiting = list(start)
    while waiting:
        ref = waiting.pop()
        if ref in by_ref and ref not in seen:
            seen.add(ref)
            waiting += by_ref[ref].requires
    return seen
