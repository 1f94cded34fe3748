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
# %% [markdown]
# ## What runs, verified again
# A gate's yes has a date. Afterwards an approval is withdrawn, an advisory appears, a file on the disk changes. So a
# schedule verifies what runs once more, every few minutes, and somebody has to decide beforehand what then happens. You
# write that plan, and it is tried on a small deployment, where each step has its effect. This is what it is shown:

# %%
from chainlab.course.exercises.week5.ex7_rollback import rehearse, sample, score

situation = sample(seed=seed)
print(len(situation["looks"]), "looks at", len(situation["releases"]), "releases; the last one runs")
print({digest[:15] + "…": verdict for digest, verdict in situation["looks"][1].items()})
print("policy:  ", situation["policy"])
print("evidence:", situation["evidence"])
rehearse(lambda look: [])([situation])[0]

# %% [markdown]
# Nobody did anything, so it still runs. At each look, five minutes apart, your plan gets a dict:
#
# | key | value |
# |---|---|
# | `runs` | the digest that runs |
# | `history` | the digests that ran, oldest first; the last one runs, and one may occur twice |
# | `verdicts` | digest to `verified` (True, False, or None when the gate could not be asked) and `cause`: None, `revoked`, `advisory`, `bytes`, `runtime`, `unreachable` |
# | `silent_s` | for how long the gate has not answered about what runs; 0 when it did |
# | `reported` | causes that were reported since what runs last verified |
# | `evidence` | what could be kept of the installation: name to `takes_s`, and `gone_in_s` from now |
# | `tags` | what each tag names now |
# | `policy` | `rolls_back`: causes for which to go back; `patience_s`; `without`, `stop` or `run on`, for when no release verifies |
#
# It returns a list of steps, done in order until one fails:
#
# | step | effect |
# |---|---|
# | `("report", cause)` | a person is told |
# | `("keep", name)` | copies a piece of evidence, in its `takes_s`; lost if it is gone before the copy is ready |
# | `("deploy", digest)` | installs and starts it, then removes the installation before, with its evidence. May fail. A tag's name is taken too |
# | `("stop",)` | ends the service, and removes the installation |
# | `("tag", name, digest)` | sets a tag |
# | `("delete", digest)` | removes an installation at once |
#
# ## Exercise 5.7 — roll back, by digest, and keep the evidence (9 points)
# *70 min.* Write the plan. These are the house's rules:
#
# - nothing is done about a release that verifies, whatever else happened;
# - a gate that does not answer is reported once it has been silent for `patience_s` or longer, and changes nothing;
# - what does not verify is reported, and no cause is reported again while it lasts;
# - for a cause in `rolls_back` all evidence is kept, and then the release runs that ran last *and verifies now*;
# - if no release verifies, `without` decides: `stop` (evidence first), or nothing beyond the report.
#
# The check tries groups of situations, each with something quiet beside it, and then a score over all kinds.
# <details><summary>Hint 1</summary>For each step: what can nobody do any more after it? And which of your steps may fail?</details>
# <details><summary>Hint 2</summary>Three states, three branches: True, None, False. `sorted(evidence, key=lambda name: evidence[name]["gone_in_s"])` orders by what is gone first, and `reversed(history)` begins with what runs.</details>

# %% tags=["exercise"]
def plan(look: dict) -> list[tuple]:
    """The steps for what this look shows, in order."""
    ### BEGIN SOLUTION
    verdict, policy, evidence = look["verdicts"][look["runs"]], look["policy"], look["evidence"]
    cause, steps = verdict["cause"], []
    if verdict["verified"]:
        return steps
    if verdict["verified"] is None and look["silent_s"] < policy["patience_s"]:
        return steps
    if cause not in look["reported"]:
        steps.append(("report", cause))
    if cause not in policy["rolls_back"]:
        return steps
    good = [digest for digest in look["history"] if look["verdicts"][digest]["verified"]]
    if not good and policy["without"] == "run on":
        return steps
    steps += [("keep", name) for name in sorted(evidence, key=lambda name: evidence[name]["gone_in_s"])]
    return [*steps, ("deploy", good[-1]) if good else ("stop",)]
    ### END SOLUTION

# %% tags=["check"]
lab.check("5.7", rehearse(plan))

# %% tags=["wrong"]
# wrong: sets the tag `latest` back -> it does not verify any more
right = plan
def plan(look: dict) -> list[tuple]:
    return [("tag", "latest", step[1]) if step[0] == "deploy" else step for step in right(look)]

# %% tags=["wrong"]
# wrong: removes the bad installation before anything else -> it does not verify any more
right = plan
def plan(look: dict) -> list[tuple]:
    steps = right(look)
    return [("delete", look["runs"]), *steps] if any(step[0] == "deploy" for step in steps) else steps

# %% tags=["wrong"]
# wrong: tells the people at every look -> what the policy rolls back
right = plan
def plan(look: dict) -> list[tuple]:
    return right({**look, "reported": []})

# %% tags=["wrong"]
# wrong: rolls back for whatever does not verify -> what the policy rolls back
right = plan
def plan(look: dict) -> list[tuple]:
    causes = ["revoked", "advisory", "bytes", "runtime"]
    return right({**look, "policy": {**look["policy"], "rolls_back": causes}})

# %% tags=["wrong"]
# wrong: a gate that does not answer is a gate that says no -> a gate that does not answer
right = plan
def plan(look: dict) -> list[tuple]:
    steps = [("keep", name) for name in look["evidence"]]
    silent = look["verdicts"][look["runs"]]["verified"] is None
    return [("report", "unreachable"), *steps, ("deploy", look["history"][-2])] if silent else right(look)

# %% tags=["wrong"]
# wrong: returns to the release before, whatever it is -> the release before is bad as well
right = plan
def plan(look: dict) -> list[tuple]:
    before = [digest for digest in look["history"] if digest != look["runs"]][-1]
    return [("deploy", before) if step[0] == "deploy" else step for step in right(look)]

# %% tags=["wrong"]
# wrong: what nobody calls bad is good -> the release before cannot be judged
right = plan
def plan(look: dict) -> list[tuple]:
    good = [digest for digest in look["history"] if look["verdicts"][digest]["verified"] is not False]
    return [("deploy", good[-1]) if step[0] == "deploy" else step for step in right(look)]

# %% tags=["wrong"]
# wrong: deploys the tag of the release to go back to -> a tag that moved
right = plan
def plan(look: dict) -> list[tuple]:
    version = f"v1.{len(dict.fromkeys(look['history'])) - 2}.0"
    before = [digest for digest in dict.fromkeys(look["history"]) if digest != look["runs"]][-1]
    return [("deploy", version) if step == ("deploy", before) else step for step in right(look)]

# %% tags=["wrong"]
# wrong: keeps the evidence as it is listed -> evidence that does not wait
right = plan
def plan(look: dict) -> list[tuple]:
    steps = right(look)
    keep = iter([("keep", name) for name in look["evidence"]])
    return [next(keep) if step[0] == "keep" else step for step in steps]

# %% tags=["wrong"]
# wrong: reports when all is done -> a deployment that fails
right = plan
def plan(look: dict) -> list[tuple]:
    return sorted(right(look), key=lambda step: step[0] == "report")

# %% [markdown] tags=["solution"]
# **Why.** Three states need three branches. *Bad* is somebody's finding and has a cause; *unknown* is a fact about the
# gate, and belongs to whoever runs it. If unknown counted as bad, an outage of the gate would roll back every service,
# and whoever can cause the outage decides what runs. If it counted as good for ever, switching the gate off would be
# the attack: hence the patience, and a person. By digest, because a tag is the one thing here that the attacker could
# move as well; a release that ran is not a release that is good, so the target is verified *now*, like any other. And
# order is most of a plan: report first, because it costs nothing and the rest may fail; what is gone first before what
# waits; the deployment last, because it removes what you would like to look into. The minutes that the evidence takes
# are minutes in which the bad release runs. That is a price, and a policy may name a cause for which nobody waits.

# %%
print(score(plan, seed=seed))
