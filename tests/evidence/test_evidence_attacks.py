"""Hostile documents: refused with a sentence, and never at the expense of what is beside them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from chainlab.archive import Archive, Build
from chainlab.cli import _main
from chainlab.digests import Digest
from chainlab.errors import MalformedInput
from chainlab.evidence.statements import parse_json

NESTED = b"a=" + b"[" * 5_000
HALF = '"\\ud800"'


def bill(name: str, of: str = "") -> bytes:
    """A bill of materials of a build, with one component, whose name is JSON as it stands."""
    digest = build(of).digest.value.hex()
    return (
        '{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,'
        f' "metadata": {{"component": {{"name": "x", "hashes": [{{"alg": "SHA-256", "content": "{digest}"}}]}}}},'
        f' "components": [{{"type": "library", "name": {name}, "version": "1"}}],'
        ' "compositions": [{"aggregate": "complete"}]}'
    ).encode()


def build(version: str) -> Build:
    at = datetime(2026, 5, 4, tzinfo=UTC)
    return Build("triage-model", version, Digest.of(version.encode(errors="replace")), built_at=at)


def test_one_document_with_half_a_character_does_not_silence_the_archive(tmp_path: Path) -> None:
    """SQLite takes no lone surrogate: one such name, and no build could be indexed."""
    with Archive(tmp_path) as archive:
        archive.add(build("1"), {"sbom": bill('"urllib3"', "1")})
        archive.add(build("2"), {"sbom": bill(HALF, "2")})
        archive.add(build("3"), {"sbom": bill('"a \\ud83d\\ude00"', "3")})  # a whole one, in two halves
        answers = archive.where("urllib3", every=True, absence="silence")
        assert dict(zip(answers["version"], answers["answer"], strict=True)) == {
            "1": "affected",
            "2": "unknown",
            "3": "not affected",
        }
        assert [problem.kind for problem in archive.verify()] == ["document unreadable"]
        with pytest.raises(MalformedInput):
            archive.where("\ud800")
    with pytest.raises(MalformedInput, match="control character"):
        build("\ud800")


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": "\\uD800"}',
        b'{"\\udfff": 1}',
        b'"\\\\\\ud83d"',
        '{"a": 1}'.encode("utf-16"),
        b'"\xed\xa0\x80"',
        b'{"a": 1, "\\u0061": 2}',
    ],
)
def test_json_is_utf_8_without_half_a_character(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        parse_json(data, "it")


def test_whole_characters_are_json_however_they_are_written() -> None:
    for text in ("😀", "\\ud800 is an escape", "ü"):
        for escaped in (True, False):
            assert parse_json(json.dumps(text, ensure_ascii=escaped).encode(), "it") == text


def test_no_input_shows_a_person_a_traceback(tmp_path: Path) -> None:
    for name in ("a/pyproject.toml", "b/pylock.toml"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(NESTED)
    installed = tmp_path / "venv/lib/python3.11/site-packages"
    (tmp_path / "empty").mkdir()
    for number, direct in enumerate(('{"url": 1}', "[" * 100_000)):
        about = installed / f"x{number}-1.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: x{number}\nVersion: 1\n")
        (about / "direct_url.json").write_text(direct)
    (tmp_path / "venv/pyvenv.cfg").touch()
    at = ("--at", "2026-01-01T00:00:00Z")
    calls: list[tuple[tuple[str, ...], int]] = [
        (("build", str(tmp_path / "a"), "--kind", "project", *at), 2),
        (("build", str(tmp_path / "b/pylock.toml"), *at), 2),
        (("build", str(tmp_path / "venv"), *at), 0),
        (("build", str(tmp_path / "venv"), "--at", "0001-01-01T00:00:00+23:59"), 2),
        (("build", str(tmp_path / "venv"), "--at", "9999-12-31T23:59:59-23:59"), 2),
    ]
    for words, status in calls:
        done = CliRunner().invoke(_main, ["sbom", *words])
        assert (done.exit_code, type(done.exception)) == (
            status,
            SystemExit if status else type(None),
        ), words
