"""The wall around a job: what it keeps out, what it shows, and what happens where there is none."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chainlab.errors import Unavailable
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
    """The ways of making a namespace that work on this machine."""
    if not FOUND.is_namespace:
        return [pytest.param(FOUND, marks=walled)]
    probe = ("--ro-bind", "/", "/", "--dev", "/dev", "--", "/bin/true")
    works = [v for v in VARIANTS if module._works([FOUND.program, *v, *probe])[0]]
    return [pytest.param(replace(FOUND, options=v), id=v[0]) for v in works]


@pytest.fixture(params=variants())
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    found: Sandbox = request.param
    return found


def inside(sandbox: Sandbox, job: Path, code: str, **facts: Any) -> Any:
    """What ``code`` leaves in ``answer``, run behind the wall with ``facts`` as variables."""
    (job / "code.py").write_text(
        f"{ASK}\nglobals().update(json.loads({json.dumps(facts)!r}))\n{code}\nprint(json.dumps(answer))\n"
    )
    command = sandbox.command([sys.executable, "-I", str(job / "code.py")], job)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": os.defpath}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
    writable = [path for path, said in answer.items() if said == "None"]
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
    assert not [said for said in answer if "FAKE" in said or said.startswith("[")]


@walled
def test_a_fresh_process_table_hides_the_machine_s(job: Path) -> None:
    if FOUND.options != VARIANTS[0]:
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
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "x"
    assert done.returncode != 0
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
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.skip(f"the outer sandbox does not work here: {done.stderr[-200:]}")
    answer: list[str] = json.loads(done.stdout)
    return answer


@walled
def test_it_works_within_a_network_namespace(tmp_path: Path) -> None:
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    assert within(["unshare", "-rn"], tmp_path) == ["namespace", "", "it runs\n"]


@walled
@pytest.mark.parametrize("proc", [["--proc", "/proc"], []], ids=["fresh /proc", "the outer /proc"])
def test_it_works_within_another_bubblewrap(tmp_path: Path, proc: list[str]) -> None:
    outer = [FOUND.program, "--unshare-user", "--unshare-net", *(["--unshare-pid"] if proc else [])]
    outer += ["--bind", "/", "/", "--dev", "/dev", *proc, "--"]
    assert within(outer, tmp_path) == ["namespace", "", "it runs\n"]


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
    found = module._find.__wrapped__()
    assert found.control == "none"
    assert says in found.why


def test_macos_gets_its_own_wall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module, "_works", lambda command: (True, ""))
    found = module._find.__wrapped__()
    assert found.control == "seatbelt"
    assert not found.is_namespace
    assert found.command(["act"], tmp_path)[:2] == ["/usr/bin/sandbox-exec", "-p"]
    assert "(deny network*)" in found.command(["act"], tmp_path)[2]


def test_a_machine_without_bubblewrap_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(module, "_bubblewrap", lambda: "")
    assert module._find.__wrapped__() == Sandbox("none", "bubblewrap is not installed")
