"""Settings of a repository: what is read, what is refused, and which refs an environment admits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.ci.settings import Environment, PublisherSettings, Secret, Settings
from chainlab.errors import MalformedInput

DATA = Path(__file__).parents[2] / "data" / "projects" / "settings"
WHOLE = """
visibility = "public"
default_branch = "trunk"
default_permissions = "write"

[secrets]
HUB_TOKEN = "FAKE-hub-token"
PYPI_TOKEN = { grants = ["packages:upload:triage-model"] }

[variables]
MODEL_HUB = "{url}/raw"
PARTS = 3

[environments.release]
refs = ["refs/tags/v*"]
reviewers = true
secrets = { SIGNING_HINT = "FAKE-hint" }

[environments.open]

[[publishers]]
project = "triage-model"
workflow = "release.yml"
environment = "release"
"""


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(WHOLE)
    settings = Settings.load(path)
    assert (settings.visibility, settings.default_branch) == ("public", "trunk")
    assert settings.secrets["HUB_TOKEN"] == Secret("FAKE-hub-token")
    assert settings.secrets["PYPI_TOKEN"] == Secret(grants=("packages:upload:triage-model",))
    assert settings.variables["PARTS"] == "3"
    release = settings.environments["release"]
    assert release.reviewers
    assert release.secrets["SIGNING_HINT"] == Secret("FAKE-hint")
    assert settings.environments["open"] == Environment()
    assert settings.publishers == (PublisherSettings("triage-model", "release.yml", "release"),)
    assert settings.with_url("http://127.0.0.1:9").variables["MODEL_HUB"] == "http://127.0.0.1:9/raw"


def test_nothing_said_is_the_platform_s_careful_default() -> None:
    settings = Settings.from_document({})
    assert settings == Settings()
    assert (settings.visibility, settings.default_permissions) == ("internal", "read")


@pytest.mark.parametrize("path", sorted(DATA.glob("*.toml")), ids=lambda p: p.stem)
def test_the_projects_settings_hold_only_fake_values(path: Path) -> None:
    settings = Settings.load(path)
    places = [settings.secrets, *(e.secrets for e in settings.environments.values())]
    for secrets in places:
        for name, secret in secrets.items():
            assert secret.grants or secret.value.startswith("FAKE-"), name


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"secret": {}}, "secret: unknown"),
        ({"visibility": "secret"}, "visibility: 'secret' is none of 'public' or 'internal'"),
        ({"default_permissions": "admin"}, "default_permissions: 'admin' is none of"),
        ({"default_branch": 3}, "default_branch: expected a text, got 3"),
        ({"secrets": 3}, "secrets: expected an object, got 3"),
        ({"secrets": {"A": 3}}, "secrets.A: expected an object, got 3"),
        ({"secrets": {"A": {"grant": []}}}, "secrets.A: expected a text or a table with `grants`"),
        ({"secrets": {"A": {"grants": [], "value": "x"}}}, "secrets.A: expected a text or a table with `grants`"),
        ({"secrets": {"A": {"grants": "packages:upload:x"}}}, "secrets.A.grants: expected a list"),
        ({"secrets": {"A": {"grants": [1]}}}, "secrets.A.grants[0]: expected a text, got 1"),
        ({"secrets": {"A": {"grants": ["contents:writé"]}}}, "secrets.A.grants[0]: not a grant: 'contents:writé'"),
        ({"secrets": {"not a name": "x"}}, "'not a name' cannot be a secret's name"),
        ({"secrets": {"A\nB": "x"}}, "cannot be a secret's name"),
        ({"secrets": {"GITHUB_TOKEN": "x"}}, "'GITHUB_TOKEN' cannot be a secret's name"),
        ({"secrets": {"github_token": "x"}}, "'github_token' cannot be a secret's name"),
        ({"environments": {"r": {"refs": "refs/tags/*"}}}, "environments.r.refs: expected a list"),
        ({"environments": {"r": {"reviewers": 1}}}, "environments.r.reviewers: expected true or false, got 1"),
        ({"environments": {"r": {"reviewer": True}}}, "environments.r.reviewer: unknown"),
        ({"environments": {"r": 1}}, "environments.r: expected an object, got 1"),
        ({"environments": {"r": {"secrets": ["A"]}}}, "environments.r.secrets: expected an object"),
        ({"publishers": [{"project": "x"}]}, "publishers[0].workflow: missing"),
        ({"publishers": [{"project": "x", "workflow": "y", "who": "z"}]}, "publishers[0].who: unknown"),
        ({"variables": []}, "variables: expected an object"),
        ({"variables": {"A": [1]}}, "variables.A: expected a text, got [1]"),
    ],
)
def test_what_is_no_setting_is_refused_by_name(document: Any, says: str) -> None:
    with pytest.raises(MalformedInput) as refused:
        Settings.from_document(document)
    assert says in refused.value.message


@pytest.mark.parametrize("text", ["", "x = ", "[[secrets]]", "\x00"])
def test_a_broken_file_names_itself(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    if text:
        with pytest.raises(MalformedInput, match=r"cannot read settings\.toml"):
            Settings.load(path)
    with pytest.raises(MalformedInput, match=r"cannot read none\.toml"):
        Settings.load(tmp_path / "none.toml")


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(Settings.__dataclass_fields__)), json))
def test_any_document_is_settings_or_refused(document: dict[str, Any]) -> None:
    try:
        settings = Settings.from_document(document)
    except MalformedInput:
        return
    assert isinstance(settings, Settings)


# GitHub Docs, "Deployments and environments": wildcards do not match `/`.
@pytest.mark.parametrize(
    ("refs", "ref", "admitted"),
    [
        ((), "refs/heads/any", True),
        (("refs/tags/v*",), "refs/tags/v1.0.0", True),
        (("refs/tags/v*",), "refs/tags/v1/x", False),
        (("refs/tags/v*",), "refs/heads/v1", False),
        (("refs/heads/main",), "refs/heads/main", True),
        (("refs/heads/main",), "refs/heads/main2", False),
        (("refs/heads/*",), "refs/heads/release/1", False),
        (("refs/heads/release/*",), "refs/heads/release/1", True),
        (("refs/pull/*/merge",), "refs/pull/7/merge", True),
        (("refs/heads/main",), "refs/pull/7/merge", False),
        (("refs/heads/v?",), "refs/heads/v1", True),
        (("refs/heads/v?",), "refs/heads/v12", False),
        (("a", "refs/heads/[m]ain"), "refs/heads/main", False),
        (("refs/heads/v.1",), "refs/heads/vx1", False),
    ],
)
def test_an_environment_admits_the_refs_of_its_rules(refs: tuple[str, ...], ref: str, admitted: bool) -> None:
    assert Environment(refs).admits(ref) is admitted
