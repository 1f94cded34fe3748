"""Installed packages: what each installation left in a site-packages folder.

    >>> packages, spots = find(Path(".venv/lib/python3.11/site-packages"))
    >>> [one.package.name for one in packages]                                              # doctest: +SKIP
    ['acme-cells', 'acme-service']

Read are ``NAME-VERSION.dist-info`` and, as distributions of Linux and old tools leave them, ``.egg-info`` (a folder or
a file) and ``.egg`` folders. Whatever cannot be read is named, and the rest goes on.

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
    source: str = "METADATA"  # the file below the folder that says so; empty: the entry itself
    record: str = ""  # hex; empty without a RECORD
    direct: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name by which requirements find it."""
        return canonicalize_name(self.package.name)

    @property
    def ref(self) -> str:
        """The purl, or name@version of what was never published."""
        return self.purl or f"{self.package.name}@{self.package.version}"

    @property
    def purl(self) -> str:
        """Its address; empty for what was installed from a local folder or file."""
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
    """The packages in one folder, and what in it could not be read. Raises `MalformedInput` for no folder."""
    try:
        with os.scandir(site) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise MalformedInput(f"{site.name} cannot be read", why=str(error)) from error
    found: list[Installed] = []
    spots: list[BlindSpot] = []
    for name in names:
        kind = os.path.splitext(name)[1].lower()  # noqa: PTH122 - thousands of names
        if kind not in READERS:
            continue
        if name.startswith("~"):
            spots.append(BlindSpot("leftover", f"{printable(name)}: an installer moved it away, and did not delete it"))
            continue
        try:
            one, wrong = READERS[kind](site, name)
            wrong += [] if one.package.version else [f"no version of at most {MAX_VERSION} characters"]
        except (MalformedInput, OSError, ValueError) as error:
            one, wrong = None, [error.message if isinstance(error, MalformedInput) else str(error)]
        spots += [BlindSpot("unreadable", f"{printable(name)}: {said}") for said in wrong]
        if one is not None:
            found.append(one)
    return found, spots


def _package(path: str) -> metadata.PackageMetadata:
    package = metadata.parse_metadata(_read(path).decode(errors="replace"))
    if not package.name:
        raise MalformedInput(f"no name in its {path.rpartition('/')[2]}")
    if not NAME.fullmatch(package.name):
        raise MalformedInput(f"{package.name[:80]!r} is not a package's name")
    return replace(package, version="") if len(package.version) > MAX_VERSION else package


def _dist_info(site: Path, folder: str) -> tuple[Installed, list[str]]:
    at = f"{site}/{folder}"
    record, wrong = _read(f"{at}/RECORD"), []
    listed, odd = metadata.parse_record(record.decode(errors="replace"))
    wrong += [f"its RECORD: {said}" for said in odd[:1]]
    direct: Any = {}
    if noted := _read(f"{at}/direct_url.json"):
        try:
            direct = parse_json(noted, "direct_url.json")
        except MalformedInput as error:
            wrong.append(error.message)
    if not isinstance(direct, dict):
        direct = {}
        wrong.append("direct_url.json is not an object")
    wheel = _read(f"{at}/WHEEL").decode(errors="replace")
    one = Installed(
        site,
        folder,
        _package(f"{at}/METADATA"),
        [path.replace("\\", "/") for path in listed],  # as installers on Windows may write it
        record=hashlib.sha256(record).hexdigest() if record else "",
        direct=direct,
        tags=tuple(metadata.parse_headers(wheel).get("tag", ())),
    )
    return one, wrong


def _egg_info(site: Path, name: str) -> tuple[Installed, list[str]]:
    return _egg(site, site / name, name, "PKG-INFO" if (site / name).is_dir() else "")


def _egg_folder(site: Path, name: str) -> tuple[Installed, list[str]]:
    if not (site / name).is_dir():
        raise MalformedInput("a zipped egg, which is not read here")
    one, wrong = _egg(site, site / name / "EGG-INFO", name, "EGG-INFO/PKG-INFO")
    return replace(one, paths=_below(site, name)), wrong


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
    """The files of a top-level package or module, which no RECORD lists."""
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
