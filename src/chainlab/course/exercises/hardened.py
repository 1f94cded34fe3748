"""A hardened set of workflows, as text, and the mirror's word on what their pins name.

The set varies with the seed: names, commits, versions, the order of scripts. Every control of
exercise 2.8 holds in it. `Workflows` is what mutants change: documents, not text, rendered at the end.

    >>> import random
    >>> sorted(Workflows.build(random.Random(1)).documents)
    ['ci.yml', 'label.yml', 'release.yml', 'report.yml', 'train.yml']
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["Mirror", "Workflows", "resolver"]

ACTIONS = {  # name → version in the comment of its pin
    "actions/checkout": "v7.0.0",
    "actions/setup-python": "v6.1.0",
    "actions/cache": "v5.0.1",
    "actions/upload-artifact": "v6.0.0",
    "actions/download-artifact": "v7.0.0",
    "pypa/gh-action-pypi-publish": "v1.13.0",
    "northwind-ml/push-model": "v1.2.0",
    "acme/workflows": "v3.0.0",
    "acme/publish-model": "v1.0.0",
}


class Mirror:
    """Which commits are a repository's own, and which are only its forks'."""

    def __init__(self, rng: random.Random) -> None:
        def commit() -> str:
            return f"{rng.getrandbits(160):040x}"

        self.own = {name: [commit() for _ in range(3)] for name in ACTIONS}  # oldest first
        self.forks = {name: commit() for name in ACTIONS}
        # "owner/repository@ref" → the commit that it names there
        self.refs = {f"{name}@{c}": c for name, commits in self.own.items() for c in commits}
        for name, version in ACTIONS.items():
            self.refs[f"{name}@main"] = self.own[name][-1]
            for ref in (version, version.split(".")[0]):
                self.refs[f"{name}@{ref}"] = self.own[name][-2]

    def pin(self, name: str, age: int = 1) -> str:
        """A reference by commit; ``age`` 0 is the newest. ``name`` may have a path."""
        repository = "/".join(name.split("/")[:2])
        return f"{name}@{self.own[repository][-1 - age]}"


def resolver(refs: Mapping[str, str]) -> Callable[[str], str | None]:
    """``resolve(reference)``: the commit that a reference names in that repository, or None."""

    def resolve(reference: str) -> str | None:
        name, _, ref = reference.partition("@")
        return refs.get("/".join(name.split("/")[:2]) + "@" + ref)

    return resolve


class _Dumper(yaml.SafeDumper):
    """Scripts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


@dataclass
class Workflows:
    """Documents by file name, and the mirror that they are pinned against."""

    documents: dict[str, dict[str, Any]]
    mirror: Mirror

    @classmethod
    def build(cls, rng: random.Random) -> Workflows:
        """A hardened set in which every control holds."""
        mirror = Mirror(rng)
        return cls(_documents(rng, mirror), mirror)

    def copy(self) -> Workflows:
        """Documents of their own, the same mirror."""
        return Workflows(copy.deepcopy(self.documents), self.mirror)

    def job(self, file: str, number: int = 0) -> dict[str, Any]:
        """A file's job by its place."""
        found: dict[str, Any] = list(self.documents[file]["jobs"].values())[number]
        return found

    def step(self, file: str, word: str) -> dict[str, Any]:
        """The first step of a file whose action or script has ``word`` in it."""
        for job in self.documents[file]["jobs"].values():
            for step in job.get("steps", []):
                if word in step.get("uses", step.get("run", "")):
                    found: dict[str, Any] = step
                    return found
        raise LookupError(f"{file} has no step with {word!r}")

    def texts(self, **style: Any) -> dict[str, str]:
        """The files as text; ``style`` goes to the YAML writer."""
        rendered = {}
        for file, document in self.documents.items():
            text = yaml.dump(document, Dumper=_Dumper, **{"sort_keys": False, "width": 200, **style})
            text = re.sub(r"(?m)^['\"]on['\"]:", "on:", text)
            rendered[f".github/workflows/{file}"] = re.sub(
                r"(?m)^( *(?:- )?uses: ([\w.-]+/[\w.-]+)\S*@[0-9a-f]{40})$",
                lambda found: f"{found[1]}  # {ACTIONS.get(found[2], '')}".rstrip("# "),
                text,
            )
        return rendered


def _documents(rng: random.Random, mirror: Mirror) -> dict[str, dict[str, Any]]:
    python = f"3.{rng.randrange(11, 14)}"
    test, build, publish = (
        rng.choice(words) for words in (["test", "check", "unit"], ["build", "wheel"], ["publish", "upload"])
    )
    runner = rng.choice(["ubuntu-latest", "ubuntu-24.04"])
    lock = rng.choice(["requirements.lock", "locks/ci.txt"])

    def checkout() -> dict[str, Any]:
        return {"uses": mirror.pin("actions/checkout"), "with": {"persist-credentials": False}}

    def prepare() -> list[dict[str, Any]]:
        return [
            checkout(),
            {"uses": mirror.pin("actions/setup-python"), "with": {"python-version": python}},
        ]

    install = {
        "name": "install",
        "run": f"python -m pip install --require-hashes -r {lock}\n"
        "python -m pip install --no-deps --no-build-isolation .\n",
    }
    key = f"pip-${{{{ runner.os }}}}-${{{{ hashFiles('{lock}') }}}}"
    ci = {
        "name": "ci",
        "on": {"push": {"branches": ["main"]}, "pull_request": None},
        "permissions": {},
        "jobs": {
            test: {
                "runs-on": runner,
                "permissions": {"contents": "read"},
                "steps": [
                    *prepare(),
                    {
                        "uses": mirror.pin("actions/cache"),
                        "with": {"path": "~/.cache/pip", "key": key},
                    },
                    dict(install),
                    {
                        "name": "test",
                        "env": {"TITLE": "${{ github.event.pull_request.title }}"},
                        "run": 'echo "testing: $TITLE on ${{ runner.os }}"\npython -m pytest -q\n',
                    },
                ],
            }
        },
    }
    label = {
        "name": "label",
        "on": {"pull_request_target": {"types": ["opened", "synchronize"]}},
        "permissions": {},
        "jobs": {
            "label": {
                "runs-on": runner,
                "permissions": {"pull-requests": "write"},
                "steps": [
                    {
                        "name": "by the branch's name",
                        "env": {
                            "GH_TOKEN": "${{ secrets.GITHUB_TOKEN }}",
                            "BRANCH": "${{ github.head_ref }}",
                            "NUMBER": "${{ github.event.pull_request.number }}",
                        },
                        "run": 'case "$BRANCH" in docs/*) gh pr edit "$NUMBER" --add-label docs ;; esac',
                    }
                ],
            }
        },
    }
    release = {
        "name": "release",
        "on": {"push": {"tags": ["v*"]}},
        "permissions": {},
        "jobs": {
            build: {
                "runs-on": runner,
                "permissions": {"contents": "read"},
                "steps": [
                    *prepare(),
                    dict(install),
                    {"run": "python -m build --no-isolation"},
                    {
                        "uses": mirror.pin("actions/upload-artifact"),
                        "with": {"name": "dist", "path": "dist"},
                    },
                ],
            },
            "notes": {
                "uses": mirror.pin("acme/workflows/.github/workflows/notes.yml"),
                "permissions": {"contents": "read"},
            },
            publish: {
                "needs": build,
                "runs-on": runner,
                "environment": "release",
                "permissions": {"id-token": "write"},
                "steps": [
                    {
                        "uses": mirror.pin("actions/download-artifact"),
                        "with": {"name": "dist", "path": "dist"},
                    },
                    {"uses": mirror.pin("pypa/gh-action-pypi-publish")},
                ],
            },
            "model": {
                "needs": build,
                "runs-on": runner,
                "environment": "release",
                "permissions": {"id-token": "write", "packages": "write"},
                "steps": [
                    {"uses": mirror.pin("actions/download-artifact"), "with": {"name": "model"}},
                    {
                        "uses": mirror.pin("acme/publish-model"),
                        "with": {"tag": "${{ github.ref_name }}", "token": "${{ github.token }}"},
                    },
                ],
            },
        },
    }
    train = {
        "name": "train",
        "on": {
            "schedule": [{"cron": f"{rng.randrange(60)} 3 * * 1"}],
            "workflow_dispatch": {"inputs": {"recall": {"default": "0.93"}}},
        },
        "permissions": {},
        "jobs": {
            "train": {
                "runs-on": runner,
                "environment": "hub",
                "permissions": {"contents": "read"},
                "steps": [
                    *prepare(),
                    dict(install),
                    {
                        "env": {"RECALL": "${{ inputs.recall }}"},
                        "run": 'python -m triage_model.evaluate --min-recall "$RECALL"',
                    },
                    {
                        "uses": mirror.pin("northwind-ml/push-model"),
                        "with": {"token": "${{ secrets.HUB_TOKEN }}", "path": "models"},
                    },
                ],
            }
        },
    }
    report = {
        "name": "report",
        "on": {"workflow_run": {"workflows": ["ci"], "types": ["completed"]}},
        "permissions": {},
        "jobs": {
            "report": {
                "runs-on": runner,
                "permissions": {"pull-requests": "write"},
                "steps": [
                    {
                        "env": {
                            "GH_TOKEN": "${{ github.token }}",
                            "RESULT": "${{ github.event.workflow_run.conclusion }}",
                            "NUMBER": "${{ github.event.workflow_run.pull_requests[0].number }}",
                        },
                        "run": 'gh pr comment "$NUMBER" --body "ci: $RESULT"',
                    }
                ],
            }
        },
    }
    return {
        "ci.yml": ci,
        "label.yml": label,
        "release.yml": release,
        "train.yml": train,
        "report.yml": report,
    }
