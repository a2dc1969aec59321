"""The page in a real browser (Debian's Chromium), one for the run.

Fixtures: `browser`, and `open_page`, which opens the page and at the end holds it to silence: no script error, no console error, no request to another host.
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


@pytest.fixture(scope="session")
def browser():
    "Debian's Chromium, found where its package puts it."
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if path is None:
        pytest.fail(
            "Chromium was not found: the page is tested in a real browser. Install it with `apt-get install chromium`, then run `make test` again"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, service):
    "A function that opens the page; at the end, no script error, no console error and no request to another host must have been seen."
    contexts, seen = [], []

    def opened(key=KEY, locale="en-GB", viewport=WIDE, expected=(), path="", **options):
        context = browser.new_context(locale=locale, viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: seen.append(f"script: {error}"))
        page.on(
            "console",
            lambda m: (
                m.type in ("error", "warning")
                and not any(
                    f"status of {status}" in m.text or status in m.text for status in expected
                )
                and seen.append(f"console: {m.text}")
            ),
        )
        page.on(
            "request",
            lambda r: (
                r.url.startswith((service.url, "data:", "blob:"))
                or seen.append(f"foreign request: {r.url}")
            ),
        )
        page.goto(service.url + path + (f"#key={key}" if key else ""))
        expect(page.locator("#demande-montant, #notice:not([hidden])").first).to_be_visible()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen == [], seen
