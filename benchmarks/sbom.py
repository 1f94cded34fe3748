"""How long bills of materials take, beside `cyclonedx-py` and cyclonedx-python-lib.

First the bill of one environment (by default the one this runs in), each tool as a person starts it, a process each:
ours with the hashes from the lock, theirs without hashes. Then a document of many components in one process, built,
written and validated: ours, and the library's model with its own strict validator. By turns; medians. Seconds, wall
clock.

    make bench        .venv/bin/python benchmarks/sbom.py --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import seconds

from chainlab.evidence.components import Component, purl_of
from chainlab.evidence.sbom import builder, cyclonedx
from chainlab.evidence.sbom.schema import problems

ROOT = Path(__file__).parents[1]
AT = datetime(2026, 5, 11, tzinfo=UTC)


def process(words: list[str], out: Path) -> dict[str, Any]:
    subprocess.run(words, check=True, capture_output=True)
    return dict(json.loads(out.read_bytes()))


def described(document: dict[str, Any]) -> str:
    parts = cyclonedx.read(document).components
    hashed = sum(bool(c.hashes or c.accepted) for c in parts)
    edges = sum(len(d.get("dependsOn", [])) for d in document["dependencies"])
    return f"{len(parts)} components, {hashed} with hashes, {edges} edges"


def environment(rounds: int, folder: Path, home: Path, lock: Path) -> None:
    ours, theirs = folder / "ours.json", folder / "theirs.json"
    ours_said = ["chainlab", "sbom", "build", str(home), "--lock", str(lock), "--out", str(ours)]
    theirs_said = ["cyclonedx_py", "environment", str(home), "--of", "JSON", "-o", str(theirs)]
    commands = {
        "chainlab sbom build": ([sys.executable, "-m", *ours_said], ours),
        "cyclonedx-py environment": ([sys.executable, "-m", *theirs_said], theirs),
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    found: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for name, (words, out) in commands.items():
            spent, found[name] = seconds(lambda words=words, out=out: process(words, out))  # type: ignore[misc]
            taken[name].append(spent)
    ours_seen, theirs_seen = (
        {(c.name, c.version) for c in cyclonedx.read(document).components} for document in found.values()
    )
    first, second = (statistics.median(times) for times in taken.values())
    print(f"one environment, {rounds} rounds")
    for name, times in taken.items():
        print(f"  {name:<26} {statistics.median(times):7.2f} s   {described(found[name])}")
    print(f"  {second / first:.0f} times as fast; same names and versions: {ours_seen == theirs_seen}")


def by_us(parts: list[Component]) -> bool:
    top = Component("whole", "1", requires=(parts[0].ref,), type="application")
    document = builder.document(parts, subject=top, at=AT)
    return len(builder.dump(document)) > 0 and problems(document) == []


def by_library(parts: list[Component]) -> bool:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component as Part
    from cyclonedx.model.component import ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.model.license import DisjunctiveLicense
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL

    bom = Bom()
    bom.metadata.component = Part(name="whole", version="1", type=ComponentType.APPLICATION)
    refs = {}
    for part in parts:
        made = Part(
            name=part.name,
            version=part.version,
            bom_ref=part.ref,
            purl=PackageURL.from_string(part.purl),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.hashes["SHA-256"])],
            licenses=[DisjunctiveLicense(id="MIT")],
        )
        bom.components.add(made)
        refs[part.ref] = made.bom_ref
    for part in parts:
        needs = [Dependency(refs[ref]) for ref in part.requires]
        bom.dependencies.add(Dependency(refs[part.ref], needs))
    bom.dependencies.add(Dependency(bom.metadata.component.bom_ref, [Dependency(refs[parts[0].ref])]))
    text = JsonV1Dot6(bom).output_as_string()
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def many(rounds: int, count: int) -> None:
    refs = [purl_of(f"package-{i:05}", "1.0") for i in range(count)]
    parts = [
        Component(
            f"package-{i:05}", "1.0", refs[i], hashes={"SHA-256": f"{i:064x}"}, hash_origin="lock",
            licence="MIT", supplier="acme", requires=tuple(refs[i + 1 : i + 4]), complete=True,
        )
        for i in range(count)
    ]  # fmt: skip
    ours = [seconds(lambda: by_us(parts)) for _ in range(rounds)]
    spent, valid = seconds(lambda: by_library(parts))
    print(f"build, write and validate {count:,} components, {rounds} rounds (the library: one)")
    middle = statistics.median(s for s, _ in ours)
    print(f"  chainlab.evidence          {middle:7.2f} s   valid: {all(v for _, v in ours)}")
    print(f"  cyclonedx-python-lib       {spent:7.2f} s   valid: {valid}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--components", type=int, default=3000)
    parser.add_argument("--environment", type=Path, default=Path(sys.prefix))
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements.lock")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment(args.rounds, Path(folder), args.environment, args.lock)
    many(args.rounds, args.components)


if __name__ == "__main__":
    main()
