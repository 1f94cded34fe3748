"""Times the archive beside pandas and a scan of the documents, in one run: ``make bench``.

Adds 2,000 SBOMs of 300 components, derives the index, then asks. Aims: membership in less than 50 ms, the way to a
component in less than 1 s. Prints one line per figure: name, median, spread (5th to 95th percentile), unit, how it was
taken.

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
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from figures import report, rows, seconds, times
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from chainlab.archive import Archive, Build
from chainlab.digests import Digest

ARTIFACTS = 40  # that the builds are spread over
PACKAGES = 3_000  # that they choose from, by popularity
SCANNED = 500  # documents of the JSON scan, at most; the figure is for all, in proportion
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
            digest = Digest.of(f"{name} 1.{number}".encode())
            text = (
                '{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"timestamp":"'
                f'{at.isoformat()}","component":{{"bom-ref":"root","type":"application","name":"{name}",'
                f'"version":"1.{number}","hashes":[{{"alg":"SHA-256","content":"{digest.value.hex()}"}}]}}}},'
                f'"components":[{",".join(parts)}],"dependencies":[{{"ref":"root","dependsOn":[{top}]}},{depends}],"compositions":[{{"aggregate":"complete"}}]}}'
            ).encode()
            build = Build(
                name, f"1.{number}", digest, f"acme/{name}", run=f"{artifact}-{number}",
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


def pandas_ways(frames: dict[str, pd.DataFrame], name: str, version: str) -> int:
    """Builds whose subject reaches it, with the path, by pandas and a queue for each build."""
    components = frames["components"]
    hit = components[(components["name"] == name) & (components["version"] == version)]
    edges = frames["edges"][frames["edges"]["build"].isin(hit["build"])]
    above: dict[tuple[int, int], list[int]] = {}
    for d, child, parent in zip(edges["build"], edges["child"], edges["parent"], strict=True):
        above.setdefault((d, child), []).append(parent)
    labels = components[components["build"].isin(hit["build"])].set_index(["build", "node"])["title"].to_dict()
    ways = []
    for d, start in zip(hit["build"], hit["node"], strict=True):
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=2_000)
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
    if not (folder / "entries").exists():
        stored, documents = 0.0, made(builds, components)
        for build, document in documents:
            taken, _ = seconds(partial(archive.add, build, document))
            stored += taken
        report("add", [builds / stored], "SBOMs/s", f"{builds} builds, each on the disk; their making not counted")
        derived, _ = seconds(archive.builds)
        report("derive the index", [builds / derived], "SBOMs/s", f"{derived:.0f} s; JSON to SQLite")
    size = (folder / "tables" / "index.sqlite").stat().st_size
    frames = {name: archive.table(name) for name in ("components", "edges")}
    report("index", [size / 2**20], "MB", f"{len(frames['components'])} components, {len(frames['edges'])} edges")
    name, version, wanted = "package-900", versions(900)[3], "<0.2"
    digest = Digest.of(f"{name} {version}".encode())
    few = len(archive.where(name, version=version))
    assert len(archive.where(digest=str(digest))) == few

    def cold() -> None:
        with Archive(folder) as other:
            other.where(name, version=version)

    report("open and first question", times(cold, 5), "ms", "reads the index, and its checksum")
    questions: dict[str, dict[str, Any]] = {
        "membership, one version": {"name": name, "version": version},
        "membership, PEP 440 range": {"name": name, "range": wanted},
        "membership, in most builds": {"name": "package-0"},
        "membership, purl": {"purl": f"pkg:pypi/{name}@{version}"},
        "membership, digest": {"digest": str(digest)},
        "absent everywhere": {"name": "no-such-package"},
    }
    for label, asked in questions.items():
        count = len(archive.where(**asked))
        report(label, times(partial(archive.where, **asked), 20), "ms", f"{count} of {builds} builds")
    ways = archive.paths(name, version=version)
    linked = int(ways["depth"].notna().sum())
    report("the way to it", times(lambda: archive.paths(name, version=version), 10), "ms",
        f"{few} builds, depth up to {ways['depth'].max()}")  # fmt: skip
    many = len(archive.paths("package-0"))
    report("the way to it, in most builds", times(lambda: archive.paths("package-0"), 5), "ms", f"{many} builds")
    report("first and last seen", times(lambda: archive.seen(name), 5), "ms", "all versions of one package")
    with_pandas(frames, name, version, few, linked)
    paths = sorted((folder / "objects").glob("sha256/*/*"))
    part = paths[:: max(1, len(paths) // SCANNED)]
    taken, _ = seconds(lambda: scan(part, name, SpecifierSet(wanted)))
    report("JSON scan, one version range", [taken * 1000 * len(paths) / len(part)], "ms",
        f"from {len(part)} of {len(paths)} documents")  # fmt: skip
    one = next(made(ARTIFACTS, components))
    fresh = []
    for number in range(5):
        archive.add(Build(f"fresh-{number}", "1", one[0].digest, built_at=START), one[1])
        fresh.append(seconds(lambda: archive.where(name, version=version))[0] * 1000)
    report("question after one more build", fresh, "ms", "derives its rows, writes the index, answers")
    archive.close()


def with_pandas(frames: dict[str, pd.DataFrame], name: str, version: str, few: int, linked: int) -> None:
    """The same tables in pandas' memory."""
    components = frames["components"]

    def membership() -> int:
        return int(((components["name"] == name) & (components["version"] == version)).sum())

    assert membership() == few
    report("pandas: membership, one version", times(membership, 3), "ms", "already in memory")
    assert pandas_ways(frames, name, version) == linked
    report("pandas: the way to it", times(lambda: pandas_ways(frames, name, version), 1, 0), "ms",
        "already in memory; a queue for each build")  # fmt: skip


if __name__ == "__main__":
    main()
