"""The page in a real browser (Debian's Chromium), one for the run.

Fixtures: `browser`, and `open_page`, which opens the page. At the end it fails where a script or
the console reported an error, or where anything was asked of another host.
"""

import shutil

import pytest
from playwright.sync_api import expect, sync_playwright
from service import KEY

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


MISSING = (
    "Chromium was not found: the page is tested in a real browser. "
    "Install it with `apt-get install chromium`, then run `make test` again"
)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    "Debian's Chromium, found where its package puts it."
    paths = [shutil.which(name) for name in PROGRAMS]
    path = next((path for path in paths if path), None)
    if path is None:
        pytest.fail(MISSING)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


class Watch:
    "What a page may not do: fail in a script, report to the console, or ask another host."

    def __init__(self, page, url, expected):
        self.url = url
        self.expected = expected  # texts of the console that the test provokes
        self.seen = []
        page.on("pageerror", lambda error: self.seen.append(f"script: {error}"))
        page.on("console", self.console)
        page.on("request", self.request)

    def console(self, message):
        is_expected = any(text in message.text for text in self.expected)
        if message.type in ("error", "warning") and not is_expected:
            self.seen.append(f"console: {message.text}")

    def request(self, request):
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.seen.append(f"foreign request: {request.url}")


@pytest.fixture
def open_page(browser, service):
    "A function that opens the page, and watches it to the end of the test."
    contexts, watches = [], []

    def opened(key=KEY, locale="en-GB", viewport=WIDE, expected=(), path="", **options):
        context = browser.new_context(locale=locale, viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        watches.append(Watch(page, service.url, expected))
        page.goto(service.url + path + (f"#key={key}" if key else ""))
        expect(page.locator("#demande-montant, #notice:not([hidden])").first).to_be_visible()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [problem for watch in watches for problem in watch.seen] == []
