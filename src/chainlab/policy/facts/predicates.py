"""What verified statements say, as Rego sees it: each value has one type, whatever the predicate holds.

    provenance       job, run, result, builder, build_type, repository, ref, commit, fork, workflow_*,
                     unknown_parameters, actions
    SBOM, ML-BOM     problems (by the official schema), components (name@version) with their hashes, metrics

A signer may write anything into a predicate. A value that is missing or of another type is left out or becomes null,
and a rule that needs it refuses. To let a rule read more of an SBOM, such as its licences, add it in `_bill`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from chainlab.errors import MalformedInput
from chainlab.evidence.statements import PROVENANCE, SBOM, value_at
from chainlab.evidence.verifying import RESULT
from chainlab.names import cut_ref

if TYPE_CHECKING:
    from chainlab.evidence.components import Component

__all__ = ["Served", "read", "resources", "served_packages", "version_of"]

PARAMETERS = {"workflow", "inputs"}  # what the platform's build type defines
WORKFLOW = {"repository", "ref", "path"}
MAX_PROBLEMS = 5  # that are listed; one is enough to refuse
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
Served = tuple[str, str, str]  # name, file, SHA-256 in hex


def read(predicate_type: str, predicate: Any) -> dict[str, Any]:
    """The facts of one statement; empty for a predicate type that no rule reads."""
    if predicate_type == PROVENANCE:
        return _provenance(predicate)
    if predicate_type == SBOM:
        return _bill(predicate)
    return {}


def served_packages(predicate: Any) -> tuple[str, list[Served]]:
    """The job of a provenance statement, and the packages that the index served to it."""
    packages = []
    for entry in _dependencies(predicate):
        uri, name = _text(entry.get("uri")), _text(entry.get("name"))
        digest = _text(_dict(entry.get("digest")).get("sha256"))
        if uri.startswith("pkg:pypi/"):
            packages.append((uri.removeprefix("pkg:pypi/").partition("@")[0], name, digest))
    return _text(value_at(predicate, "buildDefinition", "internalParameters", "job")), packages


def version_of(file: str) -> str:
    """The version in a distribution's file name; empty when the name has none."""
    try:
        if file.endswith(".whl"):
            return str(parse_wheel_filename(file)[1])
        return str(parse_sdist_filename(file)[1])
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        return ""


def resources(statement: Any) -> list[str]:
    """The names of the files that a model's signature lists."""
    listed = value_at(statement, "predicate", "resources")
    return [_text(entry.get("name")) for entry in _dicts(listed)]


def _provenance(predicate: Any) -> dict[str, Any]:
    definition = _dict(value_at(predicate, "buildDefinition"))
    internal = _dict(definition.get("internalParameters"))
    external = definition.get("externalParameters")
    workflow = value_at(external, "workflow")
    source = next(_dependencies(predicate), {})
    uri, ref = cut_ref(_text(source.get("uri")))
    unknown = sorted(set(_dict(external)) - PARAMETERS) + sorted(set(_dict(workflow)) - WORKFLOW)
    inputs = value_at(external, "inputs")
    unknown += sorted(f"inputs.{name}" for name in _dict(inputs))
    return {
        "job": _text(internal.get("job")),
        "fork": internal.get("fork"),
        "run": _text(value_at(predicate, "runDetails", "metadata", "invocationId")),
        "result": _text(value_at(predicate, "runDetails", "metadata", RESULT)),
        "builder": _text(value_at(predicate, "runDetails", "builder", "id")),
        "build_type": _text(definition.get("buildType")),
        "repository": uri.removeprefix("git+"),
        "ref": ref,
        "commit": _text(_dict(source.get("digest")).get("gitCommit")),
        "workflow_repository": _text(value_at(workflow, "repository")),
        "workflow_ref": _text(value_at(workflow, "ref")),
        "workflow_path": _text(value_at(workflow, "path")),
        "unknown_parameters": unknown if isinstance(external, dict) else None,
        "actions": _actions(predicate),
    }


def _actions(predicate: Any) -> list[dict[str, str]]:
    """Every dependency from a git server but the source itself, which comes first."""
    actions = []
    for entry in list(_dependencies(predicate))[1:]:
        uri = _text(entry.get("uri"))
        if uri.startswith("pkg:"):
            continue
        name, ref = cut_ref(uri.removeprefix("git+"))
        commit = _text(_dict(entry.get("digest")).get("gitCommit"))
        actions.append({"name": name, "ref": ref, "commit": commit})
    return actions


def _bill(document: Any) -> dict[str, Any]:
    """The facts of an SBOM or ML-BOM. Rules read ``components`` as ``name@version`` to SHA-256 digests."""
    from chainlab.evidence.models.mlbom import metrics
    from chainlab.evidence.packages.versions import parse_version
    from chainlab.evidence.sbom import cyclonedx
    from chainlab.evidence.sbom.schema import problems

    faults = [str(problem) for problem in problems(document)[:MAX_PROBLEMS]]
    listed: Sequence[Component] = ()
    try:
        listed = cyclonedx.read(document, strict=True).components
    except MalformedInput as error:  # an entry that cannot be read must not count as absent
        faults = faults or [error.message]
    components: dict[str, set[str]] = {}
    for component in listed:
        version = parse_version(component.version) or component.version  # as in a file's name
        hashes = components.setdefault(f"{canonicalize_name(component.name)}@{version}", set())
        # The digest of a RECORD is not the digest of a file that an index serves.
        own = component.hashes.items() if component.hash_origin != "record" else ()
        hashes |= {value for algorithm, value in (*component.accepted, *own) if algorithm == "SHA-256"}
    return {
        "problems": faults,
        "components": {name: sorted(hashes) for name, hashes in sorted(components.items())},
        "metrics": [
            {
                "type": metric.type,
                "slice": metric.slice,
                "value": _number(metric.value),
                "lower": _number(metric.lower),
                "upper": _number(metric.upper),
            }
            for metric in metrics(document)
        ],
    }


def _number(text: str) -> float | None:
    """Read a plain decimal number; None for any other text, such as "NaN" or "1e999"."""
    if len(text) > 40 or not NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) < 1e15 else None


def _dependencies(predicate: Any) -> Iterator[dict[str, Any]]:
    return _dicts(value_at(predicate, "buildDefinition", "resolvedDependencies"))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (v for v in value if isinstance(v, dict)) if isinstance(value, list) else iter(())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
