"""Cases for exercise 4.4: is this folder the model that was signed?

A folder is written and described as OMS (OpenSSF Model Signing v1.0) does; then one thing in it is changed. That change
is the truth.

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

from chainlab.course.cases import Case, LabContext
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
    """Make the OMS statement about files, name to content; ``algorithms`` replaces sha256 for a file's stem."""
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
    """Make a folder as signed, then one change at a time."""
    folders = _SignedFolders(lab.path / "signed-models", rng)
    yield from folders.changed_files()
    yield from folders.excepted_names()
    yield from folders.links()
    yield from folders.other_statements()


Change = Callable[[Path], object]


class _SignedFolders:
    """Folders with the same files, each with one change after it was described."""

    def __init__(self, place: Path, rng: random.Random) -> None:
        self.place, self.rng = place, rng
        shutil.rmtree(place, ignore_errors=True)
        self.layer = rng.choice(["encoder", "tokenizer", "head"])
        self.files = {
            "triage.onnx": b"\x08" + rng.randbytes(rng.randrange(200, 400)),
            "config.json": b'{"classes": %d}' % rng.randrange(2, 9),
            f"{self.layer}/weights.bin": rng.randbytes(64),
            f"{self.layer}/vocabulary.txt": rng.randbytes(12).hex().encode(),
        }
        model = self.files["triage.onnx"]
        self.flipped = bytes([model[0], model[1] ^ 1]) + model[2:]

    def case(
        self,
        name: str,
        wrong: set[str],
        change: Change = lambda folder: None,
        statement: dict[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Case:
        """Make the case; ``wrong`` are the names to refuse after the change."""
        written = self.files if files is None else files
        folder = self.place / f"{self.rng.getrandbits(40):x}" / "model"
        for path, content in written.items():
            _write(path, content)(folder)
        change(folder)
        return Case(name, (folder, statement or described(written)), wrong)

    def changed_files(self) -> Iterator[Case]:
        """Files changed, removed and added."""
        yield self.case("as signed", set())
        yield self.case("one bit", {"triage.onnx"}, _write("triage.onnx", self.flipped))
        gone = self.rng.choice(sorted(self.files))
        yield self.case("a file is gone", {gone}, lambda folder: (folder / gone).unlink())
        extra = self.rng.choice(["loader.py", "modeling_triage.py", "handler.py"])
        yield self.case("an extra file", {extra}, _write(extra, b"raise SystemExit"))
        below = f"{self.layer}/{extra}"
        yield self.case("an extra file in a folder below", {below}, _write(below, b"pass"))

    def excepted_names(self) -> Iterator[Case]:
        """Names that OMS leaves out, and names that resemble them."""
        yield self.case("a hidden file", {".env"}, _write(".env", b"TOKEN=FAKE"))
        excepted = (".git/config", ".gitignore", ".github/a/b.yml", "model.sig")
        yield self.case("git's own files", set(), lambda folder: [_write(path, b"x")(folder) for path in excepted])
        further_down = f"{self.layer}/.gitignore"
        yield self.case("git's names further down", {further_down}, _write(further_down, b"*"))
        alike = ".github-loader.py"
        yield self.case("a name that begins like an exception", {alike}, _write(alike, b"pass"))
        yield self.case("two files swapped", {"config.json", "triage.onnx"}, self.swap)
        renamed = {"config.json", "config2.json"}
        yield self.case(
            "a file renamed", renamed, lambda folder: (folder / "config.json").rename(folder / "config2.json")
        )

    def links(self) -> Iterator[Case]:
        """Links to files, to folders and to nowhere."""
        yield self.case("a link", {"triage.onnx"}, _move_and_link)
        target = f"{self.layer}/vocabulary.txt"
        twin = {**self.files, "vocabulary.txt": self.files[target]}  # two files of one content
        name = "vocabulary.txt"
        yield self.case("a link to the right bytes", {name}, _replace_by_link(name, target), files=twin)
        yield self.case("a folder that is a link", {"latest"}, _link("latest", self.layer))
        yield self.case("a link to nowhere", {"cache.bin"}, _link("cache.bin", "gone.bin"))

    def other_statements(self) -> Iterator[Case]:
        """Statements that name other files, other algorithms or other digests than a signer would."""
        files = self.files
        outside = described({**files, "../notes.txt": b"outside"})
        yield self.case("a name that leads out", {"../notes.txt"}, _write("../notes.txt", b"outside"), outside)
        absolute = (self.place / f"{self.rng.getrandbits(40):x}.txt").as_posix()
        elsewhere = described({**files, absolute: b"outside"})
        yield self.case("an absolute name", {absolute}, _write(absolute, b"outside"), elsewhere)
        weak = described(files, config="md5")
        yield self.case("an algorithm that nobody trusts", {"config.json"}, statement=weak)
        mislabelled = described(files)
        algorithm = self.rng.choice(["sha3-256", "blake2s", "sha512-256"])
        _resource(mislabelled, "config.json")["algorithm"] = algorithm
        yield self.case("a digest under another algorithm's name", {"config.json"}, statement=mislabelled)
        edited = described(files)
        _resource(edited, "triage.onnx")["digest"] = Digest.of(self.flipped).value.hex()
        rewritten = _write("triage.onnx", self.flipped)
        yield self.case("a statement that contradicts itself", {"statement"}, rewritten, edited)

    def swap(self, folder: Path) -> None:
        """Write each of two files under the other's name."""
        (folder / "config.json").write_bytes(self.files["triage.onnx"])
        (folder / "triage.onnx").write_bytes(self.files["config.json"])


def _write(path: str, content: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)

    return change


def _link(path: str, target: str) -> Change:
    return lambda folder: (folder / path).symlink_to(target)


def _replace_by_link(path: str, target: str) -> Change:
    def change(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).symlink_to(target)

    return change


def _move_and_link(folder: Path) -> None:
    aside = folder.parent / "aside.bin"
    (folder / "triage.onnx").rename(aside)
    (folder / "triage.onnx").symlink_to(aside)


def _resource(statement: dict[str, Any], name: str) -> dict[str, Any]:
    """A file's entry in an OMS statement."""
    resources: list[dict[str, Any]] = statement["predicate"]["resources"]
    return next(resource for resource in resources if resource["name"] == name)
