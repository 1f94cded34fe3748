"""Signs distributions with the job's identity: FILE.publish.attestation for each (PEP 740)."""

import os
import sys
from pathlib import Path

from pypi_attestations import Attestation, Distribution
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken, detect_credential
from sigstore.sign import SigningContext

config = ClientTrustConfig.from_json(Path(os.environ["CHAINLAB_TRUST_CONFIG"]).read_text())
config.force_tlog_version = 1  # PEP 740 keeps no RFC 3161 timestamp: only log v1 gives it a time
token = IdentityToken(detect_credential() or sys.exit("the platform gave no identity token"))
with SigningContext.from_trust_config(config).signer(token, cache=True) as signer:
    for name in sys.argv[1:]:
        attestation = Attestation.sign(signer, Distribution.from_file(Path(name)))
        Path(f"{name}.publish.attestation").write_text(attestation.model_dump_json())
        print(f"signed {name}")
