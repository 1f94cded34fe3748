"""Prod has what was asked for and nothing else: its files are compared with the wheels before any of them runs."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chainlab.deploy import installation
from chainlab.digests import Digest
from chainlab.errors import Unavailable, VerificationFailed
from chainlab.policy.requirements import Requirement

SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
Wheels = dict[str, tuple[str, bytes]]  # by SHA-256


def wheel(
    folder: Path,
    name: str,
    files: dict[str, str] | None = None,
    *,
    build: str = "",
    entry: str = "",
    unlisted: str = "",
) -> tuple[str, bytes]:
    """A wheel in a folder: its file name and bytes. ``unlisted`` is a member that RECORD does not list."""
    info = f"{name}-1.0.dist-info"
    members = {f"{name}.py": "", **(files or {})}
    members |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members |= {f"{info}/entry_points.txt": f"[console_scripts]\n{entry}\n"} if entry else {}
    rows = [f"{path},sha256={hashed(text)},{len(text)}\n" for path, text in members.items() if path != unlisted]
    members[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    path = folder / f"{name}-1.0{'-' + build if build else ''}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path.name, path.read_bytes()


def hashed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def digest(data: bytes) -> str:
    return Digest.of(data).value.hex()


class Index:
    """A package index on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels: Wheels = {}

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def add(self, name: str, **about: object) -> Requirement:
        """Publish a wheel of a project; the requirement of exactly this file."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        file, data = wheel(place, name, **about)  # type: ignore[arg-type]
        self.wheels[digest(data)] = file, data
        links = [f'<a href="{p.name}#sha256={digest(p.read_bytes())}">{p.name}</a>' for p in place.glob("*.whl")]
        (place / "index.html").write_text("".join(links))
        return Requirement(name, "1.0", {digest(data): file})


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "simple")


@pytest.fixture
def own(tmp_path: Path) -> tuple[str, bytes]:
    return wheel(tmp_path, "service", {"service.py": "print('it runs')\n"})


@pytest.fixture
def install(
    index: Index, own: tuple[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    monkeypatch.setenv("CHAINLAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "release"
    folder.mkdir()

    def installed(*requirements: Requirement) -> Path:
        installation.install(requirements, own, folder, index=index.url, wheels=index.wheels.__getitem__)
        return folder / "venv"

    return installed


def test_what_was_asked_for_is_installed_and_nothing_was_run_or_compiled(
    index: Index, install: Callable[..., Path], tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    hook = f"import pathlib; pathlib.Path({str(mark)!r}).write_text('ran')\n"  # a package may bring one: it was served
    alpha = index.add("alpha", files={"alpha.pth": hook, "alpha/data.txt": "x"}, entry="alpha = alpha:main")
    beta = index.add(
        "beta", files={"beta-1.0.data/data/share/beta.txt": "x", "beta-1.0.data/scripts/run-beta": "#!python\n"}
    )
    index.add("gamma")  # it is on the index, and nobody asked
    venv = install(alpha, beta)
    assert not mark.exists()
    installed = {path.name for path in (venv / SITE).iterdir()}
    assert {"alpha", "alpha.py", "beta.py", "service.py", "alpha.pth"} <= installed
    assert "gamma.py" not in installed
    assert (venv / "bin" / "alpha").is_file()
    assert (venv / "share" / "beta.txt").is_file()
    assert list(venv.rglob("__pycache__")) == []
    lines = (venv.parent / "requirements.txt").read_text().splitlines()
    assert lines[:2] == [str(alpha), str(beta)]
    assert lines[2].startswith("service @ file://")
    assert len(lines) == 3


def test_a_file_with_a_build_tag_that_comes_later_is_not_installed(index: Index, install: Callable[..., Path]) -> None:
    """uv prefers the build tag; the lock may list its hash, and no job was served it."""
    served = index.add("alpha")
    index.add("alpha", files={"evil.pth": "import os\n"}, build="1")
    venv = install(served)
    assert not (venv / SITE / "evil.pth").exists()


def test_of_two_served_files_either_may_be_installed(index: Index, install: Callable[..., Path]) -> None:
    first = index.add("alpha")
    second = index.add("alpha", files={"more.py": ""}, build="1")
    venv = install(Requirement("alpha", "1.0", {**first.files, **second.files}))
    assert (venv / SITE / "more.py").exists()


def test_a_file_that_the_wheel_s_record_does_not_list_is_refused(index: Index, install: Callable[..., Path]) -> None:
    alpha = index.add("alpha", files={"hidden.pth": "import os\n"}, unlisted="hidden.pth")
    with pytest.raises((VerificationFailed, Unavailable), match=r"hidden\.pth|cannot be installed"):
        install(alpha)


def test_a_digest_that_the_index_does_not_have_is_refused(index: Index, install: Callable[..., Path]) -> None:
    index.add("alpha")
    with pytest.raises(Unavailable, match="cannot be installed"):
        install(Requirement("alpha", "1.0", {"0" * 64: "alpha-1.0-py3-none-any.whl"}))


def test_a_source_distribution_is_never_built(index: Index, install: Callable[..., Path], tmp_path: Path) -> None:
    place = index.folder / "alpha"
    place.mkdir(parents=True)
    (place / "alpha-1.0.tar.gz").write_bytes(b"whatever it is, it would have to be built")
    sha = digest((place / "alpha-1.0.tar.gz").read_bytes())
    (place / "index.html").write_text(f'<a href="alpha-1.0.tar.gz#sha256={sha}">alpha-1.0.tar.gz</a>')
    with pytest.raises(Unavailable, match="cannot be installed"):
        install(Requirement("alpha", "1.0", {sha: "alpha-1.0.tar.gz"}))


def add(venv: Path, path: str, text: str = "import os\n") -> None:
    (venv / path).parent.mkdir(parents=True, exist_ok=True)
    (venv / path).write_text(text)


def replace_python(venv: Path) -> None:
    (venv / "bin/python").unlink()
    (venv / "bin/python").write_text("#!/bin/sh\n")


def flip(venv: Path, path: str) -> None:
    data = (venv / path).read_bytes()
    (venv / path).write_bytes(bytes([data[0] ^ 1]) + data[1:])


def link(venv: Path, path: str, target: str) -> None:
    (venv / path).unlink(missing_ok=True)
    (venv / path).symlink_to(target)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "an added .pth": (lambda v: add(v, f"{SITE}/zz.pth"), "zz.pth"),
    "an added module": (lambda v: add(v, f"{SITE}/sitecustomize.py"), "sitecustomize.py"),
    "an added file in a package's metadata": (lambda v: add(v, f"{SITE}/alpha-1.0.dist-info/x.py"), "x.py"),
    "compiled code": (lambda v: add(v, f"{SITE}/__pycache__/alpha.cpython-311.pyc"), "__pycache__"),
    "a package that nobody asked for": (lambda v: add(v, f"{SITE}/evil-1.0.dist-info/METADATA"), "evil-1.0"),
    "a changed byte": (lambda v: flip(v, f"{SITE}/alpha/data.txt"), "alpha/data.txt"),
    "a changed byte of the release's wheel": (lambda v: flip(v, f"{SITE}/service.py"), "service.py"),
    "a changed byte of what uv made before": (lambda v: flip(v, "bin/activate"), "bin/activate"),
    "a missing file": (lambda v: (v / SITE / "alpha/data.txt").unlink(), "alpha/data.txt"),
    "a missing file of what uv made before": (lambda v: (v / "bin/activate").unlink(), "bin/activate"),
    "another Python": (replace_python, "bin/python"),
    "a launcher that no wheel declares": (lambda v: add(v, "bin/evil"), "bin/evil"),
    "a link in place of a file": (lambda v: link(v, f"{SITE}/alpha/data.txt", "/etc/hostname"), "alpha/data.txt"),
    "a link in place of a launcher": (lambda v: link(v, "bin/alpha", "/bin/sh"), "bin/alpha"),
    "a linked folder": (lambda v: link(v, f"{SITE}/more", "/tmp"), "more"),
    "another configuration of the environment": (lambda v: add(v, "pyvenv.cfg", "home = /tmp\n"), "pyvenv.cfg"),
    "a pipe": (lambda v: os.mkfifo(v / SITE / "pipe"), "pipe"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_was_added_or_changed_is_found_before_the_service_starts(
    index: Index, install: Callable[..., Path], own: tuple[str, bytes], tmp_path: Path, case: str
) -> None:
    alpha = index.add("alpha", files={"alpha/data.txt": "some data"}, entry="alpha = alpha:main")
    venv = install(alpha)
    empty = tmp_path / "empty"
    installation._uv(tmp_path, "venv", "--python", sys.executable, str(empty))
    before = (
        installation.fingerprints(empty)
        | {  # the paths differ in these
            path: fingerprint
            for path, fingerprint in installation.fingerprints(venv).items()
            if path.startswith(("bin/activate", "bin/python"))
        }
        | {"pyvenv.cfg": installation.fingerprints(venv)["pyvenv.cfg"]}
    )
    before = {path: fingerprint for path, fingerprint in before.items() if path in installation.fingerprints(venv)}
    installation.compare(venv, before, [alpha], own, index.wheels.__getitem__)
    change, path = CHANGES[case]
    change(venv)
    with pytest.raises(VerificationFailed) as refused:
        installation.compare(venv, before, [alpha], own, index.wheels.__getitem__)
    assert path in str(refused.value)
    shutil.rmtree(venv)


@pytest.mark.parametrize(
    "row", ["../evil.py,,\n", "/evil.py,,\n", "..\\evil.py,,\n", "alpha-1.0.data/what/x,,\n", "x,sha256=?,1\n"]
)
def test_a_record_that_leads_elsewhere_is_no_record(tmp_path: Path, row: str) -> None:
    path = tmp_path / "alpha-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("alpha-1.0.dist-info/RECORD", row)
    with pytest.raises(VerificationFailed, match=r"cannot read .* as a wheel"):
        installation.PinnedWheel.read(path.name, path.read_bytes(), SITE)
