"""Actions: the `uses:` lines, the mirror that resolves them, and the pinner."""
