"""How dense the code is: `python tests/measure_code.py [FOLDER] [--worst N]`; see `make lint`.

Density is the number of syntax nodes for each line of a function's body, blank lines and comments
aside; a docstring counts with both. The folder is a checkout, to compare two revisions.
"""

import argparse
import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("credit_risk", "api", "tests")
LONG = 110  # characters
DENSEST = {"credit_risk": 10.0, "api": 10.0}  # nodes a line, median: more fails
BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Function:
    "A function and its density."

    name: str  # module.function
    density: float  # nodes a line
    lines: int  # of its body


def functions(path: Path) -> list[Function]:
    "Every function of a file, inner ones too."
    text = path.read_text("utf-8")
    lines = text.splitlines()
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = lines[node.body[0].lineno - 1 : node.end_lineno]
        written = [line for line in body if line.strip() and not line.strip().startswith("#")]
        nodes = sum(1 for statement in node.body for _ in ast.walk(statement))
        found.append(Function(f"{path.stem}.{node.name}", nodes / len(written), len(written)))
    return found


def one_line_blocks(path: Path) -> int:
    "Blocks whose first statement stands on the line of their `if`, `for`, `with` or `def`."
    tree = ast.parse(path.read_text("utf-8"))
    blocks = (node for node in ast.walk(tree) if isinstance(node, BLOCKS))
    return sum(block.body[0].lineno == block.lineno for block in blocks)


def modules(folder: Path) -> list[Path]:
    "The modules of a package, the index that nbdev writes aside."
    return sorted(path for path in folder.glob("*.py") if path.name != "_modidx.py")


def measure(folder: Path) -> dict[str, float]:
    "The measures of one package."
    paths = modules(folder)
    lines = [line for path in paths for line in path.read_text("utf-8").splitlines()]
    return {
        "nodes a line": median(f.density for path in paths for f in functions(path)),
        "lines over 110, %": 100 * sum(len(line) > LONG for line in lines) / len(lines),
        "blocks on one line": sum(one_line_blocks(path) for path in paths),
        "lines": len(lines),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT, help="a checkout")
    parser.add_argument("--worst", type=int, default=0, help="name the densest functions")
    arguments = parser.parse_args()
    too_dense = []
    for package in PACKAGES:
        measures = measure(arguments.folder / package)
        print(f"{package:12}", ", ".join(f"{name} {value:.4g}" for name, value in measures.items()))
        if measures["nodes a line"] >= DENSEST.get(package, float("inf")):
            too_dense.append(package)
        every = [f for path in modules(arguments.folder / package) for f in functions(path)]
        for function in sorted(every, key=lambda f: -f.density)[: arguments.worst]:
            print(f"    {function.density:5.1f}  {function.lines:3} lines  {function.name}")
    if too_dense and arguments.folder == ROOT:
        sys.exit(f"{', '.join(too_dense)}: the median density must stay below its limit")


if __name__ == "__main__":
    main()
