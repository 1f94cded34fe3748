"""Cases for exercise 3.3: services with planted components, of which some are in and some only look as if.

Each plant belongs to a class and is written together with the reason why it is in the service or not. For a class,
recall is the share of its plants that are in and were found; precision the share of those found that are in.

    >>> service = PlantedService(random.Random(1))
    >>> service.vendored()
    >>> sorted({plant.inside for plant in service.plants})
    [False, True]
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from packaging.utils import canonicalize_name

from chainlab.course.exercises.fixtures.folders import folder
from chainlab.course.learning.checks import Case, LabContext, Miss

__all__ = ["CLASSES", "PlantedComponent", "PlantedService", "cases", "figures", "truth_test"]

SEE = "labs/03_sbom.ipynb, 'What is in the service?'"
TEACHES = {
    "declared, and what that needs": (
        "What `dependencies` names is installed wherever the service is, imported or not; so is what it "
        "requires, and so on; two may require each other. Something that happens to lie in the same folder is not in "
        "the service, and may have no RECORD: then `.files` is None."
    ),
    "a module by another name": (
        "`import sklearn` loads files of scikit-learn, and a package called sklearn is somebody else's. A module "
        "belongs to the distribution whose RECORD lists its file; in a namespace, the longest path decides. What is "
        "imported from a module need not be one, and a module need not be a .py file: then a shorter path is listed."
    ),
    "loaded by name": (
        '`importlib.import_module("…")` and `entry_points(group="…")` load what no import statement names. A '
        "name in a comment or a message loads nothing: look at calls in the syntax tree, not at text."
    ),
    "extras": (
        "`acme-x[fast]` brings in what acme-x requires under `extra == 'fast'`; that marker in another package, "
        "or another extra, brings in nothing. A package that was brought in asks for extras, too."
    ),
    "for developers only": (
        "`dev` is installed here and is not in the service. But who is in is in: the service also imports one of "
        "them, inside a function, and that one needs another."
    ),
    "copied in": (
        "No metadata knows a vendored component. Where its host keeps a list, `_vendor/vendor.txt`, believe it "
        "only for files that are there, only lines with a version, and only in a host that is in the service."
    ),
    "everything at once": "See the classes above, one by one; `truth_test(find, lab.path)` counts them.",
}


CLASSES = ("declared", "renamed", "dynamic", "extra-only", "dev-only", "vendored")
WORDS = [
    "amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heath", "islet", "jetty", "knoll", "larch",
    "maple", "north", "ochre", "pearl", "quill", "ridge", "slate", "thorn", "umber", "vigil", "wharf", "yarrow",
]  # fmt: skip

Find = Callable[[Path, Path], Any]


@dataclass(frozen=True)
class PlantedComponent:
    """One component that is there or seems to be."""

    purl: str
    kind: str  # one of CLASSES
    inside: bool  # the service can load it


@dataclass
class _InstalledPackage:
    name: str
    version: str
    files: dict[str, str]
    needs: list[str] = field(default_factory=list)
    entry_points: str = ""
    recorded: bool = True  # it has a RECORD


class PlantedService:
    """A service's folder and the site-packages that it runs with; plants are added class by class."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words = rng.sample(WORDS, len(WORDS))
        self._installed: list[_InstalledPackage] = []
        self._declared: list[str] = []
        self._dev: list[str] = []
        self._code: list[str] = ["import json", "from . import settings"]
        self._tests: list[str] = []
        self.plants: list[PlantedComponent] = []

    def declared(self) -> None:
        """Declared and imported, with something that it needs; and one that is declared and never imported."""
        for imported in (True, False):
            needed = self._add("declared", inside=True)
            main = self._add("declared", inside=True, needs=[f"{needed.name.title()}>=0"])
            needed.needs = [main.name]  # and the other way round: a search has to end
            self._declared.append(f"{main.name}>=0.1")
            self._code += [f"import {_module(main.name)}"] * imported
        lost = self._add("declared", inside=False)  # installed by somebody, once, for nothing
        lost.recorded = False  # as some systems' own packages are

    def renamed(self) -> None:
        """A module that is called otherwise than its package; two packages in one namespace."""
        word = self._word()
        self._add("renamed", inside=True, name=f"acme-{word}-kit", files={f"{word}/__init__.py": "fit = 1\n"})
        self._add("renamed", inside=False, name=word, files={f"{word}_console.py": "main = 1\n"})
        self._code.append(self._rng.choice([f"import {word}", f"import {word} as tool"]))
        self._add("renamed", inside=False, name="acme-settings", files={"settings.py": "LEVEL = 1\n"})
        self._code.append("from .settings import LEVEL")  # the service's own module
        taken, native = self._word(), self._word()
        self._add("renamed", inside=True, name=f"acme-{taken}-kit", files={f"{taken}/__init__.py": "fit = 1\n"})
        self._code.append(f"from {taken} import fit")  # a name in a module, and no module itself
        compiled = {f"{native}/__init__.py": "", f"{native}/fast.cpython-311-x86_64-linux-gnu.so": "\x7f"}
        self._add("renamed", inside=True, name=f"acme-{native}-kit", files=compiled)
        self._code.append(f"import {native}.fast")  # no .py file has this name
        space, one, two = self._word(), self._word(), self._word()
        self._add("renamed", inside=True, name=f"{space}-python-{one}", files={f"{space}/{one}/__init__.py": "a = 1\n"})
        self._add(
            "renamed", inside=False, name=f"{space}-python-{two}", files={f"{space}/{two}/__init__.py": "a = 1\n"}
        )
        self._code.append(self._rng.choice([f"import {space}.{one} as tool", f"from {space} import {one}"]))

    def dynamic(self) -> None:
        """Loaded by a name in quotes; loaded as plugins; and named in quotes without being loaded."""
        loaded, quoted, tested = (self._add("dynamic", inside=n == 0) for n in range(3))
        below = self._add("dynamic", inside=True)
        self._code += [
            "import importlib",
            "from importlib import import_module",
            f'codec = importlib.import_module("{_module(loaded.name)}", __name__)',
            "def load(name):\n    return importlib.import_module(name)",
            f'reader = import_module("{_module(below.name)}.reader")',
            f'message = "import {_module(quoted.name)} failed"  # import_module("{_module(quoted.name)}")',
        ]
        self._tests.append(f'import importlib\nimportlib.import_module("{_module(tested.name)}")')
        group, other = f"{self._word()}.readers", f"{self._word()}.readers"
        for inside, of in ((True, group), (True, group), (False, other)):
            plugin = self._add("dynamic", inside=inside)
            plugin.entry_points = f"[{of}]\ncsv = {_module(plugin.name)}:read\n"
        second = f"{self._word()}.writers"
        plugin = self._add("dynamic", inside=True)
        plugin.entry_points = f"[{second}]\ncsv = {_module(plugin.name)}:write\n"
        self._code += ["from importlib.metadata import entry_points"]
        self._code += [f'found_{n} = entry_points(group="{name}")' for n, name in enumerate((group, second))]

    def extras(self) -> None:
        """Needed by an extra that the service asks for; by an extra that nobody asks for; deeper down."""
        chosen, other, deep = (self._add("extra-only", inside=n != 1) for n in range(3))
        main = self._add("declared", inside=True)
        main.needs = [f"{chosen.name} ; extra == 'fast'", f"{other.name}>=0 ; extra == 'docs'"]
        chosen.needs = [f"{other.name} ; extra == 'fast'", f"{deep.name}[more]"]
        deep.needs = [f"{self._add('extra-only', inside=True).name} ; extra == 'more'"]
        self._declared.append(f"{main.name}[fast]")
        self._code.append(f"import {_module(main.name)}")

    def dev(self) -> None:
        """Installed for the developers; one of them is used by the service too."""
        formatter = self._add("dev-only", inside=False)
        runner = self._add("dev-only", inside=False, needs=[self._add("dev-only", inside=False).name])
        both = self._add("dev-only", inside=True, needs=[self._add("dev-only", inside=True).name])
        self._dev += [formatter.name, runner.name, both.name]
        self._tests.append(f"import {_module(runner.name)}")
        self._code.append(f"def export():\n    import {_module(both.name)}")

    def vendored(self) -> None:
        """Copied into a package that is in; listed there and taken out again; copied into one that is not in."""
        inside, gone, outside, single, another, beside, bare = (self._word() for _ in range(7))
        host, guest = self._add("declared", inside=True), self._add("declared", inside=True)
        tool = self._add("dev-only", inside=False)
        self._declared += [host.name, guest.name]
        self._dev.append(tool.name)
        plugins = f"{_module(host.name)}/plugins"  # no copies: nothing there says so
        host.files |= {f"{plugins}/vendor.txt": f"acme-{beside}==1.0\n", f"{plugins}/acme_{beside}.py": "a = 1\n"}
        self.plants.append(PlantedComponent(f"pkg:pypi/acme-{beside}@1.0", "vendored", False))
        holders = ((host, (inside, gone, single), True), (tool, (outside,), False), (guest, (another,), True))
        for holder, names, there in holders:
            folder, lines = f"{_module(holder.name)}/_vendor", []
            holder.files[f"{folder}/__init__.py"] = ""
            for name in names:
                version = f"{self._rng.randrange(4)}.{self._rng.randrange(20)}"
                lines.append(f"{self._rng.choice(['acme-', 'acme_'])}{name}=={version}")
                path = f"acme_{name}.py" if name == single else f"acme_{name}/__init__.py"
                if name != gone:
                    holder.files[f"{folder}/{path}"] = "a = 1\n"
                self.plants.append(
                    PlantedComponent(f"pkg:pypi/acme-{name}@{version}", "vendored", there and name != gone)
                )
            lines.append(f"acme-{bare}")  # no version, so no component that could be named
            holder.files[f"{folder}/acme_{bare}.py"] = "a = 1\n"
            self._rng.shuffle(lines)
            holder.files[f"{folder}/vendor.txt"] = "# copied, do not edit\n" + "\n".join(lines) + "\n"

    def files(self) -> dict[str, str]:
        """Everything in the service's folder and in site-packages, path to text."""
        quoted = ", ".join(f'"{need}"' for need in self._declared)
        dev = ", ".join(f'"{need}"' for need in self._dev)
        project = f'[project]\nname = "acme-service"\nversion = "1.0"\ndependencies = [{quoted}]\n'
        head, tail = self._code[:2], self._code[2:]
        half = len(tail) // 2 if "import importlib" not in tail else len(tail)
        contents = {
            "service/pyproject.toml": f"{project}\n[dependency-groups]\ndev = [{dev}]\n",
            "service/src/acme_service/__init__.py": "\n".join([*head, *tail[:half]]) + "\n",
            "service/src/acme_service/settings.py": "\n".join(["import pathlib", *tail[half:]]) + "\n",
            "service/tests/test_service.py": "\n".join(["import acme_service", *self._tests]) + "\n",
        }
        for one in self._installed:
            info = f"{_module(one.name)}-{one.version}.dist-info"
            shown = one.name.title() if one.needs else one.name
            lines = ["Metadata-Version: 2.4", f"Name: {shown}", f"Version: {one.version}"]
            lines += [f"Requires-Dist: {need}" for need in one.needs]
            files = {**one.files, f"{info}/METADATA": "\n".join(lines) + "\n"}
            if one.entry_points:
                files[f"{info}/entry_points.txt"] = one.entry_points
            if one.recorded:
                files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
            contents |= {f"site-packages/{path}": text for path, text in files.items()}
        return contents

    def write(self, place: Path) -> tuple[Path, Path]:
        """The service's folder and site-packages, somewhere below a place."""
        written = folder(place, "service", self.files())
        return written / "service", written / "site-packages"

    def _add(
        self, kind: str, *, inside: bool, name: str = "", files: dict[str, str] | None = None, needs: Iterable[str] = ()
    ) -> _InstalledPackage:
        name = name or f"acme-{self._word()}"
        version = f"{self._rng.randrange(5)}.{self._rng.randrange(30)}"
        files = files or {f"{_module(name)}/__init__.py": "a = 1\n"}
        self._installed.append(_InstalledPackage(name, version, files, list(needs)))
        self.plants.append(PlantedComponent(f"pkg:pypi/{canonicalize_name(name)}@{version}", kind, inside))
        return self._installed[-1]

    def _word(self) -> str:
        if not self._words:
            self._words = [f"{word}s" for word in self._rng.sample(WORDS, len(WORDS))]
        return self._words.pop()


def figures(purls: Iterable[str], planted: Iterable[PlantedComponent]) -> dict[str, tuple[int, int, int]]:
    """For each class: how many plants are in, how many were found, how many of those are in."""
    unique, counted = set(purls), {}
    for kind in CLASSES:
        own = [p for p in planted if p.kind == kind]
        if own:
            hits = [p for p in own if p.purl in unique]
            counted[kind] = (sum(p.inside for p in own), len(hits), sum(p.inside for p in hits))
    return counted


def truth_test(find: Find, place: Path, seed: int = 1, services: int = 4) -> pd.DataFrame:
    """Precision and recall of a finder on services of its own: one row per class, and one for what nobody planted.

    A finder gets two folders, service and site-packages. The last row counts purls that are no plant at all.
    """
    total: dict[str, list[int]] = {kind: [0, 0, 0] for kind in CLASSES}
    strange = 0
    for number in range(services):
        service = _everything(random.Random(f"truth/{seed}/{number}"))  # noqa: S311 (variation, not secrecy)
        purls = set(find(*service.write(place)))
        strange += len(purls - {p.purl for p in service.plants})
        for kind, counts in figures(purls, service.plants).items():
            total[kind] = [a + b for a, b in zip(total[kind], counts, strict=True)]
    rows = {
        kind: {
            "in the service": there,
            "found": count,
            "of those in it": right,
            "precision": f"{right / count:.2f}" if count else "–",
            "recall": f"{right / there:.2f}" if there else "–",
        }
        for kind, (there, count, right) in total.items()
    }
    rows["(no plant)"] = {"in the service": 0, "found": strange, "of those in it": 0, "precision": "–", "recall": "–"}
    return pd.DataFrame.from_dict(rows, orient="index")


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """One class of plants at a time, then all."""

    def case(name: str, service: PlantedService) -> Case:
        return Case(name, service.write(lab.path), None, accept=_accepts(service.plants))

    def planted(*kinds: Callable[[PlantedService], None]) -> PlantedService:
        service = PlantedService(rng)
        for kind in kinds:
            kind(service)
        return service

    yield case("declared, and what that needs", planted(PlantedService.declared))
    yield case("a module by another name", planted(PlantedService.declared, PlantedService.renamed))
    yield case("loaded by name", planted(PlantedService.declared, PlantedService.dynamic))
    yield case("extras", planted(PlantedService.declared, PlantedService.extras))
    yield case("for developers only", planted(PlantedService.declared, PlantedService.dev))
    yield case("copied in", planted(PlantedService.declared, PlantedService.vendored))
    yield case("everything at once", _everything(rng))


def _everything(rng: random.Random) -> PlantedService:
    service = PlantedService(rng)
    kinds = [
        PlantedService.declared,
        PlantedService.renamed,
        PlantedService.extras,
        PlantedService.dev,
        PlantedService.vendored,
        PlantedService.dynamic,
    ]
    rng.shuffle(kinds)
    for kind in kinds:
        kind(service)
    return service


def _accepts(planted: list[PlantedComponent]) -> Callable[[Any], bool | Miss]:
    def accept(purls: Any) -> bool | Miss:
        if not isinstance(purls, list) or not all(isinstance(p, str) for p in purls):
            return Miss("expected a set of purls")
        for kind, (there, count, right) in figures(purls, planted).items():
            if (there, count) != (right, right):
                wrong = [p.purl for p in planted if p.kind == kind and (p.purl in purls) != p.inside]
                verb = "is in the service" if right < there else "is not in the service"
                odd = [p.purl for p in planted if p.purl in wrong and p.inside == (right < there)]
                return Miss(f"{kind}: precision {right} of {count}, recall {right} of {there}; {odd[0]} {verb}")
        if strange := set(purls) - {p.purl for p in planted}:
            return Miss(f"{min(strange)} is no component here")
        return True

    return accept


def _module(name: str) -> str:
    return name.replace("-", "_")
