"""Releases with one link spoilt, each refused by the rule that is for it; and releases that only look unusual."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from gate_stack import ADVISORIES, POLICIES, GateStack
from release_maker import (
    LOCK,
    NOW,
    OLD,
    REPOSITORY,
    ROOT,
    USED,
    WHEEL,
    ReleaseMaker,
    ReleaseParts,
    UnsignedStatement,
    card,
    vex_statement,
)

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.statements import SBOM
from chainlab.evidence.verifying import RESULT
from chainlab.policy.gate import Decision, Gate
from chainlab.policy.limits import Limits
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.oci.errors import OciError
from chainlab.registry.oci.referrers import attach
from chainlab.registry.registry import Registry

HOST = "provenance of "
EXPLOITED = tuple(f.replace("loader-1.6.2", "loader-1.5.0") for f in USED)
MALLORY = "mallory/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"
BASELINE = ROOT / "data" / "projects" / "triage-model" / "models" / "baseline.onnx"
Bundles = dict[str, bytes]


def judged(stack: GateStack, parts: ReleaseParts, bundles: Bundles | None = None, **how: Any) -> Decision:
    return stack.gate.judge(stack.maker.push(parts, bundles, **how), record=False)


def rules(decision: Decision) -> set[str]:
    """The rules that refused."""
    assert decision.allowed == (not decision.refusals)
    return {check.rule for check in decision.refusals}


# -- what is said, spoilt before it is signed: a rule each


def resigned(name: str, signer: str) -> Callable[[ReleaseParts], None]:
    def spoil(parts: ReleaseParts) -> None:
        parts.statements[name].signer = signer

    return spoil


def said(name: str, *path: str | int, to: Any) -> Callable[[ReleaseParts], None]:
    def spoil(parts: ReleaseParts) -> None:
        target = parts.statements[name].predicate
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = to

    return spoil


def file(name: str, data: bytes) -> Callable[[ReleaseParts], None]:
    """Other bytes in a layer by the time that they are packaged."""

    def spoil(parts: ReleaseParts) -> None:
        parts.files[name] = data
        parts.statements[f"{HOST}package"].subjects = parts.digests()

    return spoil


def after_pushing(name: str, data: bytes) -> Callable[[ReleaseParts], None]:
    """Other bytes in a layer, pushed by somebody whom no platform saw."""
    return lambda parts: parts.files.update({name: data})


def dropped(name: str) -> Callable[[ReleaseParts], None]:
    def spoil(parts: ReleaseParts) -> None:
        del parts.statements[name]

    return spoil


DEFINITION = "buildDefinition"
SPOILT: dict[str, tuple[Callable[[ReleaseParts], None], set[str]]] = {
    "the wheel is swapped after the build": (file(WHEEL, b"another wheel"), {"identity", "provenance", "sbom"}),
    "the model is swapped after training": (
        file("triage.onnx", BASELINE.read_bytes()),
        {"identity", "provenance", "model", "metrics"}),
    "the model is a pickle": (
        file("triage.onnx", b"\x80\x04cposix\nsystem\n."), {"identity", "provenance", "model", "metrics"}),
    "the SBOM is another owner's": (resigned("SBOM", MALLORY), {"identity", "sbom"}),
    "the SBOM is a person's": (resigned("SBOM", "mallory@example.com"), {"identity", "sbom"}),
    "the provenance is the workflow's own": (
        resigned(f"{HOST}build", f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.4.0"), {"provenance"}),
    "the training failed after it stored the model": (
        said(f"{HOST}train", "runDetails", "metadata", RESULT, to="failure"), {"provenance"}),
    "there is no provenance of the training": (dropped(f"{HOST}train"), {"provenance"}),
    "there is no SBOM": (dropped("SBOM"), {"identity", "sbom"}),
    "there is no model signature": (dropped("model signature"), {"identity", "model"}),
    "another builder": (said(f"{HOST}build", "runDetails", "builder", "id", to="https://x.example"), {"provenance"}),
    "built from a branch": (
        said(f"{HOST}build", DEFINITION, "resolvedDependencies", 0, "uri",
             to="git+https://git.chainlab.localhost/acme/triage-model@refs/heads/main"), {"provenance"}),
    "an action is not pinned": (
        said(f"{HOST}train", DEFINITION, "resolvedDependencies", 1, "uri",
             to="git+https://git.chainlab.localhost/actions/checkout@v4"), {"pins"}),
    "a parameter nobody knows": (
        said(f"{HOST}build", DEFINITION, "externalParameters", "debug", to=True), {"provenance"}),
    "the SBOM leaves most out": (said("SBOM", "components", to=[]), {"sbom"}),
    "the SBOM is no CycloneDX": (said("SBOM", "bomFormat", to="SPDX"), {"sbom", "vulnerabilities"}),
    "a component of the SBOM has no name": (
        said("SBOM", "components", 0, "name", to=5), {"sbom", "vulnerabilities"}),
    "the metrics are poor": (
        lambda p: setattr(p.statements["ML-BOM"], "predicate", card("v1.4.0", recall=38)), {"metrics"}),
    "the interval is too wide": (
        said("ML-BOM", "metadata", "component", "modelCard", "quantitativeAnalysis", "performanceMetrics", 1,
             "confidenceInterval", "lowerBound", to="0.61"), {"metrics"}),
    "a threshold is met by words": (
        said("ML-BOM", "metadata", "component", "modelCard", "quantitativeAnalysis", "performanceMetrics", 1, "value",
             to="NaN"), {"metrics"}),
    "the manifest claims another commit": (
        lambda p: p.annotations.update({"org.opencontainers.image.revision": "0" * 40}),
        {"identity", "provenance", "pins", "cooldown", "sbom"}),
    "the wheel is swapped, and the manifest pushed again": (
        after_pushing(WHEEL, b"another wheel"),
        {"identity", "provenance", "pins", "cooldown", "sbom", "vulnerabilities"}),
    "a file that no job made": (file("helper.pkl", b"\x80\x04."), {"provenance"}),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_link_is_refused_by_the_rule_that_is_for_it(stack: GateStack, case: str) -> None:
    spoil, expected = SPOILT[case]
    parts = stack.maker.parts()
    spoil(parts)
    found = rules(judged(stack, parts))
    assert found == expected


@pytest.mark.parametrize(
    ("used", "refused"),
    [
        (EXPLOITED, {"vulnerabilities"}),
        ((*USED, "northwind_queue-1.0-py3-none-any.whl"), {"cooldown"}),
        ((*USED, "northwind_stack-1.0-py3-none-any.whl"), {"cooldown"}),
    ],
    ids=["exploited", "uploaded yesterday", "of unknown age"],
)
def test_a_package_that_should_not_be_in_it_is_refused(
    stack: GateStack, used: tuple[str, ...], refused: set[str]
) -> None:
    assert rules(judged(stack, stack.maker.parts(used=used))) == refused


@pytest.mark.parametrize(("owner", "refused"), [("acme", set()), ("mallory", {"cooldown"})])
def test_a_new_package_of_our_own_is_told_by_its_owner_and_not_by_its_name(
    stack: GateStack, tmp_path: Path, owner: str, refused: set[str]
) -> None:
    name = f"acme_of_{owner}-1.0-py3-none-any.whl"
    project, info = f"acme_of_{owner}", f"acme_of_{owner}-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        files = {
            f"{project}.py": "",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project.replace('_', '-')}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        rows = [
            f"{path},sha256={base64.urlsafe_b64encode(Digest.of(text.encode()).value).rstrip(b'=').decode()},{len(text)}\n"
            for path, text in files.items()
        ]
        for path, text in {**files, f"{info}/RECORD": "".join([*rows, f"{info}/RECORD,,\n"])}.items():
            archive.writestr(path, text)
    stack.registry.index.publish(tmp_path / name, by=Credential(owner, frozenset({"packages:upload:*"})))
    assert rules(judged(stack, stack.maker.parts(used=(*USED, name)))) == refused


QUEUE = "northwind_queue-1.0-py3-none-any.whl"  # no job was served it


@pytest.mark.parametrize(
    ("marker", "refused"),
    [("", {"sbom"}), (" ; python_version >= '3'", {"sbom"}), (" ; python_version < '3'", set())],
)
def test_a_line_of_the_lock_that_no_job_followed_is_refused_unless_prod_leaves_it_out_too(
    stack: GateStack, marker: str, refused: set[str]
) -> None:
    parts = stack.maker.parts()
    parts.files[LOCK] += stack.maker.pin(QUEUE, marker).encode()
    decision = judged(stack, relocked(parts))
    assert rules(decision) == refused
    assert ("1 packages that no job was served: northwind-queue 1.0" in decision.table()) == bool(refused)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"northwind-queue @ http://127.0.0.1:9/queue.whl\n", "lock: 'northwind-queue @ http://127.0.0.1:9/queue.whl'"),
        (b"-e ./queue\n", "lock: '-e ./queue'"),
        (b"--extra-index-url http://127.0.0.1:9/\n", "lock: '--extra-index-url http://127.0.0.1:9/'"),
        (b"northwind-queue==1.0\n", "lock: 'northwind-queue==1.0'"),
        (b"# a remark \\\n", "lock: '# a remark"),
        (b"northwind-queue==1.0 ; nonsense == 'x' \\\n    --hash=sha256:" + b"0" * 64, "not a comparison"),
        (b"\xff\n", "is not UTF-8"),
    ],
)
def test_a_lock_that_says_not_what_prod_would_install_is_refused(stack: GateStack, line: bytes, why: str) -> None:
    parts = stack.maker.parts()
    parts.files[LOCK] += line
    decision = judged(stack, relocked(parts))
    assert rules(decision) == {"sbom"}
    assert why in decision.table()


def test_a_release_without_its_lock_is_refused(stack: GateStack) -> None:
    parts = stack.maker.parts()
    del parts.files[LOCK]
    assert "sbom" in rules(judged(stack, relocked(parts)))


def relocked(parts: ReleaseParts) -> ReleaseParts:
    """With the lock that is in it from the beginning: it was in the source."""
    digests = parts.digests()
    parts.statements[f"{HOST}package"].subjects = digests
    if LOCK in digests:
        parts.statements[f"{HOST}source"].subjects[LOCK] = digests[LOCK]
    return parts


# -- bundles, spoilt after they were signed


def test_a_bundle_of_another_release_is_no_evidence_of_this_one(stack: GateStack) -> None:
    parts = stack.maker.parts()
    other = stack.maker.parts("v1.3.0")
    other.files[WHEEL] = b"the wheel before"
    other.statements["SBOM"].subjects = {WHEEL: Digest.of(b"the wheel before")}
    bundles = stack.maker.sign(parts) | {"SBOM": stack.maker.sign(other)["SBOM"]}
    assert rules(judged(stack, parts, bundles)) == {"identity", "sbom"}


def test_a_changed_payload_is_refused_and_the_reason_says_so(stack: GateStack) -> None:
    parts = stack.maker.parts()
    bundles = stack.maker.sign(parts)
    bundle = json.loads(bundles["ML-BOM"])
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"0.9", b"1.0")).decode()
    bundles["ML-BOM"] = json.dumps(bundle).encode()
    decision = judged(stack, parts, bundles)
    assert {"identity", "metrics"} <= rules(decision)
    assert "does not hold" in decision.table()


def test_the_gate_s_own_summaries_are_no_evidence_and_count_as_none(
    stack: GateStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = stack.maker.parts("v1.8.0")
    count = len(parts.statements)
    reference = stack.maker.push(parts)
    gate = Gate(stack.registry, stack.trust, POLICIES, ADVISORIES, lambda: NOW, limits=Limits(bundles=count))
    own = set()

    def own_last(
        found: Any,
    ) -> list[Any]:  # bundles are looked at by digest, and one of the gate's may be the last
        return sorted(found, key=lambda entry: (entry[0] in own, entry))

    monkeypatch.setattr("chainlab.policy.facts.verification.sorted", own_last, raising=False)
    for _ in range(3):
        decision = gate.judge(reference)
        assert decision.allowed, decision.table()
        own.add(Digest.of(decision.bundle))
    assert len(gate.facts(reference)["evidence"]) == count


# -- what is only unusual


def another_version(stack: GateStack) -> Decision:
    return judged(stack, stack.maker.parts("v2.0.0-rc.1"))


def answered_by_vex(stack: GateStack) -> Decision:
    parts = stack.maker.parts(used=EXPLOITED)
    parts.statements["VEX"] = vex_statement(parts)
    return judged(stack, parts)


def with_strangers_beside(stack: GateStack) -> Decision:
    parts = stack.maker.parts()
    bundles = stack.maker.sign(parts)
    stranger = UnsignedStatement({WHEEL: Digest.of(parts.files[WHEEL])}, SBOM, {"x": '"'}, "mallory@example.com")
    bundles["a stranger's SBOM"] = stack.maker.signed(stranger, parts)
    bundles["no bundle"] = b"\xff\x00 nothing"
    bundles["no JSON object"] = b"[]"
    return judged(stack, parts, bundles)


def reversed_fields(stack: GateStack) -> Decision:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return value

    parts = stack.maker.parts()
    for name, statement in parts.statements.items():
        if name.startswith(HOST):
            statement.predicate = turned(statement.predicate)
    return judged(stack, parts)


def unknown_fields(stack: GateStack) -> Decision:
    parts = stack.maker.parts()
    for statement in parts.statements.values():
        statement.extra = {"x-note": {"nobody": ["knows", "this"]}}
    for name in ("build", "package"):
        parts.statements[f"{HOST}{name}"].predicate["runDetails"]["x-host"] = {"cores": 2}
    parts.annotations["example.note"] = 'a "quoted" note\\'
    # The manifest is another one now, so it is named anew.
    parts.statements[f"{HOST}package"].subjects = parts.digests()
    return judged(stack, parts)


def attached_only(stack: GateStack) -> Decision:
    """Its model has the bytes of every other release here, which other packages made."""
    return judged(stack, stack.maker.parts("v1.9.0"), attach=True)


def not_exploited(stack: GateStack) -> Decision:
    used = tuple(f.replace("http-3.2.5", "http-3.2.0") for f in USED)
    return judged(stack, stack.maker.parts(used=used))


def twice(stack: GateStack) -> Decision:
    parts = stack.maker.parts()
    bundles = stack.maker.sign(parts)
    return judged(stack, parts, {**bundles, "SBOM again": bundles["SBOM"]})


BENIGN = (
    another_version, answered_by_vex, with_strangers_beside, reversed_fields,
    unknown_fields, attached_only, not_exploited, twice,
)  # fmt: skip


@pytest.mark.parametrize("case", BENIGN, ids=lambda case: case.__name__)
def test_what_is_only_unusual_is_allowed(stack: GateStack, case: Callable[[GateStack], Decision]) -> None:
    decision = case(stack)
    assert decision.allowed, decision.table()


@pytest.mark.parametrize(
    ("how", "signer"),
    [
        ({"status": "under_investigation"}, "security@acme.example"),
        ({"status": "not_affected", "at": OLD}, "security@acme.example"),
        ({"status": "not_affected"}, "mallory@example.com"),
        ({"status": "not_affected"}, f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.4.0"),
        ({"status": "not_affected", "at": NOW + timedelta(days=30)}, "security@acme.example"),
    ],
    ids=["no answer yet", "too old", "a stranger's", "the workflow's own", "dated after its signature"],
)
def test_a_vex_that_does_not_count_changes_nothing(stack: GateStack, how: dict[str, Any], signer: str) -> None:
    parts = stack.maker.parts(used=EXPLOITED)
    parts.statements["VEX"] = vex_statement(parts, signer, **how)
    assert rules(judged(stack, parts)) == {"vulnerabilities"}


def test_an_exception_counts_for_one_digest_and_some_time(stack: GateStack, tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(POLICIES, folder)
    parts = stack.maker.parts(used=EXPLOITED)
    reference = stack.maker.push(parts)
    text = (
        f'\n[[exceptions]]\nrule = "vulnerabilities"\ndigest = "{Digest.of(parts.files[WHEEL])}"\n'
        'owner = "security@acme.example"\nreason = "not reachable"\n'
        f"expires = {NOW + timedelta(days=5):%Y-%m-%d}\n"
    )
    with (folder / "release.toml").open("a") as file:
        file.write(text)
    gate = Gate(stack.registry, stack.trust, folder, ADVISORIES, clock=lambda: NOW)
    decision = gate.judge(reference, record=False)
    assert decision.allowed
    [check] = [check for check in decision.checks if check.result == "excepted"]
    assert (check.rule, "security@acme.example" in check.message) == ("vulnerabilities", True)
    later = Gate(stack.registry, stack.trust, folder, ADVISORIES, clock=lambda: NOW + timedelta(days=6))
    decision = later.judge(reference, record=False)
    assert rules(decision) == {"vulnerabilities"}
    assert "it has expired" in decision.table()


# -- what the registry has


def test_quarantined_and_corrupted_bytes_are_refused(stack: GateStack, tmp_path: Path) -> None:
    with Registry(
        tmp_path / "registry", tmp_path / "state.db",
        upstream=Upstream(stack.registry.index._upstream._directory,  # type: ignore[union-attr]
                          stack.registry.index._upstream._times),  # type: ignore[union-attr]
    ) as registry:  # fmt: skip
        maker = ReleaseMaker(registry, stack.trust)
        gate = Gate(registry, stack.trust, POLICIES, ADVISORIES, clock=lambda: NOW)
        parts = maker.parts()
        reference = maker.push(parts)
        assert gate.judge(reference, record=False).allowed
        wheel = Digest.of(parts.files[WHEEL])
        registry.quarantine.hold(wheel, "token leaked", by="security")
        decision = gate.judge(reference, record=False)
        assert rules(decision) == {"intact"}
        assert "token leaked" in decision.table()
        registry.quarantine.release(wheel, by="security")
        bundles = maker.sign(parts)
        for digest, others in (
            (wheel, b"others"),
            (Digest.of(bundles["SBOM"]), b"{}"),
            (Digest.of(bundles["ML-BOM"]), None),
        ):
            path = registry.blobs.path(digest)
            whole = path.read_bytes()
            path.unlink()
            if others is not None:
                path.write_bytes(others)
            assert "intact" in rules(gate.judge(reference, record=False))
            path.write_bytes(whole)


def test_a_tag_is_resolved_and_the_decision_names_the_digest(stack: GateStack) -> None:
    reference = stack.maker.push(stack.maker.parts(), name="acme/triage-model/tagged")
    decision = stack.gate.judge("oci/acme/triage-model/tagged:v1.4.0", record=False)
    assert (decision.reference, decision.allowed) == (reference, True)


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("acme/triage-model", MalformedInput),
        ("oci/acme/triage-model/release", MalformedInput),
        ("oci/acme/x@sha256:1", MalformedInput),
        ("package/triage-model:v1", MalformedInput),
        ("oci/acme/none:v1", OciError),
        (f"oci/acme/none@sha256:{'0' * 64}", OciError),
    ],
)
def test_a_reference_that_names_nothing_is_an_error(stack: GateStack, reference: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        stack.gate.judge(reference)


def test_too_much_evidence_is_refused_not_sampled(stack: GateStack) -> None:
    gate = Gate(stack.registry, stack.trust, POLICIES, ADVISORIES, lambda: NOW, limits=Limits(bundles=3))
    assert "intact" in rules(gate.judge(stack.maker.push(stack.maker.parts()), record=False))


def test_an_image_index_is_no_release(stack: GateStack) -> None:
    reference = stack.maker.push(stack.maker.parts(), name="acme/triage-model/index")
    digest = Digest.parse(reference.partition("@")[2])
    attach(stack.registry.images, "acme/triage-model/index", digest, b"{}", BUNDLE_TYPE, by="x")
    [stored] = stack.registry.images.referrers("acme/triage-model/index", digest)[-1:]
    decision = stack.gate.judge(f"oci/acme/triage-model/index@{stored.digest}", record=False)
    assert {"intact", "identity", "provenance", "model"} <= rules(decision)
