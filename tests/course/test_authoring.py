"""Authoring errors are told by file and line, before anything is derived."""

from __future__ import annotations

from pathlib import Path

import pytest
from editing import edit

from chainlab.course.authoring.lesson_rules import course_problems, lesson_problems
from chainlab.course.authoring.lesson_source import BEGIN, END, MARKER, LessonSource
from chainlab.course.syllabus import Course, load

LAB = "lessons/09_numbers_lab.py"
REGISTRY = "pypi" + ".org"  # no file of the repository names it whole
WALK = "lessons/09_sums.py"


def messages_of(root: Path) -> list[str]:
    return [str(p) for p in course_problems(load(root))]


def test_the_made_up_course_has_no_problem(course: Course) -> None:
    assert messages_of(course.root) == []


def line_of(root: Path, file: str, needle: str) -> int:
    lines = (root / file).read_text().splitlines()
    return next(n for n, line in enumerate(lines, start=1) if needle in line)


BREACHES = {
    "region not closed": (
        LAB,
        "    return accumulated_answer\n    ### END SOLUTION\n",
        "    return accumulated_answer\n",
        "'### BEGIN SOLUTION' without",
    ),
    "region not opened": (
        LAB,
        "    ### BEGIN SOLUTION\n    accumulated",
        "    accumulated",
        "'### END SOLUTION' without",
    ),
    "nested region": (
        LAB,
        "    accumulated_answer = sum(numbers)\n",
        "    ### BEGIN SOLUTION\n    accumulated_answer = sum(numbers)\n",
        "a region inside the one opened on line",
    ),
    "region outside an exercise": (
        LAB,
        "import madeup\n\nlab",
        "import madeup\n\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION\nlab",
        "outside an 'exercise' cell",
    ),
    "empty region": (
        LAB,
        "    return max(numbers, default=None)\n",
        "",
        "an exercise without a solution: the region is empty",
    ),
    "mistyped region": (
        LAB,
        "    ### BEGIN SOLUTION\n    accumulated",
        "    ## BEGIN SOLUTION\n    accumulated",
        "write exactly",
    ),
    "no check": (
        LAB,
        '# %% tags=["check"]\nlab.check("9.1", total)\n',
        "",
        "9.1 without a cell with tags",
    ),
    "check of another exercise": (
        LAB,
        'lab.check("9.1", total)',
        'lab.check("9.2", total)',
        'the check must say lab.check("9.1", …)',
    ),
    "a check that goes on": (
        LAB,
        'lab.check("9.1", total)',
        'lab.check("9.1", total, demo=True)',
        'the check must say lab.check("9.1", …)',
    ),
    "a check that may fail": (
        LAB,
        '# %% tags=["check"]\nlab.check("9.1", total)',
        '# %% tags=["check", "raises-exception"]\n# for a reason\nlab.check("9.1", total)',
        "a check never carries 'raises-exception'",
    ),
    "a guard that may fail": (
        WALK,
        '# %% tags=["check"]',
        '# %% tags=["check", "raises-exception"]',
        "a check never carries 'raises-exception'",
    ),
    "a demonstration that may fail": (
        WALK,
        "numbers.index(9)  #",
        'lab.check("9.1", total, demo=True)  #',
        "a check never carries 'raises-exception'",
    ),
    "a demonstration that the board notes": (
        WALK,
        "sum(numbers)\n\n# %% tags",
        'lab.check("9.1", sum)\n\n# %% tags',
        "a walkthrough shows a check by lab.check(…, demo=True)",
    ),
    "one hint": (
        LAB,
        "# <details><summary>Hint 2</summary>It takes `default=`.</details>\n",
        "",
        "9.2 has 1 of 2 hints",
    ),
    "no points": (LAB, "add them (2 points)", "add them", "9.1 without points"),
    "other points": (LAB, "(2 points)", "(4 points)", "4 points here, 2 in course.toml"),
    "other title": (LAB, "9.1 — add them", "9.1 — sum them", "the title here is 'sum them'"),
    "no named wrong answer": (
        LAB,
        '# %% tags=["wrong"]\n# wrong: takes nothing for zero -> unknown\n'
        "def largest(numbers: list[int]) -> int | None:\n"
        "    return max(numbers, default=0)\n",
        "",
        "9.2 without a named wrong",
    ),
    "unnamed wrong answer": (
        LAB,
        "# wrong: drops the sign -> a negative number\n",
        "# drops the sign\n",
        "begin with '# wrong:",
    ),
    "no reason": (
        LAB,
        '# %% [markdown] tags=["solution"]\n# **Why.** Unknown is not zero.\n',
        "",
        "9.2 without an explanation",
    ),
    "id not in course.toml": (LAB, "Exercise 9.2 —", "Exercise 9.3 —", "9.3 is not in course.toml"),
    "id missing": (
        LAB,
        "Exercise 9.2 —",
        "Exercise 9.3 —",
        "exercise 9.2 of course.toml is missing",
    ),
    "unknown tag": (
        LAB,
        'tags=["check"]\nlab.check("9.1"',
        'tags=["test"]\nlab.check("9.1"',
        "unknown tag 'test'",
    ),
    "magic": (WALK, "sum(numbers)\n\n# %% tags", "%time sum(numbers)\n\n# %% tags", "no '%' magic"),
    "command": (WALK, "sum(numbers)\n\n# %% tags", "!ls\n\n# %% tags", "no '!' command"),
    "pip": (
        WALK,
        "sum(numbers)\n\n# %% tags",
        "x = 'pip install numpy'\n\n# %% tags",
        "no 'pip install'",
    ),
    "absolute path": (
        WALK,
        "sum(numbers)\n\n# %% tags",
        "open('/home/me/x')\n\n# %% tags",
        "absolute path",
    ),
    "live address": (
        WALK,
        "sum(numbers)\n\n# %% tags",
        "x = 'https://rekor.sigstore.dev/api'\n\n# %% tags",
        "live address https://rekor.sigstore.dev/api",
    ),
    "unseeded randomness": (
        WALK,
        "sum(numbers)\n\n# %% tags",
        "import random\nrandom.random()\n\n# %% tags",
        "unseeded randomness",
    ),
    "registry host": (
        WALK,
        "# We add.\n",
        f"# We add, see [it](https://{REGISTRY}/project/x).\n",
        "host name of a package registry",
    ),
    "skipped by comment": (
        WALK,
        "sum(numbers)\n\n# %% tags",
        "# NBVAL_SKIP\nsum(numbers)\n\n# %% tags",
        "no NBVAL_ comment",
    ),
    "no parameters": (WALK, '# %% tags=["parameters"]\nseed = 1\n', "# %%\nseed = 1\n", "got 0"),
    "two parameters": (
        LAB,
        "# %%\nimport madeup\n",
        '# %% tags=["parameters"]\nimport madeup\n',
        "got 2",
    ),
    "no seed": (WALK, "seed = 1\n", "seed = 2\n", "must say 'seed = 1'"),
    "long cell": (
        WALK,
        "sum(numbers)\n\n# %% tags",
        "x = 1\n" * 16 + "\n# %% tags",
        "16 lines of code",
    ),
    "syntax": (WALK, "sum(numbers)\n\n# %% tags", "sum(numbers\n\n# %% tags", "not Python"),
    "two titles": (WALK, "# ## Adding\n", "# # Adding\n", "a second title"),
    "no title": (WALK, "# # Sums\n", "# ## Sums\n", "the first cell must be markdown"),
    "silent failure": (WALK, "  # nine is not among them", "", "a comment that says why"),
    "exercise in a walkthrough": (
        WALK,
        '# %% tags=["check"]',
        '# %% tags=["exercise"]',
        "belong in a lab",
    ),
    "words on the marker": (
        WALK,
        "# %%\nsum(",
        "# %% hidden=true\nsum(",
        "unknown attribute on the cell marker",
    ),
    "empty cell": (WALK, "# %%\nsum(numbers)\n", "# %%\n\n# %%\nsum(numbers)\n", "empty cell"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_told_by_file_and_line(made_up: Path, breach: str) -> None:
    file, old, new, text = BREACHES[breach]
    edit(made_up / file, old, new)
    matches = [line for line in messages_of(made_up) if text in line]
    assert matches, messages_of(made_up)
    name, line, _ = matches[0].split(":", 2)
    assert name == file
    assert 1 <= int(line) <= len((made_up / file).read_text().splitlines())


@pytest.mark.parametrize(
    ("breach", "needle"),
    [
        ("region not closed", "BEGIN SOLUTION"),
        ("live address", "rekor.sigstore.dev"),
        ("absolute path", "/home/me"),
        ("other points", "(4 points)"),
        ("unknown tag", '"test"'),
        ("two titles", "# # Adding"),
        ("registry host", REGISTRY),
    ],
)
def test_the_line_is_the_very_line(made_up: Path, breach: str, needle: str) -> None:
    file, old, new, text = BREACHES[breach]
    edit(made_up / file, old, new)
    message = next(line for line in messages_of(made_up) if text in line)
    assert int(message.split(":")[1]) == line_of(made_up, file, needle)


@pytest.mark.parametrize(
    "code",
    [
        'x = "http://127.0.0.1:8080/v2/"',
        'x = "https://ci.localhost/x"',
        'x = "https://example.com/a"',
        'x = "https://slsa.dev/provenance/v1"',
        'x = f"{lab}/api"',
        'x = "/api/v1/log"',
        "x = 7 % 2",
    ],
)
def test_what_stays_on_the_machine_or_is_only_a_name_is_allowed(made_up: Path, code: str) -> None:
    edit(made_up / WALK, "sum(numbers)\n\n# %% tags", f"{code}\n\n# %% tags")
    assert messages_of(made_up) == []


def test_a_lesson_that_is_not_listed_is_told(made_up: Path) -> None:
    (made_up / "lessons/09_extra.py").write_text((made_up / WALK).read_text())
    assert "lessons/09_extra.py:1: not listed in course.toml" in "\n".join(messages_of(made_up))


def test_reading_minutes_are_the_texts_words_within_30_percent(made_up: Path) -> None:
    edit(made_up / WALK, "# We add.", "# We add. " + "One more. " * 1000)  # ten minutes at 200 words a minute
    planned = 1
    for minutes, fits in ((1, False), (6, False), (8, True), (13, True), (14, False)):
        edit(
            made_up / "course.toml",
            f"reading = {planned}, doing = {30 - planned}",
            f"reading = {minutes}, doing = {30 - minutes}",
        )
        edit(made_up / WALK, f"{planned} reading, {30 - planned} doing", f"{minutes} reading, {30 - minutes} doing")
        planned = minutes
        text = f"course.toml:1: lesson 09_sums has reading = {minutes}, its text takes 10.2 minutes"
        assert messages_of(made_up) == ([] if fits else [text])


@pytest.mark.parametrize(
    "header",
    ["(30 min: 2 reading, 28 doing)", "(29 min: 1 reading, 29 doing)", "(30 min)", "(half an hour)"],
)
def test_a_header_gives_the_minutes_of_the_syllabus(made_up: Path, header: str) -> None:
    edit(made_up / WALK, "(30 min: 1 reading, 29 doing)", header)
    assert messages_of(made_up) == ["lessons/09_sums.py:6: expected '**You will** (30 min: 1 reading, 29 doing)'"]


def test_a_listed_lesson_that_does_not_exist_is_told(made_up: Path) -> None:
    (made_up / WALK).unlink()
    assert "unit 09_numbers lists lessons/09_sums.py, which does not exist" in "\n".join(messages_of(made_up))


def test_an_exercise_number_used_twice_is_told(made_up: Path) -> None:
    copy = (made_up / LAB).read_text()
    (made_up / "lessons/10_more_lab.py").write_text(copy)
    assert "exercise 9.1 stands in lessons/09_numbers_lab.py:14 already" in "\n".join(messages_of(made_up))


def test_a_walkthrough_has_ten_to_fifty_cells() -> None:
    cell = "# %%\nx = 1\n\n"
    head = '# %% [markdown]\n# # T\n\n# %% tags=["parameters"]\nseed = 1\n\n'
    for count, good in ((7, False), (8, True), (48, True), (49, False)):
        lesson = LessonSource.parse(head + cell * count, "lessons/x.py")
        assert (lesson_problems(lesson, None) == []) is good


@pytest.mark.parametrize("text", ["", "x = 1\n", "x = 1\n# %%\ny = 1\n"], ids=["empty", "none", "late"])
def test_a_file_without_cells_is_told(made_up: Path, text: str) -> None:
    (made_up / WALK).write_text(text)
    assert f"{WALK}:1: expected '# %% [markdown]' on the first line" in messages_of(made_up)


def test_cells_know_their_lines(course: Course) -> None:
    for path in (course.root / "lessons").glob("*.py"):
        lines = path.read_text().splitlines()
        lesson = LessonSource.read(path)
        assert len(lesson.cells) == sum(bool(MARKER.match(line)) for line in lines)
        for cell in lesson.cells:
            first = cell.source.splitlines()[0]
            assert lines[cell.line - 1].startswith("# %%")
            assert lines[cell.line].endswith(first)
            assert cell.line_of(first) == cell.line + 1


def test_the_words_of_regions_are_nbgraders() -> None:
    assert (BEGIN, END) == ("### BEGIN SOLUTION", "### END SOLUTION")
