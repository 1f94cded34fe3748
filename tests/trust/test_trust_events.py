"""Trust reports what it does: one event for each certificate, log entry and rotation."""

from __future__ import annotations

import hashlib

import httpx
from client_requests import ALICE, CLAIMS, JOB, enrol
from cryptography import x509

from chainlab.services import Server
from chainlab.trust.client import Trust


def test_each_certificate_log_entry_and_rotation_is_one_event(fresh: Server, fresh_http: httpx.Client) -> None:
    trust, events = Trust(fresh.instance.directory), fresh.instance.events
    person = enrol(fresh_http, trust.token(ALICE))
    job = enrol(fresh_http, trust.token(claims=CLAIMS))
    fresh_http.post("/api/v2/log/entries", json=person.entry_v2(b"w"))
    fresh_http.post("/api/v1/log/entries", json=person.hashedrekord_v1(b"w"))
    fresh_http.post("/api/v1/log/entries", json=job.dsse_v1(b"{}"))
    fresh.instance.rotate()

    assert events.verify()[0] == 2 + 6  # the first two: the logs' own entries
    reported = [(event.type.removeprefix("dev.chainlab."), event.subject) for event in events.read(after=2)]
    digest = f"sha256:{hashlib.sha256(b'w').hexdigest()}"
    assert reported == [
        ("certificate.issued", ALICE),
        ("certificate.issued", JOB),
        ("logentry.created", digest),
        ("logentry.created", digest),
        ("logentry.created", f"sha256:{hashlib.sha256(b'{}').hexdigest()}"),
        ("authority.rotated", "https://ca.chainlab.localhost"),
    ]
    assert {event.source for event in events.read()} == {"/trust"}
    data = [dict(event.data) for event in events.read(after=2)]
    assert data[0] == {
        "issuer": trust.issuer,
        "identity": ALICE,
        "serial": f"{person.certificate.serial_number:x}",
    }
    assert data[1]["issuer"] == trust.ci_issuer
    assert data[2:] == [
        {"log": "v2", "logIndex": 1},
        {"log": "v1", "logIndex": 1},
        {"log": "v1", "logIndex": 2},
        {"generation": 2},
    ]


def test_what_is_refused_is_no_event(fresh: Server, fresh_http: httpx.Client) -> None:
    trust = Trust(fresh.instance.directory)
    signer = enrol(fresh_http, trust.token(ALICE))
    entry = signer.entry_v2(b"w")
    assert fresh_http.post("/api/v2/log/entries", json=entry).status_code == 201
    assert fresh_http.post("/api/v2/log/entries", json=entry).status_code == 409
    assert fresh_http.post("/api/v2/log/entries", json={}).status_code == 400
    assert fresh_http.post("/api/v2/signingCert", json={}).status_code == 400
    assert fresh.instance.events.verify()[0] == 2 + 2


def test_events_go_on_where_they_were_after_a_restart(fresh: Server, fresh_http: httpx.Client) -> None:
    state = fresh.instance.directory
    enrol(fresh_http, Trust(state).token(ALICE))
    head = fresh.instance.events.verify()
    fresh.close()
    with Server(state) as again, httpx.Client(base_url=again.url, trust_env=False) as http:
        assert again.instance.events.verify() == head
        signer = enrol(http, Trust(state).token(ALICE))
        assert again.instance.events.verify()[0] == head[0] + 1
        last = list(again.instance.events.read())[-1]
    assert int(str(last.data["serial"]), 16) == signer.certificate.serial_number
    assert isinstance(signer.certificate, x509.Certificate)
