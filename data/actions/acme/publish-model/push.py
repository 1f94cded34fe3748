"""Pushes a model as an OCI artifact, then a Sigstore bundle over its manifest as a referrer.

The manifest names the model's digest, so a signature of the manifest covers the model. Everything
comes from the environment: MODEL (file), NAME, TAG, TOKEN, and the job's own variables.
"""

import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from oras.container import Container
from oras.provider import Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
MODEL = "application/vnd.acme.model.onnx"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def push(registry: Registry, where: str, tag: str, **parts: object) -> tuple[bytes, dict]:
    """Put a manifest under a tag, or under its digest if that is empty; its bytes and descriptor."""
    content = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **parts}).encode()
    digest = f"sha256:{sha256(content).hexdigest()}"
    container = Container(f"{where}:{tag}" if tag else f"{where}@{digest}")
    url = f"{registry.prefix}://{container.manifest_url()}"
    answer = registry.do_request(url, "PUT", data=content, headers={"Content-Type": MANIFEST})
    if answer.status_code != 201:
        sys.exit(f"the registry refused the manifest: {answer.status_code} {answer.text[:300]}")
    return content, {"mediaType": MANIFEST, "digest": digest, "size": len(content)}


def upload(registry: Registry, container: Container, file: Path, media_type: str) -> dict:
    """Put a file as a blob; its descriptor."""
    content = file.read_bytes()
    digest = f"sha256:{sha256(content).hexdigest()}"
    layer = {"mediaType": media_type, "digest": digest, "size": len(content)}
    answer = registry.upload_blob(str(file), container, layer)
    if answer.status_code not in (200, 201):
        sys.exit(f"the registry refused {file.name}: {answer.status_code} {answer.text[:300]}")
    return layer


def main() -> None:
    """Push, sign, attach."""
    model, name = Path(os.environ["MODEL"]), os.environ["NAME"]
    scheme, _, host = os.environ["CHAINLAB_URL"].partition("://")
    registry = Registry(host, insecure=scheme == "http", auth_backend="basic")
    registry.auth.set_basic_auth("token", os.environ["TOKEN"])
    where = f"{host}/{os.environ['GITHUB_REPOSITORY'].lower()}/{name}"
    container = Container(where)
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty.json")
        empty.write_text("{}")
        config = upload(registry, container, empty, EMPTY)
        layer = upload(registry, container, model, MODEL)
        title = {"org.opencontainers.image.title": model.name}
        content, subject = push(
            registry,
            where,
            os.environ["TAG"],
            artifactType=MODEL,
            config=config,
            layers=[{**layer, "annotations": title}],
            annotations={
                "org.opencontainers.image.revision": os.environ["GITHUB_SHA"],
                "org.opencontainers.image.version": os.environ["TAG"],
            },
        )
        manifest, bundle = Path(folder, "manifest.json"), Path(folder, "bundle.json")
        manifest.write_bytes(content)
        trust = ["--trust-config", os.environ["CHAINLAB_TRUST_CONFIG"]]
        words = ["sigstore", *trust, "sign", "--bundle", str(bundle), str(manifest)]
        subprocess.run(words, check=True, stdout=sys.stderr)
        signature = upload(registry, container, bundle, BUNDLE)
        push(
            registry,
            where,
            "",
            artifactType=BUNDLE,
            config=config,
            layers=[signature],
            subject=subject,
        )
    print(f"{where}@{subject['digest']}", f"signature {signature['digest']}", sep="\n")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        outputs.write(f"digest={subject['digest']}\n")


if __name__ == "__main__":
    main()
