"""The wall around untrusted code: a job of the CI host, or an attack payload.

What a job may reach of the machine is said here: `view` has the file system, `wall` everything else, and the ports are
those of `chainlab.ci.runs.relay`. What it may reach of the services, and how long its tokens live, is said in
`chainlab.ci.runs.job_access`. `launch` and `probe` run inside; `slots` gives each sandbox a user of its own.
"""

from chainlab.sandbox.wall import EscapeAttempt, Sandbox

__all__ = ["EscapeAttempt", "Sandbox"]
