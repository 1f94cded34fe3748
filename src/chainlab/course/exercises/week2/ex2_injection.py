"""Cases for exercise 2.2: a step that pastes a stranger's words into its script.

The repaired step is really run: text replaces its expressions, as on the platform, and bash reads the result in an
empty directory with an empty environment. A payload that runs makes one file there, and nothing else.

    >>> expand("echo ${{ github.head_ref }}", {"github.head_ref": "fix/typo"})
    'echo fix/typo'
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chainlab.course.cases import Case, LabContext, Miss
from chainlab.course.plain_data import short
from chainlab.errors import ChainlabError

__all__ = ["MARKER", "Played", "cases", "expand", "play"]

SEE = "labs/02_hardening.ipynb, 'Pasted, not passed'"
TEACHES = {
    "a benign title": "A repair that no longer prints the title is no repair.",
    "a hostile title": (
        "The value is pasted before bash reads the line, so it can bring the quote that ends yours. Quotes round "
        "`${{ }}` are part of the text that it is pasted into. Pass the value in `env`."
    ),
    "an apostrophe and other honest characters": (
        "Titles have quotes, dollars and stars for good reasons. Nothing is to be filtered or changed: once the "
        "value is passed, no character is special."
    ),
    "no quotes at all": (
        "An unquoted variable is split at spaces and its stars become file names. Where the expression had no "
        "quotes, yours need some."
    ),
    "single quotes": (
        "Within single quotes a variable is not expanded: it prints its own name. Close them, put the variable "
        "in double quotes, and open them again."
    ),
    "a name that is taken": "The step has variables already and its script reads them. Look before you name.",
    "several expressions": "Two different values, one of them twice, with other spaces inside the braces.",
    "an expression that chooses": "Move the whole expression into `env`, with its `||`.",
    "a quote behind a backslash": (
        "`\\\"` within double quotes and `\\'` outside all quotes are characters: they open and close nothing. Within "
        "single quotes a backslash is itself a character like any other, and the next quote ends them."
    ),
    "one quote within the other": (
        "Within double quotes an apostrophe is a character, and within single quotes a double quote is one: only the "
        "quote that opened closes."
    ),
    "two names that look alike": (
        "`a-b` and `a_b` are two inputs. A variable has no hyphen in its name, so a name made from the expression is "
        "to be compared with those that are taken already, by your own too."
    ),
    "a body of several lines": (
        "A title has one line, a body has many, and each of them is a line of your script once it is pasted."
    ),
    "nothing to mend": "A step without expressions is as it should be.",
}


EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
MARKER = "marker"  # the file that a payload makes
LONGEST = 10  # seconds a script may take

TITLE, BRANCH = "github.event.pull_request.title", "github.head_ref"
LOGIN, BODY = "github.event.pull_request.user.login", "github.event.issue.body"
TITLES = ["Fix a typo", "Add the tokeniser", "Faster loading", "Bump numpy", "Export twice"]
WORDS = ["cases", "weights", "loader", "report", "scores"]


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace every ``${{ … }}`` in ``text`` by its value: the platform pastes before bash reads.

    Raises `KeyError` for an expression that has no value here.
    """
    return EXPRESSION.sub(lambda match: values[match[1]], text)


class Played:
    """The result of a step: its ``output``, its exit ``status`` and whether a payload ran."""

    def __init__(self, output: str, status: int, ran: bool) -> None:
        self.output, self.status, self.ran = output, status, ran


def play(step: Mapping[str, Any], values: Mapping[str, str], scratch: Path) -> Played:
    """Run a step as the platform would, in a fresh directory below ``scratch``.

    Raises `KeyError` for an unknown expression and `ChainlabError` without bash.
    """
    bash = shutil.which("bash", path="/bin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if bash is None:
        raise ChainlabError("exercise 2.2 needs bash", hint="install it with your package manager")
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        script = Path(folder) / "step.sh"
        script.write_text(expand(step["run"], values), encoding="utf-8")
        work = Path(folder) / "work"
        work.mkdir()
        env = {name: expand(str(value), values) for name, value in step.get("env", {}).items()}
        try:
            completed = subprocess.run(
                [bash, "--noprofile", "--norc", "-eo", "pipefail", script],
                cwd=work,
                env={**env, "PATH": "/usr/bin:/bin", "HOME": str(work), "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Played(f"(did not end within {LONGEST} s)", 124, bool(list(work.iterdir())))
        return Played(completed.stdout.decode("utf-8", "replace"), completed.returncode, any(work.iterdir()))


def _payloads(rng: random.Random) -> list[str]:
    """Give payloads for different ways of quoting; each makes the marker."""
    word = rng.choice(WORDS)
    return [
        f'{word}"; touch {MARKER}; echo "',
        f"{word}'; touch {MARKER}; echo '",
        f"{word}$(touch {MARKER})",
        f"`touch {MARKER}`{word}",
        f"{word};touch${{IFS}}{MARKER}",
        f"{word}\"'$(touch {MARKER})'\"",
    ]


def cases(lab: LabContext, rng: random.Random) -> Iterator[Case]:
    """Make steps in which a stranger's words stand in each way of quoting, benign words first."""
    steps = _PastedSteps(rng, lab.path / "exercise-2.2")
    yield from steps.quoted()
    yield from steps.beside_variables()
    yield from steps.nested_quotes()
    yield from steps.look_alikes()
    quiet = {"name": "quiet", "env": {"A": "1"}, "run": f'echo "{steps.word()} $A"'}
    yield Case("nothing to mend", (quiet,), quiet)


class _PastedSteps:
    """Steps of one seed, and what they are tried with."""

    def __init__(self, rng: random.Random, scratch: Path) -> None:
        self.rng, self.scratch = rng, scratch
        self.intro, self.last, self.account, self.last_line, self.mark = (self.word() for _ in range(5))
        self.hostile = _payloads(rng)

    def word(self) -> str:
        """A word with a number."""
        return f"{self.rng.choice(WORDS)}-{self.rng.randrange(1000)}"

    def case(
        self, name: str, step: dict[str, Any], tried: list[dict[str, str]], output: Callable[[dict[str, str]], str]
    ) -> Case:
        """Make the case: for each row of ``tried``, expression to value, the step has to print ``output(row)``."""
        return Case(
            name, (step,), accept=_prints_unchanged(step, [(values, output(values)) for values in tried], self.scratch)
        )

    def quoted(self) -> Iterator[Case]:
        """In double quotes, in none, in single quotes."""
        rng, intro, last = self.rng, self.intro, self.last
        quoted = {"name": "say it", "run": f'echo "{intro}: ${{{{ {TITLE} }}}}"'}
        benign = _each(TITLE, rng.sample(TITLES, 2))
        yield self.case("a benign title", quoted, benign, lambda v: f"{intro}: {v[TITLE]}\n")
        hostile = _each(TITLE, self.hostile)
        yield self.case("a hostile title", dict(quoted), hostile, lambda v: f"{intro}: {v[TITLE]}\n")
        yield self.case(
            "an apostrophe and other honest characters",
            dict(quoted),
            _each(TITLE, [f"Don't drop {rng.choice(WORDS)}", 'Say "yes" & go', "a  b * \\n $HOME; (c)"]),
            lambda v: f"{intro}: {v[TITLE]}\n",
        )
        yield self.case(
            "no quotes at all",
            {"name": "branch", "run": f"printf '%s\\n' ${{{{ {BRANCH} }}}} {last}"},
            _each(BRANCH, [f"fix/{rng.choice(WORDS)}", *self.hostile, "two  words *"]),
            lambda v: f"{v[BRANCH]}\n{last}\n",
        )
        yield self.case(
            "single quotes",
            {"name": "note", "run": f"echo 'by ${{{{ {BRANCH} }}}} as {self.account}'"},
            _each(BRANCH, [f"fix/{rng.choice(WORDS)}", *self.hostile]),
            lambda v: f"by {v[BRANCH]} as {self.account}\n",
        )

    def beside_variables(self) -> Iterator[Case]:
        """In a step that has variables already; several expressions; one that chooses."""
        rng, hostile = self.rng, self.hostile
        full = "GITHUB_EVENT_PULL_REQUEST_TITLE"
        taken = rng.choice(["TITLE", "PR_TITLE", full])
        kept = {n: f"kept {rng.choice(WORDS)}" for n in (taken, "TITLE", "VALUE", "VALUE_1", "ARG", full, f"{full}_")}
        yield self.case(
            "a name that is taken",
            {"name": "both", "env": kept, "run": f'echo "$VALUE"\necho "${taken}: ${{{{ {TITLE} }}}}"'},
            _each(TITLE, [rng.choice(TITLES), *hostile[:3]]),
            lambda v: f"{kept['VALUE']}\n{kept[taken]}: {v[TITLE]}\n",
        )
        tried = [
            {TITLE: rng.choice(TITLES), LOGIN: "mallory"},
            {TITLE: hostile[0], LOGIN: hostile[1]},
            {TITLE: hostile[2], LOGIN: hostile[4]},
        ]
        first = f"echo '${{{{{LOGIN}}}}}' wrote \"${{{{ {TITLE} }}}}\"\n"
        second = f'echo "{self.last_line}: ${{{{   {TITLE}   }}}}, ${{{{ {LOGIN} }}}}"'
        yield self.case(
            "several expressions",
            {"name": "three", "shell": "bash", "run": first + second},
            tried,
            lambda v: f"{v[LOGIN]} wrote {v[TITLE]}\n{self.last_line}: {v[TITLE]}, {v[LOGIN]}\n",
        )
        choice = f"{BRANCH} || github.ref_name"
        yield self.case(
            "an expression that chooses",
            {"name": "ref", "run": f'REF="${{{{ {choice} }}}}"\necho "{self.mark} $REF"'},
            _each(choice, [f"topic/{rng.choice(WORDS)}", *hostile[:2]]),
            lambda v: f"{self.mark} {v[choice]}\n",
        )

    def nested_quotes(self) -> Iterator[Case]:
        """Quotes behind a backslash, and one kind of quote within the other."""
        mark, spaced = self.mark, "two  words *"
        run = f'echo "{mark} \\"${{{{ {TITLE} }}}}\\""\n'
        run += f"echo it\\'s ${{{{ {TITLE} }}}}\necho 'C:\\' \"${{{{ {TITLE} }}}}\""
        yield self.case(
            "a quote behind a backslash",
            {"name": "message", "run": run},
            _each(TITLE, [spaced, self.hostile[2], self.hostile[5]]),
            lambda v: f'{mark} "{v[TITLE]}"\nit\'s {v[TITLE]}\nC:\\ {v[TITLE]}\n',
        )
        run = f'echo "{mark} it\'s ${{{{ {TITLE} }}}}"\necho \'say "${{{{ {TITLE} }}}}"\' "${{{{ {TITLE} }}}}"'
        yield self.case(
            "one quote within the other",
            {"name": "quotes", "run": run},
            _each(TITLE, [spaced, self.hostile[2]]),
            lambda v: f'{mark} it\'s {v[TITLE]}\nsay "{v[TITLE]}" {v[TITLE]}\n',
        )

    def look_alikes(self) -> Iterator[Case]:
        """Two names that differ in one character, and a value of several lines."""
        rng, mark = self.rng, self.mark
        hyphen, underscore = "inputs.log-level", "inputs.log_level"
        yield self.case(
            "two names that look alike",
            {"name": "levels", "run": f'echo "{mark} ${{{{ {hyphen} }}}} ${{{{ {underscore} }}}}"'},
            [{hyphen: rng.choice(WORDS), underscore: self.hostile[2]}],
            lambda v: f"{mark} {v[hyphen]} {v[underscore]}\n",
        )
        lines = [f"one\n{rng.choice(WORDS)}\n", f"x\ntouch {MARKER}\n{self.hostile[2]}", self.hostile[5]]
        yield self.case(
            "a body of several lines",
            {"name": "body", "run": f'printf "{mark}: %s\\n" "${{{{ {BODY} }}}}"'},
            _each(BODY, lines),
            lambda v: f"{mark}: {v[BODY]}\n",
        )


def _each(expression: str, values: list[str]) -> list[dict[str, str]]:
    return [{expression: value} for value in values]


def _prints_unchanged(
    original: dict[str, Any], tried: list[tuple[dict[str, str], str]], scratch: Path
) -> Callable[[Any], bool | Miss]:
    """Accept a step that prints each value as it is and runs none of them."""

    def accept(step: Any) -> bool | Miss:
        if not isinstance(step, dict) or not isinstance(step.get("run"), str):
            return Miss("expected the step, a dict with run", why="")
        env = step.get("env", {})
        if not isinstance(env, dict) or not all(isinstance(v, str) for v in env.values()):
            return Miss("expected env as a dict of texts", why="")
        if lost := {k: v for k, v in original.get("env", {}).items() if env.get(k) != v}:
            return Miss(f"env lost or changed {short(lost)}")
        changed = {k for k in original.keys() | step.keys() if original.get(k) != step.get(k)}
        if changed - {"run", "env"}:
            return Miss(f"only run and env may change, not {min(changed - {'run', 'env'})}")
        for values, output in tried:
            words = " and ".join(repr(value) for value in values.values())
            try:
                played = play(step, values, scratch)
            except KeyError as error:
                return Miss(f"an expression that was not there before: {error.args[0]!r}")
            if played.ran:
                return Miss(f"the payload ran: {words}")
            if (played.output, played.status) != (output, 0):
                return Miss(
                    f"with {words} expected {output!r}, printed {played.output!r}"
                    + (f" and ended with {played.status}" if played.status else "")
                )
        return True

    return accept
