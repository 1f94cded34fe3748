"""The client of the Rego process: asks what the rules report, and accepts only a whole answer.

    >>> with RegoClient(policy) as rego:                                       # doctest: +SKIP
    ...     report = rego.ask(document)
    >>> report["pins"]["result"]                                               # doctest: +SKIP
    'passed'

The process starts and reads the rules while its caller still collects the facts.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chainlab.errors import ChainlabError, Unavailable
from chainlab.evidence.statements import parse_json
from chainlab.policy.limits import Limits
from chainlab.policy.policy import Policy

__all__ = ["RegoClient", "ask"]

PROGRAM = Path(__file__).with_name("rego_process.py")


class RegoClient:
    """One Rego process for one question; leaving the context ends it."""

    def __init__(self, policy: Policy, *, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None
        self._rules = _line(
            {
                "modules": dict(policy.modules),
                "expected": dict(policy.expected),
                "seconds": max(1, round(self._limits.rule_seconds + 0.5)),
                "bytes": self._limits.rule_memory,
            }
        )

    def __enter__(self) -> RegoClient:
        environment = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows needs it
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=PROGRAM.parent,
            )
        except OSError as error:
            raise Unavailable("the Rego process cannot be started", why=str(error)) from error
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended already: `ask` says why
                self._process.stdin.write(self._rules)
                self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with self._process:  # closes the pipes, and waits
                self._process.kill()
            self._process = None

    def ask(self, facts: bytes) -> Mapping[str, Any]:
        """Return the rules' report on a facts document (JSON on one line): each rule's verdict.

        Raises `ChainlabError` when the answer is missing, late or cannot be read.
        """
        text = facts + b"\n"
        answer = self._answer(text)
        try:
            document = parse_json(answer, "the answer")
            [report] = document["expressions"]
        except (ChainlabError, KeyError, TypeError, ValueError) as error:
            raise ChainlabError(
                "the rules' answer cannot be read",
                why="the report is undefined" if answer.strip() in (b"{}", b"undefined") else str(error),
                hint="evaluate the policy alone, and look for a rule without a default",
            ) from error
        if not isinstance(report, dict):
            raise ChainlabError("the rules gave no report", why=f"the answer is {str(report)[:80]}")
        return report

    def _answer(self, text: bytes) -> bytes:
        if self._process is None:
            raise Unavailable("the Rego process is not running", hint="use it as a context manager")
        try:
            answer, message = self._process.communicate(text, timeout=self._limits.rule_seconds)
        except subprocess.TimeoutExpired as error:
            raise ChainlabError(
                f"the rules did not answer within {self._limits.rule_seconds:g} s",
                hint="look for a rule that compares every entry with every other",
            ) from error
        status = self._process.returncode
        if status < 0:
            raise ChainlabError(
                f"signal {-status} ended the Rego process",
                why="it crashed, or used more time or memory than it may",
                hint="undo the last change of the policy; look at the size of the evidence",
            )
        if status != 0:
            raise ChainlabError(
                "the rules cannot be evaluated",
                why=message.decode(errors="replace")[:1000].strip(),
                hint="fix the policy: each rule has to accept any facts",
            )
        return answer


def ask(policy: Policy, facts: Mapping[str, Any], *, limits: Limits | None = None) -> Mapping[str, Any]:
    """Return the rules' report on facts that are at hand. Raises as `RegoClient.ask`."""
    with RegoClient(policy, limits=limits) as worker:
        return worker.ask(json.dumps(facts, allow_nan=False).encode())


def _line(part: Mapping[str, Any]) -> bytes:
    """One line of the question."""
    return json.dumps(part, allow_nan=False).encode() + b"\n"
