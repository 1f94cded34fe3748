"""The course: its manifest, its lessons and what is derived from them, its checks, hints and progress."""
