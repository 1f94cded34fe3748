"""A job's credentials: good while a row says that the job runs, until a deadline that is renewed; then never again."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chainlab import database, jobs
from chainlab.credentials import Credential, Credentials
from chainlab.errors import Refused, Unavailable
from chainlab.jobs import Jobs, settle
from chainlab.trust.client import Trust, workflow_claims
from chainlab.trust.instance import Instance

SUBJECT, REPOSITORY = "acme/demo/runs/3/jobs/build", "acme/demo"
CLAIMS = workflow_claims(REPOSITORY, "x.yml", "refs/heads/main")
AUDIENCES = ("sigstore", "chainlab-index", "chainlab-deploy")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def running(state: Path) -> Iterator[Jobs]:
    with closing(Jobs(state)) as opened:
        yield opened


@pytest.fixture
def credentials(state: Path) -> Iterator[Credentials]:
    with closing(database.connect(state)) as connection:
        yield Credentials(connection)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with closing(Instance(tmp_path)) as opened:
        yield opened


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of `chainlab.jobs` and of the credentials: set its one item."""
    clock = [time.time()]
    monkeypatch.setattr("chainlab.jobs.time.time", lambda: clock[0])
    return clock


def runs(credentials: Credentials, job: str) -> bool:
    return jobs.is_running(credentials._connection, job)


def derived(credentials: Credentials, secret: str) -> str:
    """What `/v2/token` gives for a secret."""
    return credentials.issue(SUBJECT, ["oci:push:acme/demo"], lifetime=900, under=checked(credentials, secret))


def checked(credentials: Credentials, secret: str) -> Credential:
    credential = credentials.check(secret)
    assert credential is not None
    return credential


def family(credentials: Credentials, job: str) -> list[str]:
    """A job's token, one derived from it, one derived from that, and one that an identity token was changed for."""
    token = credentials.issue(SUBJECT, ["oci:push:acme/demo"], repository=REPOSITORY, job=job, lifetime=1200)
    first = derived(credentials, token)
    minted = credentials.issue("acme/demo x.yml", ["packages:upload:demo"], repository=REPOSITORY, job=job)
    return [token, first, derived(credentials, first), minted, derived(credentials, minted)]


def test_everything_of_a_job_is_good_while_it_runs_and_ends_with_one_write(
    running: Jobs, credentials: Credentials
) -> None:
    with running.running(SUBJECT, REPOSITORY) as job, running.running(SUBJECT, REPOSITORY) as other:
        secrets = family(credentials, job)
        good = [checked(credentials, secret) for secret in secrets]
        assert {(credential.job, credential.repository) for credential in good} == {(job, REPOSITORY)}
        beside = credentials.issue(SUBJECT, [], job=other)
        running.end(job)
        assert [credentials.check(secret) for secret in secrets] == [None] * len(secrets)
        assert credentials.check(beside) is not None
    assert credentials.check(beside) is None


def test_everything_of_a_job_ends_by_itself_when_nobody_renews_the_deadline(
    running: Jobs, credentials: Credentials, now: list[float]
) -> None:
    job = running.begin(SUBJECT, REPOSITORY)  # as by a host that is killed now
    secrets = family(credentials, job)
    now[0] += jobs.LEASE - 1
    assert all(credentials.check(secret) for secret in secrets)
    running.renew(job)
    now[0] += jobs.LEASE - 1
    assert all(credentials.check(secret) for secret in secrets)
    now[0] += 2
    assert not any(credentials.check(secret) for secret in secrets)
    assert not runs(credentials, job)


def test_a_renewal_that_comes_late_does_not_bring_an_ended_job_back(running: Jobs, credentials: Credentials) -> None:
    job = running.begin(SUBJECT, REPOSITORY)
    secret = credentials.issue(SUBJECT, [], job=job)
    running.end(job)
    running.renew(job)
    assert credentials.check(secret) is None


def test_the_deadline_is_renewed_while_the_block_runs_and_never_after(
    running: Jobs, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LEASE", 0.5)
    monkeypatch.setattr(jobs, "RENEWAL", 0.05)
    with running.running(SUBJECT, REPOSITORY) as job:
        for _ in range(4):
            time.sleep(0.3)
            assert runs(credentials, job)
    assert not runs(credentials, job)
    assert not [thread for thread in threading.enumerate() if thread.name == "chainlab-lease"]


def test_a_job_ends_whatever_the_block_raises(running: Jobs, credentials: Credentials) -> None:
    with pytest.raises(RuntimeError), running.running(SUBJECT, REPOSITORY) as job:
        raise RuntimeError
    assert not runs(credentials, job)


def test_a_credential_of_no_job_that_was_seen_is_not_good(credentials: Credentials) -> None:
    assert credentials.check(credentials.issue(SUBJECT, [], job="17")) is None


def test_what_was_derived_from_a_persons_secret_ends_with_it(credentials: Credentials) -> None:
    secret = credentials.issue("alice", ["oci:push:acme"])
    tokens = [derived(credentials, secret)]
    tokens.append(derived(credentials, tokens[0]))
    assert all(credentials.check(token) for token in tokens)
    credentials.revoke(secret=secret)
    assert not any(credentials.check(token) for token in tokens)


# -- a database that others hold


class Locked:
    """Holds the write lock of a database, as a job's own requests may."""

    def __init__(self, state: Path) -> None:
        self._connection = sqlite3.connect(state, isolation_level=None, check_same_thread=False)
        self._connection.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for the lock as long as a test may."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)


def test_a_job_that_cannot_be_ended_is_ended_when_the_lock_is_free(impatient: None, state: Path) -> None:
    with closing(Jobs(state)) as running, closing(database.connect(state)) as connection:
        credentials = Credentials(connection)
        with running.running(SUBJECT, REPOSITORY) as job:
            secret = credentials.issue(SUBJECT, [], job=job)
            lock = Locked(state)
            with pytest.raises(Unavailable, match="could not be written"):
                running.end(job)
            threading.Timer(0.5, lock.let_go).start()
        assert credentials.check(secret) is None
        assert not runs(credentials, job)


def test_a_lock_that_is_never_free_ends_the_job_by_its_deadline(
    impatient: None, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LEASE", 0.4)
    with closing(Jobs(state)) as running, closing(database.connect(state)) as connection:
        credentials = Credentials(connection)
        with running.running(SUBJECT, REPOSITORY) as job:
            secret = credentials.issue(SUBJECT, [], job=job)
            lock = Locked(state)
        assert credentials.check(secret) is None
        lock.let_go()
        assert not runs(credentials, job)


def test_a_write_that_fails_is_tried_again_and_skips_no_other() -> None:
    done: list[str] = []

    def failing(name: str, times: int) -> Callable[[], None]:
        left = [times]

        def write() -> None:
            if left[0]:
                left[0] -= 1
                raise Unavailable("database is locked")
            done.append(name)

        return write

    stubborn = failing("never", 10**9)
    assert settle(failing("second", 2), failing("first", 0), stubborn, patience=1) == [stubborn]
    assert done == ["first", "second"]


# -- identity tokens


def test_a_bearer_and_its_tokens_end_with_the_job(tmp_path: Path, instance: Instance, running: Jobs) -> None:
    trust = Trust(tmp_path)
    with running.running(SUBJECT, REPOSITORY) as job:
        bearer = trust.job_bearer(CLAIMS, job=job)
        tokens = {audience: instance.job_token(bearer, audience) for audience in AUDIENCES}
        for audience, token in tokens.items():
            assert trust.claims(token, audience)["check_run_id"] == job
    with pytest.raises(Refused, match="the job of this token has ended") as refused:
        instance.job_token(bearer, "sigstore")
    assert refused.value.status == 401
    for audience, token in tokens.items():
        with pytest.raises(Refused, match="the job of this token has ended"):
            trust.claims(token, audience)
    identity = instance.issuer.check(tokens["sigstore"])
    with pytest.raises(Refused, match="the job of this token has ended"):
        instance.certificate(identity, instance.keys.ct_key.public_key())


def test_a_bearer_whose_deadline_is_over_gives_no_token(
    tmp_path: Path, instance: Instance, running: Jobs, now: list[float]
) -> None:
    bearer = Trust(tmp_path).job_bearer(CLAIMS, job=running.begin(SUBJECT, REPOSITORY))
    assert instance.job_token(bearer, "sigstore")
    now[0] += jobs.LEASE + 1
    with pytest.raises(Refused, match="the job of this token has ended"):
        instance.job_token(bearer, "sigstore")


def test_a_bearer_lasts_minutes_even_for_no_job(tmp_path: Path, instance: Instance) -> None:
    import jwt

    bearer = Trust(tmp_path).job_bearer(CLAIMS)
    content = jwt.decode(bearer, options={"verify_signature": False})
    assert content["exp"] - content["iat"] <= 1200
