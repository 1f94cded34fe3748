"""Cases for exercise 3.7: an archive out of which evidence was taken.

An archive is made with what is true of every build. Then evidence is removed, changed or mixed up; from then on nobody
can know some of it, and which builds those are is noted at the moment of the damage.

    DIR/entries/HEX.json            a build and the digests of its documents
    DIR/objects/sha256/ab/abcd…     documents, named by their digest

The same layout as the kit's own archive, `chainlab.archive`.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chainlab.course.learning.checks import Case, World

__all__ = ["AFFECTED", "CLEAR", "UNKNOWN", "Holding", "cases"]

SEE = "labs/03_sbom.ipynb, 'Evidence goes missing'"
TEACHES = {
    "nothing is missing": (
        "Everything can be known here: who answers 'unknown' has not looked. A component may stand inside "
        "another, and 1.9.0rc1 comes before 1.9.0: `SpecifierSet.contains(v, prereleases=True)`."
    ),
    "a document that is gone": (
        "No list is not an empty list. A build about which nothing can be read is neither affected nor not."
    ),
    "a build that the archive never saw": (
        "Ask the ledger which builds there are, not the archive: an archive cannot tell you what it was not given."
    ),
    "other bytes under the digest": "The name of the file promises its digest. Compute it before you read a word.",
    "another build's document": "The subject's hash (metadata.component) says which bytes the document is about.",
    "a list that is not complete": (
        "A list that is incomplete, or does not say, proves nothing absent. What it does list is there all the "
        "same: affected stays affected."
    ),
    "a component without a version": "It is in there, in some version. That is neither in the range nor out of it.",
    "everything at once": "One question per build: what do I hold that would prove either answer?",
}


AFFECTED, CLEAR, UNKNOWN = "affected", "not affected", "unknown"
NAME, RANGE = "acme-tables", ">=1.9,<1.11"
INSIDE = ["1.9.0", "1.9.4", "1.10.0", "1.10.2"]
OUTSIDE = ["1.2.0", "1.8.9", "1.11.0", "2.0", "1.9.0rc1"]
OTHERS = ["acme-fonts", "acme-queues", "acme-codecs", "acme-table"]

Document = dict[str, Any]
Damage = Callable[["Holding", str], str]


class Holding:
    """Builds of one artifact, their documents, and what can be known of each."""

    def __init__(self, rng: random.Random, builds: int = 8) -> None:
        self._rng = rng
        first = rng.randrange(2, 40)
        self.ledger = {f"triage-model 1.{first + n}.0": rng.randbytes(32).hex() for n in range(builds)}
        self.documents: dict[str, Document] = {}
        self.truth: dict[str, str] = {}
        self._entries: dict[str, bool] = {}
        self._after: dict[str, Callable[[Path, str], None]] = {}
        for number, build in enumerate(self.ledger):
            inside = [True, False, None][number % 3]
            self.documents[build] = self._document(build, inside)
            self.truth[build] = AFFECTED if inside else CLEAR
            self._entries[build] = True
        self._free = {a: [b for b, t in self.truth.items() if t == a] for a in (AFFECTED, CLEAR)}

    def damage(self, kind: Damage, *, of: str) -> None:
        """Harm one build that was, in truth, affected or not; its answer becomes what can still be known."""
        build = self._free[of].pop(self._rng.randrange(len(self._free[of])))
        self.truth[build] = kind(self, build)

    # -- kinds of damage; each returns what can be known afterwards

    def drop_object(self, build: str) -> str:
        """The document's file is gone."""
        self._after[build] = lambda folder, digest: (_object(folder, digest)).unlink()
        return UNKNOWN

    def drop_document(self, build: str) -> str:
        """The build's entry never named an SBOM."""
        del self.documents[build]
        return UNKNOWN

    def drop_entry(self, build: str) -> str:
        """The CI host built it; the archive has never heard of it."""
        self._entries[build] = False
        return UNKNOWN

    def change(self, build: str) -> str:
        """The file under the digest has other bytes: a version was edited, so that the answer would turn."""

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
        """A fine document about another build's bytes."""
        self.documents[build]["metadata"]["component"]["hashes"][0]["content"] = self._rng.randbytes(32).hex()
        return UNKNOWN

    def incomplete(self, build: str) -> str:
        """The list says that it is not all: what it does list stays true."""
        self.documents[build]["compositions"][0]["aggregate"] = self._rng.choice(["incomplete", "unknown"])
        return AFFECTED if self.truth[build] == AFFECTED else UNKNOWN

    def silent(self, build: str) -> str:
        """The list does not say whether it is all."""
        del self.documents[build]["compositions"]
        return AFFECTED if self.truth[build] == AFFECTED else UNKNOWN

    def versionless(self, build: str) -> str:
        """The package is listed, and its version is not."""
        listed = [c for c in self.documents[build]["components"] if c["name"] != NAME]
        listed.insert(1, {"type": "library", "bom-ref": NAME, "name": NAME, "purl": f"pkg:pypi/{NAME}"})
        self.documents[build]["components"] = listed
        return UNKNOWN

    def nest(self, build: str) -> str:
        """The package stands inside another one that brought it along."""
        listed = self.documents[build]["components"]
        mine = next((c for c in listed if c["name"] == NAME), None)
        if mine is not None:
            listed.remove(mine)
            listed[0].setdefault("components", []).append(mine)
        return self.truth[build]

    def write(self, folder: Path) -> Path:
        """The archive's folder."""
        (folder / "entries").mkdir(parents=True)
        for build, sha256 in self.ledger.items():
            if not self._entries[build]:
                continue
            artifact, _, version = build.partition(" ")
            named = []
            if build in self.documents:
                data = json.dumps(self.documents[build]).encode()
                digest = hashlib.sha256(data).hexdigest()
                path = _object(folder, digest)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                named.append({"digest": f"sha256:{digest}", "kind": "sbom", "size": len(data), "verdict": ""})
                if build in self._after:
                    self._after[build](folder, digest)
            named.append({"digest": f"sha256:{sha256}", "kind": "provenance", "size": 9, "verdict": ""})
            about = {"artifact": artifact, "version": version, "digest": f"sha256:{sha256}"}
            entry = {"format": "chainlab-archive-entry-1", "build": about, "documents": named}
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
            "components": [
                {"type": "library", "bom-ref": n, "name": n, "version": v, "purl": f"pkg:pypi/{n}@{v}"}
                for n, v in components
            ],
            "compositions": [{"aggregate": "complete"}],
        }


def cases(lab: World, rng: random.Random) -> Iterator[Case]:
    """One kind of damage at a time, then all."""
    lab.path.mkdir(parents=True, exist_ok=True)

    def case(name: str, kinds: list[tuple[Damage, str]], builds: int = 8) -> Case:
        made = Holding(rng, builds)
        for kind, of in kinds:
            made.damage(kind, of=of)
        folder = made.write(Path(tempfile.mkdtemp(prefix="archive-", dir=lab.path)))
        ledger = {build: f"sha256:{digest}" for build, digest in made.ledger.items()}
        return Case(name, (folder, ledger, NAME, RANGE), made.truth)

    yield case("nothing is missing", [(Holding.nest, AFFECTED)])
    yield case("a document that is gone", [(Holding.drop_object, AFFECTED), (Holding.drop_document, CLEAR)])
    yield case("a build that the archive never saw", [(Holding.drop_entry, AFFECTED), (Holding.drop_entry, CLEAR)])
    yield case("other bytes under the digest", [(Holding.change, AFFECTED), (Holding.change, CLEAR)])
    yield case("another build's document", [(Holding.swap, AFFECTED), (Holding.swap, CLEAR)])
    yield case(
        "a list that is not complete",
        [
            (Holding.incomplete, AFFECTED),
            (Holding.incomplete, CLEAR),
            (Holding.silent, CLEAR),
            (Holding.silent, AFFECTED),
        ],
        builds=9,
    )
    yield case("a component without a version", [(Holding.versionless, AFFECTED), (Holding.versionless, CLEAR)])
    kinds = [
        Holding.drop_object,
        Holding.drop_entry,
        Holding.change,
        Holding.swap,
        Holding.incomplete,
        Holding.versionless,
        Holding.silent,
    ]
    yield case(
        "everything at once", [(kind, rng.choice([AFFECTED, CLEAR])) for kind in rng.sample(kinds, 4)], builds=12
    )


def _object(folder: Path, digest: str) -> Path:
    return folder / "objects" / "sha256" / digest[:2] / digest
