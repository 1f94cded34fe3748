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
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictBool, StrictStr
from pydantic.dataclasses import dataclass

from chainlab import names
from chainlab.errors import MalformedInput
from chainlab.registry.index.project_table import normalise
from chainlab.shapes import Many, read

__all__ = ["Environment", "PublisherSettings", "Secret", "Settings"]

NAME = re.compile(r"(?i:(?!GITHUB_)[A-Z_][A-Z0-9_]*)")  # of a secret
NAMING = ("contents", "issues", "oci", "pull-requests")  # services whose rights end in a repository's name
FORM = ConfigDict(extra="forbid")


def _grant(word: str) -> str:
    """A right as the services spell it, with the names in it folded."""
    if not word.isascii():
        raise MalformedInput(f"{word[:80]!r} is not a right")
    service, _, rest = word.partition(":")
    right, _, name = rest.partition(":")
    if service == "packages" and name not in ("", "*"):
        return f"{service}:{right}:{normalise(name)}"
    return word.lower() if service in NAMING else word


def _secret(value: Any) -> Any:
    """A secret as it is written: its value alone, or a table with its grants."""
    if isinstance(value, str):
        return {"value": value}
    if isinstance(value, Mapping) and set(value) != {"grants"}:
        raise MalformedInput("expected a text or a table with `grants`")
    return value


def _secret_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise MalformedInput(f"{text[:80]!r} cannot be a secret's name")
    return text


def _apart(secrets: dict[str, Secret]) -> dict[str, Secret]:
    if len({name.upper() for name in secrets}) != len(secrets):
        raise MalformedInput("two secrets have one name", why="names of secrets do not depend on case")
    return secrets


def _variable(value: Any) -> Any:
    return str(value) if isinstance(value, bool | int | float) else value


@dataclass(frozen=True, config=FORM)
class Secret:
    """A fake value, or the grants of a credential that the registry issues."""

    value: StrictStr = ""
    grants: Many[Annotated[StrictStr, AfterValidator(_grant)]] = ()


Secrets = Annotated[
    dict[Annotated[StrictStr, AfterValidator(_secret_name)], Annotated[Secret, BeforeValidator(_secret)]],
    AfterValidator(_apart),
]


@dataclass(frozen=True, config=FORM)
class Environment:
    """A named place that a job may deploy to, and its protection."""

    refs: Many[StrictStr] = ()  # patterns; empty = every ref
    reviewers: StrictBool = False
    secrets: Secrets = Field(default_factory=dict)
    name: StrictStr = field(default="", compare=False)  # as the settings spell it

    def admits(self, ref: str) -> bool:
        """Whether a run at ``ref`` may use it."""
        return not self.refs or any(_fits(ref, pattern) for pattern in self.refs)


@dataclass(frozen=True, config=FORM)
class PublisherSettings:
    """A workflow that may publish a project without a stored token."""

    project: StrictStr
    workflow: StrictStr
    environment: StrictStr = ""


@dataclass(frozen=True, config=FORM)
class Settings:
    """All of one repository's settings."""

    visibility: Literal["public", "internal"] = "internal"
    default_branch: StrictStr = "main"
    default_permissions: Literal["read", "write"] = "read"
    secrets: Secrets = Field(default_factory=dict)
    variables: dict[StrictStr, Annotated[StrictStr, BeforeValidator(_variable)]] = Field(default_factory=dict)
    environments: dict[StrictStr, Environment] = Field(default_factory=dict)  # by folded name
    publishers: Many[PublisherSettings] = ()

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
        """The settings that a parsed TOML document holds. Raises `MalformedInput` with the path."""
        return read(cls, document)

    def with_url(self, url: str) -> Settings:
        """The same, with ``{url}`` in variables replaced by where the services listen."""
        filled = {name: value.replace("{url}", url) for name, value in self.variables.items()}
        return replace(self, variables=filled)


def _fits(ref: str, pattern: str) -> bool:
    """Wildcards as the platform has them for environments: ``*`` and ``?`` do not match ``/``."""
    parts = re.split(r"([*?])", pattern)
    signs = {"*": "[^/]*", "?": "[^/]"}
    return bool(re.fullmatch("".join(signs.get(part) or re.escape(part) for part in parts), ref))
