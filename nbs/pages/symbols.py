"""Exported names as directives of Sphinx's Python domain, so that they can be linked and searched.

Signatures and docments are read from the source of the installed library: no cell has to run, and
an annotation that only type checkers import is shown as it is written.
"""

import ast
import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path

from fastcore.docments import docments

ROOT = Path(__file__).resolve().parents[2]
ESCAPED = re.compile(r"(`[^`]*`)|([*_<|])")  # code stays; `*args` outside of it is no emphasis


def public_names() -> dict[str, list[str]]:  # name to the modules that export it
    "Every name that the library exports."
    modules: dict[str, list[str]] = {}
    for path in sorted((ROOT / "credit_risk").glob("[a-z]*.py")):
        module = import_module(f"credit_risk.{path.stem}")
        for name in getattr(module, "__all__", ()):
            modules.setdefault(name, []).append(path.stem)
    return modules


def one_line(
    text: str | None,  # a docment or a docstring
) -> str:
    "A text as one line of Markdown."
    words = " ".join((text or "").split())
    return ESCAPED.sub(lambda found: found[1] or "\\" + found[2], words)


def _definition(symbol):
    "The syntax tree of a function or class; None where it has no source of its own."
    try:
        source = inspect.getsource(symbol)
        return ast.parse(textwrap.dedent(source)).body[0]
    except (OSError, TypeError, SyntaxError):
        return None


def _init_of(definition):
    functions = [node for node in definition.body if isinstance(node, ast.FunctionDef)]
    return next((node for node in functions if node.name == "__init__"), None)


def signature(
    symbol,  # a function or a class
) -> str:  # empty for a class without `__init__`
    "The arguments as they are written: a default has its name, not its value."
    definition = _definition(symbol)
    if isinstance(definition, ast.ClassDef):
        definition = _init_of(definition)
    if definition is None:
        return ""
    arguments = definition.args
    for positional in (arguments.posonlyargs, arguments.args):
        if positional and positional[0].arg in ("self", "cls"):
            del positional[0]
    text = f"({ast.unparse(arguments)})"
    if definition.returns and definition.name != "__init__":
        text += f" -> {ast.unparse(definition.returns)}"
    return text


def _has_fields(symbol) -> bool:
    "Whether the arguments of a symbol are written down: those of a plain class are inherited."
    is_dataclass = hasattr(symbol, "__dataclass_fields__")
    return not inspect.isclass(symbol) or "__init__" in vars(symbol) or is_dataclass


def _field_lines(symbol) -> list[str]:
    "A line for each argument with a docment."
    if not _has_fields(symbol):
        return []
    lines = []
    for name, facts in docments(symbol, full=True).items():
        if facts.get("docment"):
            role = ":returns:" if name == "return" else f":param {name}:"
            lines.append(f"{role} {one_line(facts['docment'])}")
    return lines


def _method_lines(symbol, name: str) -> list[str]:
    "A directive for each documented public method of a class."
    lines = []
    for own_name, member in vars(symbol).items():
        function = getattr(member, "__func__", member)  # of a class method or a static method
        is_public = inspect.isfunction(function) and not own_name.startswith("_")
        if is_public and function.__doc__:
            inner = directive(function, f"{name}.{own_name}", fence=":::")
            lines += ["", re.sub(r"^:::\{py:method\} \w+\.", ":::{py:method} ", inner)]
    return lines


def _kind(symbol, name: str) -> str:
    if inspect.isclass(symbol):
        return "class"
    return "method" if "." in name else "function"


def directive(
    symbol,  # a function or a class
    name: str,  # as it is written: `f`, `Class` or `Class.method`
    fence: str = "::::",  # longer than those inside
) -> str:  # Markdown of MyST
    "A symbol as a directive of Sphinx's Python domain."
    symbol = inspect.unwrap(symbol)
    lines = [
        f"{fence}{{py:{_kind(symbol, name)}}} {name}{signature(symbol)}",
        "",
        one_line(inspect.cleandoc(symbol.__doc__ or "")),
        "",
        *_field_lines(symbol),
    ]
    if inspect.isclass(symbol):
        lines += _method_lines(symbol, name)
    return "\n".join([*lines, fence])
