"""What a reader of the registry sees: the same answer for every protocol and page.

    viewer = Viewer(images, index, caller)          # None: anybody; `OPERATOR`: the owner of the state directory
    viewer.package("acme/triage-model/release")     # an OCI repository
    viewer.project("triage-model")                  # a project of the index
    viewer.standing(digest)                         # which places of a digest it sees

A reader knows of a digest if they see a place that holds it. Evidence about a digest follows its places: evidence by a
job of a repository is visible with the places that belong to the repository, other evidence only with all places.
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
    """The places of a digest, divided into those that a reader sees and the others."""

    seen: frozenset[str]  # 'oci/acme/triage-model/release', 'package/triage-model'
    hidden: frozenset[str]

    @property
    def is_known(self) -> bool:
        """Whether a place that holds the digest is seen."""
        return bool(self.seen)

    @property
    def nowhere(self) -> bool:
        """Whether nothing holds the digest, nor held it when evidence about it was added."""
        return not self.seen and not self.hidden


class Viewer:
    """One reader. With ``evidence`` they read evidence, for which another right is enough."""

    def __init__(
        self, images: Images, index: PackageIndex, caller: Credential | None, *, evidence: bool = False
    ) -> None:
        self._images = images
        self._index = index
        self._caller = caller
        self._rights = EVIDENCE if evidence else PACKAGES

    def package(self, name: str) -> bool:
        """Whether the reader sees an OCI repository."""
        return not self._images.is_private(name) or has_right(self._caller, self._rights, name)

    def project(self, name: str) -> bool:
        """Whether the reader sees a project of the index."""
        return self._index.sees(self._caller, name, self._rights)

    def artifact(self, artifact: ChannelArtifact) -> bool:
        """Whether the reader sees an artifact."""
        return self.package(artifact.name) if artifact.kind == "oci" else self.project(artifact.name)

    @property
    def everything(self) -> bool:
        """Whether nothing is hidden from the reader."""
        return has_right(self._caller, self._rights, "*")

    def standing(self, digest: Digest, recorded: Iterable[str] = ()) -> Standing:
        """Divide the places that hold a digest, or are ``recorded`` to have held it, into seen and hidden."""
        images, index = self._images, self._index
        names = {stored.repository for stored in images.with_digest(digest)}
        names |= {holding.repository for holding in images.holders(digest)} | set(images.repositories_linking(digest))
        places = {ChannelArtifact("oci", name) for name in names}
        places |= {ChannelArtifact("package", file.project) for file in index.with_digest(digest)}
        places |= {ChannelArtifact.parse(text) for text in recorded}
        seen = {str(place) for place in places if self.artifact(place)}
        return Standing(frozenset(seen), frozenset(str(place) for place in places) - seen)

    def sees_evidence_by(self, source: str, standing: Standing) -> bool:
        """Whether the reader sees evidence that ``source`` added about a digest with these places."""
        repository = repository_of(source)
        if not repository:
            return standing.nowhere or (standing.is_known and not standing.hidden)
        if has_right(self._caller, self._rights, repository):
            return True
        own = {place for place in standing.seen | standing.hidden if self._belongs(place, repository)}
        if own:
            return bool(own & standing.seen)
        return self.package(repository) and (standing.is_known or standing.nowhere)

    def hides(self, text: str) -> bool:
        """Whether a text names a repository that the reader does not see."""
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
    """Return the repository of the job that a credential's subject names; empty for other subjects."""
    match = JOB.fullmatch(source)
    return match[1] if match else ""
