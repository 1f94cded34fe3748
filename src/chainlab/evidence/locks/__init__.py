"""Lock files: requirements.txt, pylock.toml, and the one lock of a release."""
