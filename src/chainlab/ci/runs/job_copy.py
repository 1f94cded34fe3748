"""The copy of a workflow that runs one leg of one job.

A job runs alone, in a process, a sandbox and a directory of its own, as on the platform. Its copy differs from the file
in these points:

- what the host decides is left out: the event, `if`, the other legs of the matrix, rights, environment, `concurrency`,
  `continue-on-error`;
- a job-level ``env`` gives the job its identity (address and bearer), if it may have one;
- stubs replace the jobs it needs: they end with the same result and outputs;
- a last step runs what actions left for the end (a real runner's "post" steps), if all steps succeeded;
- a last job prints result and outputs;
- expressions that `act` lacks or evaluates differently are replaced: ``case``, ``strategy``, and those in the place of
  a mapping;
- ``$/`` references name repository and commit;
- ``container`` and ``services``, which need docker, are left out, and the run says so.
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

# Keys that the host decides before a job's copy runs: of a job, and of a workflow.
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
    """The workflow document that runs one leg of ``job`` alone.

    ``env`` is added to its environment; ``ended`` has result and outputs of each job that it needs; ``contexts`` are
    those of the job; ``repository`` is the meaning of ``$/``, as ``owner/name@commit``. Raises `MalformedInput` for an
    expression whose value does not fit its place.
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
    target = _translated(target, written, repository)
    if isinstance(target.get("steps"), list):
        target["steps"] = [*target["steps"], {"name": AFTER, "run": "chainlab-post", "shell": "sh"}]
    # `defaults` name a folder that is not there where nothing was checked out.
    where = {"working-directory": "."} if "defaults" in shared else {}
    jobs: dict[str, Any] = {n: _stub(*ended[n], where) for n in workflow.needs(job)}
    jobs[job] = target
    jobs[REPORT] = {"needs": [job], "if": "always()", "runs-on": RUNNER, "steps": [PRINT | where]}
    document = {**translate(shared, written), "on": _trigger(workflow, event), "jobs": jobs}
    return {key: document[key] for key in workflow.document if key in document}


def called(path: str, text: str, repository: str) -> str:
    """A reusable workflow of the project as `act` can run it; the same text if nothing has to change.

    Raises `MalformedInput` for features that the host itself provides for a job, and cannot provide inside a call.
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
        for fault, present in faults.items():
            if present:
                raise MalformedInput(f"{path}: job {name}: this host has no {fault} inside a called workflow")
        plain = "runs-on" in job and not needs_evaluation(job["runs-on"])
        if plain and (reason := elsewhere(job["runs-on"])):
            raise MalformedInput(f"{path}: job {name}: {reason}")
    jobs = {
        name: _translated({key: value for key, value in job.items() if key not in RIGHTS}, {}, repository)
        for name, job in document["jobs"].items()
    }
    changed = {**{key: value for key, value in document.items() if key not in RIGHTS}, "jobs": jobs}
    return text if changed == document else dump(changed)


def _translated(
    job: dict[str, Any], context_values: Mapping[str, Mapping[str, Any]], repository: str
) -> dict[str, Any]:
    """A job with its expressions and references as `act` knows them."""
    translated: dict[str, Any] = translate(job, context_values)
    if isinstance(translated.get("uses"), str):
        translated["uses"] = _reference(translated["uses"], "./", "")
    steps = _steps(translated)
    for step in steps:
        if isinstance(step.get("uses"), str):
            step["uses"] = _reference(step["uses"], f"{repository.partition('@')[0]}/", repository)
    for holder in (translated, *steps):
        if "if" in holder:
            holder["if"] = translate_condition(holder["if"], context_values)
    return translated


def _reference(uses: str, before: str, repository: str) -> str:
    """A reference in one line; ``$/`` becomes ``before``, at the commit of ``repository``."""
    uses = uses.strip()
    if not uses.startswith(SELF):
        return uses
    return before + uses.removeprefix(SELF).rstrip("/") + (f"@{repository.partition('@')[2]}" if repository else "")


def _steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Replace the steps of a job by copies that may be changed; returns the copies."""
    steps = job.get("steps")
    if not isinstance(steps, list):
        return []
    job["steps"] = [dict(step) if isinstance(step, dict) else step for step in steps]
    return [step for step in job["steps"] if isinstance(step, dict)]


def _fill(place: dict[str, Any], contexts: Mapping[str, Any], times: int) -> None:
    """Evaluate expressions in the place of a mapping; `act` evaluates an ``env`` ``times`` times."""
    for key in ("env", "with", "defaults"):
        if needs_evaluation(place.get(key)):
            value = resolve(place[key], contexts)
            if not isinstance(value, dict):
                raise MalformedInput(f"`{key}` is an expression whose value is not a mapping")
            place[key] = literal(value)
            if key == "env" and times == 2:
                place[key] = literal(place[key])
    defaults = place.get("defaults")
    if isinstance(defaults, dict) and needs_evaluation(defaults.get("run")):
        place["defaults"] = {**defaults, "run": literal(resolve(defaults["run"], contexts))}


def _trigger(workflow: Workflow, event: str) -> Any:
    """The event that started the run as the only trigger; of a dispatch, `act` reads the inputs."""
    on = workflow.document["on"]
    return {event: on[event]} if event == "workflow_dispatch" and isinstance(on, dict) and event in on else event


def _stub(result: str, outputs: Mapping[str, str], where: Mapping[str, str]) -> dict[str, Any]:
    stub: dict[str, Any] = {
        "runs-on": RUNNER,
        "outputs": {name: literal(value) for name, value in outputs.items()},
        "steps": [{"run": "true" if result == "success" else "false", "shell": "sh", **where}],
    }
    return {"if": "${{ false }}", **stub} if result == "skipped" else stub
