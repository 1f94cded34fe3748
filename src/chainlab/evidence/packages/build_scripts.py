"""Build scripts: what building an sdist would run besides describing the package. They are read, never run.

    >>> [finding.message for finding in check_script(b"import subprocess", "setup.py")[0]]
    ['imports subprocess']

PEP 517 (build backends), PEP 518 (build requirements).
"""

from __future__ import annotations

import ast
import tomllib
import warnings
from collections.abc import Iterator
from typing import Any

from chainlab.evidence.findings import Finding

__all__ = ["backend_modules", "check_backend", "check_script"]

RISKY_MODULES = frozenset(
    {"base64", "ctypes", "ftplib", "http", "marshal", "requests"}
    | {"smtplib", "socket", "subprocess", "telnetlib", "urllib", "webbrowser"}
)
RISKY_CALLS = frozenset({"exec", "eval", "compile", "__import__"})
READ = "read the script and its pyproject.toml before it is built"


def check_script(data: bytes, name: str) -> tuple[list[Finding], list[tuple[str, str]]]:
    """Find what a build script does besides describing a package.

    Returns the findings, and what is not scanned: the script with the reason, if it cannot be parsed.
    """
    hint = "install a wheel instead, or read the script before it runs"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the code that is read
            nodes = list(ast.walk(ast.parse(data)))
        risks = [(getattr(node, "lineno", 0), message) for node in nodes if (message := _risk(node))]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [], [(name, f"cannot be parsed: {error}")]
    return [Finding("install-hook", "high", f"{name}:{line}", message, hint) for line, message in risks], []


def _risk(node: ast.AST) -> str:
    if isinstance(node, ast.keyword) and node.arg == "cmdclass":
        return "replaces a command of the build (cmdclass)"
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        risky = sorted({m.split(".")[0] for m in modules} & RISKY_MODULES)
        return f"imports {', '.join(risky)}" if risky else ""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)[:60]
        if called in RISKY_CALLS or called.startswith(("os.system", "os.popen", "os.exec")):
            return f"calls {called}"
    return ""


def check_backend(pyproject: bytes) -> Iterator[Finding]:
    """Find what a pyproject.toml makes an installer run or fetch, other than a build backend from the index."""
    system = _build_system(pyproject)
    if system is None:
        yield Finding("build-system", "high", "pyproject.toml", "cannot be read", READ)
        return
    if system.get("backend-path"):
        message = f"its build backend is in the package itself: {system.get('build-backend')}"
        yield Finding("own-backend", "medium", "pyproject.toml", message, "install a wheel instead")
    requires = system.get("requires") or []
    for requirement in requires if isinstance(requires, list) else [requires]:
        if "@" in str(requirement):
            message = f"the build downloads {requirement}"
            yield Finding("build-requirement", "high", "pyproject.toml", message, READ)


def backend_modules(pyproject: bytes, files: dict[str, bytes]) -> list[str]:
    """Name the files of a build backend that lies in the package itself."""
    paths = (_build_system(pyproject) or {}).get("backend-path") or []
    folders = [str(path).strip("./") for path in (paths if isinstance(paths, list) else [paths])]
    return [
        name
        for name in sorted(files)
        if name.endswith(".py")
        and name != "setup.py"
        and any(name.startswith(f"{f}/") if f else "/" not in name for f in folders)
    ]


def _build_system(pyproject: bytes) -> dict[str, Any] | None:
    try:
        system = tomllib.loads(pyproject.decode("utf-8")).get("build-system", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return None
    return system if isinstance(system, dict) else None
