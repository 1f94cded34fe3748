"""The mirror: the same commits everywhere, tags that move, and everything that a workflow reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from platform_world import Host

from chainlab.ci.actions import mirror_history
from chainlab.ci.actions.mirror import Mirror
from chainlab.ci.actions.uses import ActionRef, find
from chainlab.ci.git.repositories import Repositories
from chainlab.errors import ChainlabError, MalformedInput, Refused

pytest_plugins = ["platform_fixtures"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mirror(host: Host) -> Mirror:
    return host.platform.mirror


@pytest.fixture
def moving(fresh: Host) -> Mirror:
    """One whose tags a test moves."""
    return fresh.platform.mirror


def test_commit_ids_are_the_same_on_every_machine(mirror: Mirror) -> None:
    resolved = mirror.resolve("acme/hub-login@v1")
    assert resolved.commit == "c73eb9b7fe370c3c7ebae4d761f318f203a8724d"


def test_a_mirror_that_was_built_once_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = mirror_history.prepare(ROOT / "data")
    monkeypatch.setattr(mirror_history, "_build", lambda *_: pytest.fail("built again"))
    repositories = Repositories(tmp_path / "git", tmp_path / "state.db")
    Mirror(repositories)
    for name in kept:
        assert repositories.refs(name)
    repositories.close()


def test_an_annotated_tag_is_peeled(mirror: Mirror) -> None:
    refs = mirror.repositories.refs("acme/changed-files")
    commit = mirror.resolve("acme/changed-files@v3").commit
    assert refs["refs/heads/main"] == commit
    assert refs["refs/tags/v3"] != commit
    with pytest.raises(Refused, match="not of a commit"):
        mirror.resolve(f"acme/changed-files@{refs['refs/tags/v3']}")


def test_a_commit_of_a_fork_resolves_and_says_so(mirror: Mirror) -> None:
    commit = mirror.repositories.resolve("mallory/changed-files", "main")
    base = mirror.resolve(f"acme/changed-files@{commit}")
    assert base.only_in_fork
    assert not mirror.resolve(f"mallory/changed-files@{commit}").only_in_fork
    assert "refs/heads/main" in mirror.repositories.refs("acme/changed-files")
    assert commit not in [
        mirror.repositories.resolve("acme/changed-files", ref.removeprefix("refs/tags/"))
        for ref in mirror.repositories.refs("acme/changed-files")
        if ref.startswith("refs/tags/")
    ]


def test_names_are_case_insensitive_and_refs_are_not(mirror: Mirror) -> None:
    assert mirror.resolve("Actions/Checkout@v4") == mirror.resolve("actions/checkout@v4")
    with pytest.raises(Refused):
        mirror.resolve("actions/checkout@V4")


@pytest.mark.parametrize(
    ("uses", "why"),
    [
        ("acme/nothing@v1", "no such repository"),
        ("acme/changed-files@v9", "no branch, tag or commit"),
        ("acme/changed-files/sub@v3", "has no sub/action.yml"),
        ("acme/changed-files/../x@v3", "not a reference to an action"),
        ("acme/workflows/.github/workflows/no.yml@main", "no.yml"),
        ("acme/changed-files", "not a reference to an action"),
        ("acme/changed-files@", "not a reference to an action"),
        ("acme/changed-files@v3 x", "not a reference to an action"),
    ],
)
def test_what_is_missing_is_named(mirror: Mirror, uses: str, why: str) -> None:
    with pytest.raises((Refused, MalformedInput), match=why):
        mirror.resolve(uses)
    with pytest.raises(ChainlabError, match=r"ci\.yml, line 4: .* cannot be resolved"):
        mirror.closure({"ci.yml": f"jobs:\n  a:\n    steps:\n      - uses: '{uses}'\n"})


def test_a_moved_tag_changes_what_runs_and_an_event_tells(moving: Mirror, fresh: Host) -> None:
    pinned = f"acme/changed-files@{moving.resolve('acme/changed-files@v3').commit}"
    before = moving.definition(moving.resolve(pinned))
    moved = moving.move_tag("acme/changed-files", "v3", {"action.yml": b"name: moved\n"}, who="thief")
    assert moving.resolve("acme/changed-files@v3").commit == moved
    assert moving.definition(moving.resolve("acme/changed-files@v3"))[1] == "name: moved\n"
    assert moving.definition(moving.resolve(pinned)) == before
    (event,) = fresh.events("dev.chainlab.change.pushed")
    assert (event["ref"], event["new"], event["who"]) == ("refs/tags/v3", moved, "thief")
    moving.move_tag("acme/changed-files", "v2", moved)
    assert moving.resolve("acme/changed-files@v2").commit == moved
    moving.reset()
    assert moving.resolve("acme/changed-files@v3").commit == pinned.partition("@")[2]
    assert moving.resolve("acme/changed-files@v2").commit != moved


def test_a_mirror_that_was_changed_stays_changed(moving: Mirror) -> None:
    moved = moving.move_tag("acme/hub-login", "v1", {"x": b""})
    assert Mirror(moving.repositories).resolve("acme/hub-login@v1").commit == moved


# -- everything that a workflow reaches


def test_the_closure_of_the_weak_project_is_what_week_1_counted(mirror: Mirror) -> None:
    project = ROOT / "data" / "projects" / "triage-model"
    texts = {
        path.relative_to(project).as_posix(): path.read_text()
        for path in sorted((project / ".github" / "workflows").iterdir())
    }

    def read(path: str) -> str | None:
        return (project / path).read_text() if (project / path).is_file() else None

    tree = mirror.closure(texts, read=read)
    names = [str(resolved) for resolved in tree]
    assert len(names) == len(set(names))
    assert {"acme/pip-cache@v1", "acme/hub-login@v1", "actions/cache@v3"} <= set(names)
    assert "northwind-ml/post-metrics@main" in names
    by_name = {str(resolved): resolved for resolved in tree}
    inner = by_name["acme/pip-cache@v1"]
    assert (inner.depth, inner.file) == (1, "acme/setup-ml-python@v2: action.yml")
    assert by_name["acme/setup-ml-python@v2"].depth == 0


def test_every_reference_of_the_projects_is_in_the_mirror(mirror: Mirror) -> None:
    count = 0
    for path in sorted((ROOT / "data" / "projects").rglob("*.yml")):
        for uses in find(path.read_text()):
            if uses.kind == "remote":
                assert not mirror.resolve(uses.value).only_in_fork, f"{path}: {uses.value}"
                count += 1
    assert count > 20


def test_a_circle_ends_and_local_references_are_followed(moving: Mirror) -> None:
    circle = b"runs:\n  using: composite\n  steps:\n    - uses: acme/hub-login@v1\n"
    moving.move_tag("acme/release-notes", "v1", {"action.yml": circle})
    back = circle.replace(b"hub-login", b"release-notes")
    moving.move_tag("acme/hub-login", "v1", {"action.yml": back})
    files = {
        ".github/workflows/called.yml": "jobs:\n  x:\n    steps:\n      - uses: ./own\n",
        "own/action.yaml": "runs:\n  steps:\n    - uses: acme/hub-login@v1\n    - uses: ./own\n",
    }
    text = "jobs:\n  a:\n    uses: ./.github/workflows/called.yml\n"
    tree = moving.closure({"ci.yml": text}, read=files.get)
    assert [str(r) for r in tree] == ["acme/hub-login@v1", "acme/release-notes@v1"]
    assert (tree[0].file, tree[0].line) == ("own/action.yaml", 3)
    with pytest.raises(ChainlabError, match=r"ci\.yml, line 3: .*called\.yml"):
        moving.closure({"ci.yml": text})
    outside = "jobs:\n  a:\n    steps:\n      - uses: ./../x\n"
    with pytest.raises(ChainlabError, match="line 4"):
        moving.closure({"ci.yml": outside})


def test_a_workflow_called_inside_another_repository_is_that_repositorys(moving: Mirror) -> None:
    inner = b"jobs:\n  x:\n    steps:\n      - uses: acme/hub-login@v1\n"
    outer = b"jobs:\n  x:\n    uses: ./.github/workflows/inner.yml\n"
    files = {".github/workflows/inner.yml": inner, ".github/workflows/notes.yml": outer}
    moving.move_tag("acme/workflows", "v1", files)
    text = "jobs:\n  a:\n    uses: acme/workflows/.github/workflows/notes.yml@v1\n"
    tree = moving.closure({"ci.yml": text})
    assert [str(r) for r in tree][1] == "acme/hub-login@v1"


@pytest.mark.parametrize("text", ["a: [", "{", "a:\n\tb: c", "&a *a", "\x00"])
def test_what_is_not_yaml_is_refused(mirror: Mirror, text: str) -> None:
    with pytest.raises(MalformedInput, match=r"bad\.yml"):
        mirror.closure({"bad.yml": text})


@pytest.mark.parametrize("text", ["", "x", "jobs: 1", "jobs:\n  a: [x]", "jobs: {a: {steps: [1]}}"])
def test_odd_documents_name_nothing(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize("text", ["acme/x@v1", "acme/x/y/z@refs/tags/v1", "a/b@" + "0" * 40])
def test_a_reference_reads_back(text: str) -> None:
    assert str(ActionRef.parse(text)) == text
