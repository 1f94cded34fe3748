"""ML-BOMs: a model as a component with a model card, the data it learned from, and how it was trained.

    >>> bill = document(Path("triage.onnx"), name="triage-model", version="1.4.0", training=training, at=trained_at)
    >>> metrics(bill)[0]
    Metric(type='recall', value='0.9535', lower='0.8454', upper='0.9872', slice='test')

cyclonedx-python-lib has no model of modelCard, component data, formulation or compositions, and drops them without a
word when it reads a document: read ML-BOMs as JSON. CycloneDX (ECMA-424), modelCard; a metric's value is a text there.
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
    """One figure, as texts: the document's numbers are texts too."""

    type: str  # recall, accuracy, …
    value: str
    lower: str = ""  # of the 95 % confidence interval; empty: not given
    upper: str = ""
    slice: str = ""  # the cases it was measured on

    @classmethod
    def of(cls, type: str, hits: int, cases: int, slice: str = "") -> Metric:
        """A proportion with its Wilson interval, to four digits. Raises `MalformedInput` without a case."""
        lower, upper = interval(hits, cases)
        return cls(type, f"{hits / cases:.4f}", f"{lower:.4f}", f"{upper:.4f}", slice)


@dataclass(frozen=True)
class Dataset:
    """What a model learned from or was judged on."""

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
        """What the model card calls it by."""
        return f"{self.name}@{self.version}" if self.version else self.name


@dataclass(frozen=True)
class Training:
    """A training run, as far as the document tells it."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[Metric] = ()
    datasets: Sequence[Dataset] = ()
    considerations: Mapping[str, Any] = field(default_factory=dict)  # as CycloneDX writes them
    dependencies: Sequence[Component] = ()  # what trained it
    workflow: Mapping[str, str] = field(default_factory=dict)  # uri, commit, run, job
    base_models: Sequence[Component] = ()  # it was tuned from
    approach: str = "supervised"
    task: str = ""  # classification, …
    architecture_family: str = ""
    architecture: str = ""
    inputs: Sequence[str] = ()  # formats
    outputs: Sequence[str] = ()
    licence: str | None = None  # of the model
    supplier: str = ""
    blind_spots: Sequence[BlindSpot] = ()


def interval(hits: int, cases: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion. Raises `MalformedInput` without a case."""
    if cases < 1 or not 0 <= hits <= cases:
        raise MalformedInput(f"{hits} of {cases} is no proportion", hint="count at least one case")
    p, z2 = hits / cases, Z * Z
    centre = (p + z2 / (2 * cases)) / (1 + z2 / cases)
    half = Z * math.sqrt(p * (1 - p) / cases + z2 / (4 * cases * cases)) / (1 + z2 / cases)
    # Exact at the ends, where rounding would show
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
    """The ML-BOM of the model in this file.

    Raises `MalformedInput` for a file that cannot be read, another approach, or what `sbom.document` refuses.
    """
    try:
        digest = Digest.of_file(model)
    except OSError as error:
        raise MalformedInput(f"the model {model.name} cannot be read: {error.strerror}") from error
    if training.approach not in APPROACHES:
        raise MalformedInput(f"{training.approach!r} is no approach", hint=f"one of {', '.join(APPROACHES)}")
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
    spots = [*training.blind_spots, *_unsaid(training, subject.ref)]
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
    """The metrics of every model in the document, its subject first; what is not a metric is left out."""
    found = []
    for card in _cards(document):
        analysis = card.get("quantitativeAnalysis")
        listed = analysis.get("performanceMetrics") if isinstance(analysis, dict) else None
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and isinstance(one.get("type"), str):
                bounds = one.get("confidenceInterval")
                bounds = bounds if isinstance(bounds, dict) else {}
                found.append(
                    Metric(
                        one["type"],
                        str(one.get("value", "")),
                        str(bounds.get("lowerBound", "")),
                        str(bounds.get("upperBound", "")),
                        str(one.get("slice", "")),
                    )
                )
    return found


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
    found: dict[str, Any] = {"type": metric.type, "value": str(metric.value)}
    if metric.slice:
        found["slice"] = metric.slice
    bounds = {"lowerBound": str(metric.lower), "upperBound": str(metric.upper)}
    if any(bounds.values()):
        found["confidenceInterval"] = {k: v for k, v in bounds.items() if v}
    return found


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
    found: dict[str, Any] = {"type": "dataset", "name": dataset.name}
    if re.match(r"[a-z][a-z0-9+.-]*:\S+$", dataset.contents):
        found["contents"] = {"url": dataset.contents}
    elif dataset.contents:
        found["contents"] = {"properties": [{"name": f"{PREFIX}contents", "value": dataset.contents}]}
    if dataset.classification:
        found["classification"] = dataset.classification
    if dataset.sensitive:
        found["sensitiveData"] = list(dataset.sensitive)
    if dataset.owner:
        found["governance"] = {"owners": [{"organization": {"name": dataset.owner}}]}
    return found


def _base(model: Component) -> Component:
    mark = (BASE_MODEL, "the model was tuned from it")
    return replace(model, type="machine-learning-model", properties=(*model.properties, mark))


def _ancestor(model: Component) -> dict[str, Any]:
    found = builder.entry(model)
    found.pop("bom-ref")  # it is listed among the components, and a ref is there once
    return found


def _formula(training: Training, datasets: Sequence[Dataset], subject: Component) -> dict[str, Any]:
    """How it was trained: what took part, the workflow with its inputs and outputs."""
    used = sorted({c.ref: c for c in training.dependencies}.values(), key=lambda c: c.ref)
    parts = []
    for component in used:
        part = builder.entry(component)
        part["bom-ref"] = f"training:{component.ref}"  # the run's, not the model's: apart
        parts.append(part)
    said = training.workflow
    run = "/".join(said[k] for k in ("run", "job") if said.get(k)) or "training"
    workflow: dict[str, Any] = {
        "bom-ref": f"workflow:{run}",
        "uid": run,
        "name": said.get("job") or "training",
        "taskTypes": ["build"],
    }
    inputs: list[dict[str, Any]] = []
    if uri := said.get("uri"):
        at = f"{uri}@{said['commit']}" if said.get("commit") else uri
        inputs.append({"resource": {"externalReference": {"type": "vcs", "url": at}}})
    inputs += [{"resource": {"ref": d.ref}} for d in datasets]
    inputs += [{"resource": {"ref": c.ref}} for c in training.base_models]
    if training.parameters:
        named = [{"name": key, "value": _plain(value)} for key, value in sorted(training.parameters.items())]
        inputs.append({"parameters": named})
    if inputs:
        workflow["inputs"] = inputs
    workflow["outputs"] = [{"type": "artifact", "resource": {"ref": subject.ref}}]
    if properties := [{"name": f"{PREFIX}run:{k}", "value": v} for k, v in sorted(said.items()) if v]:
        workflow["properties"] = properties
    formula: dict[str, Any] = {"bom-ref": "formula:training"}
    if parts:
        formula["components"] = parts
    formula["workflows"] = [workflow]
    return formula


def _unsaid(training: Training, ref: str) -> list[BlindSpot]:
    """What a reader would look for and not find."""
    asked = {
        "metrics": training.metrics,
        "data sets": training.datasets,
        "considerations": training.considerations,
        "parameters": training.parameters,
        "what trained it": training.dependencies,
    }
    found = [BlindSpot("not said", what, ref) for what, value in asked.items() if not value]
    for dataset in training.datasets:
        if dataset.digest is None:
            found.append(BlindSpot("not said", "the digest of the data", dataset.ref))
        if not dataset.licence:
            found.append(BlindSpot("not said", "the licence of the data", dataset.ref))
    return found


def _plain(value: Any) -> str:
    """A parameter as text: what JSON would write, texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
