"""Facts about a release: read, verified, and written down for the rules."""
