# %% [markdown]
# # Week 5 lab · Would anybody notice?
#
# **You will** (5 h; each exercise says its minutes)

# %% tags=["parameters"]
seed = 1

# %%
from pathlib import Path

import chainlab

lab = chainlab.open("05_monitoring", seed=seed)

# %% [markdown]
# ## A hook inside the process
# Everything so far was written down by services. What does the *running* release do? CPython raises an audit event
# wherever it is asked for something of weight, and whoever called `sys.addaudithook(function)` hears of it
# [PEP 578, Python 3.8]. The prediction service starts with such a hook. Here a small program runs under one that
# writes every event down. It behaves as its release was tested to behave, and reads a secret beside that, in a thread.

# %%
from chainlab.course.exercises.week5.ex5_audit_hook import heard_by, sample

watched = sample(lab, seed)
print(watched.source)
names = [event for event, _ in watched.events]
print(len(names), "events, most of them", max(set(names), key=names.count))
for event, args in watched.events:
    if event in ("subprocess.Popen", "socket.connect") or (event == "open" and not args[0] in watched.expected["read"]):
        print(event, str(args).replace(str(lab.path), "…")[:100])

# %% [markdown]
# A start of Python reads dozens of files, so `open` alone says nothing. An alarm needs to know what is *expected*, and
# the release's attested run says it. It is a dict of lists, as in JSON:
#
# | key | value |
# |---|---|
# | `folder` | the folder that the program works in; relative paths begin there |
# | `read` | folders whose files it may read |
# | `connect` | addresses that it may send to, each `[host, port]` |
# | `process` | programs that it may start, by path |
#
# These events matter here; their arguments come as a tuple:
#
# | event | arguments |
# |---|---|
# | `subprocess.Popen` | program, its arguments, folder, environment |
# | `os.posix_spawn`, `os.exec` | program, its arguments, environment |
# | `os.system` | the command, for a shell |
# | `socket.connect`, `socket.sendto` | the socket's type, the address as `[host, port]` |
# | `open` | path (a number for a file that is open already), mode (None from `os.open`), flags |
#
# ## Exercise 5.5 — what the hook sees, and what it does not (5 points)
# *40 min.* Write two functions. `report` gives `"process"`, `"connect"` or `"read"` for an event that the expected
# behaviour does not include, and None for every other event. A file opened only for writing is not read. `heard` says
# whether *any* hook in the process, however good, hears of an act. An act is a dict: `does` (read, connect, process),
# `hooked` (False when it ran before the hook was added), and `way`, one of `directly`, `by the layer below` (os.open, a
# datagram, os.posix_spawn), `by a shell`, `in text compiled at run time`, `in a thread`, `in a fork of the process`,
# `in a child program` (a Python that was started anew), `through ctypes`, `inside OpenSSL` (asked to load a file).
#
# The check runs programs, honest ones with one act beside: `lab.case("5.5", "through ctypes")` gives you the events of
# one. Read them before you decide what `heard` says.
# <details><summary>Hint 1</summary>Which of the three arguments of `open` is there whichever function opened the file? And for `heard`: who raises an audit event, the operating system or a line in CPython's source?</details>
# <details><summary>Hint 2</summary>`flags & os.O_ACCMODE` is `os.O_RDONLY`, `os.O_WRONLY` or `os.O_RDWR`. `os.path.normpath(os.path.join(folder, path))` resolves `..`, and `Path.is_relative_to` compares whole names. A fork copies the interpreter with its hooks; a program that is started anew has none.</details>

# %% tags=["exercise"]
import os


def report(event: str, args: tuple, expected: dict) -> str | None:
    """'process', 'connect' or 'read' for an event outside what is expected; else None."""
    ### BEGIN SOLUTION
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system"):
        return None if args[0] in expected["process"] else "process"
    if event in ("socket.connect", "socket.sendto"):
        return None if args[1] in expected["connect"] else "connect"
    if event == "open" and isinstance(args[0], str) and args[2] & os.O_ACCMODE != os.O_WRONLY:
        path = Path(os.path.normpath(os.path.join(expected["folder"], args[0])))
        return None if any(path.is_relative_to(folder) for folder in expected["read"]) else "read"
    return None
    ### END SOLUTION


def heard(act: dict) -> bool:
    """Whether any audit hook of the process hears of the act."""
    ### BEGIN SOLUTION
    return act["hooked"] and act["way"] not in ("in a child program", "through ctypes", "inside OpenSSL")
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.5", heard_by(report, heard))

# %% tags=["wrong"]
# wrong: a hook is a sandbox, it hears of whatever the process causes -> in a child program
def heard(act: dict) -> bool:
    return act["hooked"]

# %% tags=["wrong"]
# wrong: everything in another process is out of sight -> in a fork of the process
right = heard
def heard(act: dict) -> bool:
    return right(act) and act["way"] != "in a fork of the process"

# %% tags=["wrong"]
# wrong: asks for the start that it knows -> a process, another way
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    return None if event in ("os.posix_spawn", "os.exec", "os.system") else right(event, args, expected)

# %% tags=["wrong"]
# wrong: loopback is harmless -> a connection
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    loopback = event in ("socket.connect", "socket.sendto") and args[1][0] == "127.0.0.1"
    return None if loopback else right(event, args, expected)

# %% tags=["wrong"]
# wrong: reads are what was opened with the mode "r" -> a read, below open()
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    return None if event == "open" and "r" not in str(args[1]) else right(event, args, expected)

# %% tags=["wrong"]
# wrong: compares the beginning of the text -> a read beside the folder
right = report
def report(event: str, args: tuple, expected: dict) -> str | None:
    path = os.path.join(expected["folder"], str(args[0])) if event == "open" else ""
    return None if path.startswith(tuple(expected["read"])) else right(event, args, expected)

# %% [markdown] tags=["solution"]
# **Why.** An event is raised by a line of C or Python that somebody wrote into CPython. The hook hears of what goes
# through such a line, in any thread, in compiled text, in a fork; and of nothing else. C code that ctypes or an
# extension module calls asks the kernel itself. The events *before* (`ctypes.dlopen`, `ctypes.dlsym`) are heard, so
# "from here on I am blind" deserves an alarm of its own. A child that starts anew is another interpreter. And the
# launcher's hook is worth its place in time: `.pth` files run while Python starts, so the service starts with `-S`,
# adds the hook, and only then calls `site.main()`. A hook may raise an exception, which stops what it heard of. That
# is no sandbox: whoever wants past it takes one of the ways above. It detects, and it is cheap. What confines is
# outside the process: another user, a network that refuses, a file system that is not there. And whoever reads your
# alarms will also ask what the honest program does on a bad day, a crash that starts a debugger, say: `expected` comes
# from a run, and a run is a sample.
