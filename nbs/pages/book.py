"""Lay the sources of the book out in a folder: `python nbs/pages/book.py FOLDER`, in `make docs`.

They are the notebooks, the pages, the reports of the promoted version and the two references.
"""

import inspect
import json
import os
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

import nbformat
from chapters import chapter, linked
from http_reference import http_page
from symbols import one_line, public_names

import api
from api import openapi

ROOT = Path(__file__).resolve().parents[2]
NBS = ROOT / "nbs"
NO_VERSION = """# The reports

> No version was promoted where this book was built: it holds no metrics and no model card.

Below are run notebooks as they are committed, with the outputs that their text describes. \
`credit-risk retrain`, then `make docs`, adds the reports of the promoted version.
"""
REPORT = """# The promoted version

> Version `{version}`, judged on the {n} loans from {split_date} on, which no fit has seen.

{simulated}| out of time | value | 95 % interval |
|---|---|---|
{rows}

The [model card](model_card.md) states what the models are for, and where they are weak. \
The notebooks below were executed by the retraining that made this version.
"""
SIMULATED = """The bank is **simulated**: nobody in it exists. These figures describe no real bank.

"""


# -- pages that are written from what they describe


def _module_of(notebook: Path) -> str | None:
    "The module that a notebook exports."
    for cell in nbformat.read(notebook, 4).cells:
        found = re.search(r"^#\| *default_exp (\w+)", cell.source, re.M)
        if found:
            return found[1]
    return None


def _exported(module) -> dict:
    "The documented functions and classes that a module exports."
    symbols = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return {
        name: symbol
        for name, symbol in symbols.items()
        if (inspect.isclass(symbol) or inspect.isfunction(symbol)) and symbol.__doc__
    }


def _library_section(notebook: Path, name: str) -> list[str]:
    module = import_module(f"credit_risk.{name}")
    lines = [
        f"## credit_risk.{name}",
        "",
        f"{one_line(module.__doc__)} Chapter: [](../{notebook.stem}.ipynb).",
        "",
        "| name | what it is |",
        "|---|---|",
    ]
    for symbol_name, symbol in _exported(module).items():
        link = f"{{py:obj}}`~credit_risk.{name}.{symbol_name}`"
        lines.append(f"| {link} | {one_line(symbol.__doc__)} |")
    return [*lines, ""]


def library_page() -> str:  # Markdown
    "The library's exported names, module by module, in the order of the chapters."
    lines = [
        "# The library",
        "",
        "Every exported name, in the order of the chapters. A name links to its signature, "
        "the meaning of each argument, and its code.",
        "",
    ]
    for notebook in sorted(NBS.glob("[0-9]*.ipynb")):
        name = _module_of(notebook)
        if name:
            lines += _library_section(notebook, name)
    return "\n".join(lines)


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def _interval(part: dict, name: str) -> str:
    low = part.get(f"{name}_low")
    high = part.get(f"{name}_high")
    return f"{_number(low)} to {_number(high)}"


def report_page(
    folder: Path,  # of a version
) -> str:  # Markdown
    "What a version reached out of time, from its metrics."
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    scorer = metrics["scorer"]
    anomaly = metrics["anomaly"]
    rows = [
        ("discrimination, AUC", _number(scorer.get("auc")), _interval(scorer, "auc")),
        ("Gini", _number(scorer.get("gini")), ""),
        ("Kolmogorov-Smirnov", _number(scorer.get("ks")), ""),
        ("Brier score", _number(scorer.get("brier"), ".4f"), ""),
        ("calibration error", _number(scorer.get("ece"), ".4f"), ""),
        ("alert rate", _number(anomaly.get("alert_rate")), _interval(anomaly, "alert_rate")),
    ]
    return REPORT.format(
        version=folder.name,
        n=scorer["n"],
        split_date=metrics.get("split_date"),
        simulated=SIMULATED if scorer.get("oracle") else "",
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows),
    )


# -- the folder


def _copy_pages(folder: Path, names: dict[str, list[str]]) -> None:
    kept_out = shutil.ignore_patterns("*.py", "static", "__pycache__")
    shutil.copytree(NBS / "pages", folder, ignore=kept_out)
    shutil.copytree(NBS / "images", folder / "images")
    shutil.copy(ROOT / "api" / "nginx.conf.sample", folder / "howto")
    for page in folder.rglob("*.md"):
        page.write_text(linked(page.read_text("utf-8"), names), "utf-8")


def _write_references(folder: Path) -> None:
    folder.mkdir()
    (folder / "library.md").write_text(library_page(), "utf-8")
    document = json.loads(openapi.document(*(module.PATHS for module in api.ROUTES)))
    (folder / "http.md").write_text(http_page(document), "utf-8")


def _write_chapters(folder: Path, names: dict[str, list[str]]) -> None:
    for path in sorted(NBS.glob("[0-9]*.ipynb")):
        nbformat.write(chapter(path, names), folder / path.name)
    nbformat.write(chapter(NBS / "index.ipynb", names), folder / "start.ipynb")


def _promoted() -> Path | None:
    "The folder of the promoted version."
    store = Path(os.environ.get("CREDIT_RISK_ARTIFACTS") or ROOT / "artifacts")
    current = store / "current"
    return store / current.read_text("utf-8").strip() if current.exists() else None


def _has_outputs(path: Path) -> bool:
    cells = nbformat.read(path, 4).cells
    return any(cell.get("outputs") for cell in cells)


def _write_reports(folder: Path, names: dict[str, list[str]]) -> None:
    "The runs of the promoted version in place of the committed ones; without outputs, none."
    folder.mkdir()
    runs = {path.name: path for path in sorted((NBS / "runs").glob("*.ipynb"))}
    version = _promoted()
    if version:
        runs |= {path.name: path for path in (version / "runs").glob("*.ipynb")}
        shutil.copy(version / "model_card.md", folder)
    page = report_page(version) if version else NO_VERSION
    (folder / "index.md").write_text(page, "utf-8")
    for name, path in runs.items():
        if _has_outputs(path):
            nbformat.write(chapter(path, names, folded=True), folder / name)


def spell_patterns_out(
    page: Path,  # of the book, with tables of contents
    folder: Path,  # that their patterns are relative to
) -> None:
    """Replace each pattern of a table of contents by the pages that it matches and no other lists.

    Sphinx warns of a pattern that matches nothing, and a report may not be there."""
    listed = set()

    def entries(match):
        found = [path for path in sorted(folder.glob(match[0])) if path.suffix in (".md", ".ipynb")]
        names = [str(path.relative_to(folder).with_suffix("")) for path in found]
        new = [name for name in names if name not in listed]
        listed.update(new)
        return "\n".join(new)

    text = page.read_text("utf-8")
    page.write_text(re.sub(r"^\S*\*$", entries, text, flags=re.M), "utf-8")


def lay_out(folder: Path) -> None:
    "Write the sources of the book into a folder, in place of what is there."
    shutil.rmtree(folder, ignore_errors=True)
    names = public_names()
    _copy_pages(folder, names)
    _write_references(folder / "reference")
    _write_chapters(folder, names)
    _write_reports(folder / "reports", names)
    spell_patterns_out(folder / "index.md", folder)


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    lay_out(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_proc" / "pages"))
