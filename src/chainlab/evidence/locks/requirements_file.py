"""Requirements files as pip reads them: pins, addresses and hashes, and the files that they include.

    >>> read("requirements.lock", b"acme-cells==1.2.0 # a remark\n").pins[0].version
    '1.2.0'

pip's parser is the rule, and a test compares the two: encodings, continued lines, remarks, options. Where uv finds a
requirement that pip silently drops (behind options, in a remark that goes on), the line is unread. Variables
(``${NAME}``) are never replaced: a document must not hold what the environment does. `requirement_line` reads one
requirement.

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

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from chainlab.errors import MalformedInput
from chainlab.evidence.components import without_credentials
from chainlab.evidence.locks import requirement_line
from chainlab.evidence.locks.lock_file import Lock, LockedPackage, merge_pins, read_bytes
from chainlab.evidence.locks.requirement_line import SCHEME, OpenRequirement
from chainlab.evidence.packages.versions import parse_version

__all__ = ["read"]

MARKS = (  # UTF-16's is the beginning of UTF-32's
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")  # PEP 263
ENCODINGS = re.compile(r"utf-8|ascii|iso8859-\d+|cp125\d|koi8-[rtu]|gb\w+|big5|shift_jis|euc_\w+")
REMARK = re.compile(r"(?:^|\s)#")
MAX_FILES = 100  # included files; one that is included twice counts twice
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


def read(name: str, data: bytes, folder: Path | None = None) -> Lock:
    """Read a requirements file. Included files are looked for in ``folder``; without it they are unread.

    Raises `MalformedInput` for an encoding, a hash or an included file that cannot be read.
    """
    reader = _FileReader()
    reader.file(name, data, folder, (), constraint=False)
    return reader.lock(name)


@dataclass
class _FileReader:
    """What was read so far, over all files."""

    pins: list[LockedPackage] = field(default_factory=list)
    remarks: dict[int, list[str]] = field(default_factory=dict)  # `# via` words by the number of their pin
    # Pins of constraint files: they limit versions, and install nothing by themselves.
    limits: list[LockedPackage] = field(default_factory=list)
    open: list[OpenRequirement] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    included: list[Path] = field(default_factory=list)

    def file(self, name: str, data: bytes, folder: Path | None, within: tuple[Path, ...], *, constraint: bool) -> None:
        """Read one file and, in their place, those that it includes."""
        at: int | None = None  # the pin that remarks are about
        for line, remark in _lines(_decode(name, data)):
            if line:
                at = self.line(line, folder, within, constraint=constraint)
                self.unread += [remark] if remark else []
            elif not remark:
                at = None
            elif at is not None:
                words = remark.strip("# \t")
                if words == "via" or words.startswith("via "):
                    self.remarks[at], words = [], words[3:].strip()
                if words and at in self.remarks:
                    self.remarks[at].append(words)

    def line(self, line: str, folder: Path | None, within: tuple[Path, ...], *, constraint: bool) -> int | None:
        """Read one logical line; give the number of its pin. Words behind the options make it unread."""
        try:
            before, options = _options(line)
        except ValueError:
            self.unread.append(line)
            return None
        texts = [before] * bool(before) + (options.editable or [])
        files = (options.requirement or []) + (options.constraint or [])
        hashes = options.hash or []
        parsed = requirement_line.parse(texts[0], hashes) if len(texts) == 1 and not files else None
        is_revision = isinstance(parsed, LockedPackage) and parsed.is_revision
        if len(texts) == 1 and options.editable and not is_revision:
            parsed = OpenRequirement(line)  # a folder, or a branch
        if isinstance(parsed, LockedPackage) and not constraint:
            self.pins.append(parsed)
            return len(self.pins) - 1
        if isinstance(parsed, LockedPackage):
            self.limits.append(parsed)
        elif isinstance(parsed, OpenRequirement):
            self.open += [] if constraint else [parsed]
        elif len(files) == 1 and not texts and not hashes and folder is not None and not SCHEME.match(files[0]):
            self.include(folder / files[0], within, constraint=bool(options.constraint))
        elif texts or files or hashes:
            self.unread.append(line)
        return None

    def include(self, path: Path, within: tuple[Path, ...], *, constraint: bool) -> None:
        """Read an included file. Raises `MalformedInput` for one that includes itself, and for too many."""
        try:
            place = path.resolve()
            is_file = place.is_file()
        except (OSError, RuntimeError):  # a name that is too long, a link to itself
            is_file = False
        if not is_file:
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
        """Return the lock: pins, joined with what the constraint files say of the same packages.

        Raises `MalformedInput` for more than `MAX_PINS` pins of one package.
        """
        limits = _by_key(self.limits)
        pins = [_with_remarks(pin, self.remarks.get(at)) for at, pin in enumerate(self.pins)]
        by_key = _by_key(pins)
        still_open = []
        for requirement in dict.fromkeys(self.open):
            pinned = [pin for pin in by_key.get(requirement.key, ()) if pin.marker in ("", requirement.marker)]
            if any(_allows(requirement.specifier, pin) for pin in pinned):
                continue  # another line pins it
            allowed = [limit for limit in limits.get(requirement.key, ()) if _allows(requirement.specifier, limit)]
            pins += [replace(limit, marker=_join_markers(requirement.marker, limit.marker)) for limit in allowed]
            if all(limit.marker for limit in allowed):
                still_open.append(requirement.text)
        for at, pin in enumerate(pins):
            for limit in (one for one in limits.get(pin.key, ()) if one.marker in ("", pin.marker)):
                if limit.identity == pin.identity:
                    (pins[at],) = merge_pins([pins[at], replace(limit, marker=pin.marker)])
                else:
                    self.unread.append(f"{pin.name} {pin.version}, of which a constraint says {limit.version}")
        if unused := sorted(limits.keys() - {pin.key for pin in pins} - {one.key for one in self.open}):
            self.unread.append(f"only where another package asks for it: {', '.join(unused)}")
        unread, texts = map(without_credentials, self.unread), map(without_credentials, still_open)
        return Lock(name, tuple(pins), tuple(unread), tuple(texts), tuple(self.included))


def _decode(name: str, data: bytes) -> str:
    """The text of a file, by its byte order mark or its PEP 263 comment. Raises `MalformedInput` for others."""
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
    """Yield logical lines without their remarks; with an empty line, the remark that has a line of its own.

    A line that goes on behind a remark comes with that remark: pip drops what follows, and uv reads it.
    """
    parts: list[str] = []
    for line in [*text.splitlines(), ""]:
        is_remark = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_remark:
            parts.append(line.strip("\\"))
            continue
        continued = "".join(parts)
        if parts or not is_remark:
            yield _without_remark(continued + ("" if is_remark else line), len(continued))
        if is_remark:
            yield "", line.strip()
        parts = []


def _without_remark(line: str, length: int) -> tuple[str, str]:
    """A line up to its remark, and the remark if it begins before ``length``."""
    match = REMARK.search(line)
    if match is None:
        return line.strip(), ""
    return line[: match.start()].strip(), line[match.start() :].strip() if match.start() < length else ""


def _options(line: str) -> tuple[str, Values]:
    """Split a line into what stands before the options, and the options. Raises `ValueError` for words behind them."""
    words = line.split(" ")
    at = next((number for number, word in enumerate(words) if word.startswith("-")), len(words))
    rest = shlex.split(" ".join(words[at:]))
    if len(rest) > MAX_WORDS or "\0" in line:
        raise ValueError("not the words of a command")
    options, behind = PARSER.parse_args(rest, PARSER.get_default_values())
    if behind:
        raise ValueError("words behind the options")
    return " ".join(words[:at]), options


def _with_remarks(pin: LockedPackage, remarks: list[str] | None) -> LockedPackage:
    """The pin with who asks for it, from the remarks below it: packages, and the files of people."""
    if remarks is None:
        return pin
    people = [words for words in remarks if words.startswith(("-r ", "-c ")) or "(" in words]
    packages = tuple(canonicalize_name(words.partition("[")[0]) for words in remarks if words not in people)
    return replace(pin, via=packages, direct=any(not words.startswith("-c ") for words in people))


def _by_key(pins: Iterable[LockedPackage]) -> dict[str, list[LockedPackage]]:
    """Pins by package. Raises `MalformedInput` for too many of one: each is compared with the others."""
    groups: dict[str, list[LockedPackage]] = {}
    for pin in merge_pins(pins):
        groups.setdefault(pin.key, []).append(pin)
    for key, group in groups.items():
        if len(group) > MAX_PINS:
            raise MalformedInput(f"{key} is pinned in more than {MAX_PINS} ways", hint="make the lock again")
    return groups


def _allows(specifier: SpecifierSet, limit: LockedPackage) -> bool:
    version = parse_version(limit.version)
    return version is None or specifier.contains(version, prereleases=True)


def _join_markers(one: str, other: str) -> str:
    return f"({one}) and ({other})" if one and other else one or other
