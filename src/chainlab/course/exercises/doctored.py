"""Releases with one link of their evidence broken, or none: what a gate is tried on.

Every bundle is really signed, by whoever the variant says. A mutant knows which link it broke, and which others fail
with it; in a benign variant all links hold.

    >>> made = variants(Attester(trust), random.Random(1))    # doctest: +SKIP
    >>> sum(bool(v.link) for v in made), sum(not v.link for v in made)    # doctest: +SKIP
    (72, 14)
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chainlab.course.exercises.releases import (
    LOCK,
    MODEL,
    PATH,
    SECURITY,
    Attester,
    Release,
    house_of,
)
from chainlab.digests import Digest
from chainlab.evidence.statements import Statement

__all__ = ["Doctored", "variants"]

ABOUT_MODEL = ("model", "model signature", "metric", "one run")
OLD_PROVENANCE = "https://slsa.dev/provenance/v0.2"


@dataclass(frozen=True)
class Doctored:
    """A release, and what a right gate names."""

    name: str
    link: str  # that must be named; "" = benign
    release: dict[str, Any]
    house: dict[str, Any]
    breaks: frozenset[str] = frozenset()  # all that do not hold and may be named

    def right(self, verdict: Any) -> bool:
        """Whether these names are right: the broken link, and none that holds."""
        if not isinstance(verdict, (list, tuple, set, frozenset)):
            return False
        if not self.link:
            return not verdict
        named = {name for name in verdict if isinstance(name, str)}
        return self.link in named and named <= self.breaks and len(named) == len(set(verdict))


def variants(by: Attester, rng: random.Random) -> list[Doctored]:
    """All mutants and benign variants of one release."""
    base = Release.build(rng)
    good = base.evidence(by)
    made = [_benign("nothing changed", base, list(good.values()))]
    made += [_benign(*parts) for parts in _unharmed(base, good, by, rng)]
    for source in (_files, _provenance, _runs, _sboms, _advisories, _signatures, _metrics):
        for name, link, also, release, evidence in source(base, good, by, rng):
            made.append(
                Doctored(
                    f"{link}: {name}",
                    link,
                    release.document(evidence),
                    house_of(release),
                    frozenset({link, *also}),
                )
            )
    return made


def _benign(name: str, release: Release, evidence: list[bytes]) -> Doctored:
    return Doctored(name, "", release.document(evidence), house_of(release))


Evidence = dict[str, bytes]
Lazily = dict[str, Callable[[], bytes | None]]  # signed only when it is wanted
Change = tuple[str, str, tuple[str, ...], Release, list[bytes]]


def _with(good: Evidence, **changes: bytes | None) -> list[bytes]:
    """The evidence with some replaced; None takes one away. Underscores stand for spaces and hyphens."""
    named = {key.replace("_", " ").replace("ml bom", "ml-bom"): value for key, value in changes.items()}
    return [value for value in {**good, **named}.values() if value is not None]


# What is benign ----------------------------------------------------------------------------------


def _unharmed(
    base: Release, good: Evidence, by: Attester, rng: random.Random
) -> Iterator[tuple[str, Release, list[bytes]]]:
    every = list(good.values())
    yield "evidence in another order", base, rng.sample(every, len(every))
    yield "junk beside the evidence", base, [b"", b"{}", b"\x00junk", *every]
    signed = by.workflow(base.built("build"), "refs/heads/main", repository="mallory/triage-model")
    yield "a stranger's bundle beside", base, [signed, *every]
    failing = by.person(base.ml_bom([]), "mallory@example.com")
    yield "a stranger's bad news beside", base, [failing, *every]
    old = Release.build(rng)
    yield "an older release's evidence beside", base, [*old.evidence(by).values(), *every]
    again = by.host(base.built("train", run=base.run + 1))
    yield "trained again to the same bytes", base, [again, *every]
    rerun = [by.host(base.built(job, run=base.run + 2)) for job in ("build", "train", "package")]
    yield "a second run of all jobs", base, [*every, *rerun]
    dev = by.workflow(base.sbom(testlib="9.9.9"), base.ref)
    yield "an SBOM with a component more", base, _with(good, sbom=dev)
    edge = base.copy(recall={**base.recall, "lowerBound": "0.90"})
    yield "the bound exactly met", edge, list(edge.evidence(by).values())
    noted = base.copy()
    noted.files[LOCK] = base.lock("# a comment", "", "#fastfeatures==0.0.1")
    yield "a lock with a comment", noted, list(noted.evidence(by).values())
    package, advisory = rng.choice(sorted(base.packages)), f"ACME-2026-{rng.randrange(10, 90)}"
    elsewhere = base.copy(exploited={f"pkg:pypi/{package}@99.0": advisory})
    yield "another version is exploited", elsewhere, every
    answered = base.copy(exploited={f"pkg:pypi/{package}@{base.packages[package]}": advisory})
    answered.vex = (answered.not_affected(package, advisory),)
    yield "exploited, and answered by a VEX", answered, list(answered.evidence(by).values())
    spare = base.copy()
    spare.vex = (spare.not_affected(package, advisory),)
    yield "a VEX that nobody needs", spare, list(spare.evidence(by).values())


# What is broken ----------------------------------------------------------------------------------


def _files(base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    every = list(good.values())
    swapped = base.copy()
    document = swapped.document(every)
    noted = base.copy()
    noted.files[LOCK] = base.lock("# changed on the way")
    changes: tuple[tuple[str, str, tuple[str, ...], dict[str, bytes]], ...] = (
        ("the lock was changed on the way", "contents", ("sbom",), {LOCK: noted.files[LOCK]}),
        ("a file more than the manifest", "contents", (), {"hook.py": b"import os"}),
        (
            "the model was swapped on the way",
            "contents",
            ABOUT_MODEL,
            {MODEL: b"\x08" + rng.randbytes(50)},
        ),
        (
            "the wheel was swapped on the way",
            "contents",
            ("wheel", "sbom", "vulnerabilities", "one run"),
            {base.wheel: b"PK\x03\x04" + rng.randbytes(30)},
        ),
    )
    for name, link, also, files in changes:
        yield (
            name,
            link,
            also,
            _Fixed(base, {**document, "files": {**document["files"], **files}}),
            every,
        )
    without = {name: data for name, data in document["files"].items() if name != LOCK}
    also = ("sbom", "vulnerabilities")
    yield "the lock is gone", "contents", also, _Fixed(base, {**document, "files": without}), every
    more = base.copy(extra_layers={"hook.py": Digest.of(b"import os")})
    evidence = [*good.values(), by.host(more.built("package"))]
    yield "the manifest names a file that is not there", "contents", (), more, evidence
    for name, start in (
        ("a pickle", b"\x80\x04\x95"),
        ("a zip", b"PK\x03\x04"),
        ("an empty model", b""),
    ):
        other = base.copy()
        other.files[MODEL] = start + (rng.randbytes(40) if start else b"")
        yield name, "format", (), other, list(other.evidence(by).values())


class _Fixed(Release):
    """A release whose document was changed after its manifest was made."""

    def __init__(self, base: Release, document: dict[str, Any]) -> None:
        self.__dict__.update(base.__dict__)
        self._document = document

    def document(self, evidence: list[bytes]) -> dict[str, Any]:
        """As it was changed."""
        return {**self._document, "evidence": list(evidence)}


def _provenance(base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    for job, link in {"build": "wheel", "train": "model", "package": "package"}.items():
        yield from _of_job(job, link, base, good, by, rng)


def _of_job(job: str, link: str, base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    other_job = {"build": "lint", "train": "build", "package": "train"}[job]
    own = base.built(job)
    stranger = Digest.of(rng.randbytes(8))
    wrong: Lazily = {
        "there is none": lambda: None,
        "by the workflow, not by the platform": lambda: by.workflow(own, base.ref),
        "by a person": lambda: by.person(own, "alice@example.com"),
        "about other bytes": lambda: by.host(base.built(job, subjects={"triage.onnx": stranger})),
        "of another job": lambda: by.host(base.built(other_job, subjects=_subjects(own))),
        "from a fork": lambda: by.host(base.built(job, repository="mallory/triage-model")),
        "from a branch": lambda: by.host(base.built(job, ref=f"refs/heads/{base.version}")),
        "from another tag": lambda: by.host(base.built(job, ref="refs/tags/v0.9.0")),
        "by another builder": lambda: by.host(base.built(job, builder="https://ci.example.com/host/build-l3")),
        "by another workflow file": lambda: by.host(base.built(job, path=PATH.replace("release", "nightly"))),
        "with an input": lambda: by.host(base.built(job, inputs={"index": "https://mirror.example.com"})),
        "with an unknown parameter": lambda: by.host(base.built(job, debug="true")),
        "of another predicate type": lambda: by.host(base.built(job, predicate_type=OLD_PROVENANCE)),
        "changed after it was signed": lambda: _altered(good[job], base.version),
    }
    always = ["there is none", "by the workflow, not by the platform", "about other bytes"]
    chosen = [*always, *rng.sample([name for name in wrong if name not in always], 6)]
    for name in chosen:
        yield name, link, ("one run",), base, _with(good, **{job: wrong[name]()})


def _runs(base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    for job in ("build", "train", "package"):
        other = by.host(base.built(job, run=base.run + rng.randrange(1, 50)))
        yield f"{job} was another run", "one run", (), base, _with(good, **{job: other})
    two = {
        job: by.host(base.built(job, run=base.run + number)) for number, job in enumerate(("build", "train", "package"))
    }
    yield "three runs, one job of each", "one run", (), base, _with(good, **two)


def _sboms(base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    package = rng.choice(sorted(base.packages))
    also = ("vulnerabilities",)
    model_only = Statement.about({MODEL: base.digest(MODEL)}, base.sbom().predicate_type, base.sbom().predicate)
    wrong: Lazily = {
        "there is none": lambda: None,
        "a package is missing": lambda: by.workflow(base.sbom(**{package: ""}), base.ref),
        "another version": lambda: by.workflow(base.sbom(**{package: "99.0"}), base.ref),
        "signed by a person": lambda: by.person(base.sbom(), "alice@example.com"),
        "by the workflow of a branch": lambda: by.workflow(base.sbom(), "refs/heads/main"),
        "by another workflow file": lambda: by.workflow(base.sbom(), base.ref, file="ci.yml"),
        "of another repository": lambda: by.workflow(base.sbom(), base.ref, repository="acme/website"),
        "about another file": lambda: by.workflow(model_only, base.ref),
        "a plain document": lambda: json.dumps(base.sbom().predicate).encode(),
        "changed after it was signed": lambda: _altered(good["sbom"], package),
    }
    always = ["there is none", "a package is missing", "signed by a person"]
    for name in [*always, *rng.sample([n for n in wrong if n not in always], 4)]:
        yield name, "sbom", also, base, _with(good, sbom=wrong[name]())


def _advisories(base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    package, other = rng.sample(sorted(base.packages), 2)
    advisory = f"ACME-2026-{rng.randrange(10, 90)}"
    hit = base.copy(exploited={f"pkg:pypi/{package}@{base.packages[package]}": advisory})

    def answered(release: Release, *entries: dict[str, Any]) -> Release:
        return release.copy(vex=tuple(entries))

    link = "vulnerabilities"
    yield "exploited, and no VEX", link, (), hit, list(good.values())
    for name, entry in {
        "a VEX that still looks into it": hit.not_affected(package, advisory, status="under_investigation"),
        "a VEX that says affected": hit.not_affected(package, advisory, status="affected"),
        "a VEX without a justification": hit.not_affected(package, advisory, justification=""),
        "a VEX for another package": hit.not_affected(other, advisory),
        "a VEX for another advisory": hit.not_affected(package, f"{advisory}0"),
    }.items():
        release = answered(hit, entry)
        yield name, link, (), release, list(release.evidence(by).values())
    fits = answered(hit, hit.not_affected(package, advisory))
    for name, bundle in {
        "a VEX by the workflow itself": by.workflow(fits.vex_statement(), fits.ref),
        "a VEX by somebody else": by.person(fits.vex_statement(), "alice@example.com"),
        "a VEX about the model": by.person(fits.vex_statement(MODEL), SECURITY),
    }.items():
        yield name, link, (), fits, [*good.values(), bundle]
    both = answered(
        hit.copy(exploited={**hit.exploited, f"pkg:pypi/{other}@{base.packages[other]}": "ACME-2026-7"}),
        *fits.vex,
    )
    yield "two exploited, one answered", link, (), both, list(both.evidence(by).values())


def _signatures(base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    own = base.model_signature()
    plain = Statement.about({MODEL: base.digest(MODEL)}, own.predicate_type, own.predicate)
    wrong: Lazily = {
        "there is none": lambda: None,
        "over a folder with a file more": lambda: by.workflow(
            base.model_signature(("loader.py", Digest.of(b"x"))), base.ref
        ),
        "by the platform": lambda: by.host(own),
        "by a person": lambda: by.person(own, "alice@example.com"),
        "by another workflow": lambda: by.workflow(own, base.ref, file="nightly.yml"),
        "of another tag": lambda: by.workflow(own, "refs/tags/v0.9.0"),
        "an older predicate type": lambda: by.workflow(
            base.model_signature(predicate_type="https://model_signing/Digests/v0.1"), base.ref
        ),
        "about the file's digest": lambda: by.workflow(plain, base.ref),
    }
    for name in [
        "there is none",
        "over a folder with a file more",
        *rng.sample(sorted(set(wrong) - {"there is none", "over a folder with a file more"}), 4),
    ]:
        yield name, "model signature", (), base, _with(good, model_signature=wrong[name]())


def _metrics(base: Release, good: Evidence, by: Attester, rng: random.Random) -> Iterator[Change]:
    low = f"0.{rng.randrange(700, 899)}"

    def recall(value: Any, lower: Any) -> list[dict[str, Any]]:
        interval = {"lowerBound": lower, "upperBound": "0.99"}
        return [{"type": "recall", "value": value, "confidenceInterval": interval}]

    wrong = {
        "below the threshold": recall(low, "0.65"),
        "above it by luck: the lower bound is below": recall("0.93", low),
        "not a number": recall("nan", "nan"),
        "a word": recall("high", "high"),
        "no interval": [{"type": "recall", "value": "0.95"}],
        "another metric only": [{**recall("0.95", "0.93")[0], "type": "accuracy"}],
        "none at all": [],
    }
    for name, metrics in wrong.items():
        bundle = by.workflow(base.ml_bom(metrics), base.ref)
        yield name, "metric", (), base, _with(good, ml_bom=bundle)
    yield (
        "an ML-BOM by a person",
        "metric",
        (),
        base,
        _with(good, ml_bom=by.person(base.ml_bom(), "alice@example.com")),
    )
    yield "no ML-BOM", "metric", (), base, _with(good, ml_bom=None)


def _subjects(statement: Statement) -> dict[str, Digest]:
    return {name: Digest.parse(f"sha256:{digests['sha256']}") for name, digests in statement.subjects}


def _altered(bundle: bytes, word: str) -> bytes:
    """The bundle with a word of its payload changed, and the old signature."""
    document = json.loads(bundle)
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    changed = payload.replace(word.encode(), word[::-1].encode())
    document["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    return json.dumps(document).encode()
