"""Pickles: followed as the unpickler would run them, but not run; and two scanners to compare with.

    >>> program(b"cos\\nsystem\\n(S'touch MARKER'\\ntR.").imports
    ('os.system',)

A pickle is a program: loading runs it. `program` follows the opcodes as CPython's C unpickler does. Where the unpickler
stops at an argument that it cannot read, `program` may go on, so it misses no import. Only plain data passes: a pickle
that imports nothing, asks the loader for nothing, and ends where the file ends.

Two scanners serve for comparison. **fickling** is strict: a call or an import that it does not know is
unsafe, so it flags an honest scikit-learn model too. **picklescan** has a deny list: a call of a module that it has
does not know is "suspicious", and its command still ends with 0. It also reports "no issue" for bytes that it cannot
read. Both read arguments with `pickletools`, which stops at some that the unpickler accepts, such as ``I0x1``; so
neither decides here.
"""

from __future__ import annotations

import _compat_pickle
import io
import logging
import pickletools
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from chainlab.evidence.findings import Finding

__all__ = ["Opinion", "Program", "findings", "is_pickle", "opinions", "program"]

MAX_OPCODES = 500_000  # of one file; two seconds
MAX_IMPORTS = 100  # of one file; enough to judge it
MAX_TEXT = 200  # bytes of a text that may be a name
LINE = pickletools.UP_TO_NEWLINE
COUNTED = {  # how an argument's length is written: bytes of the number, and whether it has a sign
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
MODULE = re.compile(r"[\w.-]+")  # a module's name; a line of prose may begin with GLOBAL's letter, too
NUMBER = re.compile(rb"\d|inf|nan|^[^A-Za-z]*$", re.IGNORECASE)  # what the unpickler may read as a number
IMPORTING = {"GLOBAL", "INST", "STACK_GLOBAL"}
CALLING = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "STOP"}
# Modules of the standard library, also by their names in Python 2
STANDARD = sys.stdlib_module_names | {name.split(".")[0] for name in _compat_pickle.IMPORT_MAPPING}
ASKING = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"}  # an extension's code has a meaning only to its own loader
REMEMBERING = {"DUP", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT"}
TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
QUOTED = re.compile(rb"\s*['\"]")
MAX_SHOWN = 5  # imports that a finding names


@dataclass(frozen=True)
class Program:
    """The pickles of a file, as one program."""

    imports: tuple[str, ...] = ()  # module and name, as far as the file has them
    runs: bool = False  # imports from the standard library, or calls an import
    asks: bool = False  # needs objects that only its loader has
    whole: bool = False  # the last pickle ends where the file ends
    too_long: bool = False  # it was not followed to its end

    @property
    def is_plain(self) -> bool:
        """Whether it makes plain data in every loader."""
        return self.whole and not self.imports and not self.asks


@dataclass(frozen=True)
class Opinion:
    """The opinion of one scanner."""

    scanner: str
    verdict: str  # no issue, unsafe or unparseable
    message: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.scanner}: {self.verdict}"


def program(data: bytes) -> Program:
    """Follow the pickles of a file, opcode by opcode."""
    machine = _Machine()
    imports: list[str] = []
    at, runs, asks = 0, False, False
    for _ in range(MAX_OPCODES):
        opcode = _OPCODES.get(data[at]) if at < len(data) else None
        read = _argument(opcode, data, at + 1) if opcode else None
        if opcode is None or read is None or not machine.run(opcode, read[0]):
            return Program(tuple(imports), runs, asks)
        at = read[1]
        if opcode.name in IMPORTING:
            imports.append(_import(opcode.name, read[0], machine.taken))
            runs = runs or opcode.name == "STACK_GLOBAL" or imports[-1].split(".")[0] in STANDARD
        runs = runs or (bool(imports) and opcode.name in CALLING)
        asks = asks or opcode.name in ASKING
        if opcode.name == "STOP":
            machine = _Machine()
            if at == len(data):
                return Program(tuple(imports), runs, asks, whole=True)
        if len(imports) == MAX_IMPORTS:
            break
    return Program(tuple(imports), True, asks, too_long=True)


def is_pickle(data: bytes) -> bool:
    """Whether the unpickler would begin to run the bytes, or would read all of them as plain data."""
    followed = program(data)
    return followed.runs or followed.whole


def opinions(data: bytes) -> tuple[Opinion, Opinion]:
    """Ask fickling and picklescan about a pickle, or about several in one file."""
    return _fickling(data), _picklescan(data)


def findings(data: bytes, where: str) -> list[Finding]:
    """Report what a pickle imports and where it breaks off; nothing for plain data."""
    followed = program(data)
    if followed.is_plain:
        return []
    reasons = [f"it imports {', '.join(dict.fromkeys(followed.imports[:MAX_SHOWN]))}"] if followed.imports else []
    reasons += ["it asks its loader for objects that are not in the file"] if followed.asks else []
    reasons += [f"it has more than {MAX_OPCODES} opcodes or {MAX_IMPORTS} imports"] if followed.too_long else []
    reasons += [] if followed.whole else ["it cannot be followed to its end, and a loader runs it up to there"]
    hint = "have it exported to ONNX or safetensors by whoever trained it; never load it to find out"
    kind = "unsafe-pickle" if followed.whole else "unparseable-pickle"
    return [Finding(kind, "high", where, "; ".join(reasons), hint)]


class _Opcode(NamedTuple):
    """An opcode as `pickletools` describes it: its argument's form, and what it does to the stack."""

    name: str
    form: int
    marked: bool  # takes all values down to the last mark
    takes: int  # values; for a marked opcode, from below the mark
    makes: int  # values

    @classmethod
    def of(cls, opcode: pickletools.OpcodeInfo) -> _Opcode:
        before = opcode.stack_before
        marked = pickletools.markobject in before
        takes = before.index(pickletools.markobject) if marked else len(before)
        return cls(opcode.name, opcode.arg.n if opcode.arg else 0, marked, takes, len(opcode.stack_after))


_OPCODES = {ord(opcode.code): _Opcode.of(opcode) for opcode in pickletools.opcodes}


class _Machine:
    """The unpickler's stack, marks and memo. A text is kept, any other value is None."""

    def __init__(self) -> None:
        self.stack: list[list[str | None]] = [[]]  # a list for each mark
        self.memo: dict[int, str | None] = {}
        self.taken: list[str | None] = []  # by the last opcode

    def run(self, opcode: _Opcode, argument: bytes) -> bool:
        """Run one opcode; False when the unpickler stops with an error."""
        name = opcode.name
        if name == "MARK":
            self.stack.append([])
            return True
        if opcode.marked or (name == "POP" and not self.stack[-1]):  # POP takes a mark, too
            if len(self.stack) == 1:
                return False
            self.stack.pop()
            if name == "POP":
                return True
        top = self.stack[-1]
        rest = len(top) - opcode.takes
        if rest < 0:
            return False
        self.taken = top[rest:]
        del top[rest:]
        if name in REMEMBERING:
            return self._remember(name, argument, top)
        top += [_text(name, argument)] * opcode.makes
        return True

    def _remember(self, name: str, argument: bytes, top: list[str | None]) -> bool:
        if name.endswith("GET"):
            top.append(self.memo.get(_index(name, argument)))
            return True
        top += self.taken * (2 if name == "DUP" else 1)
        if top and name != "DUP":
            self.memo[len(self.memo) if name == "MEMOIZE" else _index(name, argument)] = top[-1]
        return bool(top)


def _argument(opcode: _Opcode, data: bytes, at: int) -> tuple[bytes, int] | None:
    """Read an opcode's argument and where it ends; None when the unpickler stops with an error."""
    if opcode.form == LINE:
        end = _line(data, at)
        if opcode.name in ("GLOBAL", "INST"):
            end = _line(data, end)
        line = data[at:end]
        return (line, end) if _fits(opcode.name, line) else None
    size, signed = COUNTED.get(opcode.form, (0, False))
    length = int.from_bytes(data[at : at + size], "little", signed=signed) if size else opcode.form
    end = at + size + length
    if length < 0 or end > len(data) or len(data) - at < size:
        return None
    return data[at + size : min(end, at + size + MAX_TEXT)], end


def _line(data: bytes, at: int) -> int:
    """Find the end of the line that begins here; the last line needs no line feed."""
    return data.find(b"\n", at) + 1 or len(data)


def _fits(name: str, line: bytes) -> bool:
    """Whether the unpickler may accept the line as the opcode's argument; True in doubt."""
    if name in ("INT", "LONG", "FLOAT", "GET", "PUT"):
        return bool(NUMBER.search(line))
    if name == "STRING":
        return bool(QUOTED.match(line))
    if name in ("GLOBAL", "INST"):
        module, called = line.partition(b"\n")[0], line.partition(b"\n")[2]
        return len(called) > 1 and MODULE.fullmatch(module.decode("utf-8", "replace")) is not None
    return True


def _import(name: str, argument: bytes, taken: list[str | None]) -> str:
    if name in ("GLOBAL", "INST"):
        return ".".join(argument.decode("utf-8", "replace").splitlines())
    return ".".join(part or "?" for part in taken)


def _index(name: str, argument: bytes) -> int:
    if name in ("GET", "PUT"):
        digits = argument.strip()
        return int(digits) if digits.isdigit() and len(digits) < 12 else -1
    return int.from_bytes(argument, "little")


def _text(name: str, argument: bytes) -> str | None:
    return argument.decode("utf-8", "replace").strip("'\"\n")[:MAX_TEXT] if name in TEXTS else None


def _fickling(data: bytes) -> Opinion:
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import StackedPickle

    message: list[str] = []
    unsafe = False
    try:
        with _quiet("fickling"):
            for pickled in StackedPickle.load(io.BytesIO(data)):
                results = check_safety(pickled)
                unsafe = unsafe or results.severity != Severity.LIKELY_SAFE
                message += [line for line in results.to_string().splitlines() if line]
    except Exception as error:  # the bytes broke its parser
        return Opinion("fickling", "unparseable", (*message, f"{type(error).__name__}: {error}"))
    return Opinion("fickling", "unsafe" if unsafe else "no issue", tuple(message))


def _picklescan(data: bytes) -> Opinion:
    from picklescan.scanner import scan_pickle_bytes

    try:
        with _quiet("picklescan"):
            result = scan_pickle_bytes(io.BytesIO(data), "pickle")
    except Exception as error:  # the bytes broke its parser
        return Opinion("picklescan", "unparseable", (f"{type(error).__name__}: {error}",))
    lines = sorted(f"{g.module}.{g.name} is {g.safety.value}" for g in result.globals)
    if result.issues_count:
        return Opinion("picklescan", "unsafe", tuple(lines))
    return Opinion("picklescan", "unparseable" if result.scan_err else "no issue", tuple(lines))


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silence a scanner's log: its opinion is the value."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
