"""Rules for single cells: no network, no absolute paths, no unseeded randomness, no long code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from chainlab.course.authoring.lesson_source import Cell, LessonProblem, LessonSource, parse_code

__all__ = ["code_problems", "prose_problems"]

CODE_LINES = 15  # of a cell: what a reader takes in at once
LONG_CODE_LINES = 45  # of exercise, check and wrong cells

# Hosts on this machine, and names reserved for examples (RFC 2606, RFC 6761).
LOCAL = re.compile(
    r"(?:[\w.-]+\.)?(?:localhost|example\.(?:com|org|net)|example|test|invalid)|127\.[\d.]+|\[::1\]|0\.0\.0\.0"
)
URL = re.compile(r"https?://(?P<host>\[[0-9a-f:]+\]|[\w.-]*)(?P<rest>[\w./-]*)")
# Identifiers in the form of an address that are never opened: predicate types, schemas, OIDC issuers.
NAMES = (
    "https://in-toto.io/",
    "https://slsa.dev/",
    "https://cyclonedx.org/",
    "https://spdx.org/",
    "https://openvex.dev/",
    "https://token.actions.githubusercontent.com",
    "https://actions.github.io/buildtypes/",
    "https://model_signing/",
    "https://github.com/acme",
    "https://github.com/northwind-ml",
)
REGISTRIES = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:com|org)|(?:hub|registry)\.docker\.\w+|docker\.io|ghcr\.io|quay\.io"
    r"|crates\.io|rubygems\.org|huggingface\.co|repo\.maven\.\w+)\b"
)
ABSOLUTE = re.compile(
    r"(?:/(?:home|root|tmp|var|usr|etc|opt|mnt|srv|Users|private|workspace|work|content)(?:/|$)|[A-Za-z]:[\\/]|~/)"
)
UNSEEDED = re.compile(
    r"\b(?:random\.(?:random|randint|randrange|choice|choices|shuffle|sample|uniform)\("
    r"|np\.random\.(?!default_rng|Generator)\w+\(|default_rng\(\s*\)|Random\(\s*\))"
)


def code_problems(lesson: LessonSource, cell: Cell) -> Iterator[LessonProblem]:
    """Report magics, installers, live addresses, absolute paths, unseeded randomness and long cells."""
    name = lesson.name
    for line, text in cell.numbered:
        if re.match(r"\s*(?:%%?\w|!\S)", text):
            yield LessonProblem(name, line, "no '%' magic and no '!' command: plain Python runs everywhere")
        if re.search(r"\bpip3?\s+install\b", text):
            yield LessonProblem(name, line, "no 'pip install': the environment is locked")
        if "NBVAL_" in text:
            yield LessonProblem(name, line, "no NBVAL_ comment: every cell counts")
        for url in URL.finditer(text):
            if not _allowed(url):
                yield LessonProblem(name, line, f"live address {url[0]}: use loopback, '.localhost' or example.com")
        if UNSEEDED.search(text):
            yield LessonProblem(name, line, "unseeded randomness: make a Random(seed)")
        if REGISTRIES.search(text):
            yield LessonProblem(name, line, "the host name of a package registry: write its name (PyPI)")
    limit = LONG_CODE_LINES if {"exercise", "check", "wrong"} & set(cell.tags) else CODE_LINES
    length = len([text for _, text in cell.numbered if text.strip()])
    if length > limit:
        yield LessonProblem(name, cell.line, f"{length} lines of code in one cell; at most {limit}")
    try:
        tree = parse_code(cell)
    except SyntaxError as error:
        if not re.search(r"(?m)^\s*[%!]", cell.source):
            yield LessonProblem(name, cell.line + (error.lineno or 1), f"not Python: {error.msg}")
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ABSOLUTE.match(node.value):
            yield LessonProblem(
                name,
                cell.line + node.lineno,
                f"absolute path {node.value!r}: use lab.path or lab.data",
            )


def prose_problems(lesson: LessonSource, cell: Cell) -> Iterator[LessonProblem]:
    """Report registries' host names, and what a page would load from the network."""
    for line, text in cell.numbered:
        if REGISTRIES.search(text):
            yield LessonProblem(lesson.name, line, "the host name of a package registry: write its name (PyPI)")
        if re.search(r"(?:src|href)=\"https?://|!\[[^\]]*\]\(https?://", text):
            yield LessonProblem(lesson.name, line, "an image or page from the network: the course is offline")


def _allowed(url: re.Match[str]) -> bool:
    host = url["host"]
    return not host or LOCAL.fullmatch(host) is not None or url[0].startswith(NAMES)
