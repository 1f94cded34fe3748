"""The wheelhouse: third-party wheels, locked and fetched at set-up, served read-only beside our own projects.

Nothing is copied. What the index must know of each wheel is kept in ``DIRECTORY/.index.json``, by size and time of
change, so that opening costs a few milliseconds:

    {"build-1.6.1-py3-none-any.whl": {"size": 25953, "mtime": 1764…, "sha256": "…", "metadata": "…"}}

When a wheel was uploaded upstream, which cooldown rules ask, is in ``data/upstream.csv`` by SHA-256
(``data/upstream.py`` makes it). A time that is not there is unknown and served as absent, never made up.
"""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused, Unavailable
from chainlab.registry.distributions import wheel_metadata
from chainlab.registry.index_files import IndexFile
from chainlab.storage import write_whole
from chainlab.workspace import course_root

__all__ = ["Upstream", "load_times"]

CACHE = ".index.json"
UPLOADER = "upstream"


class Upstream:
    """The wheels of one directory, by project; read again when the directory changes.

    ``times`` are upload times by digest; None takes those of the course.
    """

    def __init__(self, directory: Path, times: Mapping[Digest, datetime] | None = None) -> None:
        self._directory = directory
        self._times = _course_times() if times is None else times
        self._guard = threading.Lock()
        self._stamp: int | None = None
        self._projects: dict[str, list[IndexFile]] = {}

    def projects(self) -> Mapping[str, list[IndexFile]]:
        """The files of each project, by normalised name."""
        with self._guard:
            try:
                stamp = self._directory.stat().st_mtime_ns
            except OSError:  # no wheelhouse: no upstream
                return {}
            if stamp != self._stamp:
                self._projects = self._scan()
                # Writing the cache touched the directory: what it says now is what was scanned.
                self._stamp = self._directory.stat().st_mtime_ns
            return self._projects

    def files(self, project: str) -> list[IndexFile]:
        """The files of a project; none when it is not here."""
        return list(self.projects().get(project, ()))

    def path(self, file: IndexFile) -> Path:
        """Where its bytes are."""
        return self._directory / file.filename

    def _scan(self) -> dict[str, list[IndexFile]]:
        known = self._remembered()
        entries: dict[str, dict[str, Any]] = {}
        found: dict[str, list[IndexFile]] = {}
        for path in sorted(self._directory.glob("*.whl")):
            try:
                project, version, _, _ = parse_wheel_filename(path.name)
                status = path.stat()
                entry = known.get(path.name, {})
                if (entry.get("size"), entry.get("mtime")) != (status.st_size, status.st_mtime_ns):
                    entry = _describe(path, status)
                file = self._file(path.name, str(project), str(version), entry)
            except (InvalidWheelFilename, OSError, Refused, MalformedInput, KeyError, TypeError):
                continue  # no wheel, or one that cannot be read: it is not offered
            entries[path.name] = entry
            found.setdefault(str(project), []).append(file)
        if entries != known:
            with suppress(OSError):  # a wheelhouse that may not be written is read again each time
                write_whole(self._directory / CACHE, json.dumps(entries, indent=1))
        return found

    def _remembered(self) -> dict[str, dict[str, Any]]:
        try:
            entries = json.loads((self._directory / CACHE).read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        good = isinstance(entries, dict) and all(isinstance(e, dict) for e in entries.values())
        return entries if good else {}

    def _file(self, name: str, project: str, version: str, entry: Mapping[str, Any]) -> IndexFile:
        digest = Digest.parse(f"sha256:{entry['sha256']}")
        return IndexFile(
            filename=name,
            project=project,
            version=version,
            kind="bdist_wheel",
            digest=digest,
            size=int(entry["size"]),
            uploaded=self._times.get(digest),
            requires_python=entry["requires_python"],
            metadata=Digest.parse(f"sha256:{entry['metadata']}"),
            uploader=UPLOADER,
            upstream=True,
        )


def load_times(path: Path) -> dict[Digest, datetime]:
    """Upload times by digest from ``data/upstream.csv``; rows without a time are left out.

    Raises `MalformedInput` for a file that is there and cannot be read.
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


def _describe(path: Path, status: os.stat_result) -> dict[str, Any]:
    metadata = wheel_metadata(path)
    return {
        "size": status.st_size,
        "mtime": status.st_mtime_ns,
        "sha256": Digest.of_file(path).value.hex(),
        "metadata": Digest.of(metadata).value.hex(),
        "requires_python": BytesHeaderParser().parsebytes(metadata).get("Requires-Python"),
    }
