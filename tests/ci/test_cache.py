"""The cache: scopes in the order of the grants, entries that never change, and nothing but grants counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from platform_world import Host

pytest_plugins = ["platform_fixtures"]

REPO = "acme/triage-model"
MAIN, FEATURE = "refs/heads/main", "refs/heads/feature"
READ_MAIN, WRITE_MAIN = f"cache:read:0:{REPO}:{MAIN}", f"cache:write:{REPO}:{MAIN}"
FEATURES = (
    f"cache:read:0:{REPO}:{FEATURE}",
    f"cache:read:1:{REPO}:{MAIN}",
    f"cache:write:{REPO}:{FEATURE}",
)


def put(host: Host, key: str, data: bytes, *grants: str, version: str = "v", subject: str = "run 1") -> httpx.Response:
    headers = host.bearer(*grants, subject=subject)
    params = {"key": key, "version": version}
    return host.http.put("/ci/cache/entry", params=params, content=data, headers=headers)


def get(host: Host, keys: list[str], *grants: str, version: str = "v") -> httpx.Response:
    params = {"key": keys, "version": version}
    return host.http.get("/ci/cache/entry", params=params, headers=host.bearer(*grants))


def test_an_entry_comes_back_by_its_key(fresh: Host) -> None:
    assert put(fresh, "k", b"data", WRITE_MAIN).status_code == 201
    answer = get(fresh, ["k"], READ_MAIN)
    assert (answer.content, answer.headers["x-cache-key"]) == (b"data", "k")
    assert answer.headers["content-type"] == "application/octet-stream"
    (entry,) = fresh.platform.cache.entries(REPO)
    assert (entry.key, entry.scope, entry.size, entry.who) == ("k", MAIN, 4, "run 1")
    assert fresh.platform.cache.path(entry).read_bytes() == b"data"
    (saved,) = fresh.events("dev.chainlab.cache.saved")
    (restored,) = fresh.events("dev.chainlab.cache.restored")
    assert (saved["key"], saved["scope"], saved["who"]) == ("k", MAIN, "run 1")
    assert (restored["asked"], restored["who"]) == ("k", "run 1 job build")
    assert restored["digest"] == saved["digest"]


def test_an_entry_never_changes(fresh: Host) -> None:
    put(fresh, "k", b"one", WRITE_MAIN)
    assert put(fresh, "k", b"two", WRITE_MAIN).status_code == 409
    assert put(fresh, "k", b"one", WRITE_MAIN).status_code == 409
    assert get(fresh, ["k"], READ_MAIN).content == b"one"
    assert put(fresh, "k", b"other paths", WRITE_MAIN, version="w").status_code == 201


def test_of_concurrent_saves_of_one_key_one_wins(fresh: Host) -> None:
    headers, params = fresh.bearer(WRITE_MAIN), {"key": "k", "version": "v"}

    def save(number: int) -> int:
        data = b"%d" % number * 100_000
        return fresh.http.put("/ci/cache/entry", params=params, content=data, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(save, range(8)))
    assert sorted(statuses) == [201, *[409] * 7]
    winner = statuses.index(201)
    assert get(fresh, ["k"], READ_MAIN).content == b"%d" % winner * 100_000


ORDER = {
    "the exact key before a longer one that is newer": (["a"], "a"),
    "a longer key than asked for": (["a-"], "a-2"),
    "the newest of those that begin alike": (["x", "a"], "a-2"),
    "keys in their order": (["x", "b", "a"], "b-1"),
    "nothing that only contains it": (["-1"], None),
    "no pattern": (["%", "_-1", "a*"], None),
}


@pytest.mark.parametrize("case", ORDER)
def test_keys_are_searched_in_the_platforms_order(fresh: Host, case: str) -> None:
    for key in ("a", "a-1", "b-1", "a-2"):
        put(fresh, key, key.encode(), WRITE_MAIN)
    keys, expected = ORDER[case]
    answer = get(fresh, keys, READ_MAIN)
    text = answer.text if answer.status_code == 200 else None
    assert text == expected


def test_scopes_are_searched_in_the_order_of_the_grants(fresh: Host) -> None:
    put(fresh, "k", b"main", WRITE_MAIN)
    assert get(fresh, ["k"], *FEATURES).text == "main"
    put(fresh, "k-of-the-branch", b"branch", *FEATURES)
    assert get(fresh, ["k"], *FEATURES).text == "branch"  # a prefix here, before the key there
    assert get(fresh, ["k"], READ_MAIN).text == "main"  # the branch's entry is not for main
    assert get(fresh, ["k-of"], READ_MAIN).status_code == 404
    ten = [f"cache:read:{n}:{REPO}:refs/heads/b{n}" for n in range(10)]
    assert get(fresh, ["k"], *ten, f"cache:read:10:{REPO}:{MAIN}").text == "main"


def test_looking_is_not_restoring(fresh: Host) -> None:
    put(fresh, "k", b"data", WRITE_MAIN)
    params = {"key": "k", "version": "v"}
    answer = fresh.http.head("/ci/cache/entry", params=params, headers=fresh.bearer(READ_MAIN))
    assert (answer.status_code, answer.headers["x-cache-key"]) == (200, "k")
    assert fresh.events("dev.chainlab.cache.restored") == []


@pytest.mark.parametrize(
    ("grants", "save", "restore"),
    [
        ((), 403, 404),
        ((READ_MAIN,), 403, 200),
        ((WRITE_MAIN,), 409, 404),
        ((f"cache:read:0:acme/other:{MAIN}", f"cache:write:acme/other:{MAIN}"), 201, 404),
        (("cache:read:x:y:z", "cache:write:", "cache:read:0"), 403, 404),
        (("contents:write:*",), 403, 404),
    ],
)
def test_only_the_grants_count(fresh: Host, grants: tuple[str, ...], save: int, restore: int) -> None:
    put(fresh, "k", b"main", WRITE_MAIN)
    answer = put(fresh, "k", b"x", *grants)
    assert answer.status_code == save
    assert save != 403 or "may read caches but not save" in answer.text
    restored = get(fresh, ["k"], *grants)
    assert restored.status_code == (200 if save == 201 else restore)


def test_without_a_credential_there_is_nothing(fresh: Host) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic ####"}):
        params = {"key": "k", "version": "v"}
        for method in ("GET", "PUT", "HEAD"):
            answer = fresh.http.request(method, "/ci/cache/entry", params=params, headers=headers)
            assert answer.status_code == 401


@pytest.mark.parametrize(
    ("key", "version"),
    [
        ("", "v"),
        ("a,b", "v"),
        ("a" * 513, "v"),
        ("a\nb", "v"),
        ("ü", "v"),
        ("k", ""),
        ("k", "../x"),
    ],
)
def test_odd_keys_are_refused(host: Host, key: str, version: str) -> None:
    assert put(host, key, b"x", WRITE_MAIN, version=version).status_code == 400
    assert get(host, [key], READ_MAIN, version=version).status_code == 400


def test_odd_requests_are_refused(host: Host) -> None:
    assert get(host, [], READ_MAIN).status_code == 400
    assert get(host, ["k"] * 11, READ_MAIN).status_code == 400
    headers = host.bearer(WRITE_MAIN) | {"Content-Encoding": "gzip"}
    params = {"key": "gz", "version": "v"}
    answer = host.http.put("/ci/cache/entry", params=params, content=b"no", headers=headers)
    assert answer.status_code == 400
    assert host.http.post("/ci/cache/entry").status_code == 405


def test_a_body_that_is_too_large_leaves_nothing(fresh: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlab.ci.services.cache.MAX_ENTRY", 1000)
    assert put(fresh, "declared", bytes(1001), WRITE_MAIN).status_code == 413
    headers = fresh.bearer(WRITE_MAIN)
    params = {"key": "chunked", "version": "v"}
    chunks = (bytes(100) for _ in range(20))
    answer = fresh.http.put("/ci/cache/entry", params=params, content=chunks, headers=headers)
    assert answer.status_code == 413
    assert fresh.platform.cache.entries() == []
    folder = fresh.workspace.path / "ci" / "cache"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_repositorys_entries_can_be_purged(fresh: Host) -> None:
    for key in ("a", "b"):
        put(fresh, key, b"x", WRITE_MAIN)
    assert fresh.platform.cache.delete(REPO, key="a") == 1
    assert fresh.platform.cache.delete("acme/other") == 0
    assert fresh.platform.cache.delete(REPO) == 1
    assert get(fresh, ["b"], READ_MAIN).status_code == 404
