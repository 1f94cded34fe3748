import pytest
from triage_model import data, train


@pytest.fixture(scope="session")
def split():
    return data.load()


@pytest.fixture(scope="session")
def pipeline(split):
    return train.train(split)


def test_the_data_are_the_bytes_we_mean():
    assert data.digest() == data.SHA256


def test_the_split_keeps_every_case_and_the_share_of_malignant_ones(split):
    assert len(split.y_train) + len(split.y_test) == 569
    assert abs(split.y_train.mean() - split.y_test.mean()) < 0.01


def test_learned_numbers_are_quantised(pipeline):
    model = pipeline[-1]
    assert (model.coef_ == model.coef_.round(4)).all()


def test_training_twice_gives_the_same_bytes(split, pipeline):
    assert train.export(pipeline, "t") == train.export(train.train(split), "t")


def test_check_tells_a_trained_model_from_an_edited_one(tmp_path):
    path = tmp_path / "triage.onnx"
    assert train.main(["--out", str(path)]) == 0
    assert train.main(["--out", str(path), "--check"]) == 0
    path.write_bytes(path.read_bytes() + b"\0")
    assert train.main(["--out", str(path), "--check"]) == 1
