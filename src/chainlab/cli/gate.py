"""``chainlab gate``: judge a release by a policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from chainlab.cli.terminal import echo, echo_json

__all__ = ["commands"]

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(
    short_help="Judge whether a release may go to prod.",
    epilog="""\b
Examples: chainlab gate oci/acme/triage-model/release:v1.4.0
          chainlab gate oci/acme/triage-model/release:v1.4.0 --policies my-policies --policy strict --json""",
)
@click.argument("reference")
@click.option("--policy", default="release", show_default=True, help="Name of the policy to judge by.")
@click.option("--policies", type=FOLDER, help="Folder of policies (default: the course's).")
@click.option("--advisories", type=FOLDER, help="Folder of advisories, OSV records (default: the course's).")
@click.option("--facts", is_flag=True, help="Print the facts that the rules read, as JSON; do not judge.")
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON.")
def gate(
    reference: str, policy: str, policies: Path | None, advisories: Path | None, facts: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Judge a release: print what was checked, and whether it may go to prod.

    REFERENCE is oci/OWNER/REPOSITORY@sha256:… or oci/OWNER/REPOSITORY:TAG in your workspace. The verdict is signed and
    kept beside the release, because a deployment relies on it. A verdict by your own --policies or --advisories is only
    printed.

    Exit status: 0 allowed, 1 refused.
    """
    from chainlab.policy.gate import Gate
    from chainlab.workspace import course_root, learner_workspace
    from chainlab.world import World

    with World(learner_workspace()) as world:
        judge = Gate(
            world.registry,
            world.trust,
            policies=policies or course_root() / "data" / "policies",
            advisories=advisories or course_root() / "data" / "advisories",
        )
        if facts:
            echo_json(judge.facts(reference, policy))
            return
        own = policies is not None or advisories is not None
        decision = judge.judge(reference, policy, record=not own)
    if as_json:
        echo_json(decision.document())
    else:
        echo(decision.table(), lines=True)
    sys.exit(0 if decision.allowed else 1)


commands = [gate]
