"""SBOM quality: which minimum elements a document states, as `chainlab sbom check` counts them.

    >>> quality = assess(document)
    >>> quality.score, quality.reasons[:1]
    (0.83, ('component hash: 2 of 22 component(s), not numpy, scipy, onnx; candidates of a lock: 20',))

`ELEMENTS` is the table of what is asked. A new element is one row there: a field of its own needs only its name
(`_states`), a nested one a function beside it; ``standards=()`` marks one that no standard asks for. The table joins
two lists: NTIA's of 12 July 2021, and CISA's of 22 August 2025, which is a *draft for comment*: its final version may
differ. A value such as "unknown" does not count. An element that applies to no component counts neither way, and a
document without components has no score. The score counts what a document declares, not whether it is true: a document
that lists too little scores well, so compare it with what is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from chainlab.evidence.sbom.cyclonedx import entries
from chainlab.evidence.sbom.schema import problems

__all__ = ["CISA", "ELEMENTS", "NTIA", "STANDARDS", "ElementCount", "MinimumElement", "Quality", "assess"]

NTIA = "NTIA 2021"
CISA = "CISA 2025 draft"
STANDARDS = (NTIA, CISA)
NO_VALUES = {
    "", "unknown", "none", "n/a", "na", "noassertion", "null", "-", "?", "todo", "0.0.0-unknown"
}  # fmt: skip
# Types of component to which no package registry gives an identifier or a version.
DATA = {"data", "file", "machine-learning-model"}
Fields = dict[str, Any]  # of a component, or of the whole document, as in the JSON


@dataclass(frozen=True)
class MinimumElement:
    """One row of `ELEMENTS`: what is asked of whom."""

    name: str
    standards: tuple[str, ...]  # that ask for it
    of: Literal["document", "component", "package"]  # package: a component that is not DATA
    has: Callable[[Fields, set[str]], bool]  # the entry, and the refs whose dependencies the document describes


@dataclass(frozen=True)
class ElementCount:
    """How many of the entries that should state an element do."""

    name: str
    standards: tuple[str, ...]
    present: int
    total: int
    missing: tuple[str, ...] = ()  # names of the first entries that do not state it
    of_document: bool = False  # stated once, not by each component
    candidates: int = 0  # components without a hash of their own, but with hashes of files that a lock accepts

    @property
    def coverage(self) -> float | None:
        """0 to 1; None for an element that applies to no entry."""
        return self.present / self.total if self.total else None

    def __str__(self) -> str:
        if self.of_document:
            return f"{self.name}: {'stated' if self.present else 'not stated'}"
        first = f", not {', '.join(self.missing)}" if self.missing else ""
        more = f"; candidates of a lock: {self.candidates}" if self.candidates else ""
        return f"{self.name}: {self.present} of {self.total} component(s){first}{more}"


@dataclass(frozen=True)
class Quality:
    """The quality of one document, element by element."""

    elements: tuple[ElementCount, ...]
    invalid: tuple[str, ...] = ()  # what the schema refuses

    @property
    def score(self) -> float | None:
        """0 to 1: the mean coverage of the elements, each with the same weight.

        0 for a document that is not valid; None for one that lists no component.
        """
        if self.invalid:
            return 0.0
        if not any(e.total for e in self.elements if not e.of_document):
            return None
        coverages = [e.coverage for e in self.elements if e.coverage is not None]
        return round(sum(coverages) / len(coverages), 4)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the score is below 1: schema problems, then incomplete elements, the least covered first."""
        gaps = [(e.coverage, e.name, str(e)) for e in self.elements if e.coverage is not None and e.coverage < 1]
        return (*self.invalid, *(text for _, _, text in sorted(gaps)))

    def of(self, standard: str) -> Quality:
        """Return the quality by one of the standards alone."""
        return Quality(tuple(e for e in self.elements if standard in e.standards), self.invalid)


def _states(name: str) -> Callable[[Fields, set[str]], bool]:
    return lambda entry, _: _is_value(entry.get(name))


def _has_producer(component: Fields, _: set[str]) -> bool:
    organisations = [_dict(component.get(k)).get("name") for k in ("supplier", "manufacturer")]
    authors = [a.get("name") for a in _dicts(component.get("authors"))]
    names = (*organisations, *authors, component.get("publisher"), component.get("author"))
    return any(map(_is_value, names))


def _has_identifier(component: Fields, _: set[str]) -> bool:
    lists = (*_list(component.get("omniborId")), *_list(component.get("swhid")))
    return any(map(_is_value, (component.get("purl"), component.get("cpe"), *lists)))


def _has_dependencies(component: Fields, described: set[str]) -> bool:
    return component.get("bom-ref") in described


def _has_hash(component: Fields, _: set[str]) -> bool:
    return _is_hashed(component)


def _has_licence(component: Fields, _: set[str]) -> bool:
    for choice in _dicts(component.get("licenses")):
        licence = _dict(choice.get("license"))
        if any(map(_is_value, (choice.get("expression"), licence.get("id"), licence.get("name")))):
            return True
    return False


def _has_author(document: Fields, _: set[str]) -> bool:
    metadata = _dict(document.get("metadata"))
    people = [a.get("name") for a in _dicts(metadata.get("authors"))]
    organisations = [_dict(metadata.get(k)).get("name") for k in ("manufacturer", "manufacture")]
    return any(map(_is_value, (*people, *organisations)))


def _has_timestamp(document: Fields, _: set[str]) -> bool:
    value = _dict(document.get("metadata")).get("timestamp")
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\dT", value):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _has_tool(document: Fields, _: set[str]) -> bool:
    tools = _dict(document.get("metadata")).get("tools")
    listed = _dicts(tools) or _dicts(_dict(tools).get("components"))
    return any(_is_value(t.get("name")) for t in listed)


def _has_lifecycle(document: Fields, _: set[str]) -> bool:
    return bool(_dicts(_dict(document.get("metadata")).get("lifecycles")))


def _has_compositions(document: Fields, _: set[str]) -> bool:
    return bool(_dicts(document.get("compositions")))


# What `chainlab sbom check` asks for.
ELEMENTS = (
    MinimumElement("software producer (supplier)", STANDARDS, "component", _has_producer),
    MinimumElement("component name", STANDARDS, "component", _states("name")),
    MinimumElement("component version", STANDARDS, "package", _states("version")),
    MinimumElement("software identifiers", STANDARDS, "package", _has_identifier),
    MinimumElement("dependency relationship", STANDARDS, "component", _has_dependencies),
    MinimumElement("SBOM author", STANDARDS, "document", _has_author),
    MinimumElement("timestamp", STANDARDS, "document", _has_timestamp),
    MinimumElement("component hash", (CISA,), "component", _has_hash),
    MinimumElement("license", (CISA,), "component", _has_licence),
    MinimumElement("tool name", (CISA,), "document", _has_tool),
    MinimumElement("generation context", (CISA,), "document", _has_lifecycle),
    MinimumElement("known unknowns", STANDARDS, "document", _has_compositions),
)


def assess(document: Any) -> Quality:
    """Assess a CycloneDX document; anything else scores 0 and says why."""
    invalid = tuple(str(problem) for problem in problems(document)[:5])
    if not isinstance(document, dict):
        return Quality((), invalid)
    components = list(entries(document))
    packages = [c for c in components if c.get("type") not in DATA]
    asked_of = {"document": [document], "component": components, "package": packages}
    described = _described(document)
    return Quality(tuple(_count(element, asked_of[element.of], described) for element in ELEMENTS), invalid)


def _count(element: MinimumElement, subjects: Sequence[Fields], described: set[str]) -> ElementCount:
    lacking = [entry for entry in subjects if not element.has(entry, described)]
    of_document = element.of == "document"
    return ElementCount(
        element.name,
        element.standards,
        present=len(subjects) - len(lacking),
        total=len(subjects),
        missing=() if of_document else tuple(str(entry.get("name") or "?")[:60] for entry in lacking[:3]),
        of_document=of_document,
        candidates=sum(map(_has_candidate_hash, lacking)) if element.has is _has_hash else 0,
    )


def _described(document: Fields) -> set[str]:
    """Refs whose dependencies the document gives, and does not itself call unknown."""
    refs = {str(d.get("ref")) for d in _dicts(document.get("dependencies"))}
    unknown: set[str] = set()
    for composition in _dicts(document.get("compositions")):
        if composition.get("aggregate") in ("unknown", "not_specified"):
            unknown |= {str(ref) for ref in _list(composition.get("dependencies"))}
    return refs - unknown


def _has_candidate_hash(component: Fields) -> bool:
    """Whether it lists hashes of files, one of which it may be."""
    references = _dicts(component.get("externalReferences"))
    return any(_is_hashed(reference) for reference in references if reference.get("type") == "distribution")


def _is_hashed(entry: Fields) -> bool:
    return any(_is_value(h.get("content")) for h in _dicts(entry.get("hashes")))


def _is_value(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() not in NO_VALUES


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
