"""``chainlab sbom``: build an SBOM, check one, and compare two."""

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
MAX_NOTES = 5  # printed
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(
    short_help="Build, check and compare SBOMs.",
    epilog="""\b
Example: chainlab sbom build .venv --lock requirements.lock --out env.cdx.json""",
)
def sbom() -> None:
    """Build, check and compare software bills of materials (SBOMs)."""


@sbom.command(
    short_help="Build an SBOM.",
    epilog="""\b
Examples: chainlab sbom build .venv --lock requirements.lock --out env.cdx.json
          chainlab sbom build dist/triage_model-1.4.0-py3-none-any.whl --lock requirements.lock
          chainlab sbom build requirements.lock --wheels wheelhouse --spec 1.7""",
)
@click.argument("path", type=ANY)
@click.option("--kind", type=click.Choice(KINDS), help="What PATH is (default: recognised from it).")
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
@click.option("--lock", type=FILE, help="Environment, wheel: lock file with the hashes.")
@click.option("--wheels", type=FOLDER, multiple=True, help="Folder with wheels that the lock names; repeatable.")
@click.option("--subject", default="", help="Environment: the installed package that it exists for.")
@click.option("--author", "authors", multiple=True, help="Author of the document; repeatable.")
@click.option("--look-inside", is_flag=True, help="Environment: also search all source code for computed imports.")
@click.option(
    "--at",
    default="",
    metavar="TIME",
    help="Time of the document, RFC 3339 (default: SOURCE_DATE_EPOCH, else now).",
)
@click.option("--json", "as_json", is_flag=True, help="With --out: print a report as JSON.")
def build(
    path: Path, kind: str | None, out: Path | None, spec: str, lock: Path | None, wheels: tuple[Path, ...],
    subject: str, authors: tuple[str, ...], look_inside: bool, at: str, as_json: bool,
) -> None:  # fmt: skip
    """Build the SBOM (CycloneDX) of an environment, a wheel, a lock file or a project.

    Nothing in PATH is run. The same input and time give the same bytes. A lock file is a requirements file, read as pip
    reads it, or a pylock.toml. For another tool's lock, the error names the command that exports it. The document says
    what a lock or a project leaves open; the first notes are also printed to standard error.
    """
    from chainlab.evidence.sbom import builder as bills
    from chainlab.storage import write_whole

    kind = kind or _kind(path)
    for option, value, kinds in (
        ("--lock", lock, ("environment", "wheel")),
        ("--subject", subject, ("environment",)),
        ("--look-inside", look_inside, ("environment",)),
    ):
        if value and kind not in kinds:
            raise MalformedInput(f"{option} does not apply to a {kind}", hint=f"leave {option} out")
    about: dict[str, Any] = {"at": _moment(at), "spec": spec, "authors": authors, "wheels": wheels}
    if kind == "environment":
        document = bills.of_environment(path, lock=lock, subject=subject or None, look_inside=look_inside, **about)
    elif kind == "wheel":
        document = bills.of_wheel(path, lock=lock, **about)
    elif kind == "lock":
        document = bills.of_lock(path, **about)
    else:
        document = bills.of_project(path, **about)
    data = bills.dump(document)
    notes = _notes(document) if kind in ("lock", "project") else []
    for note in notes[:MAX_NOTES]:
        echo(f"note: {note}", err=True)
    if len(notes) > MAX_NOTES:
        echo(f"note: {len(notes) - MAX_NOTES} more notes are in the document", err=True)
    if out is None:
        echo_document(data)
        return
    write_whole(out, data)
    count = len(document["components"])
    if as_json:
        report = {
            "file": str(out),
            "kind": kind,
            "components": count,
            "serialNumber": document["serialNumber"],
        }
        echo_json(report)
    else:
        echo(f"{out.name}: {count} components of the {kind}, CycloneDX {spec}")


@sbom.command(
    short_help="Validate an SBOM and score it.", epilog="Example: chainlab sbom check env.cdx.json --least 0.8"
)
@click.argument("file", type=FILE)
@click.option("--least", type=click.FloatRange(0, 1), default=0.0, help="Lowest score that passes.")
@click.option("--json", "as_json", is_flag=True, help="Print problems and quality as JSON.")
def check(file: Path, least: float, as_json: bool) -> None:
    """Validate a CycloneDX document, and score how many of the minimum elements for SBOMs it has.

    A document that lists no component has no score.

    Exit status: 0 it passes, 1 it is not valid, has an entry that cannot be read, or scores below --least.
    """
    from chainlab.evidence.sbom import cyclonedx
    from chainlab.evidence.sbom.quality import STANDARDS, assess
    from chainlab.evidence.sbom.schema import problems
    from chainlab.evidence.statements import parse_json

    data = file.read_bytes()
    invalid = problems(data)
    unread: tuple[str, ...] = ()
    with suppress(MalformedInput):  # not JSON: the problems say so
        unread = cyclonedx.read(parse_json(data, file.name)).unread
    quality = assess(None if invalid else json.loads(data))
    scores = {standard: quality.of(standard).score for standard in STANDARDS}
    low = (quality.score or 0.0) < least
    passed = not invalid and not unread and not low
    if as_json:
        report = {
            "passed": passed,
            "problems": [asdict(p) for p in invalid],
            "unread": unread,
            "score": quality.score,
            "standards": scores,
            "elements": [{**asdict(e), "coverage": e.coverage and round(e.coverage, 4)} for e in quality.elements],
        }
        echo_json(report)
    elif invalid:
        echo(f"{file.name} is not valid: {len(invalid)} problem{'s' * (len(invalid) != 1)}")
        echo(join_lines(f"  {problem}" for problem in invalid[:20]), lines=True)
    else:
        if quality.score is None:
            echo(f"{file.name} is valid; no score, because it lists no component")
        else:
            echo(f"{file.name} is valid; score {quality.score:.2f}")
            echo(join_lines(f"  {standard}: {score:.2f}" for standard, score in scores.items()), lines=True)
        echo(join_lines(f"  missing: {reason}" for reason in quality.reasons), lines=True)
        if low:
            echo(f"refused: the score is below {least}")
    if not as_json and unread:
        echo(join_lines(f"  not read: {problem}" for problem in unread), lines=True)
    sys.exit(0 if passed else 1)


@sbom.command(short_help="Compare two SBOMs.", epilog="Example: chainlab sbom diff yesterday.cdx.json today.cdx.json")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the difference as JSON.")
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Compare the components of two CycloneDX documents.

    A line begins with "!" for other bytes under the same version, "~" for another version, "+" for an added and "-" for
    a removed component. Subject, dependency edges and licences are not compared.

    Exit status: 0 no component differs, 1 some do, 2 a document or one of its entries cannot be read.
    """
    from chainlab.evidence.sbom.difference import diff as compare

    difference = compare(_document(old), _document(new))
    if as_json:
        report: dict[str, Any] = {"same": not difference and not difference.unread, "unread": difference.unread}
        for part, changes in (("rehashed", difference.rehashed), ("changed", difference.changed)):
            report[part] = [{"old": _facts(change.old), "new": _facts(change.new)} for change in changes]
        for part, components in (("added", difference.added), ("removed", difference.removed)):
            report[part] = [_facts(component) for component in components]
        echo_json(report)
    else:
        echo(difference, lines=True)
    sys.exit(2 if difference.unread else 1 if difference else 0)


def _document(file: Path) -> Any:
    """Read a CycloneDX document. Raises `MalformedInput`, because an unreadable entry must not count as absent."""
    from chainlab.evidence.sbom.schema import problems

    data = file.read_bytes()
    if invalid := problems(data):
        more = f"; chainlab sbom check lists all {len(invalid)} problems" if len(invalid) > 1 else ""
        raise MalformedInput(f"{file.name} is not a valid CycloneDX document: {invalid[0]}{more}")
    return json.loads(data)


def _facts(component: Component) -> dict[str, Any]:
    facts = {key: getattr(component, key) for key in ("type", "name", "version", "purl")}
    return facts | {"hashes": dict(component.hashes)}


def _notes(document: dict[str, Any]) -> list[str]:
    """Return what a lock or a project leaves open, in the document's words."""
    from chainlab.evidence.components import UNSEEN

    names = {f"{UNSEEN}{kind}" for kind in ("not-pinned", "pinned-twice", "missing", "not-looked-for")}
    return [p["value"] for p in document["metadata"].get("properties", ()) if p["name"] in names]


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
    raise MalformedInput(f"cannot recognise what {path.name} is", hint=f"say what it is: --kind {'|'.join(KINDS)}")


def _moment(text: str) -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    try:
        if text:
            moment = datetime.fromisoformat(text)
            moment.astimezone(UTC)  # datetime's first and last hours overflow in UTC
        elif epoch:
            moment = datetime.fromtimestamp(int(epoch), UTC)
        else:
            moment = datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedInput(f"not a time: {text or epoch!r}", hint="write it as 2026-05-11T19:20:39Z") from error
    if moment.tzinfo is None:
        raise MalformedInput(f"not a time with a zone: {text!r}", hint="end it with Z for UTC")
    return moment


commands = [sbom]
