"""The JSON schemas that cyclonedx-python-lib ships: CycloneDX itself, and the SPDX list of licences."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["bundled_schema"]


def bundled_schema(name: str) -> Any:
    """Load a schema by its file name, without importing cyclonedx-python-lib."""
    package = find_spec("cyclonedx")
    folder = Path((package.origin if package else None) or "").parent / "schema" / "_res"
    return json.loads((folder / name).read_text(encoding="utf-8"))
