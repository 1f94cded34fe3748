"""Who may do what at /v2/: the challenge, tokens, grants by name, private repositories, quarantine."""

from __future__ import annotations

import base64
import re

import httpx
import pytest
from served_registry import ZERO, ServedRegistry, codes, image, sha256


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def ask(world: ServedRegistry, method: str, path: str, *headers: tuple[str, str]) -> httpx.Response:
    with httpx.Client(base_url=world.server.url, trust_env=False, timeout=30) as client:
        return client.request(method, path, headers=list(headers))


def test_the_api_asks_for_a_credential_and_says_where_to_get_a_token(shared: ServedRegistry) -> None:
    answer = shared.nobody.get("/v2/")
    assert (answer.status_code, codes(answer)) == (401, ["UNAUTHORIZED"])
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge == f'Bearer realm="{shared.server.url}/v2/token",service="chainlab"'
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert shared.alice.get("/v2/").status_code == 200


def test_every_write_without_a_credential_is_401_with_the_scope(shared: ServedRegistry) -> None:
    name = shared.name()
    for method, path, scope in (
        ("POST", "blobs/uploads/", "pull,push"), ("PUT", "manifests/v1", "pull,push"),
        ("DELETE", "manifests/v1", "delete"), ("DELETE", f"blobs/{ZERO}", "delete"),
        ("PATCH", f"blobs/uploads/{'0' * 32}", "pull,push"), ("GET", f"blobs/uploads/{'0' * 32}", "pull,push"),
    ):  # fmt: skip
        answer = shared.nobody.request(method, f"/v2/{name}/{path}")
        assert answer.status_code == 401
        assert f'scope="repository:{name}:{scope}"' in answer.headers["WWW-Authenticate"]


def test_a_token_is_short_lived_and_does_what_its_owner_may(shared: ServedRegistry) -> None:
    secret = shared.secrets["alice"]
    answer = ask(shared, "GET", "/v2/token?service=chainlab", *basic("anyone", secret).items())
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()["token"]
    assert token == answer.json()["access_token"] != secret
    assert answer.json()["expires_in"] <= 900
    bearer = ("Authorization", f"Bearer {token}")
    assert ask(shared, "POST", f"/v2/{shared.name()}/blobs/uploads/", bearer).status_code == 202
    assert ask(shared, "POST", f"/v2/{shared.name('mallory')}/blobs/uploads/", bearer).status_code == 403
    credential = shared.registry.credentials.check(token)
    assert credential is not None
    assert all(grant.startswith("oci:") for grant in credential.grants)  # not channel:dev


def test_a_token_for_nobody_is_worth_nothing(shared: ServedRegistry) -> None:
    token = shared.nobody.get("/v2/token").json()["token"]
    bearer = ("Authorization", f"Bearer {token}")
    assert ask(shared, "POST", f"/v2/{shared.name()}/blobs/uploads/", bearer).status_code == 401
    assert ask(shared, "GET", "/v2/", bearer).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer wrong")],
        [("Authorization", "Bearer")],
        [("Authorization", "Basic !!!")],
        [("Authorization", "Basic YWxpY2U=")],  # no colon
        [("Authorization", "Basic /w==")],  # not UTF-8
        [("Authorization", "Digest x")],
        [("Authorization", "x")],
        [("Authorization", "")],
        [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
        [*basic("alice", "wrong").items()],
    ],
)
def test_a_bad_credential_is_401_even_for_what_is_public(
    shared: ServedRegistry, headers: list[tuple[str, str]]
) -> None:
    name = shared.name()
    shared.push(name, "v1", b"model")
    for path in (f"/v2/{name}/manifests/v1", "/v2/", "/v2/token"):
        answer = ask(shared, "GET", path, *headers)
        assert (answer.status_code, codes(answer)) == (401, ["UNAUTHORIZED"])
        assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")


def test_a_revoked_credential_is_401(shared: ServedRegistry) -> None:
    secret = shared.registry.credentials.issue("leaver", ["oci:push:acme"])
    bearer = ("Authorization", f"Bearer {secret}")
    assert ask(shared, "GET", "/v2/", bearer).status_code == 200
    shared.registry.credentials.revoke(secret=secret)
    assert ask(shared, "GET", "/v2/", bearer).status_code == 401


GRANTS = [
    ("oci:push:acme/model", "acme/model", True),
    ("oci:push:acme/model", "acme/model/sig", True),
    ("oci:push:acme/model", "acme/model2", False),
    ("oci:push:acme/model", "acme", False),
    ("oci:push:acme", "acme/model", True),
    ("oci:push:acme", "acme2/model", False),
    ("oci:push:*", "anyone/anything", True),
    ("oci:pull:acme", "acme/model", False),
    ("oci:delete:acme", "acme/model", False),
    ("packages:upload:*", "acme/model", False),
]


@pytest.mark.parametrize(("grant", "name", "may"), GRANTS)
def test_a_grant_covers_a_name_and_what_is_below(shared: ServedRegistry, grant: str, name: str, may: bool) -> None:
    secret = shared.registry.credentials.issue("someone", [grant])
    bearer = ("Authorization", f"Bearer {secret}")
    answer = ask(shared, "POST", f"/v2/{name}/blobs/uploads/", bearer)
    assert answer.status_code == (202 if may else 403)
    if not may:
        assert codes(answer) == ["DENIED"]


def test_pushing_does_not_include_deleting(shared: ServedRegistry) -> None:
    name = shared.name("mallory")
    blob = shared.blob(name, b"x", who="mallory")
    assert shared.as_("mallory").delete(f"/v2/{name}/blobs/{blob}").status_code == 403


def test_a_private_repository_is_for_those_with_the_grant(shared: ServedRegistry) -> None:
    name = shared.name()
    digest = shared.push(name, "v1", b"secret weights")
    shared.refer(name, digest)
    shared.registry.images.configure(name, private=True)
    for path in (
        "manifests/v1",
        f"blobs/{sha256(b'secret weights')}",
        "tags/list",
        f"referrers/{digest}",
    ):
        assert shared.nobody.get(f"/v2/{name}/{path}").status_code == 401
        assert shared.as_("mallory").get(f"/v2/{name}/{path}").status_code == 403
        assert shared.as_("reader").get(f"/v2/{name}/{path}").status_code == 200
        assert shared.alice.get(f"/v2/{name}/{path}").status_code == 200  # who pushes may pull
    # Mounting is no way round it, and neither are evidence and the pages.
    query = {"mount": sha256(b"secret weights"), "from": name}
    mine = shared.name("mallory")
    mounted = shared.as_("mallory").post(f"/v2/{mine}/blobs/uploads/", params=query)
    assert mounted.status_code == 202
    assert shared.nobody.get(f"/evidence/{digest}").status_code == 404
    assert shared.as_("reader").get(f"/evidence/{digest}").status_code == 200
    for page in ("/", f"/?q={name}", f"/artifacts/oci/{name}", f"/artifacts/{digest}"):
        shown = re.sub(
            r'value="[^"]*"|<h1>.*?</h1>|<p class="sentence"><bdi>.*?</bdi></p>', "", shared.nobody.get(page).text
        )
        assert name not in shown


def test_what_is_in_quarantine_is_refused_by_digest_and_hidden_by_tag(shared: ServedRegistry) -> None:
    name, other = shared.name(), shared.name()
    bad = shared.push(name, "bad", b"poisoned", b"shared")
    good = shared.push(name, "good", b"clean", b"shared")
    shared.push(other, "v1", b"poisoned")
    security = shared.as_("security")
    assert shared.alice.post("/channels/quarantine", json={"digest": bad, "reason": "x"}).status_code == 403
    held = security.post("/channels/quarantine", json={"digest": bad, "reason": "pickle in it"})
    assert held.status_code == 201

    def status(path: str, repository: str = name) -> int:
        return shared.nobody.get(f"/v2/{repository}/{path}").status_code

    by_digest = shared.nobody.get(f"/v2/{name}/manifests/{bad}")
    assert (by_digest.status_code, codes(by_digest)) == (403, ["DENIED"])
    assert by_digest.json()["errors"][0]["detail"]["reason"] == "pickle in it"
    assert status("manifests/bad") == 404
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == ["good"]
    assert status(f"blobs/{sha256(b'poisoned')}") == 403  # only what is held back holds it here
    assert status(f"blobs/{sha256(b'shared')}") == 200
    assert status(f"manifests/{good}") == 200
    assert status("manifests/v1", other) == 200  # another manifest, not in quarantine
    mount = {"mount": sha256(b"poisoned"), "from": name}
    assert shared.alice.post(f"/v2/{other}/blobs/uploads/", params=mount).status_code == 403
    again = shared.put(name, "again", image(b"poisoned", b"shared"))
    assert (again.status_code, codes(again)) == (403, ["DENIED"])
    # The file itself: every manifest that holds it.
    file = sha256(b"poisoned")
    assert security.post("/channels/quarantine", json={"digest": file, "reason": "y"}).status_code == 201
    assert status("manifests/v1", other) == 404
    assert status(f"manifests/{sha256(image(b'poisoned'))}", other) == 403
    assert status(f"blobs/{file}", other) == 403
    for digest in (bad, file):
        assert security.delete(f"/channels/quarantine/{digest}").status_code == 200
    assert status("manifests/bad") == status(f"blobs/{file}", other) == 200
    assert shared.nobody.get(f"/v2/{name}/tags/list").json()["tags"] == ["bad", "good"]


def test_a_token_ends_with_the_secret_that_it_was_given_for(shared: ServedRegistry) -> None:
    secret = shared.registry.credentials.issue("leaver", ["oci:push:acme"])
    first = ask(shared, "GET", "/v2/token", *basic("x", secret).items()).json()["token"]
    second = ask(shared, "GET", "/v2/token", *basic("x", first).items()).json()["token"]
    for token in (first, second):
        assert ask(shared, "GET", "/v2/", ("Authorization", f"Bearer {token}")).status_code == 200
    shared.registry.credentials.revoke(secret=secret)
    for token in (first, second):
        assert ask(shared, "GET", "/v2/", ("Authorization", f"Bearer {token}")).status_code == 401
