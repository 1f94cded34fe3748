"""`chainlab start` and `chainlab doctor`."""

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
@click.option("--unit", default="", help="The lesson, lab or unit to open; week 1 when not given.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="JupyterLab's port; 0: a free one.")
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@click.option(
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where your work is kept; .chainlab/workspace of the course when not given.",
)
def start(unit: str, port: int, no_browser: bool, workspace: Path | None) -> None:
    """Open the course in JupyterLab, with its private Sigstore instance running.

    Both listen on loopback alone and end with Ctrl-C. Your work stays in the workspace.
    """
    from chainlab.start import Session, end_on_signals, find_page, has_display
    from chainlab.workspace import course_root

    root = course_root()
    page = find_page(root, unit)
    place = workspace or root / ".chainlab" / "workspace"
    end_on_signals()
    echo("starting the services and JupyterLab ...")
    try:
        with Session(root, place, page=page, port=port) as session:
            echo(f"private Sigstore instance, registry and CI host: {session.services}")
            echo(f"open this page, token included: {session.address}")
            if not no_browser and has_display():
                webbrowser.open(session.redirect.as_uri())  # its command line has no token
            echo("Ctrl-C ends both; your work is kept")
            session.wait()
    except KeyboardInterrupt:
        pass
    echo("ended; your work is kept")


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


commands: list[click.Command] = [start, doctor]
