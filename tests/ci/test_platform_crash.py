"""What was acknowledged is there after `kill -9`, and nothing is there by half."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from chainlab.ci.git.repositories import Repositories
from chainlab.ci.services.cache import Cache
from chainlab.credentials import Credential
from chainlab.database import connect
from chainlab.events import Events

REPO = "acme/x"
GRANTS = frozenset({f"cache:write:{REPO}:main", f"cache:read:0:{REPO}:main"})
CHILD = f"""
import sys
from pathlib import Path
from chainlab.ci.services.cache import Cache
from chainlab.ci.git.repositories import Repositories
from chainlab.credentials import Credential
folder = Path(sys.argv[1])
cache = Cache(folder / "cache", folder / "state.db")
repositories = Repositories(folder, folder / "state.db")
repositories.create("acme", "x")
job = Credential("job", frozenset({sorted(GRANTS)!r}))
for number in range(10_000):
    with cache.stage() as staged:
        for _ in range(20):
            staged.write(b"%06d" % number * 1000)
        cache.save(job, f"k{{number}}", "v", staged)
    commit = repositories.import_tree("acme/x", {{"n": b"%d" % number}}, "change")
    print(number, commit, flush=True)
"""


@pytest.mark.crash
@pytest.mark.parametrize("wait", [0.05, 0.13, 0.31])
def test_after_a_kill_everything_acknowledged_is_there(tmp_path: Path, wait: float) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
    acknowledged = [line.split() for line in lines if line.endswith("\n")]
    database = tmp_path / "state.db"
    cache, repositories = Cache(tmp_path / "cache", database), Repositories(tmp_path, database)
    job = Credential("job", GRANTS)
    for number, commit in acknowledged:
        entry = cache.find(job, [f"k{number}"], "v")
        assert entry is not None
        assert cache.path(entry).read_bytes() == b"%06d" % int(number) * 20_000
        assert repositories.show(REPO, commit, "n") == number.encode()
    for entry in cache.entries():  # also one that was saved and not yet acknowledged is whole
        assert cache.path(entry).stat().st_size == 120_000
    last = repositories.resolve(REPO, "main")
    commits = [commit for _, commit in acknowledged]
    history = repositories.git(repositories.path(REPO), "rev-list", "--max-count=2", last).decode().split()
    assert commits[-1] in history  # at most one commit was made and not acknowledged
    repositories.import_tree(REPO, {}, "after")  # tells also of the change whose event was lost
    connection = connect(database)
    events = Events(connection)
    events.verify()
    changes = [e.data for e in events.read("dev.chainlab.change.pushed")]
    assert {commit for _, commit in acknowledged} <= {e["new"] for e in changes}
    assert all(a["new"] == b["old"] for a, b in pairwise(changes))
    connection.close()
    cache.close()
    repositories.close()
