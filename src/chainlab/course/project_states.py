"""The project under attack, ``triage-model``, in its three states: working copies for lessons and exercises.

    weak      as such projects are found in the wild                 data/projects/triage-model
    hardened  its workflows after week 2                             data/projects/hardened
    attested  after week 4: stages that verify each other, a gate    data/projects/attested

Each state is laid over the one before it; the `.github` of ``hardened`` replaces the weak one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from chainlab.errors import MalformedInput

__all__ = ["settings_of", "working_copy"]

STATES = ("weak", "hardened", "attested")
PROJECT = "triage-model"
NOT_COPIED = shutil.ignore_patterns("__pycache__", ".pytest_cache")


def working_copy(projects: Path, folder: Path, state: str) -> Path:
    """Make ``folder`` anew as the project in a state, from ``data/projects``; returns the folder."""
    if state not in STATES:
        raise MalformedInput(f"not a state of the project: {state!r}", hint=f"name one of {', '.join(STATES)}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(projects / PROJECT, folder, ignore=NOT_COPIED)
    if state != "weak":
        shutil.rmtree(folder / ".github")
    for layer in STATES[1 : STATES.index(state) + 1]:
        shutil.copytree(projects / layer / PROJECT, folder, dirs_exist_ok=True, ignore=NOT_COPIED)
    return folder


def settings_of(projects: Path, state: str) -> Path:
    """The path of the project's settings in a state."""
    if state == "attested":
        return projects / "attested" / "settings.toml"
    return projects / "settings" / f"{PROJECT}.toml"
