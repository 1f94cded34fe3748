"""VEX: statements about vulnerabilities in a product, in CycloneDX and OpenVEX."""
