"""Fixtures: solved labs, each run once in a worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from solved_labs import SolvedLab, solve


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """Restore the process's environment after each module: an open lab changes it."""
    with patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def solved_lab() -> Iterator[Callable[[str], SolvedLab]]:
    """Give a unit's solved lab, run once, and set this process's environment to the lab's."""
    outside = {name: value for name, value in os.environ.items() if name != "CHAINLAB_WORKSPACE"}
    solved: dict[str, SolvedLab] = {}
    inside: dict[str, dict[str, str]] = {}

    def become(environment: dict[str, str]) -> None:
        test = {name: os.environ[name] for name in ("PYTEST_CURRENT_TEST",) if name in os.environ}
        os.environ.clear()
        os.environ.update(environment | test)

    def get(unit: str) -> SolvedLab:
        if unit not in solved:
            become(outside)
            solved[unit] = solve(unit)
            inside[unit] = dict(os.environ)
        become(inside[unit])
        return solved[unit]

    yield get
    with patch.dict(os.environ):
        for one in solved.values():
            one.lab.close()


@pytest.fixture(scope="module")
def solved(request: pytest.FixtureRequest, solved_lab: Callable[[str], SolvedLab]) -> SolvedLab:
    """The lab of the test module's ``UNIT``."""
    return solved_lab(request.module.UNIT)


@pytest.fixture(scope="module")
def lab(solved: SolvedLab) -> Any:
    return solved.lab
