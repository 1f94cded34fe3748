from pathlib import Path

import pytest
from triage_model import evaluate, train

BASELINE = Path(__file__).parents[1] / "models" / "baseline.onnx"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "triage.onnx"
    path.write_bytes(train.build())
    return path


def test_the_model_is_good_enough_and_beats_the_baseline(model, capsys):
    assert evaluate.main([str(model), "--baseline", str(BASELINE)]) == 0
    assert '"baseline_recall"' in capsys.readouterr().out


def test_the_threshold_fails_the_build(model, capsys):
    assert evaluate.main([str(model), "--min-recall", "0.999"]) == 1
    assert "refused: recall" in capsys.readouterr().err


def test_the_baseline_alone_would_be_refused():
    assert evaluate.main([str(BASELINE)]) == 1
