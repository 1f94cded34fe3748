"""Evidence: everything known about a file's digest, whichever way it came, read as it says and not verified."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypi_attestations import Attestation, AttestationType, Distribution
from served_index import CLAIMS, wheel
from served_registry import BUNDLE, MANIFEST, TITLE, ZERO, ServedRegistry, descriptor, image, sha256
from sigstore.dsse import Statement
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.registry import bundle_summary
from chainlab.registry.index.publishers import Publisher
from chainlab.trust.client import Trust

PARTS = ("places", "provenance", "referrers", "attached", "channels", "quarantine", "events")
PREDICATE = "https://slsa.dev/provenance/v1"
ALICE = "alice@example.com"


@pytest.fixture(scope="module")
def trust(shared: ServedRegistry) -> Trust:
    return Trust(shared.server.instance.directory)


def sign(trust: Trust, digest: str, version: int) -> bytes:
    """A bundle over a statement about ``digest``, signed by alice, logged in log v1 or v2."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.onnx", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": PREDICATE,
        "predicate": {},
    }
    config = trust.config
    config.force_tlog_version = version
    context = SigningContext.from_trust_config(config)
    with context.signer(IdentityToken(trust.token(ALICE))) as signer:
        return signer.sign_dsse(Statement(json.dumps(statement).encode())).to_json().encode()


def document_of(world: ServedRegistry, digest: str) -> dict[str, Any]:
    answer = world.nobody.get(f"/evidence/{digest}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    assert list(document) == ["digest", "quarantined", *PARTS]
    return document


def refer(world: ServedRegistry, name: str, subject: str, bundle: bytes) -> str:
    """A bundle as @sigstore/oci attaches it: the layer has the bundle's media type."""
    world.blob(name, b"{}")
    world.blob(name, bundle)
    about = {"mediaType": MANIFEST, "digest": subject, "size": 2}
    document = json.loads(image(bundle, subject=about, artifactType=BUNDLE))
    document["layers"] = [descriptor(bundle, BUNDLE)]
    data = json.dumps(document).encode()
    assert world.put(name, sha256(data), data).status_code == 201
    return sha256(data)


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_in_an_image_leads_to_what_was_signed_about_the_image(
    shared: ServedRegistry, trust: Trust, version: int
) -> None:
    name, model = shared.name(), f"weights {version}".encode()
    shared.blob(name, b"{}")
    shared.blob(name, model)
    document = json.loads(image(model))
    document["layers"][0]["annotations"] = {TITLE: "model.onnx"}
    data = json.dumps(document).encode()
    assert shared.put(name, "v1", data).status_code == 201
    bundle = sign(trust, sha256(model), version)
    referrer = refer(shared, name, sha256(data), bundle)

    document = document_of(shared, sha256(model))
    (place,) = document["places"]
    assert (place["repository"], place["role"], place["name"]) == (name, "layer", "model.onnx")
    assert (place["manifest"], place["tags"], place["size"]) == (sha256(data), ["v1"], len(model))
    (entry,) = document["referrers"]
    assert (entry["digest"], entry["about"]) == (referrer, sha256(data))
    (file,) = entry["files"]
    facts = file["bundle"]
    assert facts["predicateType"] == PREDICATE
    assert facts["subjects"] == [f"model.onnx {sha256(model)}"]
    assert (facts["identity"], facts["issuer"]) == (ALICE, trust.issuer)
    log = facts["logEntry"]
    parsed = json.loads(bundle)["verificationMaterial"]["tlogEntries"][0]
    assert (log["version"], log["index"]) == (version, int(parsed["logIndex"]))
    assert log["time"].endswith("Z")
    entry_bytes = shared.nobody.get(log["path"])
    assert entry_bytes.status_code == 200
    if version == 1:
        (record,) = entry_bytes.json().values()
        assert record["body"] == parsed["canonicalizedBody"]
    else:
        assert base64.b64decode(parsed["canonicalizedBody"]) in entry_bytes.content
    manifest = document_of(shared, sha256(data))
    assert manifest["places"][0]["role"] == "manifest"
    assert [entry["digest"] for entry in manifest["referrers"]] == [referrer]
    assert manifest["events"][0]["data"]["tag"] == "v1"
    assert document["events"][: len(manifest["events"])] == manifest["events"]


def test_an_index_file_with_its_attestation(shared: ServedRegistry, trust: Trust, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    index = shared.registry.index
    index.add_publisher("triage-model", Publisher("acme/triage-model", "release.yml", "release"), owner="acme")
    config = trust.config
    config.force_tlog_version = 1
    with SigningContext.from_trust_config(config).signer(IdentityToken(trust.token(claims=CLAIMS))) as signer:
        attestation = Attestation.sign(signer, Distribution.from_file(path))
    acme = Credential("acme", frozenset({"packages:upload:triage-model"}))
    text = f"[{attestation.model_dump_json()}]"
    file = index.publish(path, by=acme, attestations=text)
    document = document_of(shared, str(file.digest))
    (place,) = document["places"]
    assert (place["protocol"], place["project"], place["file"]) == (
        "index",
        "triage-model",
        path.name,
    )
    assert (place["status"], place["yanked"], place["by"]) == ("active", None, "acme")
    (entry,) = document["provenance"]
    assert entry["publisher"]["repository"] == "acme/triage-model"
    (facts,) = entry["attestations"]
    assert facts["predicateType"] == AttestationType.PYPI_PUBLISH_V1.value
    assert facts["issuer"] == trust.ci_issuer
    assert facts["identity"].endswith("/release.yml@refs/tags/v1.0.0")
    assert shared.nobody.get(facts["logEntry"]["path"]).status_code == 200
    assert shared.nobody.get(entry["provenance"]).status_code == 200


def test_what_is_attached_is_found_and_can_be_fetched(shared: ServedRegistry, trust: Trust) -> None:
    subject = Digest.parse(sha256(b"a file that is nowhere here"))
    bundle = sign(trust, str(subject), 2)
    evidence = shared.registry.evidence
    for _ in range(2):  # the same again changes nothing
        digest = evidence.add(subject, "provenance", bundle, BUNDLE, "ci")
    evidence.add(subject, "note", b"\x00<script>", "text/html", "mallory")
    document = document_of(shared, str(subject))
    second, first = document["attached"]  # the newest first
    assert (first["kind"], first["source"], first["digest"]) == ("provenance", "ci", str(digest))
    assert first["bundle"]["predicateType"] == PREDICATE
    assert second["bundle"] is None
    fetched = shared.nobody.get(first["path"])
    assert (fetched.content, fetched.headers["Content-Type"]) == (
        bundle,
        "application/octet-stream",
    )
    assert shared.nobody.get(second["path"]).headers["Content-Type"] == "application/octet-stream"
    assert shared.nobody.get(f"/evidence/{ZERO}/{digest}").status_code == 404
    events = [event["type"] for event in document["events"]]
    assert events == ["dev.chainlab.evidence.added"] * 2


def test_an_entry_of_a_foreign_log_gets_no_link(shared: ServedRegistry, trust: Trust) -> None:
    subject = Digest.parse(sha256(b"elsewhere"))
    document = json.loads(sign(trust, str(subject), 2))
    entry = document["verificationMaterial"]["tlogEntries"][0]
    entry["logId"]["keyId"] = base64.b64encode(bytes(32)).decode()
    bundle = json.dumps(document).encode()
    shared.registry.evidence.add(subject, "provenance", bundle, BUNDLE, "mallory")
    (attached,) = document_of(shared, str(subject))["attached"]
    assert "path" not in attached["bundle"]["logEntry"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (ZERO, 404),
        ("sha256:x", 400),
        ("v1", 400),
        ("sha512:" + "0" * 128, 404),
        ("sha512:" + "0" * 127, 400),
        ("sha256:" + "A" * 64, 400),
        ("%00", 400),
        (f"{ZERO}/x", 400),
        (f"{ZERO}/{ZERO}", 404),
    ],
)
def test_what_is_not_known_and_what_is_no_digest(shared: ServedRegistry, text: str, status: int) -> None:
    answer = shared.nobody.get(f"/evidence/{text}")
    assert answer.status_code == status
    assert answer.json()["error"]


# -- reading what a stranger wrote


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader_of_bundles(data: bytes) -> None:
    bundle_summary.read(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def specimens(shared: ServedRegistry, trust: Trust) -> list[dict[str, Any]]:
    """Good bundles of each kind, to be spoilt."""
    bundles = [json.loads(sign(trust, ZERO, version)) for version in (1, 2)]
    old = json.loads(json.dumps(bundles[0]))
    certificate = old["verificationMaterial"].pop("certificate")
    old["verificationMaterial"]["x509CertificateChain"] = {"certificates": [certificate]}
    return [*bundles, old]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))][0 if path else 1 :]


@given(data=st.data())
def test_a_bundle_spoilt_anywhere_is_still_read_without_a_crash(
    specimens: list[dict[str, Any]], data: st.DataObject
) -> None:
    document = json.loads(json.dumps(data.draw(st.sampled_from(specimens))))
    *path, last = data.draw(st.sampled_from(places(document)))
    target = document
    for step in path:
        target = target[step]
    target[last] = data.draw(JSON | st.sampled_from(["AAAA", "\ud800"]) | st.just("-1") | st.just("9" * 30))
    facts = bundle_summary.read(json.dumps(document).encode())
    if facts is not None:
        json.dumps(facts.document(), allow_nan=False, ensure_ascii=False).encode()


def test_a_bundle_in_the_old_form_is_read_alike(specimens: list[dict[str, Any]]) -> None:
    new, _, old = (bundle_summary.read(json.dumps(document).encode()) for document in specimens)
    assert new == old
    assert new is not None
    assert new.identity == ALICE


def test_a_huge_bundle_is_not_read() -> None:
    document = {"verificationMaterial": {}, "x": "x" * bundle_summary.MAX_BUNDLE}
    assert bundle_summary.read(json.dumps(document).encode()) is None


def test_half_a_character_in_a_statement_does_not_spoil_the_answer(shared: ServedRegistry) -> None:
    statement = {"predicateType": "\ud800", "subject": [{"name": "\udfff", "digest": {}}]}
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    bundle = {"verificationMaterial": {}, "dsseEnvelope": {"payload": payload}}
    subject = Digest.parse(sha256(b"half a character"))
    shared.registry.evidence.add(subject, "x", json.dumps(bundle).encode(), BUNDLE, "mallory")
    (attached,) = document_of(shared, str(subject))["attached"]
    assert attached["bundle"]["predicateType"] == "?"
    assert shared.nobody.get(f"/artifacts/{subject}").status_code == 200


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "000.p/1"),
        (254, "000.p/255"),
        (255, "000"),
        (256, "001.p/1"),
        (256_000 - 1, "999"),
        (256_000, "x001/000.p/1"),
        (256 * 1_234_067, "x001/x234/067.p/1"),
    ],
)
def test_where_an_entry_of_log_v2_is_served(index: int, path: str) -> None:
    assert bundle_summary.entry_path(2, index) == f"/api/v2/tile/entries/{path}"
