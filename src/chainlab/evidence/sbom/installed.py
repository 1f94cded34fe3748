"""Installed packages: the metadata that installations leave in a site-packages folder.

    >>> packages, spots = find(Path(".venv/lib/python3.11/site-packages"))
    >>> [one.package.name for one in packages]                                              # doctest: +SKIP
    ['acme-cells', 'acme-service']

They are folders ``NAME-VERSION.dist-info`` and, from Linux distributions and old tools, ``.egg-info`` (a folder or a
file) and ``.egg`` folders. An entry that cannot be read becomes a blind spot.

"Recording installed projects"; PEP 610 (direct_url.json); setuptools, "The internal structure of Python eggs".
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import BlindSpot, printable, purl_of, without_credentials
from chainlab.evidence.packages import metadata
from chainlab.evidence.packages.versions import MAX_VERSION
from chainlab.evidence.statements import parse_json

__all__ = ["Installed", "find"]

MAX_FILE = 2**26  # bytes of one metadata file
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508


@dataclass
class Installed:
    """One installed package."""

    site: Path  # the folder that it is in
    folder: str  # below it: NAME.dist-info
    package: metadata.PackageMetadata
    paths: list[str]  # its files, below site-packages
    source: str = "METADATA"  # the file below the folder with the metadata; empty: the entry itself
    record: str = ""  # SHA-256 of the RECORD, hex; empty without one
    direct: dict[str, Any] = field(default_factory=dict)  # the content of direct_url.json
    tags: tuple[str, ...] = ()  # the platforms that its wheel was for

    @property
    def key(self) -> str:
        """The name that requirements use, as PyPI compares it."""
        return canonicalize_name(self.package.name)

    @property
    def ref(self) -> str:
        """The purl; name@version for a package that was never published."""
        return self.purl or f"{self.package.name}@{self.package.version}"

    @property
    def purl(self) -> str:
        """The package URL; empty for a package from a local folder or file."""
        url = str(self.direct.get("url", ""))
        name, version = self.package.name, self.package.version
        vcs = self.direct.get("vcs_info")
        if url.startswith("file:"):
            return ""
        if isinstance(vcs, dict):
            source = f"{vcs.get('vcs')}+{without_credentials(url)}@{vcs.get('commit_id')}"
            return purl_of(name, version, vcs_url=source)
        return purl_of(name, version, download_url=without_credentials(url))


def find(site: Path) -> tuple[list[Installed], list[BlindSpot]]:
    """Find the packages in one folder; name entries that cannot be read. Raises `MalformedInput` without a folder."""
    try:
        with os.scandir(site) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise MalformedInput(f"{site.name} cannot be read", why=str(error)) from error
    packages: list[Installed] = []
    spots: list[BlindSpot] = []
    for name in names:
        kind = os.path.splitext(name)[1].lower()  # noqa: PTH122 - thousands of names
        if kind not in READERS:
            continue
        if name.startswith("~"):
            spots.append(BlindSpot("leftover", f"{printable(name)}: an installer moved it away, and did not delete it"))
            continue
        try:
            installed, problems = READERS[kind](site, name)
            problems += [] if installed.package.version else [f"no version of at most {MAX_VERSION} characters"]
        except (MalformedInput, OSError, ValueError) as error:
            installed, problems = None, [error.message if isinstance(error, MalformedInput) else str(error)]
        spots += [BlindSpot("unreadable", f"{printable(name)}: {problem}") for problem in problems]
        if installed is not None:
            packages.append(installed)
    return packages, spots


def _package(path: str) -> metadata.PackageMetadata:
    package = metadata.parse_metadata(_read(path).decode(errors="replace"))
    if not package.name:
        raise MalformedInput(f"no name in its {path.rpartition('/')[2]}")
    if not NAME.fullmatch(package.name):
        raise MalformedInput(f"not the name of a package: {package.name[:80]!r}")
    return replace(package, version="") if len(package.version) > MAX_VERSION else package


def _dist_info(site: Path, folder: str) -> tuple[Installed, list[str]]:
    at = f"{site}/{folder}"
    record, problems = _read(f"{at}/RECORD"), []
    listed, record_problems = metadata.parse_record(record.decode(errors="replace"))
    problems += [f"its RECORD: {problem}" for problem in record_problems[:1]]
    direct: Any = {}
    if direct_url := _read(f"{at}/direct_url.json"):
        try:
            direct = parse_json(direct_url, "direct_url.json")
        except MalformedInput as error:
            problems.append(error.message)
    if not isinstance(direct, dict):
        direct = {}
        problems.append("direct_url.json is not an object")
    wheel = _read(f"{at}/WHEEL").decode(errors="replace")
    package = Installed(
        site,
        folder,
        _package(f"{at}/METADATA"),
        [path.replace("\\", "/") for path in listed],  # as installers on Windows may write it
        record=hashlib.sha256(record).hexdigest() if record else "",
        direct=direct,
        tags=tuple(metadata.parse_headers(wheel).get("tag", ())),
    )
    return package, problems


def _egg_info(site: Path, name: str) -> tuple[Installed, list[str]]:
    return _egg(site, site / name, name, "PKG-INFO" if (site / name).is_dir() else "")


def _egg_folder(site: Path, name: str) -> tuple[Installed, list[str]]:
    if not (site / name).is_dir():
        raise MalformedInput("a zipped egg, which is not read here")
    package, problems = _egg(site, site / name / "EGG-INFO", name, "EGG-INFO/PKG-INFO")
    return replace(package, paths=_below(site, name)), problems


def _egg_link(site: Path, name: str) -> tuple[Installed, list[str]]:
    raise MalformedInput("installed for development, from a folder that is not read here")


def _egg(site: Path, info: Path, name: str, source: str) -> tuple[Installed, list[str]]:
    package = _package(f"{site}/{name}/{source}".rstrip("/"))
    package = replace(package, requires=tuple(Distribution.at(info).requires or ()))  # perhaps from requires.txt
    if installed := _read(f"{info}/installed-files.txt").decode(errors="replace").split("\n")[:-1]:
        paths = [posixpath.normpath(f"{info.name}/{line.rstrip()}".replace("\\", "/")) for line in installed]
    else:
        tops = _read(f"{info}/top_level.txt").decode(errors="replace").split()
        paths = [path for top in tops if re.fullmatch(r"\w+", top) for path in _below(site, top)]
    return Installed(site, name, package, paths, source), []


def _below(site: Path, top: str) -> list[str]:
    """The files of a top-level package or module that has no RECORD."""
    files = [p.relative_to(site).as_posix() for p in (site / top).rglob("*") if p.is_file()]
    return [
        printable(f) for f in (*files, *(p.name for p in site.glob(f"{top}.*") if p.suffix in (".py", ".so", ".pyd")))
    ]


def _read(path: str) -> bytes:
    """A file's bytes; empty where there is none. Raises `MalformedInput` for more than `MAX_FILE`."""
    if not os.path.isfile(path):  # noqa: PTH113 - hundreds of Path objects cost milliseconds
        return b""
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise MalformedInput(f"{path.rpartition('/')[2]} is longer than {MAX_FILE} bytes")
    return data


READERS = {".dist-info": _dist_info, ".egg-info": _egg_info, ".egg": _egg_folder, ".egg-link": _egg_link}
