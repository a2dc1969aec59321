"""Who may import whom, and what the serving process must never load: the layers of the design, held to."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from service import ROOT, environment

FORBIDDEN = {
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "interpret",
    "lightgbm",
    "joblib",
    "matplotlib",
    "seaborn",
    "statsmodels",
    "nbdev",
    "fastcore",
    "execnb",
    "papermill",
    "IPython",
    "ipykernel",
    "jupyter_client",
    "jupyter_core",
    "nbconvert",
    "nbformat",
    "nbclient",
    "notebook",
    "pytest",
    "pyarrow",
    "tqdm",
}
SERVING = {  # each module of the serving path, and the most that it may import of the library
    "contract": set(),
    "features": {"contract"},
    "additive": {"contract"},
    "artifacts": {"contract"},
    "database": {"contract"},
    "keys": {"database"},
    "audit": {"artifacts", "contract", "database", "scoring"},
    "decision": {"additive", "contract", "features"},
    "point_in_time": set(),
    "scoring": {"additive", "artifacts", "contract", "decision", "features", "point_in_time"},
    "changes": {"additive", "contract", "decision", "features", "scoring"},
}
LIBRARY = {
    path.stem: path for path in (ROOT / "credit_risk").glob("*.py") if not path.stem.startswith("_")
}
API = {path.stem: path for path in (ROOT / "api").glob("*.py")}


def imports(path: Path) -> set[str]:
    "Modules that a file imports anywhere in it, those of credit_risk as credit_risk.NAME, those of the api as api.NAME."
    found, package = set(), path.parent.name
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else "", node.module]))
            found |= {base} | (
                {f"{base}.{alias.name}" for alias in node.names}
                if base in ("credit_risk", "api")
                else set()
            )
    return found


def of_library(path: Path) -> set[str]:
    "Modules of credit_risk that a file imports."
    return {name.split(".")[1] for name in imports(path) if name.startswith("credit_risk.")} & set(
        LIBRARY
    )


CHILD = """
import json, sys
import api.server
from api import create_app
from credit_risk.contract import EXAMPLE
client, headers = create_app().test_client(), {"Authorization": "Bearer a-key-for-the-tests-only"}
demande = EXAMPLE["demande"]
answers = [client.get("/readyz").status_code, client.get("/openapi.json").status_code, client.post("/score", json=EXAMPLE, headers=headers).status_code,
           client.post("/score", json={"client_id": 1, "demande": demande}, headers=headers).status_code, client.post("/score", json={}, headers=headers).status_code,
           client.post("/simulate/changes", json=EXAMPLE, headers=headers).status_code, client.get("/clients/1", headers=headers).status_code]
print(json.dumps([answers, sorted({name.split(".")[0] for name in sys.modules})]))
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
    answers, modules = json.loads(run.stdout)
    assert answers == [200, 200, 200, 200, 422, 200, 200]
    assert {"flask", "granian", "pydantic", "sqlalchemy", "credit_risk"} <= set(
        modules
    ) and not FORBIDDEN & set(modules)


@pytest.mark.parametrize("name", SERVING)
def test_the_serving_path_keeps_its_layers(name):
    assert of_library(LIBRARY[name]) <= SERVING[name]


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_never_imports_the_service(name):
    assert not any(module.split(".")[0] == "api" for module in imports(LIBRARY[name]))


@pytest.mark.parametrize("name", API)
def test_the_service_imports_the_serving_path_only(name):
    assert of_library(API[name]) <= set(SERVING)
    assert not {module.split(".")[0] for module in imports(API[name])} & FORBIDDEN


def test_only_the_database_the_keys_and_the_audit_open_sql():
    openers = set()
    for package, modules in (("credit_risk", LIBRARY), ("api", API)):
        for name, path in modules.items():
            tree = ast.parse(path.read_text("utf-8"))
            names = {
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("database")
                for alias in node.names
            }
            attributes = {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "database"
            }
            text = {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            if (names | attributes) & {"SQL", "query", "sql_statements"} or text & {
                "sql",
                "sql/queries",
            }:
                openers.add(f"{package}.{name}")
    assert openers == {"credit_risk.database", "credit_risk.keys", "credit_risk.audit", "api.audit"}


def test_a_forbidden_import_would_be_seen(tmp_path):
    (tmp_path / "api").mkdir()
    bad = tmp_path / "api" / "bad.py"
    bad.write_text(
        "def f():\n    import numpy.linalg\n    from credit_risk import scorer\n    from .audit import verify\n"
    )
    assert imports(bad) >= {"numpy.linalg", "credit_risk.scorer", "api.audit"} and of_library(
        bad
    ) == {"scorer"}
