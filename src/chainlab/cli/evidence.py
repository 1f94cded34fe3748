"""``chainlab attest`` and ``chainlab verify``: sign and verify statements about files."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chainlab.cli.terminal import echo, echo_json
from chainlab.errors import MalformedInput, Unavailable

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

__all__ = ["commands"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TYPES = ("sbom", "provenance", "openvex", "vulnerabilities", "summary")


@click.command(
    short_help="Sign a statement about a file.",
    epilog="""\b
Examples: chainlab attest dist/model.onnx --type sbom --predicate model.cdx.json --identity alice@example.com
          chainlab attest dist/model.onnx --type sbom --predicate model.cdx.json     (in a CI job)""",
)
@click.argument("file", type=FILE)
@click.option(
    "--type", "kind", required=True, help=f"Type of the statement: {', '.join(TYPES)}, or the URI of another."
)
@click.option("--predicate", type=FILE, required=True, help="The statement's content, a JSON document.")
@click.option("--identity", default="", help="Email address to sign as (default: the CI job that runs the command).")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write the bundle to (default: FILE.sigstore.json).",
)
def attest(file: Path, kind: str, predicate: Path, identity: str, out: Path | None) -> None:
    """Sign a statement about FILE with a short-lived certificate, and write the bundle beside it.

    The predicate must have the shape of its type, or it is not signed. For a type given by URI, it must be a JSON
    object.
    """
    from chainlab.digests import Digest
    from chainlab.evidence import predicate_types
    from chainlab.evidence.signing import ambient_token, sign
    from chainlab.evidence.statements import Statement, parse_json
    from chainlab.storage import write_whole
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    content = parse_json(predicate.read_bytes(), predicate.name)
    predicate_types.require(_type(kind), content)
    statement = Statement.about({file.name: Digest.of_file(file)}, _type(kind), content)
    if identity:
        with World(learner_workspace()) as world:
            bundle = sign(statement, world.trust.config, world.trust.token(identity))
    else:
        bundle = sign(statement, _config(), ambient_token())
    target = out or file.with_name(f"{file.name}.sigstore.json")
    write_whole(target, bundle)
    echo(f"wrote {target}: {len(bundle)} bytes")


@click.command(
    short_help="Verify a statement about a file.",
    epilog="""\b
Examples: chainlab verify dist/model.onnx --bundle dist/model.onnx.sigstore.json --type sbom \\
              --signer alice@example.com
          chainlab verify dist/model.onnx --bundle build.sigstore.json --type provenance --signer https://… \\
              --builder https://… --build-type https://… --source git+https://… --ref 'refs/tags/v*' \\
              --parameters '{"workflow": null, "inputs": {}}'""",
)
@click.argument("file", type=FILE)
@click.option("--bundle", type=FILE, required=True, help="The signed bundle.")
@click.option(
    "--type", "kind", required=True, help=f"Type of the statement: {', '.join(TYPES)}, or the URI of another."
)
@click.option("--signer", required=True, help="Expected signer: the identity that the certificate must have.")
@click.option("--issuer", default="", help="Expected OIDC issuer of that identity (default: the course's own).")
@click.option("--builder", default="", help="Provenance: expected id of the builder.")
@click.option("--build-type", default="", help="Provenance: expected build type, which defines the other fields.")
@click.option("--source", default="", help="Provenance: expected source, git+https://…/OWNER/REPOSITORY without a ref.")
@click.option(
    "--ref", "refs", multiple=True, help="Provenance: allowed ref of the source, such as 'refs/tags/v*'; repeatable."
)
@click.option("--parameters", default="", help="Provenance: allowed external parameters, as JSON or a JSON file.")
@click.option("--trust-config", type=FILE, help="Trust configuration (default: the one in your workspace).")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON.")
def verify(
    file: Path,
    bundle: Path,
    kind: str,
    signer: str,
    issuer: str,
    builder: str,
    build_type: str,
    source: str,
    refs: tuple[str, ...],
    parameters: str,
    trust_config: Path | None,
    as_json: bool,
) -> None:
    """Verify a statement about FILE, step by step.

    A step for which you give no expectation is shown as not asked. --parameters is an object with every parameter that
    may occur, each with its required value, or null for any value.

    Exit status: 0 every step passes, 1 a step fails.
    """
    from chainlab.digests import Digest
    from chainlab.evidence.verifying import Expectations, Signer
    from chainlab.evidence.verifying import verify as check
    from chainlab.trust.issuer import CI_ISSUER, ISSUER

    expected_signer = Signer(signer, issuer or (CI_ISSUER if signer.startswith("https://") else ISSUER))
    verdict = check(
        bundle.read_bytes(),
        Digest.of_file(file),
        Expectations(
            expected_signer,
            _type(kind),
            builder=builder,
            build_type=build_type,
            source=source,
            refs=refs,
            parameters=_parameters(parameters) if parameters else None,
        ),
        _config(trust_config).trusted_root,
    )
    if as_json:
        steps = [asdict(step) for step in verdict.steps]
        echo_json({"passed": verdict.passed, "steps": steps})
    else:
        echo(verdict, lines=True)
        if verdict.failure and verdict.failure.hint:
            echo(f"  Help: {verdict.failure.hint}")
    sys.exit(0 if verdict.passed else 1)


def _parameters(text: str) -> dict[str, Any]:
    """Read the expected external parameters from JSON, or from the file of that name."""
    from chainlab.evidence.statements import parse_json

    try:
        data = text.encode() if text.lstrip().startswith("{") else Path(text).read_bytes()
    except (OSError, ValueError) as error:
        raise MalformedInput(
            "cannot read --parameters", why=str(error), hint="give a JSON object, or the name of a JSON file"
        ) from error
    parameters = parse_json(data, "--parameters")
    if not isinstance(parameters, dict):
        raise MalformedInput(
            "--parameters is not a JSON object", hint="""for example '{"workflow": null, "inputs": {}}'"""
        )
    return parameters


def _type(kind: str) -> str:
    from chainlab.evidence import statements

    uris = (
        statements.SBOM,
        statements.PROVENANCE,
        statements.OPENVEX,
        statements.VULNERABILITIES,
        statements.SUMMARY,
    )
    if kind in TYPES:
        return dict(zip(TYPES, uris, strict=True))[kind]
    if "://" not in kind:
        raise MalformedInput(f"not a predicate type: {kind!r}", hint=f"give one of {', '.join(TYPES)}, or a URI")
    return kind


def _config(path: Path | None = None) -> ClientTrustConfig:
    """Read the trust configuration: a file, a CI job's own, or the learner's workspace's."""
    import os

    from sigstore.models import ClientTrustConfig

    from chainlab.workspace import learner_workspace

    variable = os.environ.get("CHAINLAB_TRUST_CONFIG")
    file = path or (Path(variable) if variable else learner_workspace().trust / "trust_config.json")
    try:
        return ClientTrustConfig.from_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unavailable(f"no trust configuration at {file}", hint="run `chainlab start` once") from error
    except ValueError as error:
        raise MalformedInput(f"not a trust configuration: {file.name}", why=str(error)[:200]) from error


commands = [attest, verify]
