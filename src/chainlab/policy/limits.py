"""Limits of one verdict: how much a hostile release, policy or bundle can use before the gate refuses it.

Collecting the facts and evaluating the rules each happen in a process of their own with these limits. A verdict that
reaches a limit is a no, and its reason names the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Limits of one verdict; the defaults are far above what a release of the course takes."""

    seconds: float = 30.0  # to collect the facts; a release takes 0.2
    memory: int = 2**30  # bytes resident while collecting
    read: int = 2**28  # bytes of release and evidence together, each blob once
    bundle: int = 2**24  # bytes of one bundle
    bundles: int = 200  # bundles looked at; more is an attempt to hide some
    facts: int = 2**25  # bytes of the facts document
    rule_seconds: float = 10.0  # to evaluate the rules; a release takes 0.1
    rule_memory: int = 2**30  # bytes of further address space for the rules
