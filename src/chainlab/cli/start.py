"""``chainlab start``, ``fresh`` and ``doctor``: open the course, renew a copy, check this machine."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from chainlab.cli.terminal import echo, echo_json

__all__ = ["commands"]


@click.command(
    short_help="Open the course in JupyterLab.",
    epilog="Example: chainlab start --unit 01_assessment",
)
@click.option(
    "--unit",
    default="",
    help="The lesson, lab or unit to open (default: the on-ramp the first time, later what was open last).",
)
@click.option(
    "--port",
    default=0,
    type=click.IntRange(0, 65535),
    help="JupyterLab's port (default: the last session's port if it is free, else any free one).",
)
@click.option(
    "--new-token", is_flag=True, help="Make a new token. Tabs and addresses of earlier sessions then stop working."
)
@click.option("--no-browser", is_flag=True, help="Print the address, but open no browser.")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps your work (default: .chainlab/workspace in the course).",
)
def start(unit: str, port: int, new_token: bool, no_browser: bool, workspace: Path | None) -> None:
    """Open the course in JupyterLab and start its services: Sigstore instance, registry, CI host.

    All of them listen only on this machine (loopback) and end with Ctrl-C. You work on copies in the folder desk of the
    workspace. After a git pull, the next start renews every copy that you have not changed.
    """
    from chainlab.start import Session, end_on_signals, has_display
    from chainlab.workspace import course_root

    root = course_root()
    directory = workspace or root / ".chainlab" / "workspace"
    deployed = None
    end_on_signals()
    echo("starting the services and JupyterLab ...")
    try:
        with Session(root, directory, unit=unit, port=port, new_token=new_token) as session:
            if text := str(session.renewal):
                echo(text, lines=True)
            echo(f"private Sigstore instance, registry and CI host: {session.services}")
            echo(f"open this page, token included: {session.server.address}")
            if not no_browser and has_display():
                webbrowser.open(session.server.redirect.as_uri())  # keeps the token off the browser's command line
            echo(f"alerts: {session.services}/alerts; nobody watches until you do: chainlab monitor run")
            echo("To end: save (Ctrl-S in the browser), then Ctrl-C here. What is saved is kept.")
            try:
                session.wait()
            finally:
                deployed = session.deployed
    except KeyboardInterrupt:
        pass
    if deployed:
        echo(f"the service that you deployed goes on: {deployed} (end it with: chainlab deploy --stop)")
    echo(f"ended; what you saved is kept in {directory}")


@click.command(
    short_help="Get a fresh copy of a notebook.",
    epilog="""\b
Examples: chainlab fresh 01_assessment
          chainlab fresh notebooks/00_onramp""",
)
@click.argument("name")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="Workspace of the copy (default: the running one, else .chainlab/workspace in the course).",
)
def fresh(name: str, workspace: Path | None) -> None:
    """Replace your copy of a lab or walkthrough with the course's version.

    Your copy is kept beside it, under a name with the date. In an open tab, choose File > Reload Notebook from Disk.

    NAME is a unit, such as 01_assessment, or a file, such as notebooks/00_onramp.
    """
    from chainlab.course.learner_copies import fresh_copy
    from chainlab.workspace import Workspace, course_root, learner_workspace

    copy, backup = fresh_copy(course_root(), Workspace(workspace) if workspace else learner_workspace(), name)
    echo(f"{copy} is now the course's version" + (f"; yours is kept as {backup.name}" if backup else ""))


@click.command(short_help="Check this machine for problems.", epilog="Example: chainlab doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object per finding.")
def doctor(as_json: bool) -> None:
    """Check this machine for problems that would disturb the course.

    Each line says ok, warn or fail; a warning costs you a part of the course, a failure must be fixed first.

    Exit status: 0 nothing fails, 1 something fails.
    """
    import sys
    from dataclasses import asdict

    from chainlab.doctor import examine
    from chainlab.workspace import course_root

    findings = examine(course_root())
    if as_json:
        echo_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            echo(finding, lines=True)
    if any(finding.level == "fail" for finding in findings):
        sys.exit(1)


commands: list[click.Command] = [start, fresh, doctor]
