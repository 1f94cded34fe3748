"""An environment with planted blind spots, the wheels and the lock it was installed from."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import venv
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

AT = datetime(2026, 5, 11, 19, 20, 39, tzinfo=UTC)
# name, version: its metadata beyond these two, and its files
PLANTED: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("acme-service", "1.4.0"): (
        "License-Expression: mit or Apache-2.0\nAuthor-email: Acme <dev@acme.example>\n"
        "Requires-Dist: acme-cells[fast]>=1\nRequires-Dist: acme_gone>=2\n"
        "Requires-Dist: acme-windows; sys_platform == 'win32'\n"
        "Requires-Dist: acme-checks; extra == 'test'\nProvides-Extra: test\n",
        {"acme_service/__init__.py": "import importlib\nimportlib.import_module('acme_' + 'x')\n"},
    ),
    ("Acme.Cells", "1.2.0"): (
        "License: BSD\nClassifier: License :: OSI Approved :: BSD License\nMaintainer: Acme Data\n"
        "Requires-Dist: acme-speed; extra == 'fast'\nRequires-Dist: acme-plot; extra == 'draw'\n"
        "Provides-Extra: fast\nProvides-Extra: draw\n",
        {
            "cells/__init__.py": "__import__('numpy')\n",
            "cells/_vendor/leftpad/__init__.py": "",
            "cells/_vendor/leftpad-0.3.1.dist-info/METADATA": "",
            "cells/_vendor/six.py": "",
        },
    ),
    ("acme-speed", "2.0.0"): (
        "License: MIT License\nAuthor: Acme\nRequires-Dist: acme-cells\n",
        {
            "acme_speed/core.cpython-311-x86_64-linux-gnu.so": "",
            "acme_speed.libs/libfast-1a2b.so.3": "",
        },
    ),
    ("acme-checks", "0.1"): ("License-Expression: LicenseRef-Acme\n", {"acme_checks.py": ""}),
}


def wheel_of(name: str, version: str, fields: str, files: Mapping[str, str]) -> tuple[str, bytes]:
    """A wheel, the same bytes each time, and its name."""
    stem = f"{name.lower().replace('-', '_').replace('.', '_')}-{version}"
    about = f"{stem}.dist-info"
    body = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{fields}\nProse: of no matter\n"
    tag = "cp311-cp311-linux_x86_64" if any(".so" in f for f in files) else "py3-none-any"
    contents = {
        **files,
        f"{about}/METADATA": body,
        f"{about}/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}\n",
    }
    rows = []
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{path},sha256={digest.decode()},{len(text.encode())}")
    contents[f"{about}/RECORD"] = "\n".join([*rows, f"{about}/RECORD,,", ""])
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
    return f"{stem}-{tag}.whl", data.getvalue()


@pytest.fixture(scope="session")
def at() -> datetime:
    return AT


@pytest.fixture(scope="session")
def planted_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the planted packages as wheels."""
    folder = tmp_path_factory.mktemp("planted") / "wheels"
    folder.mkdir()
    for (name, version), (fields, files) in PLANTED.items():
        file, data = wheel_of(name, version, fields, files)
        (folder / file).write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def planted(planted_wheels: Path) -> Path:
    """A virtual environment with the planted packages, and a module that nobody installed."""
    home = planted_wheels.parent / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = [*home.glob("lib/python3*/site-packages"), *home.glob("Lib/site-packages")]
    for wheel in planted_wheels.iterdir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    (site / "stranger").mkdir()
    (site / "stranger" / "__init__.py").write_text("")
    return home


@pytest.fixture(scope="session")
def planted_lock(planted_wheels: Path) -> Path:
    """A lock of the planted packages: two files each, except for acme-checks; one is for another platform."""
    lines = ["# by hand", "--index-url https://user:secret@index.acme.example/simple"]
    via = {
        "acme-service": "-r service.in",
        "acme-cells": "acme-service",
        "acme-speed": "acme-cells",
    }
    for wheel in sorted(planted_wheels.iterdir()):
        name, version = wheel.name.split("-")[:2]
        name = name.replace("_", "-")
        digests = [hashlib.sha256(wheel.read_bytes()).hexdigest()]
        digests += [hashlib.sha256(name.encode()).hexdigest()] if name != "acme-checks" else []
        lines.append(f"{name}=={version} \\")
        lines.append(" \\\n".join(f"    --hash=sha256:{d}" for d in digests))
        lines.append(f"    # via {via.get(name, '-r checks.in')}")
    lines += ["acme-windows==9 ; sys_platform == 'win32' \\", f"    --hash=sha256:{'0' * 64}"]
    path = planted_wheels.parent / "requirements.lock"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder ``closed`` that cannot be listed; the system refuses it to all but root."""
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refusing(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
