"""Events of credentials: who was issued what, where it was used, and what the platform saw of a token carried away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from chainlab import database
from chainlab.credentials import Credentials
from chainlab.events import PREFIX, Event, Events
from chainlab.jobs import Jobs
from chainlab.token_events import UNKNOWN_A_MINUTE, short_digest

SUBJECT, RUN = "acme/demo/runs/3/jobs/build", "acme/demo/runs/3"
OWN, OTHER = "127.64.3.1", "127.0.0.1"


class State:
    """One state directory's credentials and jobs."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.jobs = stack.enter_context(Jobs(path))
        connection = stack.enter_context(closing(database.connect(path)))
        self.credentials, self._events = Credentials(connection), Events(connection)

    def events(self, kind: str) -> list[Event]:
        return list(self._events.read(f"{PREFIX}token.{kind}"))

    def token(self, *, address: str = OWN) -> tuple[str, str]:
        """A running job's id, and its token."""
        job = self.jobs.begin(SUBJECT, "acme/demo")
        if address:
            self.jobs.set_address(job, address)
        return job, self.credentials.issue(SUBJECT, ["oci:push:acme/demo"], job=job, lifetime=60)

    def use(self, secret: str, address: str) -> None:
        credential = self.credentials.present(secret, service="oci", address=address)
        assert credential is not None
        self.credentials.used(credential, "oci")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with ExitStack() as stack:
        yield State(tmp_path / "state.db", stack)


def test_no_event_has_the_secret_and_each_has_its_short_digest(state: State) -> None:
    _, secret = state.token()
    state.use(secret, OWN)
    state.credentials.revoke(secret=secret)
    assert state.credentials.present(secret, service="git") is None
    events = [event for kind in ("issued", "used", "refused") for event in state.events(kind)]
    assert [event.data["token"] for event in events] == [short_digest(secret)] * 3
    assert secret not in str(events)
    assert {(event.data["run"], event.data["job"], event.subject) for event in events} == {(RUN, "build", SUBJECT)}


@pytest.mark.parametrize(("own", "came_from", "outside"), [(OWN, OWN, False), (OWN, OTHER, True), ("", OTHER, None)])
def test_a_jobs_token_is_outside_where_its_job_is_not(
    state: State, own: str, came_from: str, outside: bool | None
) -> None:
    _, secret = state.token(address=own)
    for _ in range(3):
        state.use(secret, came_from)
    assert [event.data["outside"] for event in state.events("used")] == [outside]  # once, not for each request


def test_a_token_used_inside_and_then_outside_is_reported_twice(state: State) -> None:
    _, secret = state.token()
    for address in (OWN, OTHER, OWN, OTHER):
        state.use(secret, address)
    assert [event.data["outside"] for event in state.events("used")] == [False, True]


def test_a_token_of_an_ended_job_was_carried_away(state: State) -> None:
    job, secret = state.token()
    state.jobs.end(job)
    state.credentials.revoke(subject=SUBJECT)
    assert state.credentials.present(secret, service="index", address=OWN) is None
    (refused,) = state.events("refused")
    assert (refused.data["reason"], refused.data["outside"], refused.data["run"]) == ("job ended", True, RUN)


def test_a_persons_token_belongs_to_no_run_and_is_never_outside(state: State) -> None:
    secret = state.credentials.issue("alice", ["oci:push:acme"], lifetime=-1)
    assert state.credentials.present(secret, service="oci", address=OTHER) is None
    (refused,) = state.events("refused")
    assert (refused.subject, refused.data["reason"]) == ("alice", "expired")
    assert (refused.data["run"], refused.data["outside"]) == (None, None)


def test_a_stored_secret_in_a_job_is_at_that_job(state: State) -> None:
    job, _ = state.token()
    secret = state.credentials.issue("acme/demo secret PYPI_TOKEN", ["packages:upload:demo"])
    inside, elsewhere = (state.credentials.present(secret, service="index", address=a) for a in (OWN, OTHER))
    assert inside is not None
    assert elsewhere is not None
    assert (inside.at, inside.job, elsewhere.at) == (job, "", "")
    state.jobs.end(job)
    ended = state.credentials.present(secret, service="index", address=OWN)
    assert ended is not None
    assert ended.at == ""


def test_guesses_do_not_fill_the_log(state: State) -> None:
    for number in range(UNKNOWN_A_MINUTE + 5):
        for _ in range(2):
            assert state.credentials.present(f"cl_guess{number}", service="index") is None
    refused = state.events("refused")
    assert len(refused) == UNKNOWN_A_MINUTE
    assert {(event.subject, event.data["reason"]) for event in refused} == {("unknown", "unknown")}
