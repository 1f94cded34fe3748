"""What a file's author chose reaches a terminal spelled out: no escape sequence, no forged line."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from chainlab.characters import join_lines, visible
from chainlab.ci.actions.pins import PinFinding
from chainlab.ci.runs.run_record import JobRun, Run, StepRecord
from chainlab.cli import _main, terminal
from chainlab.cli.ci import _print_step
from chainlab.digests import Digest
from chainlab.errors import ChainlabError
from chainlab.policy.gate import Check, Decision

CLI = Path(terminal.__file__).parent
ESCAPE = "\x1b]0;owned\x07"
FORGED = "\nrefused by 0 rules\u2028allowed\rok \u202etxt\x9b2J"
HOSTILE = ESCAPE + FORGED
SPELLED = r"\x1b]0;owned\x07"


@pytest.fixture
def chainlab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line, over a workspace of its own; what it prints has nothing that a terminal acts on."""
    monkeypatch.setenv("CHAINLAB_WORKSPACE", str(tmp_path))

    def run(*words: object) -> Result:
        result = CliRunner().invoke(_main, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert acted_on(result.output) == []
        return result

    return run


def acted_on(text: str) -> list[str]:
    """Characters of a text that a terminal acts on, besides line breaks and tabs."""
    kinds = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return [c for c in text if c not in "\n\t" and unicodedata.category(c) in kinds]


# -- the one function


@given(st.text(st.characters()))
def test_whatever_the_text_is_the_line_stays_one_harmless_line(text: str) -> None:
    assert acted_on(visible(text)) == []
    assert len(visible(text).splitlines()) <= 1
    assert acted_on(visible(text, lines=True)) == []
    assert len(join_lines([text, text]).split("\n")) == 2


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])))
def test_words_of_any_language_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_harmless_and_means_the_same(value: object) -> None:
    for ascii_only in (True, False):
        document = json.dumps(value, ensure_ascii=ascii_only, indent=1)
        with pytest.MonkeyPatch.context() as patch:
            printed: list[bytes] = []
            patch.setattr(click, "echo", lambda data, **_: printed.append(data))  # noqa: B023
            terminal.echo_document(document.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode())
        assert acted_on(printed[0].decode()) == []
        assert json.loads(printed[0]) == value


def writes(tree: ast.Module) -> Iterator[str]:
    """What of a module could write to the terminal by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if re.fullmatch(r"sys\.(__)?std(out|err)(__)?|os\.writev?|logging\..*|warnings\.warn", name):
                yield name
            if node.value.id == "click" and re.search("echo|style|prompt|confirm|pager|progressbar|launch|edit", name):
                yield name
        elif isinstance(node, ast.Name) and node.id in ("print", "input"):
            yield node.id
        elif isinstance(node, ast.ImportFrom) and node.module in ("click", "sys", "os"):
            yield f"from {node.module}"


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.stem)
def test_no_command_writes_to_the_terminal_past_echo(path: Path) -> None:
    writers = set(writes(ast.parse(path.read_text(encoding="utf-8"))))
    assert writers <= ({"click.echo", "sys.stdout", "sys.stderr"} if path.stem == "terminal" else set())


# -- names that others chose


def sbom(*components: dict[str, str]) -> str:
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": list(components)}
    about = {"component": {"type": "application", "name": "app", "version": "1"}}
    return json.dumps({**document, "metadata": about})


def test_an_archive_s_components_are_spelled_out(chainlab: Callable[..., Result], tmp_path: Path) -> None:
    part = {"type": "library", "name": "urllib3", "version": f"2.0{HOSTILE}", "bom-ref": f"r{HOSTILE}"}
    (tmp_path / "bom.json").write_text(sbom(part, {"type": "library", "name": "urllib3", "version": "1.0"}))
    digest = ["--version", "1", "--digest", f"sha256:{'0' * 64}"]
    refused = chainlab("archive", "add", "--artifact", f"app{HOSTILE}", *digest, "--sbom", tmp_path / "bom.json")
    assert refused.exit_code == 2
    chainlab("archive", "add", "--artifact", "app", *digest, "--sbom", tmp_path / "bom.json")
    for options in ([], ["--every"], ["--seen"], ["--paths"], ["--json"]):
        result = chainlab("archive", "query", "--package", "urllib3", *options)
        assert not [line for line in result.output.splitlines() if line.startswith(("refused", "allowed"))]
        if options == ["--json"]:
            assert f"2.0{HOSTILE}" in {row["found"] for row in json.loads(result.output)}
        else:
            assert SPELLED in result.output


def test_an_sbom_s_words_are_spelled_out(chainlab: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text(sbom({"type": f"lib{HOSTILE}", "name": "u"}))
    (tmp_path / "key.json").write_text(sbom({"type": "library", "name": "u", f"x{HOSTILE}": "1"}))
    (tmp_path / "poor.json").write_text(sbom({"type": "library", "name": f"u{HOSTILE}", "version": ""}))
    for name in ("wrong", "key", "poor"):
        result = chainlab("sbom", "check", tmp_path / f"{name}.json")
        assert SPELLED in result.output
        assert not [line for line in result.output.splitlines() if line.startswith(("refused", "allowed"))]


def test_a_printed_sbom_is_the_document_that_out_writes(chainlab: Callable[..., Result], tmp_path: Path) -> None:
    text = '[project]\nname = "näme"\nversion = "1"\ndescription = "a\u202eb\u0085c"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    build = ["sbom", "build", tmp_path, "--kind", "project", "--at", "2026-05-04T10:00:00Z"]
    printed = chainlab(*build).stdout
    chainlab(*build, "--out", tmp_path / "bom.json")
    assert json.loads(printed) == json.loads((tmp_path / "bom.json").read_text())
    assert "näme" in printed


def test_a_workflow_s_name_and_uses_are_spelled_out(chainlab: Callable[..., Result], tmp_path: Path) -> None:
    workflows = tmp_path / "p" / ".github" / "workflows"
    workflows.mkdir(parents=True)
    steps = '[{uses: "docker://x\\e]0;owned\\a\\nforged"}, {uses: no/no@v1}]'
    job = f"jobs: {{a: {{runs-on: ubuntu-latest, steps: {steps}}}}}\n"
    (workflows / f"z{ESCAPE}\n.yml").write_text(f"on: push\n{job}")
    checked = chainlab("ci", "pin", "--check", tmp_path / "p")
    assert re.findall(r"(?m)^.*?yml:2: \w+", checked.output) == [
        rf".github/workflows/z{SPELLED}\n.yml:2: {kind}" for kind in ("image", "unresolved")
    ]
    assert rf"docker://x{SPELLED}\nforged" in checked.output
    for words in (["pin", tmp_path / "p"], ["run", "--project", tmp_path / "p", "--event", "push"]):
        refused = chainlab("ci", *words)
        assert refused.exit_code == 1
        assert refused.output.startswith(f".github/workflows/z{SPELLED} .yml")


def test_a_run_s_names_stay_on_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    step = StepRecord(f"s{HOSTILE}", "success", 1.0)
    job = JobRun(f"j{HOSTILE}", "success", steps=(step,), why=f"w{HOSTILE}")
    run = Run(1, "acme/x", f"w{HOSTILE}.yml", "push", f"refs/heads/{HOSTILE}", "0" * 40, "alice", {"j": job})
    assert acted_on(run.table()) == []
    assert len(run.table().splitlines()) == 3
    _print_step(f"j{HOSTILE}", step)
    printed = capsys.readouterr().err
    assert acted_on(printed) == []
    assert printed.count("\n") == 1


def test_a_finding_and_a_decision_stay_on_their_lines() -> None:
    finding = PinFinding(f"f{HOSTILE}", 1, "nested", f"u{HOSTILE}", f"m{HOSTILE}")
    assert len(join_lines([finding]).splitlines()) == 1
    check = Check(f"r{HOSTILE}", "refused", f"s{HOSTILE}", f"m{HOSTILE}")
    digest = Digest.of(b"")
    decision = Decision(f"oci/x{HOSTILE}", digest, "release", digest, (check,), False, datetime.now(UTC))
    assert acted_on(decision.table()) == []
    assert len(decision.table().splitlines()) == 5


def test_an_error_s_parts_are_one_line_each() -> None:
    error = ChainlabError(f"no {HOSTILE}", why=f"it is {HOSTILE}", hint="fix it", see=f"there{HOSTILE}")
    assert acted_on(str(error)) == []
    labels = [line[:5] for line in str(error).split("\n")]
    assert labels == [r"no \x"[:5], "  Why", "  Hel", "  See"]


def test_an_error_about_the_call_is_spelled_out(chainlab: Callable[..., Result], tmp_path: Path) -> None:
    for words in (
        [f"no{HOSTILE}"],
        [f"--no{HOSTILE}"],
        ["sbom", "check", tmp_path / f"no{HOSTILE}"],
        ["sbom", "check", f"--least=no{HOSTILE}", CLI / "sbom.py"],
        ["hint", "1.1", f"more{HOSTILE}"],
        ["hint", f"no{HOSTILE}"],
        ["gate", f"oci/{HOSTILE}"],
    ):
        result = chainlab(*words)
        assert result.exit_code in (1, 2)
        assert "owned" in result.output
        assert not [line for line in result.output.splitlines() if line.startswith(("refused", "allowed"))]


def test_a_missing_option_s_choices_keep_their_lines(chainlab: Callable[..., Result], tmp_path: Path) -> None:
    result = chainlab("ci", "run", "--project", tmp_path)
    assert result.exit_code == 2
    assert "Choose from:\n\tpush" in result.output


# -- the help


def commands(command: click.Command = _main, name: str = "chainlab") -> Iterator[tuple[str, click.Command]]:
    """Every command and group of the command line, with its full name."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from commands(inner, f"{name} {word}")


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_help_explains_its_options_and_ends_with_an_example(name: str, command: click.Command) -> None:
    shown = CliRunner().invoke(_main, [*name.split()[1:], "--help"]).output
    _, example, lines = shown.rpartition("Example")
    assert example
    assert f"chainlab {name.partition(' ')[2]}".strip() in lines
    assert not [line for line in shown.splitlines()[1:] if line.endswith("...")], "a summary in the list is cut"
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []
