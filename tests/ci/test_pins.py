"""The pinner: only references change, to commits; what it cannot hold, it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_world import Host

from chainlab.ci.actions.mirror import Mirror
from chainlab.ci.actions.pins import findings, pin, pin_folder
from chainlab.ci.git.refs import COMMIT
from chainlab.errors import ChainlabError

pytest_plugins = ["platform_fixtures"]

WEAK = Path(__file__).parents[2] / "data" / "projects" / "triage-model" / ".github"


@pytest.fixture(scope="module")
def mirror(host: Host) -> Mirror:
    return host.platform.mirror


def steps(*lines: str) -> str:
    return "on: push\njobs:\n  a:\n    steps:\n" + "".join(f"      {line}\n" for line in lines)


def without_refs(document: Any) -> Any:
    """A document in which every remote reference is cut at its @."""
    if isinstance(document, dict):
        return {
            key: value.partition("@")[0] if key == "uses" and isinstance(value, str) else without_refs(value)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [without_refs(item) for item in document]
    return document


@pytest.mark.parametrize("path", sorted(WEAK.rglob("*.yml")), ids=lambda path: path.parent.name + "/" + path.name)
def test_a_pinned_file_says_the_same_but_for_the_refs(mirror: Mirror, path: Path) -> None:
    text = path.read_text()
    pinned = pin(text, mirror)
    assert without_refs(yaml.safe_load(pinned)) == without_refs(yaml.safe_load(text))
    assert pin(pinned, mirror) == pinned
    assert [f for f in findings(pinned, mirror, read=lambda _: "{}") if f.kind == "unpinned"] == []
    changed = [b for a, b in zip(text.splitlines(), pinned.splitlines(), strict=True) if a != b]
    assert all("uses:" in line and "  # " in line for line in changed)


CHANGED = "acme/changed-files@02e17b2e57c7a5c68946d4685de3e93911bf8c75"
LAYOUTS = {
    "plain": ("- uses: acme/changed-files@v3", f"- uses: {CHANGED}  # v3.0.0"),
    "single quotes": ("- uses: 'acme/changed-files@v3'", f"- uses: '{CHANGED}'  # v3.0.0"),
    "double quotes": ('- uses: "acme/changed-files@v3"', f'- uses: "{CHANGED}"  # v3.0.0'),
    "a comment": ("- uses: acme/changed-files@v3 # keep", f"- uses: {CHANGED}  # v3.0.0  # keep"),
    "flow": (
        "- {uses: acme/changed-files@v3, id: x}",
        f"- {{uses: {CHANGED}, id: x}}",
    ),
    "an exact tag": ("- uses: acme/changed-files@v3.0.0", f"- uses: {CHANGED}  # v3.0.0"),
    "a branch": ("- uses: acme/changed-files@main", f"- uses: {CHANGED}  # main"),
    "a full ref": ("- uses: acme/changed-files@refs/tags/v3", f"- uses: {CHANGED}  # v3.0.0"),
    "folded": ("- uses: >-\n          acme/changed-files@v3", f"- uses: >-\n          {CHANGED}"),
    "literal": ("- uses: |\n          acme/changed-files@v3", f"- uses: |\n          {CHANGED}"),
    "a tab": ("- uses: acme/changed-files@v3\t# keep", f"- uses: {CHANGED}  # v3.0.0  # keep"),
    "of the repository": ("- uses: $/x",) * 2,
    "an anchor": ("- uses: &a acme/changed-files@v3", f"- uses: &a {CHANGED}  # v3.0.0"),
    "pinned": (f"- uses: {CHANGED}", f"- uses: {CHANGED}"),
    "local": ("- uses: ./x", "- uses: ./x"),
    "an image": ("- uses: docker://alpine:3", "- uses: docker://alpine:3"),
    "a script": ("- run: 'echo uses: acme/changed-files@v3'",) * 2,
    "a remark": ("# uses: acme/changed-files@v3\n      - run: x",) * 2,
}


@pytest.mark.parametrize("case", LAYOUTS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_layout_stays(mirror: Mirror, case: str, newline: str) -> None:
    before, after = (steps(line).replace("\n", newline) for line in LAYOUTS[case])
    assert pin(before, mirror) == after


def test_a_reusable_workflow_is_pinned_too(mirror: Mirror) -> None:
    uses = "acme/workflows/.github/workflows/notes.yml"
    pinned = pin(f"jobs:\n  a:\n    uses: {uses}@main\n", mirror)
    value = yaml.safe_load(pinned)["jobs"]["a"]["uses"]
    assert value.startswith(f"{uses}@")
    assert COMMIT.fullmatch(value.partition("@")[2])


def test_a_tag_is_pinned_to_the_commit_and_not_to_the_tag_object(mirror: Mirror) -> None:
    refs = mirror.repositories.refs("acme/changed-files")
    pinned = pin(steps("- uses: acme/changed-files@v3"), mirror)
    assert refs["refs/tags/v3"] not in pinned
    assert refs["refs/heads/main"] in pinned


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("v9", "no branch, tag or commit"),
        ("02e17b2", "no branch, tag or commit"),
        ("FORK", "reaches it"),
        ("TAG", "id of a tag"),
    ],
)
def test_what_cannot_be_pinned_is_refused_with_its_line(mirror: Mirror, ref: str, message: str) -> None:
    ref = ref.replace("FORK", mirror.repositories.resolve("mallory/changed-files", "main"))
    ref = ref.replace("TAG", mirror.repositories.refs("acme/changed-files")["refs/tags/v3"])
    text = steps("- run: x", f"- uses: acme/changed-files@{ref}")
    with pytest.raises(ChainlabError, match="line 6") as caught:
        pin(text, mirror)
    assert message in str(caught.value)
    (finding,) = findings(text, mirror)
    assert (finding.line, finding.kind) == (6, "fork" if "reaches" in message else "unresolved")


def test_a_pin_outside_does_not_hold_what_is_inside(mirror: Mirror) -> None:
    text = pin(steps("- uses: acme/setup-ml-python@v2", "- uses: docker://alpine:3"), mirror)
    kinds = [(f.kind, f.uses) for f in findings(text, mirror, file="ci.yml")]
    assert ("image", "docker://alpine:3") in kinds
    assert ("nested", "acme/pip-cache@v1") in kinds
    assert ("nested", "northwind-ml/post-metrics@main") in kinds
    assert not any(kind == "unpinned" for kind, _ in kinds)
    leaf = pin(steps("- uses: acme/changed-files@v3"), mirror)
    assert findings(leaf, mirror) == []


def test_a_folder_is_pinned_whole_or_not_at_all(mirror: Mirror, tmp_path: Path) -> None:
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    good, bad = workflows / "a.yml", workflows / "b.yaml"
    good.write_text(steps("- uses: acme/changed-files@v3", "- uses: ./own"))
    bad.write_text(steps("- uses: acme/changed-files@v99"))
    (tmp_path / "own").mkdir()
    own = tmp_path / "own" / "action.yml"
    own.write_text("runs:\n  using: composite\n  steps:\n    - uses: acme/changed-files@v2\n")
    before = good.read_text()
    with pytest.raises(ChainlabError, match=r"b\.yaml: line 5"):
        pin_folder(tmp_path, mirror)
    assert good.read_text() == before
    kinds = {(f.file, f.kind) for f in pin_folder(tmp_path, mirror, check=True)}
    assert (".github/workflows/a.yml", "unpinned") in kinds
    assert ("own/action.yml", "unpinned") in kinds
    assert (".github/workflows/b.yaml", "unresolved") in kinds
    assert good.read_text() == before
    bad.unlink()
    assert pin_folder(tmp_path, mirror) == []
    assert CHANGED in good.read_text()
    assert "v2.0.0" in own.read_text()


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["v2", "v3", "main"]), words), max_size=4), words)
def test_whatever_stands_around_it_stays(mirror: Mirror, used: list[tuple[str, str]], title: str) -> None:
    document = {
        "name": title,
        "jobs": {
            "a": {
                "steps": [
                    {"name": text, "uses": f"acme/changed-files@{ref}", "with": {"x": text}} for ref, text in used
                ]
            }
        },
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    pinned = yaml.safe_load(pin(text, mirror))
    assert without_refs(pinned) == without_refs(document)
    for step in pinned["jobs"]["a"]["steps"]:
        assert COMMIT.fullmatch(step["uses"].partition("@")[2])


# -- one reference or file hides nothing else


def project(folder: Path, **files: str) -> Path:
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    for name, text in files.items():
        (workflows / f"{name}.yml").write_text(text)
    return folder


MOVABLE = steps("- uses: acme/changed-files@v3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("jobs:\n  a:\n    uses: ./.github/workflows/lost.yml\n", ("a.yml", 3, "unresolved")),
        ("jobs:\n  a:\n    uses: $/.github/workflows/lost.yml\n", ("a.yml", 3, "unresolved")),
        (steps("- uses: ./lost"), ("a.yml", 5, "unresolved")),
        (steps("- uses: ./../x"), ("a.yml", 5, "unresolved")),
        (steps("- uses: northwind-ml/no-such-action@v1"), ("a.yml", 5, "unresolved")),
        (steps("- uses: not a reference"), ("a.yml", 5, "unresolved")),
        ("jobs:\n  a:\n    uses: ./.github/workflows/b.yml\n", ("b.yml", 5, "unresolved")),
        ("on: push\njobs: [\n", ("a.yml", 3, "unreadable")),
        ("on: push\njobs:\n\ta: b\n", ("a.yml", 3, "unreadable")),
        ("on: push\n# \udcff\n", ("a.yml", 2, "unreadable")),
    ],
)
def test_what_cannot_be_followed_hides_no_other_finding(
    mirror: Mirror, tmp_path: Path, text: str, expected: tuple[str, int, str]
) -> None:
    lost = steps("- uses: acme/no-such-action@v1")
    folder = project(tmp_path, b=lost, c=MOVABLE)
    (folder / ".github/workflows/a.yml").write_bytes(text.encode(errors="surrogateescape"))
    rows = [(Path(f.file).name, f.line, f.kind) for f in pin_folder(folder, mirror, check=True)]
    assert expected in rows
    assert ("b.yml", 5, "unresolved") in rows
    assert ("c.yml", 5, "unpinned") in rows
    assert len(rows) == len(set(rows))
    with pytest.raises(ChainlabError) as caught:
        pin_folder(folder, mirror)
    assert "b.yml" in str(caught.value)
    assert f"{expected[0]}:" in str(caught.value)
    assert (folder / ".github/workflows/c.yml").read_text() == MOVABLE


def test_an_action_that_cannot_be_followed_inside_is_a_finding_of_its_own(mirror: Mirror, tmp_path: Path) -> None:
    mirror.move_tag("acme/hub-login", "v1", {"action.yml": b"runs:\n  steps:\n    - uses: acme/gone@v1\n"})
    folder = project(tmp_path, a=steps("- uses: acme/hub-login@v1"), c=MOVABLE)
    rows = {(f.file.rpartition("/")[2], f.line, f.kind) for f in pin_folder(folder, mirror, check=True)}
    mirror.reset()
    assert ("hub-login@v1: action.yml", 3, "unresolved") in rows
    assert ("c.yml", 5, "unpinned") in rows


def test_a_reference_to_the_same_repository_is_as_pinned_as_a_local_one(mirror: Mirror, tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        a=steps("- uses: $/own") + "  b:\n    uses: $/.github/workflows/b.yml\n",
        b="on: workflow_call\njobs:\n  a:\n    steps:\n      - uses: $/own\n",
    )
    (folder / "own").mkdir()
    (folder / "own/action.yml").write_text("runs:\n  using: composite\n  steps:\n    - uses: $/own\n")
    assert pin_folder(folder, mirror, check=True) == []


def test_inside_an_action_the_same_repository_is_the_action_s(mirror: Mirror) -> None:
    outer = b"runs:\n  steps:\n    - uses: $/inner\n"
    inner = b"runs:\n  steps:\n    - uses: acme/changed-files@v3\n"
    mirror.move_tag("acme/hub-login", "v1", {"action.yml": outer, "inner/action.yml": inner})
    nested = findings(pin(steps("- uses: acme/hub-login@v1"), mirror), mirror)
    mirror.reset()
    assert [(f.kind, f.uses) for f in nested] == [("nested", "acme/changed-files@v3")]
