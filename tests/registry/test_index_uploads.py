"""Uploads: who may, what is refused and how, and that nothing is half-written, whatever happens."""

from __future__ import annotations

import base64
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_index import ServedIndex, digest_of, metadata, open_index, pack, sdist, wheel, wheel_files

from chainlab.digests import Digest
from chainlab.errors import MalformedInput, Refused
from chainlab.registry.index import app as index_app
from chainlab.registry.index import upload_form

pytest_plugins = ["index_fixtures"]

NAME = "triage_model-1.0.0-py3-none-any.whl"
WHEEL = pack(wheel_files())
HERE = Path(__file__).parent


def nothing_was_added(world: ServedIndex) -> bool:
    return world.index.projects() == [] and world.leftovers() == [] and world.kinds() == []


# -- who may


def test_an_upload_needs_a_credential_that_covers_the_name(world: ServedIndex) -> None:
    answer = world.post(NAME, WHEEL, secret="")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (
        401,
        'Basic realm="chainlab"',
    )
    for secret in ("cl_wrong", "x" * 10_000, "é"):
        assert world.post(NAME, WHEEL, secret=secret).status_code == 403
    for header in ("Basic", "Basic !!!", "Basic eA==", "Digest x", "Bearer", "Basic \xff"):
        answer = world.http.post("/legacy/", headers={b"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401, header
    for grant in (
        "packages:upload:other",
        "packages:upload:triage",
        "oci:push:*",
        "packages:admin:triage-model",
    ):
        answer = world.post(NAME, WHEEL, secret=world.secret(grant))
        assert (answer.status_code, "may not upload" in answer.text) == (403, True)
    ended = world.index.credentials.issue("acme", ["packages:upload:*"], lifetime=-1)
    assert world.post(NAME, WHEEL, secret=ended).status_code == 403
    assert nothing_was_added(world)
    bearer = {"Authorization": f"Bearer {world.secret('packages:upload:triage-model')}"}
    form = {":action": "file_upload", "name": "Triage.Model", "version": "1.0"}
    answer = world.http.post("/legacy", data=form, files={"content": (NAME, WHEEL)}, headers=bearer)
    assert answer.status_code == 200


def test_a_name_belongs_to_whoever_came_first(world: ServedIndex, tmp_path: Path) -> None:
    wide = {who: world.secret("packages:upload:*", subject=who) for who in ("acme", "mallory")}
    assert world.post(NAME, WHEEL, secret=wide["acme"]).status_code == 200
    second = wheel(tmp_path, version="2.0.0")
    answer = world.post(second.name, second.read_bytes(), secret=wide["mallory"])
    assert (answer.status_code, answer.text) == (
        403,
        "triage-model belongs to acme, not to mallory\n",
    )
    granted = world.secret("packages:upload:triage-model", subject="run 12")  # the owner's own word
    assert world.post(second.name, second.read_bytes(), secret=granted).status_code == 200
    assert world.index.project("triage_model").owner == "acme"


def test_a_name_is_never_free_again(world: ServedIndex, tmp_path: Path) -> None:
    world.publish(wheel(tmp_path))
    world.index.delete("triage-model", by="acme")
    assert world.index.projects() == []
    assert world.http.get("/simple/triage-model/").status_code == 404
    mallory = world.secret("packages:upload:*", subject="mallory")
    second = wheel(tmp_path, version="2.0.0")
    answer = world.post(second.name, second.read_bytes(), secret=mallory)
    assert (answer.status_code, "belongs to acme" in answer.text) == (403, True)
    with pytest.raises(Refused, match="is acme") as refused:
        world.index.names.register("Triage.Model", "mallory")
    assert refused.value.status == 409
    answer = world.post(NAME, WHEEL)  # its owner, the same bytes: a deleted file stays deleted
    assert (answer.status_code, "was used and deleted" in answer.text) == (400, True)
    world.publish(second)
    assert [file.version for file in world.index.files("triage-model")] == ["2.0.0"]


def test_reserved_names_and_those_of_python_itself_are_nobodys(world: ServedIndex, tmp_path: Path) -> None:
    world.index.names.reserve("acme-secret", "may be taken for an internal package")
    for name in ("acme-secret", "json", "asyncio"):
        path = wheel(tmp_path, name)
        answer = world.post(path.name, path.read_bytes())
        assert (answer.status_code, "is reserved" in answer.text) == (403, True)
        assert world.http.get(f"/simple/{name}/").status_code == 404
    assert world.index.projects() == []
    with pytest.raises(Refused, match="is taken"):
        world.index.names.reserve("Acme_Secret", "again")
    with pytest.raises(Refused, match="reserved") as refused:  # nor by a trusted publisher, which registers first
        world.index.names.register("Json", "acme")
    assert refused.value.status == 403
    assert world.index.names.find("json") is None


def test_a_quarantined_project_takes_no_uploads(world: ServedIndex, tmp_path: Path) -> None:
    world.publish(wheel(tmp_path))
    second = wheel(tmp_path, version="2.0.0").read_bytes()
    world.index.quarantine("triage-model", "token leaked", by="security")
    answer = world.post(NAME.replace("1.0.0", "2.0.0"), second)
    assert (answer.status_code, "token leaked" in answer.text) == (403, True)
    world.index.release("triage-model", by="security")
    with pytest.raises(Refused, match="not in quarantine"):
        world.index.release("triage-model", by="security")
    assert world.post(NAME.replace("1.0.0", "2.0.0"), second).status_code == 200
    assert world.kinds() == ["published", "quarantined", "released", "published"]


def test_bytes_in_quarantine_are_neither_taken_nor_served(world: ServedIndex, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    world.publish(path)
    held = {digest_of(path): "malware"}
    world.index._held = held.get
    assert world.page("triage-model")["files"] == []
    assert world.http.get(f"/files/triage-model/{NAME}").status_code == 403
    answer = world.post(NAME, WHEEL)
    assert (answer.status_code, "malware" in answer.text) == (403, True)


def test_what_is_said_of_a_project_or_version_that_is_not_there_is_refused(world: ServedIndex) -> None:
    index = world.index
    world.index.names.register("triage-model", "acme")
    absent: tuple[Callable[[], object], ...] = (
        lambda: index.quarantine("nothing", "x", by="a"),
        lambda: index.yank("triage-model", "1.0", by="a"),
        lambda: index.delete("triage-model", "1.0", by="a"),
        lambda: index.delete("nothing", by="a"),
    )
    for act in absent:
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.status == 404
    malformed: tuple[Callable[[], object], ...] = (
        lambda: index.quarantine("../x", "x", by="a"),
        lambda: index.quarantine("triage-model", "", by="a"),
        lambda: index.quarantine("triage-model", "two\nlines", by="a"),
        lambda: index.yank("triage-model", "not a version", by="a"),
        lambda: index.names.register("-x-", "acme"),
        lambda: index.names.register("x" * 300, "acme"),
    )
    for act in malformed:
        with pytest.raises(MalformedInput):
            act()
    assert world.kinds() == ["registered"]


# -- files never change


def test_other_bytes_for_a_file_are_refused_and_the_same_change_nothing(world: ServedIndex) -> None:
    assert world.post(NAME, WHEEL).status_code == 200
    first = world.index.files("triage-model")
    other = pack(wheel_files(code=b"ANSWER = 13\n"))
    answer = world.post(NAME, other)
    assert (answer.status_code, "File already exists" in answer.text) == (400, True)
    assert world.post(NAME, WHEEL).status_code == 200
    assert world.index.files("triage-model") == first
    assert world.http.get(f"/files/triage-model/{NAME}").content == WHEEL
    assert world.kinds() == ["published"]


def test_a_deleted_version_is_gone_and_its_file_names_are_used_up(world: ServedIndex, tmp_path: Path) -> None:
    for version in ("1.0.0", "2.0.0"):
        world.publish(wheel(tmp_path, version=version))
    world.publish(sdist(tmp_path))
    world.index.delete("triage-model", "1.0", by="acme")
    assert world.page("triage-model")["versions"] == ["2.0.0"]
    assert world.http.get(f"/files/triage-model/{NAME}").status_code == 404
    answer = world.post(NAME, pack(wheel_files(code=b"")))
    assert (answer.status_code, "was used and deleted" in answer.text) == (400, True)
    (event,) = world.events.read("dev.chainlab.artifact.deleted")
    assert event.type == "dev.chainlab.artifact.deleted"
    assert len(event.data["files"]) == len(event.data["digests"]) == 2


def test_of_uploads_at_once_one_file_comes_out(world: ServedIndex) -> None:
    rivals = [pack(wheel_files(code=f"ANSWER = {n}\n".encode())) for n in range(2)] * 8
    secret = world.secret("packages:upload:triage-model")
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda data: world.post(NAME, data, secret=secret).status_code, rivals))
    (file,) = world.index.files("triage-model")
    won = [Digest.of(data) == file.digest for data in rivals]
    assert statuses == [200 if same else 400 for same in won]
    assert world.kinds() == ["published"]
    assert world.leftovers() == []


# -- the form


FORMS = {
    "another name": ({"name": "other"}, "the form says name 'other'"),
    "another version": ({"version": "1.0.1"}, "the form says version '1.0.1'"),
    "no version at all": ({"version": "one"}, "the form says version 'one'"),
    "a version of thousands of digits": ({"version": "9" * 5000}, "the form says version '999"),
    "another kind": ({"filetype": "sdist"}, "the form says filetype 'sdist'"),
    "another action": ({":action": "submit"}, "file_upload"),
    "another protocol": ({"protocol_version": "2"}, "expected protocol_version 1"),
    "a wrong SHA-256": ({"sha256_digest": 64 * "0"}, "the sha256_digest of the file that arrived differs"),
    "a SHA-256 that is none": ({"sha256_digest": "zz"}, "the sha256_digest of the file that arrived differs"),
    "a wrong MD5": ({"md5_digest": 32 * "0"}, "the md5_digest of the file that arrived differs"),
    "a wrong BLAKE2": ({"blake2_256_digest": 64 * "0"}, "the blake2_256_digest of the file that arrived differs"),
}


@pytest.mark.parametrize("case", FORMS)
def test_a_form_that_does_not_agree_with_the_file_is_refused(world: ServedIndex, case: str) -> None:
    form, reason = FORMS[case]
    answer = world.post(NAME, WHEEL, form=form)
    assert (answer.status_code, reason in answer.text) == (400, True), answer.text
    assert nothing_was_added(world)


@pytest.mark.parametrize(
    "filename",
    [
        "../../x-1.0-py3-none-any.whl",
        "/etc/passwd",
        "..\\x.whl",
        "x",
        "",
        "x\x00.whl",
        "x.zip",
        "é.whl",
        "x" * 999 + ".whl",
    ],
)
def test_a_file_name_that_leads_elsewhere_is_refused(world: ServedIndex, filename: str) -> None:
    answer = world.post(filename, WHEEL, form={"name": "x", "version": "1.0"})
    assert answer.status_code == 400, answer.text
    assert nothing_was_added(world)


BOUNDARY = b"----904"


def body(*parts: tuple[bytes, bytes], end: bytes = b"--" + BOUNDARY + b"--\r\n") -> bytes:
    text = b""
    for disposition, data in parts:
        text += b"--" + BOUNDARY + b"\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + data + b"\r\n"
    return text + end


def send(world: ServedIndex, data: bytes, kind: bytes = b"multipart/form-data; boundary=" + BOUNDARY) -> httpx.Response:
    basic = base64.b64encode(f"__token__:{world.secret('packages:upload:*')}".encode())
    headers = {b"Content-Type": kind, b"Authorization": b"Basic " + basic}
    return world.http.post("/legacy/", content=data, headers=headers)


ACTION = (b'form-data; name=":action"', b"file_upload")
CONTENT = (b'form-data; name="content"; filename="' + NAME.encode() + b'"', WHEEL)
GOOD_FORM = body(
    ACTION,
    (b'form-data; name="name"', b"triage-model"),
    (b'form-data; name="version"', b"1.0.0"),
    CONTENT,
)
GARBAGE = {
    "nothing": (b"", 400),
    "no multipart": (b"hello", 400),
    "only the end": (body(), 400),
    "no file": (body(ACTION), 400),
    "a file that is a field": (body(ACTION, (b'form-data; name="content"', b"x")), 400),
    "two files": (body(ACTION, CONTENT, CONTENT), 400),
    "a field twice": (body(ACTION, ACTION, CONTENT), 400),
    "a part without a name": (body((b"form-data", b"x")), 400),
    "a part of another kind": (body((b'attachment; name="x"', b"x")), 400),
    "no UTF-8 in a field": (body((b'form-data; name="x"', b"\xff")), 400),
    "no UTF-8 in a name": (body((b'form-data; name="\xff"', b"x")), 400),
    "no last boundary": (body(ACTION, CONTENT, end=b""), 400),
    "cut off in the file": (GOOD_FORM[:-400], 400),
    "a header without end": (b"--" + BOUNDARY + b"\r\n" + b"x" * 9_000, 400),
    "too many headers": (b"--" + BOUNDARY + b"\r\n" + b"a: b\r\n" * 99 + b"\r\n", 400),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_in_place_of_a_form_is_refused(world: ServedIndex, case: str) -> None:
    data, status = GARBAGE[case]
    assert send(world, data).status_code == status
    assert nothing_was_added(world)


def test_a_body_of_another_kind_is_refused(world: ServedIndex) -> None:
    kinds = (
        b"application/json",
        b"",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=" + b"x" * 300,
        b"\xff\xfe",
        b"multipart/mixed; boundary=x",
    )
    for kind in kinds:
        assert send(world, GOOD_FORM, kind).status_code in (400, 415), kind
    assert nothing_was_added(world)
    assert send(world, GOOD_FORM).status_code == 200


def test_what_is_too_large_is_refused(world: ServedIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_app, "MAX_FILE", len(WHEEL) - 1)
    assert send(world, GOOD_FORM).status_code == 413
    monkeypatch.setattr(upload_form, "MAX_FIELDS", 1000)
    monkeypatch.setattr(index_app, "MAX_FIELDS", 1000)
    long = (b'form-data; name="description"', b"x" * 1001)
    assert send(world, body(ACTION, long)).status_code == 413
    endless = GOOD_FORM + b"x" * (len(WHEEL) + 1000)  # after the last boundary
    assert send(world, endless).status_code == 413
    monkeypatch.setattr(upload_form, "MAX_PARTS", 3)
    assert send(world, body(*[(b'form-data; name="x"', b"")] * 4)).status_code == 413
    assert nothing_was_added(world)
    declared = world.http.build_request("POST", "/legacy/", content=b"", headers={"Content-Length": "0"})
    declared.headers["Authorization"] = f"Bearer {world.secret('packages:upload:*')}"
    declared.headers["Content-Length"] = str(10**12)
    with socket.create_connection(("127.0.0.1", int(world.url.rpartition(":")[2])), 10) as raw:
        lines = [
            b"POST /legacy/ HTTP/1.1",
            *(b"%s: %s" % pair for pair in declared.headers.raw),
            b"",
            b"",
        ]
        raw.sendall(b"\r\n".join(lines))
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_client_that_leaves_in_the_middle_leaves_nothing(world: ServedIndex) -> None:
    secret = world.secret("packages:upload:*")
    head = (
        f"POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n"
        f"Content-Length: {len(GOOD_FORM)}\r\n\r\n"
    ).encode()
    for cut in (0, 10, 300, len(GOOD_FORM) - 5):
        with socket.create_connection(("127.0.0.1", int(world.url.rpartition(":")[2])), 10) as raw:
            raw.sendall(head + GOOD_FORM[:cut])
            time.sleep(0.02)
    deadline = time.monotonic() + 5
    while world.leftovers() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert nothing_was_added(world)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_no_request_gives_a_500(world: ServedIndex, data: st.DataObject) -> None:
    junk = st.binary(max_size=60)
    at = data.draw(st.integers(0, len(GOOD_FORM)))
    spoilt = GOOD_FORM[:at] + data.draw(junk) + GOOD_FORM[at + data.draw(st.integers(0, 9)) :]
    assert send(world, spoilt).status_code < 500
    paths = (
        "/simple/{}/",
        "/files/{}/{}",
        "/files/x/{}.metadata",
        "/integrity/{}/{}/{}/provenance",
    )
    for path in paths:
        names = [quote(data.draw(st.text(max_size=20)), safe="") for _ in range(path.count("{}"))]
        answer = world.http.get(path.format(*names))
        assert answer.status_code in (200, 301, 307, 404), path.format(*names)


# -- the disk


def test_a_file_system_that_fails_gives_503_and_nothing_half_written(
    world: ServedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        answer = world.post(NAME, WHEEL)
    assert (answer.status_code, "No space left" in answer.text) == (503, True)
    assert nothing_was_added(world)
    (pages,) = world.index._connection.execute("PRAGMA page_count").fetchone()
    world.index._connection.execute(f"PRAGMA max_page_count = {pages}")
    statuses = set()
    secret = world.secret("packages:upload:*")
    for number in range(200):
        path = f"x{number}-1.0-py3-none-any.whl"
        answer = world.post(path, pack(wheel_files(f"x{number}", "1.0")), secret=secret)
        statuses.add(answer.status_code)
        if answer.status_code == 503:
            break
    assert statuses == {200, 503}
    assert len(world.index.projects()) == len(world.kinds()) == number
    world.index._connection.execute("PRAGMA max_page_count = 1000000")
    assert world.post(NAME, WHEEL).status_code == 200


@pytest.mark.crash
def test_every_acknowledged_upload_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    moments = random.Random(904)
    folder = tmp_path / "index"
    folder.mkdir()
    acknowledged: dict[str, Digest] = {}

    def load(url: str, secret: str, life: int, number: int) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=10) as http:
            for step in range(500):
                name = f"p{life}x{number}x{step}"
                data = pack(wheel_files(name, "1.0", code=moments.randbytes(40_000)))
                form = {":action": "file_upload", "name": name, "version": "1.0"}
                files = {"content": (f"{name}-1.0-py3-none-any.whl", data)}
                try:
                    answer = http.post("/legacy/", data=form, files=files, auth=("__token__", secret))
                except httpx.TransportError:
                    return  # killed, as expected
                assert answer.status_code == 200
                acknowledged[name] = Digest.of(data)

    for life in range(4):
        program = subprocess.Popen(
            [sys.executable, HERE / "index_server.py", folder], stdout=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        url, secret = program.stdout.readline().split()
        threads = [threading.Thread(target=load, args=(url, secret, life, n)) for n in range(3)]
        for thread in threads:
            thread.start()
        goal, deadline = len(acknowledged) + moments.randint(1, 20), time.monotonic() + 20
        while len(acknowledged) < goal and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.01))
        program.send_signal(signal.SIGKILL)
        program.communicate()
        for thread in threads:
            thread.join()
        assert len(acknowledged) >= goal, "it was not under load"
        index, events = open_index(folder)
        files = {project.name: index.files(project.name)[0] for project in index.projects()}
        assert {name: files[name].digest for name in acknowledged} == acknowledged
        for file in files.values():
            assert digest_of(index.path(file)) == file.digest
            assert file.metadata is not None
            assert index.blobs.read(file.metadata) == metadata(file.project, "1.0")
        events.verify()
        published = {event.subject for event in events.read("dev.chainlab.artifact.published")}
        assert published == {str(file.digest) for file in files.values()}
        index.blobs.sweep(grace=0)
        assert list((folder / "blobs" / "staging").iterdir()) == []
        index._connection.close()


def test_the_scenarios_clock_is_kept_apart(world: ServedIndex, tmp_path: Path) -> None:
    by = world.credential("packages:upload:*")
    moment = "2026-03-24T10:39:00Z"
    file = world.index.publish(wheel(tmp_path), by=by, scenario_time=moment)
    assert file.scenario_time == moment
    (event,) = world.events.read("dev.chainlab.artifact.published")
    assert event.scenario_time == moment != event.time
    (entry,) = world.page("triage-model")["files"]
    assert entry["_scenario-time"] == moment != entry["upload-time"]
    assert json.loads(json.dumps(entry["size"])) == file.size
