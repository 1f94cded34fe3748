"""Text that is safe to show on a terminal: characters that the terminal would act on are spelled out.

A component, a file or a workflow may have any name. An escape sequence in it could rewrite the screen, a direction mark
could reverse a word, and a line break could forge a line of our own output.

    >>> print(visible("1.0\\x1b]0;owned\\x07"))
    1.0\\x1b]0;owned\\x07
    >>> print(visible("a\\nrefused: \\u202eb"))
    a\\nrefused: \\u202eb
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["join_lines", "shortened", "visible"]

NOT_ASCII = re.compile(r"[^ -~]")


def visible(text: str, *, lines: bool = False) -> str:
    """Spell out control, format, private, unassigned and surrogate characters and line separators, as Python does.

    With ``lines``, line breaks and tabs stay.
    """
    kept = "\n\t" if lines else ""

    def spell(match: re.Match[str]) -> str:
        character = match[0]
        if character in kept or character.isprintable() or unicodedata.category(character) == "Zs":
            return character
        return character.encode("unicode_escape").decode("ascii")

    return NOT_ASCII.sub(spell, text)


def join_lines(lines: Iterable[object]) -> str:
    """Join lines; each stays one line, whatever its text."""
    return "\n".join(visible(str(line)) for line in lines)


def shortened(text: str, limit: int = 160) -> str:
    """Cut ``text`` to ``limit`` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
