"""A policy: rules in Rego, and in TOML what they expect.

    FOLDER/NAME.toml     expectations, and which rules have to pass
    FOLDER/*.rego        the rules; all of them are loaded

    >>> policy = Policy.load(Path("data/policies"), "release")                 # doctest: +SKIP
    >>> policy.rules[0]                                                        # doctest: +SKIP
    'intact'

The digest covers every byte of these files, so that a summary can name the policy by which it judged. Times reach the
rules as seconds since 1970, because Rego's engines read dates differently.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.verifying import Signer
from chainlab.shapes import Many, Shape, Text

__all__ = ["Behaviour", "Policy", "PolicyExpectations", "Statements"]

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Statements(Shape):
    """Who may sign statements of a type, and the policy's name for them when they are about such files."""

    name: Text
    type: Text
    signers: Many[Text] = ()
    about: Many[Text] = ()  # ends of the files' names


class _PolicySigner(Shape):
    identity: Text
    issuer: Text
    refs: Many[Text] = ()


class _Release(Shape):
    lock: str = ""  # the layer from which prod installs


class _Model(Shape):
    ends: Many[Text] = ()


class _VulnerabilityRules(Shape):
    vex_days: Annotated[float, Field(ge=0, le=36_500)] = 90  # how long a VEX counts


class Behaviour(Shape):
    """What a release may do while it runs, besides reading its own attested files and Python's library.

    Each entry is a target as the audit hook reports it, or a pattern of `fnmatch`.
    """

    listens: Annotated[int, Field(ge=0, le=1000)] = 0  # sockets on loopback
    processes: Many[Text] = ()
    connects: Many[Text] = ()
    reads: Many[Text] = ()
    writes: Many[Text] = ()
    code: Many[Text] = ()
    loads: Many[Text] = ()


class _Reverification(Shape):
    rolls_back: Many[Literal["revoked", "advisory", "bytes", "runtime"]] = ()


class PolicyExpectations(Shape):
    """The part of a policy that Python reads; the rules read all of it."""

    rules: Many[Text] = ()
    level: str = "SLSA_BUILD_LEVEL_0"  # of the expected builder
    statements: Many[Statements] = ()
    signers: dict[str, _PolicySigner] = Field(default_factory=dict)
    release: _Release = _Release()
    model: _Model = _Model()
    vulnerabilities: _VulnerabilityRules = _VulnerabilityRules()
    behaviour: Behaviour = Behaviour()
    reverification: _Reverification = _Reverification()

    @model_validator(mode="after")
    def _knows_its_signers(self) -> PolicyExpectations:
        for name in (name for entry in self.statements for name in entry.signers):
            if name not in self.signers:
                raise MalformedInput(
                    f"no signer is called {name!r}", hint=f"write [signers.{name}] with identity and issuer"
                )
        return self


@dataclass(frozen=True)
class Policy:
    """A policy as its files say it."""

    name: str
    rules: tuple[str, ...]  # each has to pass
    modules: Mapping[str, str]  # file name to Rego
    expected: Mapping[str, Any]  # `data.expected`, as JSON
    digest: Digest

    @classmethod
    def load(cls, folder: Path, name: str) -> Policy:
        """Read a policy. Raises `MalformedInput` when it is missing, cannot be read, or has no rules."""
        if not NAME.fullmatch(name):
            raise MalformedInput(f"not a policy's name: {name[:80]!r}", hint="name the file, without .toml")
        try:
            texts = {path.name: path.read_bytes() for path in sorted(folder.glob("*.rego"))}
            texts[f"{name}.toml"] = (folder / f"{name}.toml").read_bytes()
        except OSError as error:
            existing = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none"
            raise MalformedInput(
                f"the policy {name!r} cannot be read", why=str(error), hint=f"there is: {existing}"
            ) from error
        try:
            expected = tomllib.loads(texts[f"{name}.toml"].decode())
            modules = {n: t.decode() for n, t in texts.items() if n.endswith(".rego")}
        except (ValueError, RecursionError) as error:
            raise MalformedInput(f"the policy {name!r} cannot be read", why=str(error)[:300]) from error
        expected.setdefault("exceptions", [])
        listing = "".join(f"{n}\0{Digest.of(text)}\n" for n, text in sorted(texts.items()))
        policy = cls(name, (), modules, _plain(expected), Digest.of(listing.encode()))
        if not policy.read.rules:
            raise MalformedInput(f"the policy {name!r} has no rules", hint="a policy that asks for nothing allows all")
        return replace(policy, rules=tuple(dict.fromkeys(policy.read.rules)))

    @cached_property
    def read(self) -> PolicyExpectations:
        """The expectations that Python reads. Raises `MalformedInput` with the path of a malformed value."""
        return PolicyExpectations.read(self.expected, f"the policy {self.name!r}")

    def statements(self, predicate_type: str) -> list[Statements]:
        """The policy's entries for statements of a type."""
        return [entry for entry in self.read.statements if entry.type == predicate_type]

    def signers(self, predicate_type: str) -> list[Signer]:
        """The signers accepted for statements of a type; empty for a type that the policy does not name."""
        names = dict.fromkeys(name for entry in self.statements(predicate_type) for name in entry.signers)
        return [Signer(each.identity, each.issuer, each.refs) for each in map(self.read.signers.__getitem__, names)]


def _plain(value: Any) -> Any:
    """The value as JSON: a time is seconds since 1970, a date without a time 00:00 UTC."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, time) or value in (float("inf"), float("-inf")) or value != value:
        raise MalformedInput(f"the policy has {value}, which JSON cannot express")
    return value
