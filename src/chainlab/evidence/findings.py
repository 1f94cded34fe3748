"""Findings: what an inspection found in files, and which files it could not scan.

    >>> report = InspectionReport(scanned=("model.onnx",), not_scanned=(("model.pkl.gz", "compressed"),))
    >>> report.passed
    False

"Not scanned" is not "clean": a report passes only when every file was scanned and nothing speaks against one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chainlab.characters import join_lines

__all__ = ["Finding", "InspectionReport"]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that speaks against a file."""

    kind: str  # a word to count by, such as `unsafe-pickle`
    severity: str  # high, medium, or info (no reason to refuse)
    where: str  # file, and member or line
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = [f"  Help: {self.hint}"] if self.hint else []
        return join_lines([f"{self.severity}: {self.where}: {self.message}", *hint])


@dataclass(frozen=True)
class InspectionReport:
    """The report of an inspection; ``not_scanned`` holds names, each with the reason."""

    scanned: tuple[str, ...] = ()
    not_scanned: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, reports: Iterable[InspectionReport]) -> InspectionReport:
        """Join several reports."""
        parts = list(reports)
        return cls(
            tuple(name for part in parts for name in part.scanned),
            tuple(entry for part in parts for entry in part.not_scanned),
            tuple(finding for part in parts for finding in part.findings),
        )

    @property
    def passed(self) -> bool:
        """Whether something was scanned, nothing was left out, and nothing is worse than info."""
        bad = any(finding.severity != "info" for finding in self.findings)
        return bool(self.scanned) and not self.not_scanned and not bad

    def __str__(self) -> str:
        lines = [f"{len(self.scanned)} scanned, {len(self.not_scanned)} not scanned"]
        lines += [f"not scanned: {name}: {why}" for name, why in self.not_scanned]
        return "\n".join([join_lines(lines), *map(str, self.findings)])
