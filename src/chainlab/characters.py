"""Text as a terminal may show it: the characters that it would act on are spelled out.

A component, a file or a workflow may have any name. An escape sequence in it would rewrite the screen, a
direction mark would turn a word round, and a line break would forge a line of our own output.

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
    """Spell out control, format, private, unassigned and surrogate characters and separators of lines, as Python does.

    With ``lines`` the text has lines of its own: its line breaks and tabs stay.
    """
    kept = "\n\t" if lines else ""

    def spell(found: re.Match[str]) -> str:
        character = found[0]
        if character in kept or character.isprintable() or unicodedata.category(character) == "Zs":
            return character
        return character.encode("unicode_escape").decode("ascii")

    return NOT_ASCII.sub(spell, text)


def join_lines(lines: Iterable[object]) -> str:
    """Join lines, each of which stays one line whatever its text is."""
    return "\n".join(visible(str(line)) for line in lines)


def shortened(text: str, limit: int = 160) -> str:
    """Cut ``text`` to ``limit`` characters, the last of which says so."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
