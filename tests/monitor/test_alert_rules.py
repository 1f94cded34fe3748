"""Alert rules: the kit's evaluation beside Prometheus' own, and what it refuses."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from rule_tests import embedded

from chainlab.monitor.metrics.alert_rules import AlertRule, load_alert_rules, parse_alert_rules
from chainlab.monitor.metrics.promql_parser import seconds

ROOT = Path(__file__).parents[2]
RULES = ROOT / "data" / "alerts"
SCENES = Path(__file__).with_name("alert_rules_test.yml")
REPORT = ROOT / ".cache" / "alerting.json"
QUERIES = [  # every function, aggregation and operator
    "rate(a_total[3m]) > 0.01",
    "increase(a_total[5m]) >= 2",
    "sum by (x) (increase(a_total[4m])) / sum by (x) (g) > 0.5",
    "histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m]))) > 1",
    "absent(g{x='3', y!='z'}) or absent(g{x=~'1|2'})",
    "time() - g{x!~'2'} * 30 > 300",
    "max by (x) (g) - min without (y) (b) >= 0",
    "g == 2 and on (x) a_total > 1",
    "g > 1 unless ignoring (y) b == 1",
    "avg by (x) (g) != count by (x) (a_total)",
    "-g + 3 <= 0 or b",
]


def promtool() -> str:
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    if not report.get("promtool"):
        pytest.skip(report.get("reason") or "not set up: run `make test`, or tests/setup/alerting.py")
    return str(report["promtool"])


def expected(test: dict[str, Any]) -> dict[float, list[tuple[str, Any]]]:
    by_time = defaultdict(list)
    for case in test["alert_rule_test"]:
        by_time[seconds(case["eval_time"])].append((case["alertname"], case.get("exp_alerts", [])))
    return by_time


@pytest.mark.parametrize("name", [scene["name"] for scene in yaml.safe_load(SCENES.read_text())["tests"]])
def test_each_rule_fires_and_stays_silent_as_the_scene_says(name: str) -> None:
    scene = next(scene for scene in yaml.safe_load(SCENES.read_text())["tests"] if scene["name"] == name)
    cases = expected(scene)
    fired = embedded(load_alert_rules(RULES).rules, scene, list(cases), 60)
    for time, alerts in cases.items():
        for rule, exp in alerts:
            assert [
                {key: alert[key] for key in ("exp_labels", "exp_annotations")}
                for alert in fired[time]
                if alert["alertname"] == rule
            ] == exp, (time, rule)


def test_every_rule_has_a_scene_in_which_it_fires() -> None:
    scenes = yaml.safe_load(SCENES.read_text())["tests"]
    fires = {case["alertname"] for scene in scenes for case in scene["alert_rule_test"] if case.get("exp_alerts")}
    assert fires == {rule.name for rule in load_alert_rules(RULES).rules}


def drawn_test(seed: int, names: list[str]) -> tuple[list[AlertRule], dict[str, Any], str]:
    """Rules over series drawn by a seed, with gaps, restarts and stale marks, and what the kit says of them."""
    draw = random.Random(seed)

    def values(rises: bool) -> str:
        level, words = draw.randint(0, 3), []
        for _ in range(16):
            level = max(0, level + draw.randint(0, 2)) if rises and draw.random() < 0.9 else draw.randint(0, 3)
            words.append(draw.choices([str(level), "_", "stale"], [8, 2, 0.5])[0])
        return " ".join(words)

    buckets = [(bound, draw.randint(1, 4)) for bound in ("1", "2", "+Inf")]
    counts = [sum(count for _, count in buckets[: at + 1]) for at in range(3)]
    series = [
        {"series": f'h_bucket{{le="{b}"}}', "values": f"0+{n}x15"} for (b, _), n in zip(buckets, counts, strict=True)
    ]
    for x in ("1", "2"):
        series.append({"series": f'a_total{{x="{x}"}}', "values": values(rises=True)})
        series.append({"series": f'g{{x="{x}",y="{x}{x}"}}', "values": values(rises=False)})
        series.append({"series": f'b{{x="{x}"}}', "values": values(rises=False)})
    rules = "groups:\n  - name: drawn\n    rules:\n" + "".join(
        f"      - alert: {name}\n        expr: {json.dumps(query)}\n        for: {draw.choice(['0s', '1m', '3m'])}\n"
        "        labels: {severity: low}\n        annotations: {summary: 'value {{ $value }} of {{ $labels.x }}',"
        " response: look}\n"
        for name, query in zip(names, QUERIES, strict=True)
    )
    return list(parse_alert_rules(rules)), {"interval": "1m", "input_series": series}, rules


@pytest.mark.clients("alerting")
def test_prometheus_gives_the_same_alerts_for_the_same_series(tmp_path: Path) -> None:
    program = promtool()
    shutil.copytree(RULES, tmp_path, dirs_exist_ok=True)
    shutil.copy(SCENES, tmp_path)
    names, files, fired_at_all = [f"Q{number}" for number in range(len(QUERIES))], [SCENES.name], set()
    for seed in range(12):
        rules, test, text = drawn_test(seed, names)
        times = [60.0 * minute for minute in range(0, 21, 2)]
        fired = embedded(rules, test, times, 60)
        test["alert_rule_test"] = [
            {"eval_time": f"{int(time)}s", "alertname": name}
            | {
                "exp_alerts": [
                    {k: v for k, v in a.items() if k != "alertname"} for a in alerts if a["alertname"] == name
                ]
            }
            for time, alerts in fired.items()
            for name in names
        ]
        fired_at_all |= {alert["alertname"] for alerts in fired.values() for alert in alerts}
        (tmp_path / f"drawn{seed}.yml").write_text(text)
        document = {"rule_files": [f"drawn{seed}.yml"], "evaluation_interval": "1m", "tests": [test]}
        (tmp_path / f"drawn{seed}_test.yml").write_text(json.dumps(document))
        files.append(f"drawn{seed}_test.yml")
    assert fired_at_all == set(names)
    run = subprocess.run([program, "test", "rules", *files], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
