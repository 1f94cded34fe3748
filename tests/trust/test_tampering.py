"""What is changed after signing is refused, or was never part of what was signed.

A bundle holds text that nothing authenticates. When sigstore-python accepts a changed bundle, only
such text changed:

- how the same bytes are written: spaces, JSON escapes, the unused last bits of base64;
- hints: the entry's outer `logIndex` (the proof's own is authenticated), the tail of a v2 log's
  key id and the signer's name in a checkpoint (the key is found by four bytes, and its signature
  must hold), the name of the digest's algorithm, version numbers inside a timestamp;
- on log v1 the whole RFC 3161 timestamp: there the signed entry timestamp supplies the time.

So the claim under test is: either refused, or every fact that `facts` lists is the same.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from client_requests import ALICE
from cryptography.x509 import InvalidVersion
from hypothesis import given, settings
from hypothesis import strategies as st
from rfc3161_client import decode_timestamp_response
from sigstore.dsse import Statement
from sigstore.errors import Error
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from chainlab.services import Server
from chainlab.trust.client import Trust

# rfc3161-client warns of some spoilt timestamps before it refuses them
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:rfc3161_client")

ARTIFACT = b"weights of a small model"
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.onnx", "digest": {"sha256": "00" * 32}}],
        "predicateType": "https://example.com/predicate/v1",
        "predicate": {"passed": True},
    }
).encode()
REFUSALS = (Error, ValueError, InvalidVersion)  # InvalidVersion: of a certificate, by cryptography
KINDS = ["v1 artifact", "v1 statement", "v2 artifact", "v2 statement"]
Document = dict[str, Any]


@pytest.fixture(scope="module")
def verifier(trust: Trust) -> Verifier:
    return Verifier(trusted_root=trust.config.trusted_root)


@pytest.fixture(scope="module")
def bundles(trust: Trust) -> dict[str, str]:
    """A bundle of each kind; not the first of its log, so that its proof has hashes."""
    signed = {}
    for kind in KINDS:
        config = trust.config
        config.force_tlog_version = int(kind[1])
        identity = IdentityToken(trust.token(ALICE))
        with SigningContext.from_trust_config(config).signer(identity) as signer:
            for number in range(5):
                signer.sign_artifact(bytes([number]))
            bundle = (
                signer.sign_artifact(ARTIFACT) if kind.endswith("artifact") else signer.sign_dsse(Statement(STATEMENT))
            )
        signed[kind] = bundle.to_json()
    return signed


def check(verifier: Verifier, text: str | bytes, artifact: bytes = ARTIFACT) -> None:
    """Verify as a client would; raises one of `REFUSALS`."""
    bundle = Bundle.from_json(text)
    who = policy.Identity(identity=ALICE, issuer=Trust.issuer)
    if json.loads(text).get("dsseEnvelope"):
        kind, payload = verifier.verify_dsse(bundle, who)
        assert (kind, payload) == ("application/vnd.in-toto+json", STATEMENT)
    else:
        verifier.verify_artifact(artifact, bundle, who)


def facts(text: str | bytes) -> Document:
    """What a bundle states about who signed what and when, and who saw it, as values."""
    bundle = json.loads(text)
    material = bundle["verificationMaterial"]
    (entry,) = material["tlogEntries"]
    proof = entry["inclusionProof"]
    body, _, signatures = proof["checkpoint"]["envelope"].partition("\n\n")
    version = entry["kindVersion"]["version"]
    stated = {
        "media type": bundle["mediaType"],
        "certificate": decoded(material["certificate"]["rawBytes"]),
        "entry": decoded(entry["canonicalizedBody"]),
        "version": version,
        "proof": [decoded(hash) for hash in proof["hashes"]],
        "place": (int(proof["logIndex"]), int(proof["treeSize"]), decoded(proof["rootHash"])),
        "checkpoint": (body, decoded(signatures.split(" ")[2].strip())),
    }
    if version == "0.0.1":
        promise = decoded(entry["inclusionPromise"]["signedEntryTimestamp"])
        stated["promise"] = (int(entry["integratedTime"]), int(entry["logIndex"]), promise)
    else:
        (stamp,) = material["timestampVerificationData"]["rfc3161Timestamps"]
        info = decode_timestamp_response(decoded(stamp["signedTimestamp"])).tst_info
        stated["time"] = (info.gen_time, info.message_imprint.message, info.serial_number)
    if "dsseEnvelope" in bundle:
        envelope = bundle["dsseEnvelope"]
        stated["payload"] = (envelope["payloadType"], decoded(envelope["payload"]))
        stated["signature"] = [decoded(one["sig"]) for one in envelope["signatures"]]
    else:
        message = bundle["messageSignature"]
        stated["signature"] = decoded(message["signature"])
        stated["digest"] = decoded(message["messageDigest"]["digest"])
    return stated


def decoded(text: str) -> bytes:
    return base64.b64decode(text)


def refused(verifier: Verifier, original: str, changed: str | bytes) -> bool:
    """Whether the changed bundle is refused; where it is not, its facts must be the same."""
    try:
        check(verifier, changed)
    except REFUSALS:
        return True
    assert facts(changed) == facts(original), changed
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_the_bundles_verify_unchanged(verifier: Verifier, bundles: dict[str, str], kind: str) -> None:
    check(verifier, bundles[kind])
    assert facts(bundles[kind]) == facts(bundles[kind].encode())


@pytest.mark.parametrize("kind", KINDS)
def test_flipping_a_byte_of_the_text_is_refused_or_changes_nothing_signed(
    verifier: Verifier, bundles: dict[str, str], kind: str
) -> None:
    original = bundles[kind]
    text = original.encode()
    step = 5  # one byte in five; which ones differs from run to run, as the bundle does
    outcomes = [
        refused(verifier, original, text[:at] + bytes((text[at] ^ 1,)) + text[at + 1 :])
        for at in range(0, len(text), step)
    ]
    assert sum(outcomes) > len(outcomes) / 2


def binary_fields(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where a bundle holds base64."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in pairs:
            yield from binary_fields(inner, (*path, name))
    elif path[-1] in BINARY or (path[-2:-1] == ("hashes",)):
        yield path


BINARY = {
    *("rawBytes", "keyId", "signedEntryTimestamp", "rootHash", "canonicalizedBody"),
    *("signedTimestamp", "payload", "sig", "signature", "digest"),
}
# Fields of which not every byte is authenticated; the module's docstring says why.
LOOSE = {"keyId", "signedTimestamp"}


def with_value(document: Document, path: tuple[str | int, ...], value: Any) -> Document:
    copy: Document = json.loads(json.dumps(document))
    at: Any = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return copy


def value_at(document: Document, path: tuple[str | int, ...]) -> Any:
    at: Any = document
    for step in path:
        at = at[step]
    return at


@pytest.mark.parametrize("kind", KINDS)
def test_flipping_a_byte_of_a_binary_field_is_refused(verifier: Verifier, bundles: dict[str, str], kind: str) -> None:
    original = bundles[kind]
    document = json.loads(original)
    fields = list(binary_fields(document))
    assert {path[-1] for path in fields} >= {"rawBytes", "canonicalizedBody", "rootHash", "keyId"}
    for path in fields:
        raw = decoded(value_at(document, path))
        step = 1 if len(raw) <= 72 else 5
        for at in range(0, len(raw), step):
            flipped = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
            changed = with_value(document, path, base64.b64encode(flipped).decode())
            was_refused = refused(verifier, original, json.dumps(changed))
            assert was_refused or path[-1] in LOOSE, (path, at)


@settings(max_examples=150)
@given(data=st.data())
def test_random_damage_is_refused_or_changes_nothing_signed(
    verifier: Verifier, bundles: dict[str, str], data: st.DataObject
) -> None:
    original = bundles[data.draw(st.sampled_from(KINDS))]
    text = original.encode()
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start, min(len(text), start + 40)))
    changed = text[:start] + data.draw(st.binary(max_size=40)) + text[stop:]
    if changed != text:
        refused(verifier, original, changed)


@given(at=st.integers(0, len(ARTIFACT) - 1), mask=st.integers(1, 255))
def test_flipping_any_byte_of_the_artifact_is_refused(
    verifier: Verifier, bundles: dict[str, str], at: int, mask: int
) -> None:
    changed = ARTIFACT[:at] + bytes((ARTIFACT[at] ^ mask,)) + ARTIFACT[at + 1 :]
    for kind in ("v1 artifact", "v2 artifact"):
        with pytest.raises(Error):
            check(verifier, bundles[kind], changed)


@given(other=st.binary(max_size=64).filter(lambda other: other != ARTIFACT))
def test_any_other_artifact_is_refused(verifier: Verifier, bundles: dict[str, str], other: bytes) -> None:
    for kind in ("v1 artifact", "v2 artifact"):
        with pytest.raises(Error):
            check(verifier, bundles[kind], other)


# -- the table: what must be refused

MATERIAL = ("verificationMaterial",)
ENTRY = (*MATERIAL, "tlogEntries", 0)
STAMPS = (*MATERIAL, "timestampVerificationData")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", [0, 3])
def test_another_place_in_the_log_is_refused(
    verifier: Verifier, bundles: dict[str, str], kind: str, index: int
) -> None:
    document = json.loads(bundles[kind])
    moved = with_value(document, (*ENTRY, "inclusionProof", "logIndex"), str(index))
    with pytest.raises(Error):
        check(verifier, json.dumps(moved))


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_entry_of_another_bundle_is_refused(
    verifier: Verifier, bundles: dict[str, str], trust: Trust, kind: str
) -> None:
    config = trust.config
    config.force_tlog_version = int(kind[1])
    with SigningContext.from_trust_config(config).signer(IdentityToken(trust.token(ALICE))) as signer:
        other = json.loads(signer.sign_artifact(b"something else").to_json())
    swapped = with_value(json.loads(bundles[kind]), ENTRY, value_at(other, ENTRY))
    with pytest.raises(Error):
        check(verifier, json.dumps(swapped))


@pytest.mark.parametrize("version", [1, 2])
def test_the_certificate_of_another_signature_is_refused(
    verifier: Verifier, bundles: dict[str, str], version: int
) -> None:
    path = (*MATERIAL, "certificate", "rawBytes")
    other = value_at(json.loads(bundles[f"v{version} statement"]), path)
    swapped = with_value(json.loads(bundles[f"v{version} artifact"]), path, other)
    with pytest.raises(Error):
        check(verifier, json.dumps(swapped))


@pytest.mark.parametrize("version", [1, 2])
def test_a_changed_payload_is_refused(verifier: Verifier, bundles: dict[str, str], version: int) -> None:
    document = json.loads(bundles[f"v{version} statement"])
    payload = base64.b64encode(STATEMENT.replace(b"true", b"null")).decode()
    for path, value in [(("payload",), payload), (("payloadType",), "text/plain")]:
        with pytest.raises(Error):
            check(verifier, json.dumps(with_value(document, ("dsseEnvelope", *path), value)))


@pytest.mark.parametrize("kind", ["v2 artifact", "v2 statement"])
def test_on_log_v2_a_missing_timestamp_is_refused(verifier: Verifier, bundles: dict[str, str], kind: str) -> None:
    document = json.loads(bundles[kind])
    nothings: list[Document] = [{}, {"rfc3161Timestamps": []}]
    for nothing in nothings:
        with pytest.raises(Error):
            check(verifier, json.dumps(with_value(document, STAMPS, nothing)))


@pytest.mark.parametrize("kind", ["v2 artifact", "v2 statement"])
def test_on_log_v2_the_timestamp_of_another_signature_is_refused(
    verifier: Verifier, bundles: dict[str, str], kind: str
) -> None:
    other = next(name for name in KINDS if name[:2] == "v2" and name != kind)
    stamps = value_at(json.loads(bundles[other]), STAMPS)
    with pytest.raises(Error):
        check(verifier, json.dumps(with_value(json.loads(bundles[kind]), STAMPS, stamps)))


@pytest.mark.parametrize("kind", ["v1 artifact", "v1 statement"])
def test_on_log_v1_the_signed_entry_timestamp_supplies_the_time(
    verifier: Verifier, bundles: dict[str, str], kind: str
) -> None:
    document = with_value(json.loads(bundles[kind]), STAMPS, {})
    check(verifier, json.dumps(document))
    without = with_value(document, (*ENTRY, "inclusionPromise"), None)
    with pytest.raises(Error):
        check(verifier, json.dumps(without))
    later = str(int(value_at(document, (*ENTRY, "integratedTime"))) + 1)
    with pytest.raises(Error):
        check(verifier, json.dumps(with_value(document, (*ENTRY, "integratedTime"), later)))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """The trusted root of another instance."""
    with Server(tmp_path_factory.mktemp("elsewhere")) as server:
        document: Document = json.loads((server.instance.directory / "trusted_root.json").read_text())
    return document


def root_with(trust: Trust, *replaced: tuple[tuple[str | int, ...], Any]) -> TrustedRoot:
    document = json.loads(trust.config_path.read_text())
    for path, value in replaced:
        document = with_value(document, ("trustedRoot", *path), value)
    return ClientTrustConfig.from_json(json.dumps(document)).trusted_root


# name: (what is taken from another instance's root, the logs it matters for)
WRONG_ROOTS: dict[str, tuple[list[tuple[str | int, ...]], str]] = {
    "wrong key of log v2": ([("tlogs", 0, "publicKey")], "2"),
    "wrong log v2": ([("tlogs", 0)], "2"),
    "wrong key of log v1": ([("tlogs", 1, "publicKey")], "1"),
    "wrong log v1": ([("tlogs", 1)], "1"),
    "wrong key of the CT log": ([("ctlogs", 0, "publicKey")], "12"),
    "wrong CT log": ([("ctlogs", 0)], "12"),
    "wrong CA": ([("certificateAuthorities", 0)], "12"),
    "wrong timestamp authority": ([("timestampAuthorities", 0)], "2"),
    "another instance altogether": ([()], "12"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRONG_ROOTS)
def test_against_a_wrong_root_it_is_refused(
    trust: Trust, bundles: dict[str, str], elsewhere: Document, name: str, kind: str
) -> None:
    paths, versions = WRONG_ROOTS[name]
    replaced: list[tuple[tuple[str | int, ...], Any]] = [
        (path, value_at(elsewhere, path)) for path in paths if path
    ] or [((part,), elsewhere[part]) for part in elsewhere]
    verifier = Verifier(trusted_root=root_with(trust, *replaced))
    if kind[1] in versions:
        with pytest.raises(Error):
            check(verifier, bundles[kind])
    else:
        check(verifier, bundles[kind])
