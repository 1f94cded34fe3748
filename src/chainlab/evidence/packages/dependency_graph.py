"""Dependency graphs: which package needs which, with markers evaluated and extras followed.

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
    """A package in a graph: its ref, and its requirements as its metadata write them."""

    ref: str
    requires: tuple[str, ...]


@dataclass(frozen=True)
class Needs:
    """What one package needs."""

    refs: tuple[str, ...]
    missing: tuple[str, ...]  # names of packages that are not in the graph
    unreadable: tuple[str, ...]  # requirements as written


class Graph:
    """Packages by the name that requirements use."""

    def __init__(self, nodes: Mapping[str, Node], markers: Mapping[str, str]) -> None:
        self.nodes, self.markers = nodes, markers
        self.extras: dict[str, set[str]] = {}  # by package: those of its extras that another package asks for
        waiting = sorted(nodes)
        while waiting:
            for required in self._requirements(waiting.pop())[0]:
                key = canonicalize_name(required.name)
                extras = {canonicalize_name(extra) for extra in required.extras}
                seen_extras = self.extras.setdefault(key, set())
                if extras - seen_extras:
                    seen_extras |= extras
                    waiting += [key] if key in nodes else []

    def needs(self, key: str) -> Needs:
        """Return what the package needs, except itself."""
        requirements, unreadable = self._requirements(key)
        keys = {canonicalize_name(r.name) for r in requirements} - {key}
        return Needs(
            tuple(sorted(self.nodes[k].ref for k in keys if k in self.nodes)),
            tuple(sorted(keys - set(self.nodes))),
            tuple(unreadable),
        )

    def _requirements(self, key: str) -> tuple[list[Requirement], list[str]]:
        extras = self.extras.get(key, set())
        requirements, unreadable = [], []
        for text in self.nodes[key].requires:
            if not extras and SIMPLE_EXTRA.search(text) and " or " not in text:
                continue  # for an extra that no package asks for
            parsed = metadata.parse_requirement(text)
            if parsed is None:
                unreadable.append(text)
            elif metadata.applies(parsed.marker, self.markers, extras):
                requirements.append(parsed)
        return requirements, unreadable


def roots(components: Iterable[Component]) -> tuple[str, ...]:
    """Refs that no other component needs, and one ref of each circle that nothing outside it needs."""
    by_ref = {c.ref: c for c in components}
    needed = {ref for c in by_ref.values() for ref in c.requires}
    result = [ref for ref in sorted(by_ref) if ref not in needed]
    reached = _reached(result, by_ref, set())
    for ref in sorted(by_ref):
        if ref not in reached:
            result.append(ref)
            _reached([ref], by_ref, reached)
    return tuple(sorted(result))


def unreached(start: Iterable[str], components: Iterable[Component]) -> tuple[str, ...]:
    """Refs of components that ``start`` does not need, directly or through others."""
    by_ref = {c.ref: c for c in components}
    return tuple(sorted(set(by_ref) - _reached(start, by_ref, set())))


def _reached(start: Iterable[str], by_ref: Mapping[str, Component], reached: set[str]) -> set[str]:
    waiting = list(start)
    while waiting:
        ref = waiting.pop()
        if ref in by_ref and ref not in reached:
            reached.add(ref)
            waiting += by_ref[ref].requires
    return reached
