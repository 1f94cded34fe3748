"""The facts process: a program that collects the facts of a release. Run by ``python -I``.

    stdin    one question a line, JSON: {"reference": …, "policy": …, "registry": …, "trust": …, "limits": …, …}
    stdout   for each question a line of JSON about the answer, then the facts document, as long as that line says

A stranger may have written what a release holds, and reading it can take any amount of time and memory. So a child
process reads it, one for each question: it is forked with everything imported, limits itself, and is killed when its
time is over. The parent reads nothing of a release: it waits. It ends when its stdin does.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.policy.facts import document, scans
from chainlab.policy.limits import Limits
from chainlab.policy.policy import Policy
from chainlab.policy.rego.rego_process import limit
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.registry import Registry

__all__ = ["collect", "main", "serve"]

CHUNK = 2**16  # bytes read at once
FILES = 2**26  # bytes of one file that a child may write: a model, for its signature's verification
END = b"\n."  # ends a whole answer
MEMORY = "collecting the facts takes more memory than it may"

_upstreams: dict[str, Upstream] = {}


def collect(question: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Collect the facts that a question asks for: its bundles, and the document. Raises `ChainlabError`."""
    from sigstore.models import ClientTrustConfig

    described = question["policy"]
    policy = Policy(described["name"], (), {}, described["expected"], Digest.of(b""))
    registry = question["registry"]
    with Registry(
        Path(registry["directory"]),
        Path(registry["database"]),
        upstream=_upstream(registry["upstream"]),
        read_only=True,
    ) as opened:
        facts, bundles = document.build(
            opened.release(question["reference"]),
            policy,
            opened,
            ClientTrustConfig.from_json(_trust(question["trust"])),
            advisories=Path(question["advisories"]),
            at=datetime.fromtimestamp(0, UTC) + timedelta(seconds=question["now"]),
            limits=Limits(**question["limits"]),
        )
    data = json.dumps(facts, allow_nan=False, separators=(",", ":")).encode()
    return {"inputs": sorted({str(bundle.digest) for bundle in bundles if bundle.verified})}, data


def serve(question: Mapping[str, Any], answer: Callable[[bytes], object]) -> None:
    """Have a child with limits answer one question; there is an answer whatever happens to the child."""
    limits = Limits(**question["limits"])
    _warm(question)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _answer(question, limits, writing)  # does not return
    os.close(writing)
    try:
        data = _received(reading, time.monotonic() + limits.seconds, limits.facts + CHUNK)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if data is None:
        answer(_failure(f"collecting the facts took more than {limits.seconds:g} s"))
    elif len(data) > limits.facts:
        answer(_failure(f"there are more than {limits.facts} bytes of facts"))
    elif not data.endswith(END):
        answer(_failure(MEMORY if os.WIFSIGNALED(status) else "collecting the facts ended early"))
    else:
        answer(data.removesuffix(END))


def main() -> int:
    """Serve questions until stdin ends."""
    scans.preload()
    for line in sys.stdin.buffer:
        serve(json.loads(line), sys.stdout.buffer.write)
        sys.stdout.buffer.flush()
    return 0


def _answer(question: Mapping[str, Any], limits: Limits, pipe: int) -> None:
    """The child: write the answer with its end mark, and exit."""
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(nothing, stream)
        limit(max(1, round(limits.seconds + 0.5)), _left(limits.memory), FILES)
        try:
            header, facts = collect(question)
            whole = json.dumps({**header, "size": len(facts)}).encode() + b"\n" + facts
        except MemoryError:
            whole = _failure(MEMORY)
        except ChainlabError as error:
            whole = _failure(error.message, error.why, error.hint)
        except Exception as error:  # of any kind: the caller reads the reason
            whole = _failure(f"the facts cannot be collected: {type(error).__name__}", str(error)[:300])
        with os.fdopen(pipe, "wb") as out:
            out.write(whole + END)
        status = 0
    finally:
        os._exit(status)


def _received(pipe: int, end: float, max_size: int) -> bytes | None:
    """Read what the child writes; None when its time is over."""
    data = bytearray()
    while len(data) <= max_size:
        left = end - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return None
        chunk = os.read(pipe, CHUNK)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _left(memory: int) -> int:
    """How many bytes of address space this process may add before ``memory`` bytes are resident."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])  # proc(5): resident
        return max(2**24, memory - pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return memory


def _warm(question: Mapping[str, Any]) -> None:
    """Load here, once, what every child needs: the wheelhouse's index and the advisories, both part of the course."""
    try:
        if upstream := _upstream(question["registry"]["upstream"]):
            upstream.projects()
        scans.load_advisories(Path(question["advisories"]))
    except (ChainlabError, OSError, ValueError, TypeError):
        pass  # the child says what is wrong with them


def _upstream(described: Mapping[str, Any] | None) -> Upstream | None:
    if described is None:
        return None
    key = json.dumps(described, sort_keys=True)
    if key not in _upstreams:
        _upstreams.clear()
        _upstreams[key] = Upstream.described(described)
    return _upstreams[key]


def _trust(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise MalformedInput(f"the trust configuration cannot be read: {error}", hint="chainlab start") from error


def _failure(message: str, why: str = "", hint: str = "") -> bytes:
    return json.dumps({"error": [message, why, hint], "size": 0}).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
