"""Who reads what belongs to an internal repository: every way to read it, for everybody who might ask."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import pytest
from platform_world import Host
from tiny_wheels import tiny_wheel

from chainlab.ci.actions.mirror import Mirror
from chainlab.ci.runs.rights import SCOPES, Origin, effective_permissions, runtime_grants, token_grants
from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Refused
from chainlab.registry.bundle_summary import BUNDLE_TYPE
from chainlab.registry.channels import ChannelArtifact
from chainlab.registry.index.publishers import Publisher
from chainlab.registry.oci.manifest import MANIFEST_TYPE
from chainlab.registry.oci.referrers import attach

pytest_plugins = ["platform_fixtures"]

CLOSED, FOREIGN = "acme/closed", "mallory/open"
IMAGE, PROJECT, WHEEL = f"{CLOSED}/model", "closed-model", "closed_model-1.0-py3-none-any.whl"
JOB = f"{CLOSED}/runs/7/jobs/package"
WORKFLOW = b"on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n"
BUNDLE = json.dumps({"dsseEnvelope": {}, "verificationMaterial": {}, "note": "refs/heads/unannounced"}).encode()
EMPTY = b"{}"
MODEL = b"weights that nobody announced"
KEPT = b"a file that only an artifact of a run holds"


@dataclass(frozen=True)
class Digests:
    """Digests of what the internal repository published."""

    manifest: str
    model: str
    wheel: str
    kept: str
    bundle: str
    referrer: str


def everything(repository: str) -> list[str]:
    """All that the tokens of a repository's jobs may do, with all permissions."""
    run = effective_permissions(Origin("push"))
    return [*token_grants(dict.fromkeys(SCOPES, "write"), repository), *runtime_grants(run, repository, 7)]


ASKERS: dict[str, list[str] | None] = {
    "anonymous": None,
    "another owner's job": [*everything(FOREIGN), "packages:upload:*"],
    "own job": everything(CLOSED),
    "owner": ["contents:read:acme", "oci:pull:acme", "packages:upload:*"],
    "admin": ["contents:*", "oci:*", "packages:*"],
}
SEEN_BY = {"own job", "owner", "admin"}
# Name of the way: path, and what its answer tells of the repository; empty = any answer but a refusal does.
WAYS: dict[str, tuple[str, str]] = {
    "git refs": (f"/git/{CLOSED}/info/refs?service=git-upload-pack", ""),
    "git refs of a fork": ("/git/mallory/closed/info/refs?service=git-upload-pack", ""),
    "raw file": (f"/raw/{CLOSED}/main/secret.py", ""),
    "raw file of a fork": ("/raw/mallory/closed/main/secret.py", ""),
    "raw file by another case": ("/raw/ACME/Closed/main/secret.py", ""),
    "OCI tags": (f"/v2/{IMAGE}/tags/list", ""),
    "OCI manifest by tag": (f"/v2/{IMAGE}/manifests/v1", ""),
    "OCI manifest by digest": (f"/v2/{IMAGE}/manifests/MANIFEST", ""),
    "OCI blob": (f"/v2/{IMAGE}/blobs/MODEL", ""),
    "OCI referrers": (f"/v2/{IMAGE}/referrers/MANIFEST", ""),
    "list of projects": ("/simple/", PROJECT),
    "project": (f"/simple/{PROJECT}/", ""),
    "file of a project": (f"/files/{PROJECT}/{WHEEL}", ""),
    "metadata of a file": (f"/files/{PROJECT}/{WHEEL}.metadata", ""),
    "PEP 740": (f"/integrity/{PROJECT}/1.0/{WHEEL}/provenance", ""),
    "list of channels": ("/channels/", CLOSED),
    "list of channels, packages": ("/channels/", PROJECT),
    "channels of an image": (f"/channels/oci/{IMAGE}", ""),
    "channels of a package": (f"/channels/package/{PROJECT}", ""),
    "channels of a package by another spelling": ("/channels/package/Closed_Model", ""),
    "evidence of a manifest": ("/evidence/MANIFEST", ""),
    "evidence of a layer": ("/evidence/MODEL", ""),
    "evidence of a wheel": ("/evidence/WHEEL", ""),
    "evidence of a referrer": ("/evidence/REFERRER", ""),
    "evidence of an artifact": ("/evidence/KEPT", ""),
    "bundle of a manifest": ("/evidence/MANIFEST/BUNDLE", ""),
    "bundle of an artifact": ("/evidence/KEPT/BUNDLE", ""),
    "overview": ("/", IMAGE),
    "overview, packages": ("/", PROJECT),
    "search": ("/?q=model", PROJECT),
    "search by the digest of a manifest": ("/?q=SHORT_MANIFEST", IMAGE),
    "search by the digest of a layer": ("/?q=SHORT_MODEL", IMAGE),
    "search by the digest of a wheel": ("/?q=SHORT_WHEEL", PROJECT),
    "search by the digest of a bundle": ("/?q=SHORT_BUNDLE", "/evidence/"),
    "page of an image": (f"/artifacts/oci/{IMAGE}", ""),
    "page of a package": (f"/artifacts/package/{PROJECT}", ""),
    "page of a manifest": ("/artifacts/MANIFEST", ""),
    "page of a layer": ("/artifacts/MODEL", ""),
    "page of a wheel": ("/artifacts/WHEEL", ""),
    "page of an artifact": ("/artifacts/KEPT", ""),
}


def image(host: Host, name: str, layer: bytes, by: str) -> str:
    """An OCI artifact with one layer, tagged v1; its digest."""
    images = host.registry.images
    for data in (EMPTY, layer):
        images.link(name, host.registry.blobs.put(data))
    parts = [
        {"mediaType": "application/octet-stream", "digest": str(Digest.of(data)), "size": len(data)}
        for data in (EMPTY, layer)
    ]
    document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": parts[0], "layers": parts[1:]}
    pushed = images.push(name, "v1", json.dumps(document).encode(), MANIFEST_TYPE, by=by)
    return str(pushed.digest)


@pytest.fixture(scope="module")
def digests(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """An internal repository that made an image, a package, an artifact, and evidence about each."""
    repositories, registry = host.platform.repositories, host.registry
    repositories.create("acme", "closed", public=False)
    repositories.import_tree(
        CLOSED, {"secret.py": b"# the company's own\n", ".github/workflows/x.yml": WORKFLOW}, "one"
    )
    repositories.fork(CLOSED, "mallory")
    repositories.create("mallory", "open")
    repositories.import_tree(FOREIGN, {"a": b"a"}, "one")
    manifest = Digest.parse(image(host, IMAGE, MODEL, JOB))
    referrer = attach(registry.images, IMAGE, manifest, BUNDLE, BUNDLE_TYPE, by=JOB)
    owner = Credential("acme", frozenset({"packages:upload:*", "channel:dev"}), repository=CLOSED)
    file = registry.index.publish(tiny_wheel(tmp_path_factory.mktemp("wheel"), PROJECT), by=owner)
    proof = registry.blobs.put(b'{"attestation_bundles": []}')
    registry.index._connection.execute("UPDATE files SET provenance = ? WHERE filename = ?", (str(proof), WHEEL))
    kept, model = Digest.of(KEPT), Digest.of(MODEL)
    for subject in (manifest, model, file.digest, kept):
        bundle = registry.evidence.add(subject, "provenance", BUNDLE, BUNDLE_TYPE, JOB)
    registry.channels.promote(ChannelArtifact("oci", IMAGE), manifest, "", "dev", owner)
    registry.channels.promote(ChannelArtifact("package", PROJECT), file.digest, "", "dev", owner)
    return Digests(*map(str, (manifest, model, file.digest, kept, bundle, referrer.digest)))


@pytest.fixture(scope="module")
def clients(host: Host) -> Iterator[Mapping[str, httpx.Client]]:
    """A client for each asker."""
    subjects = {"owner": "acme", "another owner's job": f"{FOREIGN}/runs/8/jobs/build"}
    clients = {
        asker: httpx.Client(
            base_url=host.url,
            trust_env=False,
            timeout=30,
            headers={} if grants is None else host.bearer(*grants, subject=subjects.get(asker, asker)),
        )
        for asker, grants in ASKERS.items()
    }
    yield clients
    for client in clients.values():
        client.close()


def sees(client: httpx.Client, way: str, digests: Digests) -> bool:
    """Whether a response reveals the internal repository."""
    path, marker = WAYS[way]
    for name, digest in vars(digests).items():
        path = path.replace(f"SHORT_{name.upper()}", digest[:19]).replace(name.upper(), digest)
    answer = client.get(path)
    if answer.status_code == 200:
        return marker in answer.text
    assert answer.status_code in (401, 403, 404), answer.text
    assert "unannounced" not in answer.text
    return False


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("way", WAYS)
def test_what_an_internal_repository_made_is_read_by_those_who_may_read_it(
    clients: Mapping[str, httpx.Client], digests: Digests, way: str, asker: str
) -> None:
    assert sees(clients[asker], way, digests) == (asker in SEEN_BY)


@pytest.mark.parametrize("asker", ASKERS)
def test_a_blob_is_mounted_from_where_the_asker_may_pull(
    clients: Mapping[str, httpx.Client], digests: Digests, host: Host, asker: str
) -> None:
    target = f"{CLOSED}/copy" if asker == "own job" else f"{FOREIGN}/copy"
    if asker in ("anonymous", "owner"):
        pytest.skip("pushes nowhere")
    mounted = clients[asker].post(f"/v2/{target}/blobs/uploads/", params={"mount": digests.model, "from": IMAGE})
    assert (mounted.status_code == 201) == (asker in SEEN_BY)


def test_a_job_without_the_right_to_packages_reads_no_package(digests: Digests, host: Host) -> None:
    levels = dict.fromkeys(SCOPES, "none") | {"contents": "write"}
    token = host.bearer(*token_grants(levels, CLOSED))
    assert host.http.get(f"/raw/{CLOSED}/main/secret.py", headers=token).status_code == 200
    for way in ("OCI tags", "project", "file of a project", "channels of an image", "page of a package"):
        path, _ = WAYS[way]
        assert host.http.get(path, headers=token).status_code in (403, 404), way


def test_a_bad_secret_is_refused_where_everybody_may_read(host: Host) -> None:
    for path in ("/simple/", "/channels/", "/", "/evidence/sha256:" + "0" * 64):
        assert host.http.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401


# -- bytes that are in several places


def test_a_public_copy_of_the_bytes_does_not_tell_what_an_internal_job_said(digests: Digests, host: Host) -> None:
    copy = image(host, "mallory/open/copy", MODEL, by=f"{FOREIGN}/runs/8/jobs/build")
    document = host.http.get(f"/evidence/{digests.model}").json()
    assert {place["repository"] for place in document["places"]} == {"mallory/open/copy"}
    assert document["attached"] == []
    assert CLOSED not in json.dumps(document)
    assert host.http.get(f"/evidence/{digests.model}/{digests.bundle}").status_code == 404
    host.registry.images.delete_manifest("mallory/open/copy", Digest.parse(copy), by="mallory")
    host.registry.images.delete_blob("mallory/open/copy", Digest.of(MODEL), by="mallory")


def test_what_was_said_stays_hidden_when_what_it_is_about_is_deleted(host: Host) -> None:
    registry, name = host.registry, "acme/withdrawn/model"
    registry.images.configure(name, private=True)
    digest = Digest.parse(image(host, name, b"withdrawn", by="security"))
    registry.evidence.add(digest, "vex", BUNDLE, BUNDLE_TYPE, "security@acme.example")
    registry.images.delete_manifest(name, digest, by="security")
    assert registry.evidence.document(digest)["attached"]
    assert host.http.get(f"/evidence/{digest}").status_code == 404
    assert host.http.get(f"/evidence/{digest}/{Digest.of(BUNDLE)}").status_code == 404


def test_a_quarantine_is_told_to_those_who_know_of_the_digest(digests: Digests, host: Host) -> None:
    held = Digest.parse(digests.model)
    host.registry.quarantine.hold(held, "leaked by bob", by="security@acme.example")
    try:
        for path in (f"/evidence/{held}", f"/artifacts/{held}"):
            assert "bob" not in host.http.get(path).text
        own = host.http.get(f"/evidence/{held}", headers=host.bearer(f"oci:pull:{CLOSED}")).json()
        assert own["quarantined"] == "leaked by bob"
    finally:
        host.registry.quarantine.release(held, by="security@acme.example")


def test_a_quarantined_digest_that_is_nowhere_is_the_operators_to_know(host: Host) -> None:
    nowhere = Digest.of(b"bytes of an incident elsewhere")
    host.registry.quarantine.hold(nowhere, "seen at initech", by="security@acme.example")
    assert host.http.get(f"/evidence/{nowhere}").status_code == 404
    document = host.registry.evidence.document(nowhere)
    assert (document["quarantined"], len(document["quarantine"])) == ("seen at initech", 1)


def test_what_is_refuseds_as_what_is_not_there(digests: Digests, host: Host) -> None:
    for hidden, path in (
        (PROJECT, "/simple/{}/"),
        ("Closed_Model", "/artifacts/package/{}"),
        (IMAGE, "/artifacts/oci/{}"),
        (IMAGE, "/channels/oci/{}"),
        (f"{CLOSED}/main/secret.py", "/raw/{}"),
        (digests.wheel, "/evidence/{}"),
        (digests.kept, "/evidence/{}"),
    ):
        other = "sha256:" + "1" * 64 if ":" in hidden else hidden.replace("losed", "lothe")
        refused, missing = (host.http.get(path.format(name)) for name in (hidden, other))
        assert refused.status_code == missing.status_code == 404
        shown = missing.text.replace(other, hidden).replace("clothe-model", PROJECT).replace("acme/clothe", CLOSED)
        assert refused.text == shown


def test_a_job_knows_what_its_own_run_said_whoever_else_has_the_bytes(host: Host) -> None:
    registry = host.registry
    registry.images.configure("initech/hoard", private=True)
    registry.images.link("initech/hoard", registry.blobs.put(b"a licence text"))
    subject, source = Digest.of(b"a licence text"), f"{FOREIGN}/runs/8/jobs/build"
    registry.evidence.add(subject, "provenance", BUNDLE, BUNDLE_TYPE, source)
    own = host.bearer(*runtime_grants(effective_permissions(Origin("push")), FOREIGN, 8))
    document = host.http.get(f"/evidence/{subject}", headers=own).json()
    assert [item["source"] for item in document["attached"]] == [source]
    assert document["places"] == []


# -- repositories


def test_a_fork_is_never_wider_than_what_it_is_a_fork_of(host: Host) -> None:
    repositories = host.platform.repositories
    name = repositories.create("acme", "parent", public=False)
    repositories.import_tree(name, {"a": b"a"}, "one")
    fork = repositories.fork(name, "mallory")
    assert not repositories.repository(fork).public
    second = repositories.fork(fork, "eve")
    for copied in (fork, second):
        repositories.publish(copied, public=True)  # its owner's settings
        assert not repositories.repository(copied).public
        assert host.http.get(f"/raw/{copied}/main/a").status_code == 404
    repositories.publish(name, public=True)
    assert host.http.get(f"/raw/{second}/main/a").status_code == 200
    repositories.publish(name, public=False)
    assert host.http.get(f"/raw/{second}/main/a").status_code == 404


def test_creating_a_repository_that_is_there_changes_nothing(host: Host) -> None:
    repositories = host.platform.repositories
    name = repositories.create("acme", "made", public=False)
    assert repositories.create("acme", "made", public=True, parent="acme/other") == name
    assert (repositories.repository(name).public, repositories.repository(name).parent) == (False, None)


def test_a_fork_does_not_go_into_another_repository_of_that_name(host: Host) -> None:
    repositories = host.platform.repositories
    repositories.create("acme", "plans", public=False)
    repositories.import_tree("acme/plans", {"plan": b"secret"}, "one")
    repositories.create("mallory", "plans", public=True)
    with pytest.raises(Refused, match="not a fork of acme/plans") as refused:
        repositories.fork("acme/plans", "mallory")
    assert refused.value.status == 409
    assert repositories.refs("mallory/plans") == {}


def test_who_reads_a_repository_reads_its_forks_and_not_the_other_way_round(digests: Digests, host: Host) -> None:
    assert host.http.get(
        "/raw/mallory/closed/main/secret.py", headers=host.bearer(f"contents:read:{CLOSED}")
    ).is_success
    theirs = host.bearer("contents:write:mallory/closed")
    assert host.http.get("/raw/mallory/closed/main/secret.py", headers=theirs).is_success
    assert host.http.get(f"/raw/{CLOSED}/main/secret.py", headers=theirs).status_code == 404


def test_a_publisher_of_an_internal_repository_hides_the_project_before_the_first_upload(
    digests: Digests, host: Host
) -> None:
    index = host.registry.index
    index.add_publisher("closed-plans", Publisher("Acme/Closed", "release.yml"), owner="acme")
    assert "closed-plans" not in host.http.get("/simple/").text
    assert host.http.get("/simple/closed-plans/").status_code == 404


# -- actions and reusable workflows

CALLED = f"{CLOSED}/.github/workflows/x.yml@main"
CALLERS = [
    ("nobody", "", False, False),
    ("another owner", FOREIGN, False, False),
    ("an owner whose name begins alike", "acme-two/x", False, False),
    ("itself", CLOSED, False, True),
    ("the same owner", "acme/other", False, True),
    ("a fork's pull request to itself", CLOSED, True, False),
    ("a fork's pull request to the same owner", "acme/other", True, False),
    ("the fork itself", "mallory/closed", False, False),
]


@pytest.mark.parametrize(("caller", "fork", "resolves"), [row[1:] for row in CALLERS], ids=[row[0] for row in CALLERS])
def test_an_internal_workflow_is_there_for_its_owners_own_runs(
    digests: Digests, host: Host, caller: str, fork: bool, resolves: bool
) -> None:
    mirror: Mirror = host.platform.mirror.view_of(caller, fork=fork)
    own = host.platform.mirror.view_of(CLOSED).resolve(CALLED)
    text = f"jobs:\n  a:\n    uses: {CALLED}\n"
    if resolves:
        assert mirror.resolve(CALLED) == own
        assert [str(action) for action in mirror.closure({"x.yml": text})] == [CALLED]
        return
    for ask in (mirror.resolve, lambda _: mirror.export(own), lambda _: mirror.definition(own)):
        with pytest.raises(Refused, match=f"no such repository: '{CLOSED}'"):  # as for one that is not there
            ask(CALLED)
    with pytest.raises(ChainlabError, match="cannot be resolved"):
        mirror.closure({"x.yml": text})


def test_an_action_of_another_owner_reaches_no_internal_repository(digests: Digests, host: Host) -> None:
    text = f"runs:\n  using: composite\n  steps:\n    - uses: {CALLED}\n".encode()
    host.platform.repositories.import_tree(FOREIGN, {"action.yml": text}, "an action")
    mirror = host.platform.mirror.view_of(CLOSED)
    with pytest.raises(ChainlabError, match="cannot be resolved"):
        mirror.closure({"x.yml": f"jobs:\n  a:\n    steps:\n      - uses: {FOREIGN}@main\n"})


def test_each_job_reaches_what_it_names_itself(host: Host) -> None:
    text = """
jobs:
  one: &one
    steps: [{uses: acme/setup-ml-python@v2}]
  two: *one
  three:
    uses: ./.github/workflows/called.yml
  four:
    steps: [{run: "true"}]
"""
    called = "jobs:\n  x:\n    steps:\n      - uses: acme/changed-files@v3\n"
    reached = host.platform.mirror.reach(
        "x.yml", text, ["one", "two", "three", "four"], read={".github/workflows/called.yml": called}.get
    )
    names = {job: {str(action) for action in reach.actions} for job, reach in reached.items()}
    assert names["one"] == names["two"] > {"acme/setup-ml-python@v2", "acme/pip-cache@v1"}
    assert names["three"] == {"acme/changed-files@v3"}
    assert names["four"] == set()
    assert {job: reach.files for job, reach in reached.items() if reach.files} == {
        "three": [".github/workflows/called.yml"]
    }
