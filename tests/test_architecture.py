"""The package keeps its rules: layers, rooms, sizes, names, and the picture that is drawn of them."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import architecture
import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "chainlab"
LONGEST_MODULE = 350  # lines
LONGEST_FUNCTION = 60  # lines; a longer one says why, in a comment above it
REASON = re.compile(r"\s*# (?:Long because|Over 60 lines:) \w")


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def dotted(path: Path) -> str:
    """A module's name below `chainlab`; a package's is that of its folder."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# -- layers and rooms


def layer(module: str) -> int:
    """The row of a module's dotted name below `chainlab`; the root package is `__init__`."""
    first = module.split(".")[0] or "__init__"
    return next(row for row, names in enumerate(architecture.LAYERS) if first in names)


def imports(path: Path) -> Iterator[str]:
    """Dotted names below `chainlab` that a module imports anywhere in its text: modules where they are some."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "chainlab")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "chainlab":
            package = (node.module or "").partition(".")[2]
            for alias in node.names:  # from chainlab.trust import log: a module; from chainlab import __version__: not
                name = f"{package}.{alias.name}".strip(".")
                part = SOURCE.joinpath(*name.split("."))
                if part.is_dir() or part.with_suffix(".py").exists():
                    yield name
                elif package or not alias.name.startswith("__"):
                    yield package


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_only_downwards(path: Path) -> None:
    upwards = [name for name in imports(path) if layer(name) < layer(dotted(path))]
    assert upwards == []


def test_no_module_imports_relatively() -> None:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def inside(package: str) -> Mapping[str, set[str]]:
    """Which modules and rooms right in a package import which others of them."""
    edges: dict[str, set[str]] = defaultdict(set)
    below = f"{package}." if package else ""
    for path in modules():
        name = dotted(path)
        if not name.startswith(below) or name == package:
            continue
        own = name.removeprefix(below).partition(".")[0]
        others = (other.removeprefix(below).partition(".")[0] for other in imports(path) if other.startswith(below))
        edges[own] |= {other for other in others if other not in ("", own)}
    return edges


@pytest.mark.parametrize("package", sorted({dotted(path.parent / "__init__.py") for path in modules()}))
def test_no_two_modules_or_rooms_of_a_package_need_each_other(package: str) -> None:
    edges = inside(package)
    if not package:  # `chainlab.open` is the package's own name for lab.open
        edges = {name: others for name, others in edges.items() if name != "__init__"}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(f"{' needs '.join(reversed(error.args[1]))}")


# -- names and sizes


def defined(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Public functions and classes of a module, and every name that it binds."""
    public: set[str] = set()
    bound: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
            if not node.name.startswith("_") and node.name != "main":  # python -m runs it
                public.add(node.name)
        elif isinstance(node, ast.Assign):
            names = [name for target in node.targets for name in ast.walk(target)]
            bound |= {name.id for name in names if isinstance(name, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            bound.add(node.target.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.If):  # if TYPE_CHECKING
            inner = defined(ast.Module(body=node.body, type_ignores=[]))
            bound |= inner[1]
    return public, bound


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if path.parent.name != "cli"],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_all_lists_every_public_function_and_class(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    ]
    public, bound = defined(tree)
    if not listed:
        assert public == set(), "no __all__"
        return
    names = set(listed[0])
    assert public - names == set(), "missing in __all__"
    assert names - bound == set(), "in __all__, but not defined"


def test_the_learners_side_of_the_course_does_not_lean_on_the_authors() -> None:
    for path in (SOURCE / "course" / "learning").glob("*.py"):
        assert [name for name in imports(path) if name.startswith("course.authoring")] == [], path


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(dotted(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_module_is_longer_than_one_can_read_at_once() -> None:
    lines = {dotted(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


def long_functions(text: str) -> Iterator[str]:
    """Names of the functions that are longer than the rule allows, without a reason right above them."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = min(line.lineno for line in (node, *node.decorator_list))
        if node.end_lineno is not None and node.end_lineno - node.lineno >= LONGEST_FUNCTION:
            above = lines[first - 2] if first > 1 else ""
            if not REASON.match(above):
                yield node.name


def test_a_long_function_says_why() -> None:
    found = {dotted(path): list(long_functions(path.read_text(encoding="utf-8"))) for path in modules()}
    assert {name: names for name, names in found.items() if names} == {}


def test_the_rule_for_long_functions_sees_one() -> None:
    function = "def long():\n" + "    pass\n" * LONGEST_FUNCTION
    assert list(long_functions(function)) == ["long"]
    assert list(long_functions("# Long because it is a table\n" + function)) == []
    assert list(long_functions("# a remark\n" + function)) == ["long"]


# -- the picture


def test_the_picture_is_of_this_code() -> None:
    assert architecture.main(["--check"]) == 0, "run python tests/setup/architecture.py"


def test_the_picture_shows_every_module_and_follows_a_digest_through_rooms_that_exist() -> None:
    drawn = architecture.picture()
    shown = [path.stem for path in modules() if "exercises" not in path.parts and not path.stem.startswith("__")]
    assert [name for name in shown if name not in drawn] == []
    places = [SOURCE.joinpath(*place.split(".")) for place, _ in architecture.JOURNEY]
    assert [path for path in places if not path.is_dir() and not path.with_suffix(".py").exists()] == []
