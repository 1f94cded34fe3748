"""The archive: the evidence of every build in plain files, and the answer to "which builds hold this component?".

    DIR/objects/sha256/ab/abcd…   documents, named by their digest
    DIR/entries/HEX.json          one for each build that was added
    DIR/tables/index.sqlite       derived from the two above; `Archive.reindex` derives it again

    >>> archive = Archive(Path("archive"))
    >>> build = Build("triage-model", "1.4.0", Digest.of(b"wheel"), built_at=datetime(2026, 5, 4, tzinfo=UTC))
    >>> archive.add(build, {"sbom": sbom, "provenance": bundle})
    >>> archive.where("urllib3", range="<2.5")[["answer", "artifact", "version", "found"]]

**Three answers.** A build is *affected* when one of its documents lists the component, whatever its scope. It is *not
affected* only when a readable SBOM (or, without one, an ML-BOM) about the bytes of this build declares itself complete,
and every component in it states what the question asks for (a purl, a SHA-256). In all other cases it is *unknown*,
and ``why`` says why.

**About these bytes.** The statement's subjects and the SHA-256 of ``metadata.component``: whichever is there has to
name the build's digest, or a file that the build's manifest holds. A document about other bytes is kept, and ignored.
One that names no bytes can show that a component is there (``why`` says so), never that one is absent.

**Complete** is what the SBOM's compositions declare: ``complete`` for the assembly of every component (or, without
references, for the whole document), and nothing else for dependencies. ``absence="dependencies"`` also accepts an SBOM
that vouches only for dependencies and may miss a vendored copy, ``absence="silence"`` one that declares nothing.

Signatures are not verified here: ``signed`` tells that a document came in a bundle, ``verdict`` is what a verifier
said of it when it was added.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from sqlite3 import Row
from typing import TYPE_CHECKING, Any, Final, Self

from chainlab.archive.entries import Build
from chainlab.archive.files import ArchiveFiles, Documents
from chainlab.archive.queries import PROBLEMS, TABLES, WAYS, ArchiveProblem, answers, question, why_unknown
from chainlab.archive.tables import ArchiveIndex
from chainlab.errors import MalformedInput
from chainlab.evidence.packages.versions import version_key

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Archive"]

IDENTITY: Final = ("digest", "repository", "commit", "run", "builder", "build")
BUILD: Final = ("artifact", "version", "built_at", *IDENTITY)
FOUND: Final = ("component", "found", "purl", "scope", "document", "signed")
COLUMNS: Final = ("answer", *BUILD[:3], *FOUND, "why", *IDENTITY)
SEEN: Final = ("answer", "component", "found", "builds", "first", "first_build", "last", "last_build")


class Archive:
    """One archive directory, created when it does not exist. Any number of processes may use it at once."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self._files = ArchiveFiles(self.directory)
        self._index = ArchiveIndex(self._files)

    def add(self, build: Build, documents: Documents, *, verdicts: Mapping[str, str] | None = None) -> Build:
        """Store a build's documents, with a verdict on each kind; nothing is ever replaced.

        Documents that are added later to the same build count beside the earlier ones. Raises `OSError`, and then the
        build is not in the archive.
        """
        self._files.add(build, documents, verdicts or {})
        return build

    def where(
        self, name: str = "", *, version: str = "", range: str = "", digest: str = "", purl: str = "",
        every: bool = False, absence: str = "complete",
    ) -> pd.DataFrame:  # fmt: skip
        """List builds that hold a component, by name, purl or a file's digest; affected ones first.

        ``version`` is one version, ``range`` a set of them (PEP 440: ``>=1.2,<1.4``). ``digest`` also finds the build
        that made the file. ``every`` adds the builds that are not affected. ``absence`` is explained above.

        DataFrame: one row per build and component version; columns answer, artifact, version, built_at, component,
        found (its version), purl, scope, document, signed, why, digest, repository, commit, run, builder, build (id).
        """
        parsed = question(name, version=version, range=range, digest=digest, purl=purl)
        with self._index.open() as connection:
            return _frame([_row(*answer) for answer in answers(connection, parsed, absence, every)])

    def paths(
        self, name: str = "", *, version: str = "", range: str = "", purl: str = "", absence: str = "complete"
    ) -> pd.DataFrame:
        """Show how each build comes to hold a component: a shortest way from its subject, however deep.

        As `where`, with columns depth (edges on the way) and path (a list of "name version", the subject first).
        Where the SBOM's graph does not lead there, depth is missing and the path is the component alone.
        """
        parsed = question(name, version=version, range=range, purl=purl)
        with self._index.open() as connection:
            listed = answers(connection, parsed, absence)
            sure = [(build, hit, why) for answer, build, hits, why in listed if answer == "affected" for hit in hits]
            ways: dict[tuple[int, int], list[str]] = {(hit["document"], hit["node"]): [] for _, hit, _ in sure}
            for document, node, label in connection.execute(WAYS, [json.dumps(list(ways))]):
                ways[document, node].append(label)
        paths = [ways[hit["document"], hit["node"]] for _, hit, _ in sure]
        rest = [_row(*answer) for answer in listed if answer[0] != "affected"]
        reached = [len(path) > 1 or not hit["node"] for path, (_, hit, _) in zip(paths, sure, strict=True)]
        depths = [len(path) - 1 if there else None for path, there in zip(paths, reached, strict=True)]
        frame, at = (
            _frame([*(_row("affected", build, [hit], why) for build, hit, why in sure), *rest]),
            COLUMNS.index("why"),
        )
        frame.insert(at, "depth", [*depths, *[None] * len(rest)])
        frame.insert(at + 1, "path", [*paths, *([] for _ in rest)])
        return frame.astype({"depth": "Int64", "path": object})

    def seen(
        self, name: str = "", *, version: str = "", range: str = "", purl: str = "", absence: str = "complete"
    ) -> pd.DataFrame:
        """Show when each version was first and last in a build; the last row counts the unknown builds.

        DataFrame: columns answer, component, found, builds, first, first_build, last, last_build.
        """
        parsed = question(name, version=version, range=range, purl=purl)
        groups: dict[tuple[str, str, str], set[Row]] = {}
        with self._index.open() as connection:
            for answer, build, hits, _ in answers(connection, parsed, absence):
                component = (hits[0]["component"], hits[0]["found"]) if answer == "affected" else ("", "")
                groups.setdefault((answer, *component), set()).add(build)
        rows = []
        for names in sorted(groups, key=lambda names: (*names[:2], version_key(names[2]), names[2])):
            group = groups[names]
            dated = [(b["built_at"].rstrip("Z"), f"{b['artifact']} {b['version']}") for b in group if b["built_at"]]
            rows.append((*names, len(group), *min(dated, default=("", "")), *max(dated, default=("", ""))))
        return _frame(rows, SEEN)

    def builds(
        self, *, artifact: str = "", version: str = "", digest: str = "", repository: str = "", run: str = "",
        builder: str = "",
    ) -> pd.DataFrame:  # fmt: skip
        """List builds that match every argument, oldest first.

        DataFrame: the build's values, kinds (of documents), signed (kinds in bundles), unknown (see ``why``).
        """
        filters = {"artifact": artifact, "version": version, "repository": repository, "run": run, "builder": builder}
        filters["digest"] = digest and "sha256:" + digest.lower().removeprefix("sha256:")
        rows = []
        with self._index.open() as connection:
            for build in connection.execute("SELECT * FROM builds"):
                if all(build[name] == value for name, value in filters.items() if value):
                    kinds = [" ".join(sorted((build[name] or "").split(","))) for name in ("kinds", "signed")]
                    rows.append((*(build[name] for name in BUILD), *kinds, why_unknown(build)))
        return _frame(rows, (*BUILD, "kinds", "signed", "unknown"))

    def table(self, name: str) -> pd.DataFrame:
        """Return all of a table: builds, documents, components or edges; each row has its build's id."""
        if name == "builds":
            columns = ["build", "artifact", "version", *IDENTITY[:-1], "built_at", "unknown"]
            return self.builds()[columns].sort_values("build", ignore_index=True)
        if name not in TABLES:
            raise MalformedInput(f"not a table: {name!r}", hint=f"one of builds, {', '.join(TABLES)}")
        with self._index.open() as connection:
            cursor = connection.execute(TABLES[name])
            return _frame(sorted(map(tuple, cursor)), [column[0] for column in cursor.description])

    def reindex(self) -> int:
        """Derive the index again from entries and objects, and count its builds."""
        self.close()
        shutil.rmtree(self._index.path.parent, ignore_errors=True)
        return len(self.builds())

    def verify(self) -> list[ArchiveProblem]:
        """Read every file again, and list those that are missing, changed or unreadable."""
        changed = ArchiveProblem(
            "table changed", "tables/index.sqlite", "its bytes have another digest", "it is derived again"
        )
        problems = [changed] if self._index.path.exists() and not self._index.stored() else []
        self.reindex()
        with self._index.open() as connection:
            return problems + [ArchiveProblem(*row) for row in connection.execute(PROBLEMS)]

    def export(self, target: Path | str, *, builds: Collection[str] | None = None) -> int:
        """Copy the archive, or some builds (their ids), to a new archive in a folder or .zip, and count the entries.

        ``sha256sum -c SHA256SUMS`` checks it. Raises `VerificationFailed` when a file was changed, `MalformedInput` for
        an id that no build has; then nothing is written.
        """
        return self._files.export(Path(target), builds)

    def close(self) -> None:
        """Close the index; the next question opens it again."""
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _row(answer: str, build: Row, hits: Sequence[Row], why: str) -> tuple[Any, ...]:
    component: tuple[Any, ...] = ("", "", "", "", "", False)
    if hits:
        kinds, signed = " ".join(sorted({hit["kind"] for hit in hits})), any(hit["signed"] for hit in hits)
        component = (*hits[0][:3], min(hit["scope"] for hit in hits), kinds, signed)
    values = [build[name] for name in BUILD]
    return (answer, *values[:3], *component, why, *values[3:])


def _frame(rows: Sequence[Sequence[Any]], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(columns))
    for name in {"built_at", "first", "last"}.intersection(columns):
        frame[name] = pd.to_datetime(frame[name].replace("", None), utc=True, format="ISO8601")
    return frame if "kinds" in frame or "signed" not in frame else frame.astype({"signed": bool})
