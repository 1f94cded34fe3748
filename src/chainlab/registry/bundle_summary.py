"""Summarise a signed bundle: identity, time, log entry, predicate. Read, not verified.

Sigstore bundles (v0.1 to v0.3) and PEP 740 attestations are read alike. The registry stores evidence and shows its
contents; only a verifier with a trusted root can say whether it is valid.

    >>> summary = read(bundle)
    >>> summary.identity, summary.log_index
    ('https://git.chainlab.localhost/acme/triage-model/…@refs/heads/main', 17)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from chainlab.clock import rfc3339
from chainlab.display import Cell, Display, Fresh, Shown
from chainlab.evidence.certificates import signer_of

__all__ = ["BUNDLE_TYPE", "MAX_BUNDLE", "BundleSummary", "entry_path", "identity", "read"]

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"  # of the bundles that this instance makes
MAX_BUNDLE = 2**20  # bytes; a larger one is shown without being read
# What reading a stranger's JSON, base64, certificate or timestamp raises.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)


@dataclass(frozen=True, repr=False)
class BundleSummary(Shown):
    """The claims of one bundle; empty where it has none."""

    predicate_type: str = ""
    subjects: tuple[str, ...] = ()  # 'NAME sha256:HEX'
    identity: str = ""  # the certificate's SAN
    issuer: str = ""  # of the identity, as the certificate names it
    time: str = ""  # RFC 3339: when it was logged, or else timestamped
    log_id: str = ""  # hex
    log_index: int | None = None
    log_version: int | None = None  # 1 or 2, Rekor's

    @property
    def entry_path(self) -> str:
        """The path at which this instance's log serves the entry; empty when the bundle names none."""
        if self.log_index is None or self.log_version is None:
            return ""
        return entry_path(self.log_version, self.log_index)

    def document(self) -> dict[str, Any]:
        """Return the summary as JSON, without its empty fields."""
        entry = {
            "log": self.log_id,
            "index": self.log_index,
            "version": self.log_version,
            "time": self.time,
        }
        document = {
            "predicateType": self.predicate_type,
            "subjects": list(self.subjects),
            "identity": self.identity,
            "issuer": self.issuer,
            "logEntry": {name: value for name, value in entry.items() if value not in ("", None)},
        }
        return {name: value for name, value in document.items() if value}

    def _display(self) -> Display:
        """Show the claims, and that nobody has verified them."""
        index = "" if self.log_index is None else str(self.log_index)
        rows: list[tuple[str, Cell]] = [("about", subject) for subject in self.subjects]
        rows += [("predicate type", self.predicate_type), ("signed by", self.identity), ("according to", self.issuer)]
        rows += [("at", Fresh(self.time)), ("entry in the log", Fresh(index))]
        filled = [row for row in rows if row[1] not in ("", Fresh(""))]
        return Display("a bundle as it reads, not verified", ("part", "is"), filled)


def entry_path(version: int, index: int) -> str:
    """Return the path at which this instance's log serves an entry, or the tile that ends with it."""
    if version == 1:
        return f"/api/v1/log/entries?logIndex={index}"
    tile, width = index // 256, index % 256 + 1  # C2SP tlog-tiles
    name = f"{tile % 1000:03}"
    while tile := tile // 1000:
        name = f"x{tile % 1000:03}/{name}"
    return f"/api/v2/tile/entries/{name}" + (f".p/{width}" if width < 256 else "")


def read(data: bytes) -> BundleSummary | None:
    """Summarise a bundle as far as it can be read; None when the data is not a bundle."""
    if len(data) > MAX_BUNDLE:
        return None
    try:
        document = json.loads(data)
    except UNREADABLE:
        return None
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("verification_material"), dict):  # PEP 740
        return _attestation(document)
    if isinstance(document.get("verificationMaterial"), dict):
        return _bundle(document)
    return None


def _bundle(document: Mapping[str, Any]) -> BundleSummary:
    material = document["verificationMaterial"]
    certificate = _at(material, "certificate", "rawBytes") or _at(
        material, "x509CertificateChain", "certificates", 0, "rawBytes"
    )
    stamp = _at(material, "timestampVerificationData", "rfc3161Timestamps", 0, "signedTimestamp")
    entry = _at(material, "tlogEntries", 0)
    return BundleSummary(
        **_statement(_at(document, "dsseEnvelope", "payload")),
        **identity(certificate),
        **_entry(entry, _stamped(stamp)),
    )


def _attestation(document: Mapping[str, Any]) -> BundleSummary:
    material = document["verification_material"]
    return BundleSummary(
        **_statement(_at(document, "envelope", "statement")),
        **identity(_at(material, "certificate")),
        **_entry(_at(material, "transparency_entries", 0), ""),
    )


def _statement(payload: Any) -> dict[str, Any]:
    try:
        statement = json.loads(base64.b64decode(payload))
        kind = statement["predicateType"]
        subjects = tuple(
            _text(f"{subject.get('name', '')} sha256:{subject['digest'].get('sha256', '')}")
            for subject in statement["subject"][:100]
        )
    except UNREADABLE:
        return {}
    return {"predicate_type": _text(kind), "subjects": subjects} if isinstance(kind, str) else {}


def identity(encoded: Any) -> dict[str, Any]:
    """Read identity and issuer from a certificate (DER in base64); empty when it cannot be read."""
    try:
        identity, issuer = signer_of(x509.load_der_x509_certificate(base64.b64decode(encoded)))
    except UNREADABLE:
        return {}
    return {name: value for name, value in (("identity", identity), ("issuer", issuer)) if value}


def _entry(entry: Any, stamped: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"time": stamped}
    try:
        version = str(_at(entry, "kindVersion", "version"))
        fields["log_index"] = _whole(entry["logIndex"])
        fields["log_version"] = 2 if version == "0.0.2" else 1
        fields["log_id"] = base64.b64decode(_at(entry, "logId", "keyId")).hex()
        logged = _whole(entry.get("integratedTime") or 0)
        if logged:
            fields["time"] = rfc3339(datetime.fromtimestamp(logged, UTC))
    except (*UNREADABLE, OverflowError, OSError):
        pass
    return fields


def _stamped(encoded: Any) -> str:
    from rfc3161_client import decode_timestamp_response

    try:
        return rfc3339(decode_timestamp_response(base64.b64decode(encoded)).tst_info.gen_time)
    except (*UNREADABLE, OverflowError):
        return ""


def _text(text: str) -> str:
    """Make text that UTF-8 can encode: JSON can contain half a character."""
    return text.encode(errors="replace").decode()


def _whole(value: Any) -> int:
    number = int(value)
    if not 0 <= number < 2**63:
        raise ValueError("not an index")
    return number


def _at(value: Any, *path: str | int) -> Any:
    """Return the value at ``path``; None when there is none."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
