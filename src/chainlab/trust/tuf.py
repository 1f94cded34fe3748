"""The TUF repository: hands the trusted root to clients that know its first ``root.json`` alone.

Its fingerprint, the SHA-256 of ``root.json``, is what a learner enrols: everything else is signed
by the keys that this file names, and may change. Source: TUF specification 1.0.34.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from chainlab.digests import Digest
from chainlab.errors import Unavailable
from chainlab.storage import write_whole

__all__ = ["fingerprint", "publish"]

ROOT_LIFETIME = timedelta(days=3650)
LIFETIME = timedelta(days=365)  # of the other roles
RENEW_BEFORE = timedelta(days=30)  # of their end


def fingerprint(directory: Path) -> Digest:
    """SHA-256 of ``root.json``, as ``sha256sum`` prints it. Raises `Unavailable` without one."""
    try:
        return Digest.of_file(directory / "root.json")
    except OSError as error:
        raise Unavailable(f"no root.json in {directory}", why=str(error)) from error


def publish(directory: Path, targets: dict[str, bytes], key: ec.EllipticCurvePrivateKey, now: datetime) -> None:
    """Offer ``targets`` under ``directory``; a new version only where something changed.

    The first root stays as it is for ever. Files appear before what refers to them, so that a
    client which reads meanwhile sees the old repository or the new one, never a mixture.
    """
    digests = {name: str(Digest.of(data)) for name, data in targets.items()}
    state = directory / "published.json"  # ours, not TUF's: what the metadata says at present
    # By the files: a version that was cut short, and may have been fetched, is never made again.
    newest = max((int(p.name.split(".")[0]) for p in directory.glob("*.targets.json")), default=0)
    _keep_root(directory, begun=newest > 0)
    try:
        published = json.loads(state.read_text())
        renewal = datetime.fromisoformat(published["expires"]) - RENEW_BEFORE
        if published["digests"] == digests and now < renewal:
            return
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: publish anew
        pass
    version = newest + 1
    expires = (now + LIFETIME).replace(microsecond=0)
    _write(directory, targets, key, now, expires, version)
    write_whole(
        state,
        json.dumps({"version": version, "expires": expires.isoformat(), "digests": digests}).encode(),
    )


def _keep_root(directory: Path, *, begun: bool) -> None:
    """Put the first root back from its other copy. Raises `Unavailable` when neither is good."""
    copies = [directory / "root.json", directory / "1.root.json"]
    found = [path.read_bytes() for path in copies if path.exists()]
    if (len(found) == 2 and found[0] == found[1]) or not (found or begun):
        return
    good = [data for data in found if _is_root(data)]
    if len(set(good)) != 1:
        raise Unavailable(
            f"the first root in {directory} is lost or damaged",
            why="clients that enrolled its fingerprint would refuse another one",
            hint="restore root.json from a copy",
        )
    for path in copies:
        write_whole(path, good[0], durable=True)


def _is_root(data: bytes) -> bool:
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    try:
        root = Metadata[Root].from_bytes(data)
        root.signed.verify_delegate("root", root.signed_bytes, root.signatures)
    except (RepositoryError, ValueError, AttributeError):
        return False
    return True


def _write(
    directory: Path,
    targets: dict[str, bytes],
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    expires: datetime,
    version: int,
) -> None:
    # Imported here: half of the instance's start would go into it, and most starts publish nothing.
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import (
        Metadata,
        MetaFile,
        Root,
        Snapshot,
        TargetFile,
        Targets,
        Timestamp,
    )
    from tuf.api.serialization.json import JSONSerializer

    signer = CryptoSigner(key)
    (directory / "targets").mkdir(parents=True, exist_ok=True)

    def sign(role: Any) -> bytes:
        metadata = Metadata(role)
        metadata.sign(signer)
        data: bytes = metadata.to_bytes(JSONSerializer(compact=True, validate=True))
        return data

    if not (directory / "root.json").exists():
        root = Root(expires=(now + ROOT_LIFETIME).replace(microsecond=0), consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            root.add_key(signer.public_key, role)
        first = sign(root)
        write_whole(directory / "1.root.json", first, durable=True)
        write_whole(directory / "root.json", first, durable=True)

    listed = {name: TargetFile.from_data(name, data, ["sha256"]) for name, data in targets.items()}
    for name, data in targets.items():
        write_whole(directory / "targets" / f"{listed[name].hashes['sha256']}.{name}", data)
    write_whole(
        directory / f"{version}.targets.json",
        sign(Targets(version, expires=expires, targets=listed)),
    )
    snapshot = Snapshot(version, expires=expires, meta={"targets.json": MetaFile(version)})
    write_whole(directory / f"{version}.snapshot.json", sign(snapshot))
    timestamp = Timestamp(version, expires=expires, snapshot_meta=MetaFile(version))
    write_whole(directory / "timestamp.json", sign(timestamp))
