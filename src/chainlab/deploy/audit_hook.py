"""Start a module under an audit hook (PEP 578) that reports what the module does.

    python -I -S -B audit_hook.py REPORT FILES MODEL MODULE [ARGUMENT …]    run as a file of its own

    REPORT    a file; one line of JSON is appended for each distinct action, target and phase
    FILES     a JSON object whose keys are the attested files, as paths below its own folder
    MODEL     the model's file: the phase `load` begins when it is opened
    MODULE    the module to run, as by `python -m`

Python starts without `site` (-S), the hook is added, and only then `site.main()` runs. So the hook also sees the
start-up code of `.pth` files. A line of the report:

    {"time": 1777777777.123, "phase": "load", "action": "process", "target": "/bin/sh -c id"}

Actions are process, connect, listen, read, write, code and load (of native code). Phases are startup, load and serving;
serving begins with the first socket that is bound. Attested files and Python's standard library are not reported. An
operation that was reported is not reported again in its phase, so a service that serves is quiet.

A hook detects and does not confine. Native code, another interpreter, and code that changes this module's memory go
past it. Standard library alone, on any system.
"""

from __future__ import annotations

import json
import os
import runpy
import site
import sys
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["main"]

LIMIT = 1000  # lines; apart for GRAVE actions, so that a flood of reads does not hide a process
LENGTH = 300  # characters of a target
CACHE = f"{os.sep}__pycache__{os.sep}"
GRAVE = ("process", "connect", "listen")
LIBRARY = os.path.dirname(os.path.abspath(os.__file__))
PACKAGES = os.path.join(LIBRARY, "site-packages")  # of the base Python: not the library
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SITE = site.main.__code__.co_filename  # Python may have it frozen

ANOTHER = "another interpreter, which has no hook"
INTERPRETERS = ("_interpreters", "_xxsubinterpreters")  # what makes one; Python 3.13 raises no event of its own for it

Action = tuple[str, str]  # what it is, and its target; ("", "") is not reported


class _AuditHook:
    """The hook: called by Python with each audit event and its arguments, in whichever thread."""

    def __init__(self, report: str, files: str, model: str) -> None:
        folder = os.path.dirname(os.path.abspath(files))
        with open(files, encoding="utf-8") as file:
            self._attested = {os.path.normpath(os.path.join(folder, path)) for path in json.load(file)}
        self._attested |= set(_parents(self._attested))
        self._model = os.path.abspath(model)
        self._report = os.path.abspath(report)
        self._descriptor = self._open()
        self._busy = threading.local()  # set while this thread reports: its own writing is no event
        self._seen: set[tuple[str, str, str]] = set()
        self._counts = {True: 0, False: 0}
        self._pth = ""  # the .pth file that site read last
        self.phase = "startup"
        self._describe: dict[str, Callable[[tuple[object, ...]], Action]] = {
            "subprocess.Popen": lambda a: ("process", _command(a[1]) or _text(a[0])),
            "os.system": lambda a: ("process", _text(a[0])),
            "os.exec": lambda a: ("process", _command(a[1]) or _text(a[0])),
            "os.posix_spawn": lambda a: ("process", _command(a[1]) or _text(a[0])),
            "os.spawn": lambda a: ("process", _command(a[2]) or _text(a[1])),
            "os.fork": lambda a: ("process", "fork"),
            "os.forkpty": lambda a: ("process", "fork"),
            "os.startfile": lambda a: ("process", _text(a[0])),
            "_winapi.CreateProcess": lambda a: ("process", _text(a[1]) or _text(a[0])),
            "socket.connect": lambda a: ("connect", _address(a[1])),
            "socket.sendto": lambda a: ("connect", _address(a[1])),
            "socket.sendmsg": lambda a: ("connect", _address(a[1])) if a[1] is not None else ("", ""),
            "socket.getaddrinfo": lambda a: ("connect", f"name {_text(a[0])}"),
            "socket.gethostbyname": lambda a: ("connect", f"name {_text(a[0])}"),
            "socket.gethostbyaddr": lambda a: ("connect", f"name {_text(a[0])}"),
            "socket.bind": self._bind,
            "open": self._opened,
            "os.listdir": lambda a: self._file("read", a[0] if a[0] is not None else "."),
            "os.scandir": lambda a: self._file("read", a[0] if a[0] is not None else "."),
            "os.remove": lambda a: self._file("write", a[0]),
            "os.rename": lambda a: self._file("write", a[1]),
            "os.mkdir": lambda a: self._file("write", a[0]),
            "os.rmdir": lambda a: self._file("write", a[0]),
            "os.link": lambda a: self._file("write", a[1]),
            "os.symlink": lambda a: self._file("write", a[1]),
            "os.truncate": lambda a: self._file("write", a[0]),
            "os.chmod": lambda a: self._file("write", a[0]),
            "exec": self._executed,
            "marshal.loads": lambda a: self._made("marshal.loads"),
            "code.__new__": lambda a: self._made("code.__new__"),
            "pickle.find_class": lambda a: ("code", f"pickle {_text(a[0])}.{_text(a[1])}"),
            "sys.addaudithook": lambda a: ("code", "another audit hook"),
            "cpython.PyInterpreterState_New": lambda a: ("code", ANOTHER),
            "import": self._imported,
            "ctypes.dlopen": lambda a: self._file("load", a[0]) if a[0] else ("load", "the program's own symbols"),
            "ctypes.dlsym": lambda a: ("load", f"symbol {_text(a[1])}"),
        }

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        describe = self._describe.get(event)
        if describe is None or getattr(self._busy, "now", False):
            return
        try:
            action, target = describe(arguments)
        except Exception as error:  # an exception here would stop what the module does
            action, target = "code", f"{event} with arguments that cannot be read: {type(error).__name__}"
        if action:
            self._note(action, target[:LENGTH])

    def begin(self, module: str) -> None:
        """Write the report's first line, which says that the hook is in place."""
        self._append({"hook": 1, "module": module, "pid": os.getpid()})

    # -- what the events mean

    def _opened(self, arguments: tuple[object, ...]) -> Action:
        path, _, flags = arguments
        if isinstance(path, int):  # an open descriptor
            return "", ""
        full = _path(path)
        if full == self._model and self.phase == "startup":
            self.phase = "load"
        if full.endswith(".pth"):
            self._pth = full
        return self._file("write" if isinstance(flags, int) and flags & WRITES else "read", full)

    def _file(self, action: str, path: object) -> Action:
        if isinstance(path, int):
            return "", ""
        full = _path(path)
        if action != "write" and (self._is_attested(full) or full == self._model):
            return "", ""
        if action == "read" and CACHE in full and not os.path.exists(full):  # Python looks for compiled code
            return "", ""
        return action, full

    def _is_attested(self, path: str) -> bool:
        """Whether a file, or a folder above such files, is attested or of the standard library."""
        if path.startswith(LIBRARY) and not path.startswith(PACKAGES):
            return True
        return path in self._attested or path.startswith("<frozen ")

    def _bind(self, arguments: tuple[object, ...]) -> Action:
        self.phase = "serving"
        return "listen", _address(arguments[1])

    def _executed(self, arguments: tuple[object, ...]) -> Action:
        name = getattr(arguments[0], "co_filename", "")
        if name.startswith("<frozen "):
            return "", ""
        if not name.startswith("<"):
            return self._file("code", name)
        caller = _caller()
        if caller == SITE:
            return self._file("code", self._pth)
        return ("", "") if self._is_attested(caller) else ("code", f"{name} by {caller}")

    def _imported(self, arguments: tuple[object, ...]) -> Action:
        module, path = arguments[:2]
        if module in INTERPRETERS:
            return "code", ANOTHER
        return self._file("load", path) if path else ("", "")

    def _made(self, what: str) -> Action:
        caller = _caller()
        return ("", "") if self._is_attested(caller) else ("code", f"{what} by {caller}")

    # -- the report

    def _note(self, action: str, target: str) -> None:
        key = (self.phase, action, target)
        grave = action in GRAVE
        if self._counts[grave] > LIMIT or (key in self._seen and action != "listen"):  # two may be for port 0
            return
        self._seen.add(key)
        self._counts[grave] += 1
        if self._counts[grave] > LIMIT:
            target = f"more than {LIMIT} distinct actions: further ones are not reported"
        self._append({"time": round(time.time(), 3), "phase": self.phase, "action": action, "target": target})

    def _append(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        self._busy.now = True
        try:
            try:
                os.write(self._descriptor, line)
            except OSError:  # the module closed it
                self._descriptor = self._open()
                os.write(self._descriptor, line)
        except OSError:
            pass  # the monitor reports a report that is gone
        finally:
            self._busy.now = False

    def _open(self) -> int:
        return os.open(self._report, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _parents(paths: set[str]) -> Iterator[str]:
    """Yield the folders above files, each once."""
    seen = {""}
    for path in paths:
        while (path := os.path.dirname(path)) not in seen:
            seen.add(path)
            yield path


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _path(value: object) -> str:
    """Return an absolute path; links in it are not followed."""
    return os.path.abspath(_text(os.fspath(value)))  # type: ignore[call-overload]


def _command(value: object) -> str:
    return " ".join(map(_text, value)) if isinstance(value, (list, tuple)) else _text(value)


def _address(value: object) -> str:
    if isinstance(value, tuple) and len(value) > 1:
        return f"{_text(value[0])}:{value[1]}"
    return _text(value) or "an address that cannot be read"


def _caller() -> str:
    """Return the file of the code that caused the event: the first frame that is not in this file."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_code.co_filename if frame is not None else ""


def main(arguments: list[str]) -> None:
    """Add the hook, let `site` start the environment, and run the module."""
    report, files, model, module, *rest = arguments
    hook = _AuditHook(report, files, model)
    hook.begin(module)
    sys.addaudithook(hook)
    site.main()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
