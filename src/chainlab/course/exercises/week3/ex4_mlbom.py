"""Cases for exercise 3.4: add a training record to a document that others wrote.

The record's counts give the metrics; the intervals are computed here from the same counts by another form of Wilson's
formula. The document has parts that the Python library does not model: formulation, compositions, annotations.

    >>> lower, upper = wilson(90, 100)
    >>> round(lower, 3), round(upper, 3)
    (0.826, 0.945)

CycloneDX 1.6, modelCard; E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
"""

from __future__ import annotations

import math
import random
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss

__all__ = ["cases", "sample", "wilson"]

SEE = "labs/03_sbom.ipynb, 'A model is a component with a past'"
TEACHES = {
    "metrics": (
        "In CycloneDX a metric's value and both bounds are *text*, here rounded to four decimals: f'{value:.4f}'. A "
        "number makes the document invalid. Add to what is there: components, edges and all else stay."
    ),
    "the data set": (
        "The data set is a component of its own, of type data: name, SHA-256, licence, and in `data` one entry with "
        "type, name, contents and classification. The model names it twice: as a reference in `datasets`, and as an "
        "edge."
    ),
    "a perfect score": (
        "p ± z·√(p(1−p)/n) has no width at 0 and at 1: it says that a few dozen lucky cases leave no doubt. "
        "Wilson's interval keeps the doubt."
    ),
    "nobody in the slice": (
        "0 of 0 is neither 0 nor 1. Leave the metric out, and say that it was not measured where limits are "
        "said: modelCard.considerations.technicalLimitations."
    ),
    "what was there before": (
        "`Bom.from_json` reads what the library models, and drops the rest without a word: formulation, "
        "compositions, annotations. Add to the JSON, and leave what you do not know as it is."
    ),
    "all of it": "See the cases before.",
}


Z = 1.959963984540054  # the normal distribution's 97.5 % point
FOUR_DECIMALS = re.compile(r"-?[01]\.[0-9]{4}")
ROUNDED = 0.00006  # half of the last decimal, and z may have been taken as 1.959964
SLICES = ["all", "under 40", "40 to 65", "over 65", "site A", "site B", "old scanner"]
METRICS = ["accuracy", "sensitivity", "specificity", "precision"]
CONTENTS = ["569 rows of 30 measurements of cell nuclei", "1,200 rows of 12 blood values", "318 rows of scan features"]


def wilson(hits: int, cases: int) -> tuple[float, float]:
    """Compute the ends of the 95 % score interval: the two shares p at which |hits − np| = z·√(np(1−p))."""
    a, b, c = cases + Z * Z, 2 * hits + Z * Z, hits * hits / cases
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return (b - root) / (2 * a), (b + root) / (2 * a)


def sample(rng: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make a training record and a document to add it to."""
    return _training(rng, _counts(rng)), _document(rng)


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make records with plain, perfect and missing measurements, and documents that have little or much."""

    def case(name: str, counts: list[dict[str, Any]], *, bare: bool = False) -> Case:
        training, document = _training(rng, counts), _document(rng)
        if bare:
            for key in ("formulation", "compositions", "annotations", "services"):
                document.pop(key, None)
        return Case(name, (training, document), None, accept=_accepts(training, document))

    yield case("metrics", _counts(rng), bare=True)
    yield case("the data set", _counts(rng)[:1], bare=True)
    perfect = rng.randrange(12, 60)
    yield case(
        "a perfect score",
        [*_counts(rng)[:1], _count(rng, perfect, perfect), _count(rng, 0, rng.randrange(5, 30))],
        bare=True,
    )
    yield case("nobody in the slice", [*_counts(rng), _count(rng, 0, 0, "pregnant")], bare=True)
    yield case("what was there before", _counts(rng))
    yield case("all of it", [*_counts(rng), _count(rng, 20, 20), _count(rng, 0, 0, "children")])


def _count(rng: random.Random, hits: int, cases: int, slice_: str | None = None) -> dict[str, Any]:
    metric = rng.choice(METRICS)
    return {
        "metric": metric,
        "slice": slice_ or f"{rng.choice(SLICES)}, reader {rng.randrange(100)}",
        "hits": hits,
        "cases": cases,
    }


def _counts(rng: random.Random) -> list[dict[str, Any]]:
    counts = []
    for _ in range(3):
        cases = rng.randrange(60, 900)
        counts.append(_count(rng, round(cases * rng.uniform(0.7, 0.97)), cases))
    return counts


def _training(rng: random.Random, counts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": {"name": "triage", "version": f"1.{rng.randrange(9)}.0", "sha256": rng.randbytes(32).hex()},
        "task": "classification",
        "approach": "supervised",
        "architecture": rng.choice(["random forest", "logistic regression", "gradient boosting"]),
        "dataset": {
            "name": "cell-measurements",
            "sha256": rng.randbytes(32).hex(),
            "licence": rng.choice(["CC-BY-4.0", "CC0-1.0", "ODbL-1.0"]),
            "contents": rng.choice(CONTENTS),
            "classification": rng.choice(["public", "internal"]),
        },
        "counts": counts,
        "limits": [rng.choice(["Trained on one hospital's scanner.", "No case was followed up."])],
    }


def _document(rng: random.Random) -> dict[str, Any]:
    serial = uuid.UUID(int=rng.getrandbits(128), version=5)
    names = rng.sample(["acme-cells", "acme-quantise", "acme-metrics", "acme-tables"], 2)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": rng.randrange(1, 6),
        "metadata": {
            "timestamp": "2026-09-01T08:00:00Z",
            "component": {"type": "application", "bom-ref": "app", "name": "triage-model"},
        },
        "components": [
            {"type": "library", "bom-ref": name, "name": name, "version": "1.0", "purl": f"pkg:pypi/{name}@1.0"}
            for name in names
        ],
        "dependencies": [{"ref": "app", "dependsOn": names}],
        "compositions": [{"aggregate": "incomplete", "assemblies": ["app"]}],
        "annotations": [
            {
                "bom-ref": "note",
                "subjects": ["app"],
                "annotator": {"component": {"type": "application", "name": "source-scan"}},
                "timestamp": "2026-09-01T08:00:00Z",
                "text": f"Vendored code was not looked at in {rng.randrange(2, 9)} files.",
            }
        ],
        "formulation": [
            {
                "bom-ref": "formula",
                "workflows": [
                    {
                        "bom-ref": "train",
                        "uid": f"acme/triage-model/runs/{rng.randrange(10, 99)}",
                        "name": "train",
                        "taskTypes": ["build"],
                        "properties": [{"name": "commit", "value": rng.randbytes(20).hex()}],
                    }
                ],
            }
        ],
    }


def _accepts(training: dict[str, Any], before: dict[str, Any]) -> Callable[[Any], bool | Miss]:
    def accept(document: Any) -> bool | Miss:
        if not isinstance(document, dict):
            return Miss("expected the document as a dict")
        for looks in (_models, _metrics, _datasets, _rest_unchanged):
            if wrong := looks(document, training, before):
                return Miss(wrong)
        return True

    return accept


def _component_of_type(document: dict[str, Any], type_: str) -> dict[str, Any]:
    matches = [c for c in document.get("components", []) if c.get("type") == type_]
    return matches[0] if len(matches) == 1 else {}


def _models(document: dict[str, Any], training: dict[str, Any], before: dict[str, Any]) -> str:
    model = _component_of_type(document, "machine-learning-model")
    if not model:
        return "expected one component of type machine-learning-model"
    if (model.get("name"), model.get("version")) != (training["model"]["name"], training["model"]["version"]):
        return "the model's name or version is another"
    if model.get("hashes") != [{"alg": "SHA-256", "content": training["model"]["sha256"]}]:
        return "the model's hashes: expected its SHA-256"
    if "modelCard" not in model:
        return (
            "the model has no modelCard. If yours had one, what you wrote it with has no class for it: stay with dicts"
        )
    parameters = model["modelCard"].get("modelParameters", {})
    expected = {
        "approach": {"type": training["approach"]},
        "task": training["task"],
        "modelArchitecture": training["architecture"],
    }
    wrong = [key for key, value in expected.items() if parameters.get(key) != value]
    return f"modelParameters: {', '.join(wrong)}" if wrong else ""


def _metrics(document: dict[str, Any], training: dict[str, Any], before: dict[str, Any]) -> str:
    card = _component_of_type(document, "machine-learning-model")["modelCard"]
    listed = card.get("quantitativeAnalysis", {}).get("performanceMetrics", [])
    metrics = {(m.get("type"), m.get("slice")): m for m in listed}
    measured = [c for c in training["counts"] if c["cases"]]
    if len(listed) != len(metrics):
        return "a metric of one slice is listed twice"
    odd = metrics.keys() ^ {(c["metric"], c["slice"]) for c in measured}
    if odd:
        return f"metrics: not the measured ones, see {min(odd, key=str)}"
    for count in measured:
        metric = metrics[count["metric"], count["slice"]]
        bounds = metric.get("confidenceInterval", {})
        got = [metric.get("value"), bounds.get("lowerBound"), bounds.get("upperBound")]
        where = f"{count['hits']} of {count['cases']}"
        if not all(isinstance(v, str) for v in got):
            return f"{where}: value, lowerBound and upperBound are texts in CycloneDX, got {got}"
        expected = [count["hits"] / count["cases"], *wilson(count["hits"], count["cases"])]
        if not all(FOUR_DECIMALS.fullmatch(v) for v in got):
            return f"{where}: expected texts with four decimals such as {expected[0]:.4f}, got {got}"
        if any(abs(float(g) - w) > ROUNDED for g, w in zip(got, expected, strict=True)):
            return f"{where}: expected about {[f'{w:.4f}' for w in expected]}, got {got}"
    limits = card.get("considerations", {}).get("technicalLimitations", [])
    if missing := [text for text in training["limits"] if text not in limits]:
        return f"technicalLimitations: {missing[0]!r} is missing"
    for count in training["counts"]:
        if not count["cases"] and f"not measured: {count['metric']}, {count['slice']}" not in limits:
            return f"technicalLimitations: expected 'not measured: {count['metric']}, {count['slice']}'"
    return ""


def _datasets(document: dict[str, Any], training: dict[str, Any], before: dict[str, Any]) -> str:
    data, dataset = _component_of_type(document, "data"), training["dataset"]
    if data.get("hashes") != [{"alg": "SHA-256", "content": dataset["sha256"]}] or data.get("name") != dataset["name"]:
        return "expected one component of type data, with the data set's name and SHA-256"
    if data.get("licenses") not in ([{"license": {"id": dataset["licence"]}}], [{"expression": dataset["licence"]}]):
        return "the data set's licence is missing"
    inside = (data.get("data") or [{}])[0]
    if (inside.get("contents") or {}).get("attachment") != {"content": dataset["contents"]}:
        return f"the data set's data[0].contents: expected an attachment with the content {dataset['contents']!r}"
    if inside.get("name") != dataset["name"]:
        return "the data set's data[0] has another name, or none"
    if (inside.get("type"), inside.get("classification")) != ("dataset", dataset["classification"]):
        return "the data set's data[0]: type 'dataset' and its classification"
    model = _component_of_type(document, "machine-learning-model")
    card = model["modelCard"]
    if card["modelParameters"].get("datasets") != [{"ref": data.get("bom-ref")}]:
        return "modelParameters.datasets: expected one reference to the data set"
    edges = {(e.get("ref"), to) for e in document.get("dependencies", []) for to in e.get("dependsOn", [])}
    edges_before = {(e["ref"], to) for e in before["dependencies"] for to in e["dependsOn"]}
    new_edge = (model.get("bom-ref"), data.get("bom-ref"))
    return "" if edges - edges_before == {new_edge} else "expected one edge more, from model to data set"


def _rest_unchanged(document: dict[str, Any], training: dict[str, Any], before: dict[str, Any]) -> str:
    """Check that everything is still there, unchanged, and that the document's version is one higher."""
    refs = [c.get("bom-ref") for c in document["components"]]
    if len(set(refs)) < len(refs) or None in refs:
        return "each component needs a bom-ref of its own"
    if len(refs) != len(before["components"]) + 2:
        return "components: expected two more than there were, the model and its data set"
    for key, value in before.items():
        now = document.get(key)
        if key == "version":
            if now != value + 1:
                return f"version: a changed document keeps its serial number and counts on, expected {value + 1}"
        elif key in ("components", "dependencies"):
            gone = [entry for entry in value if entry not in (now or [])]
            if gone:
                return f"{key}: {gone[0].get('bom-ref', gone[0].get('ref'))} was there before and is gone or changed"
        elif now != value:
            return f"{key}: was there before and is {'gone' if now is None else 'changed'}"
    return ""
