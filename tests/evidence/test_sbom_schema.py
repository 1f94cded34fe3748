"""Problems of documents, in words; and never an exception."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.evidence import sbom
from chainlab.evidence.schema import problems

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def good(planted: Path, planted_lock: Path, at: datetime) -> dict[str, Any]:
    return sbom.of_environment(planted, lock=planted_lock, at=at)


def edited(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *way, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    at: Any = changed
    for part in way:
        at = at[part]
    at[last] = value
    return changed


CASES: dict[str, tuple[str, Any, str]] = {
    "an unknown type": ("components/0/type", "lib", "components[0].type: 'lib' is not a value"),
    "a misspelt algorithm": (
        "components/1/hashes/0/alg", "sha256", "components[1].hashes[0].alg: 'sha256' is not a value that is "
        "allowed here (mend: write 'SHA-256')",
    ),
    "no digest": ("components/1/hashes/0/content", "zz", "write the digest in hex digits"),
    "a short digest": ("components/1/hashes/0/content", "a" * 32, "32 digits, and SHA-256 has 64"),
    "no time": ("metadata/timestamp", "yesterday", "write RFC 3339 with a zone"),
    "no licence": ("components/0/licenses", [{"license": {"id": "Foo"}}], "licenses[0].license.id: 'Foo' is none of"),
    "licences of two kinds": (
        "components/0/licenses", [{"license": {"id": "MIT"}}, {"expression": "MIT"}],
        "components[0].licenses: licences in a list, or one expression: not both",
    ),
    "a number for a text": (
        "components/0/version", 1.2, 'string expected, this is a number (mend: write "1.2", in quotes',
    ),
    "a name of one's own": ("components/0/colour", "red", "'colour' is not known here"),
    "a component that is none": (
        "components/0", {"type": "library"}, "components[0]: 'name' is missing (mend: add it)",
    ),
    "a dead end": ("dependencies/0/dependsOn", ["pkg:pypi/nobody"], "'pkg:pypi/nobody' leads nowhere"),
    "two of one name": ("components/0/bom-ref", "pkg:pypi/acme-checks@0.1", "is also at"),
    "NaN": ("components/0/pedigree", {"notes": float("nan")}, "cannot be written as JSON"),
    "another format": ("bomFormat", "SPDX", "no CycloneDX known here"),
    "another version": ("specVersion", "9.9", "no CycloneDX known here"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "value", "said"), CASES.values(), ids=CASES.keys())
def test_a_problem_is_told_with_place_and_remedy(path: str, value: Any, said: str, good: dict[str, Any]) -> None:
    assert problems(good) == problems(sbom.dump(good)) == []
    found = "\n".join(map(str, problems(edited(good, path, value))))
    assert said in found


@pytest.mark.parametrize(
    "garbage",
    [None, 1, [], {1: 2}, b"{", b"\xff", '{"a":' * 100_000, {"specVersion": ["1.6"]}, {"a": {1}}, {"a": "\ud800"}],
    ids=lambda g: type(g).__name__,
)
def test_garbage_is_a_problem_and_no_exception(garbage: Any) -> None:
    assert problems(garbage)
    if isinstance(garbage, dict):
        assert problems({"bomFormat": "CycloneDX", "specVersion": "1.6", **garbage})


@given(st.data())
def test_no_document_raises(good: dict[str, Any], data: st.DataObject) -> None:
    changed = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at: Any = changed
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(at[key], (dict, list)) or data.draw(st.booleans()):
                at[key] = data.draw(JSON)
                break
            at = at[key]
    for problem in problems(changed):
        assert json.dumps(str(problem))
