"""The platform's own readers of workflows and expressions, asked in batches."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import settings

JS = Path(__file__).parents[1] / "js"
PACKAGE = JS / "node_modules" / "@actions" / "workflow-parser" / "dist"
# What the language service says of an expression in the place of a mapping, which the platform itself takes, of
# `container`, which is left out here, and of `needs`, which `Workflow.parse` looks at.
IGNORED = ("Unexpected type 'BasicExpressionToken'", "Container image", "depends on", "with no dependencies")


def rounds() -> range:
    """Seeds of random inputs: one in the suite, twenty in ``make soak``."""
    return range(max(1, settings.default.max_examples // 100) if settings.default else 1)


def ask(questions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The answer to each question; see ``tests/js/workflows.mjs``."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    command = ["node", "--no-warnings", "workflows.mjs"]
    completed = subprocess.run(command, cwd=JS, input=lines, capture_output=True, text=True, timeout=300, check=True)
    return [json.loads(line) for line in completed.stdout.rstrip("\n").split("\n")]


def refusals(texts: Iterable[str]) -> list[list[str]]:
    """What the platform says against each workflow; nothing where it takes it."""
    return [
        [error for error in answer["errors"] if not any(words in error for words in IGNORED)]
        for answer in ask({"workflow": text} for text in texts)
    ]
