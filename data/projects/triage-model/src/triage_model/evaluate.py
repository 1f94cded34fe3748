"""Judge an exported model on the held-out cases; a poor one fails the build.

    python -m triage_model.evaluate models/triage.onnx --min-recall 0.93 --out metrics.json

Recall of the malignant class comes first: a missed malignant case costs more than a second look.
The model must also beat the baseline of `artifacts.toml`, if that file is there.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from triage_model import data

MIN_RECALL = 0.93  # malignant cases found ÷ malignant cases
MIN_ACCURACY = 0.95
BASELINE = Path(__file__).parents[2] / "models" / "baseline.onnx"


def predict(model: bytes, x: np.ndarray) -> np.ndarray:
    """Labels (1 is malignant) by an exported model; it gets as many columns as it has."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    width = session.get_inputs()[0].shape[1]
    return session.run(["label"], {"X": x[:, :width].astype(np.float32)})[0]


def evaluate(model: bytes) -> dict[str, float]:
    """Accuracy and recall on the test part, rounded to 4 decimals, and the numbers of cases behind them."""
    split = data.load()
    labels = predict(model, split.x_test)
    malignant = split.y_test == 1
    return {
        "cases": len(labels),
        "malignant": int(malignant.sum()),
        "accuracy": round(float((labels == split.y_test).mean()), 4),
        "recall": round(float((labels[malignant] == 1).mean()), 4),
    }


def main(argv: list[str] | None = None) -> int:
    """Print and write the metrics; exit 1 below a threshold or below the baseline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--min-recall", type=float, default=MIN_RECALL)
    parser.add_argument("--min-accuracy", type=float, default=MIN_ACCURACY)
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    metrics = evaluate(args.model.read_bytes())
    failures = [
        f"{name} {metrics[name]} is below {least}"
        for name, least in [("recall", args.min_recall), ("accuracy", args.min_accuracy)]
        if metrics[name] < least
    ]
    if args.baseline.is_file():
        metrics["baseline_recall"] = evaluate(args.baseline.read_bytes())["recall"]
        if metrics["recall"] < metrics["baseline_recall"]:
            failures.append(f"the baseline's recall is {metrics['baseline_recall']}")
    print(json.dumps(metrics))
    if args.out:
        args.out.write_text(json.dumps(metrics) + "\n")
    for failure in failures:
        print(f"refused: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
