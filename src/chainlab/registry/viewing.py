"""What somebody who reads the registry sees: one answer for every way to read it.

    viewer = Viewer(images, index, caller)          # None: anybody; `OPERATOR`: whoever holds the state directory
    viewer.package("acme/triage-model/release")     # an OCI repository
    viewer.project("triage-model")                  # a project of the index
    viewer.standing(digest)                         # what it knows of a digest

A digest is known to who sees a place that holds it. What is said about a digest follows the places: of what a job of
a repository said, those that belong to the repository count, and of what anybody else said, all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.registry.channels import ChannelArtifact
from chainlab.registry.index.package_index import PackageIndex
from chainlab.registry.oci.images import Images
from chainlab.visibility import EVIDENCE, PACKAGES, has_right

__all__ = ["Standing", "Viewer", "repository_of"]

JOB = re.compile(r"([a-z0-9._-]+/[a-z0-9._-]+)/runs/[0-9]+/jobs/.+")  # the subject of a job's credentials


@dataclass(frozen=True)
class Standing:
    """Where a digest is, and of which of these places somebody knows."""

    seen: frozenset[str]  # 'oci/acme/triage-model/release', 'package/triage-model'
    hidden: frozenset[str]

    @property
    def known(self) -> bool:
        """Whether a place that holds the digest is seen."""
        return bool(self.seen)

    @property
    def nowhere(self) -> bool:
        """Whether nothing holds the digest, nor held it when something was said about it."""
        return not self.seen and not self.hidden


class Viewer:
    """Who reads; ``evidence`` says that it is evidence which is read, for which another right is enough."""

    def __init__(
        self, images: Images, index: PackageIndex, caller: Credential | None, *, evidence: bool = False
    ) -> None:
        self._images = images
        self._index = index
        self._caller = caller
        self._rights = EVIDENCE if evidence else PACKAGES

    def package(self, name: str) -> bool:
        """Whether it sees an OCI repository."""
        return not self._images.is_private(name) or has_right(self._caller, self._rights, name)

    def project(self, name: str) -> bool:
        """Whether it sees a project of the index."""
        return self._index.sees(self._caller, name, self._rights)

    def artifact(self, artifact: ChannelArtifact) -> bool:
        """Whether it sees what has channels."""
        return self.package(artifact.name) if artifact.kind == "oci" else self.project(artifact.name)

    @property
    def everything(self) -> bool:
        """Whether nothing is hidden from it."""
        return has_right(self._caller, self._rights, "*")

    def standing(self, digest: Digest, recorded: Iterable[str] = ()) -> Standing:
        """The places that hold a digest, and those that are ``recorded`` to have held it."""
        images, index = self._images, self._index
        names = {stored.repository for stored in images.found(digest)}
        names |= {holding.repository for holding in images.holders(digest)} | set(images.has_blob(digest))
        places = {ChannelArtifact("oci", name) for name in names}
        places |= {ChannelArtifact("package", file.project) for file in index.holding(digest)}
        places |= {ChannelArtifact.parse(text) for text in recorded}
        seen = {str(place) for place in places if self.artifact(place)}
        return Standing(frozenset(seen), frozenset(str(place) for place in places) - seen)

    def believes(self, source: str, standing: Standing) -> bool:
        """Whether it sees what ``source`` said about a digest."""
        repository = repository_of(source)
        if not repository:
            return standing.nowhere or (standing.known and not standing.hidden)
        if has_right(self._caller, self._rights, repository):
            return True
        own = {place for place in standing.seen | standing.hidden if self._belongs(place, repository)}
        if own:
            return bool(own & standing.seen)
        return self.package(repository) and (standing.known or standing.nowhere)

    def hides(self, text: str) -> bool:
        """Whether a text names a repository that it does not see."""
        return self._hidden is not None and self._hidden.search(text.lower()) is not None

    @cached_property
    def _hidden(self) -> re.Pattern[str] | None:
        names = "|".join(map(re.escape, self._images.hidden(self._caller, self._rights)))
        # `acme/closed-plans` and `acme/closed.two` are other names, `acme/closed.git` is not
        return re.compile(rf"(?<![a-z0-9._-])(?:{names})(?![a-z0-9_-]|\.(?!git\b)[a-z0-9])") if names else None

    def _belongs(self, place: str, repository: str) -> bool:
        artifact = ChannelArtifact.parse(place)
        if artifact.kind == "oci":
            return f"{artifact.name}/".startswith(f"{repository}/")
        return repository in self._index.names.repositories(artifact.name)


def repository_of(source: str) -> str:
    """The repository whose job a credential's subject names; empty for anybody else's."""
    found = JOB.fullmatch(source)
    return found[1] if found else ""
