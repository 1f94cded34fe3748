"""Merging: one bill of materials from several.

    >>> whole = merge([of_code, of_model], subject=Component("release", "1.4.0"), at=released_at)      # doctest: +SKIP

Each maker has its own refs, so every ref is first replaced by one that all documents share: the purl, or name@version.
Then the entries of one component are joined. Where two statements about completeness differ, the weaker one stands.
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
WORST = ("incomplete", "unknown", "not_specified", "complete")  # the weakest first
FIRST = ("type", "bom-ref", "name", "version")  # the fields that an entry begins with
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
    """Merge documents, in any order, into one about ``subject``.

    The subjects of the documents become components. A component that two documents describe is listed once, with the
    hashes of both; a property names the algorithms whose values differ. ``spec`` defaults to the newest of theirs.

    Raises `MalformedInput` for an invalid document.
    """
    if not documents:
        raise MalformedInput("there is nothing to merge", hint="give at least one document")
    statements = _Statements()
    for document in documents:
        if invalid := problems(document):
            raise MalformedInput(
                f"only valid CycloneDX documents can be merged: {invalid[0]}",
                hint="chainlab sbom check FILE lists all problems of a document",
            )
        statements.add(_canonical(document))
    versions = [str(d.get("specVersion", "")) for d in documents]
    newest = max(versions, key=lambda v: [int(p) for p in v.split(".") if p.isdigit()])
    metadata: dict[str, Any] = {
        "timestamp": rfc3339(at),
        **builder.makers(),
        "component": _join_entries([builder.entry(subject), *statements.entries.get(subject.ref, [])]),
    }
    if statements.properties:
        metadata["properties"] = [{"name": n, "value": v} for n, v in sorted(statements.properties)]
    if statements.phases:
        metadata["lifecycles"] = _parse_all(statements.phases)
    whole = [_join_entries(described) for ref, described in sorted(statements.entries.items()) if ref != subject.ref]
    result: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": spec or newest,
        "version": 1,
        "metadata": metadata,
        "components": whole,
        "dependencies": statements.dependencies(subject),
        "compositions": statements.compositions(subject),
        **{name: _parse_all(texts) for name, texts in sorted(statements.others.items())},
    }
    return builder.seal(result)


@dataclass
class _Statements:
    """The content of several documents, by shared refs. Texts are JSON, so that equal entries can be found."""

    tops: set[str] = field(default_factory=set)  # refs of their subjects
    entries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    needs: dict[str, dict[str, set[str]]] = field(default_factory=dict)  # ref → dependsOn, provides
    aggregates: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # assemblies…, ref
    properties: set[tuple[str, str]] = field(default_factory=set)  # of the documents themselves
    phases: set[str] = field(default_factory=set)  # texts
    others: dict[str, set[str]] = field(default_factory=dict)  # all other lists, by name, as texts

    def add(self, document: Mapping[str, Any]) -> None:
        """Add the content of a document."""
        metadata = document.get("metadata") or {}
        top = [metadata["component"]] if isinstance(metadata.get("component"), dict) else []
        self.tops |= {one["bom-ref"] for one in top}
        for one in [*top, *document.get("components", [])]:
            self.entries.setdefault(one["bom-ref"], []).append(one)
        for one in document.get("dependencies", []):
            needed = self.needs.setdefault(one["ref"], {})
            for name in ("dependsOn", "provides"):
                if name in one:
                    needed.setdefault(name, set()).update(one[name])
        for one in document.get("compositions", []):
            for kind in ("assemblies", "dependencies"):
                for ref in one.get(kind, []):
                    self.aggregates.setdefault((kind, ref), set()).add(one["aggregate"])
        for one in metadata.get("properties", []):
            self.properties.add((one.get("name", ""), one.get("value", "")))
        self.phases |= set(map(_text, metadata.get("lifecycles", [])))
        for name, value in document.items():
            if isinstance(value, list) and name not in JOINED:
                self.others.setdefault(name, set()).update(map(_text, value))

    def dependencies(self, subject: Component) -> list[dict[str, Any]]:
        """List dependencies by ref; the subject needs its own, or else the documents' subjects."""
        needs = {ref: dict(lists) for ref, lists in self.needs.items()}
        own = needs.setdefault(subject.ref, {})
        own["dependsOn"] = own.get("dependsOn", set()) | (set(subject.requires) or self.tops)
        return [
            {"ref": ref, **{k: sorted(v - {ref}) for k, v in sorted(lists.items()) if v - {ref}}}
            for ref, lists in sorted(needs.items())
        ]

    def compositions(self, subject: Component) -> list[dict[str, Any]]:
        """List the weakest statement about each ref; the subject consists of the documents' subjects."""
        parts = [self.aggregates.get(("assemblies", ref), set()) for ref in self.tops]
        top = ("assemblies", subject.ref)
        of_subject = self.aggregates.get(top, set()) | (set().union(*parts) or {"unknown"})
        whole = {**self.aggregates, top: of_subject}
        grouped: dict[tuple[str, str], list[str]] = {}
        for (kind, ref), aggregates in whole.items():
            worst = min(aggregates, key=lambda a: WORST.index(a) if a in WORST else 0)
            grouped.setdefault((worst, kind), []).append(ref)
        return [{"aggregate": a, kind: sorted(refs)} for (a, kind), refs in sorted(grouped.items())]


def _canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the document with shared refs: the purl, or name@version."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    top = (copy.get("metadata") or {}).get("component")
    names: dict[str, str] = {}
    for one in [*([top] if isinstance(top, dict) else []), *copy.get("components", [])]:
        version = one.get("version")
        ref = one.get("purl") or (f"{one['name']}@{version}" if version else one["name"])
        if "bom-ref" in one:
            names[one["bom-ref"]] = ref
        one["bom-ref"] = ref
    return dict(_rename_refs(copy, names, ""))


def _rename_refs(value: Any, names: Mapping[str, str], under: str) -> Any:
    if isinstance(value, dict):
        return {k: _rename_refs(v, names, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_rename_refs(v, names, under) for v in value]
    return names.get(value, value) if under in REFS and isinstance(value, str) else value


def _join_entries(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join entries of one component into one."""
    fields: dict[str, Any] = {}
    for name in {key: None for one in entries for key in one}:
        values = [one[name] for one in entries if name in one]
        listed = all(isinstance(v, list) for v in values) and name not in SINGLE
        if listed:
            texts = {_text(inner) for value in values for inner in value}
        else:
            texts = {min(map(_text, values), key=lambda t: (-len(t), t))}  # the fuller one
        parsed = [json.loads(text) for text in sorted(texts)]
        fields[name] = parsed if listed else parsed[0]
    by_algorithm: dict[str, set[str]] = {}
    for one in fields.get("hashes", []):
        by_algorithm.setdefault(one["alg"], set()).add(one["content"].lower())
    clash = sorted(alg for alg, values_of in by_algorithm.items() if len(values_of) > 1)
    properties = [p for p in fields.get("properties", []) if p.get("name") != CONFLICT]
    if clash:
        message = f"the documents name different {', '.join(clash)} values for this version"
        properties.append({"name": CONFLICT, "value": message})
    if properties:
        fields["properties"] = sorted(properties, key=_text)
    return {name: fields[name] for name in sorted(fields, key=lambda n: (n not in FIRST, n))}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _parse_all(texts: set[str]) -> list[Any]:
    return [json.loads(text) for text in sorted(texts)]
