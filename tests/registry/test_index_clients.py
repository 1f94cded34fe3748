"""Unmodified clients against the index: twine, uv publish, pip, uv."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from served_index import JSON, Run, ServedIndex, digest_of, sdist, wheel

pytest_plugins = ["index_fixtures"]


def pip_install(run: Run, python: Path, world: ServedIndex, *what: str, status: int = 0) -> str:
    completed = run(
        *(sys.executable, "-m", "pip", "--python", python),
        *("install", "--no-cache-dir", "--index-url", f"{world.url}/simple/", *what),
        status=status,
    )
    return completed.stdout + completed.stderr


def uv_install(run: Run, python: Path, world: ServedIndex, *what: str, status: int = 0) -> str:
    completed = run(
        *("uv", "pip", "install", "--python", python, "--default-index", f"{world.url}/simple/"),
        *what,
        status=status,
    )
    return completed.stdout + completed.stderr


def frozen(run: Run, python: Path) -> dict[str, str]:
    lines = run("uv", "pip", "freeze", "--python", python).stdout.split()
    return dict(line.split("==") for line in lines)


def twine(run: Run, world: ServedIndex, secret: str, *files: Path, status: int = 0) -> str:
    completed = run(
        *("twine", "upload", "--non-interactive", "--verbose", *files),
        status=status,
        TWINE_REPOSITORY_URL=f"{world.url}/legacy/",
        TWINE_USERNAME="__token__",
        TWINE_PASSWORD=secret,
    )
    return completed.stdout + completed.stderr


def test_twine_uploads_and_pip_installs_with_an_upstream_dependency(
    upstream_world: ServedIndex, run: Run, venv: Path, tmp_path: Path
) -> None:
    world = upstream_world
    path = wheel(tmp_path, Requires_Dist=["threadpoolctl>=3"], Requires_Python=">=3.11")
    output = twine(run, world, world.secret("packages:upload:triage-model"), path, sdist(tmp_path))
    assert "HTTPError" not in output
    entry = world.page("triage-model")["files"][0]
    assert entry["hashes"] == {"sha256": digest_of(path).value.hex()}
    assert entry["size"] == path.stat().st_size
    assert entry["requires-python"] == ">=3.11"
    pip_install(run, venv, world, "triage-model", "--only-binary", ":all:")
    assert frozen(run, venv).keys() == {"triage-model", "threadpoolctl"}
    assert run(venv, "-c", "import triage_model; print(triage_model.ANSWER)").stdout == "42\n"


def test_uv_publishes_and_installs(upstream_world: ServedIndex, run: Run, venv: Path, tmp_path: Path) -> None:
    world = upstream_world
    path = wheel(tmp_path, Requires_Dist=["threadpoolctl>=3"])
    run(
        *("uv", "publish", "--publish-url", f"{world.url}/legacy/", path),
        UV_PUBLISH_TOKEN=world.secret("packages:upload:triage-model"),
    )
    uv_install(run, venv, world, "triage-model")
    assert frozen(run, venv).keys() == {"triage-model", "threadpoolctl"}


def test_the_same_bytes_again_are_fine_for_twine_and_other_bytes_are_not(
    world: ServedIndex, run: Run, tmp_path: Path
) -> None:
    secret = world.secret("packages:upload:triage-model")
    path = wheel(tmp_path)
    twine(run, world, secret, path)
    twine(run, world, secret, path)
    assert world.kinds() == ["published"]
    before = digest_of(path)
    wheel(tmp_path, code=b"ANSWER = 13\n")
    output = twine(run, world, secret, path, status=1)
    assert "400 Bad Request" in output
    assert "File already exists" in " ".join(output.split())
    completed = run(
        *("uv", "publish", "--publish-url", f"{world.url}/legacy/", path),
        status=2,
        UV_PUBLISH_TOKEN=secret,
    )
    assert "already exists" in " ".join(completed.stderr.split())
    check = ("--check-url", f"{world.url}/simple/")  # uv compares before it sends
    publish = ("uv", "publish", "--publish-url", f"{world.url}/legacy/", *check, path)
    output = run(*publish, status=2, UV_PUBLISH_TOKEN=secret).stderr
    assert "Local file and index file do not match" in output
    assert [file.digest for file in world.index.files("triage-model")] == [before]


def test_clients_see_why_a_credential_does_not_do(world: ServedIndex, run: Run, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    assert "403" in twine(run, world, "cl_wrong", path, status=1)
    other = world.secret("packages:upload:other", subject="mallory")
    assert "may not upload to triage-model" in " ".join(twine(run, world, other, path, status=1).split())
    completed = run(
        *("uv", "publish", "--publish-url", f"{world.url}/legacy/", path),
        status=2,
        UV_PUBLISH_TOKEN=other,
    )
    assert "may not upload to triage-model" in " ".join(completed.stderr.split())
    assert world.index.projects() == []


def test_a_yanked_version_installs_only_when_it_is_pinned(
    world: ServedIndex, run: Run, venv: Path, tmp_path: Path
) -> None:
    for version in ("1.0.0", "2.0.0"):
        world.publish(wheel(tmp_path, version=version))
    world.index.yank("triage-model", "2.0", 'it "leaks" <b>', by="acme")
    assert world.page("triage-model")["files"][1]["yanked"] == 'it "leaks" <b>'
    for install in (pip_install, uv_install):
        install(run, venv, world, "triage-model")
        assert frozen(run, venv) == {"triage-model": "1.0.0"}
        output = install(run, venv, world, "triage-model==2.0.0")
        assert 'it "leaks" <b>' in output
        assert frozen(run, venv) == {"triage-model": "2.0.0"}
        run("uv", "pip", "uninstall", "--python", venv, "triage-model")
    assert world.kinds()[-1] == "yanked"


def test_pip_and_uv_do_not_see_a_quarantined_project(world: ServedIndex, run: Run, venv: Path, tmp_path: Path) -> None:
    world.publish(wheel(tmp_path))
    address = world.page("triage-model")["files"][0]["url"]
    world.index.quarantine("triage-model", "token leaked", by="security")
    assert "No matching distribution" in pip_install(run, venv, world, "triage-model", status=1)
    uv_install(run, venv, world, "triage-model==1.0.0", status=1)
    uv_install(run, venv, world, f"triage-model @ {world.url}{address}", status=2)
    world.index.release("triage-model", by="security")
    uv_install(run, venv, world, "triage-model==1.0.0")


def test_pip_and_uv_install_by_hash_and_refuse_another(
    world: ServedIndex, run: Run, venv: Path, tmp_path: Path
) -> None:
    path = wheel(tmp_path)
    world.publish(path)
    lock = tmp_path / "lock.txt"
    lock.write_text(f"triage-model==1.0.0 --hash=sha256:{digest_of(path).value.hex()}\n")
    for install in (pip_install, uv_install):
        install(run, venv, world, "--require-hashes", "-r", str(lock))
        assert frozen(run, venv) == {"triage-model": "1.0.0"}
        run("uv", "pip", "uninstall", "--python", venv, "triage-model")
    lock.write_text(f"triage-model==1.0.0 --hash=sha256:{64 * '0'}\n")
    for install in (pip_install, uv_install):
        install(run, venv, world, "--require-hashes", "-r", str(lock), status=1)


def test_uv_waits_for_what_was_uploaded_too_lately(
    upstream_world: ServedIndex, run: Run, venv: Path, tmp_path: Path
) -> None:
    world = upstream_world
    world.publish(wheel(tmp_path, version="1.0.0"))
    uploaded = world.index.files("triage-model")[0].uploaded
    assert uploaded is not None
    time.sleep(2.1)  # upload times are to the second
    world.publish(wheel(tmp_path, version="1.0.1"))
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(uploaded.timestamp() + 1))
    uv_install(run, venv, world, "triage-model", "--exclude-newer", moment)
    assert frozen(run, venv)["triage-model"] == "1.0.0"
    uv_install(run, venv, world, "--upgrade", "triage-model")
    assert frozen(run, venv)["triage-model"] == "1.0.1"


def test_the_name_of_a_project_of_ours_is_served_from_here_alone(
    upstream_world: ServedIndex, run: Run, venv: Path, tmp_path: Path
) -> None:
    world = upstream_world
    assert world.http.get("/simple/iniconfig/").status_code == 200
    answer = world.post(
        "iniconfig-99.0.0-py3-none-any.whl",
        b"",
        secret=world.secret("packages:upload:*", subject="mallory"),
    )
    assert (answer.status_code, "upstream project" in answer.text) == (403, True)
    world.index.names.register("iniconfig", "acme")  # what a person with that right decides
    world.publish(wheel(tmp_path, "iniconfig", "0.1"))
    assert [entry["filename"] for entry in world.page("iniconfig")["files"]] == ["iniconfig-0.1-py3-none-any.whl"]
    pip_install(run, venv, world, "iniconfig")
    assert frozen(run, venv) == {"iniconfig": "0.1"}
    world.index.delete("iniconfig", by="acme")
    assert world.http.get("/simple/iniconfig/", headers=JSON).status_code == 404
    pip_install(run, venv, world, "--force-reinstall", "iniconfig", status=1)
