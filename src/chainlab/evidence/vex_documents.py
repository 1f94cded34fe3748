"""VEX documents: claims read from OpenVEX or CycloneDX, and written as either.

    >>> load(json.dumps(openvex(claims, author="security@acme.example", at=now)).encode()) == claims   # doctest: +SKIP
    True

The two do not have the same words. Where one cannot say what the other said, the finer word is kept beside it (in
OpenVEX's ``status_notes``, in CycloneDX's ``properties``), so that nothing is lost on the way there and back.

| OpenVEX justification | CycloneDX justification |
|---|---|
| component_not_present, vulnerable_code_not_present | code_not_present |
| vulnerable_code_not_in_execute_path | code_not_reachable |
| vulnerable_code_cannot_be_controlled_by_adversary | requires_configuration, requires_dependency, requires_environment |
| inline_mitigations_already_exist | protected_by_compiler, …_at_runtime, …_at_perimeter, …_by_mitigating_control |

OpenVEX 0.2.0; CycloneDX 1.6 and 1.7.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.evidence.statements import OPENVEX, parse_json

__all__ = ["JUSTIFICATIONS", "STATES", "STATUSES", "Claim", "cyclonedx", "load", "openvex"]

STATUSES = (
    "affected",
    "under_investigation",
    "fixed",
    "not_affected",
)  # OpenVEX's, the worst first
# CycloneDX's word, and OpenVEX's for it; the first for each is the one written.
STATES = {
    "exploitable": "affected",
    "in_triage": "under_investigation",
    "resolved": "fixed",
    "resolved_with_pedigree": "fixed",
    "not_affected": "not_affected",
    "false_positive": "not_affected",
}
JUSTIFICATIONS = {
    "code_not_present": "vulnerable_code_not_present",
    "code_not_reachable": "vulnerable_code_not_in_execute_path",
    "requires_configuration": "vulnerable_code_cannot_be_controlled_by_adversary",
    "requires_dependency": "vulnerable_code_cannot_be_controlled_by_adversary",
    "requires_environment": "vulnerable_code_cannot_be_controlled_by_adversary",
    "protected_by_mitigating_control": "inline_mitigations_already_exist",
    "protected_by_compiler": "inline_mitigations_already_exist",
    "protected_at_runtime": "inline_mitigations_already_exist",
    "protected_at_perimeter": "inline_mitigations_already_exist",
}
COARSER = {"component_not_present": "code_not_present"}  # OpenVEX's word that CycloneDX has not
OPENVEX_JUSTIFICATIONS = (*dict.fromkeys(JUSTIFICATIONS.values()), *COARSER)
NOTE = re.compile(r"CycloneDX: (\w+)(?:, (\w+))?")
EXACT, COMPONENTS = "chainlab:openvex:justification", "chainlab:openvex:subcomponents"
NAMESPACE = uuid.UUID("5c0f1d2e-2a4b-5d57-9a39-6f0f2b7c4f10")  # of the documents that we write


@dataclass(frozen=True)
class Claim:
    """One statement: what its author says about a vulnerability in products."""

    vulnerability: str
    products: tuple[str, ...]  # package URLs and digests (`sha256:…`)
    status: str  # one of STATUSES
    at: datetime
    justification: str = ""  # OpenVEX's word
    impact: str = ""  # prose; for not_affected
    action: str = ""  # prose; for affected
    aliases: tuple[str, ...] = ()
    components: tuple[str, ...] = ()  # in the products; empty: the products themselves
    finer: tuple[str, str] = (
        "",
        "",
    )  # CycloneDX's state and justification, where OpenVEX's are coarser

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise MalformedInput(
                f"{self.vulnerability}: {self.status!r} is no status",
                mend=f"one of {', '.join(STATUSES)}",
            )
        if not self.products:
            raise MalformedInput(f"{self.vulnerability}: the claim names no product")
        if self.justification and self.justification not in OPENVEX_JUSTIFICATIONS:
            raise MalformedInput(
                f"{self.vulnerability}: {self.justification!r} is no justification",
                mend=f"one of {', '.join(OPENVEX_JUSTIFICATIONS)}",
            )
        if self.status == "not_affected" and not (self.justification or self.impact):
            raise MalformedInput(
                f"{self.vulnerability}: not_affected without a justification",
                why="whoever reads it cannot check an opinion without its reason",
                mend=f"say why: {', '.join(OPENVEX_JUSTIFICATIONS)}",
            )
        if self.at.tzinfo is None:
            raise MalformedInput(f"{self.vulnerability}: the time has no zone")

    @property
    def about(self) -> tuple[str, ...]:
        """What the claim is about: components in products, or the products."""
        return self.components or self.products


def load(data: bytes) -> list[Claim]:
    """The claims of an OpenVEX or CycloneDX document, in its order.

    Raises `MalformedInput`, naming the statement, for what cannot be read; not_affected without a reason is refused.
    """
    document = parse_json(data, "the VEX document")
    if isinstance(document, dict) and document.get("bomFormat") == "CycloneDX":
        return _from_cyclonedx(document)
    context = document.get("@context") if isinstance(document, dict) else None
    if isinstance(context, str) and context.startswith("https://openvex.dev/ns"):
        return _from_openvex(document)
    raise MalformedInput(
        "this is neither OpenVEX nor CycloneDX",
        mend=f"OpenVEX has the @context {OPENVEX!r}, CycloneDX the bomFormat 'CycloneDX'",
    )


def openvex(
    claims: Iterable[Claim], *, author: str, at: datetime, version: int = 1, role: str = ""
) -> dict[str, Any]:
    """An OpenVEX 0.2.0 document; the same claims give the same bytes. Raise ``version`` with every change."""
    statements = []
    for claim in claims:
        products: list[dict[str, Any]] = [_product(product) for product in claim.products]
        for product in products:
            if claim.components:
                product["subcomponents"] = [_product(each) for each in claim.components]
        named: dict[str, Any] = {"name": claim.vulnerability}
        if claim.aliases:
            named["aliases"] = list(claim.aliases)
        written = {
            "vulnerability": named,
            "timestamp": rfc3339(claim.at),
            "products": products,
            "status": claim.status,
            "justification": claim.justification,
            "impact_statement": claim.impact,
            "action_statement": claim.action,
            "status_notes": "CycloneDX: " + ", ".join(filter(None, claim.finer))
            if any(claim.finer)
            else "",
        }
        if claim.status == "affected" and not claim.action:
            written["action_statement"] = "no action is decided yet"  # OpenVEX demands one
        statements.append({name: value for name, value in written.items() if value})
    content = json.dumps([author, rfc3339(at), version, statements], sort_keys=True)
    return {
        "@context": OPENVEX,
        "@id": f"https://openvex.dev/docs/chainlab/vex-{uuid.uuid5(NAMESPACE, content)}",
        "author": author,
        **({"role": role} if role else {}),
        "timestamp": rfc3339(at),
        "version": version,
        "statements": statements,
    }


def cyclonedx(claims: Iterable[Claim], *, at: datetime, spec: str = "1.6") -> dict[str, Any]:
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
                {"id": alias, "source": {"name": alias.partition("-")[0]}}
                for alias in claim.aliases
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


def _product(name: str) -> dict[str, Any]:
    if name.startswith("sha256:"):
        return {"@id": name, "hashes": {"sha-256": name.removeprefix("sha256:")}}
    if name.startswith("pkg:"):
        return {"@id": name, "identifiers": {"purl": name}}
    return {"@id": name}


def _from_openvex(document: Mapping[str, Any]) -> list[Claim]:
    found = []
    for number, statement in enumerate(_list(document, "statements", "the document")):
        at = f"statements[{number}]"
        named = _object(statement, at).get("vulnerability")
        if isinstance(named, str):  # as OpenVEX 0.0.x wrote it
            named = {"name": named}
        named = _object(named, f"{at}.vulnerability")
        products, components = [], []
        for product in _list(statement, "products", at):
            products += _names(_object(product, f"{at}.products"))
            for part in _list(product, "subcomponents", at):
                components += _names(_object(part, f"{at}.subcomponents"))
        when = statement.get("last_updated") or statement.get("timestamp")
        when = when or document.get("last_updated") or document.get("timestamp")
        note = NOTE.fullmatch(_text(statement, "status_notes", at))
        found.append(
            _claim(
                at,
                vulnerability=_text(named, "name", at) or _text(named, "@id", at),
                aliases=tuple(str(alias) for alias in _list(named, "aliases", at)),
                products=tuple(dict.fromkeys(products)),
                components=tuple(dict.fromkeys(components)),
                status=_text(statement, "status", at),
                justification=_text(statement, "justification", at),
                impact=_text(statement, "impact_statement", at),
                action=_text(statement, "action_statement", at),
                at=_moment(when, at),
                finer=_finer(note[1], note[2] or "") if note else ("", ""),
            )
        )
    return found


def _finer(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first in STATES else ("", first)


def _from_cyclonedx(document: Mapping[str, Any]) -> list[Claim]:
    named = _identities(document)
    metadata = document.get("metadata")
    made = metadata.get("timestamp") if isinstance(metadata, dict) else None
    found = []
    for number, entry in enumerate(_list(document, "vulnerabilities", "the document")):
        at = f"vulnerabilities[{number}]"
        analysis = _object(entry, at).get("analysis")
        if analysis is None:  # a finding that nobody has judged
            continue
        state = _text(_object(analysis, f"{at}.analysis"), "state", at)
        word = _text(analysis, "justification", at)
        if state not in STATES or (word and word not in JUSTIFICATIONS):
            raise MalformedInput(
                f"{at}.analysis: {(word if state in STATES else state)!r} is no word of CycloneDX",
                mend=f"states: {', '.join(STATES)}; justifications: {', '.join(JUSTIFICATIONS)}",
            )
        status, detail = STATES[state], _text(analysis, "detail", at)
        properties = [_object(each, f"{at}.properties") for each in _list(entry, "properties", at)]
        kept = [str(each.get("value")) for each in properties if each.get("name") == EXACT]
        meant = kept[0] if kept and COARSER.get(kept[0]) == word else JUSTIFICATIONS.get(word, "")
        parts = [str(each.get("value")) for each in properties if each.get("name") == COMPONENTS]
        refs = [
            str(_object(each, f"{at}.affects").get("ref")) for each in _list(entry, "affects", at)
        ]
        others = [_object(each, f"{at}.references") for each in _list(entry, "references", at)]
        finer_state = state if state in ("resolved_with_pedigree", "false_positive") else ""
        first = next((w for w, m in JUSTIFICATIONS.items() if m == meant), "")
        finer_word = word if word and not kept and word != first else ""
        found.append(
            _claim(
                at,
                vulnerability=_text(entry, "id", at),
                aliases=tuple(str(each.get("id")) for each in others),
                products=tuple(name for ref in refs for name in named.get(ref, (ref,))),
                components=tuple(parts),
                status=status,
                justification=meant,
                impact=detail if status == "not_affected" else "",
                action=detail if status != "not_affected" else "",
                at=_moment(analysis.get("lastUpdated") or analysis.get("firstIssued") or made, at),
                finer=(finer_state, finer_word),
            )
        )
    return found


def _identities(document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What a bom-ref in the same document stands for: the component's package URL and SHA-256."""
    found: dict[str, tuple[str, ...]] = {}
    metadata = document.get("metadata")
    root = metadata.get("component") if isinstance(metadata, dict) else None
    waiting = [*([root] if root else []), *_list(document, "components", "the document")]
    while waiting:
        component = waiting.pop()
        if not isinstance(component, dict):
            continue
        waiting += [each for each in component.get("components") or [] if isinstance(each, dict)]
        hashes = [each for each in component.get("hashes") or [] if isinstance(each, dict)]
        names = [str(component["purl"])] if component.get("purl") else []
        names += [f"sha256:{h.get('content')}" for h in hashes if h.get("alg") == "SHA-256"]
        if component.get("bom-ref") and names:
            found[str(component["bom-ref"])] = tuple(names)
    return found


def _names(product: Mapping[str, Any]) -> list[str]:
    """Every name of an OpenVEX product: identifiers and hashes, else its @id."""
    identifiers, hashes = product.get("identifiers"), product.get("hashes")
    found = []
    if isinstance(identifiers, dict) and isinstance(identifiers.get("purl"), str):
        found.append(identifiers["purl"])
    if isinstance(hashes, dict) and isinstance(hashes.get("sha-256"), str):
        found.append(f"sha256:{hashes['sha-256']}")
    if not found and isinstance(product.get("@id"), str):
        found.append(product["@id"])
    return found


def _claim(where: str, **values: Any) -> Claim:
    if not values["vulnerability"]:
        raise MalformedInput(f"{where}: no vulnerability is named")
    try:
        return Claim(**values)
    except MalformedInput as error:
        raise MalformedInput(f"{where}: {error.message}", why=error.why, mend=error.mend) from error


def _object(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedInput(f"{at}: expected an object")
    return value


def _list(entry: Mapping[str, Any], name: str, at: str) -> list[Any]:
    value = entry.get(name, [])
    if not isinstance(value, list):
        raise MalformedInput(f"{at}.{name}: expected a list")
    return value


def _text(entry: Mapping[str, Any], name: str, at: str) -> str:
    value = entry.get(name, "")
    if not isinstance(value, str):
        raise MalformedInput(f"{at}.{name}: expected a text")
    return value


def _moment(value: Any, at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedInput(f"{at}: no time says when this was claimed")
    return moment
