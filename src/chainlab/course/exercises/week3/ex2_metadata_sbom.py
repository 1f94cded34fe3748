"""Cases for exercise 3.2: small site-packages folders, and the component list that their metadata supports.

A plan says which package needs which, and why: always, under a marker, for an extra (`fixtures.site_plans`).

Core metadata 2.4, "Recording installed projects", PEP 508, PEP 751; CycloneDX 1.6.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from chainlab.course.cases import Case, LabContext
from chainlab.course.exercises.fixtures.site_plans import Plan

__all__ = ["cases"]

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
WORDS = ["web", "tables", "fonts", "queues", "codecs", "colours", "graphs", "clocks", "units", "paths"]


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
