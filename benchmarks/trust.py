"""Times the private Sigstore instance beside its floors, in one run: ``make bench``.

The client is unmodified sigstore-python in this process; the instance is a process of its own.

    python benchmarks/trust.py [--signatures N] [--entries N] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import figures
import psutil
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from figures import report
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from chainlab import database
from chainlab.trust.client import Trust
from chainlab.trust.log import Log
from chainlab.trust.merkle import leaf_hash

times = partial(figures.times, warm=20)


class Served:
    """An instance in a process of its own."""

    def __init__(self, state: Path) -> None:
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chainlab", "trust", "serve", "--state", str(state)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready: "), line
        self.url = line.split()[1]
        with urlopen(f"{self.url}/healthz") as answer:
            answer.read()
        self.seconds = time.perf_counter() - begin
        self.memory = psutil.Process(self.process.pid).memory_info

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def floors(count: int) -> None:
    """What no instance can be faster than."""
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import sigstore.sign"], check=True)
        seconds.append(time.perf_counter() - begin)
    report("floor: python, import sigstore.sign", seconds, "s", "a process, 5 runs")
    report("floor: P-256 key", times(lambda: ec.generate_private_key(ec.SECP256R1()), count), "ms", "")
    key = ec.generate_private_key(ec.SECP256R1())
    report(
        "floor: P-256 signature",
        times(lambda: key.sign(b"model", ec.ECDSA(hashes.SHA256())), count),
        "ms",
        "",
    )
    with tempfile.TemporaryDirectory() as directory:
        connection = database.connect(Path(directory) / "floor.db")
        connection.execute("CREATE TABLE t (b BLOB)")

        def commit() -> None:
            with database.transaction(connection):
                connection.execute("INSERT INTO t VALUES (?)", (bytes(1500),))

        report(
            "floor: durable commit",
            times(commit, count),
            "ms",
            "SQLite WAL, synchronous=FULL, 1.5 kB",
        )
        connection.close()


def signing(count: int) -> None:
    """Signing and verifying through the real client."""
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        starts: list[float] = []
        for _ in range(5):
            fresh = state / f"fresh-{len(starts)}"
            with Served(fresh) as served:
                starts.append(served.seconds)
        report("start, fresh state", starts, "s", "process to first answer, 5 runs")
        with Served(state / "instance") as served:
            trust = Trust(state / "instance")
            session = requests.Session()
            report(
                "floor: loopback round trip",
                times(lambda: session.get(f"{served.url}/healthz"), count),
                "ms",
                "requests, kept-alive connection",
            )
            config = trust.config
            token = IdentityToken(trust.token("bench@example.com", lifetime=3600))
            context = SigningContext.from_trust_config(config)
            artifact = iter(range(10**9))

            def sign() -> object:
                with context.signer(token) as signer:
                    return signer.sign_artifact(next(artifact).to_bytes(8, "big"))

            report(
                "full sign",
                times(sign, count),
                "ms",
                "key, certificate, signature, timestamp, log v2",
            )
            with context.signer(token) as signer:
                report(
                    "cached sign",
                    times(lambda: signer.sign_artifact(next(artifact).to_bytes(8, "big")), count),
                    "ms",
                    "the certificate is kept",
                )
                bundle = signer.sign_artifact(b"model")
            v1 = trust.config
            v1.force_tlog_version = 1
            with SigningContext.from_trust_config(v1).signer(token) as signer:
                old = signer.sign_artifact(b"model v1")
            verifier = Verifier(trusted_root=config.trusted_root)
            who = policy.Identity(identity="bench@example.com", issuer=trust.issuer)
            report(
                "verify, log v2",
                times(lambda: verifier.verify_artifact(b"model", bundle, who), count),
                "ms",
                "",
            )
            report(
                "verify, log v1",
                times(lambda: verifier.verify_artifact(b"model v1", old, who), count),
                "ms",
                "with its timestamp",
            )
            rates = []
            with ThreadPoolExecutor(8) as pool:
                for _ in range(5):
                    begin = time.perf_counter()
                    list(pool.map(lambda _: sign(), range(count)))
                    rates.append(count / (time.perf_counter() - begin))
            report(
                "signatures from 8 threads",
                rates,
                "/s",
                f"{count} a run, 5 runs, one client process",
            )
            report("memory", [served.memory().rss / 2**20], "MB", "resident, after all of the above")


def fill(connection: sqlite3.Connection, log: Log, count: int) -> None:
    """Add entries many to a transaction: quick, and the same rows that single appends leave."""
    first = len(log.tree)
    bodies = [number.to_bytes(8, "big") * 190 for number in range(first, first + count)]
    leaves = [leaf_hash(body) for body in bodies]
    numbers = range(first, first + count)
    with database.transaction(connection):
        connection.executemany("INSERT INTO leaves VALUES ('growth', ?, ?)", zip(numbers, leaves, strict=True))
        connection.executemany("INSERT INTO bodies VALUES ('growth', ?, ?, 0)", zip(numbers, bodies, strict=True))
    for leaf in leaves:
        log.grow(leaf)


def growth(entries: int) -> None:
    """Whether an append and a proof cost the same in a large log."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "growth.db"
        connection = database.connect(path)
        log = Log(connection, "growth")
        size = 1000
        while size <= entries:
            while len(log.tree) < size:
                fill(connection, log, min(size - len(log.tree), 1000))

            def append() -> None:
                with database.transaction(connection):
                    _, hash_ = log.insert(os.urandom(1500), 0)
                log.grow(hash_)

            report(f"append at {size} entries", times(append, 300), "ms", "durable")
            middle, whole = size // 3, len(log.tree)
            report(
                f"proof at {size} entries",
                times(lambda m=middle, n=whole: log.tree.inclusion(m, n), 300),  # type: ignore[misc]
                "ms",
                "inclusion, with its root",
            )
            begin = time.perf_counter()
            Log(connection, "growth")
            report(
                f"reload at {size} entries",
                [(time.perf_counter() - begin) * 1000],
                "ms",
                "at a start",
            )
            size *= 10
        connection.close()


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signatures", type=int, default=300, help="signatures a figure")
    parser.add_argument("--entries", type=int, default=100_000, help="largest log")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    print(figures.machine())
    floors(options.signatures)
    signing(options.signatures)
    growth(options.entries)
    if options.json:
        figures.save(options.json)


if __name__ == "__main__":
    main()
