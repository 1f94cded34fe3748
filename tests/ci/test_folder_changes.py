"""A project's folder: edits are commits, and a proposal brings its files without changing the folder."""

from __future__ import annotations

import pytest
from project_folders import Make

from chainlab.ci.project import Project
from chainlab.errors import MalformedInput

CI = ".github/workflows/ci.yml"
TEXT = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: one}, {run: two}]}}\n"


def at(project: Project, commit: str, path: str) -> str:
    return project.host.platform.repositories.show(project.repository, commit, path).decode()


def test_an_edit_is_a_commit_on_the_default_branch(make: Make) -> None:
    project = make("acme/edited", {CI: TEXT})
    commit = project.edit(CI, ("one", "three"), ("two", "four"))
    assert commit == project.head(project.default)
    assert at(project, commit, CI) == TEXT.replace("one", "three").replace("two", "four")


def test_an_edit_that_was_made_is_left_as_it_is(make: Make) -> None:
    project = make("acme/edited-twice", {CI: TEXT})
    project.edit(CI, ("one", "three"))
    again = project.edit(CI, ("one", "three"), ("two", "four"))
    assert at(project, again, CI) == TEXT.replace("one", "three").replace("two", "four")
    with pytest.raises(MalformedInput, match=r"ci\.yml has no 'one'"):
        project.edit(CI, ("one", ""))


def test_an_edit_of_a_missing_text_changes_nothing(make: Make) -> None:
    project = make("acme/unedited", {CI: TEXT})
    before = project.head(project.default)
    with pytest.raises(MalformedInput, match=r"ci\.yml has no 'five'"):
        project.edit(CI, ("one", "three"), ("five", "six"))
    assert (project.folder / CI).read_text() == TEXT
    assert project.head(project.default) == before


def test_a_proposal_brings_its_files_from_a_fork_and_leaves_the_folder(make: Make) -> None:
    project = make("acme/proposed", {CI: TEXT, "README.md": "old\n"})
    before = project.head(project.default)
    pull = project.propose({"README.md": "new\n"}, branch="typo", owner="mallory")
    assert pull.fork
    assert (at(project, pull.head.commit, "README.md"), at(project, pull.head.commit, CI)) == ("new\n", TEXT)
    assert (project.folder / "README.md").read_text() == "old\n"
    assert project.head(project.default) == before
