"""``chainlab sbom``: make a bill of materials, check one, and compare two."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainlab.characters import join_lines
from chainlab.cli.terminal import echo, echo_document, echo_json
from chainlab.errors import MalformedInput

if TYPE_CHECKING:
    from chainlab.evidence.components import Component

__all__ = ["commands"]

KINDS = ("environment", "wheel", "lock", "project")
ANY = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MOST = 5  # notes shown
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(epilog="Example: chainlab sbom build .venv --lock requirements.lock --out env.cdx.json")
def sbom() -> None:
    """Bills of materials: make one, check one, compare two."""


@sbom.command(
    epilog="""\b
Examples: chainlab sbom build .venv --lock requirements.lock --out env.cdx.json
          chainlab sbom build dist/triage_model-1.4.0-py3-none-any.whl --lock requirements.lock
          chainlab sbom build requirements.lock --wheels wheelhouse --spec 1.7"""
)
@click.argument("path", type=ANY)
@click.option("--kind", type=click.Choice(KINDS), help="What PATH is (default: seen from it).")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write (default: print it).",
)
@click.option(
    "--spec",
    type=click.Choice(["1.6", "1.7"]),
    default="1.6",
    show_default=True,
    help="CycloneDX version.",
)
@click.option("--lock", type=FILE, help="Lock file with the hashes (environment, wheel).")
@click.option("--wheels", type=FOLDER, multiple=True, help="Folder of wheels that the lock names; repeatable.")
@click.option("--subject", default="", help="Installed package that the environment exists for.")
@click.option("--author", "authors", multiple=True, help="Who answers for the document; repeatable.")
@click.option("--look-inside", is_flag=True, help="Environment: also search all source for computed imports.")
@click.option(
    "--at",
    default="",
    metavar="TIME",
    help="RFC 3339 time to write (default: SOURCE_DATE_EPOCH, else now).",
)
@click.option("--json", "as_json", is_flag=True, help="With --out: print what was made as JSON.")
def build(
    path: Path, kind: str | None, out: Path | None, spec: str, lock: Path | None, wheels: tuple[Path, ...],
    subject: str, authors: tuple[str, ...], look_inside: bool, at: str, as_json: bool,
) -> None:  # fmt: skip
    """Make the CycloneDX document of an environment, a wheel, a lock file or a project.

    Nothing of PATH is run. The same input and time give the same bytes. A lock file is a requirements file, read as pip
    reads it, or a pylock.toml; another tool's lock is refused with the command that exports it. What a lock or a
    project leaves open is in the document, and the first of it on standard error.
    """
    from chainlab.evidence.sbom import builder as bills
    from chainlab.storage import write_whole

    kind = kind or _kind(path)
    for option, given, kinds in (
        ("--lock", lock, ("environment", "wheel")),
        ("--subject", subject, ("environment",)),
        ("--look-inside", look_inside, ("environment",)),
    ):
        if given and kind not in kinds:
            raise MalformedInput(f"{option} says nothing about a {kind}", hint=f"leave {option} out")
    about: dict[str, Any] = {"at": _moment(at), "spec": spec, "authors": authors, "wheels": wheels}
    if kind == "environment":
        made = bills.of_environment(path, lock=lock, subject=subject or None, look_inside=look_inside, **about)
    elif kind == "wheel":
        made = bills.of_wheel(path, lock=lock, **about)
    elif kind == "lock":
        made = bills.of_lock(path, **about)
    else:
        made = bills.of_project(path, **about)
    data = bills.dump(made)
    notes = _notes(made) if kind in ("lock", "project") else []
    for note in notes[:MOST]:
        echo(f"note: {note}", err=True)
    if len(notes) > MOST:
        echo(f"note: the document names {len(notes) - MOST} more", err=True)
    if out is None:
        echo_document(data)
        return
    write_whole(out, data)
    count = len(made["components"])
    if as_json:
        told = {
            "file": str(out),
            "kind": kind,
            "components": count,
            "serialNumber": made["serialNumber"],
        }
        echo_json(told)
    else:
        echo(f"{out.name}: {count} components of the {kind}, CycloneDX {spec}")


@sbom.command(epilog="Example: chainlab sbom check env.cdx.json --least 0.8")
@click.argument("file", type=FILE)
@click.option("--least", type=click.FloatRange(0, 1), default=0.0, help="Refuse a score below this.")
@click.option("--json", "as_json", is_flag=True, help="Print problems and quality as JSON.")
def check(file: Path, least: float, as_json: bool) -> None:
    """Validate a CycloneDX document, and say how much of the minimum elements it has.

    Ends with 1 when the document is not valid, has an entry that cannot be read, or scores below --least. A document
    that lists no component has no score.
    """
    from chainlab.evidence.sbom import cyclonedx
    from chainlab.evidence.sbom.quality import STANDARDS, assess
    from chainlab.evidence.sbom.schema import problems
    from chainlab.evidence.statements import parse_json

    data = file.read_bytes()
    found = problems(data)
    unread: tuple[str, ...] = ()
    with suppress(MalformedInput):  # what is not JSON, the problems name
        unread = cyclonedx.read(parse_json(data, file.name)).unread
    quality = assess(None if found else json.loads(data))
    scores = {standard: quality.of(standard).score for standard in STANDARDS}
    low = (quality.score or 0.0) < least
    passed = not found and not unread and not low
    if as_json:
        told = {
            "passed": passed,
            "problems": [asdict(p) for p in found],
            "unread": unread,
            "score": quality.score,
            "standards": scores,
            "elements": [{**asdict(e), "coverage": e.coverage and round(e.coverage, 4)} for e in quality.elements],
        }
        echo_json(told)
    elif found:
        echo(f"{file.name} is not valid: {len(found)} problem(s)")
        echo(join_lines(f"  {problem}" for problem in found[:20]), lines=True)
    else:
        if quality.score is None:
            echo(f"{file.name} is valid; no score, for it lists no component")
        else:
            echo(f"{file.name} is valid; score {quality.score:.2f}")
            echo(join_lines(f"  {standard}: {score:.2f}" for standard, score in scores.items()), lines=True)
        echo(join_lines(f"  lacks {reason}" for reason in quality.reasons), lines=True)
        if low:
            echo(f"refused: the score is not {least} or more")
    if not as_json and unread:
        echo(join_lines(f"  not read: {problem}" for problem in unread), lines=True)
    sys.exit(0 if passed else 1)


@sbom.command(epilog="Example: chainlab sbom diff yesterday.cdx.json today.cdx.json")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Compare the components of two CycloneDX documents.

    Prints "! NAME" for other bytes under the same version, "~" for another version, "+" for an added and "-" for a
    removed component. The subject, the edges and the licences are not compared.

    Ends with 0 when no component differs, with 1 when one does, and with 2 when a document, or an entry that the output
    then names, cannot be read.
    """
    from chainlab.evidence.sbom.difference import diff as compare

    found = compare(_document(old), _document(new))
    if as_json:
        told: dict[str, Any] = {"same": not found and not found.unread, "unread": found.unread}
        for part, changes in (("rehashed", found.rehashed), ("changed", found.changed)):
            told[part] = [{"old": _facts(change.old), "new": _facts(change.new)} for change in changes]
        for part, components in (("added", found.added), ("removed", found.removed)):
            told[part] = [_facts(component) for component in components]
        echo_json(told)
    else:
        echo(found, lines=True)
    sys.exit(2 if found.unread else 1 if found else 0)


def _document(file: Path) -> Any:
    """Read a CycloneDX document. Raises `MalformedInput`: an entry that cannot be read must not count as absent."""
    from chainlab.evidence.sbom.schema import problems

    data = file.read_bytes()
    if found := problems(data):
        more = f"; chainlab sbom check lists all {len(found)} problems" if len(found) > 1 else ""
        raise MalformedInput(f"{file.name} is not a valid CycloneDX document: {found[0]}{more}")
    return json.loads(data)


def _facts(component: Component) -> dict[str, Any]:
    facts = {key: getattr(component, key) for key in ("type", "name", "version", "purl")}
    return facts | {"hashes": dict(component.hashes)}


def _notes(made: dict[str, Any]) -> list[str]:
    """What a lock or a project leaves open, as the document says it."""
    from chainlab.evidence.components import UNSEEN

    names = {f"{UNSEEN}{kind}" for kind in ("not-pinned", "pinned-twice", "missing", "not-looked-for")}
    return [p["value"] for p in made["metadata"].get("properties", ()) if p["name"] in names]


def _kind(path: Path) -> str:
    from chainlab.evidence.locks.lock_file import EXPORTS

    if path.suffix == ".whl":
        return "wheel"
    if path.is_dir():
        from chainlab.evidence.packages.interpreters import is_environment

        return "environment" if is_environment(path) else "project"
    if path.suffix in (".lock", ".toml", ".txt") or path.name in EXPORTS:
        return "lock"
    if path.name.startswith(("python", "pypy")):
        return "environment"
    raise MalformedInput(f"what {path.name} is cannot be seen", hint=f"say it: --kind {'|'.join(KINDS)}")


def _moment(text: str) -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    try:
        if text:
            moment = datetime.fromisoformat(text)
            moment.astimezone(UTC)  # the first and the last hours that there are have none
        elif epoch:
            moment = datetime.fromtimestamp(int(epoch), UTC)
        else:
            moment = datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedInput(f"{text or epoch!r} is no time", hint="write it as 2026-05-11T19:20:39Z") from error
    if moment.tzinfo is None:
        raise MalformedInput(f"{text!r} has no zone", hint="end it with Z")
    return moment


commands = [sbom]
