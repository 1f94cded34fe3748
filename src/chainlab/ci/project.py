"""The CI host and its projects: a project is a repository with settings, and it runs the workflows in it.

    project = host.project("acme/triage-model", folder)
    run = project.run("push")
    run.result

A project's folder is a working copy: `Project.commit` puts its contents on a branch of the host's own repository, and
runs use that repository only. What comes of `Project.run`, in `chainlab.ci.runs`:

    run_plan         what starts, which jobs, with which rights
    workflow_run     the jobs, one after another
    job_access       what one job may reach, and how long its tokens live
    job              one job in its sandbox
    job_provenance   what a job stored, signed by the host
    run_record       what the run left (`Run`)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from chainlab import names
from chainlab.ci.runs.event_payload import PullRequestHead, TriggerEvent
from chainlab.ci.runs.rights import EVENTS, Origin, effective_permissions
from chainlab.ci.runs.run_plan import OnStep, RunContext, RunOptions, RunPlan
from chainlab.ci.runs.run_record import Run
from chainlab.ci.runs.workflow_run import WorkflowRun
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
OWNER = "acme"  # the owner of the course's projects


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
        self.context = RunContext(directory, platform, registry, trust, wheelhouse, self.sandbox)
        (directory / "runs").mkdir(parents=True, exist_ok=True)

    def project(self, repository: str, folder: Path, settings: Settings | Path | None = None) -> Project:
        """Create the repository from the folder, or commit the folder if it changed.

        ``settings`` is a value or a TOML file. Raises `MalformedInput` for a missing folder and for invalid settings.
        """
        if not folder.is_dir():
            raise MalformedInput(f"not a folder: {folder}", hint="name a project's folder")
        if isinstance(settings, Path):
            settings = Settings.load(settings)
        settings = settings or Settings()
        repository, public = names.repository(repository), settings.visibility == "public"
        owner, _, name = repository.partition("/")
        self.platform.repositories.create(owner, name, public=public)
        self.platform.repositories.publish(repository, public=public)
        self.context.register_publishers(repository, settings)
        project = Project(self, repository, folder, settings)
        project.commit(f"the state of {name}")
        return project

    def runs(self) -> list[Run]:
        """All finished runs, oldest first."""
        folders = sorted((self.directory / "runs").glob("*/run.json"), key=lambda p: int(p.parent.name))
        return [Run.load(path.parent) for path in folders]


@dataclass(frozen=True)
class PullRequest:
    """A pull request: its author's side, and the branch that it wants to change."""

    head: PullRequestHead
    fork: bool  # the head lies in another repository
    base: str = "main"  # branch

    @property
    def number(self) -> int:
        """Its number in the base repository."""
        return self.head.number


@dataclass
class Project:
    """One repository with its settings; `Host.project` makes it."""

    host: Host
    repository: str
    folder: Path
    settings: Settings = field(default_factory=Settings)

    @property
    def default(self) -> str:
        """The default branch as a full ref."""
        return f"refs/heads/{self.settings.default_branch}"

    def commit(self, message: str, *, branch: str = "", folder: Path | None = None) -> str:
        """Commit the folder to a branch, the default one if none is named; returns the commit's id."""
        return self.host.platform.repositories.import_tree(
            self.repository,
            folder or self.folder,
            message,
            branch=branch or self.settings.default_branch,
        )

    def edit(self, path: str, *changes: tuple[str, str]) -> str:
        """Replace texts (old, new) in a file of the folder, and commit; returns the commit's id.

        A replacement that was made before is skipped. Raises `MalformedInput`, and changes nothing, if the file lacks
        an old text.
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
        """Tag the head of the default branch, annotated if there is a message; returns the commit's id."""
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
        """Open a pull request with the contents of ``folder``, from a branch of ``owner``'s copy of the repository.

        Another owner's copy is a fork. Raises `Refused` (409) for a conflict with the default branch.
        """
        repositories, owner = self.host.platform.repositories, names.owner(owner)
        fork = owner != self.repository.partition("/")[0]
        base = self.head(self.default)
        source = repositories.fork(self.repository, owner) if fork else self.repository
        commit = repositories.import_tree(source, folder, title or "a change", branch=branch, parent=base)
        number = 1 + max(
            (int(ref.split("/")[2]) for ref in repositories.refs(self.repository) if ref.startswith("refs/pull/")),
            default=0,
        )
        if fork:
            repositories.fetch_fork(self.repository, source, f"refs/heads/{branch}", into=f"refs/pull/{number}/head")
        else:
            repositories.set_ref(self.repository, f"refs/pull/{number}/head", commit)
        merge = repositories.merge(self.repository, base, commit)
        repositories.set_ref(self.repository, f"refs/pull/{number}/merge", merge)
        head = PullRequestHead(number, title, source, branch, commit, owner, base, merge, body)
        return PullRequest(head, fork, self.settings.default_branch)

    def propose(self, files: Mapping[str, str], *, branch: str, owner: str, title: str = "A typo") -> PullRequest:
        """Open a pull request that replaces some files of the folder, path to text; see `pull_request`."""
        with TemporaryDirectory() as copy:
            folder = shutil.copytree(self.folder, copy, dirs_exist_ok=True)
            for path, text in files.items():
                Path(folder, path).write_text(text, encoding="utf-8")
            return self.pull_request(owner=owner, branch=branch, folder=Path(folder), title=title)

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
        on_step: OnStep | None = None,
    ) -> Run:
        """Run the one workflow that the event starts, or the one named; `runs` runs all.

        ``approve`` names environments whose reviewer approves, ``ports`` are loopback ports that jobs may reach besides
        the services, ``on_step`` is called as each step ends. Raises `MalformedInput` if the event starts no workflow
        or several.
        """
        started = self._started(event, ref, pull, workflow, cache_rule)
        if len(started.workflows) != 1:
            names = ", ".join(Path(w.path).name for w in started.workflows)
            raise MalformedInput(
                f"{event} starts {len(started.workflows)} workflows" + (f": {names}" if names else ""),
                hint="name one: workflow='release.yml', or use runs()" if names else "look at their `on:`",
            )
        options = RunOptions(job, dict(inputs or {}), tuple(approve), cache_rule, tuple(ports))
        plan = RunPlan.prepare(
            self.host.context,
            self.settings,
            started.trigger,
            started.workflows[0],
            files=started.files,
            options=replace(options, on_step=on_step) if on_step else options,
        )
        return WorkflowRun(plan).perform()

    def runs(self, event: str, *, ref: str = "", pull: PullRequest | None = None, **options: object) -> list[Run]:
        """Run every workflow that the event starts, as the platform does; ``options`` are those of `run`."""
        started = self._started(event, ref, pull, "", str(options.get("cache_rule", "current")))
        return [
            self.run(event, ref=ref, pull=pull, workflow=Path(w.path).name, **options)  # type: ignore[arg-type]
            for w in started.workflows
        ]

    def workflows(self, commit: str) -> dict[str, str]:
        """The workflow files of a commit: path to text. Raises `MalformedInput` for a file name above `MAX_NAME`."""
        files = {
            path: file.data.decode("utf-8", "replace")
            for path, file in self.host.platform.repositories.files(self.repository, commit).items()
            if path.startswith(WORKFLOWS) and path.endswith((".yml", ".yaml")) and path.count("/") == 2
        }
        for path in files:
            name = path.removeprefix(WORKFLOWS)
            if len(os.fsencode(name)) > MAX_NAME:
                raise MalformedInput(
                    f"the name of the workflow file {name[:40]!r}… is too long",
                    why=f"expected at most {MAX_NAME} bytes, got {len(os.fsencode(name))}",
                    hint=f"rename it on the branch of commit {commit[:12]}",
                )
        return files

    def _started(self, event: str, ref: str, pull: PullRequest | None, workflow: str, cache_rule: str) -> _Started:
        """What an event starts: all workflows, or the named one. Raises `MalformedInput`, also if it starts none."""
        origin = self._origin(event, ref, pull)
        rights = effective_permissions(origin, cache_rule)
        commits = {
            "merge": pull.head.merge_commit if pull else "",
            "default": self.head(self.default),
            "head": "" if pull else self.head(origin.ref),
        }
        trigger = TriggerEvent(
            origin,
            self.repository,
            commits[rights.checkout],
            pull.head.author if pull else OWNER,
            run=0,
            default_branch=self.settings.default_branch,
            internal=not self.host.platform.repositories.repository(self.repository).public,
            pull=pull.head if pull else None,
        )
        files = self.workflows(commits[rights.workflow])
        workflows = [
            parsed
            for path, text in sorted(files.items())
            if (not workflow or Path(path).name == Path(workflow).name)
            and (parsed := Workflow.parse(path, text)).triggered(event, origin.ref, origin.base)
        ]
        if workflow and not workflows:
            raise MalformedInput(
                f"{event} at {origin.ref} does not start {workflow}",
                why="the commit has no such workflow, or its `on:` does not name the event",
                hint=f"workflows there: {', '.join(sorted(Path(p).name for p in files)) or 'none'}",
            )
        return _Started(trigger, workflows, files)

    def _origin(self, event: str, ref: str, pull: PullRequest | None) -> Origin:
        """Where a run of ``event`` comes from. Raises `MalformedInput` for a combination that does not exist."""
        if event not in EVENTS:
            raise MalformedInput(f"no such event: {event!r}", hint=f"known: {', '.join(EVENTS)}")
        if (pull is not None) != event.startswith("pull_request"):
            raise MalformedInput(f"{event} {'needs a' if pull is None else 'has no'} pull request")
        ref = ref or self.default
        if pull is not None:
            ref = f"refs/pull/{pull.number}/merge" if event == "pull_request" else self.default
        if not ref.startswith("refs/"):
            raise MalformedInput(f"not a full ref: {ref!r}", hint="write refs/heads/main or refs/tags/v1.0.0")
        base = f"refs/heads/{pull.base}" if pull else ref
        return Origin(event, bool(pull and pull.fork), ref, base, self.default)


@dataclass(frozen=True)
class _Started:
    """What an event starts at one commit."""

    trigger: TriggerEvent
    workflows: list[Workflow]
    files: Mapping[str, str]  # all workflow files of the commit, path to text
