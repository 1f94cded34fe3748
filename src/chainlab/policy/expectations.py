"""A policy: rules in Rego, and in TOML what they expect.

    FOLDER/NAME.toml     expectations, and which rules have to pass
    FOLDER/*.rego        the rules; all of them are loaded

    >>> policy = Policy.load(Path("data/policies"), "release")                 # doctest: +SKIP
    >>> policy.rules[0]                                                        # doctest: +SKIP
    'intact'

The digest covers every byte that decides, so that a summary can say by which policy it judged. Times reach the rules
as seconds since 1970, because Rego's engines read dates differently.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.verifying import Signer

__all__ = ["Policy"]

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Policy:
    """A policy, read."""

    name: str
    rules: tuple[str, ...]  # each has to pass
    modules: Mapping[str, str]  # file name to Rego
    expected: Mapping[str, Any]  # `data.expected`, as JSON
    digest: Digest

    @classmethod
    def load(cls, folder: Path, name: str) -> Policy:
        """Read a policy. Raises `MalformedInput` for one that is not there, cannot be read, or asks for nothing."""
        if not NAME.fullmatch(name):
            raise MalformedInput(f"no policy's name: {name[:80]!r}", mend="it is a file's, without .toml")
        try:
            texts = {path.name: path.read_bytes() for path in sorted(folder.glob("*.rego"))}
            texts[f"{name}.toml"] = (folder / f"{name}.toml").read_bytes()
        except OSError as error:
            known = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none"
            raise MalformedInput(
                f"the policy {name!r} cannot be read", why=str(error), mend=f"there is: {known}"
            ) from error
        try:
            expected = tomllib.loads(texts[f"{name}.toml"].decode())
            modules = {n: t.decode() for n, t in texts.items() if n.endswith(".rego")}
        except (ValueError, RecursionError) as error:
            raise MalformedInput(f"the policy {name!r} cannot be read", why=str(error)[:300]) from error
        rules = expected.get("rules")
        if not isinstance(rules, list) or not rules or not all(isinstance(r, str) for r in rules):
            raise MalformedInput(
                f"the policy {name!r} has no rules",
                mend="a policy that asks for nothing allows all",
            )
        expected.setdefault("exceptions", [])
        listing = "".join(f"{n}\0{Digest.of(text)}\n" for n, text in sorted(texts.items()))
        return cls(
            name,
            tuple(dict.fromkeys(rules)),
            modules,
            _plain(expected),
            Digest.of(listing.encode()),
        )

    @property
    def level(self) -> str:
        """The SLSA level that the expected builder is good for."""
        level = self.expected.get("level")
        return level if isinstance(level, str) else "SLSA_BUILD_LEVEL_0"

    def statements(self, predicate_type: str) -> list[Mapping[str, Any]]:
        """What the policy says about statements of a type."""
        entries = self.expected.get("statements")
        found = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
        return [e for e in found if e.get("type") == predicate_type]

    def signers(self, predicate_type: str) -> list[Signer]:
        """Who may sign statements of a type; nobody, for a type that the policy does not name."""
        names = [str(n) for entry in self.statements(predicate_type) for n in entry.get("signers", ())]
        return [self.signer(name) for name in dict.fromkeys(names)]

    def signer(self, name: str) -> Signer:
        """A signer of the policy. Raises `MalformedInput`."""
        signers = self.expected.get("signers")
        entry = signers.get(name) if isinstance(signers, dict) else None
        if isinstance(entry, dict):
            identity, issuer, refs = (entry.get(n, d) for n, d in (("identity", ""), ("issuer", ""), ("refs", [])))
            if isinstance(identity, str) and isinstance(issuer, str) and identity and issuer:
                return Signer(identity, issuer, tuple(str(ref) for ref in refs))
        raise MalformedInput(
            f"the policy {self.name!r} says nobody is {name!r}",
            mend=f"write [signers.{name}] with identity and issuer",
        )


def _plain(value: Any) -> Any:
    """As JSON says it: dates in seconds since 1970, at 00:00 UTC where they say no more."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, time) or value in (float("inf"), float("-inf")) or value != value:
        raise MalformedInput(f"the policy has {value}, which JSON cannot say")
    return value
