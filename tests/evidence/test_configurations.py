"""Configurations: keys that make a loader run code, at any depth, and what is no configuration at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chainlab.evidence.models.formats import identify
from chainlab.evidence.models.inspection import inspect, inspect_bytes

MAP = {"AutoModel": "loader.Model"}
REMOTE = {
    "at the top": ("config.json", json.dumps({"auto_map": MAP})),
    "in a part": ("config.json", json.dumps({"text_config": {"auto_map": MAP}})),
    "in a list": ("config.json", json.dumps({"parts": [[{"auto_map": MAP}]]})),
    "pipelines": ("config.json", json.dumps({"custom_pipelines": {"a": {"impl": "loader.Pipeline"}}})),
    "a request for it": ("config.json", json.dumps({"model": {"trust_remote_code": True}})),
    "as a text": ("config.json", json.dumps({"trust_remote_code": "true"})),
    "the first of two": ("config.json", '{"auto_map": {"a": "b.c"}, "auto_map": null}'),
    "spelled with an escape": ("config.json", '{"\\u0061uto_map": {"a": "b.c"}}'),
    "after a byte order mark": ("config.json", "\ufeff" + json.dumps({"auto_map": MAP})),
    "a tokenizer's": ("sub/tokenizer_config.JSON", json.dumps({"auto_map": {"AutoTokenizer": ["a.B", None]}})),
    "any function": ("model.yaml", "encoder:\n  _target_: subprocess.run\n"),
    "in YAML": ("model.yml", "model: {loader: [{trust_remote_code: yes}]}\n"),
    "by an alias": ("model.yaml", "a: &name auto_map\nb:\n  *name : {AutoModel: loader.Model}\n"),
    "after an odd key": ("model.yaml", '"\\0": a\n? [b]\n: {c: d}\nauto_map: {AutoModel: loader.Model}\n'),
    "a tag of Python's": ("model.yaml", "a: !!python/object/apply:os.system [true]\n"),
    "in TOML": ("model.toml", "[[parts]]\n'auto_map' = {a = 'b.C'}\n"),
}


@pytest.mark.parametrize("case", REMOTE)
def test_remote_code_is_found_wherever_it_stands(case: str) -> None:
    name, text = REMOTE[case]
    (finding,) = inspect_bytes(text.encode(), name).findings
    assert (finding.kind, finding.severity) == ("remote-code", "high")


PLAIN = {
    "config.json": json.dumps({"hidden": 2, "auto_map": None, "parts": [{"trust_remote_code": False, "auto_map": {}}]}),
    "tokenizer.json": json.dumps({"model": {"vocab": {"auto_map": 4711, "template": 12}}}),
    "model.yaml": "trust_remote_code: false\nauto_map: ~\nname: auto_map\nlast: trust_remote_code\n",
    "model.toml": "trust_remote_code = false\n",
    "README.md": "# A model\nLoad it without trust_remote_code.\n",
    "README": "A model",
    "LICENSE-MIT": "MIT License",
    ".gitattributes": "*.bin filter=lfs\n",
    "merges.txt": "#version: 0.2\na b\n",
    "vocab.txt": "[PAD]\n[UNK]\nthe\n",
    "m/chat_template.jinja": "{% for m in messages %}{{ m['role'] | replace('_', ' ') if m != '_' }}{% endfor %}",
    "tokenizer_config.json": json.dumps({"chat_template": [{"name": "a", "template": "{{ messages }}"}]}),
}


@pytest.mark.parametrize("name", PLAIN)
def test_an_honest_text_of_a_known_name_passes(name: str) -> None:
    report = inspect_bytes(PLAIN[name].encode(), name)
    assert report.passed, report


@pytest.mark.parametrize("name", ["model", "model.bin", "model.onnx", "weights.pt", "run.sh", "a.ipynb", "README.exe"])
def test_a_text_of_another_name_is_not_scanned(name: str) -> None:
    assert identify(b"readable\n", name).name == "other text"
    assert inspect_bytes(b"readable\n", name).not_scanned


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", "{"),
        ("config.json", '{"a": 1} // auto_map'),
        ("config.json", '{"a":' * 100_000),
        ("config.json", f'{{"a": {"1" * 5000}}}'),
        ("config.yaml", "a: [\n"),
        ("config.yaml", "a: b\n" * 500_000),
        ("config.json", "[" + "1," * 2**25 + "1]"),
        ("config.toml", "a = \n"),
        ("chat_template.jinja", "{{ ().__class__ }}"),
        ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "a", "template": "{{ ().__class__ }}"}]})),
        ("tokenizer_config.json", json.dumps({"chat_template": "{{ ''|attr('x') }}"})),
        ("chat_template.jinja", "{% set u = '_' %}{{ ''[u ~ u ~ 'class' ~ u ~ u] }}"),
        ("chat_template.jinja", "{{ ''[['_', '_', 'class', '_', '_'] | join] }}"),
        ("loader.py", "A = 1\n"),
        ("loader.PY", "A = 1\n"),
        ("start.txt", "#!/bin/sh\n"),
    ],
)
def test_what_cannot_be_read_or_runs_does_not_pass(name: str, text: str) -> None:
    assert not inspect_bytes(text.encode(), name).passed


def test_a_folder_passes_only_with_each_of_its_files(tmp_path: Path) -> None:
    for name, text in PLAIN.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert inspect(tmp_path).passed
    (tmp_path / "m" / "config.json").write_text(REMOTE["in a part"][1])
    report = inspect(tmp_path)
    assert {finding.where for finding in report.findings if finding.severity == "high"} == {"m/config.json"}
