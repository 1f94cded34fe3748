"""Workflow runs: rights, jobs, and what each job left."""
