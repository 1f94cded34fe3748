"""`chainlab start`, `chainlab fresh` and `chainlab doctor`."""

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
    help="The lesson, lab or unit to open; when not given, the on-ramp at first and later what was open.",
)
@click.option(
    "--port",
    default=0,
    type=click.IntRange(0, 65535),
    help="JupyterLab's port; 0: that of the last session if it is free.",
)
@click.option("--new-token", is_flag=True, help="Make a new token: tabs and addresses of before are refused.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where your work is kept; .chainlab/workspace of the course when not given.",
)
def start(unit: str, port: int, new_token: bool, no_browser: bool, workspace: Path | None) -> None:
    """Open the course in JupyterLab, with its private Sigstore instance running.

    Both listen on loopback alone and end with Ctrl-C. You work on copies in the workspace's folder desk; git pull
    renews those that you did not change with the next start.
    """
    from chainlab.start import Session, end_on_signals, has_display
    from chainlab.workspace import course_root

    root = course_root()
    place = workspace or root / ".chainlab" / "workspace"
    deployed = None
    end_on_signals()
    echo("starting the services and JupyterLab ...")
    try:
        with Session(root, place, unit=unit, port=port, new_token=new_token) as session:
            if text := str(session.renewal):
                echo(text, lines=True)
            echo(f"private Sigstore instance, registry and CI host: {session.services}")
            echo(f"open this page, token included: {session.server.address}")
            if not no_browser and has_display():
                webbrowser.open(session.server.redirect.as_uri())  # its command line has no token
            echo("Save first (Ctrl-S). Ctrl-C ends both; what is saved is kept.")
            try:
                session.wait()
            finally:
                deployed = session.deployed
    except KeyboardInterrupt:
        pass
    if deployed:
        echo(f"the service that you deployed goes on: {deployed} (to end it: chainlab deploy --stop)")
    echo(f"ended; what you saved is kept in {place}")


@click.command(
    short_help="Get a fresh copy of a notebook.",
    epilog="Examples: chainlab fresh 01_assessment; chainlab fresh notebooks/00_onramp",
)
@click.argument("name")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="Whose copy; the running workspace, or .chainlab/workspace of the course, when not given.",
)
def fresh(name: str, workspace: Path | None) -> None:
    """Replace your copy of a lab or walkthrough by the course's; yours is kept beside it, under a name with the date.

    In a tab that shows it, choose File > Reload Notebook from Disk.
    """
    from chainlab.course.learner_copies import fresh_copy
    from chainlab.workspace import Workspace, course_root, learner_workspace

    copy, kept = fresh_copy(course_root(), Workspace(workspace) if workspace else learner_workspace(), name)
    echo(f"{copy} is as the course has it" + (f"; yours is kept as {kept.name}" if kept else ""))


@click.command(short_help="Look for what would trouble the course.", epilog="Example: chainlab doctor --json")
@click.option("--json", "as_json", is_flag=True, help="For a program: one object per finding.")
def doctor(as_json: bool) -> None:
    """Look at this machine for what would trouble the course.

    Exit code 1 means that something must be mended first.
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
