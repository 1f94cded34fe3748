"""``chainlab attest`` and ``chainlab verify``: signed statements about files."""

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
    epilog="""\b
Examples: chainlab attest dist/model.onnx --type sbom --predicate model.cdx.json --identity alice@example.com
          chainlab attest dist/model.onnx --type sbom --predicate model.cdx.json     (in a CI job)"""
)
@click.argument("file", type=FILE)
@click.option("--type", "kind", required=True, help=f"{', '.join(TYPES)}, or a predicate type's URI.")
@click.option("--predicate", type=FILE, required=True, help="What is said: a JSON document.")
@click.option("--identity", default="", help="Who signs; in a CI job, the job itself.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the bundle.")
def attest(file: Path, kind: str, predicate: Path, identity: str, out: Path | None) -> None:
    """Sign a statement about a file, keylessly; the bundle is written beside it.

    A predicate that is not of its type is not signed. Of a type that is not listed, only that it is a JSON object.
    """
    from chainlab.digests import Digest
    from chainlab.evidence import predicate_types
    from chainlab.evidence.signing import ambient_token, sign
    from chainlab.evidence.statements import Statement, parse_json
    from chainlab.storage import write_whole
    from chainlab.workspace import learner_workspace
    from chainlab.world import World

    said = parse_json(predicate.read_bytes(), predicate.name)
    predicate_types.require(_type(kind), said)
    statement = Statement.about({file.name: Digest.of_file(file)}, _type(kind), said)
    if identity:
        with World(learner_workspace()) as world:
            bundle = sign(statement, world.trust.config, world.trust.token(identity))
    else:
        bundle = sign(statement, _config(), ambient_token())
    target = out or file.with_name(f"{file.name}.sigstore.json")
    write_whole(target, bundle)
    echo(f"{target}: {len(bundle)} bytes")


@click.command(
    epilog="""\b
Example: chainlab verify dist/model.onnx --bundle dist/model.onnx.sigstore.json --type sbom \\
             --signer alice@example.com
         chainlab verify dist/model.onnx --bundle build.sigstore.json --type provenance --signer https://… \\
             --builder https://… --build-type https://… --source git+https://… --ref 'refs/tags/v*' \\
             --parameters '{"workflow": null, "inputs": {}}'"""
)
@click.argument("file", type=FILE)
@click.option("--bundle", type=FILE, required=True, help="The signed bundle.")
@click.option("--type", "kind", required=True, help=f"{', '.join(TYPES)}, or a predicate type's URI.")
@click.option("--signer", required=True, help="The name that the certificate must have.")
@click.option("--issuer", default="", help="Who vouches for that name; the kit's own by default.")
@click.option("--builder", default="", help="For provenance: the builder's id.")
@click.option("--build-type", default="", help="For provenance: the build type, which says how to read the rest.")
@click.option("--source", default="", help="For provenance: git+https://…/owner/repo, without a ref.")
@click.option("--ref", "refs", multiple=True, help="For provenance: a ref of the source, such as 'refs/tags/v*'.")
@click.option("--parameters", default="", help="For provenance: every external parameter: JSON, or a file of it.")
@click.option("--trust-config", type=FILE, help="Whom to trust; the learner's workspace by default.")
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
    """Verify a statement about a file step by step; ends with 1 when a step fails.

    What you do not ask for is shown as not asked. `--parameters` is an object of every parameter that may be there,
    each with the value that it must have, or null for any.
    """
    from chainlab.digests import Digest
    from chainlab.evidence.verifying import Expectations, Signer
    from chainlab.evidence.verifying import verify as check
    from chainlab.trust.issuer import CI_ISSUER, ISSUER

    by = Signer(signer, issuer or (CI_ISSUER if signer.startswith("https://") else ISSUER))
    verdict = check(
        bundle.read_bytes(),
        Digest.of_file(file),
        Expectations(
            by,
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
    """The external parameters that are expected: JSON, or the name of a file with it."""
    from chainlab.evidence.statements import parse_json

    try:
        data = text.encode() if text.lstrip().startswith("{") else Path(text).read_bytes()
    except (OSError, ValueError) as error:
        raise MalformedInput(
            "--parameters cannot be read", why=str(error), hint="give JSON, or a file of it"
        ) from error
    found = parse_json(data, "--parameters")
    if not isinstance(found, dict):
        raise MalformedInput("--parameters is not a JSON object", hint="""such as '{"workflow": null, "inputs": {}}'""")
    return found


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
        raise MalformedInput(f"no predicate type is called {kind!r}", hint=f"one of {', '.join(TYPES)}, or a URI")
    return kind


def _config(path: Path | None = None) -> ClientTrustConfig:
    """Whom to trust: a file, a job's own configuration, or the learner's workspace."""
    import os

    from sigstore.models import ClientTrustConfig

    from chainlab.workspace import learner_workspace

    named = os.environ.get("CHAINLAB_TRUST_CONFIG")
    found = path or (Path(named) if named else learner_workspace().trust / "trust_config.json")
    try:
        return ClientTrustConfig.from_json(found.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unavailable("there is no trust configuration here", hint="run `chainlab start` once") from error
    except ValueError as error:
        raise MalformedInput(f"{found.name} is no trust configuration", why=str(error)[:200]) from error


commands = [attest, verify]
