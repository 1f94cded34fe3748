"""``chainlab monitor log``: watch a transparency log from outside."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainlab.cli.terminal import echo, echo_json
from chainlab.errors import MalformedInput, Unavailable

if TYPE_CHECKING:
    from chainlab.monitor.logwatch.checkpoints import Checkpoint
    from chainlab.monitor.logwatch.log_sources import LogSource, LogVersion
    from chainlab.monitor.logwatch.looks import Look, Sighting

__all__ = ["log"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MAX_INDEX = 2**62
UNKNOWN = 3  # exit status: no answer
MAX_DOCUMENT = 2**20  # bytes of a witness's answer
MAX_FILE = 2**22  # bytes of a file that is given


@click.command(
    short_help="Watch a transparency log from outside.",
    epilog="""\b
Examples: chainlab monitor log
          chainlab monitor log https://rekor.example --version v1 --key rekor.pem \\
              --identity 'https://github.com/acme/*'
          chainlab monitor log --trusted-root trusted_root.json --watch watchlist.toml --follow
          chainlab monitor log --version v2 --witness checkpoint-of-a-friend.txt""",
)
@click.argument("url", default="")
@click.option("--key", type=FILE, help="Public key of the log at URL, PEM or DER.")
@click.option("--version", type=click.Choice(["v1", "v2", "ct"]), help="API of the log; picks one of several logs.")
@click.option("--trusted-root", type=FILE, help="A Sigstore trusted_root.json with the logs' keys and addresses.")
@click.option("--from", "begin", type=click.IntRange(0, MAX_INDEX), help="Read from this entry, not from the newest.")
@click.option("--identity", multiple=True, help="Report each use of an identity; * is any text. Repeatable.")
@click.option("--watch", type=FILE, help="Watch list, TOML (default: desk/watchlist.toml, else the course's).")
@click.option("--witness", multiple=True, help="A checkpoint of this log noted elsewhere: a file or an address.")
@click.option("--once/--follow", default=True, help="Look once (default), or again and again until Ctrl-C.")
@click.option("--every", default=30.0, show_default=True, type=click.FloatRange(0.1, 86400), help="Seconds between.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the checkpoints as they were signed.")
@click.pass_context
def log(
    context: click.Context,
    url: str,
    key: Path | None,
    version: LogVersion | None,
    trusted_root: Path | None,
    begin: int | None,
    identity: tuple[str, ...],
    watch: Path | None,
    witness: tuple[str, ...],
    once: bool,
    every: float,
    as_json: bool,
) -> None:
    """Compare a log with what you saw of it before, read its new entries, and look for identities.

    Without an address: the logs of your workspace. The first look remembers the newest checkpoint. Each later one
    proves that the log only grew, and reads what is new. What is found goes into your event log, too.

    Exit status: 0 nothing is wrong, 1 a rewritten or divided log or an unexpected signer, 3 unknown: no answer.
    """
    from chainlab.monitor.logwatch.kit_logs import state_path, watch_list_path
    from chainlab.monitor.logwatch.watch_list import WatchList
    from chainlab.monitor.logwatch.watch_state import WatchState
    from chainlab.monitor.logwatch.watching import Watching
    from chainlab.monitor.observers import report
    from chainlab.workspace import learner_workspace

    workspace = learner_workspace()
    try:
        sources = _sources(url, key, version, trusted_root)
    except Unavailable as error:  # our own instance does not run
        echo(error, err=True, lines=True)
        context.exit(UNKNOWN)
    kit = not url and trusted_root is None
    watch_list = WatchList.load(watch or watch_list_path(workspace)) if watch or kit else WatchList()
    watch_list = watch_list.with_identities(identity)
    witnesses = _witnesses(witness, sources)

    def append(type: str, subject: str, data: dict[str, Any]) -> None:
        report(workspace.trust / "state.db", type, subject, data)

    with ExitStack() as undo:
        state = undo.enter_context(WatchState(state_path(workspace)))
        watchings = []
        for source in sources:
            reader = source.reader()
            undo.callback(reader.close)
            arguments = (source.id, reader, source.certificates, state, watch_list, append)
            watchings.append(Watching(*arguments, witnesses=witnesses, begin=begin))
        while True:
            looks = [look for watching in watchings for look in watching.look()]
            _print(looks, as_json)
            if once:
                break
            time.sleep(every)
    statuses = {look.status for look in looks}
    context.exit(1 if 1 in statuses else max(statuses))


def _sources(url: str, key: Path | None, version: LogVersion | None, trusted_root: Path | None) -> list[LogSource]:
    from chainlab.monitor.logwatch.checkpoints import LogKey
    from chainlab.monitor.logwatch.kit_logs import kit_sources
    from chainlab.monitor.logwatch.log_sources import LogSource, sources_in
    from chainlab.trust import wire
    from chainlab.trust.client import Trust
    from chainlab.workspace import learner_workspace

    if key is not None and trusted_root is not None:
        raise MalformedInput("expected --key or --trusted-root, not both")
    if trusted_root is not None:
        return sources_in(wire.json_object(_bytes(trusted_root)), url, version)
    if not url:
        if key is not None:
            raise MalformedInput("a key without an address", hint="chainlab monitor log URL --key FILE")
        return kit_sources(Trust(learner_workspace().trust), version)
    if key is None or version is None:
        raise MalformedInput(
            "an address alone is not enough: without the log's key, anybody's log would do",
            hint="add --key FILE and --version v1, v2 or ct; or --trusted-root FILE",
        )
    return [LogSource(version, url.rstrip("/"), LogKey.read(_bytes(key)))]


def _witnesses(places: tuple[str, ...], sources: list[LogSource]) -> list[Checkpoint]:
    """Read the checkpoints that others noted. Raises `MalformedInput` for one that no watched log signed."""
    from chainlab.monitor.logwatch.log_client import LogClient
    from chainlab.monitor.logwatch.log_sources import open_witness

    checkpoints = []
    for place in places:
        if place.startswith(("http://", "https://")):
            base, _, path = place.partition("://")[2].partition("/")
            with LogClient(f"{place.partition('://')[0]}://{base}") as client:
                text = client.get(f"/{path}", MAX_DOCUMENT).decode(errors="replace")
        else:
            try:
                text = _bytes(Path(place)).decode(errors="replace")
            except OSError as error:
                raise MalformedInput(f"cannot read the checkpoint {place}", why=str(error)) from error
        checkpoints.append(open_witness(text, sources, place))
    return checkpoints


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise Unavailable(f"{path} is larger than {MAX_FILE} bytes")
    return data


def _print(looks: list[Look], as_json: bool) -> None:
    if as_json:
        echo_json([_document(look) for look in looks])
        return
    for look in looks:
        echo(f"{look.origin}: {look.summary()}")
        for sighting in look.sightings:
            echo(f"  {_line(sighting)}")


def _line(sighting: Sighting) -> str:
    signer = sighting.signer
    details = [signer[name] for name in ("issuer", "source_repository_ref") if name in signer]
    word = "expected" if sighting.expected else "UNEXPECTED"
    return f"{word:<10}  entry {sighting.index}  {sighting.name}  {' · '.join(details)}".rstrip()


def _document(look: Look) -> dict[str, Any]:
    sightings = [
        {"index": each.index, "expected": each.expected, "signer": dict(each.signer)} for each in look.sightings
    ]
    return {
        "log": look.origin,
        **look.data(),
        "checkpoint": look.head.text if look.head else None,
        "contradictions": [asdict(contradiction) for contradiction in look.kept],
        "signers": sightings,
    }
