"""``chainlab trust`` and ``chainlab enrol``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import BinaryIO

import click

from chainlab.cli.terminal import echo, echo_json
from chainlab.errors import MalformedInput

__all__ = ["commands"]

STATE = click.Path(file_okay=False, path_type=Path)


@click.group(epilog="Example: chainlab trust serve --state ./sigstore")
def trust() -> None:
    """The private Sigstore instance."""


@trust.command(epilog="Example: chainlab trust serve --state ./sigstore --port 8520")
@click.option("--state", type=STATE, required=True, help="Directory of its keys and logs; made when missing.")
@click.option(
    "--port",
    default=0,
    show_default="a free one",
    type=click.IntRange(0, 65535),
    help="Where it listens.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
def serve(state: Path, port: int, host: str) -> None:
    """Run an instance alone, until Ctrl-C.

    Writes trust_config.json, trusted_root.json, signing_config.json and tuf/root.json into the
    state directory, then says that it is ready.
    """
    from chainlab import services

    server = services.serve(state, host=host, port=port)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        echo(f"ready: {server.url}")
        echo(f"trust config: {state / 'trust_config.json'}")
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


@trust.command(
    epilog="""\b
Examples: chainlab trust token --state ./sigstore --identity alice@example.com
          chainlab trust token --state ./sigstore --claims job.json --ambient"""
)
@click.option("--state", type=STATE, required=True, help="Directory of the instance.")
@click.option("--identity", help="A person's email address.")
@click.option(
    "--claims",
    type=click.File("rb"),
    help="JSON object with GitHub's claim names: a CI job's token.",
)
@click.option(
    "--ambient",
    is_flag=True,
    help="Print the two variables by which clients find a job's identity.",
)
@click.option("--audience", default="sigstore", show_default=True, help="Who is to accept the token.")
def token(state: Path, identity: str | None, claims: BinaryIO | None, ambient: bool, audience: str) -> None:
    """Print an identity token of a person or of a CI job."""
    from chainlab.trust import wire
    from chainlab.trust.client import Trust

    instance = Trust(state)
    if (identity is None) == (claims is None) or (ambient and claims is None):
        raise MalformedInput("give --identity, or --claims (with or without --ambient)")
    if claims is None:
        echo(instance.token(identity, audience=audience))
        return
    try:
        content = wire.json_object(claims.read())
    except MalformedInput as error:
        raise MalformedInput(
            f"{claims.name} is not a JSON object",
            hint='write {"sub": "…", "job_workflow_ref": "…"}',
        ) from error
    if not ambient:
        echo(instance.token(claims=content, audience=audience))
        return
    echo(f"ACTIONS_ID_TOKEN_REQUEST_URL={instance.url}/ci/token?api-version=2.0")
    echo(f"ACTIONS_ID_TOKEN_REQUEST_TOKEN={instance.job_bearer(content)}")


@trust.command(epilog="Example: chainlab trust rotate --state ./sigstore")
@click.option("--state", type=STATE, required=True, help="Directory of an instance that is not running.")
def rotate(state: Path) -> None:
    """Retire the CA's signing key and begin with a new one; old signatures stay good."""
    from chainlab.trust.instance import Instance

    _demand(state)
    instance = Instance(state)
    try:
        instance.rotate()
        generation = len(instance.keys.authorities)
    finally:
        instance.close()
    echo(f"generation {generation} signs from now on; serve the instance again to publish it")


@click.command(short_help="Print the fingerprint of your root.", epilog="Example: chainlab enrol")
@click.option("--state", type=STATE, help="Directory of an instance; your workspace's unless given.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def enrol(state: Path | None, as_json: bool) -> None:
    """Print the fingerprint of your root, for your instructor to keep.

    It is the SHA-256 of tuf/root.json. Work signed later shows the same instance, unchanged since;
    it does not show who typed.
    """
    from chainlab.trust.client import Trust
    from chainlab.trust.instance import prepare
    from chainlab.workspace import learner_workspace

    if state is not None:
        _demand(state)
    directory = state or learner_workspace().trust
    prepare(directory)
    fingerprint = Trust(directory).fingerprint
    if as_json:
        echo_json({"root": str(fingerprint)})
    else:
        echo(f"your root: {fingerprint}")


def _demand(state: Path) -> None:
    if not (state / "keys.json").exists():
        raise MalformedInput(
            f"there is no instance in {state}",
            hint=f"begin one: chainlab trust serve --state {state}",
        )


commands: list[click.Command] = [trust, enrol]
