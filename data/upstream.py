"""Writes data/upstream.csv: when each wheel of the wheelhouse was uploaded to PyPI; `make lock` calls it.

    python data/upstream.py            asks the configured index again (network)
    python data/upstream.py --check    exit 1 if the table is not of wheelhouse.lock

Cooldown rules ("nothing younger than a week") need the times, and a wheelhouse has none. They come from the index's
own JSON (PEP 700, ``upload-time``), by the digests in the lock. A file whose time the index does not give gets an empty
field: unknown, and served as unknown.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import urllib.request
from datetime import datetime
from pathlib import Path

from pip._internal.models.index import PyPI  # where pip looks when nobody says otherwise

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "wheelhouse.lock"
TABLE = ROOT / "data" / "upstream.csv"
COLUMNS = ("file", "sha256", "upload_time")
JSON = "application/vnd.pypi.simple.v1+json"


def locked() -> dict[str, set[str]]:
    """The digests that the lock allows, by project."""
    found: dict[str, set[str]] = {}
    project = ""
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if entry := re.match(r"([a-z0-9._-]+)==", line):
            project = entry[1]
        if digest := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
            found.setdefault(project, set()).add(digest[1])
    return found


def rows() -> list[dict[str, str]]:
    """The table's rows, as the index tells them now."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or PyPI.simple_url
    found = []
    for project, digests in sorted(locked().items()):
        address = f"{index.rstrip('/')}/{project}/"
        request = urllib.request.Request(address, headers={"Accept": JSON})
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = json.load(answer)
        for file in page["files"]:
            if file["hashes"].get("sha256") in digests:
                time = file.get("upload-time", "")
                if time:  # to the second, as the index here serves it
                    time = datetime.fromisoformat(time).strftime("%Y-%m-%dT%H:%M:%SZ")
                fields = (file["filename"], file["hashes"]["sha256"], time)
                found.append(dict(zip(COLUMNS, fields, strict=True)))
    return sorted(found, key=lambda row: row["file"])


def problems() -> list[str]:
    """What is wrong with the table as it is; nothing when it is of the lock."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    wanted = set().union(*locked().values())
    told = {row["sha256"] for row in table}
    found = [f"{digest} is locked and not in the table" for digest in sorted(wanted - told)]
    found += [f"{digest} is in the table and not locked" for digest in sorted(told - wanted)]
    for row in table:
        if row["upload_time"] and not re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["upload_time"]
        ):
            found.append(f"{row['file']}: {row['upload_time']!r} is no time")
    if table != sorted(table, key=lambda row: row["file"]):
        found.append("the rows are not sorted by file")
    return found


def main() -> None:
    """Write the table, or compare it with the lock."""
    if sys.argv[1:] == ["--check"]:
        found = problems()
        sys.exit("\n".join([*found[:5], "run: make lock"]) if found else None)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())
    TABLE.write_text(text.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main()
