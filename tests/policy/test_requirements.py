"""Gate and deployment ask the same question: what would prod install of this lock, after what its jobs were served?"""

from __future__ import annotations

from typing import Any

from gate_stack import GateStack
from release_maker import LOCK, USED, ReleaseParts

from chainlab.deploy.admission import fetch
from chainlab.policy.requirements import requirements

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


def lock(*pins: tuple[str, list[str]]) -> bytes:
    return "".join(
        f"{pin} \\\n" + " \\\n".join(f"    --hash=sha256:{digest}" for digest in hashes) + "\n" for pin, hashes in pins
    ).encode()


def served(name: str, version: str, digest: str) -> dict[str, Any]:
    return {"name": name, "version": version, "sha256": digest, "file": f"{name}-{version}-py3-none-any.whl"}


def test_only_the_served_digests_of_a_pin_are_installed() -> None:
    wanted, problems = requirements(lock(("alpha==1.0", [ONE, TWO])), [served("alpha", "1.0", TWO)])
    assert [str(r) for r in wanted] == [f"alpha==1.0 --hash=sha256:{TWO}"]
    assert problems == []


def test_what_was_served_and_is_not_locked_is_not_installed() -> None:
    packages = [served("alpha", "1.0", ONE), served("setuptools", "80.0", TWO)]
    assert [r.name for r in requirements(lock(("alpha==1.0", [ONE])), packages)[0]] == ["alpha"]


def test_a_pin_that_no_job_was_served_is_a_problem() -> None:
    packages = [served("alpha", "1.0", ONE), served("beta", "2.0", TWO), served("gamma", "1.0", THREE)]
    pins = lock(("alpha==1.0", [TWO]), ("beta==1.0", [TWO]), ("delta==1.0", [THREE]))
    wanted, problems = requirements(pins, packages)
    assert wanted == []  # other bytes, another version, another name
    assert problems == ["prod would install 3 packages that no job was served: alpha 1.0, beta 1.0, delta 1.0"]


def test_a_pin_for_another_platform_is_left_out() -> None:
    pins = lock(("alpha==1.0 ; sys_platform == 'win32'", [ONE]), ("alpha==2.0 ; sys_platform != 'win32'", [TWO]))
    wanted, problems = requirements(pins, [served("alpha", "2.0", TWO)])
    assert ([r.version for r in wanted], problems) == (["2.0"], [])


def test_facts_of_any_form_make_no_requirement() -> None:
    for package in (
        {},
        {"name": 1},
        {"name": "alpha", "sha256": None},
        {"name": "alpha", "sha256": ONE, "version": ""},
    ):
        wanted, problems = requirements(lock(("alpha==1.0", [ONE])), [package])
        assert wanted == []
        assert len(problems) == 1


def doubled(stack: GateStack) -> ReleaseParts:
    """A release whose lock accepts a second file of one package, as an attacker prepares it."""
    parts = stack.maker.parts()
    text = parts.files[LOCK].decode()
    parts.files[LOCK] = text.replace(
        "acme-cells==1.2.0 \\\n", f"acme-cells==1.2.0 \\\n    --hash=sha256:{ONE} \\\n"
    ).encode()
    digests = parts.digests()
    parts.statements["provenance of package"].subjects = digests
    parts.statements["provenance of source"].subjects[LOCK] = digests[LOCK]
    return parts


def test_a_second_hash_of_a_pin_is_allowed_by_the_gate_and_never_installed(stack: GateStack, tmp_path: Any) -> None:
    reference = stack.maker.push(doubled(stack))
    with stack.deploying(tmp_path) as deployment:
        deployment.promote(reference)
    verified = fetch(reference, stack.registry, stack.trust.config.trusted_root, stack.gate.policy())
    served_files = {stack.maker.file(name).value.hex() for name in USED}
    assert {digest for requirement in verified.requirements for digest in requirement.files} == served_files
    assert ONE not in "".join(map(str, verified.requirements))
