"""Results of a check: what a notebook shows, escaped; the reason of a solution; a case's arguments to play with."""

from __future__ import annotations

import random
from typing import Any

import pytest

from chainlab.course.authoring.notebook import dump, load
from chainlab.course.cases import Case
from chainlab.course.exercises.fixtures.scoring import names_of
from chainlab.course.learning.case_arguments import arguments
from chainlab.course.learning.checks import check
from chainlab.course.learning.results import NotRight, Right
from chainlab.course.learning.solution_reasons import Reason, reason_of
from chainlab.course.syllabus import Course
from chainlab.errors import Incorrect, MalformedInput, NotAttempted

EVIL = "<script>alert(1)</script><img src=x onerror=y> \x1b[2J \u202e"


def test_whatever_a_result_quotes_is_escaped_and_spelled_out() -> None:
    error = Incorrect(EVIL, at=EVIL, why=EVIL, hint=EVIL, attempt=EVIL, see=f"notebooks/x.ipynb, '{EVIL}'")
    for shown in (NotRight(error), Right("9.1", 1, 1, 1, notes=(EVIL,), reason=Reason("solutions/x.ipynb", EVIL))):
        form = shown._repr_html_()
        assert "<script" not in form
        assert "<img" not in form
        for text in (form, str(shown)):
            assert "\x1b" not in text
            assert "\u202e" not in text


def test_a_reference_is_a_link_to_its_heading() -> None:
    def see(text: str) -> str:
        return NotRight(Incorrect("x", see=text))._repr_html_()

    assert 'href="../notebooks/01_threats.ipynb#Unknown-is-not-zero"' in see(
        "notebooks/01_threats.ipynb, 'Unknown is not zero'"
    )
    assert "#The-token%27s-permissions%3A-one-block" in see(
        "notebooks/00e.ipynb, 'The token's `permissions`: one block'"
    )
    assert 'href="../docs/glossary.md"' in see("docs/glossary.md")
    assert "<a " not in see("https://elsewhere.example/docs/glossary.md")


def test_the_three_results_are_told_apart_without_colour() -> None:
    right, wrong, blank = Right("9.1", 1, 0, 1, points=1), NotRight(Incorrect("x")), NotRight(NotAttempted("y"))
    assert [bool(r) for r in (right, wrong, blank)] == [True, False, False]
    assert [str(r) for r in (right, wrong, blank)] == ["✔ 9.1 right, 1 point (1 case)", "✘ x", "· y"]


def test_the_reason_is_the_solutions_own_where_the_edition_has_it(built: Course) -> None:
    reason = reason_of(built, "9.1")
    assert reason == Reason("solutions/09_numbers.ipynb", "**Why.** Because addition is secretly associative.")
    assert "<strong>Why.</strong> Because addition" in reason.to_html()
    path = built.root / "solutions/09_numbers.ipynb"
    notebook = load(path)
    notebook.cells = [c for c in notebook.cells if "solution" not in c.metadata.get("tags", [])]
    path.write_text(dump(notebook))
    assert reason_of(built, "9.1") is None
    path.unlink()
    assert reason_of(built, "9.1") is None


def two(world: Any, rng: random.Random) -> Any:
    yield Case("first", ([rng.randrange(1000), 2], {"k": {1}}), ["the", "truth"])
    yield Case("second", (print,), 0)


def test_a_case_gives_the_arguments_of_the_check_and_nothing_else() -> None:
    seen: list[Any] = []
    with pytest.raises(Incorrect):
        check("9.1", lambda *given: seen.append(given), lab=None, seed=7, cases=two)
    visible, generated = (arguments("9.1", "first", lab=None, seed=seed, cases=two) for seed in (None, 7))
    assert [tuple(visible), tuple(generated)] == [seen[0], seen[2]]
    numbers, _ = visible
    numbers.clear()
    assert arguments("9.1", "first", lab=None, seed=None, cases=two)[0]
    assert "truth" not in f"{visible!r}{vars(visible)}"
    assert "generated from seed 7: 2 arguments\n" in repr(generated)
    assert repr(generated).endswith('your_function(*lab.case("9.1", "first", seed=7))')


def test_a_case_that_is_not_there_lists_the_names() -> None:
    with pytest.raises(MalformedInput, match="has no case 'third'") as caught:
        arguments("9.1", "third", lab=None, seed=None, cases=two)
    assert caught.value.hint == "name one of 'first', 'second'"


def test_a_judge_that_names_nothing_readable_is_told_what_it_did() -> None:
    def judged(verdict: Any) -> Any:
        return names_of(lambda: verdict() if callable(verdict) else verdict)

    empty: dict[str, Any] = {}
    assert judged(None) == "returned None: does every path end in a `return`?"
    assert judged(5) == "returned 5, which is no list of names"
    assert judged("wheel") == "returned 'wheel', which is no list of names"
    assert judged(lambda: empty["x"]).startswith("raised KeyError: 'x', at test_results.py, line ")
    assert judged(name for name in ("b", "a")) == ["a", "b"]


def test_an_answer_that_returns_nothing_is_asked_for_its_return() -> None:
    with pytest.raises(Incorrect, match=r"got None \(does every path end in a `return`\?\), given 1"):
        check("9.1", lambda n: None, lab=None, seed=1, cases=lambda *_: [Case("one", (1,), [1])])
