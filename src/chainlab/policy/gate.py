"""The gate: may this release go to production? Python verifies, Rego decides, a signed summary says so.

    >>> decision = gate.judge("oci/acme/triage-model/release:v1.4.0")          # doctest: +SKIP
    >>> decision.allowed                                                       # doctest: +SKIP
    True
    >>> print(decision.table())                                                # doctest: +SKIP
    ✓ intact           3 layers, all as their digests say
    …

The facts are collected (`collector`) and the rules evaluated (`worker`) in processes of their own, with `Limits`. One
verdict is made at a time, and few may wait.

The gate fails closed. A release is allowed only if the rules answered in time and in full, each rule of the policy said
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
from chainlab.display import SIGNS, Display, Mark, Shown
from chainlab.errors import ChainlabError
from chainlab.evidence.statements import parse_json
from chainlab.policy import vsa
from chainlab.policy.facts.facts_client import FACTS_CLIENT, CollectedFacts
from chainlab.policy.facts.verification import COUNTED
from chainlab.policy.limits import Limits
from chainlab.policy.policy import Policy
from chainlab.policy.rego import rego_client
from chainlab.policy.verdict_queue import VerdictQueue
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.referrers import attach

if TYPE_CHECKING:
    from datetime import datetime

    from chainlab.registry.registry import Registry
    from chainlab.registry.releases import Release
    from chainlab.trust.client import Trust

__all__ = ["Check", "Decision", "Gate", "checks_of"]

FACTS_TYPE = "application/json"
QUEUE = VerdictQueue()  # of this process


@dataclass(frozen=True)
class Check:
    """What one rule came to; one rule may refuse for several reasons, each a check of its own."""

    rule: str
    result: str  # passed, refused or excepted
    message: str
    hint: str = ""


@dataclass(frozen=True, repr=False)
class Decision(Shown):
    """What the gate says, and why.

    ``bundle`` is the signed summary, empty where none was made. ``facts`` is the digest of what the rules were told,
    which the summary names; None where nothing could be collected.
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
        """As a person reads it: what was checked, why it was refused, how to mend it."""
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
        """What each rule came to, and how to mend what it refuses."""
        rows = [(check.rule, Mark(check.result), check.message, check.hint) for check in self.checks]
        ended = Mark("allowed" if self.allowed else "refused", self._ended)
        title = f"{self.reference}, by the policy {self.policy}"
        return Display(title, ("rule", "result", "says", "help"), rows, ended)

    def document(self) -> dict[str, Any]:
        """As JSON says it."""
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
        """Judge what a reference names, and sign what came of it; with ``record`` the registry keeps it.

        Raises `MalformedInput` for no reference or no policy, `OciError` (404) for a reference that names nothing, and
        `Unavailable` (503) when too many wait.
        """
        rules = self.policy(policy)
        release = self._registry.release(reference)
        with QUEUE.turn():
            return self._judge(release, rules, record=record)

    def facts(self, reference: str, policy: str = "release") -> dict[str, Any]:
        """What the rules are told of a release: for who writes a rule, or wants to know why one refused."""
        rules = self.policy(policy)
        release = self._registry.release(reference)
        with QUEUE.turn():
            facts = self._collect(release, rules, self._clock()).facts
        return dict(parse_json(facts, "the facts"))

    def policy(self, name: str = "release") -> Policy:
        """A policy as it is now: in force. Raises `MalformedInput`."""
        return Policy.load(self._policies, name)

    # -- inside

    def _judge(self, release: Release, rules: Policy, *, record: bool) -> Decision:
        at = self._clock()
        collected = CollectedFacts(b"", ())
        try:
            with rego_client.RegoClient(rules, limits=self._limits) as asked:
                collected = self._collect(release, rules, at)
                answer = asked.ask(collected.facts)
            checks = [check for rule in rules.rules for check in checks_of(rule, answer.get(rule))]
        except Exception as error:  # whatever it is, nothing passes
            checks = [_failed(error)]
        allowed = bool(checks) and not any(check.result == "refused" for check in checks)
        facts = Digest.of(collected.facts) if collected.facts else None
        bundle = b""
        try:
            statement = vsa.build(
                release.digest,
                release.resource,
                allowed=allowed,
                level=rules.read.level,
                policy=rules.name,
                policy_digest=rules.digest,
                inputs=collected.inputs,
                at=at,
                facts=facts,
            )
            bundle = vsa.sign(statement, self._trust)
            if record:
                self._keep(release, collected, bundle)
        except Exception as error:  # without a summary nothing is deployed: say so here
            said = error.message if isinstance(error, ChainlabError) else type(error).__name__
            hint = "start the services: chainlab start"
            checks.append(Check("summary", "refused", f"the verdict was not recorded: {said}", hint))
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
            facts,
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

    def _keep(self, release: Release, collected: CollectedFacts, bundle: bytes) -> None:
        """Keep a verdict: first what it rests on and counted, then itself, in both places where it is looked for.

        A referrer that says no must not be gone for the next verdict.
        """
        repository, signer = release.stored.repository, vsa.SIGNER
        evidence = self._registry.evidence
        known = evidence.bundles(*release.subjects, repository=release.artifact.name)
        for digest in collected.inputs:
            if known[digest].place != "added":
                evidence.add(release.digest, COUNTED, known[digest].read(), BUNDLE_TYPE, signer)
        if collected.facts:
            evidence.add(Digest.of(bundle), "facts", collected.facts, FACTS_TYPE, signer)
        evidence.add(release.digest, "summary", bundle, BUNDLE_TYPE, signer)
        attach(self._registry.images, repository, release.digest, bundle, BUNDLE_TYPE, by=signer)


def checks_of(rule: str, verdict: Any) -> list[Check]:
    """What the rules' report says of one rule; refused unless it says that it passed, in the form agreed on."""
    hint = f"mend {rule}.rego: each rule has to give a verdict, whatever the facts are"
    if not isinstance(verdict, Mapping):
        return [Check(rule, "refused", "the rule gave no verdict: undefined is no yes", hint)]
    result, refused, note = (verdict.get(name) for name in ("result", "refused", "note"))
    if not isinstance(refused, list) or not isinstance(note, str):
        return [Check(rule, "refused", "the rule's verdict has another form than agreed", hint)]
    if result == "passed" and not refused:
        return [Check(rule, "passed", note)]
    if result == "excepted" and not refused:
        owners = verdict.get("excused_by")
        if isinstance(owners, list) and owners and all(isinstance(o, str) for o in owners):
            return [Check(rule, "excepted", f"refused, and excepted by {', '.join(owners)}")]
    found = [
        Check(rule, "refused", str(entry.get("message")), str(entry.get("hint")))
        for entry in refused
        if isinstance(entry, Mapping)
    ]
    return found or [Check(rule, "refused", "nothing was found wrong, and nothing proves it right", hint)]


def _failed(error: Exception) -> Check:
    if isinstance(error, ChainlabError):
        said = f"{error.message}: {error.why}" if error.why else error.message
        return Check("gate", "refused", said, error.hint or "mend what it names, and judge again")
    said = f"the gate could not finish: {type(error).__name__}: {str(error)[:200]}"
    return Check("gate", "refused", said, "report it, with the release that did it")
