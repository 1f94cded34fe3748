import pickle

import numpy as np
import pytest
from cultivar import answer, fit, judge, wines


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "cultivar.pkl"
    assert fit.main(["--out", str(path)]) == 0
    return path


def test_the_data_are_the_bytes_we_mean():
    assert wines.digest() == wines.SHA256


def test_no_wine_is_learned_from_and_judged_by():
    assert [len(wines.load(held_out)[1]) for held_out in (True, False)] == [60, 118]


def test_fitting_twice_gives_the_same_bytes(file):
    assert pickle.dumps(fit.fit(), protocol=5) == file.read_bytes()


def test_the_model_is_good_enough(file, capsys):
    assert judge.main([str(file)]) == 0
    assert capsys.readouterr().out == "accuracy 1.0\n"  # of 60 wines: an easy task


def test_a_poor_model_fails_the_build(file, capsys):
    model = answer.load(file)
    file.with_name("poor.pkl").write_bytes(
        pickle.dumps({**model, "centres": np.zeros_like(model["centres"])})
    )
    assert judge.main([str(file.with_name("poor.pkl"))]) == 1
    assert "refused" in capsys.readouterr().err


def test_it_answers_one_wine(file, capsys):
    x, _ = wines.load(held_out=True)
    assert answer.main([str(file), *map(str, x[0])]) == 0
    assert capsys.readouterr().out == "0\n"
