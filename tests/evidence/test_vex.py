"""VEX: there and back without loss, and only a claim that says why, about this, and lately, counts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainlab.errors import MalformedInput
from chainlab.evidence.packages.purls import is_same
from chainlab.evidence.vex import openvex
from chainlab.evidence.vex.document import apply, load
from chainlab.evidence.vex.statement import JUSTIFICATIONS, OPENVEX_JUSTIFICATIONS, STATES, STATUSES, VexStatement
from chainlab.evidence.vulnerabilities import Vulnerability

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PURL = "pkg:pypi/northwind-tensors@2.3.0"
WHEEL = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
FOUND = Vulnerability("northwind-tensors", "2.3.0", PURL, "ACME-2026-0003", ("NWSA-2026-0007",))
CLAIM = VexStatement(
    "ACME-2026-0003",
    (PURL,),
    "not_affected",
    NOW - timedelta(days=3),
    "vulnerable_code_not_in_execute_path",
)


@pytest.mark.parametrize(
    ("changed", "answer", "message"),
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
        ({"at": NOW - timedelta(days=91)}, "stale", "the statement is 91 days old"),
        ({"at": NOW + timedelta(seconds=1)}, "open", "the statement is dated after now"),
        ({"vulnerability": "ACME-2026-0004"}, "open", "no statement is about it"),
        ({"products": ("pkg:pypi/northwind-tensors@2.2.0",)}, "open", "a statement is about pkg:pypi"),
        ({"products": ("pkg:pypi/northwind-tensors",)}, "open", "a statement is about pkg:pypi"),
        ({"products": ("sha256:" + "cd" * 32,)}, "open", "a statement is about sha256:cdcd"),
        (
            {"products": ("sha256:" + "cd" * 32,), "components": (PURL,)},
            "open",
            "a statement is about pkg",
        ),
        ({"components": ("pkg:pypi/northwind-http@1",), "products": (WHEEL,)}, "open", "a statement"),
        ({"justification": "", "impact": "we think so"}, "open", "the statement has no justification"),
    ],
)
def test_a_claim_counts_or_leaves_it_open(changed: dict[str, object], answer: str, message: str) -> None:
    claim = replace(CLAIM, **changed)  # type: ignore[arg-type]
    (outcome,) = apply([FOUND], [claim], NOW, products=(WHEEL,))
    assert outcome.answer == answer, outcome
    assert outcome.message.startswith(message)
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
def test_claims_are_ordered_by_their_signatures(claims: list[tuple[VexStatement, float, float]], answer: str) -> None:
    said = [replace(claim, at=NOW - at * DAY, signed_at=NOW - signed * DAY) for claim, at, signed in claims]
    for order in (said, said[::-1]):
        (outcome,) = apply([FOUND], order, NOW)
        assert outcome.answer == answer, outcome
        assert outcome.by in {claim.by for claim in said}


def test_without_claims_everything_is_open() -> None:
    assert [outcome.answer for outcome in apply([FOUND, FOUND], [], NOW)] == ["open", "open"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"justification": ""}, "not_affected without a justification"),
        ({"justification": "trust_me"}, "not a justification: 'trust_me'"),
        ({"status": "fine"}, "not a status: 'fine'"),
        ({"products": ()}, "names no product"),
    ],
)
def test_a_claim_without_its_reason_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(MalformedInput, match=message):
        replace(CLAIM, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("justification"), r"statements\[0\]: .* without a justification"),
        (lambda s: s.update(status="ok"), r"statements\[0\]: .* not a status"),
        (lambda s: s.update(products=[]), r"statements\[0\]: .* names no product"),
        (lambda s: s.update(timestamp="soon"), r"statements\[0\].timestamp: 'soon' is not a time"),
        (lambda s: s.update(vulnerability={}), r"statements\[0\]: the entry names no vulnerability"),
        (lambda s: s.update(products="x"), r"statements\[0\].products: expected a list"),
        (
            lambda s: s["products"].append({}),
            r"statements\[0\].products\[1\]: a product or component has no identifier",
        ),
        (lambda s: s["products"].append({"hashes": {"md5": "0" * 32}}), "a product or component has no identifier"),
        (lambda s: s["products"][0].update(subcomponents=[{}]), "a product or component has no identifier"),
        (lambda s: s["products"][0].update(subcomponents=[{"@id": ["pkg:pypi/x@1"]}]), "@id: expected a text"),
        (lambda s: s["products"][0].update(subcomponents=[{"identifiers": {"purl": 5}}]), "purl: expected a text"),
        (lambda s: s["products"][0].update(hashes=["sha-256"]), "hashes: expected an object"),
    ],
)
def test_an_openvex_statement_that_lacks_something_voids_itself_alone(edit: object, message: str) -> None:
    other = replace(CLAIM, vulnerability="ACME-2026-0009")
    document = openvex.write([CLAIM, other], author="security@acme.example", at=NOW)
    edit(document["statements"][0])  # type: ignore[operator]
    read = load(json.dumps(document).encode())
    assert read == [other]
    (unread,) = read.unread
    assert unread.where == "statements[0]"
    assert re.search(message, unread.why)
    assert unread.ids <= {CLAIM.vulnerability}


@pytest.mark.parametrize("entry", [7, None, [], "x", {"vulnerability": 5}, {"vulnerability": {"aliases": 5}}])
def test_an_entry_of_another_form_is_void(entry: object) -> None:
    document = openvex.write([CLAIM], author="security@acme.example", at=NOW)
    document["statements"].append(entry)
    read = load(document)
    assert (read, [each.where for each in read.unread]) == ([CLAIM], ["statements[1]"])
    document = cyclonedx(PURL)
    document["vulnerabilities"] += [entry] if not isinstance(entry, dict) else [{"id": "X", "analysis": []}]
    read = load(document)
    assert (read, [each.where for each in read.unread]) == ([CLAIM], ["vulnerabilities[2]"])


def test_nothing_excuses_what_an_entry_that_cannot_be_read_is_about() -> None:
    document = openvex.write([CLAIM], author="security@acme.example", at=NOW)
    document["statements"].append({"vulnerability": {"name": FOUND.aliases[0]}, "status": "afected"})
    read = load(document)
    (outcome,) = apply([FOUND], read, NOW, unread=read.unread)
    assert outcome.answer == "open"
    assert "statements[1]" in outcome.message
    (other,) = apply([replace(FOUND, aliases=())], read, NOW, unread=read.unread)
    assert other.answer == "not_affected"


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


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda e: e["analysis"].update(state="safe"), "not a state: 'safe'"),
        (lambda e: e["analysis"].update(justification="so"), "not a justification: 'so'"),
        (lambda e: e["analysis"].pop("justification"), "without a justification"),
        (lambda e: e["analysis"].update(lastUpdated="soon"), "lastUpdated: 'soon' is not a time"),
        (lambda e: e.pop("affects"), "names no product"),
        (lambda e: e.update(affects=[{}]), r"affects\[0\].ref: missing"),
        (lambda e: e["affects"][0].update(ref="ref-2"), "'ref-2' has no package URL"),
        (lambda e: e["affects"][0].update(versions=[{}]), "either a version or a range"),
        (lambda e: e["affects"][0].update(versions=[{"version": "1", "status": "fine"}]), "'fine' is none of"),
    ],
)
def test_a_cyclonedx_entry_that_cannot_be_read_voids_itself_alone(edit: object, message: str) -> None:
    document = cyclonedx(PURL)
    document["components"] = [{"bom-ref": "ref-2", "type": "library", "name": "northwind-tensors"}]
    document["vulnerabilities"] += [{**document["vulnerabilities"][0], "id": "ACME-2026-0010"}]
    odd = document["vulnerabilities"][0] = json.loads(json.dumps(document["vulnerabilities"][0]))
    edit(odd)  # type: ignore[operator]
    read = load(document)
    assert [claim.vulnerability for claim in read] == ["ACME-2026-0010"]
    (unread,) = read.unread
    assert (unread.where, *unread.ids) == ("vulnerabilities[0]", CLAIM.vulnerability)
    assert re.search(message, unread.why)


@pytest.mark.parametrize("analysis", [{}, {"detail": "we are looking", "response": ["update"]}, {"state": ""}])
def test_an_analysis_without_a_state_judges_nothing(analysis: dict[str, Any]) -> None:
    document = cyclonedx(PURL)
    document["vulnerabilities"].append({"id": CLAIM.vulnerability, "analysis": analysis})
    read = load(document)
    assert (read, read.unread) == ([CLAIM], ())


# Statuses of versions: what a document says of 2.3.0, where the analysis says "not affected"
VERSIONS = {
    "that is unaffected": ([("2.3.0", "unaffected")], "not_affected"),
    "that is unaffected, spelled otherwise": ([("2.3", "unaffected")], "not_affected"),
    "that is affected": ([("2.3.0", "affected"), ("2.4.0", "unaffected")], "open"),
    "that has no status": ([("2.3.0", None)], "open"),
    "that is unknown": ([("2.3.0", "unknown")], "open"),
    "another version": ([("2.4.0", "unaffected")], "open"),
    "in a range": ([("vers:pypi/>=2.0|<3", "unaffected")], "not_affected"),
    "in one of two ranges": ([("vers:pypi/<2", "affected"), ("vers:pypi/>=2", "unaffected")], "not_affected"),
    "in a range that is affected": ([("vers:pypi/<2.3.1", "affected"), ("vers:pypi/>=2.3.1", "unaffected")], "open"),
    "outside a range": ([("vers:pypi/>2.3.0", "unaffected")], "open"),
    "a range of another ecosystem": ([("vers:npm/*", "unaffected")], "open"),
    "a range that nobody can read": ([("vers:pypi/latest..", "unaffected")], "open"),
}


@pytest.mark.parametrize(("listed", "answer"), VERSIONS.values(), ids=VERSIONS)
@pytest.mark.parametrize("own", ["2.3.0", "2.4.0", ""])
def test_a_claim_counts_for_the_versions_that_it_lists(
    listed: list[tuple[str, str | None]], answer: str, own: str
) -> None:
    document = cyclonedx("ref-1")
    purl = PURL.partition("@")[0] + (f"@{own}" if own else "")
    document["components"] = [{"bom-ref": "ref-1", "type": "library", "name": "x", "version": own, "purl": purl}]
    document["vulnerabilities"][0]["affects"][0]["versions"] = [
        {"range" if text.startswith("vers:") else "version": text, **({"status": status} if status else {})}
        for text, status in listed
    ]
    claims = load(document)
    assert claims.unread == ()
    (outcome,) = apply([FOUND], claims, NOW)
    assert outcome.answer == answer, outcome
    again = load(openvex.write(claims, author="security@acme.example", at=NOW))
    assert apply([FOUND], again, NOW)[0].answer == answer, "OpenVEX can say it too"


def test_a_later_word_about_a_version_overrides_an_older_one_about_all() -> None:
    document = cyclonedx(PURL)
    document["vulnerabilities"][0]["affects"][0]["versions"] = [{"version": "2.3.0", "status": "affected"}]
    document["vulnerabilities"][0]["analysis"]["lastUpdated"] = "2026-10-30T12:00:00Z"
    assert apply([FOUND], [CLAIM, *load(document)], NOW)[0].answer == "open"


def test_a_digest_is_of_the_component_s_own_version_alone() -> None:
    document = cyclonedx("ref-1", state="resolved", justification="")
    hashes = [{"alg": "SHA-256", "content": "ab" * 32}]
    document["components"] = [
        {"bom-ref": "ref-1", "type": "application", "name": "triage-model", "version": "1.4.0", "hashes": hashes}
    ]
    affects = document["vulnerabilities"][0]["affects"][0]
    for version, count in (("1.4.0", 1), ("1.5.0", 0)):
        affects["versions"] = [{"version": version, "status": "unaffected"}]
        assert [claim.products for claim in load(document)] == [(WHEEL,)] * count


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
    own = "pkg:pypi/triage-model@1.4.0"
    assert [claim.products for claim in load(document)] == [(own, WHEEL)], "by either"


def test_a_claim_in_a_product_s_own_document_is_not_about_another_product() -> None:
    document = cyclonedx("ref-2")
    hashes = [{"alg": "SHA-256", "content": "ab" * 32}]
    document["metadata"]["component"] = {"bom-ref": "ref-1", "type": "application", "name": "a", "hashes": hashes}
    document["components"] = [{"bom-ref": "ref-2", "type": "library", "name": "northwind-tensors", "purl": PURL}]
    claims = load(document)
    assert apply([FOUND], claims, NOW, products=[WHEEL])[0].answer == "not_affected"
    for products in ([OTHER], [], [PURL]):
        assert apply([FOUND], claims, NOW, products=products)[0].answer == "open", products


def test_two_components_with_one_reference_are_nothing_that_a_claim_can_mean() -> None:
    document = cyclonedx("ref-1")
    document["components"] = [
        {"bom-ref": "ref-1", "type": "library", "name": "x", "purl": purl} for purl in (PURL, "pkg:pypi/x@1")
    ]
    claims = load(document)
    assert (claims, len(claims.unread)) == ([], 1)


@pytest.mark.parametrize(
    ("shipped", "answer"), [(WHEEL, "not_affected"), (OTHER, "open"), ("sha256:" + "ef" * 32, "open")]
)
def test_a_subcomponent_is_meant_in_its_own_product_alone(shipped: str, answer: str) -> None:
    document = openvex.write([replace(CLAIM, products=(WHEEL,), components=(PURL,))], author="x", at=NOW)
    beta = {"@id": OTHER, "hashes": {"sha-256": OTHER[7:]}, "subcomponents": [{"@id": "pkg:pypi/northwind-http@1"}]}
    document["statements"][0]["products"].append(beta)
    assert apply([FOUND], load(document), NOW, products=[shipped])[0].answer == answer


NAMED = {  # a product as it may be written, and what is shipped
    "a URL beside an address": ({"@id": "https://x.example/a", "identifiers": {"purl": PURL}}, ()),
    "a digest beside a URL": ({"identifiers": {"purl": "pkg:pypi/a@1"}, "hashes": {"sha-256": "ab" * 32}}, WHEEL),
    "the URL beside a digest": ({"identifiers": {"purl": PURL}, "hashes": {"sha-256": "cd" * 32}}, ()),
    "a digest in capitals": ({"hashes": {"sha-256": "AB" * 32}}, WHEEL),
    "a digest as sha256": ({"hashes": {"sha256": "ab" * 32}}, WHEEL),
    "its address": ({"@id": "https://x.example/a"}, "https://x.example/a"),
    "a CPE": ({"identifiers": {"cpe23": "cpe:2.3:a:acme:a:1:*:*:*:*:*:*:*"}}, "cpe:2.3:a:acme:a:1:*:*:*:*:*:*:*"),
    "an image": ({"@id": f"pkg:oci/release@{WHEEL.replace(':', '%3A')}?tag=v1"}, WHEEL),
    "a range": ({"@id": "pkg:pypi/northwind-tensors?vers=vers:pypi%2F%3E%3D2%7C%3C3"}, ()),
    "a name in capitals": ({"@id": "pkg:pypi/Northwind.Tensors@2.3.0"}, ()),
    "another spelling": ({"@id": "pkg://pypi/northwind%2Dtensors@2%2E3.0"}, ()),
}  # fmt: skip


@pytest.mark.parametrize(("product", "shipped"), NAMED.values(), ids=NAMED)
def test_any_identifier_names_a_product(product: dict[str, Any], shipped: str) -> None:
    document = openvex.write([CLAIM], author="x", at=NOW)
    document["statements"][0]["products"] = [product]
    assert apply([FOUND], load(document), NOW, products=[shipped] if shipped else [])[0].answer == "not_affected"


@pytest.mark.parametrize(
    ("claimed", "found", "same"),
    [
        ("pkg:pypi/a@2.1.0+cpu", "pkg:pypi/a@2.1.0%2Bcpu", True),
        ("pkg:pypi/a@2.1.0", "pkg:pypi/a@2.1.0%2Bcpu", False),
        ("pkg:npm/@acme/ui@1", "pkg:npm/%40acme/ui@1", True),
        ("pkg:npm/a.b@1", "pkg:npm/a-b@1", False),
        ("pkg:npm/a@1.0", "pkg:npm/a@1.0.0", False),
        ("pkg:pypi/a@1.0", "pkg:pypi/a@1.0.0", True),
        ("pkg:pypi/a@1", "pkg:npm/a@1", False),
        ("pkg:deb/debian/a@1?arch=arm64", "pkg:deb/debian/a@1?arch=amd64", False),
        ("pkg:deb/debian/a@1?arch=amd64", "pkg:deb/debian/a@1?distro=12&arch=amd64", True),
        ("pkg:golang/x.example/a@v1#sub", "pkg:golang/x.example/a@v1", False),
        ("pkg:golang/x.example/a@v1", "pkg:golang/x.example/a@v1#sub", True),
        ("pkg:oci/a@sha256:" + "ab" * 32, WHEEL, True),
        ("pkg:oci/a@v1", WHEEL, False),
        ("pkg:pypi/a@" + WHEEL, WHEEL, False),
        ("pkg:pypi/a", "pkg:pypi/a@1", False),
        ("pkg:pypi/a", "pkg:pypi/a", False),
        ("pkg:pypi/a?vers=vers:pypi/*", "pkg:pypi/a", False),
        ("pkg:pypi", "pkg:pypi", False),
        ("", "", False),
    ],
)
def test_a_claim_s_package_url_is_compared_by_its_parts(claimed: str, found: str, same: bool) -> None:
    assert is_same(claimed, found) == same


def test_a_product_with_a_digest_is_no_other_bytes_of_its_name() -> None:
    document = openvex.write([replace(CLAIM, products=(WHEEL,))], author="security@acme.example", at=NOW)
    product = document["statements"][0]["products"][0]
    product["identifiers"] = {"purl": "pkg:pypi/triage-model@1.4.0"}
    (claim,) = load(document)
    assert claim.products == (WHEEL, "pkg:pypi/triage-model@1.4.0")
    shipped = ("pkg:pypi/triage-model@1.4.0", "sha256:" + "cd" * 32)
    assert apply([FOUND], [claim], NOW, products=shipped)[0].answer == "open"


NAMES = st.from_regex(r"[A-Z]{3,4}-20[0-9]{2}-[0-9]{4}", fullmatch=True)
PRODUCTS = st.one_of(
    st.from_regex(r"pkg:pypi/[a-z]{2,6}@[0-9]\.[0-9]", fullmatch=True),
    st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)


@st.composite
def claims(draw: st.DrawFn) -> VexStatement:
    state = draw(st.sampled_from(sorted(STATES)))
    status = STATES[state]
    word = draw(st.sampled_from([*JUSTIFICATIONS, ""])) if status == "not_affected" else ""
    meant = JUSTIFICATIONS.get(word, "component_not_present" if status == "not_affected" else "")
    first = next((w for w, m in JUSTIFICATIONS.items() if m == meant), "")
    finer_state = state if state in ("resolved_with_pedigree", "false_positive") else ""
    prose = draw(st.sampled_from(["", "not reached: see the review"]))
    return VexStatement(
        draw(NAMES),
        tuple(draw(st.lists(PRODUCTS, min_size=1, max_size=2, unique_by=lambda name: name[:4]))),
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
def test_nothing_is_lost_in_openvex(said: list[VexStatement]) -> None:
    document = openvex.write(said, author="security@acme.example", at=NOW)
    assert load(json.dumps(document).encode()) == said


@given(st.sampled_from(sorted(STATES)), st.sampled_from(sorted(JUSTIFICATIONS)))
def test_the_finer_words_of_cyclonedx_survive_in_openvex(state: str, word: str) -> None:
    (claim,) = load(cyclonedx(PURL, state=state, justification=word, detail="update"))
    document = openvex.write([claim], author="security@acme.example", at=NOW)
    assert load(json.dumps(document).encode()) == [claim]
    kept = document["statements"][0]["justification"], document["statements"][0].get("status_notes", "")
    assert word in kept[1] or JUSTIFICATIONS[word] == kept[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoilt(draw: st.DrawFn, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """A document in which a value at some place is another, or gone."""
    document: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(documents))))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = document
        while True:
            names = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not names:
                break
            name = draw(st.sampled_from(names))
            if isinstance(place[name], dict | list) and draw(st.integers(0, 4)):
                place = place[name]
                continue
            if draw(st.booleans()):
                place[name] = draw(JSON)
            else:
                del place[name]
            break
    return document


def whole() -> list[dict[str, Any]]:
    both = cyclonedx("ref-1")
    hashes = [{"alg": "SHA-256", "content": "ab" * 32}]
    both["metadata"]["component"] = {"bom-ref": "ref-0", "name": "a", "version": "1", "hashes": hashes}
    both["components"] = [{"bom-ref": "ref-1", "name": "x", "version": "2.3.0", "purl": PURL, "cpe": "cpe:/a:x"}]
    listed = [{"version": "2.3.0", "status": "unaffected"}, {"range": "vers:pypi/>=1|<2"}]
    both["vulnerabilities"][0] |= {"affects": [{"ref": "ref-1", "versions": listed}], "references": [{"id": "X"}]}
    claim = replace(CLAIM, products=(PURL, WHEEL), components=(PURL,), aliases=("X-1",))
    return [openvex.write([claim], author="security@acme.example", at=NOW), both]


@given(spoilt(whole()))
def test_any_document_is_claims_and_void_entries_or_refused(document: dict[str, Any]) -> None:
    try:
        claims = load(document)
    except MalformedInput:
        return
    assert all(unread.why and unread.where for unread in claims.unread)
    (outcome,) = apply([FOUND], claims, NOW, products=[WHEEL], unread=claims.unread)
    assert outcome.answer in ("open", "not_affected", "fixed", "stale")
    assert load(openvex.write(claims, author="x", at=NOW)).unread == ()
