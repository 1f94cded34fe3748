"""Cases for exercise 4.5: three rules in Rego, tried on facts of which some are missing or of another type.

A row of facts is made with the verdicts that it should get. The rules run in the gate's own worker process, so a
mistake in them comes back as a message. Rego has no loop over inputs that both engines run alike, so each row gets a
copy of the rules in which `input` is that row.

    >>> sorted(_copies("package lesson\\nsafe if input.x", ["a"])["row0.rego"].split())
    ['if', 'input.row0.x', 'lesson.row0', 'package', 'safe']
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.digests import Digest
from chainlab.errors import ChainlabError

__all__ = ["RULES", "cases", "table"]

SEE = "notebooks/04b_gate.ipynb, 'Rego, and its one trap'"
TEACHES = {
    "everything is stated": (
        "Each rule is true for what it wants to see, and for nothing else. A scan that ran and found nothing is "
        "good news; `every` holds for an empty list. A signer is equal to the expected one: a name that begins like "
        "it, or is a part of it, is another one."
    ),
    "something is missing": (
        "What is missing is undefined, and `not` of undefined is true. A rule that looks for what is bad finds "
        "nothing bad in nothing: write what you want to see, with `default NAME := false`."
    ),
    "another type than expected": (
        "Rego orders values of all types, and the engines differ: in the one that runs here `null >= 0.9` is "
        'true, in another `"low" >= 0.9` is. Ask for the type first: is_number, is_array.'
    ),
}


READS = {"signed": "signature", "safe": "findings", "good": "recall"}  # rule to fact
RULES = tuple(READS)
LEAST = 0.9
WORDS = re.compile(r"\bor\b|\|\|")  # of other languages
Row = tuple[dict[str, Any], dict[str, bool]]
_tables: dict[tuple[str, str], Any] = {}


def table(text: str | Callable[[], str]) -> Callable[..., Any]:
    """Make Rego a function of many rows at once: it maps a row's name to the verdicts of the three rules.

    Raises `ChainlabError` with line and reason when the engine cannot read the rules.
    """

    def run(rows: Mapping[str, Mapping[str, Any]], signer: str) -> dict[str, Any]:
        from chainlab.policy.policy import Policy
        from chainlab.policy.rego.rego_client import ask

        rego = text() if callable(text) else text
        if not isinstance(rego, str):
            raise ChainlabError(f"expected Rego as text, got {type(rego).__name__}")
        if not re.search(r"(?m)^package\s+lesson\s*$", rego):
            raise ChainlabError("expected the line `package lesson`")
        key = (rego, repr((rows, signer)))
        if key not in _tables:
            modules = _copies(rego, list(rows))
            expected = {"signer": signer, "least": LEAST}
            policy = Policy("lesson", RULES, modules, expected, Digest.of(rego.encode()))
            facts = {f"row{i}": row for i, row in enumerate(rows.values())}
            try:
                report = ask(policy, facts)
            except ChainlabError as error:
                raise _error_in_rules(error, rego, modules) from error
            _tables[key] = {name: {rule: _verdict(report, i, rule) for rule in RULES} for i, name in enumerate(rows)}
        return dict(_tables[key])

    return run


def _error_in_rules(error: ChainlabError, rego: str, modules: Mapping[str, str]) -> ChainlabError:
    """Turn the engine's error about a copy into one about a line of the rules as they were written."""
    match = re.search(r"\(error \d+:(row\d+\.rego)\|(\d+)\|\d+\s+\(errormsg \d+:([^()]*)\)", error.why)
    if match is None:
        return error
    name, offset, message = match.groups()
    number = modules[name].encode()[: int(offset)].count(b"\n")  # a copy has the same lines
    line = [*rego.splitlines(), ""][number].strip()
    hint = "Rego has no such word: write a second rule of the same name" if WORDS.search(line) else ""
    more = f" ({hint})" if hint else ""
    return ChainlabError(f"line {number + 1}, `{line[:40]}`: {message}{more}")


def _verdict(report: Mapping[str, Any], row: int, rule: str) -> Any:
    return report.get(f"row{row} {rule}", "undefined")


def _copies(rego: str, names: Sequence[str]) -> dict[str, str]:
    """Copy the rules once for each row, and add the module that collects their verdicts."""
    modules, lines = {}, ["package chainlab.gate", "", "import rego.v1", ""]
    for i, _ in enumerate(names):
        copy = re.sub(r"(?m)^package\s+lesson\s*$", f"package lesson.row{i}", rego)
        modules[f"row{i}.rego"] = re.sub(r'(?<![\w."])input(?![\w"])', f"input.row{i}", copy)
        lines += [f'report["row{i} {rule}"] := data.lesson.row{i}.{rule}' for rule in RULES]
    return {**modules, "gate.rego": "\n".join(lines) + "\n"}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make rows in which everything is stated, then rows with less."""
    facts = _Facts(rng)
    for name, rows in (
        ("everything is stated", facts.stated()),
        ("something is missing", facts.missing()),
        ("another type than expected", facts.of_other_types()),
    ):
        inputs = {row: fact for row, (fact, _) in rows.items()}
        yield Case(name, (inputs, facts.signer), accept=_agrees(rows))


class _Facts:
    """Facts under which each rule says yes, and rows in which one fact is another."""

    def __init__(self, rng: random.Random) -> None:
        tag = f"refs/tags/v1.{rng.randrange(60)}.0"
        self.signer = f"https://git.chainlab.localhost/acme/triage-model/release.yml@{tag}"
        self.advisory = f"ACME-2026-{rng.randrange(10, 99)}"
        self.bound = rng.randrange(910, 990) / 1000
        self.signature = {"verified": True, "signer": self.signer}
        self.harmless = {"id": self.advisory, "exploited": False}
        self.answered = {"id": self.advisory, "exploited": True, "vex": "not_affected"}
        self.open = {"id": self.advisory, "exploited": True, "vex": "under_investigation"}

    def but(self, no: str = "", **changes: Any) -> Row:
        """Change the good facts (None takes one away); the rule ``no`` then says no."""
        findings, recall = [self.harmless, self.answered], {"lower": self.bound}
        good = {"signature": self.signature, "findings": findings, "recall": recall}
        facts = {key: value for key, value in {**good, **changes}.items() if value is not None}
        return facts, {rule: rule != no for rule in RULES}

    def stated(self) -> dict[str, Row]:
        """Rows in which every fact is there, of the expected type."""
        but, signature, harmless, open_ = self.but, self.signature, self.harmless, self.open
        signer, bound, answered = self.signer, self.bound, self.answered
        return {
            "all is well": but(),
            "not verified": but("signed", signature={**signature, "verified": False}),
            "by another tag's workflow": but("signed", signature={**signature, "signer": f"{signer}-rc1"}),
            "by a signer whose name is half of it": but("signed", signature={**signature, "signer": signer[:40]}),
            "by somebody else": but("signed", signature={**signature, "signer": "mallory@example.com"}),
            "exploited and open": but("safe", findings=[harmless, open_]),
            "one answered, one open": but("safe", findings=[open_, answered]),
            "not exploited, and looked into": but("", findings=[{**open_, "exploited": False}]),
            "one open, one harmless": but("safe", findings=[open_, harmless]),
            "below the threshold": but("good", recall={"lower": bound - 0.2}),
            "exactly the threshold": but("", recall={"lower": LEAST}),
            "scanned, nothing found": but("", findings=[]),
            "one harmless finding": but("", findings=[harmless]),
        }

    def missing(self) -> dict[str, Row]:
        """Rows in which one fact is missing, or a part of it."""
        but, signer, advisory, bound = self.but, self.signer, self.advisory, self.bound
        return {
            "no signature": but("signed", signature=None),
            "nobody says whether it was verified": but("signed", signature={"signer": signer}),
            "a signer without a name": but("signed", signature={"verified": True, "signer": ""}),
            "nobody says who signed": but("signed", signature={"verified": True}),
            "not scanned": but("safe", findings=None),
            "nobody says whether it is exploited": but("safe", findings=[{"id": advisory}]),
            "exploited, and no VEX": but("safe", findings=[{"id": advisory, "exploited": True}]),
            "no recall": but("good", recall=None),
            "no bound": but("good", recall={"value": bound}),
            "no facts at all": ({}, dict.fromkeys(RULES, False)),
        }

    def of_other_types(self) -> dict[str, Row]:
        """Rows in which one fact is of another type."""
        but, signature, advisory, harmless = self.but, self.signature, self.advisory, self.harmless
        return {
            "true, as text": but("signed", signature={**signature, "verified": "true"}),
            "findings, as text": but("safe", findings="none"),
            "an error in place of findings": but("safe", findings={"error": "not scanned"}),
            "an empty object in place of findings": but("safe", findings={}),
            "exploited, as text": but("safe", findings=[{"id": advisory, "exploited": "no"}]),
            "a bound that nobody could read": but("good", recall={"lower": None}),
            "a bound that is a word": but("good", recall={"lower": "low"}),
            "a bound as text, far below": but("good", recall={"lower": "0.10"}),
            "a bound as text, far above": but("good", recall={"lower": "0.99"}),
            "a harmless finding, not in a list": but("safe", findings={"first": harmless}),
            "verified, as a number": but("signed", signature={**signature, "verified": 1}),
            "a bound that is a list": but("good", recall={"lower": [0.1]}),
            "a bound that is true": but("good", recall={"lower": True}),
        }


def _agrees(rows: Mapping[str, Row]) -> Callable[[Any], bool | Miss]:
    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict):
            return Miss("expected table(rules)")
        for row, (facts, verdicts) in rows.items():
            for rule, verdict in verdicts.items():
                got = answer.get(row, {}).get(rule)
                if got is not verdict:
                    fact = json.dumps({READS[rule]: facts[READS[rule]]} if READS[rule] in facts else {})
                    return Miss(
                        f"row '{row}', {fact}: {rule} is to be {str(verdict).lower()}, and is {str(got).lower()}"
                    )
        return True

    return accept
