"""Set-up of the environment tests: the learner's set, built apart for every Python at hand.

- ``environment.yml``, as conda or Binder would build it: its Python, its pip line, ``postBuild``.
  conda itself is not run; the Python is the machine's and uv does pip's work.
- 3.12 and 3.13 where an interpreter is found. Where none is, uv resolves the lock for that version
  without installing it.

``.cache/environments.json`` says what came of each, for the tests to read:

    {"3.12": {"python": "3.12.1", "folder": "…", "bytes": 675005470, "seconds": 9.1, "problem": ""}}

Python is empty where only the lock was resolved. An environment is built again when what it is
built from has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "environments"
REPORT = ROOT / ".cache" / "environments.json"
SOURCES = ("requirements.lock", "environment.yml", "postBuild", "pyproject.toml")
UV = Path(sys.prefix) / "bin" / "uv"
OTHERS = ("3.12", "3.13")


class FailedError(Exception):
    """A step of the set-up failed; the text is the end of what it said."""


def run(*command: str | Path, path: Path | None = None) -> str:
    """Run a command in the repository; `path` goes to the front of PATH."""
    environment = dict(os.environ)
    environment.pop("VIRTUAL_ENV", None)
    if path:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise FailedError(f"{Path(str(command[0])).name} {command[1]}: {said[-600:]}")
    return done.stdout.strip()


def interpreter(version: str) -> Path | None:
    """A Python of that minor version on this machine; pyenv's too, whose shims may not run."""
    own = sys.version_info
    if version == f"{own.major}.{own.minor}":
        return Path(sys.base_prefix) / "bin" / f"python{version}"
    candidates = []
    with contextlib.suppress(FailedError):  # uv gives up at the first candidate that does not run
        candidates.append(Path(run(UV, "python", "find", "--no-python-downloads", version)))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates += sorted(pyenv.glob(f"versions/{version}*/bin/python{version}"))
    for candidate in candidates:
        try:
            run(candidate, "-c", "import venv, ensurepip")
        except (FailedError, OSError):
            continue
        return candidate
    return None


def size(folder: Path) -> int:
    """Bytes of all regular files, each counted once however many links it has elsewhere."""
    files = (path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(status.st_size for status in files)


def build(name: str, python: Path) -> dict[str, Any]:
    """Make the environment from the lock and the package; gives its entry for the report."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    run(python, "-m", "venv", folder)
    inside = folder / "bin" / "python"
    run(UV, "pip", "sync", "--python", inside, "--require-hashes", "--no-build", "requirements.lock")
    run("bash", "postBuild", path=folder / "bin")
    return {
        "python": run(inside, "-c", "import platform; print(platform.python_version())"),
        "folder": str(folder),
        "bytes": size(folder),
        "seconds": round(time.monotonic() - began, 1),
        "problem": "",
    }


def resolve(version: str) -> dict[str, Any]:
    """Check that the lock has a wheel of everything for that Python, without installing it."""
    target = FOLDER / f"{version}-resolved"
    run(
        *(UV, "pip", "install", "--dry-run", "--target", target, "--python-version", version),
        *("--no-deps", "--require-hashes", "--no-build", "-r", "requirements.lock"),
    )
    return {"python": "", "folder": "", "bytes": 0, "seconds": 0.0, "problem": ""}


def wanted() -> dict[str, str]:
    """Names of environments and their Python versions; the first is what environment.yml says."""
    described = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lines = described["dependencies"]
    version = next(str(line) for line in lines if str(line).startswith("python=")).split("=")[1]
    installs = next(line["pip"] for line in lines if isinstance(line, dict))
    if installs != ["-r requirements.lock"]:
        raise FailedError(f"environment.yml installs {installs}, not the lock")
    return {"environment.yml": version, **{other: other for other in OTHERS}}


def main() -> None:
    """Build what is missing or out of date and write the report."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    content = b"\0".join((ROOT / name).read_bytes() for name in SOURCES) + str(ROOT).encode()
    digest = hashlib.sha256(content).hexdigest()
    report: dict[str, Any] = {}
    if REPORT.exists():
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    if report.get("sources") == digest:
        return
    report = {"sources": digest}
    for name, version in wanted().items():
        python = interpreter(version)
        print(f"{name}: " + (f"an environment with Python {version}" if python else "resolving"))
        try:
            report[name] = build(name, python) if python else resolve(version)
        except FailedError as err:  # the test of this environment tells it; the others go on
            report[name] = {"python": "", "folder": "", "bytes": 0, "seconds": 0.0}
            report[name]["problem"] = str(err)
            report["sources"] = ""  # and the next set-up tries again
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
