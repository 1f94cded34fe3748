"""Predicate types with a known form, which a predicate must have before it is signed.

    >>> require(PROVENANCE, {"bomFormat": "CycloneDX"})
    Traceback (most recent call last):
    chainlab.errors.MalformedInput: not SLSA provenance: buildDefinition: missing

A predicate of any other type has to be an object. SLSA v1.2 provenance and VSA; in-toto attestation
framework, vulns v0.2; OpenVEX 0.2.0; CycloneDX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from chainlab.errors import MalformedInput
from chainlab.evidence import statements
from chainlab.evidence.sbom.schema import problems
from chainlab.evidence.vex import document as vex
from chainlab.shapes import Many, Moment, Shape, Text

__all__ = ["require"]


class _Build(Shape):
    buildType: Text  # noqa: N815 — SLSA's own names
    externalParameters: dict[str, Any]  # noqa: N815


class _Builder(Shape):
    id: Text


class _Run(Shape):
    builder: _Builder


class _Provenance(Shape):
    buildDefinition: _Build  # noqa: N815
    runDetails: _Run  # noqa: N815


class _Summary(Shape):
    verifier: _Builder
    timeVerified: Moment | None = None  # noqa: N815
    resourceUri: Text  # noqa: N815
    policy: dict[str, Any]
    verificationResult: Literal["PASSED", "FAILED"]  # noqa: N815
    verifiedLevels: Many[str]  # noqa: N815


class _Scanner(Shape):
    uri: Text
    result: Many[dict[str, Any]]


class _Scan(Shape):
    scanStartedOn: Moment  # noqa: N815
    scanFinishedOn: Moment  # noqa: N815


class _Vulnerabilities(Shape):
    scanner: _Scanner
    metadata: _Scan


class _OpenVex(Shape):
    context: Text = Field(alias="@context")
    id: Text = Field(alias="@id")
    author: Text
    timestamp: Moment
    version: int
    statements: Annotated[Many[dict[str, Any]], Field(min_length=1)]


def require(predicate_type: str, predicate: Any) -> None:
    """Check that a predicate has the form of its type. Raises `MalformedInput` with its first fault."""
    if not isinstance(predicate, dict):
        raise MalformedInput(f"a predicate is a JSON object, not {type(predicate).__name__}")
    name, check = CHECKS.get(predicate_type, ("", lambda _: None))
    try:
        check(predicate)
    except MalformedInput as error:
        hint = error.hint or f"sign it as its own type: {predicate_type} has another form"
        raise MalformedInput(f"not {name}: {error.message}", why=error.why, hint=hint) from error


def _bill(document: Any) -> None:
    if faults := problems(document):
        message = ": ".join(filter(None, (faults[0].path, faults[0].message)))
        raise MalformedInput(message, hint=faults[0].hint or "chainlab sbom check shows every fault")


def _vex(document: Any) -> None:
    _OpenVex.read(document)
    if unread := vex.load(document).unread:
        raise MalformedInput(unread[0].why)


CHECKS: dict[str, tuple[str, Callable[[Any], object]]] = {
    statements.SBOM: ("a CycloneDX document", _bill),
    statements.PROVENANCE: ("SLSA provenance", _Provenance.read),
    statements.OPENVEX: ("an OpenVEX document", _vex),
    statements.VULNERABILITIES: ("a list of vulnerabilities", _Vulnerabilities.read),
    statements.SUMMARY: ("a verification summary", _Summary.read),
}
