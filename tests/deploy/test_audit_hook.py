"""The audit hook sees what Python does before any .pth file runs; what goes past it is shown, not hidden."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from chainlab.deploy import audit_hook
from chainlab.deploy.prediction_service import AUDIT_HOOK

Report = list[tuple[str, str, str]]
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment whose files are listed in ``files.json`` beside it."""
    folder = tmp_path_factory.mktemp("release")
    venv.create(folder / "venv", symlinks=True)
    (folder / "model").write_bytes(b"a model")
    return folder


@pytest.fixture
def run(environment: Path) -> Callable[..., Report]:
    """Run a module under the hook: action, target and phase of each line of its report."""

    def hooked(code: str, *, pth: str = "", attested: bool = True) -> Report:
        site = environment / "venv" / SITE
        (site / "service.py").write_text(code)
        listed = [path for path in environment.rglob("*") if path.name not in ("behaviour.jsonl", "files.json")]
        listed = listed if attested else [path for path in listed if path.name != "service.py"]
        names = {str(path.relative_to(environment)): "" for path in listed}
        (environment / "files.json").write_text(json.dumps(names))
        (environment / "behaviour.jsonl").unlink(missing_ok=True)
        if pth:
            (site / "zz.pth").write_text(pth)
        python = [str(environment / "venv" / "bin" / "python"), "-I", "-S", "-B"]
        arguments = ["behaviour.jsonl", "files.json", "model", "service", "one", "two"]
        try:
            subprocess.run([*python, AUDIT_HOOK, *arguments], cwd=environment, check=True, timeout=20)
        finally:
            (site / "zz.pth").unlink(missing_ok=True)
        first, *lines = map(json.loads, (environment / "behaviour.jsonl").read_text().splitlines())
        assert (first["hook"], first["module"]) == (1, "service")
        assert not list(site.rglob("*.pyc"))
        return [(line["action"], line["target"], line["phase"]) for line in lines]

    return hooked


def test_the_module_runs_as_by_python_m_and_its_own_files_are_not_reported(run: Callable[..., Report]) -> None:
    checks = """
import json, random, subprocess, sys  # of the standard library
from collections import namedtuple
namedtuple("Pair", "a b")
assert __name__ == "__main__" and sys.argv[1:] == ["one", "two"] and sys.argv[0] == __file__
assert sys.prefix != sys.base_prefix and any(path.endswith("site-packages") for path in sys.path)
assert sys.flags.isolated and not any(path == "" for path in sys.path)
exec("1 + 1")
"""
    assert run(checks) == []


def test_a_pth_file_runs_after_the_hook_is_in_place(run: Callable[..., Report], environment: Path) -> None:
    path = str(environment / "venv" / SITE / "zz.pth")
    assert run("", pth="import os; os.system('true')\n") == [
        ("read", path, "startup"),
        ("code", path, "startup"),
        ("process", "true", "startup"),
    ]


def test_code_that_is_not_attested_is_reported(run: Callable[..., Report], environment: Path) -> None:
    path = str(environment / "venv" / SITE / "service.py")
    assert run("", attested=False) == [("read", path, "startup"), ("code", path, "startup")]


ACTIONS = {
    "import os; os.system('true')": [("process", "true")],
    "import subprocess; subprocess.run(['true', '-x'])": [("process", "true -x")],
    "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)": [("process", "true")],
    "import os\nif not os.fork(): os.execv('/bin/true', ['true'])\nos.wait()": [
        ("process", "fork"),
        ("process", "true"),
    ],
    "import socket\nwith socket.socket() as s: s.connect_ex(('127.0.0.1', 9))": [("connect", "127.0.0.1:9")],
    "import socket\nwith socket.socket(type=socket.SOCK_DGRAM) as s: s.sendto(b'', ('127.0.0.1', 9))": [
        ("connect", "127.0.0.1:9")
    ],
    "import socket; socket.getaddrinfo('localhost', 80)": [("connect", "name localhost")],
    "open('/etc/passwd').close()": [("read", "/etc/passwd")],
    "import os; os.listdir('/etc')": [("read", "/etc")],
    "try: open('/nowhere/secret')\nexcept OSError: pass": [("read", "/nowhere/secret")],  # to look for it says enough
    "open('model', 'ab').close()": [("write", "MODEL")],
    "import os; os.rename('model', 'other'); os.rename('other', 'model')": [
        ("write", "OTHER"),
        ("write", "MODEL"),
    ],
    "exec(compile('1', '/tmp/payload.py', 'exec'))": [("code", "/tmp/payload.py")],
    "import pickle; pickle.loads(b'cos\\nsystem\\n.')": [("code", "pickle os.system")],
    "import sys; sys.addaudithook(lambda *_: None)": [("code", "another audit hook")],
    "import ctypes; ctypes.CDLL(None).getpid": [("load", "the program's own symbols"), ("load", "symbol getpid")],
    "for _ in range(50): open('/etc/passwd').close()": [("read", "/etc/passwd")],
    "class Odd:\n    def __fspath__(self): return 5\ntry: open(Odd())\nexcept TypeError: pass": [],
}


@pytest.mark.parametrize("code", ACTIONS)
def test_an_action_is_reported_once(run: Callable[..., Report], environment: Path, code: str) -> None:
    names = {"MODEL": str(environment / "model"), "OTHER": str(environment / "other")}
    expected = [(action, names.get(target, target)) for action, target in ACTIONS[code]]
    assert [line[:2] for line in run(code)] == expected


def test_the_phases_begin_with_the_model_and_with_the_first_socket(run: Callable[..., Report]) -> None:
    code = "import os, socket\nfor step in (lambda: 0, lambda: open('model').close(), lambda: socket.create_server(('127.0.0.1', 0)).close()):\n    step()\n    os.system('true')"  # noqa: E501
    assert run(code) == [
        ("process", "true", "startup"),
        ("process", "true", "load"),
        ("listen", "127.0.0.1:0", "serving"),
        ("process", "true", "serving"),
    ]


def test_closing_the_hook_s_file_silences_it_not(run: Callable[..., Report]) -> None:
    assert run("import os; os.closerange(3, 64); os.system('true')") == [("process", "true", "startup")]


def test_what_was_reported_survives_a_kill(run: Callable[..., Report], environment: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
        run("import os\nopen('/etc/passwd').close()\nos.kill(os.getpid(), 9)")
    assert "/etc/passwd" in (environment / "behaviour.jsonl").read_text()


EVASIONS = {  # each starts `touch evaded`, and no line of the report says so
    "native code, by ctypes": (
        "import ctypes; ctypes.CDLL(None).system(b'touch evaded')",
        [("load", "the program's own symbols"), ("load", "symbol system")],
    ),
    "Python's own start of processes, below its audit event": (
        "import os, shutil\nfrom multiprocessing.util import spawnv_passfds\n"
        "os.waitpid(spawnv_passfds(shutil.which('touch').encode(), [b'touch', b'evaded'], []), 0)",
        [],
    ),
    "another interpreter": (
        "try:\n    import _interpreters as i\nexcept ImportError:\n    import _xxsubinterpreters as i\n"
        "i.run_string(i.create(), \"import os; os.system('touch evaded')\")",
        [("code", "another interpreter, which has no hook")],
    ),
    "the hook's own memory": (
        "import gc, os\n"
        "[h._describe.clear() for h in gc.get_objects() if type(h).__name__ == '_AuditHook']\n"
        "os.system('touch evaded')",
        [],
    ),
}


@pytest.mark.parametrize("way", EVASIONS)
def test_what_goes_past_the_hook(run: Callable[..., Report], environment: Path, way: str) -> None:
    """So the hook detects, and does not confine; docs and lesson say which ways there are."""
    code, reported = EVASIONS[way]
    assert [line[:2] for line in run(code)] == reported
    (environment / "evaded").unlink()  # it ran


def test_the_launcher_needs_the_standard_library_alone() -> None:
    command = [sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({str(AUDIT_HOOK)!r})"]
    subprocess.run(command, check=True)
    assert Path(audit_hook.__file__) == AUDIT_HOOK
