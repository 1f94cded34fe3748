"""Digests: the text form, its round trip, and what is refused."""

from __future__ import annotations

import hashlib
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainlab.digests import Digest
from chainlab.errors import MalformedInput


@given(st.binary())
def test_a_digest_reads_back_what_it_writes(data: bytes) -> None:
    digest = Digest.of(data)
    assert Digest.parse(str(digest)) == digest
    assert str(digest) == f"sha256:{hashlib.sha256(data).hexdigest()}"


@given(st.binary(min_size=32, max_size=32))
def test_any_value_of_32_bytes_reads_back(value: bytes) -> None:
    digest = Digest("sha256", value)
    assert Digest.parse(str(digest)) == digest


@given(st.text(max_size=80))
def test_text_is_read_exactly_or_refused(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except MalformedInput:
        return
    assert str(digest) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256",
        "a" * 64,
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "sha256:" + "٣" * 64,  # digits, but not ASCII ones
        "sha256:" + " " + "a" * 63,
        "sha512:" + "a" * 64,
        "SHA256:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput, match="expected 'sha256:' and 64 lower-case hex digits"):
        Digest.parse(text)


@given(
    text=st.text("0123456789abcdef", min_size=64, max_size=64),
    at=st.integers(0, 63),
    other=st.characters(),
)
def test_one_character_outside_the_alphabet_is_refused(text: str, at: int, other: str) -> None:
    changed = f"sha256:{text[:at]}{other}{text[at + 1 :]}"
    if other in string.hexdigits.lower():
        assert str(Digest.parse(changed)) == changed
    else:
        with pytest.raises(MalformedInput):
            Digest.parse(changed)


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000  # more than one block
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    assert Digest.of_file(path) == Digest.of(data)


def test_digests_are_values() -> None:
    one, other = Digest.of(b"a"), Digest.of(b"b")
    assert {one, other, Digest.of(b"a")} == {one, other}
    assert sorted([one, other], key=str) == sorted([one, other])
