"""Actions: what `uses:` names, the mirror that serves it, and the pinner."""
