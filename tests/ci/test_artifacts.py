"""Artifacts: a run's own, immutable, and plain files only."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from artifact_files import keep, unpack
from hypothesis import given
from hypothesis import strategies as st
from platform_world import Host

from chainlab.digests import Digest
from chainlab.errors import ChainlabError, Refused

pytest_plugins = ["platform_fixtures"]

BOTH = ("artifacts:read:7", "artifacts:write:7")


def tar(change: Callable[[tarfile.TarInfo], None] = lambda _: None, name: str = "a/b") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.size = 4
        change(member)
        archive.addfile(member, io.BytesIO(b"data"))
    return packed.getvalue()


def put(host: Host, path: str, data: bytes, *grants: str) -> httpx.Response:
    return host.http.put(f"/ci/artifacts/{path}", content=data, headers=host.bearer(*grants))


def test_an_artifact_comes_back(fresh: Host) -> None:
    answer = put(fresh, "7/my dist", tar(), *BOTH)
    assert answer.status_code == 201
    outputs = dict(line.split("=") for line in answer.text.splitlines())
    assert outputs["artifact-digest"] == Digest.of(tar()).value.hex()
    headers = fresh.bearer(*BOTH)
    assert fresh.http.get("/ci/artifacts/7", headers=headers).text == "my dist\n"
    assert fresh.http.get("/ci/artifacts/7/my dist", headers=headers).content == tar()
    artifacts = fresh.platform.artifacts
    assert unpack(artifacts, 7, "my dist") == {"a/b": b"data"}
    assert artifacts.files(7) == {"my dist": {"a/b": str(Digest.of(b"data"))}}
    assert artifacts.files(8) == {}
    (event,) = fresh.events("dev.chainlab.artifact.packaged")
    assert (event["run"], event["name"], event["files"]) == ("7", "my dist", 1)


def test_a_name_is_taken_once_unless_overwritten(fresh: Host) -> None:
    put(fresh, "7/x", tar(), *BOTH)
    assert put(fresh, "7/x", tar(name="other"), *BOTH).status_code == 409
    assert put(fresh, "7/x?overwrite=true", tar(name="new"), *BOTH).status_code == 201
    assert list(unpack(fresh.platform.artifacts, 7, "x")) == ["new"]
    last = fresh.events("dev.chainlab.artifact.packaged")[-1]
    assert last["replaced"] == str(Digest.of(tar()))


def test_of_concurrent_uploads_of_one_name_one_wins(fresh: Host) -> None:
    headers = fresh.bearer(*BOTH)

    def upload(number: int) -> int:
        data = tar(name=str(number))
        return fresh.http.put("/ci/artifacts/7/x", content=data, headers=headers).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(upload, range(6)))
    assert sorted(statuses) == [201, *[409] * 5]
    assert list(unpack(fresh.platform.artifacts, 7, "x")) == [str(statuses.index(201))]


@pytest.mark.parametrize(
    ("grants", "read", "write"),
    [
        (None, 401, 401),
        ((), 403, 403),
        (("artifacts:read:7",), 200, 403),
        (("artifacts:write:7",), 403, 201),
        (("artifacts:read:8", "artifacts:write:8"), 403, 403),
        (("artifacts:read:70", "artifacts:write:*"), 403, 201),
    ],
)
def test_only_the_grants_count(fresh: Host, grants: tuple[str, ...] | None, read: int, write: int) -> None:
    keep(fresh.platform.artifacts, 7, "x", {"f": b""}, who="test")
    headers = {} if grants is None else fresh.bearer(*grants)
    for path in ("7", "7/x"):
        assert fresh.http.get(f"/ci/artifacts/{path}", headers=headers).status_code == read
    answer = fresh.http.put("/ci/artifacts/7/new", content=tar(), headers=headers)
    assert answer.status_code == write


def _link(member: tarfile.TarInfo) -> None:
    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0


def _hard(member: tarfile.TarInfo) -> None:
    member.type, member.linkname, member.size = tarfile.LNKTYPE, "x", 0


def _device(member: tarfile.TarInfo) -> None:
    member.type, member.size = tarfile.CHRTYPE, 0


BAD = {
    "nothing": b"",
    "no tar": b"hello" * 1000,
    "half a tar": tar()[:600],
    "a climbing path": tar(name="../../x"),
    "an absolute path": tar(name="/etc/x"),
    "a path of another system": tar(name="..\\x"),
    "a symbolic link": tar(_link),
    "a hard link": tar(_hard),
    "a device": tar(_device),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_tar_of_plain_files_is_refused(fresh: Host, case: str) -> None:
    assert put(fresh, "7/bad", BAD[case], *BOTH).status_code == 422
    assert fresh.platform.artifacts.list(7) == []


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_no_bytes_are_an_error_of_ours(host: Host, data: bytes, at: int) -> None:
    spoilt = tar()[:at] + data + tar()[at + len(data) :]
    run = "fuzz"
    with host.platform.artifacts.stage() as staged:
        staged.write(spoilt)
        try:
            saved = host.platform.artifacts.save(run, "x", staged, who="test", overwrite=True)
        except Refused:
            return
    for path in saved.files:
        assert not path.startswith("/")
        assert ".." not in path.split("/")


@pytest.mark.parametrize("name", ["a%2Fb", "a%0Ab", "%22", "%2E%2E", ".", "a%5Cb", "x" * 201, "a%3Fb"])
def test_odd_names_are_refused(fresh: Host, name: str) -> None:
    status = put(fresh, f"7/{name}", tar(), *BOTH).status_code
    assert status in (400, 404, 405)
    assert fresh.platform.artifacts.list(7) == []


@pytest.mark.parametrize("run", ["..", "a%2Fb", "%00", "-1", "x" * 200])
def test_odd_runs_are_refused(host: Host, run: str) -> None:
    headers = host.bearer("artifacts:read:*")
    assert host.http.get(f"/ci/artifacts/{run}", headers=headers).status_code in (400, 404)
    with pytest.raises(ChainlabError):
        host.platform.artifacts.get(run.replace("%2F", "/"), "x")


def test_an_artifact_that_is_too_large_leaves_nothing(fresh: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainlab.ci.services.artifacts.MAX_ARTIFACT", 1000)
    assert put(fresh, "7/x", tar(), *BOTH).status_code == 413
    monkeypatch.setattr("chainlab.ci.services.artifacts.MAX_ARTIFACT", 10**9)
    monkeypatch.setattr("chainlab.ci.services.artifacts.MAX_FILES", 0)
    assert put(fresh, "7/x", tar(), *BOTH).status_code == 413
    assert fresh.platform.artifacts.list(7) == []
