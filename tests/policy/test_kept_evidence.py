"""What was said about a release stays said: deleted it counts on, held back it is a problem, the last counts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from gate_stack import ADVISORIES, POLICIES, GateStack
from release_maker import NOW, REPOSITORY, USED, WHEEL, UnsignedStatement, apart, descriptor, vex_statement

from chainlab.clock import Clock
from chainlab.digests import Digest
from chainlab.evidence import signing
from chainlab.evidence.statements import OPENVEX, Statement
from chainlab.policy.gate import Decision, Gate
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.manifest import INDEX_TYPE, MANIFEST_TYPE, TITLE
from chainlab.registry.oci.referrers import attach
from chainlab.registry.oci.tables import Stored
from chainlab.registry.references import ArtifactRef

EXPLOITED = tuple(f.replace("loader-1.6.2", "loader-1.5.0") for f in USED)


def in_days(days: int) -> Clock:
    return lambda: NOW + timedelta(days=days)


def rules(decision: Decision) -> set[str]:
    return {check.rule for check in decision.refusals}


class Case:
    """One release with an exploited component, which security first excuses."""

    def __init__(self, stack: GateStack) -> None:
        self.stack, self.parts = stack, apart(stack.maker.parts(used=EXPLOITED))
        self.parts.statements["VEX"] = vex_statement(self.parts, at=NOW - timedelta(days=5))
        self.reference = stack.maker.push(self.parts)
        named = ArtifactRef.parse(self.reference)
        assert named.digest is not None
        self.repository, self.digest = named.artifact.name, named.digest
        self.images = stack.registry.images

    def say(self, said: UnsignedStatement) -> Stored:
        """Sign something, a second after whatever was said before, and refer it to the release."""
        time.sleep(1.1)  # the timestamp authority counts seconds
        statement = Statement.about(said.subjects, said.predicate_type, said.predicate)
        data = signing.sign(statement, self.stack.trust.config, self.stack.maker.token(said.signer))
        return attach(self.images, self.repository, self.digest, data, BUNDLE_TYPE, by="whoever may push")

    def judge(self, *, record: bool = True) -> Decision:
        return self.stack.gate.judge(self.reference, record=record)

    def index(self, stored: Stored) -> Stored:
        """What mallory, who may push, makes: an index of somebody else's statement and a bad file."""
        bad = b"EICAR-like test file"
        self.images.blobs.put(bad)
        self.images.link(self.repository, Digest.of(bad))
        held = {"mediaType": MANIFEST_TYPE, "digest": str(stored.digest), "size": stored.size}
        layer = {**descriptor(bad, "application/octet-stream"), "annotations": {TITLE: "malware.exe"}}
        raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [held], "layers": [layer]}).encode()
        return self.images.push(self.repository, Digest.of(raw), raw, INDEX_TYPE, by="mallory")


@contextmanager
def quarantined(stack: GateStack, digest: Digest) -> Iterator[None]:
    stack.registry.quarantine.hold(digest, "looks like malware", by="security")
    try:
        yield
    finally:
        stack.registry.quarantine.release(digest, by="security")


def test_a_no_that_the_gate_counted_counts_on_when_it_is_deleted(stack: GateStack) -> None:
    case = Case(stack)
    assert case.judge().allowed
    no = case.say(vex_statement(case.parts, status="affected"))
    assert rules(case.judge()) == {"vulnerabilities"}
    case.images.delete_manifest(case.repository, no.digest, by="a credential with oci:delete")
    assert no.digest not in {stored.digest for stored in case.images.referrers(case.repository, case.digest)}
    assert rules(case.judge()) == {"vulnerabilities"}
    stack.registry.sweep(grace=-1)
    assert rules(case.judge()) == {"vulnerabilities"}


def bundle_of(case: Case, stored: Stored) -> Digest:
    return next(h.digest for h in case.images.holdings(case.repository, stored.digest) if h.role == "layer")


HELD: dict[str, Callable[[Case, Stored], Digest]] = {
    "the statement's manifest": lambda case, stored: stored.digest,
    "its bundle": bundle_of,
    "an index that holds it": lambda case, stored: case.index(stored).digest,
}


@pytest.mark.parametrize("how", HELD)
@pytest.mark.parametrize("counted", [True, False], ids=["counted before", "never counted"])
def test_a_no_that_is_held_back_is_a_problem_not_silence(stack: GateStack, how: str, counted: bool) -> None:
    case = Case(stack)
    no = case.say(vex_statement(case.parts, status="affected"))
    assert rules(case.judge(record=counted)) == {"vulnerabilities"}
    with quarantined(stack, HELD[how](case, no)):
        decision = case.judge(record=False)
        assert "intact" in rules(decision)
        assert "evidence is in quarantine, VEX by security@acme.example" in decision.table()
        assert "looks like malware" in decision.table()
    assert rules(case.judge(record=False)) == {"vulnerabilities"}


def test_what_is_in_quarantine_cannot_be_deleted(stack: GateStack) -> None:
    """Deleted, its bundle would be what the gate kept, and held back by nothing."""
    case = Case(stack)
    yes = case.images.referrers(case.repository, case.digest)[-1]
    assert case.judge().allowed
    with quarantined(stack, yes.digest):
        with pytest.raises(OciError, match="quarantined, and kept"):
            case.images.delete_manifest(case.repository, yes.digest, by="a thief of the key")
        assert "intact" in rules(case.judge(record=False))


def test_rubbish_of_strangers_stops_no_release_held_back_or_not(stack: GateStack) -> None:
    case = Case(stack)
    parts = case.parts
    stranger = UnsignedStatement({WHEEL: Digest.of(parts.files[WHEEL])}, OPENVEX, {"x": 1}, "mallory@example.com")
    pushed = [case.say(stranger), attach(case.images, case.repository, case.digest, b"junk", BUNDLE_TYPE, by="mallory")]
    assert case.judge().allowed
    for stored in pushed:
        with quarantined(stack, stored.digest):
            assert case.judge().allowed
        case.images.delete_manifest(case.repository, stored.digest, by="mallory")
        assert case.judge().allowed


def test_a_statement_dated_ahead_does_not_outweigh_one_signed_later(stack: GateStack) -> None:
    case = Case(stack)
    case.say(vex_statement(case.parts, at=NOW + timedelta(days=30)))
    planted = case.judge(record=False)
    assert rules(planted) == {"vulnerabilities"}
    assert f"the statement is dated {NOW + timedelta(days=30, hours=-1):%Y-%m-%d}" in planted.table()
    assert "and was signed at" in planted.table()
    case.say(vex_statement(case.parts, status="affected", at=NOW - timedelta(days=3)))
    for days in (0, 29, 31):
        gate = Gate(stack.registry, stack.trust, POLICIES, ADVISORIES, clock=in_days(days))
        assert rules(gate.judge(case.reference, record=False)) >= {"vulnerabilities"}
    case.say(vex_statement(case.parts, at=NOW - timedelta(days=4)))
    assert case.judge(record=False).allowed, "what security signs last counts, whatever the dates say"


def test_the_workflow_excuses_nothing_that_is_exploited(stack: GateStack) -> None:
    parts = stack.maker.parts(used=EXPLOITED)
    workflow = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.4.0"
    parts.statements["VEX"] = vex_statement(parts, workflow)
    decision = stack.gate.judge(stack.maker.push(parts), record=False)
    assert rules(decision) == {"vulnerabilities"}
