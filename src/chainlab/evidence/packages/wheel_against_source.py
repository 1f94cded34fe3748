"""Wheels and sdists compared with their source: what was added on the way, and what runs by itself.

    >>> print(check_wheel(wheel, source=project))                                    # doctest: +SKIP
    5 scanned, 0 not scanned

A wheel should hold the source and its metadata. Anything else was added: a file that is not in the repository, a
``.pth`` that every start of Python runs, a script, a member that RECORD does not list. Installing an sdist runs its
build; `check_sdist` says what that build would do. Nothing is installed or run.

Binary distribution format; PyPA, "Recording installed projects".
"""

from __future__ import annotations

import base64
import hashlib
import lzma
import posixpath
import re
import tarfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from fnmatch import fnmatchcase
from pathlib import Path

from chainlab.errors import MalformedInput, Refused
from chainlab.evidence.findings import Finding, InspectionReport
from chainlab.evidence.packages import build_scripts, metadata
from chainlab.evidence.packages.strict_zip import MAX_MEMBERS, MAX_UNPACKED, members
from chainlab.evidence.packages.wheel_file import UNREADABLE

__all__ = ["check_sdist", "check_wheel"]

UNREAD = re.compile(r"\.(?:so(?:\.[0-9.]+)?|pyd|dll|dylib|a|exe|pyc)$", re.IGNORECASE)
AT_START = ("sitecustomize", "usercustomize")  # the site module imports them: module, package, extension or bytecode
MODULES = (".py", ".pyw", ".pyc", ".so", ".pyd")
PATHS = (".pth", "._pth")  # the second beside python.exe
STARTERS = (".start", ".site.toml")  # PEP 829 and its draft
METADATA = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "INSTALLER")
MAX_MEMBER = 2**28  # bytes unpacked
MAX_PADDING = 2**20  # bytes; tar fills up to 10 kB, a block of a tape
_UNREADABLE = (*UNREADABLE, tarfile.TarError, lzma.LZMAError)
REVIEW = "compare with the source at the commit that the provenance names, or build it yourself"


def check_wheel(wheel: Path, source: Path | None = None, *, generated: tuple[str, ...] = ()) -> InspectionReport:
    """Check a wheel by itself and, with ``source``, against its project's folder.

    ``generated`` are patterns of files that the build is known to write. Raises `MalformedInput` for an invalid wheel.
    """
    if not zipfile.is_zipfile(wheel) or wheel.stat().st_size > MAX_UNPACKED:
        why = f"expected a zip archive of at most {MAX_UNPACKED} bytes"
        raise MalformedInput(f"not a readable wheel: {wheel.name}", why=why)
    data = memoryview(wheel.read_bytes())
    try:
        files = {m.name: m.read(data, limit=MAX_MEMBER) for m in members(data) if not m.is_folder}
    except Refused as error:
        finding = Finding("archive", "high", wheel.name, f"two readers may see two archives: {error.message}", REVIEW)
        return InspectionReport((), ((wheel.name, error.message),), (finding,))
    info_folders = {name.split("/", 1)[0] for name in files if name.split("/", 1)[0].endswith(".dist-info")}
    if len(info_folders) != 1:
        raise MalformedInput(f"{wheel.name} has {len(info_folders)} .dist-info folders, and a wheel has one")
    (folder,) = info_folders
    if f"{folder}/METADATA" not in files:
        raise MalformedInput(f"{wheel.name} has no {folder}/METADATA")
    findings = [*_check_record(files, folder), *_find_self_running(files)]
    if source is not None:
        findings += _compare_with_source(files, folder, source, generated)
        findings += _check_entry_points(files, folder, source)
    native = {name for name in files if UNREAD.search(name)}
    return InspectionReport(
        tuple(name for name in files if name not in native),
        tuple((name, "machine code or bytecode: it is not read here") for name in sorted(native)),
        tuple(sorted(set(findings))),
    )


def check_sdist(sdist: Path) -> InspectionReport:
    """Check what installing an sdist (.tar.gz) would run. Raises `MalformedInput` for an invalid one."""
    files, unscanned, findings = _unpack(sdist)
    if not files.keys() & {"setup.py", "pyproject.toml"}:
        message = "neither setup.py nor pyproject.toml is in its top folder: nothing says how it is built"
        findings.append(Finding("layout", "medium", sdist.name, message, REVIEW))
    if "setup.py" in files:
        message = "pip runs it to build and to ask for metadata, before anything is installed"
        hint = "install wheels alone: --only-binary :all:"
        findings.append(Finding("runs-at-install", "info", "setup.py", message, hint))
        script_findings, more_unscanned = build_scripts.check_script(files["setup.py"], "setup.py")
        findings += script_findings
        unscanned += more_unscanned
    findings += build_scripts.check_backend(files.get("pyproject.toml", b""))
    for name in build_scripts.backend_modules(files.get("pyproject.toml", b""), files):
        script_findings, more_unscanned = build_scripts.check_script(files[name], name)
        findings += script_findings
        unscanned += more_unscanned
    return InspectionReport(tuple(sorted(files)), tuple(unscanned), tuple(sorted(set(findings))))


def _unpack(sdist: Path) -> tuple[dict[str, bytes], list[tuple[str, str]], list[Finding]]:
    """Read the files that a build reads, by path below the top folder; what is not scanned; and layout findings."""
    files: dict[str, bytes] = {}
    unscanned: list[tuple[str, str]] = []
    entries: list[tarfile.TarInfo] = []
    size = 0
    try:
        with tarfile.open(sdist, "r:*") as archive:
            for member in archive:
                member.name = posixpath.normpath(member.name)  # `tar czf X ./demo-1.0` writes ./demo-1.0/setup.py
                entries.append(member)
                size += member.size
                if size > MAX_UNPACKED or len(entries) > MAX_MEMBERS:
                    raise ValueError(f"more than {MAX_UNPACKED} bytes or {MAX_MEMBERS} members")
                if member.isfile() and member.size <= MAX_MEMBER:
                    if member.name.endswith((".py", "pyproject.toml", "setup.cfg")):
                        opened = archive.extractfile(member)
                        files[member.name] = opened.read() if opened else b""
                elif not member.isdir():
                    unscanned.append((member.name, "not a regular file, or too large"))
            is_padded = _is_padding(archive)
    except _UNREADABLE as error:
        raise MalformedInput(f"not a readable sdist: {sdist.name}", why=str(error)) from error
    top = _top_folder(entries)
    findings = list(_check_layout(sdist.name, [m.name for m in entries if not m.isdir()], top, is_padded=is_padded))
    below = {name.partition("/")[2]: data for name, data in files.items()}
    # Without a top folder an installer may build from the archive's root, or from one of its folders.
    return (below if top else below | files), unscanned, findings


def _top_folder(entries: list[tarfile.TarInfo]) -> str:
    """The folder that holds all members; empty where there is none."""
    tops = {m.name.partition("/")[0] for m in entries if m.name != "."}
    is_flat = any("/" not in m.name and not m.isdir() for m in entries)
    return "" if is_flat or len(tops) != 1 else tops.pop().replace("..", "")


def _is_padding(archive: tarfile.TarFile) -> bool:
    """Whether only zeros follow the last member: another reader may read on where this one stops."""
    if archive.fileobj is None:
        return False
    archive.fileobj.seek(archive.offset)
    rest = archive.fileobj.read(MAX_PADDING + 1)
    return len(rest) <= MAX_PADDING and not rest.strip(b"\0")


def _check_layout(where: str, names: list[str], top: str, *, is_padded: bool) -> Iterator[Finding]:
    if not is_padded:
        message = "bytes follow its last member: two readers may see two archives"
        yield Finding("archive", "high", where, message, REVIEW)
    if not top:
        message = "has no single top folder: installers differ in what they build"
        yield Finding("layout", "high", where, message, REVIEW)
    for name, times in sorted(Counter(names).items()):
        if times > 1:
            yield Finding("twice", "high", name, "is in the archive twice: readers may take either", REVIEW)
        if name.startswith(("/", "../")) or name == ".." or "\\" in name:
            yield Finding("path", "high", name, "leads out of the folder that it is unpacked in", REVIEW)


def _check_record(files: dict[str, bytes], folder: str) -> Iterator[Finding]:
    where = f"{folder}/RECORD"
    listed, problems = metadata.parse_record(files.get(where, b"").decode("utf-8", "replace"))
    for problem in problems if listed else ["is missing, or lists nothing"]:
        yield Finding("record", "high", where, problem, REVIEW)
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
            yield Finding("record", "high", name, "has another hash or size than in RECORD", REVIEW)


def _find_self_running(files: dict[str, bytes]) -> Iterator[Finding]:
    for name, data in files.items():
        top, _, rest = name.partition("/")
        places = [name]  # below a folder that is, or may be, on sys.path
        if top.endswith(".data"):  # its folders are unpacked into the environment's own
            place, _, rest = rest.partition("/")
            places = [rest]
            if place == "scripts":
                message = "becomes a program on the PATH"
                yield Finding("script", "high", name, message, "use an entry point")
            elif place not in ("purelib", "platlib"):
                message = f"is unpacked outside the packages' folder ({place})"
                yield Finding("outside", "medium", name, message, REVIEW)
                parts = rest.split("/")  # lib/python3.11/site-packages, Lib/site-packages, lib/python3/dist-packages…
                places = ["/".join(parts[at:]) for at in range(len(parts))]
        for kind, message in sorted({start for at in places if (start := _startup_effect(at, data)) is not None}):
            yield Finding(kind, "high", name, message, "no library needs it: refuse the wheel")


def _startup_effect(path: str, data: bytes) -> tuple[str, str] | None:
    """What every start of Python does with a file in a folder on sys.path: a finding's kind and message."""
    head, _, rest = path.lower().partition("/")
    module, dot, suffix = head.partition(".")
    if module in AT_START and (rest or (dot and f".{suffix}".endswith(MODULES))):
        return "at-start", "Python imports it at every start"
    if not rest and head.endswith(STARTERS):
        return "at-start", "Python reads it at every start, and runs what it names"
    if not rest and head.endswith(PATHS):
        lines = re.split(r"\r\n|\r|\n", data.decode("utf-8-sig", "replace"))
        runs = any(line.startswith(("import ", "import\t")) for line in lines)
        return "pth", "runs code at every start of Python" if runs else "adds folders to sys.path"
    return None


def _compare_with_source(
    files: dict[str, bytes], folder: str, source: Path, generated: tuple[str, ...]
) -> Iterator[Finding]:
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


def _check_entry_points(files: dict[str, bytes], folder: str, source: Path) -> Iterator[Finding]:
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
        declared |= {(group, name, value) for name, value in entries.items()} if isinstance(entries, dict) else set()
    for group, name, value in sorted(shipped - declared):
        message = f"{group}: {name} = {value} is not declared in pyproject.toml"
        yield Finding("entry-point", "high", where, message, REVIEW)
