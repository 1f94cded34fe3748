"""Cases for exercise 1.1: verify the kit's manifest. Each case spoils a fresh copy in one way and knows which."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from chainlab.course.cases import Case, LabContext

__all__ = ["cases"]

SEE = "labs/01_assessment.ipynb, 'What a manifest promises'"
TEACHES = {
    "an untouched kit": (
        "Nothing was touched, so nothing is to be reported. Mind hidden folders, names with two spaces in a row, empty "
        "files, and SHA256SUMS itself, which cannot list its own digest."
    ),
    "one bit flipped": "The size is the same and the name is the same. Only the bytes tell.",
    "a file is missing": "A listed file that is not there is a finding, not an exception.",
    "an extra file in a hidden folder": (
        "Every listed file is as listed, and there is one more. A workflow that nobody listed runs all the same: "
        "compare both ways, hidden folders too."
    ),
    "an extra file with a trusted name": (
        "Only the SHA256SUMS at the top is the manifest. The same name deeper down is a file like any other, and "
        "nobody listed it."
    ),
    "two files swapped": (
        "Both digests are in the list, each beside the other name. A manifest binds a name to bytes; a set of "
        "good digests does not."
    ),
    "an empty manifest": "A manifest that lists nothing vouches for nothing. Every file is extra.",
    "all three at once": "Report everything; a person who mends one finding at a time needs three downloads.",
}


FOLDERS = ["models", "policies", "actions/acme/cache", "projects/triage/src", "notes  of the team"]
HIDDEN = "projects/triage/.github/workflows"


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make a small kit with its manifest, then a spoilt copy for each case."""
    kit = _kit(rng)
    listed = "".join(f"{hashlib.sha256(kit[p]).hexdigest()}  {p}\n" for p in sorted(kit))
    names = sorted(kit)
    rng.shuffle(names)
    one = next(name for name in names if kit[name])
    two, three, four = [name for name in names if name != one][:3]
    hidden = f"{HIDDEN}/{rng.choice(['nightly', 'bonus', 'update'])}-{rng.randrange(100)}.yml"

    def case(name: str, files: dict[str, bytes], wrong: dict[str, set[str]], text: str = listed) -> Case:
        root = _write(lab.path / "exercise-1.1" / f"{rng.getrandbits(32):08x}", files)
        (root / "SHA256SUMS").write_text(text)
        nothing: dict[str, set[str]] = {"changed": set(), "missing": set(), "extra": set()}
        return Case(name, (root, text), {**nothing, **wrong})

    yield case("an untouched kit", kit, {})
    yield case("one bit flipped", {**kit, one: _flip(kit[one], rng)}, {"changed": {one}})
    yield case("a file is missing", {p: c for p, c in kit.items() if p != two}, {"missing": {two}})
    yield case("an extra file in a hidden folder", {**kit, hidden: b"on: push\n"}, {"extra": {hidden}})
    planted = f"{rng.choice(FOLDERS)}/SHA256SUMS"
    yield case("an extra file with a trusted name", {**kit, planted: listed.encode()}, {"extra": {planted}})
    yield case("two files swapped", {**kit, three: kit[four], four: kit[three]}, {"changed": {three, four}})
    yield case("an empty manifest", kit, {"extra": set(kit)}, text="")
    spoilt = {**kit, one: _flip(kit[one], rng), hidden: b"on: push\n"}
    del spoilt[two]
    yield case("all three at once", spoilt, {"changed": {one}, "missing": {two}, "extra": {hidden}})


def _kit(rng: random.Random) -> dict[str, bytes]:
    """Make eight files with different contents, path to content; one empty, one hidden, one with spaces in its path."""
    files = {
        f"{folder}/{rng.choice('abcdef')}{i}{rng.randrange(1000)}.txt": rng.randbytes(rng.randrange(20, 400))
        for i, folder in enumerate(FOLDERS)
    }
    files[f"{HIDDEN}/ci.yml"] = b"on: pull_request\n# " + rng.randbytes(8).hex().encode()
    files[f"model-{rng.randrange(100)}.onnx"] = rng.randbytes(600)
    files[f"empty-{rng.randrange(100)}.txt"] = b""
    return files


def _write(root: Path, files: dict[str, bytes]) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def _flip(content: bytes, rng: random.Random) -> bytes:
    """Flip one bit of the content."""
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
