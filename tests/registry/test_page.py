"""The pages in a real browser: what strangers named does nothing and breaks nothing; keyboard and no script suffice."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from served_index import wheel
from served_registry import BUNDLE, MANIFEST, TITLE, ServedRegistry, descriptor, image, sha256

from chainlab.credentials import Credential
from chainlab.digests import Digest
from chainlab.registry.channels import ChannelArtifact
from chainlab.registry.rendering import MAX_TEXT, brief
from chainlab.trust.log import read_entry
from chainlab.trust.merkle import leaf_hash

ROOT = Path(__file__).parents[2]
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
SHOTS = os.environ.get("CHAINLAB_SHOTS")  # a directory, to look at what was seen
HOSTILE = {
    "script": "<script>window.pwned = 1</script>",
    "image": "<img src=x onerror='window.pwned = 2'>",
    "closing": "</bdi></td></table></main><style>*{display:none}</style><base href='//evil.example'>",
    "quotes": '"\' onmouseover=window.pwned=3 autofocus onfocus=window.pwned=4 x="',
    "address": "javascript:window.pwned=5",
    "template": "{{ 7 * 7 }}{% raw %}",
    "entity": "&lt;b&gt;&#x202e;",
    "direction": "\u202egnp.exe\u2066\u200f\u061c",
    "hebrew": "שלום עולם (1) — مرحبا",
    "null": "a\x00b\x07\x1b[31m",
    "long": "W" * 10_000,
    "words": "word " * 2_000,
    "marks": "Z" + "\u0301\u0489" * 2_000,
    "wide": "﷽" * 100 + "𒐫" * 50,
    "lines": "\n\r\t\u2028" * 50,
    "comment": "<!--",
    "cdata": "]]><![CDATA[",
    "textarea": "<textarea><title><plaintext>",
}
LONG = "triage-" + "x" * 80
FOREIGN = f"sha512:{'0' * 128}"
ALL = " ".join(text for name, text in HOSTILE.items() if name not in ("long", "words", "marks"))


@pytest.fixture(scope="module")
def pages(shared: ServedRegistry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A registry with hostile text in every field that takes any; gives the paths of its pages."""
    registry, name = shared.registry, "acme/hostile"
    who = Credential(ALL, frozenset({"packages:upload:*", "channel:dev", "channel:staging"}))
    for blob in (b"{}", b"model"):
        registry.images.link(name, registry.blobs.put(blob))
    document = json.loads(image(b"model", annotations=HOSTILE | {ALL: ALL}))
    document["layers"][0]["annotations"] = {TITLE: HOSTILE["script"] + HOSTILE["long"]}
    data = json.dumps(document).encode()
    pushed = registry.images.push(name, "v1", data, MANIFEST, by=ALL).digest
    for tag in ("a" * 128, "_-_", "latest"):
        registry.images.push(name, tag, data, MANIFEST, by=ALL)
    statement = {
        "predicateType": HOSTILE["script"],
        "subject": [{"name": text, "digest": {"sha256": text}} for text in HOSTILE.values()],
    }
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    entry = {"logIndex": "7", "logId": {"keyId": "AAAA"}, "kindVersion": {"version": "0.0.2"}}
    bundle = {
        "verificationMaterial": {"tlogEntries": [entry], "certificate": {"rawBytes": ALL}},
        "dsseEnvelope": {"payload": payload},
    }
    evidence = json.dumps(bundle).encode()
    registry.images.link(name, registry.blobs.put(evidence))
    about = {"mediaType": MANIFEST, "digest": str(pushed), "size": 2}
    document = json.loads(image(subject=about, artifactType=BUNDLE, annotations=HOSTILE | {ALL: ALL}))
    document["layers"] = [descriptor(evidence, BUNDLE)]
    registry.images.push(name, "sig", json.dumps(document).encode(), MANIFEST, by=ALL)
    about["digest"] = FOREIGN
    document = image(subject=about)
    registry.images.push(name, Digest.of(document), document, MANIFEST, by=ALL)
    for kind, text in HOSTILE.items():
        registry.evidence.add(pushed, f"{kind} {text}", evidence, text, text)
    oci = ChannelArtifact("oci", name)
    registry.channels.promote(oci, pushed, "", "dev", who)
    registry.channels.promote(oci, pushed, "dev", "staging", who)
    registry.quarantine.hold(pushed, ALL[:900], by=ALL)
    registry.quarantine.release(pushed, by=ALL)
    held = Digest.parse(shared.push("acme/held", "v1", b"held"))
    registry.channels.promote(ChannelArtifact("oci", "acme/held"), held, "", "dev", who)
    registry.quarantine.hold(held, HOSTILE["script"] + HOSTILE["direction"] + "W" * 500, by=ALL)
    shared.push(f"acme/{'long-name-' * 20}x", "v1", b"{}")
    folder = tmp_path_factory.mktemp("wheels")
    files = [
        registry.index.publish(wheel(folder, project, summary=HOSTILE["script"]), by=who)
        for project in ("triage-model", LONG)
    ]
    index = registry.index
    printable = "".join(character for character in ALL if character.isprintable())
    index.yank("triage-model", "1.0.0", printable[:900], by=ALL)
    registry.channels.promote(ChannelArtifact("package", "triage-model"), files[0].digest, "", "dev", who)
    return {
        "overview": "/",
        "search": "/?q=" + "".join(f"%{byte:02X}" for byte in ALL[:900].encode()),
        "nothing": "/?q=no-such-thing",
        "repository": f"/artifacts/oci/{name}",
        "held": "/artifacts/oci/acme/held",
        "package": "/artifacts/package/triage-model",
        "longest": f"/artifacts/package/{LONG}",
        "manifest": f"/artifacts/{pushed}",
        "layer": f"/artifacts/{sha256(b'model')}",
        "file": f"/artifacts/{files[0].digest}",
        "quarantined": f"/artifacts/{held}",
        "log": "/artifacts/log",
        "entry": "/artifacts/log/v2/0",
        "old entry": "/artifacts/log/v1/0",
        "foreign": f"/artifacts/{FOREIGN}",
        "digits": f"/?q={str(pushed)[7:13]}",
        "missing": "/artifacts/oci/no/such<script>",
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = ROOT / ".cache" / "browser.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not report.get("path"):
        pytest.skip(report.get("reason") or "not set up: run `make test`, or tests/setup/browser.py")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=report["path"], args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def seen() -> list[str]:
    """Whatever went wrong on a page."""
    return []


@pytest.fixture(scope="module")
def contexts(browser: Browser, shared: ServedRegistry) -> Iterator[dict[bool, BrowserContext]]:
    """A visitor whose browser runs scripts, and one whose does not."""
    contexts = {
        scripts: browser.new_context(
            base_url=shared.server.url,
            java_script_enabled=scripts,
            viewport={"width": 1280, "height": 900},
        )
        for scripts in (True, False)
    }
    yield contexts
    for context in contexts.values():
        context.close()


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(
    request: pytest.FixtureRequest,
    contexts: dict[bool, BrowserContext],
    shared: ServedRegistry,
    seen: list[str],
) -> Iterator[Page]:
    page = contexts[request.param].new_page()
    page.on("dialog", lambda dialog: seen.append(f"dialog: {dialog.message}"))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.on(
        "request",
        lambda request: None if request.url.startswith(shared.server.url) else seen.append(f"asked {request.url}"),
    )
    yield page
    page.close()


PAGES = [
    *("overview", "search", "nothing", "repository", "held", "package", "longest", "manifest"),
    *("layer", "file", "quarantined", "log", "entry", "old entry", "foreign", "digits", "missing"),
]


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_hostile_text_is_only_text(
    page: Page, shared: ServedRegistry, pages: dict[str, str], seen: list[str], name: str
) -> None:
    answer = page.goto(pages[name])
    assert answer is not None
    assert answer.status == (400 if name == "missing" else 200)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'; style-src 'self'; form-action 'self'")
    expected = f"{pages[name]}: "
    allowed = [message for message in seen if "400 (Bad Request)" in message]
    assert [expected + message for message in seen if message not in allowed] == []
    assert page.locator("script, img, iframe, base, object, embed, textarea, style").count() == 0
    assert page.locator("h1").count() == 1
    assert page.locator("main footer").count() == 0
    assert page.locator("body > footer").count() == 1  # nothing closed the page's own elements
    for element in page.locator("a[href], form[action], link[href]").all():
        target = element.get_attribute("href") or element.get_attribute("action") or ""
        assert re.match(r"/(?!/)|#content$", target), target
    assert "\u202e" not in page.content()
    assert "\x00" not in page.content()


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 320])
def test_the_layout_holds(contexts: dict[bool, BrowserContext], pages: dict[str, str], name: str, width: int) -> None:
    """WCAG 2.2, 1.4.10: at 320 pixels nothing but tables scrolls sideways."""
    page = contexts[True].new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(pages[name])
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.pwned") is None
    tall = page.evaluate("Math.max(...[...document.querySelectorAll('td, th, dd, li')].map(e => e.offsetHeight), 0)")
    assert tall < (1200 if width == 1280 else 3000)
    for header in page.locator("table th").all():
        assert header.get_attribute("scope") in ("col", "row")
    assert page.locator("table").count() == page.locator("table > caption").count()
    assert page.locator("html").get_attribute("lang") == "en"
    page.close()


# What a screen reader stumbles over, of axe's rules: each gives the names of what breaks it.
RULES = """() => {
  document.querySelectorAll("details").forEach(e => e.open = true);
  const all = selector => [...document.querySelectorAll(selector)], name = e => e.outerHTML.slice(0, 80);
  const levels = all("h1, h2, h3").map(e => +e.localName[1]);
  const regions = all("[role=region], nav").map(e => e.getAttribute("aria-label"));
  const own = e => [...e.childNodes].some(node => node.nodeType == Node.TEXT_NODE && node.data.trim());
  return Object.entries({
    "html-has-lang": all("html:not([lang])").map(name),
    "landmark-one-main": all("main").length == 1 ? [] : ["main"],
    "region": all("body *").filter(e => own(e) && !e.closest("header, main, footer, .skip")).map(name),
    "landmark-unique": regions.filter((label, at) => !label || regions.indexOf(label) != at),
    "heading-order": levels.filter((level, at) => level > (levels[at - 1] ?? 0) + 1),
    "nested-interactive": all("summary a, summary button").map(name),
    "link-name": all("a").filter(e => !e.textContent.trim()).map(name),
    "label": all("input").filter(e => !e.labels.length && !e.ariaLabel).map(name),
    "definition-list": all("dl").filter(e => [...e.children].some(c => !["DT", "DD"].includes(c.tagName))).map(name),
    "list": all("ul, ol").filter(e => [...e.children].some(c => c.tagName != "LI")).map(name),
    "scrollable-region-focusable": all(".table").filter(e => e.tabIndex < 0).map(name),
  }).filter(([, found]) => found.length);
}"""


@pytest.mark.browser
@pytest.mark.parametrize("name", [*PAGES, "/simple/", "/simple/triage-model/"])
def test_a_screen_reader_stumbles_over_nothing(
    contexts: dict[bool, BrowserContext], pages: dict[str, str], name: str
) -> None:
    page = contexts[True].new_page()
    page.goto(pages.get(name, name))
    assert page.evaluate(RULES) == []
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/simple/", "/simple/triage-model/", f"/simple/{LONG}/"])
@pytest.mark.parametrize("width", [1280, 320])
def test_the_pages_of_the_index_are_for_people_too(
    contexts: dict[bool, BrowserContext], pages: dict[str, str], path: str, width: int
) -> None:
    """WCAG 2.2: 1.4.10 (no sideways scrolling), 2.5.8 (targets of 24 pixels)."""
    page = contexts[True].new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate("[...document.links].map(a => a.getBoundingClientRect()).map(r => [r.width, r.height])")
    assert all(min(size) >= 24 for size in sizes)
    page.close()


@pytest.mark.browser
def test_a_narrow_screen_shows_the_state_beside_the_name(
    contexts: dict[bool, BrowserContext], pages: dict[str, str]
) -> None:
    page = contexts[True].new_page()
    page.set_viewport_size({"width": 375, "height": 667})
    for path, table in (("/", "OCI repositories"), (pages["held"], "Tags"), (pages["package"], "Files")):
        page.goto(path)
        state = page.get_by_role("region", name=table).locator(".bad").first.bounding_box()
        assert state is not None
        assert state["x"] + state["width"] <= 375
    page.close()


@pytest.mark.browser
def test_long_evidence_is_folded_and_every_heading_says_what_it_is(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["manifest"])
    folded = page.locator("details", has_text="script <script>")
    assert page.locator("details:not([open])").count() >= len(HOSTILE)
    assert folded.count()
    page.locator("details:not([open]) > summary").first.click()
    titles = page.locator("summary h3").all_inner_texts()
    assert len(set(titles)) == len(titles)
    assert page.locator("main").text_content()
    assert "from ," not in (page.locator("main").text_content() or "")
    first = "e => getComputedStyle(e).gridTemplateColumns.split(' ')[0]"
    assert page.evaluate(f"new Set([...document.querySelectorAll('dl')].map({first})).size") == 1


@pytest.mark.browser
def test_a_short_digest_stays_on_one_line(contexts: dict[bool, BrowserContext], pages: dict[str, str]) -> None:
    page = contexts[True].new_page()
    for width in (1280, 375):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(pages["repository"])
        heights = page.evaluate(
            "[...document.querySelectorAll('td code, th code')].map(e => e.getClientRects().length)"
        )
        assert set(heights) == {1}
    page.close()


@pytest.mark.browser
def test_the_keyboard_is_enough(page: Page, shared: ServedRegistry, pages: dict[str, str]) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.wait_for_url("**/#content")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.locator("input[type=search]:focus").count():
            break
        if page.locator("main a:focus").count():  # past the header: begin again
            page.goto("/")
    page.locator("input[type=search]").focus()
    page.keyboard.type("hostile")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=hostile")
    expect(page.locator("h1")).to_have_text("Found for “hostile”")
    expect(page.locator("input[type=search]")).to_have_value("hostile")
    link = page.locator("main a", has_text="acme/hostile")
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/artifacts/oci/acme/hostile")
    expect(page.locator("h1")).to_have_text("acme/hostile")


@pytest.mark.browser
def test_every_link_leads_somewhere(page: Page, shared: ServedRegistry, pages: dict[str, str]) -> None:
    for name in (
        "overview",
        "repository",
        "package",
        "manifest",
        "file",
        "log",
        "entry",
        "old entry",
        "foreign",
        "digits",
    ):
        page.goto(pages[name])
        targets = {a.get_attribute("href") for a in page.locator("main a").all()}
        for target in targets:
            assert target
            answer = shared.nobody.get(target, follow_redirects=True)
            assert answer.status_code == 200, f"{name}: {target}"


@pytest.mark.parametrize("name", ["repository", "package", "manifest", "file", "log", "entry"])
def test_every_time_has_one_form(shared: ServedRegistry, pages: dict[str, str], name: str) -> None:
    text = shared.nobody.get(pages[name]).text
    times = re.findall(r'<time datetime="([^"]*)">([^<]*)</time>', text)
    assert times
    for machine, person in times:
        assert machine == person.replace(" UTC", "Z").replace(" ", "T")
    assert not re.findall(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.sub("<time.*?</time>", "", text))


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_an_entry_of_a_log_has_a_page(shared: ServedRegistry, log: str) -> None:
    text = shared.nobody.get(f"/artifacts/log/{log}/0").text
    body = read_entry(shared.server.instance._connection, log, 0).body
    assert f"Entry 0 of log {log}" in text
    assert leaf_hash(body).hex() in text
    assert json.loads(html.unescape(text.partition("<pre")[2].partition("<code>")[2].partition("</code>")[0])) == (
        json.loads(body)
    )
    assert "a key without a certificate" in text
    for target in re.findall(r'href="(/api/[^"]*)"', text):
        assert shared.nobody.get(html.unescape(target)).status_code == 200


@pytest.mark.parametrize("entry", ["v1/99999", "v2/-1", "v2/x", "v3/0", "ct/0", "v2/0/", "v2/" + "9" * 30, "v2/٣"])
def test_an_entry_that_no_log_has_is_refused_as_a_page(shared: ServedRegistry, entry: str) -> None:
    answer = shared.nobody.get(f"/artifacts/log/{entry}", follow_redirects=True)
    assert answer.status_code == (200 if entry == "v2/0/" else 404)
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_page_asks_again_for_a_credential_that_is_not_good(shared: ServedRegistry) -> None:
    answer = shared.nobody.get("/", auth=("alice", "wrong"))
    assert (answer.status_code, answer.headers["WWW-Authenticate"].partition(" ")[0]) == (401, "Basic")
    assert "Not signed in" in answer.text


def test_a_digest_is_found_by_search(shared: ServedRegistry, pages: dict[str, str]) -> None:
    digest = pages["manifest"].rpartition("/")[2]
    answer = shared.nobody.get("/", params={"q": digest})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/artifacts/{digest}")
    assert shared.nobody.get("/", params={"q": "sha256:abc"}).status_code == 200


@pytest.mark.browser
def test_the_overview_says_what_is_where(page: Page, pages: dict[str, str]) -> None:
    page.goto("/")
    expect(page.locator(".warning")).to_contain_text("Trust it nowhere else")
    row = page.locator("tr", has_text="acme/hostile")
    expect(row).to_contain_text("v1")
    expect(row).to_contain_text("staging")
    held = page.locator("tr", has_text="acme/held")
    expect(held).to_contain_text("quarantined")
    package = page.locator("tr", has_text="triage-model")
    expect(package.first).to_contain_text("1.0.0")


@pytest.mark.browser
def test_a_page_of_evidence_shows_what_the_json_says(page: Page, shared: ServedRegistry, pages: dict[str, str]) -> None:
    page.goto(pages["manifest"])
    document = shared.nobody.get(pages["manifest"].replace("/artifacts/", "/evidence/")).json()
    for heading in ("Places", "Referrers", "Attached evidence", "Channels", "Quarantine", "Events"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.locator("main")).to_contain_text("entry 7 of a log that is not ours")
    assert page.locator("ol > li").count() == len(document["events"])
    assert "<script>window.pwned = 1</script>" in (page.locator("main").text_content() or "")


@pytest.mark.parametrize(
    "path", ["/artifacts/x", "/artifacts/sha256:0", "/artifacts/oci/A", "/artifacts/oci/a/../../x"]
)
def test_what_is_no_page_is_refused_as_a_page(shared: ServedRegistry, path: str) -> None:
    answer = shared.nobody.get(path)
    assert answer.status_code in (400, 404)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_visible_text_is_short_and_has_nothing_invisible(text: str) -> None:
    shown = brief(text)
    assert shown.isprintable()
    assert len(shown) <= MAX_TEXT * 12
    assert brief("v1.0 – naïve 模型") == "v1.0 – naïve 模型"
