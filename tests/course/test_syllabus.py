"""course.toml: the plan adds up, and a wrong plan is refused by line and key."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from editing import edit

from chainlab.course.authoring import week_table
from chainlab.course.syllabus import Course, load
from chainlab.errors import ChainlabError, MalformedInput

# Hours of the course's design: reading, walkthrough, lab, deliverable, review.
DESIGN = {
    1: (2, 3, 3.5, 2.5, 1.5),
    2: (1.5, 3, 4.5, 2.5, 1),
    3: (1.5, 3, 4.5, 2.5, 1),
    4: (2, 3, 4.5, 2, 1),
    5: (1.5, 2.5, 5, 2.5, 1),
    6: (1.5, 2, 4.5, 3, 1.5),
    7: (1.5, 1.5, 3.5, 4, 2),
    8: (1, 1.5, 4, 3, 3),
}


@pytest.fixture(scope="module")
def real(root: Path) -> Course:
    return load(root)


def test_the_weeks_have_the_designs_hours_and_sum_to_100(real: Course) -> None:
    planned = {
        u.week: (
            u.hours.reading,
            u.hours.walkthrough,
            u.hours.lab,
            u.hours.deliverable,
            u.hours.review,
        )
        for u in real.units
        if u.counted
    }
    assert planned == DESIGN
    assert math.isclose(sum(map(sum, planned.values())), 100)


def test_the_onramp_is_three_to_five_hours_outside_the_100(real: Course) -> None:
    onramp = real.unit("0")
    assert not onramp.counted
    assert 3 <= onramp.hours.total <= 5


def test_all_nine_units_are_there_and_week_4_has_two_walkthroughs(real: Course) -> None:
    assert [u.week for u in real.units] == list(range(9))
    assert [p.file for p in real.unit("4").lessons] == ["04a_attestation", "04b_gate"]


def test_every_competency_is_worked_on_in_several_weeks(real: Course) -> None:
    for competency in real.competencies:
        assert sum(competency in u.competencies for u in real.units) >= 3


def test_written_units_have_exercises_of_several_kinds(real: Course) -> None:
    for unit in real.written:
        assert len(unit.exercises) >= 5
        assert len({e.kind for e in unit.exercises}) >= 2


def test_a_unit_is_found_by_id_number_and_file(real: Course) -> None:
    for name in ("01_assessment", "01", "1", "labs/01_assessment.ipynb", "01_assessment_lab.py"):
        assert real.unit(name).week == 1
    with pytest.raises(ChainlabError, match="there is no unit '12'"):
        real.unit("12")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Numbers"\ncode', 'title = "Numbers\ncode', r"course\.toml:1: not TOML"),
        ("hours = 3\n", "hours = 4\n", r"course\.toml:3: hours: expected 3, the sum"),
        (
            "points = 2,",
            'points = "2",',
            r"course\.toml:22: units\[0\]\.exercises\[0\]\.points: expected a whole",
        ),
        (
            "points = 3,",
            "points = 0,",
            r"course\.toml:23: units\[0\]\.exercises\[1\]\.points: .* at least 1",
        ),
        (
            'kind = "build", competency = "adding" },\n]',
            'kind = "dream", competency = "adding" },\n]',
            r"course\.toml:23: units\[0\]\.exercises\[1\]\.kind: expected one of build, got 'dream'",
        ),
        ("week = 9\n", "", r"units\[0\]\.week: missing"),
        ("week = 10\n", "week = 10\nweak = 1\n", r"course\.toml:29: units\[1\]\.weak: unknown key"),
        ("lab = 1,", "", r"units\[0\]\.hours\.lab: missing"),
        (
            "lab = 1,",
            "lab = 2,",
            r"units\[0\]\.hours: lab is 120 minutes, but its exercises sum to 60",
        ),
        ("minutes = 30", "minutes = 10", r"reading is 30 minutes, but its set readings sum to 10"),
        ("doing = 29", "doing = 30", r"walkthrough is 30 minutes, but its lessons' .* sum to 31"),
        ('id = "9.2"', 'id = "9.1"', "exercise 9.1 is listed twice"),
        ('["adding"]\nkinds', "[]\nkinds", r"course\.toml:5: competencies: expected at least 1"),
    ],
    ids=[
        "syntax",
        "total",
        "text for number",
        "no points",
        "kind",
        "missing",
        "unknown key",
        "hours missing",
        "lab sum",
        "reading sum",
        "walkthrough sum",
        "twice",
        "no competency",
    ],
)
def test_a_wrong_manifest_is_refused_by_line_and_key(made_up: Path, old: str, new: str, message: str) -> None:
    edit(made_up / "course.toml", old, new)
    with pytest.raises(MalformedInput, match=message):
        load(made_up)


def test_the_week_table_shows_every_unit_its_hours_and_drafts(course: Course) -> None:
    table = week_table.week_table(course)
    assert "| 9 | [Numbers](notebooks/09_sums.ipynb) | Adding. | A sum | 2 (0.5 · 0.5 · 1 · 0 · 0) |" in table
    assert "More numbers *(draft)*" in table
    assert "weeks 10" in table


def test_refreshing_the_readme_touches_only_what_stands_between_the_markers(course: Course) -> None:
    text = "before\n<!-- weeks -->old<!-- /weeks -->\nafter <!-- weeks -->\n"
    once = week_table.refresh(text, course)
    assert once.startswith("before\n<!-- weeks -->\n| Week |")
    assert once.endswith("<!-- /weeks -->\nafter <!-- weeks -->\n")
    assert week_table.refresh(once, course) == once
    assert week_table.refresh("no markers", course) == "no markers"
