"""Questions to the archive: which component is meant, of which versions.

    >>> asked = question("acme-cells", range=">=1.2,<1.4")
    >>> [asked.holds(version) for version in ("1.10", "1.3rc1", "1.4", "unknown", "")]
    [False, True, False, None, None]

Versions are compared as PEP 440 says: as text, 1.10 comes before 1.9. Where a version cannot be compared the answer is
neither yes nor no.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from packageurl import PackageURL
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from chainlab.errors import MalformedInput

__all__ = ["Question", "question"]

DIGEST: Final = re.compile(
    r"(?:sha-?256:)?([0-9a-f]{64})|(sha-?[0-9]+(?:-[0-9]+)?|md5|blake[0-9a-z-]+):([0-9a-f]{8,128})"
)


@dataclass(frozen=True)
class Question:
    """What is asked for: one of name, purl, digest; with a name or purl, perhaps a version or a range."""

    name: str = ""
    purl: PackageURL | None = None
    digest: tuple[str, str] = ("", "")  # algorithm, hex digits
    version: str = ""
    range: SpecifierSet | None = None

    def holds(self, version: str) -> bool | None:
        """Whether a version is meant; None when that cannot be said."""
        if not self.version and self.range is None:
            return True
        if not version:
            return None
        if self.version and version == self.version:
            return True
        try:
            here = Version(version)
        except InvalidVersion:
            return False if self.version else None
        if self.range is not None:
            return self.range.contains(here, prereleases=True)
        try:
            return here == Version(self.version)
        except InvalidVersion:
            return False

    def holds_purl(self, text: str) -> bool | None:
        """Whether a purl is meant, its version and range included."""
        if self.purl is None:
            return False
        try:
            here = PackageURL.from_string(text)
        except ValueError:
            return False
        if (here.type, here.namespace, here.name) != (
            self.purl.type, self.purl.namespace, self.purl.name,
        ):  # fmt: skip
            return False
        given = dict(here.qualifiers or {})
        if any(given.get(k) != v for k, v in dict(self.purl.qualifiers or {}).items()):
            return False
        if self.purl.subpath and self.purl.subpath != here.subpath:
            return False
        return self.holds(here.version or "")


def question(name: str = "", *, version: str = "", range: str = "", digest: str = "", purl: str = "") -> Question:
    """Read what a person asks. Raises `MalformedInput`."""
    if sum(map(bool, (name, digest, purl))) != 1:
        raise MalformedInput("ask for one thing: a name, a purl or a digest")
    if any("\ud800" <= c <= "\udfff" for c in name + version + range + digest + purl):
        raise MalformedInput("that is no text: it has half a character")
    if version and range:
        raise MalformedInput("a version is a range of its own", mend="give one of the two")
    if (version or range) and digest:
        raise MalformedInput("a digest has no version: it is one file", mend="leave the version out")
    asked = None
    if range:
        try:
            asked = SpecifierSet(range)
        except InvalidSpecifier as error:
            raise MalformedInput(
                f"not a range of versions: {range!r}", mend="write it as PEP 440 does: '>=1.2,<1.4'"
            ) from error
    if digest:
        match = DIGEST.fullmatch(digest.lower())
        if not match:
            raise MalformedInput(f"not a digest: {digest!r}", mend="write 'sha256:' and 64 hex digits")
        algorithm = match[2] or "sha-256"
        algorithm = re.sub(r"^sha(?=\d)", "sha-", algorithm)
        return Question(digest=(algorithm, match[1] or match[3]))
    if purl:
        try:
            package = PackageURL.from_string(purl)
        except ValueError as error:
            raise MalformedInput(
                f"not a package URL: {purl!r}",
                why=str(error),
                mend="for example pkg:pypi/numpy@2.1.0",
            ) from error
        if package.version:
            if version or range:
                raise MalformedInput("this purl has a version already", mend="give one of the two")
            version = package.version
        return Question(purl=package, version=version, range=asked)
    return Question(name=name.strip(), version=version, range=asked)
