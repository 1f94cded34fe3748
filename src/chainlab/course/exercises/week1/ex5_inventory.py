"""Cases for exercise 1.5: everything a project trusts by name.

A project and the mirror of its actions are written to disk. Each reference enters the inventory when it is written, so
the truth never comes from reading the files back.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chainlab.course.learning.checks import Case, LabContext, Miss

__all__ = ["KINDS", "TRIAGE_MODEL", "cases"]

SEE = "labs/01_assessment.ipynb, 'What a project trusts by name'"
TEACHES = {
    "one workflow": (
        "Read the YAML, not the text: a comment and an `echo` only look like a dependency, and quotes or an "
        "action's sub-folder do not hide one."
    ),
    "one action at two refs": (
        "`v2` and a commit are two promises. Keep both; and workflow files end in .yml or .yaml."
    ),
    "packages": (
        "Included files (`-r`, `--requirement`), extras, markers, hashes on their own lines; pyproject's dependencies, "
        "all its optional ones, and what builds the project. Names count in their normal form (PEP 503)."
    ),
    "nested actions": (
        "An action that you name may name others. They run in your job with your token, whoever chose their "
        "tags. Follow them, through local actions too, and stop where you have been."
    ),
    "a reusable workflow": (
        "A job can consist of `uses:` alone. It names a whole workflow, a file in .yml or .yaml, and that one's steps "
        "are inside."
    ),
    "the data set and the base model": (
        "What the training reads decides what the model does. Data and base models are dependencies with owners "
        "and revisions."
    ),
    "a whole project": "Precision and recall of at least 95 % in every kind: nothing left out, nothing invented.",
    "triage-model": "Compare with the smaller projects: which way of trusting is missing, or invented?",
}


KINDS = ["actions", "packages", "models", "datasets"]


TRIAGE_MODEL: dict[str, set[str]] = {  # of data/projects/triage-model, counted by hand
    "actions": {
        "actions/checkout@v4",
        "actions/cache@v4",
        "acme/setup-ml-python@v2",
        "acme/changed-files@v3",
        "northwind-ml/post-metrics@main",
        "northwind-ml/push-model@559189d74e97ea3a356df3ccf430a3df93602847",
        "actions/checkout@73abf86ef313d3ba2ec876dc02e407f8130ddd0d",
        "actions/upload-artifact@v4",
        "acme/workflows/.github/workflows/notes.yml@main",
        "actions/download-artifact@v4",
        "pypa/gh-action-pypi-publish@release/v1",
        "northwind-ml/labeler@v5",
        # inside those
        "actions/setup-python@v5",
        "acme/pip-cache@v1",
        "actions/cache@v3",
        "acme/hub-login@v1",
        "acme/changed-files@v2",
        "acme/release-notes@v1",
    },
    "packages": {
        "acme-cells",
        "acme-quantise",
        "numpy",
        "scikit-learn",
        "skl2onnx",
        "onnxruntime",
        "pytest",
        "flit-core",
    },
    "models": {"northwind-ml/wdbc-baseline@main"},
    "datasets": {"wdbc@1995"},
}

OWNERS = ["acme", "northwind-ml", "actions", "contoso-labs"]
TASKS = [
    "checkout",
    "setup",
    "cache",
    "lint",
    "train",
    "upload",
    "notify",
    "scan",
    "label",
    "report",
    "login",
    "fetch",
    "pack",
    "score",
    "plot",
    "sync",
    "build",
    "clean",
    "tag",
]
# as a file spells it, and as PEP 503 does
PACKAGES = [
    ("NumPy>=1.26", "numpy"),
    ("scikit_learn", "scikit-learn"),
    ("rich>=13,<16", "rich"),
    ("uvicorn[standard]>=0.30", "uvicorn"),
    ("onnxruntime~=1.23", "onnxruntime"),
    ("zope.interface", "zope-interface"),
    ("PyYAML==6.*", "pyyaml"),
    ("tomli>=2; python_version < '3.11'", "tomli"),
    ("ruamel.yaml", "ruamel-yaml"),
    ("torch!=2.5.1", "torch"),
    ("Jinja2", "jinja2"),
    ("typing_extensions>=4 ; extra == 'x'", "typing-extensions"),
]
MODELS = ["cell-encoder", "stain-normaliser", "tabular-base", "tokeniser"]
DATASETS = ["wdbc", "biopsies-2019", "controls", "synthetic-cases"]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make small projects that each add one way of trusting, then a larger one; the last is the real triage-model."""
    folder = lab.path / "exercise-1.5"

    project = _Project(folder, rng)
    project.workflow("ci.yml", [project.uses() for _ in range(4)], decoys=True)
    yield project.case("one workflow")

    project = _Project(folder, rng)
    name = project.name()
    project.workflow("ci.yml", [project.uses(name, "v2"), project.uses()])
    project.workflow("release.yaml", [project.uses(name, project.sha()), project.uses()])
    yield project.case("one action at two refs")

    project = _Project(folder, rng)
    project.workflow("ci.yml", [project.uses()])
    project.packages(9)
    yield project.case("packages")

    project = _Project(folder, rng)
    outer = project.composite(depth=3)
    local = project.local_action([project.uses()])
    project.workflow("ci.yml", [outer, local, project.uses()])
    yield project.case("nested actions")

    project = _Project(folder, rng)
    project.reusable("release.yml", [project.uses(), project.composite(depth=2)])
    yield project.case("a reusable workflow")

    project = _Project(folder, rng)
    project.workflow("train.yml", [project.uses()])
    project.artifacts(models=2, datasets=2)
    yield project.case("the data set and the base model")

    project = _Project(folder, rng)
    project.whole()
    yield project.case("a whole project", least=0.95)

    real = (lab.data / "projects" / "triage-model", lab.data / "actions")
    yield Case("triage-model", real, TRIAGE_MODEL)


class _Project:
    """A project, its mirror of actions, and the inventory of both."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        root = folder / f"{rng.getrandbits(32):08x}"
        shutil.rmtree(root, ignore_errors=True)
        self.root, self.mirror, self.rng = root / "project", root / "actions", rng
        self.root.mkdir(parents=True)
        self.mirror.mkdir()
        self.truth: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.tasks = rng.sample([f"{t}-{s}" for t in TASKS for s in ("it", "all", "now")], 40)

    def case(self, name: str, least: float = 1.0) -> Case:
        """Make the case; with ``least`` below 1 every kind is judged by precision and recall."""
        args = (self.root, self.mirror)
        if least == 1:
            return Case(name, args, self.truth)
        return Case(name, args, None, accept=_precise_enough(self.truth, least))

    def name(self) -> str:
        """Choose the name of a new action, sometimes in a sub-folder of its repository."""
        folder = self.rng.choice(["", "", "/sub", "/tools/inner"])
        return f"{self.rng.choice(OWNERS)}/{self.tasks.pop()}{folder}"

    def sha(self) -> str:
        """Make a full-length commit id."""
        return f"{self.rng.getrandbits(160):040x}"

    def uses(self, name: str = "", ref: str = "") -> str:
        """Make a reference, and add it to the inventory."""
        major = f"v{self.rng.randrange(1, 9)}"
        ref = ref or self.rng.choice([major, "main", "release/v1", self.sha()])
        reference = f"{name or self.name()}@{ref}"
        self.truth["actions"].add(reference)
        return reference

    def composite(self, depth: int) -> str:
        """Write actions that call each other into the mirror; the innermost calls the outermost again."""
        names = [self.name() for _ in range(depth)]
        references = [self.uses(name) for name in names]
        for name, inner in zip(names, [*references[1:], references[0]], strict=True):
            self._action(self.mirror / name, [inner, self.uses()])
        return references[0]

    def local_action(self, references: list[str]) -> str:
        """Write an action of the project itself: it is not trusted by name, but what it calls is."""
        self._action(self.root / ".github" / "actions" / "own", references)
        return "./.github/actions/own"

    def _action(self, folder: Path, references: list[str]) -> None:
        folder.mkdir(parents=True)
        steps = "".join(f"    - uses: {r}\n" for r in references)
        (folder / "action.yml").write_text(
            "name: an action\ndescription: Calls others.\nruns:\n  using: composite\n  steps:\n"
            f"    - shell: bash\n      run: echo begin\n{steps}"
        )

    def workflow(self, file: str, references: list[str], decoys: bool = False, folder: Path | None = None) -> None:
        """Write a workflow with one job; ``decoys`` adds lines that only look like references."""
        lines = ["on: push", "jobs:", "  work:", "    runs-on: ubuntu-latest", "    steps:"]
        for number, reference in enumerate(references):
            quoted = f'"{reference}"' if number % 2 else reference
            lines += [f"      - name: step {number}", f"        uses: {quoted}  # as agreed"]
        if decoys:
            lines += [
                f"      # - uses: {self.name()}@v1",
                "      - run: |",
                f"          echo 'uses: {self.name()}@v3'",
                f"          # uses: {self.name()}@v2",
            ]
        path = (folder or self.root / ".github" / "workflows") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")

    def reusable(self, file: str, references: list[str]) -> None:
        """Write a workflow whose two jobs call workflows in the mirror, which share ``references``."""
        owner, repository = self.name().split("/")[:2]
        path = f"{owner}/{repository}/.github/workflows"
        jobs = ""
        for number, called in enumerate(("called.yml", "called.yaml")):
            self.workflow(called, references[number::2], folder=self.mirror / path)
            jobs += f"  job-{number}:\n    uses: {self.uses(f'{path}/{called}')}\n    secrets: inherit\n"
        target = self.root / ".github" / "workflows" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"on: push\njobs:\n{jobs}")

    def packages(self, number: int) -> None:
        """Write requirements.txt, the files it includes, and pyproject.toml; ``number`` is at least five."""
        chosen = self.rng.sample(PACKAGES, number)
        self.truth["packages"] |= {normal for _, normal in chosen} | {"flit-core"}
        written = [text for text, _ in chosen]
        digest = f"--hash=sha256:{self.rng.getrandbits(256):064x}"
        hashed = f"{written[2].split(';')[0].strip()} \\\n    {digest}\n"
        (self.root / "requirements.txt").write_text(
            "# what CI installs\n--extra-index-url https://packages.acme.example/simple\n"
            f"-r base.txt\n-e .\n\n    # indented, and still a comment\n{written[0]}  # pinned later\n"
        )
        (self.root / "base.txt").write_text(f"{hashed}{written[3]}\n--requirement more.txt\n")
        (self.root / "more.txt").write_text(f"{written[1]}\n")
        optional, required = written[4:6], written[6:]
        (self.root / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["flit_core>=3"]\nbuild-backend = "flit_core.buildapi"\n\n'
            f'[project]\nname = "the-project"\nversion = "1"\ndependencies = {_toml(required)}\n\n'
            f"[project.optional-dependencies]\ntrain = {_toml(optional[:1])}\nplot = {_toml(optional[1:])}\n"
        )

    def artifacts(self, models: int, datasets: int) -> None:
        """Write artifacts.toml."""
        text = ""
        for kind, table, names in (
            ("models", "model", self.rng.sample(MODELS, models)),
            ("datasets", "dataset", self.rng.sample(DATASETS, datasets)),
        ):
            for name in names:
                owned = f"{self.rng.choice(OWNERS)}/{name}" if table == "model" else name
                revision = self.rng.choice(["main", "v1.1", str(self.rng.randrange(1990, 2026))])
                text += f'[[{table}]]\nname = "{owned}"\nrevision = "{revision}"\n\n'
                self.truth[kind].add(f"{owned}@{revision}")
        (self.root / "artifacts.toml").write_text(text)

    def whole(self) -> None:
        """Write everything at once."""
        self.packages(self.rng.randrange(8, 12))
        self.artifacts(models=self.rng.randrange(1, 4), datasets=self.rng.randrange(1, 4))
        local = self.local_action([self.uses(), self.composite(depth=2)])
        self.workflow("ci.yml", [self.uses(), local, self.composite(depth=3)], decoys=True)
        self.workflow("train.yaml", [self.uses() for _ in range(3)], decoys=True)
        self.reusable("release.yml", [self.uses(), self.composite(depth=2)])


def _toml(texts: list[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def _precise_enough(truth: dict[str, set[str]], least: float) -> Callable[[Any], bool | Miss]:
    """Accept an answer whose precision and recall are at least ``least`` in every kind."""

    def accept(answer: Any) -> bool | Miss:
        if not isinstance(answer, dict) or set(answer) != set(truth):
            return Miss(f"expected a dict with {', '.join(truth)}", why="")
        for kind, names in truth.items():
            got = set(answer[kind])
            right = len(got & names)
            if right < least * len(names) or right < least * len(got):
                missing, surplus = sorted(names - got)[:2], sorted(got - names)[:2]
                return Miss(
                    f"{kind}: {right} of {len(names)} found, {len(got) - right} invented; "
                    f"missing {missing}, too many {surplus}"
                )
        return True

    return accept
