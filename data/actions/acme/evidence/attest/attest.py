"""Sign FILE as KIND says, keylessly, with the job's own identity; the bundle lies beside the file."""

import os
import sys
from pathlib import Path

from sigstore.models import ClientTrustConfig

from chainlab.ci.runs.handover import bundle_name
from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.evidence.models import model_signing
from chainlab.evidence.sbom import schema
from chainlab.evidence.signing import ambient_token, sign
from chainlab.evidence.statements import SBOM, Statement, parse_json


def main() -> None:
    """Sign and write."""
    file, kind = Path(os.environ["FILE"]), os.environ["KIND"]
    config = ClientTrustConfig.from_json(Path(os.environ["CHAINLAB_TRUST_CONFIG"]).read_text())
    if kind == "model":
        bundle = model_signing.sign(file, config, ambient_token())
    elif kind == "sbom":
        document = parse_json(Path(os.environ["PREDICATE"]).read_bytes(), "the SBOM")
        if wrong := schema.problems(document):
            sys.exit(f"refused: what is signed must be valid: {wrong[0]}")
        statement = Statement.about({file.name: Digest.of_file(file)}, SBOM, document)
        bundle = sign(statement, config, ambient_token())
    else:
        sys.exit(f"refused: the kinds are sbom and model, not {kind!r}")
    beside = file.with_name(bundle_name(file.name, kind))
    beside.write_bytes(bundle)
    print(f"{beside.name}: {len(bundle)} bytes")


try:
    main()
except ChainlabError as error:
    sys.exit(f"refused: {error}")
