"""Locks as people have them: what pip and uv take of a file is read, and what is not read is named."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from chainlab.cli.sbom import commands
from chainlab.errors import MalformedInput
from chainlab.evidence.components import Component, Inventory
from chainlab.evidence.locks import lock_inventory, requirements_file
from chainlab.evidence.locks.lock_file import EXPORTS
from chainlab.evidence.packages.interpreters import markers_here
from chainlab.evidence.sbom import builder, cyclonedx, projects, wheels
from chainlab.evidence.sbom.schema import problems

A, B, COMMIT = "a" * 64, "b" * 64, "0" * 40
FILES = 40  # random files that uv reads, too; each costs a process


def written(folder: Path, text: str | bytes, name: str = "requirements.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def parts(found: Inventory) -> dict[str, Component]:
    return {component.key: component for component in found.components}


def told(found: Inventory, kind: str) -> str:
    return "; ".join(spot.what for spot in found.blind_spots if spot.kind == kind)


# -- lines


LINES = {
    "a remark that ends in a backslash": ("# remark \\\nalpha==1.0\nbeta==2.0\n", ["alpha", "beta"], 0),
    "two requirements on one line": (f"alpha==1.0 --hash=sha256:{A} beta==2.0\n", [], 1),
    "words behind the hash": (f"alpha==1.0 --hash=sha256:{A} beta\n", [], 1),
    "a marker behind the hash": (f"alpha==1.0 --hash=sha256:{A} ; python_version > '3'\n", [], 1),
    "a remark behind a pin that goes on": ("alpha==1.0 # remark \\\nbeta==2.0\n", ["alpha"], 1),
    "an option with a pin behind it": ("--no-index alpha==1.0\n", [], 1),
    "an option that pip has dropped": ("alpha==1.0 --global-option x\nbeta==2.0\n", ["alpha", "beta"], 0),
    "settings of the build": (f'alpha==1.0 --config-settings "a=b c" --hash=sha256:{A}\n', ["alpha"], 0),
    "settings of the build, for short": ("alpha==1.0 -C a=b\n", ["alpha"], 0),
    "an option of the file behind a pin": ("alpha==1.0 --pre\n", ["alpha"], 0),
    "an option that nobody knows": ("alpha==1.0 --colour red\nbeta==2.0\n", ["beta"], 1),
    "an option cut short": (f"alpha==1.0 --has sha256:{A}\n", ["alpha"], 0),
    "an option that could be two": ("alpha==1.0 --no x\n", [], 1),
    "a quoted hash": (f'alpha==1.0 --hash="sha256:{A}"\n', ["alpha"], 0),
    "an open quote": (f'alpha==1.0 --hash="sha256:{A}\nbeta==2.0\n', ["beta"], 1),
    "a hash alone": (f"alpha==1.0\n--hash=sha256:{A}\n", ["alpha"], 1),
    "a sharp in a marker": ('alpha==1.0 ; platform_machine != "x#y"\n', ["alpha"], 0),
    "a remark behind a tab": ("alpha==1.0\t# x\n", ["alpha"], 0),
    "no white space before the sharp": ("alpha==1.0# x\nbeta==2.0\n", ["beta"], 1),
    "a form feed in a remark": ("# x\x0calpha==1.0\nbeta==2.0\n", ["alpha", "beta"], 0),
    "old line ends": ("alpha==1.0\rbeta==2.0\r", ["alpha", "beta"], 0),
    "a name that goes on": ("alp\\\nha==1.0\n", ["alpha"], 0),
    "a remark inside a line that goes on": ("alpha==1.0 \\\n# x\nbeta==2.0\n", ["alpha", "beta"], 0),
    "a marker that compares with no version": ("alpha==1.0 ; python_version >= '3.99.*'\n", ["alpha"], 0),
    "a marker that every reader finds false": ("alpha==1.0 ; 'win32' == sys_platform\n", [], 0),
    "a marker that is none": ("alpha==1.0 ; sys_platform = 'win32'\n", [], 1),
    "parentheses": ("alpha (==1.0)\n", ["alpha"], 0),
    "two bounds that fit": ("alpha==1.0,>=0.5\n", ["alpha"], 0),
    "two bounds that do not": ("alpha==1.0,>=1.5\n", [], 1),
    "a wildcard": ("alpha==1.*\n", [], 1),
    "a range": ("alpha>=1.0\n", [], 1),
    "an editable folder": ("-e ./alpha\n", [], 1),
    "a folder": ("./alpha\n", [], 1),
    "an included file, with no folder to look in": ("-r other.txt\n", [], 1),
    "an included address": ("-r https://acme.example/other.txt\n", [], 1),
    "a version of thousands of digits": (f"alpha==1.{'1' * 5000}\nbeta==2.0\n", ["beta"], 1),
    "a range of thousands of digits": (f"alpha>=1.{'1' * 5000}\nbeta==2.0\n", ["beta"], 1),
    "a zero byte in a file's name": ("-r a\0b\n", [], 1),
    "thousands of parentheses": (f"alpha==1.0 ; {'(' * 8000}\n", [], 1),
}


@pytest.mark.parametrize("case", LINES)
def test_a_line_that_an_installer_reads_is_never_swallowed(case: str) -> None:
    text, names, unread = LINES[case]
    lock = requirements_file.read("requirements.lock", f"{text}omega==1.0\n".encode())
    assert [pin.name for pin in lock_inventory.select(lock, markers_here())] == [*names, "omega"]
    assert len(lock.open) + len(lock.unread) == unread


BOTH = "# coding: utf-8\nalpha==1.0\nbeta==2.0 # caf\u00e9\n"
ENCODINGS = {
    "UTF-8": BOTH.encode(),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + BOTH.encode(),
    "UTF-16, little end first": b"\xff\xfe" + BOTH.encode("utf-16-le"),
    "UTF-16, big end first": b"\xfe\xff" + BOTH.encode("utf-16-be"),
    "UTF-32": BOTH.encode("utf-32"),
    "Latin-1, as its second line says": b"# x\n# -*- coding: latin-1 -*-\n" + BOTH[16:].encode("latin-1"),
    "Windows lines": BOTH.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("data", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_a_file_is_read_in_the_encoding_that_pip_reads(data: bytes, tmp_path: Path) -> None:
    found = lock_inventory.read(written(tmp_path, data))
    assert [(c.name, c.version) for c in found.components] == [("alpha", "1.0"), ("beta", "2.0")]
    assert not told(found, "not pinned")


@pytest.mark.parametrize(
    "data",
    [b"alpha==1.0 # \xe9\n", b"# coding: utf-7\nalpha==1.0\n", b"# coding: klingon\nalpha==1.0\n", b"\xff\xfea"],
    ids=["none declared", "one that hides", "one that is none", "half a character"],
)
def test_another_encoding_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match=r"requirements.txt cannot be read"):
        lock_inventory.read(written(tmp_path, data))


# -- hashes


@pytest.mark.parametrize(
    ("algorithm", "digits", "name"),
    [
        ("md5", 32, "MD5"), ("sha1", 40, "SHA-1"), ("sha256", 64, "SHA-256"), ("sha384", 96, "SHA-384"),
        ("sha512", 128, "SHA-512"), ("sha3_256", 64, "SHA3-256"), ("blake2b", 64, "BLAKE2b-256"),
        ("blake2b", 128, "BLAKE2b-512"),
    ],
)  # fmt: skip
def test_a_hash_of_every_algorithm_is_kept(algorithm: str, digits: int, name: str, tmp_path: Path) -> None:
    one, other = f"--hash={algorithm}:{'A' * digits}", f"--hash={algorithm}:{'b' * digits}"
    found = lock_inventory.read(written(tmp_path, f"alpha==1.0 {one}\nbeta==1.0 {one} {other}\n"))
    assert parts(found)["alpha"].hashes == {name: "a" * digits}
    assert parts(found)["beta"].accepted == ((name, "a" * digits), (name, "b" * digits))
    assert not told(found, "no hash")
    document = builder.of_inventory(found)
    assert problems(document) == []
    read = {component.name: component for component in cyclonedx.read(document).components}
    assert (read["alpha"].hashes, read["beta"].accepted) == (
        parts(found)["alpha"].hashes,
        parts(found)["beta"].accepted,
    )


@pytest.mark.parametrize("value", [f"sha256:{A}0", "sha256:", A, f"sha224:{'a' * 56}", f"sha256:{'g' * 64}", "x:" + A])
def test_a_damaged_hash_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match="a hash of alpha cannot be read"):
        lock_inventory.read(written(tmp_path, f"alpha==1.0 --hash={value}\n"))


def test_no_credentials_are_told(tmp_path: Path) -> None:
    lines = ["{} @ git+https://{}/a@main", "-e git+https://{1}/a@main#egg={0}", "{} @ https://{}/${{X}}.zip"]
    secret = [line.format("alpha", "user:secret@acme.example") for line in lines]
    found = lock_inventory.read(
        written(tmp_path, "\n".join([*secret, "omega==1.0", "--nothing https://x:secret@acme.example"]))
    )
    assert told(found, "not pinned").count("acme.example") == 4
    assert "secret" not in json.dumps(builder.of_inventory(found))


def test_a_pin_without_a_hash_says_so(tmp_path: Path) -> None:
    found = lock_inventory.read(written(tmp_path, "alpha==1.0\nbeta @ https://acme.example/beta-1.0.zip\n"))
    assert "any file of this version" in told(found, "no hash")
    assert "whatever is at this address" in told(found, "no hash")


# -- addresses


ADDRESSES = {
    "a wheel": (
        f"alpha @ https://user:secret@acme.example/alpha-1.0-py3-none-any.whl#sha256={A}",
        "pkg:pypi/alpha@1.0?download_url=https://acme.example/alpha-1.0-py3-none-any.whl",
    ),
    "a wheel without a name before it": (
        f"https://acme.example/alpha-1.0-py3-none-any.whl ; python_version > '3' --hash=sha256:{A}",
        "pkg:pypi/alpha@1.0?download_url=https://acme.example/alpha-1.0-py3-none-any.whl",
    ),
    "a source distribution": (
        "alpha@https://acme.example/alpha-1.0.tar.gz",
        "pkg:pypi/alpha@1.0?download_url=https://acme.example/alpha-1.0.tar.gz",
    ),
    "an archive of a repository": (
        "alpha[x] @ https://acme.example/archive/v1.zip",
        "pkg:pypi/alpha?download_url=https://acme.example/archive/v1.zip",
    ),
    "a commit": (
        f"alpha @ git+https://acme.example/alpha@{COMMIT}",
        f"pkg:pypi/alpha?vcs_url=git%2Bhttps://acme.example/alpha%40{COMMIT}",
    ),
    "a commit by SSH, in a folder": (
        f"alpha @ git+ssh://git@acme.example/alpha@{COMMIT}#subdirectory=python",
        f"pkg:pypi/alpha?vcs_url=git%2Bssh://acme.example/alpha%40{COMMIT}%23python",
    ),
    "an editable commit": (
        f"-e git+https://acme.example/alpha@{COMMIT}#egg=alpha",
        f"pkg:pypi/alpha?vcs_url=git%2Bhttps://acme.example/alpha%40{COMMIT}",
    ),
    "a revision": (
        "svn+https://acme.example/alpha@7#egg=alpha",
        "pkg:pypi/alpha?vcs_url=svn%2Bhttps://acme.example/alpha%407",
    ),
    "a file": ("alpha @ file:///srv/alpha-1.0-py3-none-any.whl", ""),
    "a file in a folder with a strange name": ("./a#sha256=0?/alpha-1.0-py3-none-any.whl", ""),
    "a file here": (f"./wheels/alpha-1.0-py3-none-any.whl --hash=sha256:{A}", ""),
    "a repository here": (f"alpha @ git+file:///srv/alpha@{COMMIT}", ""),
}


@pytest.mark.parametrize(("line", "purl"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_an_address_that_always_means_the_same_is_a_pin(line: str, purl: str, tmp_path: Path) -> None:
    found = lock_inventory.read(written(tmp_path, line + "\n"))
    (component,) = found.components
    assert (component.name, component.purl) == ("alpha", purl)
    assert not told(found, "not pinned")
    assert "local" not in component.purl
    assert bool(component.hashes) == (A in line)
    assert ("chainlab:installed-from" in dict(component.properties)) == (not purl)
    assert problems(builder.of_inventory(found)) == []


@pytest.mark.parametrize(
    "line",
    [
        "alpha @ git+https://acme.example/alpha@main",
        "alpha @ git+https://acme.example/alpha",
        "-e git+https://acme.example/alpha@main#egg=alpha",
        "-e .",
        "./alpha",
        "alpha @ https://${HOST}/alpha-1.0.zip",
        "https://acme.example/archive/v1.zip",
        "alpha @ ssh://acme.example/alpha",
        "alpha @ https://[acme.example/alpha-1.0.zip",
    ],
)
def test_an_address_that_may_come_to_mean_other_bytes_is_named(line: str, tmp_path: Path) -> None:
    found = lock_inventory.read(written(tmp_path, f"{line}\nomega==1.0\n"))
    assert [c.name for c in found.components] == ["omega"]
    assert line[:60] in told(found, "not pinned")


def test_an_extra_that_a_line_asks_for_is_followed(planted_wheels: Path, tmp_path: Path) -> None:
    pins = {wheel.name.split("-")[0]: wheel for wheel in planted_wheels.iterdir()}
    hashes = {name: hashlib.sha256(wheel.read_bytes()).hexdigest() for name, wheel in pins.items()}
    text = f"acme-cells{{}}==1.2.0 --hash=sha256:{hashes['acme_cells']}\n"
    text += f"acme-speed==2.0.0 --hash=sha256:{hashes['acme_speed']}\n"
    for extra, needs in (("[fast]", ("pkg:pypi/acme-speed@2.0.0",)), ("", ())):
        found = lock_inventory.read(written(tmp_path, text.format(extra)), wheels=planted_wheels)
        assert parts(found)["acme-cells"].requires == needs


# -- included files


def test_included_files_are_read_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    written(tmp_path, "-r more/base.txt\nalpha==1.0\n--requirement 'two words.txt'\n")
    written(tmp_path, "beta==2.0\n    # via alpha\n-r ../deeper.txt\n", "more/base.txt")
    written(tmp_path, "gamma==3.0\n", "deeper.txt")
    written(tmp_path, b"\xef\xbb\xbfdelta==4.0\n", "two words.txt")
    found = lock_inventory.read(tmp_path / "requirements.txt")
    assert [(c.name, c.version) for c in found.components] == [
        ("alpha", "1.0"), ("beta", "2.0"), ("delta", "4.0"), ("gamma", "3.0"),
    ]  # fmt: skip
    assert parts(found)["alpha"].requires == ("pkg:pypi/beta@2.0",)
    assert not told(found, "not pinned")


def test_a_constraint_pins_what_is_asked_for_and_nothing_else(tmp_path: Path) -> None:
    written(
        tmp_path, f"alpha\nBeta>=1\ngamma\nomega==1.0\n-c limits.txt\ndelta==1.0 --hash=sha256:{A} --hash=sha256:{B}\n"
    )
    written(
        tmp_path,
        f"alpha==1.0 --hash=sha256:{A}\nbeta==2.0 ; sys_platform == 'win32'\nepsilon==5.0\nomega==2.0\n"
        f"delta==1.0.0 --hash=sha256:{B}\n",
        "limits.txt",
    )
    found = lock_inventory.read(tmp_path / "requirements.txt", markers={"sys_platform": "linux"})
    assert [(c.name, c.version) for c in found.components] == [("alpha", "1.0"), ("delta", "1.0"), ("omega", "1.0")]
    assert parts(found)["alpha"].hashes == {"SHA-256": A}
    assert parts(found)["delta"].hashes == {"SHA-256": B}
    open_ = told(found, "not pinned")
    assert all(words in open_ for words in ("Beta>=1", "gamma", "epsilon", "a constraint says 2.0"))
    there = lock_inventory.read(tmp_path / "requirements.txt", markers={"sys_platform": "win32"})
    assert parts(there)["beta"].version == "2.0"


INCLUDED: dict[str, tuple[dict[str, str], str]] = {
    "one that is not there": ({"requirements.txt": "-r gone.txt"}, "gone.txt is included, and is not a file"),
    "one whose name is too long": ({"requirements.txt": f"-r {'x' * 5000}"}, "x is included, and is not a file"),
    "one that includes itself": ({"requirements.txt": "-r requirements.txt"}, "includes itself"),
    "two that include each other": (
        {"requirements.txt": "-r b.txt", "b.txt": "-c requirements.txt"},
        "includes itself",
    ),
    "too many": (
        {"requirements.txt": "-r 0.txt", **{f"{n}.txt": f"-r {n + 1}.txt\n" * 2 for n in range(8)}, "8.txt": "a==1"},
        "more than 100",
    ),
    "another tool's lock": ({"requirements.txt": "-r uv.lock", "uv.lock": ""}, "uv.lock is not read here"),
}


@pytest.mark.parametrize(("files", "message"), INCLUDED.values(), ids=INCLUDED.keys())
def test_an_included_file_that_cannot_be_read_is_an_error(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        written(tmp_path, text, name)
    with pytest.raises(MalformedInput, match=message):
        lock_inventory.read(tmp_path / "requirements.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no names there")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.lock").symlink_to(tmp_path / "loop.lock")
    written(tmp_path, '[project]\nname = "mine"\n', "pyproject.toml")
    projects.read(tmp_path)
    for name in ("pipe.txt", "loop.lock"):
        with pytest.raises(MalformedInput, match=f"{name} is included, and is not a file"):
            lock_inventory.read(written(tmp_path, f"-r {name}\n"))


# -- the same again


def test_the_same_pin_twice_is_one_component(tmp_path: Path) -> None:
    text = f"alpha==1.0\nbeta==2.0 --hash=sha256:{A} --hash=sha256:{B}\nAlpha==1.0.0\nbeta==2.0 --hash=sha256:{A}\n"
    found = lock_inventory.read(written(tmp_path, text + f"gamma @ https://acme.example/g.zip#sha256={A}\n" * 2))
    assert [c.key for c in found.components] == ["alpha", "beta", "gamma"]
    assert parts(found)["beta"].hashes == {"SHA-256": A}  # pip takes a file that both lines accept
    assert not told(found, "pinned twice")
    assert problems(builder.of_inventory(found)) == []


def test_a_range_that_another_line_pins_is_not_open(tmp_path: Path) -> None:
    found = lock_inventory.read(written(tmp_path, "alpha>=0.5\nalpha==1.0\nbeta>=2\nbeta==1.0\n"))
    assert told(found, "not pinned") == "requirements.txt: beta>=2"


def test_two_versions_of_one_package_are_told(tmp_path: Path) -> None:
    found = lock_inventory.read(written(tmp_path, "alpha==1.0\nalpha==2.0\nbeta==1.0\n"))
    assert [c.version for c in found.components if c.key == "alpha"] == ["1.0", "2.0"]
    assert "alpha is locked as 1.0 and as 2.0" in told(found, "pinned twice")
    apart = "alpha==1.0 ; python_version < '3'\nalpha==2.0 ; python_version >= '3'\n"
    assert not told(lock_inventory.read(written(tmp_path, apart)), "pinned twice")


def test_a_package_with_more_pins_than_a_lock_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match="alpha is pinned in more than 100 ways"):
        lock_inventory.read(written(tmp_path, "".join(f"alpha=={n}\nalpha>{n}\n" for n in range(10_000))))


def test_two_lines_without_a_common_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match=r"alpha 1\.0 is locked 2 times, and no file fits all") as refused:
        lock_inventory.read(written(tmp_path, f"alpha==1.0 --hash=sha256:{A}\nalpha==1.0 --hash=sha256:{B}\n"))
    assert "leave one of the lines" in str(refused.value)


# -- pylock.toml


def pylock(*packages: str, head: str = "") -> str:
    return "\n".join(['lock-version = "1.0"', 'created-by = "hand"', head, *(f"[[packages]]\n{p}" for p in packages)])


def package(name: str, more: str = "", digits: str = A) -> str:
    file = f"{name}-1.0-py3-none-any.whl"
    wheel = f'{{url="https://acme.example/{file}", hashes={{sha256="{digits}", sha512="{"c" * 128}"}}}}'
    return f'name="{name}"\nversion="1.0"\nwheels=[{wheel}]\n{more}'


def test_the_default_groups_of_a_pylock_are_installed(tmp_path: Path) -> None:
    text = pylock(
        package("alpha"),
        package("beta", "marker=\"'dev' in dependency_groups\""),
        package("gamma", "marker=\"'docs' in dependency_groups and python_version >= '3'\""),
        package("delta", "marker=\"'more' in extras\""),
        package("epsilon", "marker=\"python_version >= '3.99.*'\""),  # some installers mend it, and find it true
        package("zeta", "marker=\"platform_release >= '2'\""),  # and compare what is no version
        head='extras = ["more"]\ndependency-groups = ["dev", "docs"]\ndefault-groups = ["dev"]',
    )
    markers = {"platform_release": "6.1-generic"}
    found = lock_inventory.read(written(tmp_path, "\ufeff" + text, "pylock.toml"), markers=markers)
    assert list(parts(found)) == ["alpha", "beta", "epsilon", "zeta"]
    assert parts(found)["alpha"].hashes == {"SHA-256": A, "SHA-512": "c" * 128}
    assert told(found, "other platform").endswith("delta, gamma")


def test_a_pylock_without_a_file_for_this_platform_says_so(tmp_path: Path) -> None:
    file = '{{name="alpha-1.0{}", url="https://acme.example/x", hashes={{sha256="' + A + '"}}}}'
    wheel, sdist = file.format("-cp27-cp27m-nowhere.whl"), file.format(".tar.gz")
    for more, stops in (("", True), (f"sdist={sdist}", False)):
        text = pylock(f'name="alpha"\nversion="1.0"\nwheels=[{wheel}]\n{more}')
        found = lock_inventory.read(written(tmp_path, text, "pylock.toml"))
        assert ("an installer stops" in told(found, "other platform")) is stops
        assert list(parts(found)) == ["alpha"]
        elsewhere = lock_inventory.read(tmp_path / "pylock.toml", markers={"sys_platform": "win32"})
        assert not told(elsewhere, "other platform")


@pytest.mark.parametrize(
    ("packages", "head"),
    [
        ([package("alpha")], 'requires-python = ">=99"'),
        ([package("alpha")], "environments = [\"sys_platform == 'nowhere'\"]"),
        ([package("alpha", 'requires-python = "<3"')], ""),
        ([package("alpha"), package("alpha", digits=B)], ""),
    ],
    ids=["another Python", "another environment", "another Python for a package", "a package twice"],
)
def test_a_pylock_that_installers_refuse_is_refused(packages: list[str], head: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedInput, match=r"pylock.toml is refused by installers here"):
        lock_inventory.read(written(tmp_path, pylock(*packages, head=head), "pylock.toml"))


@pytest.mark.parametrize(
    "text",
    [
        pylock(package("alpha"), head='lock-version = "2.0"'), pylock(package("alpha", digits="0")), "", "[project]",
        pylock("name='alpha'"), pylock(package("alpha", "marker='sys_platform'")), "a = " + "[" * 100_000,
        pylock(package("alpha", 'archive={path="x", hashes={sha256="' + A + '"}}')),
    ],
)  # fmt: skip
def test_a_pylock_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedInput):
        lock_inventory.read(written(tmp_path, text, "pylock.toml"))


def test_what_a_pylock_takes_from_this_machine_has_no_address(tmp_path: Path) -> None:
    hashes = f'hashes = {{sha256 = "{A}"}}'
    text = pylock(
        f'name="alpha"\nversion="1.0"\narchive={{path="vendor/alpha.tar.gz", {hashes}}}',
        f'name="beta"\nversion="1.0"\nvcs={{type="git", path="vendor/beta", commit-id="{COMMIT}"}}',
        'name="gamma"\ndirectory={path="vendor/gamma"}',
        f'name="delta"\nversion="1.0"\narchive={{url="https://acme.example/delta.zip", {hashes}}}',
        f'name="epsilon"\nvcs={{type="git", url="https://acme.example/e", commit-id="{COMMIT}", subdirectory="x"}}',
    )
    found = parts(lock_inventory.read(written(tmp_path, text, "pylock.toml")))
    for name, words in (("alpha", "file"), ("beta", "repository"), ("gamma", "folder")):
        assert not found[name].purl
        assert ("chainlab:installed-from", f"a local {words}") in found[name].properties
    assert found["delta"].purl == "pkg:pypi/delta@1.0?download_url=https://acme.example/delta.zip"
    assert found["epsilon"].purl == f"pkg:pypi/epsilon?vcs_url=git%2Bhttps://acme.example/e%40{COMMIT}%23x"
    assert found["alpha"].hashes == {"SHA-256": A}


def test_the_projects_own_folder_in_its_lock_is_no_component(tmp_path: Path) -> None:
    written(tmp_path, '[project]\nname = "mine"\nversion = "1"\ndependencies = ["alpha"]\n', "pyproject.toml")
    own = 'name="mine"\ndirectory={path="."}\ndependencies=[{name="alpha"}]'
    written(tmp_path, pylock(package("alpha", "dependencies=[]"), own), "pylock.toml")
    found = projects.read(tmp_path)
    assert [c.name for c in found.components] == ["alpha"]
    assert found.subject.requires == ("pkg:pypi/alpha@1.0",)


# -- locks of other tools, and projects


@pytest.mark.parametrize("name", EXPORTS)
def test_another_tools_lock_is_refused_with_the_way_to_one_that_is_read(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(commands[0], ["build", str(written(tmp_path, "", name))])
    assert isinstance(done.exception, MalformedInput)
    assert f"{name} is not read here" in str(done.exception)
    assert EXPORTS[name] in str(done.exception)


def test_a_project_beside_another_tools_lock_is_not_called_unlocked(tmp_path: Path) -> None:
    written(tmp_path, '[project]\nname = "mine"\nversion = "1"\ndependencies = ["alpha>=1"]\n', "pyproject.toml")
    assert "nothing is locked" in told(projects.read(tmp_path), "missing")
    for name in (*EXPORTS, "requirements-dev.txt"):
        written(tmp_path, "", name)
        found = projects.read(tmp_path)
        assert "nothing is locked" not in told(found, "missing")
        assert f"{name} is not read" in told(found, "not looked for")
    written(tmp_path, "alpha==1.0\n-r requirements-dev.txt\n")
    found = projects.read(tmp_path)
    assert parts(found)["alpha"].version == "1.0"
    assert "uv.lock is not read here: uv export" in told(found, "not looked for")
    assert "requirements-dev.txt" not in told(found, "not looked for"), "it is included"
    done = CliRunner().invoke(commands[0], ["build", str(tmp_path), "--out", str(tmp_path / "out.json")])
    assert f"note: Pipfile.lock is not read here: {EXPORTS['Pipfile.lock']}" in done.stderr
    assert "more" in done.stderr


@pytest.mark.parametrize(("name", "text"), [("pylock.toml", "packages = []"), ("requirements.lock", "# nothing\n")])
def test_a_lock_of_a_project_without_needs_is_not_called_missing(name: str, text: str, tmp_path: Path) -> None:
    written(tmp_path, '[project]\nname = "mine"\n', "pyproject.toml")
    written(tmp_path, pylock(head=text) if name == "pylock.toml" else text, name)
    assert told(projects.read(tmp_path), "missing").startswith(f"{name} pins nothing")


def test_a_folder_with_nothing_but_another_tools_lock_says_how_to_export_it(tmp_path: Path) -> None:
    written(tmp_path, "", "uv.lock")
    with pytest.raises(MalformedInput, match=r"uv.lock is not read here") as refused:
        projects.read(tmp_path)
    assert EXPORTS["uv.lock"] in str(refused.value)


def test_needs_that_only_another_tool_reads_are_named(tmp_path: Path) -> None:
    text = '[project]\nname = "mine"\ndynamic = ["version", "dependencies"]\n[tool.poetry.dependencies]\nalpha = "1"\n'
    written(tmp_path, text, "pyproject.toml")
    found = told(projects.read(tmp_path), "not looked for")
    assert "project.dependencies, which is dynamic" in found
    assert "tool.poetry.dependencies" in found
    assert "version" not in found


def test_lines_that_cannot_be_read_are_named_in_a_project_without_pins(tmp_path: Path) -> None:
    written(tmp_path, '[project]\nname = "mine"\n', "pyproject.toml")
    written(tmp_path, "alpha>=1 # remark\n--no-index beta==1.0\n")
    found = projects.read(tmp_path)
    assert dict(parts(found)["alpha"].properties)["chainlab:version-range"] == ">=1"
    assert "--no-index beta==1.0" in told(found, "not pinned")


def test_every_range_of_a_name_is_told(tmp_path: Path) -> None:
    needs = '["alpha>=1", "Alpha<2", "alpha[x]>=1"]'
    written(tmp_path, f'[project]\nname = "mine"\nauthors = 1\ndependencies = {needs}\n', "pyproject.toml")
    (component,) = projects.read(tmp_path).components
    assert dict(component.properties)["chainlab:version-range"] == ">=1, <2"


@pytest.mark.parametrize("needs", ['"alpha"', "[1]", "{alpha = '1'}"])
def test_needs_that_are_no_list_of_texts_are_refused(needs: str, tmp_path: Path) -> None:
    written(tmp_path, f'[project]\nname = "mine"\ndependencies = {needs}\n', "pyproject.toml")
    with pytest.raises(MalformedInput, match="where a list of texts is expected"):
        projects.read(tmp_path)


NEEDS = {
    f"alpha @ git+https://u:secret@acme.example/alpha@{COMMIT}": (
        f"git+https://acme.example/alpha@{COMMIT}",
        f"pkg:pypi/alpha?vcs_url=git%2Bhttps://acme.example/alpha%40{COMMIT}",
    ),
    f"alpha @ https://acme.example/alpha-1.0-py3-none-any.whl#sha256={A}": (
        f"https://acme.example/alpha-1.0-py3-none-any.whl#sha256={A}",
        "pkg:pypi/alpha?download_url=https://acme.example/alpha-1.0-py3-none-any.whl",
    ),
    "alpha @ file:///srv/alpha": ("file:///srv/alpha", ""),
    "alpha": ("any version", "pkg:pypi/alpha"),
    "alpha[x]>=1": (">=1", "pkg:pypi/alpha"),
}


@pytest.mark.parametrize("text", NEEDS)
def test_a_requirement_by_address_keeps_its_address(text: str, tmp_path: Path) -> None:
    written(tmp_path, f'[project]\nname = "mine"\ndependencies = ["{text}"]\n', "pyproject.toml")
    path = tmp_path / "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "mine-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: mine\nVersion: 1.0\nRequires-Dist: {text}\n"
        )
    for found in (projects.read(tmp_path), wheels.read(path)):
        (component,) = found.components
        assert (dict(component.properties)["chainlab:version-range"], component.purl) == NEEDS[text]
        assert found.subject.requires == (component.ref,)
    locked = wheels.read(path, lock=written(tmp_path, "alpha==1.0\n", "requirements.lock"))
    assert locked.subject.requires == ("pkg:pypi/alpha@1.0",)


# -- pip and uv as oracles


ATOMS = [
    "alpha==1.0", "Beta==2.0", "gamma>=1", "delta", "epsilon", "alpha[x]==1.0", "alpha===1.0", "alpha==1.*",
    "alpha==1.0,>=0.5", "alpha==2.0,<1", f" --hash=sha256:{A}", f" --hash sha256:{B}", f" --hash=sha512:{'c' * 128}",
    " ; python_version>'3'", ";sys_platform=='win32'", "# c", " # c", "#", " \\\n", "\\\n", "\n", "\n", "\n", "\n",
    "\r\n", "\r", "\x0c", "\u2028", "\x85", " ", "\t", "-r inc.txt", "-c con.txt", "-e ./x", "--pre", "-i http://x/",
    "--no-index ", f"-e git+https://h.example/r@{COMMIT}#egg=eps", "\"", "'", "==", "\\", "--", "-", "--hash=", "${X}",
    f"zeta @ https://h.example/zeta-1.0-py3-none-any.whl#sha256={A}", "./y/eta-1.0-py3-none-any.whl", "\u00a0",
    "alpha @ git+https://h.example/a@main", "theta @ file:///x/theta-1.0.tar.gz", "--config-settings a=b", "-C a=b ",
    "--require-hashes", "-f ./x", f" --has=sha256:{A}", f"git+https://h.example/r@{COMMIT}#egg=iota",
    "https://h.example/kappa-1.0-py3-none-any.whl", f"alpha==1.0 --hash=sha256:{A}\n", "beta==2.0\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that random files include."""
    found = tmp_path_factory.mktemp("locks")
    written(found, "inca==1.0\n-c con2.txt\n", "inc.txt")
    written(found, "delta==3.0\nepsilon==1.0 ; python_version<'3'\n-r inc2.txt\n", "con.txt")
    written(found, "incb==2.0\n", "inc2.txt")
    written(found, "delta==3.0\n", "con2.txt")
    return found


def pip(path: Path) -> set[tuple[str, str]] | None:
    """Names, and versions or addresses ("" where there are several), that pip takes; None when it refuses."""
    read = importlib.import_module("pip._internal.req.req_file").parse_requirements
    made = importlib.import_module("pip._internal.req.constructors").install_req_from_parsed_requirement
    session = importlib.import_module("pip._internal.network.session").PipSession()
    found: set[tuple[str, str]] = set()
    limits: dict[str, set[str]] = {}
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            parsed = [(line.constraint, made(line, isolated=True)) for line in read(str(path), session=session)]
    except Exception:  # its errors have no common class
        return None
    asked = [one for constraint, one in parsed if not constraint]
    for _, one in filter(lambda pair: pair[0], parsed):
        limits.setdefault(canonicalize_name(one.name), set()).add(exact(one))
    for one in asked:
        if one.link is not None:
            address = "local" if one.link.is_file else one.link.url.partition("#")[0]
            found.add((canonicalize_name(one.name or ""), address))
        else:
            key = canonicalize_name(one.name)
            versions = {exact(one)} - {""} or {v for v in limits.get(key, ()) if one.req.specifier.contains(v)}
            found |= {(key, version) for version in versions or {""}}
    return found


def exact(requirement: Any) -> str:
    specifiers = [s for s in requirement.req.specifier if s.operator in ("==", "===") and not s.version.endswith("*")]
    version = specifiers[0].version if specifiers else ""
    return version if version and requirement.req.specifier.contains(version) else ""


@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils")  # where a test before has imported it
@given(st.lists(st.sampled_from(ATOMS), min_size=1, max_size=12).map("".join))
def test_what_pip_takes_of_a_random_file_is_read_or_named(folder: Path, text: str) -> None:
    path = written(folder, text)
    taken = pip(path)
    try:
        ours = requirements_file.read(path.name, path.read_bytes(), folder)
    except MalformedInput:
        return  # a damaged hash, which pip would find later
    lines = re.sub("[-_.]+", "-", re.sub(r"[\"'\\]", "", " ".join((*ours.open, *ours.unread)).lower()))
    if taken is None:
        assert ours.open or ours.unread, "pip refuses the file"
        return
    read = {(p.key, "local" if p.local else p.source.partition("#")[0] or p.version) for p in ours.pins}
    assert {place for place in read if place not in taken and ("", place[1]) not in taken} == set()
    for name, place in taken - read:
        included = name.startswith("inc") and ("-r " in lines or "-c " in lines)
        nameless = not name and (ours.unread or place in {place for _, place in read})
        by_another_line = not place and name in {name for name, _ in read}
        assert included or nameless or by_another_line or (name and name in lines)


@pytest.fixture(scope="module")
def uv(folder: Path) -> Callable[[Path], set[str] | None]:
    """What ``uv pip install`` would install of a file; None when it refuses."""
    for name in ("alpha", "beta", "gamma", "delta"):
        with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
            info = f"{name}-1.0.dist-info"
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
    program = str(Path(sys.prefix) / "bin" / "uv")
    subprocess.run([program, "venv", "-q", "--python", sys.executable, str(folder / "venv")], check=True)
    words = [program, "pip", "install", "--offline", "--no-cache", "--dry-run", "--no-deps", "--no-index"]
    words += ["--preview", "--python", str(folder / "venv/bin/python"), "--find-links", str(folder), "-r"]
    environment = {"PATH": os.environ["PATH"], "UV_NO_CONFIG": "1", "HOME": str(folder)}

    def ask(path: Path) -> set[str] | None:
        done = subprocess.run(
            [*words, path.name], capture_output=True, text=True, cwd=folder, env=environment, check=False
        )
        lines = (done.stdout + done.stderr).splitlines()
        return (
            None
            if done.returncode
            else {line.split()[1].partition("==")[0] for line in lines if line.startswith(" + ")}
        )

    return ask


FOR_UV = [
    "alpha==1.0", "beta==1.0", "gamma==1.0", "delta", "delta>=1 ", "gamma==1.*", " ; python_version>'3'", "# c", " # c",
    "\t# c", " \\\n", "\\\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\r", "\x0c", "\u2028", " ", "\t", "-r one.txt\n",
    "-c two.txt\n", "--no-index ", "\\", "./gamma-1.0-py3-none-any.whl", "-f .", " ;sys_platform=='win32' ", "'",
]  # fmt: skip


def test_what_uv_installs_of_a_random_file_is_read_or_named(
    folder: Path, uv: Callable[[Path], set[str] | None]
) -> None:
    written(folder, "gamma==1.0\n", "one.txt")
    written(folder, "delta==1.0\n", "two.txt")
    rnd, installed, tried = random.Random(5), 0, 0
    while tried < FILES:
        text = "".join(rnd.choice(FOR_UV) for _ in range(rnd.randrange(1, 9)))
        path = written(folder, text)
        lock = requirements_file.read(path.name, path.read_bytes(), folder)
        if not lock.pins:
            continue
        tried += 1
        found = uv(path)
        if found is None:
            continue
        installed += bool(found)
        pins = lock_inventory.select(requirements_file.read(path.name, path.read_bytes()), markers_here())
        names = {pin.key for pin in pins} | {pin.key for pin in lock.pins}
        lines = " ".join((*lock.open, *lock.unread))
        assert {name for name in found - names if name not in lines} == set(), text
    assert installed > FILES / 5


MARKERS = (
    "sys_platform == 'win32'", "sys_platform == 'linux'", "python_version >= '3'", "python_version < '3.11'",
    "'dev' in dependency_groups", "'dev' not in dependency_groups", "'docs' in dependency_groups", "'x' in extras",
    "'dev' in dependency_groups or os_name == 'nt'", "'x' not in extras and 'dev' in dependency_groups",
    "python_full_version >= '3.11.*'", "platform_release >= '2'", "implementation_name == 'cpython'",
)  # fmt: skip


def test_uv_and_this_reader_take_the_same_of_random_pylocks(
    folder: Path, uv: Callable[[Path], set[str] | None]
) -> None:
    rnd, read = random.Random(11), 0
    for _ in range(FILES):
        groups = rnd.choice(['["dev"]', "[]", '["dev", "docs"]'])
        head = f'extras = ["x"]\ndependency-groups = ["dev", "docs"]\ndefault-groups = {groups}\n'
        head += rnd.choice(["", "", 'requires-python = ">=99"\n', "environments = [\"os_name != 'x'\"]\n"])
        packages = []
        for name in rnd.sample(["alpha", "beta", "gamma", "delta"], rnd.randrange(1, 5)):
            file = f"{name}-1.0-py3-none-any.whl"
            digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            wheel = f'wheels=[{{path="{file}", hashes={{sha256="{digest}"}}}}]'
            marker = f'marker="{rnd.choice(MARKERS)}"' if rnd.random() < 0.8 else ""
            packages.append(f'name="{name}"\nversion="1.0"\n{marker}\n{wheel}')
        path = written(folder, pylock(*packages, head=head), "pylock.toml")
        try:
            ours = {pin.key for pin in lock_inventory.select(lock_inventory.load(path), markers_here())}
        except MalformedInput:
            assert uv(path) is None, path.read_text()
            continue
        read += 1
        assert uv(path) == ours, path.read_text()
    assert read > FILES / 2


def test_uv_and_this_reader_take_the_same_of_a_plain_lock(folder: Path, uv: Callable[[Path], set[str] | None]) -> None:
    text = "-r one.txt\n-c two.txt\nalpha==1.0 ; python_version > '3'\nbeta==1.0 ; sys_platform == 'win32'\ndelta\n"
    written(folder, "gamma==1.0\n", "one.txt")
    written(folder, "delta==1.0\n", "two.txt")
    path = written(folder, text)
    assert uv(path) == {"alpha", "delta", "gamma"} == {c.key for c in lock_inventory.read(path).components}


def test_a_document_of_a_lock_is_the_same_each_time(tmp_path: Path) -> None:
    path = written(
        tmp_path, f"alpha==1.0 --hash=sha512:{'c' * 128} --hash=sha256:{A}\nbeta @ https://acme.example/b.zip\n"
    )
    one, other = (json.dumps(builder.of_lock(path)["components"]) for _ in range(2))
    assert one == other
