"""Write the ML-BOM of MODEL to OUT: METRICS as the judge counted them, and SOURCE's model card, data and lock."""

import json
import os
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.evidence.components import Component
from chainlab.evidence.locks import lock_inventory
from chainlab.evidence.models import mlbom
from chainlab.evidence.models.mlbom import Dataset, Metric, Training
from chainlab.evidence.sbom import builder


def main() -> None:
    """Read, describe, write."""
    model, source = Path(os.environ["MODEL"]), Path(os.environ["SOURCE"])
    counted = json.loads(Path(os.environ["METRICS"]).read_text())
    card = tomllib.loads((source / "model-card.toml").read_text())
    taken = tomllib.loads((source / "artifacts.toml").read_text())
    data = {entry["name"]: entry for entry in taken["dataset"]}[card["dataset"]["name"]]
    said, told = card["considerations"], card["dataset"]
    training = Training(
        parameters=card["parameters"],
        metrics=[
            measured("accuracy", counted["accuracy"], counted["cases"], "test"),
            measured("recall", counted["recall"], counted["malignant"], "test, malignant"),
        ],
        datasets=[
            Dataset(
                data["name"],
                Digest.parse(f"sha256:{data['sha256']}"),
                told["licence"],
                contents=told["contents"],
                classification=told["classification"],
                version=data["revision"],
                description=f"{data['source']}; {told['licence_note']}",
                sensitive=(told["sensitive"],),
            )
        ],
        considerations={
            "users": said["users"],
            "useCases": said["uses"],
            "technicalLimitations": said["limits"],
            "performanceTradeoffs": said["tradeoffs"],
            "ethicalConsiderations": [
                {"name": risk["name"], "mitigationStrategy": risk["mitigation"]}
                for risk in said["risks"]
            ],
        },
        dependencies=installed(source / "requirements.lock"),
        workflow={
            "uri": f"git+{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}",
            "commit": os.environ["GITHUB_SHA"],
            "run": os.environ["GITHUB_RUN_ID"],
            "job": os.environ["GITHUB_JOB"],
        },
        approach=card["approach"],
        task=card["task"],
        architecture=card["architecture"],
        inputs=[card["inputs"]],
        outputs=[card["outputs"]],
        supplier=os.environ["GITHUB_REPOSITORY"].partition("/")[0],
    )
    document = mlbom.document(
        model,
        name=card["name"],
        version=os.environ["GITHUB_REF_NAME"].removeprefix("v"),
        training=training,
        at=datetime.now(UTC),
    )
    Path(os.environ["OUT"]).write_bytes(builder.dump(document))
    for metric in mlbom.metrics(document):
        print(f"{metric.type} {metric.value} ({metric.lower} to {metric.upper})")


def measured(kind: str, value: float, cases: int, part: str) -> Metric:
    """A proportion that the judge rounded, as the count it was."""
    return Metric.of(kind, round(value * cases), cases, part)


def installed(lock: Path) -> list[Component]:
    """What the training was installed from."""
    return list(lock_inventory.read(lock).components)


try:
    main()
except (ChainlabError, KeyError, ValueError, OSError) as error:
    sys.exit(f"refused: {error}")
