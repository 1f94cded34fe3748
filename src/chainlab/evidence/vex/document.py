"""VEX: what somebody says about a vulnerability in a product, and whether it counts.

OpenVEX and CycloneDX say the same in different words; a `VexStatement` is what both mean. Both formats are read, and
OpenVEX is written (`openvex.write`).

    >>> claims = load(document)                                                # doctest: +SKIP
    >>> for outcome in apply(found, claims, at=now, products=("sha256:…",)):   # doctest: +SKIP
    ...     print(outcome)
    ACME-2026-0003 in northwind-tensors 2.3.0: not_affected (vulnerable_code_not_in_execute_path)

A claim is somebody's opinion: it counts when it is signed by whoever may say it (`verifying`), names this very version
or digest, gives a justification, and is not old. Everything else leaves the vulnerability open.
OpenVEX 0.2.0; CycloneDX 1.4 to 1.7, ``vulnerabilities[].analysis``.
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
SKEW = timedelta(minutes=5)  # between the clock of who claims and that of who stamps the signature


@dataclass(frozen=True)
class VexOutcome:
    """One vulnerability after VEX: ``open``, ``not_affected``, ``fixed`` or ``stale``."""

    vulnerability: Vulnerability
    answer: str
    message: str
    by: str = ""  # who signed the claim that counted

    def __str__(self) -> str:
        found = self.vulnerability
        said = f" ({self.message})" if self.message else ""
        return f"{found.id} in {found.component} {found.version}: {self.answer}{said}"


def load(data: bytes | Mapping[str, Any]) -> VexStatements:
    """The claims of an OpenVEX or CycloneDX document, in its order: its bytes, or a signed statement's predicate.

    An entry that cannot be read, or says not_affected without a reason, is in ``void``. Raises `MalformedInput` for a
    document that is neither.
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
    claims: Iterable[VexStatement],
    at: datetime,
    *,
    products: Iterable[str] = (),
    max_age: timedelta = MAX_AGE,
    void: Iterable[UnreadStatement] = (),
) -> list[VexOutcome]:
    """What remains of each vulnerability at a moment, in the given order.

    ``products`` are the package URLs and digests (``sha256:…``) of what is shipped. A claim about a product as a whole
    counts for what it contains; a claim about a component of a product counts inside that product only. Of several
    claims the one signed last counts; of those in one document, or without a signature, the newest by its own time; of
    two that are equally new the worse one. A claim that is dated after its signature excuses nothing. Where an entry in
    ``void`` names the vulnerability, nothing excuses it: nobody knows what that entry says.
    """
    shipped, known, odd = frozenset(products), list(claims), list(void)
    return [_unless(odd, _outcome(found, known, shipped, at, max_age)) for found in vulnerabilities]


def _unless(void: list[UnreadStatement], outcome: VexOutcome) -> VexOutcome:
    """The outcome; open where an entry about it cannot be read."""
    entry = next((each for each in void if outcome.vulnerability.ids & each.ids), None)
    if entry is None:
        return outcome
    return replace(outcome, answer="open", message=f"what is said of it cannot be read: {entry.why}")


def _outcome(
    found: Vulnerability,
    claims: list[VexStatement],
    shipped: frozenset[str],
    at: datetime,
    max_age: timedelta,
) -> VexOutcome:
    named = [claim for claim in claims if found.ids & {claim.vulnerability, *claim.aliases}]
    about = [claim for claim in named if _is_about(claim, found, shipped)]
    current = [claim for claim in about if claim.signed_at or claim.at <= at]
    if not current:
        if about:
            return VexOutcome(found, "open", "the claim is dated after now")
        if named:
            other = ", ".join(sorted({p for claim in named for p in claim.about})[:3])
            return VexOutcome(found, "open", f"a claim is about {other}, not about this")
        return VexOutcome(found, "open", "nobody says anything about it")
    newest: dict[tuple[datetime, str], VexStatement] = {}  # of each document
    for each in sorted(current, key=lambda c: (c.at, -STATUSES.index(c.status))):
        newest[each.signed_at or each.at, each.by] = each
    signed_at, claim = max(
        ((moment, each) for (moment, _), each in newest.items()), key=lambda c: (c[0], -STATUSES.index(c[1].status))
    )
    age = at - min(claim.at, signed_at)
    answer, message = claim.status, claim.justification
    if claim.status in ("affected", "under_investigation"):
        answer, message = "open", claim.action or claim.status.replace("_", " ")
    elif claim.at > signed_at + SKEW:
        answer, message = "open", f"the claim is dated {rfc3339(claim.at)}, and was signed at {rfc3339(signed_at)}"
    elif age > max_age:
        answer, message = "stale", f"said {age.days} days ago, and {max_age.days} are the limit"
    elif claim.status == "not_affected" and not claim.justification:
        answer, message = "open", "no justification that a machine can read"
    return VexOutcome(found, answer, message, claim.by)


def _is_about(claim: VexStatement, found: Vulnerability, shipped: frozenset[str]) -> bool:
    """Whether a claim names this component, or the product that it is shipped in, at this version."""
    in_product = _ships(claim, shipped)
    if claim.components:
        return in_product and any(is_same(name, found.purl) for name in claim.components)
    return in_product or any(is_same(name, found.purl) for name in claim.products)


def _ships(claim: VexStatement, shipped: frozenset[str]) -> bool:
    """Whether the claim's product is shipped; where both sides have digests, one of them must be the same bytes."""
    same = {name for name in claim.products if any(is_same(name, product) for product in shipped)}
    digests = {name for name in claim.products if name.startswith("sha256:")}
    if digests and any(product.startswith("sha256:") for product in shipped):
        return bool(same & digests)
    return bool(same)
