"""How long the log monitor takes to read 100,000 entries: hash each, prove all included, look for watched identities.

The entries go straight into the state of an instance, which another process then serves on loopback. Each has a digest
and a signature of its own, which the log would have checked and the monitor does not; a thousand certificates take
turns, of 200 workflows. One in a thousand is of the watched repository. Aim: 100,000 entries in at most 10 s.

    python benchmarks/log_monitor.py [--entries N] [--json FILE]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from figures import report, save, seconds

from chainlab.database import connect, transaction
from chainlab.monitor.logwatch.kit_logs import kit_sources
from chainlab.monitor.logwatch.log_sources import LogVersion
from chainlab.monitor.logwatch.looks import Look
from chainlab.monitor.logwatch.watch_list import WatchList
from chainlab.monitor.logwatch.watch_state import WatchState
from chainlab.monitor.logwatch.watching import Watching
from chainlab.trust.authority import certify, precertify
from chainlab.trust.client import Trust, workflow_claims
from chainlab.trust.instance import Instance
from chainlab.trust.issuer import Issuer
from chainlab.trust.merkle import leaf_hash

CERTIFICATES, REPOSITORIES = 1000, 200
V1_ENTRIES = 5_000  # ten in an answer, so the figure is for fewer
WATCHED = WatchList.read({"watch": [{"identity": "https://git.chainlab.localhost/northwind-ml/repository-7/*"}]})
ALL = WatchList.read({"watch": [{"identity": "*"}]})


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def certificates(instance: Instance) -> list[tuple[bytes, bytes]]:
    """Certificates of many workflows, as DER, each with its CT entry."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1()).public_key()
    issuer: Issuer = instance.issuer
    made = []
    for number in range(CERTIFICATES):
        claims = workflow_claims(
            f"northwind-ml/repository-{number % REPOSITORIES}", "release.yml", f"refs/tags/v1.0.{number}"
        )
        identity = issuer.check(issuer.ci_token(claims, audience="sigstore"))
        precertificate = precertify(instance.keys.authority, identity, key, now)
        certificate: x509.Certificate = certify(precertificate, instance.keys.ct_key)
        made.append((certificate.public_bytes(serialization.Encoding.DER), precertificate.leaf))
    return made


def bodies(version: LogVersion, pairs: list[tuple[bytes, bytes]], count: int) -> Iterator[bytes]:
    """The entries of one log."""
    for number in range(count):
        der, leaf = pairs[number % CERTIFICATES]
        digest, signature = hashlib.sha256(b"%d" % number).digest(), os.urandom(71)
        if version == "ct":  # the time is part of the entry, so each is another one
            yield leaf[:2] + number.to_bytes(8, "big") + leaf[10:]
        elif version == "v2":
            verifier = {"x509Certificate": {"rawBytes": b64(der)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
            content: dict[str, Any] = {
                "data": {"algorithm": "SHA2_256", "digest": b64(digest)},
                "signature": {"content": b64(signature), "verifier": verifier},
            }
            yield rfc8785.dumps({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": content}})
        else:
            pem = f"-----BEGIN CERTIFICATE-----\n{b64(der)}\n-----END CERTIFICATE-----\n".encode()
            spec: dict[str, Any] = {
                "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
                "signature": {"content": b64(signature), "publicKey": {"content": b64(pem)}},
            }
            yield rfc8785.dumps({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})


def fill(directory: Path, entries: int) -> None:
    """An instance with many entries in each log."""
    instance = Instance(directory)
    pairs = certificates(instance)
    sizes = {"v1": len(instance.log_v1.tree), "v2": len(instance.log_v2.tree), "ct": 0}
    instance.close()
    connection = connect(directory / "state.db")
    versions: tuple[LogVersion, ...] = ("v1", "v2", "ct")
    with transaction(connection):
        for version in versions:
            first, count = sizes[version], min(entries, V1_ENTRIES) if version == "v1" else entries
            for number, body in enumerate(bodies(version, pairs, count), first):
                connection.execute("INSERT INTO leaves VALUES (?, ?, ?)", (version, number, leaf_hash(body)))
                connection.execute("INSERT INTO bodies VALUES (?, ?, ?, 0)", (version, number, body))
    connection.close()


def watch(directory: Path, state: Path, version: LogVersion, watch_list: WatchList) -> Look:
    """One look that reads the whole log."""
    (source,) = kit_sources(Trust(directory), version)
    with WatchState(state) as remembered:
        reader = source.reader()
        arguments = (source.id, reader, source.certificates, remembered, watch_list, lambda *_: None)
        watching = Watching(*arguments, begin=0)
        (look,) = watching.look()
        watching.close()
    return look


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) / "state"
        fill(directory, options.entries)
        command = [sys.executable, "-m", "chainlab", "trust", "serve", "--state", str(directory)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            server.stdout.readline()  # ready
            rounds: list[tuple[LogVersion, WatchList, str]] = [
                ("v2", WATCHED, "one repository of 200 watched"),
                ("v2", ALL, "every certificate parsed: the watch list has only *"),
                ("ct", WATCHED, "one repository of 200 watched"),
                ("v1", WATCHED, "one repository of 200 watched; ten entries in an answer"),
            ]
            for number, (version, watch_list, how) in enumerate(rounds):
                taken, look = seconds(lambda v=version, w=watch_list, n=number: watch(  # type: ignore[misc]
                    directory, Path(temporary) / f"{n}.db", v, w))  # fmt: skip
                assert look.answered
                assert look.why == ""
                assert look.skipped == 0
                found = len(look.sightings)
                assert found >= look.entries // (1 if watch_list is ALL else REPOSITORIES) - 1
                report(f"{version}: {look.entries} entries", [taken], "s", f"{how}; {found} found")
                report(f"{version}: rate", [look.entries / taken], "entries/s", how)
        finally:
            server.terminate()
            server.wait()
        report("peak memory", [psutil.Process().memory_info().rss / 2**20], "MB", "of the monitor, resident at the end")
    if options.json:
        save(options.json)


if __name__ == "__main__":
    main()
