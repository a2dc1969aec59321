"""Check that each relative link of the Markdown files and notebooks leads to a file: `make lint`.

Links are read as GitHub shows them. The pages of the book are left to Sphinx, because they link to
what the book lays out; `nbs/index.ipynb` is read as `README.md`.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"^```.*?^```|^ {4}.*?$|`[^`\n]*`", re.M | re.S)
TARGET = re.compile(r"\]\(<?([^)>\s]+)")
LIST_FILES = ("git", "ls-files", "--cached", "--others", "--exclude-standard")


def texts(
    path: Path,  # a Markdown file or a notebook
) -> list[str]:
    "The Markdown of a file: of a notebook, its Markdown cells, then its Markdown outputs."
    if path.suffix == ".md":
        return [path.read_text("utf-8")]
    cells = json.loads(path.read_text("utf-8"))["cells"]
    written = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "text/markdown" in output.get("data", {})]
    return written + ["".join(data["text/markdown"]) for data in shown]


def checked_files(root: Path) -> Iterator[Path]:
    "The Markdown files and notebooks that git knows or would add."
    command = [*LIST_FILES, "*.md", "*.ipynb"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        path = root / name
        is_of_book = (root / "nbs" / "pages") in path.parents
        if path.is_file() and not is_of_book and path != root / "nbs" / "index.ipynb":
            yield path


def is_broken(
    target: str,  # of a link
    path: Path,  # of the file that holds it
) -> bool:
    "Whether a link inside the repository leads nowhere; addresses and anchors are not followed."
    if re.match(r"[a-z]+:|#", target):
        return False
    file = unquote(target.split("#")[0])
    return not (path.parent / file).exists()


def broken_links(
    root: Path,  # of the repository
) -> Iterator[str]:
    "A line for each link that leads nowhere."
    for path in checked_files(root):
        for text in texts(path):
            for target in TARGET.findall(CODE.sub("", text)):
                if is_broken(target, path):
                    yield f"{path.relative_to(root)}: {target} is not there"


if __name__ == "__main__":
    lines = list(broken_links(ROOT))
    for line in lines:
        print(line)
    sys.exit(bool(lines))
