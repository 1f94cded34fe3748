"""Cases for exercise 3.2: small site-packages folders, and the component list that their metadata supports.

A plan says which package needs which, and why: always, under a marker, for an extra. So the edges are known before
anything is written. A lock (PEP 751) names the wheels with their digests. The tags in a package's WHEEL file say which
wheel was installed; a package that was built here comes from none of them.

    >>> plan = Plan(random.Random(1))
    >>> plan.need("app", "acme-web", 'platform_system == "Linux"', holds=False)
    >>> plan.edges
    set()

Core metadata 2.4, "Recording installed projects", PEP 508, PEP 751; CycloneDX 1.6.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from chainlab.course.exercises.fixtures.folders import write_folder
from chainlab.course.learning.checks import Case, LabContext, Miss
from chainlab.course.learning.plain_data import short

__all__ = ["ORIGIN", "Plan", "cases"]

SEE = "labs/03_sbom.ipynb, 'What an installed folder knows'"
TEACHES = {
    "names, versions, edges": (
        "One component for every *.dist-info, one edge for every requirement that is installed. Compare names as PyPI "
        "does it: `canonicalize_name`. A hash is that of the wheel which was installed, from the lock; RECORD and the "
        "installed files are other bytes."
    ),
    "markers": (
        "A requirement with a marker holds or not *there*, in the environment that the folder was made for: "
        "`requirement.marker.evaluate(environment)`. Who leaves the environment out asks about their own machine."
    ),
    "another machine": (
        "The folder was made for another system, and its requirements hold or not there. Every `evaluate` needs "
        '`environment`, the one for extras too: `{**environment, "extra": extra}`.'
    ),
    "extras": (
        "`acme-web[fast]` switches on the requirements of acme-web whose marker has extra == 'fast', and of "
        "nobody else. An extra may ask for another extra of its own package: repeat until nothing is new."
    ),
    "a lock by another tool": (
        "In PEP 751 a wheel's `name` is optional: without it, the file's name is the last part of `url` or `path`. A "
        "package may have no `wheels` at all, such as one that is built from its source."
    ),
    "whose hash is it?": (
        "The hash of a component is the wheel's, and there is no wheel in the folder. RECORD and the installed "
        "files are other bytes. The lock has the digests of all wheels; the tags in WHEEL say which one it was. "
        "If it was none of them, the answer is: not known."
    ),
    "all of it": "Names, markers, extras and hashes; the other cases take them one by one.",
}


ORIGIN = "acme:hash-origin"
# The environment for PEP 508 markers: the machine where the folder was installed, not the one that reads it.
LINUX = {
    "python_version": "3.11",
    "python_full_version": "3.11.9",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "platform_release": "6.1",
    "platform_version": "1",
    "implementation_version": "3.11.9",
}
# Other machines than any reader's: this course asks for a newer Python.
ELSEWHERE = (
    {
        **LINUX,
        "python_version": "3.10",
        "python_full_version": "3.10.11",
        "implementation_version": "3.10.11",
        "sys_platform": "win32",
        "platform_system": "Windows",
        "platform_machine": "AMD64",
        "os_name": "nt",
        "platform_release": "10",
    },
    {
        **LINUX,
        "python_version": "3.9",
        "python_full_version": "3.9.18",
        "implementation_version": "3.9.18",
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "platform_machine": "arm64",
    },
)
NATIVE = ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-macosx_11_0_arm64", "cp311-cp311-win_amd64")
WORDS = ["web", "tables", "fonts", "queues", "codecs", "colours", "graphs", "clocks", "units", "paths"]


class Plan:
    """Packages, what each needs, and the files that the lock names."""

    def __init__(self, rng: random.Random, *, by_url: bool = False) -> None:
        self._rng = rng
        self._by_url = by_url  # the lock names its files by their URL alone
        self._needs: dict[str, list[str]] = {}
        self._versions: dict[str, str] = {}
        self._tags: dict[str, list[str]] = {}
        self._files: dict[str, list[tuple[str, str]]] = {}  # name to file name and digest
        self.edges: set[tuple[str, str]] = set()
        self.hashes: dict[str, str | None] = {}
        self.package("app")

    def package(self, name: str, kind: str = "pure") -> str:
        """Add a package; returns its name.

        It comes from a wheel for all machines (``pure``, ``both``) or for this one (``native``), or was built here: for
        ``source`` the lock has no wheel, for ``local`` one that was not used.
        """
        version = f"{self._rng.randrange(4)}.{self._rng.randrange(12)}.{self._rng.randrange(5)}"
        self._needs[name], self._versions[name] = [], version
        stem = f"{name.replace('-', '_')}-{version}"
        suffixes = {"pure": ["py3-none-any"], "both": ["py2.py3-none-any"], "local": ["py3-none-any"]}
        suffixes["source"] = []
        files = [(f"{stem}-{s}.whl", self._rng.randbytes(32).hex()) for s in suffixes.get(kind, NATIVE)]
        self._tags[name] = {
            "pure": ["py3-none-any"],
            "both": ["py2-none-any", "py3-none-any"],
            "native": [NATIVE[0]],
            "local": ["cp311-cp311-linux_x86_64"],
            "source": ["py3-none-any"],
        }[kind]
        self.hashes[name] = None if kind in ("local", "source") or name == "app" else files[0][1]
        self._rng.shuffle(files)
        self._files[name] = files
        return name

    def need(self, name: str, other: str, marker: str = "", *, holds: bool = True) -> None:
        """Let ``name`` require ``other``, perhaps with extras in brackets; ``holds`` says whether that applies."""
        self._needs[name].append(f"{other} ; {marker}" if marker else other)
        if holds:
            to = other.partition("[")[0].partition(">")[0].strip()
            if canonicalize_name(to) != name:  # for an extra that asks for another of its own
                self.edges.add((name, canonicalize_name(to)))

    def write(self, place: Path) -> tuple[Path, Path]:
        """Write the site-packages folder and the lock somewhere below a place."""
        contents: dict[str, str] = {}
        for name, needs in self._needs.items():
            version, module = self._versions[name], name.replace("-", "_")
            info = f"{module}-{version}.dist-info"
            shown = self._rng.choice([name, name.title(), module])
            lines = ["Metadata-Version: 2.4", f"Name: {shown}", f"Version: {version}"]
            lines += [f"Requires-Dist: {need}" for need in needs]
            tags = "".join(f"Tag: {tag}\n" for tag in self._tags[name])
            files = {
                f"{module}.py": f"# {name} {self._rng.randrange(10**6)}\n",
                f"{info}/METADATA": "\n".join(lines) + "\n",
                f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n{tags}",
            }
            rows = [f"{path},sha256={_urlsafe(text)},{len(text)}" for path, text in files.items()]
            files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
            contents |= {f"site-packages/{path}": text for path, text in files.items()}
        lock = 'lock-version = "1.0"\ncreated-by = "chainlab"\n'
        for name in sorted(self._files.keys() - {"app"}):
            lock += f'\n[[packages]]\nname = "{name}"\nversion = "{self._versions[name]}"\n'
            if self._files[name]:
                wheels = ",\n".join(self._wheel(name, *file) for file in self._files[name])
                lock += f"wheels = [\n{wheels},\n]\n"
        written = write_folder(place, "site", {**contents, "pylock.toml": lock})
        return written / "site-packages", written / "pylock.toml"

    def _wheel(self, name: str, file: str, digest: str) -> str:
        """Write a wheel's entry of the lock."""
        place = f'name = "{file}"'
        if self._by_url:
            place = self._rng.choice(
                [f'url = "https://files.example/packages/{digest[:4]}/{file}"', f'path = "wheels/{file}"']
            )
        return f'  {{{place}, hashes = {{sha256 = "{digest}"}}}}'

    def accepts(self) -> Callable[[Any], bool | Miss]:
        """Accept a CycloneDX document that says what the plan says."""
        purls = {name: f"pkg:pypi/{name}@{version}" for name, version in self._versions.items()}

        def accept(document: Any) -> bool | Miss:
            if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
                return Miss("expected a CycloneDX document as a dict: `as_json(bom)`")
            listed = {c.get("purl"): c for c in document.get("components", [])}
            for kind, odd in (
                ("missing", purls.values() - listed.keys()),
                ("nothing of that name and version is installed", listed.keys() - purls.values()),
            ):
                if odd:
                    return Miss(f"{kind}: {short(sorted(map(str, odd)), 90)}")
            refs = {c.get("bom-ref"): purl for purl, c in listed.items()}
            listed_edges = {
                (refs.get(entry["ref"]), refs.get(to))
                for entry in document.get("dependencies", [])
                for to in entry.get("dependsOn", [])
            }
            if wrong := _edge_miss(listed_edges, {(purls[a], purls[b]) for a, b in self.edges}):
                return Miss(f"edges: {wrong}")
            for name, digest in self.hashes.items():
                if wrong := _hash_miss(listed[purls[name]], digest):
                    return Miss(f"{name}: {wrong}")
            return True

        return accept


def _edge_miss(listed: set[tuple[Any, Any]], edges: set[tuple[str, str]]) -> str:
    """Say what is wrong with the edges that a document lists, purl to purl; empty when nothing is."""
    if own := sorted(str(a) for a, b in listed if a == b):
        return f"{own[0]} leads to itself; an extra of its own is no edge"
    if listed == edges:
        return ""
    missing, invented = edges - listed, listed - edges
    one = min(missing or invented, key=str)
    return f"{len(missing or invented)} {'missing' if missing else 'not so'}, such as {one[0]} -> {one[1]}"


def _hash_miss(component: dict[str, Any], digest: str | None) -> str:
    digests = {h.get("content") for h in component.get("hashes", []) if h.get("alg") == "SHA-256"}
    origin = {p.get("value") for p in component.get("properties", []) if p.get("name") == ORIGIN}
    if digest is None:
        return "a hash, though no file of the lock was installed" if digests or component.get("hashes") else ""
    if digests != {digest}:
        return "no hash, though the lock has the file" if not digests else "a hash that is not the installed wheel's"
    return "" if origin == {"lock"} else f"the property {ORIGIN} is to say 'lock'"


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Write folders whose requirements and files ask different things of their reader."""

    def case(name: str, plan: Plan, environment: Mapping[str, str] = LINUX) -> Case:
        site, lock = plan.write(lab.path)
        return Case(name, (site, lock, dict(environment)), None, accept=plan.accepts())

    yield case("names, versions, edges", _names_and_edges(rng))
    yield case("markers", _markers(rng))
    elsewhere = rng.choice(ELSEWHERE)
    yield case("another machine", _another_machine(rng, elsewhere), elsewhere)
    yield case("extras", _extras(rng))
    yield case("whose hash is it?", _wheels(rng, ["native", "both", "local", "native"]))
    yield case("a lock by another tool", _wheels_by_url(rng, ["native", "source", "both"]))
    yield case("all of it", _all(rng))


def _plan(rng: random.Random, count: int, *, by_url: bool = False) -> tuple[Plan, list[str]]:
    """Make a plan in which the application needs ``count`` packages; gives also their names."""
    plan = Plan(rng, by_url=by_url)
    names = [plan.package(f"acme-{word}") for word in rng.sample(WORDS, count)]
    for name in names:
        plan.need("app", f"{name}>=0" if rng.random() < 0.5 else name)
    return plan, names


def _names_and_edges(rng: random.Random) -> Plan:
    plan, names = _plan(rng, 3)
    plan.need(names[0], names[1].title().replace("-", "_"))
    plan.need(names[1], "acme-absent", holds=False)  # asked for, and not installed
    return plan


def _markers(rng: random.Random) -> Plan:
    plan, names = _plan(rng, 4)
    plan.need(names[0], names[1], 'python_version < "3.9"', holds=False)
    plan.need(names[0], names[2], 'sys_platform == "linux" and python_version >= "3.9"')
    plan.need(names[1], names[3], 'platform_system == "Windows"', holds=False)
    plan.need(names[2], "acme-absent", 'implementation_name == "pypy"', holds=False)
    return plan


def _another_machine(rng: random.Random, machine: Mapping[str, str]) -> Plan:
    plan, names = _plan(rng, 5)
    plan.need(names[0], names[1], 'python_version < "3.11"')
    plan.need(names[0], names[2], 'python_version >= "3.11"', holds=False)
    plan.need(names[1], names[3], f'sys_platform == "{machine["sys_platform"]}"')
    plan.need("app", f"{names[3]}[fast]")
    plan.need(names[3], names[4], 'extra == "fast" and python_version < "3.11"')
    plan.need(names[3], names[0], 'extra == "fast" and sys_platform == "linux"', holds=False)
    return plan


def _extras(rng: random.Random) -> Plan:
    plan, names = _plan(rng, 5)
    plan.need("app", f"{names[0]}[fast]")
    plan.need(names[0], names[1], 'extra == "fast"')
    plan.need(names[0], names[2], 'extra == "docs"', holds=False)
    plan.need(names[1], f"{names[3]}[all]")
    plan.need(names[3], f"{names[3]}[deep]", 'extra == "all"')
    plan.need(names[3], names[4], 'extra == "deep"')
    plan.need(names[4], names[2], 'extra == "fast"', holds=False)
    return plan


def _wheels(rng: random.Random, kinds: list[str]) -> Plan:
    plan, names = _plan(rng, 2)
    for number, kind in enumerate(kinds):
        plan.need(names[0], plan.package(f"acme-{kind}-{number}", kind))
    return plan


def _wheels_by_url(rng: random.Random, kinds: list[str]) -> Plan:
    plan, names = _plan(rng, 2, by_url=True)
    for number, kind in enumerate(kinds):
        plan.need(names[1], plan.package(f"acme-{kind}-{number}", kind))
    return plan


def _all(rng: random.Random) -> Plan:
    plan, names = _plan(rng, 4)
    plan.need("app", f"{names[2]}[fast]")
    plan.need(names[2], plan.package("acme-plot", rng.choice(["native", "local"])), 'extra == "fast"')
    plan.need(names[2], names[3], 'extra == "slow" or python_version < "3"', holds=False)
    plan.need(names[3], names[0], 'os_name == "posix"')
    for number in range(1, 4):  # extras that ask for each other in turn: two rounds are not enough
        plan.need(names[0], f"{names[1]}[all{number}]", f'extra == "all{number}"')
        plan.need(names[1], f"{names[0]}[all{number + 1}]", f'extra == "all{number}"')
    plan.need(names[2], f"{names[0]}[all1]", 'extra == "fast"')
    plan.need(names[0], plan.package("acme-deep"), 'extra == "all4"')
    return plan


def _urlsafe(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
