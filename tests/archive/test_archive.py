"""The archive: right answers, unknown where evidence is missing, and files that survive what happens to files."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from chainlab.archive import Archive, Build, tables
from chainlab.archive.documents import SbomRows, read, shortest_paths
from chainlab.cli.archive import archive as command
from chainlab.digests import Digest
from chainlab.errors import MalformedInput, VerificationFailed
from chainlab.evidence.statements import PAYLOAD_TYPE, PROVENANCE, SBOM, Statement

START = datetime(2026, 3, 1, tzinfo=UTC)
HASH = hashlib.sha256(b"a wheel").hexdigest()
COMPLETE = [{"aggregate": "complete"}]


def part(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    purl = {"purl": f"pkg:pypi/{name}@{version}"} if version else {}
    return {
        "bom-ref": f"{name} {version}",
        "type": "library",
        "name": name,
        "version": version,
        **purl,
        **more,
    }


def sbom(
    *parts: dict[str, Any], needs: dict[str, list[str]] | None = None, compositions: Any = COMPLETE, **more: Any
) -> bytes:
    return json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"component": {"bom-ref": "app", "type": "application", "name": "app", "version": "1"}},
        "components": parts,
        "dependencies": [{"ref": ref, "dependsOn": to} for ref, to in (needs or {}).items()],
        **({"compositions": compositions} if compositions is not None else {}),
        **more,
    }).encode()  # fmt: skip


def build(number: int, artifact: str = "app") -> Build:
    digest = Digest.of(f"{artifact} {number}".encode())
    return Build(artifact, str(number), digest, f"acme/{artifact}", "c0ffee", f"run-{number}", "builder",
        START + timedelta(days=number))  # fmt: skip


def bundle(statement: Statement) -> bytes:
    payload = base64.b64encode(statement.dump()).decode()
    envelope = {
        "payload": payload,
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": "RkFLRQ=="}],
    }
    return json.dumps({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope}).encode()


def about(made: Build, data: bytes) -> bytes:
    """The same SBOM, which says that it is about the bytes of a build."""
    try:
        document = json.loads(data)
        document["metadata"]["component"]["hashes"] = [{"alg": "SHA-256", "content": made.digest.value.hex()}]
    except (ValueError, KeyError, TypeError):
        return data
    return json.dumps(document).encode()


def put(archive: Archive, made: Build, documents: dict[str, Any], **more: Any) -> None:
    """Add documents that say which build they are about."""
    named = {
        kind: [about(made, data) for data in ([given] if isinstance(given, bytes) else given)]
        for kind, given in documents.items()
    }
    archive.add(made, named, **more)


def answers(archive: Archive, name: str, **more: Any) -> dict[str, str]:
    """Build's version to answer."""
    found = archive.where(name, every=True, **more)
    return {f"{row.version}": row.answer for row in found.itertuples()}


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# -- answers


UNKNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "no SBOM": ({"provenance": b"{}"}, "no SBOM"),
    "not JSON": ({"sbom": b"\x00"}, "not readable"),
    "SPDX": ({"sbom": b'{"spdxVersion": "SPDX-2.3"}'}, "SPDX is not CycloneDX"),
    "one name twice": ({"sbom": b'{"bomFormat": "CycloneDX", "bomFormat": "CycloneDX"}'}, "name twice"),
    "a list of words": ({"sbom": sbom(components=["x"])}, "an entry that is not an object"),
    "another predicate": (
        {"sbom": bundle(Statement.about({"app": Digest.of(b"1")}, PROVENANCE, {}))}, "not an SBOM"),
    "says nothing": ({"sbom": sbom(compositions=None)}, "does not say"),
    "not specified": ({"sbom": sbom(compositions=[{"aggregate": "not_specified"}])}, "does not say"),
    "not a list of references": (
        {"sbom": sbom(compositions=[{"aggregate": "complete", "assemblies": 5}])}, "assemblies is not a list"),
    "incomplete": ({"sbom": sbom(compositions=[{"aggregate": "incomplete"}])}, "is incomplete"),
    "partly incomplete": (
        {"sbom": sbom(compositions=[*COMPLETE, {"aggregate": "incomplete_third_party_only", "assemblies": ["app"]}])},
        "complete in dependencies"),
    "complete of one only": (
        {"sbom": sbom(part("x"), compositions=[{"aggregate": "complete", "assemblies": ["app"]}])}, "does not say"),
    "dependencies only": (
        {"sbom": sbom(part("x"), compositions=[{"aggregate": "complete", "dependencies": ["app", "x 1.0"]},
            {"aggregate": "unknown", "assemblies": ["app", "x 1.0"]}])}, "complete in dependencies"),
    "an ML-BOM beside": ({"mlbom": sbom(), "sbom": sbom(compositions=None)}, "does not say"),
    "no version": ({"sbom": sbom(part("target", ""))}, "without a version"),
    "an odd version": ({"sbom": sbom(part("target", "2024-spring"))}, "does not order"),
}  # fmt: skip
KNOWN: dict[str, dict[str, Any]] = {
    "whole": {"sbom": sbom(part("other"))},
    "every assembly": {
        "sbom": sbom(part("x"), compositions=[{"aggregate": "complete", "assemblies": ["app", "x 1.0"]}])
    },
    "said by one of two": {"sbom": [sbom(compositions=None), sbom()]},
    "an ML-BOM alone": {"mlbom": sbom()},
    "another version": {"sbom": sbom(part("target", "2.0"))},
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = Archive(tmp_path_factory.mktemp("cases"))
    for number, documents in enumerate([*(documents for documents, _ in UNKNOWN.values()), *KNOWN.values()]):
        put(archive, build(number), documents)
    return archive


def test_absence_is_claimed_only_where_it_can_be_known(cases: Archive) -> None:
    found = cases.where("target", range="<2", every=True).set_index("version")
    for number, (name, (_, why)) in enumerate(UNKNOWN.items()):
        assert found.loc[str(number), "answer"] == "unknown", name
        assert why in found.loc[str(number), "why"], name
    for number, name in enumerate(KNOWN, len(UNKNOWN)):
        assert found.loc[str(number), "answer"] == "not affected", name
    shown = cases.where("target", range="<2")
    assert set(shown["answer"]) == {"unknown"}, "the clean ones are listed only when asked for"
    assert len(shown) == len(UNKNOWN) == len(cases.paths("target", range="<2"))
    assert cases.seen("target", range="<2")[["answer", "builds"]].values.tolist() == [["unknown", len(UNKNOWN)]]


MANIFEST = json.dumps({"layers": [{"digest": str(Digest.of(b"the wheel"))}]}).encode()
RELEASE = Build("release", "1", Digest.of(MANIFEST))
WHEEL, OTHER = Build("wheel", "1", Digest.of(b"the wheel")), build(99)


def statement(subject: Digest, inner: bytes) -> bytes:
    return bundle(Statement.about({"app": subject}, SBOM, json.loads(inner)))


SHA512 = Statement((("app", {"sha512": "0" * 128}),), SBOM, json.loads(sbom(part("target"))))
ABOUT: dict[str, tuple[Build, dict[str, Any], str, str]] = {  # of RELEASE or WHEEL; listed, and not listed
    "its own bytes": (WHEEL, {"sbom": about(WHEEL, sbom(part("target")))}, "affected", "not affected"),
    "a statement about its bytes": (
        WHEEL, {"sbom": statement(WHEEL.digest, sbom(part("target")))}, "affected", "not affected"),
    "a file of its manifest": (
        RELEASE, {"sbom": about(WHEEL, sbom(part("target"))), "manifest": MANIFEST}, "affected", "not affected"),
    "no digest": (WHEEL, {"sbom": sbom(part("target"))}, "affected", "does not say which bytes"),
    "a subject without SHA-256": (WHEEL, {"sbom": bundle(SHA512)}, "affected", "does not say which bytes"),
    "other bytes": (
        WHEEL, {"sbom": about(OTHER, sbom(part("target")))}, "about other bytes", "about other bytes"),
    "a statement about other bytes": (
        WHEEL, {"sbom": statement(OTHER.digest, sbom(part("target")))}, "about other bytes", "about other bytes"),
    "a statement and a document that differ": (
        WHEEL, {"sbom": statement(WHEEL.digest, about(OTHER, sbom(part("target"))))}, "about other bytes",
        "about other bytes"),
    "a file, and no manifest": (
        RELEASE, {"sbom": about(WHEEL, sbom(part("target")))}, "about other bytes", "about other bytes"),
    "a file of another manifest": (
        RELEASE, {"sbom": about(WHEEL, sbom(part("target"))), "manifest": MANIFEST + b" "}, "about other bytes",
        "about other bytes"),
    "its own bytes, and others beside": (
        WHEEL, {"sbom": [about(WHEEL, sbom()), about(OTHER, sbom(part("target")))]}, "not affected", "not affected"),
}  # fmt: skip


@pytest.mark.parametrize("case", ABOUT)
def test_a_document_is_believed_only_about_the_bytes_of_its_build(tmp_path: Path, case: str) -> None:
    made, documents, listed, absent = ABOUT[case]
    with Archive(tmp_path) as archive:
        archive.add(made, documents)
        for name, expected in (("target", listed), ("nothere", absent)):
            row = archive.where(name, every=True).iloc[0]
            known = row["answer"] if row["answer"] != "unknown" else row["why"]
            assert expected in known, name
        told = archive.table("documents")
        foreign = set(told.loc[told["status"] == "about other bytes", "kind"])
        assert ("sbom" in foreign) == ("other bytes" in listed or "beside" in case)
        assert archive.table("components").empty == ("other bytes" in listed), "no figure counts it"


def test_a_presence_without_a_digest_says_what_it_rests_on(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.add(build(1), {"sbom": sbom(part("x"))})
        put(archive, build(2), {"sbom": sbom(part("x"))})
        for found in (archive.where("x"), archive.paths("x")):
            assert found["answer"].tolist() == ["affected", "affected"]
            assert found["why"].tolist() == ["its SBOM does not say which bytes it is about", ""]


def test_a_manifest_that_is_added_later_says_whose_its_files_are(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        archive.add(RELEASE, {"sbom": about(WHEEL, sbom())})
        assert answers(archive, "x") == {"1": "unknown"}
        archive.add(RELEASE, {"manifest": MANIFEST})
        assert answers(archive, "x") == {"1": "not affected"}


@pytest.mark.parametrize("settled", [True, False], ids=["long ago", "just now"])
def test_a_document_that_was_changed_after_it_was_indexed_is_unknown(
    three: Archive, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    if settled:
        monkeypatch.setattr("chainlab.archive.files.SETTLED", 0)
    assert answers(three, "x") == dict.fromkeys("012", "affected")
    path = document(three, 1)
    status = path.stat()
    change(path, b'"1.0"', b'"9.0"')
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the same size, and the time it had
    changed = {"0": "affected", "1": "unknown", "2": "affected"}
    with Archive(three.directory) as fresh:
        for archive in (three, fresh, three):
            assert answers(archive, "x") == changed
            assert "was changed" in archive.where("x").set_index("version").loc["1", "why"]
    change(path, b'"9.0"', b'"1.0"')
    assert answers(three, "x") == dict.fromkeys("012", "affected"), "put back, it is believed again"


def test_a_copy_is_not_read_again_only_compared(
    three: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(three, "x")
    shutil.copytree(three.directory, tmp_path / "copy")
    monkeypatch.setattr(tables, "read", lambda data: pytest.fail("it was parsed again"))
    with Archive(tmp_path / "copy") as copy:
        assert answers(copy, "x") == asked


def test_a_weaker_proof_of_absence_is_the_askers_choice(cases: Archive) -> None:
    names = list(UNKNOWN)

    def unknown(absence: str) -> set[str]:
        found = cases.where("target", range="<2", absence=absence)
        return {names[int(version)] for version in found["version"]}

    weaker = unknown("complete") - unknown("dependencies")
    assert weaker == {"dependencies only", "partly incomplete"}
    silent = {"says nothing", "not specified", "complete of one only", "an ML-BOM beside"}
    assert unknown("dependencies") - unknown("silence") == silent


@pytest.mark.parametrize(
    ("range", "expected"),
    {
        "<1.10": ["1.9"],  # a pre-release of 1.10 is not before it, says PEP 440
        "<2,>=1.10rc0": ["1.10rc1", "1.10", "1.10+cpu"],
        ">=1.10": ["1.10", "1.10+cpu", "2"],
        "==1.10": ["1.10", "1.10+cpu"],
        "==1.*": ["1.9", "1.10rc1", "1.10", "1.10+cpu"],
        "!=1.9,<2": ["1.10rc1", "1.10", "1.10+cpu"],
        "~=1.9": ["1.9", "1.10rc1", "1.10", "1.10+cpu"],
    }.items(),
)
def test_ranges_are_those_of_pep_440(versions: Archive, range: str, expected: list[str]) -> None:
    found = versions.where("Num.Py", range=range)
    held = sorted(found["found"], key=Version)
    assert held == [v for v in held if SpecifierSet(range).contains(v, prereleases=True)]
    assert held == sorted(expected, key=Version)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = Archive(tmp_path_factory.mktemp("versions"))
    for number, version in enumerate(["1.9", "1.10rc1", "1.10", "1.10+cpu", "2"]):
        wheel = part("Num_Py", version, hashes=[{"alg": "SHA-256", "content": HASH}] if number == 4 else [])
        put(archive, build(number), {"sbom": sbom(wheel)})
    return archive


def test_a_component_is_found_by_name_version_purl_and_digest(versions: Archive) -> None:
    everywhere = [str(n) for n in range(5)]
    assert versions.where("num-py")["version"].tolist() == everywhere
    assert versions.where("num-py", version="2.0.0")["version"].tolist() == ["4"]
    assert versions.where("num-py", version="1.10")["version"].tolist() == ["2"]
    assert versions.where(purl="pkg:pypi/Num_Py")["version"].tolist() == everywhere
    assert versions.where(purl="pkg:pypi/num-py@1.10rc1")["version"].tolist() == ["1"]
    assert "affected" not in set(versions.where(purl="pkg:npm/num-py")["answer"])
    assert "affected" not in set(versions.where(purl="pkg:pypi/num")["answer"])
    for digest in (HASH, f"sha256:{HASH.upper()}", f"sha-256:{HASH}"):
        found = versions.where(digest=digest)
        assert found[found["answer"] == "affected"]["version"].tolist() == ["4"]
        assert set(found["answer"]) == {"affected", "unknown"}, "the others give no hashes"
    own = versions.where(digest=str(build(3).digest))
    assert own[own["answer"] == "affected"]["component"].tolist() == ["app"]
    seen = versions.seen("num-py")
    assert seen["found"].tolist() == ["1.9", "1.10rc1", "1.10", "1.10+cpu", "2"]
    assert seen["first"].tolist() == [START + timedelta(days=n) for n in range(5)]
    assert versions.builds(run="run-3")["version"].tolist() == ["3"]
    assert len(versions.builds(builder="builder", artifact="app")) == 5
    assert versions.builds(builder="another").empty


@pytest.mark.parametrize("asked", [
    {}, {"name": "x", "purl": "pkg:pypi/x"}, {"name": "x", "range": "newer"}, {"digest": "abc"}, {"purl": "x"},
    {"name": "x", "version": "1", "range": "<2"}, {"digest": HASH, "range": "<2"}, {"name": "x", "absence": "maybe"},
    {"name": "x", "range": "<" + "9" * 5000},
])  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(versions: Archive, asked: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        versions.where(**asked)


def test_a_version_of_thousands_of_digits_is_unknown_and_stops_no_question(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for number, version in enumerate(["1.9", "9" * 5000]):
        put(archive, build(number), {"sbom": sbom(part("num-py", version))})
    assert archive.where("num-py", range="<2")["answer"].tolist() == ["affected", "unknown"]
    assert archive.where("num-py", version="1.9.0")["version"].tolist() == ["0"]
    assert archive.seen("num-py")["found"].tolist() == ["9" * 5000, "1.9"]


def test_a_signed_bundle_is_kept_whole_and_read_inside(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        licences = [{"expression": "MIT OR Apache-2.0"}, {"license": {"id": "BSD-3-Clause"}}]
        inside = [part("vendored")]
        x = part("x", licenses=licences, supplier={"name": "acme"}, components=inside)
        inner = json.loads(sbom(x))
        data = bundle(Statement.about({"app": build(1).digest}, SBOM, inner))
        put(archive, build(1), {"sbom": data, "vex": [b"{}", b"[]"]}, verdicts={"sbom": "passed"})
        document = archive.table("documents").set_index("kind").loc["sbom"]
        assert (bool(document["signed"]), document["verdict"]) == (True, "passed")
        assert document["subjects"] == str(build(1).digest)
        assert (tmp_path / "objects/sha256" / document["object"][7:9] / document["object"][7:]).read_bytes() == data
        row = archive.table("components").set_index("name").loc["x"]
        assert (row["licence"], row["supplier"]) == ("(MIT OR Apache-2.0) AND BSD-3-Clause", "acme")
        assert archive.paths("vendored")["path"].tolist() == [["vendored 1.0"]], "no edge from app"
        edges = archive.table("edges")[["document", "parent", "child"]]
        assert edges.values.tolist() == [["sbom", 1, 2]], "a component depends on what it holds"
        assert archive.builds()[["kinds", "signed"]].values.tolist() == [["sbom vex", "sbom"]]
        with pytest.raises(MalformedInput, match="one of builds, documents, components, edges"):
            archive.table("entries")


def test_documents_of_a_build_add_up(tmp_path: Path) -> None:
    with Archive(tmp_path) as archive:
        put(archive, build(1), {"provenance": b"{}"})
        assert archive.where("x")["answer"].tolist() == ["unknown"]
        put(archive, build(1), {"sbom": sbom(part("x"))})
        assert archive.where("x")["answer"].tolist() == ["affected"]
        before = files(tmp_path / "entries")
        put(archive, build(1), {"sbom": sbom(part("x"))})
        assert files(tmp_path / "entries") == before, "the same again changes nothing"
        assert archive.builds()["kinds"].tolist() == ["provenance sbom"]


# -- properties


VERSIONS = st.sampled_from(["", "1.9", "1.10", "1.10.0", "2rc1", "2.0", "latest"])
PARTS = st.lists(st.builds(part, st.sampled_from(["Foo_Bar", "foo.bar", "foo", "baz"]), VERSIONS), max_size=4)
DOCUMENTS = st.lists(st.one_of(st.none(), st.tuples(PARTS, st.booleans())), min_size=1, max_size=6)
RANGES = st.sampled_from(["<1.10", ">=1.10", "==2.*", ">=2", "==1.10"])


def naive(documents: Iterable[tuple[list[dict[str, Any]], bool] | None], span: str) -> dict[str, str]:
    """The same question, by reading every document."""
    said = {}
    for number, document in enumerate(documents):
        answer = "not affected" if document and document[1] else "unknown"
        for component in document[0] if document else []:
            if component["name"].lower().replace("_", "-").replace(".", "-") != "foo-bar":
                continue
            try:
                if Version(component["version"]) in SpecifierSet(span, prereleases=True):
                    answer = "affected"
            except InvalidVersion:
                answer = "unknown" if answer != "affected" else answer
        said[str(number)] = answer
    return said


@settings(max_examples=8)
@given(DOCUMENTS, RANGES, st.integers(0, 6))
def test_where_equals_a_scan_of_the_documents(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Any], span: str, early: int
) -> None:
    with Archive(tmp_path_factory.mktemp("scan")) as archive:
        for number, document in enumerate(documents):
            if number == early:
                archive.where("foo")  # so that some of the tables are there already
            made = sbom(*document[0], compositions=COMPLETE if document[1] else None) if document else None
            put(archive, build(number), {"sbom": made} if made else {"vex": b"{}"})
        assert answers(archive, "foo-bar", range=span) == naive(documents, span)
        archive.reindex()
        assert answers(archive, "foo-bar", range=span) == naive(documents, span)


def brute(edges: set[tuple[int, int]], start: int) -> dict[int, int]:
    """Distance to ``start`` of all that need it."""
    distance, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for parent, child in edges:
            if child == node and parent not in distance:
                distance[parent] = distance[node] + 1
                queue.append(parent)
    return distance


@settings(max_examples=60)
@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_the_nearest_edges_lead_up_shortest_ways_in_any_graph(edges: set[tuple[int, int]]) -> None:
    chosen = shortest_paths(sorted(edges))
    assert chosen <= edges
    above = {child: parent for parent, child in chosen}
    assert len(above) == len(chosen), "one way to each node"
    for node in range(10):
        way = [node]
        while way[-1] in above and len(way) < 10:
            way.append(above[way[-1]])
        assert (len(way) - 1 if way[-1] == 0 else None) == brute(edges, node).get(0)


def test_paths_equal_a_search_of_each_document(tmp_path: Path) -> None:
    """Thirty random graphs of twenty components, cycles among them, answered at once."""
    draw = random.Random(4)
    expected = {}
    with Archive(tmp_path) as archive:
        for number in range(30):
            edges = {(draw.randrange(20), draw.randrange(20)) for _ in range(draw.choice([15, 30, 60]))}
            names = ["app", *(f"p{node} 1.0" for node in range(1, 20))]
            needs: dict[str, list[str]] = {}
            for parent, child in sorted(edges):
                needs.setdefault(names[parent], []).append(names[child])
            put(archive, build(number), {"sbom": sbom(*(part(f"p{n}") for n in range(1, 20)), needs=needs)})
            said = [name.replace("app", "app 1") for name in names]
            expected[str(number)] = brute(edges, 7), {(said[p], said[c]) for p, c in edges}
        ways = archive.paths("p7").set_index("version")
    assert len(ways) == 30
    for version, (distance, steps) in expected.items():
        row = ways.loc[version]
        assert (row["path"][0] == "app 1") == (0 in distance)
        assert row["path"][-1] == "p7 1.0"
        assert all(step in steps for step in pairwise(row["path"]))
        if 0 in distance:
            assert row["depth"] == distance[0] == len(row["path"]) - 1


def test_ways_of_any_length_are_found(tmp_path: Path) -> None:
    needs = {"app": ["p0 1.0"], **{f"p{n} 1.0": [f"p{n + 1} 1.0"] for n in range(400)}}
    with Archive(tmp_path) as archive:
        put(archive, build(1), {"sbom": sbom(*(part(f"p{n}") for n in range(401)), needs=needs)})
        ways = archive.paths("p400")
        assert ways["depth"].tolist() == [401]
        assert ways["path"][0] == ["app 1", *(f"p{n} 1.0" for n in range(401))]


def test_a_way_through_many_diamonds_is_found_at_once(tmp_path: Path) -> None:
    """Sixty diamonds in a row: 2**60 ways, of which one is shown."""
    needs = {"app": ["l0 1.0", "r0 1.0"]}
    for n in range(60):
        needs |= {f"{side}{n} 1.0": [f"l{n + 1} 1.0", f"r{n + 1} 1.0"] for side in "lr"}
    parts = [part(f"{side}{n}") for n in range(61) for side in "lr"]
    with Archive(tmp_path) as archive:
        put(archive, build(1), {"sbom": sbom(*parts, needs=needs)})
        assert archive.paths("r60")["depth"].tolist() == [61]


# -- files


@pytest.fixture
def three(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path / "archive")
    for number in range(3):
        put(archive, build(number), {"sbom": sbom(part("x", f"{number}.0"), part("y"))})
    return archive


def entry(archive: Archive, number: int) -> Path:
    run = f'"run": "run-{number}"'
    return next(p for p in (archive.directory / "entries").iterdir() if run in p.read_text())


def document(archive: Archive, number: int) -> Path:
    digest = json.loads(entry(archive, number).read_text())["documents"][0]["digest"].removeprefix("sha256:")
    return archive.directory / "objects" / "sha256" / str(digest[:2]) / str(digest)


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.chmod(0o644)
    path.write_bytes(data.replace(old, new))


def swap_version(archive: Archive) -> str:
    change(document(archive, 1), b'"1.0"', b'"9.0"')
    return "object changed"


def cut(archive: Archive) -> str:
    path = document(archive, 1)
    path.chmod(0o644)
    os.truncate(path, 40)
    return "object changed"


def drop(archive: Archive) -> str:
    document(archive, 1).unlink()
    return "object missing"


def rename_artifact(archive: Archive) -> str:
    change(entry(archive, 1), b'"app"', b'"abc"')
    return "entry changed"


def forget(archive: Archive) -> str:
    entry(archive, 1).unlink()
    return ""


def index(archive: Archive) -> Path:
    return archive.directory / "tables" / "index.sqlite"


def change_value(archive: Archive) -> str:
    change(index(archive), b"pkg:pypi/x@1.0", b"pkg:pypi/x@9.0")
    return "table changed"


def cut_index(archive: Archive) -> str:
    os.truncate(index(archive), index(archive).stat().st_size // 2)
    return "table changed"


def garbage(archive: Archive) -> str:
    index(archive).write_bytes(b"This is no database. " * 500)
    return "table changed"


def empty(archive: Archive) -> str:
    index(archive).write_bytes(b"")
    return "table changed"


def older_format(archive: Archive) -> str:
    """An index whose tables are other ones, whole in itself."""
    index(archive).unlink()
    with closing(sqlite3.connect(index(archive))) as connection:
        connection.execute("CREATE TABLE entries (entry PRIMARY KEY)")
        connection.executemany("INSERT INTO entries VALUES (?)", [(name,) for name in archive._files.names()])
        connection.commit()
    data = index(archive).read_bytes()
    index(archive).write_bytes(data + hashlib.sha256(b"an older format" + data).digest())
    return "table changed"


OF_INDEX = [change_value, cut_index, garbage, empty, older_format]


@pytest.mark.parametrize("damage", [swap_version, cut, drop, rename_artifact, forget, *OF_INDEX])
@pytest.mark.parametrize("derived", [True, False], ids=["index there", "no index yet"])
def test_damage_is_reported_and_never_gives_a_wrong_answer(three: Archive, damage: Any, derived: bool) -> None:
    if derived or damage in OF_INDEX:
        three.where("x")
    kind = damage(three)
    with Archive(three.directory) as fresh, Archive(three.directory) as checked:  # as other processes see it
        for archive in (fresh, three):
            for name, right in {"x": "affected", "nothing": "not affected"}.items():
                found = archive.where(name, range=">=0", every=True)
                of_others = found[found["version"].isin(["0", "2"])]
                assert of_others["version"].tolist() == ["0", "2"]
                assert set(of_others["answer"]) == {right}
                others = set(found.loc[~found.index.isin(of_others.index), "answer"])
                assert others <= {right, "unknown"}
                assert damage not in OF_INDEX or answers(archive, "x") == dict.fromkeys("012", "affected")
            assert set(archive.where("x", range=">=9")["answer"]) <= {"unknown"}
        if damage in OF_INDEX:
            damage(three)  # the questions made it anew
        assert [p.kind for p in checked.verify()] == ([kind] if kind else [])
        assert damage not in OF_INDEX or checked.verify() == [], "it was made anew"
    if damage in (swap_version, cut, drop):  # adding the document again mends it
        put(three, build(1), {"sbom": sbom(part("x", "1.0"), part("y"))})
        assert three.verify() == []
        assert answers(three, "x") == dict.fromkeys("012", "affected")


@pytest.mark.crash
@pytest.mark.parametrize("call", range(4))
def test_a_full_disk_leaves_nothing_half_written(three: Archive, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    before, asked = files(three.directory), answers(three, "x")
    calls = iter(range(100))
    real = os.fsync

    def full(descriptor: int) -> None:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            put(three, build(9), {"sbom": sbom(part("x", "9")), "provenance": b"{}"})
    after = files(three.directory)
    assert {k: v for k, v in after.items() if k in before} == before
    assert not [name for name in after if name.endswith(".part")]
    new = {k for k in after if k not in before and not k.startswith("tables")}
    assert all(Digest.of(after[k]).value.hex() in k for k in new), "only whole objects"
    written = call == 3 and any(k.startswith("entries") for k in new)  # only the folder's sync failed
    assert answers(three, "x") == asked | ({"9": "affected"} if written else {})
    assert three.verify() == []


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("obstacle", ["full disk", "a file in the folder's place", "read-only"])
def test_an_index_that_cannot_be_written_changes_no_answer(
    three: Archive, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle == "full disk":
        monkeypatch.setattr(tables, "write_whole", full)
    elif obstacle == "read-only":
        three.directory.chmod(0o555)
    else:
        (three.directory / "tables").write_bytes(b"")
    try:
        with Archive(three.directory) as fresh:
            for archive in (three, fresh):
                assert answers(archive, "x", range="<2") == {"0": "affected", "1": "affected", "2": "not affected"}
        assert os.geteuid() == 0 or not index(three).exists()  # root writes everywhere
    finally:
        three.directory.chmod(0o755)
    put(three, build(3), {"sbom": sbom(part("x", "0.1"))})
    assert answers(three, "x", range="<2")["3"] == "affected"


def test_an_index_that_is_deleted_while_open_is_written_again(three: Archive) -> None:
    asked = answers(three, "x")
    index(three).unlink()
    assert answers(three, "x") == asked
    put(three, build(3), {"sbom": sbom(part("x", "3.0"))})
    assert answers(three, "x") == asked | {"3": "affected"}
    with Archive(three.directory) as fresh:
        assert answers(fresh, "x") == asked | {"3": "affected"}
    assert three.reindex() == 4


def test_an_index_is_derived_once_and_only_what_is_new_is_added(
    three: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_documents: list[bytes] = []

    def noting(data: bytes) -> SbomRows:
        read_documents.append(data)
        return read(data)

    monkeypatch.setattr(tables, "read", noting)
    for number in range(3, 6):
        answers(three, "x")
        with Archive(three.directory) as fresh:
            answers(fresh, "x")
        assert len(read_documents) == number
        put(three, build(number), {"sbom": sbom(part("x", f"{number}.0"))})


def test_parquet_tables_of_an_older_kit_do_no_harm(three: Archive) -> None:
    segment = three.directory / "tables" / "0f0f"
    segment.mkdir(parents=True)
    (segment / "builds.parquet").write_bytes(b"PAR1")
    assert answers(three, "x") == dict.fromkeys("012", "affected")
    assert three.verify() == []


WRITER = """
import json, sys
from pathlib import Path
from chainlab.digests import Digest
from chainlab.archive import Archive, Build
folder, name, count = sys.argv[1:]
document = {{"bomFormat": "CycloneDX", "components": [{{"name": "x", "version": "1"}}], "padding": "p" * {padding}}}
with Archive(Path(folder)) as archive:
    for number in range(int(count)):
        document["serialNumber"] = f"{{name}} {{number}}"
        data = json.dumps(document).encode()
        archive.add(Build(name, str(number), Digest.of(data)), {{"sbom": data}})
        if {asks} and number % 3 == 0:
            assert len(archive.where("x")) > number
        print(number, flush=True)
"""


def writer(folder: Path, name: str, count: int, *, padding: int = 0, asks: bool = False) -> subprocess.Popen[str]:
    code = WRITER.format(padding=padding, asks=asks)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_several_processes_add_and_ask_at_once(tmp_path: Path) -> None:
    running = [writer(tmp_path, f"writer-{n}", 6, asks=True) for n in range(3)]
    for process in running:
        process.communicate(timeout=60)
    assert [process.returncode for process in running] == [0, 0, 0]
    with Archive(tmp_path) as archive:
        assert len(archive.where("x")) == 18
        assert archive.verify() == []
        assert archive.reindex() == 18


@pytest.mark.crash
@pytest.mark.parametrize("asks", [False, True])
def test_an_archive_reads_after_kill_9(tmp_path: Path, asks: bool) -> None:
    process = writer(tmp_path, "killed", 10_000, padding=2_000_000, asks=asks)
    assert process.stdout is not None
    for _ in range(3):
        said = process.stdout.readline()
    time.sleep(0.013)
    process.send_signal(signal.SIGKILL)
    done = int((process.communicate(timeout=60)[0].split() or [said])[-1])
    with Archive(tmp_path) as archive:
        assert archive.verify() == []
        held = archive.where("x")
        assert set(range(done + 1)) <= {int(version) for version in held["version"]}, "what was said to be kept is"
        put(archive, build(1), {"sbom": sbom(part("x"))})
        assert len(archive.where("x")) == len(held) + 1


def test_an_export_is_an_archive_with_a_list_of_digests(three: Archive, tmp_path: Path) -> None:
    assert three.export(tmp_path / "copy") == 3
    sums = (tmp_path / "copy" / "SHA256SUMS").read_text().splitlines()
    assert len(sums) == 6 == len(files(tmp_path / "copy")) - 1
    for line in sums:
        digest, name = line.split("  ")
        assert Digest.of_file(tmp_path / "copy" / name).value.hex() == digest
    with Archive(tmp_path / "copy") as copy:
        assert answers(copy, "x") == answers(three, "x")
    assert three.export(tmp_path / "one.zip", builds=[build(1).id]) == 1
    assert three.export(tmp_path / "again.zip", builds=[build(1).id]) == 1
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as zipped:
        assert len(zipped.namelist()) == 3
    with pytest.raises(MalformedInput, match="exists"):
        three.export(tmp_path / "copy")
    drop(three)
    with pytest.raises(VerificationFailed):
        three.export(tmp_path / "broken")
    assert not [p for p in tmp_path.iterdir() if "broken" in p.name]


@pytest.mark.parametrize(
    "wrong",
    [{"artifact": ""}, {"version": "a\nb"}, {"built_at": datetime(2026, 1, 1)}, {"digest": "x"}],
)
def test_a_build_that_says_too_little_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        Build(**{"artifact": "a", "version": "1", "digest": Digest.of(b""), **wrong})


@pytest.mark.parametrize("wrong", [
    {"kind": 5}, {"digest": "../../etc/passwd"}, {"digest": 5}, {"size": 2**70}, {"size": "2"}, {"verdict": []},
    {"more": 1}, {"build": []}, {"build": {"artifact": "a"}}, {"built_at": "0001-01-01T00:00:00+23:59"},
    {"built_at": 5}, {"artifact": 5}, {"documents": 5},
])  # fmt: skip
def test_an_entry_that_others_wrote_badly_is_unknown_and_hides_no_build(three: Archive, wrong: dict[str, Any]) -> None:
    path = entry(three, 1)
    written = json.loads(path.read_text())
    for place in (written, written["build"], written["documents"][0]):
        place.update({name: value for name, value in wrong.items() if name in place or name == "more"})
    data = json.dumps(written).encode()
    path.unlink()
    (path.parent / f"{hashlib.sha256(data).hexdigest()}.json").write_bytes(data)
    found = three.where("x", every=True)
    assert found["answer"].tolist() == ["affected", "affected", "unknown"]
    assert "not an entry" in found["why"].iloc[2]
    assert [problem.kind for problem in three.verify()] == ["entry changed"]
    with pytest.raises(MalformedInput):
        three.export(three.directory / "out")


def test_a_document_of_ten_thousand_levels_is_read_or_refused() -> None:
    nested: dict[str, Any] = part("bottom")
    for level in range(200):
        nested = part(f"p{level}", components=[nested])
    assert len(read(sbom(nested)).rows()) == 202
    with pytest.raises(MalformedInput):
        read(b'{"bomFormat":"CycloneDX","components":' + b"[" * 100_000)


# -- the command line


def test_the_commands_keep_find_check_and_export(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    of_app = Build("app", "1", Digest.parse(f"sha256:{HASH}"))
    (tmp_path / "evidence" / "sbom.cdx.json").write_bytes(about(of_app, sbom(part("x"), needs={"app": ["x 1.0"]})))
    (tmp_path / "evidence" / "provenance-build.json").write_bytes(b"{}")
    (tmp_path / "vex.json").write_bytes(b"{}")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(command, [*words, "--archive", str(tmp_path / "archive")])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    first = [
        "add",
        str(tmp_path / "evidence"),
        "--artifact",
        "app",
        "--version",
        "1",
        "--digest",
        f"sha256:{HASH}",
    ]
    code, message = run(*first, "--run", "17", "--at", "2026-05-04", "--vex", str(tmp_path / "vex.json"))
    assert (code, "vex, provenance, sbom" in message) == (0, True)
    code, message = run("add", "--artifact", "bare", "--version", "1", "--file", str(tmp_path / "vex.json"), "--vex",
        str(tmp_path / "vex.json"))  # fmt: skip
    assert "unknown: no SBOM" in message
    code, message = run("query", "--package", "x", "--range", "<2", "--paths")
    assert (code, "app 1 > x 1.0" in message, "no SBOM" in message) == (0, True, True)
    code, message = run("query", "--package", "x", "--range", ">2", "--json")
    assert (code, [row["answer"] for row in json.loads(message)]) == (3, ["unknown"])
    code, message = run("query", "--run", "17")
    assert (code, "provenance sbom vex" in message) == (0, True)
    assert run("export", str(tmp_path / "out.zip"))[0] == 0
    assert run("verify")[1].strip() == "2 builds, 0 problems"
    next((tmp_path / "archive" / "objects").glob("sha256/*/*")).unlink()
    assert run("verify")[0] == 1


def run_in(folder: Path, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(command, [*words, "--archive", str(folder)], standalone_mode=False)
    if isinstance(done.exception, MalformedInput):
        return 2, done.stdout, done.exception.message
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("words", [("query", "--package", "x"), ("verify",), ("export", "out.zip"), ("reindex",)])
def test_an_archive_that_is_not_there_is_a_wrong_call_and_is_not_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    for folder in (tmp_path / "nosuch", tmp_path):
        code, _, message = run_in(folder, *words)
        assert (code, message) == (2, f"no archive here: {folder}")
    assert not list(tmp_path.iterdir())


def test_the_status_of_a_question_tells_none_from_unknown(three: Archive, tmp_path: Path) -> None:
    folder = three.directory
    assert run_in(folder, "query", "--package", "x")[0] == 0
    assert run_in(folder, "query", "--package", "nothere")[0] == 1
    three.add(build(3), {"sbom": sbom()})
    assert run_in(folder, "query", "--package", "nothere")[0] == 3
    assert run_in(folder, "query", "--package", "x", "--seen")[0] == 0
    assert run_in(folder, "query", "--package", "x", "--range", ">=")[0] == 2
    assert run_in(folder, "reindex")[:2] == (0, "4 builds\n")
    assert run_in(folder, "export", str(tmp_path / "out"), "--build", "nosuch")[2] == "no build here has the id nosuch"
    assert not (tmp_path / "out").exists()


def test_what_will_count_for_nothing_is_said_when_it_is_added(tmp_path: Path) -> None:
    files = {"other": about(OTHER, sbom()), "broken": b"{", "bare": sbom(), "own": about(WHEEL, sbom())}
    said = {}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        words = ("--artifact", name, "--version", "1", "--digest", str(WHEEL.digest), "--sbom", str(tmp_path / name))
        code, out, warning = run_in(tmp_path / name[:1], "add", *words)
        assert code == 0
        said[name] = (warning, out.partition("unknown: ")[2])
    assert said["other"] == ("warning: the sbom is not counted: it is about other bytes\n",
        "its SBOM is about other bytes\n")  # fmt: skip
    assert "it is unreadable: the document is not JSON" in said["broken"][0]
    assert said["bare"] == ("", "its SBOM does not say which bytes it is about\n")
    assert said["own"] == ("", "")
