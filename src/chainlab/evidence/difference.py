"""Differences between bills of materials, and one made of several.

    >>> found = diff(old, new)
    >>> [str(change) for change in found.changed]
    ['acme-cells 1.2.0 → 1.3.0']

The same version with another hash is the difference that matters most: a release never changes. Components are the same
when type and purl without version are, or type and name where there is no purl.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.evidence import sbom
from chainlab.evidence.components import PREFIX, Component, components_of
from chainlab.evidence.schema import problems

__all__ = ["Change", "Difference", "conflicts", "diff", "merge"]

CONFLICT = f"{PREFIX}conflict"
REFS = {"bom-ref", "ref", "dependsOn", "provides", "subjects", "assemblies", "dependencies"}
WORST = (
    "incomplete",
    "unknown",
    "not_specified",
    "complete",
)  # of two statements, the earlier one stands
FIRST = ("type", "bom-ref", "name", "version")  # fields of an entry that a reader looks for
SINGLE = {
    "licenses",
    "data",
    "modelCard",
    "evidence",
    "pedigree",
}  # taken whole: parts of two make no sense


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


def merge(
    documents: Sequence[Mapping[str, Any]],
    *,
    subject: Component,
    at: datetime,
    spec: str = "",
    authors: Sequence[str] = (),
) -> dict[str, Any]:
    """One document about ``subject`` with everything that these say; their order does not count.

    The subjects of the documents become components. A component that two describe is listed once, with the hashes of
    both: where they differ for one algorithm, a property says so.

    Raises `MalformedInput` for what is no valid document.
    """
    if not documents:
        raise MalformedInput("there is nothing to merge", mend="give at least one document")
    for document in documents:
        if wrong := problems(document):
            raise MalformedInput(
                f"only valid CycloneDX documents can be merged: {wrong[0]}",
                mend="chainlab sbom check FILE says all that is wrong with one",
            )
    entries: dict[str, list[dict[str, Any]]] = {}
    dependencies: dict[str, dict[str, set[str]]] = {}
    aggregates: dict[tuple[str, str], set[str]] = {}
    extra: dict[str, list[Any]] = {}
    unseen: list[tuple[str, str]] = []
    tops: set[str] = set()
    for document in map(_canonical, documents):
        about = document.get("metadata") or {}
        top = about.get("component")
        listed = [*([top] if isinstance(top, dict) else []), *document.get("components", [])]
        tops |= {top["bom-ref"]} if isinstance(top, dict) else set()
        for one in listed:
            entries.setdefault(one["bom-ref"], []).append(one)
        for one in document.get("dependencies", []):
            known = dependencies.setdefault(one["ref"], {})
            for name in ("dependsOn", "provides"):
                if name in one:
                    known.setdefault(name, set()).update(one[name])
        for one in document.get("compositions", []):
            for kind in ("assemblies", "dependencies"):
                for ref in one.get(kind, []):
                    aggregates.setdefault((kind, ref), set()).add(one["aggregate"])
        unseen += [
            (p["name"], p.get("value", ""))
            for p in about.get("properties", [])
            if isinstance(p, dict)
        ]
        for name, value in document.items():
            if isinstance(value, list) and name not in (
                "components",
                "dependencies",
                "compositions",
            ):
                extra.setdefault(name, []).extend(value)
    hidden = set().union(*(aggregates.get(("assemblies", ref), set()) for ref in tops))
    aggregates.setdefault(("assemblies", subject.ref), set()).update(hidden or {"unknown"})
    whole = [_joined(found) for found in entries.values()]
    top_entry = _joined([sbom.entry(subject), *entries.get(subject.ref, [])])
    needs = dependencies.setdefault(subject.ref, {})
    needs.setdefault("dependsOn", set()).update(subject.requires or tops - {subject.ref})
    versions = [str(d.get("specVersion", "")) for d in documents]
    result: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": spec
        or max(versions, key=lambda v: [int(p) for p in v.split(".") if p.isdigit()]),
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(at),
            "tools": {
                "components": [
                    {"type": "application", "name": sbom.TOOL.name, "version": sbom.TOOL.version}
                ]
            },
            "authors": [{"name": n} for n in authors]
            or [{"name": f"{sbom.TOOL.name} {sbom.TOOL.version}"}],
            "component": top_entry,
        },
        "components": sorted(
            (c for c in whole if c["bom-ref"] != subject.ref), key=lambda c: c["bom-ref"]
        ),
        "dependencies": [
            {"ref": ref, **{k: sorted(v - {ref}) for k, v in sorted(found.items()) if v - {ref}}}
            for ref, found in sorted(dependencies.items())
        ],
        "compositions": _compositions(aggregates),
    }
    if unseen:
        result["metadata"]["properties"] = [{"name": n, "value": v} for n, v in sorted(set(unseen))]
    phases = {_text(p) for d in documents for p in (d.get("metadata") or {}).get("lifecycles", [])}
    if phases:
        result["metadata"]["lifecycles"] = [json.loads(p) for p in sorted(phases)]
    for name, values in sorted(extra.items()):
        result[name] = [json.loads(text) for text in sorted({_text(v) for v in values})]
    return sbom.seal(result)


def conflicts(documents: Iterable[Any]) -> list[Change]:
    """Pairs of components, in these documents, that claim other bytes for the same version."""
    seen: dict[tuple[str, str], list[Component]] = {}
    for document in documents:
        for key, versions in _grouped(document).items():
            for version, component in versions.items():
                seen.setdefault((key, version), []).append(component)
    return [
        Change(first, other)
        for _, (first, *rest) in sorted(seen.items())
        for other in rest
        if _other_bytes(first, other)
    ]


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
    if any(
        other.hashes.get(alg, value).lower() != value.lower() for alg, value in one.hashes.items()
    ):
        return True
    first, second = _possible(one), _possible(other)
    return bool(first and second and not first & second)


def _possible(component: Component) -> set[str]:
    """SHA-256 digests of the files that it may be."""
    own = component.hashes.get("SHA-256")
    return {own.lower()} if own else {digest.lower() for digest in component.accepted}


def _canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with refs that mean the same in every document: the purl, or name@version."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    top = (copy.get("metadata") or {}).get("component")
    names: dict[str, str] = {}
    for one in [*([top] if isinstance(top, dict) else []), *copy.get("components", [])]:
        version = one.get("version")
        ref = one.get("purl") or (f"{one['name']}@{version}" if version else one["name"])
        if "bom-ref" in one:
            names[one["bom-ref"]] = ref
        one["bom-ref"] = ref
    return dict(_renamed(copy, names, ""))


def _renamed(value: Any, names: Mapping[str, str], under: str) -> Any:
    if isinstance(value, dict):
        return {k: _renamed(v, names, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(v, names, under) for v in value]
    return names.get(value, value) if under in REFS and isinstance(value, str) else value


def _joined(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One entry that says what all of them say."""
    found: dict[str, Any] = {}
    for name in {key: None for one in entries for key in one}:
        values = [one[name] for one in entries if name in one]
        listed = all(isinstance(v, list) for v in values) and name not in SINGLE
        if listed:
            texts = {_text(inner) for value in values for inner in value}
        else:
            texts = {min(map(_text, values), key=lambda t: (-len(t), t))}  # the fuller one
        read = [json.loads(text) for text in sorted(texts)]
        found[name] = read if listed else read[0]
    by_algorithm: dict[str, set[str]] = {}
    for one in found.get("hashes", []):
        by_algorithm.setdefault(one["alg"], set()).add(one["content"].lower())
    clash = sorted(alg for alg, known in by_algorithm.items() if len(known) > 1)
    properties = [p for p in found.get("properties", []) if p.get("name") != CONFLICT]
    if clash:
        said = f"the documents name different {', '.join(clash)} values for this version"
        properties.append({"name": CONFLICT, "value": said})
    if properties:
        found["properties"] = sorted(properties, key=_text)
    return {name: found[name] for name in sorted(found, key=lambda n: (n not in FIRST, n))}


def _compositions(aggregates: Mapping[tuple[str, str], set[str]]) -> list[dict[str, Any]]:
    """Of two statements about one ref the weaker."""
    sorted_out: dict[tuple[str, str], list[str]] = {}
    for (kind, ref), said in aggregates.items():
        worst = min(said, key=lambda a: WORST.index(a) if a in WORST else 0)
        sorted_out.setdefault((worst, kind), []).append(ref)
    return [{"aggregate": a, kind: sorted(refs)} for (a, kind), refs in sorted(sorted_out.items())]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
