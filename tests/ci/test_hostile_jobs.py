"""What a hostile job, workflow file or upload must not do to the host: forge, crash, hang, leak, or stay."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from artifact_files import keep
from project_folders import Make

from chainlab.ci.actions.uses import ActionRef, find
from chainlab.ci.git import git
from chainlab.ci.git.tree_files import File, write_folder
from chainlab.ci.runs import job as job_module
from chainlab.ci.runs import job_process, job_provenance, relay, run_reports, workflow_run
from chainlab.ci.runs.relay import Relay
from chainlab.ci.runs.run_record import Run
from chainlab.ci.services import artifacts as artifacts_module
from chainlab.ci.services.access import ConcurrencyLimit
from chainlab.ci.services.artifacts import Artifacts
from chainlab.ci.workflows.workflow import MAX_JOBS, Workflow
from chainlab.ci.workflows.yaml_document import load
from chainlab.digests import Digest
from chainlab.errors import ChainlabError, MalformedInput, Refused, Unavailable
from chainlab.world import World

X = ".github/workflows/x.yml"
STEP = {"jobID": "build", "job": "x/build", "stepID": ["0"], "stage": "Main", "step": "s"}
END = STEP | {"stepResult": "success"}
FORGED: list[object] = [  # lines that a job writes to act's output beside act
    END | {"executionTime": "x"},
    END | {"executionTime": float("inf"), "step": "\ud800\x1b[31mred\x9b\u202e"},
    END | {"stepResult": "\x1b[2J", "step": "odd"},
    STEP | {"stepID": {"a": 1}, "msg": "m"},
    STEP | {"jobID": ["build"], "msg": ["m"]},
    STEP | {"raw_output": True, "msg": "\ud800\x1b]0;title\x07\x07said\n"},
    [],
    9**999,
]
WRITE = """
import json, os, signal, sys
def of(path):
    try:
        return open(path).read().split("\\0")
    except OSError:
        return [""]
act = next(p for p in os.listdir("/proc") if p.isdigit() and of(f"/proc/{p}/cmdline")[0].endswith("/act"))
def write(line):
    with open(f"/proc/{act}/fd/1", "wb", buffering=0) as out:
        out.write(line.encode() + b"\\n")
"""


def job(script: str, *, more: str = "", head: str = "") -> dict[str, str]:
    lines = "".join(f"          {line}\n" for line in script.strip().splitlines())
    text = f"name: x\non: push\n{head}\njobs:\n  build:\n    runs-on: ubuntu-latest\n{more}    steps:\n"
    return {X: f"{text}      - run: |\n{lines}"}


def python(code: str) -> str:
    return f"python3 - <<'END'\n{code}\nEND\necho ended"


def walled(world: World) -> None:
    if not world.ci.sandbox.is_namespace:
        pytest.skip("a job has no process table of its own here")


# -- what a job says about itself


def test_lines_that_a_job_forges_neither_end_the_host_nor_steer_a_terminal(make: Make, world: World) -> None:
    walled(world)
    lines = [json.dumps(line) for line in FORGED] + ["[" * 100_000, '{"a":' * 990 + "1" + "}" * 990]
    code = f"{WRITE}\nfor line in json.loads({json.dumps(lines)!r}): write(line)"
    run = make("acme/forging", job(python(code))).run("push")
    assert run.result == "success"
    names = [step.name for step in run.jobs["build"].steps]
    assert names[:2] == ["s", "?red"]
    assert "said" in run.log
    assert not {"\x1b", "\x9b", "\x07", "\ud800"} & set(run.log + run.table())
    folder = world.ci.directory / "runs" / str(run.id)
    assert all(json.loads(line) for line in (folder / "build.jsonl").read_text().splitlines()[:3])


def test_a_job_that_ends_act_cannot_report_another_result(make: Make, world: World) -> None:
    walled(world)
    report = json.dumps({"build": {"result": "skipped", "outputs": {"a": {"b": 1}}}})
    line = {"jobID": "chainlab-report", "job": "x/chainlab-report", "raw_output": True}
    code = f"{WRITE}\nwrite(json.dumps({line | {'msg': report}}))\nos.kill(int(act), signal.SIGKILL)"
    run = make("acme/reporting", job(python(code))).run("push")
    assert run.result == "failure"
    assert "act ended" in run.jobs["build"].why


def test_secrets_are_kept_from_names_summaries_and_jobs_that_do_not_name_them(make: Make, world: World) -> None:
    files = job(
        """
        echo "# ${{ secrets.KEY }}" >> "$GITHUB_STEP_SUMMARY"
        cat "$(dirname "$CHAINLAB_TRUST_CONFIG")"/secrets* | tr A-Z a-z
        echo "$ACTIONS_RUNTIME_TOKEN"
        """.replace("\n        ", "\n")
    )
    files[X] = files[X].replace("- run:", "- name: for ${{ secrets.KEY }}\n        run:")
    settings = {"secrets": {"KEY": "FAKE-key-of-nobody", "OTHER": "FAKE-other-of-nobody"}}
    run = make("acme/masking", files, settings).run("push")
    assert run.result == "success", run.log
    assert run.jobs["build"].steps[0].name == "for ***"
    assert run.summary == "# ***\n"
    assert "other" not in run.log
    folder = world.ci.directory / "runs" / str(run.id)
    kept = "".join(path.read_text() for path in folder.iterdir())
    kept += str([event.data for event in world.registry.events.read()])
    assert "FAKE-key" not in kept
    assert "run_" not in run.log


def test_the_steps_of_a_called_workflow_are_shown_whatever_its_jobs_are_called(make: Make) -> None:
    files = job("echo first") | {
        ".github/workflows/called.yml": "on: workflow_call\njobs:\n  build:\n    runs-on: ubuntu-latest\n"
        "    steps: [{run: echo second}]\n"
    }
    files[X] += "  call:\n    needs: build\n    uses: ./.github/workflows/called.yml\n"
    run = make("acme/called", files).run("push")
    assert run.log == "first\nsecond\n"
    assert [step.name for step in run.jobs["call"].steps] == ["build / echo second"]


def test_values_arrive_as_they_are_and_defaults_do_not_reach_the_hosts_own_steps(
    make: Make,
) -> None:
    odd = {"A": "ends in \\", "B": 'it\'s \\n "q" $HOME #\n', "C": " \\' ", "D": "!\\$é"}
    lines = "".join(f'      {name}: "${{{{ vars.{name} }}}}"\n' for name in odd)
    script = "python3 -c 'import json, os; print(json.dumps([os.environ[n] for n in \"ABCD\"]))'"
    files = job(script, more=f"    env:\n{lines}", head="defaults: {run: {working-directory: app}}")
    files[X] = (
        files[X].replace("name: x", "name: 'x\\'").replace("steps:\n", "steps:\n      - uses: actions/checkout@v4\n")
    )
    run = make("acme/values", files | {"app/file": ""}, {"variables": odd}).run("push")
    assert run.result == "success", run.jobs["build"].why
    assert json.loads(run.jobs["build"].steps[-1].log) == list(odd.values())


SIGN_IN = """
import os, urllib.request
address = os.environ["CHAINLAB_URL"] + "/oidc/authorize?response_type=code&code_challenge_method=S256"
address += "&client_id=sigstore&redirect_uri=urn:ietf:wg:oauth:2.0:oob&code_challenge=x"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(address).status)
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""


def test_a_job_cannot_sign_in_as_a_person(make: Make, world: World) -> None:
    walled(world)
    run = make("acme/person", job(python(SIGN_IN))).run("push")
    assert "a CI job cannot sign in as a person" in run.log


# -- a job leaves nothing outside, and its run always ends with a record

LEAVE = f"""
set -x
mount -o remount,bind,rw {sys.prefix} || true
unshare -Urm mount -o remount,bind,rw {sys.prefix} || true
(echo x > {sys.prefix}/chainlab-escape) || true
(cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness) && echo 'sysctl written' || true
id -u
"""


def test_a_job_writes_nothing_but_its_own_directory(make: Make, world: World) -> None:
    walled(world)
    run = make("acme/leaving", job(LEAVE)).run("push")
    assert run.result == "success", run.log
    assert run.log.count("Read-only file system") >= 2
    assert "sysctl written" not in run.log
    assert not Path(sys.prefix, "chainlab-escape").exists()
    assert run.log.split()[-1] != "0"


ENDS = {
    "a folder for the socket": 'cd "$HOME/../../out" && for s in *.sock; do rm -f "$s"; mkdir "$s"; done',
    "another folder of sockets": 'cd "$HOME/../.." && mv out away && ln -s / out',
    "no sockets": 'rm -rf "$HOME/../../out"',
    "a link for its directory": 'cd "$HOME/../.."; mv job away; ln -s / job',
    "nothing left": 'rm -rf "$HOME/.." "$HOME/../files"',
    "shut folders": 'mkdir -p "$HOME/a/b" && chmod 000 "$HOME/a" "$HOME"',
    "pipes and long names": 'cd "$HOME"; mkfifo pipe; touch "$(printf %0255d 0)"; ln -s / root; chmod 6777 .',
    "no processes": "kill -9 -1; sleep 2",
}


@pytest.mark.parametrize("script", ENDS.values(), ids=ENDS)
def test_however_a_job_ends_its_run_has_a_record(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    walled(world)
    before, places = world.registry.events.last, tempfile.mkdtemp(prefix="jobs-")  # short, for the sockets
    monkeypatch.setattr(tempfile, "tempdir", places)
    run = make("acme/ending", job(f"echo begun\n{script}")).run("push")
    folder = world.ci.directory / "runs" / str(run.id)
    assert {path.name for path in folder.iterdir()} == {"run.json", "build.log", "build.jsonl"}
    types = [e.type.removeprefix("dev.chainlab.") for e in world.registry.events.read(after=before)]
    ends = [name for name in types if name.startswith(("pipelinerun", "taskrun"))]
    assert ends == ["pipelinerun.started", "taskrun.started", "taskrun.finished", "pipelinerun.finished"]
    assert "begun" in run.log or run.jobs["build"].why
    deadline = time.monotonic() + 30  # what takes longer goes on without the host
    while (left := list(Path(places).glob("chainlab-job-*"))) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "the relay": lambda patch: patch.setattr(Relay, "close", broken),
    "the provenance": lambda patch: patch.setattr(workflow_run, "attest", broken),
}


def broken(*arguments: object, **parsed: object) -> None:
    raise OSError("nothing works")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_fails_at_a_job_s_end_is_its_failure_with_the_reason(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]
) -> None:
    walled(world)
    project = make("acme/failing", job("echo done"))
    with monkeypatch.context() as patch:
        fault(patch)
        run = project.run("push")
    assert run.result == "failure"
    assert "OSError: nothing works" in run.jobs["build"].why
    assert run.log == "done\n"
    assert Run.load(world.ci.directory / "runs" / str(run.id)) == run


def test_a_job_that_the_host_cannot_start_is_a_failure_with_the_reason(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make("acme/unready", job("true"))
    monkeypatch.setattr(job_module, "_make_environment", broken)
    run = project.run("push")
    assert run.result == "failure"
    assert "OSError: nothing works" in run.jobs["build"].why


def test_an_interrupt_ends_the_run_and_leaves_its_record(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    project = make("acme/interrupted", job("true"))
    monkeypatch.setattr(workflow_run, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.run("push")
    (run,) = [run for run in world.ci.runs() if run.repository == "acme/interrupted"]
    assert run.jobs["build"].result == run.result == "cancelled"


def test_an_event_is_reported_again_when_the_database_was_busy(
    make: Make, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, busy = world.ci.platform, iter([True, True, False, True])
    report = platform.report

    def sometimes(type: str, subject: str, data: Mapping[str, Any]) -> None:
        if next(busy, False):
            raise Unavailable("the state could not be written, and nothing of it was", why="database is locked")
        report(type, subject, data)

    project = make("acme/busy", job("true"))
    before = world.registry.events.last
    monkeypatch.setattr(platform, "report", sometimes)
    monkeypatch.setattr(run_reports, "PAUSE", 0)
    assert project.run("push").result == "success"
    types = [e.type for e in world.registry.events.read(after=before) if "run" in e.type]
    assert len(types) == 4


def test_a_workflow_file_whose_name_no_disk_holds_is_refused_before_the_run(make: Make, world: World) -> None:
    long = f".github/workflows/{'a' * 300}.yml"
    project = make("acme/naming", job("true"))
    files = {path: text.encode() for path, text in job("true").items()} | {long: b"on: push\njobs: {}"}
    world.ci.platform.repositories.import_tree("acme/naming", files, "a long name")
    before = world.registry.events.last
    with pytest.raises(MalformedInput, match="too long") as caught:
        project.run("push", workflow="x.yml")
    assert "expected at most 255 bytes, got 304" in str(caught.value)
    assert world.registry.events.last == before


def test_an_action_whose_names_no_disk_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot write the files") as caught:
        write_folder({"a" * 300: File(b"")}, tmp_path / "tree")
    assert caught.value.status == 422


def test_an_artifact_s_name_is_bounded(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts", tmp_path / "state.db")
    try:
        with pytest.raises(MalformedInput, match="at most 255 bytes"):
            keep(artifacts, 1, "ä" * 128, {"a": b""}, who="job")
        keep(artifacts, 1, "ä" * 127, {"a": b""}, who="job")
    finally:
        artifacts.close()


# -- what a job leaves, and what it holds


def test_a_directory_of_any_depth_and_mode_is_removed(tmp_path: Path) -> None:
    folder, here = tmp_path / "job", Path.cwd()
    (folder / "shut/in").mkdir(parents=True)
    (folder / "shut/in/file").touch()
    try:
        os.chdir(folder)
        for _ in range(1500):
            os.mkdir("d")  # noqa: PTH102 - relative, because the whole path is too long
            os.chdir("d")
    finally:
        os.chdir(here)
    for path in (folder / "shut/in", folder / "shut", folder):
        path.chmod(0o500)
    job_process.remove(folder)
    assert not folder.exists()


def test_connections_of_a_job_are_counted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        carried = Relay(tmp_path, [server.getsockname()[1]])
        clients = []
        try:
            for _ in range(relay.MOST + 40):
                clients.append(client := socket.socket(socket.AF_UNIX))
                client.connect(str(carried.sockets[server.getsockname()[1]]))
                client.settimeout(10)
            assert clients[-1].recv(1) == b""  # ended at once
            server.settimeout(1)
            for _ in range(relay.MOST):
                clients.append(server.accept()[0])
            with pytest.raises(TimeoutError):
                server.accept()
        finally:
            for client in clients:
                client.close()
            carried.close()


# -- workflow files


@pytest.mark.parametrize(
    "text",
    [
        "permissions: {contents: read, contents: write}",
        "permissions: read-all\npermissions: write-all",
        '"name": "a\\0b"',
        '"name": "a\\uD800b"',
        "name: !!binary aGk=",
        "name: !!bool x",
        "name: !!float ''",
        "name: !!timestamp x",
        "x: &a {uses: mallory/x@v1}\njob: {!!merge y: *a}",
    ],
)
def test_what_readers_would_take_differently_is_refused(text: str) -> None:
    with pytest.raises(MalformedInput):
        load(text)


def test_jobs_are_counted_and_names_are_one_line() -> None:
    chain = "".join(f"  j{n}: {{needs: j{n - 1}}}\n" for n in range(1, MAX_JOBS + 1))
    began = time.monotonic()
    with pytest.raises(MalformedInput, match="at most"):
        Workflow.parse(X, f"on: push\njobs:\n  j0: {{}}\n{chain}")
    assert time.monotonic() - began < 5
    parsed = Workflow.parse(X, 'on: push\nname: "a\\n\\e[31mb"\njobs: {a: {}}')
    assert parsed.name == "a [31mb"
    with pytest.raises(MalformedInput, match="environment"):
        Workflow.parse(X, 'on: push\njobs: {a: {environment: "a\\nb"}}')


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo", set()),
        ("${{ secrets.ONE }}", {"ONE"}),
        ("${{ Secrets . one }}", {"ONE"}),
        ("${{ secrets['ONE'] }}", {"ONE", "TWO"}),
        ("${{ toJSON(secrets) }}", {"ONE", "TWO"}),
        ("${{ secrets.* }}", {"ONE", "TWO"}),
        ("${{ join(secrets , '') }}", {"ONE", "TWO"}),
    ],
)
def test_a_job_gets_the_secrets_that_it_names(script: str, expected: set[str]) -> None:
    text = f'on: push\njobs: {{a: {{steps: [{{run: "{script}"}}]}}, b: {{secrets: inherit}}}}'
    parsed = Workflow.parse(X, text)
    assert parsed.secrets("a", ["ONE", "TWO"]) == expected
    assert parsed.secrets("b", ["ONE", "TWO"]) == {"ONE", "TWO"}


def test_unknown_permissions_are_refused_before_any_job_runs(make: Make, world: World) -> None:
    files = job("true")
    files[X] += "  later:\n    permissions: Write-All\n    runs-on: ubuntu-latest\n    steps: []\n"
    before = world.registry.events.last
    with pytest.raises(MalformedInput, match="Write-All"):
        make("acme/permissions", files).run("push")
    started = [e for e in world.registry.events.read(after=before) if "started" in e.type]
    assert started == []


def test_many_aliases_of_one_list_are_read_once_and_thousands_refused() -> None:
    steps = "".join(f"    - {{uses: mallory/x@v{n}}}\n" for n in range(500))
    began = time.monotonic()
    for count, refused in ((20, False), (5000, True)):
        text = f"jobs:\n  j: &j\n    steps:\n{steps}" + "".join(f"  j{n}: *j\n" for n in range(count))
        with pytest.raises(MalformedInput, match="aliases written out") if refused else contextlib.nullcontext():
            assert len(find(text)) == 500
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("text", ["acme/x/..@v1", "acme/x/a/..@v1", "acme/x/../a@v1", "acme/x/.@v1"])
def test_an_action_lies_in_its_repository(text: str) -> None:
    with pytest.raises(MalformedInput):
        ActionRef.parse(text)


# -- bytes


def test_links_through_links_stay_in_the_tree(tmp_path: Path) -> None:
    files = {"x/y/z/up": File(b"../../..", "120000"), "x/y/z/file": File(b"")}
    with pytest.raises(Refused, match="leads out"):
        write_folder(files | {"out": File(b"x/y/z/up/../../../../a", "120000")}, tmp_path / "tree")
    write_folder(files | {"in": File(b"x/y/z/file", "120000")}, tmp_path / "tree")
    assert (tmp_path / "tree/in").read_bytes() == b""


def test_a_branch_named_like_a_commit_is_none(make: Make, world: World) -> None:
    project = make("acme/likeness", job("true"))
    remote, name = world.ci.platform.repositories, "ab" * 20
    remote.set_ref("acme/likeness", f"refs/heads/{name}", project.head("refs/heads/main"))
    with pytest.raises(Refused, match="no commit"):
        remote.resolve("acme/likeness", name)


def test_a_commit_too_large_to_hold_is_refused(make: Make, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make("acme/large", job("true") | {"zeros": "0" * 5000})
    monkeypatch.setattr(git, "MAX_TREE", 4000)
    with pytest.raises(Refused, match="larger than 4000") as caught:
        project.run("push")
    assert caught.value.status == 413


def header(name: str, kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def sparse(size: int) -> bytes:
    """One file of ``size`` bytes, none of which is there."""
    head = bytearray(header("big", tarfile.GNUTYPE_SPARSE, 0))
    number = b"\x80" + size.to_bytes(11, "big")
    head[386:410], head[483:495], head[148:156] = number + bytes(12), number, b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(1024)


def one(name: str) -> bytes:
    return header(name, tarfile.REGTYPE, 1) + b"1" + bytes(511) + bytes(1024)


@pytest.mark.parametrize(
    "data",
    [
        sparse(2**50),
        (header("././@LongLink", tarfile.GNUTYPE_LONGNAME, 5) + b"name\0" + bytes(507)) * 3000,
        header("x", tarfile.XHDTYPE, 5 * 2**20) + bytes(5 * 2**20),
        one("a\udcff"),
        one("a\x1bb"),
        one("."),
        one("../a"),
        b"".join(header("d", tarfile.DIRTYPE, 0) for _ in range(10_001)) + bytes(1024),
    ],
    ids=["sparse", "chain", "header", "bytes", "control", "dot", "up", "folders"],
)
def test_a_hostile_artifact_is_refused_soon(data: bytes, tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts", tmp_path / "state.db")
    began = time.monotonic()
    try:
        with artifacts.stage() as staged:
            staged.write(data)
            with pytest.raises(ChainlabError):
                artifacts.save(1, "a", staged, who="job")
        assert artifacts.files(1) == {}
    finally:
        artifacts.close()
    assert time.monotonic() - began < 5


def test_a_folder_packed_as_dot_is_taken(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts", tmp_path / "state.db")
    packed = io.BytesIO()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("x")
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(tmp_path / "in", ".")
    try:
        with artifacts.stage() as staged:
            staged.write(packed.getvalue())
            assert list(artifacts.save(1, "a", staged, who="job").files) == ["file"]
    finally:
        artifacts.close()


# -- the host's work after a job has limits

MANY = """
import io, os, tarfile, urllib.request
def put(name, count):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for n in range(count):
            data = (name + str(n)).encode()
            member = tarfile.TarInfo(str(n))
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    address = os.environ["ACTIONS_RESULTS_URL"] + os.environ["GITHUB_RUN_ID"] + "/" + name
    headers = {"Authorization": "Bearer " + os.environ["ACTIONS_RUNTIME_TOKEN"]}
    request = urllib.request.Request(address, data=packed.getvalue(), method="PUT", headers=headers)
    try:
        print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).status)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
"""


def test_thousands_of_tiny_files_keep_the_host_busy_for_moments(make: Make, world: World) -> None:
    run = make("acme/tiny", job(python(f"{MANY}\nput('a', 3000)"))).run("push")
    assert run.result == "success", run.jobs["build"].why
    assert len(run.produced) == 3000
    assert run.seconds - run.jobs["build"].seconds < 8  # 0.7 s on a machine with nothing else to do
    bundle = Digest.parse(run.jobs["build"].provenance)
    for text in list(run.produced.values())[::500]:
        assert ("provenance", bundle) in world.registry.evidence.attached(Digest.parse(text))


def test_a_job_that_passes_a_limit_with_all_its_artifacts_fails_with_the_reason(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts_module, "MAX_JOB_FILES", 100)
    run = make("acme/passing", job(python(f"{MANY}\nput('a', 60)\nput('b', 60)\nput('c', 1)"))).run("push")
    assert run.jobs["build"].why == "a job leaves at most 100 files in artifacts"
    assert run.result == "failure"
    assert list(run.artifacts) == ["a"]
    assert run.log.count("413 a job leaves at most 100 files") == 2


@pytest.mark.parametrize(
    ("limit", "value", "says"),
    [
        ("MAX_UPLOADS", 2, "at most 2 artifacts"),
        ("MAX_JOB_FILES", 2, "at most 2 files"),
        ("MAX_JOB_SIZE", 25_000, "at most 25000 bytes"),
    ],
)
def test_what_a_job_replaces_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, says: str
) -> None:
    monkeypatch.setattr(artifacts_module, limit, value)
    artifacts = Artifacts(tmp_path / "artifacts", tmp_path / "state.db")
    try:
        for _ in range(2):
            keep(artifacts, 1, "a", {"f": b"x"}, who="one", overwrite=True)
        assert artifacts.exceeded(1, "one") == ""
        with pytest.raises(Refused, match=says) as caught:
            keep(artifacts, 1, "a", {"f": b"x"}, who="one", overwrite=True)
        assert caught.value.status == 413
        assert says in artifacts.exceeded(1, "one")
        keep(artifacts, 1, "b", {"f": b"x"}, who="another")
        keep(artifacts, 2, "a", {"f": b"x"}, who="one")
    finally:
        artifacts.close()


def test_bodies_that_are_received_at_once_are_counted_for_each_key() -> None:
    turns = ConcurrencyLimit(2)
    with turns.take("a"), turns.take("a"):
        with pytest.raises(Refused, match="at most 2") as caught, turns.take("a"):
            pass
        assert caught.value.status == 503
        with turns.take("b"):
            pass
    with turns.take("a"):
        pass


def test_a_job_that_starts_processes_without_end_ends_with_a_record(make: Make, world: World) -> None:
    walled(world)
    bomb = "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.1)"
    files = job(python(bomb), more="    timeout-minutes: 0.1\n")
    run = make("acme/forking", files).run("push")
    assert run.result == "failure"
    assert run.seconds < 60


@pytest.mark.parametrize(("limit", "value"), [("MAX_PRODUCTS", 10), ("MAX_NAMES", 15)])
def test_a_job_with_more_products_than_a_statement_names_fails(
    make: Make, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(job_provenance, limit, value)
    run = make("acme/products", job(python(f"{MANY}\nput('a', 20)"))).run("push")
    assert run.result == "failure"
    assert f"{value} " in run.jobs["build"].why
    assert run.jobs["build"].provenance == ""


# -- provenance


def test_no_product_hides_behind_the_name_of_another(make: Make) -> None:
    files = job("mkdir d; echo a > d/m; echo b > m")
    for name, path in (("one", "d/m"), ("two", "m")):
        step = f"uses: actions/upload-artifact@v4\n        with: {{name: {name}, path: {path}}}"
        files[X] += f"      - {step}\n"
    run = make("acme/hiding", files).run("push")
    assert run.result == "success", run.log
    stored = {digest for held in run.artifacts.values() for digest in held.values()}
    assert len(stored) == 2
    assert set(run.produced.values()) == stored
