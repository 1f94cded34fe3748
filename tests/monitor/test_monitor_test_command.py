"""`chainlab monitor test`: a table, JSON, a learner's own rules, and an exit status that scripts can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chainlab.cli.monitor import monitor
from chainlab.course.authoring import detection_figures

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Short histories, and a workspace of our own; returns the folder of the learner's rules."""
    for name, value in {"ORGANISATIONS": 2, "PUBLICATIONS": 300, "ATTACKS": 4}.items():
        monkeypatch.setattr(detection_figures, name, value)
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path))
    folder = tmp_path / "desk" / "detections"
    folder.mkdir(parents=True)
    return folder


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(monitor, ["test", *arguments])


def test_each_rule_has_its_figures_and_their_n() -> None:
    result = run("--json")
    assert result.exit_code == 0, result.stderr
    rules = json.loads(result.stdout)["rules"]
    assert [rule["rule"] for rule in rules] == sorted(path.stem for path in (ROOT / "data/detections").glob("*.yml"))
    for rule in rules:
        assert rule["recall"]["n"] == 8
        assert rule["false_positive_rate"]["n"] > 0
        assert [figure["base_rate"] for figure in rule["precision"]] == [1 / 200, 1 / 2000, 1 / 10000]
        assert all(0 <= figure["interval"][0] <= figure["interval"][1] <= 1 for figure in rule["precision"])
    assert "publications" in result.stderr


def test_a_rule_of_ones_own_is_marked_and_measured_on_the_attacks_that_it_names(small: Path) -> None:
    text = (ROOT / "data/detections/tag_moved.yml").read_text()
    id_ = next(line for line in text.splitlines() if line.startswith("id:"))
    own = text.replace(id_ + "\n", "").replace("chainlab:\n", "chainlab:\n  detects: tag_moved\n")
    (small / "mine.yml").write_text(own)
    result = run("mine", "tag_moved")
    assert result.exit_code == 0, result.stderr
    mine, course = result.stdout.splitlines()[2:4]
    assert mine.startswith("mine (yours)")
    assert course.startswith("tag_moved ")
    assert "of 8" in mine
    (small / "mine.yml").write_text(own.replace("detects: tag_moved", "detects: tags"))
    result = run("mine")
    assert result.exit_code == 1
    assert "no attacks for 'tags'" in result.stderr


def test_a_mistake_is_printed_with_its_place_and_fails(small: Path) -> None:
    (small / "mine.yml").write_text("title: [")
    result = run("tag_moved")
    assert result.exit_code == 0, "somebody asked about another rule"
    result = run("--seed", "3")
    assert result.exit_code == 1
    assert "mine.yml line 1: this is not YAML" in result.stderr
    assert "tag_moved" in result.stdout, "the others are measured"


def test_a_rule_that_does_not_exist_is_a_wrong_call() -> None:
    result = run("tag_moves")
    assert "did you mean 'tag_moved'" in str(result.exception)
