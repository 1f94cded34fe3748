"""``chainlab ci``: run a project's workflows, and pin what they use."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chainlab.characters import join_lines
from chainlab.ci.runs.rights import CACHE_RULES, EVENTS
from chainlab.cli.terminal import echo, echo_json
from chainlab.errors import MalformedInput

if TYPE_CHECKING:
    from chainlab.ci.project import Host, Project, PullRequest
    from chainlab.ci.runs.run_record import StepRecord

__all__ = ["commands"]

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(epilog="Example: chainlab ci run --project data/projects/triage-model --event push")
def ci() -> None:
    """The CI host: run workflows, pin actions."""


@ci.command(
    epilog="""\b
Examples: chainlab ci run --project data/projects/triage-model --event push
          chainlab ci run --project . --event push --ref refs/tags/v1.0.0 --approve release
          chainlab ci run --project . --event pull_request --from ../change --owner mallory --branch typo"""
)
@click.option("--project", "folder", type=FOLDER, required=True, help="The project's folder.")
@click.option("--event", type=click.Choice(EVENTS), required=True, help="What happened.")
@click.option("--workflow", default="", help="File name, where the event starts several.")
@click.option("--job", default="", help="Only this job, and those it needs.")
@click.option(
    "--ref",
    default="",
    help="What was pushed: refs/heads/… or refs/tags/… (default: the default branch).",
)
@click.option("--from", "change", type=FOLDER, help="Pull request: the changed folder.")
@click.option(
    "--owner",
    default="acme",
    show_default=True,
    help="Pull request: whose copy it comes from; another owner's is a fork.",
)
@click.option("--branch", default="change", show_default=True, help="Pull request: its branch.")
@click.option("--title", default="A change", show_default=True, help="Pull request: its title.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Input of workflow_dispatch; repeatable. Others have their defaults.",
)
@click.option("--approve", multiple=True, metavar="ENVIRONMENT", help="Say yes for a reviewer; repeatable.")
@click.option(
    "--cache-rule",
    type=click.Choice(CACHE_RULES),
    default=CACHE_RULES[0],
    show_default=True,
    help="The platform's rule for caches of pull_request_target.",
)
@click.option("--repository", default="", metavar="OWNER/NAME", help="Default: acme/<folder's name>.")
@click.option(
    "--settings",
    type=FILE,
    help="Repository settings (TOML). Default: settings/<name>.toml beside the folder.",
)
@click.option("--explain", is_flag=True, help="Also print what the host changed in the workflow file.")
@click.option("--log", "with_log", is_flag=True, help="Also print what the steps said.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def run(
    folder: Path, event: str, workflow: str, job: str, ref: str, change: Path | None, owner: str, branch: str,
    title: str, inputs: tuple[str, ...], approve: tuple[str, ...], cache_rule: str, repository: str,
    settings: Path | None, explain: bool, with_log: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the workflow that an event starts, on this machine, without docker.

    The folder is put on the default branch of a repository of the workspace first. Ends with 0 when the run succeeded.
    """
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    given = {}
    for pair in inputs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise MalformedInput(f"--input {pair!r} has no value", hint="write --input NAME=VALUE")
        given[name] = value
    with World(learner_workspace()) as world:
        project = _project(world.ci, folder, repository, settings)
        if ref.startswith("refs/tags/"):
            project.tag(ref.removeprefix("refs/tags/"))
        pull = _pull(project, event, change, owner, branch, title)
        ended = project.run(
            event, ref=ref, pull=pull, workflow=workflow, job=job, inputs=given, approve=approve,
            cache_rule=cache_rule, on_step=None if as_json else _print_step,
        )  # fmt: skip
    if as_json:
        echo_json({**asdict(ended), "result": ended.result})
    else:
        echo(ended.table(), lines=True)
        if explain:
            echo(ended.explain(), lines=True)
        if with_log:
            echo(ended.log, lines=True)
    sys.exit(0 if ended.result == "success" else 1)


def _project(host: Host, folder: Path, repository: str, settings: Path | None) -> Project:
    folder = folder.resolve()
    beside = folder.parent / "settings" / f"{folder.name}.toml"
    return host.project(
        repository or f"acme/{folder.name}",
        folder,
        settings or (beside if beside.is_file() else None),
    )


def _pull(project: Project, event: str, change: Path | None, owner: str, branch: str, title: str) -> PullRequest | None:
    if not event.startswith("pull_request"):
        return None
    if change is None:
        raise MalformedInput(f"{event} needs a change", hint="name the changed folder: --from DIR")
    return project.pull_request(owner=owner, branch=branch, folder=change, title=title)


def _print_step(job: str, step: StepRecord) -> None:
    echo(f"[{job}] {step.result:<8} {step.seconds:5.1f} s  {step.name[:80]}", err=True)


@ci.command(
    epilog="""\b
Examples: chainlab ci pin my-project
          chainlab ci pin --check my-project"""
)
@click.argument("folder", type=FOLDER)
@click.option("--check", is_flag=True, help="Change nothing; end with 1 when something is not pinned.")
@click.option(
    "--update",
    is_flag=True,
    help="Also move pins to the newest version of the major in their remark.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def pin(folder: Path, check: bool, update: bool, as_json: bool) -> None:
    """Pin the actions of a project's workflows to commits.

    What a pinned action names inside is not pinned by that; such references are listed. Where something cannot be read
    or resolved, nothing is written, and all of it is named.
    """
    from chainlab.ci.actions.pins import pin_folder
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    if check and update:
        raise MalformedInput("--check changes nothing, --update does", hint="give one of them")
    with World(learner_workspace()) as world:
        mirror = world.ci.platform.mirror.view_of(f"acme/{folder.resolve().name}")  # as `run` names it by default
        found = pin_folder(folder, mirror, check=check, newest=update)
    if as_json:
        echo_json([asdict(finding) for finding in found])
    else:
        echo(join_lines(found) or "everything is pinned", lines=True)
    sys.exit(1 if found else 0)


commands = [ci]
