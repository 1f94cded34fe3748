"""GGUF: the table of keys and values, as the format's own library reads it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.errors import MalformedInput
from chainlab.evidence.models.gguf import texts
from chainlab.evidence.models.inspection import inspect_bytes

STRING, ARRAY, UINT32 = 8, 9, 4
HONEST = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% endfor %}"
HOSTILE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
KEY = "tokenizer.chat_template"


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def entry(key: str, value: str | bytes) -> bytes:
    return text(key) + struct.pack("<I", STRING) + text(value)


def array(key: str, kind: int, count: int, values: bytes) -> bytes:
    return text(key) + struct.pack("<IIQ", ARRAY, kind, count) + values


def table(*entries: bytes, version: int = 3, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(entries) if count is None else count) + b"".join(entries)


DECOY = KEY.encode() + struct.pack("<I", STRING) + text("{{ messages }}")
PASSING = {
    "no template": table(entry("general.name", "acme")),
    "one template": table(entry(KEY, HONEST)),
    "version 2": table(entry(KEY, HONEST), version=2),
    "templates by name": table(
        array(f"{KEY}s", STRING, 2, text("default") + text("tools")),
        entry(f"{KEY}.default", HONEST),
        entry(f"{KEY}.tools", HONEST),
    ),
    "a hostile one that is only talked about": table(entry("general.description", KEY + HOSTILE), entry(KEY, HONEST)),
    "numbers and arrays": table(
        text("a") + struct.pack("<Id", 12, 1.5),
        array("b", UINT32, 3, bytes(12)),
        array("c", ARRAY, 1, struct.pack("<IQ", STRING, 1) + text("d")),
        entry(KEY, HONEST),
    ),
}
REFUSED = {
    "a hostile template": table(entry(KEY, HOSTILE)),
    "behind a decoy in another value": table(entry("general.description", DECOY), entry(KEY, HOSTILE)),
    "in the second template": table(entry(KEY, HONEST), entry(f"{KEY}.tools", HOSTILE)),
    "behind an array of texts": table(array("tokens", STRING, 2, text(DECOY) + text("a")), entry(KEY, HOSTILE)),
    "in an array": table(array(KEY, STRING, 2, text(HONEST) + text(HOSTILE))),
    "spelled with escapes": table(entry(KEY, r"{{ ''['\x5f\x5fclass\x5f\x5f'] }}")),
    "put together": table(entry(KEY, "{{ ''['_' * 2 ~ 'class' ~ '_' * 2] }}")),
    "a key twice": table(entry(KEY, HONEST), entry(KEY, HONEST)),
    "fewer entries than there should be": table(entry(KEY, HONEST), count=2),
    "a text longer than the file": table(text(KEY) + struct.pack("<IQ", STRING, 2**63)),
    "more texts than the file has bytes": table(array("a", STRING, 2**62, b"")),
    "a type that there is not": table(text("a") + struct.pack("<I", 13)),
    "arrays in arrays": table(array("a", ARRAY, 1, struct.pack("<IQ", ARRAY, 1) * 100_000)),
    "version 1": table(version=1),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "cut off": table(entry(KEY, HONEST))[:-1],
    "nothing behind its name": b"GGUF",
}


@pytest.mark.parametrize("case", PASSING)
def test_an_honest_table_passes(case: str) -> None:
    report = inspect_bytes(PASSING[case], "model.gguf")
    assert report.passed, report
    assert {finding.kind for finding in report.findings} == (set() if case == "no template" else {"template"})


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_template_or_a_table_with_two_readings_is_refused(case: str) -> None:
    assert not inspect_bytes(REFUSED[case], "model.gguf").passed


WRITERS: list[Callable[[gguf.GGUFWriter, str], None]] = [
    lambda writer, key: writer.add_string(key, f"of {key}"),
    lambda writer, key: writer.add_uint64(key, 2**40),
    lambda writer, key: writer.add_float32(key, 0.5),
    lambda writer, key: writer.add_bool(key, True),
    lambda writer, key: writer.add_array(key, ["é", "", "b"]),
    lambda writer, key: writer.add_array(key, [1, 2, 3]),
    lambda writer, key: writer.add_chat_template([{"name": f"of_{key}", "template": HONEST}]),
]


def written(path: Path, writers: Sequence[Callable[[gguf.GGUFWriter, str], None]]) -> bytes:
    writer = gguf.GGUFWriter(path, "llama")
    for number, write in enumerate(writers):
        if write is not WRITERS[-1] or write not in writers[:number]:  # the library takes templates once
            write(writer, f"key{number}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path.read_bytes()


def by_the_library(path: Path) -> dict[str, list[str]]:
    """Each key with its texts; the library's own keys begin with GGUF and are not in the file's table."""
    found = {}
    for name, field in gguf.GGUFReader(path).fields.items():
        is_text = field.types[-1] == gguf.GGUFValueType.STRING
        found[name] = [bytes(field.parts[at]).decode() for at in field.data] if is_text else []
    return {name: values for name, values in found.items() if not name.startswith("GGUF.")}


@given(st.lists(st.sampled_from(WRITERS), max_size=8))
def test_what_the_formats_library_writes_is_read_as_it_reads_it(
    tmp_path_factory: pytest.TempPathFactory, writers: list[Callable[[gguf.GGUFWriter, str], None]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.gguf"
    assert dict(texts(written(path, writers))) == by_the_library(path)


MADE = [table(entry("a", "b"), array("c", STRING, 1, text("d")), entry(KEY, HONEST)), *PASSING.values()]


@given(st.sampled_from(MADE), st.integers(4, 200), st.binary(max_size=9))
def test_a_changed_table_is_refused_or_read_as_the_library_reads_it(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int, noise: bytes
) -> None:
    changed = data[:at] + noise + data[at + len(noise) :]
    try:
        read = dict(texts(changed))
    except MalformedInput:
        return
    path = tmp_path_factory.getbasetemp() / "changed.gguf"
    path.write_bytes(changed)
    try:
        expected = by_the_library(path)
    except (ValueError, IndexError, KeyError, OverflowError):  # its reader looks at the tensors, too
        return
    assert read == expected
