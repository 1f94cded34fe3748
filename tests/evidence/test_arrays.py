"""Arrays of NumPy: objects in any spelling, alone and in a zip, and zips that would take long to unpack."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.evidence.models import inspection
from chainlab.evidence.models.formats import identify
from chainlab.evidence.models.inspection import inspect, inspect_bytes

PAYLOAD = b"cos\nsystem\n(S'touch MARKER'\ntR."  # written, and never loaded


def npy(descr: str, data: bytes = PAYLOAD, *, version: int = 1, shape: str = "(1,)") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + data


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


SPELLINGS = [
    *("'O'", "'|O'", "'=O'", "'<O'", "'O8'", "'object'", "'\\x7cO'", "'\\x4f'", "u'O'", "('O', (1,))"),
    *("[('a', 'O')]", "[('a', '<f8'), ('b', [('c', 'O')])]", "[('a', 'O', (1,))]", "[(('title', 'a'), '|O')]"),
]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("descr", SPELLINGS)
def test_objects_are_a_pickle_however_the_header_spells_them(descr: str, version: int) -> None:
    data = npy(descr, version=version)
    for form in (data, zipped({"a.npy": data}), zipped({"x.npy": npy("'|u1'", b"1"), "a.npy": data})):
        report = inspect_bytes(form, "array.npy")
        assert [finding.kind for finding in report.findings] == ["unsafe-pickle"]


SIMPLE = st.sampled_from(["<f8", ">i2", "|b1", "<U3", "|S2", "|V5", "<c16", "<M8[ns]", "|u1", "O"])
DTYPES = st.recursive(
    SIMPLE.map(np.dtype),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: np.dtype([(f"f{n}", p) for n, p in enumerate(parts)]))
        | st.tuples(inner, st.sampled_from([(2,), (1, 2)])).map(np.dtype)
    ),
    max_leaves=4,
)


@given(DTYPES, st.lists(st.integers(0, 3), max_size=3), st.sampled_from(["C", "F"]))
def test_an_array_passes_unless_it_holds_objects(dtype: np.dtype, shape: list[int], order: str) -> None:
    alone, together, compressed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    array = np.zeros(shape, dtype, order="F" if order == "F" else "C")
    np.save(alone, array)
    np.savez(together, array, other=np.arange(3))
    np.savez_compressed(compressed, array)
    for form in (alone, together, compressed):
        assert inspect_bytes(form.getvalue(), "array.npz").passed == (not array.dtype.hasobject)


@given(DTYPES, st.integers(6, 130), st.sampled_from([b"", b"O", b"|O", b"'O'", b"[", b"("]) | st.binary(max_size=4))
def test_a_changed_array_that_passes_is_loaded_without_a_pickle(dtype: np.dtype, at: int, noise: bytes) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(2, dtype))
    data = buffer.getvalue()
    for changed in (data[:at] + noise + data[at:], data[:at] + noise + data[at + len(noise) :]):
        for form in (changed, zipped({"a.npy": changed})):
            if inspect_bytes(form, "array.npy").passed:
                loaded = np.load(io.BytesIO(form), allow_pickle=False)
                array = loaded if isinstance(loaded, np.ndarray) else loaded["a"]
                assert not array.dtype.hasobject


@pytest.mark.parametrize(
    "data",
    [
        npy("'<f8'", bytes(7)),
        npy("'<f8'", bytes(9)),
        npy("'|u1'", b"1") + npy("'O'"),
        npy("'|u1'", b"1", version=9),
        npy("'nothing'"),
        npy("'<f8'", bytes(8), shape="(-1,)"),
        npy("'|u1'" + " " * 20_000, b"1", version=2),
        b"\x93NUMPY\x01\x00\xff\xff",
    ],
    ids=["short", "long", "two", "version", "descr", "shape", "header", "cut off"],
)
def test_an_array_that_is_not_as_its_header_says_does_not_pass(data: bytes) -> None:
    assert not inspect_bytes(data, "array.npy").passed
    assert not inspect_bytes(zipped({"array.npy": data}), "arrays.npz").passed


# -- zips


def twice(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, PAYLOAD)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(name, npy("'|u1'", b"1"))
        archive.writestr("b.npy", npy("'|u1'", b"1"))
    return buffer.getvalue()


def overlapping(count: int, size: int) -> bytes:
    """Each entry of the directory names the one member."""
    one = zipped({"0.npy": npy("'|u1'", bytes(size), shape=f"({size},)")}, zipfile.ZIP_DEFLATED)
    at = one.index(b"PK\1\2")
    directory = one[at:-22] * count
    return one[:at] + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), at, 0)


@pytest.mark.parametrize("name", ["archive/data.pkl", "a.npy", "config.json"])
def test_a_name_that_is_there_twice_is_a_finding(name: str) -> None:
    report = inspect_bytes(twice(name), "model.pt")
    assert not report.passed
    assert [finding.kind for finding in report.findings] == ["refused-zip"]
    assert "two members" in report.findings[0].message


@pytest.mark.parametrize(
    "data",
    [
        overlapping(60_000, 2**25),
        zipped({f"{n}.npy": npy("'|u1'", bytes(2**25), shape=f"({2**25},)") for n in range(8)}, zipfile.ZIP_DEFLATED),
        zipped({f"{n}.npy": npy("'|u1'", bytes(2**17), shape=f"({2**17},)") for n in range(100)}, zipfile.ZIP_DEFLATED),
    ],
    ids=["one member under many names", "huge members", "many members"],
)
def test_a_zip_takes_no_longer_than_it_is_long(data: bytes) -> None:
    start = time.process_time()
    inspect_bytes(data, "model.onnx")
    assert time.process_time() - start < 5


def test_one_scan_unpacks_no_more_than_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped({"a.npy": npy("'|u1'", bytes(1000), shape="(1000,)")}, zipfile.ZIP_DEFLATED)
    for name in ("a.npz", "b.npz", "c.npz"):
        (tmp_path / name).write_bytes(data)
    assert inspect(tmp_path).passed
    monkeypatch.setattr(inspection, "MAX_UNPACKED", 2500)
    report = inspect(tmp_path)
    assert report.scanned == ("a.npz", "b.npz")
    ((name, why),) = report.not_scanned
    assert (name, "which is the limit" in why) == ("c.npz", True)


def test_what_pytorch_writes_is_named_and_not_scanned() -> None:
    data = zipped({"archive/data.pkl": PAYLOAD, "archive/version": b"3"})
    at = data.rindex(b"PK\5\6")
    wide = data[:at] + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1) + data[at:]  # as its writer ends each file
    for form in (data, wide):
        assert identify(form).name == "PyTorch zip"
        assert inspect_bytes(form, "model.pt").not_scanned
