import hashlib
import tomllib
from pathlib import Path

from triage_model import data

ROOT = Path(__file__).parents[1]
LISTED = tomllib.loads((ROOT / "artifacts.toml").read_text())


def test_the_data_set_is_the_bytes_we_mean():
    (listed,) = LISTED["dataset"]
    assert data.digest() == listed["sha256"] == data.SHA256


def test_the_base_model_is_the_bytes_we_mean():
    (listed,) = LISTED["model"]
    content = (ROOT / listed["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == listed["sha256"]
