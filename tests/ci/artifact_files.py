"""Artifacts as files in memory: put there without a job, and read back."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from chainlab.ci.services.artifacts import Artifacts


def keep(
    artifacts: Artifacts, run: int | str, name: str, files: Mapping[str, bytes], *, who: str, overwrite: bool = False
) -> None:
    """Keep files as an artifact of a run."""
    with artifacts.stage() as staged:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path, data in sorted(files.items()):
                member = tarfile.TarInfo(path)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        staged.write(packed.getvalue())
        artifacts.save(run, name, staged, who=who, overwrite=overwrite)


def unpack(artifacts: Artifacts, run: int | str, name: str) -> dict[str, bytes]:
    """The files of an artifact by path."""
    with tarfile.open(artifacts.path(artifacts.get(run, name)), mode="r:") as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        return {str(PurePosixPath(m.name)): file.read() for m in members if (file := tar.extractfile(m))}  # no './'
