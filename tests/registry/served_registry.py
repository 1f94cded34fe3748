"""What a client of the OCI registry sends, made by hand so that a test can spoil it anywhere."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from chainlab.registry.app import routes
from chainlab.registry.registry import Registry
from chainlab.services import Server
from chainlab.trust.client import Trust

WHEELHOUSE = Path(__file__).parents[2] / ".cache" / "wheelhouse"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BYTES = "application/octet-stream"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ZERO = f"sha256:{'0' * 64}"
TITLE = "org.opencontainers.image.title"
GRANTS = {
    "alice": ["oci:push:acme", "oci:delete:acme", "channel:dev", "channel:staging"],
    "reader": ["oci:pull:acme"],
    "mallory": ["oci:push:mallory"],
    "deploy": ["channel:prod"],
    "security": ["channel:quarantine"],
}


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(data: bytes, media_type: str = BYTES, title: str = "") -> dict[str, Any]:
    entry: dict[str, Any] = {"mediaType": media_type, "digest": sha256(data), "size": len(data)}
    return entry | ({"annotations": {TITLE: title}} if title else {})


def image(*layers: bytes, config: bytes = b"{}", **more: Any) -> bytes:
    """A manifest over blobs that are pushed apart."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(layer) for layer in layers],
    }
    return json.dumps(document | more).encode()


def codes(answer: httpx.Response) -> list[str]:
    """The error codes of a refusal, whose shape is checked."""
    errors = answer.json()["errors"]
    assert all(set(error) == {"code", "message", "detail"} for error in errors)
    return [error["code"] for error in errors]


@contextmanager
def served(folder: Path) -> Iterator[tuple[Server, Registry]]:
    """An instance and a registry over the directory ``folder``, on one port."""
    trust = folder / "trust"
    trust.mkdir(mode=0o700, exist_ok=True)
    with (
        Registry(folder / "registry", trust / "state.db", upstream=WHEELHOUSE, trust=Trust(trust)) as registry,
        Server(trust, routes=lambda: routes(registry)) as server,
    ):
        yield server, registry


@dataclass
class ServedRegistry:
    """A served registry, and a client for each of those who use it."""

    server: Server
    registry: Registry
    secrets: Mapping[str, str]
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    @classmethod
    def of(cls, server: Server, registry: Registry) -> ServedRegistry:
        secrets = {subject: registry.credentials.issue(subject, grants) for subject, grants in GRANTS.items()}
        return cls(server, registry, secrets)

    @property
    def host(self) -> str:
        return self.server.url.removeprefix("http://")

    def as_(self, who: str) -> httpx.Client:
        """A client; ``nobody`` presents no credential."""
        if who not in self.clients:
            headers = {"Authorization": f"Bearer {self.secrets[who]}"} if who != "nobody" else {}
            self.clients[who] = httpx.Client(base_url=self.server.url, headers=headers, trust_env=False, timeout=30)
        return self.clients[who]

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    @property
    def alice(self) -> httpx.Client:
        return self.as_("alice")

    @property
    def nobody(self) -> httpx.Client:
        return self.as_("nobody")

    def name(self, owner: str = "acme") -> str:
        """A repository's name that no other test has."""
        return f"{owner}/r{secrets.token_hex(4)}"

    def blob(self, name: str, data: bytes, who: str = "alice") -> str:
        answer = self.as_(who).post(f"/v2/{name}/blobs/uploads/", params={"digest": sha256(data)}, content=data)
        assert answer.status_code == 201, answer.text
        return sha256(data)

    def put(
        self, name: str, reference: str, data: bytes, who: str = "alice", media_type: str = MANIFEST
    ) -> httpx.Response:
        return self.as_(who).put(
            f"/v2/{name}/manifests/{reference}", content=data, headers={"Content-Type": media_type}
        )

    def push(self, name: str, tag: str, *layers: bytes, **more: Any) -> str:
        """Blobs and manifest; gives the manifest's digest."""
        data = image(*layers, **more)
        for blob in (b"{}", *layers):
            self.blob(name, blob)
        answer = self.put(name, tag or sha256(data), data)
        assert answer.status_code == 201, answer.text
        return sha256(data)

    def refer(
        self,
        name: str,
        subject: str,
        artifact_type: str | None = BUNDLE,
        layers: Sequence[bytes] = (b"evidence",),
        **more: Any,
    ) -> str:
        about = {"mediaType": MANIFEST, "digest": subject, "size": 2}
        kind = {"artifactType": artifact_type} if artifact_type else {}
        return self.push(name, "", *layers, subject=about, **kind, **more)
