"""Set-up of the compatibility test: devpi-server in an environment of its own, ``.cache/devpi``.

It stands beside our index and not among the learner's packages: it pins what it needs. The versions are locked in
``devpi.lock``. ``.cache/devpi.json`` says what came of it, for the test to read:

    {"lock": "3f1c…", "programs": "…/.cache/devpi/bin", "reason": ""}

Built again when the lock has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = Path(__file__).parent / "devpi.lock"
FOLDER = ROOT / ".cache" / "devpi"
REPORT = ROOT / ".cache" / "devpi.json"
UV = Path(sys.prefix) / "bin" / "uv"


def run(*command: str | Path) -> str:
    """Run uv to its end; gives what it complained of, nothing when it went well."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [str(part) for part in (UV, *command)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip()[-600:] if done.returncode else ""


def main() -> None:
    """Build what is missing or out of date and write the report."""
    state = hashlib.sha256(LOCK.read_bytes() + str(ROOT).encode()).hexdigest()
    if REPORT.exists() and json.loads(REPORT.read_text(encoding="utf-8")).get("lock") == state:
        return
    print("setting up devpi-server in .cache/devpi for its test")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(exist_ok=True)
    reason = run("venv", "--quiet", "--python", sys.executable, FOLDER) or run(
        *("pip", "sync", "--quiet", "--python", FOLDER / "bin" / "python"),
        *("--require-hashes", "--no-build", LOCK),
    )
    report = {"lock": "" if reason else state, "programs": str(FOLDER / "bin"), "reason": reason}
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
