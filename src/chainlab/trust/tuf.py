"""The TUF repository, which brings the trusted root to clients that only know its first ``root.json``.

A learner enrols its fingerprint, the SHA-256 of ``root.json``. Everything else may change and is signed by the keys
that ``root.json`` names. Source: TUF specification 1.0.34.
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
from chainlab.trust.lifetimes import TUF_DAYS, TUF_RENEWAL_DAYS, TUF_ROOT_DAYS

__all__ = ["fingerprint", "publish"]


def fingerprint(directory: Path) -> Digest:
    """Return the SHA-256 of ``root.json``, as ``sha256sum`` prints it. Raises `Unavailable` without one."""
    try:
        return Digest.of_file(directory / "root.json")
    except OSError as error:
        raise Unavailable(f"no root.json in {directory}", why=str(error)) from error


def publish(directory: Path, targets: dict[str, bytes], key: ec.EllipticCurvePrivateKey, now: datetime) -> None:
    """Publish ``targets`` under ``directory``, as a new version only when something changed.

    The first root never changes. A file appears before the metadata that refers to it, so a client that reads
    meanwhile sees either the old repository or the new one.
    """
    digests = {name: str(Digest.of(data)) for name, data in targets.items()}
    state = directory / "published.json"  # ours, not TUF's: a summary of the current metadata
    # From the files: a version that was interrupted may have been fetched, so its number is never used again.
    newest = max((int(p.name.split(".")[0]) for p in directory.glob("*.targets.json")), default=0)
    _restore_root(directory, published=newest > 0)
    try:
        published = json.loads(state.read_text())
        renewal = datetime.fromisoformat(published["expires"]) - timedelta(days=TUF_RENEWAL_DAYS)
        if published["digests"] == digests and now < renewal:
            return
    except (OSError, ValueError, KeyError, TypeError):  # missing or damaged: publish again
        pass
    version = newest + 1
    expires = (now + timedelta(days=TUF_DAYS)).replace(microsecond=0)
    _write(directory, targets, key, now, expires, version)
    write_whole(
        state,
        json.dumps({"version": version, "expires": expires.isoformat(), "digests": digests}).encode(),
    )


def _restore_root(directory: Path, *, published: bool) -> None:
    """Restore the first root from its other copy. Raises `Unavailable` when neither copy is valid."""
    copies = [directory / "root.json", directory / "1.root.json"]
    roots = [path.read_bytes() for path in copies if path.exists()]
    if (len(roots) == 2 and roots[0] == roots[1]) or not (roots or published):
        return
    valid = [data for data in roots if _is_root(data)]
    if len(set(valid)) != 1:
        raise Unavailable(
            f"the first root in {directory} is lost or damaged",
            why="clients that enrolled its fingerprint would refuse another one",
            hint="restore root.json from a copy",
        )
    for path in copies:
        write_whole(path, valid[0], durable=True)


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
    # Imported here: it takes half of the instance's start, and most starts publish nothing.
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
        root = Root(expires=(now + timedelta(days=TUF_ROOT_DAYS)).replace(microsecond=0), consistent_snapshot=True)
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
