"""Evidence about artifacts: made, signed, verified, matched with advisories."""
