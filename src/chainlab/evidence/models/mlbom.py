"""ML-BOMs: a model as a component, with its model card, its data sets and its training.

    >>> bill = document(Path("triage.onnx"), name="triage-model", version="1.4.0", training=training, at=trained_at)
    >>> metrics(bill)[0]
    Metric(type='recall', value='0.9535', lower='0.8454', upper='0.9872', slice='test')

ML-BOMs are read as JSON here: cyclonedx-python-lib does not know modelCard, component data, formulation and
compositions, and drops them silently when it reads a document. CycloneDX (ECMA-424), modelCard, where a metric's value
is a text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.components import PREFIX, BlindSpot, Component
from chainlab.evidence.sbom import builder
from chainlab.evidence.sbom.cyclonedx import entries

__all__ = ["Dataset", "Metric", "Training", "document", "interval", "metrics"]

Z = 1.959963984540054  # of the normal distribution, 95 %, two-sided
APPROACHES = (
    "supervised", "unsupervised", "reinforcement-learning", "semi-supervised", "self-supervised"
)  # fmt: skip
PARAMETER = f"{PREFIX}parameter:"
BASE_MODEL = f"{PREFIX}base-model"


@dataclass(frozen=True)
class Metric:
    """One figure; its numbers are texts, as in the document."""

    type: str  # recall, accuracy, …
    value: str
    lower: str = ""  # of the 95 % confidence interval; empty: not given
    upper: str = ""
    slice: str = ""  # the cases it was measured on

    @classmethod
    def of(cls, type: str, hits: int, cases: int, slice: str = "") -> Metric:
        """Make a proportion with its Wilson interval, to four digits. Raises `MalformedInput` without a case."""
        lower, upper = interval(hits, cases)
        return cls(type, f"{hits / cases:.4f}", f"{lower:.4f}", f"{upper:.4f}", slice)


@dataclass(frozen=True)
class Dataset:
    """A data set that a model was trained or tested on."""

    name: str
    digest: Digest | None = None
    licence: str | None = None  # an SPDX expression
    contents: str = ""  # where it is, or what it holds
    classification: str = ""  # public, internal, confidential…: the owner's own words
    version: str = ""
    description: str = ""
    owner: str = ""
    sensitive: tuple[str, ...] = ()  # kinds of sensitive data in it

    @property
    def ref(self) -> str:
        """The name by which the model card refers to it."""
        return f"{self.name}@{self.version}" if self.version else self.name


@dataclass(frozen=True)
class Training:
    """A training run, as the document describes it."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    datasets: Sequence[Dataset] = ()
    considerations: Mapping[str, Any] = field(default_factory=dict)  # as CycloneDX writes them
    dependencies: Sequence[Component] = ()  # packages that trained it
    workflow: Mapping[str, str] = field(default_factory=dict)  # uri, commit, run, job
    base_models: Sequence[Component] = ()  # models that it was tuned from
    approach: str = "supervised"
    task: str = ""  # classification, …
    architecture_family: str = ""
    architecture: str = ""
    inputs: Sequence[str] = ()  # formats
    outputs: Sequence[str] = ()  # formats
    licence: str | None = None  # of the model
    supplier: str = ""
    blind_spots: Sequence[BlindSpot] = ()


def interval(hits: int, cases: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion. Raises `MalformedInput` without a case."""
    if cases < 1 or not 0 <= hits <= cases:
        raise MalformedInput(f"not a proportion: {hits} of {cases}", hint="count at least one case")
    p, z2 = hits / cases, Z * Z
    centre = (p + z2 / (2 * cases)) / (1 + z2 / cases)
    half = Z * math.sqrt(p * (1 - p) / cases + z2 / (4 * cases * cases)) / (1 + z2 / cases)
    # Exact at the ends, where a rounding error would show
    lower = 0.0 if hits == 0 else max(0.0, centre - half)
    upper = 1.0 if hits == cases else min(1.0, centre + half)
    return lower, upper


def document(
    model: Path,
    *,
    name: str,
    version: str,
    training: Training,
    at: datetime | None = None,
    spec: str = "1.6",
) -> dict[str, Any]:
    """Build the ML-BOM of the model in a file.

    Raises `MalformedInput` for a file that cannot be read, an unknown approach, or as `builder.document` does.
    """
    try:
        digest = Digest.of_file(model)
    except OSError as error:
        raise MalformedInput(f"the model {model.name} cannot be read: {error.strerror}") from error
    if training.approach not in APPROACHES:
        raise MalformedInput(f"not an approach: {training.approach!r}", hint=f"one of {', '.join(APPROACHES)}")
    datasets = sorted(training.datasets, key=lambda d: d.ref)
    data = [_data_component(d) for d in datasets]
    subject = Component(
        name=name,
        version=version,
        hashes={"SHA-256": digest.value.hex()},
        hash_origin="file",
        licence=training.licence,
        supplier=training.supplier,
        requires=tuple(sorted({*(c.ref for c in data), *(b.ref for b in training.base_models)})),
        type="machine-learning-model",
        complete=True,
        found_in=model.name,
    )
    bases = [_base(b) for b in training.base_models]
    spots = [*training.blind_spots, *_not_stated(training, subject.ref)]
    bill = builder.document(
        [*data, *bases],
        subject=subject,
        lifecycle="build",
        at=at,
        spec=spec,
        blind_spots=spots,
    )
    described = bill["metadata"]["component"]
    described["modelCard"] = _card(training, datasets)
    if training.base_models:
        described["pedigree"] = {"ancestors": [_ancestor(b) for b in bases]}
    by_ref = {d.ref: d for d in datasets}
    for component in bill["components"]:
        if component["bom-ref"] in by_ref:
            component["data"] = [_data(by_ref[component["bom-ref"]])]
    if training.workflow or training.dependencies:
        bill["formulation"] = [_formula(training, datasets, subject)]
    return builder.seal(bill)


def metrics(document: Any) -> list[Metric]:
    """The metrics of every model in the document, its subject first; a malformed metric is left out."""
    result = []
    for card in _cards(document):
        analysis = card.get("quantitativeAnalysis")
        listed = analysis.get("performanceMetrics") if isinstance(analysis, dict) else None
        for entry in listed if isinstance(listed, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("type"), str):
                bounds = entry.get("confidenceInterval")
                bounds = bounds if isinstance(bounds, dict) else {}
                result.append(
                    Metric(
                        entry["type"],
                        str(entry.get("value", "")),
                        str(bounds.get("lowerBound", "")),
                        str(bounds.get("upperBound", "")),
                        str(entry.get("slice", "")),
                    )
                )
    return result


def _cards(document: Any) -> list[dict[str, Any]]:
    cards = [entry.get("modelCard") for entry in entries(document)] if isinstance(document, dict) else []
    return [card for card in cards if isinstance(card, dict)]


def _card(training: Training, datasets: Sequence[Dataset]) -> dict[str, Any]:
    parameters: dict[str, Any] = {"approach": {"type": training.approach}}
    for key, value in (
        ("task", training.task),
        ("architectureFamily", training.architecture_family),
        ("modelArchitecture", training.architecture),
    ):
        if value:
            parameters[key] = value
    if datasets:
        parameters["datasets"] = [{"ref": d.ref} for d in datasets]
    if training.inputs:
        parameters["inputs"] = [{"format": f} for f in training.inputs]
    if training.outputs:
        parameters["outputs"] = [{"format": f} for f in training.outputs]
    card: dict[str, Any] = {"modelParameters": parameters}
    if training.metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": [_metric(m) for m in training.metrics]}
    if training.considerations:
        card["considerations"] = dict(training.considerations)
    if training.parameters:
        card["properties"] = [
            {"name": PARAMETER + key, "value": _plain(value)} for key, value in sorted(training.parameters.items())
        ]
    return card


def _metric(metric: Metric) -> dict[str, Any]:
    document: dict[str, Any] = {"type": metric.type, "value": str(metric.value)}
    if metric.slice:
        document["slice"] = metric.slice
    bounds = {"lowerBound": str(metric.lower), "upperBound": str(metric.upper)}
    if any(bounds.values()):
        document["confidenceInterval"] = {k: v for k, v in bounds.items() if v}
    return document


def _data_component(dataset: Dataset) -> Component:
    return Component(
        name=dataset.name,
        version=dataset.version,
        hashes={"SHA-256": dataset.digest.value.hex()} if dataset.digest else {},
        hash_origin="file" if dataset.digest else "",
        licence=dataset.licence,
        supplier=dataset.owner,
        type="data",
        description=dataset.description,
    )


def _data(dataset: Dataset) -> dict[str, Any]:
    data: dict[str, Any] = {"type": "dataset", "name": dataset.name}
    if re.match(r"[a-z][a-z0-9+.-]*:\S+$", dataset.contents):
        data["contents"] = {"url": dataset.contents}
    elif dataset.contents:
        data["contents"] = {"properties": [{"name": f"{PREFIX}contents", "value": dataset.contents}]}
    if dataset.classification:
        data["classification"] = dataset.classification
    if dataset.sensitive:
        data["sensitiveData"] = list(dataset.sensitive)
    if dataset.owner:
        data["governance"] = {"owners": [{"organization": {"name": dataset.owner}}]}
    return data


def _base(model: Component) -> Component:
    mark = (BASE_MODEL, "the model was tuned from it")
    return replace(model, type="machine-learning-model", properties=(*model.properties, mark))


def _ancestor(model: Component) -> dict[str, Any]:
    entry = builder.entry(model)
    entry.pop("bom-ref")  # the component in the list has it, and a ref must be unique
    return entry


def _formula(training: Training, datasets: Sequence[Dataset], subject: Component) -> dict[str, Any]:
    """How the model was trained: the packages, and the workflow with its inputs and outputs."""
    used = sorted({c.ref: c for c in training.dependencies}.values(), key=lambda c: c.ref)
    parts = []
    for component in used:
        part = builder.entry(component)
        part["bom-ref"] = f"training:{component.ref}"  # the training run's component, not the model's
        parts.append(part)
    source = training.workflow
    run = "/".join(source[key] for key in ("run", "job") if source.get(key)) or "training"
    workflow: dict[str, Any] = {
        "bom-ref": f"workflow:{run}",
        "uid": run,
        "name": source.get("job") or "training",
        "taskTypes": ["build"],
    }
    inputs: list[dict[str, Any]] = []
    if uri := source.get("uri"):
        at = f"{uri}@{source['commit']}" if source.get("commit") else uri
        inputs.append({"resource": {"externalReference": {"type": "vcs", "url": at}}})
    inputs += [{"resource": {"ref": d.ref}} for d in datasets]
    inputs += [{"resource": {"ref": c.ref}} for c in training.base_models]
    if training.parameters:
        parameters = [{"name": key, "value": _plain(value)} for key, value in sorted(training.parameters.items())]
        inputs.append({"parameters": parameters})
    if inputs:
        workflow["inputs"] = inputs
    workflow["outputs"] = [{"type": "artifact", "resource": {"ref": subject.ref}}]
    if properties := [{"name": f"{PREFIX}run:{k}", "value": v} for k, v in sorted(source.items()) if v]:
        workflow["properties"] = properties
    formula: dict[str, Any] = {"bom-ref": "formula:training"}
    if parts:
        formula["components"] = parts
    formula["workflows"] = [workflow]
    return formula


def _not_stated(training: Training, ref: str) -> list[BlindSpot]:
    """Blind spots: what a reader would look for and not find."""
    expected = {
        "metrics": training.metrics,
        "data sets": training.datasets,
        "considerations": training.considerations,
        "parameters": training.parameters,
        "what trained it": training.dependencies,
    }
    spots = [BlindSpot("not said", what, ref) for what, value in expected.items() if not value]
    for dataset in training.datasets:
        if dataset.digest is None:
            spots.append(BlindSpot("not said", "the digest of the data", dataset.ref))
        if not dataset.licence:
            spots.append(BlindSpot("not said", "the licence of the data", dataset.ref))
    return spots


def _plain(value: Any) -> str:
    """A parameter as text: as JSON writes it, but texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
