"""A CI host on one laptop: projects and their settings, git, a mirror of actions, caches, artifacts, workflow runs."""
