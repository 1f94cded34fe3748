"""Pickles: what two scanners say about the same bytes. Nothing is ever unpickled.

    >>> [str(opinion) for opinion in opinions(b"cos\\nsystem\\n(S'touch MARKER'\\ntR.")]       # doctest: +SKIP
    ['fickling: unsafe', 'picklescan: unsafe']

A pickle is a program: loading runs it. **fickling** is strict: a call or an import that it does not know is unsafe, so
it flags an honest scikit-learn model too. **picklescan** has a deny list: a call of a module that it has never heard of
is "suspicious", and its command still ends with 0. It also says "no issue" of bytes that it cannot read. The strict one
decides here, and what cannot be parsed counts as malicious: a loader runs what comes before the error.
"""

from __future__ import annotations

import io
import logging
import pickletools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chainlab.evidence.findings import Finding

__all__ = ["Opinion", "findings", "is_pickle", "opinions"]

CALLS = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
NAMES = re.compile(r"[\w.]+ [\w.]+")  # a module and a name in it
MAX_SAID = 5  # lines of a scanner that are passed on


@dataclass(frozen=True)
class Opinion:
    """What one scanner says."""

    scanner: str
    verdict: str  # no issue, unsafe or unparseable
    said: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.scanner}: {self.verdict}"


def opinions(data: bytes) -> tuple[Opinion, Opinion]:
    """What fickling and picklescan say about a pickle, or about several in one file."""
    return _fickling(data), _picklescan(data)


def findings(data: bytes, where: str) -> list[Finding]:
    """What speaks against a pickle; empty when the strict scanner finds nothing."""
    strict, listed = opinions(data)
    if strict.verdict == "no issue" and listed.verdict == "no issue":
        return []
    worst = strict if strict.verdict != "no issue" else listed
    other = listed if worst is strict else strict
    said = "; ".join(worst.said[:MAX_SAID]) or worst.verdict
    return [
        Finding(
            f"{worst.verdict}-pickle",
            "high",
            where,
            f"{worst.scanner} says {worst.verdict}: {said} ({other.scanner} says {other.verdict})",
            "have it exported to ONNX or safetensors by whoever trained it; never load it to find out",
        )
    ]


def is_pickle(data: bytes) -> bool:
    """Whether a loader would take the bytes for a pickle; also one that breaks off after it has called something."""
    if len(data) > 1 and data[0] == 0x80 and data[1] <= 5:
        return True
    imported = called = False
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):  # prose has their letters too
                imported = imported or bool(NAMES.fullmatch(str(argument)))
            imported = imported or opcode.name == "STACK_GLOBAL"
            called = called or (imported and opcode.name in CALLS)
    except Exception:  # pickletools raises what the bytes make it raise
        return called
    return True


def _fickling(data: bytes) -> Opinion:
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import StackedPickle

    said: list[str] = []
    unsafe = False
    try:
        with _quiet("fickling"):
            for pickled in StackedPickle.load(io.BytesIO(data)):
                results = check_safety(pickled)
                unsafe = unsafe or results.severity != Severity.LIKELY_SAFE
                said += [line for line in results.to_string().splitlines() if line]
    except Exception as error:  # a parser that the bytes upset
        return Opinion("fickling", "unparseable", (*said, f"{type(error).__name__}: {error}"))
    return Opinion("fickling", "unsafe" if unsafe else "no issue", tuple(said))


def _picklescan(data: bytes) -> Opinion:
    from picklescan.scanner import scan_pickle_bytes

    try:
        with _quiet("picklescan"):
            result = scan_pickle_bytes(io.BytesIO(data), "pickle")
    except Exception as error:  # a parser that the bytes upset
        return Opinion("picklescan", "unparseable", (f"{type(error).__name__}: {error}",))
    said = sorted(f"{g.module}.{g.name} is {g.safety.value}" for g in result.globals)
    if result.issues_count:
        return Opinion("picklescan", "unsafe", tuple(said))
    return Opinion("picklescan", "unparseable" if result.scan_err else "no issue", tuple(said))


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without what a scanner logs: its opinion is the value."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
