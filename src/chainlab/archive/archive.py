"""The archive: the evidence of every build in plain files, and the answer to "where is it?" in a fraction of a second.

    DIR/objects/sha256/ab/abcd…   documents, named by their digest
    DIR/entries/HEX.json          one for each build that was added
    DIR/tables/…                  Parquet, derived from the two above; `Archive.reindex` makes them anew

    >>> archive = Archive(Path("archive"))
    >>> build = Build("triage-model", "1.4.0", Digest.of(b"wheel"), built_at=datetime(2026, 5, 4, tzinfo=UTC))
    >>> archive.add(build, {"sbom": sbom, "provenance": bundle})
    >>> archive.where("urllib3", range="<2.5")[["answer", "artifact", "version", "found"]]

**Three answers.** A build is *affected* when one of its documents lists what was asked for; the scope is shown and left
to the reader. It is *not affected* only when that can be known: it has a readable SBOM (or, where it has none, an
ML-BOM) that says of itself that it is complete, and in which every component states what was asked for (a purl, a
SHA-256). In all other cases the answer is *unknown*, and ``why`` says which: no SBOM, one that cannot be read, one that
is incomplete or does not say, a version that is missing or not PEP 440's, an object or entry that was lost or changed.

**Complete** is what the compositions of the SBOM say: ``complete`` for the assembly of every component (or, without
references, for the whole document), and nothing else for dependencies. An SBOM that vouches for the dependencies but
not for what each is put together from may miss a vendored copy; so it proves absence only to those who ask with
``absence="dependencies"``. ``absence="silence"`` also takes SBOMs that say nothing about it. Both are your decisions,
not the document's.

Signatures are not verified here: ``signed`` says that a document came in a bundle, and ``verdict`` what the caller of
`add` was told by whoever verified it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from chainlab.archive import queries
from chainlab.archive.entries import Build
from chainlab.archive.files import Files, Problem
from chainlab.archive.index import Index
from chainlab.archive.questions import Question, question

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["Archive", "Build", "Problem"]

TABLES: Final = ("builds", "documents", "components", "edges")
Tell = Callable[[int, int], None]  # hears how many of how many are done


class Archive:
    """One archive directory, made when it does not exist. Any number of processes may use it at once."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self._files = Files(self.directory)
        self._index = Index(self._files)

    # -- putting in

    def add(
        self,
        build: Build,
        documents: Mapping[str, bytes | Sequence[bytes]],
        *,
        verdicts: Mapping[str, str] | None = None,
    ) -> Build:
        """Keep a build's documents, by kind: sbom, mlbom, provenance, vex, summary, signature, …

        Nothing is ever replaced: what is added later to the same build counts beside what was there. Adding the same
        again changes nothing. Raises `OSError`, and then the build is not in the archive.
        """
        self._files.add(build, documents, verdicts or {})
        return build

    def add_all(
        self,
        builds: Iterable[tuple[Build, Mapping[str, bytes | Sequence[bytes]]]],
        *,
        tell: Callable[[int], None] | None = None,
    ) -> int:
        """Keep many builds, and wait for the disk once, at the end; how many.

        After a power cut add them again: what was only half on the disk is seen by its digest, and replaced.
        """
        count = 0
        for build, documents in builds:
            self._files.add(build, documents, {}, durable=False)
            count += 1
            if tell and count % 100 == 0:
                tell(count)
        if os.name == "posix":
            os.sync()
        return count

    def refresh(self, *, tell: Tell | None = None) -> int:
        """Derive what the tables lack, as every question does by itself; how many builds there are."""
        with self._index.open(tell):
            return len(self._index.builds)

    def reindex(self, *, tell: Tell | None = None) -> int:
        """Make the tables anew from entries and objects; how many builds they have."""
        self._index.forget()
        return self.refresh(tell=tell)

    # -- asking

    def where(
        self,
        name: str = "",
        *,
        version: str = "",
        range: str = "",
        digest: str = "",
        purl: str = "",
        every: bool = False,
        absence: str = "complete",
    ) -> pd.DataFrame:
        """Builds that hold a component: by name, by purl or by a file's digest; affected ones first.

        ``version`` is one version, ``range`` a set of them (PEP 440: ``>=1.2,<1.4``). ``digest`` also finds the build
        that made the file. ``every`` adds the builds that are not affected. ``absence``: what an SBOM must say
        of itself to prove that something is not there: complete, dependencies, silence (see above).

        DataFrame: one row per build and component found; columns answer, artifact, version, built_at, component,
        found (its version), purl, scope, document, signed, why, then the build's digest, repository, commit, run,
        builder, build (its id).
        """
        with self._index.open() as connection:
            asked = question(name, version=version, range=range, digest=digest, purl=purl)
            return queries.where(connection, self._index.builds, asked, every, absence)

    def paths(
        self, name: str = "", *, version: str = "", range: str = "", purl: str = "",
        absence: str = "complete",
    ) -> pd.DataFrame:  # fmt: skip
        """How each build comes to hold a component: a shortest way from its subject, however deep.

        As `where`, with columns depth (edges on the way) and path (a list of "name version", the subject first).
        Where the SBOM's graph does not lead there, depth is missing and the path is the component alone.
        """
        asked = question(name, version=version, range=range, purl=purl)
        return self._answer(queries.ways_down, asked, absence)

    def dependents(
        self, name: str = "", *, version: str = "", range: str = "", purl: str = "",
        absence: str = "complete",
    ) -> pd.DataFrame:  # fmt: skip
        """Every component that needs another one, directly or through others, in every build.

        As `paths`, one row for each that needs it; column dependent. Every row has its whole way: a chain of n
        components takes n²/2 names.
        """
        asked = question(name, version=version, range=range, purl=purl)
        return self._answer(queries.ways_up, asked, absence)

    def seen(
        self, name: str = "", *, version: str = "", range: str = "", purl: str = "",
        absence: str = "complete",
    ) -> pd.DataFrame:  # fmt: skip
        """When a component was first and last in a build, by version in PEP 440's order.

        DataFrame: columns answer, component, found, builds, first, first_build, last, last_build; one last row counts
        the builds of which it is unknown.
        """
        asked = question(name, version=version, range=range, purl=purl)
        return self._answer(queries.seen, asked, absence)

    def _answer(
        self,
        query: Callable[[duckdb.DuckDBPyConnection, pd.DataFrame, Question, str], pd.DataFrame],
        asked: Question,
        absence: str,
    ) -> pd.DataFrame:
        with self._index.open() as connection:
            return query(connection, self._index.builds, asked, absence)

    def builds(
        self, *, artifact: str = "", version: str = "", digest: str = "", repository: str = "",
        run: str = "", builder: str = "",
    ) -> pd.DataFrame:  # fmt: skip
        """Builds, oldest first; those that match everything given.

        DataFrame: the build's values, kinds (of its documents), signed (kinds that came in a bundle), unknown (why
        nothing can be said to be absent from it; empty when it can).
        """
        wanted = {"artifact": artifact, "version": version, "digest": digest, "repository": repository,
            "run": run, "builder": builder}  # fmt: skip
        with self._index.open() as connection:
            return queries.builds(connection, self._index.builds, wanted)

    def table(self, name: str) -> pd.DataFrame:
        """All of a table: builds, documents, components or edges; each row has its build's id."""
        if name not in TABLES:
            from chainlab.errors import MalformedInput

            raise MalformedInput(f"there is no table {name!r}", mend=f"one of {', '.join(TABLES)}")
        return self.sql(f"SELECT * FROM {name} ORDER BY ALL")  # noqa: S608 — one of TABLES

    def sql(self, query: str, values: Sequence[Any] = ()) -> pd.DataFrame:
        """What DuckDB answers, asked in SQL of the tables builds, documents, components and edges.

            >>> archive.sql("SELECT licence, count(*) FROM components GROUP BY ALL ORDER BY 2 DESC")

        Raises `MalformedInput` with DuckDB's words.
        """
        with self._index.open() as connection:
            return queries.sql(connection, query, values)

    def read(self, digest: str) -> bytes:
        """A document's bytes. Raises `VerificationFailed` when they are missing or were changed."""
        return self._files.get(digest)

    # -- keeping

    def verify(self, *, tell: Tell | None = None) -> list[Problem]:
        """Everything that is not as it was put in: changed or missing files, documents that nobody can read."""
        return self._files.problems(tell) + self._index.problems()

    def export(self, target: Path | str, *, builds: Collection[str] | None = None) -> int:
        """Copy the archive, or some builds (their ids), to a new folder or a new .zip; how many entries.

        ``SHA256SUMS`` in it lists every file. What is exported is an archive itself; its tables are derived there.
        Raises `VerificationFailed` when a file was changed; then nothing is written.
        """
        return self._files.export(Path(target), builds)

    def close(self) -> None:
        """Let go of the database connection."""
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
