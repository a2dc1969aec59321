"""The structure that the documents claim: order of imports, layers, private names, serving."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from service import ROOT, environment

NOTEBOOKS = sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
FORBIDDEN = {  # in the serving process
    *("pandas", "numpy", "scipy", "sklearn", "interpret", "lightgbm", "joblib", "pyarrow"),
    *("matplotlib", "seaborn", "statsmodels", "tqdm", "pytest"),
    *("nbdev", "fastcore", "execnb", "papermill", "nbconvert", "nbformat", "nbclient"),
    *("IPython", "ipykernel", "jupyter_client", "jupyter_core", "notebook"),
}
SERVING = {  # modules that the service may import
    *("fields", "contract", "answer", "database", "records", "features", "axes", "additive"),
    *("strongest", "uncertainty", "decision", "reasons", "point_in_time", "artifacts", "version"),
    *("scoring", "changes", "keys", "audit"),
}
FIGURES = {"matplotlib", "seaborn"}
DRAWING = {"figures", "eda", "evaluation_figures", "model_figures"}
OPENS_SQL = {"credit_risk.database", "credit_risk.keys", "credit_risk.audit", "api.audit"}


def module_of(notebook: Path) -> str:
    "The module that a notebook exports."
    return re.search(r"#\| default_exp (\w+)", notebook.read_text("utf-8"))[1]


ORDER = [module_of(notebook) for notebook in NOTEBOOKS]
LIBRARY = {name: ROOT / "credit_risk" / f"{name}.py" for name in ORDER}
API = {path.stem: path for path in (ROOT / "api").glob("*.py")}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported_names(path: Path) -> list[tuple[str, str]]:
    "Every import of a file as (module, name); the name is empty for a whole module."
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.name if node.level else ""
            module = ".".join(part for part in (package, node.module) if part)
            found += [(module, alias.name) for alias in node.names]
    return found


def imports(path: Path) -> set[str]:
    "The modules that a file imports, anywhere in it."
    found = set()
    for module, name in imported_names(path):
        found.add(module)
        if module in ("credit_risk", "api"):
            found.add(f"{module}.{name}")
    return found


def of_library(path: Path) -> set[str]:
    "The modules of the library that a file imports."
    return {m.split(".")[1] for m in imports(path) if m.startswith("credit_risk.")} & set(LIBRARY)


def top_level(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(path)}


def test_the_notebooks_have_flat_numbers_without_a_gap():
    assert [notebook.name[:3] for notebook in NOTEBOOKS] == [f"{i:02}_" for i in range(len(ORDER))]


def test_every_notebook_is_named_as_the_module_that_it_exports():
    assert [notebook.stem[3:] for notebook in NOTEBOOKS] == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_modules_with_lower_numbers(name):
    assert of_library(LIBRARY[name]) <= set(ORDER[: ORDER.index(name)])


@pytest.mark.parametrize("path", [*LIBRARY.values(), *API.values()], ids=lambda p: p.stem)
def test_no_module_takes_a_private_name_of_another(path):
    ours = [(m, n) for m, n in imported_names(path) if m.split(".")[0] in ("credit_risk", "api")]
    assert not [f"{module}.{name}" for module, name in ours if name.startswith("_")]


@pytest.mark.parametrize("name", sorted(set(ORDER) - DRAWING))
def test_only_the_drawing_rooms_load_a_plotting_library(name):
    assert not top_level(LIBRARY[name]) & FIGURES
    assert not of_library(LIBRARY[name]) & DRAWING


@pytest.mark.parametrize("name", sorted(SERVING))
def test_the_serving_path_imports_only_itself(name):
    assert of_library(LIBRARY[name]) <= SERVING


@pytest.mark.parametrize("name", API)
def test_the_service_imports_only_the_serving_path(name):
    assert of_library(API[name]) <= SERVING
    assert not top_level(API[name]) & FORBIDDEN


@pytest.mark.parametrize("name", ORDER)
def test_the_library_never_imports_the_service(name):
    assert "api" not in top_level(LIBRARY[name])


def opens_sql(path: Path) -> bool:
    "Whether a file takes a text of sql/, by the database module or by its path."
    taken = {n for m, n in imported_names(path) if m.endswith("database")}
    if taken & {"SQL", "query", "sql_statements", "driver_query"}:
        return True
    constants = (n.value for n in ast.walk(tree(path)) if isinstance(n, ast.Constant))
    return any(text in ("sql", "sql/queries") for text in constants)


def test_only_the_database_the_keys_and_the_audits_open_sql():
    modules = {f"credit_risk.{name}": path for name, path in LIBRARY.items()}
    modules |= {f"api.{name}": path for name, path in API.items()}
    assert {name for name, path in modules.items() if opens_sql(path)} == OPENS_SQL


CHILD = """
import json, sys
import api.server
from api import create_app
from credit_risk.contract import EXAMPLE

client = create_app().test_client()
headers = {"Authorization": "Bearer a-key-for-the-tests-only"}
from_bank = {"client_id": 1, "demande": EXAMPLE["demande"]}
answers = [
    client.get("/readyz"),
    client.get("/openapi.json"),
    client.post("/score", json=EXAMPLE, headers=headers),
    client.post("/score", json=from_bank, headers=headers),
    client.post("/score", json={}, headers=headers),
    client.post("/simulate/changes", json=EXAMPLE, headers=headers),
    client.get("/clients/1", headers=headers),
]
modules = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps([[answer.status_code for answer in answers], modules]))
"""


def test_the_serving_process_loads_nothing_of_training(own_directory):
    run = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=ROOT,
        env=environment(own_directory),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    statuses, modules = json.loads(run.stdout)
    assert statuses == [200, 200, 200, 200, 422, 200, 200]
    assert {"flask", "granian", "pydantic", "sqlalchemy", "credit_risk"} <= set(modules)
    assert not FORBIDDEN & set(modules)


def test_a_forbidden_import_would_be_seen(tmp_path):
    (tmp_path / "api").mkdir()
    bad = tmp_path / "api" / "bad.py"
    bad.write_text(
        "def f():\n"
        "    import numpy.linalg\n"
        "    from credit_risk import scorer\n"
        "    from .audit import _verify\n"
    )
    assert imports(bad) >= {"numpy.linalg", "credit_risk.scorer", "api.audit"}
    assert of_library(bad) == {"scorer"}
    assert ("api.audit", "_verify") in imported_names(bad)
