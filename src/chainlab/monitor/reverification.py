"""Re-verification: what runs is verified again, because admission was a moment and a deployment lasts.

    observer = ReverificationObserver(deployment, registry, trust, gate, database=workspace.trust / "state.db")
    observer.reverify()
    ✗ advisory · oci/acme/triage-model/release
    question                  answer     why
    are the files the same?   ✓ passed
    …

Five questions, each answered yes, no or *unknown*:

- are the installed files the ones that were compared when it was deployed?
- does the service serve the release's model?
- would the deployment admit the release now? (verdict, policy, quarantine, channel)
- would the gate allow it now? It is asked without a trace: nothing is signed or kept
- did the service do only what its attested behaviour includes?

Each look is one event ``service.reverified``. For the causes that ``[reverification]`` of the policy names, the
deployment goes back to the newest earlier release that verifies now, by digest, and keeps what was installed of the
refused one. *Unknown* is never a cause to go back: a registry that does not answer has not revoked anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainlab.database import connect
from chainlab.deploy import prediction_service
from chainlab.deploy.admission import admit, pinned
from chainlab.deploy.deployment import Deployed, Deployment
from chainlab.display import Cell, Display, Mark, Shown
from chainlab.errors import ChainlabError, InUse, Refused, Unavailable, VerificationFailed
from chainlab.events import PREFIX, Events
from chainlab.evidence.statements import value_at
from chainlab.monitor.observers import report

if TYPE_CHECKING:
    from chainlab.policy.gate import Gate
    from chainlab.registry.registry import Registry
    from chainlab.trust.client import Trust

__all__ = ["Answer", "Reverification", "ReverificationObserver"]

CAUSES = ("bytes", "revoked", "runtime", "advisory", "unreachable")  # of several the first is reported
SIGNS = {"": Mark("passed"), "unreachable": Mark("not asked", "unknown")}


@dataclass(frozen=True)
class Answer:
    """The answer to one question: yes when ``cause`` is empty, unknown when it is ``unreachable``, else no."""

    question: str
    cause: str = ""
    why: str = ""


@dataclass(frozen=True, repr=False)
class Reverification(Shown):
    """The answers about one release, and what was done: none, reported or rolledback."""

    reference: str
    answers: tuple[Answer, ...]
    action: str = "none"
    note: str = ""  # why nothing was rolled back, although the policy asks for it

    @property
    def verified(self) -> bool:
        """Whether every question was answered yes."""
        return not self.cause

    @property
    def cause(self) -> str:
        """The first of `CAUSES` that applies; empty when verified."""
        return next((cause for cause in CAUSES if any(a.cause == cause for a in self.answers)), "")

    @property
    def why(self) -> str:
        """What changed, for every question that was not answered yes."""
        reasons = [answer.why for answer in self.answers if answer.cause]
        return "; ".join([*reasons, *([self.note] if self.note else [])])

    def document(self) -> dict[str, Any]:
        """The result as JSON data: the event's."""
        return {
            "reference": self.reference,
            "verified": self.verified,
            "cause": self.cause or None,
            "why": self.why or None,
            "action": self.action,
        }

    def _display(self) -> Display:
        """The answers, and what was done."""
        rows: list[tuple[str, Cell, str]] = [
            (a.question, SIGNS.get(a.cause, Mark("failed", f"no: {a.cause}")), a.why) for a in self.answers
        ]
        rows += [("what was done", self.action, self.note)]
        result = Mark("passed", "verified") if self.verified else Mark("failed", self.cause)
        return Display(self.reference, ("question", "answer", "why"), rows, result)


class ReverificationObserver:
    """Verifies again what runs; ``rolls_back`` replaces the policy's setting."""

    name = "reverification"
    every_s = 300.0

    def __init__(
        self,
        deployment: Deployment,
        registry: Registry,
        trust: Trust,
        gate: Callable[[], Gate],
        *,
        database: Path,
        rolls_back: Collection[str] | None = None,
    ) -> None:
        self._deployment = deployment
        self._registry = registry
        self._trust = trust
        self._gate = gate
        self._database = database
        self._rolls_back = rolls_back

    def observe(self) -> None:
        """Verify what runs, and append the event."""
        self.reverify()

    def reverify(self) -> Reverification | None:
        """Verify what runs, append the event, and go back where the policy says so; None when nothing runs.

        Raises `InUse` when another release was deployed meanwhile: look again.
        """
        current = self._deployment.current
        if current is None:
            return None
        questions = (_files, _model, self._admission, self._verdict, self._behaviour)
        answers = tuple(answer for ask in questions for answer in self._answers(ask, current))
        result = self._act(current, Reverification(current.reference, answers))
        subject = str(pinned(result.reference)[1])
        report(self._database, "service.reverified", subject, result.document())
        return result

    def _answers(self, ask: Callable[..., Iterator[Answer]], current: Deployed) -> list[Answer]:
        """Return the answers to one question; what cannot be asked is unknown."""
        question = QUESTIONS[ask.__name__]
        try:
            return list(ask(current, question, self._deployment.folder(current))) or [Answer(question)]
        except ChainlabError as error:
            why = f"{error.message}: {error.why}" if error.why else error.message
            return [Answer(question, "unreachable", why)]
        except (OSError, sqlite3.Error) as error:
            return [Answer(question, "unreachable", str(error))]

    def _act(self, current: Deployed, result: Reverification) -> Reverification:
        self._same(current)
        if result.verified:
            return result
        causes = {answer.cause for answer in result.answers} - {"", "unreachable"}
        try:
            if not causes & set(self._causes_to_go_back()):
                return _with(result, "reported")
            self._deployment.rollback(leaving=current, why=f"{result.cause}: {result.why}")
        except ChainlabError as error:
            self._same(current)
            why = f"{error.message}: {error.why}" if error.why else error.message
            return _with(result, "reported", f"not rolled back: {why}")
        return _with(result, "rolledback")

    def _causes_to_go_back(self) -> Collection[str]:
        return self._gate().policy().read.reverification.rolls_back if self._rolls_back is None else self._rolls_back

    def _same(self, current: Deployed) -> None:
        """Raise `InUse` unless the release that was verified still runs."""
        if self._deployment.current != current:
            raise InUse("another release was deployed while this one was verified", hint="verify again")

    # -- the questions

    def _admission(self, current: Deployed, question: str, _: Path) -> Iterator[Answer]:
        root, policy = self._trust.config.trusted_root, self._gate().policy()
        try:
            admit(current.reference, self._registry, root, policy)
        except (Refused, VerificationFailed) as error:
            yield Answer(question, "revoked", f"{error.message}: {error.why}" if error.why else error.message)

    def _verdict(self, current: Deployed, question: str, _: Path) -> Iterator[Answer]:
        try:
            decision, facts = self._gate().preview(current.reference)
        except Refused as error:
            if error.status != 404:
                raise
            yield Answer(question, "revoked", error.message)  # the registry answers, and has it no more
            return
        causes = {
            "vulnerabilities": "advisory" if value_at(facts, "vulnerabilities", "scanned") is True else "unreachable",
            "intact": "revoked" if value_at(facts, "release", "quarantined") else "bytes",
        }
        for check in decision.refusals:
            yield Answer(question, causes.get(check.rule, "revoked"), f"{check.rule}: {check.message}")

    def _behaviour(self, current: Deployed, question: str, folder: Path) -> Iterator[Answer]:
        digest = str(pinned(current.reference)[1])
        with closing(connect(self._database)) as connection:
            events = Events(connection)
            starts = [e for kind in ("deployed", "rolledback") for e in events.read(f"{PREFIX}service.{kind}")]
            since = max((event.sequence for event in starts if event.subject == digest), default=0)
            behaved = [e for e in events.read(f"{PREFIX}service.behaved", after=since) if e.subject == digest]
        unexpected = [e.data for e in behaved if not e.data["expected"]]
        if unexpected:
            first = unexpected[0]
            target = str(first["target"]).removeprefix(f"{folder}/")
            why = f"{len(unexpected)} unexpected, first {first['action']} {target} at {first['phase']}"
            yield Answer(question, "runtime", why)


def _files(current: Deployed, question: str, folder: Path) -> Iterator[Answer]:
    if not current.service.files:
        raise Unavailable("an earlier version of chainlab deployed it, and kept no list of its files")
    try:
        changed = prediction_service.changed_files(current.service, folder)
    except VerificationFailed as error:
        yield Answer(question, "bytes", error.message)
        return
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        yield Answer(question, "bytes", ", ".join(changed[:3]) + more)


def _model(current: Deployed, question: str, _: Path) -> Iterator[Answer]:
    served = prediction_service.model_served(current.service)
    if served is None:
        raise Unavailable("the service does not answer")
    if served != current.service.model:
        yield Answer(question, "bytes", f"it serves {served}, expected {current.service.model}")


QUESTIONS = {
    "_files": "are the files the same?",
    "_model": "does it serve this model?",
    "_admission": "would it be admitted now?",
    "_verdict": "would the gate allow it now?",
    "_behaviour": "did it do only what is attested?",
}


def _with(result: Reverification, action: str, note: str = "") -> Reverification:
    return Reverification(result.reference, result.answers, action, note)
