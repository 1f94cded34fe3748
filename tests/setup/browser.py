"""Set-up of the UI test: a Chromium or Chrome to drive, without root.

An installed one is used as it is. On Debian one is downloaded together with the libraries and fonts
that the machine lacks, by apt and its own signature checks, and unpacked under ``.cache/debian``;
nothing is installed and no service starts. ``.cache/browser.json`` says what was found:

    {"path": "/usr/bin/chromium", "origin": "installed", "reason": ""}

Path is empty where there is none, and reason says why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
DEBIAN = CACHE / "debian"
REPORT = CACHE / "browser.json"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
LAUNCHER = """\
#!/bin/sh
# Starts the unpacked Chromium with the libraries and fonts unpacked beside it.
export LD_LIBRARY_PATH="{libraries}"
export FONTCONFIG_FILE="{fonts}"
exec "{program}" "$@"
"""
FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{root}/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{root}/fontconfig-cache</cachedir>
  <include ignore_missing="yes">{root}/etc/fonts/conf.d</include>
  <include ignore_missing="yes">/etc/fonts/conf.d</include>
</fontconfig>
"""


class NoBrowserError(Exception):
    """Why there is no browser."""


def answers(program: str) -> bool:
    """Whether the program starts (Ubuntu's chromium-browser may be a stub)."""
    command = [program, "--headless", "--no-sandbox", "--version"]
    try:
        run = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0


def installed() -> str:
    """The path of an installed browser that starts, or nothing."""
    found = [shutil.which(name) for name in NAMES] + [str(MACOS) if MACOS.exists() else None]
    return next((path for path in found if path and answers(path)), "")


def apt(*arguments: str) -> None:
    """Run apt-get on the machine's sources with lists and archives of our own: no root, no lock."""
    state = DEBIAN / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": str(state / "lists"),
        "Dir::Cache": str(state),
        "Dir::Cache::archives": str(state / "archives"),
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",  # the _apt user cannot write into a person's own folder
        "APT::Keep-Downloaded-Packages": "true",
    }
    command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise NoBrowserError(f"apt-get {arguments[0]}: {run.stderr.strip()[-300:]}")


def unpack() -> str:
    """Download and unpack Debian's Chromium; gives the path of its launcher."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise NoBrowserError("no Chromium or Chrome is installed, and this is not a Debian system")
    print("downloading Debian's Chromium into .cache/debian for the UI test")
    shutil.rmtree(DEBIAN, ignore_errors=True)
    apt("update")
    wanted = ["chromium", "fonts-liberation", "fonts-dejavu-core"]
    apt("install", "--download-only", "--no-install-recommends", "-y", *wanted)
    root = DEBIAN / "root"
    root.mkdir()
    for package in sorted((DEBIAN / "apt/archives").glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    shutil.rmtree(DEBIAN / "apt")  # the unpacked files are what is needed
    program = root / "usr/lib/chromium/chromium"
    if not program.exists():
        raise NoBrowserError("the distribution's chromium package holds no browser")
    libraries = sorted({str(path.parent) for path in (root / "usr/lib").rglob("*.so*")})
    fonts = DEBIAN / "fonts.conf"
    fonts.write_text(FONTS.format(root=root), encoding="utf-8")
    launcher = DEBIAN / "chromium"
    launcher.write_text(
        LAUNCHER.format(libraries=":".join(libraries), fonts=fonts, program=program),
        encoding="utf-8",
    )
    launcher.chmod(0o755)
    if not answers(str(launcher)):
        raise NoBrowserError("the unpacked Chromium does not start on this machine")
    return str(launcher)


def find() -> dict[str, str]:
    """Look for a browser, fetch one if there is none, and say what came of it."""
    if path := installed():
        return {"path": path, "origin": "installed", "reason": ""}
    launcher = DEBIAN / "chromium"
    if os.access(launcher, os.X_OK) and answers(str(launcher)):
        return {"path": str(launcher), "origin": "unpacked", "reason": ""}
    try:
        return {"path": unpack(), "origin": "unpacked", "reason": ""}
    except NoBrowserError as err:
        return {"path": "", "origin": "", "reason": str(err)}


def main() -> None:
    """Write the report and tell a person when there is none."""
    CACHE.mkdir(exist_ok=True)
    report = find()
    REPORT.write_text(json.dumps(report) + "\n", encoding="utf-8")
    if not report["path"]:
        print(f"no browser, so the UI test will be skipped: {report['reason']}")


if __name__ == "__main__":
    main()
