"""Cases for exercise 3.7: an archive from which evidence was taken.

An archive is made whole, with the truth about every build. Then evidence is removed, changed or mixed up. Each kind of
damage notes what can still be known of the build.

    DIR/entries/HEX.json            a build and the digests of its documents
    DIR/objects/sha256/ab/abcd…     documents, named by their digest

The same layout as the kit's own archive, `chainlab.archive`.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from chainlab.course.cases import Case, LabContext

__all__ = ["AFFECTED", "CLEAR", "UNKNOWN", "DamagedArchive", "cases"]

SEE = "labs/03_sbom.ipynb, 'Evidence goes missing'"
TEACHES = {
    "nothing is missing": "Everything can be known here: who answers 'unknown' has not looked.",
    "inside another": "A component may stand inside another, and that one inside a third: go down to any depth.",
    "a name and a version": (
        "Acme_Tables is acme-tables (PEP 503), acme-table is not; 1.9.0rc1 comes before 1.9.0, and 1.10.0b1 lies in "
        "the range: `SpecifierSet.contains(v, prereleases=True)`."
    ),
    "a document that is gone": (
        "No list is not an empty list. A build about which nothing can be read is neither affected nor not."
    ),
    "a build that the archive never saw": (
        "Ask the ledger which builds there are, not the archive: an archive cannot tell you what it was not given."
    ),
    "other bytes under the digest": "The name of the file promises its digest. Compute it before you read a word.",
    "another build's document": (
        "The subject's hash (metadata.component) says which bytes the document is about. Without one it does not say."
    ),
    "two documents": (
        "One document that holds is enough, whichever is named first, and one that does not hold takes nothing back."
    ),
    "a list that is not complete": (
        "A list that is incomplete, or does not say, proves nothing absent. What it does list is there all the "
        "same: affected stays affected."
    ),
    "complete in part": (
        "Several compositions, and not all of them say `complete`: then the list does not say that it is all."
    ),
    "a component without a version": "It is in there, in some version. That is neither in the range nor out of it.",
    "everything at once": "One question per build: what do I hold that would prove either answer?",
}


AFFECTED, CLEAR, UNKNOWN = "affected", "not affected", "unknown"
NAME, RANGE = "acme-tables", ">=1.9,<1.11"
INSIDE = ["1.9.0", "1.9.4", "1.10.0", "1.10.2"]
OUTSIDE = ["1.2.0", "1.8.9", "1.11.0", "2.0"]
BUILDS = {"another build's document": 9, "a list that is not complete": 9}  # 8 in the other cases
OTHERS = ["acme-fonts", "acme-queues", "acme-codecs", "acme-table"]

Document = dict[str, Any]
Damage = Callable[["DamagedArchive", str], str]


class DamagedArchive:
    """Builds of one artifact, their documents, and what can still be known of each."""

    def __init__(self, rng: random.Random, builds: int = 8) -> None:
        self._rng = rng
        first = rng.randrange(2, 40)
        self.ledger = {f"triage-model 1.{first + n}.0": rng.randbytes(32).hex() for n in range(builds)}
        self.documents: dict[str, Document] = {}
        self.truth: dict[str, str] = {}
        self._damaged: set[str] = set()
        self._entries: dict[str, bool] = {}
        self._after: dict[str, Callable[[Path, str], None]] = {}
        self._beside: dict[str, Document] = {}  # build to one more document that its entry names
        for number, build in enumerate(self.ledger):
            inside = [True, False, None][number % 3]
            self.documents[build] = self._document(build, inside)
            self.truth[build] = AFFECTED if inside else CLEAR
            self._entries[build] = True
        self._free = {a: [b for b, t in self.truth.items() if t == a] for a in (AFFECTED, CLEAR)}

    def damage(self, kind: Damage, *, of: str) -> None:
        """Damage a build that was affected, or was not; its answer becomes what can still be known."""
        build = self._free[of].pop(self._rng.randrange(len(self._free[of])))
        self.truth[build] = kind(self, build)
        self._damaged.add(build)

    def is_missed(self, answers: dict[str, str]) -> bool:
        """Say whether the answer about a damaged build is wrong, or any answer when no build is damaged."""
        return any(answers.get(build) != self.truth[build] for build in self._damaged or self.truth)

    # -- kinds of damage; each returns the answer that can still be known

    def drop_object(self, build: str) -> str:
        """Remove the document's file."""
        self._after[build] = lambda folder, digest: (_object(folder, digest)).unlink()
        return UNKNOWN

    def drop_document(self, build: str) -> str:
        """Let the build's entry name no SBOM."""
        del self.documents[build]
        return UNKNOWN

    def drop_entry(self, build: str) -> str:
        """Let the archive have no entry for the build."""
        self._entries[build] = False
        return UNKNOWN

    def change(self, build: str) -> str:
        """Edit a version in the file under the digest, so that the answer would turn."""

        def edit(folder: Path, digest: str) -> None:
            path = _object(folder, digest)
            document = json.loads(path.read_bytes())
            for component in document["components"]:
                if component["name"] == NAME:
                    component["version"], component["purl"] = "1.12.0", f"pkg:pypi/{NAME}@1.12.0"
            document["annotations"] = []
            path.write_text(json.dumps(document), encoding="utf-8")

        self._after[build] = edit
        return UNKNOWN

    def swap(self, build: str) -> str:
        """Let the document be about another build's bytes."""
        self.documents[build]["metadata"]["component"]["hashes"][0]["content"] = self._rng.randbytes(32).hex()
        return UNKNOWN

    def nameless(self, build: str) -> str:
        """Let the document not say which bytes it is about."""
        del self.documents[build]["metadata"]["component"]["hashes"]
        return UNKNOWN

    def mislabel(self, build: str) -> str:
        """Name another algorithm for the right digits of the subject's hash."""
        self.documents[build]["metadata"]["component"]["hashes"][0]["alg"] = "SHA3-256"
        return UNKNOWN

    def partly(self, build: str) -> str:
        """Let two compositions call the list complete, and one between them not."""
        doubt = self._rng.choice(["incomplete", "unknown"])
        self.documents[build]["compositions"] = [
            {"aggregate": aggregate} for aggregate in ("complete", doubt, "complete")
        ]
        return AFFECTED if self.truth[build] == AFFECTED else UNKNOWN

    def second(self, build: str) -> str:
        """Add a second document, about other bytes, that would give the other answer."""
        other = copy.deepcopy(self.documents[build])
        other["metadata"]["component"]["hashes"][0]["content"] = self._rng.randbytes(32).hex()
        inside = self.truth[build] == AFFECTED
        listed = [c for c in other["components"] if c["name"] != NAME]
        other["components"] = listed if inside else [*listed, _component(NAME, self._rng.choice(INSIDE))]
        self._beside[build] = other
        return self.truth[build]

    def spell(self, build: str) -> str:
        """Spell the package's name differently, and give it a version before a release."""
        inside = self.truth[build] == AFFECTED
        listed = [c for c in self.documents[build]["components"] if c["name"] != NAME]
        version = self._rng.choice(["1.10.0b1", "1.9.1rc2"] if inside else ["1.9.0rc1", "1.9.0.dev3"])
        listed.insert(1, _component(self._rng.choice(["Acme_Tables", "acme.tables"]), version))
        listed.append(_component("acme-table", self._rng.choice(OUTSIDE if inside else INSIDE)))
        self.documents[build]["components"] = listed
        return self.truth[build]

    def incomplete(self, build: str) -> str:
        """Let the list call itself incomplete: what it does list stays true."""
        self.documents[build]["compositions"][0]["aggregate"] = self._rng.choice(["incomplete", "unknown"])
        return AFFECTED if self.truth[build] == AFFECTED else UNKNOWN

    def silent(self, build: str) -> str:
        """Let the list not say whether it is complete."""
        del self.documents[build]["compositions"]
        return AFFECTED if self.truth[build] == AFFECTED else UNKNOWN

    def versionless(self, build: str) -> str:
        """List the package without its version."""
        listed = [c for c in self.documents[build]["components"] if c["name"] != NAME]
        listed.insert(1, {"type": "library", "bom-ref": NAME, "name": NAME, "purl": f"pkg:pypi/{NAME}"})
        self.documents[build]["components"] = listed
        return UNKNOWN

    def nest(self, build: str) -> str:
        """List the package inside another component."""
        listed = self.documents[build]["components"]
        mine = next((c for c in listed if c["name"] == NAME), None)
        if mine is not None:
            listed.remove(mine)
            between = _component("acme-between", "1.0") | {"components": [mine]}
            listed[0].setdefault("components", []).append(self._rng.choice([mine, between]))
        return self.truth[build]

    def write(self, folder: Path) -> Path:
        """Write the archive; returns its folder."""
        (folder / "entries").mkdir(parents=True)
        for build, sha256 in self.ledger.items():
            if not self._entries[build]:
                continue
            artifact, _, version = build.partition(" ")
            documents = [held[build] for held in (self.documents, self._beside) if build in held]
            listed = []
            for document in documents if self._rng.random() < 0.5 else reversed(documents):
                data = json.dumps(document).encode()
                digest = hashlib.sha256(data).hexdigest()
                path = _object(folder, digest)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                listed.append({"digest": f"sha256:{digest}", "kind": "sbom", "size": len(data), "verdict": ""})
                if build in self._after:
                    self._after[build](folder, digest)
            data = json.dumps({"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": build}]}).encode()
            digest = hashlib.sha256(data).hexdigest()
            _object(folder, digest).parent.mkdir(parents=True, exist_ok=True)
            _object(folder, digest).write_bytes(data)
            listed.append({"digest": f"sha256:{digest}", "kind": "provenance", "size": len(data), "verdict": ""})
            about = {"artifact": artifact, "version": version, "digest": f"sha256:{sha256}"}
            entry = {"format": "chainlab-archive-entry-1", "build": about, "documents": listed}
            text = json.dumps(entry).encode()
            (folder / "entries" / f"{hashlib.sha256(text).hexdigest()}.json").write_bytes(text)
        return folder

    def _document(self, build: str, inside: bool | None) -> Document:
        artifact, _, version = build.partition(" ")
        names = self._rng.sample(OTHERS, 3)
        components = [(name, self._rng.choice(INSIDE + OUTSIDE)) for name in names]
        if inside is not None:
            components.append((NAME, self._rng.choice(INSIDE if inside else OUTSIDE)))
        hashes = [{"alg": "SHA-256", "content": self.ledger[build]}]
        return {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "component": {
                    "type": "application",
                    "bom-ref": "app",
                    "name": artifact,
                    "version": version,
                    "hashes": hashes,
                }
            },
            "components": [_component(*component) for component in components],
            "compositions": [{"aggregate": "complete"}],
        }


def _damages() -> dict[str, list[tuple[Damage, str]]]:
    """List for each case the kinds of damage, and what the damaged build is in truth."""
    archive, both = DamagedArchive, (AFFECTED, CLEAR)
    return {
        "nothing is missing": [],
        "inside another": [(archive.nest, AFFECTED), (archive.nest, AFFECTED), (archive.nest, CLEAR)],
        "a name and a version": [(archive.spell, of) for of in (AFFECTED, AFFECTED, CLEAR, CLEAR)],
        "a document that is gone": [(archive.drop_object, AFFECTED), (archive.drop_document, CLEAR)],
        "a build that the archive never saw": [(archive.drop_entry, of) for of in both],
        "other bytes under the digest": [(archive.change, of) for of in both],
        "another build's document": [
            (kind, of) for kind in (archive.swap, archive.nameless, archive.mislabel) for of in both
        ],
        "two documents": [(archive.second, of) for of in (AFFECTED, AFFECTED, CLEAR, CLEAR)],
        "a list that is not complete": [
            (archive.incomplete, AFFECTED),
            (archive.incomplete, CLEAR),
            (archive.silent, CLEAR),
            (archive.silent, AFFECTED),
        ],
        "complete in part": [(archive.partly, AFFECTED), (archive.partly, CLEAR), (archive.partly, CLEAR)],
        "a component without a version": [(archive.versionless, of) for of in both],
    }


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Damage archives in one way at a time, then in several."""
    lab.path.mkdir(parents=True, exist_ok=True)

    def case(name: str, damages: Sequence[tuple[Damage, str]], builds: int = 8) -> Case:
        archive = DamagedArchive(rng, builds)
        for kind, of in damages:
            archive.damage(kind, of=of)
        folder = archive.write(Path(tempfile.mkdtemp(prefix="archive-", dir=lab.path)))
        ledger = {build: f"sha256:{digest}" for build, digest in archive.ledger.items()}
        return Case(name, (folder, ledger, NAME, RANGE), archive.truth, why_if=archive.is_missed)

    for name, damages in _damages().items():
        yield case(name, damages, builds=BUILDS.get(name, 8))
    kinds = [
        DamagedArchive.drop_object,
        DamagedArchive.drop_entry,
        DamagedArchive.change,
        DamagedArchive.swap,
        DamagedArchive.incomplete,
        DamagedArchive.versionless,
        DamagedArchive.silent,
    ]
    several = [(kind, rng.choice([AFFECTED, CLEAR])) for kind in rng.sample(kinds, 4)]
    yield case("everything at once", several, builds=12)


def _component(name: str, version: str) -> Document:
    purl = f"pkg:pypi/{canonicalize_name(name)}@{version}"
    return {"type": "library", "bom-ref": name, "name": name, "version": version, "purl": purl}


def _object(folder: Path, digest: str) -> Path:
    return folder / "objects" / "sha256" / digest[:2] / digest
