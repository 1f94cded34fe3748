"""Claims: what somebody says about a vulnerability in a product, in the words of OpenVEX and CycloneDX.

The two do not have the same words. Where OpenVEX cannot say what CycloneDX said, the finer word is kept beside it, in
``status_notes``.

| OpenVEX justification | CycloneDX justification |
|---|---|
| component_not_present, vulnerable_code_not_present | code_not_present |
| vulnerable_code_not_in_execute_path | code_not_reachable |
| vulnerable_code_cannot_be_controlled_by_adversary | requires_configuration, …_dependency, …_environment |
| inline_mitigations_already_exist | protected_by_mitigating_control, …_by_compiler, …_at_runtime, …_at_perimeter |

    >>> VexStatement("ACME-2026-0003", ("pkg:pypi/acme-cells@1.2.0",), "not_affected", now)    # doctest: +SKIP
    Traceback (most recent call last):
    chainlab.errors.MalformedInput: ACME-2026-0003: not_affected without a justification

OpenVEX 0.2.0; CycloneDX 1.6 and 1.7.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chainlab.errors import MalformedInput

__all__ = [
    "JUSTIFICATIONS",
    "STATES",
    "STATUSES",
    "UnreadStatement",
    "VexStatement",
    "VexStatements",
    "read_each",
    "read_statement",
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
class UnreadStatement:
    """An entry of a VEX document that cannot be read."""

    where: str
    why: str
    ids: frozenset[str]  # of the vulnerabilities that it names, as far as that can be read


@dataclass(frozen=True)
class VexStatement:
    """What an author says about a vulnerability in one product; a statement about several is several claims."""

    vulnerability: str
    products: tuple[str, ...]  # names of the product, of which any is enough: package URLs and digests (`sha256:…`)
    status: str  # one of STATUSES
    at: datetime
    justification: str = ""  # OpenVEX's word
    impact: str = ""  # prose; for not_affected
    action: str = ""  # prose; for affected
    aliases: tuple[str, ...] = ()
    components: tuple[str, ...] = ()  # names of its components that are meant; empty: the product itself
    finer: tuple[str, str] = ("", "")  # CycloneDX's two words, where OpenVEX's are coarser
    by: str = ""  # who signed it, and when, by the word of somebody else; for a claim that was verified
    signed_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise MalformedInput(
                f"{self.vulnerability}: {self.status!r} is no status",
                hint=f"one of {', '.join(STATUSES)}",
            )
        if not self.products:
            raise MalformedInput(f"{self.vulnerability}: the claim names no product")
        if self.justification and self.justification not in OPENVEX_JUSTIFICATIONS:
            raise MalformedInput(
                f"{self.vulnerability}: {self.justification!r} is no justification",
                hint=f"one of {', '.join(OPENVEX_JUSTIFICATIONS)}",
            )
        if self.status == "not_affected" and not (self.justification or self.impact):
            raise MalformedInput(
                f"{self.vulnerability}: not_affected without a justification",
                why="whoever reads it cannot check an opinion without its reason",
                hint=f"say why: {', '.join(OPENVEX_JUSTIFICATIONS)}",
            )
        if self.at.tzinfo is None:
            raise MalformedInput(f"{self.vulnerability}: the time has no zone")

    @property
    def about(self) -> tuple[str, ...]:
        """What the claim is about: components in products, or the products."""
        return self.components or self.products


class VexStatements(list[VexStatement]):
    """The claims of a document, in its order; ``void`` are its entries that cannot be read."""

    def __init__(self, claims: Iterable[VexStatement], void: Iterable[UnreadStatement] = ()) -> None:
        super().__init__(claims)
        self.void = tuple(void)


def read_each(
    document: Mapping[str, Any],
    field: str,
    reader: Callable[[Any, str], list[VexStatement]],
    names: Callable[[Any], Iterable[Any]],
) -> VexStatements:
    """The claims of each entry of a list. One that cannot be read voids itself alone, whatever else it may say.

    ``names`` gives the vulnerabilities of such an entry. Raises `MalformedInput` for what is not a list.
    """
    entries = document.get(field)
    if not isinstance(entries, list | None):
        raise MalformedInput(f"{field}: expected a list")
    claims: list[VexStatement] = []
    void: list[UnreadStatement] = []
    for number, entry in enumerate(entries or ()):
        at = f"{field}[{number}]"
        try:
            claims += reader(entry, at)
        except MalformedInput as error:
            void.append(
                UnreadStatement(at, error.message, frozenset(name for name in names(entry) if isinstance(name, str)))
            )
    return VexStatements(claims, void)


def read_statement(at: str, when: datetime | None, **values: Any) -> VexStatement:
    """A claim; what is wrong with it is said with the place. Raises `MalformedInput`."""
    if not values["vulnerability"]:
        raise MalformedInput(f"{at}: no vulnerability is named")
    if when is None:
        raise MalformedInput(f"{at}: no time says when this was claimed")
    try:
        return VexStatement(at=when, **values)
    except MalformedInput as error:
        raise MalformedInput(f"{at}: {error.message}", why=error.why, hint=error.hint) from error
