"""Week 3, SBOM."""
