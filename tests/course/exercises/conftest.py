"""Solved labs, each run once in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from solved_labs import SolvedLab, solve


@pytest.fixture(scope="session")
def solved_lab() -> Iterator[Callable[[str], SolvedLab]]:
    """Gives a unit's solved lab; each is run once."""
    solved = {}

    def get(unit: str) -> SolvedLab:
        if unit not in solved:
            solved[unit] = solve(unit)
        return solved[unit]

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CHAINLAB_WORKSPACE", raising=False)
        yield get
    for one in solved.values():
        one.lab.close()


@pytest.fixture(scope="module")
def solved(request: pytest.FixtureRequest, solved_lab: Callable[[str], SolvedLab]) -> SolvedLab:
    """The lab of the test module's ``UNIT``."""
    return solved_lab(request.module.UNIT)


@pytest.fixture(scope="module")
def lab(solved: SolvedLab) -> Any:
    return solved.lab
