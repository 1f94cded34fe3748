"""Installation: the Python environment of a prediction service, installed and then compared file by file.

    files = install(requirements, wheel, folder, index="http://127.0.0.1:8000/simple/", wheels=wheels)

The installer never sees the release's lock. The deployment writes the requirements itself: ``name==version`` with the
SHA-256 of files that the jobs of the release were served. There is one index; nothing is resolved, built or compiled.

Before any Python of the environment starts, every file in it is compared with the RECORD of its wheel, read from the
registry's own bytes. Three more kinds of file are allowed: what `uv venv` made before, unchanged; what an installer
notes about itself; and launchers of the entry points that the wheels declare. Everything else is refused. A `.pth`
file, for example, would run at each start of Python.
"""

from __future__ import annotations

import base64
import configparser
import io
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from chainlab.digests import SHA256_SIZE, Digest
from chainlab.errors import Unavailable, VerificationFailed
from chainlab.evidence.packages import metadata
from chainlab.policy.requirements import Requirement
from chainlab.workspace import CLOSED, LOOPBACK, cache_directory

__all__ = ["PinnedWheel", "compare", "fingerprints", "install", "variables"]

SECONDS = 300  # to install a release, which takes 5 to 20
MAX_RECORD = 2**25  # bytes
INSTALLER = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")
# PEP 427: where an installer puts what is below NAME.data/
SCHEMES = {"purelib": "", "platlib": "", "scripts": "bin", "data": ".", "headers": "include"}


@dataclass(frozen=True)
class PinnedWheel:
    """What installing one wheel writes: its files, by path below the environment, and its launchers."""

    name: str
    version: str
    info: str  # NAME-VERSION.dist-info
    files: Mapping[str, str]  # path to SHA-256, hex; empty for a script, whose first line names the interpreter
    launchers: frozenset[str]

    @classmethod
    def read(cls, filename: str, data: bytes, site: str) -> PinnedWheel:
        """Read a wheel's bytes; ``site`` is the path of site-packages. Raises `VerificationFailed` for other bytes."""
        try:
            name, version, _, _ = parse_wheel_filename(filename)
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                [record] = [n for n in archive.namelist() if n.endswith(".dist-info/RECORD") and n.count("/") == 1]
                info = record.partition("/")[0]
                files = dict(_recorded(archive, record, site))
                scripts = _launchers(archive, f"{info}/entry_points.txt")
        except (
            ValueError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile, InvalidWheelFilename,
            configparser.Error,
        ) as error:  # fmt: skip
            raise VerificationFailed(f"cannot read {filename} as a wheel", why=str(error)[:300]) from error
        return cls(str(name), str(version), info, files, scripts)


def install(
    requirements: Sequence[Requirement],
    own: tuple[str, bytes],
    folder: Path,
    *,
    index: str,
    wheels: Callable[[str], tuple[str, bytes]],
) -> dict[str, str]:
    """Install the requirements and the release's ``own`` wheel into ``folder``.

    Returns the `fingerprints` of the environment, whose Python has not started yet. ``wheels`` returns file name and
    bytes for a digest (hex). Raises `Unavailable` when the installation fails, `VerificationFailed` when a file differs
    from what was requested.
    """
    venv = folder / "venv"
    wheel = folder / own[0]
    wheel.write_bytes(own[1])
    name = canonicalize_name(parse_wheel_filename(own[0])[0])
    listing = folder / "requirements.txt"
    own_line = f"{name} @ {wheel.as_uri()} --hash=sha256:{Digest.of(own[1]).value.hex()}"
    listing.write_text("\n".join([*map(str, requirements), own_line, ""]), encoding="utf-8")
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    _uv(folder, "venv", "--python", str(base), str(venv))
    before = fingerprints(venv)
    # One call: a second one would start this Python with the files that the first one installed.
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile-bytecode"]
    python = venv / "bin" / "python"
    _uv(folder, "pip", "install", "--python", str(python), *options, "--index-url", index, "-r", str(listing))
    (venv / ".lock").unlink(missing_ok=True)  # uv's own, empty
    return compare(venv, before, requirements, own, wheels)


def compare(
    venv: Path,
    before: Mapping[str, str],
    requirements: Sequence[Requirement],
    own: tuple[str, bytes],
    wheels: Callable[[str], tuple[str, bytes]],
) -> dict[str, str]:
    """Compare every file of an environment with the requested wheels; starts none of its programs.

    ``before`` has the `fingerprints` of the environment while it was empty; returns those of now. Raises
    `VerificationFailed` with the first file that is missing, changed or belongs to no wheel.
    """
    after = fingerprints(venv)
    site = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    chosen = [PinnedWheel.read(*own, site)]
    for requirement in requirements:
        candidates = [PinnedWheel.read(*wheels(digest), site) for digest in requirement.files]
        matches = [w for w in candidates if (w.name, w.version) == (requirement.name, requirement.version)]
        complete = [wheel for wheel in matches if not _missing(wheel, after)]
        if not complete:
            lacks = ", ".join(_missing(matches[0], after)[:3]) if matches else "its files are another version's"
            raise VerificationFailed(
                f"{requirement.name} {requirement.version} was not installed as it was served",
                why=f"missing or changed: {lacks}",
                hint="keep the folder, and find out who can write to the index or to the installer's cache",
            )
        chosen.append(max(complete, key=lambda wheel: len(wheel.files)))  # the files of one may include another's
    if lacks := ", ".join(_missing(chosen[0], after)[:3]):
        raise VerificationFailed(
            "the release's own wheel was changed while it was installed", why=f"missing or changed: {lacks}"
        )
    expected = {path for wheel in chosen for path in wheel.files}
    expected |= {f"{site}/{wheel.info}/{name}" for wheel in chosen for name in INSTALLER}
    expected |= {f"bin/{name}" for wheel in chosen for name in wheel.launchers}
    for path, fingerprint in after.items():
        is_unchanged = before.get(path) == fingerprint
        is_expected = path not in before and path in expected and fingerprint.startswith("file ")
        if not (is_unchanged or is_expected):
            raise VerificationFailed(
                f"the environment has {path}, which is in none of the requested wheels",
                why="it was added or changed while the release was installed",
                hint="keep the folder, and find out who can write to it, to the index or to the installer's cache",
            )
    if gone := sorted(set(before) - set(after)):
        raise VerificationFailed(f"the environment has lost {gone[0]}")
    return after


def fingerprints(folder: Path) -> dict[str, str]:
    """Return every file and link below a folder by its path, as ``file SHA-256`` or ``link TARGET``."""
    by_path = {}
    for parent, folders, files in os.walk(folder):
        for name in (*files, *(n for n in folders if Path(parent, n).is_symlink())):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                fingerprint = f"link {path.readlink()}"
            elif stat.S_ISREG(mode):
                fingerprint = f"file {Digest.of_file(path).value.hex()}"
            else:
                fingerprint = f"special {stat.S_IFMT(mode)}"
            by_path[path.relative_to(folder).as_posix()] = fingerprint
    return by_path


def variables(folder: Path) -> dict[str, str]:
    """Return the environment variables of a service and its installer: no way to the network, no personal settings."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        **dict.fromkeys(names, CLOSED),
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }


def _uv(folder: Path, *arguments: str) -> None:
    # Copies, not links: a service that changes its own files must not change the cache.
    settings = {"UV_CACHE_DIR": str(cache_directory() / "uv"), "UV_NO_CONFIG": "1", "UV_LINK_MODE": "copy"}
    try:
        completed = subprocess.run(
            [str(Path(sys.prefix) / "bin" / "uv"), "--quiet", *arguments],
            env=variables(folder) | settings,
            cwd=folder,  # uv obeys a uv.toml where it runs
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        failure = ""
        if completed.returncode:
            failure = completed.stderr.strip()[-500:] or f"uv ended with exit status {completed.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)[-500:]
    if failure:
        raise Unavailable(
            "the release cannot be installed",
            why=failure,
            hint="the index must have every file that the lock lists; `make setup` provides the wheels",
        )


def _missing(wheel: PinnedWheel, files: Mapping[str, str]) -> list[str]:
    """Return the files of a wheel that are missing or changed."""
    return [p for p, digest in wheel.files.items() if not files.get(p, "").startswith(f"file {digest}")]


def _recorded(archive: zipfile.ZipFile, record: str, site: str) -> Iterator[tuple[str, str]]:
    """Yield each file that RECORD lists: where it is installed, and its SHA-256 (hex)."""
    if archive.getinfo(record).file_size > MAX_RECORD:
        raise ValueError(f"RECORD is larger than {MAX_RECORD} bytes")
    listed, wrong = metadata.parse_record(archive.read(record).decode())
    if wrong:
        raise ValueError(f"its RECORD: {wrong[0]}")
    for path, (hash, _) in listed.items():
        if path.endswith("/") or path == record:
            continue
        algorithm, _, text = hash.partition("=")
        if algorithm == "sha256":
            value = base64.b64decode(f"{text}{'=' * (-len(text) % 4)}", altchars=b"-_", validate=True)
            if len(value) != SHA256_SIZE:
                raise ValueError(f"RECORD has no SHA-256 of {path[:80]!r}")
            digest = value.hex()
        else:
            digest = Digest.of(archive.read(path)).value.hex()
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or "\\" in path:
            raise ValueError(f"RECORD lists {path[:80]!r}, which is outside the environment")
        if parts[0].endswith(".data") and len(parts) > 2:
            scheme = SCHEMES[parts[1]]
            below = "/".join(parts[2:])
            path = below if scheme == "." else f"{scheme or site}/{below}"
            yield path, "" if parts[1] == "scripts" else digest
        else:
            yield f"{site}/{path}", digest


def _launchers(archive: zipfile.ZipFile, path: str) -> frozenset[str]:
    if path not in archive.namelist():
        return frozenset()
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    parser.read_string(archive.read(path).decode())
    sections = ("console_scripts", "gui_scripts")
    return frozenset(name for section in sections if parser.has_section(section) for name in parser.options(section))
