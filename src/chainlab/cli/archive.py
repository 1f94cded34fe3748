"""``chainlab archive``: archive the evidence of builds, and find out where a component is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainlab.archive.entries import KINDS, MANIFEST
from chainlab.characters import join_lines, visible
from chainlab.cli.terminal import echo, echo_document, echo_json
from chainlab.digests import Digest
from chainlab.errors import MalformedInput

if TYPE_CHECKING:
    import pandas as pd

    from chainlab.archive import Archive

__all__ = ["commands"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
AT = click.option(
    "--archive",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the archive (default: the one in your workspace).",
)
NAMES = {"sbom": "SBOM", "mlbom": "ML-BOM", "vex": "VEX", "summary": "the gate's summary (VSA)"}
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(
    short_help="Archive builds' evidence, and query it.",
    epilog="Example: chainlab archive query --package urllib3 --range '<2.5'",
)
def archive() -> None:
    """Archive the evidence of builds, and find out which builds hold a component."""


def _document_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for kind in reversed((*KINDS, MANIFEST)):
        text = f"Document of the build: {NAMES.get(kind, kind)}; repeatable."
        command = click.option(f"--{kind}", type=FILE, multiple=True, metavar="FILE", help=text)(command)
    return command


@archive.command(
    short_help="Archive the documents of one build.",
    epilog="""\b
Examples: chainlab archive add --artifact triage-model --version 1.4.0 --digest sha256:9f86… \\
              --sbom service.cdx.json --provenance wheel.sigstore.json --run 17
          chainlab archive add evidence/ --artifact triage-model --version 1.4.0 --file dist/triage_model.whl""",
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option("--artifact", required=True, help="Name of the artifact.")
@click.option("--version", required=True, help="Version of the artifact.")
@click.option("--digest", default="", metavar="sha256:HEX", help="Digest of the artifact (or give --file).")
@click.option("--file", "file", type=FILE, help="The artifact itself, to compute its digest.")
@click.option("--repository", default="", metavar="OWNER/NAME", help="Repository of its source.")
@click.option("--commit", default="", help="Commit it was built from.")
@click.option("--run", default="", help="Id of the run that built it.")
@click.option("--builder", default="", help="Id of the builder.")
@click.option(
    "--at", default="", metavar="TIME", help="When it was built, such as 2026-05-04T10:00:00Z (default: now)."
)
@_document_options
@AT
def add(
    folder: Path | None, artifact: str, version: str, digest: str, file: Path | None, repository: str,
    commit: str, run: str, builder: str, at: str, directory: Path | None, **options: tuple[Path, ...],
) -> None:  # fmt: skip
    """Archive the documents of one build. A warning names each document that is unreadable or about other bytes.

    From FOLDER, files are taken whose name begins with their kind: sbom.json, provenance-build.json, vex.json, …
    """
    from chainlab.archive import Build

    if bool(digest) == (file is not None):
        raise MalformedInput("expected the artifact's digest, or the artifact", hint="give either --digest or --file")
    build = Build(
        artifact, version, Digest.parse(digest) if digest else Digest.of_file(file or Path()),
        repository, commit, run, builder, _moment(at),
    )  # fmt: skip
    paths = {kind: list(options[kind]) for kind in (*KINDS, MANIFEST) if options[kind]}
    for path in sorted(folder.iterdir()) if folder else []:
        kind = next((k for k in (*KINDS, MANIFEST) if path.name.partition(".")[0].partition("-")[0] == k), "")
        if kind and path.is_file():
            paths.setdefault(kind, []).append(path)
    if not paths:
        raise MalformedInput("no document to archive", hint="give at least one, such as --sbom FILE")
    with _opened(directory, new=True) as archive:
        archive.add(build, {kind: [p.read_bytes() for p in files] for kind, files in paths.items()})
        builds, documents = archive.builds(digest=str(build.digest)), archive.table("documents")
        state = builds.loc[builds["build"] == build.id, "unknown"].iloc[0]
    echo(f"archived {build.id}: {artifact} {version}, {', '.join(paths)}")
    for document in documents[documents["build"] == build.id].itertuples():
        if document.status not in ("read", "stored"):
            why = f": {document.why}" if document.why else ""
            echo(f"warning: the {document.kind} is not counted: it is {document.status}{why}", err=True)
    if state:
        echo(f"what this build does not hold stays unknown: {state}")


@archive.command(
    short_help="Find builds that hold a component.",
    epilog="""\b
Examples: chainlab archive query --package urllib3 --range '>=2,<2.5'
          chainlab archive query --package urllib3 --paths
          chainlab archive query --hash sha256:9f86… --json
          chainlab archive query --builder https://git.chainlab.localhost/runner""",
)
@click.option("--package", default="", metavar="NAME", help="Find builds that hold this package.")
@click.option("--range", "span", default="", metavar="SPEC", help="With a package: only these versions (PEP 440).")
@click.option(
    "--hash", "digest", default="", metavar="sha256:HEX", help="Find builds that hold the file of this digest."
)
@click.option("--purl", default="", help="Find builds that hold the component of this package URL.")
@click.option("--run", default="", help="Find builds of this run.")
@click.option("--builder", default="", help="Find builds of this builder.")
@click.option("--paths", "with_paths", is_flag=True, help="Also show through which dependencies each build holds it.")
@click.option("--seen", "when", is_flag=True, help="Show when each version was first and last seen.")
@click.option("--every", is_flag=True, help="Also list builds that are not affected.")
@click.option(
    "--absence",
    type=click.Choice(["complete", "dependencies", "silence"]),
    default="complete",
    show_default=True,
    help="What an SBOM must claim before a missing component counts as absent.",
)
@AT
@AS_JSON
def query(
    package: str, span: str, digest: str, purl: str, run: str, builder: str, with_paths: bool,
    when: bool, every: bool, absence: str, directory: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Find the builds that hold a package or a file, or that a run or a builder made.

    A build with no SBOM, or an incomplete one, is not listed as clean. It is unknown, and the last column says why.

    Exit status: 0 some build is affected, 1 none is, 3 none is known to be and some are unknown.
    """
    if sum(map(bool, (package, digest, purl, run or builder))) != 1:
        raise MalformedInput(
            "expected one thing to look for", hint="give one of --package, --hash and --purl, or --run and --builder"
        )
    if with_paths and when:
        raise MalformedInput("--paths and --seen exclude each other", hint="give one of them")
    if (with_paths or when or span) and not (package or purl):
        raise MalformedInput("--range, --paths and --seen need a package", hint="give --package or --purl")
    with _opened(directory) as archive:
        if run or builder:
            rows = archive.builds(run=run, builder=builder)
            status = 0 if len(rows) else 1
        else:
            question = {"range": span, "purl": purl, "absence": absence}
            if with_paths:
                rows = archive.paths(package, **question)
            elif when:
                rows = archive.seen(package, **question)
            else:
                rows = archive.where(package, digest=digest, every=every, **question)
            answers = set(rows["answer"])
            status = 0 if "affected" in answers else 3 if "unknown" in answers else 1
    if as_json:
        echo_document(rows.to_json(orient="records", date_format="iso", indent=1).encode() + b"\n")
    else:
        echo(_table(rows), lines=True)
    sys.exit(status)


@archive.command(
    short_help="Copy the archive to a folder or .zip.",
    epilog="""\b
Examples: chainlab archive export evidence.zip
          chainlab archive export for-the-auditor --build 3f2c3f5c8c22a315""",
)
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--build", "builds", multiple=True, help="Id of a build: copy only this one; repeatable.")
@AT
def export(target: Path, builds: tuple[str, ...], directory: Path | None) -> None:
    """Copy the archive to a new folder or .zip file, TARGET, with the SHA256SUMS of its files."""
    with _opened(directory) as archive:
        count = archive.export(target, builds=builds or None)
    echo(f"{target}: {count} builds; check them with: sha256sum -c SHA256SUMS")


@archive.command(short_help="Compare every file with its digest.", epilog="Example: chainlab archive verify")
@AT
@AS_JSON
def verify(directory: Path | None, as_json: bool) -> None:
    """Compare every file with the digest that names it.

    Exit status: 0 all files agree, 1 a file was changed or is missing.
    """
    from dataclasses import asdict

    with _opened(directory) as archive:
        problems = archive.verify()
        count = len(archive.builds())
    if as_json:
        echo_json([asdict(problem) for problem in problems])
    else:
        lines = [*map(str, problems), f"{count} builds, {len(problems)} problems"]
        echo(join_lines(lines), lines=True)
    sys.exit(1 if problems else 0)


@archive.command(short_help="Build the index again.", epilog="Example: chainlab archive reindex")
@AT
def reindex(directory: Path | None) -> None:
    """Build the index again from entries and documents. The index holds nothing else, so nothing is lost."""
    with _opened(directory) as archive:
        echo(f"{archive.reindex()} builds")


def _opened(directory: Path | None, *, new: bool = False) -> Archive:
    from chainlab.archive import Archive

    if directory is None:
        from chainlab.workspace import learner_workspace

        directory = learner_workspace().path / "archive"
    if not new and not (directory / "entries").is_dir():
        raise MalformedInput(f"no archive here: {directory}", hint="create one: chainlab archive add")
    return Archive(directory)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
        moment.astimezone(UTC)  # datetime's first and last hours overflow in UTC
    except (ValueError, OverflowError) as error:
        raise MalformedInput(f"not a time: {text!r}", hint="write 2026-05-04T10:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _table(rows: pd.DataFrame) -> str:
    if not len(rows):
        return "nothing found"
    if "kinds" in rows:
        shown = rows[["build", "artifact", "version", "built_at", "run", "kinds", "unknown"]]
    elif "first" in rows:
        shown = rows
    else:
        names = [
            "answer",
            "build",
            "artifact",
            "version",
            "component",
            "found",
            "depth",
            "path",
            "why",
        ]
        shown = rows[[name for name in names if name in rows]]
    shown = shown.assign(**{
        name: [" > ".join(way) for way in shown[name]] for name in shown if name == "path"
    })  # fmt: skip
    lines = shown.astype(object).fillna("").astype(str).map(visible)  # so that a name cannot leave its cell
    widths = {c: max(len(c), int(lines[c].str.len().max())) for c in lines}
    cells = [list(lines.columns), *lines.itertuples(index=False)]
    return "\n".join(
        "  ".join(str(v).ljust(w) for v, w in zip(row, widths.values(), strict=True)).rstrip() for row in cells
    )


commands = [archive]
