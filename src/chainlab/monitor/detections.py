"""Detections: Sigma rules about events, checked and compiled to SQL for the table of `event_table`.

A rule is a file ``NAME.yml`` in the format of Sigma 2, with a key of our own beside Sigma's:

    chainlab:
      technique: [T1195.002]       # or "none: hygiene"
      framework: ATT&CK v18.1
      unit: artifact.published     # the event type of one trial
      response: Quarantine the digest, then look for the run that should have published it.

`load_detections` reads folders of rules. A rule with a mistake is left out, and the mistake is kept: file, line, what
is wrong, how to mend it. docs/detections.md says what rules can ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, overload

from chainlab.display import Display, Shown
from chainlab.errors import MalformedInput
from chainlab.monitor.rules.compiler import CompiledRule, compile_rule
from chainlab.monitor.rules.rule_file import Mistake, RuleDocument, read_rule_file, suggestion

__all__ = ["Detection", "Detections", "load_detections"]

MAX_FILES: Final = 200  # of a folder


@dataclass(frozen=True)
class Detection:
    """One compiled rule.

    ``sql`` gives the rows of the matching events; of a correlation, the windows that reached its threshold and the
    events of its rules: groups, start, end, event (NULL for a window).
    """

    name: str  # the file's stem
    title: str
    level: str  # informational, low, medium, high or critical
    description: str
    technique: tuple[str, ...]  # empty when the rule is hygiene
    framework: str
    unit: str  # the event type of one trial
    response: str
    false_positives: tuple[str, ...]
    sql: str
    types: frozenset[str]  # the event types that it can match
    window_s: int  # seconds that a correlation looks back; 0 for a rule about one event
    groups: tuple[str, ...]  # the fields that a correlation groups by
    detects: str  # whose attacks it is measured on: a rule's name, by default its own
    path: Path


class Detections(Shown, Sequence[Detection]):
    """The rules of one or more folders, in the order of their names, and the mistakes in the files left out."""

    def __init__(self, rules: Sequence[Detection], mistakes: Sequence[Mistake] = ()) -> None:
        self._rules = tuple(rules)
        self.mistakes = tuple(mistakes)

    @overload
    def __getitem__(self, at: int) -> Detection: ...

    @overload
    def __getitem__(self, at: slice) -> Detections: ...

    def __getitem__(self, at: int | slice) -> Detection | Detections:
        return Detections(self._rules[at]) if isinstance(at, slice) else self._rules[at]

    def __len__(self) -> int:
        return len(self._rules)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self._rules)

    @property
    def window_s(self) -> int:
        """How far back the rules look from a new event, seconds."""
        return max((rule.window_s for rule in self._rules), default=0)

    def named(self, *names: str) -> Detections:
        """Choose rules by name; no name chooses all. Raises `MalformedInput` for a name that no rule has."""
        known = {rule.name: rule for rule in self._rules}
        for name in names:
            if name not in known:
                broken = [mistake for mistake in self.mistakes if mistake.path.stem == name]
                if broken:
                    raise broken[0].error()
                hint = suggestion(name, known, f"rules are {', '.join(known)}")
                raise MalformedInput(f"no rule is named {name[:80]!r}", hint=hint)
        return Detections([known[name] for name in names], self.mistakes) if names else self

    def _display(self) -> Display:
        rows = [(rule.name, rule.level, ", ".join(rule.technique) or "hygiene", rule.unit, rule.title) for rule in self]
        return Display(
            f"{len(self)} detection{'s' * (len(self) != 1)}", ("rule", "level", "technique", "unit", "title"), rows
        )


def load_detections(*folders: Path) -> Detections:
    """Load the rules of folders, ``*.yml``; a folder that does not exist has none."""
    files: list[tuple[Path, list[RuleDocument]]] = []
    mistakes: list[Mistake] = []
    for folder in folders:
        paths = sorted(path for path in folder.glob("*.y*ml") if not path.name.startswith("."))
        if len(paths) > MAX_FILES:
            hint = "move rules that you do not use elsewhere"
            mistakes.append(Mistake(folder, 1, f"the folder has more than {MAX_FILES} rules", hint))
        for path in paths[:MAX_FILES]:
            documents, found = read_rule_file(path)
            mistakes += found
            if documents:
                files.append((path, documents))
    mistakes += _standing_twice(files)
    refused = {mistake.path for mistake in mistakes}
    rules = []
    for path, documents in files:
        rule, found = compile_rule(path, documents)
        mistakes += found
        if rule is not None and path not in refused:
            rules.append(_detection(path, rule))
    return Detections(sorted(rules, key=lambda rule: rule.name), sorted(mistakes, key=lambda m: (m.path.name, m.line)))


def _standing_twice(files: Sequence[tuple[Path, list[RuleDocument]]]) -> Iterator[Mistake]:
    """Report a name or an id that an earlier file has: the course's files come first, so a learner's is the mistake."""
    names: dict[str, Path] = {}
    ids: dict[str, Path] = {}
    for path, documents in files:
        if path.stem in names:
            hint = f"rename the file: {names[path.stem]} has this name, and nothing replaces it"
            yield documents[0].mistake(f"the name {path.stem!r} stands twice", hint)
        names.setdefault(path.stem, path)
        for document in documents:
            id_ = str(document.values.get("id", "")).lower()
            if id_ and id_ in ids:
                hint = f"give the rule an id of its own, a new UUID; {ids[id_].name} has this one"
                yield document.mistake(f"the id {id_[:80]} stands twice", hint, "id")
            ids.setdefault(id_, path)


def _detection(path: Path, rule: CompiledRule) -> Detection:
    own, values = rule.own, rule.values
    return Detection(
        name=path.stem,
        title=values["title"],
        level=values["level"],
        description=values.get("description", "").strip(),
        technique=() if isinstance(own.technique, str) else own.technique,
        framework=own.framework,
        unit=own.unit,
        response=own.response,
        false_positives=tuple(values["falsepositives"]),
        sql=rule.sql,
        types=rule.types,
        window_s=rule.window_s,
        groups=rule.groups,
        detects=own.detects or path.stem,
        path=path,
    )
