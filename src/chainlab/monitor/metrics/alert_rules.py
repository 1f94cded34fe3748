"""Alert rules on metrics: Prometheus' rule files, read strictly, and evaluated here as Prometheus evaluates them.

    loaded = load_alert_rules(course_root() / "data" / "alerts")
    evaluation = AlertEvaluation(loaded.rules)
    evaluation.step(series, now)       # the alerts that are pending or firing at this time

A rule's query returns the series for which something is wrong. One that it returns is *pending*, and fires when it was
returned at every evaluation for the rule's ``for``. When it returns it no longer, the alert has ended. The files work
unchanged in Prometheus; here each rule also needs a level (label ``severity``) and says what to do (annotation
``response``), because its alert reaches a person.

What is not evaluated here is refused when the file is read: recording rules, ``keep_firing_for``, templates other than
``{{ $labels.NAME }}`` and ``{{ $value }}``, and the part of PromQL that `promql_parser` refuses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import Field

from chainlab.errors import ChainlabError, MalformedInput
from chainlab.monitor.alerts.alert import LEVELS
from chainlab.monitor.metrics.promql import Vector, evaluate
from chainlab.monitor.metrics.promql_parser import Node, parse_query, seconds
from chainlab.monitor.metrics.series import Labels, Series
from chainlab.shapes import Many, Shape, Text

__all__ = ["ActiveAlert", "AlertEvaluation", "AlertRule", "AlertRules", "load_alert_rules", "parse_alert_rules"]

TEMPLATE: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
LABEL: Final = re.compile(r"\$labels\.([a-zA-Z_]\w*)", re.ASCII)
UNNAMED: Final = ("__name__", "alertname", "severity", "job", "instance")  # labels that do not name a subject
EVERYTHING: Final = "this workspace"  # the subject of an alert about no series in particular
HYGIENE: Final = "none: hygiene"


class _Rule(Shape, extra="forbid"):
    alert: Text
    expr: str | float | int
    hold: str = Field("0s", alias="for")
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class _Group(Shape, extra="forbid"):
    name: Text
    interval: str = ""
    rules: Many[_Rule]


class _RuleFile(Shape, extra="forbid"):
    groups: Many[_Group]


@dataclass(frozen=True)
class AlertRule:
    """One rule: a query, and what its alerts are called and say."""

    name: str
    query: Node
    hold_s: float  # how long the query must return a series before its alert fires
    labels: Mapping[str, str]
    annotations: Mapping[str, str]  # templates

    @property
    def level(self) -> str:
        """Return the level, one of `LEVELS`."""
        return self.labels["severity"]


@dataclass(frozen=True)
class ActiveAlert:
    """One series that a rule's query returns."""

    rule: AlertRule
    labels: Labels  # the series' and the rule's, with alertname
    value: float  # at the last evaluation
    since: float  # seconds since 1970: the first evaluation that returned it without a gap
    firing: bool

    @property
    def subject(self) -> str:
        """Name what the alert is about: the values of the labels that its series has of its own."""
        own = [text for name, text in self.labels if name not in (*UNNAMED, *self.rule.labels)]
        return ", ".join(own) or EVERYTHING

    def annotation(self, name: str) -> str:
        """Return an annotation with its templates filled in; empty when the rule has none of this name."""
        named = dict(self.labels)

        def fill(match: re.Match[str]) -> str:
            label = LABEL.fullmatch(match[1])
            return named.get(label[1], "") if label else _number(self.value)

        return TEMPLATE.sub(fill, self.rule.annotations.get(name, ""))


@dataclass(frozen=True)
class AlertRules:
    """The rules of some folders, and what is wrong in the files that were left out."""

    rules: tuple[AlertRule, ...]
    mistakes: tuple[MalformedInput, ...]


class AlertEvaluation:
    """The state of a set of rules from one evaluation to the next."""

    def __init__(self, rules: Iterable[AlertRule], since: Mapping[tuple[str, Labels], float] | None = None) -> None:
        """Continue an evaluation, when ``since`` is its `since`."""
        self.rules = tuple(rules)
        self.problems: dict[str, str] = {}  # rule → why its last evaluation failed
        self._active: dict[tuple[str, Labels], ActiveAlert] = {}
        self._before = dict(since or {})

    @property
    def since(self) -> dict[tuple[str, Labels], float]:
        """Return when each alert became pending, by rule and labels."""
        return {key: alert.since for key, alert in self._active.items()}

    def step(self, series: Series, now: float) -> list[ActiveAlert]:
        """Evaluate every rule once; returns the alerts that are pending or firing.

        A rule that cannot be evaluated keeps its alerts as they are, and is in `problems`.
        """
        before = self._before | self.since
        active: dict[tuple[str, Labels], ActiveAlert] = {}
        self.problems = {}
        for rule in self.rules:
            try:
                result = evaluate(rule.query, series, now)
            except ChainlabError as error:
                self.problems[rule.name] = error.message
                active |= {key: alert for key, alert in self._active.items() if key[0] == rule.name}
                continue
            vector: Vector = result if isinstance(result, dict) else {(): result}
            for alert in _alerts(rule, vector):
                key = rule.name, alert.labels
                since = before.get(key, now)
                active[key] = replace(alert, since=since, firing=now - since >= rule.hold_s)
        self._before, self._active = {}, active
        return list(active.values())


def _alerts(rule: AlertRule, vector: Mapping[Labels, float]) -> Iterator[ActiveAlert]:
    for name, value in vector.items():
        named = {**dict(name), **rule.labels, "alertname": rule.name}
        named.pop("__name__", None)
        yield ActiveAlert(rule, tuple(sorted(named.items())), value, 0.0, False)


# -- reading rule files


def load_alert_rules(*folders: Path) -> AlertRules:
    """Read every rule file ``*.yml`` of these folders; a folder that does not exist has none.

    A file with a mistake is left out, and the mistake is kept.
    """
    rules: dict[str, AlertRule] = {}
    mistakes: list[MalformedInput] = []
    for path in (path for folder in folders for path in sorted(folder.glob("*.yml"))):
        try:
            text = path.read_text(encoding="utf-8")
            read = parse_alert_rules(text, path.name)
            for rule in read:
                if rule.name in rules:
                    raise MalformedInput(
                        f"{path.name}: a second rule {rule.name!r}",
                        why="alerts are grouped by the rule's name",
                        hint="give it another name, or join the queries with `or`",
                    )
        except (OSError, UnicodeDecodeError) as error:
            mistakes.append(MalformedInput(f"{path.name}: cannot be read: {error}", hint="check the file"))
        except MalformedInput as error:
            mistakes.append(error)
        else:
            rules |= {rule.name: rule for rule in read}
    return AlertRules(tuple(rules.values()), tuple(mistakes))


def parse_alert_rules(text: str, name: str = "rules") -> tuple[AlertRule, ...]:
    """Read one rule file. Raises `MalformedInput`, which names the rule and what to change."""
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise MalformedInput(f"{name}{line}: not YAML: {error.problem}", hint="see data/alerts for examples") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MalformedInput(f"{name}: not YAML: {error}", hint="see data/alerts for examples") from error
    _refuse_unsupported(document, name)
    groups = _RuleFile.read(document, name).groups
    return tuple(_read_rule(rule, f"{name}: {rule.alert}") for group in groups for rule in group.rules)


def _refuse_unsupported(document: Any, name: str) -> None:
    groups = document.get("groups") if isinstance(document, dict) else None
    for group in groups if isinstance(groups, list) else []:
        for rule in (group.get("rules") or []) if isinstance(group, dict) else []:
            for key in ("record", "keep_firing_for"):
                if isinstance(rule, dict) and key in rule:
                    raise MalformedInput(
                        f"{name}: {key!r} is not evaluated here",
                        hint="write the whole query into `expr`" if key == "record" else "use `for` alone",
                    )


def _read_rule(rule: _Rule, where: str) -> AlertRule:
    try:
        query = parse_query(str(rule.expr))
        hold = seconds(rule.hold)
    except MalformedInput as error:
        raise MalformedInput(f"{where}: {error.message}", why=error.why, hint=error.hint) from error
    if rule.labels.get("severity") not in LEVELS:
        raise MalformedInput(
            f"{where}: the label severity is {rule.labels.get('severity', 'missing')}",
            hint=f"one of {', '.join(LEVELS)}",
        )
    for name in ("summary", "response"):
        if not rule.annotations.get(name, "").strip():
            raise MalformedInput(
                f"{where}: the annotation {name} is missing",
                hint="summary says what is wrong, response the first thing to do",
            )
    for name, text in ({**rule.labels, **rule.annotations}).items():
        for action in TEMPLATE.findall(text):
            if name in rule.labels or not (action == "$value" or LABEL.fullmatch(action)):
                raise MalformedInput(
                    f"{where}: the template {{{{ {action} }}}} in {name} is not evaluated here",
                    hint="in annotations, {{ $labels.NAME }} and {{ $value }} are",
                )
    return AlertRule(rule.alert, query, hold, dict(rule.labels), dict(rule.annotations))


def _number(value: float) -> str:
    """Write a number as Prometheus' templates do: 3, 0.25, 1e+21, NaN, +Inf."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    exponent = math.floor(math.log10(abs(value))) if value else 0
    if -4 <= exponent < 21:
        text = f"{value:.0f}" if value == int(value) else repr(value)
        return text if "e" not in text else f"{value:.20f}".rstrip("0")
    mantissa, _, power = repr(value).partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(power):+03d}" if power else f"{value:e}"
