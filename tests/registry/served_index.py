"""A package index to test: wheels made by hand, a running server, credentials, and clients' surroundings."""

from __future__ import annotations

import base64
import hashlib
import io
import ipaddress
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from chainlab import database
from chainlab.credentials import Credential, Credentials
from chainlab.digests import Digest
from chainlab.events import Events
from chainlab.protocol import ProtocolRoute
from chainlab.registry.blobs import Blobs
from chainlab.registry.index.app import index_app
from chainlab.registry.index.package_index import PackageIndex
from chainlab.registry.index.publishers import TrustSource
from chainlab.registry.index.upstream import Upstream
from chainlab.trust.keys import pem

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / ".cache" / "wheelhouse"
BIN = Path(sys.executable).parent
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
HTML = {"Accept": "text/html"}
REPOSITORY = "acme/triage-model"
JOB_REF = f"{REPOSITORY}/.github/workflows/release.yml@refs/tags/v1.0.0"
CLAIMS = {  # of a release job, with GitHub's names
    "sub": f"repo:{REPOSITORY}:environment:release",
    "repository": REPOSITORY,
    "repository_owner": "acme",
    "ref": "refs/tags/v1.0.0",
    "sha": "0123456789abcdef0123456789abcdef01234567",
    "workflow_ref": JOB_REF,
    "job_workflow_ref": JOB_REF,
    "job_workflow_sha": "0123456789abcdef0123456789abcdef01234567",
    "event_name": "push",
    "environment": "release",
    "run_id": "12",
    "run_attempt": "1",
    "runner_environment": "self-hosted",
}
Run = Callable[..., subprocess.CompletedProcess[str]]


# -- distributions


def metadata(name: str, version: str, **more: str | list[str]) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    for key, value in more.items():
        values = [value] if isinstance(value, str) else value
        lines += [f"{key.replace('_', '-')}: {line}" for line in values]
    return ("\n".join(lines) + "\n").encode()


def record_line(name: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def wheel_files(
    name: str = "triage-model",
    version: str = "1.0.0",
    code: bytes = b"ANSWER = 42\n",
    **more: str | list[str],
) -> dict[str, bytes]:
    """The members of a wheel, without RECORD."""
    package = name.replace("-", "_").lower()
    info = f"{package}-{version}.dist-info"
    return {
        f"{package}/__init__.py": code,
        f"{info}/METADATA": metadata(name, version, **more),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }


def pack(files: Mapping[str, bytes], *, record: bytes | None = None) -> bytes:
    """A wheel's bytes; the same for the same files."""
    info = next(name.split("/")[0] for name in files if ".dist-info/" in name)
    if record is None:
        own = f"{info}/RECORD,,\n"
        record = ("".join(record_line(n, d) for n, d in files.items()) + own).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in [*files.items(), (f"{info}/RECORD", record)]:
            info_of = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            archive.writestr(info_of, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def wheel(folder: Path, name: str = "triage-model", version: str = "1.0.0", **more: Any) -> Path:
    """A wheel on the disk."""
    path = folder / f"{name.replace('-', '_').lower()}-{version}-py3-none-any.whl"
    path.write_bytes(pack(wheel_files(name, version, **more)))
    return path


def sdist_bytes(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def sdist(folder: Path, name: str = "triage-model", version: str = "1.0.0", **more: str | list[str]) -> Path:
    top = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{top}.tar.gz"
    files = {f"{top}/PKG-INFO": metadata(name, version, **more), f"{top}/pyproject.toml": b""}
    path.write_bytes(sdist_bytes(files))
    return path


# -- a running index


@dataclass
class ServedIndex:
    """An index, its server, and what a client needs."""

    index: PackageIndex
    events: Events
    url: str
    http: httpx.Client
    folder: Path

    def secret(self, *grants: str, subject: str = "acme") -> str:
        return self.index.credentials.issue(subject, grants)

    def credential(self, *grants: str, subject: str = "acme") -> Credential:
        credential = self.index.credentials.check(self.secret(*grants, subject=subject))
        assert credential is not None
        return credential

    def publish(self, path: Path, *, subject: str = "acme") -> None:
        self.index.publish(path, by=self.credential("packages:upload:*", subject=subject))

    def post(
        self,
        filename: str,
        data: bytes,
        *,
        secret: str | None = None,
        form: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """An upload as twine would send it."""
        kind = "sdist" if filename.endswith(".gz") else "bdist_wheel"
        parts = filename.removesuffix(".tar.gz").split("-")
        fields = {
            ":action": "file_upload",
            "protocol_version": "1",
            "name": parts[0],
            "version": parts[1] if len(parts) > 1 else "",
            "filetype": kind,
            "sha256_digest": hashlib.sha256(data).hexdigest(),
            **(form or {}),
        }
        secret = self.secret("packages:upload:*") if secret is None else secret
        return self.http.request(
            "POST",
            "/legacy/",
            data=fields,
            files={"content": (filename, data, "application/octet-stream")},
            auth=("__token__", secret) if secret else None,
        )

    def page(self, name: str) -> dict[str, Any]:
        answer = self.http.get(f"/simple/{name}/", headers=JSON)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def kinds(self) -> list[str]:
        kinds = [event.type.removeprefix("dev.chainlab.") for event in self.events.read()]
        return [kind.rpartition(".")[2] for kind in kinds if not kind.startswith("token.")]

    def leftovers(self) -> list[Path]:
        return list((self.folder / "blobs" / "staging").iterdir())


def listener() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    return listening


def open_index(
    folder: Path, *, upstream: Upstream | None = None, trust: TrustSource | None = None
) -> tuple[PackageIndex, Events]:
    connection = database.connect(folder / "state.db")
    events = Events(connection)
    blobs = Blobs(folder / "blobs")
    credentials = Credentials(connection)
    return PackageIndex(connection, blobs, credentials, events, upstream=upstream, trust=trust), events


def serve(routes: list[BaseRoute], bound: socket.socket, *, certificate: Path | None = None) -> Callable[[], None]:
    """Serve in a thread as `services` does, by TLS with a certificate; returns what ends it."""
    config = uvicorn.Config(
        Starlette(routes=routes),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=certificate,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.001)

    def end() -> None:
        server.should_exit = True
        thread.join(10)
        bound.close()

    return end


def serve_index(folder: Path, **parts: Any) -> Generator[ServedIndex]:
    folder.mkdir(parents=True, exist_ok=True)
    index, events = open_index(folder, **parts)
    bound = listener()
    end = serve([ProtocolRoute(index_app(index))], bound)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
        yield ServedIndex(index, events, url, http, folder)
    end()
    index._connection.close()


def self_signed(path: Path) -> Path:
    """A key and a certificate for 127.0.0.1, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_text(pem(key) + pem(certificate))
    return path


def digest_of(path: Path) -> Digest:
    return Digest.of_file(path)
