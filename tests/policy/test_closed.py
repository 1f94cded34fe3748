"""The gate fails closed: whatever happens to the Rego process, to the rules or to a bundle, nothing passes by it."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_stack import ADVISORIES, POLICIES, GateStack
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import NOW

from chainlab.errors import ChainlabError, MalformedInput
from chainlab.policy.facts import predicates, verification
from chainlab.policy.gate import Gate, checks_of
from chainlab.policy.limits import Limits
from chainlab.policy.policy import Policy
from chainlab.policy.rego import rego_client, rego_process
from chainlab.registry.releases import Release
from chainlab.trust.client import Trust

POLICY = Policy.load(POLICIES, "release")
UP = "package chainlab.gate\nimport rego.v1\n"


@pytest.fixture(scope="module")
def reference(stack: GateStack) -> str:
    return stack.maker.push(stack.maker.parts())


# -- the Rego process

PROGRAMS = {
    "garbage": "print('allowed')",
    "nothing": "",
    "an empty report": "print('{\"expressions\": [{}]}')",
    "a report that is a list": "print('{\"expressions\": [[]]}')",
    "passed, as text": 'print(\'{"expressions": [{"intact": "passed"}]}\')',
    "a name twice": 'print(\'{"expressions": [{"intact": 1, "intact": 2}]}\')',
    "two answers": "print('{\"expressions\": [{}, {}]}')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "an error after the answer": "print('{\"expressions\": [{}]}'); raise SystemExit(5)",
    "too late": "import time; time.sleep(30)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_answer_but_a_whole_one_lets_anything_pass(
    stack: GateStack, reference: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "rego_process.py"
    program.write_text(f"import sys; sys.stdin.buffer.read()\n{PROGRAMS[name]}")
    monkeypatch.setattr(rego_client, "PROGRAM", program)
    gate = Gate(stack.registry, stack.trust, POLICIES, ADVISORIES, clock=lambda: NOW, limits=Limits(rule_seconds=0.5))
    started = time.monotonic()
    decision = gate.judge(reference, record=False)
    assert time.monotonic() - started < 10
    assert not decision.allowed
    assert all(check.message and check.hint for check in decision.refusals)


RULES = {
    "not Rego": "allow everything, please",
    "one rule says nothing": UP + 'report["intact"] := {"result": "passed", "refused": [], "note": ""}',
    "undefined": UP + "report := input.nothing",
    "passes and refuses": UP
    + 'report[r] := {"result": "passed", "refused": [1], "note": ""} if some r in data.expected.rules',
    "an unknown word": UP
    + 'report[r] := {"result": "allowed", "refused": [], "note": ""} if some r in data.expected.rules',
    "excepted by nobody": UP
    + 'report[r] := {"result": "excepted", "refused": [], "note": "", "excused_by": []}'
    + " if some r in data.expected.rules",
    "an error in a function": UP + 'report := {"intact": to_number("x")}',
    "all of the memory": UP + "report := count(numbers.range(1, 30000000))",
    "without end": UP
    + "report := count([1 | some i in numbers.range(1, 9999); some j in numbers.range(1, 9999); i == j])",
}


@pytest.mark.parametrize("name", RULES)
def test_a_policy_that_gives_no_verdict_lets_nothing_pass(name: str) -> None:
    policy = Policy("x", POLICY.rules, {"gate.rego": RULES[name]}, POLICY.expected, POLICY.digest)
    try:
        report = rego_client.ask(policy, {}, limits=Limits(rule_seconds=0.5, rule_memory=2**27))
    except ChainlabError:
        return
    results = {rule: {c.result for c in checks_of(rule, report.get(rule))} for rule in policy.rules}
    assert sum(found == {"refused"} for found in results.values()) >= len(policy.rules) - 1


def test_no_text_of_the_facts_can_add_to_the_answer() -> None:
    hostile = '", "result": "passed", "refused": [], "note": "'
    policy = Policy(
        "x",
        ("intact",),
        {"gate.rego": UP + 'report["intact"] := {"result": "refused", "refused": [input.text], "note": ""}'},
        {},
        POLICY.digest,
    )
    report = rego_client.ask(policy, {"text": hostile + "\\\n\x00\ud800é"})
    [text] = report["intact"]["refused"]
    assert report["intact"]["result"] == "refused"
    assert not set(text) & set('"\\\n\x00')
    assert text.endswith("é")


def test_the_worker_has_an_empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TOKEN", "FAKE")
    policy = Policy("x", ("a",), {"g": UP + "report := opa.runtime()"}, {}, POLICY.digest)
    assert "FAKE" not in json.dumps(dict(rego_client.ask(policy, {})))


def test_the_worker_s_program_is_nothing_of_ours() -> None:
    text = rego_client.PROGRAM.read_text()
    assert "import chainlab" not in text
    assert "from chainlab" not in text


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: "rules = []",
        lambda t: "rules = 5",
        lambda t: t + "\nx = inf",
        lambda t: t + "\n[",
        lambda t: t.replace("[signers.host]", "[signers.other]"),
        lambda t: t.replace('signers = ["host"]', "signers = [5]"),
        lambda t: t.replace('signers = ["host"]', 'signers = "host"'),
        lambda t: t.replace('refs = ["refs/tags/v*"]', 'refs = "refs/tags/v*"'),
        lambda t: t.replace("level =", "level = 1 #"),
        lambda t: t.replace("excused_by =", "vex_days = -1\nexcused_by ="),
        lambda t: t.replace("excused_by =", "vex_days = 1e300\nexcused_by ="),
        lambda t: t.replace("excused_by =", 'vex_days = "90"\nexcused_by ='),
        lambda t: t.replace('publishes = "package"', ""),
    ],
)
def test_a_policy_that_cannot_be_read_lets_nothing_pass(
    stack: GateStack, reference: str, tmp_path: Path, edit: Callable[[str], str]
) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    path = folder / "release.toml"
    path.write_text(edit(path.read_text()))
    gate = Gate(stack.registry, stack.trust, folder, ADVISORIES, clock=lambda: NOW)
    try:
        assert not gate.judge(reference, record=False).allowed
    except MalformedInput as error:  # the call is wrong: that is no yes either
        message = error.message
        assert message, "it says what is wrong"


def test_a_policy_that_cannot_be_read_says_where(tmp_path: Path) -> None:
    text = (POLICIES / "release.toml").read_text()
    for old, new, said in (
        ("[signers.host]", "[signers.other]", "the policy 'release': no signer is called 'host'"),
        (
            'signers = ["host"]',
            "signers = [5]",
            "the policy 'release': statements[0].signers[0]: expected a text, got 5",
        ),
        ('lock = "requirements.lock"', "lock = 5", "the policy 'release': release.lock: expected a text, got 5"),
    ):
        assert old in text
        (tmp_path / "release.toml").write_text(text.replace(old, new))
        with pytest.raises(MalformedInput) as refused:
            Policy.load(tmp_path, "release")
        assert refused.value.message == said


@pytest.mark.parametrize("name", ["nothing", "../release", "RELEASE", ""])
def test_a_policy_that_is_not_there_is_a_wrong_call(stack: GateStack, reference: str, name: str) -> None:
    with pytest.raises(MalformedInput):
        stack.gate.judge(reference, name)


def test_without_advisories_nothing_counts_as_scanned(stack: GateStack, reference: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.json").write_text('{"id": 5}')
    for folder in (tmp_path / "empty", tmp_path / "bad"):
        gate = Gate(stack.registry, stack.trust, POLICIES, folder, clock=lambda: NOW)
        decision = gate.judge(reference, record=False)
        assert {check.rule for check in decision.refusals} == {"vulnerabilities"}


def test_an_advisory_that_cannot_be_read_is_not_scanned_unless_the_policy_excuses_it(
    stack: GateStack, reference: str, tmp_path: Path
) -> None:
    known, policies = tmp_path / "known", tmp_path / "policies"
    shutil.copytree(ADVISORIES, known)
    shutil.copytree(POLICIES, policies)
    (known / "ACME-2026-0099.json").write_text('{"id": "ACME-2026-0099", "modified": "2026-01-01T00:00:00Z"}')
    (known / "other.json").write_text('{"id": "ACME-2026-0098", "modified": "yesterday"}')
    (known / "cut.json").write_text('{"id": "ACME-2026-0097"')
    gate = Gate(stack.registry, stack.trust, policies, known, clock=lambda: NOW)
    verification = gate.facts(reference)["vulnerabilities"]
    assert [record["id"] for record in verification["unread"]] == ["ACME-2026-0098", "cut"]
    assert not verification["scanned"]
    assert verification["found"] == [], "the scan goes on"
    assert verification["skipped"]["about no package of an ecosystem that is compared"] == 1
    refusals = gate.judge(reference, record=False).refusals
    assert {refusal.rule for refusal in refusals} == {"vulnerabilities"}
    assert "ACME-2026-0098 cannot be read: other.json: modified" in " ".join(each.message for each in refusals)
    path = policies / "release.toml"
    path.write_text(path.read_text().replace("excused_records = []", 'excused_records = ["ACME-2026-0098", "cut"]'))
    decision = gate.judge(reference, record=False)
    assert decision.allowed
    assert "2 advisories cannot be read, and are excused" in decision.table()


def test_without_an_instance_nothing_is_allowed(stack: GateStack, reference: str, tmp_path: Path) -> None:
    gate = Gate(stack.registry, Trust(tmp_path), POLICIES, ADVISORIES, clock=lambda: NOW)
    decision = gate.judge(reference)
    assert not decision.allowed
    assert decision.bundle == b""


# -- bundles and documents, spoilt at random


def spoilt(draw: Callable[..., Any], data: bytes, others: list[bytes]) -> bytes:
    """A bundle with a byte, a field or its payload changed; or another one in its place."""
    how = draw(st.sampled_from(["flip", "cut", "field", "payload", "twice", "swap"]))
    if how == "flip":
        at = draw(st.integers(0, len(data) - 1))
        return data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
    if how == "cut":
        return data[: draw(st.integers(0, len(data) - 1))]
    if how == "swap":
        other: bytes = draw(st.sampled_from(others))
        return other
    document = json.loads(data)
    if how == "payload":
        payload = bytearray(base64.b64decode(document["dsseEnvelope"]["payload"]))
        payload[draw(st.integers(0, len(payload) - 1))] ^= 1 << draw(st.integers(0, 6))
        document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        return json.dumps(document).encode()
    target, key = draw(st.sampled_from(list(_places(document))))
    if how == "field":
        target.pop(key)
        return json.dumps(document).encode()
    value = json.dumps(target[key])
    text = json.dumps(document)
    pair = f"{json.dumps(key)}: {value}"
    return text.replace(pair, f"{pair}, {json.dumps(key)}: {value[:-1]}x{value[-1:]}", 1).encode()


def _places(value: Any) -> Any:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _places(inner)
    if isinstance(value, list):
        for inner in value:
            yield from _places(inner)


@settings(max_examples=200)
@given(data=st.data())
def test_nothing_spoilt_at_random_is_evidence(stack: GateStack, data: st.DataObject) -> None:
    """A spoilt bundle either does not hold, or says byte for byte what the whole one says (its keyid, for example)."""
    parts = stack.maker.parts()
    bundles = stack.maker.sign(parts)
    names = sorted(bundles)
    name = data.draw(st.sampled_from(names))
    others = [bundles[other] for other in names if other != name]
    found = spoilt(data.draw, bundles[name], others)
    release = _release(stack)
    config = stack.trust.config
    piece = verification.verify_bundle(found, release, POLICY, config)
    if not piece.verified:
        assert set(piece.facts) == {"verified", "why", "kind"}
        return
    genuine = [verification.verify_bundle(b, release, POLICY, config) for b in bundles.values()]
    assert (piece.predicate_type, piece.predicate) in [(g.predicate_type, g.predicate) for g in genuine]
    said = {k: v for k, v in piece.facts.items() if k != "digest"}
    assert said in [{k: v for k, v in g.facts.items() if k != "digest"} for g in genuine]


def test_a_spoilt_timestamp_is_refused_and_raises_nothing(stack: GateStack) -> None:
    """The library tells of it by another error than of other parts that cannot be read."""
    parts = stack.maker.parts()
    bundle = json.loads(stack.maker.sign(parts)["SBOM"])
    times = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    times[0]["signedTimestamp"] = base64.b64encode(b"no time").decode()
    piece = verification.verify_bundle(json.dumps(bundle).encode(), _release(stack), POLICY, stack.trust.config)
    assert not piece.verified
    assert "not a Sigstore bundle: Invalid Timestamp" in piece.facts["why"]


_kept: dict[int, Release] = {}


def _release(stack: GateStack) -> Release:
    if id(stack) not in _kept:
        reference = stack.maker.push(stack.maker.parts())
        _kept[id(stack)] = stack.registry.release(reference)
    return _kept[id(stack)]


@settings(max_examples=5)
@given(data=st.data())
def test_a_release_with_a_spoilt_bundle_is_refused(stack: GateStack, data: st.DataObject) -> None:
    parts = stack.maker.parts()
    bundles = stack.maker.sign(parts)
    name = data.draw(st.sampled_from(sorted(bundles)))
    others = [bundles[other] for other in sorted(bundles) if other != name]
    found = spoilt(data.draw, bundles[name], others)
    piece = verification.verify_bundle(found, _release(stack), POLICY, stack.trust.config)
    same = piece.verified and found not in others
    decision = stack.gate.judge(stack.maker.push(parts, {**bundles, name: found}), record=False)
    assert decision.allowed == same, (name, decision.table())


def test_predicates_of_any_form_are_facts_of_one_form(stack: GateStack) -> None:
    shapes: list[Any] = [
        None,
        5,
        "x",
        [],
        {},
        [[]],
        {"buildDefinition": 5},
        {"components": [5, None]},
    ]
    for shape in shapes:
        for predicate_type in ("https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom"):
            read = predicates.read(predicate_type, shape)
            assert isinstance(read, dict)
            json.dumps(rego_process.harmless(read), allow_nan=False)
        assert predicates.served_packages(shape)[1] == []
