"""Every relative link of the Markdown files and notebooks leads to a file, as GitHub shows them: part of `make lint`."""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]


def texts(path):
    "The Markdown of a file: of a notebook, its Markdown cells and results."
    if path.suffix == ".md":
        return [path.read_text("utf-8")]
    cells = json.loads(path.read_text("utf-8"))["cells"]
    results = [
        "".join(o["data"]["text/markdown"])
        for c in cells
        for o in c.get("outputs", ())
        if "text/markdown" in o.get("data", {})
    ]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"] + results


def broken(root):
    "A line for each link that leads nowhere. The pages of the book are Sphinx's to check: they link to what it lays out."
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", "*.ipynb"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for name in filter(None, listed):
        path = root / name
        if (
            not path.is_file()
            or (root / "nbs" / "pages") in path.parents
            or path == root / "nbs" / "index.ipynb"
        ):  # the last is read as README.md
            continue
        for text in texts(path):
            prose = re.sub(r"^```.*?^```|^ {4}.*?$|`[^`\n]*`", "", text, flags=re.M | re.S)
            for target in re.findall(r"\]\(<?([^)>\s]+)", prose):
                if (
                    not re.match(r"[a-z]+:|#", target)
                    and not (path.parent / unquote(target.split("#")[0])).exists()
                ):
                    yield f"{name}: {target} is not there"


if __name__ == "__main__":
    found = list(broken(ROOT))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
