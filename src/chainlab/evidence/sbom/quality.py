"""Quality: how much of what an SBOM should say it says.

    >>> found = assess(document)
    >>> found.score, found.reasons[:1]
    (0.83, ('component hash: 2 of 22 component(s), not numpy, scipy, onnx; candidates of a lock: 20',))

Two lists of minimum elements: NTIA's of 12 July 2021, and CISA's of 22 August 2025, which is a *draft for comment*: its
final version may differ. A value such as "unknown" is not a value. What nothing could say counts neither way, and a
document without components has no score. What is declared is counted, not whether it is true: a document that lists too
little scores well, so compare it with what is installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chainlab.evidence.sbom.cyclonedx import entries
from chainlab.evidence.sbom.schema import problems

__all__ = ["CISA", "NTIA", "STANDARDS", "Element", "Quality", "assess"]

NTIA = "NTIA 2021"
CISA = "CISA 2025 draft"
STANDARDS = (NTIA, CISA)
NOTHING = {
    "", "unknown", "none", "n/a", "na", "noassertion", "null", "-", "?", "todo", "0.0.0-unknown"
}  # fmt: skip
# Kinds that no package registry gives an identifier or version
DATA = {"data", "file", "machine-learning-model"}


@dataclass(frozen=True)
class Element:
    """One minimum element: how many of those that should say it do."""

    name: str
    standards: tuple[str, ...]
    present: int
    total: int
    missing: tuple[str, ...] = ()  # names of the first ones that do not
    of_document: bool = False  # said once, not by each component
    candidates: int = 0  # components that have not their own hash, but hashes of files that a lock accepts

    @property
    def coverage(self) -> float | None:
        """0 to 1; None for an element that nothing could say."""
        return self.present / self.total if self.total else None

    def __str__(self) -> str:
        if self.of_document:
            return f"{self.name}: {'said' if self.present else 'not said'}"
        first = f", not {', '.join(self.missing)}" if self.missing else ""
        more = f"; candidates of a lock: {self.candidates}" if self.candidates else ""
        return f"{self.name}: {self.present} of {self.total} component(s){first}{more}"


@dataclass(frozen=True)
class Quality:
    """What assessing came to."""

    elements: tuple[Element, ...]
    invalid: tuple[str, ...] = ()  # what is wrong with the document itself

    @property
    def score(self) -> float | None:
        """0 to 1: the mean coverage of the elements, each counting alike.

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
        """Why the score is not 1: what is invalid, then elements by what they lack."""
        told = [(e.coverage, e.name, str(e)) for e in self.elements if e.coverage is not None and e.coverage < 1]
        return (*self.invalid, *(text for _, _, text in sorted(told)))

    def of(self, standard: str) -> Quality:
        """By one of the standards alone."""
        return Quality(tuple(e for e in self.elements if standard in e.standards), self.invalid)


def assess(document: Any) -> Quality:
    """Assess a CycloneDX document; anything else scores 0 and says why."""
    wrong = tuple(str(p) for p in problems(document)[:5])
    if not isinstance(document, dict):
        return Quality((), wrong)
    components = list(entries(document))
    about = _dict(document.get("metadata"))
    related = _related(document)
    every = STANDARDS
    packages = [c for c in components if c.get("type") not in DATA]
    elements = (
        _element("software producer (supplier)", every, components, _producer),
        _element("component name", every, components, lambda c: _said(c.get("name"))),
        _element("component version", every, packages, lambda c: _said(c.get("version"))),
        _element("software identifiers", every, packages, _identified),
        _element("dependency relationship", every, components, lambda c: c.get("bom-ref") in related),
        _whole("SBOM author", every, _author(about)),
        _whole("timestamp", every, _timestamp(about.get("timestamp"))),
        replace(_element("component hash", (CISA,), components, _hashed), candidates=sum(map(_accepting, components))),
        _element("license", (CISA,), components, _licensed),
        _whole("tool name", (CISA,), _tool(about.get("tools"))),
        _whole("generation context", (CISA,), bool(_dicts(about.get("lifecycles")))),
        _whole("known unknowns", every, bool(_dicts(document.get("compositions")))),
    )
    return Quality(elements, wrong)


def _element(
    name: str,
    standards: tuple[str, ...],
    components: Sequence[dict[str, Any]],
    has: Callable[[dict[str, Any]], bool],
) -> Element:
    lacking = [c for c in components if not has(c)]
    names = tuple(str(c.get("name") or "?")[:60] for c in lacking[:3])
    return Element(name, standards, len(components) - len(lacking), len(components), names)


def _whole(name: str, standards: tuple[str, ...], has: bool) -> Element:
    return Element(name, standards, int(has), 1, of_document=True)


def _related(document: dict[str, Any]) -> set[Any]:
    """Refs whose dependencies the document gives, and does not itself call unknown."""
    given = {str(d.get("ref")) for d in _dicts(document.get("dependencies"))}
    unknown: set[str] = set()
    for one in _dicts(document.get("compositions")):
        if one.get("aggregate") in ("unknown", "not_specified"):
            refs = one.get("dependencies")
            unknown |= {str(r) for r in refs} if isinstance(refs, list) else set()
    return given - unknown


def _producer(component: dict[str, Any]) -> bool:
    named = [_dict(component.get(k)).get("name") for k in ("supplier", "manufacturer")]
    authors = [a.get("name") for a in _dicts(component.get("authors"))]
    return any(_said(n) for n in (*named, *authors, component.get("publisher"), component.get("author")))


def _identified(component: dict[str, Any]) -> bool:
    known = [component.get("purl"), component.get("cpe"), *_texts(component.get("omniborId"))]
    return any(_said(k) for k in (*known, *_texts(component.get("swhid"))))


def _hashed(component: dict[str, Any]) -> bool:
    return any(_said(h.get("content")) for h in _dicts(component.get("hashes")))


def _accepting(component: dict[str, Any]) -> bool:
    """Whether it has only hashes of files of which it may be one."""
    files = [r for r in _dicts(component.get("externalReferences")) if r.get("type") == "distribution"]
    return not _hashed(component) and any(map(_hashed, files))


def _licensed(component: dict[str, Any]) -> bool:
    for choice in _dicts(component.get("licenses")):
        licence = _dict(choice.get("license"))
        if any(_said(v) for v in (choice.get("expression"), licence.get("id"), licence.get("name"))):
            return True
    return False


def _author(about: dict[str, Any]) -> bool:
    people = [a.get("name") for a in _dicts(about.get("authors"))]
    bodies = [_dict(about.get(k)).get("name") for k in ("manufacturer", "manufacture")]
    return any(_said(n) for n in (*people, *bodies))


def _tool(tools: Any) -> bool:
    listed = _dicts(tools) or _dicts(_dict(tools).get("components"))
    return any(_said(t.get("name")) for t in listed)


def _timestamp(value: Any) -> bool:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\dT", value):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _said(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() not in NOTHING


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
