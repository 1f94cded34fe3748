"""The registry's protocols: each refuses in its own shape, and what none of them serves is refused alike."""

from __future__ import annotations

import pytest
from served_registry import ZERO, ServedRegistry

PATHS = {
    "pages": "/",
    "OCI": "/v2/acme/m/tags/list",
    "channels": "/channels/",
    "evidence": f"/evidence/{ZERO}",
    "index": "/simple/",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_a_method_that_a_protocol_does_not_have_is_refused_alike(shared: ServedRegistry, path: str) -> None:
    answer = shared.nobody.request("OPTIONS", path)
    assert answer.status_code == 405
    assert answer.json()["message"] == "OPTIONS is not served here"


@pytest.mark.parametrize("path", ["/v3/", "/evidence/", "/simple/a/b/", "/artifacts"])
def test_a_path_that_no_protocol_has_is_refused_alike(shared: ServedRegistry, path: str) -> None:
    answer = shared.nobody.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"] == f"nothing is served at {path}"


REFUSALS = {
    "pages": ("/artifacts/oci/acme/none", "text/html; charset=utf-8", "there is no repository acme/none"),
    "OCI": ("/v2/acme/none/tags/list", "application/json", '"code":"NAME_UNKNOWN"'),
    "channels": ("/channels/oci/acme/none", "application/json", '{"error":"oci/acme/none was never in a channel"'),
    "evidence": (f"/evidence/{ZERO}", "application/json", f'{{"error":"nothing is known about {ZERO}"'),
    "index": ("/simple/none/", "text/plain; charset=utf-8", "there is no project 'none'\n"),
    "provenance": ("/integrity/none/1/none/provenance", "application/json", '{"message":"there is no project'),
}


@pytest.mark.parametrize(("path", "media_type", "text"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_protocol_refuses_in_its_own_shape(shared: ServedRegistry, path: str, media_type: str, text: str) -> None:
    answer = shared.nobody.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, media_type)
    assert text in answer.text
