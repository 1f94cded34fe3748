"""Find code that nothing but a test uses.

    $ python tests/setup/dead_code.py
    src/chainlab/evidence/x.py:12: unused function 'scan'

vulture reads `src`, `lessons` and `data`, not the tests. A name in `__all__` does not count as used. To vulture a name
is used when anything of that name is used anywhere, so a method called `read` is never found: this check finds most
dead code, not all of it. ALLOWED says what stays, and why.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from vulture.core import Item, Vulture

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "lessons", "data")
HELP = "Give it a user (a command, lesson, action or service), remove it with its tests, or allow it with a reason."

FRAMEWORK = "a library or Python itself calls it by its name"
SETTING = "a library reads the attribute"
SHAPE = "a field of a shape: a document without it, or with another type there, is refused"
ARGUMENT = "the caller of a hook passes it"
COURSE_FIELD = "course.toml says it to authors, and the reader refuses a key that it does not know"
STEP = "exercise 2.4 takes its steps from the class by name"
FIGURE = "Jupyter shows the figure; the lab names it apart from the table"
TEMPLATE = "the page of alerts shows it, and their JSON"
READERS = "until the issue 'Readers that read what the world reads: locks, environments, models, advisories, workflows'"
DRILL = "until the issue 'The compromised-dependency drill that reviewers replay (week 6)'"

# FILE NAME-PATTERN → reason; FILE is a path or a pattern of one.
ALLOWED: dict[str, str] = {
    "src/chainlab/monitor/logwatch/watch_list.py *": SHAPE,  # read by name, from the table of Fulcio's extensions
    "src/chainlab/monitor/alerts/alert.py acknowledged_by": TEMPLATE,
    "src/chainlab/monitor/alerts/alert.py resolved_by": TEMPLATE,
    "* do_GET": FRAMEWORK,
    "* do_POST": FRAMEWORK,
    "* log_message": FRAMEWORK,
    "src/chainlab/__init__.py __getattr__": FRAMEWORK,
    "src/chainlab/errors.py _render_traceback_": FRAMEWORK,  # IPython
    "src/chainlab/protocol.py handle": FRAMEWORK,  # Starlette
    "* _repr_html_": FRAMEWORK,  # Jupyter
    "* _repr_markdown_": FRAMEWORK,
    "src/chainlab/cli/__init__.py list_commands": FRAMEWORK,  # click
    "src/chainlab/cli/__init__.py get_command": FRAMEWORK,
    "src/chainlab/ci/workflows/yaml_document.py flatten_mapping": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py scan_to_next_token": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py check_key": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py check_value": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py check_plain": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py scan_plain": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py scan_anchor": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py scan_block_scalar_indicators": FRAMEWORK,  # PyYAML
    "src/chainlab/ci/workflows/yaml_document.py ignore_aliases": FRAMEWORK,
    "* daemon_threads": SETTING,  # socketserver
    "* model_config": SETTING,  # pydantic
    "src/chainlab/evidence/predicate_types.py *": SHAPE,
    "src/chainlab/policy/policy.py _knows_its_signers": FRAMEWORK,  # pydantic
    "src/chainlab/policy/policy.py connects": "the monitor asks for it by the name of the action",
    "data/platform/pypa/gh-action-pypi-publish/attest.py force_tlog_version": SETTING,
    "data/projects/triage-model/src/triage_model/train.py doc_string": SETTING,  # ONNX
    "* optionxform": SETTING,  # configparser
    "src/chainlab/policy/rego/rego_process.py strict_built_in_errors": SETTING,  # regopy
    "src/chainlab/registry/oci/app.py path_regex": SETTING,  # Starlette
    "src/chainlab/services.py should_exit": SETTING,  # uvicorn
    "src/chainlab/archive/tables.py row_factory": SETTING,  # sqlite3
    "src/chainlab/registry/blobs.py trace": ARGUMENT,
    "src/chainlab/policy/facts/scans.py sigstore": "imported ahead of the first verdict",
    "src/chainlab/start.py signum": ARGUMENT,
    "src/chainlab/course/syllabus.py competency": COURSE_FIELD,
    "src/chainlab/course/syllabus.py milestone": COURSE_FIELD,
    "src/chainlab/course/syllabus.py objectives": COURSE_FIELD,
    "src/chainlab/course/syllabus.py deliverables": COURSE_FIELD,
    "src/chainlab/course/exercises/week2/ex4_permissions.py other_checkout": STEP,
    "src/chainlab/course/exercises/week2/ex4_permissions.py password": STEP,
    "src/chainlab/course/exercises/week2/ex4_permissions.py push_image": STEP,
    "src/chainlab/course/exercises/week2/ex4_permissions.py pull_image": STEP,
    "src/chainlab/course/exercises/week2/ex4_permissions.py list_pulls": STEP,
    "lessons/03_sbom_lab.py *_figure": FIGURE,
    "src/chainlab/evidence/sbom/merging.py merge": READERS,
    "src/chainlab/registry/index/package_index.py yank": DRILL,
    "src/chainlab/registry/index/package_index.py quarantine": DRILL,
    "src/chainlab/registry/index/package_index.py release": DRILL,
    "src/chainlab/registry/index/package_index.py delete": DRILL,
    "src/chainlab/registry/index/package_index.py remove_publisher": DRILL,
    "src/chainlab/registry/index/project_table.py reserve": DRILL,
}


class Finder(Vulture):  # type: ignore[misc]  # vulture has no types
    """vulture, to which a name in ``__all__`` is not used."""

    def visit_Assign(self, node: ast.Assign) -> None:  # noqa: N802
        """Count nothing; vulture itself counts the names in ``__all__``."""

    def defined(self) -> list[Item]:
        """Everything that the files define."""
        kinds = (self.defined_funcs, self.defined_methods, self.defined_props, self.defined_classes)
        return [item for kind in (*kinds, self.defined_vars, self.defined_attrs, self.defined_imports) for item in kind]


def findings(root: Path, allowed: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each unused name below ``root``, then one for each entry of ``allowed`` that fits no name."""
    finder = Finder()
    finder.scavenge([root / folder for folder in FOLDERS if (root / folder).is_dir()])
    for item in finder.get_unused_code():
        if not any(_fits(item, entry, root) for entry in allowed):
            yield f"{_path(item, root)}:{item.first_lineno}: {item.message}"
    for entry in allowed:
        if not any(_fits(item, entry, root) for item in finder.defined()):
            yield f"tests/setup/dead_code.py:1: ALLOWED has {entry!r}, which is not defined any more"
    if finder.exit_code:
        yield "a file could not be read; see above"


def _path(item: Item, root: Path) -> str:
    return item.filename.relative_to(root).as_posix() if item.filename.is_relative_to(root) else str(item.filename)


def _fits(item: Item, entry: str, root: Path) -> bool:
    file, _, name = entry.rpartition(" ")
    return fnmatchcase(item.name, name) and fnmatchcase(_path(item, root), file)


def main() -> int:
    """Print the findings; 1 when there are any."""
    found = list(findings(ROOT, ALLOWED))
    print(*found, *([HELP] if found else ["no dead code found"]), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
