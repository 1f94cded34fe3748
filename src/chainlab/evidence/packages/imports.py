"""Imports: the modules that Python source imports, and the lines that compute a module's name.

    >>> imports_of(b"import numpy\\nimportlib.import_module(name)").names
    frozenset({'numpy'})

Read with `ast`, never run.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chainlab.evidence.components import BlindSpot

__all__ = ["Imports", "blind_spots", "dynamic_imports", "imports_of"]

CALLS = {"import_module", "__import__"}
LOOKS_DYNAMIC = re.compile(rb"import_module\s*\(|__import__\s*\(")
MAX_SIZE = 2 * 2**20  # bytes of a source file


@dataclass(frozen=True)
class Imports:
    """The imports of one source file."""

    names: frozenset[str]  # top-level names, also of literals given to import_module
    dynamic: tuple[int, ...]  # lines that compute the name
    readable: bool = True


def imports_of(source: bytes) -> Imports:
    """Find the imports in Python source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the code that is read
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Imports(frozenset(), (), readable=False)
    names, dynamic = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and _called_name(node.func) in CALLS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                names |= {first.value.partition(".")[0]} - {""}
            else:
                dynamic.add(node.lineno)
    return Imports(frozenset(names), tuple(sorted(dynamic)))


def dynamic_imports(folder: Path, paths: Iterable[str], ref: str) -> list[BlindSpot]:
    """Find the places below ``folder`` where the files of one package compute the name of an import."""
    places = []
    for path in paths:
        parts = PurePosixPath(path)
        if parts.suffix == ".py" and ".." not in parts.parts and not parts.is_absolute():
            try:
                source = (folder / path).read_bytes()
            except (OSError, ValueError):  # deleted, or an invalid path
                continue
            if len(source) <= MAX_SIZE and LOOKS_DYNAMIC.search(source):
                places += [f"{path}:{line}" for line in imports_of(source).dynamic]
    return blind_spots(places, ref)


def blind_spots(places: list[str], ref: str) -> list[BlindSpot]:
    """One blind spot for all computed imports of a package; none without places."""
    if not places:
        return []
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    message = f"a computed name is imported at {', '.join(places[:3])}{more}"
    return [BlindSpot("dynamic import", message, ref)]


def _called_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
