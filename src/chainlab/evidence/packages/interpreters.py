"""Interpreters: which one owns a site-packages folder, and its values of PEP 508's markers. No interpreter is run.

    >>> markers_of(Path(".venv/lib/python3.12/site-packages"))["python_version"]          # doctest: +SKIP
    '3.12'

PEP 405 (pyvenv.cfg), PEP 425 (tags of installed wheels), PEP 508 (markers).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.markers import default_environment

from chainlab.errors import MalformedInput
from chainlab.evidence.components import PREFIX, BlindSpot, printable

__all__ = [
    "INFO",
    "environment_of",
    "interpreter_properties",
    "is_environment",
    "markers_here",
    "markers_of",
    "other_folders",
    "site_packages",
]

CONFIG = "pyvenv.cfg"
CONDA = "conda-meta"
NAMES = ("site-packages", "dist-packages")  # the second on Debian
INFO = (".dist-info", ".egg-info", ".egg", ".egg-link")  # suffixes of what an installation leaves
LAYOUTS = (
    "lib/python3.*/site-packages",
    "lib64/python3.*/site-packages",
    "lib/pypy3.*/site-packages",
    "local/lib/python3.*/dist-packages",
    "lib/python3.*/dist-packages",
    "lib/python3/dist-packages",
    "Lib/site-packages",
)


def markers_here(markers: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values of PEP 508's markers for this interpreter; ``markers`` replace some of them."""
    return {
        **{name: str(value) for name, value in default_environment().items()},
        **(markers or {}),
    }


def interpreter_properties(markers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The two properties of a document that say for which interpreter it holds."""
    platform = f"{markers['sys_platform']} {markers['platform_machine']}"
    return (
        (f"{PREFIX}environment:python", markers["python_full_version"]),
        (f"{PREFIX}environment:platform", platform),
    )


def site_packages(path: Path) -> Path:
    """Find the site-packages folder of an environment or of its interpreter; ``path`` may also be that folder.

    An environment may have several Pythons: the interpreter that ``path`` names decides, or else pyvenv.cfg. Raises
    `MalformedInput` for any other path, and where nothing decides.
    """
    path = original = path.absolute()  # not resolved: an environment's python is a link out of it
    program = ""
    if path.is_file() or (path.is_symlink() and not path.is_dir()):
        program = path.name
        path = path.parent.parent if path.parent.name.lower() in ("bin", "scripts") else path.parent
    folders = _folders(path)
    if folders:
        version = _choose_version(path, program, list(folders))
        return folders[version][0]
    if path.is_dir() and (path.name in NAMES or (path / CONDA).is_dir() or _count_packages(path)):
        return path
    raise MalformedInput(
        f"not an environment: {original.name or original}",
        why="it has no lib/python3…/site-packages, no *.dist-info and no *.egg-info",
        hint="name a virtual environment, its python, or a site-packages folder",
    )


def is_environment(path: Path) -> bool:
    """Whether a folder is an environment, and not the source of a project."""
    if (path / CONFIG).is_file() or (path / CONDA).is_dir() or path.name in NAMES or any(path.glob("*.dist-info")):
        return True
    is_source = any((path / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg"))
    return not is_source and bool(_folders(path) or _count_packages(path))


def other_folders(folder: Path) -> tuple[list[Path], list[BlindSpot]]:
    """Find the folders that the same Python imports from after ``folder``, and name those that are missing.

    They are the second half of a divided installation (lib64, dist-packages), the folders that ``.pth`` files add, and
    those of the base Python if pyvenv.cfg includes system site packages.
    """
    prefix = environment_of(folder)
    by_version = _folders(prefix) if prefix != folder else {}
    own = folder.resolve()
    versions = [version for version, folders in by_version.items() if any(f.resolve() == own for f in folders)]
    version = next(iter(versions), _version_of_folder(folder))
    others = [f for f in by_version.get(version, ()) if f.resolve() != own]
    spots = [
        BlindSpot("other python", f"{count} packages in {one.relative_to(prefix).as_posix()}, for another Python")
        for other, folders in sorted(by_version.items())
        for one in folders
        if other != version and (count := _count_packages(one))
    ]
    added_folders, missing_folders = _pth_folders(folder)
    others += [f for f in added_folders if f.resolve() not in {own, *(other.resolve() for other in others)}]
    spots += missing_folders
    if _read_config(prefix).get("include-system-site-packages", "").lower() == "true":
        system = _base_folders(prefix, version)
        others += system
        missing = "the user's own" if system else "those of its base Python, which is not here, and the user's own"
        spots.append(BlindSpot("not looked for", f"system site packages: {missing}"))
    return others, spots


def _base_folders(prefix: Path, version: str) -> list[Path]:
    """Folders of the base Python of an environment, if the environment's interpreter is a link to it."""
    base = Path(_read_config(prefix).get("home", ""))
    base = base.parent if base.name.lower() == "bin" else base
    program = Path(os.path.realpath(prefix / "bin" / "python"))  # Path.resolve raises for links in a circle
    if not base.is_absolute() or not program.is_relative_to(os.path.realpath(base)):
        return []  # the environment may come from another machine, and this base be another Python
    folders = _folders(base)
    return folders.get(version) or folders.get("", [])


def markers_of(folder: Path, tags: Iterable[str] = ()) -> dict[str, str]:
    """The values of PEP 508's markers for the interpreter that owns ``folder``, without running it.

    The version is in pyvenv.cfg or in the folder's name, the platform in the ``tags`` of installed wheels; the rest is
    this machine's.
    """
    values = markers_here()
    version = _exact_version(folder)
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


def environment_of(folder: Path) -> Path:
    """The environment that a site-packages folder belongs to; the folder itself in any other layout."""
    if folder.name not in NAMES or len(folder.parents) < 3:
        return folder
    if folder.parent.name.lower() == "lib":
        return folder.parents[1]
    prefix = folder.parents[2]
    return prefix.parent if prefix.name == "local" and folder.name == "dist-packages" else prefix


def _exact_version(folder: Path) -> str:
    """The version of the Python that owns a folder, as exact as the files of its environment say."""
    of_folder, prefix = _version_of_folder(folder), environment_of(folder)
    conda = [f.name.split("-")[1] for f in sorted(prefix.glob(f"{CONDA}/python-3.*.json"))]
    exact = _configured_version(prefix) or next(iter(conda), "")
    is_another = of_folder != _minor(exact) and _minor(exact) in _folders(prefix)
    return of_folder if not exact or is_another else exact


def _choose_version(prefix: Path, program: str, versions: list[str]) -> str:
    """Choose the version that an environment's Python has. Raises `MalformedInput` where nothing decides."""
    links = [p.readlink() for p in (prefix / "bin" / "python", prefix / "bin" / "python3") if p.is_symlink()]
    of_links = [_version_in_name(link.name) for link in links]
    candidates = [_version_in_name(program), _minor(_configured_version(prefix)), *of_links]
    version = next(filter(None, candidates), "")
    if version in versions:
        return version
    if version and [v for v in versions if v]:
        raise MalformedInput(
            f"{prefix.name or prefix} has no packages for its Python {version}",
            why=f"the folders there are for Python {', '.join(versions)}",
            hint="name the site-packages folder that is meant",
        )
    if len(versions) == 1:
        return versions[0]
    raise MalformedInput(
        f"{prefix.name or prefix} has several Pythons: {', '.join(versions)}",
        why="nothing says which of them it runs: there is no pyvenv.cfg",
        hint="name its interpreter, such as bin/python3.12, or the site-packages folder",
    )


def _folders(prefix: Path) -> dict[str, list[Path]]:
    """Folders with packages below a prefix by version (3.11), in the order of sys.path; "" for an unknown version."""
    by_version: dict[str, list[Path]] = {}
    seen = set()
    for pattern in LAYOUTS:
        for folder in sorted(prefix.glob(pattern), key=lambda f: (len(f.parent.name), f)):  # 3.13 before 3.13t
            if folder.is_dir() and folder.resolve() not in seen:  # lib64 is often a link to lib
                seen.add(folder.resolve())
                by_version.setdefault(_version_of_folder(folder), []).append(folder)
    shared = by_version.pop("", []) if len(by_version) > 1 else []  # Debian's lib/python3, for every Python 3
    for folders in by_version.values():
        folders += shared
    return by_version


def _pth_folders(folder: Path) -> tuple[list[Path], list[BlindSpot]]:
    """Folders with packages that ``.pth`` files add to sys.path, read as the module site does; and missing ones."""
    folders, spots = [], []
    for file in sorted(folder.glob("*.pth")):
        try:
            lines = re.split(r"\r\n|\r|\n", file.read_bytes().decode("utf-8-sig", "replace"))
        except OSError:
            lines = []
        for line in map(str.rstrip, lines):
            if not line or line.startswith(("#", "import ", "import\t")) or "\0" in line:
                continue
            if _count_packages(folder / line):
                folders.append(folder / line)
            elif not os.path.exists(folder / line):  # noqa: PTH110 - of any length
                message = f"a folder that {printable(file.name)} adds to sys.path, and is not here"
                spots.append(BlindSpot("not looked for", message))
    return folders, spots


def _count_packages(folder: Path) -> int:
    """How many packages left metadata in a folder; 0 for a folder that cannot be read."""
    try:
        return sum(name.endswith(INFO) for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return 0


def _version_of_folder(folder: Path) -> str:
    return _version_in_name(folder.parent.name) if folder.name in NAMES else ""


def _version_in_name(text: str) -> str:
    match = re.match(r"(?:python|pypy)(3\.\d+)", text)
    return match[1] if match else ""


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _configured_version(prefix: Path) -> str:
    """The version in pyvenv.cfg: ``version`` of venv, ``version_info`` of virtualenv and uv."""
    config = _read_config(prefix)
    match = re.match(r"\d+\.\d+(?:\.\d+)?", config.get("version") or config.get("version_info", ""))
    return match[0] if match else ""


def _read_config(prefix: Path) -> dict[str, str]:
    """The keys of pyvenv.cfg, read as the module site does."""
    try:
        lines = (prefix / CONFIG).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}
