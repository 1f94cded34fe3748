"""The wall around code that is not trusted: a job of the CI host, and whatever else runs what others wrote.

`wall.Sandbox` finds what holds on this machine and gives commands that run behind it. `launch` and `probe` run inside.
"""

from chainlab.sandbox.wall import EscapeAttempt, Sandbox

__all__ = ["EscapeAttempt", "Sandbox"]
