"""Names of the platform: one folded form, ASCII, and nothing that merely folds to it or looks like it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab import names
from chainlab.errors import MalformedInput

FOLDS: list[tuple[Callable[[str], str], str, str]] = [
    (names.owner, "Acme", "acme"),
    (names.repository, "Acme/Triage-Model", "acme/triage-model"),
    (names.environment, "Release", "release"),
    (names.environment, "PRODUCTION Europe", "production europe"),
]
LIKE = [
    "\u212aey",
    "\u017ftage",
    "d\u0131st",
    "D\u0130ST",
    "re\u217cease",
    "\uff52elease",
    "relea\u0455e",
    "re\u00adlease",
]


@pytest.mark.parametrize(("fold", "text", "folded"), FOLDS)
def test_case_does_not_count(fold: Callable[[str], str], text: str, folded: str) -> None:
    assert {fold(text), fold(text.lower()), fold(text.upper())} == {folded}


@pytest.mark.parametrize("text", LIKE)
def test_what_only_folds_to_ascii_is_refused(text: str) -> None:
    for fold, given_text in (
        (names.owner, text),
        (names.environment, text),
        (names.repository, f"{text}/x"),
        (names.repository, f"x/{text}"),
    ):
        with pytest.raises(MalformedInput):
            fold(given_text)


@pytest.mark.parametrize("text", ["", " ", " release", "release ", "a\nb", "a\tb", "a\0", "x" * 256])
def test_what_is_no_environments_name_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput, match="not an environment name"):
        names.environment(text)


@pytest.mark.parametrize("text", ["", "acme", "a/b/c", "../x", ".a/b", "a/-b", "a/b.git", "a/b.LOCK", "a/b\n", "a b/c"])
def test_what_is_no_repositorys_name_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput, match="not a repository name"):
        names.repository(text)


@given(st.text(max_size=20))
def test_folding_is_done_once(text: str) -> None:
    for fold in (names.owner, names.repository, names.environment):
        try:
            folded = fold(text)
        except MalformedInput:
            continue
        assert folded.isascii()
        assert fold(folded) == folded
