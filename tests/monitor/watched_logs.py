"""Logs to watch: an instance whose entries are made without a client, and its history, rewritten."""

from __future__ import annotations

import base64
import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.monitor.logwatch.checkpoints import Checkpoint
from chainlab.monitor.logwatch.kit_logs import kit_sources
from chainlab.monitor.logwatch.log_sources import LogSource, LogVersion
from chainlab.monitor.logwatch.looks import Look
from chainlab.monitor.logwatch.watch_list import WatchList
from chainlab.monitor.logwatch.watch_state import WatchState
from chainlab.monitor.logwatch.watching import Watching
from chainlab.services import Server
from chainlab.trust.client import Trust, workflow_claims
from chainlab.trust.instance import Instance

RELEASE = "https://git.chainlab.localhost/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.0.0"
STRAY = "https://git.chainlab.localhost/acme/triage-model/.github/workflows/release.yml@refs/heads/main"
WATCH = WatchList.read(
    {
        "watch": [
            {
                "identity": "https://git.chainlab.localhost/acme/*",
                "expected": [{"build_config_uri": "*@refs/tags/v*", "issuer": "https://ci.chainlab.localhost"}],
            }
        ]
    }
)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Writer:
    """Signs and logs as one identity, straight into an instance."""

    def __init__(self, instance: Instance, ref: str = "refs/tags/v1.0.0", email: str = "") -> None:
        self.instance = instance
        trust = Trust(instance.directory)
        token = (
            trust.token(email)
            if email
            else trust.token(claims=workflow_claims("acme/triage-model", "release.yml", ref))
        )
        self.identity = instance.issuer.check(token)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certify()

    def certify(self) -> None:
        """Get a certificate, which adds an entry to the CT log."""
        leaf = self.instance.certificate(self.identity, self.key.public_key())[0]
        self.pem = leaf.encode()
        self.der = x509.load_pem_x509_certificate(self.pem).public_bytes(serialization.Encoding.DER)

    def add(self, version: LogVersion, artifact: bytes) -> None:
        """Add one entry to a log."""
        signature, digest = self.key.sign(artifact, ec.ECDSA(hashes.SHA256())), hashlib.sha256(artifact)
        if version == "ct":
            self.certify()
        elif version == "v2":
            verifier = {"x509Certificate": {"rawBytes": b64(self.der)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
            record = {"digest": b64(digest.digest()), "signature": {"content": b64(signature), "verifier": verifier}}
            self.instance.log_entry_v2({"hashedRekordRequestV002": record})
        else:
            spec = {
                "data": {"hash": {"algorithm": "sha256", "value": digest.hexdigest()}},
                "signature": {"content": b64(signature), "publicKey": {"content": b64(self.pem)}},
            }
            self.instance.log_entry_v1({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})


def size_of(instance: Instance, version: LogVersion) -> int:
    return len({"v1": instance.log_v1, "v2": instance.log_v2, "ct": instance.ct_log}[version].tree)


def forked(directory: Path, copy: Path, version: LogVersion, keep: int) -> Path:
    """Copy the state of an instance that does not run, and forget a log's entries from ``keep`` on."""
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("lock", "serving.json"))
    connection = sqlite3.connect(copy / "state.db")
    with connection:
        for table in ("leaves", "bodies"):
            connection.execute(f"DELETE FROM {table} WHERE log = ? AND entry >= ?", (version, keep))
    connection.close()
    return copy


@dataclass
class Observed:
    """The looks at one log from a state of one's own, and the events that came of them."""

    directory: Path
    watch_list: WatchList = WATCH
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def look(
        self, source: LogSource, *, witnesses: tuple[Checkpoint, ...] = (), begin: int | None = None
    ) -> list[Look]:
        def append(type: str, subject: str, data: dict[str, Any]) -> None:
            self.events.append((type, subject, data))

        with WatchState(self.directory / "logs.db") as state:
            reader = source.reader()
            certificates, name = source.certificates, source.id
            watching = Watching(
                name, reader, certificates, state, self.watch_list, append, witnesses=witnesses, begin=begin
            )
            try:
                return watching.look()
            finally:
                watching.close()

    def of(self, type: str) -> list[tuple[str, dict[str, Any]]]:
        return [(subject, data) for name, subject, data in self.events if name == type]


def source_of(server: Server, version: LogVersion) -> LogSource:
    (source,) = kit_sources(Trust(server.instance.directory), version)
    return source


@contextmanager
def filled(directory: Path, version: LogVersion, count: int) -> Iterator[tuple[Server, Writer]]:
    """An instance with entries of a release in one log."""
    with Server(directory) as server:
        writer = Writer(server.instance)
        for number in range(count):
            writer.add(version, f"{datetime.now(UTC)} {number}".encode())
        yield server, writer
