"""Embedded bills of materials: what a package's authors state to be inside it (PEP 770).

    >>> host, parts, spots = read_embedded(host, {"acme_cells-1.2.0.dist-info/sboms/native.cdx.json": data})
    >>> [part.name for part in parts]                                                        # doctest: +SKIP
    ['zlib']

They lie in ``NAME-VERSION.dist-info/sboms/``. Their components are listed as the authors state them, each with the
document that states it: the bytes themselves are not checked here. CycloneDX in JSON is read, anything else becomes a
blind spot. Files inside a component (some documents list thousands) are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from chainlab.errors import MalformedInput
from chainlab.evidence.components import CONFLICT, BlindSpot, Component
from chainlab.evidence.sbom import cyclonedx
from chainlab.evidence.sbom.schema import problems
from chainlab.evidence.statements import parse_json

__all__ = ["MAX_DOCUMENT", "PLACE", "merge_parts", "read_embedded"]

PLACE = re.compile(r"[^/]+\.dist-info/sboms/.*[^/]")  # the path of an SBOM in a wheel
MAX_DOCUMENT = 2**24  # bytes


def read_embedded(
    host: Component, documents: Mapping[str, bytes], others: Mapping[str, str]
) -> tuple[Component, list[Component], list[BlindSpot]]:
    """Read a package's SBOMs, by path. Return the package, which needs what it contains, those parts, and blind spots.

    ``others`` are the refs of other packages by their key: an entry without a version means one of them.
    """
    parts: list[Component] = []
    spots: list[BlindSpot] = []
    for path, data in sorted(documents.items()):
        try:
            refs, listed = _read_document(host, data, others)
        except MalformedInput as error:
            spots.append(BlindSpot("unreadable", f"the SBOM {path}: {error.message}", host.ref))
            continue
        host = replace(host, requires=tuple(sorted({*host.requires, *refs} - {host.ref})))
        parts += [replace(part, found_in=path) for part in listed]
    return host, parts, spots


def merge_parts(parts: Iterable[Component]) -> list[Component]:
    """Merge parts with the same ref: what all documents say about it. A property names hashes that differ."""
    by_ref: dict[str, Component] = {}
    for part in parts:
        first = by_ref.setdefault(part.ref, part)
        clash = sorted(a for a, value in part.hashes.items() if first.hashes.get(a, value) != value)
        message = f"the documents name different {', '.join(clash)} values for this version"
        by_ref[part.ref] = replace(
            first,
            hashes={**part.hashes, **first.hashes},
            requires=tuple(sorted({*first.requires, *part.requires})),
            properties=tuple(sorted({*first.properties, *part.properties, *([(CONFLICT, message)] if clash else ())})),
        )
    return list(by_ref.values())


def _read_document(host: Component, data: bytes, others: Mapping[str, str]) -> tuple[set[str], list[Component]]:
    """Read one document: the refs of what the host consists of, and all components."""
    if len(data) > MAX_DOCUMENT:
        raise MalformedInput(f"longer than {MAX_DOCUMENT} bytes")
    document = parse_json(data, "it")
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise MalformedInput("not CycloneDX in JSON")
    _drop_repeated(document)
    if invalid := problems(document):
        raise MalformedInput(f"not valid: {invalid[0]}")
    for entry in cyclonedx.entries(document):
        if isinstance(entry.get("components"), list):  # a component's files are not components of the environment
            entry["components"] = [part for part in entry["components"] if part.get("type") != "file"]
    bill = cyclonedx.read(document, strict=True)
    listed = ([bill.subject] if bill.subject else []) + list(bill.components)
    numbers = dict(enumerate(listed, 0 if bill.subject else 1))  # as `Bill.edges` counts
    existing = {**others, host.key: host.ref}
    refs = {n: existing.get(one.key, one.ref) if _is_there(one, host) else one.ref for n, one in numbers.items()}
    needs: dict[str, set[str]] = {}
    for parent, child in bill.edges:
        needs.setdefault(refs[parent], set()).add(refs[child])
    parts = [
        replace(one, requires=tuple(sorted(needs.get(one.ref, set()) - {one.ref})))
        for number, one in numbers.items()
        if refs[number] == one.ref != host.ref
    ]
    below = set().union(*(needed for ref, needed in needs.items() if ref != host.ref)) if needs else set()
    tops = {part.ref for part in parts} - below  # so each circle that nothing needs stays reachable through the host
    return needs.get(host.ref, set()) | tops | ({parts[0].ref} if parts and not tops else set()), parts


def _drop_repeated(document: dict[str, Any]) -> None:
    """Drop entries that repeat the subject or an earlier entry, as auditwheel writes them."""
    metadata, listed = document.get("metadata"), document.get("components")
    subject = metadata.get("component") if isinstance(metadata, dict) else None
    if isinstance(listed, list):
        texts = {json.dumps(one, sort_keys=True): one for one in listed}
        texts.pop(json.dumps(subject, sort_keys=True), None)
        document["components"] = list(texts.values())


def _is_there(one: Component, host: Component) -> bool:
    """Whether an entry may mean an installed package: the host itself, or another one if it names no version."""
    is_python = not one.purl.startswith("pkg:") or one.purl.startswith("pkg:pypi/")
    return is_python and one.version in ("", host.version if one.key == host.key else "")
