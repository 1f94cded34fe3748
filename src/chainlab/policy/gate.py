"""The gate: may this release go to production? Python verifies, Rego decides, a signed summary says so.

    >>> decision = gate.judge("oci/acme/triage-model/release:v1.4.0")          # doctest: +SKIP
    >>> decision.allowed                                                       # doctest: +SKIP
    True
    >>> print(decision.table())                                                # doctest: +SKIP
    ✓ intact           3 layers, all as their digests say
    …

It fails closed. A release is allowed only if the rules answered in time and in full, each rule of the policy said
`passed` (or was excepted for this digest), and the summary could be signed. What cannot be read, is missing or takes
too long is a refusal, with its reason and how to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab.characters import join_lines
from chainlab.clock import Clock, rfc3339, utc_now
from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.policy import document, summary, worker
from chainlab.policy.expectations import Policy
from chainlab.policy.facts import COUNTED
from chainlab.policy.limits import Limits
from chainlab.registry.bundles import BUNDLE_TYPE
from chainlab.registry.referring import refer

if TYPE_CHECKING:
    from datetime import datetime

    from chainlab.policy.facts import Piece
    from chainlab.registry.registry import Registry
    from chainlab.registry.releases import Release
    from chainlab.trust.client import Trust

__all__ = ["Check", "Decision", "Gate", "checked"]

SIGNS = {"passed": "✓", "refused": "✗", "excepted": "~"}


@dataclass(frozen=True)
class Check:
    """What one rule came to; one rule may refuse for several reasons, each a check of its own."""

    rule: str
    result: str  # passed, refused or excepted
    said: str
    mend: str = ""


@dataclass(frozen=True)
class Decision:
    """What the gate says, and why. ``bundle`` is the signed summary, empty where none was made."""

    reference: str  # with the digest
    digest: Digest
    policy: str
    policy_digest: Digest
    checks: tuple[Check, ...]
    allowed: bool
    at: datetime
    bundle: bytes = b""

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that refused."""
        return tuple(check for check in self.checks if check.result == "refused")

    def table(self) -> str:
        """As a person reads it: what was checked, why it was refused, how to mend it."""
        width = max(len(check.rule) for check in self.checks)
        lines = [f"{self.reference}", f"policy {self.policy} {self.policy_digest}"]
        for check in self.checks:
            lines.append(f"{SIGNS[check.result]} {check.rule:<{width}}  {check.said}")
            lines += [f"  {'':<{width}}  → {check.mend}"] if check.mend else []
        count = len({check.rule for check in self.refusals})
        verdict = "allowed" if self.allowed else f"refused by {count} rule{'s' * (count != 1)}"
        return join_lines([*lines, verdict])

    def document(self) -> dict[str, Any]:
        """As JSON says it."""
        return {
            "reference": self.reference,
            "digest": str(self.digest),
            "policy": {"name": self.policy, "digest": str(self.policy_digest)},
            "time": rfc3339(self.at),
            "allowed": self.allowed,
            "checks": [{"rule": c.rule, "result": c.result, "said": c.said, "mend": c.mend} for c in self.checks],
            "summary": str(Digest.of(self.bundle)) if self.bundle else None,
        }


class Gate:
    """The gate of one registry; safe to use from several threads.

    ``policies`` is a folder of policies, ``advisories`` one of OSV records.
    """

    def __init__(
        self,
        registry: Registry,
        trust: Trust,
        policies: Path,
        advisories: Path,
        clock: Clock = utc_now,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._registry = registry
        self._trust = trust
        self._policies = policies
        self._advisories = advisories
        self._clock = clock
        self._limits = limits or Limits()

    def judge(self, reference: str, policy: str = "release", *, record: bool = True) -> Decision:
        """Judge what a reference names, and sign what came of it; with ``record`` the registry keeps it.

        Raises `MalformedInput` for no reference or no policy, and `OciError` (404) for a reference that names nothing.
        """
        rules = self.policy(policy)
        release = self._registry.release(reference)
        at = self._clock()
        pieces: list[Piece] = []
        try:
            with worker.Worker(rules, limits=self._limits) as asked:
                told, pieces = self._facts(release, rules, at)
                answer = asked.ask(told)
            checks = [check for rule in rules.rules for check in checked(rule, answer.get(rule))]
        except Exception as error:  # whatever it is, nothing passes
            checks = [_failed(error)]
        allowed = bool(checks) and not any(check.result == "refused" for check in checks)
        bundle = b""
        try:
            bundle = self._summary(release, rules, pieces, at, allowed=allowed)
            if record:
                self._keep(release, pieces, bundle)
        except Exception as error:  # without a summary nothing is deployed: say so here
            said = error.message if isinstance(error, ChainlabError) else type(error).__name__
            mend = "start the services: chainlab start"
            checks.append(Check("summary", "refused", f"the verdict was not recorded: {said}", mend))
            allowed, bundle = False, b""
        return Decision(
            release.reference,
            release.digest,
            rules.name,
            rules.digest,
            tuple(checks),
            allowed,
            at,
            bundle,
        )

    def facts(self, reference: str, policy: str = "release") -> dict[str, Any]:
        """What the rules are told of a release: for who writes a rule, or wants to know why one refused."""
        return self._facts(self._registry.release(reference), self.policy(policy), self._clock())[0]

    def policy(self, name: str = "release") -> Policy:
        """A policy as it is now: in force. Raises `MalformedInput`."""
        return Policy.load(self._policies, name)

    # -- inside

    def _facts(self, release: Release, rules: Policy, at: datetime) -> tuple[dict[str, Any], list[Piece]]:
        return document.build(
            release,
            rules,
            self._registry,
            self._trust.config,
            advisories=self._advisories,
            at=at,
            limits=self._limits,
        )

    def _summary(self, release: Release, rules: Policy, pieces: list[Piece], at: datetime, *, allowed: bool) -> bytes:
        statement = summary.summary(
            release.digest,
            release.resource,
            allowed=allowed,
            level=rules.level,
            policy=rules.name,
            policy_digest=rules.digest,
            inputs=[piece.digest for piece in pieces if piece.verified],
            at=at,
        )
        return summary.sign_summary(statement, self._trust)

    def _keep(self, release: Release, pieces: list[Piece], bundle: bytes) -> None:
        """Keep the verdict, and what it counted: a referrer that says no must not be gone for the next one."""
        repository = release.stored.repository
        signer = summary.SIGNER
        evidence = self._registry.evidence
        known = evidence.bundles(*release.subjects, repository=release.artifact.name)
        for digest in {piece.digest for piece in pieces if piece.verified}:
            if known[digest].place != "added":
                evidence.add(release.digest, COUNTED, known[digest].read(), BUNDLE_TYPE, signer)
        evidence.add(release.digest, "summary", bundle, BUNDLE_TYPE, signer)
        refer(self._registry.images, repository, release.digest, bundle, BUNDLE_TYPE, by=signer)


def checked(rule: str, verdict: Any) -> list[Check]:
    """What the rules' report says of one rule; refused unless it says that it passed, in the form agreed on."""
    mend = f"mend {rule}.rego: each rule has to give a verdict, whatever the facts are"
    if not isinstance(verdict, Mapping):
        return [Check(rule, "refused", "the rule gave no verdict: undefined is no yes", mend)]
    result, refused, note = (verdict.get(name) for name in ("result", "refused", "note"))
    if not isinstance(refused, list) or not isinstance(note, str):
        return [Check(rule, "refused", "the rule's verdict has another form than agreed", mend)]
    if result == "passed" and not refused:
        return [Check(rule, "passed", note)]
    if result == "excepted" and not refused:
        owners = verdict.get("excused_by")
        if isinstance(owners, list) and owners and all(isinstance(o, str) for o in owners):
            return [Check(rule, "excepted", f"refused, and excepted by {', '.join(owners)}")]
    found = [
        Check(rule, "refused", str(entry.get("said")), str(entry.get("mend")))
        for entry in refused
        if isinstance(entry, Mapping)
    ]
    return found or [Check(rule, "refused", "nothing was found wrong, and nothing proves it right", mend)]


def _failed(error: Exception) -> Check:
    if isinstance(error, ChainlabError):
        said = f"{error.message}: {error.why}" if error.why else error.message
        return Check("gate", "refused", said, error.mend or "mend what it names, and judge again")
    said = f"the gate could not finish: {type(error).__name__}: {str(error)[:200]}"
    return Check("gate", "refused", said, "report it, with the release that did it")
