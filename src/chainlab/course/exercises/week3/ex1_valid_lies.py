"""Cases for exercise 3.1: component lists that every schema accepts, and the lies in them.

An honest document is made from facts (a wheel's digest, a lock, times of upload). Then single facts are bent, and each
bend is noted as ``kind: where``. Something that a document leaves out is a gap, not a lie.

    >>> facts, document = Truth(random.Random(1)).parts()
    >>> document["specVersion"], len(document["components"]) == len(facts["lock"])
    ('1.6', True)

CycloneDX 1.6; PEP 440 and 503 say which spellings are the same.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from typing import Any

from packageurl import PackageURL

from chainlab.course.cases import Case, LabContext

__all__ = ["KINDS", "Truth", "cases"]

SEE = "labs/03_sbom.ipynb, 'Valid is a word about form'"
TEACHES = {
    "an honest document": "Nothing in it contradicts the facts. Who finds a lie here finds one everywhere.",
    "honest spellings": (
        "`Acme_Cells` is `acme-cells` (PEP 503), `2.0` is `2.0.0` (PEP 440), `%2B` in a purl is `+`, and one "
        "moment has many spellings. Compare with packaging, packageurl and datetime, not as text."
    ),
    "honest gaps": (
        "No hash, no edges, a component that the lock does not know, a list that calls itself incomplete: all of "
        "that says *I do not know*. A lie says something that is not so."
    ),
    "a document that says little": (
        "No subject's hash, no time, no edges, no compositions: a document without them says nothing about them, "
        "which is a gap. Read what may be missing with `.get`."
    ),
    "hashes of other kinds": "A SHA-512 is not a wrong SHA-256: the facts have no digest to hold it against.",
    "the document of another release": (
        "Every field is well formed, and it is about other bytes: the subject's hash is not the wheel's."
    ),
    "older than its parts": (
        "It was made before the first file of one of its components was uploaded. Compare moments, not texts."
    ),
    "another package's name": (
        "A component says who it is twice, by its name and by its purl. Scanners read the purl, people the name: the "
        "package is the one that the purl names, and it counts as listed."
    ),
    "versions of a component": (
        "A component says its version twice, and the lock says it a third time. It is a lie when it is not the "
        "purl's, for a component that the lock does not know too, and when it is not the lock's."
    ),
    "a purl with another version": (
        "Name, version and lock agree, and the purl, which scanners read, says another version. That is the table's "
        "*its version is not the purl's*."
    ),
    "other bytes": (
        "The schema asks for 64 hex digits. A lock has several hashes per package, one per file: any of them is right."
    ),
    "edges to nowhere": (
        "No JSON Schema checks that a `dependsOn` names something that is in the document. Its own subject "
        "(`metadata.component`) is in it."
    ),
    "said to be complete": "`complete` is a claim about what is *not* there. Hold it against the lock.",
    "said to be complete by one of several": "One composition of them says `complete`: that is the claim.",
    "several at once": "Go through the seven kinds, one by one.",
}


KINDS = ("subject", "name", "version", "hash", "edge", "complete", "time")
NAMES = ["cells", "quantise", "tables", "reports", "metrics", "queues", "shapes", "labels", "scales"]
APP = "triage-model@1.4.0"

Document = dict[str, Any]
Facts = dict[str, Any]
Bend = Callable[["Truth"], str]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make documents with no lie, with gaps, with one kind of lie each, and with several."""

    def case(name: str, bends: list[Bend]) -> Case:
        truth = Truth(rng)
        lies = {bend(truth) for bend in bends} - {""}  # some leave the document honest
        facts, document = truth.parts()
        return Case(name, (document, facts), lies, why_if=lambda answer: _about_these_kinds(lies, answer))

    yield case("an honest document", [])
    yield case("honest spellings", [Truth.spell, Truth.spell_time, Truth.plug])
    yield case("honest gaps", [Truth.gap])
    yield case("a document that says little", [Truth.say_little])
    yield case("hashes of other kinds", [Truth.more_hashes])
    yield case("the document of another release", [Truth.other_subject])
    yield case("older than its parts", [Truth.early])
    yield case("another package's name", [Truth.other_name, Truth.other_name])
    yield case("versions of a component", [Truth.other_version, Truth.stale_version, Truth.unknown_version])
    yield case("a purl with another version", [Truth.other_purl])
    yield case("other bytes", [Truth.other_hash, Truth.other_hash])
    yield case("edges to nowhere", [Truth.dangle, Truth.dangle, Truth.plug])
    yield case("said to be complete", [Truth.omit])
    yield case("said to be complete by one of several", [Truth.omit, Truth.doubt])
    several = rng.sample([Truth.other_name, Truth.other_version, Truth.other_hash, Truth.dangle, Truth.omit], 3)
    several.sort(key=lambda bend: bend is not Truth.omit)  # an edge must not be dropped after it was bent
    yield case("several at once", [*several, Truth.spell])


def _about_these_kinds(lies: set[str], answer: list[str]) -> bool:
    """Say whether the mistake is of the kinds that the case is about; in an honest document, any mistake is."""
    kinds = {lie.partition(":")[0] for lie in lies}
    return not lies or any(one.partition(":")[0] in kinds for one in lies ^ set(answer))


class Truth:
    """Facts, an honest document about them, and ways to bend it; each returns what it made untrue, or ""."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._day = dt.datetime(2026, rng.randrange(4, 9), rng.randrange(3, 27), 12, tzinfo=dt.UTC)
        self._lock: dict[str, dict[str, Any]] = {}
        for name in rng.sample(NAMES, 6):
            self._lock[f"acme-{name}"] = {
                "version": f"{rng.randrange(1, 4)}.{rng.randrange(9, 12)}.{rng.randrange(4)}",
                "hashes": [self._hex() for _ in range(rng.randrange(1, 4))],
                "uploaded": (self._day - dt.timedelta(days=rng.randrange(2, 200))).isoformat(),
            }
        self._wheel = self._hex()
        self._free = rng.sample(sorted(self._lock), len(self._lock))  # not bent yet
        self.document: Document = {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "timestamp": self._day.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "component": {
                    "type": "application",
                    "bom-ref": APP,
                    "name": "triage-model",
                    "version": "1.4.0",
                    "hashes": [{"alg": "SHA-256", "content": self._wheel}],
                },
            },
            "components": [self._component(name) for name in self._lock],
            "compositions": [{"aggregate": "complete"}],
        }
        names = list(self._lock)
        self.document["dependencies"] = [
            {"ref": APP, "dependsOn": names[:3]},
            *({"ref": name, "dependsOn": [names[3 + n]]} for n, name in enumerate(names[:3])),
        ]

    def parts(self) -> tuple[Facts, Document]:
        """Give the facts, and the document as it is now."""
        self._rng.shuffle(self.document["components"])
        return {"wheel": self._wheel, "lock": self._lock}, self.document

    # -- changes that are no lies

    def spell(self) -> str:
        """Spell names and versions differently."""
        one, two = self._take(), self._take()
        bare = self._take()
        for component in (one, bare):
            component["name"] = component["name"].title().replace("-", "_")
        del bare["purl"]  # then the name says which package it is
        local = f"{two['version']}+cpu"
        self._lock[two["name"]]["version"] = f"{two['version']}+CPU"
        two["version"], two["purl"] = (local, PackageURL("pypi", None, two["name"], local).to_string())
        return ""

    def spell_time(self) -> str:
        """Set the newest upload to the document's own moment, in another zone; give a version one zero more."""
        uploaded = self._day
        zone = dt.timezone(dt.timedelta(hours=5))
        component = self._take()
        self._lock[component["name"]]["uploaded"] = uploaded.astimezone(zone).isoformat()
        component = self._take()
        version = f"{self._rng.randrange(2, 5)}.0"
        self._lock[component["name"]]["version"] = f"{version}.0"
        component["version"] = version
        component["purl"] = f"pkg:pypi/{component['name']}@{version}"
        return ""

    def gap(self) -> str:
        """Leave out a hash, a component and an edge, and say that the list is incomplete."""
        unknown = self._take()
        del unknown["hashes"]
        missing = self._take()
        self._drop(missing)
        self.document["dependencies"].append({"ref": unknown["bom-ref"]})  # what it needs, nobody said
        self.document["compositions"] = [{"aggregate": "incomplete"}]
        self._vendor()
        return ""

    def say_little(self) -> str:
        """Leave out everything beside the components that the schema does not ask for."""
        del self.document["metadata"]["timestamp"], self.document["metadata"]["component"]["hashes"]
        del self.document["compositions"], self.document["dependencies"]
        self._drop(self._take())
        return ""

    def more_hashes(self) -> str:
        """Add a SHA-512 to the subject and to a component, and give another component only a SHA-512."""
        subject = self.document["metadata"]["component"]
        one, two = self._take(), self._take()
        for holder in (subject, one):
            holder["hashes"].insert(0, {"alg": "SHA-512", "content": self._rng.randbytes(64).hex()})
        two["hashes"] = [{"alg": "SHA-512", "content": self._rng.randbytes(64).hex()}]
        return ""

    def plug(self) -> str:
        """Let a plug-in need the application that it is for."""
        entry = next(e for e in self.document["dependencies"] if e["ref"] != APP)
        entry["dependsOn"] = [*entry["dependsOn"], APP]
        return ""

    def doubt(self) -> str:
        """Add two compositions that call one component each unknown."""
        one, two = (
            {"aggregate": "unknown", "assemblies": [component["bom-ref"]]}
            for component in self.document["components"][:2]
        )
        self.document["compositions"] = [one, *self.document["compositions"], two]
        return ""

    # -- lies

    def other_subject(self) -> str:
        """Give the subject the hash of other bytes."""
        self.document["metadata"]["component"]["hashes"][0]["content"] = self._hex()
        return "subject: document"

    def early(self) -> str:
        """Date the document an hour before its newest component was uploaded."""
        component = self._take()
        late = self._day + dt.timedelta(hours=1)
        self._lock[component["name"]]["uploaded"] = late.astimezone(dt.timezone(-dt.timedelta(hours=7))).isoformat()
        return "time: document"

    def other_name(self) -> str:
        """Give a component another package's name than its purl's."""
        component = self._take()
        component["name"] = f"acme-{self._rng.choice(['cell', 'tabels', 'metric', 'queue'])}"
        return f"name: {component['bom-ref']}"

    def other_version(self) -> str:
        """Give a component another version than its purl's."""
        component = self._take()
        component["version"] += ".post1"
        return f"version: {component['bom-ref']}"

    def stale_version(self) -> str:
        """Give the lock another version than component and purl."""
        component = self._take()
        self._lock[component["name"]]["version"] += ".post1"
        return f"version: {component['bom-ref']}"

    def other_purl(self) -> str:
        """Give the purl another version; the component keeps the lock's."""
        component = self._take()
        component["purl"] = f"pkg:pypi/{component['name']}@{component['version']}.post1"
        return f"version: {component['bom-ref']}"

    def unknown_version(self) -> str:
        """Add a component that is not in the lock and contradicts itself."""
        self._vendor(purl="pkg:pypi/acme-oldparser@0.4")
        return "version: vendored"

    def other_hash(self) -> str:
        """Give a component a digest that no file of its package has."""
        component = self._take()
        component["hashes"][0]["content"] = self._hex()
        return f"hash: {component['bom-ref']}"

    def dangle(self) -> str:
        """Add an edge that ends nowhere."""
        entries = [e for e in self.document["dependencies"] if e["ref"] != APP and len(e["dependsOn"]) == 1]
        entry = self._rng.choice(entries)
        entry["dependsOn"] = [*entry["dependsOn"], f"acme-gone-{self._rng.randrange(1000)}"]
        return f"edge: {entry['ref']}"

    def omit(self) -> str:
        """Drop a locked package from a list that calls itself complete, and add another one."""
        self._drop(self._take())
        self._vendor()
        return "complete: document"

    # -- parts of the document

    def _component(self, name: str) -> Document:
        version = self._lock[name]["version"]
        return {
            "type": "library",
            "bom-ref": name,
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "hashes": [{"alg": "SHA-256", "content": self._rng.choice(self._lock[name]["hashes"])}],
        }

    def _vendor(self, **more: str) -> None:
        """Add a component that is not in the lock."""
        self.document["components"].append(
            {"type": "library", "bom-ref": "vendored", "name": "acme-oldparser", "version": "0.3", **more}
        )

    def _take(self) -> Document:
        """Take a component that is not bent yet."""
        name = self._free.pop()
        return next(c for c in self.document["components"] if c["bom-ref"] == name)

    def _drop(self, component: Document) -> None:
        ref = component["bom-ref"]
        self.document["components"].remove(component)
        kept = [e for e in self.document.get("dependencies", []) if e["ref"] != ref]
        for entry in kept:
            entry["dependsOn"] = [r for r in entry["dependsOn"] if r != ref]
        if kept:
            self.document["dependencies"] = kept

    def _hex(self) -> str:
        return self._rng.randbytes(32).hex()
