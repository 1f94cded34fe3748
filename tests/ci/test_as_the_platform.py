"""Workflows that `act` alone would run otherwise, and those that this host refuses before anything runs."""

from __future__ import annotations

import pytest
from project_folders import Make

from chainlab.errors import MalformedInput
from chainlab.world import World

X = ".github/workflows/x.yml"
CALLED = ".github/workflows/called.yml"
OWN = {"own/action.yml": "runs: {using: composite, steps: [{run: echo own ran, shell: sh}]}\n"}


def workflow(jobs: str, *, on: str = "push", head: str = "") -> dict[str, str]:
    return {X: f"name: x\non: {on}\n{head}\njobs:\n" + jobs}


def test_a_job_that_may_fail_lets_the_run_go_on(make: Make) -> None:
    run = make("acme/tolerant", workflow("""
  may-fail:
    runs-on: ubuntu-latest
    continue-on-error: ${{ github.event_name == 'push' }}
    steps: [{run: exit 1}]
  after:
    needs: may-fail
    runs-on: ubuntu-latest
    steps: [{run: "echo it was ${{ needs.may-fail.result }}"}]
  must-not:
    runs-on: ubuntu-latest
    continue-on-error: ${{ github.event_name == 'schedule' }}
    steps: [{run: exit 1}]
  skipped:
    needs: [after, must-not]
    runs-on: ubuntu-latest
    steps: [{run: echo never}]
  further:
    needs: skipped
    if: always() && needs.skipped.result == 'skipped'
    runs-on: ubuntu-latest
    steps: [{run: echo further}]
  last:
    needs: further
    runs-on: ubuntu-latest
    steps: [{run: echo never}]
""")).run("push")  # fmt: skip
    results = {name: (job.result, job.counted) for name, job in run.jobs.items()}
    assert results["may-fail"] == ("failure", "success")
    assert "it was success" in run.jobs["after"].log
    assert results["must-not"] == ("failure", "failure")
    assert results["skipped"] == ("skipped", "skipped")
    assert results["further"] == ("success", "success")
    assert results["last"] == ("skipped", "skipped")  # a skip goes down the whole chain
    assert run.result == "failure"


def test_a_matrix_has_legs_of_its_own_and_a_skipped_job_none(make: Make) -> None:
    run = make("acme/legs", workflow("""
  list:
    runs-on: ubuntu-latest
    outputs: {v: "${{ steps.s.outputs.v }}"}
    steps:
      - id: s
        run: echo 'v=["a", "b"]' >> "$GITHUB_OUTPUT"
  skipped:
    if: github.event_name == 'schedule'
    strategy: {matrix: {v: "${{ fromJSON(github.event.nothing) }}"}}
    runs-on: ubuntu-latest
    steps: [{run: echo never}]
  legs:
    needs: list
    strategy: {matrix: {v: "${{ fromJSON(needs.list.outputs.v) }}", os: [ubuntu-latest]}}
    runs-on: ${{ matrix.os }}
    steps:
      - run: echo "v=${{ matrix.v }} ${{ strategy.job-index }} of ${{ strategy.job-total }}; $MARK"; touch "$HOME/mark"
        env: {MARK: "${{ hashFiles('nothing') }}"}
      - run: test "$(ls "$HOME" | grep -c mark)" = 1
  fast:
    strategy: {matrix: {n: [1, 2, 3]}}
    continue-on-error: ${{ matrix.n == 1 }}
    runs-on: ubuntu-latest
    steps: [{run: "echo leg-${{ matrix.n }}; exit 1"}]
""")).run("push")  # fmt: skip
    assert run.jobs["skipped"].result == "skipped"
    assert run.jobs["legs"].result == "success", run.jobs["legs"].why + run.log
    assert "v=a 0 of 2" in run.log
    assert "v=b 1 of 2" in run.log
    assert "leg-1" in run.log
    assert "leg-2" in run.log
    assert "leg-3" not in run.log
    assert (run.jobs["fast"].result, run.jobs["fast"].tolerated) == ("failure", False)
    assert "`fail-fast`: not run: n: 3 and the legs after it" in run.jobs["fast"].why


def test_a_leg_for_another_system_does_not_run_and_says_so(make: Make) -> None:
    run = make("acme/systems", workflow("""
  matrix:
    strategy: {fail-fast: false, matrix: {os: [windows-latest, ubuntu-latest]}}
    runs-on: ${{ matrix.os }}
    steps: [{run: "echo on ${{ matrix.os }}"}]
  plain:
    runs-on: [self-hosted, Windows]
    steps: [{run: echo never}]
""")).run("push")  # fmt: skip
    assert run.result == "failure"
    assert run.jobs["matrix"].why.startswith("os: windows-latest: `runs-on: windows-latest`: this host's system is")
    assert "on ubuntu-latest" in run.jobs["matrix"].log
    assert "on windows" not in run.log
    assert "Windows" in run.jobs["plain"].why


DISPATCH = "{workflow_dispatch: {inputs: {tests: {type: boolean, default: true}, word: {required: true}}}}"

HEAD = 'env: ${{ fromJSON(\'{"ALL":"file"}\') }}\npermissions: {artifact-metadata: write}'


def test_expressions_stand_for_mappings_and_inputs_have_defaults(make: Make) -> None:
    files = OWN | workflow("""
  a:
    if: github.event.inputs.tests == 'true' && inputs.tests == true
    environment: ${{ inputs.word }}
    runs-on: ubuntu-latest
    env: ${{ fromJSON(format('{{"WORD":"{0}","ALL":"job"}}', inputs.word)) }}
    steps:
      - run: printf '%s\\n' "<$ALL> <$WORD> <${{ inputs.tests }}>"
      - env: ${{ fromJSON('{"STEP":"${{ github.actor }}"}') }}
        run: printf '<%s>\\n' "$STEP"
      - uses: |
          $/own
      - if: 1.5
        run: echo "${{ case(inputs.tests == false, 'no', 'in the case') }}"
  b:
    uses: $/.github/workflows/called.yml
    with: {word: "${{ case(true, 'called', 'lost') }}"}
""", on=DISPATCH, head=HEAD) | {CALLED: """
on: {workflow_call: {inputs: {word: {type: string}}}}
permissions: {code-quality: read}
jobs:
  inner:
    runs-on: ubuntu-latest
    steps:
      - uses: $/own
      - run: echo "${{ inputs.word }} ${{ case(inputs.word == 'called', 'rightly', 'wrongly') }}"
"""}  # fmt: skip
    project = make("acme/expressive", files)
    with pytest.raises(MalformedInput, match="input word is required"):
        project.run("workflow_dispatch")
    word = "it is $HOME ${{ github.sha }}"
    run = project.run("workflow_dispatch", inputs={"word": word})
    assert run.result == "success", run.log + "".join(job.why for job in run.jobs.values())
    assert f"<job> <{word}> <true>" in run.jobs["a"].log
    assert "<${{ github.actor }}>" in run.jobs["a"].log
    assert "own ran" in run.jobs["a"].log
    assert "in the case" in run.jobs["a"].log
    assert "own ran" in run.jobs["b"].log
    assert "called rightly" in run.jobs["b"].log


CALLING = workflow("  a: {uses: ./.github/workflows/called.yml}\n")
JOB = "    runs-on: ubuntu-latest\n    steps: [{run: echo x}]\n"


def called(job: str) -> dict[str, str]:
    return CALLING | {CALLED: f"on: workflow_call\njobs:\n  inner:\n{job}"}


REFUSED = {
    "a misspelt function": (workflow(f"  a:\n    if: alway()\n{JOB}"), r"x\.yml, line 6: .*no function 'alway'"),
    "an unknown key": (workflow(f"  a:\n    needs-all: b\n{JOB}"), r"x\.yml, line 6: unexpected key 'needs-all'"),
    "parallel steps": (
        workflow("  a:\n    runs-on: ubuntu-latest\n    steps:\n      - parallel: [{run: x}]\n"),
        r"x\.yml, line 8: `parallel`: this host has no parallel steps",
    ),
    "no YAML": ({X: "on: push\njobs:\n  a: [\n"}, r"x\.yml, line 4: this is not YAML"),
    "a function in a called workflow": (called(f"    if: alway()\n{JOB}"), r"called\.yml, line 4: .*'alway'"),
    "a tolerated job in one": (called(f"    continue-on-error: true\n{JOB}"), r"`continue-on-error` of a job inside"),
    "another system in one": (called(JOB.replace("ubuntu", "windows")), r"called\.yml: job inner: .*windows-latest"),
    "systems of a matrix in one": (
        called("    strategy: {matrix: {os: [a]}}\n" + JOB.replace("ubuntu-latest", "${{ matrix.os }}")),
        "`runs-on` by the matrix inside a called workflow",
    ),
    "strategy in one": (called(JOB.replace("echo x", '"echo ${{ strategy.job-index }}"')), "the context `strategy`"),
    "env by an expression in one": (called("    env: ${{ fromJSON('{}') }}\n" + JOB), "`env` by an expression"),
    "case in an action": (
        workflow(JOB.replace("    runs-on", "  a:\n    runs-on", 1).replace("{run: echo x}", "{uses: ./own}"))
        | {"own/action.yml": "runs:\n  using: composite\n  steps: [{run: '${{ case(true, 1, 2) }}', shell: sh}]\n"},
        r"own/action\.yml, line 3: this host cannot evaluate `case` inside an action",
    ),
    "self in an action": (
        workflow(JOB.replace("    runs-on", "  a:\n    runs-on", 1).replace("{run: echo x}", "{uses: $/own}"))
        | OWN
        | {"own/action.yml": "runs:\n  using: composite\n  steps:\n    - uses: $/own\n"},
        r"own/action\.yml, line 4: '\$/own': this host has no `\$/` inside an action",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_here_is_refused_before_anything_runs(make: Make, world: World, case: str) -> None:
    files, words = REFUSED[case]
    project, runs = make(f"acme/refused-{list(REFUSED).index(case)}", files), world.ci.directory / "runs"
    before = len(list(runs.iterdir()))
    with pytest.raises(MalformedInput, match=words):
        project.run("push")
    assert len(list(runs.iterdir())) == before


def test_an_expression_that_fails_when_its_job_begins_fails_that_job_with_the_reason(make: Make) -> None:
    run = make("acme/late", workflow("""
  a:
    runs-on: ubuntu-latest
    env: ${{ fromJSON(github.actor) }}
    steps: [{run: echo never}]
  b:
    strategy: {matrix: {v: "${{ fromJSON('[]') }}"}}
    runs-on: ubuntu-latest
    steps: [{run: echo never}]
  c:
    runs-on: ubuntu-latest
    env: ${{ github.actor }}
    steps: [{run: echo never}]
""")).run("push")  # fmt: skip
    assert run.result == "failure"
    assert "`fromJSON` cannot read 'acme'" in run.jobs["a"].why
    assert "`matrix`: v is not a list of values" in run.jobs["b"].why
    assert "whose value is not a mapping" in run.jobs["c"].why
    assert "never" not in run.log
