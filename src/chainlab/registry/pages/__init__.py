"""Pages for a browser: artifacts, digests, log entries and a search."""
