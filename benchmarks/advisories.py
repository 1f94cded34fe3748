"""Matching with advisories, measured: an index by name beside reading every record for every component.

    python benchmarks/advisories.py

10,000 components against 2,700 generated OSV records, in one run; both must find the same. The naive way is measured
on a part of the components and scaled, because all of them take long.
"""

from __future__ import annotations

import json
import random
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from chainlab.evidence.advisories import Advisories, load
from chainlab.evidence.packages.purls import package_of
from chainlab.evidence.vulnerabilities import Vulnerability, match

COMPONENTS, RECORDS, NAMED = 10_000, 2_700, 1_200  # NAMED: packages that records are about
PART = 500  # components of the naive way
ROUNDS = 5


def version(chance: random.Random) -> str:
    return f"{chance.randrange(6)}.{chance.randrange(30)}.{chance.randrange(12)}"


def record(number: int, chance: random.Random) -> dict[str, Any]:
    first, second = sorted((version(chance) for _ in range(2)), key=lambda v: [*map(int, v.split("."))])
    return {
        "id": f"ACME-2026-{number:04}",
        "modified": "2026-01-01T00:00:00Z",
        "aliases": [f"NWSA-2026-{number // 2:04}"] if number % 3 == 0 else [],
        "severity": [
            {
                "type": "CVSS_V4",
                "score": f"CVSS:4.0/AV:N/AC:L/AT:N/PR:{pr}/UI:N/VC:{v}/VI:{v}/VA:H/SC:N/SI:N/SA:N",
            }
            for pr, v in ((chance.choice("NLH"), chance.choice("NLH")),)
        ],
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": f"northwind-{chance.randrange(NAMED)}"},
                "ranges": [
                    {
                        "type": "ECOSYSTEM",
                        "events": [{"introduced": chance.choice(["0", first])}, {"fixed": second}],
                    }
                ],
                "versions": [version(chance) for _ in range(chance.randrange(20))],
            }
        ],
    }


def naively(components: list[dict[str, str]], known: Advisories) -> list[Vulnerability]:
    """Every record is looked at for every component, and its name compared."""
    found = []
    for component in components:
        named = tuple(
            each
            for each in known.records
            if any(entry.package == package_of(component["purl"]) for entry in each.affected)
        )
        found += match([component], replace(known, records=named))
    return found


def main() -> None:
    chance = random.Random(4)
    components = [
        {"name": name, "version": at, "purl": f"pkg:pypi/{name}@{at}"}
        for name, at in ((f"northwind-{chance.randrange(4 * NAMED)}", version(chance)) for _ in range(COMPONENTS))
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder, "all.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(RECORDS):
                archive.writestr(f"ACME-{number}.json", json.dumps(record(number, chance)))
        began = time.perf_counter()
        known = load(path)
        loaded = time.perf_counter() - began
    began = time.perf_counter()
    match(components, known)
    cold = time.perf_counter() - began
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = match(components, known)
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    slow = naively(components[:PART], known)
    naive = time.perf_counter() - began
    assert slow == match(components[:PART], known)
    print(f"{COMPONENTS:,} components, {len(known.records):,} records, {len(found):,} vulnerabilities")
    print(f"load the zip, strictly        {loaded:8.3f} s")
    print(f"match, index by name, first   {cold:8.3f} s")
    print(f"match, index by name, median  {median(times):8.3f} s   (aim: < 0.1 s)")
    print(f"match, every record           {naive * COMPONENTS / PART:8.1f} s   (scaled from {PART} components)")


if __name__ == "__main__":
    main()
