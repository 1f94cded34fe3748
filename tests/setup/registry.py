"""Set-up of the compatibility test: Debian's docker-registry to run beside ours, without root.

An installed one is used as it is. On Debian one is downloaded by apt and its own signature checks, and unpacked under
``.cache/docker-registry``; nothing is installed and no service starts. ``.cache/docker-registry.json`` says what was
found, in the form that `browser.py` has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
FOLDER = CACHE / "docker-registry"
REPORT = CACHE / "docker-registry.json"
PROGRAM = FOLDER / "root" / "usr" / "bin" / "docker-registry"


class NoRegistryError(Exception):
    """Why there is no docker-registry."""


def answers(program: str) -> bool:
    """Whether the program starts."""
    command = [program, "--version"]
    try:
        run = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0


def apt(*arguments: str, folder: Path) -> None:
    """Run apt-get in a folder, on the machine's sources with lists of our own: no root, no lock."""
    lists = folder / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": str(lists),
        "Dir::Cache": str(folder / "cache"),
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",  # the _apt user cannot write into a person's own folder
    }
    command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    run = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if run.returncode:
        raise NoRegistryError(f"apt-get {arguments[0]}: {run.stderr.strip()[-300:]}")


def unpack() -> str:
    """Download and unpack Debian's docker-registry; gives the path of its program."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NoRegistryError("no docker-registry is installed, and this is not a Debian system")
    print("downloading Debian's docker-registry into .cache/docker-registry for its test")
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "root").mkdir(parents=True)
    apt("update", folder=FOLDER)
    apt("download", "docker-registry", folder=FOLDER)
    for package in FOLDER.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(FOLDER / "root")], check=True)
        package.unlink()
    for left in ("lists", "cache"):  # the unpacked files are what is needed
        shutil.rmtree(FOLDER / left, ignore_errors=True)
    if not answers(str(PROGRAM)):
        raise NoRegistryError("the unpacked docker-registry does not start on this machine")
    return str(PROGRAM)


def find() -> dict[str, str]:
    """Look for a docker-registry, fetch one if there is none, and say what came of it."""
    installed = shutil.which("docker-registry")
    if installed and answers(installed):
        return {"path": installed, "origin": "installed", "reason": ""}
    if os.access(PROGRAM, os.X_OK) and answers(str(PROGRAM)):
        return {"path": str(PROGRAM), "origin": "unpacked", "reason": ""}
    try:
        return {"path": unpack(), "origin": "unpacked", "reason": ""}
    except NoRegistryError as err:
        return {"path": "", "origin": "", "reason": str(err)}


def main() -> None:
    """Write the report and tell a person when there is none."""
    CACHE.mkdir(exist_ok=True)
    report = find()
    REPORT.write_text(json.dumps(report) + "\n", encoding="utf-8")
    if not report["path"]:
        print(f"no docker-registry, so its test will be skipped: {report['reason']}")


if __name__ == "__main__":
    main()
