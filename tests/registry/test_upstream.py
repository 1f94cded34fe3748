"""The wheelhouse beside our own projects: nothing copied, nothing made up."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from served_index import JSON, ROOT, WHEELHOUSE, ServedIndex, digest_of, serve_index, wheel

from chainlab.errors import MalformedInput
from chainlab.registry.index.upstream import Upstream, load_times

pytest_plugins = ["index_fixtures"]


def test_every_wheel_of_the_wheelhouse_is_served_with_its_bytes(upstream_world: ServedIndex) -> None:
    http = upstream_world.http
    names = {entry["name"] for entry in http.get("/simple/", headers=JSON).json()["projects"]}
    wheels = sorted(WHEELHOUSE.glob("*.whl"))
    assert len(names) == len(wheels)
    for path in wheels:
        name = path.name.split("-")[0].replace("_", "-")
        (entry,) = upstream_world.page(name)["files"]
        assert entry["hashes"]["sha256"] == digest_of(path).value.hex()
        assert entry["size"] == path.stat().st_size
        metadata = http.get(entry["url"] + ".metadata")
        assert f"Name: {name}".lower() in metadata.text.lower().replace("_", "-")
        data = metadata.content
        assert entry["core-metadata"] == {"sha256": hashlib.sha256(data).hexdigest()}
    served = http.get(entry["url"])
    assert served.content == wheels[-1].read_bytes()
    assert served.headers["content-type"] == "application/octet-stream"


def test_upload_times_are_those_of_the_table(upstream_world: ServedIndex) -> None:
    with (ROOT / "data" / "upstream.csv").open(encoding="utf-8", newline="") as file:
        times = {row["sha256"]: row["upload_time"] for row in csv.DictReader(file)}
    count = 0
    for path in WHEELHOUSE.glob("*.whl"):
        (entry,) = upstream_world.page(path.name.split("-")[0].replace("_", "-"))["files"]
        time = times.get(entry["hashes"]["sha256"], "")
        assert entry.get("upload-time", "") == time
        count += bool(time)
    assert count


def test_an_unknown_upload_time_is_absent(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder)
    worlds = serve_index(tmp_path / "index", upstream=Upstream(folder, {}))
    world = next(worlds)
    (entry,) = world.page("triage-model")["files"]
    assert "upload-time" not in entry
    assert "upload-time" not in world.http.get("/simple/triage-model/").text
    worlds.close()


def test_the_table_is_of_the_lock() -> None:
    command = [sys.executable, str(ROOT / "data" / "upstream.py"), "--check"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stderr) == (0, "")


def test_the_wheels_are_read_once_and_the_wheelhouse_is_left_as_it_is(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    before = tmp_path.stat().st_mtime_ns
    upstream = Upstream(tmp_path, {})
    first = upstream.projects()
    assert upstream.projects() is first
    assert list(tmp_path.iterdir()) == [path]
    assert tmp_path.stat().st_mtime_ns == before


def test_a_wheel_that_was_changed_is_read_again_and_one_that_is_broken_is_not_offered(
    tmp_path: Path,
) -> None:
    path = wheel(tmp_path)
    (tmp_path / "README.txt").write_text("no wheel")
    (tmp_path / "empty-1.0.0-py3-none-any.whl").touch()
    (tmp_path / "no-wheel-name.whl").write_bytes(path.read_bytes())
    upstream = Upstream(tmp_path, {})
    (first,) = upstream.files("triage-model")
    wheel(tmp_path, code=b"ANSWER = 43  # longer\n")
    wheel(tmp_path, version="2.0.0")
    second = {file.version: file.digest for file in upstream.files("triage-model")}
    assert second["1.0.0"] == digest_of(path) != first.digest
    path.write_bytes(b"no zip")
    os.utime(tmp_path)
    assert [file.version for file in upstream.files("triage-model")] == ["2.0.0"]


def test_a_wheelhouse_that_is_not_there_serves_nothing(tmp_path: Path) -> None:
    assert Upstream(tmp_path / "nowhere", {}).projects() == {}


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "upstream.csv"
    assert load_times(path) == {}
    head = "file,sha256,upload_time\n"
    path.write_text(f"{head}x.whl,{64 * 'a'},2026-01-02T03:04:05Z\ny.whl,{64 * 'b'},\n")
    assert list(load_times(path).values()) == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]
    for text in ("file\nx\n", f"{head}x,zz,2026-01-02T03:04:05Z\n", f"{head}x,{64 * 'a'},soon\n"):
        path.write_text(text)
        with pytest.raises(MalformedInput, match=r"upstream\.csv cannot be read"):
            load_times(path)
    path.write_text(f"{head}x.whl,{64 * 'a'},2026-01-02T03:04:05\n")
    with pytest.raises(MalformedInput, match="without a zone"):
        load_times(path)
