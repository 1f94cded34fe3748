"""One requirement of a requirements file: pinned to a version or an address, or left open.

    >>> parse("acme-cells==1.2.0 ; python_version > '3.10'", hashes=()).version
    '1.2.0'
    >>> parse("acme-cells >= 1.2", hashes=())
    OpenRequirement(text='acme-cells >= 1.2', key='acme-cells', …)

An address is a pin only if it always means the same bytes: an archive, or one revision of a repository.

PEP 508 (dependency specifiers); pip's requirement specifiers (VCS addresses, ``#egg=``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from chainlab.errors import MalformedInput
from chainlab.evidence.components import ALGORITHMS, without_credentials
from chainlab.evidence.locks.lock_file import MAX_VERSION, LockedFile, LockedPackage, parse_hash

__all__ = ["SCHEME", "OpenRequirement", "parse"]

SCHEME = re.compile(r"(?:(git|hg|svn|bzr)\+)?([a-z]+):", re.IGNORECASE)
EXTRAS = re.compile(r"\[[^\[\]]*\]$")
VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
REVISIONS = {  # the references that always mean the same
    "git": re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"), "hg": re.compile(r"[0-9a-f]{40}"),
    "svn": re.compile(r"\d+"), "bzr": re.compile(r"\d+"),
}  # fmt: skip
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.lz", ".tlz")
MAX_LENGTH = 2**13  # characters


@dataclass(frozen=True)
class OpenRequirement:
    """A requirement that pins nothing by itself; if it has a key, another line may pin it."""

    text: str
    key: str = ""  # the name as PyPI compares it
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: str = ""


def parse(text: str, hashes: Iterable[str]) -> LockedPackage | OpenRequirement | None:
    """Read one requirement with its ``hashes`` (``sha256:…``); None for one that cannot be read.

    Raises `MalformedInput` for a hash that cannot be read.
    """
    if len(text) > MAX_LENGTH:
        return None
    by_scheme = SCHEME.match(text) is not None
    specification, _, marker = text.partition("; " if by_scheme else ";")
    specification, marker = specification.strip(), marker.strip()
    first, at, _ = specification.partition("@")
    address = EXTRAS.sub("", specification).rstrip()
    try:
        if marker:
            Marker(marker)
        if by_scheme or (address.lower().endswith(ARCHIVES) and ("/" in first or not at)):
            return _parse_address("", address, marker, hashes)
        if specification.startswith((".", "/")):
            return OpenRequirement(text)  # a folder
        requirement = Requirement(specification)
        if requirement.url:
            return _parse_address(requirement.name, requirement.url, marker, hashes)
        if any(len(one.version) > MAX_VERSION for one in requirement.specifier):
            return None
        version = _exact_version(requirement.specifier)
    except MalformedInput:
        raise
    except (ValueError, RecursionError):
        return None
    if not version:
        return OpenRequirement(text, canonicalize_name(requirement.name), requirement.specifier, marker)
    pairs = {parse_hash(*_split_hash(value), requirement.name) for value in hashes}
    files = tuple(LockedFile((pair,)) for pair in sorted(pairs))
    return LockedPackage(requirement.name, version, marker, files, extras=tuple(sorted(requirement.extras)))


def _exact_version(specifier: SpecifierSet) -> str:
    """The one version that fits; empty where several may."""
    exact = [s for s in specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    if not exact or (len(specifier) > 1 and not specifier.contains(exact[0].version, prereleases=True)):
        return ""
    return exact[0].version


def _parse_address(
    name: str, address: str, marker: str, hashes: Iterable[str]
) -> LockedPackage | OpenRequirement | None:
    """Read a requirement by address; it is open if the address may come to mean other bytes.

    Raises `ValueError` for an address without a valid name.
    """
    scheme = SCHEME.match(address)
    url, _, fragment = address.partition("#") if scheme else (address, "", "")
    fields = dict(parse_qsl(fragment))
    tool, protocol = (scheme[1] or "").lower() if scheme else "", scheme[2].lower() if scheme else "file"
    place = unquote(urlsplit(url).path) if scheme else url
    file_project, version = _in_filename(place.rpartition("/")[2])
    egg = EXTRAS.sub("", fields.get("egg", name or file_project))
    canonicalize_name(egg, validate=True)
    name = name or egg
    source = without_credentials(url)
    if tool:
        if not REVISIONS[tool].fullmatch(url.rpartition("@")[2].lower()):
            return OpenRequirement(f"{name} @ {without_credentials(address)}")
        source += f"#{fields['subdirectory']}" if "subdirectory" in fields else ""
    is_supported = tool or protocol in ("http", "https", "file")
    if not is_supported or VARIABLE.search(source) or (scheme and re.search(r"\s", url)):
        return None
    kind = "repository" if tool else "file" if url.lower().endswith(ARCHIVES) else "folder"
    pairs = {parse_hash(key, value, name) for key, value in fields.items() if key in ALGORITHMS}
    pairs |= {parse_hash(*_split_hash(value), name) for value in hashes}
    is_one_file = len(dict(pairs)) == len(pairs)  # each algorithm names one hash
    files = [tuple(sorted(pairs))] if is_one_file else [(pair,) for pair in sorted(pairs)]
    return LockedPackage(
        name,
        version if canonicalize_name(file_project) == canonicalize_name(name) else "",
        marker,
        tuple(LockedFile(file) for file in files if file),
        source="" if protocol == "file" else source,
        local=f"a local {kind}" if protocol == "file" else "",
    )


def _in_filename(file: str) -> tuple[str, str]:
    """Project and version in the name of an archive; empty where it does not have both."""
    try:
        name, version = parse_wheel_filename(file)[:2] if file.endswith(".whl") else parse_sdist_filename(file)
    except ValueError:
        return "", ""
    return name, str(version) if len(str(version)) <= MAX_VERSION else ""


def _split_hash(text: str) -> tuple[str, str]:
    algorithm, _, value = text.partition(":")
    return algorithm, value
