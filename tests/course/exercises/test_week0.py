"""Week 0: wrong answers beyond those that the lab names, each refused at the case that is about it."""

from __future__ import annotations

import pytest
from solved_labs import SolvedLab

from chainlab.course.learning import checks

UNIT = "00_onramp"

TOKEN = """
def verdict(token, key, issuer, audience, now):
    try:
        claims = jwt.decode(token, key, algorithms=["ES256"], options=ONLY_THE_SEAL)
    except jwt.InvalidTokenError:
        return "signature"
    names = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
    {rules}
    return "accept"
"""
ISSUER = 'if claims["iss"] != issuer: return "issuer"'
AUDIENCE = 'if audience not in names: return "audience"'
EXPIRED = 'if claims["exp"] <= now: return "expired"'


def token(*rules: str) -> str:
    return TOKEN.format(rules="\n    ".join(rules))


PERMISSIONS = """
def token_may(workflow, job, default):
    whole = yaml.safe_load(workflow)
    for place in (whole["jobs"][job], whole, {{"permissions": {default}}}):
        if "permissions" in place:
            return {{s: level for s, level in place["permissions"].items() if {rule}}}
"""
COUNTED = """
def accounted(events):
    rows = [e for e in events if {rule}]
    release = sum(e.get("workflow") == "release.yml" for e in rows)
    unknown = {unknown}
    return {{"release": release, "other": sum("workflow" in e for e in rows) - release, "unknown": unknown}}
"""
UPLOADED = 'e["type"] == "package.uploaded"'

WRONG = {
    "the last part of a name": (
        "0.1",
        "a branch whose name ends like a tag",
        "def commit_of(repository, ref):\n"
        "    last = ref.split('/')[-1]\n"
        "    return git(repository, 'rev-parse', '--verify', '--quiet', last + '^{commit}')",
    ),
    "peels to whatever is left": (
        "0.1",
        "a tag on a file",
        "def commit_of(repository, ref):\n"
        "    found = git(repository, 'rev-parse', '--verify', '--quiet', ref + '^{}')\n"
        "    return found if found and git(repository, 'cat-file', '-e', found) is not None else None",
    ),
    "expects one key a person": (
        "0.2",
        "a new key of the same person",
        "keys = {}\n"
        "def signer(artifact, signature, certificate_pem, authority_pem):\n"
        "    certificate = x509.load_pem_x509_certificate(certificate_pem)\n"
        "    authority = x509.load_pem_x509_certificate(authority_pem)\n"
        "    if not (issued_by(certificate, authority) and holds(certificate, signature, artifact)):\n"
        "        return None\n"
        "    name = name_in(certificate)\n"
        "    return name if keys.setdefault(name, certificate_pem) == certificate_pem else None",
    ),
    "takes any list for ours": (
        "0.3",
        "a list without ours",
        token(ISSUER, 'if isinstance(claims["aud"], str) and claims["aud"] != audience: return "audience"', EXPIRED),
    ),
    "asks for a part of each name in a list": (
        "0.3",
        "a list without ours",
        token(
            ISSUER, 'if claims["aud"] != audience and not any(audience in n for n in claims["aud"]): return "audience"'
        ),
    ),
    "the audience before the issuer": (
        "0.3",
        "of another issuer, for somebody else",
        token(AUDIENCE, ISSUER, EXPIRED),
    ),
    "the time before the audience": (
        "0.3",
        "for somebody else, and expired",
        token(ISSUER, EXPIRED, AUDIENCE),
    ),
    "a default of its own": (
        "0.5",
        "nobody says anything",
        PERMISSIONS.format(default='{"contents": "read", "packages": "read"}', rule='level != "none"'),
    ),
    "leaves none out of written blocks only": (
        "0.5",
        "the default has a none",
        PERMISSIONS.format(default="default", rule='level != "none" or place["permissions"] is default'),
    ),
    "leaves none out of a job's block only": (
        "0.5",
        "none, at the top",
        PERMISSIONS.format(default="default", rule='level != "none" or place is whole'),
    ),
    "takes the last job": (
        "0.5",
        "the workflow says",
        "def token_may(workflow, job, default):\n"
        "    whole = yaml.safe_load(workflow)\n"
        "    for place in ([*whole['jobs'].values()][-1], whole, {'permissions': default}):\n"
        "        if 'permissions' in place:\n"
        "            return {s: level for s, level in place['permissions'].items() if level != 'none'}",
    ),
    "counts every event of a package": (
        "0.6",
        "other events too",
        COUNTED.format(rule='e["type"].startswith("package.")', unknown='sum("workflow" not in e for e in rows)'),
    ),
    "counts the unknown of all events": (
        "0.6",
        "other events too",
        COUNTED.format(rule=UPLOADED, unknown='sum("workflow" not in e for e in events)'),
    ),
}


@pytest.mark.parametrize(("exercise", "case", "source"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_refused_on_every_seed(exercise: str, case: str, source: str, solved: SolvedLab) -> None:
    missed = set()
    for seed in (1, 2, 3):
        space = dict(solved.space)
        exec(source, space)
        report = checks.examine(exercise, solved.answer(exercise, space), lab=solved.lab, seed=seed)
        assert report.first_miss is not None
        missed |= {outcome.case.name for outcome in report.outcomes if outcome.verdict != "right"}
        raised = [outcome.message for outcome in report.outcomes if outcome.verdict == "raised"]
        assert raised == []
    assert case in missed
