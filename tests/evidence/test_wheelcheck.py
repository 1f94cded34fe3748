"""Wheels and sdists of every layout: what Python runs at start, and what another reader may see in the archive."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.machinery
import io
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.errors import MalformedInput
from chainlab.evidence.packages import wheel_against_source

INFO = "demo-1.0.dist-info"
NAME = "demo-1.0-py3-none-any.whl"
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
UV = Path(sys.executable).with_name("uv")


class Stream(io.BytesIO):
    """A target that cannot seek: sizes then follow each member."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


def packed(more: dict[str, bytes], method: int = zipfile.ZIP_STORED, streamed: bool = False) -> bytes:
    """A wheel whose RECORD is right."""
    files = {"demo/__init__.py": b"A = 1\n" * 9, **more, f"{INFO}/METADATA": METADATA, f"{INFO}/WHEEL": WHEEL}
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    files[f"{INFO}/RECORD"] = "".join([*lines, f"{INFO}/RECORD,,\n"]).encode()
    target = Stream() if streamed else io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, method)
    return target.getvalue()


def kinds(folder: Path, data: bytes) -> set[str]:
    (folder / NAME).write_bytes(data)
    report = wheel_against_source.check_wheel(folder / NAME)
    assert report.passed == (not report.findings and not report.not_scanned)
    return {finding.kind for finding in report.findings}


# -- what Python runs at start


STARTS = [
    "sitecustomize.py", "usercustomize.py", "sitecustomize/__init__.py", "usercustomize/__init__.pyc",
    "sitecustomize.cpython-311-x86_64-linux-gnu.so", "sitecustomize.abi3.so", "usercustomize.pyd", "sitecustomize.pyc",
    "sitecustomize/__init__.cpython-311-x86_64-linux-gnu.so", "sitecustomize.pyw", "a.start", "a.site.toml",
    "demo-1.0.data/purelib/sitecustomize/__init__.py", "demo-1.0.data/platlib/usercustomize.so",
    "demo-1.0.data/data/lib/python3.11/site-packages/sitecustomize.py", "demo-1.0.data/data/Lib/usercustomize.py",
    "demo-1.0.data/headers/sitecustomize.py",
]  # fmt: skip
PATHS = [
    "a.pth", "demo-1.0.data/purelib/a.pth", "demo-1.0.data/platlib/a.pth", "demo-1.0.data/scripts/../a.pth",
    "demo-1.0.data/data/lib/python3.11/site-packages/a.pth", "demo-1.0.data/data/python311._pth",
]  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
def test_what_python_imports_at_start_is_found_in_every_form(tmp_path: Path, name: str) -> None:
    assert "at-start" in kinds(tmp_path, packed({name: b""}))


@pytest.mark.parametrize("name", PATHS)
def test_a_pth_file_is_found_in_every_folder(tmp_path: Path, name: str) -> None:
    assert kinds(tmp_path, packed({name: b"import os\n"})) & {"pth", "archive"}


@pytest.mark.parametrize(
    ("data", "runs"),
    {
        b"import os\n": True, b"import\tos\r": True, b"\xef\xbb\xbfimport os": True, b"# x\rimport os\r": True,
        b"lib\n": False, b" import os\n": False, b"lib\x0cimport os\n": False, b"\xff\n": False,
    }.items(),
)  # fmt: skip
def test_a_pth_file_says_whether_it_runs_code(tmp_path: Path, data: bytes, runs: bool) -> None:
    (tmp_path / NAME).write_bytes(packed({"a.pth": data}))
    (finding,) = wheel_against_source.check_wheel(tmp_path / NAME).findings
    assert ("runs code" in finding.message) == runs


BENIGN = [
    "sitecustomize_tools.py", "demo/sitecustomize.py", "demo/a.pth", "sitecustomize.pyi", "start.py", "demo/a.start",
]  # fmt: skip


def test_names_that_only_look_alike_are_not_found(tmp_path: Path) -> None:
    assert kinds(tmp_path, packed(dict.fromkeys(BENIGN, b""))) == set()


WORDS = ["sitecustomize", "usercustomize", "Sitecustomize", "demo", "__init__", "__pycache__", ".cpython-311"]
ENDS = [*importlib.machinery.all_suffixes(), ".pyi", ".txt", "", ".pyd"]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), st.sampled_from(ENDS), st.booleans())
def test_whatever_pythons_finder_takes_is_found(parts: list[str], end: str, joint: bool) -> None:
    name = ("." if joint else "/").join(parts) + end
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "site", name)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        specs = [importlib.machinery.PathFinder.find_spec(n, [f"{place}/site"]) for n in wheel_against_source.AT_START]
        if any(spec is not None and spec.loader is not None for spec in specs):
            assert "at-start" in kinds(Path(place), packed({name: b""}))


@pytest.mark.parametrize(
    "name", ["sitecustomize.py", "sitecustomize/__init__.py", "usercustomize/__init__.py", "a.pth"]
)
def test_python_really_runs_it_at_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "site" / name).parent.mkdir(parents=True)
    (tmp_path / "site" / name).write_text("import sys; sys.stderr.write('ran')\n")
    starts = f"import site, sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); site.addsitedir(sys.path[0]); "
    starts += "site.ENABLE_USER_SITE = True; site.execsitecustomize(); site.execusercustomize()"
    done = subprocess.run([sys.executable, "-S", "-c", starts], capture_output=True, text=True, check=False)
    assert "ran" in done.stderr


# -- the archive


def hidden(data: bytes) -> bytes:
    """The wheel with a local member that is in no directory."""
    at = data.index(b"PK\1\2")
    name, inside = b"evil.pth", b"import os\n"
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0x21, zlib.crc32(inside), len(inside), len(inside), 8, 0)
    changed = bytearray(data[:at] + local + name + inside + data[at:])
    struct.pack_into("<L", changed, len(changed) - 6, at + len(local + name + inside))
    return bytes(changed)


def doubled(data: bytes) -> bytes:
    target = io.BytesIO(data)
    with zipfile.ZipFile(target, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("demo/__init__.py", b"A = 2\n")
    return target.getvalue()


ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "a member in no directory": hidden,
    "two members of one name": doubled,
    "bytes before it": lambda data: b"#!/bin/sh\n" + data,
    "bytes after it": lambda data: data + b"PK",
    "a comment": lambda data: data[:-2] + b"\2\0hi",
    "another name in the local header": lambda data: data.replace(b"demo/__init__.py", b"demo/__evil__.py", 1),
    "another CRC": lambda data: data.replace(struct.pack("<L", zlib.crc32(b"A = 1\n" * 9)), b"\0\0\0\0"),
    "a name that leads out": lambda data: data.replace(b"demo/__init__.py", b"../o/__init__.py"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_with_two_readings_is_refused_and_nothing_in_it_counts_as_scanned(tmp_path: Path, case: str) -> None:
    assert kinds(tmp_path, packed({})) == set()
    (tmp_path / NAME).write_bytes(ARCHIVES[case](packed({})))
    report = wheel_against_source.check_wheel(tmp_path / NAME)
    assert ({f.kind for f in report.findings}, report.scanned, report.passed) == ({"archive"}, (), False)


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 2**16), st.sampled_from(["flip", "set", "cut", "copy", "swap"]), st.integers(0, 2**16)),
    max_size=3,
)  # fmt: skip


def mutated(data: bytes, steps: list[tuple[int, str, int]]) -> bytes:
    changed = bytearray(data)
    for where, how, value in steps:
        at = where % len(changed)
        if how == "flip":
            changed[at] ^= 1 << value % 8
        elif how == "set":
            changed[at] = value % 256
        elif how == "cut":
            del changed[at : at + value % 40]
        else:  # a piece again, in its place or between others
            piece = changed[value % len(changed) :][:40]
            changed[at : at + (len(piece) if how == "swap" else 0)] = piece
        changed = changed or bytearray(b"\0")
    return bytes(changed)


@given(MUTATIONS, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), st.booleans())
def test_a_wheel_that_passes_is_what_python_and_uv_install(
    steps: list[tuple[int, str, int]], method: int, streamed: bool
) -> None:
    whole = packed({"demo/b.py": b"B = 2\n" * 9, "demo/\u00fc.txt": b""}, method, streamed)
    with tempfile.TemporaryDirectory() as place:
        wheel = Path(place, NAME)
        wheel.write_bytes(mutated(whole, steps))
        try:
            passed = wheel_against_source.check_wheel(wheel).passed
        except MalformedInput:
            passed = False
        if passed:
            with zipfile.ZipFile(wheel) as archive:
                contents = {info.filename: archive.read(info) for info in archive.infolist()}
            assert installed(wheel, Path(place)) in (contents, None)
        assert passed or steps, "nothing benign is refused"


def installed(wheel: Path, place: Path) -> dict[str, bytes] | None:
    """The files that uv installs, without its own notes; None when it refuses the wheel."""
    words = (
        f"pip install --offline --no-index --no-deps --quiet --target {place}/site --cache-dir {place}/cache".split()
    )
    done = subprocess.run([str(UV), *words, str(wheel)], capture_output=True, check=False)
    if done.returncode:
        return None
    site = place / "site"
    files = {p.relative_to(site).as_posix(): p.read_bytes() for p in site.rglob("*") if p.is_file()}
    own = {".lock", *(f"{INFO}/{name}" for name in ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"))}
    with zipfile.ZipFile(wheel) as archive:
        files[f"{INFO}/RECORD"] = archive.read(f"{INFO}/RECORD")  # an installer writes it anew
    return {name: data for name, data in files.items() if name not in own}


# -- RECORD and size


@pytest.mark.parametrize("record", [b"", b"\xff\n", b'"open\n', b"demo/__init__.py\n", b"a,b,c,d\n" * 3])
def test_a_record_that_cannot_be_read_is_a_finding(tmp_path: Path, record: bytes) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(f"{INFO}/METADATA", METADATA)
        archive.writestr(f"{INFO}/RECORD", record)
    assert kinds(tmp_path, target.getvalue()) == {"record"}


def test_metadata_of_vendored_packages_are_no_second_wheel(tmp_path: Path) -> None:
    assert kinds(tmp_path, packed({"demo/_vendor/idna-3.dist-info/METADATA": b"Name: idna\n"})) == set()
    with pytest.raises(MalformedInput, match=r"2 \.dist-info folders"):
        kinds(tmp_path, packed({"evil-1.dist-info/METADATA": b""}))


def test_libraries_of_any_version_and_bytecode_are_not_scanned(tmp_path: Path) -> None:
    names = ["demo.libs/libfast-1a.so.3.1", "demo/__pycache__/x.cpython-311.pyc", "demo/x.PYD"]
    (tmp_path / NAME).write_bytes(packed(dict.fromkeys(names, b"")))
    assert sorted(name for name, _ in wheel_against_source.check_wheel(tmp_path / NAME).not_scanned) == sorted(names)


# -- sdists


SETUP = b"import subprocess\nfrom setuptools import setup\nsetup()\n"


def sdist(folder: Path, files: dict[str, bytes], form: int = tarfile.PAX_FORMAT, more: bytes = b"") -> Path:
    target = io.BytesIO()
    notes = {"comment": "0" * 40} if form == tarfile.PAX_FORMAT else {}  # as `git archive` writes a commit
    with tarfile.open(fileobj=target, mode="w", format=form, pax_headers=notes) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = 0 if name.endswith("/") else len(data)
            archive.addfile(member, io.BytesIO(data))
    path = folder / "demo-1.0.tar.gz"
    path.write_bytes(gzip.compress(target.getvalue() + more))
    return path


LONG = "demo-1.0/" + "x" * 90 + "/" + "y" * 90 + "/z.py"
LAYOUTS = {
    "plain": ["demo-1.0/setup.py", "demo-1.0/PKG-INFO"],
    "with ./": ["./demo-1.0/setup.py", "./demo-1.0/PKG-INFO"],
    "with folders": ["./", "./demo-1.0/", "./demo-1.0/setup.py"],
    "with .// and /./": [".//demo-1.0/./setup.py", "demo-1.0//PKG-INFO"],
    "a long name": ["demo-1.0/setup.py", LONG],
}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_sdist_is_read_in_any_layout(tmp_path: Path, layout: str, form: int) -> None:
    report = wheel_against_source.check_sdist(sdist(tmp_path, dict.fromkeys(LAYOUTS[layout], SETUP), form))
    assert {f.kind for f in report.findings} == {"runs-at-install", "install-hook"}
    assert "setup.py" in report.scanned


WITHOUT = {
    "no folder": ["setup.py", "PKG-INFO"],
    "two folders": ["demo-1.0/setup.py", "other/x.py"],
    "a file beside the folder": ["demo-1.0/setup.py", "x.py"],
    "./ and no folder": ["./setup.py"],
    "absolute": ["/demo-1.0/setup.py"],
    "leading out": ["../demo-1.0/setup.py"],
}


@pytest.mark.parametrize("layout", WITHOUT)
def test_an_sdist_without_a_single_top_folder_is_named_and_still_read(tmp_path: Path, layout: str) -> None:
    report = wheel_against_source.check_sdist(sdist(tmp_path, dict.fromkeys(WITHOUT[layout], SETUP)))
    assert {"layout", "high"} <= {word for f in report.findings for word in (f.kind, f.severity)}
    assert layout in ("absolute", "leading out") or "install-hook" in {f.kind for f in report.findings}
    assert not report.passed


def test_an_sdist_that_nothing_builds_is_named(tmp_path: Path) -> None:
    report = wheel_against_source.check_sdist(sdist(tmp_path, {"demo-1.0/sub/setup.py": SETUP}))
    assert [f.kind for f in report.findings] == ["layout"]


def test_what_another_reader_may_see_in_an_sdist_is_named(tmp_path: Path) -> None:
    twice = sdist(tmp_path, {"demo-1.0/setup.py": b"", "./demo-1.0/setup.py": SETUP})
    assert "twice" in {f.kind for f in wheel_against_source.check_sdist(twice).findings}
    hidden = sdist(tmp_path, {"demo-1.0/setup.py": b""}, more=b"demo-1.0/evil.py" + bytes(496))
    assert "archive" in {f.kind for f in wheel_against_source.check_sdist(hidden).findings}


@given(MUTATIONS, st.booleans())
def test_no_sdist_ends_in_anything_but_a_report_or_an_error(steps: list[tuple[int, str, int]], inside: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        build = b'[build-system]\nrequires = ["x"]\nbackend-path = ["b"]\n'
        path = sdist(Path(place), {"demo-1.0/setup.py": SETUP, "demo-1.0/pyproject.toml": build})
        data = path.read_bytes()
        path.write_bytes(gzip.compress(mutated(gzip.decompress(data), steps)) if inside else mutated(data, steps))
        with suppress(MalformedInput):
            assert wheel_against_source.check_sdist(path) is not None


@pytest.mark.parametrize("table", ["requires = 5", "backend-path = 5", "requires = {}", "backend-path = 'b'", "x = 1"])
def test_a_build_system_of_another_shape_is_read_or_named(tmp_path: Path, table: str) -> None:
    files = {"demo-1.0/pyproject.toml": f"[build-system]\n{table}\n".encode(), "demo-1.0/b/x.py": SETUP}
    report = wheel_against_source.check_sdist(sdist(tmp_path, files))
    assert report.passed == ("backend-path" not in table)


def test_a_build_script_of_any_depth_is_not_scanned_or_read(tmp_path: Path) -> None:
    for script in (b"(" * 5000, b"a" + b".b" * 20_000 + b"()\n", b"\0", b"x = '\\d'\n", b"f" + b"()" * 20_000):
        report = wheel_against_source.check_sdist(sdist(tmp_path, {"demo-1.0/setup.py": script}))
        assert "setup.py" in [*report.scanned, *(name for name, _ in report.not_scanned)]
