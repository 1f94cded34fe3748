"""``chainlab attest`` signs a predicate of its type; ``verify`` compares what is asked, and says what was not."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chainlab import names
from chainlab.cli import _main as main
from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence import predicate_types, signing, statements
from chainlab.evidence.statements import PROVENANCE, Statement
from chainlab.evidence.verifying import Expectations, Signer, verify
from chainlab.policy.facts import verification
from chainlab.registry.index.publishers import Publisher
from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.issuer import CI_ISSUER, GIT_SERVER

TAG = "refs/tags/triage@1.0.0"
WORKFLOW = "acme/models/.github/workflows/release.yml"
SOURCE = f"git+{GIT_SERVER}/acme/models"
BUILDER, BUILD_TYPE = "https://ci.example/build", "https://ci.example/workflow/v1"
FILE = b"a model"
PREDICATE = {
    "buildDefinition": {
        "buildType": BUILD_TYPE,
        "externalParameters": {"workflow": "release.yml", "inputs": {}},
        "resolvedDependencies": [{"uri": f"{SOURCE}@{TAG}", "digest": {"gitCommit": "0" * 40}}],
    },
    "runDetails": {"builder": {"id": BUILDER}},
}


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    with Server(tmp_path_factory.mktemp("verify") / "state") as server:
        yield Trust(server.instance.directory)


@pytest.fixture(scope="module")
def bundle(trust: Trust) -> bytes:
    """Provenance that the workflow signed at a tag with an at sign."""
    statement = Statement.about({"model.bin": Digest.of(FILE)}, PROVENANCE, PREDICATE)
    return signing.sign_as(f"{WORKFLOW}@{TAG}", statement, trust)


@pytest.fixture
def asked(tmp_path: Path, trust: Trust, bundle: bytes) -> Any:
    """Runs `chainlab verify` on the file with more options."""
    (tmp_path / "model.bin").write_bytes(FILE)
    (tmp_path / "bundle.json").write_bytes(bundle)

    def run(*options: str, kind: str = "provenance") -> Result:
        words = ["verify", str(tmp_path / "model.bin"), "--bundle", str(tmp_path / "bundle.json"), "--type", kind]
        words += ["--signer", f"{GIT_SERVER}/{WORKFLOW}@{TAG}", "--trust-config", str(trust.config_path), *options]
        return CliRunner().invoke(main, words)

    return run


# -- refs


@pytest.mark.parametrize(
    ("text", "before", "ref"),
    [
        (f"{GIT_SERVER}/{WORKFLOW}@{TAG}", f"{GIT_SERVER}/{WORKFLOW}", TAG),
        (f"{SOURCE}@{TAG}", SOURCE, TAG),
        (f"{SOURCE}@refs/heads/main", SOURCE, "refs/heads/main"),
        (f"{SOURCE}@refs/tags/v1@refs/tags/v2", SOURCE, "refs/tags/v1@refs/tags/v2"),
        (f"git+ssh://git@x.example/a/b@{TAG}", "git+ssh://git@x.example/a/b", TAG),
        (f"{SOURCE}@{'0' * 40}", SOURCE, "0" * 40),
        ("alice@x.example", "alice", "x.example"),
        (SOURCE, "", SOURCE),
    ],
)
def test_a_ref_begins_before_refs(text: str, before: str, ref: str) -> None:
    assert names.cut_ref(text) == (before, ref)


def test_a_tag_with_an_at_sign_is_the_signer_s_and_the_source_s(trust: Trust, bundle: bytes) -> None:
    signer = Signer(f"{GIT_SERVER}/{WORKFLOW}", CI_ISSUER, ("refs/tags/triage@*",))
    expected = Expectations(signer, PROVENANCE, source=SOURCE, refs=("refs/tags/*",))
    assert verify(bundle, Digest.of(FILE), expected, trust.config.trusted_root).passed
    for other in (replace(signer, refs=("refs/tags/v*",)), replace(signer, identity=f"{signer.identity}@refs/tags/x")):
        refused = verify(bundle, Digest.of(FILE), replace(expected, signer=other), trust.config.trusted_root)
        assert refused.failure
        assert refused.failure.name == "signature"


def test_a_tag_with_an_at_sign_publishes() -> None:
    publisher = Publisher("acme/models", "release.yml")
    claims = {"repository": "acme/models", "job_workflow_ref": f"{WORKFLOW}@{TAG}", "ref": TAG}
    assert publisher.objection(claims) is None
    assert publisher.objection({**claims, "job_workflow_ref": f"{WORKFLOW}@refs/tags/x@{TAG}"})


@pytest.mark.parametrize(
    ("signer", "may"),
    [
        (f"{WORKFLOW}@refs/tags/triage@1.0.0", True),
        (f"{WORKFLOW}@refs/tags/triage@1.0.1", False),
        (f"{WORKFLOW}@refs/tags/x@refs/tags/triage@1.0.0", False),
        (f"{WORKFLOW}@refs/heads/main", True),
        ("alice@example.com", True),
    ],
)
def test_a_workflow_at_another_tag_does_not_speak_for_a_release(signer: str, may: bool) -> None:
    release = SimpleNamespace(stored=SimpleNamespace(annotations={"org.opencontainers.image.version": "triage@1.0.0"}))
    assert verification._may_speak(signer, release) == may  # type: ignore[arg-type]


# -- verify


def test_much_that_is_no_bundle_is_refused_before_it_is_parsed(trust: Trust) -> None:
    root, expected = trust.config.trusted_root, Expectations(Signer("alice@example.com", CI_ISSUER), PROVENANCE)
    junk = b'{"mediaType": "x", "a": [' + b"{}," * 700_000 + b"{}]}"
    tracemalloc.start()
    try:
        verdict = verify(junk, Digest.of(FILE), expected, root)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert verdict.failure
    assert verdict.failure.message == "not a Sigstore bundle: it has more than 10000 values"
    assert peak < len(junk)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[]", "1 validation error for Bundle Input should be an object"),
        (b"{}", "2 validation errors for Bundle mediaType Field required"),
        (b"", "1 validation error for Bundle Invalid JSON: EOF while parsing a value at line 1 column 0"),
    ],
)
def test_why_something_is_no_bundle_is_one_line_without_addresses(trust: Trust, data: bytes, why: str) -> None:
    expected = Expectations(Signer("alice@example.com", CI_ISSUER), PROVENANCE)
    failure = verify(data, Digest.of(FILE), expected, trust.config.trusted_root).failure
    assert failure
    assert failure.message == f"not a Sigstore bundle: failed to load bundle: {why}"


def test_a_bundle_with_a_large_predicate_is_read(trust: Trust) -> None:
    predicate = {**PREDICATE, "list": [{"n": number} for number in range(50_000)]}
    statement = Statement.about({"model.bin": Digest.of(FILE)}, PROVENANCE, predicate)
    bundle = signing.sign_as(f"{WORKFLOW}@{TAG}", statement, trust)
    expected = Expectations(Signer(f"{GIT_SERVER}/{WORKFLOW}@{TAG}", CI_ISSUER), PROVENANCE)
    assert verify(bundle, Digest.of(FILE), expected, trust.config.trusted_root).passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], ["– builder", "– source", "– parameters"]),
        (["--builder", BUILDER], [f"✓ builder         {BUILDER}; build type not asked"]),
        (["--build-type", BUILD_TYPE], [f"✓ builder         {BUILDER}; builder not asked"]),
        (["--builder", BUILDER, "--build-type", BUILD_TYPE], [f"✓ builder         {BUILDER}\n"]),
        (["--source", SOURCE], [f"✓ source          {SOURCE}@{TAG}; ref not asked"]),
        (["--ref", "refs/tags/*"], [f"✓ source          {SOURCE}@{TAG}; source not asked"]),
        (["--ref", "refs/heads/main", "--ref", TAG, "--source", SOURCE], [f"✓ source          {SOURCE}@{TAG}\n"]),
        (["--parameters", '{"workflow": "release.yml", "inputs": {}}'], ["✓ parameters"]),
        (["--parameters", '{"workflow": null, "inputs": null, "debug": null}'], ["✓ parameters"]),
    ],
)
def test_what_is_asked_is_shown_and_what_is_not_too(asked: Any, options: list[str], message: list[str]) -> None:
    answer = asked(*options)
    assert answer.exit_code == 0, answer.output
    assert all(text in answer.output for text in message), answer.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--builder", "https://x.example"], "✗ builder"),
        (["--build-type", "https://x.example/shell"], "the build type is https://ci.example/workflow/v1"),
        (["--source", f"{SOURCE}-fork"], "✗ source"),
        (["--ref", "refs/tags/v*"], f"built from {TAG}, expected refs/tags/v*"),
        (["--parameters", "{}"], "the build had a parameter that we do not know: 'inputs'"),
        (["--parameters", '{"workflow": "x.yml", "inputs": {}}'], "workflow is release.yml, expected x.yml"),
        (["--parameters", '{"workflow": null, "inputs": null, "debug": true}'], "the parameter 'debug' is missing"),
    ],
)
def test_what_is_asked_and_is_another_is_refused(asked: Any, options: list[str], message: str) -> None:
    answer = asked(*options)
    assert answer.exit_code == 1, answer.output
    assert message in answer.output


def test_parameters_may_be_a_file_and_have_to_be_an_object(asked: Any, tmp_path: Path) -> None:
    path = tmp_path / "parameters.json"
    path.write_text('{"workflow": null, "inputs": {}}')
    assert asked("--parameters", str(path)).exit_code == 0
    for text in (str(tmp_path / "none.json"), "[]", "{", '{"a": 1, "a": 2}', "\0", "x" * 5000):
        answer = asked("--parameters", text)
        assert answer.exit_code == 2, answer.output
        assert "--parameters" in answer.output


def test_a_builder_is_not_asked_of_what_has_none(trust: Trust) -> None:
    statement = Statement.about({"model.bin": Digest.of(FILE)}, "https://x.example/note", {})
    signed = signing.sign(statement, trust.config, trust.token("alice@example.com"))
    expected = Expectations(Signer("alice@example.com", trust.issuer), "https://x.example/note", builder=BUILDER)
    failure = verify(signed, Digest.of(FILE), expected, trust.config.trusted_root).failure
    assert failure
    assert failure.message == "https://x.example/note names no builder"


# -- attest

VEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "@id": "https://x.example/1",
    "author": "security@acme.example",
    "timestamp": "2026-01-01T00:00:00Z",
    "version": 1,
    "statements": [
        {"vulnerability": {"name": "X-1"}, "products": [{"@id": "pkg:pypi/a@1"}], "status": "fixed"},
    ],
}
SUMMARY = {
    "verifier": {"id": "https://x.example"},
    "resourceUri": "oci/a",
    "policy": {"uri": "https://x.example/p"},
    "verificationResult": "PASSED",
    "verifiedLevels": [],
}
SCAN = {
    "scanner": {"uri": "https://x.example", "result": []},
    "metadata": {"scanStartedOn": "2026-01-01T00:00:00Z", "scanFinishedOn": "2026-01-01T00:01:00Z"},
}
BILL = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
GOOD: dict[str, Any] = {
    statements.PROVENANCE: PREDICATE,
    statements.OPENVEX: VEX,
    statements.SUMMARY: SUMMARY,
    statements.VULNERABILITIES: SCAN,
    statements.SBOM: BILL,
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_predicate_is_of_one_type(kind: str) -> None:
    predicate_types.require(kind, GOOD[kind])
    for other, predicate in GOOD.items():
        if other != kind:
            with pytest.raises(MalformedInput, match="not "):
                predicate_types.require(kind, predicate)
    predicate_types.require("https://x.example/own", GOOD[kind])


@pytest.mark.parametrize(
    ("kind", "predicate", "message"),
    [
        ("sbom", [], "a predicate is a JSON object, not list"),
        ("https://x.example/own", None, "a predicate is a JSON object, not NoneType"),
        ("provenance", BILL, "not SLSA provenance: buildDefinition: missing"),
        ("provenance", {**PREDICATE, "runDetails": {"builder": {}}}, "runDetails.builder.id: missing"),
        ("sbom", {**BILL, "components": [{}]}, "not a CycloneDX document: components[0]"),
        ("openvex", {**VEX, "statements": []}, "not an OpenVEX document: statements: missing"),
        ("openvex", {**VEX, "statements": [{"status": "fixed"}]}, "statements[0].vulnerability: missing"),
        ("summary", {**SUMMARY, "verificationResult": "YES"}, "verificationResult: 'YES' is none of"),
        ("vulnerabilities", {**SCAN, "metadata": {}}, "metadata.scanStartedOn: missing"),
    ],
)
def test_what_is_not_of_its_type_is_not_signed(tmp_path: Path, kind: str, predicate: Any, message: str) -> None:
    said_file = tmp_path / "said.json"
    said_file.write_text(json.dumps(predicate))
    words = ["attest", str(said_file), "--type", kind, "--predicate", str(said_file), "--identity", "a@b.example"]
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 2, answer.output
    assert message in answer.output
    assert "ten minutes" not in answer.output
    assert not (tmp_path / "said.json.sigstore.json").exists()
