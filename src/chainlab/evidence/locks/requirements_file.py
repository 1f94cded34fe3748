"""Requirements files as pip reads them: pins, addresses and hashes, and the files that they include.

    >>> read("requirements.lock", b"acme-cells==1.2.0 # a remark\n").pins[0].version
    '1.2.0'

pip's parser is the rule, and a test compares the two: encodings, continued lines, remarks, options. Where uv finds a
requirement that pip drops without a word (behind options, in a remark that goes on), the line is unread. Variables
(``${NAME}``) are never replaced: a document must not hold what the environment does.

pip's requirements file format; PEP 508; the ``# via`` remarks are uv's and pip-compile's.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from optparse import OptionParser, Values
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from chainlab.errors import MalformedInput
from chainlab.evidence.components import ALGORITHMS, without_credentials
from chainlab.evidence.locks.lock_file import (
    MAX_VERSION,
    Lock,
    LockedFile,
    LockedPackage,
    merge_pins,
    parse_hash,
    read_bytes,
)
from chainlab.evidence.packages.versions import parse_version

__all__ = ["read"]

MARKS = (  # UTF-16's is the beginning of UTF-32's
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")  # PEP 263
ENCODINGS = re.compile(r"utf-8|ascii|iso8859-\d+|cp125\d|koi8-[rtu]|gb\w+|big5|shift_jis|euc_\w+")
REMARK = re.compile(r"(?:^|\s)#")
EXTRAS = re.compile(r"\[[^\[\]]*\]$")
VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
SCHEME = re.compile(r"(?:(git|hg|svn|bzr)\+)?([a-z]+):", re.IGNORECASE)
REVISIONS = {  # those that always mean the same
    "git": re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}"), "hg": re.compile(r"[0-9a-f]{40}"),
    "svn": re.compile(r"\d+"), "bzr": re.compile(r"\d+"),
}  # fmt: skip
ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.lz", ".tlz")
MAX_FILES = 100  # included ones, each time that they are
MAX_LINE = 2**13  # characters of a requirement
MAX_WORDS = 5000  # of the options of one line
MAX_PINS = 100  # of one package
# Options that do not say what is installed, with a value and without one; pip has dropped the last two with a value.
VALUED = (
    ("-i", "--index-url", "--pypi-url"), ("--extra-index-url",), ("-f", "--find-links"), ("--no-binary",),
    ("--only-binary",), ("--all-releases",), ("--only-final",), ("--trusted-host",), ("--use-feature",),
    ("-C", "--config-setting", "--config-settings"), ("--global-option",), ("--install-option",),
)  # fmt: skip
FLAGS = ("--no-index", "--prefer-binary", "--require-hashes", "--no-require-hashes", "--pre")
MEANT = (("--hash",), ("-r", "--requirement"), ("-c", "--constraint"), ("-e", "--editable"))


class _Parser(OptionParser):
    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


PARSER = _Parser(add_help_option=False)
for option in (*VALUED, *MEANT):
    PARSER.add_option(*option, action="append")
for flag in FLAGS:
    PARSER.add_option(flag, action="store_true")


@dataclass(frozen=True)
class _Open:
    """A requirement that pins nothing by itself; one with a name may be pinned by another line."""

    text: str
    key: str = ""
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: str = ""


def read(name: str, data: bytes, folder: Path | None = None) -> Lock:
    """Read a requirements file; ``folder`` is where the files lie that it includes, and without it they are unread.

    Raises `MalformedInput` for an encoding, a hash or an included file that cannot be read.
    """
    reading = _Reading()
    reading.file(name, data, folder, (), constraint=False)
    return reading.lock(name)


@dataclass
class _Reading:
    """What was read so far, over all files."""

    pins: list[LockedPackage] = field(default_factory=list)
    message: dict[int, list[str]] = field(default_factory=dict)  # who asks for a pin, by its number
    limits: list[LockedPackage] = field(
        default_factory=list
    )  # pins of constraint files: nothing is installed for them alone
    open: list[_Open] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    included: list[Path] = field(default_factory=list)

    def file(self, name: str, data: bytes, folder: Path | None, within: tuple[Path, ...], *, constraint: bool) -> None:
        """Read one file and, in their place, those that it includes."""
        at: int | None = None  # the pin that remarks are about
        for line, remark in _lines(_text(name, data)):
            if line:
                at = self.line(line, folder, within, constraint=constraint)
                self.unread += [remark] if remark else []
            elif not remark:
                at = None
            elif at is not None:
                words = remark.strip("# \t")
                if words == "via" or words.startswith("via "):
                    self.message[at], words = [], words[3:].strip()
                if words and at in self.message:
                    self.message[at].append(words)

    def line(self, line: str, folder: Path | None, within: tuple[Path, ...], *, constraint: bool) -> int | None:
        """Read one logical line; give the number of its pin. Words behind the options make it unread."""
        try:
            before, options = _options(line)
        except ValueError:
            self.unread.append(line)
            return None
        asked = [before] * bool(before) + (options.editable or [])
        files = (options.requirement or []) + (options.constraint or [])
        hashes = options.hash or []
        found = _requirement(asked[0], hashes) if len(asked) == 1 and not files else None
        if len(asked) == 1 and options.editable and not (isinstance(found, LockedPackage) and found.is_revision):
            found = _Open(line)  # a folder, or a branch
        if isinstance(found, LockedPackage) and not constraint:
            self.pins.append(found)
            return len(self.pins) - 1
        if isinstance(found, LockedPackage):
            self.limits.append(found)
        elif isinstance(found, _Open):
            self.open += [] if constraint else [found]
        elif len(files) == 1 and not asked and not hashes and folder is not None and not SCHEME.match(files[0]):
            self.include(folder / files[0], within, constraint=bool(options.constraint))
        elif asked or files or hashes:
            self.unread.append(line)
        return None

    def include(self, path: Path, within: tuple[Path, ...], *, constraint: bool) -> None:
        """Read an included file. Raises `MalformedInput` for one that includes itself, and for too many."""
        try:
            place = path.resolve()
            there = place.is_file()
        except (OSError, RuntimeError):  # a name that is too long, a link to itself
            there = False
        if not there:
            hint = "add it, or remove its -r or -c"
            raise MalformedInput(f"{path.name[:80]} is included, and is not a file", hint=hint)
        if place in within or len(self.included) == MAX_FILES:
            raise MalformedInput(
                f"{path.name} includes itself, or more than {MAX_FILES} files are included",
                hint="remove the -r or -c that leads back",
            )
        self.included.append(place)
        self.file(path.name, read_bytes(place), place.parent, (*within, place), constraint=constraint)

    def lock(self, name: str) -> Lock:
        """All of it, with what the constraint files say of it.

        Raises `MalformedInput` for more pins of one package than a lock has.
        """
        limits = _by_key(self.limits)
        pins = [_told(pin, self.message.get(at)) for at, pin in enumerate(self.pins)]
        by_key = _by_key(pins)
        still_open = []
        for one in dict.fromkeys(self.open):
            pinned = [pin for pin in by_key.get(one.key, ()) if pin.marker in ("", one.marker)]
            if any(_allows(one.specifier, pin) for pin in pinned):
                continue  # by another line
            known = [limit for limit in limits.get(one.key, ()) if _allows(one.specifier, limit)]
            pins += [replace(limit, marker=_both(one.marker, limit.marker)) for limit in known]
            if all(limit.marker for limit in known):
                still_open.append(one.text)
        for at, pin in enumerate(pins):
            for limit in (one for one in limits.get(pin.key, ()) if one.marker in ("", pin.marker)):
                if limit.place == pin.place:
                    (pins[at],) = merge_pins([pins[at], replace(limit, marker=pin.marker)])
                else:
                    self.unread.append(f"{pin.name} {pin.version}, of which a constraint says {limit.version}")
        if alone := sorted(limits.keys() - {pin.key for pin in pins} - {one.key for one in self.open}):
            self.unread.append(f"only where another package asks for it: {', '.join(alone)}")
        return Lock(
            name,
            tuple(pins),
            tuple(map(without_credentials, self.unread)),
            tuple(map(without_credentials, still_open)),
            tuple(self.included),
        )


def _text(name: str, data: bytes) -> str:
    mark, encoding = next(((m, e) for m, e in MARKS if data.startswith(m)), (b"", ""))
    try:
        if not encoding:
            comments = (line for line in data.split(b"\n", 2)[:2] if line.startswith(b"#"))
            declared = next((match[1] for line in comments if (match := CODING.search(line))), b"utf-8")
            encoding = codecs.lookup(declared.decode("ascii")).name
            if not ENCODINGS.fullmatch(encoding):
                raise LookupError(f"the encoding {encoding} is not read here")
        return data.removeprefix(mark).decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise MalformedInput(f"{name} cannot be read: {error}", hint="write it in UTF-8") from error


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Logical lines without their remarks; with an empty line, the remark that has a line of its own.

    A line that goes on behind a remark comes with that remark: pip drops what follows, and uv reads it.
    """
    parts: list[str] = []
    for line in [*text.splitlines(), ""]:
        alone = line.lstrip().startswith("#")
        if line.endswith("\\") and not alone:
            parts.append(line.strip("\\"))
            continue
        begun = "".join(parts)
        if parts or not alone:
            yield _without_remark(begun + ("" if alone else line), len(begun))
        if alone:
            yield "", line.strip()
        parts = []


def _without_remark(line: str, length: int) -> tuple[str, str]:
    """A line up to its remark, and the remark if it begins before ``length``."""
    match = REMARK.search(line)
    if match is None:
        return line.strip(), ""
    return line[: match.start()].strip(), line[match.start() :].strip() if match.start() < length else ""


def _options(line: str) -> tuple[str, Values]:
    """What stands before the options of a line, and the options. Raises `ValueError` for words behind them."""
    words = line.split(" ")
    at = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    rest = shlex.split(" ".join(words[at:]))
    if len(rest) > MAX_WORDS or "\0" in line:
        raise ValueError("not the words of a command")
    options, behind = PARSER.parse_args(rest, PARSER.get_default_values())
    if behind:
        raise ValueError("words behind the options")
    return " ".join(words[:at]), options


def _requirement(text: str, hashes: Iterable[str]) -> LockedPackage | _Open | None:
    """What one requirement says; None for one that cannot be read.

    Raises `MalformedInput` for a hash that cannot be read.
    """
    if len(text) > MAX_LINE:
        return None
    by_scheme = SCHEME.match(text) is not None
    wanted, _, marker = text.partition("; " if by_scheme else ";")
    wanted, marker = wanted.strip(), marker.strip()
    first, at, _ = wanted.partition("@")
    address = EXTRAS.sub("", wanted).rstrip()
    try:
        if marker:
            Marker(marker)
        if by_scheme or (address.lower().endswith(ARCHIVES) and ("/" in first or not at)):
            return _addressed("", address, marker, hashes)
        if wanted.startswith((".", "/")):
            return _Open(text)  # a folder
        asked = Requirement(wanted)
        if asked.url:
            return _addressed(asked.name, asked.url, marker, hashes)
        if any(len(one.version) > MAX_VERSION for one in asked.specifier):
            return None
        version = _exact(asked.specifier)
    except MalformedInput:
        raise
    except (ValueError, RecursionError):
        return None
    if not version:
        return _Open(text, canonicalize_name(asked.name), asked.specifier, marker)
    pairs = {parse_hash(*_halves(value), asked.name) for value in hashes}
    files = tuple(LockedFile((pair,)) for pair in sorted(pairs))
    return LockedPackage(asked.name, version, marker, files, extras=tuple(sorted(asked.extras)))


def _exact(specifier: SpecifierSet) -> str:
    """The one version that fits; empty where there may be more."""
    exact = [s for s in specifier if s.operator in ("==", "===") and not s.version.endswith(".*")]
    if not exact or (len(specifier) > 1 and not specifier.contains(exact[0].version, prereleases=True)):
        return ""
    return exact[0].version


def _addressed(name: str, address: str, marker: str, hashes: Iterable[str]) -> LockedPackage | _Open | None:
    """What an address names; it is open if it may come to mean other bytes.

    Raises `ValueError` for one that is none.
    """
    scheme = SCHEME.match(address)
    url, _, fragment = address.partition("#") if scheme else (address, "", "")
    fields = dict(parse_qsl(fragment))
    tool, protocol = (scheme[1] or "").lower() if scheme else "", scheme[2].lower() if scheme else "file"
    place = unquote(urlsplit(url).path) if scheme else url
    named, version = _in_filename(place.rpartition("/")[2])
    egg = EXTRAS.sub("", fields.get("egg", name or named))
    canonicalize_name(egg, validate=True)
    name = name or egg
    source = without_credentials(url)
    if tool:
        if not REVISIONS[tool].fullmatch(url.rpartition("@")[2].lower()):
            return _Open(f"{name} @ {without_credentials(address)}")
        source += f"#{fields['subdirectory']}" if "subdirectory" in fields else ""
    known = tool or protocol in ("http", "https", "file")
    if not known or VARIABLE.search(source) or (scheme and re.search(r"\s", url)):
        return None
    kind = "repository" if tool else "file" if url.lower().endswith(ARCHIVES) else "folder"
    pairs = {parse_hash(key, value, name) for key, value in fields.items() if key in ALGORITHMS}
    pairs |= {parse_hash(*_halves(value), name) for value in hashes}
    single = len(dict(pairs)) == len(pairs)  # one file, in the words of several algorithms
    files = [tuple(sorted(pairs))] if single else [(pair,) for pair in sorted(pairs)]
    return LockedPackage(
        name,
        version if canonicalize_name(named) == canonicalize_name(name) else "",
        marker,
        tuple(LockedFile(file) for file in files if file),
        source="" if protocol == "file" else source,
        local=f"a local {kind}" if protocol == "file" else "",
    )


def _in_filename(file: str) -> tuple[str, str]:
    """Name and version, where the name of an archive has both."""
    try:
        name, version = parse_wheel_filename(file)[:2] if file.endswith(".whl") else parse_sdist_filename(file)
    except ValueError:
        return "", ""
    return name, str(version) if len(str(version)) <= MAX_VERSION else ""


def _halves(text: str) -> tuple[str, str]:
    algorithm, _, value = text.partition(":")
    return algorithm, value


def _told(pin: LockedPackage, said: list[str] | None) -> LockedPackage:
    """The pin with what the remarks below it say: packages, and the files of people."""
    if said is None:
        return pin
    people = [words for words in said if words.startswith(("-r ", "-c ")) or "(" in words]
    packages = tuple(canonicalize_name(words.partition("[")[0]) for words in said if words not in people)
    return replace(pin, via=packages, direct=any(not words.startswith("-c ") for words in people))


def _by_key(pins: Iterable[LockedPackage]) -> dict[str, list[LockedPackage]]:
    """Pins by package. Raises `MalformedInput` for too many of one: each is compared with the others."""
    found: dict[str, list[LockedPackage]] = {}
    for pin in merge_pins(pins):
        found.setdefault(pin.key, []).append(pin)
    for key, several in found.items():
        if len(several) > MAX_PINS:
            raise MalformedInput(f"{key} is pinned in more than {MAX_PINS} ways", hint="make the lock again")
    return found


def _allows(specifier: SpecifierSet, limit: LockedPackage) -> bool:
    version = parse_version(limit.version)
    return version is None or specifier.contains(version, prereleases=True)


def _both(one: str, other: str) -> str:
    return f"({one}) and ({other})" if one and other else one or other
