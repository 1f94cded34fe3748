"""Folders of cases: written once for the same content, so that repeated checks neither pile up nor wait for the disk.

>>> folder(lab.path, "site", {"a/b.txt": "text"}).name                     # doctest: +SKIP
'site-5c0d3f6c1f4e'
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["folder"]


def folder(place: Path, prefix: str, files: Mapping[str, str]) -> Path:
    """A folder below ``place`` with these files, path to text; its name follows from its content."""
    content = json.dumps(sorted(files.items())).encode()
    target = place / f"{prefix}-{hashlib.sha256(content).hexdigest()[:12]}"
    if target.is_dir():
        return target
    place.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{prefix}-", dir=place))
    for parent in sorted({Path(name).parent for name in files}):
        (draft / parent).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (draft / name).write_text(text, encoding="utf-8", newline="\n")
    with contextlib.suppress(OSError):  # another check was faster
        draft.rename(target)
    shutil.rmtree(draft, ignore_errors=True)
    return target
