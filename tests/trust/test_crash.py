"""What was acknowledged survives: ``kill -9`` at any moment, and a full disk."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from checkpoints import Checkpoint, open_checkpoint
from client_requests import ALICE, Run, Signer, csr, enrol, sizes, with_csr
from cryptography import x509

from chainlab.errors import Unavailable
from chainlab.services import Server
from chainlab.trust.client import Trust
from chainlab.trust.instance import Instance
from chainlab.trust.merkle import verify_consistency

THREADS = 4


@dataclass
class Acknowledged:
    """All that clients were told, from every life of the instance."""

    trusted_root: dict[str, Any]
    v1: dict[int, bytes] = field(default_factory=dict)  # index → body
    v2: dict[int, bytes] = field(default_factory=dict)
    heads_v1: list[Checkpoint] = field(default_factory=list)
    heads_v2: list[Checkpoint] = field(default_factory=list)
    heads_ct: list[Checkpoint] = field(default_factory=list)
    serials: list[str] = field(default_factory=list)  # of certificates

    def take_v2(self, entry: dict[str, Any]) -> None:
        self.v2[int(entry["logIndex"])] = base64.b64decode(entry["canonicalizedBody"])
        self.heads_v2.append(open_checkpoint(entry["inclusionProof"]["checkpoint"]["envelope"], self.trusted_root))

    def take_v1(self, answer: dict[str, Any]) -> None:
        (entry,) = answer.values()
        self.v1[entry["logIndex"]] = base64.b64decode(entry["body"])
        proof = entry["verification"]["inclusionProof"]
        self.heads_v1.append(open_checkpoint(proof["checkpoint"], self.trusted_root))

    def take_head(self, sth: dict[str, Any]) -> None:
        root = base64.b64decode(sth["sha256_root_hash"])
        self.heads_ct.append(Checkpoint(sth["tree_size"], root))

    def check(self, instance: Instance) -> None:
        """Everything acknowledged is in the instance, and it has no other history."""
        for log, bodies, heads in (
            (instance.log_v1, self.v1, self.heads_v1),
            (instance.log_v2, self.v2, self.heads_v2),
            (instance.ct_log, {}, self.heads_ct),
        ):
            for index, body in bodies.items():
                assert log.entry(index).body == body
            size, root = len(log.tree), log.tree.root()
            for head in heads:
                assert head.size <= size
                proof = log.tree.consistency(head.size, size)
                assert verify_consistency(head.size, size, head.root, root, proof)
        counts = sizes(instance)  # verifies the chain of events
        assert counts["events"] == counts["ct"] + counts["v1"] + counts["v2"]
        issued = {e.data["serial"] for e in instance.events.read("dev.chainlab.certificate.issued")}
        assert issued.issuperset(self.serials)
        document = json.loads((instance.directory / "trusted_root.json").read_text())
        assert document == self.trusted_root


def start(state: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["chainlab", "trust", "serve", "--state", str(state)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def url_of(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.startswith("ready: "), line
    return line.removeprefix("ready: ").strip()


def kill(program: subprocess.Popen[str]) -> None:
    program.send_signal(signal.SIGKILL)
    program.communicate()


def load(url: str, token: str, seen: Acknowledged, stop: threading.Event) -> None:
    """Sign and log until the instance is gone; note all that it acknowledged."""
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as http:
        try:
            while not stop.is_set():
                signer = enrol(http, token)
                seen.serials.append(f"{signer.certificate.serial_number:x}")
                for _ in range(3):
                    answer = http.post("/api/v2/log/entries", json=signer.entry_v2(os.urandom(8)))
                    seen.take_v2(answer.json())
                    answer = http.post("/api/v1/log/entries", json=signer.hashedrekord_v1(os.urandom(8)))
                    seen.take_v1(answer.json())
                seen.take_head(http.get("/ct/v1/get-sth").json())
        except httpx.TransportError:
            return  # killed, as expected


@pytest.mark.crash
def test_every_acknowledged_entry_survives_kill_9_at_any_moment(tmp_path: Path, environment: dict[str, str]) -> None:
    state, moments = tmp_path / "state", random.Random(904)
    Instance(state).close()
    with Server(state):
        trusted_root = json.loads((state / "trusted_root.json").read_text())
    seen = Acknowledged(trusted_root)
    for _ in range(5):
        program, stop = start(state, environment), threading.Event()
        url, token = url_of(program), Trust(state).token(ALICE)
        threads = [threading.Thread(target=load, args=(url, token, seen, stop)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        goal, deadline = len(seen.v2) + moments.randint(1, 25), time.monotonic() + 20
        while len(seen.v2) < goal and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.01))
        kill(program)
        stop.set()
        for thread in threads:
            thread.join()
        assert len(seen.v2) >= goal, "it was not under load"
        instance = Instance(state)
        try:
            seen.check(instance)
        finally:
            instance.close()


@pytest.mark.crash
def test_being_killed_while_it_starts_spoils_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    moments = random.Random(905)
    for number in range(4):
        state = tmp_path / f"state-{number}"
        program = start(state, environment)
        deadline = time.monotonic() + 20
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.12))
        kill(program)
        with Server(state) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
            enrol(http, Trust(state).token(ALICE))
            assert sizes(server.instance) == {"ct": 1, "v1": 1, "v2": 1, "events": 3}


def requests_of(signer: Signer, token: str) -> dict[str, dict[str, Any]]:
    """One writing request of each kind."""
    return {
        "/api/v2/signingCert": {
            "json": with_csr(csr(signer.key)),
            "headers": {"Authorization": f"Bearer {token}"},
        },
        "/api/v2/log/entries": {"json": signer.entry_v2(os.urandom(8))},
        "/api/v1/log/entries": {"json": signer.hashedrekord_v1(os.urandom(8))},
    }


@pytest.mark.crash
def test_a_full_database_gives_503_and_nothing_half_written(fresh: Server, fresh_http: httpx.Client) -> None:
    token = Trust(fresh.instance.directory).token(ALICE)
    signer = enrol(fresh_http, token)
    connection = fresh.instance._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    before = sizes(fresh.instance)
    refused = set()
    for _ in range(40):  # until the pages that are there are full
        for path, request in requests_of(signer, token).items():
            answer = fresh_http.post(path, **request)
            if answer.status_code == 503:
                assert "could not be written" in answer.json()["message"]
                assert answer.headers["content-type"] == "application/json"
                refused.add(path)
            else:
                assert answer.status_code in (200, 201)
                before["events"] += 1
        if len(refused) == 3:
            break
    assert len(refused) == 3
    counts = sizes(fresh.instance)
    assert counts["events"] == before["events"] == counts["ct"] + counts["v1"] + counts["v2"]
    rows = connection.execute("SELECT log, count(*) FROM bodies GROUP BY log").fetchall()
    assert dict(rows) == {log: counts[log] for log in ("ct", "v1", "v2") if counts[log]}

    connection.execute("PRAGMA max_page_count = 1000000")
    for path, request in requests_of(signer, token).items():
        assert fresh_http.post(path, **request).status_code in (200, 201)
    assert sizes(fresh.instance)["events"] == counts["events"] + 3


@pytest.mark.crash
@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_full_disk_gives_503_and_it_works_again_when_there_is_room(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    import resource

    state = tmp_path / "state"
    program = start(state, environment)
    try:
        url, token = url_of(program), Trust(state).token(ALICE)
        trusted_root = json.loads((state / "trusted_root.json").read_text())
        seen = Acknowledged(trusted_root)
        with httpx.Client(base_url=url, trust_env=False) as http:
            signer = enrol(http, token)
            unlimited = resource.prlimit(program.pid, resource.RLIMIT_FSIZE)
            largest = max(path.stat().st_size for path in state.glob("state.db*")) + 200_000
            resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (largest, unlimited[1]))
            statuses = []
            for _ in range(200):
                answer = http.post("/api/v2/log/entries", json=signer.entry_v2(os.urandom(8)))
                statuses.append(answer.status_code)
                if answer.status_code == 201:
                    seen.take_v2(answer.json())
                elif statuses[-3:] == [503] * 3:
                    break
            assert statuses[-3:] == [503] * 3
            assert set(statuses) == {201, 503}
            assert http.get("/api/v2/checkpoint").status_code == 200  # reading goes on
            resource.prlimit(program.pid, resource.RLIMIT_FSIZE, unlimited)
            answer = http.post("/api/v2/log/entries", json=signer.entry_v2(b"room again"))
            assert answer.status_code == 201
            seen.take_v2(answer.json())
    finally:
        kill(program)
    instance = Instance(state)
    try:
        seen.check(instance)
        assert len(instance.log_v2.tree) == 1 + len(seen.v2)  # the instance's own entry first
    finally:
        instance.close()


@pytest.mark.crash
def test_keys_that_are_gone_are_not_replaced_once_there_are_entries(tmp_path: Path, run: Run) -> None:
    state = tmp_path / "state"
    with Server(state) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        enrol(http, Trust(state).token(ALICE))
    keys = (state / "keys.json").read_bytes()
    (state / "keys.json").unlink()
    with pytest.raises(Unavailable, match=r"keys\.json is gone"):
        Instance(state)
    refused = run("chainlab", "trust", "serve", "--state", state, status=1)
    assert "keys.json is gone" in refused.stderr
    assert "restore keys.json from a copy" in refused.stderr
    assert not (state / "keys.json").exists()
    (state / "keys.json").write_bytes(keys)
    Instance(state).close()


@pytest.mark.crash
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("keys.json", b""),
        ("keys.json", b"{}"),
        ("keys.json", b"[]"),
        ("keys.json", b'{"root_key": "no PEM"}'),
        ("state.db", b"this is no database, whatever it is called" * 100),
    ],
)
def test_a_state_that_cannot_be_read_is_refused_without_a_traceback(
    tmp_path: Path, run: Run, name: str, content: bytes
) -> None:
    state = tmp_path / "state"
    Instance(state).close()
    for leftover in state.glob(f"{name}*"):
        leftover.unlink()
    (state / name).write_bytes(content)
    with pytest.raises(Unavailable):
        Instance(state)
    refused = run("chainlab", "trust", "serve", "--state", state, status=1)
    assert name in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (state / name).read_bytes() == content


@pytest.mark.crash
def test_an_instance_reads_back_what_it_wrote(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Server(state) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        signer = enrol(http, Trust(state).token(ALICE))
        answer = http.post("/api/v2/log/entries", json=signer.entry_v2(b"w")).json()
        counts, keys = sizes(server.instance), server.instance.keys
    with Server(state) as server:
        assert sizes(server.instance) == counts
        again = server.instance.keys
        assert [a.certificate for a in again.authorities] == [a.certificate for a in keys.authorities]
        assert vars(again).keys() == vars(keys).keys()
        for name, value in vars(keys).items():
            if isinstance(value, x509.Certificate):
                assert getattr(again, name) == value
        body = server.instance.log_v2.entry(int(answer["logIndex"])).body
    assert hashlib.sha256(body).digest() == hashlib.sha256(base64.b64decode(answer["canonicalizedBody"])).digest()
