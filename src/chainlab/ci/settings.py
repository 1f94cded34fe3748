"""The settings of a repository: secrets, variables, environments, publishers. An example:

visibility = "internal"            # reading needs a token; "public" does not
default_permissions = "write"      # of workflows without `permissions`: "read" or "write"

[secrets]
HUB_TOKEN = "FAKE-hub-token"
PYPI_TOKEN = { grants = ["packages:upload:triage-model"] }   # a real credential of this workspace's registry

[variables]
MODEL_HUB = "{url}/raw"            # {url}: where the services listen

[environments.release]             # `environment: Release` in a workflow names it, too
refs = ["refs/tags/v*"]            # the refs that may use it; empty = all; * does not match /
reviewers = true                   # a run waits for an approval
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
OF_REPOSITORY = ("contents", "issues", "oci", "pull-requests")  # services whose grants end in a repository's name
FORM = ConfigDict(extra="forbid")


def _grant(word: str) -> str:
    """Fold the names in a grant, as the services spell it."""
    if not word.isascii():
        raise MalformedInput(f"not a grant: {word[:80]!r}")
    service, _, rest = word.partition(":")
    right, _, name = rest.partition(":")
    if service == "packages" and name not in ("", "*"):
        return f"{service}:{right}:{normalise(name)}"
    return word.lower() if service in OF_REPOSITORY else word


def _secret(value: Any) -> Any:
    """Read a secret: its value alone, or a table with its grants."""
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
    """A secret: a fake value, or the grants of a credential that the registry issues."""

    value: StrictStr = ""
    grants: Many[Annotated[StrictStr, AfterValidator(_grant)]] = ()


Secrets = Annotated[
    dict[Annotated[StrictStr, AfterValidator(_secret_name)], Annotated[Secret, BeforeValidator(_secret)]],
    AfterValidator(_apart),
]


@dataclass(frozen=True, config=FORM)
class Environment:
    """An environment that a job may deploy to, and its protection."""

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
        """The environment with this folded name; None if the settings have none."""
        return self.environments.get(name)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a settings file. Raises `MalformedInput` naming the fault."""
        try:
            return cls.from_document(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, MalformedInput) as error:
            raise MalformedInput(f"cannot read {path.name}", why=str(error)) from error

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Settings:
        """The settings in a parsed TOML document. Raises `MalformedInput` with the path of the fault."""
        return read(cls, document)

    def with_url(self, url: str) -> Settings:
        """The settings with ``{url}`` in variables replaced by the URL of the services."""
        filled = {name: value.replace("{url}", url) for name, value in self.variables.items()}
        return replace(self, variables=filled)


def _fits(ref: str, pattern: str) -> bool:
    """Whether a ref matches a pattern of an environment: ``*`` and ``?`` do not match ``/``."""
    parts = re.split(r"([*?])", pattern)
    signs = {"*": "[^/]*", "?": "[^/]"}
    return bool(re.fullmatch("".join(signs.get(part) or re.escape(part) for part in parts), ref))
