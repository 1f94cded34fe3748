"""The filled examples of weeks 3 to 5: what they cite stands there, and their numbers are the course's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable

import yaml
from solved_labs import ROOT, SolvedLab

from chainlab.course.exercises.week3.ex3_truth_test import truth_test
from chainlab.course.exercises.week5 import ex7_rollback
from chainlab.digests import Digest
from chainlab.evidence.statements import SBOM
from chainlab.evidence.verifying import Expectations, Signer, verify

FOLDERS = (ROOT / "data/projects/attested/triage-model", ROOT / "data/policies")
CITED = re.compile(r"`([\w.-]+\.(?:yml|toml|rego)):(\d+)` `([^`]+)`")  # `release.yml:62` `job: source`


def example(name: str) -> str:
    return (ROOT / "templates" / "examples" / name).read_text(encoding="utf-8")


def table_under(text: str, heading: str) -> list[list[str]]:
    section = text.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_what_the_guide_cites_stands_in_that_line() -> None:
    cited = CITED.findall(example("implementation_guide.md"))
    assert len(cited) >= 15
    for file, line, words in cited:
        (path,) = [path for folder in FOLDERS for path in folder.rglob(file)]
        assert words in path.read_text(encoding="utf-8").splitlines()[int(line) - 1], (file, line, words)


def test_the_archive_s_numbers_are_those_of_the_lab(solved_lab: Callable[[str], SolvedLab]) -> None:
    solved, text = solved_lab("03_sbom"), example("sbom_archive.md")
    space, archive = solved.space, solved.space["archive"]
    (row, damaged, *_) = table_under(text, "3.")
    counts = {}
    for answer, builds in space["answer"].groupby("answer")["version"]:
        counts[answer] = sorted(builds)
    assert row[2] == f"7 of 20: {', '.join(counts['affected'])}"
    assert row[3] == f"{len(counts['not affected'])} of 20"
    now = archive.where("acme-tables", range=">=1.9,<1.11", every=True)["answer"].value_counts()
    assert [cell.partition(":")[0] for cell in damaged[2:5]] == [
        f"{now[answer]} of 20" for answer in ("affected", "not affected", "unknown")
    ]
    assert [problem.kind for problem in archive.verify()] == ["object missing", "object changed"]
    measured = truth_test(space["find"], solved.lab.path, 1)
    planted = {name: cells for name, *cells in table_under(text, "4.") if name != "native"}
    for name, cells in planted.items():
        assert cells[:5] == [str(value) for value in measured.loc[name]], name
    listed = archive.table("components").query("name != 'triage-model'")  # each list names its subject, too
    components = listed[["name", "version", "sha256"]].drop_duplicates()
    assert f"of {len(components)} component versions {(components['sha256'] != '').sum()} have one" in text


def test_the_archive_s_signed_lists_verify(solved_lab: Callable[[str], SolvedLab]) -> None:
    solved = solved_lab("03_sbom")
    workflow = "https://git.chainlab.localhost/acme/triage-model/.github/workflows/release.yml@refs/tags/v1.4.0"
    expected = Expectations(Signer(workflow, solved.lab.trust.ci_issuer), predicate_type=SBOM)
    archive = solved.space["archive"]
    passed = 0
    for entry in archive.table("documents").query("signed").itertuples():
        digest = archive.builds().set_index("build")["digest"][entry.build]
        bundle = (archive.directory / "objects/sha256" / entry.object[7:9] / entry.object[7:]).read_bytes()
        passed += verify(bundle, Digest.parse(digest), expected, solved.lab.trust.config.trusted_root).passed
    (signed,) = [row for row in table_under(example("sbom_archive.md"), "7.") if row[0] == "signed (verified)"]
    assert signed[1] == str(passed) == "6"


def test_the_models_row_is_that_of_the_lab(solved_lab: Callable[[str], SolvedLab]) -> None:
    space, text = solved_lab("03_sbom").space, example("sbom_archive.md")
    document = space["describe"](space["training"], space["before"])
    metrics = document["components"][-2]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    for metric, count in zip(metrics, space["training"]["counts"], strict=True):
        interval = metric["confidenceInterval"]
        shown = f"{metric['value']} [{interval['lowerBound']}, {interval['upperBound']}]"
        assert f'{metric["type"]}, "{metric["slice"]}" | {shown}, {count["hits"]} of {count["cases"]} |' in text
    for id_, _, status, justification, *_ in table_under(text, "6."):
        statement = space["statements"][id_.partition(" ")[0]]
        assert (statement["status"], statement["justification"] or "–") == (status, justification)


def test_the_guide_s_numbers_are_those_of_the_gate(solved_lab: Callable[[str], SolvedLab]) -> None:
    solved, text = solved_lab("04_attestation"), example("implementation_guide.md")
    score = solved.space["score"](solved.space["gate"], solved.lab.trust, seed=1)
    assert f"| mutants refused for the right reason | {score.refused} of {score.mutants} |" in text
    assert f"| benign releases accepted | {score.accepted} of {score.benign} |" in text


def test_the_monitoring_plan_s_figures_are_those_of_the_rules() -> None:
    text = example("monitoring_plan.md")
    figures = tomllib.loads((ROOT / "data/detections/figures.toml").read_text(encoding="utf-8"))
    a_week = dict.fromkeys(("kept", "to the morning list", "dropped"), 0.0)
    rows = table_under(text, "2.")
    assert len(rows) >= 14
    for rule, recall, false, precision, alerts, decision in rows:
        of = figures[rule]
        measured = [of["recall"], of["false_positives"], of["precision"][2], f"{of['alerts_a_week']:.2f}"]
        assert [recall, false, precision, alerts] == measured, f"| {rule} | {' | '.join(measured)} | {decision} |"
        a_week[next(word for word in a_week if decision.startswith(word))] += of["alerts_a_week"]
    assert f"call {a_week['kept']:.2f} times a week" in text
    assert f"the morning list has {a_week['to the morning list']:.2f}" in text
    assert f"added {a_week['dropped']:.2f} alerts a week" in text
    histories = figures["histories"]
    assert f"{histories['organisations']} organisations, {histories['benign_events']:,} benign events" in text


def test_the_monitoring_plan_names_rules_that_there_are_and_what_a_rehearsal_gives() -> None:
    text = example("monitoring_plan.md")
    for name in re.findall(r"`(\w+)\.yml`", text):
        assert (ROOT / "data/detections" / f"{name}.yml").is_file(), name
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "data/alerts").glob("*.yml")]
    alerts = {rule["alert"]: rule for file in files for group in file["groups"] for rule in group["rules"]}
    for name, hold in re.findall(r"`([A-Z]\w+)`, (\d+m|at once)", text):
        assert alerts[name].get("for", "at once") == hold, name
    for name in re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", text):
        assert name in alerts, name
    score = ex7_rollback.score(lambda look: [])
    assert f"{score.incidents} of {score.incidents} incidents and {score.quiet} of {score.quiet} quiet" in text


def test_what_the_monitoring_plan_cites_stands_in_that_line() -> None:
    cited = CITED.findall(example("monitoring_plan.md"))
    assert cited
    for file, line, words in cited:
        (path,) = [path for folder in FOLDERS for path in folder.rglob(file)]
        assert words in path.read_text(encoding="utf-8").splitlines()[int(line) - 1], (file, line, words)
