"""Claims: what somebody says about a vulnerability in products, in the words of OpenVEX and CycloneDX.

The two do not have the same words. Where OpenVEX cannot say what CycloneDX said, the finer word is kept beside it, in
``status_notes``.

| OpenVEX justification | CycloneDX justification |
|---|---|
| component_not_present, vulnerable_code_not_present | code_not_present |
| vulnerable_code_not_in_execute_path | code_not_reachable |
| vulnerable_code_cannot_be_controlled_by_adversary | requires_configuration, …_dependency, …_environment |
| inline_mitigations_already_exist | protected_by_mitigating_control, …_by_compiler, …_at_runtime, …_at_perimeter |

    >>> Claim("ACME-2026-0003", ("pkg:pypi/acme-cells@1.2.0",), "not_affected", now)    # doctest: +SKIP
    Traceback (most recent call last):
    chainlab.errors.MalformedInput: ACME-2026-0003: not_affected without a justification

OpenVEX 0.2.0; CycloneDX 1.6 and 1.7.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chainlab.errors import MalformedInput

__all__ = [
    "JUSTIFICATIONS",
    "STATES",
    "STATUSES",
    "Claim",
    "read_claim",
    "read_list",
    "read_moment",
    "read_object",
    "read_objects",
    "read_text",
]

# OpenVEX's, the worst first.
STATUSES = ("affected", "under_investigation", "fixed", "not_affected")
# CycloneDX's word, and OpenVEX's for it.
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
# CycloneDX has no word for the last one.
OPENVEX_JUSTIFICATIONS = (*dict.fromkeys(JUSTIFICATIONS.values()), "component_not_present")
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
    finer: tuple[str, str] = ("", "")  # CycloneDX's two words, where OpenVEX's are coarser
    by: str = ""  # who signed it, and when, by the word of somebody else; for a claim that was verified
    signed_at: datetime | None = None

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


def read_claim(where: str, **values: Any) -> Claim:
    """A claim; what is wrong with it is said with the place. Raises `MalformedInput`."""
    if not values["vulnerability"]:
        raise MalformedInput(f"{where}: no vulnerability is named")
    try:
        return Claim(**values)
    except MalformedInput as error:
        raise MalformedInput(f"{where}: {error.message}", why=error.why, mend=error.mend) from error


def read_object(value: Any, at: str) -> Mapping[str, Any]:
    """An object. Raises `MalformedInput` for anything else."""
    if not isinstance(value, dict):
        raise MalformedInput(f"{at}: expected an object")
    return value


def read_list(entry: Mapping[str, Any], name: str, at: str) -> list[Any]:
    """A list, empty where there is none. Raises `MalformedInput` for anything else."""
    value = entry.get(name, [])
    if not isinstance(value, list):
        raise MalformedInput(f"{at}.{name}: expected a list")
    return value


def read_objects(entry: Mapping[str, Any], name: str, at: str) -> list[Mapping[str, Any]]:
    """A list of objects, empty where there is none. Raises `MalformedInput` for anything else."""
    return [read_object(value, f"{at}.{name}") for value in read_list(entry, name, at)]


def read_text(entry: Mapping[str, Any], name: str, at: str) -> str:
    """A text, empty where there is none. Raises `MalformedInput` for anything else."""
    value = entry.get(name, "")
    if not isinstance(value, str):
        raise MalformedInput(f"{at}.{name}: expected a text")
    return value


def read_moment(value: Any, at: str) -> datetime:
    """A time with its zone. Raises `MalformedInput` for anything else."""
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedInput(f"{at}: no time says when this was claimed")
    return moment
