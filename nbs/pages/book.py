"""Lay the sources of the book out in a folder (`_proc/pages`): notebooks as nbdev's processors leave them, the pages, the reports of the promoted version, the HTTP reference."""

import ast
import inspect
import json
import os
import re
import shutil
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import nbformat
from fastcore.docments import ShowDocRenderer, docments
from nbdev.process import NBProcessor, Processor
from nbdev.processors import clean_magics, hide_, hide_line, rm_header_dash, strip_ansi
from nbdev.showdoc import show_doc

import api
from api import openapi

ROOT = Path(__file__).resolve().parents[2]
NBS = ROOT / "nbs"
NO_VERSION = """# The reports

> No version was promoted where this book was made: its metrics and its model card are not in it.

What follows are run notebooks as they are committed, with the outputs of the run that their own words describe. `credit-risk retrain`, then `make docs`, adds the reports of the version.
"""
SHORT = 15  # lines of exported code that are shown open; more are folded away
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


# -- the library: show_doc, rendered in Sphinx's Python domain so that names can be linked and searched


def public_names():
    "Every name that the library exports: its modules, without the prefix of the package."
    modules = {}
    for path in sorted((ROOT / "credit_risk").glob("[a-z]*.py")):
        for name in getattr(import_module(f"credit_risk.{path.stem}"), "__all__", ()):
            modules.setdefault(name, []).append(path.stem)
    return modules


def signature(symbol) -> str:
    "The arguments as they are written, which reads better than the values that they stand for."
    try:
        node = ast.parse(textwrap.dedent(inspect.getsource(symbol))).body[0]
    except (OSError, TypeError, SyntaxError):
        return ""
    if isinstance(node, ast.ClassDef):
        init = next(
            (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None
        )
        if init is None:
            return ""
        node, args = init, init.args
    else:
        args = node.args
    for kind in (args.posonlyargs, args.args):
        if kind and kind[0].arg in ("self", "cls"):
            del kind[0]
    return f"({ast.unparse(args)})" + (
        f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    )


def one_line(text) -> str:
    "A docment or docstring as one line of Markdown, in which `*args` is no emphasis."
    return re.sub(
        r"(`[^`]*`)|([*_<|])", lambda m: m[1] or "\\" + m[2], " ".join((text or "").split())
    )


class PythonDomain(ShowDocRenderer):
    "What show_doc knows of a symbol, as a directive of Sphinx's Python domain."

    def _repr_markdown_(self):
        kind = "class" if inspect.isclass(self.sym) else "method" if "." in self.nm else "function"
        lines = [
            f"{{py:{kind}}} {self.nm}{signature(self.sym)}",
            "",
            one_line(inspect.cleandoc(self.sym.__doc__ or "")),
            "",
        ]
        known = (
            docments(self.sym, full=True)
            if kind != "class"
            or "__init__" in vars(self.sym)
            or hasattr(self.sym, "__dataclass_fields__")
            else {}
        )
        for name, facts in known.items():
            if facts.get("docment"):
                lines.append(
                    (":returns:" if name == "return" else f":param {name}:")
                    + f" {one_line(facts['docment'])}"
                )
        return lines

    def directive(self, fence="::::"):
        lines = self._repr_markdown_()
        for name, member in vars(self.sym).items() if inspect.isclass(self.sym) else ():
            function = getattr(member, "__func__", member)
            if not name.startswith("_") and inspect.isfunction(function) and function.__doc__:
                inner = show_doc(
                    function, renderer=PythonDomain, name=f"{self.nm}.{name}"
                ).directive(":::")
                lines += ["", re.sub(r"^:::\{py:method\} \w+\.", ":::{py:method} ", inner)]
        return "\n".join([f"{fence}{lines[0]}", *lines[1:], fence])


# -- nbdev's processors; show_doc reads the installed library, so that no cell has to run (the last of them do the book's own part)


class Directives(Processor):
    "Exported cells become documentation with their source folded below; hidden ones go."

    def begin(self):
        cells, self.module, out = self.nb.cells, None, []
        for cell in cells:
            directives = getattr(cell, "directives_", {}) if cell.cell_type == "code" else {}
            cell.source = (
                re.sub(r"^(#\|.*\n?)+", "", cell.source).strip("\n")
                if cell.cell_type == "code"
                else cell.source
            )
            if "default_exp" in directives:
                self.module = directives["default_exp"][0]
            if (
                not {"hide", "default_exp"} & directives.keys()
                and "nbdev_export()" not in cell.source
            ):
                out += (
                    self.documented(cell) if directives.keys() & {"export", "exports"} else [cell]
                )
        if self.module and out:
            out.insert(1, new_markdown(f"```{{py:module}} credit_risk.{self.module}\n```"))
        self.nb.cells = out

    def documented(self, cell):
        body = ast.parse(cell.source).body
        if all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in body):
            return []
        module = import_module(f"credit_risk.{self.module}")
        names = [n.name for n in body if isinstance(n, DEFINITIONS) and not n.name.startswith("_")]
        if names or len(cell.source.splitlines()) > SHORT:
            tag(cell, "hide-input")
        return [
            new_markdown(
                show_doc(getattr(module, name), renderer=PythonDomain, name=name).directive()
            )
            for name in names
        ] + [cell]


def new_markdown(text):
    cell = nbformat.v4.new_markdown_cell(text)
    return nbformat.from_dict({**cell, "made": True})  # `described` passes over it


def tag(cell, name):
    cell.metadata.setdefault("tags", [])
    if name not in cell.metadata["tags"]:
        cell.metadata["tags"] = [*cell.metadata["tags"], name]


def linked(text, names, own=None) -> str:
    "Names of the library in backticks, as links to their documentation. What several modules export means this one's, or is left alone."

    def link(match):
        name = match[1].removesuffix("()")
        modules = names.get(name, [])
        module = own if own in modules else modules[0] if len(modules) == 1 else None
        return f"{{py:obj}}`~credit_risk.{module}.{name}`" if module else match[0]

    parts = re.split(r"(^```.*?^```|^ {4}.*$|^#.*$|\[[^\]]*\]\([^)]*\))", text, flags=re.M | re.S)
    return "".join(
        part if i % 2 else re.sub(r"(?<![`\w}])`([A-Za-z_]\w*(?:\(\))?)`(?!`)", link, part)
        for i, part in enumerate(parts)
    )


def relinked(text) -> str:
    "Links as the book is laid out: executed runs are reports, and a file of the repository is not in it, so its name must do."
    text = re.sub(r"\]\(runs/(\w+\.ipynb)", r"](reports/\1", text)
    return re.sub(
        r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#|\S*\.ipynb)([^)\s]+)\)",
        lambda m: f"`{m[2]}`" if m[1].strip("`") == m[2] else f"{m[1]} (`{m[2]}`)",
        text,
    )


def described(cells):
    "Each figure gets the words before it as its text alternative: the cell metadata allows tags only, so the notebook cannot say it itself."
    words = ""
    for cell in cells:
        if cell.cell_type == "markdown" and not cell.get("made"):
            prose = [
                p
                for p in re.split(r"\n\s*\n", re.sub(r"^[#>].*$", "", cell.source, flags=re.M))
                if p.strip() and not p.startswith(("    ", "|", "```"))
            ]
            words = re.sub(
                r"[`*$\[\]{}\\]|\(http[^)]*\)", "", " ".join((prose or [words])[-1].split())
            )
        elif any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())):
            cell.metadata["mystnb"] = {
                "image": {"alt": "Figure: " + textwrap.shorten(words, 220, placeholder=" …")}
            }


def chapter(path, names, folded=False):
    "A notebook as the book shows it. In a report the code is folded: the reader came for the numbers."
    processor = NBProcessor(
        path, procs=[hide_line, strip_ansi, rm_header_dash, hide_, clean_magics, Directives]
    )
    processor.process()
    cells = [
        c
        for c in processor.nb.cells
        if c.get("source") is not None and (c.source.strip() or c.get("outputs"))
    ]
    own = next((p.module for p in processor.procs if isinstance(p, Directives)), None)
    described(cells)
    kept = []
    for i, cell in enumerate(cells):
        kept_cell = {
            k: v
            for k, v in cell.items()
            if k in ("cell_type", "source", "metadata", "outputs", "execution_count")
        } | {"id": str(i)}
        if cell.cell_type == "markdown":
            kept_cell["source"] = linked(relinked(cell.source), names, own)
        else:
            for output in cell.get("outputs", ()):
                if html := output.get("data", {}).get(
                    "text/html"
                ):  # the corner of a table of pandas heads nothing
                    output["data"]["text/html"] = re.sub(
                        r"<th( [^>]*)?>(&nbsp;|\s)*</th>", "<td></td>", "".join(html)
                    )
            if folded:
                tag(cell, "hide-input")
        kept.append(nbformat.from_dict(kept_cell))
    return nbformat.v4.new_notebook(
        cells=kept,
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
        },
    )


# -- pages that are written from what they describe


def library_page(names):
    "The library's exported names, module by module, in reading order."
    lines = [
        "# The library",
        "",
        "Every exported name, in the order in which the notebooks are read. A name leads to its signature, the meaning of each argument, and the code in its chapter.",
        "",
    ]
    for path in sorted(NBS.glob("[0-9]*.ipynb")):
        module = next(
            (
                m[1]
                for c in nbformat.read(path, 4).cells
                if (m := re.search(r"^#\| *default_exp (\w+)", c.source, re.M))
            ),
            None,
        )
        if module is None:
            continue
        package = import_module(f"credit_risk.{module}")
        rows = [(n, getattr(package, n)) for n in getattr(package, "__all__", ())]
        rows = [(n, s) for n, s in rows if inspect.isclass(s) or inspect.isfunction(s)]
        lines += [
            f"## credit_risk.{module}",
            "",
            f"{one_line(package.__doc__)} Chapter: [](../{path.stem}.ipynb).",
            "",
            "| name | what it is |",
            "|---|---|",
        ]
        lines += [
            f"| {{py:obj}}`~credit_risk.{module}.{n}` | {one_line(s.__doc__ or '')} |"
            for n, s in rows
            if s.__doc__
        ] + [""]
    return "\n".join(lines)


def schema_type(schema) -> str:
    "A JSON schema in a few words."
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#schema-{name.lower()})"
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(
            dict.fromkeys(schema_type(s) for s in schema.get("anyOf") or schema["oneOf"])
        )
    if "const" in schema or "enum" in schema:
        return ", ".join(
            f"`{json.dumps(v, ensure_ascii=False)}`"
            for v in schema.get("enum", [schema.get("const")])
        )
    if schema.get("type") == "array":
        return f"list of {schema_type(schema.get('items', {}))}"
    limits = [
        f"{word} {schema[key]:,}".replace(",", " ")
        for key, word in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
            ("maxLength", "length to"),
        )
        if key in schema
    ]
    return " ".join([schema.get("format") or schema.get("type") or "any", *limits])


def field_row(name, facts, required) -> str:
    "A field as a row: the words are those of the form and of the errors."
    options = [s for s in facts.get("anyOf", [facts]) if s.get("type") != "null"]
    facts = facts | options[0] if len(options) == 1 else facts
    labels = facts.get("x-labels") or {}
    kind = ", ".join(f"`{code}` {label}" for code, label in labels.items()) or schema_type(
        {k: v for k, v in facts.items() if k != "anyOf" or len(options) > 1}
    )
    words = [w for w in (facts.get("x-label"), facts.get("x-unit"), facts.get("x-hint")) if w] or [
        facts.get("description") or ""
    ]
    return f"| `{name}` | {kind} | {'yes' if required else ''} | {one_line('; '.join(words))} |"


def http_page(document):
    "The HTTP reference, from the OpenAPI document that the service itself sends."

    def fenced(value):
        return ["```json", json.dumps(value, indent=1, ensure_ascii=False), "```", ""]

    lines = [
        "# The HTTP interface",
        "",
        f"> {document['info']['description']} Written from the OpenAPI document that the service sends at `/openapi.json`.",
        "",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            lines += [
                f"## {method.upper()} {path}",
                "",
                operation.get("summary", "") + ".",
                "",
                operation.get("description", ""),
                "",
            ]
            if operation.get("security"):
                lines += ["Needs the header `Authorization: Bearer KEY`.", ""]
            parameters = [
                f"| `{p['name']}` | {p['in']} | {schema_type(p.get('schema', {}))} | {one_line(p.get('description'))} |"
                for p in operation.get("parameters", [])
                if "name" in p
            ]
            if parameters:
                lines += [
                    "| parameter | in | type | meaning |",
                    "|---|---|---|---|",
                    *parameters,
                    "",
                ]
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                lines += [f"The body, `{media}`: {schema_type(content.get('schema', {}))}.", ""]
                examples = (
                    {"": content["example"]}
                    if "example" in content
                    else {k: v.get("value") for k, v in content.get("examples", {}).items()}
                )
                for name, value in examples.items():
                    lines += ([f"Example `{name}`:", ""] if name else []) + fenced(value)
            lines += ["| status | meaning | body |", "|---|---|---|"]
            for status, response in operation["responses"].items():
                bodies = [
                    f"{schema_type(c.get('schema', {}))}"
                    for c in response.get("content", {}).values()
                ]
                kinds = [
                    f"`{k}`"
                    for c in response.get("content", {}).values()
                    for k in c.get("examples", {})
                ]
                lines.append(
                    f"| {status} | {one_line(response['description'])} | {' or '.join(bodies) or '-'}{': ' + ', '.join(kinds) if kinds else ''} |"
                )
            lines.append("")
    lines += ["## Schemas", "", "A field that is not required may be left out, or be null.", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += [
            f"(schema-{name.lower()})=",
            f"### {name}",
            "",
            one_line(schema.get("description")),
            "",
            "| field | type | required | meaning |",
            "|---|---|---|---|",
        ]
        lines += [
            field_row(field, facts, field in schema.get("required", ()))
            for field, facts in schema.get("properties", {}).items()
        ]
        lines.append("")
    return "\n".join(lines)


def report_page(folder, version):
    "What the promoted version promises, from its own metrics."
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    scorer, anomaly = metrics["scorer"], metrics["anomaly"]

    def number(value, form="{:.3f}"):
        return "-" if value is None else form.format(value)

    rows = [
        (
            "discrimination, AUC",
            number(scorer.get("auc")),
            f"{number(scorer.get('auc_low'))} to {number(scorer.get('auc_high'))}",
        ),
        ("Gini", number(scorer.get("gini")), ""),
        ("Kolmogorov-Smirnov", number(scorer.get("ks")), ""),
        ("Brier score", number(scorer.get("brier"), "{:.4f}"), ""),
        ("calibration error", number(scorer.get("ece"), "{:.4f}"), ""),
        (
            "alert rate",
            number(anomaly.get("alert_rate")),
            f"{number(anomaly.get('alert_rate_low'))} to {number(anomaly.get('alert_rate_high'))}",
        ),
    ]
    simulated = (
        [
            "The bank is **simulated**: nobody in it exists, and these figures say nothing of a real one.",
            "",
        ]
        if scorer.get("oracle")
        else []
    )
    return "\n".join(
        [
            "# The promoted version",
            "",
            f"> Version `{version}`, judged on {scorer['n']} applications from {metrics.get('split_date')} on, none of which taught it.",
            "",
            *simulated,
            "| out of time | value | 95 % interval |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            "The [model card](model_card.md) says what the models are for, and where they are weak. The notebooks below were executed by the retraining that made this version.",
            "",
        ]
    )


def contents(page, folder):
    "The tables of contents of a page, with their patterns spelled out: Sphinx warns of one that matches nothing, and a chapter or report may not be there yet."
    listed = set()

    def entries(match):
        found = [
            str(p.relative_to(folder).with_suffix(""))
            for p in sorted(folder.glob(match[0]))
            if p.suffix in (".md", ".ipynb")
        ]
        new = [name for name in found if name not in listed]
        listed.update(new)
        return "\n".join(new)

    page.write_text(re.sub(r"^\S*\*$", entries, page.read_text("utf-8"), flags=re.M), "utf-8")


def lay_out(folder):
    "Write the folder anew."
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        NBS / "pages", folder, ignore=shutil.ignore_patterns("*.py", "static", "__pycache__")
    )
    shutil.copytree(NBS / "images", folder / "images")
    shutil.copy(ROOT / "api" / "nginx.conf.sample", folder / "howto")
    names = public_names()
    for page in folder.rglob("*.md"):
        page.write_text(linked(page.read_text("utf-8"), names), "utf-8")

    (folder / "reference").mkdir(exist_ok=True)
    (folder / "reference" / "library.md").write_text(library_page(names), "utf-8")
    document = json.loads(openapi.document(*(module.PATHS for module in api.ROUTES)))
    (folder / "reference" / "http.md").write_text(http_page(document), "utf-8")

    for path in sorted(NBS.glob("[0-9]*.ipynb")):
        nbformat.write(chapter(path, names), folder / path.name)
    nbformat.write(chapter(NBS / "index.ipynb", names), folder / "start.ipynb")

    reports, runs = folder / "reports", {p.name: p for p in sorted((NBS / "runs").glob("*.ipynb"))}
    reports.mkdir(exist_ok=True)
    store = Path(os.environ.get("CREDIT_RISK_ARTIFACTS") or ROOT / "artifacts")
    current, page = store / "current", NO_VERSION
    if current.exists():
        version = current.read_text("utf-8").strip()
        runs |= {p.name: p for p in (store / version / "runs").glob("*.ipynb")}
        page = report_page(store / version, version)
        shutil.copy(store / version / "model_card.md", reports)
    (reports / "index.md").write_text(page, "utf-8")
    for name, path in runs.items():
        if any(c.get("outputs") for c in nbformat.read(path, 4).cells):
            nbformat.write(chapter(path, names, folded=True), reports / name)
    contents(folder / "index.md", folder)


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    lay_out(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_proc" / "pages"))
