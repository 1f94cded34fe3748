"""What derivation adds for a reader: links that lead somewhere, folds, and a lab that runs past what is unanswered."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from chainlab.course.authoring.lesson_rules import lesson_problems
from chainlab.course.authoring.lesson_source import LessonSource
from chainlab.course.authoring.links import References
from chainlab.course.authoring.notebook import Edition, derive, load
from chainlab.course.syllabus import Course
from chainlab.workspace import course_root

LINK = re.compile(r"\]\((?P<target>\.\./[^)#\s]+)?(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)
LESSON = """\
# %% [markdown]
# # Sums
#
# Before: `09_numbers`. See `labs/09_numbers.ipynb`, exercise 9.1, and `ls`.
#
# ```
# labs/09_numbers.ipynb stays: `09_numbers`
# ```

# %% tags=["parameters", "folded"]
seed = 1

# %% tags=["predict"]
1 + 1

# %% tags=["check"]
assert 1
assert 2
assert 3
assert 4
"""


def test_code_spans_and_exercise_numbers_become_links(course: Course) -> None:
    lesson = LessonSource.parse(LESSON, "lessons/09_sums.py")
    text = derive(lesson, "notebooks", References.of(course)).cells[0].source
    assert "Before: [09_numbers](../labs/09_numbers.ipynb)." in text
    assert "See [labs/09_numbers.ipynb](../labs/09_numbers.ipynb), [exercise 9.1](../labs/09_numbers.ipynb#" in text
    assert "and `ls`." in text
    assert "stays: `09_numbers`" in text


def test_an_exercise_of_the_same_page_is_an_anchor(course: Course) -> None:
    references = References.of(course)
    linked = references.link("as in exercise 9.1", "labs/09_numbers.ipynb")
    assert linked == "as in [exercise 9.1](#Exercise-9.1-%E2%80%94-add-them-%282-points%29)"
    assert references.link("exercise 9.9 and [`09_sums`](x)", "labs/09_numbers.ipynb") == (
        "exercise 9.9 and [`09_sums`](x)"
    )


def test_a_path_that_leads_nowhere_is_a_problem(course: Course) -> None:
    lesson = LessonSource.parse(LESSON.replace("`ls`", "`docs/nothing.md`"), "lessons/09_sums.py")
    assert "there is no docs/nothing.md" in [problem.text for problem in lesson_problems(lesson, course)]


def test_what_a_reader_opens_is_folded(course: Course) -> None:
    cells = derive(LessonSource.parse(LESSON, "lessons/09_sums.py"), "notebooks", References.of(course)).cells
    assert [cell.metadata.get("jupyter") for cell in cells] == [
        None,
        {"source_hidden": True},
        {"outputs_hidden": True},
        {"source_hidden": True},
    ]


LAB = """\
# %% [markdown]
# # A lab

# %% tags=["parameters"]
seed = 1

# %% [markdown]
# ## Exercise 9.1 — add them (2 points)

# %% tags=["exercise"]
def total(numbers):
    ### BEGIN SOLUTION
    local = sum(numbers)
    return local
    ### END SOLUTION

# %% tags=["check"]
lab.check("9.1", total)

# %%
local = [1, 2]

# %%
def later(numbers):
    return total(numbers)

# %%
made = total(local)

# %%
made

# %%
made = 3

# %%
made
"""


def test_in_a_lab_run_all_goes_on_behind_given_cells_that_use_an_answer(course: Course) -> None:
    lesson = LessonSource.parse(LAB, "lessons/09_numbers_lab.py")

    def failing(edition: Edition) -> list[str]:
        cells = derive(lesson, edition, References.of(course)).cells
        return [cell.source for cell in cells if "raises-exception" in cell.metadata.get("tags", [])]

    assert failing("labs") == ["made = total(local)", "made"]
    assert failing("solutions") == []


@pytest.mark.parametrize("folder", ["notebooks", "labs", "solutions"])
def test_every_link_of_a_derived_page_leads_to_a_heading_or_a_file(folder: str) -> None:
    root = course_root()
    links = 0
    for path in sorted((root / folder).glob("*.ipynb")):
        for cell in load(path).cells:
            for match in LINK.finditer(cell.source) if cell.cell_type == "markdown" else ():
                links += 1
                target = (path.parent / unquote(match["target"])).resolve() if match["target"] else path
                assert target.is_file(), f"{path.name}: {match[0]}"
                if match["anchor"]:
                    assert unquote(match["anchor"]) in _anchors(target), f"{path.name}: {match[0]}"
    assert links >= 10


def _anchors(page: Path) -> set[str]:
    text = "\n\n".join(cell.source for cell in load(page).cells if cell.cell_type == "markdown")
    return {heading.strip().replace(" ", "-") for heading in HEADING.findall(text)}
