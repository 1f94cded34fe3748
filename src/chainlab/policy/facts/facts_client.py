"""The client of the facts process: has a release's facts collected, with limits of time and memory.

    >>> client.start()                                                         # doctest: +SKIP
    >>> collected = client.collect(question, Limits())                         # doctest: +SKIP
    >>> collected.facts[:20]                                                   # doctest: +SKIP
    b'{"now":1795000000.0,'

One facts process serves all questions of this process, one at a time: it has imported what it needs, and forks a child
for each question.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Unavailable
from chainlab.policy.limits import Limits

__all__ = ["FACTS_CLIENT", "CollectedFacts", "FactsClient"]

PACKAGES = Path(__file__).parents[3]  # the folder that chainlab is imported from
PROGRAM = """import sys
sys.path.insert(0, sys.argv[1])
from chainlab.policy.facts.facts_process import main
sys.exit(main())"""
GRACE = 15.0  # seconds more than the facts may take: to start, to load what is shared, and to end the child
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "CHAINLAB_COURSE", "CHAINLAB_CACHE")


@dataclass(frozen=True)
class CollectedFacts:
    """A facts document, and the digests of the bundles that it rests on."""

    facts: bytes  # JSON on one line
    inputs: tuple[Digest, ...]


class FactsClient:
    """The client of one facts process, which starts when it is first needed; safe to use from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None  # its stderr

    def start(self) -> None:
        """Start the process without waiting for it, so that the first question waits less."""
        if self._guard.acquire(blocking=False):  # else it runs already
            try:
                self._running()
            finally:
                self._guard.release()

    def collect(self, question: Mapping[str, Any], limits: Limits) -> CollectedFacts:
        """Collect the facts that a question asks for. Raises `ChainlabError` with the reason when none come in time."""
        line = json.dumps({**question, "limits": asdict(limits)}, allow_nan=False).encode() + b"\n"
        with self._guard:
            process = self._running()
            try:
                end = time.monotonic() + limits.seconds + GRACE
                _write(process, line)
                header, facts = _read(process, end, limits.facts)
                inputs = () if "error" in header else tuple(map(Digest.parse, header["inputs"]))
            except (OSError, ValueError, KeyError, TypeError) as error:
                errors = self._end()
                raise ChainlabError(
                    "the facts were not collected",
                    why=errors or str(error),
                    hint="judge again; if it fails again, report it with the release that caused it",
                ) from error
            except BaseException:  # an interrupt: nobody reads the answer that is still to come
                self._end()
                raise
        if "error" in header:
            message, why, hint = header["error"]
            raise ChainlabError(message, why=why, hint=hint or "find out who pushed what takes so long to read")
        return CollectedFacts(facts, inputs)

    def close(self) -> None:
        """End the process, if it runs."""
        with self._guard:
            self._end()

    # -- inside

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `_end` closes it
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", PROGRAM, str(PACKAGES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ}
                | {"OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # so that its child ends with it
            )
        except OSError as error:
            raise Unavailable("the facts process cannot be started", why=str(error)) from error
        return self._process

    def _end(self) -> str:
        """End the process with its child; returns the end of its stderr."""
        process, self._process = self._process, None
        if process is not None:
            with process, contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        file, self._errors = self._errors, None
        if file is None:
            return ""
        with file:
            file.seek(0)
            return " ".join(file.read()[-500:].decode(errors="replace").split())


def _write(process: subprocess.Popen[bytes], line: bytes) -> None:
    if process.stdin is None:
        raise ValueError("the facts process has no stdin")
    process.stdin.write(line)
    process.stdin.flush()


def _read(process: subprocess.Popen[bytes], end: float, max_size: int) -> tuple[dict[str, Any], bytes]:
    """Read one answer: its header and the document. Raises `ValueError` when it is late or malformed."""
    if process.stdout is None:
        raise ValueError("the facts process has no stdout")
    data = bytearray()
    size: int | None = None
    header: dict[str, Any] = {}
    while size is None or len(data) < size:
        left = end - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise ValueError("the facts process does not answer")
        chunk = os.read(process.stdout.fileno(), 2**16)
        if not chunk:
            raise ValueError("the facts process ended")
        data += chunk
        if size is None and b"\n" in data:
            line, _, rest = bytes(data).partition(b"\n")
            header, data = json.loads(line), bytearray(rest)
            size = header["size"]
            if not isinstance(size, int) or not 0 <= size <= max_size:
                raise ValueError("the facts process sent a malformed answer")
    if len(data) != size:
        raise ValueError("the facts process sent more than one answer")
    return header, bytes(data)


FACTS_CLIENT = FactsClient()  # of this process
atexit.register(FACTS_CLIENT.close)
if hasattr(os, "register_at_fork"):  # a fork must not read its parent's answers
    os.register_at_fork(after_in_child=FACTS_CLIENT.__init__)  # type: ignore[misc]
