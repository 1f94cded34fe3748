"""The gate: may this release go to production? Python verifies, Rego decides, a signed summary records the verdict.

    >>> decision = gate.judge("oci/acme/triage-model/release:v1.4.0")          # doctest: +SKIP
    >>> decision.allowed                                                       # doctest: +SKIP
    True
    >>> print(decision.table())                                                # doctest: +SKIP
    ✓ intact           3 layers, all as their digests say
    …

The facts are collected (`facts_client`) and the rules evaluated (`rego_client`) in processes of their own, with
`Limits`. The gate makes one verdict at a time, and few callers may wait.

The gate fails closed. It allows a release only if the rules answered in time and in full, each rule of the policy
answered `passed` (or was excepted for this digest), and the summary could be signed. Whatever cannot be read, is
missing or takes too long is a refusal, with its reason and a hint.

A rule is a file in ``data/policies``; ``gate.rego`` there tells how to add one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab.characters import join_lines
from chainlab.clock import Clock, rfc3339, utc_now
from chainlab.digests import Digest
from chainlab.display import SIGNS, Display, Mark, Shown
from chainlab.errors import ChainlabError, Unavailable
from chainlab.evidence.statements import parse_json
from chainlab.policy import vsa
from chainlab.policy.facts.facts_client import FACTS_CLIENT, CollectedFacts
from chainlab.policy.limits import Limits
from chainlab.policy.policy import Policy
from chainlab.policy.rego import rego_client
from chainlab.policy.verdict_queue import VerdictQueue
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.referrers import attach
from chainlab.registry.verdict_inputs import COUNTED, SUMMARY_KIND

if TYPE_CHECKING:
    from datetime import datetime

    from chainlab.registry.registry import Registry
    from chainlab.registry.releases import Release
    from chainlab.trust.client import Trust

__all__ = ["Check", "Decision", "Gate", "checks_of"]

FACTS_TYPE = "application/json"
QUEUE = VerdictQueue()  # of this process
FAILURES = ("gate", "summary")  # checks that are no rule of a policy: the gate could not judge, or not record


@dataclass(frozen=True)
class Check:
    """The result of one rule; a rule that refuses for several reasons has a check for each."""

    rule: str
    result: str  # passed, refused or excepted
    message: str
    hint: str = ""


@dataclass(frozen=True, repr=False)
class Decision(Shown):
    """The gate's verdict, and why.

    ``bundle`` is the signed summary; empty when none could be made. ``facts`` is the digest of the facts document,
    which the summary names; None when the facts could not be collected.
    """

    reference: str  # with the digest
    digest: Digest
    policy: str
    policy_digest: Digest
    checks: tuple[Check, ...]
    allowed: bool
    at: datetime
    bundle: bytes = b""
    facts: Digest | None = None

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that refused."""
        return tuple(check for check in self.checks if check.result == "refused")

    def table(self) -> str:
        """The verdict as text: what was checked, why it was refused, and how to fix it."""
        width = max(len(check.rule) for check in self.checks)
        lines = [f"{self.reference}", f"policy {self.policy} {self.policy_digest}"]
        for check in self.checks:
            lines.append(f"{SIGNS[check.result]} {check.rule:<{width}}  {check.message}")
            lines += [f"  {'':<{width}}  → {check.hint}"] if check.hint else []
        return join_lines([*lines, self._ended])

    @property
    def _ended(self) -> str:
        count = len({check.rule for check in self.refusals})
        return "allowed" if self.allowed else f"refused by {count} rule{'s' * (count != 1)}"

    def _display(self) -> Display:
        """The result of each rule, and how to fix what it refuses."""
        rows = [(check.rule, Mark(check.result), check.message, check.hint) for check in self.checks]
        ended = Mark("allowed" if self.allowed else "refused", self._ended)
        title = f"{self.reference}, by the policy {self.policy}"
        return Display(title, ("rule", "result", "says", "help"), rows, ended)

    def document(self) -> dict[str, Any]:
        """The verdict as JSON data."""
        return {
            "reference": self.reference,
            "digest": str(self.digest),
            "policy": {"name": self.policy, "digest": str(self.policy_digest)},
            "time": rfc3339(self.at),
            "allowed": self.allowed,
            "checks": [{"rule": c.rule, "result": c.result, "message": c.message, "hint": c.hint} for c in self.checks],
            "summary": str(Digest.of(self.bundle)) if self.bundle else None,
            "facts": str(self.facts) if self.facts else None,
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
        FACTS_CLIENT.start()  # it imports what it needs while its first caller still prepares a question

    def judge(self, reference: str, policy: str = "release", *, record: bool = True) -> Decision:
        """Judge the release that a reference names, and sign the verdict; with ``record`` the registry keeps it.

        Raises `MalformedInput` for a malformed reference or policy, `OciError` (404) when the reference names nothing,
        and `Unavailable` (503) when too many callers wait.
        """
        rules = self.policy(policy)
        release, began = self._registry.release(reference), time.monotonic()
        try:
            with QUEUE.turn():
                decision = self._judge(release, rules, record=record)
        except Unavailable as error:  # too many callers wait
            self._report("failed", release, {"reference": release.reference, "why": str(error)})
            raise
        if failure := next((check for check in decision.checks if check.rule in FAILURES), None):
            self._report("failed", release, {"reference": release.reference, "why": failure.message})
        else:
            seconds = time.monotonic() - began
            self._report("answered", release, {**_event_data(decision, release, rules, seconds), "recorded": record})
        return decision

    def preview(self, reference: str, policy: str = "release") -> tuple[Decision, dict[str, Any]]:
        """Return how `judge` would decide now, and the facts; nothing is signed, kept or reported.

        Raises as `judge`, and `Unavailable` when the gate cannot judge.
        """
        rules = self.policy(policy)
        release = self._registry.release(reference)
        with QUEUE.turn():
            collected, decision = self._decide(release, rules)
        if failure := next((check for check in decision.checks if check.rule in FAILURES), None):
            raise Unavailable("the gate cannot judge the release", why=failure.message, hint=failure.hint)
        return decision, dict(parse_json(collected.facts, "the facts"))

    def facts(self, reference: str, policy: str = "release") -> dict[str, Any]:
        """Return the facts document of a release, to write a rule or see why one refused. Raises as `judge`."""
        rules = self.policy(policy)
        release = self._registry.release(reference)
        with QUEUE.turn():
            facts = self._collect(release, rules, self._clock()).facts
        return dict(parse_json(facts, "the facts"))

    def policy(self, name: str = "release") -> Policy:
        """Load a policy as it is now. Raises `MalformedInput`."""
        return Policy.load(self._policies, name)

    # -- inside

    def _report(self, kind: str, release: Release, facts: Mapping[str, Any]) -> None:
        self._registry.report(f"gate.{kind}", source="/gate", subject=str(release.digest), data=facts)

    def _judge(self, release: Release, rules: Policy, *, record: bool) -> Decision:
        collected, decision = self._decide(release, rules)
        try:
            statement = vsa.build(
                release.digest,
                release.resource,
                allowed=decision.allowed,
                level=rules.read.level,
                policy=rules.name,
                policy_digest=rules.digest,
                inputs=collected.inputs,
                at=decision.at,
                facts=decision.facts,
            )
            bundle = vsa.sign(statement, self._trust)
            if record:
                self._record(release, collected, bundle)
        except Exception as error:  # without a summary nothing is deployed: say so here
            reason = error.message if isinstance(error, ChainlabError) else type(error).__name__
            hint = "start the services: chainlab start"
            failed = Check("summary", "refused", f"the verdict was not recorded: {reason}", hint)
            return replace(decision, checks=(*decision.checks, failed), allowed=False)
        return replace(decision, bundle=bundle)

    def _decide(self, release: Release, rules: Policy) -> tuple[CollectedFacts, Decision]:
        """Collect the facts and evaluate the rules; whatever fails is a refusal."""
        at = self._clock()
        collected = CollectedFacts(b"", ())
        try:
            with rego_client.RegoClient(rules, limits=self._limits) as rego:
                collected = self._collect(release, rules, at)
                report = rego.ask(collected.facts)
            checks = [check for rule in rules.rules for check in checks_of(rule, report.get(rule))]
        except Exception as error:  # of any kind: nothing passes
            checks = [_failed(error)]
        allowed = bool(checks) and not any(check.result == "refused" for check in checks)
        facts = Digest.of(collected.facts) if collected.facts else None
        return collected, Decision(
            release.reference, release.digest, rules.name, rules.digest, tuple(checks), allowed, at, facts=facts
        )

    def _collect(self, release: Release, rules: Policy, at: datetime) -> CollectedFacts:
        question = {
            "reference": release.reference,
            "policy": {"name": rules.name, "expected": dict(rules.expected)},
            "registry": self._registry.description,
            "trust": str(self._trust.config_path.absolute()),
            "advisories": str(self._advisories.absolute()),
            "now": at.timestamp(),
        }
        return FACTS_CLIENT.collect(question, self._limits)

    def _record(self, release: Release, collected: CollectedFacts, bundle: bytes) -> None:
        """Keep the evidence that counted, then the verdict itself, among the evidence and as a referrer.

        The evidence is copied because a pusher may delete a referrer, and a later verdict needs the same evidence.
        """
        repository, signer = release.stored.repository, vsa.SIGNER
        evidence = self._registry.evidence
        kept = evidence.bundles(*release.subjects, repository=release.artifact.name)
        for digest in collected.inputs:
            if kept[digest].place != "added":
                evidence.add(release.digest, COUNTED, kept[digest].read(), BUNDLE_TYPE, signer)
        if collected.facts:
            evidence.add(Digest.of(bundle), "facts", collected.facts, FACTS_TYPE, signer)
        evidence.add(release.digest, SUMMARY_KIND, bundle, BUNDLE_TYPE, signer)
        attach(self._registry.images, repository, release.digest, bundle, BUNDLE_TYPE, by=signer)


def checks_of(rule: str, verdict: Any) -> list[Check]:
    """Read one rule's verdict in the rules' report; it is refused unless it clearly passed or was excepted."""
    hint = f"fix {rule}.rego: each rule has to give a verdict, whatever the facts are"
    if not isinstance(verdict, Mapping):
        return [Check(rule, "refused", "the rule gave no verdict, and undefined is not a yes", hint)]
    result, refused, note = (verdict.get(name) for name in ("result", "refused", "note"))
    if not isinstance(refused, list) or not isinstance(note, str):
        return [Check(rule, "refused", "the rule's verdict is malformed (expected result, refused and note)", hint)]
    if result == "passed" and not refused:
        return [Check(rule, "passed", note)]
    if result == "excepted" and not refused:
        owners = verdict.get("excused_by")
        if isinstance(owners, list) and owners and all(isinstance(o, str) for o in owners):
            return [Check(rule, "excepted", f"refused, and excepted by {', '.join(owners)}")]
    refusals = [
        Check(rule, "refused", str(entry.get("message")), str(entry.get("hint")))
        for entry in refused
        if isinstance(entry, Mapping)
    ]
    return refusals or [Check(rule, "refused", "the rule neither passed nor said why", hint)]


def _event_data(decision: Decision, release: Release, rules: Policy, seconds: float) -> dict[str, Any]:
    """Return the data of a verdict's event; ``seconds`` is how long it took."""
    names = {
        result: sorted({check.rule for check in decision.checks if check.result == result})
        for result in ("refused", "excepted")
    }
    digests, now = {str(digest) for digest in release.subjects}, decision.at.timestamp()
    ends = [
        exception["expires"] - now
        for exception in (rules.expected["exceptions"] if names["excepted"] else ())
        if isinstance(exception, dict) and isinstance(exception.get("expires"), int | float)
        if exception.get("rule") in names["excepted"] and exception.get("digest") in digests
    ]
    return {
        "reference": decision.reference,
        "allowed": decision.allowed,
        **names,
        "exception_ends_s": min((left for left in ends if left > 0), default=None),
        "policy": str(decision.policy_digest),
        "seconds": round(seconds, 3),
    }


def _failed(error: Exception) -> Check:
    if isinstance(error, ChainlabError):
        message = f"{error.message}: {error.why}" if error.why else error.message
        return Check("gate", "refused", message, error.hint or "fix what it names, and judge again")
    message = f"the gate could not finish: {type(error).__name__}: {str(error)[:200]}"
    return Check("gate", "refused", message, "report it, with the release that caused it")
