"""A verdict has limits of time, memory and bytes; what reaches one is a refusal, and nobody else waits for it."""

from __future__ import annotations

import io
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gate_stack import ADVISORIES, POLICIES, GateStack
from release_maker import LOCK, NOW, USED, ReleaseParts, apart

from chainlab import database
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Unavailable
from chainlab.evidence.models.pickles import MAX_OPCODES
from chainlab.policy import gate
from chainlab.policy.facts import facts_client
from chainlab.policy.facts.facts_client import FACTS_CLIENT
from chainlab.policy.gate import Decision, Gate, checks_of
from chainlab.policy.limits import Limits
from chainlab.policy.rego import rego_client
from chainlab.policy.verdict_queue import VerdictQueue
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.registry import Registry


def limited(stack: GateStack, **limits: Any) -> Gate:
    return Gate(stack.registry, stack.trust, POLICIES, ADVISORIES, lambda: NOW, limits=Limits(**limits))


def only(decision: Decision) -> str:
    """The one refusal of a verdict that was not reached."""
    assert not decision.allowed
    [check] = decision.refusals
    assert check.rule == "gate"
    assert check.hint
    return check.message


# -- what hostile releases cost


def locked(parts: ReleaseParts, data: bytes) -> ReleaseParts:
    """The release with another lock, and honest evidence about it."""
    parts.files[LOCK] = data
    digests = parts.digests()
    for said in parts.statements.values():
        said.subjects = {name: digests.get(name, digest) for name, digest in said.subjects.items()}
    return parts


def spaces(stack: GateStack) -> ReleaseParts:
    parts = stack.maker.parts()
    return locked(parts, parts.files[LOCK] + b"a" + b" " * 2**20 + b"!\n")


def many_layers(stack: GateStack) -> ReleaseParts:
    parts = stack.maker.parts()
    big = bytes(20 * 2**20)
    parts.files |= {f"f{n}.txt": big for n in range(60)}
    return parts


def zip_in_a_model(stack: GateStack) -> ReleaseParts:
    """Thirty entries of a zip share one member, which unpacks to 256 MB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("0.npy", b"\x93NUMPY\x01\x00" + bytes(2**28))
    one = packed.getvalue()
    start = one.index(b"PK\1\2")
    directory = one[start : start + 46 + 5] * 30
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 30, 30, len(directory), start, 0)
    parts = stack.maker.parts()
    parts.files["triage.onnx"] = one[:start] + directory + end
    return parts


def pickles_in_models(stack: GateStack) -> ReleaseParts:
    """Each as many opcodes as a scan follows."""
    parts = stack.maker.parts()
    parts.files |= dict.fromkeys(("triage.onnx", "a.onnx", "b.onnx", "c.onnx"), b"N0" * MAX_OPCODES)
    return parts


def judged_at_once(stack: GateStack, parts: ReleaseParts) -> Decision:
    """The gate's decision about a release, made in moments once its processes run."""
    reference = stack.maker.push(parts)
    stack.gate.judge(reference, record=False)
    began = time.monotonic()
    decision = stack.gate.judge(reference, record=False)
    assert time.monotonic() - began < 5
    return decision


def test_a_zip_whose_entries_share_a_member_is_refused_at_once(stack: GateStack) -> None:
    decision = judged_at_once(stack, zip_in_a_model(stack))
    assert "model" in {check.rule for check in decision.refusals}


def test_a_line_of_a_million_spaces_is_refused_at_once(stack: GateStack) -> None:
    decision = judged_at_once(stack, spaces(stack))
    assert {check.rule for check in decision.refusals} == {"sbom"}
    assert "not a line of a release's lock: 'a   " in decision.table()


def test_one_blob_of_many_layers_is_held_once_and_not_in_this_process(stack: GateStack) -> None:
    reference = stack.maker.push(many_layers(stack))
    stack.gate.judge(reference, record=False)
    before = resident()
    decision = stack.gate.judge(reference, record=False)
    assert resident() - before < 2**24
    assert not decision.allowed  # nobody made these files; it is looked at all the same
    assert stack.registry.release(reference).size < 22 * 2**20


def resident() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_a_scan_that_takes_too_long_is_a_refusal_in_time(stack: GateStack) -> None:
    reference = stack.maker.push(pickles_in_models(stack))
    began = time.monotonic()
    said = only(limited(stack, seconds=2.0).judge(reference, record=False))
    assert said == "collecting the facts took more than 2 s"
    assert time.monotonic() - began < 10


def test_a_release_that_is_too_large_is_refused_before_a_byte_is_read(stack: GateStack) -> None:
    reference = stack.maker.push(many_layers(stack))
    size = stack.registry.release(reference).size
    said = only(limited(stack, read=2**20).judge(reference, record=False))
    assert said == f"the release has {size} bytes, and the gate reads at most {2**20}"


def test_what_takes_too_much_memory_is_a_refusal(stack: GateStack) -> None:
    reference = stack.maker.push(many_layers(stack))
    said = only(limited(stack, memory=2**24 + 2**20).judge(reference, record=False))
    # Whichever library finds out first, and in whatever words.
    assert said.startswith(("collecting the facts takes more memory", "collecting the facts ended", "the facts cannot"))


def test_too_long_a_facts_document_is_a_refusal(stack: GateStack) -> None:
    said = only(limited(stack, facts=5000).judge(stack.maker.push(stack.maker.parts()), record=False))
    assert said == "there are more than 5000 bytes of facts"


def test_the_collector_that_was_killed_is_a_refusal_and_the_next_verdict_is_as_before(stack: GateStack) -> None:
    reference = stack.maker.push(stack.maker.parts())
    assert stack.gate.judge(reference, record=False).allowed
    slow = stack.maker.push(pickles_in_models(stack))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stack.gate.judge, slow, record=False)
        time.sleep(1)
        process = FACTS_CLIENT._process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        assert only(running.result(20)).startswith("the facts were not collected")
    assert stack.gate.judge(reference, record=False).allowed


ASKING = """
import sys, time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for line in sys.stdin:
    waits, end = [], time.monotonic() + float(line)
    while time.monotonic() < end:
        began = time.monotonic()
        opener.open(sys.argv[1] + "/healthz", timeout=60).read()
        waits.append(time.monotonic() - began)
        time.sleep(0.02)
    print(sorted(waits)[int(len(waits) * 0.99)], flush=True)
"""


@pytest.mark.parametrize("attack", [spaces, many_layers, pickles_in_models])
def test_the_services_answer_while_the_gate_reads_what_takes_long(
    stack: GateStack, attack: Callable[[GateStack], ReleaseParts]
) -> None:
    """They are in this process, as the gate is; p99 of waiting for one of them."""
    reference = stack.maker.push(attack(stack))
    stack.gate.judge(stack.maker.push(stack.maker.parts()), record=False)
    words = [sys.executable, "-I", "-c", ASKING, stack.trust.url]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None

        def waited(seconds: float) -> float:
            assert asking.stdin is not None
            assert asking.stdout is not None
            asking.stdin.write(f"{seconds}\n")
            asking.stdin.flush()
            return float(asking.stdout.readline())

        idle = waited(2)
        with ThreadPoolExecutor(1) as pool:
            wait = pool.submit(waited, 5)
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert not limited(stack, seconds=4.0).judge(reference, record=False).allowed
            busy = wait.result()
        asking.stdin.close()
    assert busy <= 0.25 + idle, f"p99 {busy * 1000:.0f} ms, of an idle gate {idle * 1000:.0f} ms"


# -- one at a time


def test_one_verdict_at_a_time_eight_wait_and_the_tenth_is_told_to_come_later() -> None:
    queue, started, go = VerdictQueue(waiting=8), threading.Semaphore(0), threading.Event()
    inside: list[int] = []

    def ask() -> None:
        with queue.turn():
            inside.append(1)
            assert len(inside) == 1, "another one is inside"
            started.release()
            go.wait(10)
            inside.pop()

    threads = [threading.Thread(target=ask) for _ in range(9)]
    for thread in threads:
        thread.start()
    assert started.acquire(timeout=5)
    end = time.monotonic() + 5
    while queue._count < 9 and time.monotonic() < end:
        time.sleep(0.01)
    with pytest.raises(Unavailable, match="8 verdicts wait") as refused, queue.turn():
        pass
    assert refused.value.status == 503
    go.set()
    for thread in threads:
        thread.join(10)
    with queue.turn():
        pass


def test_a_full_gate_answers_503_and_makes_no_verdict(stack: GateStack, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = stack.maker.push(stack.maker.parts())
    full = VerdictQueue(waiting=0)
    monkeypatch.setattr(gate, "QUEUE", full)
    with full.turn():
        for ask in (stack.gate.judge, stack.gate.facts):
            with pytest.raises(Unavailable, match="0 verdicts wait"):
                ask(reference)
    assert stack.registry.evidence.attached(stack.registry.release(reference).digest) == []


# -- the facts are kept


@pytest.mark.parametrize("allowed", [True, False])
def test_each_verdict_names_the_facts_that_it_rests_on_and_they_are_kept(stack: GateStack, allowed: bool) -> None:
    parts = apart(stack.maker.parts())
    if not allowed:
        del parts.statements["SBOM"]
    decision = stack.gate.judge(stack.maker.push(parts))
    assert decision.allowed is allowed
    assert decision.facts is not None
    assert decision.document()["facts"] == str(decision.facts)
    assert stack.registry.evidence.attached(Digest.of(decision.bundle)) == [("facts", decision.facts)]
    told = stack.registry.evidence.read(Digest.of(decision.bundle), decision.facts)
    facts = json.loads(told)
    assert facts["release"]["digest"] == str(decision.digest)
    again = rego_client.ask(stack.gate.policy(), facts)
    checks = [check for rule in stack.gate.policy().rules for check in checks_of(rule, again.get(rule))]
    assert tuple(checks) == decision.checks


def test_a_verdict_that_was_not_reached_has_no_facts(stack: GateStack) -> None:
    decision = limited(stack, read=1).judge(stack.maker.push(stack.maker.parts()))
    assert (decision.allowed, decision.facts) == (False, None)
    assert stack.registry.evidence.attached(Digest.of(decision.bundle)) == []


# -- the facts process


@pytest.fixture
def question(stack: GateStack) -> dict[str, Any]:
    reference = stack.maker.push(stack.maker.parts())
    policy = stack.gate.policy()
    return {
        "reference": reference,
        "policy": {"name": policy.name, "expected": dict(policy.expected)},
        "registry": stack.registry.description,
        "trust": str(stack.trust.config_path),
        "advisories": str(ADVISORIES),
        "now": NOW.timestamp(),
    }


ANSWERS = {
    "nothing": "pass",
    "garbage": "sys.stdout.write('allowed\\n')",
    "no size": "sys.stdout.write('{}\\n')",
    "a size that is no number": 'sys.stdout.write(\'{"size": "1"}\\n\')',
    "a negative size": "sys.stdout.write('{\"size\": -1}\\n')",
    "too large a size": "sys.stdout.write('{\"size\": 99999999999}\\n')",
    "less than it says": 'sys.stdout.write(\'{"size": 10, "inputs": []}\\nabc\')',
    "more than it says": 'sys.stdout.write(\'{"size": 1, "inputs": []}\\nabc\')',
    "without inputs": "sys.stdout.write('{\"size\": 1}\\n1')",
}


@pytest.mark.parametrize("case", ANSWERS)
def test_no_answer_of_the_collector_but_a_whole_one_counts(
    question: dict[str, Any], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        facts_client, "PROGRAM", f"import sys; sys.stdin.readline(); {ANSWERS[case]}; sys.stdout.flush()"
    )
    made = facts_client.FactsClient()
    try:
        with pytest.raises(ChainlabError):
            made.collect(question, Limits(seconds=1))
    finally:
        made.close()


def test_the_collector_ends_with_whoever_started_it(question: dict[str, Any]) -> None:
    made = facts_client.FactsClient()
    made.start()
    process = made._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0
    made.close()


def test_the_collector_sees_none_of_the_secrets_of_its_starter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TOKEN", "FAKE")
    made = facts_client.FactsClient()
    try:
        made.start()
        assert made._process is not None
        assert b"FAKE" not in Path(f"/proc/{made._process.pid}/environ").read_bytes()
    finally:
        made.close()


def test_a_registry_that_is_read_only_changes_nothing(stack: GateStack) -> None:
    described = stack.registry.description
    with Registry(
        Path(described["directory"]),
        Path(described["database"]),
        upstream=Upstream.described(described["upstream"]),
        read_only=True,
    ) as opened:
        [file] = opened.index.files("acme-cells")
        assert file.digest == stack.maker.file(USED[0])
        assert opened.index.files("northwind-http")[0].uploaded is not None
        with pytest.raises(ChainlabError, match="could not be written"):
            opened.quarantine.hold(Digest.of(b"x"), "why", by="nobody")


def test_a_state_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot open the state"):
        database.connect(tmp_path / "state.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_warm_verdict_costs_a_fork_and_no_start(stack: GateStack) -> None:
    reference = stack.maker.push(stack.maker.parts())
    stack.gate.judge(reference, record=False)
    process = FACTS_CLIENT._process
    times = []
    for _ in range(3):
        began = time.monotonic()
        stack.gate.judge(reference, record=False)
        times.append(time.monotonic() - began)
    assert FACTS_CLIENT._process is process
    assert statistics.median(times) < 5  # seconds; benchmarks/gate.py has the figure
