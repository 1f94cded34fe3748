"""Git repositories of the CI host, and git's own programs."""
