"""The wall around untrusted code, a CI job or an attack payload: what it may reach of the machine.

`view` has the files that a job sees, `wall` everything else; its ports are those of `chainlab.ci.runs.relay`. What it
may reach of the services is in `chainlab.ci.runs.rights` and `job_access`. `launch` and `probe` run inside; `slots`
gives each sandbox a user of its own.
"""

from chainlab.sandbox.wall import EscapeAttempt, Sandbox

__all__ = ["EscapeAttempt", "Sandbox"]
