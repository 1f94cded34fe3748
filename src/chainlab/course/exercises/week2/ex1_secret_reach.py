"""Cases for exercise 2.1: which step of a run could read which secret?

A run is an event, what the repository holds, and a workflow. Each case notes what every step is handed while the step
is made, so the truth never comes from reading the workflow back.

    >>> next(cases(None, random.Random(1))).name
    'secrets at three levels'
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from chainlab.course.cases import Case, LabContext
from chainlab.course.exercises.fixtures.described_runs import IDENTITY, JOB_TOKEN, DescribedRun, secret

__all__ = ["cases"]

SEE = "labs/02_hardening.ipynb, 'Who is in the room with the secret?'"
TEACHES = {
    "secrets at three levels": (
        "The workflow's env reaches every step, a job's its own steps, a step's itself. Steps of one job share a "
        "machine and a user: what one is given, the others reach. Another job is another machine. And nobody asked "
        "for {idle}."
    ),
    "a secret in the script itself": (
        "An expression in `run` is pasted into the script, so the step has the secret, and whoever lists processes can "
        "see it. `env` is better; here it counts the same."
    ),
    "a fork's pull request": (
        "Anyone can cause this run with code of their own, so it gets no secrets, a token that only reads and no "
        "identity, whatever the file asks for."
    ),
    "a fork's pull request and an open environment": (
        "The fork's `pull_request` has no secret at all, an environment's no more than the repository's. An "
        "environment that is open lets the job begin; it does not make a stranger's run a trusted one."
    ),
    "a fork's pull_request_target": (
        "'Pull requests from forks never see secrets' is true of `pull_request` alone. This event runs the "
        "repository's own file for a stranger, with the repository's secrets and a token that may write."
    ),
    "a pull request of the same repository": (
        "Who can push a branch here already has write access; the run gets the secrets."
    ),
    "an environment that waits": (
        "Its rules are not met yet, so the job has not begun: no step, no secret. That is what an environment "
        "adds to a secret: somebody has to open it."
    ),
    "an environment that is open": (
        "An environment's secret exists in the jobs that name it and nowhere else. Beside it the repository's "
        "secrets are there as always."
    ),
    "the job's own token": (
        "No block: the repository's default holds, and here that writes. A block says all there is. An action "
        "can take the job's token by itself, without being handed it; a script needs it in an expression."
    ),
    "a checkout that leaves the token behind": (
        "Unless told `persist-credentials: false`, checkout writes the job's token into the clone's git "
        "configuration, and every later step finds it there. Another owner's action of a like name leaves nothing."
    ),
    "an option written as text": (
        "What an action gets is text: `false` and `'false'` are one to checkout, and so are `true` and `'true'`. In "
        "Python the text 'false' is true: compare words, not truth."
    ),
    "an identity for every step": (
        "`id-token: write` is granted to a job, and every step of it can ask for the token. Give it to a job "
        "that does nothing else."
    ),
    "a reusable workflow": (
        "The called file sees the secrets that the caller passes: all with `inherit`, or those named. The "
        "caller's `env` stays with the caller."
    ),
    "all of them at once": "`toJSON(secrets)` hands over every secret there is, those of next year included.",
    "a whole run": (
        "Take one job after the other: which secrets exist for it, what each step is handed, and then everything "
        "in the room is within reach. A cache carries code, which is 2.5's matter."
    ),
}


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Describe runs that each add one way of handing over a secret, then a whole one."""
    yield _three_levels(rng)
    yield _pasted(rng)
    yield from _pull_requests(rng)
    yield from _environments(rng)
    yield _job_token(rng)
    yield from _checkouts(rng)
    yield _identity(rng)
    yield _reusable_workflow(rng)
    yield _all_at_once(rng)
    yield _whole(rng)


def _three_levels(rng: random.Random) -> Case:
    run = DescribedRun(rng)
    top, own, one, idle = run.secret(), run.secret(), run.secret(), run.secret()
    run.described["workflow"]["env"] = {"A": secret(top), "COLOUR": "yes"}
    run.job("build", run.script(), run.script(), all_given={top, own}, env={"B": secret(own)})
    run.job("test", run.script({"C": secret(one)}, {one}), run.script(), all_given={top})
    name = "secrets at three levels"
    return run.case(name, TEACHES[name].format(idle=idle))


def _pasted(rng: random.Random) -> Case:
    run = DescribedRun(rng)
    one = run.secret()
    pasted = run.script(given={one})
    pasted.fields["run"] = f'curl -d "key={secret(one)}" "$ADDRESS"'
    run.job("send", pasted, run.script())
    return run.case("a secret in the script itself")


def _pull_requests(rng: random.Random) -> Iterator[Case]:
    run = DescribedRun(rng, "pull_request", "fork")
    one, two = run.secret(), run.secret()
    run.described["default_token"] = "write"  # noqa: S105 (a setting)
    run.job(
        "test",
        run.action("actions/checkout"),
        run.action(inputs={"token": secret(one)}),
        run.script({"T": secret(two)}),
        permissions={"contents": "write", "id-token": "write"},
    )
    yield run.case("a fork's pull request")

    run = DescribedRun(rng, "pull_request", "fork")
    one = run.secret()
    environment, guarded = run.environment(opened=True)
    run.job("preview", run.script({"T": secret(guarded)}), run.script({"U": secret(one)}), environment=environment)
    yield run.case("a fork's pull request and an open environment")

    run = DescribedRun(rng, "pull_request_target", "fork")
    one = run.secret()
    run.job(
        "label",
        run.script({"TITLE": "${{ github.event.pull_request.title }}"}),
        run.action("northwind-ml/labeler", {"token": secret(one)}, {one, JOB_TOKEN}),
        permissions={"pull-requests": "write"},
    )
    yield run.case("a fork's pull_request_target")

    run = DescribedRun(rng, "pull_request")
    one = run.secret()
    run.job("test", run.script({"T": secret(one)}, {one}), run.script(), permissions={})
    yield run.case("a pull request of the same repository")


def _environments(rng: random.Random) -> Iterator[Case]:
    for name, opened in (("an environment that waits", False), ("an environment that is open", True)):
        run = DescribedRun(rng)
        one = run.secret()
        environment, guarded = run.environment(opened=opened)
        run.job("build", run.script({"T": secret(guarded)}), run.script({"U": secret(one)}, {one}))
        run.job(
            "publish",
            run.action("pypa/gh-action-pypi-publish", {"password": secret(guarded)}, {guarded}),
            run.script({"U": secret(one)}, {one}),
            environment=environment,
            waits=not opened,
        )
        yield run.case(name, build=TEACHES["an environment that is open"])


def _job_token(rng: random.Random) -> Case:
    run = DescribedRun(rng)
    run.described["default_token"] = "write"  # noqa: S105 (a setting)
    run.job("old", run.action(), run.script(), actions_given={JOB_TOKEN})
    run.job("closed", run.action(), run.script(), permissions={})
    run.job("reads", run.action(), run.script(), permissions={"contents": "read"})
    run.job(
        "writes",
        run.script({"GH": "${{ github.token }}"}, {JOB_TOKEN}),
        run.action(),
        run.script({"GH": secret(JOB_TOKEN)}, {JOB_TOKEN}),
        run.script(),
        actions_given={JOB_TOKEN},
        permissions={"contents": "read", "issues": "write"},
    )
    env = {"GH": "${{ github.token }}"}
    run.job("shares", run.script(), run.script(), all_given={JOB_TOKEN}, permissions={"issues": "write"}, env=env)
    return run.case("the job's own token")


def _checkouts(rng: random.Random) -> Iterator[Case]:
    run = DescribedRun(rng)
    run.described["workflow"]["permissions"] = {"contents": "write"}
    before = run.script()
    keeps = run.action("actions/checkout", given={JOB_TOKEN})
    run.job("keeps", before, keeps, run.script(given={JOB_TOKEN}), run.script(given={JOB_TOKEN}))
    forgets = run.action("actions/checkout", {"persist-credentials": False}, {JOB_TOKEN})
    run.job("forgets", forgets, run.script(), run.script())
    run.job("another", run.action("acme/actions-checkout", given={JOB_TOKEN}), run.script())
    yield run.case("a checkout that leaves the token behind")

    run = DescribedRun(rng)
    run.described["workflow"]["permissions"] = {"contents": "write"}
    forgets = run.action("actions/checkout", {"persist-credentials": "false"}, {JOB_TOKEN})
    run.job("forgets", forgets, run.script(), run.script())
    keeps = run.action("actions/checkout", {"persist-credentials": "true"}, {JOB_TOKEN})
    run.job("keeps", keeps, run.script(given={JOB_TOKEN}))
    yield run.case("an option written as text")


def _identity(rng: random.Random) -> Case:
    run = DescribedRun(rng)
    run.described["workflow"]["permissions"] = {"id-token": "write"}
    run.job("sign", run.action(), run.script(), all_given={IDENTITY})
    run.job("test", run.action(), run.script(), permissions={"contents": "read"})
    return run.case("an identity for every step")


def _reusable_workflow(rng: random.Random) -> Case:
    run = DescribedRun(rng)
    one, two, top = run.secret(), run.secret(), run.secret()
    run.described["workflow"]["env"] = {"A": secret(top)}
    called = f"acme/workflows/.github/workflows/notes.yml@{run.rng.getrandbits(160):040x}"
    run.job(
        "inherits",
        run.script({"X": secret(one)}, {one}),
        run.script({"Y": secret(two)}, {two}),
        uses=called,
        secrets="inherit",
    )
    run.job(
        "named",
        run.script({"X": secret(one)}, {one}),
        run.script({"Y": secret(two)}),
        uses=called,
        secrets={one: secret(one)},
    )
    ghost = {"GHOST_TOKEN": secret("GHOST_TOKEN")}  # nobody ever stored it
    run.job("ghost", run.script({"X": secret("GHOST_TOKEN")}), run.script(), uses=called, secrets=ghost)
    run.job("none", run.script({"X": secret(one)}), run.script({"Y": secret(two)}), uses=called)
    unknown = "A name that is passed and that nobody stored is empty: no secret exists because a file mentions it."
    return run.case(
        "a reusable workflow",
        ghost=unknown,
        none="Neither `inherit` nor a mapping: the called file is handed no secret.",
    )


def _all_at_once(rng: random.Random) -> Case:
    run = DescribedRun(rng)
    everything = {run.secret(), run.secret(), run.secret()}
    run.described["workflow"]["permissions"] = {}
    run.job("send", run.script(), run.action(inputs={"secrets": "${{ toJSON(secrets) }}"}, given=set(everything)))
    return run.case("all of them at once")


def _whole(rng: random.Random) -> Case:
    """Describe three jobs and most of the rules; a cache carries code between them, but no secret."""
    run = DescribedRun(rng, "pull_request_target", rng.choice(["fork", "same repository"]))
    one, two = run.secret(), run.secret()
    environment, guarded = run.environment(opened=True)
    run.described["workflow"]["permissions"] = {"contents": "read"}
    run.described["workflow"]["env"] = {"A": secret(one)}
    cache = {"path": "~/.cache/pip", "key": "pip-${{ hashFiles('requirements.txt') }}"}
    run.job("test", run.action("actions/checkout"), run.action("actions/cache", cache), run.script(), all_given={one})
    run.job(
        "publish",
        run.action("actions/cache", dict(cache)),
        run.script({"T": secret(guarded)}, {guarded}),
        run.action(inputs={"token": secret(two)}, given={two}),
        all_given={one, IDENTITY},
        actions_given={JOB_TOKEN},
        environment=environment,
        permissions={"id-token": "write", "packages": "write"},
    )
    run.job("notes", run.script({"T": secret(guarded)}), run.script(), all_given={one})
    return run.case("a whole run")
