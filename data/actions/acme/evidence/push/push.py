"""Push FILES as one OCI artifact NAME:TAG, then every bundle about them and about ABOUT as a referrer of its manifest.

The bundles are the stages' own beside the files, each verified once more, and the platform's provenance of each file,
as the registry has it. Another bundle that a job laid beside them stays here.
"""

import json
import os
import sys
from hashlib import sha256
from pathlib import Path

import requests

from chainlab.ci.runs.handover import Handover
from chainlab.digests import Digest
from chainlab.errors import ChainlabError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
RELEASE = "application/vnd.acme.release.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
FILE = "application/octet-stream"
SECONDS = 60  # for one request


class Repository:
    """One repository of the registry, as a client of OCI distribution 1.1 pushes to it."""

    def __init__(self, url: str, name: str, token: str) -> None:
        self.url = f"{url}/v2/{name}"
        self.session = requests.Session()
        self.session.auth = ("token", token)

    def blob(self, content: bytes, media_type: str) -> dict[str, object]:
        """Upload in one request; its descriptor."""
        digest = f"sha256:{sha256(content).hexdigest()}"
        answer = self.session.post(
            f"{self.url}/blobs/uploads/",
            params={"digest": digest},
            data=content,
            headers={"Content-Type": "application/octet-stream"},
            timeout=SECONDS,
        )
        self.require(answer, "a file")
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def manifest(self, document: dict[str, object], tag: str = "") -> dict[str, object]:
        """Put a manifest under a tag, or under its digest; its descriptor."""
        content = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **document}).encode()
        digest = f"sha256:{sha256(content).hexdigest()}"
        answer = self.session.put(
            f"{self.url}/manifests/{tag or digest}",
            data=content,
            headers={"Content-Type": MANIFEST},
            timeout=SECONDS,
        )
        self.require(answer, "the manifest")
        return {"mediaType": MANIFEST, "digest": digest, "size": len(content)}

    @staticmethod
    def require(answer: requests.Response, what: str) -> None:
        """Stop unless it was created."""
        if answer.status_code != 201:
            sys.exit(f"the registry refused {what}: {answer.status_code} {answer.text[:300]}")


def main() -> None:
    """Push the artifact, then what vouches for it."""
    handover = Handover.of_job(os.environ)
    files = [Path(name) for name in os.environ["FILES"].split()]
    for file in files:
        if file.is_symlink() or not file.is_file():
            sys.exit(f"refused: {file} is no plain file")  # a link may lead to this job's secrets
    name = f"{handover.repository.lower()}/{os.environ['NAME']}"
    repository = Repository(handover.url, name, os.environ["TOKEN"])
    empty = repository.blob(b"{}", EMPTY)
    layers, bundles = [], {}
    for file in files:
        layer = repository.blob(file.read_bytes(), FILE)
        title = {"org.opencontainers.image.title": file.name}
        layers.append({**layer, "annotations": title})
    for file in [*files, *map(Path, os.environ["ABOUT"].split())]:
        for bundle in [*handover.beside(file), *handover.bundles(Digest.of_file(file))]:
            bundles[sha256(bundle).hexdigest()] = bundle
    subject = repository.manifest(
        {
            "artifactType": RELEASE,
            "config": empty,
            "layers": layers,
            "annotations": {
                "org.opencontainers.image.revision": handover.commit,
                "org.opencontainers.image.source": handover.expected("package").source,
                "org.opencontainers.image.version": os.environ["TAG"],
            },
        },
        os.environ["TAG"],
    )
    for bundle in bundles.values():
        said = repository.blob(bundle, BUNDLE)
        repository.manifest(
            {"artifactType": BUNDLE, "config": empty, "layers": [said], "subject": subject}
        )
    reference = f"oci/{name}@{subject['digest']}"
    print(reference, f"{len(layers)} files, {len(bundles)} bundles", sep="\n")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        outputs.write(f"reference={reference}\n")


try:
    main()
except ChainlabError as error:
    sys.exit(f"refused: {error}")
