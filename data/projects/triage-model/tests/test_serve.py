import hashlib
import json
import threading
import urllib.error
import urllib.request

import acme_cells
import pytest
from triage_model import data, serve, train


@pytest.fixture(scope="module")
def model():
    return train.build()


@pytest.fixture(scope="module")
def address(model):
    with serve.Service(serve.Model(model)) as service:
        thread = threading.Thread(target=service.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{service.server_port}"
        service.shutdown()
        thread.join()


def ask(address, body=None):
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=10) as answer:
        return json.load(answer)


def test_it_says_which_bytes_it_serves(address, model):
    assert ask(address + "/model") == {"sha256": hashlib.sha256(model).hexdigest()}


def test_it_predicts_one_probability_a_case(address):
    split = data.load()
    answer = ask(address + "/predict", {"cases": split.x_test[:5].tolist()})
    assert len(answer["malignant"]) == 5
    assert all(0 <= p <= 1 for p in answer["malignant"])


def test_a_case_by_name_gets_the_same_answer(address):
    (case,) = data.load().x_test[:1].tolist()
    named = dict(zip(acme_cells.FEATURES, case, strict=True))
    answers = [ask(address + "/predict", {"cases": [c]}) for c in (case, named)]
    assert answers[0] == answers[1]


NEGATIVE = {"cases": [[-1.0] * 30]}


@pytest.mark.parametrize(
    "body", [b"not json", {"cases": [[1, 2]]}, {"cases": "x"}, {"cases": []}, NEGATIVE, {}, []]
)
def test_a_body_it_cannot_read_is_refused(address, body):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(address + "/predict", body)
    assert refused.value.code == 400
    refused.value.close()
