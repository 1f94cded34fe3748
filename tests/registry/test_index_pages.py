"""The pages that installers read: JSON first, HTML for whoever asks, and the same in both."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from served_index import HTML, JSON, ServedIndex, metadata, sdist, wheel
from simple_repository.parser import parse_json_project_page

from chainlab.digests import Digest
from chainlab.errors import Refused
from chainlab.registry.index.simple import Format, negotiate

pytest_plugins = ["index_fixtures"]

NAME = "triage_model-1.0.0-py3-none-any.whl"
V1_JSON, V1_HTML = Format.JSON_V1, Format.HTML_V1
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (None, V1_JSON),
        ("", V1_JSON),
        ("*/*", V1_JSON),
        ("application/*", V1_JSON),
        (PIP, V1_JSON),
        (BROWSER, Format.HTML_LEGACY),
        ("text/html", Format.HTML_LEGACY),
        ("application/vnd.pypi.simple.v1+html", V1_HTML),
        ("application/vnd.pypi.simple.latest+json", V1_JSON),
        ("application/vnd.pypi.simple.latest+html", V1_HTML),
        ("application/vnd.pypi.simple.v1+json;q=0.1, text/html", Format.HTML_LEGACY),
        ("application/vnd.pypi.simple.v1+json;q=0, */*", V1_HTML),
        ("text/html;q=nan, application/vnd.pypi.simple.v1+json;q=0.1", V1_JSON),
        ("text/html;q=x, */*;q=0.1", V1_JSON),
    ],
)
def test_the_format_is_the_one_that_the_client_likes_best(accept: str | None, format: Format) -> None:
    assert negotiate(accept) is format


@pytest.mark.parametrize("accept", ["image/png", "application/vnd.pypi.simple.v2+json", "*/*;q=0", ";;,"])
def test_a_client_that_speaks_none_of_the_formats_is_told(accept: str) -> None:
    with pytest.raises(Refused) as refused:
        negotiate(accept)
    assert refused.value.status == 406


def test_the_query_may_ask_for_a_format(world: ServedIndex) -> None:
    answer = world.http.get("/simple/", params={"format": V1_HTML.value})
    assert answer.headers["content-type"] == "application/vnd.pypi.simple.v1+html; charset=utf-8"
    assert world.http.get("/simple/", params={"format": "xml"}).status_code == 406


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.meta: dict[str | None, str | None] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs))
        elif tag == "meta":
            self.meta[dict(attrs).get("name", "charset")] = dict(attrs).get("content")
        else:
            assert tag in ("html", "head", "title", "link", "body", "main", "h1", "p", "ul", "li"), tag


def test_a_page_has_all_that_the_standards_ask_for(world: ServedIndex, tmp_path: Path) -> None:
    path = wheel(tmp_path, Requires_Python=">=3.11,<4")
    world.publish(path)
    world.publish(sdist(tmp_path))
    page = world.page("triage-model")
    assert page["meta"] == {"api-version": "1.4"}
    assert page["name"] == "triage-model"
    assert page["versions"] == ["1.0.0"]
    assert page["project-status"] == {"status": "active"}
    source, entry = sorted(page["files"], key=lambda file: file["filename"], reverse=True)[::-1]
    source, entry = (entry, source) if entry["filename"].endswith("gz") else (source, entry)
    data = metadata("triage-model", "1.0.0", Requires_Python=">=3.11,<4")
    assert entry["core-metadata"] == {"sha256": hashlib.sha256(data).hexdigest()}
    assert "core-metadata" not in source
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["upload-time"])
    assert entry["size"] == path.stat().st_size
    assert world.http.get(f"{entry['url']}.metadata").content == data
    assert world.http.get(f"{source['url']}.metadata").status_code == 404
    text = world.http.get("/simple/triage-model/", headers=JSON).text
    assert len(parse_json_project_page(text).files) == 2  # as another reader reads it

    html = Links(world.http.get("/simple/triage-model/", headers=HTML).text)
    status = {name: content for name, content in html.meta.items() if name and name.startswith("pypi:")}
    assert status == {"pypi:repository-version": "1.4", "pypi:project-status": "active"}
    (link,) = [link for link in html.links if ".whl" in (link["href"] or "")]
    assert link == {
        "href": f"{entry['url']}#sha256={entry['hashes']['sha256']}",
        "data-requires-python": ">=3.11,<4",
        "data-core-metadata": f"sha256={entry['core-metadata']['sha256']}",
    }


def test_a_status_is_shown_with_its_reason_and_quarantine_offers_nothing(world: ServedIndex, tmp_path: Path) -> None:
    world.publish(wheel(tmp_path))
    reason = '<script>alert(1)</script> "x"'
    world.index.quarantine("triage-model", reason, by="security")
    page = world.page("triage-model")
    assert page["project-status"] == {"status": "quarantined", "reason": reason}
    assert (page["files"], page["versions"]) == ([], [])
    html = Links(world.http.get("/simple/triage-model/", headers=HTML).text)
    assert html.meta["pypi:project-status-reason"] == reason
    assert html.links == []
    for address in (f"/files/triage-model/{NAME}", f"/files/triage-model/{NAME}.metadata"):
        answer = world.http.get(address)
        assert (answer.status_code, reason in answer.text) == (403, True)


def test_a_hostile_reason_of_a_yank_stays_text(world: ServedIndex, tmp_path: Path) -> None:
    world.publish(wheel(tmp_path))
    reason = '"><script>alert(1)</script>'
    world.index.yank("triage-model", "1.0.0", reason, by="acme")
    (link,) = Links(world.http.get("/simple/triage-model/", headers=HTML).text).links
    assert link["data-yanked"] == reason
    world.index.yank("triage-model", "1.0.0", by="acme")
    assert world.page("triage-model")["files"][0]["yanked"] is True
    (link,) = Links(world.http.get("/simple/triage-model/", headers=HTML).text).links
    assert link["data-yanked"] == ""


def test_the_list_names_every_project_once(upstream_world: ServedIndex, tmp_path: Path) -> None:
    world = upstream_world
    world.publish(wheel(tmp_path))
    listed = world.http.get("/simple/").json()
    names = [entry["name"] for entry in listed["projects"]]
    assert names == sorted(set(names))
    assert {"triage-model", "numpy", "scikit-learn"} <= set(names)
    links = Links(world.http.get("/simple/", headers=HTML).text).links
    assert [link["href"] for link in links] == [f"{name}/" for name in names]


def test_other_spellings_lead_to_the_one_address(world: ServedIndex, tmp_path: Path) -> None:
    world.publish(wheel(tmp_path))
    for spelling in ("Triage_Model/", "triage.model/", "triage-model", "TRIAGE--MODEL"):
        answer = world.http.get(f"/simple/{spelling}", headers=JSON)
        assert (answer.status_code, answer.headers["location"]) == (301, "/simple/triage-model/")
    assert world.http.get("/simple").headers["location"] == "/simple/"
    for name in ("..", "%2e%2e", "%2fetc", "a%00b", "-x", "é", "x" * 500):
        assert world.http.get(f"/simple/{name}/").status_code in (301, 404), name


def test_an_unchanged_page_or_file_is_not_sent_again(world: ServedIndex, tmp_path: Path) -> None:
    world.publish(wheel(tmp_path))
    for address in (
        "/simple/triage-model/",
        f"/files/triage-model/{NAME}",
        f"/files/triage-model/{NAME}.metadata",
    ):
        first = world.http.get(address)
        assert first.headers["cache-control"] == "no-cache"
        again = world.http.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    old = world.http.get("/simple/triage-model/")
    world.publish(wheel(tmp_path, version="2.0.0"))
    new = world.http.get("/simple/triage-model/", headers={"If-None-Match": old.headers["etag"]})
    assert new.status_code == 200


def test_a_file_is_sent_in_parts_to_whoever_asks(world: ServedIndex, tmp_path: Path) -> None:
    path = wheel(tmp_path)
    world.publish(path)
    part = world.http.get(f"/files/triage-model/{NAME}", headers={"Range": "bytes=-22"})
    assert (part.status_code, part.content) == (206, path.read_bytes()[-22:])
    for ignored in ("items=0-3", "bytes=500-0"):
        whole = world.http.get(f"/files/triage-model/{NAME}", headers={"Range": ignored})
        assert (whole.status_code, whole.content) == (200, path.read_bytes())
    head = world.http.head(f"/files/triage-model/{NAME}", headers={"Range": "bytes=0-3"})
    assert head.status_code == 200
    assert head.headers["content-length"] == str(path.stat().st_size)
    assert head.headers["content-type"] == "application/octet-stream"
    assert head.headers["content-disposition"].startswith("attachment")


def test_what_a_job_was_served_is_noted_and_nothing_else(upstream_world: ServedIndex, tmp_path: Path) -> None:
    world = upstream_world
    path = wheel(tmp_path)
    world.publish(path)
    upstream = world.page("iniconfig")["files"][0]
    job = "127.100.7.3"
    for address in (job, "127.0.0.1", "127.63.255.255", "127.128.0.1"):
        with httpx.Client(
            base_url=world.url,
            transport=httpx.HTTPTransport(local_address=address),
        ) as http:
            for _ in range(2):
                http.get("/simple/triage-model/")
                http.get(f"/files/triage-model/{NAME}.metadata")
                assert http.get(f"/files/triage-model/{NAME}").status_code == 200
                assert http.get(upstream["url"]).status_code == 200
            http.head(f"/files/triage-model/{NAME}")
    assert world.index.downloads(job) == [
        ("triage-model", NAME, Digest.of_file(path)),
        ("iniconfig", upstream["filename"], Digest.parse(f"sha256:{upstream['hashes']['sha256']}")),
    ]
    rows = world.index._connection.execute("SELECT count(*) FROM downloads").fetchone()
    assert rows == (2,)
    world.index.served.forget(job)
    assert world.index.downloads(job) == []


def test_a_file_is_found_by_its_digest(upstream_world: ServedIndex, tmp_path: Path) -> None:
    world = upstream_world
    path = wheel(tmp_path)
    world.publish(path)
    (file,) = world.index.with_digest(Digest.of_file(path))
    assert (file.project, file.upstream) == ("triage-model", False)
    (theirs,) = world.index.files("iniconfig")
    assert world.index.with_digest(theirs.digest) == [theirs]
    world.index.names.register("iniconfig", "acme")
    assert world.index.with_digest(theirs.digest) == []
    assert set(world.index.digests()) == {file.digest, file.metadata}
