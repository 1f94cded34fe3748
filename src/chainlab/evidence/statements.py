"""Statements about bytes, as in-toto Statement v1, and the payload of the DSSE envelope that signs one.

A statement has subjects named by digest, a predicate type, and a predicate. Subjects match by digest; a name is only a
label.

    >>> statement = Statement.about({"model.onnx": Digest.of(b"model")}, SBOM, {"bomFormat": "CycloneDX"})
    >>> Statement.load(statement.dump()) == statement
    True

in-toto attestation framework, "Statement layer specification"; DSSE 1.0.2.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from chainlab.digests import Digest
from chainlab.display import Cell, Display, Fresh, Shown
from chainlab.errors import MalformedInput
from chainlab.shapes import Many, Shape, Text

__all__ = ["PAYLOAD_TYPE", "Statement", "parse_json", "payload", "value_at"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # a surrogate, escaped
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*")
# Predicate types
PROVENANCE = "https://slsa.dev/provenance/v1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
SBOM = "https://cyclonedx.org/bom"  # an ML-BOM too
OPENVEX = "https://openvex.dev/ns/v0.2.0"
VULNERABILITIES = "https://in-toto.io/attestation/vulns/v0.2"  # signed for other tools
MODEL_SIGNATURE = "https://model_signing/signature/v1.0"


class _Subject(Shape):
    name: str | None = None
    digest: Annotated[dict[str, str], Field(min_length=1)]  # without a digest, it is about nothing


class _Statement(Shape):
    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[Many[_Subject], Field(min_length=1)]
    predicateType: Text  # noqa: N815 — in-toto's own name
    predicate: Any = None


@dataclass(frozen=True, repr=False)
class Statement(Shown):
    """One in-toto statement."""

    subjects: tuple[tuple[str, Mapping[str, str]], ...]  # name, and algorithm to hex digits
    predicate_type: str
    predicate: Any  # JSON

    @classmethod
    def about(cls, subjects: Mapping[str, Digest], predicate_type: str, predicate: Any) -> Statement:
        """Make a statement about files, name to digest; subjects are in the order of their names."""
        ordered = tuple((name, {"sha256": d.value.hex()}) for name, d in sorted(subjects.items()))
        return cls(ordered, predicate_type, predicate)

    @classmethod
    def load(cls, data: bytes) -> Statement:
        """Read the JSON form; unknown fields are ignored, as the specification asks.

        Raises `MalformedInput` with the path, for example for another type, no subject, or a subject without a digest.
        """
        read = _Statement.read(parse_json(data, "the statement"), "the statement")
        return cls(tuple((each.name or "", each.digest) for each in read.subject), read.predicateType, read.predicate)

    def dump(self) -> bytes:
        """Write the JSON form; the same statement gives the same bytes."""
        return json.dumps(self.document(), ensure_ascii=False, separators=(",", ":")).encode()

    def document(self) -> dict[str, Any]:
        """The JSON form, as plain data."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": dict(d)} for name, d in self.subjects],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }

    def is_about(self, digest: Digest) -> bool:
        """Whether a subject has this digest."""
        return any(d.get("sha256") == digest.value.hex() for _, d in self.subjects)

    def _display(self) -> Display:
        """The subjects, and the parts of the predicate."""
        rows: list[tuple[Cell, ...]] = [
            ("subject", name, ", ".join(f"{algorithm}:{value}" for algorithm, value in digest.items()))
            for name, digest in self.subjects
        ]
        rows += [("predicate", name, _brief(value)) for name, value in _parts(self.predicate)]
        return Display(f"a statement: {self.predicate_type}", ("part", "name", "is"), rows)


def _parts(predicate: Any) -> Iterator[tuple[str, Any]]:
    """The values of a predicate by name, two levels deep."""
    for name, value in predicate.items() if isinstance(predicate, dict) else [("", predicate)]:
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", part) for inner, part in value.items())
        else:
            yield str(name), value


def _brief(value: Any) -> Cell:
    """A JSON value as a cell; for a large one, what it holds."""
    if isinstance(value, dict):
        (name, only), *others = value.items() or [("", None)]
        return f"{name}:{only}" if not others and isinstance(only, str) else f"{{{', '.join(value)}}}"
    if isinstance(value, list):
        few = len(value) <= 3 and all(isinstance(each, str | int | float) for each in value)
        return ", ".join(map(str, value)) if few else f"a list of {len(value)}"
    if isinstance(value, str):
        return Fresh(value) if TIME.fullmatch(value) else value
    return json.dumps(value)


def payload(document: Any) -> bytes:
    """The payload of a DSSE envelope, alone or in a Sigstore bundle. It is not verified here.

    Raises `MalformedInput` when there is no envelope.
    """
    envelope = document.get("dsseEnvelope", document) if isinstance(document, dict) else None
    encoded = envelope.get("payload") if isinstance(envelope, dict) else None
    if not isinstance(encoded, str):
        raise MalformedInput("there is no DSSE envelope with a payload")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedInput("the bundle's payload is not base64") from error


def value_at(value: Any, *path: str) -> Any:
    """The value at a path of names in JSON; None when there is none."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def parse_json(data: bytes, what: str) -> Any:
    """Read JSON in UTF-8.

    Raises `MalformedInput` for a name twice in one object, NaN, a number out of range, or half a character.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise MalformedInput(f"{what} has a name twice in one object")
        return members

    def no_constant(text: str) -> float:
        raise MalformedInput(f"{what} has {text}, which is not JSON")

    def finite(text: str) -> float:
        number = float(text)
        if abs(number) == float("inf"):  # it would be written as "Infinity"
            raise MalformedInput(f"{what} has {text[:40]}, which is out of range")
        return number

    try:
        value = json.loads(data.decode(), object_pairs_hook=once, parse_constant=no_constant, parse_float=finite)
        if HALF.search(data):  # half a character, which UTF-8 cannot encode
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except MalformedInput:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedInput(f"{what} is not JSON", why=str(error)[:200]) from error
