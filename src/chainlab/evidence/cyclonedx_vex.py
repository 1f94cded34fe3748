"""VEX in CycloneDX 1.6 and 1.7: the claims of any document.

``vulnerabilities[].analysis``, ECMA-424.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainlab.errors import MalformedInput
from chainlab.evidence.claims import (
    JUSTIFICATIONS,
    STATES,
    Claim,
    read_claim,
    read_list,
    read_moment,
    read_object,
    read_objects,
    read_text,
)
from chainlab.evidence.cyclonedx import entries

__all__ = ["read"]


def read(document: Mapping[str, Any]) -> list[Claim]:
    """The claims of a document, in its order; a finding that nobody has judged is none.

    Raises `MalformedInput`, naming the entry.
    """
    named = _identities(document)
    metadata = document.get("metadata")
    made = metadata.get("timestamp") if isinstance(metadata, dict) else None
    found = []
    for number, value in enumerate(read_list(document, "vulnerabilities", "the document")):
        at = f"vulnerabilities[{number}]"
        entry = read_object(value, at)
        if entry.get("analysis") is not None:
            found.append(_claim(entry, at, named, made))
    return found


def _claim(entry: Mapping[str, Any], at: str, named: Mapping[str, str], made: Any) -> Claim:
    analysis = read_object(entry["analysis"], f"{at}.analysis")
    state, word = read_text(analysis, "state", at), read_text(analysis, "justification", at)
    if state not in STATES or (word and word not in JUSTIFICATIONS):
        raise MalformedInput(
            f"{at}.analysis: {(word if state in STATES else state)!r} is no word of CycloneDX",
            mend=f"states: {', '.join(STATES)}; justifications: {', '.join(JUSTIFICATIONS)}",
        )
    status, detail = STATES[state], read_text(analysis, "detail", at)
    refs = [str(each.get("ref")) for each in read_objects(entry, "affects", at)]
    others = [str(each.get("id")) for each in read_objects(entry, "references", at)]
    meant = JUSTIFICATIONS.get(word, "")
    first = next((w for w, m in JUSTIFICATIONS.items() if m == meant), "")
    return read_claim(
        at,
        vulnerability=read_text(entry, "id", at),
        aliases=tuple(others),
        products=tuple(named.get(ref, ref) for ref in refs),
        status=status,
        justification=meant,
        impact=detail if status == "not_affected" else "",
        action=detail if status != "not_affected" else "",
        at=read_moment(analysis.get("lastUpdated") or analysis.get("firstIssued") or made, at),
        finer=(
            state if state in ("resolved_with_pedigree", "false_positive") else "",
            word if word != first else "",
        ),
    )


def _identities(document: Mapping[str, Any]) -> dict[str, str]:
    """What a bom-ref in the same document stands for.

    What the document is about is its bytes, where it has a digest; a component in it is its package URL.
    """
    found: dict[str, str] = {}
    metadata = document.get("metadata")
    root = metadata.get("component") if isinstance(metadata, dict) else None
    for component in entries(document):
        hashes = read_objects(component, "hashes", "a component")
        digests = [f"sha256:{h.get('content')}" for h in hashes if h.get("alg") == "SHA-256"]
        purls = [str(component["purl"])] if component.get("purl") else []
        names = [*digests, *purls] if component is root else [*purls, *digests]
        if component.get("bom-ref") and names:
            found[str(component["bom-ref"])] = names[0]
    return found
