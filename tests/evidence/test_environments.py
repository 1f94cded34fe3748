"""Environments of every layout: what is installed as Python, pip and conda see it, and odd packages beside it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.metadata import parse_email

from chainlab.cli.sbom import commands
from chainlab.errors import MalformedInput
from chainlab.evidence.components import Inventory
from chainlab.evidence.packages import metadata
from chainlab.evidence.sbom import builder, environments, wheels
from chainlab.evidence.sbom.schema import problems

AT = datetime(2026, 5, 11, tzinfo=UTC)


def place(prefix: Path, layout: str = "lib/python3.11/site-packages", config: str | None = "version = 3.11.7") -> Path:
    site = prefix / layout
    site.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (prefix / "pyvenv.cfg").write_text(f"home = /nowhere/bin\n{config}\n")
    return site


def add(
    site: Path, name: str, version: str = "1.0", fields: str = "", *, info: str = "", record: str | None = None,
    files: tuple[str, ...] = (),
) -> Path:  # fmt: skip
    """Install a package; ``info`` is the name of its metadata folder, or file when it has no ``.dist-info``."""
    folder = site / (info or f"{name}-{version}.dist-info")
    folder.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{fields}\n"
    (folder / ("METADATA" if folder.suffix == ".dist-info" else "PKG-INFO")).write_bytes(text.encode())
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text("")
    if folder.suffix == ".dist-info":
        paths = [*files, *(p.relative_to(site).as_posix() for p in folder.iterdir())]
        (folder / "RECORD").write_text("".join(f"{p},,\n" for p in paths) if record is None else record)
    return folder


def listed(found: Inventory) -> set[tuple[str, str]]:
    return {(c.name, c.version) for c in found.components}


def spots(found: Inventory, kind: str = "") -> list[str]:
    return [s.what for s in found.blind_spots if kind in ("", s.kind)]


def needs(found: Inventory, name: str) -> tuple[str, ...]:
    return next(c.requires for c in found.components if c.name == name)


# -- what an installation leaves


@pytest.mark.parametrize("version", ["1.0", "0.9"])
def test_a_leftover_of_an_uninstall_is_named_and_not_listed(tmp_path: Path, version: str) -> None:
    site = place(tmp_path)
    add(site, "alpha")
    add(site, "alpha", version, info=f"~lpha-{version}.dist-info")
    found = environments.read(tmp_path)
    assert listed(found) == {("alpha", "1.0")}
    assert len(spots(found, "leftover")) == 1


def test_a_package_that_is_there_twice_is_named(tmp_path: Path) -> None:
    site = place(tmp_path)
    add(site, "Alpha", "1.0")
    add(site, "alpha", "1.0", info="alpha-1.0-py3.11.egg-info")
    add(site, "beta", "1.0", "Requires-Dist: alpha\n")
    add(site, "beta", "2.0", "Requires-Dist: alpha\n")
    found = environments.read(tmp_path)
    assert listed(found) == {("Alpha", "1.0"), ("beta", "1.0"), ("beta", "2.0")}
    assert len(spots(found, "installed twice")) == 2
    assert problems(builder.of_inventory(found, at=AT)) == []


def test_a_file_that_is_no_environment_is_called_by_its_own_name(tmp_path: Path) -> None:
    wheel = tmp_path / "dist" / "x-1-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    with pytest.raises(MalformedInput, match=r"not an environment: x-1-py3-none-any\.whl"):
        environments.read(wheel)


def test_eggs_are_packages(tmp_path: Path) -> None:
    site = place(tmp_path)
    folder = add(site, "alpha", info="alpha-1.0-py3.11.egg-info", files=("alpha/__init__.py", "alpha/_vendor/idna.py"))
    (folder / "top_level.txt").write_text("alpha\n")
    (folder / "requires.txt").write_text("beta\n\n[extra:python_version < '3']\nnothing\n")
    (site / "beta-2.0.egg-info").write_text("Metadata-Version: 1.0\nName: beta\nVersion: 2.0\n")
    add(site, "gamma", info="gamma-1.0-py3.11.egg/EGG-INFO", files=("gamma-1.0-py3.11.egg/gamma/__init__.py",))
    add(site, "delta", "1.0", "Requires-Dist: epsilon\nRequires-Dist: alpha\n")
    (site / "epsilon.egg-link").write_text("/nowhere\n.")
    (site / "zeta-1.0-py3.11.egg").write_bytes(b"PK\5\6" + bytes(18))
    found = environments.read(tmp_path)
    assert listed(found) == {("alpha", "1.0"), ("beta", "2.0"), ("gamma", "1.0"), ("delta", "1.0")}
    assert needs(found, "alpha") == ("pkg:pypi/beta@2.0",)
    assert spots(found, "vendored") == ["alpha/_vendor/: idna"]
    assert [text.partition(":")[0] for text in spots(found, "unreadable")] == [
        "epsilon.egg-link", "zeta-1.0-py3.11.egg",
    ]  # fmt: skip
    assert spots(found, "unowned") == []
    assert spots(found, "missing") == ["epsilon is required, and not among what could be read"]


def test_the_files_of_an_old_installation_are_those_that_it_lists(tmp_path: Path) -> None:
    folder = add(place(tmp_path), "alpha", info="alpha-1.0.egg-info", files=("alpha/_speed.so",))
    (folder / "installed-files.txt").write_text("../alpha/_speed.so\nPKG-INFO\n")
    found = environments.read(tmp_path)
    assert (spots(found, "native"), spots(found, "unowned")) == (["1 compiled file(s)"], [])


def test_what_is_listed_is_what_python_lists(tmp_path: Path) -> None:
    site = place(tmp_path)
    add(site, "alpha", "1.0rc1")
    add(site, "beta", "2", info="beta-2-py3.11.egg-info")
    (site / "gamma-3.egg-info").write_text("Metadata-Version: 1.0\nName: gamma\nVersion: 3\n\n")
    pythons = {(d.metadata["Name"], d.version) for d in importlib.metadata.distributions(path=[str(site)])}
    assert listed(environments.read(tmp_path)) == pythons


# -- its metadata


SEPARATORS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("separator", SEPARATORS)
def test_headers_go_on_after_what_ends_no_line(tmp_path: Path, separator: str) -> None:
    site = place(tmp_path)
    add(site, "alpha", "1.0", f"License: page one\n        {separator}\n        page two\nRequires-Dist: beta\n")
    add(site, "beta")
    assert needs(environments.read(tmp_path), "alpha") == ("pkg:pypi/beta@1.0",)


@given(st.text("ab:- \t\n\r\x0c\x1c\u2028Name|", max_size=60))
def test_headers_are_those_that_packaging_reads(text: str) -> None:
    text = f"Name: alpha\nLicense: {text}\nRequires-Dist: beta\n"
    raw, unread = parse_email(text)
    ours = metadata.parse_headers(text)
    theirs = [*unread.get("requires-dist", ()), *raw.get("requires_dist", ())]
    assert ours.get("requires-dist", []) == theirs


RECORDS = {  # text, and what is said of it
    "plain": ("alpha/__init__.py,,\nalpha/_vendor/six.py,,\n", ""),
    "in quotes": ('"alpha/__init__.py",,\n"alpha/_vendor/six.py","sha256=x",1\n', ""),
    "backslashes": ("alpha\\__init__.py,,\nalpha\\_vendor\\six.py,,\n", ""),
    "CRLF": ("alpha/__init__.py,,\r\nalpha/_vendor/six.py,,\r\n", ""),
    "a line of one field": ("alpha/_vendor/six.py,,\nx\n", "line 2 has 1 fields"),
    "no path": ("alpha/_vendor/six.py,,\n,sha256=x,1\n", "line 2 has no path"),
    "a hash that is none": ("alpha/_vendor/six.py,,\nalpha/x.py,x,1\n", "line 2 has no path"),
    "a size that is none": ("alpha/_vendor/six.py,,\nalpha/x.py,sha256=x,-1\n", "line 2 has no path"),
    "a path twice": ("alpha/_vendor/six.py,,\nalpha/_vendor/six.py,,\n", "twice"),
    "a quote that does not end": ('alpha/_vendor/six.py,,\n"open,,\n', "line 2"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_is_read_as_its_specification_says(tmp_path: Path, case: str) -> None:
    record, odd = RECORDS[case]
    site = place(tmp_path)
    add(site, "alpha", record=record, files=("alpha/__init__.py", "alpha/_vendor/six.py"))
    found = environments.read(tmp_path)
    assert spots(found, "vendored") == ["alpha/_vendor/: six"]
    assert spots(found, "unowned") == []
    assert [odd in text for text in spots(found, "unreadable")] == ([True] if odd else [])


def test_licences_and_documents_are_no_vendored_code() -> None:
    inside: tuple[str, ...] = ("idna/__init__.py", "idna/LICENSE.md", "bom.cdx.json", "vendor.txt", "README")
    inside += ("license.py", "py.typed")
    inside += ("parse.py.SHA256SUM", "x.pyi", "only/COPYING", "only/notes.txt", "typeshed/os.pyi")
    licences = ("licenses/src/alpha/_vendor/six/LICENSE", "licenses/alpha/_vendor/idna/COPYING")
    files = (*(f"alpha/_vendor/{f}" for f in inside), *(f"alpha-1.0.dist-info/{f}" for f in licences))
    assert metadata.hidden_code(files) == {"vendored": "alpha/_vendor/: idna, license, typeshed"}


# -- which Python


PYTHONS = ("lib/python3.9/site-packages", "lib/python3.11/site-packages", "lib/python3.12/site-packages")


@pytest.fixture
def several(tmp_path: Path) -> Path:
    for layout in PYTHONS:
        add(place(tmp_path, layout, None), "alpha", layout.split("/")[1].removeprefix("python"))
    return tmp_path


@pytest.mark.parametrize("config", ["version = 3.12.4", "version_info = 3.12.4.final.0", "Version=3.12.4"])
def test_the_version_in_pyvenv_cfg_decides(several: Path, config: str) -> None:
    place(several, config=config)
    found = environments.read(several)
    assert listed(found) == {("alpha", "3.12")}
    assert dict(found.properties)["chainlab:environment:python"] == "3.12.4"
    assert len(spots(found, "other python")) == 2


def test_an_interpreter_or_a_folder_names_its_own(several: Path) -> None:
    (several / "bin").mkdir()
    (several / "bin" / "python3.9").write_text("")
    assert listed(environments.read(several / "bin" / "python3.9")) == {("alpha", "3.9")}
    place(several, config="version = 3.12.4")
    found = environments.read(several / "lib/python3.11/site-packages")
    assert listed(found) == {("alpha", "3.11")}
    assert dict(found.properties)["chainlab:environment:python"].startswith("3.11")


def test_a_link_says_which_python_runs(several: Path) -> None:
    with pytest.raises(MalformedInput, match=r"several Pythons: 3\.9, 3\.11, 3\.12"):
        environments.read(several)
    (several / "bin").mkdir()
    (several / "bin" / "python3").symlink_to("python3.11")
    assert listed(environments.read(several)) == {("alpha", "3.11")}


def test_a_python_without_packages_of_its_own_gets_none_of_anothers(several: Path) -> None:
    place(several, config="version = 3.13.1")
    with pytest.raises(MalformedInput, match=r"no packages for its Python 3\.13"):
        environments.read(several)


@pytest.mark.parametrize("layout", [
    "lib/python3.13t/site-packages", "lib/pypy3.10/site-packages", "Lib/site-packages", "lib/python3/dist-packages",
    "lib/python3.11/dist-packages", "local/lib/python3.11/dist-packages", "lib64/python3.11/site-packages",
])  # fmt: skip
def test_an_environment_needs_no_pyvenv_cfg(tmp_path: Path, layout: str) -> None:
    add(place(tmp_path, layout, None), "alpha")
    done = CliRunner().invoke(commands[0], ["build", str(tmp_path), "--at", "2026-01-01T00:00:00Z"])
    assert done.exit_code == 0, done.output
    assert [c["name"] for c in json.loads(done.stdout)["components"]] == ["alpha"]
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'\ndependencies = ['beta']\n")
    done = CliRunner().invoke(commands[0], ["build", str(tmp_path), "--at", "2026-01-01T00:00:00Z"])
    assert [c["name"] for c in json.loads(done.stdout)["components"]] == ["beta"], "a project"


def test_the_folder_that_every_python_shares_is_no_other_python(tmp_path: Path) -> None:
    add(place(tmp_path, "lib/python3/dist-packages", None), "alpha")
    add(place(tmp_path, "local/lib/python3.11/dist-packages", None), "beta")
    for path in (tmp_path, tmp_path / "lib/python3/dist-packages", tmp_path / "local/lib/python3.11/dist-packages"):
        found = environments.read(path)
        assert (listed(found), spots(found, "other python")) == ({("alpha", "1.0"), ("beta", "1.0")}, [])


def test_both_halves_of_an_installation_are_read(tmp_path: Path) -> None:
    add(place(tmp_path, config=None), "alpha", "1.0", "Requires-Dist: beta\n")
    add(place(tmp_path, "lib64/python3.11/site-packages", None), "beta")
    found = environments.read(tmp_path)
    assert needs(found, "alpha") == ("pkg:pypi/beta@1.0",)
    (tmp_path / "other" / "lib").mkdir(parents=True)
    add(place(tmp_path / "other", config=None), "alpha")
    (tmp_path / "other" / "lib64").symlink_to("lib")
    assert spots(environments.read(tmp_path / "other"), "installed twice") == []


@pytest.mark.parametrize("layout", ["lib/python3.11/site-packages", "lib/python3/dist-packages"])
def test_system_site_packages_are_read_or_named(tmp_path: Path, layout: str) -> None:
    own, base = tmp_path / "env", tmp_path / "base"
    site = place(own, config="version = 3.11.7\ninclude-system-site-packages = true")
    add(site, "alpha", "1.0", "Requires-Dist: beta\nRequires-Dist: gamma\n")
    add(site, "gamma", "2.0")
    found = environments.read(own)
    assert spots(found, "missing") == ["beta is required, and not among what could be read"]
    assert "system site packages: those of its base Python, which is not here" in str(spots(found, "not looked for"))
    system = place(base, layout, None)
    add(system, "beta")
    add(system, "gamma", "1.0")
    (own / "pyvenv.cfg").write_text(f"home = {base}/bin\nversion = 3.11.7\nInclude-System-Site-Packages = TRUE\n")
    assert listed(environments.read(own)) == {("alpha", "1.0"), ("gamma", "2.0")}, "nothing says that it is its base"
    (base / "bin").mkdir()
    (base / "bin" / "python3").write_text("")
    (own / "bin").mkdir()
    (own / "bin" / "python").symlink_to(base / "bin" / "python3")
    found = environments.read(own)
    assert listed(found) == {("alpha", "1.0"), ("beta", "1.0"), ("gamma", "2.0")}
    assert needs(found, "alpha") == ("pkg:pypi/beta@1.0", "pkg:pypi/gamma@2.0")
    assert "system site packages: the user's own" in spots(found, "not looked for")
    assert len(spots(found, "installed twice")) == 1


def test_folders_that_a_pth_file_adds_are_read_or_named(tmp_path: Path) -> None:
    site = place(tmp_path / "env")
    add(site, "alpha", "1.0", "Requires-Dist: beta\nRequires-Dist: gamma\n")
    add(tmp_path / "more", "beta", "2.0")
    (site / "more.pth").write_bytes(f"# here\r\n{tmp_path}/more\r\nimport os\r\n".encode())
    found = environments.read(tmp_path / "env")
    assert listed(found) == {("alpha", "1.0"), ("beta", "2.0")}
    assert spots(found, "missing") == ["gamma is required and not installed"]
    (site / "gone.pth").write_text("../nowhere\n")
    found = environments.read(tmp_path / "env")
    assert spots(found, "missing") == ["gamma is required, and not among what could be read"]


def test_an_editable_package_is_no_second_one(tmp_path: Path) -> None:
    site = place(tmp_path / "env")
    folder = add(site, "alpha")
    (folder / "direct_url.json").write_text('{"url": "file:///src", "dir_info": {"editable": true}}')
    add(tmp_path / "src", "alpha", info="alpha.egg-info")
    (site / "__editable__.alpha-1.0.pth").write_text(f"{tmp_path}/src")
    found = environments.read(tmp_path / "env")
    assert (listed(found), spots(found, "installed twice")) == ({("alpha", "1.0")}, [])


def test_links_in_a_circle_end_nothing(tmp_path: Path) -> None:
    add(place(tmp_path, config="version = 3.11.7\ninclude-system-site-packages = true"), "alpha")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("python")
    assert listed(environments.read(tmp_path)) == {("alpha", "1.0")}


# -- conda


def conda(prefix: Path, name: str, **more: Any) -> None:
    (prefix / "conda-meta").mkdir(exist_ok=True)
    record: dict[str, Any] = {
        "name": name,
        "version": "3.0",
        "build": "h1_0",
        "channel": "https://conda.example/main/linux-64",
    }
    record |= {"subdir": "linux-64", "sha256": "a" * 64, "license": "Apache-2.0", "depends": [], "files": [], **more}
    (prefix / "conda-meta" / f"{name}-{record['version']}-h1_0.json").write_text(json.dumps(record))


def test_what_conda_installed_is_listed_once(tmp_path: Path) -> None:
    layout = "lib/python3.11/site-packages"
    add(place(tmp_path, layout, None), "alpha", "1.0", record="", files=("alpha/__init__.py",))
    files = [f"{layout}/alpha/__init__.py", f"{layout}/alpha-1.0.dist-info/METADATA"]
    conda(tmp_path, "alpha", depends=["openssl >=3", "__glibc >=2.17", "gone"], files=files)
    conda(tmp_path, "openssl")
    conda(tmp_path, "openssl", version="2.0")
    (tmp_path / "conda-meta" / "odd.json").write_text("{")
    (tmp_path / "conda-meta" / "history").write_text("==> 2026 <==\n")
    found = environments.read(tmp_path)
    assert listed(found) == {("alpha", "1.0"), ("openssl", "3.0"), ("openssl", "2.0")}
    (openssl,) = needs(found, "alpha")
    assert openssl == "pkg:conda/openssl@3.0?build=h1_0&channel=main&subdir=linux-64"
    assert spots(found, "missing") == ["gone is required, and not among what could be read"]
    assert spots(found, "unreadable") == ["conda-meta/odd.json: it is not JSON"]
    assert spots(found, "unowned") == ["alpha-1.0.dist-info has no RECORD"]
    assert problems(builder.of_inventory(found, at=AT)) == []


def test_a_conda_environment_without_python_is_one(tmp_path: Path) -> None:
    conda(tmp_path, "openssl", files=["lib/libssl.so"])
    (tmp_path / "lib").mkdir()
    found = environments.read(tmp_path)
    assert (listed(found), spots(found, "unowned")) == ({("openssl", "3.0")}, [])


# -- bills of materials in packages (PEP 770)


def bill(*components: dict[str, Any], subject: dict[str, Any] | None = None, needs: Any = ()) -> bytes:
    document: dict[str, Any] = {"bomFormat": "CycloneDX", "specVersion": "1.4", "version": 1}
    document |= {"components": [{"type": "library", **one} for one in components], "dependencies": list(needs)}
    if subject:
        document["metadata"] = {"component": {"type": "library", **subject}}
    return json.dumps(document).encode()


ZLIB = {"name": "zlib", "version": "1.3", "purl": "pkg:generic/zlib@1.3", "bom-ref": "z"}
INSIDE = [{"type": "library", "name": "rand", "version": "1"}, {"type": "file", "name": "libssl.so"}]
SSL = {"name": "openssl", "version": "3", "bom-ref": "s", "components": INSIDE}
SHA = {"alg": "SHA-256", "content": "a" * 64}


def test_an_sbom_in_a_package_is_merged_as_its_authors_state_it(tmp_path: Path) -> None:
    site = place(tmp_path)
    for name, digest in (("alpha", "a"), ("beta", "b")):
        folder = add(site, name)
        (folder / "sboms" / "deep").mkdir(parents=True)
        same = {**ZLIB, "hashes": [{**SHA, "content": digest * 64}], "licenses": [{"license": {"id": "Zlib"}}]}
        subject = {"name": name, "version": "1.0", "bom-ref": "me"}
        data = bill(
            same, SSL, subject=subject, needs=[{"ref": "me", "dependsOn": ["s"]}, {"ref": "s", "dependsOn": ["z"]}]
        )
        (folder / "sboms" / "deep" / "native.cdx.json").write_bytes(data)
    (site / "alpha-1.0.dist-info" / "sboms" / "x.spdx.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    (site / "beta-1.0.dist-info" / "sboms" / "odd.json").write_bytes(bill({"name": 5}))
    found = environments.read(tmp_path)
    assert listed(found) == {("alpha", "1.0"), ("beta", "1.0"), ("zlib", "1.3"), ("openssl", "3"), ("rand", "1")}
    assert needs(found, "alpha") == ("openssl@3",)
    assert needs(found, "openssl") == ("pkg:generic/zlib@1.3", "rand@1")
    zlib = next(c for c in found.components if c.name == "zlib")
    assert (zlib.licence, zlib.found_in) == ("Zlib", "alpha-1.0.dist-info/sboms/deep/native.cdx.json")
    assert "different SHA-256" in dict(zlib.properties)["chainlab:conflict"]
    assert [text.partition(": ")[0] for text in spots(found, "unreadable")] == [
        "the SBOM alpha-1.0.dist-info/sboms/x.spdx.json", "the SBOM beta-1.0.dist-info/sboms/odd.json",
    ]  # fmt: skip
    assert problems(builder.of_inventory(found, at=AT)) == []


def test_what_is_installed_is_not_what_an_sbom_says_of_it(tmp_path: Path) -> None:
    site = place(tmp_path)
    folder = add(site, "alpha")
    add(site, "beta", fields="License-Expression: MIT\n")
    (folder / "sboms").mkdir()
    stated = {"name": "beta", "version": "1.0", "purl": "pkg:pypi/beta@1.0", "licenses": [{"license": {"id": "ISC"}}]}
    (folder / "sboms" / "x.json").write_bytes(bill(stated))
    found = environments.read(tmp_path)
    assert [c.licence for c in found.components if c.name == "beta"] == ["MIT"]
    assert needs(found, "alpha") == ("pkg:pypi/beta@1.0",)


def test_an_sbom_of_a_real_shape_adds_what_is_inside_alone(tmp_path: Path) -> None:
    site = place(tmp_path)
    folder = add(site, "alpha_x")
    add(site, "beta")
    (folder / "sboms").mkdir()
    purl = "pkg:pypi/alpha_x@1.0?file_name=alpha_x-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    me = {"type": "library", "bom-ref": purl, "name": "alpha_x", "version": "1.0", "purl": purl}
    edges = [{"ref": purl, "dependsOn": ["z"]}, {"ref": "z"}]
    (folder / "sboms" / "auditwheel.cdx.json").write_bytes(bill(me, ZLIB, subject=me, needs=edges))
    asked = {"name": "beta", "purl": "pkg:pypi/beta", "bom-ref": "b"}  # as it requires it, not as it contains it
    bundled = {"name": "beta", "version": "0.1", "purl": "pkg:pypi/beta@0.1"}
    crate = {"name": "alpha_x", "version": "1.0", "purl": "pkg:cargo/alpha_x@1.0", "bom-ref": "me"}
    edges = [{"ref": "me", "dependsOn": ["b"]}]
    (folder / "sboms" / "own.cdx.json").write_bytes(bill(asked, bundled, subject=crate, needs=edges))
    found = environments.read(tmp_path)
    by_ref = {c.ref: c.requires for c in found.components}
    zlib, beta = "pkg:generic/zlib@1.3", ["pkg:pypi/beta@0.1", "pkg:pypi/beta@1.0"]
    assert sorted(by_ref) == ["pkg:cargo/alpha_x@1.0", zlib, "pkg:pypi/alpha-x@1.0", *beta]
    assert by_ref["pkg:pypi/alpha-x@1.0"] == ("pkg:cargo/alpha_x@1.0", "pkg:generic/zlib@1.3", "pkg:pypi/beta@0.1")
    assert by_ref["pkg:cargo/alpha_x@1.0"] == ("pkg:pypi/beta@1.0",)
    assert spots(found, "unreadable") == []


def test_a_wheel_carries_its_sboms_too(tmp_path: Path) -> None:
    path = tmp_path / "alpha-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("alpha-1.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: alpha\nVersion: 1.0\n")
        archive.writestr("alpha-1.0.dist-info/sboms/native.cdx.json", bill(ZLIB))
        archive.writestr("alpha-1.0.dist-info/sboms/x.json", "{")
    found = wheels.read(path)
    assert listed(found) == {("zlib", "1.3")}
    assert found.subject.requires == ("pkg:generic/zlib@1.3",)
    assert spots(found, "unreadable") == ["the SBOM alpha-1.0.dist-info/sboms/x.json: it is not JSON"]


# -- one odd package


FILES = ("METADATA", "RECORD", "WHEEL", "direct_url.json", "sboms/x.json", "entry_points.txt")
WORDS = st.sampled_from([
    b"Name: odd\n", b"Version: 1\n", b"Version: " + b"9" * 5000 + b"\n",
    b"Name: odd\nVersion: " + b"9" * 5000, b"Name: ../x\n", b"Requires-Dist: a; (((\n",
    b"Requires-Dist: alpha>=" + b"9" * 5000 + b"\n", b'{"url": "file:///x"}', b'{"url": "\\ud800"}', b"[" * 5000,
    b"License: \xff\xfe\n", b"\x00", b"\r", b"\x0c", b'"', b",,\n", b"../../etc/passwd,,\n", b"Tag: py3-none-win32\n",
    bill(ZLIB), b"Provides-Extra: x\n", b"Requires-Dist: b; extra == 'x'\n", b"Requires-Dist: c; python_version<'9'\n",
])  # fmt: skip
CONTENT = st.lists(WORDS | st.binary(max_size=8), max_size=8).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([".dist-info", ".egg-info", ".egg"]), contents=st.dictionaries(st.sampled_from(FILES), CONTENT)
)
def test_one_odd_package_is_a_finding_and_ends_nothing(
    tmp_path_factory: pytest.TempPathFactory, kind: str, contents: dict[str, bytes]
) -> None:
    prefix = tmp_path_factory.mktemp("odd")
    site = place(prefix)
    add(site, "alpha")
    info = site / f"odd-1{kind}" / ("EGG-INFO" if kind == ".egg" else "")
    for name, data in contents.items():
        file = info / (name if kind == ".dist-info" or name != "METADATA" else "PKG-INFO")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    found = environments.read(prefix)
    assert ("alpha", "1.0") in listed(found)
    names = {name for name, _ in listed(found)}
    assert "odd" in names or not contents or any(text.startswith("odd-1") for text in spots(found, "unreadable"))
    document = builder.of_inventory(found, at=AT)
    builder.dump(document)
    assert problems(document) == []


VALUES = st.none() | st.integers() | st.text("ab/.:@?=<>\0 \n\u00fc", max_size=8) | st.just("9" * 5000)
RECORD = st.dictionaries(
    st.sampled_from(["name", "version", "build", "channel", "subdir", "sha256", "md5", "license", "depends", "files"]),
    VALUES | st.lists(VALUES, max_size=3),
)


@given(st.lists(RECORD, max_size=3))
def test_one_odd_record_of_conda_ends_nothing(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    prefix = tmp_path_factory.mktemp("conda")
    add(place(prefix, config=None), "alpha")
    (prefix / "conda-meta").mkdir()
    for number, record in enumerate(records):
        (prefix / "conda-meta" / f"{number}.json").write_text(json.dumps(record))
    found = environments.read(prefix)
    assert ("alpha", "1.0") in listed(found)
    assert len(found.components) - 1 + len(spots(found, "unreadable")) <= len(records)
    document = builder.of_inventory(found, at=AT)
    builder.dump(document)
    assert problems(document) == []


def test_a_file_whose_name_is_no_text_can_be_told(tmp_path: Path) -> None:
    site = place(tmp_path)
    add(site, "alpha")
    for name in (b"\xff.py", b"\xfe-1.0.dist-info"):
        try:
            Path(os.fsdecode(os.fsencode(site) + b"/" + name)).mkdir()
        except OSError:
            pytest.skip("this file system has no such names")
    found = environments.read(tmp_path)
    assert len(spots(found, "unowned")) == len(spots(found, "unreadable")) == 1
    builder.dump(builder.of_inventory(found, at=AT))


def test_a_version_of_thousands_of_digits_is_a_finding(tmp_path: Path) -> None:
    add(place(tmp_path), "alpha", "9" * 200)
    (tmp_path / "lib/python3.11/site-packages/odd-1.egg-info").write_text(f"Name: odd\nVersion: {'9' * 5000}\n")
    found = environments.read(tmp_path)
    assert listed(found) == {("alpha", "9" * 200), ("odd", "")}
    assert spots(found, "unreadable") == ["odd-1.egg-info: no version of at most 256 characters"]
    assert problems(builder.of_inventory(found, at=AT)) == []


def test_where_nothing_can_be_read_the_reason_is_told(tmp_path: Path) -> None:
    (place(tmp_path) / "alpha-1.0.dist-info").mkdir()
    with pytest.raises(MalformedInput, match="nothing is installed") as error:
        environments.read(tmp_path)
    assert "alpha-1.0.dist-info: no name in its METADATA" in error.value.why
