"""The search finds whatever the pages show, in the spellings in which they show it, and nothing that is hidden."""

from __future__ import annotations

import re

import pytest
from served_index import wheel
from served_registry import ServedRegistry, sha256

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.registry.pages.search import SearchQuery

BYTES = sha256(b"model")


@pytest.fixture(scope="module")
def world(shared: ServedRegistry, tmp_path_factory: pytest.TempPathFactory) -> ServedRegistry:
    """Seven tags on one repository, one package with two versions, attached evidence, and one hidden repository."""
    for number in range(1, 8):
        shared.push("acme/cells.reader", f"v{number}.0-rc", b"model", str(number).encode())
    shared.refer("acme/cells.reader", shared.push("acme/cells.reader", "v8", b"model"))
    folder = tmp_path_factory.mktemp("wheels")
    who = Credential("alice", frozenset({"packages:upload:*"}))
    for version in ("1.0.0", "2.0.0"):
        shared.registry.index.publish(wheel(folder, "cell_counter", version), by=who)
    shared.registry.evidence.add(Digest.parse(BYTES), "report", b"all is well", "text/plain", "security")
    shared.push("acme/closed", "secret-tag", b"secret")
    shared.registry.images.configure("acme/closed", private=True)
    return shared


def hits(world: ServedRegistry, text: str, who: str = "nobody") -> set[str]:
    """The links that a search leads to."""
    answer = world.as_(who).get("/", params={"q": text})
    assert answer.status_code == 200, answer.text
    return set(re.findall(r'href="(/(?:artifacts|evidence)/[^"]*)"', answer.text.partition("<main")[2]))


@pytest.mark.parametrize(
    "text",
    ["cells.reader", "CELLS-READER", "acme/cells_reader", "v1.0-rc", "V1-0", "v7.0-rc", "oci/acme/cells.reader:v3"],
)
def test_a_repository_is_found_by_every_tag_and_spelling(world: ServedRegistry, text: str) -> None:
    assert "/artifacts/oci/acme/cells.reader" in hits(world, text)


@pytest.mark.parametrize(
    "text", ["cell_counter", "Cell.Counter", "package/cell-counter", "2.0.0", "cell_counter-1.0.0-py3-none"]
)
def test_a_package_is_found_by_every_spelling_version_and_file(world: ServedRegistry, text: str) -> None:
    assert "/artifacts/package/cell-counter" in hits(world, text)


def test_a_tag_that_is_searched_for_is_shown(world: ServedRegistry) -> None:
    page = world.nobody.get("/", params={"q": "v1.0-rc"}).text
    assert "<bdi>v1.0-rc</bdi>" in page


def spellings(digest: str) -> list[str]:
    digits = digest.removeprefix("sha256:")
    short = digits[:12]
    return [
        f"sha256:{short}…",
        f"sha256:{short}",
        f"{short}…",
        short,
        short.upper(),
        f"SHA256:{short.upper()}",
        short[:6],
    ]


@pytest.mark.parametrize("at", range(7))
def test_a_digest_is_found_as_the_pages_show_it(world: ServedRegistry, at: int) -> None:
    (file, *_) = world.registry.index.files("cell-counter")
    images = world.registry.images
    shown = [BYTES, str(file.digest), *(str(stored.digest) for stored in images.manifests("acme/cells.reader"))]
    for digest in shown:
        assert f"/artifacts/{digest}" in hits(world, spellings(digest)[at])
    assert "/artifacts/oci/acme/cells.reader" in hits(world, spellings(shown[-1])[at])
    assert "/artifacts/package/cell-counter" in hits(world, spellings(shown[1])[at])
    evidence = sha256(b"all is well")
    assert f"/evidence/{BYTES}/{evidence}" in hits(world, spellings(evidence)[at])
    assert f"/evidence/{BYTES}/{evidence}" in hits(world, evidence)


def test_a_subject_of_another_algorithm_is_found(world: ServedRegistry) -> None:
    subject = f"sha512:{'5' * 128}"
    world.refer("acme/cells.reader", subject)
    for text in (subject[:19], f"{subject[:19].upper()}…", subject[:134]):
        assert f"/artifacts/{subject}" in hits(world, text)
    assert world.nobody.get("/", params={"q": subject}).headers["Location"] == f"/artifacts/{subject}"
    assert f"<code>{subject[:19]}…</code>" in world.nobody.get("/artifacts/oci/acme/cells.reader").text


def test_a_digest_of_a_log_entry_is_found(world: ServedRegistry) -> None:
    page = world.nobody.get("/artifacts/log").text
    digest = re.findall(r'title="(sha256:[0-9a-f]{64})"', page)[0]
    assert f"/artifacts/{digest}" in hits(world, spellings(digest)[0])


@pytest.mark.parametrize(
    "spell", [str, str.upper, lambda text: text.removeprefix("sha256:"), lambda text: f" x@{text} "]
)
def test_a_whole_digest_leads_to_its_page(world: ServedRegistry, spell: object) -> None:
    assert callable(spell)
    answer = world.nobody.get("/", params={"q": spell(BYTES)})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/artifacts/{BYTES}")


@pytest.mark.parametrize("text", ["secret-tag", "acme/closed", *spellings(sha256(b"secret"))])
def test_what_is_hidden_is_not_found(world: ServedRegistry, text: str) -> None:
    assert hits(world, text) == set()
    seen = hits(world, text, "reader")
    assert "/artifacts/oci/acme/closed" in seen or f"/artifacts/{sha256(b'secret')}" in seen


@pytest.mark.parametrize("text", ["", " ", "…", "sha256:", "sha256:…", "@", "*", "%", "[a-z]", "\x00", "a" * 5000])
def test_any_text_is_a_query(world: ServedRegistry, text: str) -> None:
    assert SearchQuery.parse(text).prefix == ""
    assert world.nobody.get("/", params={"q": text[:500]}).status_code == 200
