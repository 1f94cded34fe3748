"""Inspection: formats by their bytes, pickles by two scanners, wheels by their source. Nothing is ever loaded."""

from __future__ import annotations

import base64
import bz2
import collections
import hashlib
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import joblib
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier

from chainlab.errors import MalformedInput
from chainlab.evidence.findings import InspectionReport
from chainlab.evidence.models.formats import FORMATS, identify
from chainlab.evidence.models.inspection import inspect, inspect_bytes
from chainlab.evidence.models.pickles import is_pickle, opinions
from chainlab.evidence.packages import wheel_against_source

ROOT = Path(__file__).parents[2]
# A pickle is bytes: these are written, and never loaded. What they would do is make a file.
DIRECT = b"cos\nsystem\n(S'touch MARKER'\ntR."
GADGET = b"cnorthwind_plugins.loader\nrun\n(S'touch MARKER'\ntR."


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return file.getvalue()


def forest() -> RandomForestClassifier:
    cells = np.arange(12.0).reshape(6, 2)
    return RandomForestClassifier(n_estimators=2, random_state=0).fit(cells, [0, 1] * 3)


def dumped(value: object, compress: int = 0) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, compress=compress)
    return file.getvalue()


def safetensors(header: Mapping[str, object], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def graph(*, domain: str = "", location: str = "", nested: bool = False, function: str = "") -> bytes:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    if location:
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=location)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Relu", ["w"], ["x"], domain=domain)
    made = helper.make_graph([node], "g", [], [value], [weights])
    if nested:  # one level down, in a branch
        flag = helper.make_tensor("b", TensorProto.BOOL, [], [True])
        branch = helper.make_node("If", ["b"], ["x"], then_branch=made, else_branch=made)
        made = helper.make_graph([branch], "outer", [], [value], [flag])
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    functions = []
    if function:  # defined in the file itself
        body = [helper.make_node("Identity", ["w"], ["x"])]
        functions = [helper.make_function(domain, function, ["w"], ["x"], body, opsets[:1])]
    model = helper.make_model(made, opset_imports=opsets, functions=functions)
    return bytes(model.SerializeToString())


def saved(*values: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values), allow_pickle=True)
    return file.getvalue()


def gguf(template: str) -> bytes:
    text = template.encode()
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    key = b"tokenizer.chat_template"
    value = struct.pack("<IQ", 8, len(text)) + text
    return head + struct.pack("<Q", len(key)) + key + value


TENSOR = {"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
SAMPLES: dict[str, tuple[bytes, str, str]] = {  # bytes, format; then clean, a finding, or not scanned
    "onnx": (graph(), "ONNX", "clean"),
    "onnx, weights outside": (graph(location="w.bin"), "ONNX", "external-data"),
    "onnx, weights of another folder": (graph(location="../../key"), "ONNX", "external-data"),
    "onnx, weights outside in a branch": (graph(location="w", nested=True), "ONNX", "external-data"),
    "onnx, own operator": (graph(domain="northwind.ops"), "ONNX", "custom-operator"),
    "onnx, a function of its own": (graph(domain="x.y", function="Relu"), "ONNX", "clean"),
    "onnx, own operator beside a function": (
        graph(domain="x.y", function="Other"),
        "ONNX",
        "custom-operator",
    ),
    "onnx, own operator in a branch": (
        graph(domain="x.y", nested=True),
        "ONNX",
        "custom-operator",
    ),
    "onnx that is a SavedModel to TensorFlow": (b"\x12\x04\x12\x02\x0a\x00" + graph(), "unknown", "not scanned"),
    "the same behind its version": (b"\x08\x01\x12\x04\x12\x02\x0a\x00" + graph(), "ONNX", "two-formats"),
    "the same behind a name": (graph() + b"\x12\x05torch\x12\x04\x12\x02\x0a\x00\x12\x01x", "ONNX", "two-formats"),
    "onnx by a named producer": (graph() + b"\x12\x05torch", "ONNX", "clean"),
    "safetensors": (safetensors(TENSOR, b"abcd"), "safetensors", "clean"),
    "safetensors and more": (safetensors(TENSOR, b"abcdMZ"), "safetensors", "hidden-bytes"),
    "safetensors, a gap": (
        safetensors({"w": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, b"abcd"),
        "safetensors",
        "hidden-bytes",
    ),
    "safetensors, overlapping": (
        safetensors({**TENSOR, "v": TENSOR["w"]}, b"abcd"),
        "safetensors",
        "hidden-bytes",
    ),
    "safetensors, no offsets": (safetensors({"w": 1}, b""), "safetensors", "malformed"),
    "gguf": (gguf("{{ messages }}"), "GGUF", "clean"),
    "gguf, a template that reaches out": (
        gguf("{{ x.__class__.__mro__ }}"),
        "GGUF",
        "template",
    ),
    "pickle of plain data": (pickle.dumps({"a": [1, 2.5, "b"]}), "pickle", "clean"),
    "pickle, direct": (DIRECT, "pickle", "unsafe-pickle"),
    "pickle, direct, in protocol 4": (
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch MARKER\x85R.",
        "pickle",
        "unsafe-pickle",
    ),
    "pickle that breaks off after its call": (DIRECT[:-1], "pickle", "unparseable-pickle"),
    "a second pickle behind an honest one": (
        pickle.dumps(1) + DIRECT,
        "pickle",
        "unsafe-pickle",
    ),
    "pickle with a zip behind it": (pickle.dumps(1) + zipped(a=b""), "pickle", "two-formats"),
    "joblib": (dumped(forest()), "pickle", "unparseable-pickle"),
    "joblib, zlib": (dumped(forest(), 3), "compressed", "not scanned"),
    "joblib, bz2": (bz2.compress(DIRECT), "compressed", "not scanned"),
    "pytorch": (zipped(m__data_dot_pkl=pickle.dumps([1]), m__data__0=b"\x80\x02"), "PyTorch zip", "not scanned"),
    "torchscript": (zipped(m__data_dot_pkl=b"N.", m__constants_dot_pkl=b"N."), "TorchScript", "not scanned"),
    "keras": (zipped(config_dot_json=b"{}", metadata_dot_json=b"{}"), "Keras zip", "not scanned"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5", "not scanned"),
    "saved model": (b"\x08\x01\x12\x0aWriteFile\xff", "SavedModel", "not scanned"),
    "array": (saved(1, 2, 3), "NumPy", "clean"),
    "array of objects": (saved({"a": 1}, None), "NumPy", "unsafe-pickle"),
    "array and more": (saved(1) + b"x", "NumPy", "hidden-bytes"),
    "array cut off": (saved(1, 2)[:-1], "NumPy", "hidden-bytes"),
    "zip of arrays": (zipped(a_dot_npy=saved(1.5)), "NumPy zip", "clean"),
    "zip of arrays, one of objects": (
        zipped(a_dot_npy=saved(1), b_dot_npy=saved({})),
        "NumPy zip",
        "unsafe-pickle",
    ),
    "zip of a pickle under an array's name": (zipped(a_dot_npy=pickle.dumps(1)), "NumPy zip", "not scanned"),
    "zip of something": (zipped(a=b"b"), "zip", "not scanned"),
    "text under a name that does not say what it is for": (b"# Model card\ncos\n", "other text", "not scanned"),
    "nothing": (b"", "empty", "clean"),
    "noise": (bytes(range(200, 256)), "unknown", "not scanned"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_is_told_by_its_bytes_and_scanned(name: str) -> None:
    data, kind, expected = SAMPLES[name]
    assert identify(data).name == kind
    for called in ("model.safetensors", "model.onnx", "model.bin"):  # a name changes nothing
        report = inspect_bytes(data, called)
        worse = {finding.kind for finding in report.findings if finding.severity != "info"}
        if expected == "not scanned":
            assert report.not_scanned
        elif expected == "clean":
            assert (worse, report.not_scanned) == (set(), ())
        else:
            assert expected in worse
        assert report.passed == (expected == "clean")


def test_loading_runs_nothing_in_six_formats_alone() -> None:
    assert {name for name, kind in FORMATS.items() if kind.runs == "no"} == {
        *("ONNX", "safetensors", "NumPy", "NumPy zip", "text", "empty"),
    }


@pytest.mark.parametrize(
    ("data", "strict", "listed"),
    [
        pytest.param(pickle.dumps([1]), "no issue", "no issue", id="plain data"),
        pytest.param(DIRECT, "unsafe", "unsafe", id="direct"),
        pytest.param(GADGET, "unsafe", "no issue", id="a module that the deny list misses"),
        pytest.param(pickle.dumps(forest()), "unsafe", "no issue", id="an honest model, flagged"),
        pytest.param(pickle.dumps(collections.OrderedDict(a=1)), "unsafe", "no issue", id="an ordered dict"),
        pytest.param(dumped(forest()), "unparseable", "unparseable", id="joblib"),
        pytest.param(dumped(forest(), 3), "unparseable", "no issue", id="compressed: neither sees"),
        pytest.param(zlib.compress(DIRECT), "unparseable", "no issue", id="compressed, direct"),
        pytest.param(DIRECT[:-1], "unparseable", "unsafe", id="breaks off"),
    ],
)
def test_what_each_scanner_says_and_misses(data: bytes, strict: str, listed: str) -> None:
    assert [opinion.verdict for opinion in opinions(data)] == [strict, listed]


def test_scanning_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for data, _, _ in SAMPLES.values():
        inspect_bytes(data, "model")
    opinions(GADGET)
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=200), st.sampled_from(sorted(SAMPLES)), st.integers(0, 400))
def test_no_bytes_upset_an_inspection(noise: bytes, name: str, at: int) -> None:
    data = SAMPLES[name][0]
    for doctored in (noise, data[:at] + noise, data[:at] + noise + data[at:]):
        assert isinstance(inspect_bytes(doctored, "m"), InspectionReport)
    assert isinstance(is_pickle(noise), bool)


def test_a_folder_passes_when_every_file_does(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.onnx").write_bytes(graph())
    (tmp_path / "m" / "config.json").write_text('{"hidden": 2}')
    assert inspect(tmp_path).passed
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "loader.Model"}}')
    assert [finding.kind for finding in inspect(tmp_path).findings] == ["remote-code"]
    (tmp_path / "config.json").rename(tmp_path / "loader.py")
    assert [finding.kind for finding in inspect(tmp_path).findings] == ["code"]
    (tmp_path / "loader.py").unlink()
    (tmp_path / "weights").symlink_to(tmp_path / "m" / "model.onnx")
    assert inspect(tmp_path).not_scanned == (("weights", "not a regular file"),)
    assert "not scanned: weights" in str(inspect(tmp_path))
    assert not InspectionReport().passed  # nothing was scanned
    with pytest.raises(MalformedInput):
        inspect(tmp_path / "none")


@pytest.mark.usefixtures("closed")
def test_a_folder_that_cannot_be_listed_is_not_scanned(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())
    report = inspect(tmp_path)
    assert report.scanned == ("model.onnx",)
    assert report.not_scanned == (("closed", "cannot be listed: Permission denied"),)
    assert not report.passed


def test_the_courses_model_passes() -> None:
    report = inspect(ROOT / "data" / "models" / "triage.onnx")
    assert report.passed, report
    assert onnx.load(ROOT / "data" / "models" / "triage.onnx").ir_version


# -- wheels and sdists

PACKAGE = {"acme_made_up/__init__.py": b"A = 1\n"}
PROJECT = '[project]\nname = "acme-made-up"\n[project.scripts]\nmade-up = "acme_made_up:main"\n'
DECLARED = b"[console_scripts]\nmade-up = acme_made_up:main\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "src" / "acme_made_up").mkdir(parents=True)
    (tmp_path / "src" / "acme_made_up" / "__init__.py").write_bytes(b"A = 1\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return tmp_path


def wheel(folder: Path, more: dict[str, bytes], record: dict[str, str] | None = None) -> Path:
    """A wheel; ``record`` replaces lines of RECORD, an empty text leaves one out."""
    about = "acme_made_up-1.0.dist-info"
    files = {**PACKAGE, **more, f"{about}/METADATA": b"Name: acme-made-up\n", f"{about}/WHEEL": b""}
    lines = {}
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines[name] = f"{name},sha256={digest},{len(data)}"
    lines |= {f"{about}/RECORD": f"{about}/RECORD,,"} | (record or {})
    path = folder / "acme_made_up-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{about}/RECORD", "\n".join(filter(None, lines.values())))
    return path


@pytest.mark.parametrize(
    ("more", "record", "kinds"),
    [
        pytest.param({}, {}, set(), id="benign"),
        pytest.param(
            {"acme_made_up-1.0.dist-info/entry_points.txt": DECLARED}, {}, set(), id="a program"
        ),
        pytest.param(
            {"acme_made_up-1.0.dist-info/entry_points.txt": DECLARED + b"pip = acme_made_up:x\n"},
            {},
            {"entry-point"},
            id="a program that the project does not declare",
        ),
        pytest.param({"acme_made_up/x.py": b""}, {}, {"unexpected-file"}, id="one file more"),
        pytest.param({"acme_made_up/__init__.py": b"A=2\n"}, {}, {"changed-file"}, id="changed"),
        pytest.param(
            {"acme.pth": b"import os\n"}, {}, {"unexpected-file", "pth"}, id="code at every start"
        ),
        pytest.param(
            {"acme_made_up-1.0.data/purelib/a.pth": b"import os\n"},
            {},
            {"unexpected-file", "pth"},
            id="the same by way of .data",
        ),
        pytest.param(
            {"sitecustomize.py": b""}, {}, {"unexpected-file", "at-start"}, id="sitecustomize"
        ),
        pytest.param(
            {"acme_made_up-1.0.data/scripts/ls": b""}, {}, {"unexpected-file", "script"}, id="script"
        ),
        pytest.param(
            {"../x.py": b""}, {}, {"archive"}, id="out of the folder"
        ),
        pytest.param({}, {"acme_made_up/__init__.py": ""}, {"record"}, id="not in RECORD"),
        pytest.param({}, {"gone": "gone.py,sha256=AA,1"}, {"record"}, id="only in RECORD"),
        pytest.param(
            {}, {"acme_made_up/__init__.py": "acme_made_up/__init__.py,sha256=AA,6"}, {"record"},
            id="another hash",
        ),
        pytest.param(
            {}, {"acme_made_up/__init__.py": "acme_made_up/__init__.py,md5=AA,6"}, {"record"},
            id="a weak hash",
        ),
    ],
)  # fmt: skip
def test_a_wheel_is_its_source(source: Path, more: dict[str, bytes], record: dict[str, str], kinds: set[str]) -> None:
    report = wheel_against_source.check_wheel(wheel(source, more, record), source)
    assert {finding.kind for finding in report.findings} == kinds, report
    assert report.passed == (not kinds)


def test_machine_code_is_not_scanned_and_generated_files_are_named(source: Path) -> None:
    path = wheel(source, {"acme_made_up/_fast.so": b"\x7fELF", "acme_made_up/_version.py": b""})
    report = wheel_against_source.check_wheel(path, source, generated=("*/_version.py", "*.so"))
    assert report.findings == ()
    assert not report.passed
    assert [name for name, _ in report.not_scanned] == ["acme_made_up/_fast.so"]
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("acme_made_up/__init__.py", b"A = 2\n")
    assert {"archive"} == {finding.kind for finding in wheel_against_source.check_wheel(path).findings}
    path.write_bytes(b"PK")
    with pytest.raises(MalformedInput, match="not a readable wheel"):
        wheel_against_source.check_wheel(path)


@pytest.mark.parametrize("name", ["acme-cells", "acme-quantise"])
def test_the_companys_wheels_are_their_source(name: str) -> None:
    (path,) = (ROOT / "data" / "packages" / "wheels").glob(f"{name.replace('-', '_')}-*.whl")
    report = wheel_against_source.check_wheel(path, ROOT / "data" / "packages" / name)
    assert report.passed, report


HOOK = b"""from setuptools import setup
from setuptools.command.install import install
import base64

class Now(install):
    def run(self):
        exec(base64.b64decode("cHJpbnQoIk1BUktFUiIp"))

setup(cmdclass={"install": Now})
"""


def sdist(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "acme_made_up-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"acme_made_up-1.0/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


BACKEND = b'[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["tools"]\n'


@pytest.mark.parametrize(
    ("files", "kinds"),
    [
        pytest.param({"pyproject.toml": b"[project]\n"}, set(), id="benign"),
        pytest.param(
            {"setup.py": b"from setuptools import setup\nsetup()\n"},
            {"runs-at-install"},
            id="plain",
        ),
        pytest.param({"setup.py": HOOK}, {"runs-at-install", "install-hook"}, id="a hook"),
        pytest.param(
            {"pyproject.toml": BACKEND, "tools/own.py": b"import subprocess\n"},
            {"own-backend", "install-hook"},
            id="a backend of its own",
        ),
        pytest.param(
            {"pyproject.toml": b'[build-system]\nrequires = ["x @ https://mallory.example/x"]\n'},
            {"build-requirement"},
            id="a build that downloads",
        ),
    ],
)
def test_what_installing_an_sdist_would_run(tmp_path: Path, files: dict[str, bytes], kinds: set[str]) -> None:
    report = wheel_against_source.check_sdist(sdist(tmp_path, {"PKG-INFO": b"", "a.py": b"", **files}))
    assert {finding.kind for finding in report.findings} == kinds, report
    assert report.passed == (kinds <= {"runs-at-install"})


def test_a_build_script_that_cannot_be_parsed_is_not_scanned(tmp_path: Path) -> None:
    report = wheel_against_source.check_sdist(sdist(tmp_path, {"setup.py": b"print 'old'\n"}))
    assert [name for name, _ in report.not_scanned] == ["setup.py"]
