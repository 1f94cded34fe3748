"""Week 4, attestation and gate."""
