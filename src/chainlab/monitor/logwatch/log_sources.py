"""Sources: which logs there are to watch, where each listens, and which key it signs with.

Sigstore clients have both in one document, ``trusted_root.json``. It does not say which API a log speaks. A log with an
Ed25519 key is a Rekor v2 log here, and one with an ECDSA key a Rekor v1 log; ``--version`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.monitor.logwatch.checkpoints import Checkpoint, LogKey
from chainlab.monitor.logwatch.entry_signers import Certificates, ct_certificates, rekor_certificates
from chainlab.monitor.logwatch.log_client import LogClient
from chainlab.monitor.logwatch.log_readers import LogReader
from chainlab.monitor.logwatch.reader_ct import ReaderCT
from chainlab.monitor.logwatch.reader_v1 import ReaderV1
from chainlab.monitor.logwatch.reader_v2 import ReaderV2
from chainlab.trust import wire

__all__ = ["LogSource", "LogVersion", "open_witness", "sources_in"]

LogVersion = Literal["v1", "v2", "ct"]
READERS: Mapping[LogVersion, type[ReaderV1] | type[ReaderV2] | type[ReaderCT]] = {
    "v1": ReaderV1,
    "v2": ReaderV2,
    "ct": ReaderCT,
}
MAX_LOGS = 100


@dataclass(frozen=True)
class LogSource:
    """One log: the API it speaks, its address and its key; ``name`` is the one its key is for, "" when unknown."""

    version: LogVersion
    url: str
    key: LogKey
    name: str = ""

    @property
    def id(self) -> str:
        """The name that the log's state is kept under: another key is another log."""
        return f"{self.version} {self.name or self.url} {self.key.id[:16]}"

    def reader(self) -> LogReader:
        """Open a reader; the caller closes it."""
        return READERS[self.version](LogClient(self.url), self.key, self.name)

    @property
    def certificates(self) -> Certificates:
        """The function that finds the certificates in an entry."""
        return ct_certificates if self.version == "ct" else rekor_certificates

    def open_checkpoint(self, text: str) -> Checkpoint:
        """Verify a checkpoint of this log that came from elsewhere (`Checkpoint.open`)."""
        ct = self.version == "ct"
        name = self.name or (urlsplit(self.url).netloc + urlsplit(self.url).path if ct else "")
        return Checkpoint.open(text, self.key, name=name, ct=ct)


def open_witness(text: str, sources: Sequence[LogSource], name: str = "the text") -> Checkpoint:
    """Verify a checkpoint that somebody else saw, by the key of one of these logs.

    Raises `MalformedInput` when none of them signed it.
    """
    for source in sources:
        try:
            return source.open_checkpoint(text)
        except (MalformedInput, VerificationFailed):
            continue
    raise MalformedInput(
        f"{name} is not a checkpoint of a log that is watched here",
        why="it has another form, or its signature does not hold with these logs' keys",
        hint="keep the checkpoint as the log signed it: chainlab monitor log --json prints it",
    )


def sources_in(trusted_root: Mapping[str, Any], url: str = "", version: LogVersion | None = None) -> list[LogSource]:
    """Return the logs of a ``trusted_root.json``, at their own addresses or all at ``url``; one ``version`` or all.

    Raises `MalformedInput`.
    """
    sources = []
    for kind in ("tlogs", "ctlogs"):
        logs = trusted_root.get(kind) or []
        if not isinstance(logs, list) or len(logs) > MAX_LOGS or not all(isinstance(log, dict) for log in logs):
            raise MalformedInput(f"expected at most {MAX_LOGS} logs at {kind!r} of the trusted root")
        for log in logs:
            address = wire.string(log, "baseUrl").rstrip("/")
            key = LogKey.read(wire.base64_bytes(wire.member(log, "publicKey"), "rawBytes"))
            speaks: LogVersion = "ct" if kind == "ctlogs" else "v2" if key.is_ed25519 else "v1"
            name = address.partition("://")[2]
            sources.append(LogSource(speaks, url or address, key, name))
    chosen = [source for source in sources if version in (None, source.version)]
    if not chosen:
        raise MalformedInput("the trusted root names no such log", hint="look at its 'tlogs' and 'ctlogs'")
    return chosen
