"""Pickles told from text as the unpickler tells them: its own C code, kept from importing, is the oracle."""

from __future__ import annotations

import collections
import io
import json
import pickle
import pickletools
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainlab.evidence.models.formats import identify
from chainlab.evidence.models.inspection import inspect_bytes
from chainlab.evidence.models.pickles import MAX_OPCODES, is_pickle, program

PAYLOAD = b"cos\nsystem\n(S'touch MARKER'\ntR."  # written, and never loaded

# -- the oracle: the C unpickler, which finds every class to be an inert one

ORACLE = """
import io, json, pickle, re, struct, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
except (ImportError, ValueError, OSError):
    pass  # a system without the limit

class Inert:
    def __new__(cls, *values, **named):
        called.append(True)
        return object.__new__(cls)
    def __setstate__(self, state):
        called.append(True)

class Recorder(pickle.Unpickler):
    def find_class(self, module, name):
        if not re.fullmatch(r"[\\w.-]+", module):  # no file of that name: a real import ends here, too
            raise ImportError(module)
        seen.append(module)
        return Inert
    def persistent_load(self, identity):
        return None

while True:
    head = sys.stdin.buffer.read(4)
    if not head:
        break
    data, seen, called = io.BytesIO(sys.stdin.buffer.read(struct.unpack("<L", head)[0])), [], []
    try:
        while True:
            Recorder(data).load()
    except BaseException:
        pass
    print(json.dumps([seen, bool(called)]), flush=True)
"""


class Unpickler:
    """A process that says what the C unpickler would import; another one follows when it dies."""

    def __init__(self) -> None:
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-c", ORACLE]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def run(self, data: bytes) -> tuple[list[str], bool]:
        """The modules that the bytes import, and whether they call anything of them."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(struct.pack("<L", len(data)) + data)
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:  # it crashed, before any module was imported
            self.close()
            self.process = self.start()
            return [], False
        imports, called = json.loads(answer)
        return imports, called

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def unpickler() -> Iterator[Unpickler]:
    running = Unpickler()
    yield running
    running.close()


NUMBERS = [
    b"1",
    b"0x1",
    b"0o7",
    b"0b1",
    b"01",
    b"00",
    b"007",
    b"1_0",
    b"+1",
    b" 1",
    b"1 ",
    b"-1",
    b"1L",
    b"nan",
    b"1e5",
]
LINES = [*NUMBERS, b"-inf", b"NaN(0)", b"'a'", b'"b"', b" 'c'", b"'\\x'", b"d", b"", b"\\ud800", b"\xc3\xa9", b"os\nx"]


def step(opcode: pickletools.OpcodeInfo) -> st.SearchStrategy[bytes]:
    """One opcode with an argument that its reader may or may not take."""
    code = opcode.code.encode("latin-1")
    form = opcode.arg.n if opcode.arg else 0
    lines = st.sampled_from(LINES).map(lambda line: code + line + b"\n")
    if opcode.name in ("GLOBAL", "INST"):
        return lines.map(lambda line: line + b"name\n")
    if form == pickletools.UP_TO_NEWLINE:
        return lines
    if form >= 0:
        return st.sampled_from([bytes(form), b"\1" + bytes(form)[1:] if form else b""]).map(lambda value: code + value)
    width = {-2: 1, -3: 4, -4: 4, -5: 8}[form]
    return st.binary(max_size=5).map(lambda value: code + len(value).to_bytes(width, "little") + value)


STEPS = st.one_of(*(step(opcode) for opcode in pickletools.opcodes))
HONEST = [
    pickle.dumps({"a": [1, 2.5, "b", (1, 2, 3, 4), {5}, b"c", None, True, 2**70]}, protocol) for protocol in range(6)
] + [pickle.dumps(collections.OrderedDict(a=1), protocol) for protocol in range(6)]
PROGRAMS = st.one_of(
    st.lists(STEPS, max_size=8).map(b"".join),
    st.lists(STEPS, max_size=8).map(lambda steps: b"".join(steps) + PAYLOAD),
    st.tuples(st.sampled_from(HONEST), st.integers(0, 200), st.binary(max_size=4)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    ),
    st.tuples(st.text("cIFLSVgp(dl0\n 12'osx", max_size=12), st.sampled_from([b"", PAYLOAD])).map(
        lambda parts: parts[0].encode() + parts[1]
    ),
)


@given(st.lists(PROGRAMS, min_size=1, max_size=12))
@example([b"I0x1\n0" + PAYLOAD])
@example([b"I\0\n0" + PAYLOAD])
@example([b"V\\ud800\n0" + PAYLOAD])
@example([pickle.dumps(1) + PAYLOAD])
def test_what_the_unpickler_would_import_is_seen(unpickler: Unpickler, programs: list[bytes]) -> None:
    for data in programs:
        imports, called = unpickler.run(data)
        assert program(data).imports or not imports, data
        assert not (imports and program(data).is_plain), data
        if called or not sys.stdlib_module_names.isdisjoint(imports):
            assert is_pickle(data), data
            assert not inspect_bytes(data, "vocab.txt").passed, data


@pytest.mark.parametrize(
    "start",
    [b"I0x1\n0", b"L1_0\n0", b"V\\ud800\n0", b"]p+1\n0", b"]p 1\n0", b"I0777\n0", b"N.", b"\x80\x02", b"(1", b"]2(0"],
)
def test_a_pickle_under_the_name_of_a_text_is_a_pickle(unpickler: Unpickler, start: bytes) -> None:
    data = start + PAYLOAD
    assert unpickler.run(data) == (["os"], True)
    assert identify(data, "vocab.txt").name == "pickle"
    (finding,) = inspect_bytes(data, "vocab.txt").findings
    assert finding.kind == "unsafe-pickle"
    assert "it imports os.system" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        "config of a model\nand what it is for\n",
        "channels:\n  - conda-forge\n",
        "click==8.1\nnumpy==2.0\n",
        ".. title::\n   Model\n",
        "i\nme\nmy\ncat\ndog\n",
        "the\nof\nand\n",
        "I like\ncat\ndog\n",
        "Some words\ncat\ndog\n",
        "(c) 2026 Acme\n",
        "cat\ndog\nbird\n",
        "changelog\n=========\n\nNew\n",
        "Git v2.31.7\n",
        "CMP0046\n-------\n\nError\n",
        "commit",
        "cat\n",
        "[PAD]\n[UNK]\ncat\n",
        "#version: 0.2\nc a\n",
        "Vision model\nconverted from PyTorch\n",
        "MIT License\n",
        "Project\n\ncommon words\n",
    ],
)
def test_prose_is_no_pickle(text: str) -> None:
    for data in (text.encode(), text.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + text.encode()):
        assert identify(data, "notes.txt").name == "text"
        assert inspect_bytes(data, "notes.txt").passed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940h\0h\1\x93.", "imports posix.system", id="memo"),
        pytest.param(b"cos\nsystem\n", "imports os.system", id="an import alone"),
        pytest.param(b"c__builtin__\neval\n", "imports __builtin__.eval", id="an import as Python 2 wrote it"),
        pytest.param(b"cacme_loader\nrun\n)R", "imports acme_loader.run", id="a call of what is nowhere"),
        pytest.param(b"cacme_loader\nrun\n.", "imports acme_loader.run", id="an import of what is nowhere"),
        pytest.param(b"(S'x'\nios\nsystem\n.", "imports os.system", id="INST"),
        pytest.param(b"\x82\x01.", "asks its loader for objects", id="extension"),
        pytest.param(b"Pname\n.", "asks its loader for objects", id="persistent"),
        pytest.param(b"\x80\x02N.N", "cannot be followed", id="more behind it"),
        pytest.param(b"\x80\x04N", "cannot be followed", id="cut off"),
        pytest.param(b"N0" * MAX_OPCODES, f"more than {MAX_OPCODES} opcodes", id="endless"),
    ],
)
def test_only_plain_data_that_ends_with_the_file_passes(data: bytes, message: str) -> None:
    start = time.process_time()
    report = inspect_bytes(data, "vocab.txt")
    assert message in report.findings[0].message
    assert not report.passed
    assert time.process_time() - start < 30


def test_an_honest_stream_of_plain_pickles_passes() -> None:
    file = io.BytesIO()
    for value in ([1, 2], {"a": 1.5}, "text"):
        pickle.dump(value, file)
    assert inspect_bytes(file.getvalue(), "data.pkl").passed
