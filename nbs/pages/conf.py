"""The configuration of Sphinx, which builds what book.py laid out: `make docs`."""

from configparser import ConfigParser
from pathlib import Path

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.errors import SphinxError

ROOT = Path(__file__).resolve().parents[2]
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]

project = settings["lib_name"]
author = settings["author"]
release = settings["version"]
project_copyright = settings["copyright"]
language = "en"
highlight_language = "default"
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton", "sphinx.ext.githubpages"]

nb_execution_mode = "off"  # the notebooks are committed as they ran
nb_ipywidgets_js = {}  # the default asks two other hosts for scripts
nb_merge_streams = True
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
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


LATEX = LatexToMathML()


def mathml(
    node: nodes.Node,  # a formula in LaTeX
    display: bool,  # whether it stands on a line of its own
) -> str:
    "A formula as MathML, which browsers draw by themselves: no script, no font of another host."
    try:
        return LATEX.convert_with_local_state(node.astext(), displaystyle=display)
    except LatexError as error:
        raise SphinxError(
            f"{node.source}: the formula {node.astext()!r} cannot be drawn: {error}"
        ) from None


def visit_inline(writer, node):
    "Write a formula inside a sentence."
    writer.body.append(mathml(node, display=False))
    raise nodes.SkipNode


def visit_block(writer, node):
    "Write a formula on a line of its own; it can be focused, because a wide one scrolls."
    writer.body.append(f'<div class="math" tabindex="0">{mathml(node, display=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    "Register the renderer that `html_math_renderer` names."
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
