"""The wall around a job, for whoever runs code that is not trusted."""

from chainlab.sandbox.wall import Sandbox

__all__ = ["Sandbox"]
