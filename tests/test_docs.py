"""The book: built by the command that the README names, then read in a real browser, from disk, with the network cut."""

import subprocess
import threading
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NARROW, WIDE
from playwright.sync_api import expect
from service import ROOT, environment

from api.middleware import CSP_DOCS

SAMPLE = (
    "index.html",
    "18_additive.html",
    "reference/http.html",
    "howto/decision.html",
    "reports/eda.html",
    "search.html",
)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    "The book of a clean clone: no version is promoted, and no database is there."
    folder = tmp_path_factory.mktemp("book")
    before = subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True).stdout
    built = subprocess.run(
        ["make", "-s", "docs", f"DOCS={folder / 'site'}", f"PROC={folder / 'laid'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(
            folder,
            CREDIT_RISK_DATABASE_URL=f"sqlite:///{folder}/none/bank.db",
            MAKEFLAGS=None,
            MAKELEVEL=None,
        ),
    )
    assert built.returncode == 0, built.stderr
    assert (
        subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True).stdout == before
    )
    return folder / "site"


@pytest.fixture
def open_book(browser, book):
    "A function that opens a page of the book from disk; nothing may be asked of the network, and no script may fail."
    contexts, seen = [], []

    def opened(name, viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda r: (
                r.url.startswith(("file:", "data:")) or seen.append(f"foreign request: {r.url}")
            ),
        )
        page.on("pageerror", lambda e: seen.append(f"script: {e}"))
        page.goto(f"file://{book}/{name}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen == []


class Page(HTMLParser):
    "The places of a page that can be linked to, and what it links to or loads."

    def __init__(self, text):
        super().__init__()
        self.places, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.places |= {attributes[name] for name in ("id", "name") if name in attributes}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag == "link" and attributes.get("rel") in ("stylesheet", "icon", "preload", "search"):
            self.loads.append(attributes.get("href"))
        elif attributes.get("src"):
            self.loads.append(attributes["src"])


def test_every_link_resolves_and_nothing_is_loaded_from_elsewhere(book):
    pages = {
        p: Page(p.read_text("utf-8")) for p in book.rglob("*.html") if "_static" not in p.parts
    }
    assert len(pages) > 30
    broken, checked = [], 0
    for path, page in pages.items():
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if address in page.loads and parts.scheme != "data":
                    broken.append(f"{path.name} loads {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            checked += 1
            if not target.is_file():
                broken.append(f"{path.name}: {address} is not there")
            elif (
                parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].places
            ):
                broken.append(f"{path.name}: {address} has no such place")
    assert broken == [] and checked > 1000


def test_the_chapters_are_in_order_and_document_what_they_export(open_book):
    page = open_book("start.html")
    chapters = page.locator(".bd-sidebar-primary a.reference").evaluate_all(
        "links => links.map(a => a.getAttribute('href'))"
    )
    assert [c for c in chapters if c[0].isdigit()] == [
        f"{p.stem}.html" for p in sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
    ]
    page = open_book("27_scorer.html")
    entry = page.locator("dt[id='credit_risk.scorer.CreditScorer.predict_proba']")
    expect(entry).to_be_visible()
    assert "X" in entry.inner_text()
    source = page.locator("details.hide").first
    expect(source.locator("pre").first).to_be_hidden()
    source.locator("summary").click()
    expect(source.locator("pre").first).to_be_visible()


def test_formulas_are_drawn(open_book):
    page = open_book("18_additive.html")
    formula = page.locator("math[display=block]").first
    expect(formula).to_be_visible()
    box = formula.locator("munder, msub").first.bounding_box()
    assert (
        box["width"] > 5
        and box["height"] > 5
        and not page.get_by_text("\\sum", exact=False).count()
    )


@pytest.mark.parametrize(
    "word, name",
    [
        ("calibration", "27_scorer.html"),
        ("CreditScorer", "27_scorer.html"),
        ("tampering", "start.html"),
    ],
)
def test_the_search_finds(open_book, word, name):
    page = open_book(f"search.html?q={word}")
    expect(page.locator(f"#search-results a[href^='{name}']").first).to_be_visible()


@contextmanager
def served(folder):
    "A web server of one folder under /docs/, which sends the policy of the service."

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path):
            return str(folder) + super().translate_path(path).removeprefix(
                self.directory
            ).removeprefix("/docs")

        def end_headers(self):
            self.send_header("Content-Security-Policy", CSP_DOCS)
            super().end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/docs/"
        server.shutdown()


def test_under_the_policy_of_the_service_the_search_shows_its_findings(browser, book):
    seen, context = [], browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.on("console", lambda m: m.type in ("error", "warning") and seen.append(m.text))
    with served(book) as address:
        page.on(
            "request",
            lambda r: (
                r.url.startswith((address, "data:")) or seen.append(f"foreign request: {r.url}")
            ),
        )
        page.goto(f"{address}search.html?q=calibration")
        expect(page.locator("#search-results p.context").first).to_contain_text(
            "calibration", ignore_case=True
        )
        page.locator("#search-results a").first.click()
        expect(page.locator("article h1").last).to_be_visible()
        page.locator("button.theme-switch-button:visible").first.click()
        page.locator("button.theme-change-button[data-mode=dark]:visible").first.click()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        context.close()
    assert seen == []


@pytest.mark.parametrize("scheme, viewport", [("light", WIDE), ("dark", NARROW)])
@pytest.mark.parametrize("name", SAMPLE)
def test_axe_finds_nothing_and_no_page_scrolls_sideways(open_book, name, scheme, viewport):
    page = open_book(name, viewport, color_scheme=scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
