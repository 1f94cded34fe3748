"""Metadata of Python packages: the files METADATA, PKG-INFO, WHEEL and RECORD.

They lie in a wheel's and an installed package's ``NAME-VERSION.dist-info`` folder. `parse_headers` reads the first
three, with the standard library's email parser, as the specification says; `parse_record` reads RECORD, the list of
the package's files. `hidden_code` looks at those file names for code that the metadata do not name.

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
DOCUMENT = re.compile(  # not code, whatever folder it is in
    r"(?:^|/)(?:licen[cs]es?|copying|notices?|authors|readme|changelog|changes|history)(?:[._-][^/]*)?$"
    r"|\.(?:txt|md|rst|html|json|xml|toml|cfg|ini|spdx)$",
    re.IGNORECASE,
)
# Where auditwheel, delvewheel and delocate put native libraries
BUNDLED = re.compile(r"(?:^|/)([\w.-]+\.libs|\.dylibs)/")
# packaging's errors are ValueErrors, as are int's for thousands of digits; parentheses may be nested too deep.
UNREADABLE = (ValueError, RecursionError)
RECORDED_SIZE = re.compile(r"[0-9]+")
SAMPLES = 6  # names that a blind spot lists; it counts the others


@dataclass(frozen=True)
class PackageMetadata:
    """The fields of METADATA or PKG-INFO that are used here; empty text for a missing one."""

    name: str
    version: str
    licence: str | None  # an SPDX expression
    licence_name: str  # where it is not an SPDX expression
    supplier: str  # the maintainer or else the author
    summary: str  # one line
    requires: tuple[str, ...]  # Requires-Dist, as written
    extras: tuple[str, ...]  # Provides-Extra, normalised (PEP 685)


def parse_headers(text: str) -> dict[str, list[str]]:
    """Read the headers before the first empty line: lower-case name to values, continuation lines joined."""
    fields: dict[str, list[str]] = {}
    for name, value in HeaderParser().parsestr(text).items():
        if "\n" in value or "\r" in value:
            value = "\n".join(line.strip().removeprefix("|") for line in re.split(r"\r\n|\r|\n", value))
        fields.setdefault(name.lower(), []).append(value.strip())
    return fields


def parse_metadata(text: str) -> PackageMetadata:
    """Read METADATA or PKG-INFO; name and version are empty where they are missing."""
    fields = parse_headers(text)

    def one(name: str) -> str:
        value = fields.get(name, [""])[0]
        return "" if value == "UNKNOWN" else value

    expression, licence_name = read_licence(one("license-expression"), one("license"), fields.get("classifier", []))
    return PackageMetadata(
        name=one("name"),
        version=one("version"),
        licence=expression,
        licence_name=licence_name,
        supplier=_supplier(one("maintainer"), one("author"), one("maintainer-email"), one("author-email")),
        summary=one("summary").partition("\n")[0],
        requires=tuple(fields.get("requires-dist", [])),
        extras=tuple(sorted({canonicalize_name(e) for e in fields.get("provides-extra", [])})),
    )


@cache
def parse_requirement(text: str) -> Requirement | None:
    """Read a requirement (PEP 508); None for one that cannot be read."""
    try:
        return Requirement(text)
    except UNREADABLE:
        return None


def applies(marker: Marker | None, markers: Mapping[str, str], extras: Iterable[str] = ()) -> bool:
    """Whether a requirement with this marker applies, to the package itself or to one of its ``extras``."""
    return marker is None or any(_holds(marker, markers, extra) for extra in ("", *extras))


def _holds(marker: Marker, markers: Mapping[str, str], extra: str) -> bool:
    return _evaluate(str(marker), tuple(sorted({**markers, "extra": extra}.items())))


@cache
def _evaluate(marker: str, values: tuple[tuple[str, str], ...]) -> bool:
    try:
        return Marker(marker).evaluate(dict(values))
    except UNREADABLE:
        return True  # the marker cannot be read, so the requirement is not left out


def parse_record(text: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Read a RECORD: each path with its hash and size as written (perhaps empty), and the problems of other lines.

    The rules are those of the `installer` library's parser: CSV with commas and double quotes and three fields a line.
    The path is not empty; the hash is ``algorithm=value``, and the size a number, or they are empty.
    """
    listed: dict[str, tuple[str, str]] = {}
    problems = []
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in rows:
            if len(row) != 3:
                problems.append(f"line {rows.line_num} has {len(row)} fields (expected three)")
            elif row[0] in listed:
                problems.append(f"it lists {row[0][:120]!r} twice")
            elif not row[0] or (row[1] and "=" not in row[1]) or (row[2] and not RECORDED_SIZE.fullmatch(row[2])):
                problems.append(f"line {rows.line_num} has no path, or an invalid hash or size")
            else:
                listed[row[0]] = (row[1], row[2])
    except csv.Error as error:
        problems.append(f"line {rows.line_num}: {error}")
    return listed, problems


def hidden_code(paths: Iterable[str]) -> dict[str, str]:
    """Describe the code in a package that is not a component of its own: ``vendored`` and ``native``, in words."""
    vendored: dict[str, set[str]] = {}
    extensions, bundled = 0, set()
    for path in paths:
        if path.partition("/")[0].endswith((".dist-info", ".egg-info")):
            continue  # its own metadata, with licence texts (PEP 639) and SBOMs (PEP 770)
        if ("vend" in path or "third_party" in path or "extern" in path) and (match := VENDOR.search(path)):
            name = match[2]
            if not name.startswith("__") and (INFO.search(name) or _is_code(path, match)):
                vendored.setdefault(path[: match.end(1)], set()).add(name)
        if NATIVE.search(path):
            if BUNDLED.search(path):
                bundled.add(path.rpartition("/")[2])
            else:
                extensions += 1
    result = {}
    if vendored:
        result["vendored"] = "; ".join(
            f"{folder}/: {_listed(_vendored_packages(names))}" for folder, names in sorted(vendored.items())
        )
    native = [f"{extensions} compiled file(s)"] if extensions else []
    native += [f"bundled libraries {_listed(bundled)}"] if bundled else []
    if native:
        result["native"] = ", ".join(native)
    return result


def _is_code(path: str, vendored: re.Match[str]) -> bool:
    """Whether a file below a vendor folder is code: a module, or a file in a folder that is not a document."""
    return bool(CODE.search(path)) or (vendored.end() < len(path) and not DOCUMENT.search(path))


def _vendored_packages(names: set[str]) -> set[str]:
    """Names of vendored packages, with the version where a package's metadata lie beside it."""
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
    """The first name among them, without its email address."""
    for text in candidates:
        name = re.sub(r"\s*<[^>]*>", "", text).strip().strip('"')
        if name and "@" not in name:
            return name.partition("\n")[0][:200]
    return ""
