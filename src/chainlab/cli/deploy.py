"""``chainlab deploy`` and ``chainlab rollback``: run a release of prod, and return to the one before."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import click

from chainlab.cli.terminal import echo, echo_json
from chainlab.errors import MalformedInput

if TYPE_CHECKING:
    from chainlab.deploy.deployment import Deployed
    from chainlab.world import World

__all__ = ["commands"]


@click.command(
    short_help="Run a release of prod.",
    epilog="""\b
Examples: chainlab deploy oci/acme/triage-model/release@sha256:…
          chainlab deploy --promote oci/acme/triage-model/release@sha256:…
          chainlab deploy --reverify
          chainlab deploy --stop""",
)
@click.argument("reference", required=False)
@click.option("--promote", is_flag=True, help="First let the gate judge the release, and promote it to prod.")
@click.option("--reverify", is_flag=True, help="Verify again what runs; go back where the policy says so.")
@click.option("--restart", is_flag=True, help="Start the service again, from the files that are installed.")
@click.option("--stop", is_flag=True, help="End the running service.")
@click.option("--json", "as_json", is_flag=True, help="Print what runs as JSON.")
def deploy(
    reference: str | None, promote: bool, reverify: bool, restart: bool, stop: bool, as_json: bool
) -> None:  # fmt: skip
    """Run a release of prod as a service on this machine, until --stop.

    REFERENCE names the release by digest: oci/OWNER/REPOSITORY@sha256:…. The gate's signed summary and every byte are
    verified before it runs. Without REFERENCE, print what runs.

    Exit status: 0 a release runs, 1 none runs or it was refused. With --reverify: 0 it verifies, 1 it does not.
    """
    from chainlab.deploy.promotion import NotPromoted
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    chosen = [name for name, given in (("--stop", stop), ("--restart", restart), ("--reverify", reverify)) if given]
    if chosen and (reference or len(chosen) > 1):
        raise MalformedInput(f"{chosen[0]} takes no REFERENCE, and no second option of its kind")
    if promote and not reference:
        raise MalformedInput("--promote needs a REFERENCE")
    with World(learner_workspace()) as world:
        if stop:
            world.deployment.stop()
            echo("null" if as_json else "stopped: nothing is deployed now")
            return
        if reverify:
            _show_again(world, as_json)
        if restart:
            world.deployment.restart()
        if reference and promote:
            try:
                decision = world.deployment.promote(reference)
            except NotPromoted as error:
                echo(error.decision.table(), err=True, lines=True)
                raise
            echo(decision.table(), err=True, lines=True)
        if reference:
            _show(world.deployment.deploy(reference), as_json)
        else:
            _show(world.deployment.current, as_json)


@click.command(short_help="Return to the release before.", epilog="Example: chainlab rollback")
@click.option("--json", "as_json", is_flag=True, help="Print what runs as JSON.")
def rollback(as_json: bool) -> None:
    """Return to the release that ran before. It is verified like any other."""
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    with World(learner_workspace()) as world:
        _show(world.deployment.rollback(), as_json)


def _show(deployed: Deployed | None, as_json: bool) -> None:
    """Print what runs; exit with 1 when nothing does."""
    if as_json:
        echo_json(asdict(deployed) if deployed else None)
    elif deployed is None:
        echo("nothing is deployed")
    else:
        echo(deployed.reference)
        echo(f"{deployed.service.url}/predict serves model {deployed.service.model}")
    sys.exit(0 if deployed else 1)


def _show_again(world: World, as_json: bool) -> NoReturn:
    """Verify again what runs, and print the answers; exit with 1 unless it verifies."""
    result = world.reverification.reverify()
    if as_json:
        echo_json(result.document() if result else None)
    else:
        echo(repr(result) if result else "nothing is deployed", lines=True)
    sys.exit(0 if result and result.verified else 1)


commands = [deploy, rollback]
