"""VEX documents: read in both formats, and which statement counts for a vulnerability.

    >>> statements = load(document)                                            # doctest: +SKIP
    >>> for outcome in apply(vulnerabilities, statements, at=now, products=("sha256:…",)):     # doctest: +SKIP
    ...     print(outcome)
    ACME-2026-0003 in northwind-tensors 2.3.0: not_affected (vulnerable_code_not_in_execute_path)

A statement is somebody's opinion. It counts when somebody who may say it has signed it (`verifying`), and when it names
this very version or digest, gives a justification, and is not too old. Otherwise the vulnerability stays open.
`openvex.write` writes a document. OpenVEX 0.2.0; CycloneDX 1.4 to 1.7, ``vulnerabilities[].analysis``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chainlab.clock import rfc3339
from chainlab.errors import MalformedInput
from chainlab.evidence.packages.purls import is_same
from chainlab.evidence.statements import OPENVEX, parse_json
from chainlab.evidence.vex import cyclonedx_vex, openvex
from chainlab.evidence.vex.statement import STATUSES, UnreadStatement, VexStatement, VexStatements
from chainlab.evidence.vulnerabilities import Vulnerability

__all__ = ["VexOutcome", "apply", "load"]

MAX_AGE = timedelta(days=90)
SKEW = timedelta(minutes=5)  # between the author's clock and the one that stamps the signature


@dataclass(frozen=True)
class VexOutcome:
    """One vulnerability after VEX."""

    vulnerability: Vulnerability
    answer: str  # open, not_affected, fixed or stale
    message: str
    by: str = ""  # who signed the statement that counted

    def __str__(self) -> str:
        about = self.vulnerability
        message = f" ({self.message})" if self.message else ""
        return f"{about.id} in {about.component} {about.version}: {self.answer}{message}"


def load(data: bytes | Mapping[str, Any]) -> VexStatements:
    """Read an OpenVEX or CycloneDX document: its bytes, or a signed statement's predicate; in the document's order.

    An entry that cannot be read, or says not_affected without a reason, is in ``unread``. Raises `MalformedInput` for a
    document in another format.
    """
    document = parse_json(data, "the VEX document") if isinstance(data, bytes) else data
    if isinstance(document, Mapping) and document.get("bomFormat") == "CycloneDX":
        return cyclonedx_vex.read(document)
    context = document.get("@context") if isinstance(document, Mapping) else None
    if isinstance(context, str) and context.startswith("https://openvex.dev/ns"):
        return openvex.read(document)
    raise MalformedInput(
        "this is neither OpenVEX nor CycloneDX",
        hint=f"OpenVEX has the @context {OPENVEX!r}, CycloneDX the bomFormat 'CycloneDX'",
    )


def apply(
    vulnerabilities: Iterable[Vulnerability],
    statements: Iterable[VexStatement],
    at: datetime,
    *,
    products: Iterable[str] = (),
    max_age: timedelta = MAX_AGE,
    unread: Iterable[UnreadStatement] = (),
) -> list[VexOutcome]:
    """Judge each vulnerability at a moment by the statements about it; outcomes in the order of the vulnerabilities.

    ``products`` are the package URLs and digests (``sha256:…``) of what is shipped. A statement about a product as a
    whole counts for what it contains; one about a component of a product counts inside that product only. The statement
    signed last counts. Within one document, or without signatures, the newest by its own time counts, and of two that
    are equally new the worse one. A statement dated after its signature excuses nothing. An entry in ``unread`` leaves
    the vulnerabilities that it names open: nobody knows what it says.
    """
    shipped, listed, unreadable = frozenset(products), list(statements), list(unread)
    return [
        _unless_unread(unreadable, _outcome(vulnerability, listed, shipped, at, max_age))
        for vulnerability in vulnerabilities
    ]


def _unless_unread(unread: list[UnreadStatement], outcome: VexOutcome) -> VexOutcome:
    """The outcome; open where an entry about the vulnerability cannot be read."""
    entry = next((entry for entry in unread if outcome.vulnerability.ids & entry.ids), None)
    if entry is None:
        return outcome
    return replace(outcome, answer="open", message=f"a statement about it cannot be read: {entry.why}")


def _outcome(
    vulnerability: Vulnerability,
    statements: list[VexStatement],
    shipped: frozenset[str],
    at: datetime,
    max_age: timedelta,
) -> VexOutcome:
    by_id = [each for each in statements if vulnerability.ids & {each.vulnerability, *each.aliases}]
    about = [each for each in by_id if _is_about(each, vulnerability, shipped)]
    current = [each for each in about if each.signed_at or each.at <= at]
    if not current:
        if about:
            return VexOutcome(vulnerability, "open", "the statement is dated after now")
        if by_id:
            other = ", ".join(sorted({product for each in by_id for product in each.about})[:3])
            return VexOutcome(vulnerability, "open", f"a statement is about {other}, not about this")
        return VexOutcome(vulnerability, "open", "no statement is about it")
    newest: dict[tuple[datetime, str], VexStatement] = {}  # of each document
    for each in sorted(current, key=lambda s: (s.at, -STATUSES.index(s.status))):
        newest[each.signed_at or each.at, each.by] = each
    signed_at, statement = max(
        ((moment, each) for (moment, _), each in newest.items()), key=lambda s: (s[0], -STATUSES.index(s[1].status))
    )
    age = at - min(statement.at, signed_at)
    answer, message = statement.status, statement.justification
    if statement.status in ("affected", "under_investigation"):
        answer, message = "open", statement.action or statement.status.replace("_", " ")
    elif statement.at > signed_at + SKEW:
        dated, signed = rfc3339(statement.at), rfc3339(signed_at)
        answer, message = "open", f"the statement is dated {dated}, and was signed at {signed}"
    elif age > max_age:
        answer, message = "stale", f"the statement is {age.days} days old, and the limit is {max_age.days}"
    elif statement.status == "not_affected" and not statement.justification:
        answer, message = "open", "the statement has no justification that a machine can read"
    return VexOutcome(vulnerability, answer, message, statement.by)


def _is_about(statement: VexStatement, vulnerability: Vulnerability, shipped: frozenset[str]) -> bool:
    """Whether a statement names this component, or the product that it is shipped in, at this version."""
    in_product = _is_shipped(statement, shipped)
    if statement.components:
        return in_product and any(is_same(name, vulnerability.purl) for name in statement.components)
    return in_product or any(is_same(name, vulnerability.purl) for name in statement.products)


def _is_shipped(statement: VexStatement, shipped: frozenset[str]) -> bool:
    """Whether the statement's product is shipped; when both sides have digests, one digest has to be on both."""
    same = {name for name in statement.products if any(is_same(name, product) for product in shipped)}
    digests = {name for name in statement.products if name.startswith("sha256:")}
    if digests and any(product.startswith("sha256:") for product in shipped):
        return bool(same & digests)
    return bool(same)
