"""The signed summary: what it says, SLSA's seven checks on it, and what the gate leaves in the registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gate_stack import GateStack
from release_maker import NOW, apart

from chainlab.cli.gate import gate as command
from chainlab.clock import rfc3339
from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence import signing
from chainlab.evidence.statements import PROVENANCE, Statement
from chainlab.evidence.verifying import Verdict
from chainlab.policy import vsa
from chainlab.policy.vsa import CHECKS, LEVEL, VERIFIER

DIGEST = Digest.of(b"manifest")
RESOURCE = "oci/acme/triage-model/release"


def statement(allowed: bool = True, level: str = LEVEL) -> Statement:
    return vsa.build(
        DIGEST,
        RESOURCE,
        allowed=allowed,
        level=level,
        policy="release",
        policy_digest=Digest.of(b"policy"),
        inputs=[Digest.of(b"1"), Digest.of(b"2")],
        at=NOW,
    )


def changed(**fields: Any) -> Statement:
    good = statement()
    return Statement(good.subjects, good.predicate_type, {**good.predicate, **fields})


def check(
    stack: GateStack,
    message: Statement,
    level: str = LEVEL,
    *,
    digest: Digest = DIGEST,
    resource: str = RESOURCE,
) -> Verdict:
    bundle = vsa.sign(message, stack.trust)
    return vsa.verify(bundle, digest, resource, stack.trust.config.trusted_root, level)


def test_a_summary_says_what_slsa_asks_for() -> None:
    said = statement().predicate
    assert said["verifier"]["id"] == VERIFIER
    assert (said["timeVerified"], said["resourceUri"]) == (rfc3339(NOW, "microseconds"), RESOURCE)
    assert said["policy"]["digest"] == {"sha256": Digest.of(b"policy").value.hex()}
    assert len(said["inputAttestations"]) == 2
    assert (said["verificationResult"], said["verifiedLevels"]) == ("PASSED", [LEVEL])
    refused = statement(allowed=False).predicate
    assert (refused["verificationResult"], refused["verifiedLevels"]) == ("FAILED", ["FAILED"])


def test_no_summary_claims_more_than_a_laptop_is_good_for() -> None:
    for level in ("SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_2", "SLSA_BUILD_LEVEL_1"):
        assert statement(level=level).predicate["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1"]
    assert statement(level="great").predicate["verifiedLevels"] == ["SLSA_BUILD_LEVEL_0"]


def test_a_good_summary_passes_the_seven_checks(stack: GateStack) -> None:
    verdict = check(stack, statement())
    assert verdict.passed
    assert tuple(step.name for step in verdict.steps) == CHECKS
    assert len(CHECKS) == 7


WRONG: dict[str, tuple[Callable[[GateStack], Verdict], str]] = {
    "other bytes": (lambda h: check(h, statement(), digest=Digest.of(b"x")), "subject"),
    "another predicate": (
        lambda h: check(h, Statement(statement().subjects, PROVENANCE, {})), "predicate type"),
    "another verifier": (lambda h: check(h, changed(verifier={"id": "https://x.example"})), "verifier"),
    "no verifier": (lambda h: check(h, changed(verifier=None)), "verifier"),
    "another resource": (lambda h: check(h, statement(), resource="oci/acme/other"), "resource"),
    "refused": (lambda h: check(h, statement(allowed=False)), "result"),
    "passed, in small letters": (lambda h: check(h, changed(verificationResult="passed")), "result"),
    "level 2 asked for": (lambda h: check(h, statement(), "SLSA_BUILD_LEVEL_2"), "level"),
    "an unknown level asked for": (lambda h: check(h, statement(), "gold"), "level"),
    "no level": (lambda h: check(h, changed(verifiedLevels=[])), "level"),
    "two levels of one track": (
        lambda h: check(h, changed(verifiedLevels=["SLSA_BUILD_LEVEL_0", LEVEL])), "level"),
    "an empty predicate": (
        lambda h: check(h, Statement(statement().subjects, statement().predicate_type, {})), "verifier"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_summary_fails_at_the_check_that_is_for_it(stack: GateStack, case: str) -> None:
    run, step = WRONG[case]
    verdict = run(stack)
    assert not verdict.passed
    assert verdict.failure is not None
    assert (verdict.failure.name, bool(verdict.failure.message)) == (step, True)
    assert tuple(s.name for s in verdict.steps) == CHECKS


def test_only_the_gate_s_own_signature_counts(stack: GateStack) -> None:
    bundle = signing.sign(statement(), stack.trust.config, stack.trust.token("mallory@example.com"))
    verdict = vsa.verify(bundle, DIGEST, RESOURCE, stack.trust.config.trusted_root)
    assert verdict.failure is not None
    assert verdict.failure.name == "signature"


def test_the_gate_leaves_its_verdict_in_the_registry(stack: GateStack) -> None:
    reference = stack.maker.push(stack.maker.parts())
    decision = stack.gate.judge(reference)
    name, _, text = reference.partition("@")
    digest = Digest.parse(text)
    root = stack.trust.config.trusted_root
    assert decision.allowed
    assert vsa.verify(decision.bundle, digest, name, root).passed
    stored = stack.registry.images.referrers(name.removeprefix("oci/"), digest)[-1]
    [held] = [h for h in stack.registry.images.holdings(stored.repository, stored.digest) if h.role == "layer"]
    assert stack.registry.blobs.read(held.digest) == decision.bundle
    assert ("summary", Digest.of(decision.bundle)) in stack.registry.evidence.attached(digest)
    parts = apart(stack.maker.parts())
    parts.statements.pop("SBOM")
    refused = stack.gate.judge(stack.maker.push(parts))
    verdict = vsa.verify(refused.bundle, refused.digest, refused.reference.partition("@")[0], root)
    assert verdict.failure is not None
    assert verdict.failure.name == "result"


def test_a_decision_reads_for_people_and_for_programs(stack: GateStack) -> None:
    parts = apart(stack.maker.parts())
    parts.statements.pop("model signature")
    decision = stack.gate.judge(stack.maker.push(parts), record=False)
    table = decision.table()
    assert "✗ model" in table
    assert "→ sign the model in the job that trained it" in table
    assert "✓ metrics" in table
    document = json.loads(json.dumps(decision.document()))
    assert document["allowed"] is False
    assert {"rule", "result", "message", "hint"} == set(document["checks"][0])


class _World:
    """The stack, as the command line opens a workspace."""

    def __init__(self, stack: GateStack) -> None:
        self.registry, self.trust = stack.registry, stack.trust

    def __enter__(self) -> _World:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def test_the_command_ends_with_its_answer(stack: GateStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlab.workspace.learner_workspace", lambda: tmp_path)
    monkeypatch.setattr("chainlab.world.World", lambda _: _World(stack))
    reference = stack.maker.push(stack.maker.parts())
    run = CliRunner().invoke
    allowed = run(command, [reference])
    assert (allowed.exit_code, allowed.output.splitlines()[-1]) == (0, "allowed")
    parts = apart(stack.maker.parts())
    parts.statements.pop("SBOM")
    refused = run(command, [stack.maker.push(parts), "--json"])
    assert refused.exit_code == 1
    assert json.loads(refused.output)["allowed"] is False
    told = run(command, [reference, "--facts"])
    assert json.loads(told.output)["release"]["intact"] is True
    with pytest.raises(MalformedInput):  # the command line ends with 2
        run(command, ["acme", "--policy", "release"], catch_exceptions=False)
