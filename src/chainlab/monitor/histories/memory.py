"""What services know when they write an event: the tag's old commit, the version before, the time since an answer.

The services compute these fields from their own tables; a made history has no tables, so `Memory` keeps the little
that is needed. A test writes the same acts to the real services and compares.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from chainlab.ci.git.refs import NO_COMMIT

__all__ = ["Memory"]

RECENT = 600  # seconds: `versions_in_10min`


class Memory:
    """Completes the data of events; call `complete` in the order of time."""

    def __init__(self) -> None:
        self._refs: dict[tuple[str, str], tuple[str, int]] = {}  # repository, ref → commit, since when
        self._projects: dict[str, _KnownProject] = {}
        self._tags: dict[tuple[str, str], str] = {}  # repository, tag → digest
        self._answers: dict[str, int] = {}  # part → last answer

    def complete(self, type: str, subject: str, second: int, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data with the computed fields of its type."""
        if type == "artifact.published":
            return self._image(subject, data) if data.get("project") is None else self._package(second, data)
        if type == "change.pushed":
            return self._push(subject, second, data)
        if type == "monitor.heartbeat":
            last = self._answers.setdefault(subject, second)
            if data["answered"]:
                self._answers[subject] = second
            return data | {"silent_s": 0 if data["answered"] else second - last}
        return data

    def _push(self, repository: str, second: int, data: dict[str, Any]) -> dict[str, Any]:
        ref, new = data["ref"], data["new"]
        old, since = self._refs.get((repository, ref), (NO_COMMIT, None))
        tag = ref.startswith("refs/tags/")
        computed = {
            "kind": "tag" if tag else "branch",
            "old": old,
            "moved": data.get("moved", tag and NO_COMMIT not in (old, new) and old != new),
            "age_s": None if since is None else second - since,
            "batch": data.get("batch", int(tag and old != NO_COMMIT)),
        }
        self._refs[repository, ref] = (new, second)
        return data | computed

    def _image(self, digest: str, data: dict[str, Any]) -> dict[str, Any]:
        if data.get("tag") is None:
            return data
        key = (data["repository"], data["tag"])
        before = self._tags.get(key)
        self._tags[key] = digest
        return data | {"tag_before": before, "tag_moved": before not in (None, digest)}

    def _package(self, second: int, data: dict[str, Any]) -> dict[str, Any]:
        project = self._projects.setdefault(data["project"], _KnownProject())
        before = project.before(data["version"])
        computed = project.compare(before, second, data)
        project.take(second, data)
        return data | computed


class _KnownVersion:
    def __init__(self, version: str, second: int) -> None:
        self.version, self.second = version, second
        self.attested: bool | None = None
        self.identity: str | None = None
        self.sizes: dict[str, int] = {}  # kind of file → bytes


class _KnownProject:
    """The two newest versions of a project, and when its latest versions came."""

    def __init__(self) -> None:
        self.newest: _KnownVersion | None = None
        self.older: _KnownVersion | None = None
        self.recent: deque[tuple[int, str]] = deque()

    def before(self, version: str) -> _KnownVersion | None:
        """Return the version before this one; another file of the newest version has the same one before it."""
        return self.older if self.newest and self.newest.version == version else self.newest

    def compare(self, before: _KnownVersion | None, second: int, data: dict[str, Any]) -> dict[str, Any]:
        while self.recent and second - self.recent[0][0] > RECENT:
            self.recent.popleft()
        versions = {version for _, version in self.recent} | {data["version"]}
        identity, size = data.get("identity"), data["size"]
        signed = before.identity if before else None
        size_before = before.sizes.get(_kind(data["file"])) if before else None
        ratio = round(size / size_before, 3) if size_before else None
        return {
            "attestation_lost": bool(before and before.attested and not data["attested"]),
            "identity_before": signed,
            "identity_changed": None if None in (identity, signed) else identity != signed,
            "since_last_s": second - before.second if before else None,
            "versions_in_10min": len(versions),
            "size_ratio": ratio,
        }

    def take(self, second: int, data: dict[str, Any]) -> None:
        self.recent.append((second, data["version"]))
        if self.newest is None or self.newest.version != data["version"]:
            self.older, self.newest = self.newest, _KnownVersion(data["version"], second)
        self.newest.attested = bool(data["attested"]) or bool(self.newest.attested)
        self.newest.identity = data.get("identity") or self.newest.identity
        self.newest.sizes[_kind(data["file"])] = data["size"]


def _kind(file: str) -> str:
    return "wheel" if file.endswith(".whl") else "sdist"
