"""Week 4: the truths of its exercises agree with the code and the libraries that they are about."""

from __future__ import annotations

import base64
import random
from collections import Counter
from typing import Any

import pytest
from solved_labs import SolvedLab, refused_at

from chainlab.course.exercises.fixtures import release_mutants, signers
from chainlab.course.exercises.week4 import (
    ex1_dsse,
    ex2_inclusion_proof,
    ex3_provenance_limits,
    ex4_model_signature,
    ex5_rego_rules,
    ex6_gate,
    ex7_root_rotation,
)
from chainlab.errors import ChainlabError
from chainlab.evidence.models import model_signing
from chainlab.evidence.verifying import Signer
from chainlab.trust.log_v1 import pae
from chainlab.trust.merkle import leaf_hash, verify_inclusion

UNIT = "04_attestation"
ALICE = "alice@example.com"
LINKS = {link for group in ex6_gate.GROUPS.values() for link in group}


@pytest.fixture(scope="module")
def mutants(lab: Any) -> list[release_mutants.ReleaseMutant]:
    return release_mutants.variants(signers.TestSigner(lab.trust), random.Random(7))


@pytest.mark.parametrize("seed", range(8))
def test_proofs_are_judged_as_the_log_s_own_verifier_judges_them(lab: Any, seed: int) -> None:
    for case in ex2_inclusion_proof.cases(lab, random.Random(seed)):
        entry, index, size, proof, root = case.args
        assert verify_inclusion(leaf_hash(entry), index, size, proof, root) is case.expected, case.name


@pytest.mark.parametrize("seed", range(4))
def test_envelopes_hold_over_the_encoding_and_over_nothing_near_it(lab: Any, seed: int) -> None:
    for case in ex1_dsse.cases(lab, random.Random(seed)):
        [envelope] = case.args
        payload = base64.b64decode(envelope["payload"].replace("-", "+").replace("_", "/"))
        right = pae(envelope["payloadType"], payload)
        assert case.accept is not None
        assert case.accept(right.hex()) is True, case.name
        assert not case.accept((right + b" ").hex()), case.name
        assert not case.accept(payload.hex()), case.name


def test_model_signing_agrees_about_folders_that_differ(lab: Any) -> None:
    """The unmodified library, given a signature over the folder as it was, refuses what the exercise refuses."""
    cases = {case.name: case for case in ex4_model_signature.cases(lab, random.Random(3))}
    signed = model_signing.sign(cases["as signed"].args[0], lab.trust.config, lab.trust.token(ALICE))
    changed_statement = {
        "a name that leads out",
        "an absolute name",
        "a digest under another algorithm's name",
        "an algorithm that nobody trusts",
        "a statement that contradicts itself",
    }
    for name, case in cases.items():
        if name in changed_statement or name == "git's own files":  # `model.sig` is our own exception
            continue
        verdict = model_signing.verify(case.args[0], signed, Signer(ALICE, lab.trust.issuer), lab.trust.config)
        assert verdict.passed is (not case.expected), name


def test_each_promise_is_the_answer_somewhere(lab: Any) -> None:
    answers = Counter(case.expected for case in ex3_provenance_limits.cases(lab, random.Random(1)))
    assert answers.keys() == ex3_provenance_limits.PROMISES.keys()


@pytest.mark.parametrize(
    "text",
    [
        "package lesson\n\nsafe if {",
        "safe := true",
        "package lesson\n\nimport rego.v1\n\nsafe if safe",
        "package lesson\n\nimport rego.v1\n\nsafe if {\n some x in numbers.range(1, 100000000)\n x < 0\n}",
    ],
    ids=["a slip", "no package", "a circle", "more memory than there is"],
)
def test_what_is_wrong_with_a_learner_s_rego_comes_back_as_a_message(lab: Any, text: str) -> None:
    [case, *_] = ex5_rego_rules.cases(lab, random.Random(1))
    with pytest.raises(ChainlabError) as refused:
        ex5_rego_rules.table(text)(*case.args)
    assert refused.value.message


def test_every_link_is_broken_in_several_ways_and_by_name(mutants: list[release_mutants.ReleaseMutant]) -> None:
    ways = Counter(variant.link for variant in mutants if variant.link)
    assert ways.keys() == LINKS
    assert min(ways.values()) >= 3
    assert sum(not variant.link for variant in mutants) >= 12
    assert len({variant.name for variant in mutants}) == len(mutants)


def test_the_old_root_tells_good_from_forged_nowhere_that_matters(lab: Any) -> None:
    """Without a rotation a client is fooled by each forgery of the stolen key; with it, see exercise 4.7."""
    verdicts = {}
    for case in ex7_root_rotation.cases(lab, random.Random(5)):
        assert case.accept is not None
        verdicts[case.name] = bool(case.accept(case.args[0]))
    assert [name for name, right in verdicts.items() if not right] == [
        "signed after the rotation",
        "forged after the rotation",
        "forged, with a certificate dated back",
        "forged between theft and discovery",
        "what people and other clients read",
    ]


# A change to the solution that is plausible and wrong: exercise, the case that refuses it, the text and its change.
HALF_RIGHT = {
    "takes any length of proof": ("4.2", "a hash too many", ("not hashes and climbed", "climbed")),
    "does not know that a leaf may be alone": (
        "4.2",
        "the last of seven",
        ("if place % 2 or place < last:", "if True:"),
    ),
    "looks at the digest behind a link": (
        "4.4",
        "a link",
        (" or path.is_symlink()", ""),
    ),
    "looks at links that lead out only": (
        "4.4",
        "a link to the right bytes",
        ("path.is_symlink() or", "(path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())) or"),
    ),
    "looks for links among files": ("4.4", "a folder that is a link", ("p.is_symlink() or p.is_file()", "p.is_file()")),
    "does not read the algorithm": (
        "4.4",
        "a digest under another algorithm's name",
        (' or resource["algorithm"] != "sha256"', ""),
    ),
    "asks how the signer begins": (
        "4.5",
        "everything is stated",
        ("input.signature.signer == data.expected.signer", "startswith(data.expected.signer, input.signature.signer)"),
    ),
    "asks how the expected signer begins": (
        "4.5",
        "everything is stated",
        ("input.signature.signer == data.expected.signer", "startswith(input.signature.signer, data.expected.signer)"),
    ),
    "writes no end into the field": (
        "4.7",
        "what people and other clients read",
        ('        "validFor": {**old["validFor"], "end": stolen},\n', ""),
    ),
    "writes the discovery into the field": (
        "4.7",
        "what people and other clients read",
        ('"end": stolen', '"end": noticed'),
    ),
}
HALF_GATES = {
    "the metric's value": ("what the model is", 'm["confidenceInterval"]["lowerBound"]', 'm["value"]'),
    "any metric": ("what the model is", 'for m in metrics if m["type"] == "recall"', "for m in reversed(metrics)"),
    "any list of files": ("what the model is", '["triage.onnx"] in signed', "bool(signed)"),
    "a VEX that says affected": ("what is inside", 'e["status"] == "not_affected" and ', ""),
    "a VEX without a reason": ("what is inside", ' and e.get("justification")]', "]"),
    "a VEX of another advisory": ("what is inside", "hits <= settled", "dict(hits).keys() <= dict(settled).keys()"),
    "a VEX of another package": (
        "what is inside",
        "hits <= settled",
        "{a for _, a in hits} <= {a for _, a in settled}",
    ),
    "names without versions": (
        "what is inside",
        "any(lock <= bom for bom in boms)",
        "any(dict(lock).keys() <= dict(bom).keys() for bom in boms)",
    ),
    "nothing of nothing": ("what is inside", "bool(lock) and any", "any"),
    "any build type": ("who built them", ' build_type=house["build_type"],', ""),
    "any builder": ("who built them", 'builder=house["builder"], ', ""),
    "any job": ("who built them", ', internal={"job": job}', ""),
    "any source": ("who built them", "source=f\"git+{house['repository']}\", ", ""),
    "any ref": ("who built them", "refs=(tag,), ", ""),
    "any parameters": ("who built them", "parameters=given, ", ""),
}


@pytest.mark.parametrize("name", HALF_RIGHT)
def test_a_half_right_answer_is_refused_by_the_case_that_teaches_it(solved: SolvedLab, name: str) -> None:
    exercise, case, change = HALF_RIGHT[name]
    assert refused_at(solved, exercise, change) == case


@pytest.mark.parametrize("name", HALF_GATES)
def test_a_gate_that_leaves_one_question_out_is_refused_by_its_kind_of_mutant(solved: SolvedLab, name: str) -> None:
    group, old, new = HALF_GATES[name]
    assert refused_at(solved, "4.6", (old, new)) == group
