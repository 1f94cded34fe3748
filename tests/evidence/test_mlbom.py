"""ML-BOMs: what a training run leaves in writing."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.components import Component, purl_of
from chainlab.evidence.models.mlbom import (
    Dataset,
    Metric,
    Training,
    document,
    interval,
    metrics,
)
from chainlab.evidence.sbom import builder, cyclonedx
from chainlab.evidence.sbom.merging import merge
from chainlab.evidence.sbom.schema import problems

COMMIT = "a" * 40
METRICS = [
    Metric.of("recall", 41, 43, "malignant cases of the test part"),
    Metric("accuracy", "0.965"),
]
TRAINING = Training(
    parameters={"C": 0.5, "solver": "lbfgs", "columns": ["radius", "texture"]},
    metrics=METRICS,
    datasets=[
        Dataset(
            "cells", Digest.of(b"cells"), "CC-BY-4.0", "569 cases, one centre", "public", "1",
            owner="acme", sensitive=("health",),
        ),
        Dataset("labels", contents="https://data.acme.example/labels.csv"),
    ],
    considerations={
        "users": ["a pathologist"],
        "technicalLimitations": ["one centre"],
        "ethicalConsiderations": [{"name": "missed cases", "mitigationStrategy": "a second look"}],
    },
    dependencies=[Component("scikit-learn", "1.9.1", purl_of("scikit-learn", "1.9.1"))],
    workflow={
        "uri": "git+https://git.acme.example/acme/triage-model", "commit": COMMIT, "run": "7", "job": "train",
    },
    base_models=[Component("northwind-base", "2", licence="Apache-2.0", supplier="northwind-ml")],
    task="classification",
    architecture_family="linear",
    architecture="logistic regression",
    inputs=["float32[n, 30]"],
    outputs=["label", "probabilities"],
)  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "triage.onnx"
    path.write_bytes(b"a model")
    return path


@pytest.fixture(params=["1.6", "1.7"])
def made(request: pytest.FixtureRequest, model: Path, at: datetime) -> dict[str, Any]:
    return document(model, name="triage-model", version="1.4.0", training=TRAINING, at=at, spec=request.param)


def test_the_document_says_what_the_run_knew(made: dict[str, Any]) -> None:
    subject = made["metadata"]["component"]
    assert subject["hashes"] == [{"alg": "SHA-256", "content": Digest.of(b"a model").value.hex()}]
    card = subject["modelCard"]
    assert card["modelParameters"]["datasets"] == [{"ref": "cells@1"}, {"ref": "labels"}]
    assert card["quantitativeAnalysis"]["performanceMetrics"][0] == {
        "type": "recall",
        "value": "0.9535",
        "slice": "malignant cases of the test part",
        "confidenceInterval": {"lowerBound": "0.8454", "upperBound": "0.9872"},
    }
    assert metrics(made) == METRICS
    assert {p["name"].rpartition(":")[2]: p["value"] for p in card["properties"]} == {
        "C": "0.5",
        "solver": "lbfgs",
        "columns": '["radius", "texture"]',
    }
    parts = {c.name: c for c in cyclonedx.read(made).components}
    assert parts["cells"].hashes == {"SHA-256": Digest.of(b"cells").value.hex()}
    assert (parts["cells"].licence, parts["cells"].type) == ("CC-BY-4.0", "data")
    assert parts["northwind-base"].type == "machine-learning-model"
    (workflow,) = made["formulation"][0]["workflows"]
    assert workflow["inputs"][0]["resource"]["externalReference"]["url"].endswith(f"@{COMMIT}")
    assert workflow["outputs"] == [{"type": "artifact", "resource": {"ref": subject["bom-ref"]}}]


def test_it_is_valid_and_the_same_each_time(made: dict[str, Any], model: Path, at: datetime) -> None:
    assert problems(made) == []
    spec = made["specVersion"]
    version = {"1.6": SchemaVersion.V1_6, "1.7": SchemaVersion.V1_7}[spec]
    assert JsonStrictValidator(version).validate_str(builder.dump(made).decode()) is None
    again = document(model, name="triage-model", version="1.4.0", training=TRAINING, at=at, spec=spec)
    assert builder.dump(again) == builder.dump(made)


def test_json_loses_nothing_and_the_librarys_model_does(made: dict[str, Any]) -> None:
    assert json.loads(builder.dump(made)) == made
    parse = Bom.from_json  # type: ignore[attr-defined]  # its decorator adds it
    read = parse(json.loads(builder.dump(made)))  # no warning: that is the trap
    lost = json.dumps(json.loads(JsonV1Dot6(read).output_as_string()))
    for word in ("modelCard", "formulation", "compositions", "classification"):
        assert word in json.dumps(made)
        assert word not in lost


def test_merging_keeps_the_model_card(made: dict[str, Any], at: datetime) -> None:
    whole = merge([made], subject=Component("release", "1", type="application"), at=at)
    assert metrics(whole) == METRICS
    assert whole["formulation"] == made["formulation"]
    assert problems(whole) == []


def test_what_is_not_said_is_named(model: Path, at: datetime) -> None:
    empty = document(model, name="m", version="1", training=Training(datasets=[Dataset("d")]), at=at)
    said = {p["value"] for p in empty["metadata"]["component"]["properties"]}
    assert {"metrics", "considerations", "parameters", "what trained it"} <= said
    assert {"the digest of the data", "the licence of the data"} == {
        p["value"] for p in empty["components"][0]["properties"]
    }
    assert problems(empty) == []
    assert metrics({"components": [{"modelCard": {"quantitativeAnalysis": 1}}, 2]}) == metrics(None) == []


@pytest.mark.parametrize(
    ("hits", "cases", "lower", "upper"),
    [(41, 43, 0.8454, 0.9872), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0),
     (81, 263, 0.2553, 0.3662)],
    ids=["recall", "none", "all", "one case", "Newcombe 1998, table I"],
)  # fmt: skip
def test_wilsons_interval(hits: int, cases: int, lower: float, upper: float) -> None:
    assert interval(hits, cases) == pytest.approx((lower, upper), abs=5e-5)


def test_what_is_no_model_or_no_proportion_is_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(MalformedInput, match="cannot be read"):
        document(tmp_path / "gone.onnx", name="m", version="1", training=Training())
    with pytest.raises(MalformedInput, match="not an approach"):
        document(model, name="m", version="1", training=Training(approach="magic"))
    for hits, cases in ((1, 0), (2, 1), (-1, 5)):
        with pytest.raises(MalformedInput, match="not a proportion"):
            interval(hits, cases)
