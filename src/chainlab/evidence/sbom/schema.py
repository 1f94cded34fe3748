"""Schema checks: whether a CycloneDX document is valid, with a hint for each problem.

    >>> print(problems({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library"}]})[0])
    components[0]: 'name' is missing (help: add it)

The official schemas come with cyclonedx-python-lib. jsonschema-rs validates in milliseconds, where the library's own
strict validator is quadratic. Two checks go beyond the schemas: references that lead nowhere or to two places, and
hashes whose length is not their algorithm's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from chainlab.errors import MalformedInput
from chainlab.evidence.bundled_schemas import bundled_schema
from chainlab.evidence.components import HASH_LENGTHS
from chainlab.evidence.statements import parse_json

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator, ValidationError

__all__ = ["SchemaProblem", "problems"]

SPECS = ("1.2", "1.3", "1.4", "1.5", "1.6", "1.7")
MAX_PROBLEMS = 200  # listed; a document with more is hardly a bill of materials
FORMATS = {
    "date-time": "write RFC 3339 with a zone: 2026-05-11T19:20:39Z",
    "iri-reference": "percent-encode what a URL cannot hold",
    "idn-email": "write name@domain",
}
PATTERNS = {
    "serialNumber": "write urn:uuid: and a UUID in lower case",
    "content": "write the digest in hex digits, 32 to 128 of them",
}


@dataclass(frozen=True, order=True)
class SchemaProblem:
    """One problem of a document."""

    path: str  # components[3].hashes[0].alg; empty: the whole document
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" (help: {self.hint})" if self.hint else ""
        return f"{self.path or 'the document'}: {self.message}{hint}"


def problems(document: Any) -> list[SchemaProblem]:
    """List the problems of a document, given as bytes or as a JSON value; empty for a valid one. Never raises."""
    if isinstance(document, (bytes, bytearray, str)):
        try:
            data = document.encode() if isinstance(document, str) else bytes(document)
            document = parse_json(data, "the document")
        except MalformedInput as error:
            message = f"{error.message}: {error.why}" if error.why else error.message
            return [
                SchemaProblem(
                    "", message, "CycloneDX in XML is not read here" if data.lstrip()[:1] == b"<" else error.hint
                )
            ]
        except UnicodeEncodeError as error:  # half a character
            return [SchemaProblem("", f"not text: {error}")]
    if not isinstance(document, dict):
        return [SchemaProblem("", f"not an object: a bill of materials is one, this is {_kind(document)}")]
    spec = document.get("specVersion")
    if document.get("bomFormat") != "CycloneDX" or not isinstance(spec, str) or spec not in SPECS:
        return [
            SchemaProblem(
                "",
                f"bomFormat {_short(document.get('bomFormat'))}, specVersion {_short(spec)}: no CycloneDX known here",
                f"bomFormat is 'CycloneDX', specVersion one of {', '.join(SPECS)}",
            )
        ]
    try:
        json.dumps(document, allow_nan=False)
        result = list(_schema_problems(document, spec))
        result += _reference_problems(document)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        return [SchemaProblem("", f"not valid as JSON: {str(error)[:200]}")]
    return sorted(set(result))[:MAX_PROBLEMS]


@cache
def _validator(spec: str) -> Draft7Validator:
    from jsonschema_rs import Draft7Validator

    return Draft7Validator(
        bundled_schema(f"bom-{spec}.SNAPSHOT.schema.json"),
        validate_formats=True,
        # $ref to spdx, jsf and cryptography: read from the package, never fetched
        retriever=lambda uri: bundled_schema(uri.rpartition("/")[2]),
    )


def _schema_problems(document: dict[str, Any], spec: str) -> Iterator[SchemaProblem]:
    validator = _validator(spec)
    if validator.is_valid(document):
        return
    for number, error in enumerate(validator.iter_errors(document)):
        if number >= MAX_PROBLEMS:
            return
        yield from _describe(error)


def _describe(error: ValidationError) -> Iterator[SchemaProblem]:
    """Describe an error; among alternatives, describe the one that the value comes closest to."""
    at = list(error.instance_path)
    if at[-1:] == ["licenses"] and _has_both_kinds(error.instance):
        message = "licences in a list, or one expression: not both"
        yield SchemaProblem(_path(at), message, "join them with AND in one expression")
        return
    branches = error.kind.as_dict().get("context")
    if branches is None:
        yield SchemaProblem(_path(at), *_wording(error, str(at[-1]) if at else ""))
    elif not all(branches) or _is_torn(branches):
        yield SchemaProblem(
            _path(at), "this is two alternatives at once, and one is allowed", "split it into two entries"
        )
    else:
        for inner in _closest(branches):
            yield from _describe(inner)


def _is_torn(branches: Sequence[Sequence[ValidationError]]) -> bool:
    """Whether each alternative refuses only fields that another one allows."""
    refused = []
    for errors in branches:
        if any(e.kind.name != "additionalProperties" for e in errors):
            return False
        refused.append({name for e in errors for name in e.kind.as_dict()["unexpected"]})
    return not set.intersection(*refused)


def _closest(branches: Sequence[Sequence[ValidationError]]) -> Sequence[ValidationError]:
    """The alternative whose errors lie deepest in the value: most likely it was meant."""
    return max(
        branches,
        key=lambda errors: (
            max(len(list(e.instance_path)) for e in errors),
            not any(e.kind.name in ("additionalProperties", "required") for e in errors),
            -len(errors),
        ),
    )


def _wording(error: ValidationError, name: str) -> tuple[str, str]:
    """The problem of the field called ``name``, and a hint."""
    kind, value = error.kind.as_dict(), error.instance
    match error.kind.name:
        case "enum":
            return _not_an_option([str(option) for option in kind["options"]], value, name)
        case "required":
            return f"{kind['property']!r} is missing", "add it"
        case "additionalProperties":
            names = ", ".join(repr(str(n)) for n in kind["unexpected"][:5])
            hint = "is it misspelt? fields of your own belong into 'properties'"
            return f"{names} is not known here", hint
        case "type":
            expected = " or ".join(str(t) for t in kind["types"])
            text = isinstance(value, (int, float)) and expected == "string"
            message = f"{expected} expected, this is {_kind(value)}"
            return message, f'write "{value}", in quotes' if text else ""
        case "pattern":
            hint = PATTERNS.get(name, f"the pattern is {kind['pattern']}"[:200])
            return f"{_short(value)} does not have the expected form", hint
        case "format":
            return f"not a {kind['format']}: {_short(value)}", FORMATS.get(kind["format"], "")
        case "uniqueItems":
            return "the list has the same entry twice", "remove one"
        case "minimum" | "maximum" as bound:
            return f"{_short(value)} is {'below' if bound == 'minimum' else 'above'} {kind['limit']}", ""
        case "minItems" | "maxItems" | "minLength" | "maxLength" as bound:
            unit = "entries" if bound.endswith("Items") else "characters"
            return f"{unit}: {'at least' if bound.startswith('min') else 'at most'} {kind['limit']} expected", ""
        case "not":
            *others, last = [repr(name) for name in kind["schema"].get("required", ["this"])]
            if others:
                return f"{', '.join(others)} and {last} are not allowed together", "remove one"
            return f"{last} is not allowed here", "remove it"
    return f"this breaks the rule {error.kind.name!r} of the schema", "compare it with the specification"


def _not_an_option(options: list[str], value: Any, name: str) -> tuple[str, str]:
    near = [o for o in options if _letters(o) == _letters(str(value))]
    if near:
        return f"{_short(value)} is not allowed here", f"write {near[0]!r}"
    if len(options) > 20:
        hint = (
            "an SPDX identifier, exactly as SPDX writes it; put another licence's name in 'name'"
            if name == "id"
            else ""
        )
        return f"{_short(value)} is not one of the {len(options)} allowed values", hint
    return f"{_short(value)} is not allowed here", f"one of {', '.join(options)}"


def _reference_problems(document: dict[str, Any]) -> Iterator[SchemaProblem]:
    """Find what the schemas cannot express: wrong references and hash lengths."""
    places: dict[str, list[str]] = {}
    used: list[tuple[str, str]] = []
    for path, name, value in _walk(document):
        if name == "bom-ref" and isinstance(value, str):
            places.setdefault(value, []).append(path)
        elif name == "ref" and isinstance(value, str) and path.startswith("dependencies"):
            used.append((path, value))
        elif name == "hashes":
            yield from _hash_problems(path, value)
        elif name in ("dependsOn", "provides", "assemblies", "dependencies", "subjects") and _texts(value):
            used += [(path, ref) for ref in value]
    for ref, where in sorted(places.items()):
        if len(where) > 1:
            yield SchemaProblem(
                where[1],
                f"the bom-ref {_short(ref)} is also at {where[0]}",
                "a reference must have one target: rename one",
            )
    for path, ref in used:
        if ref not in places and not ref.startswith("urn:cdx:"):
            yield SchemaProblem(
                path,
                f"{_short(ref)} leads nowhere",
                "no component has this bom-ref: add it, or the component",
            )
    twice: set[str] = set()
    for number, one in enumerate(_list(document.get("dependencies"))):
        about = one.get("ref") if isinstance(one, dict) else None
        if isinstance(about, str) and about in twice:
            yield SchemaProblem(f"dependencies[{number}]", f"{_short(about)} has two entries", "join them")
        twice.add(str(about))


def _hash_problems(path: str, hashes: Any) -> Iterator[SchemaProblem]:
    for number, one in enumerate(_list(hashes)):
        if isinstance(one, dict) and isinstance(one.get("content"), str):
            length = HASH_LENGTHS.get(str(one.get("alg")))
            if length and len(one["content"]) != length:
                message = f"{len(one['content'])} digits, and {one['alg']} has {length}"
                yield SchemaProblem(f"{path}[{number}].content", message, "compute it again")


def _walk(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield every value of an object with its path and name, without recursion."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                below = f"{path}.{name}" if path else str(name)
                yield below, name, inner
                if isinstance(inner, (dict, list)):
                    waiting.append((below, inner))
        else:
            waiting += [(f"{path}[{n}]", inner) for n, inner in enumerate(value) if isinstance(inner, (dict, list))]


def _path(parts: Iterable[Any]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _has_both_kinds(value: Any) -> bool:
    kinds = {key for one in _list(value) if isinstance(one, dict) for key in ("license", "expression") if key in one}
    return len(kinds) == 2


def _letters(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
