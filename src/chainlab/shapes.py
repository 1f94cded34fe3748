"""Shapes of documents, declared as pydantic models; an error names the document and the path in it.

    >>> class Sign(Shape):
    ...     words: Many[Text]
    >>> Sign.read({"words": ["a", 5]}, "sign.toml")
    Traceback (most recent call last):
    chainlab.errors.MalformedInput: sign.toml: words[1]: expected a text, got 5

Nothing is converted: "1" is not a number, and 1 is not true. Unknown fields are ignored, unless
the model forbids them (``class Settings(Shape, extra="forbid")``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from reprlib import repr as short
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from chainlab.errors import MalformedInput

__all__ = ["Many", "Moment", "Shape", "Text", "read"]

Item = TypeVar("Item")
Kind = TypeVar("Kind")
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # errors for a name that the shape lacks
MESSAGES = {  # for pydantic's error types
    "string_type": "expected a text",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "model_attributes_type": "expected an object",
    "dataclass_type": "expected an object",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "string_unicode": "expected a text that can be encoded as UTF-8",
}
BOUNDS = {"greater_than_equal": "at least", "less_than_equal": "at most"}


class Shape(BaseModel):
    """The required form of a document, or of a part of one."""

    model_config = ConfigDict(strict=True, frozen=True)

    @classmethod
    def read(cls, document: Any, name: str = "", at: str = "") -> Self:
        """Read a document of this shape (`read`)."""
        return read(cls, document, name, at)


def read(shape: type[Kind], document: Any, name: str = "", at: str = "") -> Kind:
    """Read a document, or its part ``at`` a path, as a `Shape` or a pydantic dataclass.

    Raises `MalformedInput` for the first error, with the document's ``name`` if it has one, the path and the problem.
    """
    try:
        return TypeAdapter(shape).validate_python(document)
    except ValidationError as error:
        first: dict[str, Any] = dict(error.errors(include_url=False)[0])
        cause = first.get("ctx", {}).get("error")
        why, hint = (cause.why, cause.hint) if isinstance(cause, MalformedInput) else ("", _known_fields(shape, first))
        message = ": ".join(filter(None, (name, _path(at, first), _problem(first, cause))))
        raise MalformedInput(message, why=why, hint=hint) from error


def _path(at: str, error: Mapping[str, Any]) -> str:
    """Return the place in the document: ``affected[0].package.name``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"] if step != "[key]")
    return "".join((at, *steps)).removeprefix(".")


def _problem(error: Mapping[str, Any], cause: object) -> str:
    kind, value = error["type"], error.get("input")
    if isinstance(cause, MalformedInput):
        return cause.message
    if cause is not None:
        return str(cause)
    if kind in ("missing", "too_short") or (kind == "string_too_short" and value == ""):
        return "missing"
    if kind in UNKNOWN:
        return "unknown"
    if kind == "literal_error":
        return f"{short(value)} is none of {error['ctx']['expected']}"
    if kind in MESSAGES:
        return "missing" if value is None and error["loc"] else f"{MESSAGES[kind]}, got {short(value)}"
    if kind in BOUNDS:
        return f"expected {BOUNDS[kind]} {next(iter(error['ctx'].values()))}, got {short(value)}"
    return str(error["msg"])


def _known_fields(shape: type, error: Mapping[str, Any]) -> str:
    """List the fields that a document may have, for an error about an unknown one."""
    if error["type"] not in UNKNOWN or len(error["loc"]) != 1:
        return ""
    fields = getattr(shape, "model_fields", None) or getattr(shape, "__dataclass_fields__", {})
    return f"known: {', '.join(sorted(fields))}"


def _none_as_empty(value: object) -> object:
    return () if value is None else value


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedInput(f"{short(value)} is not a time with a zone, such as 2026-05-11T19:20:39Z")
    return moment


Text = Annotated[str, Field(min_length=1)]
Many = Annotated[tuple[Item, ...], Field(strict=False), BeforeValidator(_none_as_empty)]
Moment = Annotated[datetime, BeforeValidator(_moment)]  # RFC 3339, with a zone
