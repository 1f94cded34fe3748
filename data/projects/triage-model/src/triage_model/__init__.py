"""Triage of cell measurements: a small model, trained, judged and served. For teaching only."""

__version__ = "1.4.0"
