"""VEX in CycloneDX 1.6 and 1.7: claims written as a document of its own, and read from any document.

    >>> read(write(claims, at=now)) == claims                                   # doctest: +SKIP
    True

``vulnerabilities[].analysis``, ECMA-424.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.evidence.claims import (
    COARSER,
    JUSTIFICATIONS,
    NAMESPACE,
    STATES,
    Claim,
    read_claim,
    read_list,
    read_moment,
    read_object,
    read_objects,
    read_text,
)

__all__ = ["read", "write"]

EXACT, COMPONENTS = "chainlab:openvex:justification", "chainlab:openvex:subcomponents"


def write(claims: Iterable[Claim], *, at: datetime, spec: str = "1.6") -> dict[str, Any]:
    """A CycloneDX VEX document of its own (no components); the same claims give the same bytes."""
    states = {status: state for state, status in reversed(STATES.items())}
    words = {meant: word for word, meant in reversed(JUSTIFICATIONS.items())} | COARSER
    vulnerabilities = []
    for claim in claims:
        state, justification = claim.finer
        analysis: dict[str, Any] = {"state": state or states[claim.status]}
        if claim.justification:
            analysis["justification"] = justification or words[claim.justification]
        if claim.impact or claim.action:
            analysis["detail"] = claim.impact or claim.action
        analysis["lastUpdated"] = rfc3339(claim.at)
        kept = []
        if claim.justification in COARSER:
            kept.append({"name": EXACT, "value": claim.justification})
        kept += [{"name": COMPONENTS, "value": purl} for purl in claim.components]
        entry: dict[str, Any] = {"id": claim.vulnerability}
        if claim.aliases:
            entry["references"] = [
                {"id": alias, "source": {"name": alias.partition("-")[0]}} for alias in claim.aliases
            ]
        entry |= {"analysis": analysis, "affects": [{"ref": each} for each in claim.products]}
        if kept:
            entry["properties"] = kept
        vulnerabilities.append(entry)
    content = json.dumps([rfc3339(at), spec, vulnerabilities], sort_keys=True)
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{spec}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": spec,
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, content)}",
        "version": 1,
        "metadata": {"timestamp": rfc3339(at)},
        "vulnerabilities": vulnerabilities,
    }


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
    properties = read_objects(entry, "properties", at)
    exact = [str(each.get("value")) for each in properties if each.get("name") == EXACT]
    parts = [str(each.get("value")) for each in properties if each.get("name") == COMPONENTS]
    refs = [str(each.get("ref")) for each in read_objects(entry, "affects", at)]
    others = [str(each.get("id")) for each in read_objects(entry, "references", at)]
    is_exact = bool(exact) and COARSER.get(exact[0]) == word
    meant = exact[0] if is_exact else JUSTIFICATIONS.get(word, "")
    first = next((w for w, m in JUSTIFICATIONS.items() if m == meant), "")
    return read_claim(
        at,
        vulnerability=read_text(entry, "id", at),
        aliases=tuple(others),
        products=tuple(named.get(ref, ref) for ref in refs),
        components=tuple(parts),
        status=status,
        justification=meant,
        impact=detail if status == "not_affected" else "",
        action=detail if status != "not_affected" else "",
        at=read_moment(analysis.get("lastUpdated") or analysis.get("firstIssued") or made, at),
        finer=(
            state if state in ("resolved_with_pedigree", "false_positive") else "",
            word if word and not exact and word != first else "",
        ),
    )


def _identities(document: Mapping[str, Any]) -> dict[str, str]:
    """What a bom-ref in the same document stands for.

    What the document is about is its bytes, where it has a digest; a component in it is its package URL.
    """
    found: dict[str, str] = {}
    metadata = document.get("metadata")
    root = metadata.get("component") if isinstance(metadata, dict) else None
    waiting = [*([root] if root else []), *read_list(document, "components", "the document")]
    while waiting:
        component = waiting.pop()
        if not isinstance(component, dict):
            continue
        waiting += [each for each in component.get("components") or [] if isinstance(each, dict)]
        hashes = [each for each in component.get("hashes") or [] if isinstance(each, dict)]
        digests = [f"sha256:{h.get('content')}" for h in hashes if h.get("alg") == "SHA-256"]
        purls = [str(component["purl"])] if component.get("purl") else []
        names = [*digests, *purls] if component is root else [*purls, *digests]
        if component.get("bom-ref") and names:
            found[str(component["bom-ref"])] = names[0]
    return found
