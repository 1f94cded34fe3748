"""A repository's settings, which lie beside its workflow files: secrets, variables, environments, publishers.

visibility = "internal"            # reading needs a token; "public" does not
default_permissions = "write"      # for workflows that say nothing: "read" or "write"

[secrets]
HUB_TOKEN = "FAKE-hub-token"
PYPI_TOKEN = { grants = ["packages:upload:triage-model"] }   # a real credential of this workspace's registry

[variables]
MODEL_HUB = "{url}/raw"            # {url}: where the services listen

[environments.release]             # `environment: Release` in a workflow names it, too
refs = ["refs/tags/v*"]            # which refs may use it; empty = all; * does not match /
reviewers = true                   # a run waits until somebody approves
secrets = { SIGNING_HINT = "FAKE-hint" }

[[publishers]]                     # trusted publishing on the package index
project = "triage-model"
workflow = "release.yml"
environment = "release"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chainlab import names
from chainlab.errors import MalformedInput
from chainlab.registry.projects import normalise

__all__ = ["Environment", "Publisher", "Secret", "Settings"]

VISIBILITIES = ("public", "internal")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of a secret
NAMING = ("contents", "issues", "oci", "pull-requests")  # services whose rights end in a repository's name


@dataclass(frozen=True)
class Secret:
    """A fake value, or the grants of a credential that the registry issues."""

    value: str = ""
    grants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """A named place that a job may deploy to, and its protection."""

    refs: tuple[str, ...] = ()  # patterns; empty = every ref
    reviewers: bool = False
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    name: str = field(default="", compare=False)  # as the settings spell it

    def admits(self, ref: str) -> bool:
        """Whether a run at ``ref`` may use it."""
        return not self.refs or any(_fits(ref, pattern) for pattern in self.refs)


@dataclass(frozen=True)
class Publisher:
    """A workflow that may publish a project without a stored token."""

    project: str
    workflow: str
    environment: str = ""


@dataclass(frozen=True)
class Settings:
    """All of one repository's settings."""

    visibility: str = "internal"
    default_branch: str = "main"
    default_permissions: str = "read"
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)  # by folded name
    publishers: tuple[Publisher, ...] = ()

    def __post_init__(self) -> None:
        folded = {names.environment(name): replace(entry, name=name) for name, entry in self.environments.items()}
        if len(folded) != len(self.environments):
            raise MalformedInput("two environments have one name", why="names of environments do not depend on case")
        object.__setattr__(self, "environments", folded)

    def environment(self, name: str) -> Environment | None:
        """The environment with this folded name, in whatever case the settings spell it; None when they do not."""
        return self.environments.get(name)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a settings file. Raises `MalformedInput` naming what is wrong in it."""
        try:
            return cls.from_document(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, MalformedInput) as error:
            raise MalformedInput(f"{path.name} cannot be read", why=str(error)) from error

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Settings:
        """The settings that a parsed TOML document holds."""
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(document) - known):
            raise MalformedInput(f"unknown setting {', '.join(unknown)}", mend=f"known: {', '.join(sorted(known))}")
        fields = dict(document)
        try:
            fields["secrets"] = _secrets(document.get("secrets", {}))
            fields["variables"] = {k: str(v) for k, v in document.get("variables", {}).items()}
            fields["environments"] = {
                name: Environment(
                    _words(entry.get("refs", [])),
                    bool(entry.get("reviewers", False)),
                    _secrets(entry.get("secrets", {})),
                )
                for name, entry in document.get("environments", {}).items()
            }
            fields["publishers"] = tuple(Publisher(**p) for p in document.get("publishers", ()))
        except (AttributeError, TypeError, KeyError) as error:
            raise MalformedInput("a setting has another form", why=str(error)) from error
        settings = cls(**fields)
        if settings.visibility not in VISIBILITIES:
            raise MalformedInput(f"visibility is one of {', '.join(VISIBILITIES)}")
        if settings.default_permissions not in ("read", "write"):
            raise MalformedInput("default_permissions is 'read' or 'write'")
        return settings

    def with_url(self, url: str) -> Settings:
        """The same, with ``{url}`` in variables replaced by where the services listen."""
        filled = {name: value.replace("{url}", url) for name, value in self.variables.items()}
        return replace(self, variables=filled)


def _secrets(table: Mapping[str, Any]) -> dict[str, Secret]:
    found = {}
    if len({name.upper() for name in table}) != len(table):
        raise TypeError("two secrets have one name: case does not count")
    for name, entry in table.items():
        if not NAME.fullmatch(name) or name.upper().startswith("GITHUB_"):
            raise TypeError(f"{name[:80]!r} is no name of a secret")
        if isinstance(entry, str):
            found[name] = Secret(entry)
        elif isinstance(entry, Mapping):
            found[name] = Secret(grants=tuple(_grant(word) for word in _words(entry["grants"])))
        else:
            raise TypeError(f"the secret {name} is neither text nor grants")
    return found


def _grant(word: str) -> str:
    """A right as the services spell it, with the names in it folded."""
    if not word.isascii():
        raise TypeError(f"{word[:80]!r} is no right")
    service, _, rest = word.partition(":")
    right, _, name = rest.partition(":")
    if service == "packages" and name not in ("", "*"):
        return f"{service}:{right}:{normalise(name)}"
    return word.lower() if service in NAMING else word


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise TypeError(f"expected a list of texts, got {value!r:.80}")
    return tuple(value)


def _fits(ref: str, pattern: str) -> bool:
    """Wildcards as the platform has them for environments: ``*`` and ``?`` do not match ``/``."""
    parts = re.split(r"([*?])", pattern)
    signs = {"*": "[^/]*", "?": "[^/]"}
    return bool(re.fullmatch("".join(signs.get(part) or re.escape(part) for part in parts), ref))
