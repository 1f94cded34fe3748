"""The legs of a job: one for each combination of its matrix, or the one of a job without a matrix.

    >>> [leg.matrix for leg in legs({"matrix": {"os": ["a", "b"], "exclude": [{"os": "b"}]}})]
    [{'os': 'a'}]

As in GitHub Docs, "Running variations of jobs in a workflow": all combinations except those that match ``exclude``.
Then each entry of ``include`` extends the combinations whose own values it would not change; if there is none, it is
one more combination.
"""

from __future__ import annotations

import itertools
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainlab.errors import MalformedInput

__all__ = ["Leg", "elsewhere", "legs"]

MAX_LEGS = 256  # as on the platform
OURS = ("linux", "self-hosted")  # labels that run here on every system
SYSTEMS = {"darwin": "macos", "linux": "ubuntu"}  # Python's names to the hosted runners'
MACHINES = {"arm64": "arm", "aarch64": "arm", "x86_64": "x64", "amd64": "x64"}


@dataclass(frozen=True)
class Leg:
    """One of a job's legs."""

    matrix: Mapping[str, Any] | None  # None for a job without one
    index: int = 0
    total: int = 1
    fail_fast: bool = True
    parallel: int = 1

    @property
    def strategy(self) -> dict[str, Any]:
        """The ``strategy`` context."""
        return {
            "fail-fast": self.fail_fast,
            "job-index": self.index,
            "job-total": self.total,
            "max-parallel": self.parallel,
        }

    def __str__(self) -> str:
        return ", ".join(f"{key}: {value}" for key, value in (self.matrix or {}).items())


def legs(strategy: Any) -> list[Leg]:
    """The legs of a job by its evaluated ``strategy``. Raises `MalformedInput` for an invalid one."""
    if strategy in (None, ""):
        return [Leg(None)]
    if not isinstance(strategy, dict):
        raise MalformedInput("`strategy` is not a mapping")
    if "matrix" not in strategy:
        return [Leg(None)]
    combinations = _combinations(strategy["matrix"])
    if not 0 < len(combinations) <= MAX_LEGS:
        raise MalformedInput(f"a matrix has 1 to {MAX_LEGS} combinations, this one has {len(combinations)}")
    fast, parallel = strategy.get("fail-fast", True), strategy.get("max-parallel", len(combinations))
    return [Leg(matrix, n, len(combinations), fast is not False, parallel) for n, matrix in enumerate(combinations)]


def _combinations(matrix: Any) -> list[dict[str, Any]]:
    if not isinstance(matrix, dict):
        raise MalformedInput("`matrix` is not a mapping")
    vectors = {key: value for key, value in matrix.items() if key not in ("include", "exclude")}
    for key, value in vectors.items():
        if not isinstance(value, list) or not value:
            raise MalformedInput(f"`matrix`: {key} is not a list of values")
    size = 1
    for value in vectors.values():
        size *= len(value)
    if size > MAX_LEGS * 4:
        raise MalformedInput(f"a matrix has 1 to {MAX_LEGS} combinations, this one has {size}")
    product = itertools.product(*vectors.values()) if vectors else ()
    combinations = [dict(zip(vectors, values, strict=True)) for values in product]
    for entry in _entries(matrix, "exclude"):
        combinations = [own for own in combinations if not all(own.get(key) == value for key, value in entry.items())]
    extended, more = [dict(own) for own in combinations], []
    for entry in _entries(matrix, "include"):
        fitting = [
            whole
            for own, whole in zip(combinations, extended, strict=True)
            if all(own.get(key, value) == value for key, value in entry.items())
        ]
        for whole in fitting:
            whole.update(entry)
        if not fitting:
            more.append(dict(entry))
    return extended + more


def _entries(matrix: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = matrix.get(key) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MalformedInput(f"`matrix`: {key} is not a list of mappings")
    return entries


def elsewhere(runs_on: Any) -> str:
    """Why a job for runners with these labels cannot run here; empty when it can.

    ``runs_on`` is the value of the job's key, evaluated.
    """
    labels = runs_on.get("labels") if isinstance(runs_on, dict) else runs_on
    words = [str(label) for label in labels] if isinstance(labels, list) else [str(labels)] if labels else []
    machine = MACHINES.get(platform.machine().lower(), platform.machine().lower())
    for word in words:
        label = word.lower()
        system = next((name for name in ("windows", "macos") if label.startswith(name)), "")
        if system and system != SYSTEMS.get(sys.platform):
            return f"`runs-on: {word}`: this host's system is {platform.system()}"
        if label.endswith(("-arm", "-arm64")) and machine != "arm":
            return f"`runs-on: {word}`: this host's processor is {platform.machine()}"
    if any(word.lower() in OURS or word.lower().startswith(("ubuntu-", "macos-")) for word in words):
        return ""
    return f"`runs-on: {', '.join(words) or 'a group'}`: this host has no such runner"
