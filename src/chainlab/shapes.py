"""Shapes of documents, declared as pydantic models; what does not fit is told by document and path.

    >>> class Sign(Shape):
    ...     words: Many[Text]
    >>> Sign.read({"words": ["a", 5]}, "sign.toml")
    Traceback (most recent call last):
    chainlab.errors.MalformedInput: sign.toml: words[1]: expected a text, got 5

Nothing is converted: "1" is not a number, and 1 is not true. A field that the model does not name is ignored, unless
the model forbids it (``class Settings(Shape, extra="forbid")``).
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
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")  # a name that the shape does not have
KINDS = {  # of pydantic's errors, and what a person reads
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
    "string_unicode": "expected a text that UTF-8 can write",
}


BOUNDS = {"greater_than_equal": "at least", "less_than_equal": "at most"}


class Shape(BaseModel):
    """A document, or a part of one, as it has to be."""

    model_config = ConfigDict(strict=True, frozen=True)

    @classmethod
    def read(cls, document: Any, name: str = "", at: str = "") -> Self:
        """The document, as `read` does it."""
        return read(cls, document, name, at)


def read(shape: type[Kind], document: Any, name: str = "", at: str = "") -> Kind:
    """The document, or the part of it at a path, as a `Shape` or a pydantic dataclass.

    Raises `MalformedInput` with its name, the path and what is wrong, for the first thing that does not fit; an empty
    name is left out.
    """
    try:
        return TypeAdapter(shape).validate_python(document)
    except ValidationError as error:
        first: dict[str, Any] = dict(error.errors(include_url=False)[0])
        cause = first.get("ctx", {}).get("error")
        why, hint = (cause.why, cause.hint) if isinstance(cause, MalformedInput) else ("", _known(shape, first))
        told = ": ".join(filter(None, (name, _path(at, first), _said(first, cause))))
        raise MalformedInput(told, why=why, hint=hint) from error


def _path(at: str, error: Mapping[str, Any]) -> str:
    """The place in the document: ``affected[0].package.name``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"] if step != "[key]")
    return "".join((at, *steps)).removeprefix(".")


def _said(error: Mapping[str, Any], cause: object) -> str:
    kind, given = error["type"], error.get("input")
    if isinstance(cause, MalformedInput):
        return cause.message
    if cause is not None:
        return str(cause)
    if kind in ("missing", "too_short") or (kind == "string_too_short" and given == ""):
        return "missing"
    if kind in UNKNOWN:
        return "unknown"
    if kind == "literal_error":
        return f"{short(given)} is none of {error['ctx']['expected']}"
    if kind in KINDS:
        return "missing" if given is None and error["loc"] else f"{KINDS[kind]}, got {short(given)}"
    if kind in BOUNDS:
        return f"expected {BOUNDS[kind]} {next(iter(error['ctx'].values()))}, got {short(given)}"
    return str(error["msg"])


def _known(shape: type, error: Mapping[str, Any]) -> str:
    """The names that the document itself may have, for one with another name."""
    if error["type"] not in UNKNOWN or len(error["loc"]) != 1:
        return ""
    fields = getattr(shape, "model_fields", None) or getattr(shape, "__dataclass_fields__", {})
    return f"known: {', '.join(sorted(fields))}"


def _none_is_nothing(value: object) -> object:
    return () if value is None else value


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedInput(f"{short(value)} is not a time with its zone, such as 2026-05-11T19:20:39Z")
    return moment


Text = Annotated[str, Field(min_length=1)]
Many = Annotated[tuple[Item, ...], Field(strict=False), BeforeValidator(_none_is_nothing)]
Moment = Annotated[datetime, BeforeValidator(_moment)]  # RFC 3339, with its zone
