"""Markers of locks, read strictly: only what every installer reads alike.

    >>> marker = parse("python_version >= '3.12' and sys_platform != 'win32'")
    >>> marker.holds({"python_version": "3.13", "sys_platform": "linux"})
    True
    >>> str(marker)
    "python_version >= '3.12' and sys_platform != 'win32'"

A comparison has one variable of PEP 508, except `extra`, and a quoted value. A variable that is a version stands first
and takes a valid PEP 440 specifier of release numbers only, because installers differ about epochs and pre-releases.
The others take a plain string. Comparisons are joined by ``and`` and ``or``, with parentheses. Anything else is an
error. `str` gives the form that uv writes: the variable first, single quotes, one space between words. Reading takes
time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.specifiers import InvalidSpecifier, Specifier

from chainlab.errors import MalformedInput
from chainlab.evidence.packages.versions import parse_version

__all__ = ["Comparison", "Group", "Marker", "parse"]

VERSIONS = ("python_version", "python_full_version", "implementation_version")
RELEASES = ("platform_release",)  # a version on some systems only
TEXTS = (
    "os_name",
    "sys_platform",
    "platform_machine",
    "platform_python_implementation",
    "platform_system",
    "platform_version",
    "implementation_name",
)
TURNED = {"in": "contains", "not in": "lacks", "==": "==", "!=": "!="}  # with the value first
MAX_LENGTH = 4000  # characters
MAX_DEPTH = 20  # parentheses
# No two alternatives can begin alike, so that there is no backtracking.
RELEASE = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*(?:\.\*)?")
TOKEN = re.compile(r"[()]|'[A-Za-z0-9 .!*_+-]*'|\"[A-Za-z0-9 .!*_+-]*\"|[a-z_]+|[<>=!~]{1,3}")


@dataclass(frozen=True)
class Comparison:
    """One variable and one value."""

    variable: str
    operator: str  # 'contains' and 'lacks' are `'value' in variable` and `'value' not in variable`
    value: str

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether it is true for these values. Raises `MalformedInput` for a release that is not a version."""
        actual = values[self.variable]
        if self.operator in ("in", "not in"):
            return (actual in self.value) == (self.operator == "in")
        if self.operator in ("contains", "lacks"):
            return (self.value in actual) == (self.operator == "contains")
        if self.variable in TEXTS:
            return (actual == self.value) == (self.operator == "==")
        version = parse_version(actual)
        if version is None:
            raise MalformedInput(f"{self} cannot be evaluated: {self.variable} is {actual!r} here")
        return Specifier(f"{self.operator}{self.value}").contains(version, prereleases=True)

    def __str__(self) -> str:
        if self.operator in ("contains", "lacks"):
            return f"'{self.value}' {'in' if self.operator == 'contains' else 'not in'} {self.variable}"
        return f"{self.variable} {self.operator} '{self.value}'"


@dataclass(frozen=True)
class Group:
    """Several markers: all (``and``) or one (``or``) must hold."""

    joint: str
    parts: tuple[Marker, ...]
    enclosed: bool = False  # in parentheses

    def holds(self, values: Mapping[str, str]) -> bool:
        """Whether it is true for these values; every part is evaluated. Raises as `Comparison.holds`."""
        results = [part.holds(values) for part in self.parts]
        return all(results) if self.joint == "and" else any(results)

    def __str__(self) -> str:
        text = f" {self.joint} ".join(map(str, self.parts))
        return f"({text})" if self.enclosed else text


Marker = Comparison | Group


def parse(text: str) -> Marker:
    """Read a marker. Raises `MalformedInput` if installers may read it in different ways."""
    if len(text) > MAX_LENGTH:
        raise MalformedInput(f"a marker of {len(text)} characters (expected at most {MAX_LENGTH})")
    tokens = list(_tokens(text))
    tokens.reverse()
    marker = _either(tokens, 0)
    if tokens:
        raise MalformedInput(f"not a marker: {text[:200]!r} (nothing expected at {tokens[-1]!r})")
    return marker


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        match = TOKEN.match(text, at)
        if match is None:
            raise MalformedInput(f"not a marker: {text[:200]!r} (unexpected {text[at : at + 20]!r})")
        yield match[0]
        at = match.end()


def _either(tokens: list[str], depth: int) -> Marker:
    parts = [_all(tokens, depth)]
    while tokens and tokens[-1] == "or":
        tokens.pop()
        parts.append(_all(tokens, depth))
    return parts[0] if len(parts) == 1 else Group("or", tuple(parts))


def _all(tokens: list[str], depth: int) -> Marker:
    parts = [_part(tokens, depth)]
    while tokens and tokens[-1] == "and":
        tokens.pop()
        parts.append(_part(tokens, depth))
    return parts[0] if len(parts) == 1 else Group("and", tuple(parts))


def _part(tokens: list[str], depth: int) -> Marker:
    if tokens and tokens[-1] == "(":
        if depth == MAX_DEPTH:
            raise MalformedInput(f"a marker with more than {MAX_DEPTH} parentheses inside one another")
        tokens.pop()
        inner = _either(tokens, depth + 1)
        _expect(tokens, ")")
        # Parentheses around one comparison, or twice around a group, are kept: `str` gives back what was read.
        if isinstance(inner, Group) and not inner.enclosed:
            return replace(inner, enclosed=True)
        return Group("and", (inner,), enclosed=True)
    left = _next(tokens)
    operator = _next(tokens)
    if operator == "not":
        _expect(tokens, "in")
        operator = "not in"
    return _comparison(left, operator, _next(tokens))


def _comparison(left: str, operator: str, right: str) -> Comparison:
    whole = f"{left} {operator} {right}"
    quoted = [word[0] in "'\"" for word in (left, right)]
    if quoted == [True, False]:
        left, right = right, left
        operator = TURNED.get(operator, "") if left in TEXTS else ""
    if quoted.count(True) != 1 or left not in (*VERSIONS, *RELEASES, *TEXTS):
        raise MalformedInput(f"not a comparison of one variable and one value: {whole!r}")
    value = right[1:-1]
    texts = ("in", "not in", "contains", "lacks")
    if left in TEXTS and operator in ("==", "!=", *texts) and set(value).isdisjoint("!*"):
        return Comparison(left, operator, value)
    if left not in TEXTS and operator not in ("", "===", *texts):
        try:
            Specifier(f"{operator}{value}")
        except InvalidSpecifier as error:
            raise MalformedInput(f"not a comparison of versions: {whole!r} (PEP 440)") from error
        if RELEASE.fullmatch(value):
            return Comparison(left, operator, value)
    raise MalformedInput(f"not a comparison that all installers read alike: {whole!r}")


def _next(tokens: list[str]) -> str:
    if not tokens:
        raise MalformedInput("the marker ends early")
    return tokens.pop()


def _expect(tokens: list[str], token: str) -> None:
    if (actual := _next(tokens)) != token:
        raise MalformedInput(f"expected {token!r} in a marker, got {actual!r}")
