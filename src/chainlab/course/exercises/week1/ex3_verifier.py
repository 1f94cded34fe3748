"""Cases for exercise 1.3: what does the verifier say?

Each scenario is described in words, then played: a file is really signed against the private instance, the bundle or
the trusted root is really altered, and sigstore's unmodified `Verifier` gives the verdict, which is the truth. The
generator raises `ChainlabError` when a verdict is not the one that the scenario was built for.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import json
import random
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sigstore.errors import VerificationError
from sigstore.models import Bundle, InvalidBundle, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from chainlab.course.cases import Case, LabContext
from chainlab.errors import ChainlabError

__all__ = ["NOTHING_WRONG", "cases"]

SEE = "notebooks/01_first_signature.ipynb, 'Break it, five ways'"
TEACHES = {
    "nothing wrong": "Every step holds. A rule that refuses everything verifies nothing.",
    "verified long after the certificate expired": (
        "The certificate was valid when the signature was made, and a signed timestamp proves when that was. The "
        "client asks the timestamp, never the clock on the wall."
    ),
    "a renamed file": "An artifact signature covers bytes. The name is in no signed field.",
    "harmful, and properly signed": "A signature answers 'who' and 'which bytes'. It never answers 'is it good'.",
    "one bit flipped": "Certificate and log entry are fine. The bytes are not those that were signed.",
    "signed by somebody else": "The signature is valid, and somebody else's. Only the policy can notice.",
    "signed by somebody else, anybody will do": (
        "Whoever accepts any identity accepts the attacker's. The signature is valid."
    ),
    "the right person from another issuer": (
        "An address means something only together with the issuer that vouches for it."
    ),
    "anybody, from another issuer": "Any address will do, but from the issuer that the policy names.",
    "the timestamp was removed": (
        "A log v2 entry carries no time. Without a timestamp nobody knows when the certificate had to be valid, "
        "and that is asked first."
    ),
    "a root that names another CA": "The certificate does not lead to the CA that this root names.",
    "a root that names another CT log": (
        "The chain holds. The receipt that the certificate was published (SCT) is signed by a log that this root "
        "does not know."
    ),
    "a root that names another log": ("The checkpoint over the entry is signed by a key that this root does not know."),
    "an altered proof": "The hashes no longer lead to the root that the log signed.",
    "the log entry of another signature": (
        "The entry really is in the log. It speaks of another signature, and the client compares that last."
    ),
    "the wrong person and a flipped bit": (
        "Two things are wrong. The client names the first in its order; a person who mends only that one will "
        "meet the second."
    ),
    "a flipped bit and a foreign log entry": "The file is compared before the entry's contents.",
    "long after, and no timestamp": "Late is harmless while a timestamp says when. Now none does.",
}


NOTHING_WRONG: dict[str, Any] = {
    "file": "as signed",  # or: renamed · one bit flipped
    "content": "harmless",  # or: harmful
    "signer": "alice@example.com",
    "wanted_identity": "alice@example.com",  # or another address · anybody
    "wanted_issuer": "ours",  # or: another
    "minutes_later": 5,  # between signing and verifying; the certificate is valid for 10
    "timestamp": "in the bundle",  # or: removed
    "log_entry": "its own",  # or: proof altered · of another signature
    "trusted_root": "ours",  # or: another CA · another CT log · another log
}

# A piece of the client's message, and the step that it is about, in the client's order.
MESSAGES = [  # several words each: three letters also occur in the base64 hashes that the client prints
    ("must contain an inclusion promise or signed timestamp", "time"),  # on reading the bundle
    ("not enough sources of verified time", "time"),
    ("certificate chain", "chain"),
    ("failed to verify SCT", "sct"),
    ("Certificate's", "identity"),
    ("invalid log entry", "log"),
    ("digest mismatch", "signature"),
    ("Signature is invalid", "signature"),
    ("inconsistent with other materials", "entry"),
]

CA_USAGE = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
PEOPLE = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Play scenarios with one change, with changes that do not matter, and with two."""
    names = rng.sample(PEOPLE, 2)
    signer, other = (f"{name}@example.com" for name in names)
    late = rng.randrange(3, 400) * 24 * 60 + rng.randrange(1440)
    usual = {"signer": signer, "wanted_identity": signer, "minutes_later": rng.randrange(1, 10)}
    planned: list[tuple[str, dict[str, Any], str]] = [  # name, what differs, the step that refuses
        ("nothing wrong", {}, ""),
        ("verified long after the certificate expired", {"minutes_later": late}, ""),
        ("a renamed file", {"file": "renamed"}, ""),
        ("harmful, and properly signed", {"content": "harmful"}, ""),
        ("one bit flipped", {"file": "one bit flipped"}, "signature"),
        ("signed by somebody else", {"wanted_identity": other}, "identity"),
        ("signed by somebody else, anybody will do", {"wanted_identity": "anybody"}, ""),
        ("the right person from another issuer", {"wanted_issuer": "another"}, "identity"),
        ("anybody, from another issuer", {"wanted_identity": "anybody", "wanted_issuer": "another"}, "identity"),
        ("the timestamp was removed", {"timestamp": "removed"}, "time"),
        ("a root that names another CA", {"trusted_root": "another CA"}, "chain"),
        ("a root that names another CT log", {"trusted_root": "another CT log"}, "sct"),
        ("a root that names another log", {"trusted_root": "another log"}, "log"),
        ("an altered proof", {"log_entry": "proof altered"}, "log"),
        ("the log entry of another signature", {"log_entry": "of another signature"}, "entry"),
        ("the wrong person and a flipped bit", {"wanted_identity": other, "file": "one bit flipped"}, "identity"),
        (
            "a flipped bit and a foreign log entry",
            {"file": "one bit flipped", "log_entry": "of another signature"},
            "signature",
        ),
        ("long after, and no timestamp", {"minutes_later": late, "timestamp": "removed"}, "time"),
    ]
    stage = _SpoiledBundles(lab, rng, signer)
    for name, change, step in planned:
        scenario = {**NOTHING_WRONG, **usual, **change}
        truth = stage.play(scenario)
        expected = ("refused" if step else "accepted", step)
        if truth != expected:
            raise ChainlabError(f"exercise 1.3, '{name}': built as {expected}, the client says {truth}")
        yield Case(name, (scenario,), truth)


class _SpoiledBundles:
    """Signed files of one signer, and the ways to spoil their bundles."""

    def __init__(self, lab: LabContext, rng: random.Random, signer: str) -> None:
        self.config, self.issuer = lab.trust.config, lab.trust.issuer
        self.root = json.loads(self.config.trusted_root._inner.to_json())
        self.files = {c: f"{c} {rng.getrandbits(64):x}".encode() for c in ("harmless", "harmful", "another")}
        context = SigningContext.from_trust_config(self.config)
        with context.signer(IdentityToken(lab.trust.token(signer))) as by:
            self.bundles = {c: json.loads(by.sign_artifact(b).to_json()) for c, b in self.files.items()}

    def play(self, scenario: dict[str, Any]) -> tuple[str, str]:
        """Play a scenario; returns the client's verdict and the step that failed."""
        data = self.files[scenario["content"]]
        bundle = copy.deepcopy(self.bundles[scenario["content"]])
        if scenario["file"] == "one bit flipped":
            data = bytes([data[0] ^ 1]) + data[1:]
        material = bundle["verificationMaterial"]
        if scenario["timestamp"] == "removed":
            del material["timestampVerificationData"]
        if scenario["log_entry"] == "of another signature":
            material["tlogEntries"] = self.bundles["another"]["verificationMaterial"]["tlogEntries"]
        if scenario["log_entry"] == "proof altered":
            proof = material["tlogEntries"][0]["inclusionProof"]
            proof["rootHash"] = base64.b64encode(b"\0" * 32).decode()
        try:
            Verifier(trusted_root=self._trusted_root(scenario["trusted_root"])).verify_artifact(
                data, Bundle.from_json(json.dumps(bundle)), self._policy(scenario)
            )
        except (InvalidBundle, VerificationError) as error:
            step = next((step for piece, step in MESSAGES if piece in str(error)), "")
            if not step:
                raise ChainlabError(f"exercise 1.3: the client answers: {error}") from error
            return "refused", step
        return "accepted", ""

    def _policy(self, scenario: dict[str, Any]) -> policy.VerificationPolicy:
        issuer = self.issuer if scenario["wanted_issuer"] == "ours" else "https://login.example.com"
        if scenario["wanted_identity"] == "anybody":
            return policy.OIDCIssuer(issuer)
        return policy.Identity(identity=scenario["wanted_identity"], issuer=issuer)

    def _trusted_root(self, which: str) -> TrustedRoot:
        if which == "ours":
            ours: TrustedRoot = self.config.trusted_root
            return ours
        root = copy.deepcopy(self.root)
        if which == "another CA":
            for authority in root["certificateAuthorities"]:
                authority["certChain"] = {"certificates": [{"rawBytes": c} for c in _another_ca()]}
        logs = {"another CT log": "ctlogs", "another log": "tlogs"}
        for log in root[logs[which]] if which in logs else []:
            log["publicKey"]["rawBytes"] = _another_key(log["publicKey"]["rawBytes"])
        return TrustedRoot(type(self.config.trusted_root._inner).from_json(json.dumps(root)))


def _another_key(public: str) -> str:
    """Make another public key of the same kind, both as base64 of the DER form."""
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    key_before = serialization.load_der_public_key(base64.b64decode(public))
    if isinstance(key_before, ec.EllipticCurvePublicKey):
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(spki).decode()


def _another_ca() -> list[str]:
    """Make intermediate and root of a CA that issued nothing here, each as base64 of its DER form."""
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    chain: list[x509.Certificate] = []
    issuer_key: ec.EllipticCurvePrivateKey | None = None
    issuer_name: x509.Name | None = None
    for path_length, common in ((1, "another root"), (0, "another intermediate")):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer_name or name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + 3650 * day)
            .add_extension(x509.BasicConstraints(True, path_length), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(CA_USAGE, critical=True)
        )
        if not path_length:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
            builder = builder.add_extension(usage, critical=False)
        chain.insert(0, builder.sign(issuer_key or key, hashes.SHA256()))
        issuer_key, issuer_name = key, name
    return [base64.b64encode(c.public_bytes(serialization.Encoding.DER)).decode() for c in chain]
