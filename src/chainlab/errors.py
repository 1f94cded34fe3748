"""Errors that teach: what failed, why, how to fix it, where to read more.

    ChainlabError
    ├── MalformedInput       the input cannot be read
    ├── Refused              a service refuses the request, with an HTTP status
    ├── InUse                another process holds the state directory
    ├── Unavailable          this machine lacks something, or a service does not answer
    ├── VerificationFailed   evidence does not hold
    ├── NotAttempted         an exercise has not been answered yet
    └── Incorrect            an exercise has been answered, and wrongly

A person sees no traceback: a notebook and the command line show ``str(error)`` alone.

    >>> print(MalformedInput("not a digest: 'md5:1'", hint="write 'sha256:' and 64 hex digits"))
    not a digest: 'md5:1'
      Help: write 'sha256:' and 64 hex digits
"""

from __future__ import annotations

from chainlab.characters import join_lines

__all__ = [
    "ChainlabError",
    "InUse",
    "Incorrect",
    "MalformedInput",
    "NotAttempted",
    "Refused",
    "Unavailable",
    "VerificationFailed",
]


class ChainlabError(Exception):
    """The root of the tree; its text is for the person who reads it.

    Each part is one line, whatever it quotes. ``status`` is the HTTP status of a service that responds with the error.
    """

    status: int = 400

    def __init__(self, message: str, *, why: str = "", hint: str = "", see: str = "") -> None:
        self.message = message
        self.why = why
        self.hint = hint
        self.see = see
        super().__init__(message)

    def __str__(self) -> str:
        return join_lines(f"  {label}: {text}" if label else text for label, text in self.parts())

    def parts(self) -> list[tuple[str, str]]:
        """List labels and texts, each one line: first the message, without a label."""
        labelled = self._labelled()
        return [("", _one_line(self.message)), *((label, _one_line(text)) for label, text in labelled if text)]

    def _labelled(self) -> list[tuple[str, str]]:
        return [("Why", self.why), ("Help", self.hint), ("See", self.see)]

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows in place of a traceback; IPython's hook."""
        return [f"{type(self).__name__}: {line}" if i == 0 else line for i, line in enumerate(str(self).splitlines())]


def _one_line(text: str) -> str:
    """Join the lines of a foreign error, such as a YAML parser's, into one."""
    return " ".join(line.strip() for line in str(text).splitlines())


class MalformedInput(ChainlabError, ValueError):
    """The input cannot be read in the expected form."""


class Refused(ChainlabError):
    """A service refuses the request, with the HTTP ``status`` that the real service gives."""

    def __init__(self, status: int, message: str, *, why: str = "", hint: str = "", see: str = "") -> None:
        super().__init__(message, why=why, hint=hint, see=see)
        self.status = status


class InUse(ChainlabError):
    """Another process holds the state directory."""


class Unavailable(ChainlabError):
    """This machine lacks something, or a service does not answer."""

    status = 503


class VerificationFailed(ChainlabError):
    """Evidence does not hold; the message names the step that failed."""


class NotAttempted(ChainlabError):
    """An exercise's cell still holds its starter."""


class Incorrect(ChainlabError):
    """An exercise's answer is wrong; the message names the case, and what to look at.

    ``at`` is the answer's line that raised an exception, ``attempt`` the call with the case's arguments.
    """

    def __init__(
        self, message: str, *, at: str = "", why: str = "", hint: str = "", attempt: str = "", see: str = ""
    ) -> None:
        super().__init__(message, why=why, hint=hint, see=see)
        self.at = at
        self.attempt = attempt

    def _labelled(self) -> list[tuple[str, str]]:
        return [("At", self.at), *super()._labelled()[:-1], ("To try it", self.attempt), ("See", self.see)]
