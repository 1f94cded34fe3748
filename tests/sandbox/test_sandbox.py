"""The wall around a job: what it keeps out, what it shows, and what happens where there is none."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chainlab.errors import MalformedInput, Unavailable
from chainlab.sandbox import slots, view
from chainlab.sandbox import wall as module
from chainlab.sandbox.wall import VARIANTS, Sandbox
from chainlab.trust.instance import prepare

ROOT = Path(__file__).parents[2]
FOUND = Sandbox.find()
walled = pytest.mark.skipif(not FOUND.is_namespace, reason=f"no namespaces: {FOUND.why}")
ASK = """
import json, os, socket, sys
def attempt(action):
    try:
        return repr(action())
    except BaseException as error:
        return type(error).__name__
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    (folder / "tmp").mkdir(parents=True)
    return folder


def variants() -> list[Any]:
    """The ways of making a namespace that hold on this machine."""
    if not FOUND.is_namespace:
        return [pytest.param(FOUND, marks=walled)]
    others = [module._tried([replace(FOUND, options=v)], "") for v in VARIANTS if v != FOUND.options]
    sandboxes = [FOUND, *(other for other in others if other.is_namespace)]
    kinds = {True: "a user of its own", False: "a user namespace"}
    procs = {True: "a fresh /proc", False: "the outer /proc"}
    return [
        pytest.param(one, id=f"{kinds[one.changes_user]}, {procs['--unshare-pid' in one.options]}") for one in sandboxes
    ]


@pytest.fixture(params=variants())
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    sandbox: Sandbox = request.param
    return sandbox


def inside(sandbox: Sandbox, job: Path, code: str, **facts: Any) -> Any:
    """What ``code`` leaves in ``answer``, run behind the wall with ``facts`` as variables."""
    (job / "code.py").write_text(
        f"{ASK}\nglobals().update(json.loads({json.dumps(facts)!r}))\n{code}\nprint(json.dumps(answer))\n"
    )
    command = sandbox.command([sys.executable, "-I", str(job / "code.py")], job)
    completed = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={"PATH": os.defpath}, check=False
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@walled
def test_nothing_outside_is_reached_and_no_name_is_found(sandbox: Sandbox, job: Path) -> None:
    answer = inside(
        sandbox,
        job,
        """
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(address)
def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", address)
answer = [
    attempt(lambda: connect(socket.AF_INET, ("192.0.2.1", 80))),
    attempt(lambda: connect(socket.AF_INET, ("10.0.0.1", 80))),
    attempt(lambda: connect(socket.AF_INET6, ("2001:db8::1", 80))),
    attempt(lambda: send(("192.0.2.1", 53))),
    attempt(lambda: socket.getaddrinfo("example.com", 80)),
    [name for _, name in socket.if_nameindex()],
]
""",
    )
    assert set(answer[:4]) == {"OSError"}
    assert answer[4:] == ["gaierror", ["lo"]]


@walled
def test_services_of_the_machine_are_not_there(sandbox: Sandbox, job: Path, listener: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind("\0chainlab-test-abstract")
        hidden.listen()
        answer = inside(
            sandbox,
            job,
            """
answer = [
    attempt(lambda: socket.create_connection(("127.0.0.1", port), 5)),
    attempt(lambda: socket.socket(socket.AF_UNIX).connect("\\0chainlab-test-abstract")),
]
""",
            port=listener.getsockname()[1],
        )
    assert answer == ["ConnectionRefusedError", "ConnectionRefusedError"]


@walled
def test_a_workspace_may_lie_where_programs_do_and_is_hidden_there_too(sandbox: Sandbox, job: Path) -> None:
    words = [sys.executable, "-c", "import os; print(os.path.exists('/opt'))"]
    run = subprocess.run(sandbox.command(words, job), capture_output=True, text=True, check=True)
    opened = [path for path in (sys.prefix, sys.base_prefix, str(ROOT)) if path.startswith("/opt/")]
    assert run.stdout.split() == [str(bool(opened))]


def test_no_job_runs_within_the_system_s_own_directories(sandbox: Sandbox) -> None:
    for place in ("/usr/src/course/job", "/usr"):
        with pytest.raises(MalformedInput, match="cannot hide the neighbours of"):
            sandbox.command(["true"], Path(place))


def test_only_the_job_s_directory_can_be_written(sandbox: Sandbox, job: Path) -> None:
    answer = inside(
        sandbox,
        job,
        """
def write(path):
    with open(path, "w") as file:
        file.write("x")
places = [folder + "/new", "/tmp/new", package + "/new", prefix + "/new", "/etc/new", "/usr/new", "/new", "/opt/new"]
answer = {path: attempt(lambda: write(path)) for path in places}
""",
        folder=str(job),
        package=str(Path(module.__file__).parent),
        prefix=sys.prefix,
    )
    writable = [path for path, outcome in answer.items() if outcome == "None"]
    assert str(job / "new") in writable
    assert (job / "new").exists()
    assert (job / "tmp/new").exists()  # /tmp inside is the job's own
    for path in (Path(module.__file__).parent / "new", Path(sys.prefix) / "new", Path("/usr/new")):
        assert answer[str(path)] == "OSError"  # a read-only file system
    # The root inside is nobody's: what is written to it ends with the sandbox.
    assert [path for path in answer if path.startswith("/") and Path(path).exists()] == [
        path for path in (str(job / "new"), "/tmp/new") if Path(path).exists()
    ]
    assert not Path("/tmp/new").exists()


@walled
def test_neither_the_workspace_nor_its_keys_nor_the_person_s_files_are_visible(
    sandbox: Sandbox, job: Path, tmp_path: Path
) -> None:
    prepare(tmp_path / "workspace" / "trust")
    keys = [p for p in (tmp_path / "workspace").rglob("*") if p.is_file()]
    assert [p for p in keys if b"PRIVATE KEY" in p.read_bytes()]
    places = [tmp_path / "workspace", *keys, ROOT / "tests", ROOT / ".git", ROOT / "data"]
    places += [
        Path.home() / ".ssh",
        Path.home() / ".config",
        Path("/etc/shadow"),
        Path.home() / ".bashrc",
    ]
    answer = inside(
        sandbox,
        job,
        "answer = [p for p in places if os.path.lexists(p)] + os.listdir('/tmp')",
        places=[str(p) for p in places],
    )
    needed = (
        job,
        ROOT,
        Path(sys.prefix),
        Path(sys.base_prefix),
    )  # the job, this package and its Python
    assert sorted(answer) == sorted({p.parts[2] for p in needed if p.is_relative_to("/tmp")})


@walled
def test_no_process_of_the_machine_can_be_read_or_ended(sandbox: Sandbox, job: Path) -> None:
    with subprocess.Popen(["sleep", "60"], env={"SECRET": "FAKE-s", "PATH": os.defpath}) as other:
        try:
            answer = inside(
                sandbox,
                job,
                """
answer = [
    attempt(lambda: open(f"/proc/{pid}/environ").read()),
    attempt(lambda: os.listdir(f"/proc/{pid}/root/")),
    attempt(lambda: os.listdir(f"/proc/{pid}/cwd/")),
]
""",
                pid=other.pid,
            )
        finally:
            other.kill()
    assert not [outcome for outcome in answer if "FAKE" in outcome or outcome.startswith("[")]


@walled
def test_a_fresh_process_table_hides_the_machine_s(job: Path) -> None:
    if "--unshare-pid" not in FOUND.options:
        pytest.skip("this machine allows no fresh /proc")
    code = "answer = [int(n) for n in os.listdir('/proc') if n.isdigit()]"
    assert len(inside(FOUND, job, code)) <= 3  # bubblewrap's own and this one


@walled
def test_what_a_job_may_read_is_not_writable(job: Path, tmp_path: Path) -> None:
    (tmp_path / "action").mkdir()
    (tmp_path / "action/action.yml").write_text("x")
    words = [
        "/bin/sh",
        "-c",
        f"cat {tmp_path}/action/action.yml; echo y > {tmp_path}/action/action.yml",
    ]
    command = FOUND.command(words, job, readable=[tmp_path / "action"])
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.stdout == "x"
    assert completed.returncode != 0
    assert (tmp_path / "action/action.yml").read_text() == "x"


# -- inside another sandbox, or none

REPORT = """
import json, subprocess, sys
from pathlib import Path
from chainlab.sandbox import Sandbox
found = Sandbox.find()
job = Path(sys.argv[1])
done = subprocess.run(found.command(["/bin/echo", "it runs"], job), capture_output=True, text=True)
print(json.dumps([found.control, found.why, done.stdout]))
"""


def within(outer: list[str], folder: Path) -> list[str]:
    (folder / "tmp").mkdir(exist_ok=True)
    words = [*outer, sys.executable, "-c", REPORT, str(folder)]
    completed = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    if completed.returncode != 0:
        pytest.skip(f"the outer sandbox does not work here: {completed.stderr[-200:]}")
    answer: list[str] = json.loads(completed.stdout)
    return answer


def check(answer: list[str]) -> None:
    """Expect a wall, but not for the machine's root in a namespace without other users: no process limit binds it."""
    if FOUND.changes_user:
        assert (answer[0], answer[2]) == ("none", "it runs\n")
        assert "a job could pass the process limit (" in answer[1]
        assert "remount" not in answer[1]
    else:
        assert answer == ["namespace", "", "it runs\n"]


@walled
def test_it_works_within_a_network_namespace(tmp_path: Path) -> None:
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    check(within(["unshare", "-rn"], tmp_path))
    if FOUND.changes_user:
        assert within(["unshare", "-n"], tmp_path) == ["namespace", "", "it runs\n"]


@walled
@pytest.mark.parametrize("proc", [["--proc", "/proc"], []], ids=["fresh /proc", "the outer /proc"])
def test_it_works_within_another_bubblewrap(tmp_path: Path, proc: list[str]) -> None:
    outer = [FOUND.program, "--unshare-user", "--unshare-net", *(["--unshare-pid"] if proc else [])]
    outer += ["--bind", "/", "/", "--dev", "/dev", *proc, "--"]
    check(within(outer, tmp_path))


@walled
def test_it_says_why_not_where_namespaces_are_forbidden(tmp_path: Path) -> None:
    outer = [
        FOUND.program,
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--bind",
        "/",
        "/",
    ]
    control, why, ran = within([*outer, "--proc", "/proc", "--dev", "/dev", "--"], tmp_path)
    assert (control, ran) == ("none", "it runs\n")
    assert "bubblewrap cannot make a namespace: bwrap:" in why


def test_payloads_do_not_run_without_a_wall(tmp_path: Path) -> None:
    bare = Sandbox("none", "bubblewrap is not installed")
    with pytest.raises(Unavailable, match="do not run on this machine") as caught:
        bare.require()
    assert "bubblewrap is not installed" in str(caught.value)
    assert bare.command(["echo"], tmp_path) == ["echo"]
    Sandbox("namespace").require()
    Sandbox("seatbelt").require()


@pytest.mark.parametrize(
    ("platform", "says"),
    [("win32", "neither bubblewrap nor sandbox-exec"), ("darwin", "sandbox-exec does not work")],
)
def test_other_systems_say_what_is_missing(monkeypatch: pytest.MonkeyPatch, platform: str, says: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    tried = module._find.__wrapped__()
    assert tried.control == "none"
    assert says in tried.why


def test_macos_gets_its_own_wall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module, "_try", lambda candidate: ())
    tried = module._find.__wrapped__()
    assert tried.control == "seatbelt"
    assert not tried.is_namespace
    program, option, folder, flag, profile, *words = tried.command(["act"], tmp_path)
    assert (program, option, flag, words) == ("/usr/bin/sandbox-exec", "-D", "-p", ["act"])
    assert folder == f"JOB={tmp_path.resolve()}"
    assert "(deny network*)" in profile
    assert '(deny file-write*)(allow file-write* (subpath (param "JOB"))' in profile


def test_a_machine_without_bubblewrap_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(module, "_bubblewrap", lambda: "")
    assert module._find.__wrapped__() == Sandbox("none", "bubblewrap is not installed")


# -- trying to escape

PLAIN = """
import os, sys
os.execvp(sys.argv[4], sys.argv[4:])
"""


@walled
def test_every_escape_is_tried_and_refused(sandbox: Sandbox) -> None:
    assert [attempt.escape for attempt in sandbox.attempts] == list(module.ESCAPES.values())
    assert {attempt.outcome for attempt in sandbox.attempts} == {"refused"}


@walled
def test_bubblewrap_alone_is_no_wall_and_no_payload_runs_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What root starts keeps its capabilities, and nobody has a process limit."""
    shutil.copy(module.INSIDE / "probe.py", tmp_path)
    (tmp_path / "launch.py").write_text(PLAIN)
    monkeypatch.setattr(module, "INSIDE", tmp_path)
    monkeypatch.setattr(view, "_interpreter", lambda: (Path(sys.base_prefix), Path(sys.prefix), tmp_path))
    tried = module._tried([FOUND], "")
    escaped = {attempt.escape for attempt in tried.attempts if attempt.outcome == "succeeded"}
    assert "pass the process limit" in escaped
    if FOUND.changes_user:
        assert {"remount what is read-only", "write outside of its directory", "become root"} <= escaped
    assert tried.control == "none"
    assert "there is no limit on processes" in tried.why
    with pytest.raises(Unavailable, match="do not run"):
        tried.require()


@walled
def test_a_wall_with_a_hole_is_found_out() -> None:
    options = tuple(option for option in FOUND.options if option != "--unshare-net")
    tried = module._tried([replace(FOUND, options=options)], "")
    escaped = [attempt.escape for attempt in tried.attempts if attempt.outcome == "succeeded"]
    assert escaped == ["reach a loopback port that it was not given"]
    assert tried.control == "none"
    assert escaped[0] in tried.why


@walled
def test_a_wall_without_a_user_of_its_own_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    if not FOUND.changes_user:
        pytest.skip("only root changes its user")
    monkeypatch.setattr(Sandbox, "changes_user", False)
    monkeypatch.setattr(module, "_mapping", lambda user: [])
    tried = module._tried([FOUND], "")
    assert tried.control == "none"
    assert "pass the process limit" in tried.why


@walled
def test_the_kernel_s_settings_are_read_only_whoever_asks(sandbox: Sandbox, job: Path) -> None:
    answer = inside(
        sandbox,
        job,
        """
lines = [line.split() for line in open("/proc/self/mountinfo")]
answer = [line[5].split(",")[0] for line in lines if line[4] == "/proc/sys"]
""",
    )
    assert answer[-1] == "ro"


@walled
def test_a_job_has_a_process_limit(sandbox: Sandbox, job: Path) -> None:
    answer = inside(sandbox, job, "import resource\nanswer = resource.getrlimit(resource.RLIMIT_NPROC)")
    assert answer[0] == answer[1] <= module.PROCESSES


@walled
def test_who_runs_inside_has_no_right_and_gets_none(sandbox: Sandbox, job: Path) -> None:
    answer = inside(
        sandbox,
        job,
        """
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
held = [int(status[f"Cap{name}"], 16) for name in ("Eff", "Prm", "Inh", "Amb")]
answer = [os.getresuid(), os.getgroups(), held, int(status["NoNewPrivs"])]
""",
    )
    assert 0 not in answer[0]
    assert answer[2:] == [[0, 0, 0, 0], 1]
    if sandbox.changes_user:
        assert answer[1] == []


@walled
def test_keys_of_the_session_stay_outside(sandbox: Sandbox, job: Path) -> None:
    number = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine)
    if number is None:
        pytest.skip("the number of keyctl is not known here")
    code = "import ctypes\nanswer = ctypes.CDLL(None).syscall(number, 0, -3, 0)"  # the id of the session's keyring
    here: dict[str, Any] = {"number": number}
    exec(code, here)
    assert inside(sandbox, job, code, number=number) != here["answer"]


@walled
def test_shared_memory_is_the_job_s_own(sandbox: Sandbox, job: Path) -> None:
    code = "open('/dev/shm/chainlab-test', 'w').close(); answer = os.listdir('/dev/shm')"
    assert inside(sandbox, job, code) == ["chainlab-test"]
    assert not Path("/dev/shm/chainlab-test").exists()


@walled
def test_links_that_a_job_left_do_not_steer_the_host(job: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("the host's")
    (job / "etc").symlink_to(elsewhere)
    (job / "link").symlink_to(elsewhere / "file")
    owner = (elsewhere / "file").stat().st_uid
    FOUND.command(["/bin/true"], job)
    assert [path.name for path in elsewhere.iterdir()] == ["file"]
    assert (elsewhere / "file").stat().st_uid == owner
    (job / "tmp").rmdir()
    (job / "tmp").symlink_to(elsewhere)
    with pytest.raises(MalformedInput, match="not a directory"):
        FOUND.command(["/bin/true"], job)


@walled
def test_a_path_below_a_closed_home_can_be_read(sandbox: Sandbox, job: Path, tmp_path: Path) -> None:
    shown = tmp_path / "home/person/kit"
    shown.mkdir(parents=True)
    (shown / "file").write_text("shown")
    (tmp_path / "home/person/secret").write_text("hidden")
    (tmp_path / "home").chmod(0o700)
    (tmp_path / "home/person").chmod(0o700)
    words = ["/bin/sh", "-c", f"cat {shown}/file; ls {shown.parent}"]
    completed = subprocess.run(
        sandbox.command(words, job, readable=[shown]), capture_output=True, text=True, check=False
    )
    assert completed.stdout == "shownkit\n"


# -- as an ordinary user, and in a wall


def ordinary() -> list[str]:
    """What runs a command as nobody although root's own Python is below a closed home; empty where nobody is root."""
    if not FOUND.changes_user:
        return []
    needed = [Path(sys.base_prefix), Path(sys.prefix), Path(module.__file__).parents[2]]
    closed = [next((up for up in reversed(p.parents) if not up.stat().st_mode & 0o001), None) for p in needed]
    words = [FOUND.program, "--dev-bind", "/", "/"]
    for folder in dict.fromkeys(shut for shut in closed if shut):
        words += ["--perms", "0755", "--tmpfs", str(folder)]
    for path, shut in zip(needed, closed, strict=True):
        below = [up for up in reversed(path.parents) if shut and up.is_relative_to(shut) and up != shut]
        words += [word for folder in below for word in ("--perms", "0755", "--dir", str(folder))]
        words += ["--ro-bind", str(path), str(path)] if shut else []
    launch = [os.path.realpath(sys.executable), "-I", "-S", str(module.INSIDE / "launch.py")]
    return [*words, "--", *launch, str(view.NOBODY), "4096", "--"]


OUTCOMES = """
import json, os
from chainlab.sandbox import Sandbox
found = Sandbox.find()
print(json.dumps([os.getuid(), found.control, found.why, sorted({a.outcome for a in found.attempts})]))
"""


def outcomes(command: list[str], temporary: str) -> tuple[int, list[Any]]:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(Path(module.__file__).parents[2]), "TMPDIR": temporary}
    completed = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, check=False, cwd="/"
    )
    assert completed.returncode == 0, completed.stderr
    user, *rest = json.loads(completed.stdout)
    return user, rest


@walled
def test_an_ordinary_user_has_a_wall_too() -> None:
    user, result = outcomes([*ordinary(), sys.executable, "-c", OUTCOMES], "/tmp")
    assert user != 0
    assert result == ["namespace", "", ["refused"]]


@walled
def test_a_wall_inside_the_wall_holds(sandbox: Sandbox, job: Path) -> None:
    with sandbox.user() as user:
        command = sandbox.command([sys.executable, "-c", OUTCOMES], job, user=user)
        assert outcomes(command, str(job / "tmp"))[1] == ["namespace", "", ["refused"]]


def test_the_search_takes_no_more_than_moments() -> None:
    began = time.monotonic()
    module._find.__wrapped__()
    assert time.monotonic() - began < 10  # 0.3 s on a machine with nothing else to do


# -- one user a slot

root = pytest.mark.skipif(not slots.can_change_user(), reason="only root shares out users")


@root
def test_two_processes_never_share_a_user() -> None:
    code = "from chainlab.sandbox.slots import Slot; s = Slot(); print(s.user, flush=True); input()"
    command = [sys.executable, "-c", code]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as two:
        assert one.stdout
        assert two.stdout
        taken = [int(one.stdout.readline()), int(two.stdout.readline())]
        mine = slots.Slot()
        assert len({*taken, mine.user}) == 3
        one.kill()  # a lock ends with its process
        one.wait()
        again = [slots.Slot() for _ in range(8)]
        assert taken[0] in [slot.user for slot in again]
        assert taken[1] not in [slot.user for slot in again]
        for slot in (mine, *again):
            slot.close()
        two.communicate("\n")


@root
def test_what_a_user_left_running_ends_with_its_slot() -> None:
    slot = slots.Slot()
    with subprocess.Popen(["sleep", "600"], user=slot.user, group=slot.user, extra_groups=[], cwd="/") as left:
        slot.close()
        assert left.wait(10) == -9


@root
def test_a_user_with_processes_of_somebody_else_is_left_alone() -> None:
    slot = slots.Slot()
    user = slot.user
    slot.close()
    with subprocess.Popen(["sleep", "600"], user=user, group=user, extra_groups=[], cwd="/") as other:
        slot = slots.Slot()
        assert slot.user != user
        slot.close()
        assert other.poll() is None
        other.kill()


@root
def test_slots_do_not_read_each_other_s_files(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    with FOUND.user() as one, FOUND.user() as two:
        assert one is not None
        assert two is not None
        for folder, user in zip(folders, (one, two), strict=True):
            (folder / "tmp").mkdir(parents=True)
            (folder / "file").write_text("mine")
            (folder / "file").chmod(0o600)
            slots.give(folder, user)
        words = ["/bin/sh", "-c", f"cat {folders[0]}/file {folders[1]}/file"]
        command = FOUND.command(words, folders[0], readable=[folders[1]], user=one)
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.stdout == "mine"
    assert "Permission denied" in completed.stderr


@pytest.mark.parametrize(
    ("table", "known"),
    [("0 0 4294967295", True), ("0 1000 1", False), ("0 1000 1\n1 100000 65536", True), ("0 100000 65000", False)],
)
def test_a_namespace_that_does_not_know_the_users_is_noticed(table: str, known: bool) -> None:
    assert slots._maps(table) == known
