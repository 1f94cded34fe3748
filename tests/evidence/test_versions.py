"""Versions: one reader for all of the package, with a limit on length."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from chainlab.evidence.advisories import load
from chainlab.evidence.packages.versions import MAX_VERSION, is_same_version, parse_version, version_key
from chainlab.evidence.vulnerabilities import match

ROOT = Path(__file__).parents[2]
LONG = ["9" * 5000, "1." * 5000 + "0", "1+" + "a" * 5000, "1!" + "9" * 5000, "1.dev" + "9" * 5000, "0" * 100_000]
TEXTS = st.one_of(st.from_regex(r"v?[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|rc|\.post|\.dev)[0-9])?\Z"), st.text(max_size=12))


@pytest.mark.parametrize("text", [*LONG, "", "newer", "1.0 (vendored)", "1.0\0", "\ud800", "\u0661.0"])
def test_what_is_no_version_is_none_and_equals_nothing(text: str) -> None:
    assert parse_version(text) is None
    assert not is_same_version(text, text)
    assert version_key(text) == (False, text)


@given(st.lists(TEXTS, max_size=8))
def test_versions_are_read_and_ordered_as_packaging_does(texts: list[str]) -> None:
    read = []
    for text in texts:
        try:
            read.append(Version(text))
        except InvalidVersion:
            assert parse_version(text) is None
        else:
            assert parse_version(text) == read[-1]
    ordered = [parse_version(text) for text in sorted(texts, key=version_key)]
    assert [version for version in ordered if version is not None] == sorted(read)


def test_the_longest_version_is_read() -> None:
    assert parse_version("1." + "9" * (MAX_VERSION - 2)) is not None


@pytest.mark.parametrize("text", LONG)
def test_an_advisory_is_matched_beside_a_version_that_nobody_can_read(text: str) -> None:
    components = [{"name": "northwind-loader", "version": version} for version in (text, "1.0")]
    assert match(components, load(ROOT / "data" / "advisories")) is not None


def test_nothing_else_in_the_package_reads_versions() -> None:
    readers = [
        path.name
        for path in (ROOT / "src").rglob("*.py")
        if re.search(r"packaging\.version import|\bInvalidVersion\b", path.read_text(encoding="utf-8"))
    ]
    assert [name for name in readers if name != "wire.py"] == ["versions.py"]  # wire.py: a certificate's
