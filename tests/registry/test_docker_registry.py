"""Beside Debian's docker-registry 2.8, which may take our place: the same client does the same to both."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import oras.client
import pytest
from served_registry import MANIFEST, ServedRegistry, codes, image, sha256

REPORT = Path(__file__).parents[2] / ".cache" / "docker-registry.json"
MODEL = b"weights of a small model" * 1000
CONFIG = """\
version: 0.1
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
log: {{level: error, accesslog: {{disabled: true}}}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a docker-registry."""
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    if not report.get("path"):
        pytest.skip(report.get("reason") or "not set up: run `make test`, or tests/setup/registry.py")
    folder, port = tmp_path_factory.mktemp("docker-registry"), free_port()
    config = folder / "config.yml"
    config.write_text(CONFIG.format(root=folder / "data", port=port))
    with subprocess.Popen(
        [report["path"], "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    httpx.get(f"http://127.0.0.1:{port}/v2/", trust_env=False)
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(params=["ours", "theirs"])
def host(request: pytest.FixtureRequest, shared: ServedRegistry, theirs: str) -> str:
    return shared.host if request.param == "ours" else theirs


@pytest.fixture
def http(host: str, shared: ServedRegistry) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {shared.secrets['alice']}"} if host == shared.host else {}
    with httpx.Client(base_url=f"http://{host}", headers=headers, trust_env=False) as client:
        yield client


def push(http: httpx.Client, name: str, tag: str, data: bytes, *layers: bytes) -> httpx.Response:
    for blob in (b"{}", *layers):
        where = http.post(f"/v2/{name}/blobs/uploads/").headers["Location"]
        parameters = dict(httpx.URL(where).params) | {"digest": sha256(blob)}
        assert http.put(where, params=parameters, content=blob).status_code == 201
    return http.put(f"/v2/{name}/manifests/{tag}", content=data, headers={"Content-Type": MANIFEST})


@pytest.mark.clients("docker-registry")
@pytest.mark.parametrize("chunked", [False, True])
def test_oras_round_trip(
    host: str, shared: ServedRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("model.onnx").write_bytes(MODEL)
    client = oras.client.OrasClient(hostname=host, insecure=True)
    if host == shared.host:
        client.auth.set_basic_auth("alice", shared.secrets["alice"])
    target = f"{host}/acme/docker{int(chunked)}"
    for tag in ("v1", "v2"):
        client.push(f"{target}:{tag}", files=["model.onnx"], do_chunked=chunked, chunk_size=5000)
    (pulled,) = client.pull(f"{target}:v1", outdir=str(tmp_path / "out"))
    assert Path(pulled).read_bytes() == MODEL
    assert sorted(client.get_tags(target)) == ["v1", "v2"]
    client.session.close()


@pytest.mark.clients("docker-registry")
def test_the_same_requests_get_the_same_answers(http: httpx.Client) -> None:
    name, data = "acme/docker-same", image(MODEL)
    pushed = push(http, name, "v1", data, MODEL)
    assert pushed.status_code == 201
    assert pushed.headers["Docker-Content-Digest"] == sha256(data)
    manifest = http.get(f"/v2/{name}/manifests/v1", headers={"Accept": MANIFEST})
    assert (manifest.content, manifest.headers["Content-Type"]) == (data, MANIFEST)
    part = http.get(f"/v2/{name}/blobs/{sha256(MODEL)}", headers={"Range": "bytes=3-7"})
    assert (part.status_code, part.content) == (206, MODEL[3:8])
    assert http.get(f"/v2/{name}/tags/list").json() == {"name": name, "tags": ["v1"]}
    mount = {"mount": sha256(MODEL), "from": name}
    assert http.post(f"/v2/{name}-copy/blobs/uploads/", params=mount).status_code == 201
    for path, code in (
        ("manifests/none", "MANIFEST_UNKNOWN"),
        (f"blobs/{sha256(b'none')}", "BLOB_UNKNOWN"),
        ("blobs/sha256:none", "DIGEST_INVALID"),
    ):
        answer = http.get(f"/v2/{name}/{path}")
        assert answer.status_code == (400 if code == "DIGEST_INVALID" else 404)
        assert answer.json()["errors"][0]["code"] == code
    assert http.delete(f"/v2/{name}/manifests/{sha256(data)}").status_code == 202
    assert http.get(f"/v2/{name}/manifests/v1").status_code == 404


@pytest.mark.clients("docker-registry")
def test_both_take_a_subject_but_only_ours_lists_referrers(
    http: httpx.Client, host: str, shared: ServedRegistry
) -> None:
    name, data = "acme/docker-referrers", image(MODEL)
    push(http, name, "v1", data, MODEL)
    about = {"mediaType": MANIFEST, "digest": sha256(data), "size": len(data)}
    referrer = image(b"evidence", subject=about)
    answer = push(http, name, "sig", referrer, b"evidence")
    assert answer.status_code == 201
    listing = http.get(f"/v2/{name}/referrers/{sha256(data)}")
    if host == shared.host:
        assert answer.headers["OCI-Subject"] == sha256(data)
        assert [entry["digest"] for entry in listing.json()["manifests"]] == [sha256(referrer)]
    else:
        assert "OCI-Subject" not in answer.headers  # so a client keeps a list by tag instead
        assert listing.status_code == 404


@pytest.mark.clients("docker-registry")
def test_only_ours_asks_for_a_credential_by_itself(shared: ServedRegistry, theirs: str) -> None:
    assert codes(shared.nobody.post("/v2/acme/x/blobs/uploads/")) == ["UNAUTHORIZED"]
    answer = httpx.post(f"http://{theirs}/v2/acme/x/blobs/uploads/", trust_env=False)
    assert answer.status_code == 202
