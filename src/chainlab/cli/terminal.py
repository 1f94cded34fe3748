"""Output of the commands: the one place that writes to the terminal.

Names in the output come from files that anybody may have made. `echo` escapes the characters that control a terminal.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click

from chainlab.characters import visible

__all__ = ["echo", "echo_document", "echo_json", "tolerate_narrow_encodings"]


def echo(text: object, *, err: bool = False, lines: bool = False) -> None:
    """Print one line. With ``lines``, print a text whose line breaks are ours."""
    click.echo(visible(str(text), lines=lines), err=err)


def echo_json(value: Any) -> None:
    """Print a value as JSON, in ASCII: any terminal can show it."""
    echo_document(json.dumps(value, indent=1).encode() + b"\n")


def echo_document(data: bytes) -> None:
    """Print a JSON document as it is, with JSON escapes for the characters that `visible` would escape."""

    def escape(match: re.Match[str]) -> str:
        character = match[0]
        if character in "\r\n\t" or visible(character) == character:
            return character
        return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"

    click.echo(re.sub(r"[^ -~]", escape, data.decode()).encode(), nl=False)


def tolerate_narrow_encodings() -> None:
    """Print a replacement for a character that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
