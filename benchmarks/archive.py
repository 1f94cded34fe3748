"""Times the archive beside pandas and a scan of the documents, in one run: ``make bench``.

Writes 20,000 SBOMs of 300 components through the archive's batch path, derives the tables, then asks. Prints one line
per figure: name, median, spread (5th to 95th percentile), unit, how it was taken.

    python benchmarks/archive.py [--builds N] [--components N] [--directory DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psutil
from figures import report, rows, times
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from chainlab.archive import Archive, Build
from chainlab.digests import Digest

ARTIFACTS = 400  # that the builds are spread over
PACKAGES = 3_000  # that they choose from, by popularity
SCANNED = 1_000  # documents of the JSON scan, at most; the figure is for all, in proportion
START = datetime(2025, 1, 1, tzinfo=UTC)


def versions(package: int) -> list[str]:
    """Twelve, also such that do not sort as text."""
    return [f"{package % 4}.{minor}.0" for minor in range(12)]


def made(builds: int, components: int) -> Iterator[tuple[Build, dict[str, bytes]]]:
    """Builds over eighteen months: each artifact keeps its packages and moves to newer versions."""
    draw = random.Random(4)
    weights = [1 / (rank + 20) for rank in range(PACKAGES)]
    texts: dict[tuple[int, str], str] = {}
    for artifact in range(ARTIFACTS):
        chosen = list(dict.fromkeys(draw.choices(range(PACKAGES), weights, k=components * 3)))
        chosen = chosen[:components]
        draw.shuffle(chosen)
        # Each is needed by two or so that come before it; now and then by a later one: cycles.
        needs: list[set[int]] = [set() for _ in chosen]
        for place in range(1, len(chosen)):
            for _ in range(2):
                needs[draw.randint(max(0, place - 60), place - 1)].add(place)
            if draw.random() < 0.02:
                needs[draw.randrange(len(chosen))].add(place)
        depends = ",".join(
            json.dumps({"ref": f"p{chosen[i]}", "dependsOn": [f"p{chosen[j]}" for j in sorted(to)]})
            for i, to in enumerate(needs)
        )
        top = ",".join(f'"p{package}"' for package in chosen[:12])
        count = len(range(artifact, builds, ARTIFACTS))
        for number in range(count):
            at = START + timedelta(minutes=(artifact + number * ARTIFACTS) * 39)
            parts = []
            for place, package in enumerate(chosen):
                version = versions(package)[(number * 10 // max(count, 1) + place) % 12]
                if (package, version) not in texts:
                    texts[package, version] = component(package, version)
                parts.append(texts[package, version])
            name = f"service-{artifact}"
            text = (
                '{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"timestamp":"'
                f'{at.isoformat()}","component":{{"bom-ref":"root","type":"application","name":"{name}",'
                f'"version":"1.{number}"}}}},"components":[{",".join(parts)}],"dependencies":[{{"ref":"root",'
                f'"dependsOn":[{top}]}},{depends}],"compositions":[{{"aggregate":"complete"}}]}}'
            ).encode()
            build = Build(
                name, f"1.{number}", Digest.of(text), f"acme/{name}", run=f"{artifact}-{number}",
                builder="https://git.chainlab.localhost/runner", built_at=at,
            )  # fmt: skip
            yield build, {"sbom": text}


def component(package: int, version: str) -> str:
    name = f"package-{package}"
    return json.dumps({
        "bom-ref": f"p{package}", "type": "library", "name": name, "version": version,
        "purl": f"pkg:pypi/{name}@{version}", "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": Digest.of(f"{name} {version}".encode()).value.hex()}],
        "licenses": [{"license": {"id": ("MIT", "Apache-2.0", "BSD-3-Clause")[package % 3]}}],
        "supplier": {"name": f"owner-{package % 200}"},
    }, separators=(",", ":"))  # fmt: skip


def scan(paths: list[Path], name: str, wanted: SpecifierSet) -> int:
    """How many documents hold it, by reading them all."""
    found = 0
    for path in paths:
        document = json.loads(path.read_bytes())
        found += any(c["name"] == name and wanted.contains(Version(c["version"])) for c in document["components"])
    return found


def pandas_ways(frames: dict[str, Any], name: str, version: str) -> int:
    """Builds whose subject reaches it, with the path, by pandas and a queue for each build."""
    components = frames["components"]
    hit = components[(components["name"] == name) & (components["version"] == version)]
    edges = frames["edges"][frames["edges"]["d"].isin(hit["d"])]
    above: dict[tuple[int, int], list[int]] = {}
    for d, child, parent in zip(edges["d"], edges["child"], edges["parent"], strict=True):
        above.setdefault((d, child), []).append(parent)
    labels = components[components["d"].isin(hit["d"])].set_index(["d", "node"])["title"].to_dict()
    ways = []
    for d, start in zip(hit["d"], hit["node"], strict=True):
        towards, queue = {start: start}, deque([start])
        while queue and 0 not in towards:
            node = queue.popleft()
            for parent in above.get((d, node), ()):
                if parent not in towards:
                    towards[parent] = node
                    queue.append(parent)
        if 0 in towards:
            node, way = 0, [labels[d, 0]]
            while towards[node] != node:
                node = towards[node]
                way.append(labels[d, node])
            ways.append(way)
    return len(ways)


RECURSIVE = """
WITH RECURSIVE hits AS MATERIALIZED (
  SELECT s, d, node FROM _components WHERE name = $1 AND version = $2
), near AS MATERIALIZED (
  SELECT s, d, child, parent FROM _edges SEMI JOIN hits USING (s, d)
), reach(s, d, node, way) USING KEY (s, d, node) AS (
  SELECT s, d, node, [node] FROM hits
  UNION
  SELECT near.s, near.d, near.parent, [near.parent] || reach.way
  FROM reach JOIN near ON near.s = reach.s AND near.d = reach.d AND near.child = reach.node
  LEFT JOIN recurring.reach AS old ON old.s = near.s AND old.d = near.d AND old.node = near.parent
  WHERE old.node IS NULL
)
SELECT count(*) FROM reach WHERE node = 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=20_000)
    parser.add_argument("--components", type=int, default=300)
    parser.add_argument("--directory", type=Path, help="keep the archive here (default: temporary)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        measure(options.directory or Path(temporary) / "archive", options.builds, options.components)
    print(f"all of it took {time.perf_counter() - begin:.0f} s; peak memory "
          f"{psutil.Process().memory_info().rss / 2**20:.0f} MB now")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({"machine": platform.platform(), "rows": rows}, indent=1))


def measure(folder: Path, builds: int, components: int) -> None:
    archive = Archive(folder)
    if not (folder / "entries").exists() or not any((folder / "entries").iterdir()):
        generated = [0.0]

        def timed() -> Iterator[tuple[Build, dict[str, bytes]]]:
            documents = made(builds, components)
            while True:
                start = time.perf_counter()
                one = next(documents, None)
                generated[0] += time.perf_counter() - start
                if one is None:
                    return
                yield one

        begin = time.perf_counter()
        archive.add_all(timed())
        stored = time.perf_counter() - begin - generated[0]
        report(
            "store",
            [builds / stored],
            "SBOMs/s",
            f"add_all, {builds} builds, documents' making not counted",
        )
        begin = time.perf_counter()
        archive.builds(run="-")
        derived = time.perf_counter() - begin
        report(
            "derive the tables",
            [builds / derived],
            "SBOMs/s",
            f"{derived:.0f} s; JSON to five Parquet tables",
        )
        report("ingest", [builds / (stored + derived)], "SBOMs/s", "both")
    size = sum(path.stat().st_size for path in folder.glob("tables/*/*.parquet"))
    counts = [archive.sql(f"SELECT count(*) AS n FROM _{t}")["n"][0] for t in ("components", "edges")]
    report("tables", [size / 2**20], "MB", f"{counts[0]} components, {counts[1]} edges")
    name, version, wanted = "package-900", versions(900)[3], "<0.2"

    def cold() -> None:
        with Archive(folder) as other:
            other.where(name, version=version)

    report(
        "open and first question",
        times(cold, 5),
        "ms",
        "a fresh connection; digests of the tables checked",
    )
    few = len(archive.where(name, version=version))
    report(
        "membership, one version",
        times(lambda: archive.where(name, version=version), 30),
        "ms",
        f"{few} builds",
    )
    some = len(archive.where(name, range=wanted))
    report(
        "membership, PEP 440 range",
        times(lambda: archive.where(name, range=wanted), 30),
        "ms",
        f"{some} builds",
    )
    many = len(archive.where("package-0"))
    report(
        "membership, in most builds",
        times(lambda: archive.where("package-0"), 5),
        "ms",
        f"{many} builds",
    )
    purl = f"pkg:pypi/{name}@{version}"
    report("membership, purl", times(lambda: archive.where(purl=purl), 10), "ms", f"{few} builds")
    digest = Digest.of(f"{name} {version}".encode())
    assert len(archive.where(digest=str(digest))) == few
    report(
        "membership, digest",
        times(lambda: archive.where(digest=str(digest)), 10),
        "ms",
        f"{few} builds",
    )
    report("absent everywhere", times(lambda: archive.where("no-such-package"), 10), "ms", "0 builds")
    ways = archive.paths(name, version=version)
    linked = int(ways["depth"].notna().sum())
    report("transitive with path", times(lambda: archive.paths(name, version=version), 10), "ms",
        f"{few} builds, depth up to {ways['depth'].max()}; the documents' trees + names")  # fmt: skip
    everyone = archive.dependents(name, version=version)
    report("all dependents with path", times(lambda: archive.dependents(name, version=version), 3), "ms",
        f"{len(everyone)} dependents")  # fmt: skip
    report(
        "first and last seen",
        times(lambda: archive.seen(name), 5),
        "ms",
        "all versions of one package",
    )
    report(
        "transitive, in most builds",
        times(lambda: archive.paths("package-0"), 5),
        "ms",
        f"{many} builds; the documents' trees + names",
    )

    def recursive() -> int:
        return int(archive.sql(RECURSIVE, [name, version]).iloc[0, 0])

    try:
        assert recursive() == linked, (recursive(), linked)
        report("the same by USING KEY", times(recursive, 3), "ms", "recursive CTE over the same tables")
    except (duckdb.Error, ValueError) as error:
        print(f"USING KEY: {error}")

    one = next(iter(made(ARTIFACTS, components)))
    fresh = []
    for number in range(5):
        build = Build(f"fresh-{number}", "1", Digest.of(bytes([number])), built_at=START)
        archive.add(build, one[1])
        begin = time.perf_counter()
        archive.where(name, version=version)
        fresh.append((time.perf_counter() - begin) * 1000)
    report("question after one more build", fresh, "ms", "derives its rows, opens them, answers")
    with_pandas(folder, name, version, few, linked)
    paths = sorted((folder / "objects").glob("sha256/*/*"))
    part = paths[:: max(1, len(paths) // SCANNED)]
    begin = time.perf_counter()
    scan(part, name, SpecifierSet(wanted))
    taken = (time.perf_counter() - begin) * len(paths) / len(part)
    report(
        "JSON scan, one version range",
        [taken * 1000],
        "ms",
        f"from {len(part)} of {len(paths)} documents",
    )


def with_pandas(folder: Path, name: str, version: str, few: int, linked: int) -> None:
    """The same tables in pandas' memory."""
    largest = max((folder / "tables").glob("*/components.parquet"), key=lambda p: p.stat().st_size)
    begin = time.perf_counter()
    with duckdb.connect() as connection:
        frames = {
            "components": connection.execute(f"SELECT d, node, name, title, version FROM '{largest}'").df(),
            "edges": connection.execute(f"SELECT * FROM '{largest.with_name('edges.parquet')}'").df(),
        }
    report("pandas: load", [(time.perf_counter() - begin) * 1000], "ms",
        f"{len(frames['components'])} components; five columns of them")  # fmt: skip
    components = frames["components"]

    def membership() -> int:
        return int(((components["name"] == name) & (components["version"] == version)).sum())

    print(f"pandas finds {membership()} of {few}")
    report("pandas: membership, one version", times(membership, 3), "ms", "already in memory")
    print(f"pandas links {pandas_ways(frames, name, version)} of {linked}")
    report("pandas: transitive with path", times(lambda: pandas_ways(frames, name, version), 1, 0), "ms",
        "already in memory; a queue for each build")  # fmt: skip


if __name__ == "__main__":
    main()
