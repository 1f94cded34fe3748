"""Interpreters: which one a site-packages folder belongs to, and its values of PEP 508's markers, without running it.

    >>> markers_of(Path(".venv/lib/python3.12/site-packages"))["python_version"]          # doctest: +SKIP
    '3.12'

PEP 405 (pyvenv.cfg), PEP 425 (tags of installed wheels), PEP 508 (markers).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.markers import default_environment

from chainlab.errors import MalformedInput
from chainlab.evidence.components import PREFIX

__all__ = ["described", "home", "markers_here", "markers_of", "site_packages"]


def markers_here(markers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values of PEP 508's markers for this interpreter, save those that are given."""
    return {
        **{name: str(value) for name, value in default_environment().items()},
        **(markers or {}),
    }


def described(markers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """For which interpreter a document speaks: two properties of it."""
    platform = f"{markers['sys_platform']} {markers['platform_machine']}"
    return (
        (f"{PREFIX}environment:python", markers["python_full_version"]),
        (f"{PREFIX}environment:platform", platform),
    )


def site_packages(path: Path) -> Path:
    """The site-packages folder of an environment, of its interpreter, or ``path`` itself when it is one.

    Raises `MalformedInput` where there is none.
    """
    path = path.absolute()  # not resolved: an environment's python is a link out of it
    if path.is_file() or (path.is_symlink() and not path.is_dir()):
        path = path.parent.parent  # …/bin/python
    candidates = [*sorted(path.glob("lib/python3*/site-packages")), path / "Lib" / "site-packages"]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    if path.is_dir() and any(path.glob("*.dist-info")):
        return path
    raise MalformedInput(
        f"{path.name or path} is no environment",
        why="it has no lib/python3…/site-packages and no *.dist-info folders",
        mend="name a virtual environment, its python, or a site-packages folder",
    )


def markers_of(folder: Path, tags: Iterable[str] = ()) -> dict[str, str]:
    """The values of PEP 508's markers for the interpreter that owns ``folder``, without running it.

    Its version is in pyvenv.cfg or in the folder's name, its platform in the tags of installed wheels; the rest is this
    machine's.
    """
    values = markers_here()
    version = _version(folder)
    if version:
        own = values["python_full_version"].startswith(f"{version}.")
        full = version if version.count(".") == 2 else values["python_full_version"] if own else f"{version}.0"
        values["python_version"] = ".".join(full.split(".")[:2])
        values["python_full_version"] = values["implementation_version"] = full
    for tag in tags:
        platform = tag.rpartition("-")[2]
        if platform.startswith(("manylinux", "musllinux", "linux")):
            system = ("linux", "Linux", "posix")
        elif platform.startswith("macosx"):
            system = ("darwin", "Darwin", "posix")
        elif platform.startswith("win"):
            system = ("win32", "Windows", "nt")
        else:
            continue
        values["sys_platform"], values["platform_system"], values["os_name"] = system
        if match := re.search(r"(x86_64|aarch64|arm64|amd64|i686|armv7l|ppc64le|s390x)$", platform):
            values["platform_machine"] = "AMD64" if match[1] == "amd64" else match[1]
        break
    return values


def home(folder: Path) -> Path:
    """The environment that a site-packages folder belongs to; itself where the layout is another."""
    if folder.name != "site-packages":
        return folder
    return folder.parents[1] if folder.parent.name.lower() == "lib" else folder.parents[2]


def _version(folder: Path) -> str:
    for parent in (folder.parents[2] if len(folder.parents) > 2 else folder, folder.parent.parent):
        config = parent / "pyvenv.cfg"
        if config.is_file():
            text = config.read_text(encoding="utf-8", errors="replace")
            match = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)", text, re.MULTILINE)
            if match:
                return match[1]
    match = re.fullmatch(r"python(3\.\d+)", folder.parent.name)
    return match[1] if match else ""
