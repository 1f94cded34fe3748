"""VEX: there and back without loss, and only a claim that says why, about this, and lately, counts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainlab.errors import MalformedInput
from chainlab.evidence.claims import OPENVEX_JUSTIFICATIONS, STATES
from chainlab.evidence.vex import (
    JUSTIFICATIONS,
    STATUSES,
    Claim,
    apply,
    load,
    openvex,
)
from chainlab.evidence.vulnerabilities import Vulnerability

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PURL = "pkg:pypi/northwind-tensors@2.3.0"
WHEEL = "sha256:" + "ab" * 32
FOUND = Vulnerability("northwind-tensors", "2.3.0", PURL, "ACME-2026-0003", ("NWSA-2026-0007",))
CLAIM = Claim(
    "ACME-2026-0003",
    (PURL,),
    "not_affected",
    NOW - timedelta(days=3),
    "vulnerable_code_not_in_execute_path",
)


@pytest.mark.parametrize(
    ("changed", "answer", "said"),
    [
        ({}, "not_affected", "vulnerable_code_not_in_execute_path"),
        ({"vulnerability": "NWSA-2026-0007"}, "not_affected", "vulnerable_code"),
        ({"vulnerability": "X-1", "aliases": ("ACME-2026-0003",)}, "not_affected", ""),
        ({"products": (WHEEL,)}, "not_affected", ""),
        ({"products": (WHEEL,), "components": (PURL,)}, "not_affected", ""),
        ({"products": (PURL + "?file=x.whl",)}, "not_affected", ""),
        ({"products": ("pkg:pypi/Northwind_Tensors@2.3.0",)}, "not_affected", ""),
        ({"status": "fixed", "justification": ""}, "fixed", ""),
        ({"status": "affected", "justification": "", "action": "update"}, "open", "update"),
        ({"status": "under_investigation", "justification": ""}, "open", "under investigation"),
        ({"at": NOW - timedelta(days=91)}, "stale", "said 91 days ago"),
        ({"at": NOW + timedelta(seconds=1)}, "open", "the claim is dated after now"),
        ({"vulnerability": "ACME-2026-0004"}, "open", "nobody says anything"),
        ({"products": ("pkg:pypi/northwind-tensors@2.2.0",)}, "open", "a claim is about pkg:pypi"),
        ({"products": ("pkg:pypi/northwind-tensors",)}, "open", "a claim is about pkg:pypi"),
        ({"products": ("sha256:" + "cd" * 32,)}, "open", "a claim is about sha256:cdcd"),
        (
            {"products": ("sha256:" + "cd" * 32,), "components": (PURL,)},
            "open",
            "a claim is about pkg",
        ),
        ({"components": ("pkg:pypi/northwind-http@1",), "products": (WHEEL,)}, "open", "a claim"),
        ({"justification": "", "impact": "we think so"}, "open", "no justification"),
    ],
)
def test_a_claim_counts_or_leaves_it_open(changed: dict[str, object], answer: str, said: str) -> None:
    claim = replace(CLAIM, **changed)  # type: ignore[arg-type]
    (outcome,) = apply([FOUND], [claim], NOW, products=(WHEEL,))
    assert outcome.answer == answer, outcome
    assert outcome.said.startswith(said)
    assert "ACME-2026-0003 in northwind-tensors 2.3.0" in str(outcome)


def test_the_newest_claim_counts_and_of_two_the_worse() -> None:
    later = replace(CLAIM, status="affected", justification="", at=NOW)
    assert apply([FOUND], [later, CLAIM], NOW)[0].answer == "open"
    again = replace(CLAIM, at=NOW)
    assert apply([FOUND], [CLAIM, replace(later, at=CLAIM.at), again], NOW)[0].answer == "not_affected"
    for claims in ([later, again], [again, later]):
        assert apply([FOUND], claims, NOW)[0].answer == "open"


YES = replace(CLAIM, by="security")
NO = replace(YES, status="affected", justification="")
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("claims", "answer"),
    {  # each with the days before now: dated, and signed
        "signed later": ([(YES, 1, 9), (NO, 5, 2)], "open"),
        "dated later, and signed before": ([(NO, 1, 9), (YES, 5, 2)], "not_affected"),
        "dated after its signature": ([(YES, 1, 2)], "open"),
        "dated after its signature, and signed before": ([(YES, -30, 9), (NO, 2, 2)], "open"),
        "dated after its signature, and says no": ([(YES, 9, 9), (NO, -30, 2)], "open"),
        "within the skew of two clocks": ([(YES, 2 - 1 / 480, 2)], "not_affected"),
        "one document that tells how it came": ([(NO, 8, 2), (YES, 4, 2)], "not_affected"),
        "two at one time": ([(replace(NO, by="another"), 8, 2), (YES, 4, 2)], "open"),
        "signed again, and as old as before": ([(YES, 100, 1)], "stale"),
    }.values(),
)
def test_claims_are_ordered_by_their_signatures(claims: list[tuple[Claim, float, float]], answer: str) -> None:
    said = [replace(claim, at=NOW - at * DAY, signed_at=NOW - signed * DAY) for claim, at, signed in claims]
    for order in (said, said[::-1]):
        (outcome,) = apply([FOUND], order, NOW)
        assert outcome.answer == answer, outcome
        assert outcome.by in {claim.by for claim in said}


def test_without_claims_everything_is_open() -> None:
    assert [outcome.answer for outcome in apply([FOUND, FOUND], [], NOW)] == ["open", "open"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"justification": ""}, "not_affected without a justification"),
        ({"justification": "trust_me"}, "'trust_me' is no justification"),
        ({"status": "fine"}, "'fine' is no status"),
        ({"products": ()}, "names no product"),
    ],
)
def test_a_claim_without_its_reason_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(MalformedInput, match=said):
        replace(CLAIM, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda s: s.pop("justification"), r"statements\[0\]: .* without a justification"),
        (lambda s: s.update(status="ok"), r"statements\[0\]: .* is no status"),
        (lambda s: s.update(products=[]), r"statements\[0\]: .* names no product"),
        (lambda s: s.update(timestamp="soon"), r"statements\[0\]: no time"),
        (lambda s: s.update(vulnerability={}), r"statements\[0\]: no vulnerability"),
        (lambda s: s.update(products="x"), r"statements\[0\].products: expected a list"),
        (lambda s: s["products"].append({}), r"statements\[0\]: a product or component has no name"),
        (lambda s: s["products"][0].update(subcomponents=[{}]), "a product or component has no name"),
        (lambda s: s["products"][0].update(subcomponents=[{"@id": ["pkg:pypi/x@1"]}]), "@id: expected a text"),
        (lambda s: s["products"][0].update(subcomponents=[{"identifiers": {"purl": 5}}]), "purl: expected a text"),
        (lambda s: s["products"][0].update(hashes=["sha-256"]), "hashes: expected an object"),
    ],
)
def test_an_openvex_statement_that_lacks_something_is_refused(edit: object, said: str) -> None:
    document = openvex([CLAIM], author="security@acme.example", at=NOW)
    edit(document["statements"][0])  # type: ignore[operator]
    with pytest.raises(MalformedInput, match=said):
        load(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"@context": 7}', b'{"bomFormat": "SPDX"}'])
def test_what_is_no_vex_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedInput):
        load(data)


def cyclonedx(product: str, **analysis: str) -> dict[str, Any]:
    """A CycloneDX document of another maker with one judged finding."""
    words = {"state": "not_affected", "justification": "code_not_reachable", "lastUpdated": "2026-10-29T12:00:00Z"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"timestamp": "2026-10-30T12:00:00Z"},
        "vulnerabilities": [
            {"id": CLAIM.vulnerability, "analysis": words | analysis, "affects": [{"ref": product}]},
            {"id": "ACME-2026-0009", "affects": [{"ref": product}]},  # nobody has judged it
        ],
    }


def test_cyclonedx_says_the_same_in_its_own_words() -> None:
    assert load(json.dumps(cyclonedx(PURL)).encode()) == [CLAIM]
    (exploited,) = load(cyclonedx(PURL, state="exploitable", justification="", detail="update"))
    assert (exploited.status, exploited.action, exploited.impact) == ("affected", "update", "")
    (hidden,) = load(cyclonedx(PURL, justification="", detail="not reached: see the review"))
    assert (hidden.justification, hidden.impact) == ("", "not reached: see the review")
    with pytest.raises(MalformedInput, match="'safe' is no word of CycloneDX"):
        load(cyclonedx(PURL, state="safe"))


def test_cyclonedx_without_a_justification_is_refused() -> None:
    document = cyclonedx(PURL)
    del document["vulnerabilities"][0]["analysis"]["justification"]
    with pytest.raises(MalformedInput, match=r"vulnerabilities\[0\].*without a justification"):
        load(document)


def test_every_word_of_cyclonedx_has_one_of_openvex() -> None:
    assert set(STATES.values()) == set(STATUSES)
    assert set(JUSTIFICATIONS.values()) | {"component_not_present"} == set(OPENVEX_JUSTIFICATIONS)
    schema = json.loads((files("cyclonedx.schema._res") / "bom-1.6.SNAPSHOT.schema.json").read_text())
    words = schema["definitions"]
    assert set(STATES) == set(words["impactAnalysisState"]["enum"])
    assert set(JUSTIFICATIONS) == set(words["impactAnalysisJustification"]["enum"])


def test_a_claim_in_an_sbom_is_about_the_component_that_it_refers_to() -> None:
    document = cyclonedx("ref-1")
    document["components"] = [{"bom-ref": "ref-1", "type": "library", "name": "northwind-tensors", "purl": PURL}]
    assert [claim.products for claim in load(document)] == [(PURL,)]
    document["metadata"]["component"] = {
        "bom-ref": "ref-1",
        "purl": "pkg:pypi/triage-model@1.4.0",
        "hashes": [{"alg": "SHA-256", "content": "ab" * 32}],
    }
    document["components"] = []
    assert [claim.products for claim in load(document)] == [(WHEEL,)]


def test_a_product_with_a_digest_is_those_bytes_alone() -> None:
    document = openvex([replace(CLAIM, products=(WHEEL,))], author="security@acme.example", at=NOW)
    product = document["statements"][0]["products"][0]
    product["identifiers"] = {"purl": "pkg:pypi/triage-model@1.4.0"}
    (claim,) = load(document)
    assert claim.products == (WHEEL,)
    shipped = ("pkg:pypi/triage-model@1.4.0", "sha256:" + "cd" * 32)
    assert apply([FOUND], [claim], NOW, products=shipped)[0].answer == "open"


NAMES = st.from_regex(r"[A-Z]{3,4}-20[0-9]{2}-[0-9]{4}", fullmatch=True)
PRODUCTS = st.one_of(
    st.from_regex(r"pkg:pypi/[a-z]{2,6}@[0-9]\.[0-9]", fullmatch=True),
    st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    state = draw(st.sampled_from(sorted(STATES)))
    status = STATES[state]
    word = draw(st.sampled_from([*JUSTIFICATIONS, ""])) if status == "not_affected" else ""
    meant = JUSTIFICATIONS.get(word, "component_not_present" if status == "not_affected" else "")
    first = next((w for w, m in JUSTIFICATIONS.items() if m == meant), "")
    finer_state = state if state in ("resolved_with_pedigree", "false_positive") else ""
    prose = draw(st.sampled_from(["", "not reached: see the review"]))
    return Claim(
        draw(NAMES),
        tuple(draw(st.lists(PRODUCTS, min_size=1, max_size=3, unique=True))),
        status,
        NOW - timedelta(seconds=draw(st.integers(0, 10**7))),
        meant,
        impact=prose if status == "not_affected" else "",
        action=(prose or "update") if status == "affected" else "",
        aliases=tuple(draw(st.lists(NAMES, max_size=2, unique=True))),
        components=tuple(draw(st.lists(PRODUCTS, max_size=2, unique=True))),
        finer=(finer_state, word if word and word != first else ""),
    )


@settings(max_examples=40)
@given(st.lists(claims(), max_size=3))
def test_nothing_is_lost_in_openvex(said: list[Claim]) -> None:
    document = openvex(said, author="security@acme.example", at=NOW)
    assert load(json.dumps(document).encode()) == said


@given(st.sampled_from(sorted(STATES)), st.sampled_from(sorted(JUSTIFICATIONS)))
def test_the_finer_words_of_cyclonedx_survive_in_openvex(state: str, word: str) -> None:
    (claim,) = load(cyclonedx(PURL, state=state, justification=word, detail="update"))
    document = openvex([claim], author="security@acme.example", at=NOW)
    assert load(json.dumps(document).encode()) == [claim]
    kept = document["statements"][0]["justification"], document["statements"][0].get("status_notes", "")
    assert word in kept[1] or JUSTIFICATIONS[word] == kept[0]
