"""The command line: parse, call, print.

Exit status: 0 success, 1 the answer is no or the work failed, 2 the call is wrong.
"""

from __future__ import annotations

import importlib
import sqlite3
from typing import Any

import click

from chainlab import __version__
from chainlab.characters import visible
from chainlab.cli.terminal import echo, tolerate_narrow_encodings
from chainlab.errors import ChainlabError, MalformedInput

__all__ = ["main"]

# Command → the module that defines it. A module is imported only when its command is called.
COMMANDS = {
    "start": "start",
    "fresh": "start",
    "doctor": "start",
    "trust": "trust",
    "enrol": "trust",
    "ci": "ci",
    "sbom": "sbom",
    "attest": "evidence",
    "verify": "evidence",
    "archive": "archive",
    "gate": "gate",
    "events": "events",
    "monitor": "monitor",
    "deploy": "deploy",
    "rollback": "deploy",
    "build": "course",
    "check": "course",
    "hint": "course",
    "lint": "course",
    "progress": "course",
    "solutions": "course",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"chainlab.cli.{COMMANDS[name]}")
        return next((c for c in module.commands if c.name == name), None)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _printable(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _printable(error) from error
        except ChainlabError as error:
            echo(error, err=True, lines=True)
            ctx.exit(2 if isinstance(error, MalformedInput) else 1)
        except OSError as error:  # a full disk, a missing permission: the system's message names it
            echo(f"the system refused: {error}", err=True)
            ctx.exit(1)
        except (sqlite3.Error, MemoryError) as error:
            echo(f"cannot read or write the state: {error or 'no memory'}", err=True)
            ctx.exit(1)
        except UnicodeEncodeError as error:  # a name on the command line or of a file, in any bytes
            echo(f"a name or text is not UTF-8: {ascii(error.object)[:200]}", err=True)
            ctx.exit(2)
        except RecursionError:
            echo("a document is nested too deeply to be read", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            ctx.exit(130)


def _printable(error: click.UsageError) -> click.UsageError:
    """Escape control characters in an error: it quotes the call, where a shell's ``*`` puts the name of any file."""
    own_lines = isinstance(error, click.MissingParameter)  # quotes only our options, their choices one a line
    return click.UsageError(visible(error.format_message(), lines=own_lines), error.ctx)


@click.command(cls=_Commands, epilog="Example: chainlab start", context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="chainlab")
def _main() -> None:
    """Secure an ML CI/CD pipeline: eight weeks, offline, on one laptop.

    Begin with `chainlab start`. `chainlab COMMAND --help` shows options and an example.
    """


def main() -> None:
    """Entry point of ``chainlab``."""
    tolerate_narrow_encodings()
    _main()
