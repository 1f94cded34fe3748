"""Set-up of the second opinion on the gate's rules: Open Policy Agent itself, as a library, in ``.cache/opa``.

The package declares a newer Python than the course's and works on it all the same, so it is kept out of the course's
own environment. The version is locked in ``opa.lock``; ``.cache/opa.json`` says what came of it, for the test:

    {"lock": "3f1c…", "folder": "…/.cache/opa", "reason": ""}
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = Path(__file__).parent / "opa.lock"
FOLDER = ROOT / ".cache" / "opa"
REPORT = ROOT / ".cache" / "opa.json"


def main() -> None:
    """Install what is missing or out of date and write the report."""
    state = hashlib.sha256(LOCK.read_bytes() + str(ROOT).encode()).hexdigest()
    if REPORT.exists() and json.loads(REPORT.read_text(encoding="utf-8")).get("lock") == state:
        return
    print("setting up Open Policy Agent in .cache/opa for its test")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(exist_ok=True)
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    words += ["--ignore-requires-python", "--require-hashes", "--only-binary", ":all:"]
    done = subprocess.run(
        [*words, "--target", str(FOLDER), "--requirement", str(LOCK)],
        capture_output=True,
        text=True,
        check=False,
    )
    reason = done.stderr.strip()[-600:] if done.returncode else ""
    report = {"lock": "" if reason else state, "folder": str(FOLDER), "reason": reason}
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
