"""Cases for exercise 4.4: is this folder the model that was signed?

A folder is written and described as OMS does, OpenSSF Model Signing v1.0; then one thing in it is changed. What was
changed is the truth.

    >>> described({"a": b"1"})["subject"][0]["digest"]["sha256"] == Digest.of(Digest.of(b"1").value).value.hex()
    True
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chainlab.course.learning.checks import Case, LabContext
from chainlab.digests import Digest
from chainlab.evidence.statements import MODEL_SIGNATURE

__all__ = ["cases", "described"]

SEE = "labs/04_attestation.ipynb, 'A folder, and what was signed of it'"
TEACHES = {
    "as signed": "All files are there, and no other. A refusal here is a false alarm.",
    "one bit": "Compare each file's digest with the one that was signed.",
    "a file is gone": "A name without a file.",
    "an extra file": (
        "Every file that was signed is intact, and one more lies beside them. Loaders pick code by its name, so "
        "what nobody signed is refused."
    ),
    "an extra file in a folder below": "Look into the folders too.",
    "a hidden file": "A name with a dot in front is a file like any other; five names are excepted and no more.",
    "git's own files": "The specification leaves git's files at the top out, and the signature's own.",
    "git's names further down": "The exception is for the top of the folder.",
    "a name that begins like an exception": "Compare the first part of the path whole.",
    "two files swapped": "A digest belongs to a name.",
    "a file renamed": "One name is gone and one is new.",
    "a link": "What a link points to can change without the folder changing. The statement says that it allows none.",
    "a link to the right bytes": (
        "It leads to another signed file of this folder with the same content, and today its digest is right. It is a "
        "link, and the statement allows none: ask `is_symlink()` before you follow it."
    ),
    "a folder that is a link": "A link to a folder is a link. `rglob` names it, and does not go into it.",
    "a link to nowhere": "`is_file()` is false for a link whose target is gone, and the link is there all the same.",
    "a name that leads out": "The file exists and its digest is right. It is no part of this folder.",
    "an algorithm that nobody trusts": (
        "MD5 collides at will. A file whose digest you would not rely on was not checked, and not checked is refused."
    ),
    "a digest under another algorithm's name": (
        "The digits are right for SHA-256, and the statement says that they are something else. You check what was "
        "signed: read `algorithm` before you compare."
    ),
    "an absolute name": "`folder / name` is `name` when it begins with a slash, and so leads anywhere.",
    "a statement that contradicts itself": (
        "The list agrees with the folder, and the subject is the digest of another list: SHA-256 over the raw "
        "digests in the order of the list."
    ),
}


def described(files: Mapping[str, bytes], **algorithms: str) -> dict[str, Any]:
    """The OMS statement about files, name to content; ``algorithms`` replace sha256 for some stem."""
    resources, whole = [], b""
    for name in sorted(files):
        algorithm = algorithms.get(name.partition(".")[0], "sha256")
        raw = hashlib.new(algorithm, files[name], usedforsecurity=False).digest()
        resources.append({"name": name, "algorithm": algorithm, "digest": raw.hex()})
        whole += raw
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": Digest.of(whole).value.hex()}}],
        "predicateType": MODEL_SIGNATURE,
        "predicate": {
            "resources": resources,
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
        },
    }


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """A folder as signed, and one change at a time."""
    place = lab.path / "signed-models"
    shutil.rmtree(place, ignore_errors=True)
    layer = rng.choice(["encoder", "tokenizer", "head"])
    files = {
        "triage.onnx": b"\x08" + rng.randbytes(rng.randrange(200, 400)),
        "config.json": b'{"classes": %d}' % rng.randrange(2, 9),
        f"{layer}/weights.bin": rng.randbytes(64),
        f"{layer}/vocabulary.txt": rng.randbytes(12).hex().encode(),
    }
    twin = {**files, "vocabulary.txt": files[f"{layer}/vocabulary.txt"]}  # two files of one content

    def case(
        name: str,
        wrong: set[str],
        change: Callable[[Path], object] = lambda folder: None,
        statement: dict[str, Any] | None = None,
        written: Mapping[str, bytes] = files,
    ) -> Case:
        folder = place / f"{rng.getrandbits(40):x}" / "model"
        for path, content in written.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        change(folder)
        return Case(name, (folder, statement or described(written)), wrong)

    def write(path: str, content: bytes) -> Callable[[Path], object]:
        def change(folder: Path) -> None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

        return change

    def swap(folder: Path) -> None:
        (folder / "config.json").write_bytes(files["triage.onnx"])
        (folder / "triage.onnx").write_bytes(files["config.json"])

    def link(folder: Path) -> None:
        aside = folder.parent / "aside.bin"
        (folder / "triage.onnx").rename(aside)
        (folder / "triage.onnx").symlink_to(aside)

    flipped = bytes([files["triage.onnx"][0], files["triage.onnx"][1] ^ 1]) + files["triage.onnx"][2:]
    yield case("as signed", set())
    yield case("one bit", {"triage.onnx"}, write("triage.onnx", flipped))
    gone = rng.choice(sorted(files))
    yield case("a file is gone", {gone}, lambda folder: (folder / gone).unlink())
    extra = rng.choice(["loader.py", "modeling_triage.py", "handler.py"])
    yield case("an extra file", {extra}, write(extra, b"raise SystemExit"))
    yield case("an extra file in a folder below", {f"{layer}/{extra}"}, write(f"{layer}/{extra}", b"pass"))
    yield case("a hidden file", {".env"}, write(".env", b"TOKEN=FAKE"))
    yield case(
        "git's own files",
        set(),
        lambda folder: [
            write(path, b"x")(folder) for path in (".git/config", ".gitignore", ".github/a/b.yml", "model.sig")
        ],
    )
    yield case("git's names further down", {f"{layer}/.gitignore"}, write(f"{layer}/.gitignore", b"*"))
    yield case("a name that begins like an exception", {".github-loader.py"}, write(".github-loader.py", b"pass"))
    yield case("two files swapped", {"config.json", "triage.onnx"}, swap)
    yield case(
        "a file renamed",
        {"config.json", "config2.json"},
        lambda folder: (folder / "config.json").rename(folder / "config2.json"),
    )
    yield case("a link", {"triage.onnx"}, link)

    def replace_by_link(folder: Path) -> None:
        (folder / "vocabulary.txt").unlink()
        (folder / "vocabulary.txt").symlink_to(Path(layer) / "vocabulary.txt")

    yield case("a link to the right bytes", {"vocabulary.txt"}, replace_by_link, written=twin)
    yield case("a folder that is a link", {"latest"}, lambda folder: (folder / "latest").symlink_to(layer))
    yield case("a link to nowhere", {"cache.bin"}, lambda folder: (folder / "cache.bin").symlink_to("gone.bin"))
    outside = {**files, "../notes.txt": b"outside"}
    yield case(
        "a name that leads out",
        {"../notes.txt"},
        lambda folder: (folder.parent / "notes.txt").write_bytes(b"outside"),
        described(outside),
    )
    absolute = (place / f"{rng.getrandbits(40):x}.txt").as_posix()
    yield case(
        "an absolute name",
        {absolute},
        lambda folder: Path(absolute).write_bytes(b"outside"),
        described({**files, absolute: b"outside"}),
    )
    yield case("an algorithm that nobody trusts", {"config.json"}, statement=described(files, config="md5"))
    named = described(files)
    for resource in named["predicate"]["resources"]:
        if resource["name"] == "config.json":
            resource["algorithm"] = rng.choice(["sha3-256", "blake2s", "sha512-256"])
    yield case("a digest under another algorithm's name", {"config.json"}, statement=named)
    edited = described(files)
    for resource in edited["predicate"]["resources"]:
        if resource["name"] == "triage.onnx":
            resource["digest"] = Digest.of(flipped).value.hex()
    yield case("a statement that contradicts itself", {"statement"}, write("triage.onnx", flipped), edited)
