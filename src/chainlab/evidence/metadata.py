"""Core metadata of Python packages: METADATA, PKG-INFO, WHEEL and RECORD, read as they stand.

A small reader of headers, since an environment has hundreds of these files; a test compares it with `packaging`.

    >>> headers("Name: acme-cells\\nRequires-Dist: numpy\\n\\nProse")["requires-dist"]
    ['numpy']

Core metadata specification 2.4; "Recording installed projects".
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from chainlab.evidence.licences import licence

__all__ = ["Package", "applies", "headers", "inside", "package", "record_paths", "requirement"]

VENDOR = re.compile(r"(?:^|/)(_?vendor(?:ed)?(?:_packages)?|_?third_party|externals?|extern)/([^/]+)")
NATIVE = re.compile(r"\.(so(\.[0-9.]+)?|pyd|dylib|dll)$")
# Where auditwheel, delvewheel and delocate put native libraries
BUNDLED = re.compile(r"(?:^|/)([\w.-]+\.libs|\.dylibs)/")
# packaging's own errors are ValueErrors, as are those of int for thousands of digits; parentheses can be too deep.
UNREADABLE = (ValueError, RecursionError)
SAMPLES = 6  # names that a blind spot gives before it only counts


@dataclass(frozen=True)
class Package:
    """What the metadata of one package say."""

    name: str
    version: str
    licence: str | None
    licence_name: str
    supplier: str
    summary: str
    requires: tuple[str, ...]  # Requires-Dist, as written
    extras: tuple[str, ...]  # Provides-Extra, as compared


def headers(text: str) -> dict[str, list[str]]:
    """The headers before the first empty line: lower-case name to values, continuation lines joined."""
    found: dict[str, list[str]] = {}
    values: list[str] = []
    for line in text.splitlines():
        if not line.strip() and not line.startswith((" ", "\t")):
            break
        if line[0] in " \t":
            if values:
                values[-1] += "\n" + line.strip().removeprefix("|")
            continue
        name, colon, value = line.partition(":")
        if colon:
            values = found.setdefault(name.strip().lower(), [])
            values.append(value.strip())
    return found


def package(text: str) -> Package:
    """Read METADATA or PKG-INFO; name and version are empty where they are missing."""
    fields = headers(text)

    def one(name: str) -> str:
        value = fields.get(name, [""])[0]
        return "" if value == "UNKNOWN" else value

    expression, named = licence(one("license-expression"), one("license"), fields.get("classifier", []))
    return Package(
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
def requirement(text: str) -> Requirement | None:
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


def record_paths(text: str) -> list[str]:
    """The paths that a RECORD lists."""
    if '"' not in text:  # faster, and the ordinary case
        return [line.partition(",")[0] for line in text.splitlines() if line]
    return [row[0] for row in csv.reader(io.StringIO(text)) if row]


def inside(paths: Iterable[str]) -> dict[str, str]:
    """What a package's files say of code that is no component: ``vendored``, ``native`` → in words."""
    vendored: dict[str, set[str]] = {}
    extensions, bundled = 0, set()
    for path in paths:
        if ".dist-info/" in path and "/_vendor" not in path:
            continue
        if ("vend" in path or "third_party" in path or "extern" in path) and (match := VENDOR.search(path)):
            name = match[2]
            if not name.startswith("__") and not name.endswith((".txt", ".md", ".rst", ".pyi", ".pyc")):
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
