"""Conda packages: everything that conda installed in an environment, for Python or not.

    >>> packages, spots = read_records(Path("miniconda3/envs/lab"))
    >>> packages[0].component.purl                                                           # doctest: +SKIP
    'pkg:conda/openssl@3.0.13?build=h7f8727e_0&channel=main&subdir=linux-64'

conda keeps a JSON file for each package in ``conda-meta``. A Python package that it installed has metadata in
site-packages, too; `CondaPackage.infos` finds them, so that the package is listed once.

conda, "PrefixRecord"; Package URL types, "conda".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packageurl import PackageURL

from chainlab.errors import MalformedInput
from chainlab.evidence.components import ALGORITHMS, PREFIX, BlindSpot, Component, printable, without_credentials
from chainlab.evidence.packages.licences import read_licence
from chainlab.evidence.packages.versions import MAX_VERSION
from chainlab.evidence.statements import parse_json

__all__ = ["CondaPackage", "read_records", "with_packages"]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
INFO = re.compile(r"[^/]+\.(?:dist|egg)-info$")


@dataclass(frozen=True)
class CondaPackage:
    """One record of conda-meta."""

    component: Component
    needs: tuple[str, ...]  # names of conda packages
    files: tuple[str, ...]  # below the environment

    @property
    def infos(self) -> set[str]:
        """The folders or files with metadata of Python packages that it installed."""
        return {path for file in self.files for path in (file, file.rpartition("/")[0]) if INFO.search(path)}


def read_records(prefix: Path) -> tuple[list[CondaPackage], list[BlindSpot]]:
    """Read the records in conda-meta; name those that cannot be read."""
    packages, spots = [], []
    for file in sorted(prefix.glob("conda-meta/*.json")):
        try:
            packages.append(_package(file))
        except (MalformedInput, OSError, ValueError) as error:
            reason = error.message if isinstance(error, MalformedInput) else str(error)
            spots.append(BlindSpot("unreadable", f"conda-meta/{printable(file.name)}: {reason}"))
    return packages, spots


def with_packages(
    components: Sequence[Component], packages: Sequence[CondaPackage], by_folder: Mapping[str, str], missing_text: str
) -> tuple[list[Component], list[BlindSpot]]:
    """Add conda's packages to the components; a Python package that conda installed stays one component, and says so.

    ``by_folder`` are refs by the name of the folder or file in site-packages with the metadata; ``missing_text`` is
    the blind spot's text for a package that is required and not listed.
    """
    refs: dict[str, str] = {}  # by name of the conda package
    ref_of: dict[str, str] = {}  # by purl of the conda package
    for package in packages:
        installed = sorted(by_folder[f] for path in package.infos if (f := path.rpartition("/")[2]) in by_folder)
        ref = installed[0] if installed else package.component.ref
        refs[package.component.name] = ref_of[package.component.ref] = ref
    spots = []
    by_ref = {c.ref: c for c in components}
    for package in packages:
        conda_ref = package.component.ref
        ref = ref_of[conda_ref]
        component = by_ref.get(ref, replace(package.component, complete=True))
        needed = {refs[name] for name in package.needs if name in refs} - {ref}
        missing = sorted(n for n in package.needs if n not in refs and not n.startswith("__"))  # __glibc: the machine's
        spots += [BlindSpot("missing", f"{name} {missing_text}", ref) for name in missing]
        note = ((f"{PREFIX}installed-by-conda", conda_ref),) if ref != conda_ref else ()
        by_ref[ref] = replace(
            component,
            requires=tuple(sorted({*component.requires, *needed})),
            properties=(*component.properties, *note),
            complete=component.complete and not missing,
        )
    return list(by_ref.values()), spots


def _package(file: Path) -> CondaPackage:
    record = parse_json(file.read_bytes(), "it")
    if not isinstance(record, dict):
        raise MalformedInput("it is not an object")
    texts = {key: value for key, value in record.items() if isinstance(value, str)}
    if not NAME.fullmatch(texts.get("name", "")) or not 0 < len(texts.get("version", "")) <= MAX_VERSION:
        raise MalformedInput(f"it has no name, or no version of at most {MAX_VERSION} characters")
    subdir = texts.get("subdir", "")
    channel = without_credentials(texts.get("channel", "")).rstrip("/").removesuffix(f"/{subdir}").rpartition("/")[2]
    qualifiers = {"build": texts.get("build", ""), "channel": channel, "subdir": subdir}
    purl = PackageURL("conda", None, texts["name"], texts["version"], {k: v for k, v in qualifiers.items() if v})
    hashes = {
        ALGORITHMS[name]: texts[name].lower()
        for name, digits in (("md5", 32), ("sha256", 64))
        if re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", texts.get(name, ""))
    }
    expression, licence_name = read_licence("", texts.get("license", ""), [])
    component = Component(
        texts["name"],
        texts["version"],
        purl.to_string(),
        hashes=hashes,
        hash_origin="index" if hashes else "",
        licence=expression,
        licence_name=licence_name,
        scope="required",
        found_in=f"conda-meta/{file.name}",
    )
    needs = tuple(text.split()[0] for text in _texts(record.get("depends")) if text.split())
    return CondaPackage(component, needs, tuple(_texts(record.get("files"))))


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
