"""OSV records: read strictly, ranges as the specification evaluates them, matched as pip-audit does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from chainlab.errors import MalformedInput
from chainlab.evidence.advisories import Advisories, load, read
from chainlab.evidence.packages.versions import Range, is_in_vers
from chainlab.evidence.vulnerabilities import Vulnerability, is_compared, match, score

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "advisories"


@pytest.fixture(scope="module")
def known() -> Advisories:
    return load(FOLDER)


def component(text: str) -> dict[str, str]:
    name, _, version = text.partition("==")
    return {"name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}


def found(text: str, known: Advisories) -> list[Vulnerability]:
    return match([component(text)], known)


def record(**changed: Any) -> bytes:
    plain: dict[str, Any] = {
        "id": "ACME-2026-9999",
        "modified": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "northwind-made-up"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
            }
        ],
    }
    return json.dumps({name: value for name, value in (plain | changed).items() if value != "-"}).encode()


def affected(**changed: Any) -> bytes:
    return record(affected=[{"package": {"ecosystem": "PyPI", "name": "northwind-made-up"}, **changed}])


# -- the course's own records


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        pytest.param(text, ids, id=name)
        for name, text, ids in (
            ("the version in use", "acme-cells==1.2.0", []),
            ("the other in use", "acme-quantise==1.0.3", []),
            ("an old one of ours", "acme-quantise==1.0.1", ["ACME-2026-0002"]),
            ("the fix itself", "northwind-tensors==2.3.1", []),
            ("before the fix", "northwind-tensors==2.3.0", ["ACME-2026-0003"]),
            ("a name written otherwise", "Northwind_Tensors==2.3.0", ["ACME-2026-0003"]),
            ("before it was introduced", "northwind-loader==1.3.9", []),
            ("aliases are one", "northwind-http==3.1.0", ["ACME-2026-0005"]),
            ("withdrawn", "northwind-plots==1.0", []),
            ("the last affected", "northwind-serve==3.1.0", ["ACME-2026-0008"]),
            ("after the last affected", "northwind-serve==3.1.1", []),
            ("a local build of the last", "northwind-serve==3.1.0+cpu", ["ACME-2026-0008"]),
            ("a candidate before the fixed one", "northwind-onnx==4.0.0rc1", ["ACME-2026-0009"]),
            ("the fixed candidate", "northwind-onnx==4.0.0rc2", []),
            ("the release after it", "northwind-onnx==4.0.0", []),
            ("an old epoch", "northwind-clock==2025.3", ["ACME-2026-0010"]),
            ("the new epoch", "northwind-clock==1!0.2.0", []),
            ("listed", "northwind-metrics==0.4.1", ["ACME-2026-0011"]),
            ("listed with another zero", "northwind-metrics==0.4.1.0", ["ACME-2026-0011"]),
            ("not listed", "northwind-metrics==0.4.3", []),
            ("an old line", "northwind-yaml==1.2.6", ["ACME-2026-0012"]),
            ("the old line, fixed", "northwind-yaml==1.2.10", []),
            ("the new line", "northwind-yaml==2.1.2", ["ACME-2026-0012"]),
        )
    ],
)
def test_a_release_is_affected_or_not(known: Advisories, text: str, ids: list[str]) -> None:
    assert [each.id for each in found(text, known)] == ids


def test_two_records_of_one_vulnerability_are_merged(known: Advisories) -> None:
    (http,) = found("northwind-http==3.1.0", known)
    assert http.aliases == ("ACME-2026-0006", "NWSA-2026-0042")
    assert (http.score, http.severity, http.fixed) == (8.7, "high", ("3.2.5",))


def test_what_is_exploited_is_said(known: Advisories) -> None:
    assert found("northwind-loader==1.5.0", known)[0].exploited
    assert not found("northwind-tensors==2.3.0", known)[0].exploited


def test_withdrawn_records_do_not_count(known: Advisories) -> None:
    assert "ACME-2026-0007" not in {each.id for each in known.records}


@pytest.mark.parametrize("version", ["", "main", "2.3.0-SNAPSHOT-7", "9" * 5000])
def test_a_version_that_nobody_can_compare_is_not_safe_by_silence(known: Advisories, version: str) -> None:
    (unknown,) = found(f"northwind-tensors=={version}", known)
    assert not unknown.certain
    assert unknown.message


def test_another_ecosystem_is_another_package(known: Advisories) -> None:
    npm = {
        "name": "northwind-tensors",
        "version": "2.3.0",
        "purl": "pkg:npm/northwind-tensors@2.3.0",
    }
    assert match([npm], known) == []
    renamed = {"name": "tensors", "version": "2.3.0", "purl": "pkg:pypi/northwind-tensors@2.3.0"}
    assert [each.id for each in match([renamed], known)] == ["ACME-2026-0003"]


def test_scores_come_from_v4_then_v3_and_are_unknown_otherwise() -> None:
    v3 = ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:N/A:N")
    v4 = ("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N")
    assert score((v3, v4)) == (9.3, "critical")
    assert score((v3, ("CVSS_V4", "CVSS:4.0/AV:?"))) == (6.5, "medium")
    assert score((("Ubuntu", "medium"),)) == score(()) == (None, "unknown")


# -- strict reading


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "is not JSON"),
        (b"[]", "expected an object"),
        (b'{"id": "A", "id": "B"}', "has a name twice"),
        (record(id="-"), "id: missing"),
        (record(modified="yesterday"), "modified: 'yesterday' is not a time"),
        (record(modified="2026-01-01T00:00:00"), "modified: '2026-01-01T00:00:00' is not a time"),
        (record(withdrawn=7), "withdrawn: 7 is not a time"),
        (record(schema_version="2.0.0"), "schema_version: '2.0.0'"),
        (record(aliases="CVE-1"), "aliases: expected a list"),
        (record(affected=[7]), "affected[0]: expected an object"),
        (record(affected=[{"package": {"name": "x"}}]), "affected[0].package.ecosystem: missing"),
        (affected(ranges=[{"type": "DATES"}]), "affected[0].ranges[0].type: 'DATES'"),
        (
            affected(ranges=[{"type": "ECOSYSTEM", "events": [{"fixed": "1.0"}]}]),
            "affected[0].ranges[0].events: no release is affected before",
        ),
        (
            affected(ranges=[{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "b1!"}]}]),
            "affected[0].ranges[0].events[1]: not a PEP 440 version: 'b1!'",
        ),
        (
            affected(ranges=[{"type": "SEMVER", "events": [{"introduced": "0", "fixed": "1"}]}]),
            "affected[0].ranges[0].events[0]: an event has one name",
        ),
        (affected(versions=[1.0]), "affected[0].versions[0]: expected a text"),
        (record(severity=[{"type": "CVSS_V4"}]), "severity[0].score: missing"),
    ],
)
def test_a_malformed_record_is_refused_by_file_and_field(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(MalformedInput) as refused:
        read(data, "bad.json")
    assert refused.value.message.startswith("bad.json")
    assert message in refused.value.message
    (tmp_path / "bad.json").write_bytes(data)
    (tmp_path / "good.json").write_bytes(record(id="ACME-2026-9000"))
    loaded = load(tmp_path)
    assert [each.id for each in loaded.records] == ["ACME-2026-9000"], "the scan goes on"
    assert [(each.where, each.why) for each in loaded.unread] == [("bad.json", refused.value.message)]


def test_a_folder_a_zip_and_lines_say_the_same(tmp_path: Path, known: Advisories) -> None:
    files = sorted(FOLDER.glob("*.json"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in files:
            archive.writestr(file.name, file.read_bytes())
    lines = [json.dumps(json.loads(f.read_bytes())) for f in files if f.name != "exploited.json"]
    (tmp_path / "all.jsonl").write_text("\n".join(lines) + "\n")
    assert load(tmp_path / "all.zip") == known
    assert load(tmp_path / "all.jsonl").records == known.records
    (tmp_path / "folder").mkdir()
    (tmp_path / "all.zip").rename(tmp_path / "folder" / "all.ZIP")
    assert load(tmp_path / "folder") == known, "a folder may hold a dump"
    with pytest.raises(MalformedInput, match="there are no advisories at"):
        load(tmp_path / "none")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "folder" / "all.ZIP").read_bytes()[:-30])
    with pytest.raises(MalformedInput, match=r"cut\.zip cannot be read"):
        load(tmp_path / "cut.zip")


OTHERS = {  # records that are valid, and not for us
    "none affected": record(affected="-"),
    "nothing affected": record(affected=None),
    "a library in C": record(affected=[{"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]),
    "without a package or a range": record(affected=[{}]),
    "a distribution": record(affected=[{"package": {"ecosystem": "Debian:12", "name": "northwind-made-up"}}]),
    "an ecosystem of tomorrow": record(affected=[{"package": {"ecosystem": "Northwind", "name": "northwind-made-up"}}]),
    "withdrawn": record(withdrawn="2026-02-01T00:00:00Z"),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_a_record_that_is_not_for_us_is_counted_and_left_out(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "other.json").write_bytes(data)
    (tmp_path / "ours.json").write_bytes(record(id="ACME-2026-9000"))
    known = load(tmp_path)
    assert [each.id for each in known.records] == ["ACME-2026-9000"]
    assert (sum(known.skipped.values()), known.unread) == (1, ())
    assert len(found("northwind-made-up==1", known)) == 1


def test_a_record_for_us_and_for_others_counts() -> None:
    package = {"ecosystem": "PyPI", "name": "northwind-made-up"}
    both = read(record(affected=[{}, {"package": {"ecosystem": "Debian", "name": "x"}}, {"package": package}]))
    assert len(both.affected) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "lines.jsonl").write_bytes(b"{\n" + record() + b"\n")
    known = load(tmp_path)
    assert [each.id for each in known.unread] == ["gone", "lines.jsonl:1", "pipe"]
    assert len(known.records) == 1


def test_a_member_of_a_dump_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.json", record(id="ACME-2026-9000"))
        archive.writestr("b.json", record(id="ACME-2026-9001"))
    data = (tmp_path / "all.zip").read_bytes()
    (tmp_path / "all.zip").write_bytes(data.replace(b"ACME-2026-9001", b"ACME-2026-XXXX", 1))  # its checksum is another
    known = load(tmp_path / "all.zip")
    assert [each.id for each in known.records] == ["ACME-2026-9000"]
    assert [each.id for each in known.unread] == ["b"]


# -- names and package URLs


def one(ecosystem: str, name: str) -> Advisories:
    data = record(affected=[{"package": {"ecosystem": ecosystem, "name": name}, "versions": ["1.0.0"]}])
    return Advisories((read(data),))


@pytest.mark.parametrize(
    ("ecosystem", "name", "purl", "hit"),
    [
        ("npm", "northwind.merge", "pkg:npm/northwind.merge@1.0.0", True),
        ("npm", "northwind.merge", "pkg:npm/northwind-merge@1.0.0", False),
        ("npm", "northwind.merge", "pkg:npm/northwind_merge@1.0.0", False),
        ("npm", "@acme/ui", "pkg:npm/%40acme/ui@1.0.0", True),
        ("npm", "@acme/ui", "pkg:npm/@acme/ui@1.0.0", True),
        ("npm", "@acme/ui", "pkg:npm/%40acme/ui@1.0.0?vcs_url=x#lib", True),
        ("npm", "@acme/ui", "pkg:npm/ui@1.0.0", False),
        ("npm", "ui", "pkg:npm/%40acme/ui@1.0.0", False),
        ("PyPI", "Northwind_Cells", "pkg:pypi/northwind.cells@1.0.0", True),
        ("PyPI", "northwind-cells", "pkg:PyPI/Northwind_Cells@1.0", True),
        ("PyPI", "northwind-cells", "pkg:pypi/northwind%2Dcells@1.0.0", True),
        ("PyPI", "northwind-cells", "pkg:npm/northwind-cells@1.0.0", False),
        ("crates.io", "northwind_cells", "pkg:cargo/northwind_cells@1.0.0", True),
        ("crates.io", "northwind_cells", "pkg:cargo/northwind-cells@1.0.0", False),
        ("RubyGems", "Northwind", "pkg:gem/Northwind@1.0.0", True),
        ("RubyGems", "Northwind", "pkg:gem/northwind@1.0.0", False),
        ("Go", "git.example/acme/cells", "pkg:golang/git.example/acme/cells@1.0.0", True),
        ("Maven", "example.acme:cells", "pkg:maven/example.acme/cells@1.0.0", True),
        ("Maven", "example.acme:cells", "pkg:maven/example/acme.cells@1.0.0", False),
        ("Packagist", "acme/cells", "pkg:composer/acme/cells@1.0.0", True),
        ("NuGet", "Acme.Cells", "pkg:nuget/acme.cells@1.0.0", True),
        ("NuGet", "Acme.Cells", "pkg:nuget/acme-cells@1.0.0", False),
        ("GitHub Actions", "Acme/Changed-Files", "pkg:githubactions/acme/changed-files@1.0.0", True),
    ],
)  # fmt: skip
def test_names_follow_their_ecosystem_and_package_urls_are_parsed(
    ecosystem: str, name: str, purl: str, hit: bool
) -> None:
    parts = {"name": "cells-of-the-application", "version": "1.0.0", "purl": purl}
    assert bool(match([parts], one(ecosystem, name))) == hit
    assert bool(match([{**parts, "version": ""}], one(ecosystem, name))) == hit, "the URL has the version too"


@pytest.mark.parametrize(
    ("purl", "compared"),
    [
        ("pkg:pypi/a@1", True),
        ("pkg:npm/%40a/b@1", True),
        ("", True),
        ("pkg:generic/a@1", False),
        ("pkg:deb/a/b@1", False),
    ],
)
def test_a_component_of_an_ecosystem_that_is_not_compared_is_told(purl: str, compared: bool) -> None:
    assert is_compared({"name": "a", "version": "1", "purl": purl}) == compared


def test_a_package_url_that_cannot_be_read_leaves_the_name() -> None:
    for purl in ("pkg:pypi", "pkg:", "northwind", ""):
        assert match([{"name": "northwind", "version": "1.0.0", "purl": purl}], one("PyPI", "northwind")), purl


def test_versions_of_other_ecosystems_are_not_compared_as_python_s() -> None:
    parts = {"name": "x", "version": "1.0.0-0", "purl": "pkg:npm/northwind@1.0.0-0"}
    assert match([parts], one("npm", "northwind")) == []
    assert match([{**parts, "version": "1.0", "purl": "pkg:pypi/northwind@1.0"}], one("PyPI", "northwind"))


@pytest.mark.parametrize(
    ("text", "kind", "inside", "outside"),
    [
        ("vers:pypi/>=1.0|<1.4", "pypi", "1.0 1.3rc1 1.4rc1", "0.9 1.4 2"),
        ("vers:pypi/<1.4|>=1.0", "pypi", "1.0 1.3", "0.9 1.4"),
        ("vers:pypi/1.0|1.2", "pypi", "1.0 1.0.0 1.2", "1.1"),
        ("vers:pypi/<=1.0|!=1.2|>=2", "pypi", "0.1 1 2 3", "1.2 1.5"),
        ("vers:pypi/>=1|!=1.2|<2", "pypi", "1 1.3", "1.2 2"),
        ("vers:pypi/>1|<=2|>3|<4", "pypi", "1.5 2 3.5", "1 3 4"),
        ("vers:pypi/*", "pypi", "1 main", ""),
        ("vers:pypi/2.1.0%2Bcpu", "pypi", "2.1.0+cpu", "2.1.0"),
        ("vers:npm/1.0.0|1.2.0", "npm", "1.0.0", "1.0 1.1.0"),
        ("vers:npm/*", "npm", "1.0.0", ""),
        # what nobody can say
        ("vers:npm/>=1.0.0|<2.0.0", "npm", "", "1.0.0 1.5.0"),
        ("vers:npm/1.0.0", "pypi", "", "1.0.0"),
        ("vers:pypi/>=one", "pypi", "", "1"),
        ("vers:pypi/>=1|", "pypi", "", "1"),
        ("vers:pypi/!=1", "pypi", "", "1 2"),
        (">=1", "pypi", "", "1"),
        ("", "pypi", "", "1"),
    ],
)
def test_a_vers_is_evaluated_or_holds_for_nothing(text: str, kind: str, inside: str, outside: str) -> None:
    assert [v for v in inside.split() + outside.split() if is_in_vers(text, kind, v)] == inside.split()


def test_the_later_of_two_records_counts(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(record(summary="new", modified="2026-01-01T00:00:00.5Z"))
    (tmp_path / "b.json").write_bytes(record(summary="old"))
    assert [each.summary for each in load(tmp_path).records] == ["new"]


# -- ranges, beside the specification's pseudo-code

VERSIONS = st.from_regex(r"(1!)?[0-2]\.[0-3](\.0)?(a1|rc1|\.post1|\.dev1)?", fullmatch=True)


def vulnerable(version: Version, events: list[dict[str, str]]) -> bool:
    """OSV's evaluation: every event in the order of its version, none of our code."""
    answer = False
    zero = Version("0.dev0")

    def at_of(event: dict[str, str]) -> Version:
        (text,) = event.values()
        return zero if text == "0" else Version(text)

    for event in sorted(events, key=at_of):
        (kind,) = event
        at = at_of(event)
        if kind == "introduced" and version >= at:
            answer = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            answer = False
    return answer


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, str]]:
    versions = draw(st.lists(VERSIONS, max_size=5, unique_by=Version))
    kinds = draw(
        st.lists(
            st.sampled_from(["introduced", "fixed", "last_affected"]),
            min_size=len(versions),
            max_size=len(versions),
        )
    )
    start = [
        {
            "introduced": draw(
                st.one_of(
                    st.just("0"),
                    VERSIONS.filter(lambda v: all(Version(v) != Version(o) for o in versions)),
                )
            )
        }
    ]
    return draw(st.permutations(start + [{k: v} for k, v in zip(kinds, versions, strict=True)]))


@given(events(), VERSIONS)
def test_a_range_is_evaluated_as_the_specification_says(listed: list[dict[str, str]], version: str) -> None:
    assert Range.parse(listed).contains(Version(version)) == vulnerable(Version(version), listed)


def test_ranges_that_touch_leave_no_gap() -> None:
    touching = Range.parse([{"introduced": "1"}, {"fixed": "2"}, {"introduced": "2"}, {"fixed": "3"}])
    single = Range.parse([{"introduced": "2"}, {"last_affected": "2"}])
    limited = Range.parse([{"introduced": "0"}, {"limit": "2"}])
    for text, expected in (("1.9", "t l"), ("2", "ts"), ("2.5", "t"), ("3", "")):
        version = Version(text)
        assert touching.contains(version) == ("t" in expected), text
        assert single.contains(version) == ("s" in expected), text
        assert limited.contains(version) == ("l" in expected), text


# -- pip-audit, unmodified


@contextmanager
def serving(records: list[dict[str, Any]]) -> Iterator[str]:
    """OSV's query, answered by the pseudo-code above."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = [
                each
                for each in records
                for entry in each["affected"]
                if entry["package"]["name"] == asked["package"]["name"]
                and (
                    asked["version"] in entry.get("versions", ())
                    or any(
                        vulnerable(Version(asked["version"]), span["events"])
                        for span in entry.get("ranges", ())
                        if span["type"] == "ECOSYSTEM"
                    )
                )
            ]
            body = json.dumps({"vulns": answer} if answer else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


REQUIREMENTS = """
acme-cells==1.2.0
acme-quantise==1.0.1
northwind-clock==2025.3
northwind-http==3.1.0
northwind-loader==1.5.0
northwind-metrics==0.4.1
northwind-onnx==4.0.0rc1
northwind-plots==1.0
northwind-serve==3.1.0
northwind-tensor==0.1
northwind-tensors==2.3.1
northwind-yaml==1.2.6
"""


def test_pip_audit_agrees(tmp_path: Path, known: Advisories) -> None:
    wanted = tmp_path / "requirements.txt"
    wanted.write_text(REQUIREMENTS)
    records = [json.loads(f.read_bytes()) for f in sorted(FOLDER.glob("ACME-*.json"))]
    program = (sys.executable, "-m", "pip_audit", "-s", "osv", "--no-deps", "--disable-pip")
    options = (
        "--format",
        "json",
        "--progress-spinner",
        "off",
        "--cache-dir",
        str(tmp_path / "cache"),
    )
    with serving(records) as url:
        run = subprocess.run(
            [*program, *options, "--osv-url", url, "-r", str(wanted)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 1, run.stderr  # found something
    theirs = {
        (package["name"], frozenset((v["id"], *v["aliases"])), tuple(v["fix_versions"]))
        for package in json.loads(run.stdout)["dependencies"]
        for v in package["vulns"]
    }
    ours = match([component(line) for line in REQUIREMENTS.split()], known)
    assert len(ours) == len(theirs) == 9
    for name, ids, _ in theirs:  # of merged records it keeps the ids of the first
        assert any(each.component == name and ids <= each.ids for each in ours), (name, ids)
    fixes = {found[0]: found[2] for found in theirs}
    for each in ours:  # theirs may be older than what is installed, and is of the first range alone
        assert set(each.fixed) <= set(fixes[each.component]), each
        assert bool(each.fixed) == bool(fixes[each.component]), each


def test_a_record_reads_as_it_is_documented() -> None:
    once = read(record(schema_version="-", severity="-"))
    assert re.fullmatch(r"ACME-\d+-\d+", once.id)
    assert once.affected[0].ranges[0].fixed_after(Version("1")) == [Version("2")]


@given(st.data())
def test_any_record_is_read_or_refused_and_matching_never_fails(data: st.DataObject) -> None:
    entry = {
        "package": {"ecosystem": "PyPI", "name": "northwind-made-up"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
        "versions": ["1.0"],
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:N/A:N"}],
    }
    document = json.loads(record(affected=[entry], aliases=["X-1"], summary="x", withdrawn=None))
    values: st.SearchStrategy[Any] = st.none() | st.integers() | st.text(max_size=6)
    values |= st.sampled_from(["[]", "{}", "[{}]"]).map(json.loads)
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = document
        while place:
            name = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
            if isinstance(place[name], dict | list) and data.draw(st.integers(0, 4)):
                place = place[name]
                continue
            place[name] = data.draw(values)
            break
    try:
        once = read(json.dumps(document).encode())
    except MalformedInput:
        return
    for each in match([component("northwind-made-up==1")], Advisories((once,))):
        assert str(each)
