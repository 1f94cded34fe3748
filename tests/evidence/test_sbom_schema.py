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

from chainlab.evidence.sbom import builder
from chainlab.evidence.sbom.schema import problems

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def good(planted: Path, planted_lock: Path, at: datetime) -> dict[str, Any]:
    return builder.of_environment(planted, lock=planted_lock, at=at)


def edited(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *way, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    at: Any = changed
    for part in way:
        at = at[part]
    at[last] = value
    return changed


CASES: dict[str, tuple[str, Any, str]] = {
    "an unknown type": ("components/0/type", "lib", "components[0].type: 'lib' is not allowed here"),
    "a misspelt algorithm": (
        "components/1/hashes/0/alg", "sha256",
        "components[1].hashes[0].alg: 'sha256' is not allowed here (help: write 'SHA-256')",
    ),
    "no digest": ("components/1/hashes/0/content", "zz", "write the digest in hex digits"),
    "a short digest": ("components/1/hashes/0/content", "a" * 32, "32 digits, and SHA-256 has 64"),
    "no time": ("metadata/timestamp", "yesterday", "write RFC 3339 with a zone"),
    "no id": ("components/0/licenses", [{"license": {"id": "Foo"}}], "licenses[0].license.id: 'Foo' is not one of"),
    "licences of two kinds": (
        "components/0/licenses", [{"license": {"id": "MIT"}}, {"expression": "MIT"}],
        "components[0].licenses: licences in a list, or one expression: not both",
    ),
    "two alternatives at once": (
        "metadata/lifecycles", [{"phase": "build", "name": "n"}],
        "metadata.lifecycles[0]: this is two alternatives at once, and one is allowed (help: split it",
    ),
    "two alternatives, inside": (
        "components/0/licenses", [{"license": {"id": "MIT", "name": "M"}}], "license: this is two alternatives at once",
    ),
    "an alternative and a strange name": (
        "metadata/lifecycles", [{"phase": "build", "colour": "red"}], "'colour' is not known here",
    ),
    "too much": ("components/0/evidence", {"identity": {"field": "purl", "confidence": 3}}, "confidence: 3 is above 1"),
    "a number for a text": (
        "components/0/version", 1.2, 'string expected, this is a number (help: write "1.2", in quotes',
    ),
    "a name of one's own": ("components/0/colour", "red", "'colour' is not known here"),
    "a component that is none": (
        "components/0", {"type": "library"}, "components[0]: 'name' is missing (help: add it)",
    ),
    "a dead end": ("dependencies/0/dependsOn", ["pkg:pypi/nobody"], "'pkg:pypi/nobody' leads nowhere"),
    "two of one name": ("components/0/bom-ref", "pkg:pypi/acme-checks@0.1", "is also at"),
    "NaN": ("components/0/pedigree", {"notes": float("nan")}, "not valid as JSON"),
    "another format": ("bomFormat", "SPDX", "no CycloneDX known here"),
    "another version": ("specVersion", "9.9", "no CycloneDX known here"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), CASES.values(), ids=CASES.keys())
def test_a_problem_is_told_with_place_and_remedy(path: str, value: Any, message: str, good: dict[str, Any]) -> None:
    assert problems(good) == problems(builder.dump(good)) == []
    found = "\n".join(map(str, problems(edited(good, path, value))))
    assert message in found


OLDER: dict[str, tuple[str, dict[str, Any], str]] = {
    "an expression beside a licence": (
        "1.4", {"licenses": [{"expression": "MIT", "license": {"name": "MIT"}}]},
        "components[0].licenses[0]: this is two alternatives at once",
    ),
    "deep inside": ("1.2", {"pedigree": {"commits": [{"url": 1}]}}, "string expected, this is a number"),
    "fields that are not allowed together": (
        "1.7", {"version": "1", "versionRange": "vers:pypi/>1", "isExternal": True},
        "'version' and 'versionRange' are not allowed together (help: remove one)",
    ),
    "a field out of place": ("1.7", {"versionRange": "vers:pypi/>1"}, "'versionRange' is not allowed here (help"),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "fields", "message"), OLDER.values(), ids=OLDER.keys())
def test_every_version_is_told_in_our_words(spec: str, fields: dict[str, Any], message: str) -> None:
    component = {"type": "library", "name": "a", "version": "1", **fields}
    if "versionRange" in fields and "version" not in fields:
        del component["version"]
    document = {"bomFormat": "CycloneDX", "specVersion": spec, "version": 1, "components": [component]}
    found = "\n".join(map(str, problems(document)))
    assert message in found


def test_only_what_looks_like_xml_is_told_that_it_is_not_read() -> None:
    assert "XML" in str(problems(b"<?xml version='1.0'?>")[0])
    assert "XML" not in str(problems(b'{"bomFormat": "CycloneDX"')[0])


VALIDATORS = (
    "keyword",
    "schemas listed",
    "is not of type",
    "is a required property",
    "were unexpected",
    "is less than",
)


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
        assert not any(words in problem.message for words in VALIDATORS)
