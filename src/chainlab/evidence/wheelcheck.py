"""Wheels and sdists: what is in the package that is not in the source, and what runs without being asked for.

    >>> print(check(wheel, source=project))                                    # doctest: +SKIP
    5 scanned, 0 not scanned

A wheel is the source plus what its metadata say. Anything else came in on the way: a file that the repository has not,
a ``.pth`` that every start of Python runs, a script, a member that RECORD does not list. An sdist runs its build when
it is installed; `check_sdist` says what that build would do. Nothing is installed or run.
Binary distribution format and PyPA's "Recording installed projects".
"""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import io
import lzma
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from chainlab.errors import MalformedInput
from chainlab.evidence.findings import Finding, Report
from chainlab.evidence.wheels import UNREADABLE

__all__ = ["check", "check_sdist"]

NATIVE = (".so", ".pyd", ".dll", ".dylib", ".a", ".exe")
AT_START = ("sitecustomize.py", "usercustomize.py")  # Python imports them by itself
METADATA = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "INSTALLER")
MAX_MEMBER = 2**28  # bytes unpacked
RISKY_MODULES = frozenset(
    {"base64", "ctypes", "ftplib", "http", "marshal", "requests"}
    | {"smtplib", "socket", "subprocess", "telnetlib", "urllib", "webbrowser"}
)
RISKY_CALLS = frozenset({"exec", "eval", "compile", "__import__"})
_UNREADABLE = (*UNREADABLE, tarfile.TarError, lzma.LZMAError)
REVIEW = "compare with the source at the commit that the provenance names, or build it yourself"


def check(wheel: Path, source: Path | None = None, *, generated: tuple[str, ...] = ()) -> Report:
    """The report on a wheel, against its project's folder where there is one.

    ``generated`` are patterns of files that the build is known to write. Raises `MalformedInput` for what is no wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            files = {name: _read(archive, name) for name in sorted(set(names))}
    except _UNREADABLE as error:
        raise MalformedInput(f"{wheel.name} is no readable wheel", why=str(error)) from error
    info = {name.split("/", 1)[0] for name in files if name.endswith(".dist-info/METADATA")}
    if len(info) != 1:
        raise MalformedInput(f"{wheel.name} has {len(info)} .dist-info folders, and a wheel has one")
    (folder,) = info
    found = [*_twice(names), *_record(files, folder), *_runs_by_itself(files)]
    if source is not None:
        found += _against(files, folder, source, generated)
        found += _entry_points(files, folder, source)
    native = [name for name in files if name.lower().endswith(NATIVE)]
    return Report(
        tuple(name for name in files if name not in native),
        tuple((name, "machine code: nobody here reads it") for name in native),
        tuple(sorted(set(found))),
    )


def check_sdist(sdist: Path) -> Report:
    """What installing an sdist (.tar.gz) would run. Raises `MalformedInput` for what is none."""
    files: dict[str, bytes] = {}
    left: list[tuple[str, str]] = []
    try:
        with tarfile.open(sdist, "r:*") as archive:
            for member in archive:
                name = member.name.partition("/")[2]
                if member.isfile() and member.size <= MAX_MEMBER:
                    if name.endswith(".py") or name in ("pyproject.toml", "setup.cfg"):
                        opened = archive.extractfile(member)
                        files[name] = opened.read() if opened else b""
                elif not member.isdir():
                    left.append((member.name, "no regular file, or too large"))
    except _UNREADABLE as error:
        raise MalformedInput(f"{sdist.name} is no readable sdist", why=str(error)) from error
    found: list[Finding] = []
    if "setup.py" in files:
        said = "pip runs it to build and to ask for metadata, before anything is installed"
        mend = "install wheels alone: --only-binary :all:"
        found.append(Finding("runs-at-install", "info", "setup.py", said, mend))
        hooks, unread = _hooks(files["setup.py"], "setup.py")
        found += hooks
        left += unread
    found += _backend(files.get("pyproject.toml", b""))
    for name in _modules_of_backend(files.get("pyproject.toml", b""), files):
        hooks, unread = _hooks(files[name], name)
        found += hooks
        left += unread
    return Report(tuple(sorted(files)), tuple(left), tuple(sorted(set(found))))


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MAX_MEMBER:
        raise ValueError(f"{name} is too large")
    return archive.read(name)


def _twice(names: list[str]) -> Iterator[Finding]:
    for name in sorted(set(names)):
        if names.count(name) > 1:
            said = "is in the archive twice: two readers see two files"
            yield Finding("twice", "high", name, said, REVIEW)
        if name.startswith("/") or ".." in name.split("/") or "\\" in name:
            yield Finding("path", "high", name, "leaves the folder that it is installed in", REVIEW)


def _record(files: dict[str, bytes], folder: str) -> Iterator[Finding]:
    where = f"{folder}/RECORD"
    try:
        rows = list(csv.reader(io.StringIO(files.get(where, b"").decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error):
        rows = []
    listed = {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}
    if len(listed) != len(rows) or not rows:
        yield Finding("record", "high", where, "cannot be read, or lists a file twice", REVIEW)
    for name in sorted(files.keys() - listed.keys() - {where, f"{where}.jws", f"{where}.p7s"}):
        yield Finding("record", "high", name, "is not in RECORD", REVIEW)
    for name in sorted(listed.keys() - files.keys()):
        yield Finding("record", "high", name, "is in RECORD and not in the wheel", REVIEW)
    for name in sorted(listed.keys() & files.keys() - {where}):
        algorithm, _, value = listed[name][0].partition("=")
        data = files[name]
        if algorithm not in ("sha256", "sha384", "sha512"):
            yield Finding("record", "high", name, f"RECORD has no strong hash ({algorithm or 'none'})")
            continue
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=")
        if digest.decode() != value or listed[name][1] not in ("", str(len(data))):
            yield Finding("record", "high", name, "has another hash or size than RECORD says", REVIEW)


def _runs_by_itself(files: dict[str, bytes]) -> Iterator[Finding]:
    for name, data in files.items():
        top, _, rest = name.partition("/")
        if top.endswith(".data"):  # its folders are unpacked into the environment's own
            place, _, rest = rest.partition("/")
            if place == "scripts":
                said = "becomes a program on the PATH"
                yield Finding("script", "high", name, said, "use an entry point")
                continue
            if place not in ("purelib", "platlib"):
                said = f"is unpacked outside the packages' folder ({place})"
                yield Finding("outside", "medium", name, said, REVIEW)
                continue
            name_at = rest
        else:
            name_at = name
        if "/" in name_at:
            continue
        if name_at.endswith(".pth"):
            lines = data.decode("utf-8", "replace").splitlines()
            runs = any(line.startswith(("import ", "import\t")) for line in lines)
            said = "runs code at every start of Python" if runs else "adds folders to sys.path"
            yield Finding("pth", "high", name, said, "no library needs it: refuse the wheel")
        elif name_at in AT_START:
            said = "Python imports it at every start"
            yield Finding("at-start", "high", name, said, "no library needs it: refuse the wheel")


def _against(files: dict[str, bytes], folder: str, source: Path, generated: tuple[str, ...]) -> Iterator[Finding]:
    for name, data in files.items():
        if name.startswith(f"{folder}/"):
            short = name.removeprefix(f"{folder}/")
            if short in METADATA or short.split("/")[0] == "licenses":
                continue
        at = next((at for at in (source / "src" / name, source / name) if at.is_file()), None)
        if at is None:
            if not any(fnmatchcase(name, pattern) for pattern in generated):
                yield Finding("unexpected-file", "high", name, "is not in the source", REVIEW)
        elif at.read_bytes() != data:
            yield Finding("changed-file", "high", name, "differs from the source", REVIEW)


def _entry_points(files: dict[str, bytes], folder: str, source: Path) -> Iterator[Finding]:
    where = f"{folder}/entry_points.txt"
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(files.get(where, b"").decode("utf-8"))
        shipped = {(s, n, v) for s in parser.sections() for n, v in parser.items(s)}
    except (ConfigError, UnicodeDecodeError) as error:
        yield Finding("entry-point", "high", where, f"cannot be read: {error}", REVIEW)
        return
    declared: set[tuple[str, str, str]] = set()
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text("utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        project = {}
    groups = {
        "console_scripts": project.get("scripts", {}),
        "gui_scripts": project.get("gui-scripts", {}),
        **project.get("entry-points", {}),
    }
    for group, entries in groups.items():
        declared |= {(group, name, value) for name, value in entries.items()}
    for group, name, value in sorted(shipped - declared):
        said = f"{group}: {name} = {value} is not declared in pyproject.toml"
        yield Finding("entry-point", "high", where, said, REVIEW)


def _hooks(data: bytes, name: str) -> tuple[list[Finding], list[tuple[str, str]]]:
    """What a build script does beyond describing a package."""
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError) as error:
        return [], [(name, f"cannot be parsed: {error}")]
    found = []
    for node in ast.walk(tree):
        said = ""
        if isinstance(node, ast.keyword) and node.arg == "cmdclass":
            said = "replaces a command of the build (cmdclass)"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            risky = sorted({m.split(".")[0] for m in modules} & RISKY_MODULES)
            said = f"imports {', '.join(risky)}" if risky else ""
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)[:60]
            if called in RISKY_CALLS or called.startswith(("os.system", "os.popen", "os.exec")):
                said = f"calls {called}"
        if said:
            at = f"{name}:{node.lineno}" if hasattr(node, "lineno") else name
            mend = "install a wheel instead, or read the script before it runs"
            found.append(Finding("install-hook", "high", at, said, mend))
    return found, []


def _backend(pyproject: bytes) -> Iterator[Finding]:
    system = _build_system(pyproject)
    if system is None:
        yield Finding("build-system", "high", "pyproject.toml", "cannot be read", REVIEW)
        return
    if system.get("backend-path"):
        said = f"its build backend is in the package itself: {system.get('build-backend')}"
        yield Finding("own-backend", "medium", "pyproject.toml", said, "install a wheel instead")
    for requirement in system.get("requires") or []:
        if "@" in str(requirement):
            said = f"the build downloads {requirement}"
            yield Finding("build-requirement", "high", "pyproject.toml", said, REVIEW)


def _modules_of_backend(pyproject: bytes, files: dict[str, bytes]) -> list[str]:
    paths = (_build_system(pyproject) or {}).get("backend-path") or []
    folders = [str(path).strip("./") for path in paths]
    return [
        name
        for name in sorted(files)
        if name.endswith(".py")
        and name != "setup.py"
        and any(name.startswith(f"{f}/") if f else "/" not in name for f in folders)
    ]


def _build_system(pyproject: bytes) -> dict[str, Any] | None:
    try:
        system = tomllib.loads(pyproject.decode("utf-8")).get("build-system", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return None
    return system if isinstance(system, dict) else None
