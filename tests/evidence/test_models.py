"""Model signatures: what model-signing signs holds, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.evidence import signing
from chainlab.evidence.models import model_signing
from chainlab.evidence.statements import MODEL_SIGNATURE, Statement
from chainlab.evidence.verifying import Signer
from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.issuer import CI_ISSUER

ALICE = "alice@example.com"
WORKFLOW = "acme/triage-model/.github/workflows/release.yml"


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
    with Server(tmp_path_factory.mktemp("models") / "state") as server:
        yield Trust(server.instance.directory)


@pytest.fixture
def alice(trust: Trust) -> Signer:
    return Signer(ALICE, trust.issuer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of three files."""
    found = tmp_path / "finbert"
    (found / "tokenizer").mkdir(parents=True)
    (found / "weights.bin").write_bytes(bytes(range(256)))
    (found / "config.json").write_text("{}")
    (found / "tokenizer" / "words.txt").write_text("a\nb\n")
    return found


def digest_of(folder: Path) -> Digest:
    """What a model signature has as its subject: SHA-256 over the files' raw digests, in the order of their names."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Digest.of(b"".join(Digest.of_file(path).value for path in files))


@pytest.fixture(scope="module")
def signed(trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Alice's signature of the same three files."""
    again = tmp_path_factory.mktemp("signed") / "finbert"
    (again / "tokenizer").mkdir(parents=True)
    (again / "weights.bin").write_bytes(bytes(range(256)))
    (again / "config.json").write_text("{}")
    (again / "tokenizer" / "words.txt").write_text("a\nb\n")
    return model_signing.sign(again, trust.config, trust.token(ALICE))


def test_what_was_signed_holds_and_lists_every_file(trust: Trust, folder: Path, signed: bytes, alice: Signer) -> None:
    verdict = model_signing.verify(folder, signed, alice, trust.config)
    assert verdict.passed, verdict
    statement = verdict.require()
    assert verdict.signer == ALICE
    assert statement.predicate_type == MODEL_SIGNATURE
    assert statement.is_about(digest_of(folder))
    assert [resource["name"] for resource in statement.predicate["resources"]] == [
        "config.json",
        "tokenizer/words.txt",
        "weights.bin",
    ]
    assert "ignore_paths" not in statement.predicate["serialization"]


def rename(folder: Path) -> None:
    (folder / "config.json").rename(folder / "configs.json")  # the same bytes, the same order


@pytest.mark.parametrize(
    ("doctor", "message"),
    [
        (lambda f: (f / "weights.bin").write_bytes(b"other"), "changed: weights.bin"),
        (lambda f: (f / "loader.py").write_text(""), "not signed: loader.py"),
        (lambda f: (f / "config.json").unlink(), "missing: config.json"),
        (rename, "not signed: configs.json; missing: config.json"),
        (lambda f: ((f / ".git").mkdir(), (f / ".git" / "x").touch()), "not signed: .git/x"),
        (lambda f: (f / "more.bin").symlink_to("weights.bin"), "more.bin is a link"),
        (lambda f: [p.unlink() for p in f.rglob("*") if p.is_file()], "the model has no file"),
    ],
    ids=["changed", "extra", "missing", "renamed", "in a folder git uses", "link", "empty"],
)
def test_a_doctored_model_is_refused_at_its_subject(
    trust: Trust,
    folder: Path,
    signed: bytes,
    alice: Signer,
    doctor: Callable[[Path], object],
    message: str,
) -> None:
    doctor(folder)
    failed = model_signing.verify(folder, signed, alice, trust.config).failure
    assert failed is not None
    assert (failed.name, failed.message.startswith(message)) == ("subject", True), failed
    assert failed.hint


@pytest.mark.parametrize("who", [("bob@example.com", ""), (ALICE, "https://elsewhere.example")])
def test_another_signer_is_refused(trust: Trust, folder: Path, signed: bytes, who: tuple[str, str]) -> None:
    signer = Signer(who[0], who[1] or trust.issuer)
    failed = model_signing.verify(folder, signed, signer, trust.config).failure
    assert failed is not None
    assert failed.name == "signature"
    assert ALICE in failed.message


def test_a_damaged_signature_is_refused_and_never_raises(
    trust: Trust, folder: Path, signed: bytes, alice: Signer
) -> None:
    document = json.loads(signed)
    document["dsseEnvelope"]["payload"] = document["dsseEnvelope"]["payload"][:-8] + "AAAAAAA="
    for bundle in (b"", b"{}", signed[:-40], json.dumps(document).encode()):
        failed = model_signing.verify(folder, bundle, alice, trust.config).failure
        assert failed is not None
        assert failed.name == "signature"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_byte_of_a_signature_changes_it_says_the_same_or_is_refused(
    trust: Trust, folder: Path, signed: bytes, alice: Signer, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.integers(0, 255))
    verdict = model_signing.verify(folder, signed[:at] + bytes([other]) + signed[at + 1 :], alice, trust.config)
    before = model_signing.verify(folder, signed, alice, trust.config)
    assert not verdict.passed or verdict.statement == before.statement


def test_a_statement_of_another_type_is_no_model_signature(trust: Trust, folder: Path, alice: Signer) -> None:
    said = Statement.about({"finbert": digest_of(folder)}, "https://acme.example/other", {})
    bundle = signing.sign(said, trust.config, trust.token(ALICE))
    failed = model_signing.verify(folder, bundle, alice, trust.config).failure
    assert failed is not None
    assert failed.message.startswith("https://acme.example/other lists no model's files")


def test_a_statement_of_our_own_making_does_not_pass_for_one(trust: Trust, folder: Path, alice: Signer) -> None:
    """The right type and digest; a list of files that is not the model's."""
    for predicate in (
        {},
        {"resources": [], "serialization": {"method": "files"}},
        {"resources": [{"name": "x"}], "serialization": 7},
    ):
        said = Statement.about({"finbert": digest_of(folder)}, MODEL_SIGNATURE, predicate)
        bundle = signing.sign(said, trust.config, trust.token(ALICE))
        failed = model_signing.verify(folder, bundle, alice, trust.config).failure
        assert failed is not None
        assert failed.name == "subject"


def test_a_single_file_is_signed_under_its_name_by_a_workflow(trust: Trust, tmp_path: Path) -> None:
    ref = f"{WORKFLOW}@refs/tags/v1.4.0"
    claims = {
        "sub": "repo:acme/triage-model:ref:refs/tags/v1.4.0",
        "repository": "acme/triage-model",
        "ref": "refs/tags/v1.4.0",
        "job_workflow_ref": ref,
    }
    model = tmp_path / "triage.onnx"
    model.write_bytes(b"weights")
    bundle = model_signing.sign(model, trust.config, trust.token(claims=claims))
    name = f"https://git.chainlab.localhost/{WORKFLOW}"
    release = Signer(name, CI_ISSUER, refs=("refs/tags/v*",))
    assert model_signing.verify(model, bundle, release, trust.config).passed
    branch = Signer(name, CI_ISSUER, refs=("refs/heads/*",))
    assert not model_signing.verify(model, bundle, branch, trust.config).passed
    other = model.rename(tmp_path / "other.onnx")
    assert not model_signing.verify(other, bundle, release, trust.config).passed
    other.write_bytes(b"weightz")
    assert not model_signing.verify(other.rename(model), bundle, release, trust.config).passed


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # model-signing's own
def test_model_signing_reads_ours_and_we_read_its(
    trust: Trust, folder: Path, signed: bytes, alice: Signer, tmp_path: Path
) -> None:
    from model_signing import hashing, verifying
    from model_signing import signing as library

    signature = tmp_path / "ours.sig"
    signature.write_bytes(signed)
    verifying.Config().use_sigstore_verifier(  # type: ignore[no-untyped-call]
        identity=ALICE, oidc_issuer=trust.issuer, trust_config=trust.config_path
    ).verify(folder, signature)
    for config in (
        hashing.Config(),  # type: ignore[no-untyped-call]  # ignores git's files, and says so
        hashing.Config().use_file_serialization(hashing_algorithm="blake3"),  # type: ignore[no-untyped-call]
    ):
        theirs = tmp_path / "theirs.sig"
        library.Config().set_hashing_config(config).use_sigstore_signer(  # type: ignore[no-untyped-call]
            identity_token=trust.token(ALICE), trust_config=trust.config_path
        ).sign(folder, theirs)
        verdict = model_signing.verify(folder, theirs.read_bytes(), alice, trust.config)
        assert verdict.passed, str(verdict)
        (folder / ".gitignore").touch()  # the library says nothing about it
        assert not model_signing.verify(folder, theirs.read_bytes(), alice, trust.config).passed
        (folder / ".gitignore").unlink()
        weights = (folder / "weights.bin").read_bytes()
        (folder / "weights.bin").write_bytes(weights[::-1])
        assert not model_signing.verify(folder, theirs.read_bytes(), alice, trust.config).passed
        (folder / "weights.bin").write_bytes(weights)


def test_what_cannot_be_signed_says_why(trust: Trust, tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match="there is no model"):
        model_signing.sign(tmp_path / "none", trust.config, trust.token(ALICE))
    (tmp_path / "model").write_bytes(b"")
    with pytest.raises(ChainlabError, match="could not be signed") as refused:
        model_signing.sign(tmp_path / "model", trust.config, trust.token(ALICE, lifetime=-60))
    assert refused.value.why


@pytest.mark.usefixtures("closed")
def test_a_folder_that_cannot_be_listed_is_not_signed(trust: Trust, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"1")
    with pytest.raises(MalformedInput, match="closed cannot be listed: Permission denied"):
        model_signing.sign(tmp_path, trust.config, trust.token(ALICE))
