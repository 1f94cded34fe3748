"""Differences between bills of materials.

    >>> found = diff(old, new)
    >>> [str(change) for change in found.changed]
    ['acme-cells 1.2.0 → 1.3.0']

The same version with another hash is the difference that matters most: a release never changes. Components are the same
when type and purl without version are, or type and name where there is no purl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainlab.evidence.components import Component, components_of

__all__ = ["Change", "Difference", "diff"]


@dataclass(frozen=True)
class Change:
    """A component in both documents that is not the same."""

    old: Component
    new: Component

    def __str__(self) -> str:
        if self.old.version != self.new.version:
            return f"{self.new.name} {self.old.version or '?'} → {self.new.version or '?'}"
        return f"{self.new.name} {self.new.version}: other bytes under the same version"


@dataclass(frozen=True)
class Difference:
    """What `diff` found; every part is in the order of names."""

    added: tuple[Component, ...] = ()
    removed: tuple[Component, ...] = ()
    changed: tuple[Change, ...] = ()  # another version
    rehashed: tuple[Change, ...] = ()  # the same version, other bytes

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.rehashed)

    def __str__(self) -> str:
        lines = [f"! {change}" for change in self.rehashed]
        lines += [f"~ {change}" for change in self.changed]
        lines += [f"+ {c.name} {c.version}".rstrip() for c in self.added]
        lines += [f"- {c.name} {c.version}".rstrip() for c in self.removed]
        return "\n".join(lines) or "no component differs"


def diff(old: Any, new: Any) -> Difference:
    """What changed from one document to another; the order of components does not count."""
    before, after = _grouped(old), _grouped(new)
    added, removed, changed, rehashed = [], [], [], []
    for key in sorted(set(before) | set(after)):
        was, now = before.get(key, {}), after.get(key, {})
        for version in sorted(set(was) & set(now)):
            if _other_bytes(was[version], now[version]):
                rehashed.append(Change(was[version], now[version]))
        gone = [was[v] for v in sorted(set(was) - set(now))]
        come = [now[v] for v in sorted(set(now) - set(was))]
        if len(gone) == len(come) == 1:
            changed.append(Change(gone[0], come[0]))
        else:
            removed += gone
            added += come
    return Difference(tuple(added), tuple(removed), tuple(changed), tuple(rehashed))


def _grouped(document: Any) -> dict[str, dict[str, Component]]:
    found: dict[str, dict[str, Component]] = {}
    for component in components_of(document):
        found.setdefault(_key(component), {})[component.version] = component
    return found


def _key(component: Component) -> str:
    bare = component.purl.partition("?")[0].partition("#")[0]
    name = bare.rpartition("@")[0] if "@" in bare.rpartition("/")[2] else bare
    if name.startswith("pkg:pypi/"):  # some tools write its name as the package does, dots and all
        name = f"pkg:pypi/{component.key}"
    return f"{component.type} {name or component.name}"


def _other_bytes(one: Component, other: Component) -> bool:
    """Whether their hashes contradict each other; nothing is known where they share no algorithm."""
    if any(other.hashes.get(alg, value).lower() != value.lower() for alg, value in one.hashes.items()):
        return True
    first, second = _possible(one), _possible(other)
    return bool(first and second and not first & second)


def _possible(component: Component) -> set[str]:
    """SHA-256 digests of the files that it may be."""
    own = component.hashes.get("SHA-256")
    return {own.lower()} if own else {digest.lower() for digest in component.accepted}
