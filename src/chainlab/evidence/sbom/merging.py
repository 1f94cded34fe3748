"""Merging: one bill of materials made of several.

    >>> whole = merge([of_code, of_model], subject=Component("release", "1.4.0"), at=released_at)      # doctest: +SKIP

Each maker has refs of its own, so every ref is first replaced by what means the same in every document: the purl, or
name@version. What two documents say of one component is joined, and of two statements the more careful one stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.evidence.components import CONFLICT, Component
from chainlab.evidence.sbom import builder
from chainlab.evidence.sbom.schema import problems

__all__ = ["merge"]

REFS = {"bom-ref", "ref", "dependsOn", "provides", "subjects", "assemblies", "dependencies"}
WORST = ("incomplete", "unknown", "not_specified", "complete")  # of two, the earlier one stands
FIRST = ("type", "bom-ref", "name", "version")  # fields of an entry that a reader looks for
SINGLE = {
    "licenses",
    "data",
    "modelCard",
    "evidence",
    "pedigree",
}  # taken whole: parts of two make no sense
JOINED = ("components", "dependencies", "compositions")  # lists that are joined entry by entry


def merge(
    documents: Sequence[Mapping[str, Any]],
    *,
    subject: Component,
    at: datetime,
    spec: str = "",
) -> dict[str, Any]:
    """One document about ``subject`` with everything that these say; their order does not count.

    The subjects of the documents become components. A component that two describe is listed once, with the hashes of
    both: where they differ for one algorithm, a property says so. Without ``spec`` it is the newest of theirs.

    Raises `MalformedInput` for what is no valid document.
    """
    if not documents:
        raise MalformedInput("there is nothing to merge", hint="give at least one document")
    said = _Statements()
    for document in documents:
        if wrong := problems(document):
            raise MalformedInput(
                f"only valid CycloneDX documents can be merged: {wrong[0]}",
                hint="chainlab sbom check FILE says all that is wrong with one",
            )
        said.add(_canonical(document))
    versions = [str(d.get("specVersion", "")) for d in documents]
    newest = max(versions, key=lambda v: [int(p) for p in v.split(".") if p.isdigit()])
    metadata: dict[str, Any] = {
        "timestamp": rfc3339(at),
        **builder.makers(),
        "component": _joined([builder.entry(subject), *said.entries.get(subject.ref, [])]),
    }
    if said.properties:
        metadata["properties"] = [{"name": n, "value": v} for n, v in sorted(said.properties)]
    if said.phases:
        metadata["lifecycles"] = _read(said.phases)
    whole = [_joined(found) for ref, found in sorted(said.entries.items()) if ref != subject.ref]
    result: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": spec or newest,
        "version": 1,
        "metadata": metadata,
        "components": whole,
        "dependencies": said.dependencies(subject),
        "compositions": said.compositions(subject),
        **{name: _read(texts) for name, texts in sorted(said.others.items())},
    }
    return builder.seal(result)


@dataclass
class _Statements:
    """What documents say, by refs that mean the same in all of them; entries as text are JSON, to be told apart."""

    tops: set[str] = field(default_factory=set)  # refs of their subjects
    entries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    needs: dict[str, dict[str, set[str]]] = field(default_factory=dict)  # ref → dependsOn, provides
    aggregates: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # assemblies…, ref
    properties: set[tuple[str, str]] = field(default_factory=set)  # of the documents themselves
    phases: set[str] = field(default_factory=set)  # texts
    others: dict[str, set[str]] = field(default_factory=dict)  # lists that nothing joins, as texts

    def add(self, document: Mapping[str, Any]) -> None:
        """Another document's."""
        about = document.get("metadata") or {}
        top = [about["component"]] if isinstance(about.get("component"), dict) else []
        self.tops |= {one["bom-ref"] for one in top}
        for one in [*top, *document.get("components", [])]:
            self.entries.setdefault(one["bom-ref"], []).append(one)
        for one in document.get("dependencies", []):
            known = self.needs.setdefault(one["ref"], {})
            for name in ("dependsOn", "provides"):
                if name in one:
                    known.setdefault(name, set()).update(one[name])
        for one in document.get("compositions", []):
            for kind in ("assemblies", "dependencies"):
                for ref in one.get(kind, []):
                    self.aggregates.setdefault((kind, ref), set()).add(one["aggregate"])
        for one in about.get("properties", []):
            self.properties.add((one.get("name", ""), one.get("value", "")))
        self.phases |= set(map(_text, about.get("lifecycles", [])))
        for name, value in document.items():
            if isinstance(value, list) and name not in JOINED:
                self.others.setdefault(name, set()).update(map(_text, value))

    def dependencies(self, subject: Component) -> list[dict[str, Any]]:
        """In the order of refs; the subject needs what it says, or else the documents' subjects."""
        needs = {ref: dict(found) for ref, found in self.needs.items()}
        own = needs.setdefault(subject.ref, {})
        own["dependsOn"] = own.get("dependsOn", set()) | (set(subject.requires) or self.tops)
        return [
            {"ref": ref, **{k: sorted(v - {ref}) for k, v in sorted(found.items()) if v - {ref}}}
            for ref, found in sorted(needs.items())
        ]

    def compositions(self, subject: Component) -> list[dict[str, Any]]:
        """Of two statements about one ref the weaker; the subject is put together of the documents' subjects."""
        parts = [self.aggregates.get(("assemblies", ref), set()) for ref in self.tops]
        top = ("assemblies", subject.ref)
        stated = self.aggregates.get(top, set()) | (set().union(*parts) or {"unknown"})
        whole = {**self.aggregates, top: stated}
        found: dict[tuple[str, str], list[str]] = {}
        for (kind, ref), said in whole.items():
            worst = min(said, key=lambda a: WORST.index(a) if a in WORST else 0)
            found.setdefault((worst, kind), []).append(ref)
        return [{"aggregate": a, kind: sorted(refs)} for (a, kind), refs in sorted(found.items())]


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


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _read(texts: set[str]) -> list[Any]:
    return [json.loads(text) for text in sorted(texts)]
