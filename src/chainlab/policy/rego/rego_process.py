"""The Rego process: a program that evaluates rules, and nothing else. Run as a file of its own, by ``python -I``.

    stdin    {"modules": {name: Rego}, "expected": …, "seconds": 10, "bytes": 536870912}
             the facts document
    stdout   the engine's own answer, JSON

It imports none of chainlab, opens no file, and has an empty environment. The engine is native code that has crashed on
some policies: here a crash ends only this process, which nobody trusts before it has answered.

The engine writes text into its answer without escaping it (regopy 1.5.2): a quotation mark in a file's name could end
the text and add an answer. So every character that needs escaping becomes U+FFFD before the engine gets it, and no
policy may contain U+FFFD.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["QUERY", "evaluate", "harmless", "limit", "load", "main"]

QUERY = "data.chainlab.gate.report"
MAX_DEPTH = 40
UNSAFE = re.compile(r'["\\\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]')
SUBSTITUTE = "\ufffd"


def limit(seconds: int, size: int, file: int = 0) -> None:
    """Limit this process, where the system can: processor time, further memory, the size of a file; no core dump.

    ``size`` and ``file`` are bytes. Call it after loading the engine, whose allocator reserves hundreds of gigabytes of
    addresses at the start.
    """
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is the only limit
        return
    limits = {"RLIMIT_CPU": seconds, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": file}
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])  # proc(5)
        limits["RLIMIT_AS"] = pages * resource.getpagesize() + size
    except (OSError, ValueError):  # macOS has neither this file nor the limit
        pass
    for name, value in limits.items():
        try:
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (bound, bound))
        except (AttributeError, ValueError, OSError):
            continue


def load(engine: Any, modules: dict[str, str], expected: Any) -> Any:
    """Give the engine rules and expectations; returns the compiled query. Compiling is most of the work."""
    engine.strict_built_in_errors = True  # else an error in a function is undefined, and `not` makes it true
    engine.add_data({"expected": expected})
    for name, text in sorted(modules.items()):
        engine.add_module(name, text)
    return engine.build(QUERY)


def evaluate(engine: Any, query: Any, facts: Any) -> str:
    """Return the engine's answer as text. Raises `ValueError` for an error of policy or engine."""
    engine.set_input(facts)
    answer = engine.query_bundle(query)
    if not answer.ok():
        raise ValueError(str(answer))
    return str(answer)


def harmless(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Replace every character that the engine would have to escape. Raises `ValueError` for too deep nesting."""
    if isinstance(value, str):
        return UNSAFE.sub(SUBSTITUTE, value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else float(value) if abs(value) < 1e300 else None
    if not depth:
        raise ValueError("the facts are nested too deeply")
    if isinstance(value, Mapping):
        return {harmless(str(n)): harmless(v, depth - 1) for n, v in value.items()}
    return [harmless(entry, depth - 1) for entry in value]


def main() -> int:
    """Answer the question on stdin; the exit status is 0 only with an answer."""
    from regopy import Interpreter  # type: ignore[import-untyped]

    rules = json.loads(sys.stdin.buffer.readline())
    engine = Interpreter()
    limit(int(rules["seconds"]), int(rules["bytes"]))
    try:
        query = load(engine, rules["modules"], harmless(rules["expected"]))
        answer = evaluate(engine, query, harmless(json.loads(sys.stdin.buffer.readline())))
    except Exception as error:  # of any kind: the parent reads the reason
        sys.stderr.write(f"{type(error).__name__}: {str(error)[:2000]}")
        return 3
    sys.stdout.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
