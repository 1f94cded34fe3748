"""The course: its syllabus, its lessons and what is derived from them, its checks, hints and progress."""
