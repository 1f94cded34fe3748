"""The one CycloneDX reader: strict and lenient agree on what can be read, and nothing is skipped in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from chainlab.cli import _main
from chainlab.errors import MalformedInput
from chainlab.evidence.sbom import cyclonedx


def bill(*components: Any, **more: Any) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": list(components), **more}


FINE = {"type": "library", "name": "fine", "version": "1", "bom-ref": "fine"}
MALFORMED: dict[str, tuple[Any, str]] = {
    "another format": ({**bill(FINE), "bomFormat": "SPDX"}, "this is not CycloneDX JSON"),
    "a word among the components": (bill("numpy", FINE), "components has an entry that is not an object: number 1"),
    "a component without a name": (bill({"version": "1"}, FINE), "component 1 has no name that is text"),
    "a name that is a number": (bill(FINE, {"name": 2}), "component 2 has no name that is text"),
    "a version that is a number": (bill({**FINE, "version": 1.0}), "component 1: version is not text"),
    "a purl that is a list": (bill({**FINE, "purl": ["pkg:pypi/x"]}), "component 1: purl is not text"),
    "parts that are an object": (bill({**FINE, "components": {"name": "x"}}), "component 1: components is not a list"),
    "a part that is text": (bill({**FINE, "components": ["x"]}), "component 1: components has an entry"),
    "hashes of another form": (bill({**FINE, "hashes": {"SHA-256": "ab"}}), "component 1: hashes is not a list"),
    "a licence that is text": (bill({**FINE, "licenses": [{"license": "MIT"}]}), "license is not an object"),
    "a supplier that is text": (bill({**FINE, "supplier": "acme"}), "component 1: supplier is not an object"),
    "two values of one algorithm": (
        bill({**FINE, "hashes": [{"alg": "SHA-1", "content": "aa"}, {"alg": "SHA-1", "content": "bb"}]}),
        "component 1 has two values of 'SHA-1'"),
    "dependencies that are text": (bill(FINE, dependencies="fine"), "dependencies is not a list"),
    "a dependency on a number": (
        bill(FINE, dependencies=[{"ref": "fine", "dependsOn": [1]}]), "dependencies: dependsOn has an entry"),
    "assemblies that are a number": (
        bill(FINE, compositions=[{"aggregate": "complete", "assemblies": 5}]), "assemblies is not a list"),
    "a subject that is text": (bill(FINE, metadata={"component": "app"}), "metadata: component is not an object"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_refused_or_named_and_the_rest_is_read(case: str) -> None:
    document, message = MALFORMED[case]
    with pytest.raises(MalformedInput) as refused:
        cyclonedx.read(document, strict=True)
    assert message in refused.value.message
    found = cyclonedx.read(document)
    assert [component.name for component in found.components] == ["fine"]
    assert any(message in line for line in found.unread)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "name", "version", "components", "hashes", "alg", "content", "licenses", "license", "metadata", "component",
        "dependencies", "ref", "dependsOn", "compositions", "aggregate", "assemblies", "bom-ref", "supplier",
    ]), inner, max_size=4)
), max_leaves=20)  # fmt: skip


@given(JSON, JSON)
def test_strict_refuses_exactly_what_is_named_otherwise(components: Any, metadata: Any) -> None:
    document = bill() | {"components": components, "metadata": metadata}
    found = cyclonedx.read(document)
    if found.unread:
        with pytest.raises(MalformedInput):
            cyclonedx.read(document, strict=True)
    else:
        assert cyclonedx.read(document, strict=True) == found


def test_components_inside_others_count_also_inside_the_subject() -> None:
    inner = {"name": "inner", "components": [{"name": "innermost"}]}
    found = cyclonedx.read(bill({"name": "outer", "components": [inner]}, metadata={
        "component": {"name": "app", "components": [{"name": "vendored"}]}}), strict=True)  # fmt: skip
    assert [component.name for component in found.components] == ["vendored", "outer", "inner", "innermost"]
    assert found.edges == ((0, 1), (2, 3), (3, 4))


def test_a_digest_of_the_subject_says_which_bytes_the_document_is_about() -> None:
    app = {"name": "app", "hashes": [{"alg": "SHA-256", "content": "AB" * 32}, {"alg": "SHA-1", "content": "cd" * 20}]}
    assert cyclonedx.read(bill(metadata={"component": app})).digest == f"sha256:{'ab' * 32}"
    words = "of the installed RECORD, which is no file that was ever published"
    installed = {**app, "properties": [{"name": "chainlab:hash-origin", "value": words}]}
    for other in ({}, {"component": {"name": "app"}}, {"component": installed}):
        assert cyclonedx.read(bill(metadata=other)).digest == ""


def test_the_commands_name_what_they_could_not_read(tmp_path: Path) -> None:
    """A name may be empty by the schema, and is none."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(bill({**FINE, "name": "", "bom-ref": "x"}, FINE)))
    new.write_text(json.dumps(bill(FINE)))
    checked = CliRunner().invoke(_main, ["sbom", "check", str(old)])
    assert (checked.exit_code, "  not read: component 1 has no name that is text" in checked.stdout) == (1, True)
    told = json.loads(CliRunner().invoke(_main, ["sbom", "check", str(old), "--json"]).stdout)
    assert (told["passed"], told["unread"]) == (False, ["component 1 has no name that is text"])
    compared = CliRunner().invoke(_main, ["sbom", "diff", str(old), str(new)])
    assert (compared.exit_code, compared.stdout) == (2, "? not read, old: component 1 has no name that is text\n")
    assert CliRunner().invoke(_main, ["sbom", "check", str(new)]).exit_code == 0
