"""Cases for exercise 1.4: which of OWASP's ten CI/CD risks is this finding?

A finding is a sentence for people and facts for code. Every finding has every fact; most are
harmless. The truth is which facts were spoilt when the finding was made: numbers that must be
named, and numbers that may be.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chainlab.course.learning.checks import Case, Miss, World

__all__ = ["HARMLESS", "cases"]

SEE = "labs/01_assessment.ipynb, 'The ten, in one line each'"
TEACHES = {
    "a stranger's text in a shell": (
        "Someone without write access chooses what the run executes, and the run holds something."
    ),
    "a tag that moved": (
        "Bad code would run in the pipeline, but nobody changed the pipeline or its commands: a dependency "
        "changed. Ungoverned third parties (8) may be named beside it."
    ),
    "the newest of two indexes": "The resolver chooses between two owners of one name.",
    "a change nobody reviewed": ("The person was allowed to write; what is missing is a second one before it counts."),
    "an account that stayed": "Who may act, and is it still that person? Identities, not credentials.",
    "a job that may everything": ("The pipeline's own rights are too wide for its job. Nobody poisoned anything yet."),
    "a key that lives too long": "How the credential is kept and how long it lives.",
    "an open door": "The machinery under the pipeline is misconfigured.",
    "an app nobody approved": "A third party was let in without an owner and without a limit.",
    "a model nobody checks": "Bytes are used because of where they lie. A model is an artifact like any other.",
    "a run that left no trace": "You could not say afterwards what happened: every other finding gets longer.",
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
    "everything in order": "A finding that finds nothing costs its reader's trust in the next one.",
}


HARMLESS: dict[str, list[Any]] = {
    "trigger": ["push", "schedule", "workflow_dispatch", "pull_request"],
    "commands_chosen_by": ["the project"],
    "review": ["two people", "one other person"],
    "account": ["personal, with a security key"],
    "resolves": ["locked by hash", "pinned by commit"],
    "job_may": ["what it needs"],
    "secret": ["none", "short-lived, masked"],
    "host": ["patched, closed"],
    "service": ["none", "approved, with an owner"],
    "checked_before_use": ["digest and signature"],
    "log_days": [90, 180, 365],
}


@dataclass(frozen=True)
class _Kind:
    name: str  # of the case
    texts: tuple[str, ...]  # "{repo}" and "{n}" vary
    facts: dict[str, list[Any]]  # one value for all texts, or one for each
    needed: frozenset[int]
    allowed: frozenset[int] = field(default_factory=frozenset)  # besides the needed ones


def _kind(
    name: str, texts: list[str], facts: dict[str, list[Any]], needed: set[int], allowed: set[int] | None = None
) -> _Kind:
    return _Kind(name, tuple(texts), facts, frozenset(needed), frozenset(allowed or ()))


KINDS = [
    _kind(
        "a stranger's text in a shell",
        [
            "{repo}: the pull request's title is pasted into a `run:` line",
            "{repo}: a script of the pull request's branch runs, beside a token",
        ],
        {
            "trigger": ["pull_request_target"],
            "commands_chosen_by": ["anyone with an account"],
            "secret": ["short-lived, masked"],
        },
        {4},
    ),
    _kind(
        "a tag that moved",
        [
            "{repo}: `uses: acme/changed-files@v{n}`, and v{n} points elsewhere since yesterday",
            "{repo}: the action's branch is named, not its commit",
        ],
        {"trigger": ["push"], "resolves": ["a name that its owner can move"]},
        {3},
        {8},
    ),
    _kind(
        "the newest of two indexes",
        [
            "{repo}: `--extra-index-url`, and the higher version wins",
            "{repo}: our internal name is free on the public index",
        ],
        {"resolves": ["the newest of two indexes"]},
        {3},
    ),
    _kind(
        "a change nobody reviewed",
        [
            "{repo}: one person pushed to main and it was deployed",
            "{repo}: the bot approves and merges its own updates",
        ],
        {"review": ["nobody"]},
        {1},
    ),
    _kind(
        "an account that stayed",
        ["{repo}: a colleague left {n} months ago and is still an owner", "{repo}: five people share one login"],
        {"account": ["left, still an owner", "shared by a team"]},
        {2},
    ),
    _kind(
        "a job that may everything",
        [
            "{repo}: `permissions: write-all` for a job that lints",
            "{repo}: the test job can reach the production network",
        ],
        {"job_may": ["write everything", "reach production"]},
        {5},
    ),
    _kind(
        "a key that lives too long",
        [
            "{repo}: an upload token of {n} years, in use",
            "{repo}: a key in a layer of the image",
            "{repo}: the deploy key stands in the log of run {n}",
        ],
        {"secret": ["years old, never rotated", "readable in an image layer", "printed in the log"]},
        {6},
    ),
    _kind(
        "an open door",
        [
            "{repo}: the runner's admin page answers without a password",
            "{repo}: the host was last patched {n} months ago",
        ],
        {"host": ["admin page open", "unpatched"]},
        {7},
    ),
    _kind(
        "an app nobody approved",
        ["{repo}: a coverage service may read all {n}0 repositories; nobody knows who added it"],
        {"service": ["installed by one click, no owner"]},
        {8},
    ),
    _kind(
        "a model nobody checks",
        [
            "{repo}: the base model is fetched by name at every training",
            "{repo}: the deploy job takes whatever file `latest` is",
        ],
        {"checked_before_use": ["nothing"]},
        {9},
    ),
    _kind(
        "a run that left no trace",
        ["{repo}: logs are gone after {n} hours", "{repo}: logs are kept for one day"],
        {"log_days": [0, 1]},
        {10},
    ),
    _kind(
        "a bot that only labels",
        ["{repo}: labels pull requests under `pull_request_target`; runs only its own code"],
        {"trigger": ["pull_request_target"], "job_may": ["write everything"]},
        {5},
    ),
    _kind(
        "a fork's tests that reach nothing",
        ["{repo}: pull requests of forks run their tests: no secret, read-only token"],
        {
            "trigger": ["pull_request"],
            "commands_chosen_by": ["anyone with an account"],
            "secret": ["none"],
            "job_may": ["what it needs"],
        },
        set(),
    ),
    _kind(
        "a fork's tests on our own runner",
        ["{repo}: pull requests of forks run their tests on a runner inside our network"],
        {
            "trigger": ["pull_request"],
            "commands_chosen_by": ["anyone with an account"],
            "secret": ["none"],
            "job_may": ["reach production"],
        },
        {4, 5},
    ),
    _kind("everything in order", ["{repo}: pinned, reviewed, least privilege, logs kept"], {}, set()),
]


def cases(lab: World, rng: random.Random) -> Iterator[Case]:
    """One finding of each kind, then two at once; harmless facts vary."""
    for kind in KINDS:
        yield _case(kind.name, [kind], rng)
    mergeable = [k for k in KINDS if len(k.facts) == 1]
    one, two = rng.sample(mergeable, 2)
    while one.facts.keys() & two.facts.keys():
        one, two = rng.sample(mergeable, 2)
    yield _case("two at once", [one, two], rng)


def _case(name: str, kinds: list[_Kind], rng: random.Random) -> Case:
    finding: dict[str, Any] = {fact: rng.choice(values) for fact, values in HARMLESS.items()}
    stories = [(kind, rng.randrange(len(kind.texts))) for kind in kinds]
    for kind, story in stories:  # the facts are those of the text
        finding.update({fact: v[story % len(v)] for fact, v in kind.facts.items()})
    owner, task = rng.choice(["acme", "northwind-ml"]), rng.choice(["triage", "grading", "intake"])
    repo = f"{owner}/{task}-model"
    texts = [kind.texts[story].format(repo=repo, n=rng.randrange(2, 10)) for kind, story in stories]
    finding = {"text": "; ".join(texts), **finding}
    needed = frozenset().union(*(k.needed for k in kinds))
    allowed = needed.union(*(k.allowed for k in kinds))
    teaches = " ".join(TEACHES[kind.name] for kind in kinds)
    if allowed == needed:
        return Case(name, (finding,), set(needed), teaches)
    return Case(name, (finding,), None, teaches, accept=_between(needed, allowed))


def _between(needed: frozenset[int], allowed: frozenset[int]) -> Callable[[Any], bool | Miss]:
    def accept(answer: Any) -> bool | Miss:
        if needed <= set(answer) <= allowed:
            return True
        missing, surplus = sorted(needed - set(answer)), sorted(set(answer) - allowed)
        return Miss("; ".join([f"missing {missing}"] * bool(missing) + [f"too many {surplus}"] * bool(surplus)))

    return accept
