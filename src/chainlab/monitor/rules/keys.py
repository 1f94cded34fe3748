"""The keys of a rule that a person reads in an alert, and our own below ``chainlab:``.

Sigma requires a title and a log source. A rule here also has what the receiver of an alert needs: level, benign causes,
technique, and the first thing to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from chainlab.errors import MalformedInput
from chainlab.event_types import EVENT_TYPES
from chainlab.monitor.rules.conditions import check_modifiers
from chainlab.monitor.rules.rule_file import Mistake, RuleDocument, suggestion
from chainlab.shapes import Many, Shape, Text

__all__ = ["FIX", "OwnKey", "check_keys", "check_main_keys"]

TECHNIQUE: Final = re.compile(r"(AML\.)?T[0-9]{4}(\.[0-9]{3})?")
HYGIENE: Final = "none: hygiene"
LEVELS: Final = ("informational", "low", "medium", "high", "critical")
KEYS: Final = (
    "title", "id", "name", "related", "status", "description", "license", "references", "author", "date", "modified",
    "tags", "fields", "logsource", "detection", "correlation", "falsepositives", "level", "chainlab",
)  # fmt: skip
OURS: Final = "`technique`, `framework`, `unit`, `response`; `detects` in a rule of your own"
FIX: Final = "docs/detections.md shows a whole rule"


class OwnKey(Shape, extra="forbid"):
    """What stands below `chainlab:`."""

    technique: Text | Annotated[Many[Text], Field(min_length=1)]
    unit: Text
    response: Text
    framework: str = ""
    detects: Text | None = None


def check_keys(document: RuleDocument) -> Iterator[Mistake]:
    """Report mistakes that any document can have."""
    values = document.values
    for key in values:
        if key not in KEYS:
            hint = suggestion(key, KEYS, f"keys are {', '.join(KEYS)}")
            yield document.mistake(f"unknown key {key[:80]!r}", hint, key)
    if not isinstance(values.get("title"), str) or not values["title"].strip():
        yield document.mistake("the rule has no title", "write `title:` and what happens, in a few words", "title")
    if "id" in values and not _is_uuid(values["id"]):
        hint = "write a UUID, as `python -m uuid` prints no two alike, or leave the id out"
        yield document.mistake(f"the id is not a UUID: {str(values['id'])[:80]!r}", hint, "id")
    if "correlation" not in values:
        source = values.get("logsource")
        if not isinstance(source, dict) or source.get("product") != "chainlab":
            hint = "write `logsource: {product: chainlab}`"
            yield document.mistake("the log source is not chainlab", hint, "logsource", "product")
        yield from check_modifiers(document)


def check_main_keys(document: RuleDocument) -> Iterator[Mistake]:
    """Report what a rule lacks that an alert shows to a person."""
    values = document.values
    if values.get("level") not in LEVELS:
        message = "the level is unknown" if "level" in values else "the rule has no level"
        yield document.mistake(message, f"write `level:` and one of {', '.join(LEVELS)}", "level")
    causes = values.get("falsepositives")
    if not isinstance(causes, list) or not causes or not all(isinstance(c, str) and c.strip() for c in causes):
        hint = "write `falsepositives:` and a list of what is benign and looks the same; every rule has some"
        yield document.mistake("the rule has no false positives", hint, "falsepositives")
    if not isinstance(values.get("description", ""), str):
        yield document.mistake("the description is not a text", "quote it", "description")
    ours = values.get("chainlab")
    if not isinstance(ours, dict):
        yield document.mistake("the rule has no `chainlab:` key", f"write below it {OURS}", "chainlab")
        return
    missing = [key for key in ("technique", "unit", "response") if not ours.get(key)]
    for key in missing:
        yield document.mistake(f"the rule has no {key}", f"below `chainlab:` stand {OURS}. {FIX}", "chainlab", key)
    if missing:
        return
    try:
        own = OwnKey.read(ours)
    except MalformedInput as error:
        hint = error.hint or f"below `chainlab:` stand {OURS}"
        yield document.mistake(f"`chainlab:` {error.message}", hint, "chainlab", error.message.partition(":")[0])
        return
    yield from _about_technique(document, own)
    if own.unit not in EVENT_TYPES:
        hint = suggestion(own.unit, EVENT_TYPES, "a unit is the event type of one trial, such as artifact.published")
        yield document.mistake(f"the unit is not an event type: {own.unit[:80]!r}", hint, "chainlab", "unit")


def _about_technique(document: RuleDocument, own: OwnKey) -> Iterator[Mistake]:
    place = ("chainlab", "technique")
    if own.technique == HYGIENE:
        return
    if isinstance(own.technique, str):
        hint = f'write a list, `[T1195.002]`, or `"{HYGIENE}"`'
        yield document.mistake(f"the technique is not a list: {own.technique[:80]!r}", hint, *place)
        return
    for technique in own.technique:
        if not TECHNIQUE.fullmatch(technique):
            hint = f'write an id of ATT&CK (T1195.002) or ATLAS (AML.T0010.003), or `"{HYGIENE}"` in place of the list'
            yield document.mistake(f"not a technique's id: {technique[:80]!r}", hint, *place)
    if not own.framework.strip():
        hint = "write `framework: ATT&CK v18.1`: ids change between versions"
        yield document.mistake("the rule does not name its technique's framework", hint, "chainlab")


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and UUID(value) is not None
    except ValueError:
        return False
