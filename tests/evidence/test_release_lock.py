"""A release's lock has one form: what is read of it, pip and uv read too; every other line is refused and quoted."""

from __future__ import annotations

import base64
import hashlib
import importlib
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker

from chainlab.errors import MalformedInput
from chainlab.evidence.locks import lock_inventory, lock_markers, requirements_file
from chainlab.evidence.locks.release_lock import Pin, applicable, parse
from chainlab.evidence.packages.interpreters import markers_here

ROOT = Path(__file__).parents[2]
HASH = "0" * 64
GOOD = f"alpha==1.0 \\\n    --hash=sha256:{HASH}\n"
COUNT = 1000  # random files, and random markers
UV_FILES = 60  # of the files that are read, how many uv reads too; each costs a process


@pytest.mark.parametrize(
    "path",
    ["requirements.lock", "requirements-test.lock", "data/projects/hardened/triage-model/requirements.lock"],
)
def test_what_uv_writes_is_read_and_written_again_byte_for_byte(path: str) -> None:
    text = (ROOT / path).read_text()
    pins = parse(text.encode())
    assert len(pins) > 20
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert "\n".join(map(str, pins)).splitlines() == lines
    assert applicable(text.encode())


REFUSED = {
    "a remark that ends in a backslash": ("# a remark \\\n" + GOOD, "'# a remark"),
    "a remark behind a pin": (GOOD.replace(" \\\n", "  # x \\\n"), "'alpha==1.0  # x"),
    "a remark behind a hash": (GOOD.replace("\n    ", "\n    ").rstrip() + "  # x\n", f"{HASH}  # x'"),
    "two requirements on one line": (GOOD.rstrip() + " beta==1.0\n", "beta==1.0'"),
    "a pin on one line": (f"alpha==1.0 --hash=sha256:{HASH}\n", "'alpha==1.0 --hash"),
    "a pin without a hash": ("alpha==1.0\n", "'alpha==1.0'"),
    "a pin whose hash is missing": (GOOD + "beta==1.0 \\\n", "''"),
    "a hash of another algorithm": (GOOD.replace("sha256", "sha512"), "sha512"),
    "a hash in capitals": (GOOD.replace(HASH, "A" * 64), "AAAA"),
    "a short hash": (GOOD.replace(HASH, "0" * 63), "000'"),
    "a hash in two words": (GOOD.replace("--hash=", "--hash "), "--hash sha256"),
    "an index": ("-i https://example.com/simple\n" + GOOD, "'-i https"),
    "another index": ("--extra-index-url https://example.com/\n" + GOOD, "'--extra-index-url"),
    "a folder": (GOOD + "--find-links /tmp/x\n", "'--find-links"),
    "an option with a pin behind it": ("--no-index beta==1.0\n", "'--no-index beta"),
    "an editable": ("-e ./beta\n", "'-e ./beta'"),
    "another file": ("-r other.txt\n", "'-r other.txt'"),
    "an address": ("beta @ https://example.com/beta.whl\n", "'beta @"),
    "an extra": (GOOD.replace("alpha", "alpha[x]"), "'alpha[x]==1.0"),
    "a range": (GOOD.replace("==", ">="), "'alpha>=1.0"),
    "a wildcard": (GOOD.replace("1.0", "1.*"), "'alpha==1.*"),
    "arbitrary equality": (GOOD.replace("==", "==="), "'alpha===1.0"),
    "a name in another spelling": (GOOD.replace("alpha", "Al_pha"), "'Al_pha==1.0"),
    "a version in another spelling": (GOOD.replace("1.0", "v1.0"), "'alpha==v1.0"),
    "a version of five thousand digits": (GOOD.replace("1.0", "1" * 5000), "'alpha==1111"),
    "white space before a pin": (" " + GOOD, "' alpha==1.0"),
    "white space behind a hash": (GOOD.rstrip() + " \n", f"{HASH} '"),
    "a tab": (GOOD.replace("    --", "\t--"), "--hash"),
    "Windows lines": (GOOD.replace("\n", "\r\n"), "alpha==1.0"),
    "a carriage return in a remark": ("# x\rbeta==1.0\n", "beta==1.0"),
    "a form feed in a remark": ("# x\x0cbeta==1.0\n", "beta==1.0"),
    "a line separator in a remark": ("# x\u2028beta==1.0\n", "beta==1.0"),
    "a byte order mark": ("\ufeff" + GOOD, "alpha==1.0"),
    "a marker on extra": (GOOD.replace(" \\", " ; extra == 'x' \\"), "extra == 'x'"),
    "a marker that compares with no version": (GOOD.replace(" \\", " ; python_version >= '3.11.*' \\"), "3.11.*"),
    "a marker without spaces": (GOOD.replace(" \\", " ; python_version>='3' \\"), "python_version>='3'"),
    "a marker that ends in a remark": (GOOD.replace(" \\", " ; python_version >= '3' # \\"), "python_version"),
    "a marker in double quotes": (GOOD.replace(" \\", ' ; python_version >= "3" \\'), "python_version"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_any_other_line_is_refused_and_quoted(case: str) -> None:
    text, quoted = REFUSED[case]
    with pytest.raises(MalformedInput, match="not a line of a release's lock") as refused:
        parse(text.encode())
    assert quoted in refused.value.message


def test_two_pins_of_one_package_that_both_apply_are_refused() -> None:
    other = GOOD.replace("1.0 ", "2.0 ; python_version >= '3' ")
    with pytest.raises(MalformedInput, match="alpha twice"):
        applicable((GOOD + other).encode())
    apart = GOOD.replace("1.0 ", "1.0 ; python_version < '3' ")
    assert [pin.version for pin in applicable((apart + other).encode())] == ["2.0"]


@pytest.mark.parametrize(
    "line",
    [
        "a" + " " * 1_000_000 + "!\n",
        "a==1.0 ; " + "(" * 500_000 + "\n",
        "a==1.0" + " \\" * 500_000 + "\n",
        "a==1.0 ; " + "python_version >= '3' or " * 50_000 + "\n",
        "a==" + "1." * 500_000 + "\n",
        GOOD * 10_000,
        ("# x\n" * 200_000),
    ],
    ids=lambda line: str(line)[:20],
)
@pytest.mark.parametrize(
    "read",
    [parse, lambda data: lock_inventory.select(requirements_file.read("x.lock", data), markers_here())],
    ids=["gate", "SBOM"],
)
def test_reading_takes_time_in_proportion_to_the_size(line: str, read: Callable[[bytes], Any]) -> None:
    began, refusal = time.process_time(), ""
    try:
        read(line.encode())
    except MalformedInput as error:
        refusal = str(error)
    assert len(refusal) < 2000, "it quotes the line, and not all of it"
    assert time.process_time() - began < 5  # quadratic would be hours


# -- pip and uv as oracles


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of small wheels, and the SHA-256 of each."""
    folder = tmp_path_factory.mktemp("links")
    return folder, {name: wheel(folder, name) for name in (*NAMES, *(f"m{n}" for n in range(COUNT)))}


NAMES = ("alpha", "beta", "gamma", "delta")


def wheel(folder: Path, name: str) -> str:
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": b"",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in (*files.items(), (f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())):
            archive.writestr(member, data)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def uv(
    links: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], set[str] | None]:
    """What ``uv pip sync`` would install of a lock; None when it refuses."""
    folder = tmp_path_factory.mktemp("uv")
    program = str(Path(sys.prefix) / "bin" / "uv")
    subprocess.run([program, "venv", "-q", "--python", sys.executable, str(folder / "venv")], check=True)
    options = ["--offline", "--no-cache", "--dry-run", "--require-hashes", "--allow-empty-requirements", "--no-index"]

    def ask(text: str) -> set[str] | None:
        (folder / "requirements.lock").write_bytes(text.encode())
        words = [program, "pip", "sync", *options, "--python", str(folder / "venv/bin/python")]
        words += ["--find-links", str(links[0]), "requirements.lock"]
        environment = {"PATH": os.environ["PATH"], "UV_NO_CONFIG": "1", "HOME": str(folder)}
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment, check=False)
        if done.returncode:
            return None
        lines = (done.stdout + done.stderr).splitlines()
        return {line.split()[1].partition("==")[0] for line in lines if line.startswith(" + ")}

    return ask


def pip(text: str, folder: Path) -> dict[str, set[str]]:
    """What pip's own reader takes of a lock: names to hashes, where the marker holds."""
    read = importlib.import_module("pip._internal.req.req_file").parse_requirements
    session = importlib.import_module("pip._internal.network.session").PipSession()
    (folder / "requirements.lock").write_bytes(text.encode())
    found: dict[str, set[str]] = {}
    for line in read(str(folder / "requirements.lock"), session=session):
        requirement, _, marker = line.requirement.partition(";")
        if not marker or Marker(marker.strip()).evaluate():
            hashes = line.options["hashes"]["sha256"]
            assert list(line.options["hashes"]) == ["sha256"]
            found[requirement.strip()] = set(hashes)
    return found


def spoils(rnd: random.Random, pin: str, other: str) -> str:
    """A pin, written as it should be or in one of the ways in which readers differ."""
    first, _, rest = pin.partition("\n")
    return rnd.choice([
        pin, pin, pin, pin, pin + "\n", pin + "    # via other\n", f"# {rnd.choice(['x', 'x y', 'via z', ''])}\n{pin}",
        f"# a remark \\\n{pin}", f"# a remark\\\n{pin}", f"{first}\\\n{rest}", pin.rstrip() + f" {other}",
        pin.rstrip() + "  # remark \\\n" + other, f"--no-index {other}", f"--no-index\n{pin}", pin.replace(" \\\n", ""),
        pin.replace("\n", "\r\n"), f"# x\x0c{pin}", f"# x\u2028{pin}", f"# x\r{pin}", pin.replace("==", "==="),
        pin.replace("==", " == "), pin.replace(" \\\n", " \\\n\\\n"), pin.replace("--hash=", "--hash "), f"\t{pin}",
        pin.replace("sha256", "sha512"), pin.replace("    --", "  --"), pin.upper(), pin[: rnd.randrange(len(pin))],
        pin.replace(" \\\n", f" ; {rnd.choice(CONDITIONS)} \\\n", 1), pin.replace("\\\n", f"\\\n# x\n{other}"),
    ])  # fmt: skip


CONDITIONS = (
    "python_version >= '3'",
    "python_version < '3'",
    "sys_platform == 'win32' or os_name == 'posix'",
    "(os_name == 'nt' and python_version >= '3') or sys_platform == 'linux'",
    "python_version >= '3.*'",
    "extra == 'x'",
    'python_version >= "3"',
)


@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils")  # where a test before has imported it
def test_pip_and_uv_take_what_is_read_of_a_thousand_random_files(
    links: tuple[Path, dict[str, str]], uv: Callable[[str], set[str] | None], tmp_path: Path
) -> None:
    rnd, accepted, applied = random.Random(7), 0, 0
    for _ in range(COUNT):
        chosen = rnd.sample(NAMES, rnd.randrange(1, len(NAMES)))
        pins = {name: f"{name}==1.0 \\\n    --hash=sha256:{links[1][name]}\n" for name in NAMES}
        text = "".join(spoils(rnd, pins[name], f"zeta==1.0 --hash=sha256:{HASH}\n") for name in chosen)
        try:
            found = applicable(text.encode())
        except MalformedInput:
            continue
        accepted += 1
        expected = {f"{pin.name}=={pin.version}": set(pin.hashes) for pin in found}
        assert pip(text, tmp_path) == expected, text
        if accepted <= UV_FILES:
            assert uv(text) == {pin.name for pin in found}, text
        applied += bool(found)
    assert accepted > COUNT / 10
    assert applied > COUNT / 20


def markers(rnd: random.Random) -> Iterator[str]:
    variables = [*lock_markers.VERSIONS, *lock_markers.TEXTS, "extra", "python_implementation", "os.name"]
    operators = ["==", "!=", "<", "<=", ">", ">=", "~=", "in", "not in", "==="]
    values = [
        "3.11", "3.11.7", "3", "3.1", "3.11.*", "3.*", "2.7", "4", "3.11.0rc1", "3.11.7+local", "3.11.7.dev0", "1!3",
        "3.10 3.11", "3.11,3.12", "3.11|3.10", "v3.11", "linux", "linux2", "posix", "nt", "win32", "x86_64", "x86", "",
        "CPython", "cpython", "Linux", "6", "a", "dev", " 3.11", "3.11 ", "03.11", "3.011",
    ]  # fmt: skip

    def comparison() -> str:
        value = "{0}{1}{0}".format(rnd.choice("''''\""), rnd.choice(values))
        variable, operator = rnd.choice(variables), rnd.choice(operators)
        return f"{variable} {operator} {value}" if rnd.random() < 0.75 else f"{value} {operator} {variable}"

    def expression(depth: int = 0) -> str:
        chance = rnd.random()
        if depth > 1 or chance < 0.6:
            return comparison()
        if chance < 0.75:
            return f"({expression(depth + 1)})"
        return f"{expression(depth + 1)} {rnd.choice(['and', 'or'])} {expression(depth + 1)}"

    while True:
        yield expression()


def test_pip_and_uv_answer_a_thousand_random_markers_alike_or_they_are_refused(
    links: tuple[Path, dict[str, str]], uv: Callable[[str], set[str] | None]
) -> None:
    chosen = list(dict.fromkeys(m for _, m in zip(range(COUNT), markers(random.Random(3)), strict=False)))
    read: dict[str, tuple[str, bool]] = {}
    for at, text in enumerate(chosen):
        try:
            marker = lock_markers.parse(text)
        except MalformedInput:
            continue
        assert str(lock_markers.parse(str(marker))) == str(marker)
        holds = marker.holds(markers_here())
        assert Marker(text).evaluate() == holds, f"pip reads {text}"
        read[f"m{at}"] = (text, holds)
    assert len(read) > COUNT / 8
    lines = [f"{name}==1.0 ; {text} --hash=sha256:{links[1][name]}\n" for name, (text, _) in read.items()]
    assert uv("".join(lines)) == {name for name, (_, holds) in read.items() if holds}


@pytest.mark.parametrize(
    ("release", "holds"),
    [("22.1", True), ("21.9", False), ("6.1.0-generic", None)],
    ids=["newer", "older", "no version"],
)
def test_a_platform_release_that_is_no_version_is_not_compared(release: str, holds: bool | None) -> None:
    marker = lock_markers.parse("platform_release >= '22.0'")
    if holds is None:
        with pytest.raises(MalformedInput, match="cannot be evaluated"):
            marker.holds({"platform_release": release})
    else:
        assert marker.holds({"platform_release": release}) is holds


def test_a_pin_writes_what_it_was_read_from() -> None:
    marker = lock_markers.parse("python_version >= '3.12'")
    pin = Pin("alpha", "1.0", (HASH, "1" * 64), marker)
    assert parse(f"{pin}\n".encode()) == (pin,)
