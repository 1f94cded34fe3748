"""The environment of a service: installed from requirements that the deployment writes itself, then compared.

    python = install(requirements, wheel, folder, index="http://127.0.0.1:8000/simple/", wheels=wheels)

A release's lock is never handed to an installer. Each requirement is ``name==version`` with the SHA-256 of files that
this run's jobs were served; there is one index, nothing is resolved, nothing is built, nothing is compiled.

Before any Python of the environment starts, every file in it is compared with the RECORD of the wheel of that digest,
read from the registry's own bytes. Besides those files there may be what `uv venv` made before, unchanged; what an
installer notes about itself; and launchers of the entry points that the wheels declare. Everything else is refused: a
`.pth` file, for one, would be run by each start of Python.
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

__all__ = ["PinnedWheel", "compare", "install", "surroundings", "tree"]

SECONDS = 300  # to install a release, which takes 5 to 20
MAX_RECORD = 2**25  # bytes
INSTALLER = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json")
# PEP 427: where an installer puts what is below NAME.data/
SCHEMES = {"purelib": "", "platlib": "", "scripts": "bin", "data": ".", "headers": "include"}


@dataclass(frozen=True)
class PinnedWheel:
    """What installing one wheel leaves: its files by path below the environment, and its launchers' names."""

    name: str
    version: str
    info: str  # NAME-VERSION.dist-info
    files: Mapping[str, str]  # path to SHA-256, hex; empty for a script, whose first line names the interpreter
    launchers: frozenset[str]

    @classmethod
    def read(cls, filename: str, data: bytes, site: str) -> PinnedWheel:
        """From a wheel's bytes; ``site`` is the path of site-packages. Raises `VerificationFailed` for no wheel."""
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
            raise VerificationFailed(f"{filename} is not a wheel that can be compared", why=str(error)[:300]) from error
        return cls(str(name), str(version), info, files, scripts)


def install(
    requirements: Sequence[Requirement],
    own: tuple[str, bytes],
    folder: Path,
    *,
    index: str,
    wheels: Callable[[str], tuple[str, bytes]],
) -> Path:
    """An environment in ``folder`` with the requirements and the release's ``own`` wheel; its Python, not yet started.

    ``wheels`` gives file name and bytes for a digest (hex). Raises `Unavailable` when it cannot be installed,
    `VerificationFailed` when something else was installed than was asked for.
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
    before = tree(venv)
    # In one call: a second one would start this Python, with what the first one installed.
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile-bytecode"]
    python = venv / "bin" / "python"
    _uv(folder, "pip", "install", "--python", str(python), *options, "--index-url", index, "-r", str(listing))
    (venv / ".lock").unlink(missing_ok=True)  # uv's own, empty
    compare(venv, before, requirements, own, wheels)
    return python


def compare(
    venv: Path,
    before: Mapping[str, str],
    requirements: Sequence[Requirement],
    own: tuple[str, bytes],
    wheels: Callable[[str], tuple[str, bytes]],
) -> None:
    """Compare every file of an environment with the wheels that were asked for; starts none of its programs.

    ``before`` is the `tree` of the environment while it was empty. Raises `VerificationFailed` with the first file that
    is missing, other, or nobody's.
    """
    found = tree(venv)
    site = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    chosen = [PinnedWheel.read(*own, site)]
    for requirement in requirements:
        candidates = [PinnedWheel.read(*wheels(digest), site) for digest in requirement.files]
        named = [w for w in candidates if (w.name, w.version) == (requirement.name, requirement.version)]
        fitting = [wheel for wheel in named if not _missing(wheel, found)]
        if not fitting:
            lacks = ", ".join(_missing(named[0], found)[:3]) if named else "its files are another version's"
            raise VerificationFailed(
                f"{requirement.name} {requirement.version} was not installed as it was served",
                why=f"missing or changed: {lacks}",
                hint="keep the folder, and look who can write to the index or to the installer's cache",
            )
        chosen.append(max(fitting, key=lambda wheel: len(wheel.files)))  # one may hold all that another holds
    if lacks := ", ".join(_missing(chosen[0], found)[:3]):
        raise VerificationFailed("the release's wheel was not installed as it is", why=f"missing or changed: {lacks}")
    known = {path for wheel in chosen for path in wheel.files}
    known |= {f"{site}/{wheel.info}/{name}" for wheel in chosen for name in INSTALLER}
    known |= {f"bin/{name}" for wheel in chosen for name in wheel.launchers}
    for path, fingerprint in found.items():
        is_kept = before.get(path) == fingerprint
        is_asked_for = path not in before and path in known and fingerprint.startswith("file ")
        if not (is_kept or is_asked_for):
            raise VerificationFailed(
                f"the environment has {path}, which no wheel that was asked for brings",
                why="it was added or changed while the release was installed",
                hint="keep the folder, and look who can write to it, to the index or to the installer's cache",
            )
    if gone := sorted(set(before) - set(found)):
        raise VerificationFailed(f"the environment has lost {gone[0]}")


def tree(folder: Path) -> dict[str, str]:
    """Every file and link below a folder: its path to ``file SHA-256`` or ``link TARGET``."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*files, *(n for n in folders if Path(parent, n).is_symlink())):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                said = f"link {path.readlink()}"
            elif stat.S_ISREG(mode):
                said = f"file {Digest.of_file(path).value.hex()}"
            else:
                said = f"special {stat.S_IFMT(mode)}"
            found[path.relative_to(folder).as_posix()] = said
    return found


def surroundings(folder: Path) -> dict[str, str]:
    """The variables of a service and of its installation: no way to the network, nothing of the person's settings."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        **dict.fromkeys(names, CLOSED),
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
    }


def _uv(folder: Path, *words: str) -> None:
    # Copies, not links: what a service changes in its own files is not in the cache for the next one.
    settings = {"UV_CACHE_DIR": str(cache_directory() / "uv"), "UV_NO_CONFIG": "1", "UV_LINK_MODE": "copy"}
    try:
        done = subprocess.run(
            [str(Path(sys.prefix) / "bin" / "uv"), "--quiet", *words],
            env=surroundings(folder) | settings,
            cwd=folder,  # uv obeys a uv.toml where it runs
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        said = (done.stderr.strip()[-500:] or f"uv ended with {done.returncode}") if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)[-500:]
    if said:
        raise Unavailable(
            "the release cannot be installed",
            why=said,
            hint="the index must have what the lock lists: `make setup` keeps the wheels",
        )


def _missing(wheel: PinnedWheel, found: Mapping[str, str]) -> list[str]:
    """The files of a wheel that are not there, or are others."""
    return [p for p, digest in wheel.files.items() if not found.get(p, "").startswith(f"file {digest}")]


def _recorded(archive: zipfile.ZipFile, record: str, site: str) -> Iterator[tuple[str, str]]:
    """Each file that RECORD lists: where it is installed, and its SHA-256."""
    if archive.getinfo(record).file_size > MAX_RECORD:
        raise ValueError("RECORD is too long")
    listed, wrong = metadata.record(archive.read(record).decode())
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
            raise ValueError(f"RECORD lists {path[:80]!r}, which leads elsewhere")
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
