"""A VEX statement: what its author says about one vulnerability in one product.

OpenVEX and CycloneDX have different words for the same thing. A statement uses OpenVEX's; where CycloneDX's word was
finer, it is kept in ``finer``, and OpenVEX documents carry it in ``status_notes``.

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
    "read_entries",
    "read_statement",
]

# OpenVEX's statuses, the worst first
STATUSES = ("affected", "under_investigation", "fixed", "not_affected")
# From CycloneDX's word to OpenVEX's
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
# CycloneDX has no word for the last one
OPENVEX_JUSTIFICATIONS = (*dict.fromkeys(JUSTIFICATIONS.values()), "component_not_present")
NAMESPACE = uuid.UUID("5c0f1d2e-2a4b-5d57-9a39-6f0f2b7c4f10")  # of the documents that we write


@dataclass(frozen=True)
class UnreadStatement:
    """An entry of a VEX document that cannot be read."""

    where: str  # its place in the document
    why: str
    ids: frozenset[str]  # the vulnerabilities that it names, as far as those can be read


@dataclass(frozen=True)
class VexStatement:
    """A statement about one vulnerability in one product; an entry about several products becomes several of these.

    Raises `MalformedInput` for an unknown status or justification, no product, a time without a zone, or
    ``not_affected`` without a reason.
    """

    vulnerability: str
    products: tuple[str, ...]  # names of the product, of which any is enough: package URLs and digests (`sha256:…`)
    status: str  # one of STATUSES
    at: datetime
    justification: str = ""  # OpenVEX's word
    impact: str = ""  # prose; for not_affected
    action: str = ""  # prose; for affected
    aliases: tuple[str, ...] = ()
    components: tuple[str, ...] = ()  # names of its components that are meant; empty: the product itself
    finer: tuple[str, str] = ("", "")  # CycloneDX's state and justification, where OpenVEX's are coarser
    by: str = ""  # the signer, once a signature was verified
    signed_at: datetime | None = None  # by a timestamp authority or log, once a signature was verified

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise MalformedInput(
                f"{self.vulnerability}: not a status: {self.status!r}",
                hint=f"one of {', '.join(STATUSES)}",
            )
        if not self.products:
            raise MalformedInput(f"{self.vulnerability}: the statement names no product")
        if self.justification and self.justification not in OPENVEX_JUSTIFICATIONS:
            raise MalformedInput(
                f"{self.vulnerability}: not a justification: {self.justification!r}",
                hint=f"one of {', '.join(OPENVEX_JUSTIFICATIONS)}",
            )
        if self.status == "not_affected" and not (self.justification or self.impact):
            raise MalformedInput(
                f"{self.vulnerability}: not_affected without a justification",
                why="without a reason, nobody can check the statement",
                hint=f"say why: {', '.join(OPENVEX_JUSTIFICATIONS)}",
            )
        if self.at.tzinfo is None:
            raise MalformedInput(f"{self.vulnerability}: the time has no zone")

    @property
    def about(self) -> tuple[str, ...]:
        """The names that the statement is about: its components, or else its products."""
        return self.components or self.products


class VexStatements(list[VexStatement]):
    """The statements of a document, in its order; ``unread`` are its entries that cannot be read."""

    def __init__(self, statements: Iterable[VexStatement], unread: Iterable[UnreadStatement] = ()) -> None:
        super().__init__(statements)
        self.unread = tuple(unread)


def read_entries(
    document: Mapping[str, Any],
    field: str,
    reader: Callable[[Any, str], list[VexStatement]],
    ids_of: Callable[[Any], Iterable[Any]],
) -> VexStatements:
    """Read each entry of a list with ``reader``; an entry that cannot be read spoils itself alone.

    ``ids_of`` gives the vulnerabilities of such an entry. Raises `MalformedInput` when the field is not a list.
    """
    entries = document.get(field)
    if not isinstance(entries, list | None):
        raise MalformedInput(f"{field}: expected a list")
    statements: list[VexStatement] = []
    unread: list[UnreadStatement] = []
    for number, entry in enumerate(entries or ()):
        at = f"{field}[{number}]"
        try:
            statements += reader(entry, at)
        except MalformedInput as error:
            ids = frozenset(name for name in ids_of(entry) if isinstance(name, str))
            unread.append(UnreadStatement(at, error.message, ids))
    return VexStatements(statements, unread)


def read_statement(at: str, when: datetime | None, **values: Any) -> VexStatement:
    """Make a statement from an entry's values; an error names the place ``at``. Raises `MalformedInput`."""
    if not values["vulnerability"]:
        raise MalformedInput(f"{at}: the entry names no vulnerability")
    if when is None:
        raise MalformedInput(f"{at}: neither the entry nor its document has a time")
    try:
        return VexStatement(at=when, **values)
    except MalformedInput as error:
        raise MalformedInput(f"{at}: {error.message}", why=error.why, hint=error.hint) from error
