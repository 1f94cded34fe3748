"""Bills of materials of the planted environment, its wheels and lock, and what third parties make of them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6, JsonV1Dot7
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL
from packaging.metadata import parse_email

from chainlab.cli.sbom import commands
from chainlab.errors import MalformedInput
from chainlab.evidence.components import BlindSpot, Component, Inventory, purl_of
from chainlab.evidence.locks import lock_inventory
from chainlab.evidence.packages import imports, interpreters, metadata
from chainlab.evidence.packages.licences import read_licence
from chainlab.evidence.sbom import builder, cyclonedx, environments, projects, wheels
from chainlab.evidence.sbom.quality import CISA, NTIA, assess
from chainlab.evidence.sbom.schema import problems

HARDENED = "data/projects/hardened/triage-model/requirements.lock"


def by_key(found: Inventory) -> dict[str, Component]:
    return {c.key: c for c in found.components}


def spots(found: Inventory) -> set[tuple[str, str]]:
    return {(s.kind, s.what) for s in found.blind_spots}


def test_an_environment_is_read_without_running_it(planted: Path) -> None:
    found = environments.read(planted / "bin" / "python" if sys.platform != "win32" else planted)
    parts = by_key(found)
    assert sorted(parts) == ["acme-cells", "acme-checks", "acme-service", "acme-speed"]
    assert parts["acme-service"].requires == (purl_of("acme-cells", "1.2.0"),)
    assert parts["acme-cells"].requires == (purl_of("acme-speed", "2.0.0"),)  # by the extra that is asked for
    assert found.subject.requires == (
        purl_of("acme-checks", "0.1"),
        purl_of("acme-service", "1.4.0"),
    )
    assert [parts[k].licence for k in sorted(parts)] == [
        None,
        "LicenseRef-Acme",
        "MIT OR Apache-2.0",
        "MIT",
    ]
    assert parts["acme-cells"].licence_name == "BSD"  # two licences have that name
    assert parts["acme-cells"].supplier == "Acme Data"
    assert parts["acme-service"].complete is False


def test_what_cannot_be_seen_is_named(planted: Path) -> None:
    found = environments.read(planted, subject="acme-service", look_inside=True)
    assert spots(found) == {
        ("vendored", "cells/_vendor/: leftpad 0.3.1, six"),
        ("native", "1 compiled file(s), bundled libraries libfast-1a2b.so.3"),
        ("dynamic import", "a computed name is imported at acme_service/__init__.py:2"),
        ("extra", "not asked for: draw"),
        ("extra", "not asked for: test"),
        ("missing", "acme-gone is required and not installed"),
        ("unexplained", "installed, and acme-service does not ask for: acme-checks"),
        ("unowned", "stranger belongs to no installed package"),
    }
    assert dict(by_key(found)["acme-cells"].properties)["chainlab:imported-as"] == "cells"
    site = interpreters.site_packages(planted)
    assert environments.read(planted) == environments.read(site)
    silent = environments.read(planted)
    assert ("not looked for", "imports with a computed name, in installed code") in spots(silent)


def test_a_hash_is_the_wheels_or_none(planted: Path, planted_lock: Path, planted_wheels: Path) -> None:
    bare = by_key(environments.read(planted))["acme-speed"]
    assert (dict(bare.hashes), bare.hash_origin) == ({}, "record")
    assert len(dict(bare.properties)["chainlab:record:sha-256"]) == 64
    locked = by_key(environments.read(planted, lock=planted_lock))
    assert locked["acme-checks"].hash_origin == "lock"
    assert len(locked["acme-checks"].hashes) == 1  # the lock lists one file
    assert dict(locked["acme-speed"].hashes) == {}  # two files, and nothing says which
    assert len(locked["acme-speed"].accepted) == 2
    both = by_key(environments.read(planted, lock=planted_lock, wheels=planted_wheels))["acme-speed"]
    (file,) = planted_wheels.glob("acme_speed*")
    assert both.hashes == {"SHA-256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert both.hash_origin == "lock"
    alone = by_key(environments.read(planted, wheels=planted_wheels))["acme-speed"]
    assert (alone.hashes, alone.hash_origin) == (both.hashes, "file")


def test_another_version_than_the_locks_gets_no_hash(planted: Path, planted_lock: Path, tmp_path: Path) -> None:
    other = tmp_path / "requirements.lock"
    other.write_text(planted_lock.read_text().replace("acme-speed==2.0.0", "acme-speed==2.0.1"))
    found = by_key(environments.read(planted, lock=other))["acme-speed"]
    assert not found.hashes
    assert not found.accepted
    assert dict(found.properties)["chainlab:differs-from-lock"] == "the lock says 2.0.1"


def test_an_installation_of_ones_own_has_no_address(planted: Path, tmp_path: Path) -> None:
    home = tmp_path / "env"
    shutil.copytree(planted, home, symlinks=True)
    site = interpreters.site_packages(home)
    origins = {
        "acme_service-1.4.0": {"url": "file:///secret/path", "dir_info": {"editable": True}},
        "acme_speed-2.0.0": {
            "url": "https://user:secret@git.acme.example/speed",
            "vcs_info": {"vcs": "git", "commit_id": "a" * 40},
        },
        "acme_checks-0.1": {
            "url": "https://files.acme.example/acme_checks-0.1.tar.gz",
            "archive_info": {"hashes": {"sha256": "b" * 64}},
        },
    }
    for folder, origin in origins.items():
        (site / f"{folder}.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    document = builder.of_environment(home)
    parts = {c.key: c for c in cyclonedx.read(document).components}
    assert parts["acme-service"].purl == ""
    assert "vcs_url=git%2Bhttps://git.acme.example/speed" in parts["acme-speed"].purl
    assert parts["acme-checks"].hashes == {"SHA-256": "b" * 64}
    assert "secret" not in json.dumps(document)
    assert problems(document) == []


@pytest.mark.parametrize(
    ("config", "tag", "expected"),
    [
        ("version = 3.13.1", "cp313-cp313-win_amd64", ("3.13", "3.13.1", "win32", "AMD64")),
        ("version_info = 3.12.4.final.0", "py3-none-any", ("3.12", "3.12.4", None, None)),
        ("", "cp311-cp311-macosx_11_0_arm64", ("3.14", "3.14.0", "darwin", "arm64")),
    ],
    ids=["venv on windows", "virtualenv", "only the folder's name"],
)
def test_markers_are_those_of_the_interpreter_that_owns_the_folder(
    config: str, tag: str, expected: tuple[str | None, ...], tmp_path: Path
) -> None:
    site = tmp_path / "lib" / "python3.14" / "site-packages"
    site.mkdir(parents=True)
    if config:
        (tmp_path / "pyvenv.cfg").write_text(f"home = /x\n{config}\n")
    values = interpreters.markers_of(site, [tag])
    names = ("python_version", "python_full_version", "sys_platform", "platform_machine")
    assert [values[n] for n, e in zip(names, expected, strict=True) if e] == [e for e in expected if e]


def test_a_lock_is_read_for_one_platform(planted_lock: Path, root: Path, at: datetime) -> None:
    found = lock_inventory.read(planted_lock, markers={"sys_platform": "linux"})
    parts = by_key(found)
    assert parts["acme-service"].requires == (purl_of("acme-cells", "1.2.0"),)  # by `# via`
    assert found.subject.requires == (
        purl_of("acme-checks", "0.1"),
        purl_of("acme-service", "1.4.0"),
    )
    assert ("other platform", "locked, and not for this one: acme-windows") in spots(found)
    assert "acme-windows" in by_key(lock_inventory.read(planted_lock, markers={"sys_platform": "win32"}))
    hardened = builder.of_lock(root / HARDENED, at=at)
    assert len(hardened["components"]) >= 20
    assert all(c.accepted or c.hashes for c in cyclonedx.read(hardened).components)
    unknown = [c for c in hardened["compositions"] if c["aggregate"] == "unknown"]
    assert hardened["metadata"]["component"]["bom-ref"] in unknown[0]["dependencies"]  # it has no `# via`


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--hash=sha256:", "--hash=sha256:00"),
        ("--hash=sha256:", "--hash="),
        ("==", "~="),
    ],
    ids=["a long digest", "no algorithm", "no pin at all"],
)
def test_a_damaged_lock_is_refused(old: str, new: str, planted_lock: Path, tmp_path: Path) -> None:
    path = tmp_path / "requirements.lock"
    path.write_text(planted_lock.read_text().replace(old, new))
    with pytest.raises(MalformedInput):
        lock_inventory.read(path)


@given(st.data())
def test_whatever_a_lock_holds_it_is_refused_or_its_document_is_valid(planted_lock: Path, data: st.DataObject) -> None:
    text = bytearray(planted_lock.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 20))] = data.draw(
            st.sampled_from([b"", b"\n", b"\\\n", b";", b"==", b"[", b"\xff", b"# via x", b"--hash=md5:0"])
        )
    path = planted_lock.parent / "damaged.lock"
    path.write_bytes(text)
    try:
        made = builder.of_lock(path)
    except MalformedInput:
        return
    assert problems(made) == []


def test_a_pylock_names_the_file_for_this_platform(tmp_path: Path) -> None:
    names = [
        "acme_speed-2.0.0-cp311-cp311-linux_x86_64.whl",
        "acme_speed-2.0.0-cp311-cp311-win_amd64.whl",
    ]
    files = ",".join(
        f'{{name="{n}", url="https://files.acme.example/{n}", hashes={{sha256="{d * 64}"}}}}'
        for n, d in zip(names, "ab", strict=True)
    )
    path = tmp_path / "pylock.toml"
    path.write_text(
        f"""lock-version = "1.0"
created-by = "hand"
[[packages]]
name = "acme-speed"
version = "2.0.0"
wheels = [{files}]
[[packages]]
name = "acme-cells"
version = "1.2.0"
dependencies = [{{name = "acme-speed"}}]
archive = {{url = "https://user:secret@files.acme.example/c.zip", hashes = {{sha256 = "{"c" * 64}"}}}}
[[packages]]
name = "acme-draw"
version = "1"
marker = "'draw' in extras"
sdist = {{name = "acme_draw-1.tar.gz", url = "https://files.acme.example/d", hashes = {{sha256 = "{"d" * 64}"}}}}
"""
    )
    found = by_key(lock_inventory.read(path))
    assert sorted(found) == ["acme-cells", "acme-speed"]
    assert found["acme-cells"].requires == (found["acme-speed"].ref,)
    assert "download_url=https:" in found["acme-cells"].purl
    assert "secret" not in found["acme-cells"].purl
    installed = Component("acme-speed", "2.0.0", purl_of("acme-speed", "2.0.0"))
    tags = {installed.ref: ("cp311-cp311-win_amd64",)}
    (hashed,) = lock_inventory.with_hashes([installed], lock=path, tags=tags)
    assert hashed.hashes == {"SHA-256": "b" * 64}


def test_a_wheel_with_its_lock_has_what_it_runs_with(planted_wheels: Path, planted_lock: Path, at: datetime) -> None:
    (wheel,) = planted_wheels.glob("acme_service*")
    alone = wheels.read(wheel)
    assert alone.subject.hashes == {"SHA-256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    assert {(c.key, c.version) for c in alone.components} == {("acme-cells", ""), ("acme-gone", "")}
    assert ("dynamic import", "a computed name is imported at acme_service/__init__.py:2") in spots(alone)
    document = builder.of_wheel(wheel, lock=planted_lock, wheels=planted_wheels, at=at)
    parts = {c.key: c for c in cyclonedx.read(document).components}
    assert [parts[k].scope for k in sorted(parts)] == ["required", "optional", "required"]
    assert all(c.hash_origin == "lock" and len(c.hashes) == 1 for c in parts.values())
    assert document["metadata"]["lifecycles"] == [{"phase": "build"}]
    assert problems(document) == []


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("acme.whl", b"", "not the name of a wheel"),
        ("acme_cells-1.2.0-py3-none-any.whl", b"not a zip", "cannot be read"),
        ("other-1.0-py3-none-any.whl", None, "says inside that it is Acme.Cells 1.2.0"),
    ],
    ids=["name", "no zip", "another package inside"],
)
def test_a_wheel_that_is_none_is_refused(
    name: str, data: bytes | None, message: str, tmp_path: Path, planted_wheels: Path
) -> None:
    (cells,) = planted_wheels.glob("acme_cells*")
    (tmp_path / name).write_bytes(cells.read_bytes() if data is None else data)
    with pytest.raises(MalformedInput, match=message):
        wheels.read(tmp_path / name)


def test_a_projects_scopes_and_undeclared_imports(tmp_path: Path, planted_lock: Path) -> None:
    (tmp_path / "src" / "mine").mkdir(parents=True)
    (tmp_path / "src" / "mine" / "__init__.py").write_text(
        '__version__ = "3.1"\nimport json, acme_cells, leftpad\nfrom mine import x\n'
        "import importlib\nimportlib.import_module(x)\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "mine"\ndynamic = ["version"]\ndependencies = ["acme-service", "acme-open>=1"]\n'
        'license = "Apache-2.0"\n[dependency-groups]\ndev = ["acme-checks"]\n'
    )
    open_ = projects.read(tmp_path)
    assert ("missing", "nothing is locked: versions and transitive needs are open") in spots(open_)
    assert dict(by_key(open_)["acme-open"].properties)["chainlab:version-range"] == ">=1"
    shutil.copy(planted_lock, tmp_path)
    found = projects.read(tmp_path)
    scopes = {c.key: c.scope for c in found.components}
    assert scopes == {
        "acme-cells": "required", "acme-checks": "excluded", "acme-open": "required",
        "acme-service": "required", "acme-speed": "required",
    }  # fmt: skip
    assert (found.subject.version, found.subject.licence) == ("3.1", "Apache-2.0")
    said = "leftpad is imported, and no component is known to provide it"
    assert [s.what for s in found.blind_spots if s.kind == "undeclared import"] == [said]
    assert "dynamic import" in {s.kind for s in found.blind_spots}


def test_the_triage_models_source_is_read(root: Path, at: datetime) -> None:
    document = builder.of_project(root / "data/projects/triage-model", at=at)
    scopes = {c.key: c.scope for c in cyclonedx.read(document).components}
    assert scopes["numpy"] == "required"
    assert scopes["skl2onnx"] == "optional"
    assert problems(document) == []


@pytest.mark.parametrize("spec", ["1.6", "1.7"])
def test_the_librarys_model_and_validator_agree(spec: str, planted: Path, planted_lock: Path, at: datetime) -> None:
    document = builder.of_environment(planted, lock=planted_lock, subject="acme-service", at=at, spec=spec)
    assert builder.dump(document) == builder.dump(
        builder.of_environment(planted, lock=planted_lock, subject="acme-service", at=at, spec=spec)
    )
    text = builder.dump(document).decode()
    version, output = {
        "1.6": (SchemaVersion.V1_6, JsonV1Dot6),
        "1.7": (SchemaVersion.V1_7, JsonV1Dot7),
    }[spec]
    assert JsonStrictValidator(version).validate_str(text) is None
    parse = Bom.from_json  # type: ignore[attr-defined]  # its decorator adds it
    again = json.loads(output(parse(json.loads(text))).output_as_string())
    lost = {name for name in document if document[name] != again.get(name)}
    assert lost == {"compositions", "metadata"}  # it has no compositions, and writes +00:00 for Z
    about = {**again["metadata"], "timestamp": document["metadata"]["timestamp"]}
    assert about == document["metadata"]


def test_what_is_written_is_read_back(planted: Path, planted_lock: Path) -> None:
    found = environments.read(planted, lock=planted_lock)
    kept = (
        "name", "version", "purl", "hashes", "hash_origin", "licence", "licence_name", "supplier",
        "scope", "requires", "accepted", "type",
    )  # fmt: skip
    read = {c.ref: c for c in cyclonedx.read(builder.of_inventory(found)).components}
    assert len(read) == len(found.components)
    for component in found.components:
        for name in kept:
            assert getattr(read[component.ref], name) == getattr(component, name), name
        assert set(component.properties) <= set(read[component.ref].properties)


def test_cyclonedx_py_finds_the_same_components(planted: Path) -> None:
    command = [sys.executable, "-m", "cyclonedx_py", "environment", str(planted), "--of", "JSON"]
    theirs = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    ours = builder.of_environment(planted)
    assert {(c.name, c.version) for c in cyclonedx.read(theirs).components} == {
        (c.name, c.version) for c in cyclonedx.read(ours).components
    }
    edges = {d["ref"]: d.get("dependsOn", []) for d in theirs["dependencies"]}
    service = next(ref for ref in edges if ref.startswith("acme-service"))
    # They take every requirement that is installed, whether its marker holds or not.
    assert any(ref.startswith("acme-checks") for ref in edges[service])
    assert (assess(theirs).of(CISA).score or 0) <= (assess(ours).of(CISA).score or 0)


def test_a_third_partys_package_url_is_ours() -> None:
    for name, version in (("Acme_Cells", "1.2.0"), ("numpy", "2.1.0+cpu"), ("a", "1!2.0.post1")):
        canonical = purl_of(name, version)
        theirs = PackageURL("pypi", None, name, version).to_string()
        assert PackageURL.from_string(canonical) == PackageURL.from_string(theirs)
    assert purl_of("jaraco.text", "1") == "pkg:pypi/jaraco-text@1"  # dots as in locks


def test_our_headers_are_those_that_packaging_reads() -> None:
    folder = Path(metadata.__file__).parents[4] / ".venv"
    site = next(iter(folder.glob("lib/python3*/site-packages")), Path(sys.prefix))
    compared = 0
    for file in sorted(site.glob("*.dist-info/METADATA"))[::8]:
        text = file.read_text(encoding="utf-8")
        raw, _ = parse_email(text)
        ours = metadata.parse_headers(text)
        assert ours["name"] == [raw["name"]]
        assert ours.get("requires-dist", []) == raw.get("requires_dist", []), file.parent.name
        assert ours.get("classifier", []) == raw.get("classifiers", []), file.parent.name
        compared += 1
    assert compared or not site.is_dir()


LICENCES = {
    "expression": (("mit AND (apache-2.0 OR BSD-3-Clause)", "", []), "MIT AND (Apache-2.0 OR BSD-3-Clause)"),
    "with": (("GPL-2.0-only WITH Classpath-exception-2.0", "", []), "GPL-2.0-only WITH Classpath-exception-2.0"),
    "own": (("LicenseRef-Acme OR MIT", "", []), "LicenseRef-Acme OR MIT"),
    "text": (("", "Apache License, Version 2.0", []), "Apache-2.0"),
    "classifier": (("", "", ["License :: OSI Approved :: MIT License"]), "MIT"),
    "two classifiers": (("", "", ["License :: OSI Approved :: MIT License", "License :: Other"]), None),
    "which BSD": (("", "BSD", ["License :: OSI Approved :: BSD License"]), None),
    "which Apache": (("", "", ["License :: OSI Approved :: Apache Software License"]), None),
    "invented": (("Acme-1.0", "", []), None),
    "a whole text": (("", "Copyright 2026\nPermission is hereby granted AND so on", []), None),
    "broken": (("MIT AND", "", []), None),
    "nothing": (("", "UNKNOWN", []), None),
}


@pytest.mark.parametrize(("given", "expected"), LICENCES.values(), ids=LICENCES.keys())
def test_a_licence_is_an_expression_or_a_name(given: tuple[str, str, list[str]], expected: str | None) -> None:
    found, name = read_licence(*given)
    assert found == expected
    assert bool(name) == (expected is None and given != ("", "UNKNOWN", []))


def test_imports_with_a_plain_name_are_no_blind_spot() -> None:
    found = imports.imports_of(b"__import__('numpy')\nfrom . import x\nimport a.b\n__import__(n)\n")
    assert (found.names, found.dynamic) == (frozenset({"numpy", "a"}), (4,))
    assert not imports.imports_of(b"def (").readable


def test_compositions_claim_no_more_than_was_seen(at: datetime) -> None:
    seen = Component("a", "1", complete=True, requires=("b@1",))
    open_ = Component("b", "1")
    top = Component("top", "1", requires=("a@1",), complete=True)
    document = builder.document([open_, seen], subject=top, at=at, blind_spots=[BlindSpot("vendored", "x", "b@1")])
    assert document["compositions"] == [
        {"aggregate": "complete", "dependencies": ["a@1", "top@1"]},
        {"aggregate": "unknown", "dependencies": ["b@1"]},
        {"aggregate": "incomplete", "assemblies": ["b@1", "top@1"]},
        {"aggregate": "unknown", "assemblies": ["a@1"]},
    ]
    assert problems(document) == []
    with pytest.raises(MalformedInput, match="two different components"):
        builder.document([seen, replace(seen, supplier="x")], subject=top)
    with pytest.raises(MalformedInput, match="lifecycle"):
        builder.document([], subject=top, lifecycle="birth")


def test_quality_counts_what_is_said(planted: Path, planted_lock: Path, at: datetime) -> None:
    bare = assess(builder.of_environment(planted, at=at))
    locked = assess(builder.of_environment(planted, at=at, lock=planted_lock, subject="acme-service"))
    assert bare.score is not None
    assert locked.score is not None
    assert 0.5 < bare.score < locked.score < 1
    assert bare.reasons[0] == "component hash: 0 of 5 component(s), not environment, Acme.Cells, acme-checks"
    assert (locked.of(NTIA).score or 0) > 0.9
    assert {e.name for e in locked.of(CISA).elements} - {e.name for e in locked.of(NTIA).elements} == {
        "component hash", "license", "tool name", "generation context"
    }  # fmt: skip
    message: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [{"type": "library", "name": "a", "version": "unknown", "supplier": {"name": "N/A"}}],
    }
    assert assess(message).score == round(1 / 12, 4)  # it has a name: "unknown" is no value
    assert assess({**message, "version": "one"}).score == 0
    assert assess(None).reasons


def test_only_a_components_own_hash_is_its_hash(planted_lock: Path, at: datetime) -> None:
    (element,) = (e for e in assess(builder.of_lock(planted_lock, at=at)).elements if e.name == "component hash")
    assert (element.present, element.candidates, element.total) == (1, 3, 5)
    assert str(element).endswith("; candidates of a lock: 3")


def test_nothing_of_nothing_is_no_score(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    whole = builder.document([], subject=Component("a", "1"), lifecycle="build", authors=["Acme"])
    del whole["metadata"]["component"]
    for document in (empty, {**whole, "dependencies": [], "compositions": []}):
        assert assess(document).score is None
        (tmp_path / "empty.cdx.json").write_text(json.dumps(document))
        done = CliRunner().invoke(commands[0], ["check", str(tmp_path / "empty.cdx.json"), "--least", "0.1"])
        assert done.exit_code == 1
        assert "no score, because it lists no component" in done.output
    data = {**empty, "components": [{"type": "data", "name": "a"}]}
    versions = next(e for e in assess(data).elements if e.name == "component version")
    assert versions.coverage is None
    assert assess(data).score == 0.1  # of ten elements it has a name


def test_the_command_line(planted: Path, planted_lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1778527239")
    run = CliRunner()
    out = tmp_path / "env.cdx.json"
    made = run.invoke(
        commands[0],
        ["build", str(planted), "--lock", str(planted_lock), "--out", str(out), "--json"],
    )
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["components"] == 4
    printed = run.invoke(commands[0], ["build", str(planted), "--lock", str(planted_lock)])
    assert printed.stdout_bytes == out.read_bytes()
    checked = run.invoke(commands[0], ["check", str(out), "--json"])
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["passed"]
    refused = run.invoke(commands[0], ["check", str(out), "--least", "1"])
    assert refused.exit_code == 1
    assert "refused" in refused.output
    out.write_text("{")
    assert run.invoke(commands[0], ["check", str(out)]).exit_code == 1
    wrong = run.invoke(commands[0], ["build", str(planted_lock), "--lock", str(planted_lock)])
    assert isinstance(wrong.exception, MalformedInput)
    late = run.invoke(commands[0], ["build", str(planted_lock), "--at", "noon"])
    assert "not a time" in str(late.exception)
