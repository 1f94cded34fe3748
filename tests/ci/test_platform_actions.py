"""Our implementations of the platform's actions, run by `act` against the real services."""

from __future__ import annotations

import base64
import platform
import re
import subprocess
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from artifact_files import keep, unpack
from platform_world import MAIN, REPOSITORY, Host, Job, act

from chainlab.ci.git.tree_files import File
from chainlab.registry.index.publishers import Publisher
from chainlab.trust.client import Trust

pytest_plugins = ["platform_fixtures"]

READ = f"contents:read:{REPOSITORY}"
FILES = {"README.md": b"# one\n", "src/a.py": b"A = 1\n", ".hidden/secret": b"x"}
CACHE = (f"cache:read:0:{REPOSITORY}:{MAIN}", f"cache:write:{REPOSITORY}:{MAIN}")
ARTIFACTS = ("artifacts:read:1", "artifacts:write:1")


@pytest.fixture(scope="module")
def commits(host: Host) -> list[str]:
    """Two commits on main; the repository is not public."""
    remote = host.platform.repositories
    remote.create("acme", "triage-model", public=False)
    first = remote.import_tree(REPOSITORY, FILES, "one")
    second = remote.import_tree(REPOSITORY, FILES | {"src/b.py": b"B = 2\n"}, "two")
    remote.tag(REPOSITORY, "v1", first, message="one")
    return [first, second]


def files(job: Job) -> set[str]:
    return {
        path.relative_to(job.workspace).as_posix()
        for path in job.workspace.rglob("*")
        if path.is_file() and ".git/" not in path.as_posix()
    }


# -- secrets


def test_no_action_puts_a_token_on_a_command_line(root: Path) -> None:
    """Every user of the machine may read a command line; what the shell itself does (printf, [[, NAME=) has none."""
    secret = re.compile(r"\$\{?\w*(TOKEN|PASSWORD|identity)\b")
    own = re.compile(r"((\b(?:printf|echo|test) |(?:^| )\w+=)[^|;&]*|\[\[ [^|;]*)$")
    scripts = [path for folder in ("actions", "platform") for path in (root / "data" / folder).rglob("*")]
    used = 0
    for path in scripts:
        if path.suffix in (".sh", ".yml"):
            for line in path.read_text(encoding="utf-8").splitlines():
                for match in secret.finditer(line):
                    used += 1
                    assert own.search(line[: match.start()]), f"{path.name}: {line}"
    assert used > 10


# -- checkout


def test_checkout_takes_the_commit_of_the_event(host: Host, commits: list[str], tmp_path: Path) -> None:
    steps = '- uses: actions/checkout@v4\n  id: c\n- run: echo "at ${{ steps.c.outputs.commit }}"'
    job = act(host, tmp_path, steps, token=host.secret(READ), commit=commits[0])
    assert job.passed, job.output
    assert f"at {commits[0]}" in job.output
    assert files(job) == set(FILES)
    # one commit deep
    assert (job.workspace / ".git" / "shallow").read_text().strip() == commits[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("ref: v1", set(FILES)),
        ("ref: main", {*FILES, "src/b.py"}),
        ("ref: refs/tags/v1", set(FILES)),
        ("{path: sub/folder, ref: v1}", {f"sub/folder/{name}" for name in FILES}),
        ("repository: acme/hub-login", {"action.yml"}),
        ("{repository: acme/changed-files, ref: v2}", {"action.yml"}),
    ],
)
def test_checkout_takes_what_it_is_told(
    host: Host, commits: list[str], tmp_path: Path, options: str, expected: set[str]
) -> None:
    steps = f"- uses: actions/checkout@v7\n  with:\n    {options}"
    if options.startswith("{"):
        steps = f"- uses: actions/checkout@v7\n  with: {options}"
    job = act(host, tmp_path, steps, token=host.secret(READ), commit=commits[1])
    assert job.passed, job.output
    assert files(job) == expected


def test_checkout_with_depth_0_has_all_history_and_tags(host: Host, commits: list[str], tmp_path: Path) -> None:
    steps = "- uses: actions/checkout@v4\n  with: {fetch-depth: 0}"
    job = act(host, tmp_path, steps, token=host.secret(READ), commit=commits[1])
    assert job.passed, job.output

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(job.workspace), *words], capture_output=True, text=True, check=True
        ).stdout

    assert git("rev-list", "HEAD").split() == commits[::-1]
    assert git("tag").split() == ["v1"]
    assert git("describe").startswith("v1-1-g")


@pytest.mark.parametrize("version", ["v4", "v7"])
def test_checkout_leaves_the_token_in_the_config_unless_told_otherwise(
    host: Host, commits: list[str], tmp_path: Path, version: str
) -> None:
    token = host.secret(READ)
    headers = []
    for persist in ("", "\n  with: {persist-credentials: false}"):
        steps = f"- uses: actions/checkout@{version}{persist}"
        job = act(host, tmp_path / f"p{len(persist)}", steps, token=token, commit=commits[1])
        assert job.passed, job.output
        config = (job.workspace / ".git" / "config").read_text()
        header = re.search(r"basic (\S+)", config)
        headers.append(base64.b64decode(header[1]).decode() if header else None)
    assert headers == [f"x-access-token:{token}", None]


def test_checkout_without_the_right_fails(host: Host, commits: list[str], tmp_path: Path) -> None:
    steps = "- uses: actions/checkout@v4"
    other = host.secret("contents:read:acme/other")
    for name, token in (("none", ""), ("other", other)):
        job = act(host, tmp_path / name, steps, token=token, commit=commits[1])
        assert not job.passed
        assert files(job) == set()


HOSTILE = [
    "$(touch pwned)",
    "a;touch pwned",
    "--upload-pack=touch pwned",
    "../../x",
    "`touch pwned`",
]


@pytest.mark.parametrize("input", ["ref", "path", "repository", "fetch-depth"])
def test_no_input_of_checkout_runs_as_a_command(host: Host, commits: list[str], tmp_path: Path, input: str) -> None:
    steps = "\n".join(
        f"- uses: actions/checkout@v7\n  continue-on-error: true\n  with:\n    {input}: '{value}'" for value in HOSTILE
    )
    job = act(host, tmp_path, steps, token=host.secret(READ), commit=commits[1])
    assert job.output.count("Run Main actions/checkout@v7") == len(HOSTILE)
    assert list(tmp_path.rglob("pwned")) == []


@pytest.fixture(scope="module")
def pull(host: Host, commits: list[str]) -> dict[str, str]:
    """A fork's pull request number 7."""
    remote = host.platform.repositories
    fork = remote.fork(REPOSITORY, "mallory")
    change = {**remote.files(REPOSITORY, commits[1]), "evil.py": File(b"print('hi')\n")}
    head = remote.import_tree(fork, change, "evil", branch="patch", parent=commits[1])
    remote.fetch_fork(REPOSITORY, fork, "patch", into="refs/pull/7/head")
    merge = remote.merge(REPOSITORY, commits[1], head)
    remote.set_ref(REPOSITORY, "refs/pull/7/merge", merge)
    return {"head": head, "merge": merge}


WAYS = {
    "commit": "ref: '${{ github.event.pull_request.head.sha }}'",
    "head": "ref: refs/pull/7/head",
    "merge": "ref: refs/pull/7/merge",
    "fork": "repository: mallory/triage-model, ref: patch",
}


@pytest.mark.parametrize(
    ("version", "extra", "taken"),
    [("v4", "", True), ("v7", "", False), ("v7", ", allow-unsafe-pr-checkout: true", True)],
)
def test_since_v7_a_forks_code_is_refused_where_the_secrets_are(
    host: Host,
    commits: list[str],
    pull: dict[str, str],
    tmp_path: Path,
    version: str,
    extra: str,
    taken: bool,
) -> None:
    head = {"sha": pull["head"], "ref": "patch", "repo": {"full_name": "mallory/triage-model"}}
    base = {"ref": "main", "sha": commits[1]}
    steps = "\n".join(
        f"- uses: actions/checkout@{version}\n  continue-on-error: true\n  with: {{path: {way}, {options}{extra}}}"
        for way, options in WAYS.items()
    )
    job = act(
        host,
        tmp_path,
        steps,
        token=host.secret(READ),
        event="pull_request_target",
        payload={"number": 7, "pull_request": {"number": 7, "head": head, "base": base}},
        commit=commits[1],
    )
    got = {way for way in WAYS if f"{way}/evil.py" in files(job)}
    assert got == (set(WAYS) if taken else set()), job.output
    refusals = job.output.count("refused: this is the code of a fork's pull request")
    assert refusals == (0 if taken else len(WAYS))
    for way in [] if taken else WAYS:
        assert "basic" not in (job.workspace / way / ".git" / "config").read_text()


@pytest.mark.parametrize(
    ("event", "repo", "ref"),
    [
        ("pull_request_target", "mallory/triage-model", ""),  # the base's own code
        ("pull_request", "mallory/triage-model", "refs/pull/7/merge"),  # no secrets there
        ("pull_request_target", REPOSITORY, "refs/pull/7/merge"),  # from the same repository
    ],
)
def test_v7_checks_out_what_is_safe(
    host: Host,
    commits: list[str],
    pull: dict[str, str],
    tmp_path: Path,
    event: str,
    repo: str,
    ref: str,
) -> None:
    head = {"sha": pull["head"], "ref": "patch", "repo": {"full_name": repo}}
    payload = {
        "number": 7,
        "pull_request": {"number": 7, "head": head, "base": {"ref": "main", "sha": commits[1]}},
    }
    steps = f"- uses: actions/checkout@v7\n  with: {{ref: '{ref}'}}"
    token = host.secret(READ)
    job = act(host, tmp_path, steps, token=token, event=event, payload=payload, commit=commits[1])
    assert job.passed, job.output


# -- cache


STEPS = """
- run: |
    mkdir -p ~/.cache/pip models
    test -e ~/.cache/pip/wheel || echo made > ~/.cache/pip/wheel
    echo model > models/m
- uses: actions/cache@VERSION
  id: cache
  with:
    path: |
      ~/.cache/pip
      models
    key: KEY
    restore-keys: |
      pip-
- run: |
    echo "hit=<${{ steps.cache.outputs.cache-hit }}>"
    cat ~/.cache/pip/wheel models/m
    echo "of KEY" > ~/.cache/pip/wheel
"""


def cached(host: Host, folder: Path, key: str, *, version: str = "v4", grants: tuple[str, ...] = CACHE) -> Job:
    steps = STEPS.replace("VERSION", version).replace("KEY", key)
    job = act(host, folder, steps, grants=grants)
    assert job.passed, job.output
    return job


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_the_cache_is_restored_at_once_and_saved_at_the_end(fresh: Host, tmp_path: Path, version: str) -> None:
    assert "hit=<>" in cached(fresh, tmp_path / "1", "pip-a b", version=version).output
    second = cached(fresh, tmp_path / "2", "pip-a b", version=version).output
    assert "hit=<true>" in second
    assert "of pip-a b" in second
    third = cached(fresh, tmp_path / "3", "pip-c", version=version).output
    assert "hit=<false>" in third
    assert "of pip-a b" in third
    assert [entry.key for entry in fresh.platform.cache.entries()] == ["pip-a b", "pip-c"]
    (entry, _) = fresh.platform.cache.entries(REPOSITORY)
    with tarfile.open(fresh.platform.cache.path(entry)) as tar:
        assert "home/.cache/pip/wheel" in tar.getnames()
        assert "workspace/models/m" in tar.getnames()


def test_a_read_only_job_restores_and_its_saving_is_refused_without_failing(fresh: Host, tmp_path: Path) -> None:
    cached(fresh, tmp_path / "1", "pip-a")
    job = cached(fresh, tmp_path / "2", "pip-b", grants=CACHE[:1])
    assert "hit=<false>" in job.output
    assert "not saved (403)" in job.output
    assert [entry.key for entry in fresh.platform.cache.entries()] == ["pip-a"]


def test_other_paths_are_another_entry(fresh: Host, tmp_path: Path) -> None:
    cached(fresh, tmp_path / "1", "pip-a")
    steps = "- uses: actions/cache/restore@v4\n  with: {path: models, key: pip-a}"
    assert "Cache not found" in act(fresh, tmp_path / "2", steps, grants=CACHE).output


def test_restore_and_save_are_actions_of_their_own(fresh: Host, tmp_path: Path) -> None:
    save = "- run: mkdir d; echo kept > d/f\n- uses: actions/cache/save@v4\n  with: {path: d, key: k}"
    assert act(fresh, tmp_path / "1", save, grants=CACHE).passed
    restore = """
- uses: actions/cache/restore@v4
  id: r
  with: {path: d, key: k, fail-on-cache-miss: true}
- run: cat d/f; echo "matched ${{ steps.r.outputs.cache-matched-key }}"
"""
    job = act(fresh, tmp_path / "2", restore, grants=CACHE)
    assert job.passed
    assert "matched k" in job.output
    missing = restore.replace("key: k", "key: other")
    assert not act(fresh, tmp_path / "3", missing, grants=CACHE).passed


@pytest.mark.parametrize("value", ["$(touch pwned)", "a'; touch pwned; '", "ü-%00", "a&key=b"])
def test_no_key_or_path_runs_as_a_command(fresh: Host, tmp_path: Path, value: str) -> None:
    quoted = value.replace("'", "''")
    for number in (1, 2):
        steps = f"- run: mkdir -p d\n- uses: actions/cache@v4\n  with: {{path: d, key: '{quoted}'}}"
        assert act(fresh, tmp_path / str(number), steps, grants=CACHE).passed
    steps = f"- uses: actions/cache@v4\n  with: {{path: '{quoted}', key: k}}"
    assert act(fresh, tmp_path / "3", steps, grants=CACHE).passed
    assert list(tmp_path.rglob("pwned")) == []
    assert [e.key for e in fresh.platform.cache.entries()] == ([value] if value.isascii() else [])


# -- artifacts


TREE = "mkdir -p dist/sub .git2; echo a > dist/a.whl; echo b > dist/sub/b.txt; echo h > dist/.h; echo r > r.md"
PATTERNS = {
    "a folder": ("dist", {"a.whl", "sub/b.txt"}),
    "a file": ("dist/a.whl", {"a.whl"}),
    "a pattern": ("dist/*.whl", {"a.whl"}),
    "several": ("dist/a.whl\n      r.md", {"dist/a.whl", "r.md"}),
    "an exception": ("dist\n      !dist/sub/b.txt", {"a.whl"}),
    "all below": ("dist/**/*.txt", {"sub/b.txt"}),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_an_artifact_holds_what_the_path_names(fresh: Host, tmp_path: Path, case: str) -> None:
    path, expected = PATTERNS[case]
    steps = f"""
- run: {TREE}
- uses: actions/upload-artifact@v4
  id: up
  with:
    name: my files
    path: |
      {path}
- run: echo "digest=${{{{ steps.up.outputs.artifact-digest }}}}"
"""
    job = act(fresh, tmp_path, steps, grants=ARTIFACTS)
    assert job.passed, job.output
    assert set(unpack(fresh.platform.artifacts, 1, "my files")) == expected
    digest = fresh.platform.artifacts.get(1, "my files").digest.value.hex()
    assert f"digest={digest}" in job.output


def test_hidden_files_stay_out_unless_they_are_asked_for(fresh: Host, tmp_path: Path) -> None:
    steps = f"""
- run: {TREE}
- uses: actions/upload-artifact@v4
  with: {{name: without, path: .}}
- uses: actions/upload-artifact@v4
  with: {{name: with, path: dist, include-hidden-files: true}}
"""
    job = act(fresh, tmp_path, steps, grants=ARTIFACTS)
    assert job.passed, job.output
    assert set(unpack(fresh.platform.artifacts, 1, "without")) == {
        "dist/a.whl",
        "dist/sub/b.txt",
        "r.md",
    }
    assert ".h" in unpack(fresh.platform.artifacts, 1, "with")


@pytest.mark.parametrize(("policy", "passed"), [("warn", True), ("ignore", True), ("error", False)])
def test_what_no_file_means_is_a_choice(fresh: Host, tmp_path: Path, policy: str, passed: bool) -> None:
    steps = f"- uses: actions/upload-artifact@v4\n  with: {{path: no, if-no-files-found: {policy}}}"
    job = act(fresh, tmp_path, steps, grants=ARTIFACTS)
    assert job.passed == passed
    assert ("::warning::" in job.output or "🚧" in job.output) == (policy == "warn")
    assert fresh.platform.artifacts.list(1) == []


def test_a_later_job_downloads_one_or_all(fresh: Host, tmp_path: Path) -> None:
    artifacts = fresh.platform.artifacts
    keep(artifacts, 1, "dist", {"a.whl": b"a", "sub/b": b"b"}, who="test")
    keep(artifacts, 1, "m 100%", {"m.onnx": b"m"}, who="test")
    keep(artifacts, 2, "other run", {"x": b""}, who="test")
    steps = """
- uses: actions/download-artifact@v4
  with: {name: dist, path: one}
- uses: actions/download-artifact@v4
  with: {path: all}
- uses: actions/download-artifact@v4
  with: {path: flat, pattern: "m*", merge-multiple: true}
"""
    job = act(fresh, tmp_path, steps, grants=ARTIFACTS)
    assert job.passed, job.output
    assert files(job) == {
        "one/a.whl",
        "one/sub/b",
        "all/dist/a.whl",
        "all/dist/sub/b",
        "all/m 100%/m.onnx",
        "flat/m.onnx",
    }
    for name in ("missing", "../2/other run"):
        steps = f"- uses: actions/download-artifact@v4\n  with: {{name: '{name}'}}"
        assert not act(fresh, tmp_path / name[:2], steps, grants=ARTIFACTS).passed


def test_the_same_name_twice_needs_overwrite(fresh: Host, tmp_path: Path) -> None:
    again = "- run: echo 2 > f\n- uses: actions/upload-artifact@v4\n  with: {path: f}"
    once = again.replace("echo 2", "echo 1")
    assert not act(fresh, tmp_path / "1", f"{once}\n{again}", grants=ARTIFACTS).passed
    assert unpack(fresh.platform.artifacts, 1, "artifact") == {"f": b"1\n"}
    over = again.replace("path: f", "path: f, overwrite: true")
    assert act(fresh, tmp_path / "2", over, grants=ARTIFACTS).passed
    assert unpack(fresh.platform.artifacts, 1, "artifact") == {"f": b"2\n"}


# -- the others


@pytest.mark.parametrize(("wish", "warned"), [("3.x", False), ("2.7", True)])
def test_setup_python_says_when_the_job_has_another(host: Host, tmp_path: Path, wish: str, warned: bool) -> None:
    steps = f'- uses: actions/setup-python@v5\n  with: {{python-version: "{wish}"}}'
    job = act(host, tmp_path, steps)
    assert job.passed, job.output
    assert (f"has Python {platform.python_version()}; {wish}" in job.output) == warned


def test_the_labeler_labels_with_a_token_that_may(
    host: Host, commits: list[str], pull: dict[str, str], tmp_path: Path
) -> None:
    payload = {
        "number": 7,
        "pull_request": {"number": 7, "base": {"ref": "main", "sha": commits[1]}},
    }
    steps = """
- uses: actions/checkout@v4
- uses: northwind-ml/labeler@v5
  with: {token: "${{ github.token }}"}
"""
    for right, passed in ((f"pull-requests:write:{REPOSITORY}", True), ("none", False)):
        token = host.secret(READ, right)
        job = act(host, tmp_path / right[:4], steps, token=token, payload=payload, commit=commits[1])
        assert job.passed == passed, job.output
    assert host.platform.comments.labels(REPOSITORY, 7) == ["code"]


# -- publishing


WHEEL = "demo_model-1.0-py3-none-any.whl"
CLAIMS = {
    "repository": REPOSITORY,
    "repository_owner": "acme",
    "repository_id": "1",
    "repository_owner_id": "2",
    "ref": MAIN,
    "sha": "1" * 40,
    "workflow_ref": f"{REPOSITORY}/.github/workflows/release.yml@{MAIN}",
    "job_workflow_ref": f"{REPOSITORY}/.github/workflows/release.yml@{MAIN}",
    "environment": "release",
    "run_id": "12",
    "event_name": "push",
    "sub": f"repo:{REPOSITORY}:environment:release",
}


def built(folder: Path, version: str = "1.0") -> str:
    """A step that puts a wheel into dist/."""
    info = f"demo_model-{version}.dist-info"
    parts = {
        "demo_model.py": "A = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: demo-model\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD,,\n"
    for name, text in parts.items():
        digest = base64.urlsafe_b64encode(sha256(text.encode()).digest()).decode().rstrip("=")
        record += f"{name},sha256={digest},{len(text)}\n"
    path = folder / f"demo_model-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**parts, f"{info}/RECORD": record}.items():
            wheel.writestr(name, text)
    return f"- run: mkdir dist; cp '{path}' dist/\n"


def test_publish_uploads_with_a_password(separate: Host, tmp_path: Path) -> None:
    secret = separate.secret("packages:upload:demo-model", subject="alice")
    steps = built(tmp_path) + f"- uses: pypa/gh-action-pypi-publish@release/v1\n  with: {{password: {secret}}}"
    job = act(separate, tmp_path, steps)
    assert job.passed, job.output
    (file,) = separate.registry.index.files("demo-model")
    assert (file.filename, file.publisher) == (WHEEL, None)
    bad = steps.replace(secret, "cl_wrong")
    assert not act(separate, tmp_path / "bad", bad).passed


def test_publish_uses_the_jobs_identity_and_signs(separate: Host, tmp_path: Path) -> None:
    registry, trust = separate.registry, Trust(separate.workspace.trust)
    publisher = Publisher(REPOSITORY, "release.yml", "release")
    registry.index.add_publisher("demo-model", publisher, owner="acme")
    steps = built(tmp_path) + "- uses: pypa/gh-action-pypi-publish@release/v1"
    identity: dict[str, Any] = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{separate.url}/ci/token?job=1",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": trust.job_bearer(CLAIMS),
    }
    job = act(separate, tmp_path / "1", steps, **identity)
    assert job.passed, job.output
    provenance = separate.http.get(f"/integrity/demo-model/1.0/{WHEEL}/provenance").json()
    (bundle,) = provenance["attestation_bundles"]
    assert bundle["publisher"]["workflow"] == "release.yml"
    assert len(bundle["attestations"]) == 1
    other = CLAIMS | {"repository": "mallory/triage-model"}
    for name, options in (
        ("nobody", {}),
        ("another", identity | {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": trust.job_bearer(other)}),
    ):
        refused = act(separate, tmp_path / name, built(tmp_path, "1.1") + steps.partition("\n")[2], **options)
        assert not refused.passed
        assert "::error::" in refused.output or "❗" in refused.output, refused.output
    assert len(registry.index.files("demo-model")) == 1
