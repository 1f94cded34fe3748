"""The copy of a workflow that runs one leg of one job.

A job runs alone: in a process, a sandbox and a directory of its own, as on the platform. Its copy is the file as it
is, but for

- what the host decides itself: the event, `if`, the matrix's one leg, rights, environment, `concurrency`,
  `continue-on-error`;
- a job-level ``env`` that gives its identity (address and bearer), when it may have one;
- stubs in place of the jobs it needs, which end as those did and give what those gave;
- a last step that does what actions left for the end (a real runner's "post" steps), if all went well;
- a last job that prints what came of it;
- expressions that `act` does not know, or knows otherwise: ``case``, ``strategy``, and those in the place of a mapping;
- ``$/`` references, by repository and commit;
- ``container`` and ``services``, which need docker: they are left out, and the run says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainlab.ci.actions.uses import SELF
from chainlab.ci.runs.contexts import lacking
from chainlab.ci.workflows.matrix import Leg, elsewhere
from chainlab.ci.workflows.templates import literal, needs_evaluation, resolve, translate, translate_condition
from chainlab.ci.workflows.workflow import AFTER, NO_DOCKER, REPORT, RUNNER, Workflow
from chainlab.ci.workflows.yaml_document import dump, load
from chainlab.errors import MalformedInput

__all__ = ["RIGHTS", "called", "copy"]

# What the host has decided before a job's copy runs; the second, for a workflow.
DECIDED = ("permissions", "concurrency", "environment", "if", "continue-on-error", "strategy")
RIGHTS = ("permissions", "concurrency")
ALONE = Leg(None)
# Its `env` is the step's: act evaluates that of a job twice, and would run what an output says.
PRINT = {
    "run": "printf '%s' \"$NEEDS\"",
    "shell": "sh",
    "env": {"NEEDS": "${{ toJSON(needs) }}"},
}


def copy(
    workflow: Workflow,
    job: str,
    *,
    env: Mapping[str, str],
    ended: Mapping[str, tuple[str, Mapping[str, str]]],
    event: str = "push",
    leg: Leg = ALONE,
    contexts: Mapping[str, Any] = {},
    repository: str = "",
) -> dict[str, Any]:
    """The document that runs one leg of ``job`` alone.

    ``env`` is added to its environment; ``ended`` gives result and outputs of each job that it needs; ``contexts`` are
    what the host knows of the job; ``repository`` is what ``$/`` means, as ``owner/name`` and ``@commit``. Raises
    `MalformedInput` for an expression that does not give what its place needs.
    """
    contexts = {**contexts, "strategy": leg.strategy, "matrix": leg.matrix}
    shared = {key: value for key, value in workflow.document.items() if key not in ("jobs", "on", *RIGHTS)}
    target = {key: value for key, value in workflow.jobs[job].items() if key not in (*DECIDED, *NO_DOCKER)}
    for place, times in ((shared, 2), (target, 2), *((step, 1) for step in _steps(target))):
        _fill(place, contexts, times)
    if leg.matrix is not None:
        target["strategy"] = {"matrix": {"include": [literal(dict(leg.matrix))]}}
    if "runs-on" in target and (needs_evaluation(target["runs-on"]) or not isinstance(target["runs-on"], str | list)):
        target["runs-on"] = RUNNER
    if needs_evaluation(target.get("timeout-minutes")):
        del target["timeout-minutes"]
    if env and "uses" not in target:  # a call of a reusable workflow takes no env
        target["env"] = {**(target.get("env") or {}), **env}
    if "needs" in target:
        target["if"] = "always()"
    written = {**lacking(contexts), "strategy": leg.strategy}
    target = _known(target, written, repository)
    if isinstance(target.get("steps"), list):
        target["steps"] = [*target["steps"], {"name": AFTER, "run": "chainlab-post", "shell": "sh"}]
    # `defaults` name a folder that is not there where nothing was checked out.
    where = {"working-directory": "."} if "defaults" in shared else {}
    jobs: dict[str, Any] = {n: _stub(*ended[n], where) for n in workflow.needs(job)}
    jobs[job] = target
    jobs[REPORT] = {"needs": [job], "if": "always()", "runs-on": RUNNER, "steps": [PRINT | where]}
    made = {**translate(shared, written), "on": _trigger(workflow, event), "jobs": jobs}
    return {key: made[key] for key in workflow.document if key in made}


def called(path: str, text: str, repository: str) -> str:
    """A reusable workflow of the project as `act` can run it; the same text where it can.

    Raises `MalformedInput` for what the host does itself for a job, and cannot do inside a call.
    """
    document = load(text)
    for name, job in document["jobs"].items():
        strategy = job.get("strategy")
        faults = {
            "`continue-on-error` of a job": job.get("continue-on-error") not in (None, False),
            "`strategy` by an expression beside an `if`": "if" in job and "${{" in dump(strategy),
            "`runs-on` by the matrix": "${{" in dump(job.get("runs-on")) and strategy is not None,
            "`env` by an expression": needs_evaluation(job.get("env"))
            or any(needs_evaluation(step.get(key)) for step in _steps(dict(job)) for key in ("env", "with")),
            "the context `strategy`": translate(job, {"strategy": {}}) != translate(job),
        }
        for fault, found in faults.items():
            if found:
                raise MalformedInput(f"{path}: job {name}: this host has no {fault} inside a called workflow")
        plain = "runs-on" in job and not needs_evaluation(job["runs-on"])
        if plain and (reason := elsewhere(job["runs-on"])):
            raise MalformedInput(f"{path}: job {name}: {reason}")
    jobs = {
        name: _known({key: value for key, value in job.items() if key not in RIGHTS}, {}, repository)
        for name, job in document["jobs"].items()
    }
    changed = {**{key: value for key, value in document.items() if key not in RIGHTS}, "jobs": jobs}
    return text if changed == document else dump(changed)


def _known(job: dict[str, Any], known: Mapping[str, Mapping[str, Any]], repository: str) -> dict[str, Any]:
    """A job in what `act` knows."""
    found: dict[str, Any] = translate(job, known)
    if isinstance(found.get("uses"), str):
        found["uses"] = _reference(found["uses"], "./", "")
    steps = _steps(found)
    for step in steps:
        if isinstance(step.get("uses"), str):
            step["uses"] = _reference(step["uses"], f"{repository.partition('@')[0]}/", repository)
    for holder in (found, *steps):
        if "if" in holder:
            holder["if"] = translate_condition(holder["if"], known)
    return found


def _reference(uses: str, before: str, repository: str) -> str:
    """A reference in one line; one to the same repository by ``before``, and at the commit of ``repository``."""
    uses = uses.strip()
    if not uses.startswith(SELF):
        return uses
    return before + uses.removeprefix(SELF).rstrip("/") + (f"@{repository.partition('@')[2]}" if repository else "")


def _steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of a job, each a mapping of its own that may be changed; they replace those of ``job``."""
    steps = job.get("steps")
    if not isinstance(steps, list):
        return []
    job["steps"] = [dict(step) if isinstance(step, dict) else step for step in steps]
    return [step for step in job["steps"] if isinstance(step, dict)]


def _fill(place: dict[str, Any], contexts: Mapping[str, Any], times: int) -> None:
    """Evaluate what stands in the place of a mapping; `act` evaluates an ``env`` as often as ``times`` says."""
    for key in ("env", "with", "defaults"):
        if needs_evaluation(place.get(key)):
            value = resolve(place[key], contexts)
            if not isinstance(value, dict):
                raise MalformedInput(f"`{key}` is an expression, and its value is no mapping")
            place[key] = literal(value)
            if key == "env" and times == 2:
                place[key] = literal(place[key])
    defaults = place.get("defaults")
    if isinstance(defaults, dict) and needs_evaluation(defaults.get("run")):
        place["defaults"] = {**defaults, "run": literal(resolve(defaults["run"], contexts))}


def _trigger(workflow: Workflow, event: str) -> Any:
    """The one event that started it; what `act` reads of a dispatch is its inputs."""
    on = workflow.document["on"]
    return {event: on[event]} if event == "workflow_dispatch" and isinstance(on, dict) and event in on else event


def _stub(result: str, outputs: Mapping[str, str], where: Mapping[str, str]) -> dict[str, Any]:
    stub: dict[str, Any] = {
        "runs-on": RUNNER,
        "outputs": {name: literal(value) for name, value in outputs.items()},
        "steps": [{"run": "true" if result == "success" else "false", "shell": "sh", **where}],
    }
    return {"if": "${{ false }}", **stub} if result == "skipped" else stub
