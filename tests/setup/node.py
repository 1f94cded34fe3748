"""Set-up of the JavaScript clients, unmodified: as Node.js 20 runs them, and their newer releases with Node.js 22.

``npm ci`` installs what ``tests/js/package-lock.json`` and ``tests/js/node22/package-lock.json`` lock, by hash. A stamp
in ``node_modules`` holds the digest of the lock; it is installed again when the lock has changed.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

FOLDERS = [Path(__file__).parents[1] / "js", Path(__file__).parents[1] / "js" / "node22"]


def main() -> None:
    """Install what is missing or out of date."""
    for folder in FOLDERS:
        lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
        stamp = folder / "node_modules" / ".installed"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == lock:
            continue
        print(f"installing the JavaScript clients of tests/{folder.relative_to(FOLDERS[0].parent)}")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        subprocess.run(["npm", "ci", "--prefix", folder, *options], check=True, stdout=subprocess.DEVNULL)
        stamp.write_text(lock, encoding="utf-8")


if __name__ == "__main__":
    main()
