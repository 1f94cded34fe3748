"""Watch lists: the identities that the monitor reports, and how each of them is expected to sign.

    >>> watched = WatchList.read({"watch": [{"identity": "https://git.example/acme/*",
    ...     "expected": [{"build_config_uri": "*/release.yml@refs/tags/*"}]}]}, "acme.toml")
    >>> len(watched.watch)
    1

A pattern is text in which ``*`` stands for any characters. An entry is reported when all patterns of a watch match its
certificate, and it is unexpected unless one of the watch's ``expected`` tables matches, too. Without such a table every
use is unexpected.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from chainlab.errors import MalformedInput
from chainlab.evidence.certificates import claims_of, name_of
from chainlab.monitor.logwatch.entry_signers import load_certificate
from chainlab.shapes import Many, Shape

__all__ = ["ATTRIBUTES", "Signer", "WatchList"]

# Fulcio's extension → its name, in words of sigstore/fulcio's docs/oid-info.md
ATTRIBUTES = {
    8: "issuer",
    9: "build_signer_uri",
    10: "build_signer_digest",
    11: "runner_environment",
    12: "source_repository_uri",
    13: "source_repository_digest",
    14: "source_repository_ref",
    15: "source_repository_identifier",
    16: "source_repository_owner_uri",
    17: "source_repository_owner_identifier",
    18: "build_config_uri",
    19: "build_config_digest",
    20: "build_trigger",
    21: "run_invocation_uri",
    22: "source_repository_visibility_at_signing",
    23: "deployment_environment",
    24: "token_subject",
}
Signer = Mapping[str, str]  # "identity" and the certificate's attributes, by their names

Pattern = Annotated[str, Field(min_length=1, max_length=1000)]


class _SignerPatterns(Shape, extra="forbid"):
    """Patterns that all have to match one certificate."""

    identity: Pattern | None = None
    issuer: Pattern | None = None
    build_signer_uri: Pattern | None = None
    build_signer_digest: Pattern | None = None
    runner_environment: Pattern | None = None
    source_repository_uri: Pattern | None = None
    source_repository_digest: Pattern | None = None
    source_repository_ref: Pattern | None = None
    source_repository_identifier: Pattern | None = None
    source_repository_owner_uri: Pattern | None = None
    source_repository_owner_identifier: Pattern | None = None
    build_config_uri: Pattern | None = None
    build_config_digest: Pattern | None = None
    build_trigger: Pattern | None = None
    run_invocation_uri: Pattern | None = None
    source_repository_visibility_at_signing: Pattern | None = None
    deployment_environment: Pattern | None = None
    token_subject: Pattern | None = None

    @cached_property
    def patterns(self) -> Mapping[str, str]:
        names = ("identity", *ATTRIBUTES.values())
        return {name: pattern for name in names if (pattern := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _names_something(self) -> _SignerPatterns:
        if not self.patterns:
            raise MalformedInput("no pattern", hint=f"give one of: identity, {', '.join(ATTRIBUTES.values())}")
        return self

    def match(self, signer: Signer) -> bool:
        """Whether every pattern matches."""
        return all(name in signer and _matches(pattern, signer[name]) for name, pattern in self.patterns.items())


class _Watch(_SignerPatterns, extra="forbid"):
    """An identity to report, and the uses of it that are expected."""

    expected: Many[_SignerPatterns] = ()


class WatchList(Shape, extra="forbid"):
    """The identities that the monitor reports."""

    watch: Many[_Watch] = ()

    @classmethod
    def load(cls, path: Path) -> WatchList:
        """Read a TOML file of ``[[watch]]`` tables. Raises `MalformedInput` with file, place and problem."""
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise MalformedInput(f"cannot read the watch list {path.name}", why=str(error)) from error
        return cls.read(document, path.name)

    def with_identities(self, patterns: Sequence[str]) -> WatchList:
        """Return this list and a watch for each pattern, whose every use is unexpected."""
        watches = [{"identity": pattern} for pattern in patterns]
        return WatchList(watch=(*self.watch, *WatchList.read({"watch": watches}, "--identity").watch))

    def look_at(self, certificate: bytes) -> tuple[Signer, bool] | None:
        """Return the signer of a certificate that is watched, and whether this use is expected; None for others.

        Raises `MalformedInput` when the certificate may be one of these and cannot be read.
        """
        if not self.watch or not self._may_match(certificate):
            return None
        loaded = load_certificate(certificate)
        claims = claims_of(loaded)
        signer = {name: claims[number] for number, name in ATTRIBUTES.items() if number in claims}
        signer["identity"] = name_of(loaded)
        matching = [watch for watch in self.watch if watch.match(signer)]
        if not matching:
            return None
        return signer, all(any(each.match(signer) for each in watch.expected) for watch in matching)

    def _may_match(self, certificate: bytes) -> bool:
        return self._fragments is None or self._fragments.search(certificate) is not None

    @cached_property
    def _fragments(self) -> re.Pattern[bytes] | None:
        """The longest text of each watch: DER holds names and claims as they are, so others need not be parsed."""
        longest = [
            max((part for pattern in watch.patterns.values() for part in pattern.split("*")), key=len)
            for watch in self.watch
        ]
        if not all(longest):  # a watch of "*" alone
            return None
        return re.compile(b"|".join(re.escape(text.encode()) for text in longest))


def _matches(pattern: str, value: str) -> bool:
    """Match in time linear in the value: the texts between stars, each as far left as it can be."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == value
    *middle, last = rest
    if not value.startswith(first) or not value.endswith(last) or len(value) < len(first) + len(last):
        return False
    at, end = len(first), len(value) - len(last)
    for text in middle:
        at = value.find(text, at, end)
        if at < 0:
            return False
        at += len(text)
    return True
