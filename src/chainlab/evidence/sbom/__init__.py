"""Software bills of materials: built, read, validated, compared and merged as CycloneDX."""
