"""``chainlab archive``: keep the evidence of builds, and ask where a component is."""

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
    help="The archive's folder (default: the one in your workspace).",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog="Example: chainlab archive query --package urllib3 --range '<2.5'")
def archive() -> None:
    """The archive of evidence: what was built, and where is it?"""


def _documents(command: Callable[..., Any]) -> Callable[..., Any]:
    for kind in reversed((*KINDS, MANIFEST)):
        command = click.option(f"--{kind}", type=FILE, multiple=True, metavar="FILE", help=f"Its {kind}; repeatable.")(
            command
        )
    return command


@archive.command(
    epilog="""\b
Examples: chainlab archive add --artifact triage-model --version 1.4.0 --digest sha256:9f86… \\
              --sbom service.cdx.json --provenance wheel.sigstore.json --run 17
          chainlab archive add evidence/ --artifact triage-model --version 1.4.0 --file dist/triage_model.whl"""
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option("--artifact", required=True, help="The artifact's name.")
@click.option("--version", required=True, help="Its version.")
@click.option("--digest", default="", metavar="sha256:HEX", help="Its digest,")
@click.option("--file", "file", type=FILE, help="or the artifact itself.")
@click.option("--repository", default="", metavar="OWNER/NAME", help="Where its source is.")
@click.option("--commit", default="", help="From which commit it was built.")
@click.option("--run", default="", help="By which run.")
@click.option("--builder", default="", help="By which builder.")
@click.option("--at", default="", metavar="TIME", help="When, as 2026-05-04T10:00:00Z (default: now).")
@_documents
@AT
def add(
    folder: Path | None, artifact: str, version: str, digest: str, file: Path | None, repository: str,
    commit: str, run: str, builder: str, at: str, directory: Path | None, **given: tuple[Path, ...],
) -> None:  # fmt: skip
    """Keep the documents of one build; a document that cannot be read, or is about other bytes, is named.

    From a FOLDER come the files that are named for what they are: sbom.json, provenance-build.json, vex.json, …
    """
    from chainlab.archive import Build

    if bool(digest) == (file is not None):
        raise MalformedInput("which bytes is this about?", hint="give one of --digest, --file")
    build = Build(
        artifact, version, Digest.parse(digest) if digest else Digest.of_file(file or Path()),
        repository, commit, run, builder, _moment(at),
    )  # fmt: skip
    paths = {kind: list(given[kind]) for kind in (*KINDS, MANIFEST) if given[kind]}
    for path in sorted(folder.iterdir()) if folder else []:
        kind = next((k for k in (*KINDS, MANIFEST) if path.name.partition(".")[0].partition("-")[0] == k), "")
        if kind and path.is_file():
            paths.setdefault(kind, []).append(path)
    if not paths:
        raise MalformedInput("there is no document to keep", hint="for example --sbom FILE")
    with _opened(directory, new=True) as kept:
        kept.add(build, {kind: [p.read_bytes() for p in files] for kind, files in paths.items()})
        builds, documents = kept.builds(digest=str(build.digest)), kept.table("documents")
        state = builds.loc[builds["build"] == build.id, "unknown"].iloc[0]
    echo(f"kept {build.id}: {artifact} {version}, {', '.join(paths)}")
    for document in documents[documents["build"] == build.id].itertuples():
        if document.status not in ("read", "stored"):
            why = f": {document.why}" if document.why else ""
            echo(f"warning: the {document.kind} counts for nothing, it is {document.status}{why}", err=True)
    if state:
        echo(f"what it does not hold stays unknown: {state}")


@archive.command(
    epilog="""\b
Examples: chainlab archive query --package urllib3 --range '>=2,<2.5'
          chainlab archive query --package urllib3 --paths
          chainlab archive query --hash sha256:9f86… --json
          chainlab archive query --builder https://git.chainlab.localhost/runner"""
)
@click.option("--package", default="", metavar="NAME", help="Builds that hold a package.")
@click.option("--range", "span", default="", metavar="SPEC", help="Which versions of it (PEP 440).")
@click.option("--hash", "digest", default="", metavar="sha256:HEX", help="Builds that hold a file.")
@click.option("--purl", default="", help="Builds that hold what a package URL names.")
@click.option("--run", default="", help="Builds of a run.")
@click.option("--builder", default="", help="Builds of a builder.")
@click.option("--paths", "with_paths", is_flag=True, help="Also how each build comes to hold it.")
@click.option("--seen", "when", is_flag=True, help="When each version was first and last seen.")
@click.option("--every", is_flag=True, help="Also builds that are not affected.")
@click.option(
    "--absence",
    type=click.Choice(["complete", "dependencies", "silence"]),
    default="complete",
    show_default=True,
    help="What an SBOM must say of itself to prove that something is not there.",
)
@AT
@AS_JSON
def query(
    package: str, span: str, digest: str, purl: str, run: str, builder: str, with_paths: bool,
    when: bool, every: bool, absence: str, directory: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Where is it?

    Ends with 0 when some build is affected, 1 when none is, and 3 when none is known to be and some are unknown.

    A build without an SBOM, or with one that is incomplete, is not listed as clean: it is unknown, and the last column
    says why.
    """
    if sum(map(bool, (package, digest, purl, run or builder))) != 1:
        raise MalformedInput("ask for one thing", hint="one of --package, --hash, --purl, or --run and --builder")
    if with_paths and when:
        raise MalformedInput("--paths and --seen are two questions", hint="give one of them")
    if (with_paths or when or span) and not (package or purl):
        raise MalformedInput("--range, --paths and --seen ask about a package", hint="give --package or --purl")
    with _opened(directory) as kept:
        if run or builder:
            found = kept.builds(run=run, builder=builder)
            status = 0 if len(found) else 1
        else:
            asked = {"range": span, "purl": purl, "absence": absence}
            if with_paths:
                found = kept.paths(package, **asked)
            elif when:
                found = kept.seen(package, **asked)
            else:
                found = kept.where(package, digest=digest, every=every, **asked)
            told = set(found["answer"])
            status = 0 if "affected" in told else 3 if "unknown" in told else 1
    if as_json:
        echo_document(found.to_json(orient="records", date_format="iso", indent=1).encode() + b"\n")
    else:
        echo(_table(found), lines=True)
    sys.exit(status)


@archive.command(
    epilog="""\b
Examples: chainlab archive export evidence.zip
          chainlab archive export for-the-auditor --build 3f2c3f5c8c22a315"""
)
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--build", "builds", multiple=True, help="Only this build (its id); repeatable.")
@AT
def export(target: Path, builds: tuple[str, ...], directory: Path | None) -> None:
    """Copy the archive to a new folder, or a new .zip, with SHA256SUMS of every file in it."""
    with _opened(directory) as kept:
        count = kept.export(target, builds=builds or None)
    echo(f"{target}: {count} builds; check it with sha256sum -c SHA256SUMS")


@archive.command(epilog="Example: chainlab archive verify")
@AT
@AS_JSON
def verify(directory: Path | None, as_json: bool) -> None:
    """Compare every file with the digest that names it. Ends with 1 when something was changed or is gone."""
    from dataclasses import asdict

    with _opened(directory) as kept:
        problems = kept.verify()
        count = len(kept.builds())
    if as_json:
        echo_json([asdict(problem) for problem in problems])
    else:
        lines = [*map(str, problems), f"{count} builds, {len(problems)} problems"]
        echo(join_lines(lines), lines=True)
    sys.exit(1 if problems else 0)


@archive.command(epilog="Example: chainlab archive reindex")
@AT
def reindex(directory: Path | None) -> None:
    """Derive the index anew from entries and documents: nothing is lost with it."""
    with _opened(directory) as kept:
        echo(f"{kept.reindex()} builds")


def _opened(directory: Path | None, *, new: bool = False) -> Archive:
    from chainlab.archive import Archive

    if directory is None:
        from chainlab.workspace import learner_workspace

        directory = learner_workspace().path / "archive"
    if not new and not (directory / "entries").is_dir():
        raise MalformedInput(f"no archive here: {directory}", hint="chainlab archive add makes one")
    return Archive(directory)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if text else datetime.now(UTC)
        moment.astimezone(UTC)  # the first and the last hours that there are have none
    except (ValueError, OverflowError) as error:
        raise MalformedInput(f"not a time: {text!r}", hint="write 2026-05-04T10:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _table(found: pd.DataFrame) -> str:
    if not len(found):
        return "nothing found"
    if "kinds" in found:
        shown = found[["build", "artifact", "version", "built_at", "run", "kinds", "unknown"]]
    elif "first" in found:
        shown = found
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
        shown = found[[name for name in names if name in found]]
    shown = shown.assign(**{
        name: [" > ".join(way) for way in shown[name]] for name in shown if name == "path"
    })  # fmt: skip
    lines = shown.astype(object).fillna("").astype(str).map(visible)  # a name stays in its cell
    widths = {c: max(len(c), int(lines[c].str.len().max())) for c in lines}
    rows = [list(lines.columns), *lines.itertuples(index=False)]
    return "\n".join(
        "  ".join(str(v).ljust(w) for v, w in zip(row, widths.values(), strict=True)).rstrip() for row in rows
    )


commands = [archive]
