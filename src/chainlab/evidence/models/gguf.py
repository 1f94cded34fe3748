"""GGUF files: the table of keys and values before the tensors.

    >>> [key for key, _ in texts(model) if key.startswith(TEMPLATE)]                        # doctest: +SKIP
    ['tokenizer.chat_template', 'tokenizer.chat_template.tool_use']

Every value is read by its type, so that a value's bytes are never taken for a key. GGUF specification, version 2 and
3 (`gguf_metadata_kv_t`); little-endian, as nearly all files are.
"""

from __future__ import annotations

from chainlab.errors import MalformedInput

__all__ = ["TEMPLATE", "texts"]

TEMPLATE = "tokenizer.chat_template"  # this key, and each that begins with it
VERSIONS = (2, 3)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a number, by its type
STRING, ARRAY = 8, 9
MAX_DEPTH = 4  # of arrays in arrays; writers nest none


def texts(data: bytes) -> list[tuple[str, list[str]]]:
    """Read each key with the texts in its value.

    Raises `MalformedInput` for a key that is there twice, a table that breaks off, or another version.
    """
    reader = _GgufReader(data, 4)
    version = reader.number(4)
    if version not in VERSIONS:
        raise MalformedInput(f"GGUF of version {version} cannot be read here, only 2 and 3")
    reader.number(8)  # of tensors
    values: dict[str, list[str]] = {}
    for _ in range(reader.number(8)):
        key = reader.text()
        if key in values:
            raise MalformedInput(f"the key {key[:60]!r} is there twice: two readers see two values")
        values[key] = reader.value(reader.number(4))
    return list(values.items())


class _GgufReader:
    """Reads numbers, texts and values one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def skip(self, length: int) -> int:
        """Advance by ``length`` bytes; returns where they begin."""
        start = self.at
        if length > len(self.data) - start:
            raise MalformedInput("the table of keys and values breaks off")
        self.at += length
        return start

    def number(self, size: int) -> int:
        start = self.skip(size)
        return int.from_bytes(self.data[start : start + size], "little")

    def text(self) -> str:
        length = self.number(8)
        start = self.skip(length)
        return self.data[start : start + length].decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> list[str]:
        """Read a value; returns the texts in it."""
        if kind == STRING:
            return [self.text()]
        if kind == ARRAY and depth < MAX_DEPTH:
            inner, length = self.number(4), self.number(8)
            if inner in SIZES:
                self.skip(length * SIZES[inner])
                return []
            return [text for _ in range(length) for text in self.value(inner, depth + 1)]
        if kind not in SIZES:
            raise MalformedInput(f"a value is of type {kind}, which the format does not have")
        self.skip(SIZES[kind])
        return []
