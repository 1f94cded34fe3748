"""Cases for exercise 1.4: which of OWASP's ten CI/CD risks does this evidence show?

A finding is lines of evidence about a run, the event that causes it, and what the run holds. Each kind of line is
listed with the risk's number that it shows; beside it stands a line of the same matter that shows nothing. So the
truth never comes from reading the lines back.

    >>> any("reviews" in line for line in samples(random.Random(1)))
    True
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss

__all__ = ["cases", "samples"]

SEE = "labs/01_assessment.ipynb, 'The ten, in one line each'"
TEACHES = {
    "a stranger's text in a shell": (
        "Someone without write access chooses what the run executes, and the run holds something."
    ),
    "a tag that moved": (
        "Bad code would run in the pipeline, but nobody changed the pipeline or its commands: a dependency "
        "changed. Ungoverned third parties (8) may be named beside it."
    ),
    "another owner's branch": "A branch is a name that its owner moves with every push.",
    "a comment that becomes a command": "Whoever has an account may comment. The run holds a right to write.",
    "an account that is shared": "Five people behind one login are nobody: who acted, and who has left?",
    "a job that may push": "A linter needs to read. What else it may is there for whoever gets into it.",
    "a key in an image": "A layer of an image is kept, and whoever may pull it may read it.",
    "a key in a log": "Logs are read by more people than secrets are, and are kept longer.",
    "an old machine": "The machinery under the pipeline is not patched.",
    "whatever is the latest": "A name is no check: the bytes behind `latest` are whatever was put there.",
    "the newest of two indexes": "The resolver chooses between two owners of one name.",
    "a change nobody reviewed": ("The person was allowed to write; what is missing is a second one before it counts."),
    "an account that stayed": "Who may act, and is it still that person? Identities, not credentials.",
    "a job that may everything": ("The pipeline's own rights are too wide for its job. Nobody poisoned anything yet."),
    "a key that lives too long": "How the credential is kept and how long it lives.",
    "an open door": "The machinery under the pipeline is misconfigured.",
    "an app nobody approved": "A third party was let in without an owner and without a limit.",
    "a model nobody checks": "Bytes are used because of where they lie. A model is an artifact like any other.",
    "a run that left no trace": "You could not say afterwards what happened: every other finding gets longer.",
    "a maintainer's own words": (
        "The same paste, in a run that only people with write access can cause. They may change the file itself: "
        "nobody is let in. Bad style, and no poisoning in the list's sense."
    ),
    "a bot that only labels": (
        "The dangerous trigger alone poisons nothing: the commands are the project's own. Its rights are too "
        "wide all the same."
    ),
    "a fork's tests that reach nothing": (
        "That is what testing a stranger's change means. Foreign commands are a finding only when the run holds "
        "something worth having."
    ),
    "a fork's tests on our own runner": (
        "The ordinary trigger, no secret, and a stranger's commands run where production is in reach. Ask what "
        "the run holds, not what its trigger is called."
    ),
    "words in a comment": "A comment runs nothing. Whoever searches for words finds those that warn of the danger too.",
    "everything in order": "A finding that finds nothing costs its reader's trust in the next one.",
    "two at once": "Real findings carry several numbers. Take one line after the other.",
}

FROM_OUTSIDE = ["pull_request", "pull_request_target", "issue_comment"]
INSIDE = ["push", "schedule", "workflow_dispatch"]
WORDS = ["pull_request.title", "issue.title", "comment.body", "pull_request.body"]
TOOLS = ["setup-ml-python", "changed-files", "hub-login", "release-notes"]
APPS = ["coverage", "badges", "chat-notes", "spell-check"]
PEOPLE = ["alice", "bob", "carol", "dave", "erin"]
INDEX = "--extra-index-url https://packages.acme.example/simple"
HELD = ["HUB_TOKEN", "PYPI_TOKEN", "contents: write", "the deploy key"]
NETWORK = "the production network"

Line = Callable[[random.Random], str]


def _commit(rng: random.Random) -> str:
    return f"{rng.getrandbits(160):040x}"


# By OWASP's number: lines that show it, and lines of the same matter that show nothing.
SHOW: dict[int, list[Line]] = {
    1: [lambda rng: "branch main: reviews required before a merge: 0"],
    2: [
        lambda rng: f"owner {rng.choice(PEOPLE)}: left the company {rng.randrange(2, 14)} months ago",
        lambda rng: f"owner {rng.choice(APPS)}-team: one login, used by {rng.randrange(2, 9)} people",
    ],
    3: [
        lambda rng: f"uses: acme/{rng.choice(TOOLS)}@v{rng.randrange(1, 9)}",
        lambda rng: f"uses: northwind-ml/{rng.choice(TOOLS)}@{rng.choice(['main', 'release/v1'])}",
        lambda rng: f"run: pip install {INDEX} acme-{rng.choice(['cells', 'quantise'])}",
    ],
    4: [
        lambda rng: f'run: echo "new: ${{{{ github.event.{rng.choice(WORDS)} }}}}"',
        lambda rng: f"run: python tests/size.py --limit {rng.randrange(9)}  (the file is the pull request's)",
    ],
    5: [
        lambda rng: f"permissions: write-all  (the job runs {rng.choice(['ruff', 'mypy', 'codespell'])})",
        lambda rng: f"permissions: {{contents: write}}  (the job runs {rng.choice(['ruff', 'mypy', 'codespell'])})",
    ],
    6: [
        lambda rng: f"secret PYPI_TOKEN: made {rng.randrange(2, 7)} years ago, never rotated",
        lambda rng: f"Dockerfile, line {rng.randrange(3, 30)}: ENV HUB_TOKEN=FAKE-{rng.randrange(1000)}",
        lambda rng: f"log of run {rng.randrange(1000)}: DEPLOY_KEY=FAKE-{rng.randrange(1000)}",
    ],
    7: [
        lambda rng: f"runner {rng.randrange(9)}: admin page answers without a password",
        lambda rng: f"runner {rng.randrange(9)}: last patched {rng.randrange(7, 30)} months ago",
    ],
    8: [lambda rng: f"app {rng.choice(APPS)}: reads all {rng.randrange(20, 90)} repositories, approved by nobody"],
    9: [
        lambda rng: f"run: curl -O https://models.acme.example/base-{rng.randrange(9)}.onnx && python train.py",
        lambda rng: f"deploy: takes whatever `latest` is, at {rng.randrange(24)}:00",
    ],
    10: [lambda rng: f"log of runs: kept for {rng.randrange(4, 25)} hours"],
}
CLEAN: dict[int, list[Line]] = {
    1: [lambda rng: f"branch main: reviews required before a merge: {rng.randrange(1, 3)}"],
    2: [lambda rng: f"owner {rng.choice(PEOPLE)}: active, with a security key of her own"],
    3: [
        lambda rng: f"uses: acme/{rng.choice(TOOLS)}@{_commit(rng)}  # v{rng.randrange(1, 9)}",
        lambda rng: f"run: pip install --require-hashes -r locks/{rng.randrange(9)}.lock",
    ],
    4: [
        lambda rng: f'env: TITLE="${{{{ github.event.{rng.choice(WORDS)} }}}}", run: echo "$TITLE"',
        lambda rng: f'run: echo "on ${{{{ runner.os }}}}, try {rng.randrange(9)}"',
    ],
    5: [lambda rng: f"permissions: {{contents: read}}  (the job runs {rng.choice(['ruff', 'mypy', 'codespell'])})"],
    6: [lambda rng: f"secret HUB_TOKEN: lives {rng.randrange(5, 30)} minutes, masked"],
    7: [lambda rng: f"runner {rng.randrange(9)}: last patched {rng.randrange(1, 9)} days ago, no open port"],
    8: [lambda rng: f"app {rng.choice(APPS)}: reads one repository, approved by {rng.choice(PEOPLE)} until June"],
    9: [lambda rng: f"run: sha256sum --check base-{rng.randrange(9)}.sha256 && python train.py"],
    10: [lambda rng: f"log of runs: kept for {rng.randrange(90, 400)} days"],
}


@dataclass(frozen=True)
class _Kind:
    name: str  # of the case
    shows: tuple[tuple[int, int], ...]  # number and place in SHOW
    needed: frozenset[int]
    allowed: frozenset[int] = frozenset()  # besides the needed ones
    events: tuple[str, ...] = ("push", "schedule", "workflow_dispatch")
    holds: tuple[str, ...] = ()


KINDS = [
    _Kind("a stranger's text in a shell", ((4, 0),), frozenset({4}), events=("pull_request_target",), holds=(HELD[0],)),
    _Kind("a comment that becomes a command", ((4, 0),), frozenset({4}), events=("issue_comment",), holds=(HELD[2],)),
    _Kind("a tag that moved", ((3, 0),), frozenset({3}), frozenset({8}), holds=(HELD[1],)),
    _Kind("another owner's branch", ((3, 1),), frozenset({3}), frozenset({8}), holds=(HELD[1],)),
    _Kind("the newest of two indexes", ((3, 2),), frozenset({3})),
    _Kind("a change nobody reviewed", ((1, 0),), frozenset({1})),
    _Kind("an account that stayed", ((2, 0),), frozenset({2})),
    _Kind("an account that is shared", ((2, 1),), frozenset({2})),
    _Kind("a job that may everything", ((5, 0),), frozenset({5}), holds=(HELD[2],)),
    _Kind("a job that may push", ((5, 1),), frozenset({5}), holds=(HELD[2],)),
    _Kind("a key that lives too long", ((6, 0),), frozenset({6}), holds=(HELD[1],)),
    _Kind("a key in an image", ((6, 1),), frozenset({6})),
    _Kind("a key in a log", ((6, 2),), frozenset({6})),
    _Kind("an open door", ((7, 0),), frozenset({7})),
    _Kind("an old machine", ((7, 1),), frozenset({7})),
    _Kind("an app nobody approved", ((8, 0),), frozenset({8})),
    _Kind("a model nobody checks", ((9, 0),), frozenset({9})),
    _Kind("whatever is the latest", ((9, 1),), frozenset({9})),
    _Kind("a run that left no trace", ((10, 0),), frozenset({10})),
    _Kind("a maintainer's own words", ((4, 0), (10, 0)), frozenset({10}), holds=(HELD[0],)),
    _Kind("a bot that only labels", ((5, 0),), frozenset({5}), events=("pull_request_target",), holds=(HELD[2],)),
    _Kind("a fork's tests that reach nothing", ((4, 1),), frozenset(), events=("pull_request",)),
    _Kind(
        "a fork's tests on our own runner",
        ((4, 1),),
        frozenset({4}),
        frozenset({5}),
        events=("pull_request",),
        holds=(NETWORK,),
    ),
    _Kind("everything in order", (), frozenset(), events=tuple(FROM_OUTSIDE), holds=(HELD[3],)),
]


def samples(rng: random.Random) -> list[str]:
    """Give one line of every kind that occurs, in no order: some show a risk, some show none."""
    lines = [line(rng) for lines in (SHOW, CLEAN) for group in lines.values() for line in group]
    rng.shuffle(lines)
    return lines


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make one finding of each kind, one with a comment, then two at once; each among lines that show nothing."""
    for kind in KINDS:
        yield _case(kind.name, [kind], rng)
    comments = [f"# never again: {SHOW[number][0](rng)}" for number in (3, 5)]
    checks_nothing = next(k for k in KINDS if k.name == "a model nobody checks")
    yield _case("words in a comment", [checks_nothing], rng, also=comments)
    plain = [k for k in KINDS if len(k.shows) == 1 and not k.allowed and 4 not in k.needed and k.needed]
    one, two = rng.sample(plain, 2)
    while one.needed == two.needed:
        one, two = rng.sample(plain, 2)
    yield _case("two at once", [one, two], rng)


def _case(name: str, kinds: list[_Kind], rng: random.Random, also: list[str] | None = None) -> Case:
    lines = list(also or [])
    shown: set[int] = set()
    for kind in kinds:
        for number, place in kind.shows:
            group = SHOW[number]
            lines.append(group[place](rng))
            shown.add(number)
    for number in rng.sample(sorted(CLEAN.keys() - shown), 3):
        lines.append(rng.choice(CLEAN[number])(rng))
    rng.shuffle(lines)
    finding = {"lines": lines, "event": rng.choice(kinds[0].events), "holds": [h for k in kinds for h in k.holds]}
    needed = frozenset().union(*(k.needed for k in kinds))
    allowed = needed.union(*(k.allowed for k in kinds))
    if allowed == needed:
        return Case(name, (finding,), set(needed))
    return Case(name, (finding,), None, accept=_between(needed, allowed))


def _between(needed: frozenset[int], allowed: frozenset[int]) -> Callable[[Any], bool | Miss]:
    def accept(answer: Any) -> bool | Miss:
        if needed <= set(answer) <= allowed:
            return True
        missing, surplus = sorted(needed - set(answer)), sorted(set(answer) - allowed)
        return Miss("; ".join([f"missing {missing}"] * bool(missing) + [f"too many {surplus}"] * bool(surplus)))

    return accept
