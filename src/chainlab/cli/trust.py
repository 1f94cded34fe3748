"""``chainlab trust`` and ``chainlab enrol``: run a Sigstore instance, and print the fingerprint of its root."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import BinaryIO

import click

from chainlab.cli.terminal import echo, echo_json
from chainlab.errors import MalformedInput

__all__ = ["commands"]

STATE = click.Path(file_okay=False, path_type=Path)


@click.group(short_help="Run a private Sigstore instance.", epilog="Example: chainlab trust serve --state ./sigstore")
def trust() -> None:
    """Run a private Sigstore instance, and get tokens from it."""


@trust.command(
    short_help="Run an instance until Ctrl-C.",
    epilog="Example: chainlab trust serve --state ./sigstore --port 8520",
)
@click.option("--state", type=STATE, required=True, help="Folder of its keys and logs; created when missing.")
@click.option(
    "--port",
    default=0,
    show_default="a free one",
    type=click.IntRange(0, 65535),
    help="Port to listen on.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
def serve(state: Path, port: int, host: str) -> None:
    """Run an instance without the rest of the course, until Ctrl-C.

    Writes trust_config.json, trusted_root.json, signing_config.json and tuf/root.json into the state folder, then
    prints "ready:" and its address. A client needs only trust_config.json.
    """
    from chainlab import services

    server = services.Server(state, host=host, port=port)
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
    short_help="Print an identity token.",
    epilog="""\b
Examples: chainlab trust token --state ./sigstore --identity alice@example.com
          chainlab trust token --state ./sigstore --claims job.json --ambient""",
)
@click.option("--state", type=STATE, required=True, help="Folder of the instance.")
@click.option("--identity", help="Email address of a person.")
@click.option(
    "--claims",
    type=click.File("rb"),
    help="JSON file with the claims of a CI job, under GitHub's names.",
)
@click.option(
    "--ambient",
    is_flag=True,
    help="With --claims: print the two environment variables through which a client gets a job's token.",
)
@click.option("--audience", default="sigstore", show_default=True, help="Audience: the service that accepts the token.")
def token(state: Path, identity: str | None, claims: BinaryIO | None, ambient: bool, audience: str) -> None:
    """Print an identity token (JWT) of a person or of a CI job.

    Give either --identity or --claims.
    """
    from chainlab.trust import wire
    from chainlab.trust.client import Trust

    instance = Trust(state)
    if (identity is None) == (claims is None) or (ambient and claims is None):
        raise MalformedInput("expected either --identity or --claims", hint="--ambient goes with --claims only")
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


@trust.command(
    short_help="Replace the CA's signing key.",
    epilog="Example: chainlab trust rotate --state ./sigstore",
)
@click.option("--state", type=STATE, required=True, help="Folder of an instance that is not running.")
def rotate(state: Path) -> None:
    """Replace the CA's signing key with a new one. Old signatures still verify."""
    from chainlab.trust.instance import Instance

    _require_instance(state)
    instance = Instance(state)
    try:
        instance.rotate()
        generation = len(instance.keys.authorities)
    finally:
        instance.close()
    echo(f"generation {generation} signs from now on; publish it with: chainlab trust serve --state {state}")


@click.command(short_help="Print the fingerprint of your root.", epilog="Example: chainlab enrol")
@click.option("--state", type=STATE, help="Folder of an instance (default: the one in your workspace).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def enrol(state: Path | None, as_json: bool) -> None:
    """Print the fingerprint of your root of trust, for your instructor to keep.

    The fingerprint is the SHA-256 of tuf/root.json. It shows later that your work was signed with the same instance. It
    does not show who was at the keyboard.
    """
    from chainlab.trust.client import Trust
    from chainlab.trust.instance import prepare
    from chainlab.workspace import learner_workspace

    if state is not None:
        _require_instance(state)
    directory = state or learner_workspace().trust
    prepare(directory)
    fingerprint = Trust(directory).fingerprint
    if as_json:
        echo_json({"root": str(fingerprint)})
    else:
        echo(f"your root: {fingerprint}")


def _require_instance(state: Path) -> None:
    if not (state / "keys.json").exists():
        raise MalformedInput(
            f"there is no instance in {state}",
            hint=f"create one: chainlab trust serve --state {state}",
        )


commands: list[click.Command] = [trust, enrol]
