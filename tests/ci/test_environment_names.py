"""One environment, however a workflow spells it: for settings, publisher, attestation policy, deployment and claims."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx
import pytest
from project_folders import Make
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from chainlab.ci.settings import Settings
from chainlab.ci.workflows.workflow import Workflow
from chainlab.deploy.app import AUDIENCE
from chainlab.errors import MalformedInput
from chainlab.registry.index.attestations import PublisherPolicy
from chainlab.registry.index.publishers import Publisher
from chainlab.trust.client import workflow_claims
from chainlab.world import World

X = ".github/workflows/x.yml"
SPELLINGS = ["release", "Release", "RELEASE", "rELEASE"]
OTHERS = ["releases", "relea\u017fe", "Re\u2113ease", "release ", " release", "release\u200b", "staging", ""]
REPOSITORY = "acme/triage-model"
ASK = """
python3 - <<'END'
import json, os, urllib.request
address, bearer = (os.environ[f"ACTIONS_ID_TOKEN_REQUEST_{name}"] for name in ("URL", "TOKEN"))
asked = urllib.request.Request(address + "&audience=chainlab-index", headers={"Authorization": f"Bearer {bearer}"})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print("claims", json.load(opener.open(asked))["value"].split(".")[1])
END
"""


def workflow(environment: str) -> str:
    lines = "".join(f"          {line}\n" for line in ASK.strip().splitlines())
    return (
        "on: push\npermissions: {id-token: write}\njobs:\n  build:\n    runs-on: ubuntu-latest\n"
        f"    environment: {json.dumps(environment)}\n    steps:\n      - run: |\n{lines}"
    )


def claims_in(log: str) -> dict[str, Any]:
    match = re.search(r"claims (\S+)", log)
    assert match, log
    return dict(json.loads(base64.urlsafe_b64decode(match[1] + "==")))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_has_the_environments_rules_and_secrets(make: Make, spelling: str) -> None:
    rules = {"refs": ["refs/tags/v*"], "reviewers": True, "secrets": {"KEY": "FAKE-key"}}
    project = make("acme/ruled", {X: workflow(spelling)}, {"environments": {"Release": rules}})
    run = project.run("push")
    assert (run.result, "does not admit refs/heads/main" in run.jobs["build"].why) == ("failure", True)
    project.tag("v1")
    assert project.run("push", ref="refs/tags/v1").result == "waiting"


def test_claims_carry_the_settings_spelling(make: Make) -> None:
    project = make("acme/spelled", {X: workflow("rElEaSe")}, {"environments": {"Release": {"reviewers": True}}})
    claims = claims_in(project.run("push", approve=["RELEASE"]).log)
    assert (claims["environment"], claims["sub"]) == ("Release", "repo:acme/spelled:environment:Release")


def test_claims_of_an_environment_without_settings_are_folded(make: Make) -> None:
    claims = claims_in(make("acme/unspelled", {X: workflow("Anywhere")}).run("push").log)
    assert claims["environment"] == "anywhere"


@pytest.mark.parametrize("name", [name for name in OTHERS if name.strip() != name or not name.isascii()])
def test_a_workflow_names_environments_in_ascii(name: str) -> None:
    for value in (name, {"name": name}):
        text = f"on: push\njobs: {{a: {{environment: {json.dumps(value)}}}}}"
        with pytest.raises(MalformedInput, match=r"job a: not an environment name"):
            Workflow.parse(X, text)


def test_two_environments_of_one_name_are_refused() -> None:
    with pytest.raises(MalformedInput, match="two environments have one name"):
        Settings.from_document({"environments": {"release": {"reviewers": True}, "Release": {}}})
    with pytest.raises(MalformedInput, match="not an environment name"):
        Settings.from_document({"environments": {"relea\u017fe": {}}})


def claims_of(environment: str, repository: str = REPOSITORY) -> dict[str, str]:
    return workflow_claims(repository, "release.yml", "refs/tags/v1.0.0", environment=environment)


@pytest.mark.parametrize("setting", ["release", "Release"])
@pytest.mark.parametrize("environment", SPELLINGS + OTHERS)
def test_a_publisher_takes_every_spelling_and_nothing_else(setting: str, environment: str) -> None:
    publisher = Publisher("Acme/Triage-Model", "release.yml", setting)
    assert (publisher.objection(claims_of(environment)) is None) == (environment in SPELLINGS)


@pytest.mark.parametrize(
    ("repository", "fits"),
    [(REPOSITORY, True), ("ACME/Triage-Model", True), ("acme/triage-mode\u2113", False), ("acme/other", False)],
)
def test_a_publishers_repository_is_compared_folded(repository: str, fits: bool) -> None:
    publisher = Publisher("acme/Triage-Model", "release.yml")
    assert (publisher.objection(claims_of("", repository) | {"repository": repository}) is None) == fits


@pytest.mark.parametrize(("environment", "fits"), [("release", True), ("Release", True), ("staging", False)])
def test_the_policy_for_attestations_compares_as_the_publisher_does(world: World, environment: str, fits: bool) -> None:
    token = IdentityToken(world.trust.token(claims=claims_of(environment)))
    with SigningContext.from_trust_config(world.trust.config).signer(token) as signer:
        certificate = signer.sign_artifact(b"x").signing_certificate
    policy = PublisherPolicy(Publisher("Acme/triage-model", "release.yml", "RELEASE"))
    if fits:
        policy.verify(certificate)
        return
    from sigstore.errors import VerificationError

    with pytest.raises(VerificationError, match="ran in environment"):
        policy.verify(certificate)


@pytest.mark.parametrize(
    ("environment", "repository", "refused"),
    [
        ("production", REPOSITORY, ""),
        ("Production", "ACME/triage-model", ""),
        ("productio\u207f", REPOSITORY, "not an environment name"),
        ("staging", REPOSITORY, "only a job in the environment production"),
        ("", REPOSITORY, "only a job in the environment production"),
        ("production", "acme/triage", "may not ask about"),
        ("production", "acme/triage-mode\u2113", "not a repository name"),
    ],
)
def test_deployment_compares_folded_names(world: World, environment: str, repository: str, refused: str) -> None:
    claims = claims_of(environment, REPOSITORY) | {"repository": repository}
    answer = httpx.post(
        f"{world.url}/deploy/promotions",
        json={"reference": f"oci/{REPOSITORY}/release:v1"},
        headers={"Authorization": f"Bearer {world.trust.token(claims=claims, audience=AUDIENCE)}"},
        trust_env=False,
    )
    if refused:
        assert answer.status_code in (400, 403)
        assert refused in answer.json()["message"]
    else:
        assert "may not ask" not in answer.text
        assert "only a job" not in answer.text


def test_secrets_and_rights_are_folded_where_the_settings_are_read() -> None:
    settings = Settings.from_document(
        {
            "secrets": {
                "A": {"grants": ["packages:upload:Triage_Model", "oci:push:Acme/X", "cache:read:0:a/b:refs/heads/F"]}
            }
        }
    )
    assert settings.secrets["A"].grants == (
        "packages:upload:triage-model", "oci:push:acme/x", "cache:read:0:a/b:refs/heads/F",
    )  # fmt: skip
    for secrets in ({"Key": "a", "KEY": "b"}, {"A": {"grants": ["oci:push:\u212aey/x"]}}):
        with pytest.raises(MalformedInput, match=r"two secrets have one name|not a grant"):
            Settings.from_document({"secrets": secrets})


def test_a_project_has_one_name_however_it_is_spelled(make: Make, world: World) -> None:
    project = make("Acme/One-Name", {X: workflow("")})
    assert project.repository == "acme/one-name"
    pull = project.pull_request(branch="b", folder=project.folder, title="t", owner="ACME")
    assert (pull.fork, pull.head.repository) == (False, "acme/one-name")
    with pytest.raises(MalformedInput):
        make("acme/\u212aey", {X: workflow("")})
