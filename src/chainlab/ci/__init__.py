"""A CI host on one laptop: git remotes, a mirror of actions, cache, artifacts, and the runs themselves."""
