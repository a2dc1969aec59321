"""The documents: the README, the form of the notebooks, and the book in a real browser.

The book is built by the command that the README names. Its pages are opened from disk, without a
network.
"""

import ast
import json
import re
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NARROW, WIDE
from playwright.sync_api import expect
from service import ROOT, environment

from api.middleware import CSP_DOCS

CHAPTERS = sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
RUNS = sorted((ROOT / "nbs" / "runs").glob("*.ipynb"))
SAMPLE = (
    "index.html",
    "19_additive.html",
    "reference/http.html",
    "howto/decision.html",
    "reports/eda.html",
    "search.html",
)
LOADED = ("stylesheet", "icon", "preload", "search")  # links that a browser follows by itself


# -- the README


@dataclass(frozen=True)
class Group:
    "A row of the README's map, or a table of contents of the book."

    title: str  # in lower case
    chapters: list[str]  # names of notebooks, without their suffix


def readme_groups() -> list[Group]:
    "The chapters as the README's map numbers and names them."
    text = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d\d)(?:–(\d\d))? \| (.+?) \| (.+?) \|$", text, re.M)
    groups = []
    for first, last, title, modules in rows:
        numbers = range(int(first), int(last or first) + 1)
        pairs = zip(numbers, modules.split(", "), strict=True)
        groups.append(Group(title, [f"{number:02}_{module}" for number, module in pairs]))
    return groups


def book_groups() -> list[Group]:
    "The chapters as the tables of contents of the book group them."
    text = (ROOT / "nbs" / "pages" / "index.md").read_text("utf-8")
    tables = re.findall(r"^:caption: ([^\n]+)\n:hidden:\n\n(.+?)^```$", text, re.M | re.S)
    groups = [Group(title.lower(), entries.split()) for title, entries in tables]
    return [group for group in groups if group.chapters[0][0].isdigit()]


def test_the_map_of_the_readme_lists_every_chapter_in_order():
    listed = [chapter for group in readme_groups() for chapter in group.chapters]
    assert listed == [path.stem for path in CHAPTERS]


def test_the_readme_and_the_book_group_the_chapters_alike():
    def plain(groups):
        return [(group.title.removeprefix("the "), group.chapters) for group in groups]

    assert plain(readme_groups()) == plain(book_groups())


def test_the_map_of_the_readme_names_folders_that_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    folders = re.findall(r"^\| `([a-z_/]+/)` \|", text, re.M)
    assert len(folders) > 5
    assert [name for name in folders if not (ROOT / name).is_dir()] == []


def test_the_readme_names_every_setting_of_the_service_and_no_other():
    readers = [*(ROOT / "api").glob("*.py"), ROOT / "credit_risk" / "database.py"]
    read = {name for path in readers for name in settings_in(path)}
    assert settings_in(ROOT / "README.md") == read


def settings_in(path: Path) -> set[str]:
    "The variables of the environment that a text names."
    return set(re.findall(r"CREDIT_RISK_[A-Z_]+", path.read_text("utf-8")))


# -- the form of the notebooks


def cells(path: Path, kind: str) -> list[dict]:
    "The cells of one kind of a notebook."
    every = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in every if cell["cell_type"] == kind]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def exported(path: Path) -> list[str]:
    "The cells that a notebook exports."
    sources = [source(cell) for cell in cells(path, "code")]
    return [text for text in sources if re.search(r"^#\| *exports?\b", text, re.M)]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_opens_with_a_title_and_a_sentence(path):
    assert re.match(r"# .+\n\n> .+", source(cells(path, "markdown")[0]))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_exported_imports_have_cells_of_their_own(path):
    for text in exported(path):
        is_import = [isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(text).body]
        guarded = "if TYPE_CHECKING:" in text
        assert all(is_import) or not any(is_import) or guarded


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_run_notebook_has_one_cell_of_parameters(path):
    tags = [cell["metadata"].get("tags", []) for cell in cells(path, "code")]
    assert sum("parameters" in of_cell for of_cell in tags) == 1


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_a_run_notebook_exports_nothing(path):
    assert exported(path) == []


# -- the book


@dataclass(frozen=True)
class Book:
    "The book of a clean clone: no version is promoted, and no database is there."

    folder: Path
    before: bytes  # state of the repository, as git tells it
    after: bytes

    def pages(self) -> dict[Path, "Page"]:
        paths = [path for path in self.folder.rglob("*.html") if "_static" not in path.parts]
        return {path: Page(path.read_text("utf-8")) for path in paths}


class Page(HTMLParser):
    "The places of a page that can be linked to, and what it links to or loads."

    def __init__(self, text):
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.places |= {attributes[name] for name in ("id", "name") if name in attributes}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        elif tag == "link" and attributes.get("rel") in LOADED:
            self.loads.append(attributes.get("href"))
        elif attributes.get("src"):
            self.loads.append(attributes["src"])


def repository_state() -> bytes:
    return subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Book:
    "The book, built once."
    folder = tmp_path_factory.mktemp("book")
    before = repository_state()
    make = subprocess.run(
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
    assert make.returncode == 0, make.stderr
    return Book(folder / "site", before, repository_state())


@pytest.fixture
def open_book(browser, built):
    "A function that opens a page from disk; fails if a script fails or the network is asked."
    contexts = []
    seen = []

    def see_request(request):
        if not request.url.startswith(("file:", "data:")):
            seen.append(f"foreign request: {request.url}")

    def opened(name, viewport=WIDE, **options):
        context = browser.new_context(viewport=viewport, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", see_request)
        page.on("pageerror", lambda error: seen.append(f"script: {error}"))
        page.goto(f"file://{built.folder}/{name}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen == []


def test_building_the_book_changes_no_file_of_the_repository(built):
    assert built.after == built.before


def problem_of(address: str, path: Path, pages: dict[Path, Page]) -> str | None:
    "Why an address of the book leads nowhere; None if it leads somewhere or elsewhere."
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"{path.name}: {address} is not there"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
        return f"{path.name}: {address} has no such place"
    return None


def test_every_link_of_the_book_leads_somewhere(built):
    pages = built.pages()
    found = [
        problem_of(address, path, pages)
        for path, page in pages.items()
        for address in [*page.links, *page.loads]
    ]
    assert len(pages) > 30
    assert len(found) > 1000
    assert [problem for problem in found if problem] == []


def test_no_page_of_the_book_loads_anything_from_elsewhere(built):
    elsewhere = []
    for path, page in built.pages().items():
        for address in page.loads:
            parts = urlsplit(address)
            if parts.netloc or parts.scheme not in ("", "data"):
                elsewhere.append(f"{path.name} loads {address}")
    assert elsewhere == []


def test_the_chapters_of_the_book_are_in_order(open_book):
    page = open_book("start.html")
    links = page.locator(".bd-sidebar-primary a.reference").evaluate_all(
        "links => links.map(a => a.getAttribute('href'))"
    )
    chapters = [link for link in links if link[0].isdigit()]
    assert chapters == [f"{path.stem}.html" for path in CHAPTERS]


def test_a_chapter_documents_what_it_exports(open_book):
    page = open_book("28_scorer.html")
    entry = page.locator("dt[id='credit_risk.scorer.CreditScorer.predict_proba']")
    expect(entry).to_be_visible()
    assert "X" in entry.inner_text()


def test_exported_source_is_folded_and_opens_on_a_click(open_book):
    page = open_book("28_scorer.html")
    folded = page.locator("details.hide").first
    expect(folded.locator("pre").first).to_be_hidden()
    folded.locator("summary").click()
    expect(folded.locator("pre").first).to_be_visible()


def test_formulas_are_drawn(open_book):
    page = open_book("19_additive.html")
    formula = page.locator("math[display=block]").first
    expect(formula).to_be_visible()
    box = formula.locator("munder, msub").first.bounding_box()
    assert box["width"] > 5
    assert box["height"] > 5
    assert page.get_by_text("\\sum", exact=False).count() == 0


@pytest.mark.parametrize(
    "word, name",
    [
        ("calibration", "28_scorer.html"),
        ("CreditScorer", "28_scorer.html"),
        ("scorecard", "start.html"),
    ],
)
def test_the_search_finds(open_book, word, name):
    page = open_book(f"search.html?q={word}")
    expect(page.locator(f"#search-results a[href^='{name}']").first).to_be_visible()


@contextmanager
def served(folder: Path):
    "A web server of one folder under /docs/, which sends the policy of the service."

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path):
            below = super().translate_path(path).removeprefix(self.directory)
            return str(folder) + below.removeprefix("/docs")

        def end_headers(self):
            self.send_header("Content-Security-Policy", CSP_DOCS)
            super().end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/docs/"
        server.shutdown()


@pytest.fixture
def served_page(browser, built):
    "The search under the policy of the service; fails if the console warns or a host is asked."
    seen = []

    def see_message(message):
        if message.type in ("error", "warning"):
            seen.append(message.text)

    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.on("console", see_message)
    with served(built.folder) as address:

        def see_request(request):
            if not request.url.startswith((address, "data:")):
                seen.append(f"foreign request: {request.url}")

        page.on("request", see_request)
        page.goto(f"{address}search.html?q=calibration")
        yield page
        context.close()
    assert seen == []


def test_under_the_policy_of_the_service_the_search_shows_what_it_finds(served_page):
    context = served_page.locator("#search-results p.context").first
    expect(context).to_contain_text("calibration", ignore_case=True)
    served_page.locator("#search-results a").first.click()
    expect(served_page.locator("article h1").last).to_be_visible()


def test_under_the_policy_of_the_service_a_reader_can_choose_the_dark_scheme(served_page):
    served_page.locator("button.theme-switch-button:visible").first.click()
    served_page.locator("button.theme-change-button[data-mode=dark]:visible").first.click()
    assert served_page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("scheme, viewport", [("light", WIDE), ("dark", NARROW)])
@pytest.mark.parametrize("name", SAMPLE)
def test_axe_finds_nothing(open_book, name, scheme, viewport):
    page = open_book(name, viewport, color_scheme=scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", SAMPLE)
def test_no_page_scrolls_sideways(open_book, name, viewport):
    page = open_book(name, viewport)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
