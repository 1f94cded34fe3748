"""Write the tables of docs/events.md: every type of event and its fields, made from the code.

$ python tests/setup/event_tables.py            writes the page
$ python tests/setup/event_tables.py --check    exit 1 when it is not of this code
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from chainlab.event_types import COMMON, EVENT_TYPES
from chainlab.event_types.artifacts import ARTIFACTS
from chainlab.event_types.observations import OBSERVATIONS
from chainlab.event_types.operations import OPERATIONS
from chainlab.event_types.pipeline import PIPELINE

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
BEGIN, END = "<!-- event types, made by tests/setup/event_tables.py -->", "<!-- end of event types -->"
GROUPS = {
    "The CI host, and credentials": PIPELINE,
    "The registry": ARTIFACTS,
    "Gate, deployment, trust": OPERATIONS,
    "The monitor's own": OBSERVATIONS,
}


def tables() -> Iterator[str]:
    """Yield the lines between the two marks."""
    yield "### Fields of every event"
    yield ""
    yield from _table(COMMON)
    for title, types in GROUPS.items():
        yield f"### {title}"
        yield ""
        for name in types:
            kind = EVENT_TYPES[name]
            yield f"**`{name}`**: {kind.meaning}. By `{kind.source}`, about {kind.subject}."
            yield ""
            yield from _table(kind.fields)


def _table(fields: Mapping[str, str]) -> Iterator[str]:
    yield "| field | meaning |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in fields.items())
    yield ""


def page(text: str) -> str:
    """The page with its tables as the code has them."""
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return "\n".join([f"{before}{BEGIN}", "", *tables(), f"{END}{after}"])


def main(words: list[str]) -> int:
    """Write the page, or say that it is not of this code."""
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in words:
        if page(text) != text:
            print("docs/events.md is not of this code: run python tests/setup/event_tables.py")
        return int(page(text) != text)
    PAGE.write_text(page(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
