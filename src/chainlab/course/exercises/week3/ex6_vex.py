"""Cases for exercise 3.6: findings in a service whose calls are laid out so that the answer is known.

A scene adds a finding, with functions and calls in which the vulnerable function is absent, cut off, fed by constants,
guarded on every way, or within reach. So the VEX statement that fits follows from the scene.

    >>> layout = Layout(random.Random(1))
    >>> layout.scene("guarded on one way")
    >>> [statement["status"] for statement in layout.truth.values()]
    ['affected']

OpenVEX 0.2.0: statuses and justifications.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext

__all__ = ["JUSTIFICATIONS", "SCENES", "Layout", "cases", "ten"]

SEE = "labs/03_sbom.ipynb, 'Not affected, because …'"
TEACHES = {
    "is the component there?": "What a complete list does not have is not in the artifact: component_not_present.",
    "is it fixed?": "A version that is `fixed_in`, or later, is fixed.",
    "ten comes after nine": "Compare versions as PEP 440 orders them, `Version(text)`: 1.10.0 is later than 1.9.3.",
    "is the file there?": "The component may be there without the file that has the vulnerable code.",
    "a list that is not complete": (
        "Not listed in a list that calls itself incomplete is no evidence of absence: under_investigation."
    ),
    "does anything call it?": "Follow the calls from the service's starts, and from nowhere else.",
    "a call by name": (
        "A call by name that the service reaches may end in any function of that module. No path found is then "
        "no proof: under_investigation, until a person has looked."
    ),
    "a call by name that nothing reaches": (
        "The function that calls by name is itself not reached from a start, or calls into another module. Then it "
        "opens no way here."
    ),
    "an internal service": (
        "'Internal' is where the service stands, not who can feed it. Staff, and whoever sits on a colleague's "
        "laptop, are adversaries too. Only input that nobody chooses justifies "
        "vulnerable_code_cannot_be_controlled_by_adversary, and only if every start that gets there has it."
    ),
    "guards": (
        "inline_mitigations_already_exist holds when no way round the guard is left. Take the guarded functions "
        "out of the graph: is the vulnerable one still reached?"
    ),
    "a guard for another finding": (
        "A guard stops the attacks that it was made for: the ids in `guards`. One for another finding lets this attack "
        "through."
    ),
    "two answers would fit": "The questions have an order, and the first that decides, decides.",
    "ten findings": "Ask the questions in the table's order; the first that fits decides.",
}


ABSENT = "component_not_present"
CODE_ABSENT = "vulnerable_code_not_present"
NO_PATH = "vulnerable_code_not_in_execute_path"
NO_CONTROL = "vulnerable_code_cannot_be_controlled_by_adversary"
GUARDED = "inline_mitigations_already_exist"
JUSTIFICATIONS = (ABSENT, CODE_ABSENT, NO_PATH, NO_CONTROL, GUARDED)
AFFECTED, FIXED, OPEN = "affected", "fixed", "under_investigation"
SCENES = {
    "plain": (AFFECTED, None),
    "absent": ("not_affected", ABSENT),
    "fixed": (FIXED, None),
    "fixed, and stripped": (FIXED, None),
    "stripped, and cut off": ("not_affected", CODE_ABSENT),
    "fed by constants, and guarded": ("not_affected", NO_CONTROL),
    "cut off, and fed by constants": ("not_affected", NO_PATH),
    "stripped": ("not_affected", CODE_ABSENT),
    "cut off": ("not_affected", NO_PATH),
    "only tests call it": ("not_affected", NO_PATH),
    "a call by name": (OPEN, None),
    "a call by name, not reached": ("not_affected", NO_PATH),
    "a call by name, elsewhere": ("not_affected", NO_PATH),
    "fed by constants": ("not_affected", NO_CONTROL),
    "fed by staff": (AFFECTED, None),
    "guarded on every way": ("not_affected", GUARDED),
    "guarded on one way": (AFFECTED, None),
    "a guard beside the way": (AFFECTED, None),
    "guarded for another finding": (AFFECTED, None),
    "constants here, anyone there": (AFFECTED, None),
}


class Layout:
    """A service's components, calls and starts, and findings with the statements that fit."""

    def __init__(
        self, rng: random.Random, *, internal: bool = False, complete: bool = True, tenth: bool = False
    ) -> None:
        self._rng = rng
        self._tenth = tenth  # versions that are in another order as text
        self._number = 0
        self._ids = iter(rng.sample(range(100, 999), 40))
        self.service: dict[str, Any] = {
            "exposure": "internal" if internal else "public",
            "sbom_complete": complete,
            "components": {},
            "files": [],
            "calls": {},
            "calls_by_name": [],
            "starts": {},
            "guards": {},
        }
        self.findings: list[dict[str, Any]] = []
        self.truth: dict[str, dict[str, str | None]] = {}
        self._plain: set[str] = set()  # findings that no case is about

    def scene(self, name: str) -> None:
        """Add a finding, laid out so that the scene's statement fits."""
        self._number += 1
        rng = self._rng
        component = f"acme-{rng.choice(['fonts', 'tables', 'codecs', 'queues', 'units', 'graphs'])}-{self._number}"
        module = component.replace("-", "_")
        function = f"{module}.{rng.choice(['load', 'parse', 'render', 'expand'])}"
        minor = 10 if self._tenth else rng.choice([4, 6, 9])
        finding = {
            "id": f"ACME-2026-{next(self._ids)}",
            "component": component,
            "fixed_in": f"1.{minor}.0",
            "function": function,
            "file": f"{module}/reader.py",
        }
        self._lay_out_component(name, finding, module, minor)
        self._lay_out_calls(name, finding, module)
        status, justification = SCENES[name]
        if name == "absent" and not self.service["sbom_complete"]:
            status, justification = OPEN, None
        self.findings.append(finding)
        if name == "plain":
            self._plain.add(finding["id"])
        self.truth[finding["id"]] = {"status": status, "justification": justification}

    def _lay_out_component(self, scene: str, finding: dict[str, Any], module: str, minor: int) -> None:
        """Add the component's version and files; it was fixed in 1.``minor``.0."""
        words = scene.replace(",", "").split()  # a scene is named by what holds in it
        version = f"1.{minor - 1}.{self._rng.randrange(4)}"
        if "fixed" in words:
            version = self._rng.choice([f"1.{minor}.0", f"1.{minor}.0", f"1.{minor}.1"])
        if scene != "absent":
            self.service["components"][finding["component"]] = version
        if not {"absent", "stripped"} & set(words):
            self.service["files"].append(finding["file"])
        self.service["files"].append(f"{module}/__init__.py")

    def _lay_out_calls(self, scene: str, finding: dict[str, Any], module: str) -> None:
        """Add calls, starts and guards on the way to the vulnerable function, as the scene's name says."""
        words = scene.replace(",", "").split()
        vulnerable, calls, starts = finding["function"], self.service["calls"], self.service["starts"]
        way = self._way(module, vulnerable)
        if "cut" in words or scene == "only tests call it":
            calls[way[-2]].remove(vulnerable)
        if "constants" in words and "anyone" not in words:
            starts[way[0]] = "constants"
        if "cut" in words:
            calls[f"{module}.unused"] = [vulnerable]
        elif scene == "only tests call it":
            calls[f"tests.test_{module}"] = [vulnerable]
        elif scene.startswith("a call by name"):
            calls[way[-2]].remove(vulnerable)
            caller = f"{module}.unused" if scene.endswith("not reached") else way[-2]
            called = f"{module}_extra" if scene.endswith("elsewhere") else module
            self.service["calls_by_name"].append({"function": caller, "module": called})
        elif scene == "fed by staff":
            starts[way[0]] = "staff"
        elif scene == "fed by constants, and guarded":
            self._guard(way[1], finding["id"])
        elif scene == "guarded on every way":
            self._guard(way[1], finding["id"])
            for other in (self._way(module, way[1]), self._way(module, vulnerable)):
                self._guard(other[1], finding["id"])
        elif scene == "guarded for another finding":
            self._guard(way[1], f"ACME-2026-{next(self._ids)}")
        elif scene == "guarded on one way":
            self._guard(way[-2], finding["id"])
            self._way(module, vulnerable)
        elif scene == "a guard beside the way":
            self._guard(self._way(module, f"{module}.harmless")[1], finding["id"])
        elif scene == "constants here, anyone there":
            starts[way[0]] = "constants"
            self._way(module, vulnerable)

    def is_missed(self, answers: dict[str, Any]) -> bool:
        """Say whether a finding with something to teach is answered wrong."""
        return any(answers.get(id_) != right for id_, right in self.truth.items() if id_ not in self._plain)

    def parts(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Give the findings, in no order, and the service."""
        self._rng.shuffle(self.findings)
        return self.findings, self.service

    def _way(self, module: str, to: str) -> list[str]:
        """Add a start, a chain of calls from it to a function, and a detour that leads nowhere; returns the chain."""
        self._number += 1
        number, calls = self._number, self.service["calls"]
        way = [f"service.start_{number}", *(f"service.step_{number}_{n}" for n in range(self._rng.randrange(2, 4))), to]
        for one, other in itertools.pairwise(way):
            calls.setdefault(one, []).append(other)
        detour = f"{module}.detour_{number}"
        calls[way[1]].append(detour)
        calls.setdefault(detour, []).append(way[0])  # recursion: a search must end
        self.service["starts"][way[0]] = "anyone"
        return way

    def _guard(self, function: str, finding: str) -> None:
        self.service["guards"].setdefault(function, []).append(finding)


def ten(rng: random.Random) -> Layout:
    """Lay out ten findings of one service."""
    layout = Layout(rng, internal=True)
    fixed = ["plain", "absent", "a call by name", "guarded on every way", "fed by staff"]
    others = [scene for scene in SCENES if scene not in fixed and ", and " not in scene]
    for name in [*fixed, *rng.sample(others, 5)]:
        layout.scene(name)
    return layout


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Lay out findings that ask one question each, then ten at once."""

    def case(name: str, layout: Layout, scenes: list[str]) -> Case:
        rng.shuffle(scenes)
        for scene in scenes:
            layout.scene(scene)
        return Case(name, layout.parts(), layout.truth, why_if=layout.is_missed)

    yield case("is the component there?", Layout(rng), ["absent", "plain", "absent"])
    yield case("is it fixed?", Layout(rng), ["fixed", "plain", "fixed", "fixed"])
    yield case("ten comes after nine", Layout(rng, tenth=True), ["fixed", "plain", "plain"])
    yield case("is the file there?", Layout(rng), ["stripped", "plain"])
    yield case("a list that is not complete", Layout(rng, complete=False), ["absent", "plain", "stripped"])
    yield case("does anything call it?", Layout(rng), ["cut off", "only tests call it", "plain", "plain"])
    yield case("a call by name", Layout(rng), ["a call by name", "cut off", "plain"])
    yield case(
        "a call by name that nothing reaches",
        Layout(rng),
        ["a call by name, not reached", "a call by name, elsewhere", "plain"],
    )
    yield case(
        "an internal service",
        Layout(rng, internal=True),
        ["plain", "fed by staff", "fed by constants", "constants here, anyone there"],
    )
    yield case("guards", Layout(rng), ["guarded on every way", "guarded on one way", "a guard beside the way", "plain"])
    yield case("a guard for another finding", Layout(rng), ["guarded for another finding", "guarded on every way"])
    yield case("two answers would fit", Layout(rng), [scene for scene in SCENES if ", and " in scene])
    layout = ten(rng)
    yield Case("ten findings", layout.parts(), layout.truth)
