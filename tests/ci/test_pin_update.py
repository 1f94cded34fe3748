"""`chainlab ci pin --update`: pins move to the newest version of their major, and to nothing else."""

from __future__ import annotations

import pytest

from chainlab.ci.actions.pins import pin, update
from chainlab.world import World

OLD = "v4.2.1"


@pytest.mark.parametrize("quote", ["", "'", '"'], ids=["plain", "single", "double"])
def test_a_pin_moves_to_the_newest_version_of_its_major(world: World, quote: str) -> None:
    mirror = world.ci.platform.mirror
    old = mirror.resolve(f"actions/checkout@{OLD}").commit
    new = mirror.resolve("actions/checkout@v4.2.2").commit
    text = f"on: push\njobs:\n  a:\n    steps:\n      - uses: {quote}actions/checkout@%s{quote}  # %s\n"
    assert old != new
    assert update(text % (old, OLD), mirror) == text % (new, "v4.2.2")
    assert pin(text % (old, OLD), mirror) == text % (old, OLD)  # pinning alone moves nothing


@pytest.mark.parametrize("remark", ["", "  # as reviewed", "  # v9"], ids=["none", "words", "no such major"])
def test_a_pin_whose_remark_names_no_version_stays(world: World, remark: str) -> None:
    mirror = world.ci.platform.mirror
    old = mirror.resolve(f"actions/checkout@{OLD}").commit
    text = f"on: push\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@{old}{remark}\n      - run: echo\n"
    assert update(text, mirror) == text
