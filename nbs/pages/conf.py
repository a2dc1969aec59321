"""Sphinx on what book.py laid out: `make docs`."""

from configparser import ConfigParser
from pathlib import Path

from math_core import LatexError, LatexToMathML
from sphinx.errors import SphinxError

ROOT = Path(__file__).resolve().parents[2]
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]

project, author, release = settings["lib_name"], settings["author"], settings["version"]
project_copyright = settings["copyright"]
language = "en"
highlight_language = "default"
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton", "sphinx.ext.githubpages"]

nb_execution_mode = "off"  # the notebooks are committed as they ran
nb_ipywidgets_js = {}  # the default asks two other hosts for scripts
nb_merge_streams = True
nb_code_prompt_show, nb_code_prompt_hide = "Show the {type}", "Hide the {type}"
nb_mime_priority_overrides = [("html", "text/html", 30)]
myst_enable_extensions = ["dollarmath", "colon_fence", "fieldlist"]
myst_heading_anchors = 3
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
modindex_common_prefix = ["credit_risk."]

html_theme = "sphinx_book_theme"
html_title = "credit-risk"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = ["disk.js"]
templates_path = ["templates"]
html_sidebars = {"**": ["home.html", "search-button-field.html", "sbt-sidebar-nav.html"]}
html_favicon = str(ROOT / "site" / "favicon.svg")
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    "repository_url": settings["git_url"],
    "use_repository_button": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "home_page_in_toc": False,
    "navbar_persistent": [],
    "max_navbar_depth": 1,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_math_renderer = "mathml"

_mathml = LatexToMathML()


def mathml(self, node, display):
    "A formula as MathML, which browsers draw by themselves: no script, no font from another host."
    from docutils import nodes

    try:
        formula = _mathml.convert_with_local_state(node.astext(), displaystyle=display)
    except LatexError as e:
        raise SphinxError(
            f"{node.source}: the formula {node.astext()!r} cannot be drawn: {e}"
        ) from None
    self.body.append(f'<div class="math" tabindex="0">{formula}</div>' if display else formula)
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer(
        "mathml",
        (lambda self, node: mathml(self, node, False), None),
        (lambda self, node: mathml(self, node, True), None),
    )
