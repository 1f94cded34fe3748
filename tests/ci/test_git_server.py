"""Git repositories of the host: what is written in process, what a person's git sees over HTTP."""

from __future__ import annotations

import gzip
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_world import Host

from chainlab.ci.git import git as git_module
from chainlab.ci.git import packs, ref_events, tree_files
from chainlab.ci.git import repositories as repositories_module
from chainlab.ci.git.refs import NO_COMMIT, check_ref
from chainlab.ci.git.repositories import Repositories
from chainlab.ci.git.tree_files import File, read_folder
from chainlab.database import transaction
from chainlab.errors import ChainlabError, MalformedInput, Refused

pytest_plugins = ["platform_fixtures"]

Git = Callable[..., subprocess.CompletedProcess[str]]
FILES = {"a.txt": b"a\n", "folder/b": bytes(range(256)), "ü ö": b"", 'q"\\': b"q", "-x": b"x"}
NAMES = iter(f"repo-{number}" for number in range(1000))


@pytest.fixture
def repositories(host: Host) -> Repositories:
    return host.platform.repositories


@pytest.fixture
def name(repositories: Repositories) -> str:
    return repositories.create("acme", next(NAMES), public=False)


@pytest.fixture
def git(git_environment: dict[str, str], tmp_path: Path) -> Git:
    def git(*words: str, cwd: Path = tmp_path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["git", *words],
            cwd=cwd,
            env=git_environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return git


def address(host: Host, name: str, *grants: str, subject: str = "alice") -> str:
    """The repository's address with a credential in it."""
    secret = host.secret(*grants, subject=subject)
    return host.url.replace("://", f"://x-access-token:{secret}@") + f"/git/{name}"


# -- in process


def test_a_tree_comes_back_as_it_was(repositories: Repositories, name: str) -> None:
    commit = repositories.import_tree(name, FILES, "one")
    assert repositories.files(name, commit) == {path: File(data) for path, data in FILES.items()}
    assert repositories.show(name, commit, "folder/b") == FILES["folder/b"]
    folder = repositories.archive(name, commit)
    assert {p: f.data for p, f in read_folder(folder).items()} == FILES
    assert repositories.archive(name, commit) == folder


@settings(max_examples=25)
@given(st.dictionaries(st.from_regex(r"[a-zA-Z0-9 _.ü-]{1,8}\.x", fullmatch=True), st.binary()))
def test_any_tree_comes_back_as_it_was(host: Host, files: dict[str, bytes]) -> None:
    repositories = host.platform.repositories
    repositories.create("acme", "any-tree")
    commit = repositories.import_tree("acme/any-tree", files, "any")
    assert {p: f.data for p, f in repositories.files("acme/any-tree", commit).items()} == files


def test_a_folder_is_committed_without_what_tools_leave(repositories: Repositories, name: str, tmp_path: Path) -> None:
    for path in (".git/config", "__pycache__/x.pyc", "src/a.py", ".github/x.yml", "b.pyc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / "run.sh").write_text("x")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("src/a.py")
    (tmp_path / ".gitignore").write_text("src\n")
    files = repositories.files(name, repositories.import_tree(name, tmp_path, "folder"))
    assert sorted(files) == [".github/x.yml", ".gitignore", "link", "run.sh", "src/a.py"]
    assert files["run.sh"].mode == "100755"
    assert files["link"] == File(b"src/a.py", "120000")


@pytest.mark.parametrize("repository", ["gate", "ci-host", "anything"])
def test_nobody_gets_the_name_that_host_and_gate_sign_with(
    repositories: Repositories, name: str, repository: str
) -> None:
    with pytest.raises(MalformedInput, match="the platform's own"):
        repositories.create("chainlab", repository)
    with pytest.raises(MalformedInput, match="the platform's own"):
        repositories.fork(name, "chainlab")


def test_the_same_commit_has_the_same_id(repositories: Repositories) -> None:
    ids = set()
    for _ in range(2):
        name = repositories.create("acme", next(NAMES))
        ids.add(repositories.import_tree(name, FILES, "one", time=1_700_000_000))
    assert len(ids) == 1


@pytest.mark.parametrize("path", ["../x", "/etc/x", ".git/config", "a/../../x", "", "a/.GIT/hooks/x"])
def test_no_path_leads_out_of_a_commit(repositories: Repositories, name: str, path: str) -> None:
    with pytest.raises(ChainlabError):
        repositories.import_tree(name, {path: b"x"}, "bad")
    assert repositories.refs(name) == {}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "a/../../../x"])
def test_no_link_leads_out_of_an_exported_tree(repositories: Repositories, name: str, target: str) -> None:
    commit = repositories.import_tree(name, {"l": File(target.encode(), "120000")}, "link")
    with pytest.raises(Refused, match="leads out"):
        repositories.archive(name, commit)


def test_refs_resolve_by_the_platforms_rules(repositories: Repositories, name: str) -> None:
    first = repositories.import_tree(name, FILES, "one")
    second = repositories.import_tree(name, {}, "two")
    repositories.tag(name, "annotated", first, message="a release")
    repositories.tag(name, "light", first)
    repositories.set_ref(name, "refs/heads/light", second)
    assert repositories.resolve(name, "main") == second
    assert repositories.resolve(name, "annotated") == first
    assert repositories.refs(name)["refs/tags/annotated"] not in (first, second)
    assert repositories.resolve(name, "light") == first  # the tag wins
    assert repositories.resolve(name, "refs/heads/light") == second
    assert repositories.resolve(name, second) == second
    for missing in (first[:7], "x", "HEAD", "main~1", "main^{tree}", "..", "-x", "a" * 40, "ma*"):
        with pytest.raises(Refused) as caught:
            repositories.resolve(name, missing)
        assert caught.value.status == 404
    with pytest.raises(Refused, match="id of a tag, not of a commit"):
        repositories.resolve(name, repositories.refs(name)["refs/tags/annotated"])


def test_a_merge_is_made_as_the_platform_makes_it(repositories: Repositories, name: str) -> None:
    base = repositories.import_tree(name, FILES, "base")
    fork = repositories.fork(name, "mallory")
    head = repositories.import_tree(fork, FILES | {"new": b"n"}, "head", branch="x;$(id)", parent=base)
    moved = repositories.import_tree(name, FILES | {"own": b"o"}, "moved")
    assert repositories.fetch_fork(name, fork, "x;$(id)", into="refs/pull/7/head") == head
    merge = repositories.merge(name, moved, head)
    assert set(repositories.files(name, merge)) == {*FILES, "new", "own"}
    repositories.set_ref(name, "refs/pull/7/merge", merge)
    assert repositories.resolve(name, "refs/pull/7/merge") == merge
    assert repositories.only_in_fork(name, head)
    assert not repositories.only_in_fork(name, base)
    other = repositories.import_tree(name, FILES | {"a.txt": b"other"}, "other", branch="o", parent=base)
    third = repositories.import_tree(name, FILES | {"a.txt": b"third"}, "third", branch="t", parent=base)
    with pytest.raises(Refused, match=r"conflicts in a\.txt"):
        repositories.merge(name, other, third)
    with pytest.raises(Refused, match="could not merge"):
        repositories.merge(name, other, "1" * 40)


@pytest.mark.parametrize(
    "name",
    ["../x/y", "a/b/c", "A/b", ".a/b", "a/-b", "a/b.git", "a", "a/b.lock", "a/\n", "", "a/.."],
)
def test_a_repository_has_a_plain_name(repositories: Repositories, name: str) -> None:
    owner, _, repo = name.partition("/")
    with pytest.raises(MalformedInput):
        repositories.create(owner, repo)
    with pytest.raises(Refused):
        repositories.path(name)


@given(st.text(max_size=30))
def test_a_ref_name_that_is_accepted_is_one_for_git(tail: str) -> None:
    ref = f"refs/heads/{tail}"
    words = ["git", "check-ref-format", ref]
    if "\0" in ref or any(0xD800 <= ord(c) < 0xE000 for c in ref):
        with pytest.raises(MalformedInput):
            check_ref(ref)
        return
    try:
        accepted = check_ref(ref) == ref
    except MalformedInput:
        accepted = False
    assert not accepted or subprocess.run(words, check=False).returncode == 0


def test_each_change_of_a_ref_is_one_event(fresh: Host) -> None:
    repositories = fresh.platform.repositories
    name = repositories.create("acme", "told")
    first = repositories.import_tree(name, FILES, "one")
    repositories.set_ref(name, "refs/heads/main", None, who="mallory")
    changes = fresh.events("dev.chainlab.change.pushed")
    ages = [change.pop("age_s") for change in changes]
    assert ages[0] is None
    assert ages[1] is not None
    same = {"ref": "refs/heads/main", "kind": "branch", "moved": False, "batch": 0}
    assert changes == [
        {**same, "old": NO_COMMIT, "new": first, "who": "chainlab"},
        {**same, "old": first, "new": NO_COMMIT, "who": "mallory"},
    ]


def test_an_event_tells_a_moved_ref_from_a_branch_that_grew(fresh: Host) -> None:
    repositories = fresh.platform.repositories
    name = repositories.create("acme", "moving")
    first = repositories.import_tree(name, FILES, "one")
    second = repositories.import_tree(name, FILES, "two")  # the branch grows
    repositories.set_ref(name, "refs/heads/main", first, who="mallory")  # and is forced back
    with repositories.changing(name, "mallory") as path:
        for commit in (first, second):
            for tag in ("v1", "v2"):
                repositories.git(path, "update-ref", f"refs/tags/{tag}", commit)
            repositories._ref_events.announce(name, repositories.refs(name), "mallory", contains=lambda *_: True)
    changes = [(e["kind"], e["moved"], e["batch"]) for e in fresh.events("dev.chainlab.change.pushed")]
    assert changes == [
        ("branch", False, 0),
        ("branch", False, 0),
        ("branch", True, 0),
        *[("tag", False, 0)] * 2,
        *[("tag", True, 2)] * 2,
    ]


def test_a_push_of_many_refs_holds_the_database_for_no_longer_than_one_of_few(
    fresh: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    @contextmanager
    def counted(connection: sqlite3.Connection) -> Iterator[None]:
        before = connection.total_changes
        with transaction(connection):
            yield
        sizes.append(connection.total_changes - before)

    repositories = fresh.platform.repositories
    name = repositories.create("acme", "many-refs")
    commit = repositories.import_tree(name, FILES, "one")
    monkeypatch.setattr(ref_events, "transaction", counted)
    with repositories.changing(name, "alice") as path:
        updates = "".join(f"create refs/tags/t{number} {commit}\n" for number in range(350))
        repositories.git(path, "update-ref", "--stdin", stdin=updates.encode())
    assert len(fresh.events("dev.chainlab.change.pushed")) == 351
    assert max(sizes) <= 3 * ref_events.BATCH  # a ref, its time and its event
    assert len(sizes) == 4


# -- over HTTP


def test_git_clones_and_pushes(host: Host, repositories: Repositories, name: str, git: Git, tmp_path: Path) -> None:
    first = repositories.import_tree(name, FILES, "one")
    url = address(host, name, f"contents:write:{name}", f"contents:read:{name}")
    git("clone", "--quiet", url, "clone")
    clone = tmp_path / "clone"
    (clone / "new").write_bytes(b"x" * 2_000_000)  # large enough for a chunked request
    git("add", ".", cwd=clone)
    git("commit", "--quiet", "-m", "two", cwd=clone)
    git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/tags/v1", cwd=clone)
    second = git("rev-parse", "HEAD", cwd=clone).stdout.strip()
    assert repositories.resolve(name, "main") == second
    changes = [e for e in host.events("dev.chainlab.change.pushed") if e["new"] == second]
    assert [(e["ref"], e["old"], e["who"]) for e in changes] == [
        ("refs/heads/main", first, "alice"),
        ("refs/tags/v1", NO_COMMIT, "alice"),
    ]
    git("fetch", "--quiet", "--depth=1", "origin", first, cwd=clone)  # a commit by its id
    git("push", "--quiet", "--force", "origin", f"{first}:refs/heads/main", cwd=clone)
    assert repositories.resolve(name, "main") == first


@pytest.mark.parametrize("ref", ["refs/pull/1/head", "refs/forks/x/main", "refs/staging/x"])
def test_a_push_does_not_reach_the_hosts_own_refs(
    host: Host, repositories: Repositories, name: str, git: Git, tmp_path: Path, ref: str
) -> None:
    commit = repositories.import_tree(name, FILES, "one")
    repositories.set_ref(name, ref, commit)
    url = address(host, name, f"contents:write:{name}")
    git("clone", "--quiet", url, "clone")
    done = git("push", "origin", f":{ref}", cwd=tmp_path / "clone", check=False)
    assert done.returncode != 0
    assert ref in repositories.refs(name)
    assert ("refs/pull" in git("ls-remote", url).stdout) == ref.startswith("refs/pull")


def test_nothing_in_a_repository_runs(
    host: Host, repositories: Repositories, name: str, git: Git, tmp_path: Path
) -> None:
    hooks = repositories.path(name) / "hooks"
    hooks.mkdir()
    for hook in ("pre-receive", "update", "post-receive", "post-update", "reference-transaction"):
        (hooks / hook).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / hook).chmod(0o755)
    repositories.import_tree(name, FILES, "one")
    url = address(host, name, f"contents:write:{name}")
    git("clone", "--quiet", url, "clone")
    git("push", "--quiet", "origin", "HEAD:refs/heads/other", cwd=tmp_path / "clone")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("public", "grants", "read", "push"),
    [
        (True, None, 200, 401),
        (False, None, 401, 401),
        (True, (), 200, 403),
        (False, (), 404, 404),
        (False, ("contents:read:NAME",), 200, 403),
        (False, ("contents:write:NAME",), 200, 200),
        (False, ("contents:*",), 200, 200),
        (False, ("contents:read:acme/other", "packages:upload:*"), 404, 404),
    ],
)
def test_who_may_read_and_push(
    host: Host, repositories: Repositories, public: bool, grants: tuple[str, ...] | None, read: int, push: int
) -> None:
    name = repositories.create("acme", next(NAMES), public=public)
    auth = None
    if grants is not None:
        auth = ("any", host.secret(*(grant.replace("NAME", name) for grant in grants)))
    for service, status in (("git-upload-pack", read), ("git-receive-pack", push)):
        path = f"/git/{name}/info/refs?service={service}"
        answer = host.http.get(path, auth=auth)
        assert answer.status_code == status, answer.text
        assert ("www-authenticate" in answer.headers) == (status == 401)
        media = f"application/x-{service}-request"
        posted = host.http.request(
            "POST", f"/git/{name}/{service}", auth=auth, headers={"Content-Type": media}, content=b"0000"
        )
        assert posted.status_code == status, posted.text


def test_a_bad_secret_is_a_401_even_where_everyone_may_read(host: Host) -> None:
    path = "/git/actions/checkout/info/refs?service=git-upload-pack"
    assert host.http.get(path).status_code == 200
    for header in ("Basic x", "Basic eA==", "Bearer wrong", "Digest x"):
        answer = host.http.get(path, headers={"Authorization": header})
        assert answer.status_code == 401


BAD = [
    ("GET", "/git/acme/x/info/refs", 403),
    ("GET", "/git/acme/x/info/refs?service=git-evil", 403),
    ("GET", "/git/acme/x/HEAD", 405),
    ("POST", "/git/acme/x/git-evil", 404),
    ("GET", "/git/../../etc/info/refs?service=git-upload-pack", 404),
    ("GET", "/git/..%2f..%2f/x/info/refs?service=git-upload-pack", 404),
    ("GET", "/git/acme/%2e%2e/info/refs?service=git-upload-pack", 401),
    ("GET", "/git/acme/a%00b/info/refs?service=git-upload-pack", 401),
    ("GET", "/git/acme/missing/info/refs?service=git-upload-pack", 401),
    ("GET", "/raw/acme/missing/main/x", 404),
    ("GET", "/raw/actions/checkout/v4/%2e%2e/x", 404),
    ("GET", "/raw/actions/checkout/nothing/x", 404),
    ("GET", "/raw/actions/checkout/v4", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), BAD)
def test_odd_addresses_get_the_right_status(host: Host, method: str, path: str, status: int) -> None:
    assert host.http.request(method, path).status_code == status


GARBAGE = {
    "nothing": b"",
    "no pkt-line": b"hello",
    "a length beyond the end": b"ffff0123",
    "a length below four": b"0003",
    "a want of garbage": b"0032want zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n00000009done\n",
    "a want of what is not there": b"0032want " + b"1" * 40 + b"\n00000009done\n",
    "many flushes": b"0000" * 1000,
}


@pytest.mark.parametrize("service", ["git-upload-pack", "git-receive-pack"])
@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("version", ["", "version=2", "version=9", "$(id)"])
def test_garbage_is_refused_and_breaks_nothing(
    host: Host, repositories: Repositories, service: str, kind: str, version: str
) -> None:
    name = repositories.create("acme", "garbage", public=False)
    auth = ("x", host.secret(f"contents:write:{name}"))
    headers = {"Content-Type": f"application/x-{service}-request", "Git-Protocol": version}
    path = f"/git/{name}/{service}"
    answer = host.http.post(path, auth=auth, headers=headers, content=GARBAGE[kind])
    assert answer.status_code in (200, 400)  # git says some of its errors inside a 200
    assert str(repositories.directory) not in answer.text
    assert repositories.refs(name) == {}


def test_bodies_that_are_not_what_they_say_are_refused(host: Host, repositories: Repositories) -> None:
    name = repositories.create("acme", "bodies")
    path, kind = f"/git/{name}/git-upload-pack", "application/x-git-upload-pack-request"
    post = host.http.post

    def status(content: bytes, **headers: str) -> int:
        given = {"content-type": kind} | {k.replace("_", "-"): v for k, v in headers.items()}
        return post(path, content=content, headers=given).status_code

    assert status(b"0000", content_type="text/plain") == 415
    assert status(b"x", content_encoding="br") == 415
    assert status(b"not gzip", content_encoding="gzip") == 400
    assert status(gzip.compress(b"0000")[:-4], content_encoding="gzip") == 400
    assert status(gzip.compress(b"0000") + b"more", content_encoding="gzip") == 400
    assert status(gzip.compress(b"0000"), content_encoding="gzip") == 200
    bomb = gzip.compress(bytes(300 * 2**20), compresslevel=1)
    assert status(bomb, content_encoding="gzip") == 413


def test_two_pushes_to_one_branch_never_both_win(
    host: Host, repositories: Repositories, name: str, git: Git, tmp_path: Path
) -> None:
    repositories.import_tree(name, FILES, "one")
    url = address(host, name, f"contents:write:{name}")
    clones = [f"c{number}" for number in range(4)]
    for clone in clones:
        git("clone", "--quiet", url, clone)
        git("commit", "--quiet", "--allow-empty", "-m", clone, cwd=tmp_path / clone)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda c: git("push", "origin", "HEAD:main", cwd=tmp_path / c, check=False), clones))
    assert sum(d.returncode == 0 for d in done) == 1


def test_a_raw_file_of_a_public_repository_is_served_inert(host: Host, repositories: Repositories) -> None:
    name = repositories.create("northwind-ml", next(NAMES))
    repositories.import_tree(name, {"m/x.html": b"<script>"}, "one", branch="release/v1")
    answer = host.http.get(f"/raw/{name}/release/v1/m/x.html")
    assert answer.content == b"<script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_large_file_is_streamed_and_one_above_the_limit_is_not_read(
    host: Host, repositories: Repositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = repositories.create("acme", next(NAMES))
    data = random.Random(3).randbytes(3 * git_module.PIECE + 17)
    repositories.import_tree(name, {"large": data, "small": b"x"}, "files")
    assert host.http.get(f"/raw/{name}/main/large").content == data
    monkeypatch.setattr(repositories_module, "MAX_FILE", len(data) - 1)
    refused = host.http.get(f"/raw/{name}/main/large")
    assert refused.status_code == 413
    assert f"has {len(data)} bytes" in refused.text
    assert host.http.get(f"/raw/{name}/main/small").content == b"x"
    for folder in ("", "large/x", "main"):
        assert host.http.get(f"/raw/{name}/main/{folder}").status_code == 404


def test_a_pushed_file_that_unpacks_above_the_limit_is_refused(
    host: Host, repositories: Repositories, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MAX_OBJECT", 2**20)
    name = repositories.create("acme", next(NAMES))
    repositories.import_tree(name, {"a": b"x"}, "first")
    clone = tmp_path / "clone"
    git("clone", "--quiet", address(host, name, f"contents:write:{name}"), "clone")
    for size, refused in ((2**20, False), (2**20 + 1, True)):
        (clone / "zeros").write_bytes(bytes(size))
        git("add", ".", cwd=clone)
        git("commit", "--quiet", "--message", "zeros", cwd=clone)
        pushed = git("push", "--quiet", "origin", "HEAD:refs/heads/zeros", cwd=clone, check=False)
        assert (pushed.returncode != 0) == refused
        assert ("413" in pushed.stderr) == refused
    assert len(repositories.show(name, repositories.resolve(name, "zeros"), "zeros")) == 2**20


def test_a_tree_with_too_many_names_is_refused(repositories: Repositories, monkeypatch: pytest.MonkeyPatch) -> None:
    name = repositories.create("acme", next(NAMES))
    commit = repositories.import_tree(name, {str(n): b"" for n in range(20)}, "files")
    monkeypatch.setattr(git_module, "MAX_ENTRIES", 19)
    with pytest.raises(Refused, match="more than 19 files"):
        repositories.files(name, commit)
    monkeypatch.setattr(git_module, "MAX_LISTING", 100)
    with pytest.raises(Refused, match="prints more than 100 bytes"):
        repositories.files(name, commit)


def test_a_stream_that_nobody_reads_ends_in_time(repositories: Repositories) -> None:
    name = repositories.create("acme", next(NAMES))
    commit = repositories.import_tree(name, {"large": random.Random(4).randbytes(4 * git_module.PIECE)}, "files")
    pieces = repositories.git.stream(
        repositories.path(name), "cat-file", "blob", f"{commit}:large", most=tree_files.MAX_FILE, timeout=0.5
    )
    assert next(pieces)
    time.sleep(1)
    with pytest.raises(Refused, match="took longer"):
        list(pieces)
