"""TOML tables whose errors name the file, the line and the key.

>>> Table.parse("[[units]]\\nid = 7\\n", "course.toml").tables("units")[0].text("id")
Traceback (most recent call last):
...
chainlab.errors.MalformedInput: course.toml:2: units[0].id: expected text, got 7
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chainlab.errors import MalformedInput

__all__ = ["Table"]


@dataclass
class Table:
    """One table of a TOML file, with the keys that were read from it."""

    data: dict[str, Any]
    name: str  # the file's, as messages show it
    source: str
    path: str = ""  # "units[1].exercises[0]"
    start: int = 0  # offset in the source where this table begins
    used: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, text: str, name: str) -> Table:
        """Read the top table. Raises `MalformedInput` with the line of a syntax error."""
        try:
            return cls(tomllib.loads(text), name, text)
        except tomllib.TOMLDecodeError as error:
            match = re.search(r"at line (\d+)", str(error))
            line = f":{match[1]}" if match else ""
            raise MalformedInput(f"{name}{line}: not TOML: {error}") from error

    def text(self, key: str, default: str | None = None) -> str:
        """Read a non-empty text."""
        value = self._get(key, default)
        if not isinstance(value, str) or (not value.strip() and default is None):
            raise self.error(key, f"expected text, got {value!r}")
        return value

    def number(self, key: str, default: float | None = None, least: float = 0) -> float:
        """Read a number of at least ``least``."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
            raise self.error(key, f"expected a number of at least {least}, got {value!r}")
        return float(value)

    def whole(self, key: str, default: int | None = None, least: int = 0) -> int:
        """Read a whole number of at least ``least``."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(key, f"expected a whole number of at least {least}, got {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Read true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, got {value!r}")
        return value

    def texts(self, key: str, among: Iterable[str] = (), least: int = 1) -> tuple[str, ...]:
        """Read a list of texts; with ``among``, each must be one of them."""
        value = self._get(key, None)
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise self.error(key, f"expected a list of texts, got {value!r}")
        if len(value) < least:
            raise self.error(key, f"expected at least {least}, got {len(value)}")
        allowed = tuple(among)
        for item in value:
            if allowed and item not in allowed:
                raise self.error(key, f"expected one of {', '.join(allowed)}, got {item!r}")
        return tuple(value)

    def choice(self, key: str, among: Iterable[str]) -> str:
        """Read a text that must be one of ``among``."""
        value, allowed = self.text(key), tuple(among)
        if value not in allowed:
            raise self.error(key, f"expected one of {', '.join(allowed)}, got {value!r}")
        return value

    def table(self, key: str) -> Table:
        """Read a table inside this one."""
        value = self._get(key, None)
        if not isinstance(value, dict):
            raise self.error(key, f"expected a table, got {value!r}")
        return Table(value, self.name, self.source, self._at(key), self._offset(key))

    def tables(self, key: str, default: list[Any] | None = None) -> list[Table]:
        """Read a list of tables, ``[[key]]`` or ``key = [{…}, …]``."""
        value = self._get(key, default)
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.error(key, f"expected a list of tables, got {value!r}")
        headers = [m.end() for m in re.finditer(rf"^\[\[{key}\]\]", self.source, re.MULTILINE)]
        if self.path or len(headers) != len(value):  # inline tables: one opens after the other
            begin = self._offset(key)
            headers = [m.start() for m in re.finditer(r"\{", self.source[begin:])][: len(value)]
            headers = [begin + h for h in headers] + [begin] * (len(value) - len(headers))
        return [Table(v, self.name, self.source, f"{self._at(key)}[{i}]", headers[i]) for i, v in enumerate(value)]

    def refuse_unknown_keys(self) -> None:
        """Raise `MalformedInput` for a key that was never read: mostly a typing error."""
        for key in self.data:
            if key not in self.used:
                allowed = ", ".join(sorted(self.used))
                raise self.error(key, f"unknown key (expected one of {allowed})")

    def error(self, key: str, message: str) -> MalformedInput:
        """Make an error that names file, line and key."""
        offset = self._offset(key)
        line = self.source.count("\n", 0, offset) + 1
        return MalformedInput(f"{self.name}:{line}: {self._at(key)}: {message}")

    def _get(self, key: str, default: Any) -> Any:
        self.used.add(key)
        if key in self.data:
            return self.data[key]
        if default is None:
            raise self.error(key, "missing")
        return default

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _offset(self, key: str) -> int:
        match = re.compile(rf"(?m)(?:^\s*|[{{,\s]|^\[\[?){re.escape(key)}\b").search(self.source, self.start)
        return match.end() - len(key) if match and key in self.data else self.start
