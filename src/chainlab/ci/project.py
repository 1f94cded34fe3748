"""The CI host: repositories with their settings, and runs of their workflows.

    project = host.project("acme/triage-model", folder)
    run = project.run("push")
    run.result

A project's folder is a working copy: `Project.commit` puts what is in it on a branch of the host's own repository,
and only that repository counts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from chainlab import names
from chainlab.ci.runs.event_payload import PullRequestHead, TriggerEvent
from chainlab.ci.runs.rights import EVENTS, Origin, effective_permissions
from chainlab.ci.runs.run_record import Run, StepRecord
from chainlab.ci.runs.workflow_run import RunContext, RunOptions, perform
from chainlab.ci.services.platform import Platform
from chainlab.ci.settings import Settings
from chainlab.ci.workflows.workflow import Workflow
from chainlab.errors import MalformedInput
from chainlab.registry.registry import Registry
from chainlab.sandbox import Sandbox
from chainlab.trust.client import Trust

__all__ = ["Host", "Project", "PullRequest"]

WORKFLOWS = ".github/workflows/"
MAX_NAME = 255  # bytes of a workflow file's name: NAME_MAX of usual file systems
OWNER = "acme"  # who works on the course's projects
Tell = Callable[[str, StepRecord], None]


class Host:
    """All projects of one workspace."""

    def __init__(
        self,
        directory: Path,
        *,
        platform: Platform,
        registry: Registry,
        trust: Trust,
        wheelhouse: Path | None,
    ) -> None:
        self.directory = directory
        self.platform = platform
        self.sandbox = Sandbox.find()
        self.services = RunContext(directory, platform, registry, trust, wheelhouse, self.sandbox)
        (directory / "runs").mkdir(parents=True, exist_ok=True)

    def project(self, repository: str, folder: Path, settings: Settings | Path | None = None) -> Project:
        """A repository that begins as the folder is now; one that exists gets a commit when it differs.

        ``settings`` is a value or a TOML file. Raises `MalformedInput` for what is no folder or no settings.
        """
        if not folder.is_dir():
            raise MalformedInput(f"{folder} is no folder", hint="name a project's folder")
        if isinstance(settings, Path):
            settings = Settings.load(settings)
        settings = settings or Settings()
        repository, public = names.repository(repository), settings.visibility == "public"
        owner, _, name = repository.partition("/")
        self.platform.repositories.create(owner, name, public=public)
        self.platform.repositories.publish(repository, public=public)
        self.services.register_publishers(repository, settings)
        project = Project(self, repository, folder, settings)
        project.commit(f"the state of {name}")
        return project

    def runs(self) -> list[Run]:
        """All finished runs, oldest first."""
        folders = sorted((self.directory / "runs").glob("*/run.json"), key=lambda p: int(p.parent.name))
        return [Run.load(path.parent) for path in folders]


@dataclass(frozen=True)
class PullRequest:
    """A pull request: where it comes from, and what the host made of it."""

    head: PullRequestHead
    fork: bool
    base: str = "main"

    @property
    def number(self) -> int:
        """Its number in the base repository."""
        return self.head.number


@dataclass
class Project:
    """One repository with its settings; made by `Host.project`."""

    host: Host
    repository: str
    folder: Path
    settings: Settings = field(default_factory=Settings)

    @property
    def default(self) -> str:
        """The default branch as a full ref."""
        return f"refs/heads/{self.settings.default_branch}"

    def commit(self, message: str, *, branch: str = "", folder: Path | None = None) -> str:
        """Put what is in the folder on a branch (the default one); returns the commit's id."""
        return self.host.platform.repositories.import_tree(
            self.repository,
            folder or self.folder,
            message,
            branch=branch or self.settings.default_branch,
        )

    def edit(self, path: str, *changes: tuple[str, str]) -> str:
        """Replace texts of a file in the folder, old by new, and commit; returns the commit's id.

        A change that was made before is left as it is. Raises `MalformedInput`, and changes nothing, for an old text
        that the file does not have.
        """
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        for old, new in changes:
            if old not in text and new and new in text:
                continue
            if old not in text:
                raise MalformedInput(f"{path} has no {old!r}", hint="compare with the file: was it changed before?")
            text = text.replace(old, new)
        file.write_text(text, encoding="utf-8")
        return self.commit(f"change {path}")

    def tag(self, name: str, *, message: str = "") -> str:
        """Tag the head of the default branch; annotated when there is a message. Returns the commit's id."""
        commit = self.head(self.default)
        self.host.platform.repositories.tag(self.repository, name, commit, message=message, who=OWNER)
        return commit

    def head(self, ref: str) -> str:
        """The commit behind a ref."""
        return self.host.platform.repositories.resolve(self.repository, ref)

    def pull_request(
        self,
        *,
        branch: str,
        folder: Path,
        title: str,
        owner: str = OWNER,
        body: str = "",
    ) -> PullRequest:
        """Propose the contents of ``folder`` from a branch of ``owner``'s copy; another owner's copy is a fork.

        Raises `Refused` (409) when it conflicts with the default branch.
        """
        remote, owner = self.host.platform.repositories, names.owner(owner)
        fork = owner != self.repository.partition("/")[0]
        base = self.head(self.default)
        source = remote.fork(self.repository, owner) if fork else self.repository
        commit = remote.import_tree(source, folder, title or "a change", branch=branch, parent=base)
        number = 1 + max(
            (int(ref.split("/")[2]) for ref in remote.refs(self.repository) if ref.startswith("refs/pull/")),
            default=0,
        )
        if fork:
            remote.fetch_fork(self.repository, source, f"refs/heads/{branch}", into=f"refs/pull/{number}/head")
        else:
            remote.set_ref(self.repository, f"refs/pull/{number}/head", commit)
        merge = remote.merge(self.repository, base, commit)
        remote.set_ref(self.repository, f"refs/pull/{number}/merge", merge)
        head = PullRequestHead(number, title, source, branch, commit, owner, base, merge, body)
        return PullRequest(head, fork, self.settings.default_branch)

    def propose(self, files: Mapping[str, str], *, branch: str, owner: str, title: str = "A typo") -> PullRequest:
        """Propose the folder with these files in place of its own, path to text; see `pull_request`."""
        with TemporaryDirectory() as copy:
            fork = shutil.copytree(self.folder, copy, dirs_exist_ok=True)
            for path, text in files.items():
                Path(fork, path).write_text(text, encoding="utf-8")
            return self.pull_request(owner=owner, branch=branch, folder=Path(fork), title=title)

    def run(
        self,
        event: str,
        *,
        ref: str = "",
        pull: PullRequest | None = None,
        workflow: str = "",
        job: str = "",
        inputs: Mapping[str, str] | None = None,
        approve: tuple[str, ...] | list[str] = (),
        cache_rule: str = "current",
        ports: tuple[int, ...] | list[int] = (),
        tell: Tell | None = None,
    ) -> Run:
        """Run the one workflow that the event starts, or the one named; `runs` runs all.

        ``approve`` names environments whose reviewer says yes; ``ports`` are loopback ports that jobs may reach
        besides the services. Raises `MalformedInput` when no workflow or several are started.
        """
        found = self._triggered(event, ref, pull, workflow, cache_rule)
        if len(found[1]) != 1:
            names = ", ".join(Path(w.path).name for w in found[1])
            raise MalformedInput(
                f"{event} starts {len(found[1])} workflows" + (f": {names}" if names else ""),
                hint="name one: workflow='release.yml', or use runs()" if names else "look at their `on:`",
            )
        order = RunOptions(job, dict(inputs or {}), tuple(approve), cache_rule, tuple(ports), tell or _quiet)
        return perform(self.host.services, self.settings, *found, found[1][0], order)

    def runs(self, event: str, *, ref: str = "", pull: PullRequest | None = None, **options: object) -> list[Run]:
        """Run every workflow that the event starts, as the platform does."""
        found = self._triggered(event, ref, pull, "", str(options.get("cache_rule", "current")))
        return [
            self.run(event, ref=ref, pull=pull, workflow=Path(w.path).name, **options)  # type: ignore[arg-type]
            for w in found[1]
        ]

    def workflows(self, commit: str) -> dict[str, str]:
        """The workflow files of a commit: path to text. Raises `MalformedInput` for a name that no disk holds."""
        found = {
            path: file.data.decode("utf-8", "replace")
            for path, file in self.host.platform.repositories.files(self.repository, commit).items()
            if path.startswith(WORKFLOWS) and path.endswith((".yml", ".yaml")) and path.count("/") == 2
        }
        for path in found:
            name = path.removeprefix(WORKFLOWS)
            if len(os.fsencode(name)) > MAX_NAME:
                raise MalformedInput(
                    f"the name of the workflow file {name[:40]!r}… is too long",
                    why=f"expected at most {MAX_NAME} bytes, got {len(os.fsencode(name))}",
                    hint=f"rename it on the branch that {commit[:12]} is of",
                )
        return found

    def _triggered(
        self, event: str, ref: str, pull: PullRequest | None, name: str, cache_rule: str
    ) -> tuple[TriggerEvent, list[Workflow], Mapping[str, str]]:
        """What happened, the workflows that it starts, and all workflow files of their commit."""
        if event not in EVENTS:
            raise MalformedInput(f"no such event: {event!r}", hint=f"known: {', '.join(EVENTS)}")
        if (pull is not None) != event.startswith("pull_request"):
            raise MalformedInput(f"{event} {'needs a' if pull is None else 'has no'} pull request")
        ref = ref or self.default
        if pull is not None:
            ref = f"refs/pull/{pull.number}/merge" if event == "pull_request" else self.default
        if not ref.startswith("refs/"):
            raise MalformedInput(f"{ref!r} is no full ref", hint="write refs/heads/main or refs/tags/v1.0.0")
        origin = Origin(
            event,
            bool(pull and pull.fork),
            ref,
            f"refs/heads/{pull.base}" if pull else ref,
            self.default,
        )
        given = effective_permissions(origin, cache_rule)
        commits = {
            "merge": pull.head.merge_commit if pull else "",
            "default": self.head(self.default),
            "head": "" if pull else self.head(ref),
        }
        change = TriggerEvent(
            origin,
            self.repository,
            commits[given.checkout],
            pull.head.author if pull else OWNER,
            run=0,
            default_branch=self.settings.default_branch,
            internal=not self.host.platform.repositories.repository(self.repository).public,
            pull=pull.head if pull else None,
        )
        files = self.workflows(commits[given.workflow])
        found = [
            parsed
            for path, text in sorted(files.items())
            if (not name or Path(path).name == Path(name).name)
            and (parsed := Workflow.parse(path, text)).triggered(event, ref, origin.base)
        ]
        if name and not found:
            raise MalformedInput(
                f"{event} at {ref} does not start {name}",
                why="there is no such workflow at that commit, or its `on:` says otherwise",
                hint=f"workflows there: {', '.join(sorted(Path(p).name for p in files)) or 'none'}",
            )
        return change, found, files


def _quiet(job: str, step: StepRecord) -> None:
    """Tell nobody."""
