"""The wheelhouse: third-party wheels, locked and fetched at set-up, served read-only beside our own projects.

Nothing is copied or cached: the first request to the index reads every wheel (0.17 s for 23 wheels of 104 MB).
Cooldown rules need the time at which a wheel was uploaded upstream; ``data/upstream.csv`` has it by SHA-256
(``data/upstream.py`` makes that file). A missing time is served as absent, never invented.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Mapping
from datetime import datetime
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from packaging.utils import parse_wheel_filename

from chainlab.clock import rfc3339
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused, Unavailable
from chainlab.registry.index.distributions import wheel_metadata
from chainlab.registry.index.models import IndexFile
from chainlab.workspace import course_root

__all__ = ["Upstream", "load_times"]

UPLOADER = "upstream"


class Upstream:
    """The wheels of one directory, by project; read again when the directory changes.

    ``times`` are upload times by digest; None reads the course's.
    """

    def __init__(self, directory: Path, times: Mapping[Digest, datetime] | None = None) -> None:
        self._directory = directory
        self._times = _course_times() if times is None else times
        self._guard = threading.Lock()
        self._stamp: int | None = None
        self._projects: dict[str, list[IndexFile]] = {}

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> Upstream:
        """Open the wheelhouse of a `description`."""
        times = {Digest.parse(d): datetime.fromisoformat(time) for d, time in description["times"].items()}
        return cls(Path(description["directory"]), times)

    @property
    def description(self) -> dict[str, Any]:
        """What another process needs to open the wheelhouse, as JSON."""
        times = {str(digest): rfc3339(time, "microseconds") for digest, time in self._times.items()}
        return {"directory": str(self._directory), "times": times}

    def projects(self) -> Mapping[str, list[IndexFile]]:
        """Map each normalised project name to its files."""
        with self._guard:
            try:
                stamp = self._directory.stat().st_mtime_ns
            except OSError:  # no wheelhouse: no upstream
                return {}
            if stamp != self._stamp:
                self._projects, self._stamp = self._scan(), stamp
            return self._projects

    def files(self, project: str) -> list[IndexFile]:
        """List the files of a project; empty when the wheelhouse has none."""
        return list(self.projects().get(project, ()))

    def path(self, file: IndexFile) -> Path:
        """Return where a file's bytes are."""
        return self._directory / file.filename

    def _scan(self) -> dict[str, list[IndexFile]]:
        projects: dict[str, list[IndexFile]] = {}
        for path in sorted(self._directory.glob("*.whl")):
            try:
                file = self._file(path)
            except (ValueError, OSError, Refused):
                continue  # not a readable wheel: it is not offered
            projects.setdefault(file.project, []).append(file)
        return projects

    def _file(self, path: Path) -> IndexFile:
        project, version, _, _ = parse_wheel_filename(path.name)
        metadata = wheel_metadata(path)
        digest = Digest.of_file(path)
        return IndexFile(
            filename=path.name,
            project=str(project),
            version=str(version),
            kind="bdist_wheel",
            digest=digest,
            size=path.stat().st_size,
            uploaded=self._times.get(digest),
            requires_python=BytesHeaderParser().parsebytes(metadata).get("Requires-Python"),
            metadata=Digest.of(metadata),
            uploader=UPLOADER,
            upstream=True,
        )


def load_times(path: Path) -> dict[Digest, datetime]:
    """Read upload times by digest from ``data/upstream.csv``; rows without a time are left out.

    A missing file gives none. Raises `MalformedInput` for a file that cannot be read.
    """
    times = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["upload_time"]:
                    time = datetime.fromisoformat(row["upload_time"])
                    if time.tzinfo is None:
                        raise ValueError(f"a time without a zone: {row['upload_time']!r}")
                    times[Digest.parse(f"sha256:{row['sha256']}")] = time
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MalformedInput(f"{path.name} cannot be read: {error}") from error
    return times


def _course_times() -> Mapping[Digest, datetime]:
    try:
        return load_times(course_root() / "data" / "upstream.csv")
    except Unavailable:  # the package is installed without the course
        return {}
