"""Differences between two bills of materials.

    >>> difference = diff(old, new)
    >>> [str(change) for change in difference.changed]
    ['acme-cells 1.2.0 → 1.3.0']

The same version with another hash matters most: a release never changes. Two components are the same one if they have
the same type and the same purl without version, or the same type and name where there is no purl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainlab.characters import join_lines
from chainlab.evidence.components import Component
from chainlab.evidence.packages.purls import package_of
from chainlab.evidence.sbom import cyclonedx
from chainlab.evidence.sbom.cyclonedx import Bill

__all__ = ["ComponentChange", "Difference", "diff"]


@dataclass(frozen=True)
class ComponentChange:
    """A component that both documents list, with another version or other bytes."""

    old: Component
    new: Component

    def __str__(self) -> str:
        if self.old.version != self.new.version:
            return f"{self.new.name} {self.old.version or '?'} → {self.new.version or '?'}"
        return f"{_release(self.new)}: other bytes under the same version"


@dataclass(frozen=True)
class Difference:
    """The components that differ; every part is in the order of names."""

    added: tuple[Component, ...] = ()
    removed: tuple[Component, ...] = ()
    changed: tuple[ComponentChange, ...] = ()  # another version
    rehashed: tuple[ComponentChange, ...] = ()  # the same version, other bytes
    unread: tuple[str, ...] = ()  # entries that could not be read, and were not compared

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.rehashed)

    def __str__(self) -> str:
        lines = [f"! {change}" for change in self.rehashed]
        lines += [f"~ {change}" for change in self.changed]
        lines += [f"+ {_release(c)}" for c in self.added]
        lines += [f"- {_release(c)}" for c in self.removed]
        lines += [f"? not read, {problem}" for problem in self.unread]
        return join_lines(lines) or "no component differs"


def diff(old: Any, new: Any) -> Difference:
    """Compare the components of two documents, in any order."""
    bills = cyclonedx.read(old), cyclonedx.read(new)
    before, after = map(_grouped, bills)
    added, removed, changed, rehashed = [], [], [], []
    for key in sorted(set(before) | set(after)):
        was, now = before.get(key, {}), after.get(key, {})
        for version in sorted(set(was) & set(now)):
            rehashed += _contradictions(was[version], now[version])
        gone = [c for version in sorted(set(was) - set(now)) for c in was[version]]
        arrived = [c for version in sorted(set(now) - set(was)) for c in now[version]]
        if len(gone) == len(arrived) == 1:
            changed.append(ComponentChange(gone[0], arrived[0]))
        else:
            removed += gone
            added += arrived
    unread = [f"old: {problem}" for problem in bills[0].unread] + [f"new: {problem}" for problem in bills[1].unread]
    return Difference(tuple(added), tuple(removed), tuple(changed), tuple(rehashed), tuple(unread))


def _grouped(bill: Bill) -> dict[str, dict[str, list[Component]]]:
    """Components by key and version; a document may list the same version twice."""
    groups: dict[str, dict[str, list[Component]]] = {}
    for component in bill.components:
        groups.setdefault(_key(component), {}).setdefault(component.version, []).append(component)
    return groups


def _contradictions(was: list[Component], now: list[Component]) -> list[ComponentChange]:
    """The contradicting pairs of one version, if some entry agrees with none of the other side."""
    alone = [old for old in was if all(_other_bytes(old, new) for new in now)]
    alone += [new for new in now if all(_other_bytes(old, new) for old in was)]
    return [ComponentChange(old, new) for old in was for new in now if _other_bytes(old, new)] if alone else []


def _key(component: Component) -> str:
    """What makes two components the same one: type and purl without version, or type and name."""
    package = package_of(component.purl)
    return f"{component.type} {'/'.join(package) if package else component.name}"


def _other_bytes(one: Component, other: Component) -> bool:
    """Whether their hashes contradict each other; nothing is known where they share no algorithm."""
    if any(other.hashes.get(alg, value).lower() != value.lower() for alg, value in one.hashes.items()):
        return True
    first, second = _possible(one), _possible(other)
    return bool(first and second and not first & second)


def _possible(component: Component) -> set[str]:
    """SHA-256 digests of the files that it may be."""
    own = component.hashes.get("SHA-256")
    return (
        {own.lower()} if own else {value.lower() for algorithm, value in component.accepted if algorithm == "SHA-256"}
    )


def _release(component: Component) -> str:
    return f"{component.name} {component.version}".rstrip(" ")
