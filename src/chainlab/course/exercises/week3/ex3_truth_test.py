"""Cases for exercise 3.3: which components are in a service, and which only look as if?

For a class of planted components, recall is the share of those inside that were found; precision is the share of those
found that are inside.

    >>> figures(["pkg:pypi/b@1"], [PlantedComponent("pkg:pypi/a@1", "vendored", True)])
    {'vendored': (1, 0, 0)}
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.exercises.fixtures.planted_services import CLASSES, PlantedComponent, PlantedService

__all__ = ["cases", "figures", "truth_test"]

SEE = "labs/03_sbom.ipynb, 'What is in the service?'"
TEACHES = {
    "declared, and what that needs": (
        "What `dependencies` names is installed wherever the service is, imported or not; so is what it "
        "requires, and so on; two may require each other. Something that happens to lie in the same folder is not in "
        "the service, and may have no RECORD: then `.files` is None."
    ),
    "a module by another name": (
        "`import sklearn` loads files of scikit-learn, and a package called sklearn is somebody else's. A module "
        "belongs to the distribution whose RECORD lists its file; in a namespace, the longest path decides. What is "
        "imported from a module need not be one, and a module need not be a .py file: then a shorter path is listed."
    ),
    "loaded by name": (
        '`importlib.import_module("…")` and `entry_points(group="…")` load what no import statement names. A '
        "name in a comment or a message loads nothing: look at calls in the syntax tree, not at text."
    ),
    "extras": (
        "`acme-x[fast]` brings in what acme-x requires under `extra == 'fast'`; that marker in another package, "
        "or another extra, brings in nothing. A package that was brought in asks for extras, too."
    ),
    "for developers only": (
        "`dev` is installed here and is not in the service. But who is in is in: the service also imports one of "
        "them, inside a function, and that one needs another."
    ),
    "copied in": (
        "No metadata knows a vendored component. Where its host keeps a list, `_vendor/vendor.txt`, believe it "
        "only for files that are there, only lines with a version, and only in a host that is in the service."
    ),
    "everything at once": "See the classes above, one by one; `truth_test(find, lab.path)` counts them.",
}


Find = Callable[[Path, Path], Any]


def figures(purls: Iterable[str], planted: Iterable[PlantedComponent]) -> dict[str, tuple[int, int, int]]:
    """Count for each class the planted components inside, those found, and those found that are inside."""
    unique, counted = set(purls), {}
    for kind in CLASSES:
        own = [p for p in planted if p.kind == kind]
        if own:
            hits = [p for p in own if p.purl in unique]
            counted[kind] = (sum(p.inside for p in own), len(hits), sum(p.inside for p in hits))
    return counted


def truth_test(find: Find, place: Path, seed: int = 1, services: int = 4) -> pd.DataFrame:
    """Measure precision and recall of a finder on services of its own.

    A finder gets two folders, service and site-packages. DataFrame: one row per class; the last row counts the purls
    that name no planted component.
    """
    total: dict[str, list[int]] = {kind: [0, 0, 0] for kind in CLASSES}
    strange = 0
    for number in range(services):
        service = _everything(random.Random(f"truth/{seed}/{number}"))  # noqa: S311 (variation, not secrecy)
        purls = set(find(*service.write(place)))
        strange += len(purls - {p.purl for p in service.components})
        for kind, counts in figures(purls, service.components).items():
            total[kind] = [a + b for a, b in zip(total[kind], counts, strict=True)]
    rows = {
        kind: {
            "in the service": there,
            "found": count,
            "of those in it": right,
            "precision": f"{right / count:.2f}" if count else "–",
            "recall": f"{right / there:.2f}" if there else "–",
        }
        for kind, (there, count, right) in total.items()
    }
    rows["(no plant)"] = {"in the service": 0, "found": strange, "of those in it": 0, "precision": "–", "recall": "–"}
    return pd.DataFrame.from_dict(rows, orient="index")


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Plant one class of components at a time, then all."""

    def case(name: str, service: PlantedService) -> Case:
        return Case(name, service.write(lab.path), None, accept=_accepts(service.components))

    def planted(*kinds: Callable[[PlantedService], None]) -> PlantedService:
        service = PlantedService(rng)
        for kind in kinds:
            kind(service)
        return service

    yield case("declared, and what that needs", planted(PlantedService.declared))
    yield case("a module by another name", planted(PlantedService.declared, PlantedService.renamed))
    yield case("loaded by name", planted(PlantedService.declared, PlantedService.dynamic))
    yield case("extras", planted(PlantedService.declared, PlantedService.extras))
    yield case("for developers only", planted(PlantedService.declared, PlantedService.dev))
    yield case("copied in", planted(PlantedService.declared, PlantedService.vendored))
    yield case("everything at once", _everything(rng))


def _everything(rng: random.Random) -> PlantedService:
    service = PlantedService(rng)
    kinds = [
        PlantedService.declared,
        PlantedService.renamed,
        PlantedService.extras,
        PlantedService.dev,
        PlantedService.vendored,
        PlantedService.dynamic,
    ]
    rng.shuffle(kinds)
    for kind in kinds:
        kind(service)
    return service


def _accepts(planted: list[PlantedComponent]) -> Callable[[Any], bool | Miss]:
    def accept(purls: Any) -> bool | Miss:
        if not isinstance(purls, list) or not all(isinstance(p, str) for p in purls):
            return Miss("expected a set of purls")
        for kind, (there, count, right) in figures(purls, planted).items():
            if (there, count) != (right, right):
                wrong = [p.purl for p in planted if p.kind == kind and (p.purl in purls) != p.inside]
                verb = "is in the service" if right < there else "is not in the service"
                odd = [p.purl for p in planted if p.purl in wrong and p.inside == (right < there)]
                return Miss(f"{kind}: precision {right} of {count}, recall {right} of {there}; {odd[0]} {verb}")
        if strange := set(purls) - {p.purl for p in planted}:
            return Miss(f"{min(strange)} is no component here")
        return True

    return accept
