"""Notebooks as the book shows them: as nbdev's processors leave them, documented and linked."""

import ast
import re
import textwrap
from importlib import import_module
from pathlib import Path

import nbformat
from nbdev.process import NBProcessor, Processor
from nbdev.processors import clean_magics, hide_, hide_line, rm_header_dash, strip_ansi
from symbols import directive

SHORT = 15  # lines of exported code that are shown open; more are folded away
ALTERNATIVE = 220  # characters of a figure's text alternative, at most
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
KEPT = ("cell_type", "source", "metadata", "outputs", "execution_count")  # of a cell
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3"},
    "language_info": {"name": "python"},
}


# -- cells


def new_markdown(text: str):
    "A Markdown cell that the book adds; `add_alternatives` does not take its words."
    cell = nbformat.v4.new_markdown_cell(text)
    return nbformat.from_dict({**cell, "made": True})


def tag(cell, name: str) -> None:
    "Add a tag to a cell, once."
    tags = cell.metadata.get("tags", [])
    if name not in tags:
        cell.metadata["tags"] = [*tags, name]


def _public_definitions(body: list[ast.stmt]) -> list[str]:
    "The public functions and classes that a cell defines."
    names = [node.name for node in body if isinstance(node, DEFINITIONS)]
    return [name for name in names if not name.startswith("_")]


class Directives(Processor):
    "Exported cells become documentation with their source folded below; hidden cells go."

    def begin(self):
        self.module = None
        cells = []
        for cell in self.nb.cells:
            cells += self._shown(cell) if cell.cell_type == "code" else [cell]
        if self.module and cells:
            cells.insert(1, new_markdown(f"```{{py:module}} credit_risk.{self.module}\n```"))
        self.nb.cells = cells

    def _shown(self, cell) -> list:
        "What the book shows of a code cell."
        directives = getattr(cell, "directives_", {})
        cell.source = re.sub(r"^(#\|.*\n?)+", "", cell.source).strip("\n")
        if "default_exp" in directives:
            self.module = directives["default_exp"][0]
            return []
        if "hide" in directives or "nbdev_export()" in cell.source:
            return []
        if "export" in directives or "exports" in directives:
            return self._documented(cell)
        return [cell]

    def _documented(self, cell) -> list:
        "The documentation of what a cell exports, then its source."
        body = ast.parse(cell.source).body
        if all(isinstance(node, IMPORTS) for node in body):
            return []
        module = import_module(f"credit_risk.{self.module}")
        names = _public_definitions(body)
        if names or len(cell.source.splitlines()) > SHORT:
            tag(cell, "hide-input")
        entries = [directive(getattr(module, name), name) for name in names]
        return [*map(new_markdown, entries), cell]


# -- links


def _module_of(name: str, names: dict[str, list[str]], own: str | None) -> str | None:
    "The module that a name means: the chapter's own, or the only one that exports it."
    modules = names.get(name, [])
    if own in modules:
        return own
    return modules[0] if len(modules) == 1 else None


def linked(
    text: str,  # Markdown
    names: dict[str, list[str]],  # from `public_names`
    own: str | None = None,  # module of the chapter
) -> str:
    "Turn names of the library in backticks into links to their documentation."

    def link(match):
        name = match[1].removesuffix("()")
        module = _module_of(name, names, own)
        return f"{{py:obj}}`~credit_risk.{module}.{name}`" if module else match[0]

    fixed = r"(^```.*?^```|^ {4}.*$|^#.*$|\[[^\]]*\]\([^)]*\))"  # code, headings, links
    parts = re.split(fixed, text, flags=re.M | re.S)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"(?<![`\w}])`([A-Za-z_]\w*(?:\(\))?)`(?!`)", link, parts[i])
    return "".join(parts)


def relinked(
    text: str,  # Markdown of a notebook
) -> str:
    "Links as the book is laid out: to reports for runs, and the name alone for other files."

    def named(match):
        words, target = match[1], match[2]
        return f"`{target}`" if words.strip("`") == target else f"{words} (`{target}`)"

    text = re.sub(r"\]\(runs/(\w+\.ipynb)", r"](reports/\1", text)
    file_link = r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#|\S*\.ipynb)([^)\s]+)\)"
    return re.sub(file_link, named, text)


# -- figures and tables


def _last_paragraph(markdown: str) -> str:
    "The last paragraph of prose, headings, tables and code aside."
    without_titles = re.sub(r"^[#>].*$", "", markdown, flags=re.M)
    paragraphs = re.split(r"\n\s*\n", without_titles)
    prose = [p for p in paragraphs if p.strip() and not p.startswith(("    ", "|", "```"))]
    return prose[-1] if prose else ""


def _is_figure(cell) -> bool:
    outputs = cell.get("outputs", ())
    return any("image/png" in output.get("data", {}) for output in outputs)


def add_alternatives(cells: list) -> None:
    """Give each figure the words before it as its text alternative.

    The notebook cannot hold it: of the metadata of a cell, nbdev keeps the tags only."""
    words = ""
    for cell in cells:
        if cell.cell_type == "markdown" and not cell.get("made"):
            paragraph = " ".join((_last_paragraph(cell.source) or words).split())
            words = re.sub(r"[`*$\[\]{}\\]|\(http[^)]*\)", "", paragraph)
        elif _is_figure(cell):
            alternative = textwrap.shorten(words, ALTERNATIVE, placeholder=" …")
            cell.metadata["mystnb"] = {"image": {"alt": "Figure: " + alternative}}


def _clear_empty_headers(cell) -> None:
    "The corner of a table of pandas heads nothing: a cell, not a header, for a screen reader."
    for output in cell.get("outputs", ()):
        html = output.get("data", {}).get("text/html")
        if html:
            cleared = re.sub(r"<th( [^>]*)?>(&nbsp;|\s)*</th>", "<td></td>", "".join(html))
            output["data"]["text/html"] = cleared


# -- a chapter


def _processed(path: Path) -> tuple[list, str | None]:
    "The cells of a notebook after nbdev's processors, and the module that it exports."
    steps = [hide_line, strip_ansi, rm_header_dash, hide_, clean_magics, Directives]
    processor = NBProcessor(path, procs=steps)
    processor.process()
    cells = [cell for cell in processor.nb.cells if cell.get("source") is not None]
    cells = [cell for cell in cells if cell.source.strip() or cell.get("outputs")]
    module = next(step.module for step in processor.procs if isinstance(step, Directives))
    return cells, module


def chapter(
    path: Path,  # a notebook
    names: dict[str, list[str]],  # from `public_names`
    folded: bool = False,  # whether all code is folded, as in a report
) -> nbformat.NotebookNode:
    "A notebook as the book shows it."
    cells, module = _processed(path)
    add_alternatives(cells)
    kept = []
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            cell.source = linked(relinked(cell.source), names, module)
        else:
            _clear_empty_headers(cell)
            if folded:
                tag(cell, "hide-input")
        known = {key: cell[key] for key in KEPT if key in cell}
        kept.append(nbformat.from_dict(known | {"id": str(i)}))
    return nbformat.v4.new_notebook(cells=kept, metadata=METADATA)
