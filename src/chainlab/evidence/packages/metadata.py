"""Core metadata of Python packages: METADATA, PKG-INFO, WHEEL and RECORD, read as they stand.

Headers are read by the standard library's parser of emails, as the specification says and as `packaging` does.

    >>> parse_headers("Name: acme-cells\\nRequires-Dist: numpy\\n\\nProse")["requires-dist"]
    ['numpy']

Core metadata specification 2.4; "Recording installed projects".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cache

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chainlab.evidence.packages.licences import read_licence

__all__ = [
    "PackageMetadata",
    "applies",
    "hidden_code",
    "parse_headers",
    "parse_metadata",
    "parse_record",
    "parse_requirement",
]

VENDOR = re.compile(r"(?:^|/)(_?vendor(?:ed)?(?:_packages)?|_?third_party|externals?|extern)/([^/]+)")
NATIVE = re.compile(r"\.(so(\.[0-9.]+)?|pyd|dylib|dll)$")
INFO = re.compile(r"\.(dist|egg)-info$")
CODE = re.compile(r"\.(?:py|pyw|so(?:\.[0-9.]+)?|pyd|dylib|dll|whl|egg|zip|jar|m?js|wasm)$", re.IGNORECASE)
DOCUMENT = re.compile(  # what is no code, whatever folder it is in
    r"(?:^|/)(?:licen[cs]es?|copying|notices?|authors|readme|changelog|changes|history)(?:[._-][^/]*)?$"
    r"|\.(?:txt|md|rst|html|json|xml|toml|cfg|ini|spdx)$",
    re.IGNORECASE,
)
# Where auditwheel, delvewheel and delocate put native libraries
BUNDLED = re.compile(r"(?:^|/)([\w.-]+\.libs|\.dylibs)/")
# packaging's own errors are ValueErrors, as are those of int for thousands of digits; parentheses can be too deep.
UNREADABLE = (ValueError, RecursionError)
RECORDED_SIZE = re.compile(r"[0-9]+")
SAMPLES = 6  # names that a blind spot gives before it only counts


@dataclass(frozen=True)
class PackageMetadata:
    """What the metadata of one package say."""

    name: str
    version: str
    licence: str | None
    licence_name: str
    supplier: str
    summary: str
    requires: tuple[str, ...]  # Requires-Dist, as written
    extras: tuple[str, ...]  # Provides-Extra, as compared


def parse_headers(text: str) -> dict[str, list[str]]:
    """The headers before the first empty line: lower-case name to values, continuation lines joined."""
    found: dict[str, list[str]] = {}
    for name, value in HeaderParser().parsestr(text).items():
        if "\n" in value or "\r" in value:
            value = "\n".join(line.strip().removeprefix("|") for line in re.split(r"\r\n|\r|\n", value))
        found.setdefault(name.lower(), []).append(value.strip())
    return found


def parse_metadata(text: str) -> PackageMetadata:
    """Read METADATA or PKG-INFO; name and version are empty where they are missing."""
    fields = parse_headers(text)

    def one(name: str) -> str:
        value = fields.get(name, [""])[0]
        return "" if value == "UNKNOWN" else value

    expression, named = read_licence(one("license-expression"), one("license"), fields.get("classifier", []))
    return PackageMetadata(
        name=one("name"),
        version=one("version"),
        licence=expression,
        licence_name=named,
        supplier=_supplier(one("maintainer"), one("author"), one("maintainer-email"), one("author-email")),
        summary=one("summary").partition("\n")[0],
        requires=tuple(fields.get("requires-dist", [])),
        extras=tuple(sorted({canonicalize_name(e) for e in fields.get("provides-extra", [])})),
    )


@cache
def parse_requirement(text: str) -> Requirement | None:
    """A parsed requirement; None for one that cannot be read."""
    try:
        return Requirement(text)
    except UNREADABLE:
        return None


def applies(marker: Marker | None, markers: Mapping[str, str], extras: Iterable[str] = ()) -> bool:
    """Whether a requirement with this marker is asked for, by the package itself or by one of ``extras``."""
    return marker is None or any(_holds(marker, markers, extra) for extra in ("", *extras))


def _holds(marker: Marker, markers: Mapping[str, str], extra: str) -> bool:
    return _evaluate(str(marker), tuple(sorted({**markers, "extra": extra}.items())))


@cache
def _evaluate(marker: str, values: tuple[tuple[str, str], ...]) -> bool:
    try:
        return Marker(marker).evaluate(dict(values))
    except UNREADABLE:
        return True  # it cannot be read, so it is not left out


def parse_record(text: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Read a RECORD: each path with its hash and size as written, and what is wrong with it.

    The rules are those of the `installer` library's parser: CSV with commas and double quotes; three fields a line,
    of which the path is not empty, the hash is ``algorithm=value`` and the size a number where they are there.
    """
    listed: dict[str, tuple[str, str]] = {}
    wrong = []
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            if len(row) != 3:
                wrong.append(f"line {rows.line_num} has {len(row)} fields and not three")
            elif row[0] in listed:
                wrong.append(f"it lists {row[0][:120]!r} twice")
            elif not row[0] or (row[1] and "=" not in row[1]) or (row[2] and not RECORDED_SIZE.fullmatch(row[2])):
                wrong.append(f"line {rows.line_num} has no path, or a hash or a size that is none")
            else:
                listed[row[0]] = (row[1], row[2])
    except csv.Error as error:
        wrong.append(f"line {rows.line_num}: {error}")
    return listed, wrong


def hidden_code(paths: Iterable[str]) -> dict[str, str]:
    """What a package's files say of code that is no component: ``vendored``, ``native`` → in words."""
    vendored: dict[str, set[str]] = {}
    extensions, bundled = 0, set()
    for path in paths:
        if path.partition("/")[0].endswith((".dist-info", ".egg-info")):
            continue  # its own metadata, licence texts (PEP 639) and SBOMs (PEP 770) among them
        if ("vend" in path or "third_party" in path or "extern" in path) and (match := VENDOR.search(path)):
            name = match[2]
            if not name.startswith("__") and (INFO.search(name) or _is_code(path, match)):
                vendored.setdefault(path[: match.end(1)], set()).add(name)
        if NATIVE.search(path):
            if BUNDLED.search(path):
                bundled.add(path.rpartition("/")[2])
            else:
                extensions += 1
    found = {}
    if vendored:
        found["vendored"] = "; ".join(
            f"{folder}/: {_listed(_packages(names))}" for folder, names in sorted(vendored.items())
        )
    native = [f"{extensions} compiled file(s)"] if extensions else []
    native += [f"bundled libraries {_listed(bundled)}"] if bundled else []
    if native:
        found["native"] = ", ".join(native)
    return found


def _is_code(path: str, vendored: re.Match[str]) -> bool:
    """Whether a file below a vendor folder belongs to a package: a module, or in a folder and no text."""
    return bool(CODE.search(path)) or (vendored.end() < len(path) and not DOCUMENT.search(path))


def _packages(names: set[str]) -> set[str]:
    """Names below a vendor folder: with the version where its own metadata stand beside it."""
    dated = {}
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            project, _, version = name.rpartition(".")[0].partition("-")
            dated[canonicalize_name(project)] = f"{project} {version}".strip()
    plain = {n.removesuffix(".py") for n in names if not n.endswith((".dist-info", ".egg-info"))}
    return {*dated.values(), *(n for n in plain if canonicalize_name(n) not in dated)}


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names, key=lambda n: (n.lower(), n))
    more = len(ordered) - SAMPLES
    return ", ".join(ordered[:SAMPLES]) + (f" and {more} more" if more > 0 else "")


def _supplier(*candidates: str) -> str:
    """The first name among them; of a mailbox only its name."""
    for text in candidates:
        name = re.sub(r"\s*<[^>]*>", "", text).strip().strip('"')
        if name and "@" not in name:
            return name.partition("\n")[0][:200]
    return ""
