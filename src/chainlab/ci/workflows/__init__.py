"""Workflow files: read, validated, and their expressions evaluated."""
