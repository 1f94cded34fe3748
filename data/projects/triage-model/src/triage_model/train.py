"""Train the model and export it to ONNX: the same bytes on every processor.

    python -m triage_model.train --out models/triage.onnx
    python -m triage_model.train --out models/triage.onnx --check

The last bits of a fitted coefficient depend on the BLAS kernel that the processor selects. So means
and coefficients are rounded to 4 decimals, scales to 6, before the export; predictions use the
rounded ones. Then the file's digest is the same everywhere.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from acme_quantise import quantise as rounded
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from triage_model import data

DECIMALS = 4
OPSET = 18  # ONNX operator set, fixed so that a newer skl2onnx writes the same file


def quantise(pipeline: Pipeline, decimals: int = DECIMALS) -> Pipeline:
    """Round every learned number in place, and return the pipeline."""
    scaler, model = pipeline[0], pipeline[-1]
    scaler.mean_ = rounded(scaler.mean_, decimals)
    scaler.scale_ = rounded(scaler.scale_, decimals + 2)  # some vary by thousandths only
    model.coef_ = rounded(model.coef_, decimals)
    model.intercept_ = rounded(model.intercept_, decimals)
    return pipeline


def train(split: data.Split, columns: slice = slice(None)) -> Pipeline:
    """Standardise, fit a logistic regression, quantise.

    ``columns`` selects measurements; the baseline uses the first alone, the mean radius.
    """
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, tol=1e-10, max_iter=5000))
    pipeline.fit(split.x_train[:, columns], split.y_train)
    return quantise(pipeline)


def export(pipeline: Pipeline, name: str) -> bytes:
    """The ONNX file: float32 input ``X`` (cases × measurements); outputs label, probabilities."""
    width = pipeline[0].mean_.shape[0]
    onnx = to_onnx(
        pipeline,
        initial_types=[("X", FloatTensorType([None, width]))],
        options={id(pipeline): {"zipmap": False}},
        target_opset=OPSET,
        name=name,
    )
    onnx.producer_name = "triage-model"
    onnx.producer_version = ""
    onnx.doc_string = "For teaching only: 569 cases, one centre."
    return onnx.SerializeToString(deterministic=True)


def build(baseline: bool = False) -> bytes:
    """Train on the fixed split and export: the model, or the baseline it must beat."""
    split = data.load()
    if baseline:
        return export(train(split, slice(0, 1)), "triage-baseline")
    return export(train(split), "triage-model")


def main(argv: list[str] | None = None) -> int:
    """Write the model, or with ``--check`` compare it with the file that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("models/triage.onnx"))
    parser.add_argument("--baseline", action="store_true", help="the one-measurement baseline")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it differs")
    args = parser.parse_args(argv)
    if data.digest() != data.SHA256:
        print(f"the data set is another one: sha256 {data.digest()}", file=sys.stderr)
        return 1
    np.random.seed(0)  # nothing below draws from it; a dependency might
    model = build(args.baseline)
    if args.check:
        same = args.out.is_file() and args.out.read_bytes() == model
        print(f"{args.out.name}: {'as trained' if same else 'differs from what training gives'}")
        return 0 if same else 1
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(model)
    print(f"{args.out.name}: {len(model)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
