"""GuardDog: what a scanner of malicious packages says about a wheel or an sdist, where it is installed.

    >>> scan(sdist).scanned                                                    # doctest: +SKIP
    ('evil-0.1.tar.gz',)

It is an extra (`pip install chainlab[guarddog]`, in an environment of its own). Where it is missing, the package was
not scanned, and the report says so. Only its ``threat-*`` rules count: a ``capability-*`` says what a package can do,
and honest ones can do much. It looks for lists on the network, goes on without them, and says so on stderr.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from chainlab.evidence.findings import Finding, Report

__all__ = ["program", "scan"]

TIMEOUT = 120  # seconds


def program() -> Path | None:
    """Where it is: beside this Python, or on the PATH."""
    beside = Path(sys.executable).with_name("guarddog")
    found = str(beside) if beside.is_file() else shutil.which("guarddog")
    return Path(found) if found else None


def scan(package: Path, guarddog: Path | None = None) -> Report:
    """Its report; everything that keeps it from one is "not scanned"."""
    found = guarddog or program()
    name = package.name
    if found is None:
        return Report((), ((name, "guarddog is not installed"),))
    command = [str(found), "pypi", "scan", str(package.absolute()), "--output-format", "json"]
    try:
        run = subprocess.run(
            command,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            env={key: value for key, value in os.environ.items() if not key.startswith("GUARDDOG")},
        )
        answer = json.loads(run.stdout)
        results, errors = answer["results"], answer.get("errors") or {}
        lines = [
            (rule, hit)
            for rule, hits in sorted(results.items())
            if rule.startswith("threat-")
            for hit in ([hits] if isinstance(hits, str) else hits or [])
        ]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        return Report((), ((name, f"guarddog gave no answer: {type(error).__name__}"),))
    found_here = tuple(
        Finding(
            rule,
            "high",
            str(hit.get("location", name)) if isinstance(hit, dict) else name,
            str(hit.get("message", rule)) if isinstance(hit, dict) else str(hit),
        )
        for rule, hit in lines
    )
    if errors:
        return Report((), ((name, f"guarddog could not run {', '.join(sorted(errors))}"),), found_here)
    return Report((name,), (), found_here)
