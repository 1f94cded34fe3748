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


@click.group(
    short_help="Run workflows, and pin actions.",
    epilog="Example: chainlab ci run --project data/projects/triage-model --event push",
)
def ci() -> None:
    """Run the workflows of a project on this machine, and pin the actions that they use."""


@ci.command(
    short_help="Run the workflow that an event starts.",
    epilog="""\b
Examples: chainlab ci run --project data/projects/triage-model --event push
          chainlab ci run --project . --event push --ref refs/tags/v1.0.0 --approve release
          chainlab ci run --project . --event pull_request --from ../change --owner mallory --branch typo""",
)
@click.option("--project", "folder", type=FOLDER, required=True, help="Folder of the project.")
@click.option("--event", type=click.Choice(EVENTS), required=True, help="The event that starts the workflow.")
@click.option("--workflow", default="", help="File name of the workflow, where the event starts several.")
@click.option("--job", default="", help="Run only this job, and the jobs that it needs.")
@click.option(
    "--ref",
    default="",
    help="The pushed ref: refs/heads/… or refs/tags/… (default: the default branch).",
)
@click.option("--from", "change", type=FOLDER, help="Pull request: folder with the change.")
@click.option(
    "--owner",
    default="acme",
    show_default=True,
    help="Pull request: owner of the repository that it comes from; another owner's is a fork.",
)
@click.option("--branch", default="change", show_default=True, help="Pull request: its branch.")
@click.option("--title", default="A change", show_default=True, help="Pull request: its title.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Input of workflow_dispatch; repeatable. Inputs that you leave out have their defaults.",
)
@click.option(
    "--approve", multiple=True, metavar="ENVIRONMENT", help="Approve as the reviewer of an environment; repeatable."
)
@click.option(
    "--cache-rule",
    type=click.Choice(CACHE_RULES),
    default=CACHE_RULES[0],
    show_default=True,
    help="Which of the platform's rules holds for caches of pull_request_target.",
)
@click.option(
    "--repository", default="", metavar="OWNER/NAME", help="Name of the repository (default: acme/NAME-OF-THE-FOLDER)."
)
@click.option(
    "--settings",
    type=FILE,
    help="Repository settings, TOML (default: settings/NAME-OF-THE-FOLDER.toml beside the folder).",
)
@click.option("--explain", is_flag=True, help="Also print what the CI host changed in the workflow file.")
@click.option("--log", "with_log", is_flag=True, help="Also print the output of the steps.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def run(
    folder: Path, event: str, workflow: str, job: str, ref: str, change: Path | None, owner: str, branch: str,
    title: str, inputs: tuple[str, ...], approve: tuple[str, ...], cache_rule: str, repository: str,
    settings: Path | None, explain: bool, with_log: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run the workflow that an event starts, on this machine, without docker.

    First the folder is committed to the default branch of a repository in your workspace.

    Exit status: 0 the run succeeded, 1 it did not.
    """
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    values = {}
    for pair in inputs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise MalformedInput(f"--input {pair!r} has no value", hint="write --input NAME=VALUE")
        values[name] = value
    with World(learner_workspace()) as world:
        project = _project(world.ci, folder, repository, settings)
        if ref.startswith("refs/tags/"):
            project.tag(ref.removeprefix("refs/tags/"))
        pull = _pull(project, event, change, owner, branch, title)
        record = project.run(
            event, ref=ref, pull=pull, workflow=workflow, job=job, inputs=values, approve=approve,
            cache_rule=cache_rule, on_step=None if as_json else _print_step,
        )  # fmt: skip
    if as_json:
        echo_json({**asdict(record), "result": record.result})
    else:
        echo(record.table(), lines=True)
        if explain:
            echo(record.explain(), lines=True)
        if with_log:
            echo(record.log, lines=True)
    sys.exit(0 if record.result == "success" else 1)


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
        raise MalformedInput(f"{event} needs a change", hint="give the folder with the change: --from DIR")
    return project.pull_request(owner=owner, branch=branch, folder=change, title=title)


def _print_step(job: str, step: StepRecord) -> None:
    echo(f"[{job}] {step.result:<8} {step.seconds:5.1f} s  {step.name[:80]}", err=True)


@ci.command(
    short_help="Pin actions to commits.",
    epilog="""\b
Examples: chainlab ci pin my-project
          chainlab ci pin --check my-project""",
)
@click.argument("folder", type=FOLDER)
@click.option("--check", is_flag=True, help="Change nothing; only report what is not pinned.")
@click.option(
    "--update",
    is_flag=True,
    help="Also move each pin to the newest version within the major version in its comment.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def pin(folder: Path, check: bool, update: bool, as_json: bool) -> None:
    """Pin the actions of a project's workflows to commits.

    A pinned action may use further actions that are not pinned; these are listed. If something cannot be read or
    resolved, nothing is written and every problem is listed.

    Exit status: 0 everything is pinned, 1 something is listed.
    """
    from chainlab.ci.actions.pins import pin_folder
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    if check and update:
        raise MalformedInput(
            "--check and --update exclude each other", hint="--check changes nothing; --update changes pins"
        )
    with World(learner_workspace()) as world:
        mirror = world.ci.platform.mirror.view_of(f"acme/{folder.resolve().name}")  # as `run` names it by default
        findings = pin_folder(folder, mirror, check=check, newest=update)
    if as_json:
        echo_json([asdict(finding) for finding in findings])
    else:
        echo(join_lines(findings) or "everything is pinned", lines=True)
    sys.exit(1 if findings else 0)


commands = [ci]
