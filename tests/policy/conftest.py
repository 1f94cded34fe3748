"""One registry with one instance for the tests of the gate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gate_stack import ADVISORIES, POLICIES, GateStack
from release_maker import NOW, ReleaseMaker, wheelhouse

from chainlab.policy.gate import Gate
from chainlab.registry.index.upstream import Upstream
from chainlab.registry.registry import Registry
from chainlab.services import Server
from chainlab.trust.client import Trust


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GateStack]:
    folder = tmp_path_factory.mktemp("stack")
    for name in ("trust", "wheels"):
        (folder / name).mkdir(mode=0o700)
    times = wheelhouse(folder / "wheels")
    trust = Trust(folder / "trust")
    with (
        Server(folder / "trust"),
        Registry(
            folder / "registry",
            folder / "state.db",
            upstream=Upstream(folder / "wheels", times),
            trust=trust,
        ) as registry,
    ):
        gate = Gate(registry, trust, POLICIES, ADVISORIES, clock=lambda: NOW)
        yield GateStack(registry, trust, ReleaseMaker(registry, trust), gate)
