"""Differences and merging: what holds for any documents."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from chainlab.cli import _main
from chainlab.errors import MalformedInput
from chainlab.evidence.components import Component, purl_of
from chainlab.evidence.sbom import builder, cyclonedx
from chainlab.evidence.sbom.difference import diff
from chainlab.evidence.sbom.merging import merge
from chainlab.evidence.sbom.schema import problems

AT = datetime(2026, 5, 11, tzinfo=UTC)
TOP = Component("top", "1", type="application")
WHOLE = Component("whole", "1", type="application")


def component(name: str, version: str, digit: str = "", licence: str | None = None) -> Component:
    return Component(
        name,
        version,
        purl_of(name, version),
        hashes={"SHA-256": digit * 64} if digit else {},
        licence=licence,
    )


def bill(*components: Component, spec: str = "1.6") -> dict[str, Any]:
    return builder.document(components, subject=TOP, at=AT, spec=spec)


@st.composite
def bills(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True))
    parts = [
        component(
            name,
            draw(st.sampled_from(["1", "2"])),
            draw(st.sampled_from(["", "a", "b"])),
            draw(st.sampled_from([None, "MIT", "MIT OR Apache-2.0"])),
        )
        for name in names
    ]
    return bill(*parts)


def test_a_difference_has_four_kinds() -> None:
    old = bill(
        component("same", "1", "a"),
        component("up", "1"),
        component("gone", "1"),
        component("hot", "1", "a"),
    )
    new = bill(
        component("same", "1", "a"),
        component("up", "2"),
        component("come", "1"),
        component("hot", "1", "b"),
    )
    found = diff(old, new)
    assert str(found).splitlines() == [
        "! hot 1: other bytes under the same version", "~ up 1 → 2", "+ come 1", "- gone 1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("pkg:npm/%40acme/ui@1", "pkg:npm/@acme/ui@1", True),
        ("pkg:npm/%40acme/ui@1", "pkg:npm/ui@1", False),
        ("pkg:npm/a.b@1", "pkg:npm/a-b@1", False),
        ("pkg:pypi/Acme.Cells@1", "pkg:pypi/acme-cells@1?x=y", True),
        ("pkg:PyPI/acme%2Dcells@1", "pkg:pypi/acme-cells@1", True),
        ("pkg:maven/a/b@1", "pkg:maven/a.b/b@1", False),
    ],
)
def test_a_component_is_the_same_however_its_package_url_is_spelled(old: str, new: str, same: bool) -> None:
    found = diff(bill(Component("x", "1", old)), bill(Component("x", "1", new)))
    assert (str(found) == str(diff(bill(), bill()))) == same


def test_hashes_contradict_only_where_both_say_something() -> None:
    exact = component("a", "1", "a")
    accepted = Component("a", "1", exact.purl, accepted=(("SHA-256", "a" * 64), ("SHA-256", "b" * 64)))
    others = Component("a", "1", exact.purl, accepted=(("SHA-256", "c" * 64), ("SHA-256", "b" * 64)))
    assert not diff(bill(exact), bill(component("a", "1")))
    assert not diff(bill(exact), bill(accepted))
    assert not diff(bill(accepted), bill(others))  # it may be the same file
    assert diff(bill(exact), bill(others)).rehashed


def test_a_second_entry_of_a_version_hides_no_other_bytes() -> None:
    good, bad = (bill(component("a", "1", digit))["components"] for digit in "ab")
    for entries in (good + bad, bad + good, bad + bad):
        found = diff(bill(component("a", "1", "a")), {"components": entries})
        assert {(c.old.hashes["SHA-256"][0], c.new.hashes["SHA-256"][0]) for c in found.rehashed} == {("a", "b")}
    assert not diff({"components": good + bad}, {"components": bad + good})


def compare(folder: Path, old: Any, new: Any, *options: str) -> Result:
    for name, document in (("old", old), ("new", new)):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        (folder / f"{name}.cdx.json").write_bytes(data)
    words = ["sbom", "diff", str(folder / "old.cdx.json"), str(folder / "new.cdx.json"), *options]
    return CliRunner().invoke(_main, words)


OLD = bill(component("same", "1", "a"), component("up", "1"), component("gone", "1"), component("hot", "1", "a"))
NEW = bill(component("same", "1", "a"), component("up", "2"), component("come", "1"), component("hot", "1", "b"))


def test_the_command_prints_each_difference_and_ends_with_1(tmp_path: Path) -> None:
    done = compare(tmp_path, OLD, NEW)
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "! hot 1: other bytes under the same version", "~ up 1 → 2", "+ come 1", "- gone 1"
    ]  # fmt: skip


def test_the_command_ends_with_0_when_no_component_differs(tmp_path: Path) -> None:
    shuffled = {**OLD, "components": list(reversed(OLD["components"]))}
    done = compare(tmp_path, OLD, shuffled)
    assert (done.exit_code, done.output) == (0, "no component differs\n")
    done = compare(tmp_path, OLD, shuffled, "--json")
    empty = {"same": True, "unread": [], "rehashed": [], "changed": [], "added": [], "removed": []}
    assert (done.exit_code, json.loads(done.stdout)) == (0, empty)


def test_a_program_reads_the_same_difference_as_json(tmp_path: Path) -> None:
    done = compare(tmp_path, OLD, NEW, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["same"]) == (1, False)
    assert [(c["old"]["version"], c["new"]["version"]) for c in told["changed"]] == [("1", "2")]
    (hot,) = told["rehashed"]
    assert (hot["old"]["hashes"], hot["new"]["hashes"]) == ({"SHA-256": "a" * 64}, {"SHA-256": "b" * 64})
    assert [c["purl"] for c in told["added"] + told["removed"]] == ["pkg:pypi/come@1", "pkg:pypi/gone@1"]


UNREADABLE = {
    "nothing": b"",
    "no text": b"\xff\xfe\x00",
    "no JSON": b"{",
    "another value": b"[]",
    "nested deeply": b"[" * 100_000,
    "another format": {"spdxVersion": "SPDX-2.3"},
    "an unknown version": {"bomFormat": "CycloneDX", "specVersion": "9.9"},
    "a component without a name": {**NEW, "components": [{"type": "library", "version": "1"}]},
    "components that are no list": {**NEW, "components": {"name": "a"}},
}


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize("side", ["old", "new"])
def test_a_document_that_cannot_be_read_is_a_wrong_call(tmp_path: Path, case: str, side: str) -> None:
    pair = (UNREADABLE[case], NEW) if side == "old" else (OLD, UNREADABLE[case])
    for options in ((), ("--json",)):
        done = compare(tmp_path, *pair, *options)
        assert (done.exit_code, done.stdout) == (2, ""), done.output
        assert f"{side}.cdx.json is not a valid CycloneDX document" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_command_wants_two_files(tmp_path: Path) -> None:
    for words in ((), ("one",), (str(tmp_path), str(tmp_path)), ("a", "b", "c")):
        assert CliRunner().invoke(_main, ["sbom", "diff", *words]).exit_code == 2


def test_a_strangers_name_writes_no_line_of_its_own(tmp_path: Path) -> None:
    done = compare(tmp_path, bill(), bill(component("a\n- b 1\x1b[2J", "1\r")))
    assert done.stdout.splitlines() == ["+ a\\n- b 1\\x1b[2J 1\\r"]


@given(bills(), bills())
def test_a_difference_read_backwards_is_its_mirror(old: dict[str, Any], new: dict[str, Any]) -> None:
    there, back = diff(old, new), diff(new, old)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert [(c.old, c.new) for c in there.changed] == [(c.new, c.old) for c in back.changed]
    assert [(c.old, c.new) for c in there.rehashed] == [(c.new, c.old) for c in back.rehashed]
    assert not diff(old, old)
    shuffled = {**new, "components": list(reversed(new["components"]))}
    assert diff(old, shuffled) == there


@given(st.lists(bills(), min_size=1, max_size=3), st.randoms())
def test_merging_loses_nothing_and_order_does_not_count(documents: list[dict[str, Any]], random: Any) -> None:
    before = json.dumps(documents)
    merged = merge(documents, subject=WHOLE, at=AT)
    shuffled = list(documents)
    random.shuffle(shuffled)
    assert builder.dump(merge(shuffled, subject=WHOLE, at=AT)) == builder.dump(merged)
    assert builder.dump(merge([*documents, documents[0]], subject=WHOLE, at=AT)) == builder.dump(merged)
    assert builder.dump(merge([merged], subject=WHOLE, at=AT)) == builder.dump(merged)
    assert builder.dump(merge([merged, documents[0]], subject=WHOLE, at=AT)) == builder.dump(merged)
    assert json.dumps(documents) == before
    assert problems(merged) == []
    parts = {(c.purl or c.ref) for c in cyclonedx.read(merged).components}
    assert parts == {TOP.ref, *(c.purl for d in documents for c in cyclonedx.read(d).components)}
    hashes = {(c.purl, v) for d in documents for c in cyclonedx.read(d).components for v in c.hashes.values()}
    kept = {(c["purl"], h["content"]) for c in merged["components"] for h in c.get("hashes", [])}
    assert kept == hashes
    marked = {c.purl for c in cyclonedx.read(merged).components if "chainlab:conflict" in dict(c.properties)}
    assert marked == {purl for purl, one in hashes for again, other in hashes if purl == again and one != other}


def test_refs_of_other_makers_are_renamed_where_they_are_used() -> None:
    theirs = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "metadata": {"component": {"type": "application", "name": "app", "bom-ref": "1"}},
        "components": [{"type": "library", "name": "a", "version": "1", "purl": "pkg:pypi/a@1", "bom-ref": "2"}],
        "dependencies": [{"ref": "1", "dependsOn": ["2"]}],
        "vulnerabilities": [{"id": "ACME-2026-1", "affects": [{"ref": "2"}]}],
    }
    other = {
        **theirs,
        "components": [{"type": "library", "name": "b", "version": "1", "bom-ref": "2"}],
    }
    merged = merge([theirs, other], subject=WHOLE, at=AT, spec="1.6")
    assert {"ref": "app", "dependsOn": ["b@1", "pkg:pypi/a@1"]} in merged["dependencies"]
    affected = [v["affects"][0]["ref"] for v in merged["vulnerabilities"]]
    assert sorted(affected) == ["b@1", "pkg:pypi/a@1"]
    assert problems(merged) == []
    with pytest.raises(MalformedInput):
        merge([{"spdxVersion": "SPDX-2.3"}], subject=WHOLE, at=AT)
    with pytest.raises(MalformedInput):
        merge([], subject=WHOLE, at=AT)
