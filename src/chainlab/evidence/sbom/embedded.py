"""Embedded bills of materials: what a package's own authors say is inside it (PEP 770).

    >>> host, parts, spots = read_embedded(host, {"acme_cells-1.2.0.dist-info/sboms/native.cdx.json": data})
    >>> [part.name for part in parts]                                                        # doctest: +SKIP
    ['zlib']

They lie in ``NAME-VERSION.dist-info/sboms/``. Their components are listed as their authors state them: nobody here has
seen those bytes, so each says in which document it was found. CycloneDX in JSON is read, anything else is named. Files
inside a component (some documents list them by the thousand) are left out.
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

PLACE = re.compile(r"[^/]+\.dist-info/sboms/.*[^/]")  # of a file in a wheel
MAX_DOCUMENT = 2**24  # bytes


def read_embedded(
    host: Component, documents: Mapping[str, bytes], known: Mapping[str, str]
) -> tuple[Component, list[Component], list[BlindSpot]]:
    """The package with what it contains as its needs, the components of its documents, and what could not be read.

    ``known`` are refs of other packages by their key: an entry without a version means one of them.
    """
    found: list[Component] = []
    spots: list[BlindSpot] = []
    for path, data in sorted(documents.items()):
        try:
            refs, parts = _parts(host, data, known)
        except MalformedInput as error:
            spots.append(BlindSpot("unreadable", f"the SBOM {path}: {error.message}", host.ref))
            continue
        host = replace(host, requires=tuple(sorted({*host.requires, *refs} - {host.ref})))
        found += [replace(part, found_in=path) for part in parts]
    return host, found, spots


def merge_parts(parts: Iterable[Component]) -> list[Component]:
    """Each ref once, with what all documents say of it; a property names hashes that differ."""
    found: dict[str, Component] = {}
    for part in parts:
        known = found.setdefault(part.ref, part)
        clash = sorted(a for a, value in part.hashes.items() if known.hashes.get(a, value) != value)
        said = f"the documents name different {', '.join(clash)} values for this version"
        found[part.ref] = replace(
            known,
            hashes={**part.hashes, **known.hashes},
            requires=tuple(sorted({*known.requires, *part.requires})),
            properties=tuple(sorted({*known.properties, *part.properties, *([(CONFLICT, said)] if clash else ())})),
        )
    return list(found.values())


def _parts(host: Component, data: bytes, known: Mapping[str, str]) -> tuple[set[str], list[Component]]:
    """What the host is put together from, by ref, and every component of one document."""
    if len(data) > MAX_DOCUMENT:
        raise MalformedInput(f"longer than {MAX_DOCUMENT} bytes")
    document = parse_json(data, "it")
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise MalformedInput("not CycloneDX in JSON")
    _drop_repeated(document)
    if wrong := problems(document):
        raise MalformedInput(f"not valid: {wrong[0]}")
    for entry in cyclonedx.entries(document):
        if isinstance(entry.get("components"), list):  # a component's own files are no components of the environment
            entry["components"] = [part for part in entry["components"] if part.get("type") != "file"]
    bill = cyclonedx.read(document, strict=True)
    listed = ([bill.subject] if bill.subject else []) + list(bill.components)
    numbers = dict(enumerate(listed, 0 if bill.subject else 1))  # as `Bill.edges` counts
    same = {**known, host.key: host.ref}
    refs = {n: same[one.key] if one.key in same and _is_one(one, host) else one.ref for n, one in numbers.items()}
    needs: dict[str, set[str]] = {}
    for parent, child in bill.edges:
        needs.setdefault(refs[parent], set()).add(refs[child])
    parts = [
        replace(one, requires=tuple(sorted(needs.get(one.ref, set()) - {one.ref})))
        for number, one in numbers.items()
        if refs[number] == one.ref != host.ref
    ]
    below = set().union(*(needed for ref, needed in needs.items() if ref != host.ref)) if needs else set()
    tops = {part.ref for part in parts} - below  # each circle that nobody needs stays reachable through the host
    return needs.get(host.ref, set()) | tops | ({parts[0].ref} if parts and not tops else set()), parts


def _drop_repeated(document: dict[str, Any]) -> None:
    """Drop entries that say again what the subject or one before them says, as auditwheel writes them."""
    metadata, listed = document.get("metadata"), document.get("components")
    subject = metadata.get("component") if isinstance(metadata, dict) else None
    if isinstance(listed, list):
        texts = {json.dumps(one, sort_keys=True): one for one in listed}
        texts.pop(json.dumps(subject, sort_keys=True), None)
        document["components"] = list(texts.values())


def _is_one(one: Component, host: Component) -> bool:
    """Whether an entry means a package that is there: the host itself, or another when it names no version."""
    is_python = not one.purl.startswith("pkg:") or one.purl.startswith("pkg:pypi/")
    return is_python and one.version in ("", host.version if one.key == host.key else "")
