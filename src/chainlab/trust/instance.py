"""One private Sigstore instance: its keys, its logs and its services over one state directory.

Call it directly or over HTTP (`chainlab.trust.app`). Either way, whatever it acknowledges is on the disk.

    DIR/keys.json  state.db  trust_config.json  trusted_root.json  signing_config.json  tuf/
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from filelock import FileLock, Timeout

from chainlab import database
from chainlab.clock import Clock, utc_now
from chainlab.digests import Digest
from chainlab.errors import InUse, Refused, Unavailable
from chainlab.events import Events
from chainlab.jobs import SCHEMA as JOBS
from chainlab.storage import write_whole
from chainlab.token_events import TokenEvents, short_digest
from chainlab.trust import authority, log_v1, log_v2, root, tuf, wire
from chainlab.trust.issuer import AUDIENCE, JOB_CLAIM, Identity, Issuer, require_running
from chainlab.trust.keys import Keys, der_public_key, pem
from chainlab.trust.lifetimes import TOKEN_SECONDS
from chainlab.trust.log import Log, SignedNote, signed_tree_head
from chainlab.trust.merkle import leaf_hash
from chainlab.trust.timestamp import TimestampAuthority, TimestampQuery

__all__ = ["SOURCE", "Instance", "prepare"]

SOURCE = "/trust"  # CloudEvents source of what the instance reports


class Instance:
    """An instance that holds its state directory alone until `close`; safe to call from several threads.

    Creates the directory and its files when they do not exist. Raises `InUse` when another process serves it,
    `Unavailable` when its files cannot be read.
    """

    def __init__(self, directory: Path, *, clock: Clock = utc_now) -> None:
        self.directory = directory
        self._clock = clock
        self._guard = threading.Lock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock_directory(directory)
        except OSError as error:
            raise Unavailable(
                f"cannot use {directory} as a state directory",
                why=str(error),
                hint="give a directory that you can write to",
            ) from error
        with ExitStack() as undo:  # in reverse, as far as the start came
            undo.callback(self._lock.release)
            self._connection = database.connect(directory / "state.db")
            undo.callback(self._connection.close)
            try:
                self._open(self._connection)
            except sqlite3.Error as error:  # the first write on a full disk, or a damaged page
                raise Unavailable(
                    f"cannot read or write the state in {directory}",
                    why=str(error),
                    hint="free some disk space, or restore state.db from a copy",
                ) from error
            undo.pop_all()

    def _open(self, connection: sqlite3.Connection) -> None:
        for partial in self.directory.glob(".*.part"):  # left by a process that was killed while it wrote keys
            partial.unlink()
        self.events = Events(connection, clock=self._clock)
        connection.executescript(JOBS)
        self._tokens = TokenEvents(connection)
        self.ct_log = Log(connection, "ct")
        self.log_v1 = Log(connection, "v1")
        self.log_v2 = Log(connection, "v2")
        path = self.directory / "keys.json"
        if not path.exists():
            logs = (self.ct_log, self.log_v1, self.log_v2)
            if any(len(log.tree) for log in logs) or (self.directory / "tuf/root.json").exists():
                raise Unavailable(
                    f"{self.directory} has logs or a root, but keys.json is gone",
                    why="new keys would contradict every checkpoint and root that was handed out",
                    hint="restore keys.json from a copy, or begin in an empty directory",
                )
            authority.create_keys(self._clock()).dump(path)
        self._set_keys(Keys.load(path))
        self._begin_logs()

    def _begin_logs(self) -> None:
        """Make the instance's own root the first entry of each log, signed with its TUF key.

        A real log has earlier entries too, and clients count on it: sigstore-js leaves an index of 0 and an empty proof
        out of its bundle, and other clients then refuse the bundle.
        """
        document = rfc8785.dumps(root.trusted_root(self.keys))
        digest = hashlib.sha256(document).digest()
        signature = wire.base64_text(self.keys.tuf_key.sign(document, ec.ECDSA(hashes.SHA256())))
        if not len(self.log_v2.tree):
            verifier = {"rawBytes": wire.base64_text(der_public_key(self.keys.tuf_key))}
            details = {"publicKey": verifier, "keyDetails": log_v2.KEY_DETAILS}
            record = {
                "digest": wire.base64_text(digest),
                "signature": {"content": signature, "verifier": details},
            }
            self.log_entry_v2({"hashedRekordRequestV002": record})
        if not len(self.log_v1.tree):
            key = {"content": wire.base64_text(pem(self.keys.tuf_key.public_key()).encode())}
            self.log_entry_v1(
                {
                    "apiVersion": log_v1.VERSION,
                    "kind": "hashedrekord",
                    "spec": {
                        "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
                        "signature": {"content": signature, "publicKey": key},
                    },
                }
            )

    def _set_keys(self, keys: Keys) -> None:
        self.keys = keys
        self.ca_chain = [pem(entry) for entry in (keys.authority.certificate, keys.root)]
        self.issuer = Issuer(keys.issuer_key)
        self.timestamps = TimestampAuthority(keys.timestamp, keys.timestamp_key, clock=self._clock)
        self.note_v2 = SignedNote(root.LOG_V2, root.LOG_V2, root.log_id(keys.log_v2_key), keys.log_v2_key.sign)
        self.note_v1 = SignedNote(
            f"{root.LOG_V1} - {log_v1.TREE_ID}",
            root.LOG_V1,
            root.log_id(keys.log_v1_key),
            lambda data: keys.log_v1_key.sign(data, ec.ECDSA(hashes.SHA256())),
        )

    # -- the services

    def job_token(self, bearer: str, audience: str, *, address: str = "") -> str:
        """Exchange a CI job's bearer for a token while the job runs; ``address`` is where the request came from.

        Raises `Refused` (401).
        """
        claims = self.issuer.bearer_claims(bearer)
        self._require_running(claims, bearer, "issuer")
        token = self.issuer.exchange(bearer, audience)
        job = claims.get(JOB_CLAIM, "")
        with self._guard, database.transaction(self._connection):
            self._tokens.issued(
                short_digest(token),
                subject=claims["sub"],
                grants=[f"audience:{audience or AUDIENCE}"],
                lifetime=TOKEN_SECONDS,
                job=job,
            )
            self._note_use(bearer, claims, "issuer", address)
        return token

    def certificate(
        self, identity: Identity, key: ec.EllipticCurvePublicKey, *, token: str = "", address: str = ""
    ) -> list[str]:
        """Issue a signing certificate for a checked identity: PEM chain, leaf first.

        ``token`` is the identity token, presented from ``address``. Raises `Refused` (401) for a CI job that has ended.
        """
        self._require_running(identity.claims, token, "authority")
        now = self._clock()
        precertificate = authority.precertify(self.keys.authority, identity, key, now)
        certificate = authority.certify(precertificate, self.keys.ct_key)
        with self._appending(self.ct_log, precertificate.leaf, now):
            self._emit(
                "certificate.issued",
                identity.san,
                {
                    "issuer": identity.issuer,
                    "identity": identity.san,
                    "serial": f"{certificate.serial_number:x}",
                },
            )
            if token:
                self._note_use(token, identity.claims, "authority", address)
        return [pem(certificate), *self.ca_chain]

    def log_entry_v2(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Add a request of version 2 to the log; returns its entry and proof."""
        body, digest = log_v2.canonical_body(request)
        now = self._clock()
        with self._appending(self.log_v2, body, now) as index:
            self._emit("logentry.created", str(Digest("sha256", digest)), {"log": "v2", "logIndex": index})
        return self.proof_v2(index, body)

    def proof_v2(self, index: int, body: bytes) -> dict[str, Any]:
        """Return an entry of version 2 with its proof in the current tree."""
        with self._guard:
            return log_v2.answer(self.log_v2, self.note_v2, index, body)

    def log_entry_v1(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Add a request of version 1 to the log; returns its entry, SET and proof."""
        body, digest = log_v1.canonical_body(request)
        now = self._clock()
        try:
            with self._appending(self.log_v1, body, now) as index:
                self._emit(
                    "logentry.created",
                    str(Digest("sha256", digest)),
                    {"log": "v1", "logIndex": index},
                )
        except Refused as error:  # a duplicate: clients fetch the existing entry
            error.see = f"/api/v1/log/entries/{log_v1.uuid(leaf_hash(body))}"
            raise
        return self.entry_v1(index)

    def entry_v1(self, index: int) -> dict[str, Any]:
        """Return an entry of version 1 with its proof in the current tree. Raises `Refused` (404)."""
        with self._guard:
            return log_v1.answer(self.log_v1, self.note_v1, self.log_v1.entry(index))

    def checkpoint_v2(self) -> str:
        """Sign a checkpoint of log v2's current tree."""
        with self._guard:
            size = len(self.log_v2.tree)
            return self.note_v2.checkpoint(size, self.log_v2.tree.root(size))

    def signed_tree_head(self) -> dict[str, Any]:
        """Sign the CT log's current tree head (RFC 6962 §3.5)."""
        with self._guard:
            return signed_tree_head(self.ct_log.tree, self.keys.ct_key, self._clock())

    def timestamp(self, query: TimestampQuery) -> bytes:
        """Answer a timestamp query; returns a TimeStampResp, DER."""
        return self.timestamps.answer(query)

    def rotate(self) -> None:
        """Replace the CA's signing key with a new one. Old signatures still verify."""
        now = self._clock()
        with self._guard:
            keys = authority.rotate(self.keys, now)
            keys.dump(self.directory / "keys.json")
            self._set_keys(keys)
            with database.transaction(self._connection):
                self._emit("authority.rotated", root.AUTHORITY, {"generation": len(keys.authorities)})

    # -- what clients need

    def publish(self, url: str) -> None:
        """Write the trust material of an instance that listens at ``url``, and its TUF repository."""
        documents = {
            "trusted_root.json": root.trusted_root(self.keys),
            "signing_config.json": root.signing_config(self.keys, url),
            "trust_config.json": root.trust_config(self.keys, url),
        }
        encoded = {name: json.dumps(document, indent=1).encode() for name, document in documents.items()}
        tuf.publish(
            self.directory / "tuf",
            {
                "trusted_root.json": encoded["trusted_root.json"],
                "signing_config.v0.2.json": encoded["signing_config.json"],
            },
            self.keys.tuf_key,
            self._clock(),
        )
        encoded["serving.json"] = json.dumps({"url": url, "pid": os.getpid()}).encode()
        for name, data in encoded.items():
            write_whole(self.directory / name, data)

    def close(self) -> None:
        """Release the state directory."""
        (self.directory / "serving.json").unlink(missing_ok=True)
        self._connection.close()
        self._lock.release()

    # -- inside

    def _require_running(self, claims: Mapping[str, str], secret: str, service: str) -> None:
        """Raise `Refused` (401) when the job in the claims has ended; an event reports that its secret is used."""
        try:
            require_running(self._connection, claims)
        except Refused:
            token = short_digest(secret)
            if secret and self._tokens.is_new(token, service, "refused"):
                facts = {"subject": claims["sub"], "job": claims[JOB_CLAIM], "service": service}
                with self._guard, database.transaction(self._connection):
                    self._tokens.refused(token, reason="job ended", outside=True, **facts)
            raise

    def _note_use(self, secret: str, claims: Mapping[str, str], service: str, address: str) -> None:
        """Report the first use of a job's secret at a service; call it inside a transaction."""
        if not (job := claims.get(JOB_CLAIM, "")):
            return
        token, outside = short_digest(secret), self._tokens.outside(job, address)
        if self._tokens.is_new(token, service, outside):
            self._tokens.used(token, subject=claims["sub"], service=service, job=job, outside=outside)

    @contextmanager
    def _appending(self, log: Log, body: bytes, now: datetime) -> Iterator[int]:
        """Commit an entry together with the events of the block, then add it to the tree."""
        with self._guard:
            try:
                with database.transaction(self._connection):
                    index, hash = log.insert(body, int(now.timestamp()))
                    yield index
            except Unavailable:  # a failed commit may still have reached the disk: read it back
                log.reload()
                raise
            log.grow(hash)

    def _emit(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        self.events.append(f"dev.chainlab.{kind}", source=SOURCE, subject=subject, data=data)


def prepare(directory: Path) -> None:
    """Create an instance's keys and TUF root unless they exist. The instance need not run."""
    if not (directory / "tuf" / "root.json").exists():
        instance = Instance(directory)
        try:
            instance.publish("http://127.0.0.1:1")  # no address yet; `publish` runs again when served
        finally:
            instance.close()


def _lock_directory(directory: Path) -> FileLock:
    lock = FileLock(directory / "lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        try:
            holder = json.loads((directory / "serving.json").read_text())
            where = f"process {holder['pid']} serves it at {holder['url']}"
        except (OSError, ValueError, KeyError, TypeError):
            where = "another process holds it"
        raise InUse(
            f"{directory} is in use: {where}",
            why="two writers would write two histories of one log",
            hint="use the running instance, end it, or give another directory",
        ) from error
    return lock
