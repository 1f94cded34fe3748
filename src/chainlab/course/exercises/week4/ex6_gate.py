"""Cases for exercise 4.6: a gate, tried on releases with one link broken, or none.

`fixtures.scoring` scores the gate on them.

    >>> score(lambda release, house: [], trust).value         # doctest: +SKIP
    0.0
"""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from chainlab.course.cases import Case, LabContext, Miss, Note
from chainlab.course.exercises.fixtures.release_mutants import ReleaseMutant, variants
from chainlab.course.exercises.fixtures.releases import ReleaseFixture, expectations_of
from chainlab.course.exercises.fixtures.scoring import THRESHOLDS, Accept, Marking, Score, names_of
from chainlab.course.exercises.fixtures.signers import TestSigner
from chainlab.digests import Digest
from chainlab.evidence.statements import Statement
from chainlab.evidence.verifying import Expectations, Verdict, verify

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

__all__ = ["GROUPS", "Batch", "attested", "bench", "cases", "sample", "score"]

SEE = "labs/04_attestation.ipynb, 'Ten links'"
SCORED = (
    "Mutants refused for the right reason × benign releases accepted. `score(gate, lab.trust)` lists what is "
    "missed, on other releases than these."
)
TEACHES = {
    "benign releases": (
        "Nobody keeps a gate that refuses good releases, and one that refuses nothing is none. Evidence that "
        "does not hold is no evidence, and no crime: anybody may put a bundle beside yours."
    ),
    "which bytes": "The manifest's layers and the files: the same names, the same digests, no file more and none less. "
    "What a file is, its first bytes say, and not its name.",
    "who built them": "Signature, subject, type, builder, source, parameters, and the job: `Expectations` has a field "
    "for each. What you do not ask for is not checked.",
    "all in one run": "Three statements that hold, each for itself, may come from three runs. Compare invocationId.",
    "what is inside": "An SBOM counts when the workflow signed it about this wheel and it lists the lock's packages. A "
    "VEX counts when security signed it about this wheel, for this package and this advisory, and gives a reason.",
    "what the model is": "OMS's subject is the digest of the digests. A metric is text; what cannot be read as a "
    "number, and what is missing, is not above a threshold.",
    **{f"a score of {height:.0%}": SCORED for height in THRESHOLDS},
}

GROUPS: dict[str, tuple[str, ...]] = {
    "which bytes": ("contents", "format"),
    "who built them": ("wheel", "model", "package"),
    "all in one run": ("one run",),
    "what is inside": ("sbom", "vulnerabilities"),
    "what the model is": ("model signature", "metric"),
}
Gate = Callable[[dict[str, Any], dict[str, Any]], Any]
MARKING = Marking[ReleaseMutant]("gate", "releases", attrgetter("link"))
_verdicts: dict[tuple[bytes, str, str], Verdict] = {}
_roots: dict[int, Any] = {}  # kept alive, so that no other root gets its id
_made: dict[tuple[str, str], list[ReleaseMutant]] = {}


def attested(release: dict[str, Any], digest: Digest, expected: Expectations, root: TrustedRoot) -> list[Statement]:
    """Give the statements among a release's evidence that are about ``digest`` and hold as expected.

    Evidence that does not hold is passed over: anybody may put more beside it. A bundle that does not even mention
    digest and type is not verified, which can only refuse. Verdicts are kept, so asking twice costs nothing.
    """
    _roots[id(root)], statements = root, []
    for bundle in release["evidence"]:
        if not _mentions(bundle, digest.value.hex(), expected.predicate_type):
            continue
        key = (bundle, str(digest), repr((expected, id(root))))
        if key not in _verdicts:
            _verdicts[key] = verify(bundle, digest, expected, root)
        verdict = _verdicts[key]
        if verdict.passed and verdict.statement is not None:
            statements.append(verdict.statement)
    return statements


@cache
def _payload(bundle: bytes) -> bytes:
    try:
        return base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])
    except (ValueError, KeyError, TypeError):
        return b""


def _mentions(bundle: bytes, *words: str) -> bool:
    """Say whether the payload, unverified, has these words; good for leaving bundles out, and for nothing else."""
    return all(word.encode() in _payload(bundle) for word in words)


def sample(trust: Any, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make a release in which all links hold; gives also what acme expects of it."""
    release = ReleaseFixture.build(random.Random(f"sample/{seed}"))  # noqa: S311 (variation, not secrecy)
    return release.document(list(release.evidence(TestSigner(trust)).values())), expectations_of(release)


@dataclass(frozen=True)
class Batch:
    """Releases that a check hands to `bench`. The plain form is their names alone: the rest is megabytes."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, chosen: list[ReleaseMutant]) -> Batch:
        """Make a batch of these releases."""
        batch = cls(tuple(variant.name for variant in chosen))
        object.__setattr__(batch, "_chosen", tuple(chosen))
        return batch

    def __iter__(self) -> Iterator[ReleaseMutant]:
        return iter(self.__dict__["_chosen"])

    def __deepcopy__(self, _: Any) -> Batch:
        return self  # `bench` copies what it gives away


def bench(gate: Gate) -> Callable[..., dict[str, Any]]:
    """Make the gate a function of many releases at once: it maps a release's name to what `scoring.names_of` gives.

    Each release is judged once.
    """
    judged: dict[Any, Any] = {}

    def run(batch: Batch) -> dict[str, Any]:
        verdicts = {}
        for variant in batch:
            release, house = variant.release, variant.house
            parts = tuple(release["files"].items()), tuple(release["evidence"])
            key = (release["version"], release["manifest"], *parts, repr(house))
            if key not in judged:
                judged[key] = names_of(gate, copy.deepcopy(release), copy.deepcopy(house))
            verdicts[variant.name] = judged[key]
        return verdicts

    return run


def score(gate: Gate, trust: Any, seed: int = 1) -> Score:
    """Score a gate on the releases of one seed, which are others than the check's."""
    releases = _variants(trust, f"score/{seed}")
    return MARKING.score(releases, bench(gate)(Batch.of(releases)))


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Try benign releases, then the links by group, then the score."""
    releases = _variants(lab.trust, str(rng.getrandbits(64)))

    def case(name: str, chosen: list[ReleaseMutant], accept: Accept) -> Case:
        return Case(name, (Batch.of(chosen),), accept=accept)

    yield case("benign releases", releases, _benign_accepted(releases))
    for group, links in GROUPS.items():
        chosen = [v for v in releases if v.link in links]
        yield case(
            group, [releases[0], *chosen], _each_link_and_kind(MARKING.at_least([releases[0]], chosen, links), chosen)
        )
    for height in THRESHOLDS:
        yield case(f"a score of {height:.0%}", releases, MARKING.reaches(releases, height))


def _each_link_and_kind(each_link: Accept, chosen: list[ReleaseMutant]) -> Accept:
    every_kind = MARKING.every_kind(chosen)
    return lambda verdicts: each_link(verdicts) and every_kind(verdicts)


def _variants(trust: Any, seed: str) -> list[ReleaseMutant]:
    """Make the variants of a seed once: every check uses the visible ones again, and every score the scored ones."""
    key = (str(trust.fingerprint), seed)
    if key not in _made:
        _made[key] = variants(TestSigner(trust), random.Random(seed))  # noqa: S311 (variation, not secrecy)
    return _made[key]


def _benign_accepted(releases: list[ReleaseMutant]) -> Accept:
    """Accept when all benign releases are accepted and some mutant is refused for the right reason."""
    benign = [v for v in releases if not v.link]

    def accept(verdicts: Any) -> bool | Miss | Note:
        fine = MARKING.at_least(benign)(verdicts)
        if fine and not any(v.right(verdicts.get(v.name)) for v in releases if v.link):
            return Miss("all of them are accepted, and no mutant is refused for the right reason")
        return fine

    return accept
