"""Every run notebook is executed at a small size, so that none rots between two benchmarks.

What they measure is not judged here: their sizes say nothing. Their own assertions hold, and what
they leave out for want of a program, of public data or of rows they say themselves."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from service import ROOT

RUNS = ROOT / "nbs" / "runs"
QUICK_SCORER = {"pairs": 2, "ratios": 0, "deeper": 0}
QUICK_DETECTOR = {"pairs": 2, "bags": 1}
NO_DATA = "no-public-data"  # as on a machine that has the repository alone

# Notebook to its parameters, the longest first. `{bank}` and `{artifacts}` are those of the tests.
SMALL = {
    "bench_scorer": {
        "data": NO_DATA,
        "seeds": 1,
        "ebm_folds": 0,
        "sizes": [300],
        "clients": 600,
        "parts": 2,
        "trees": 20,
        "bulk": 1_000,
        "simulated": 600,
        "settings": QUICK_SCORER,
    },
    "bench_scale": {
        "database_url": "{bank}",
        "artifacts": "{artifacts}",
        "rows": 2_000,
        "book": 4_000,
        "repeats": 1,
        "group": 500,
        "sampled": 50,
        "scheduler": None,
        "every": 0.1,
        "kills": 1,
        "clients": 60,
    },
    "bench_api": {
        "database_url": "{bank}",
        "artifacts": "{artifacts}",
        "seconds": 0.3,
        "rounds": 1,
        "connections": [16],
        "profiled": 50,
    },
    "bench_anomaly": {
        "data": NO_DATA,
        "seeds": 1,
        "times": 1,
        "most_rows": 400,
        "trees": 20,
        "sizes": [],
        "settings": QUICK_DETECTOR,
    },
    "bench_training": {
        "clients": 1_000,
        "sizes": [200],
        "draws": 1,
        "goods_per_default": [1, 2],
        "settings": QUICK_SCORER,
    },
    "bench_sql": {"clients": 300, "small": 100, "requests": 30},
    "capacity": {
        "database_url": "{bank}",
        "artifacts": "{artifacts}",
        "seconds": 0.3,
        "connections": [1, 4],
        "book": 2_000,
        "stored": 500,
        "purge": 0,
    },
    "bench_bank": {"sizes": [50, 100], "mariadb_sizes": [50]},
    "bench_replicas": {
        "artifacts": "{artifacts}",
        "seconds": 0.3,
        "rounds": 1,
        "connections": 8,
        "phases": [0.5, 0.5, 0.5],
    },
    "bench_faults": {"artifacts": "{artifacts}", "kills": 1},
    "bench_soak": {"artifacts": "{artifacts}", "soak_seconds": 2, "soak_rate": 50},
}

# Notebooks that another test executes.
ELSEWHERE = {
    "eda": "test_retrain.py",
    "train_scorer": "test_retrain.py",
    "train_anomaly": "test_retrain.py",
    "evaluate": "test_retrain.py",
    "scenarios": "test_retrain.py",
    "monitoring": "test_monitoring.py",
    "macro_report": "test_macro.py",
}


def test_every_run_notebook_is_executed_by_a_test():
    notebooks = {path.stem for path in RUNS.glob("*.ipynb")}
    assert notebooks == SMALL.keys() | ELSEWHERE.keys()
    assert not SMALL.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("name, file", ELSEWHERE.items())
def test_a_notebook_that_another_test_executes_is_named_there(name, file):
    assert name in (Path(__file__).parent / file).read_text("utf-8")


def execute(name: str, parameters: dict, folder: Path) -> str:
    "Execute a notebook with papermill; the text of its outputs. Raises where a cell fails."
    import papermill

    notebook = papermill.execute_notebook(
        RUNS / f"{name}.ipynb",
        folder / f"{name}.ipynb",
        parameters,
        progress_bar=False,
        extra_arguments=["--log-level=ERROR"],
    )
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.get("text", "") for output in outputs)


def filled_in(parameters: dict, folder: Path) -> dict:
    "Parameters with the bank and the artifacts of a folder."
    places = {"bank": f"sqlite:///{folder}/bank.db", "artifacts": folder / "artifacts"}
    return {
        name: value.format(**places) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


@pytest.fixture(scope="module")
def executions(trained, tmp_path_factory):
    "Notebook to its execution, two at a time: much of their time is that of servers that start."
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        # The threads of one notebook would take the core of the other, and wait for each other.
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        yield {
            name: pool.submit(execute, name, filled_in(parameters, trained), folder)
            for name, parameters in SMALL.items()
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_notebook_runs_at_a_small_size(name, executions):
    executions[name].result()


@pytest.mark.parametrize("name", ["bench_scorer", "bench_anomaly"])
def test_a_benchmark_without_the_public_data_says_what_it_leaves_out(name, executions):
    assert f"no folder {NO_DATA}: German credit" in executions[name].result()


def test_the_benchmark_of_the_service_says_that_it_leaves_mlflow_out(executions):
    assert "no Python with MLflow was named" in executions["bench_api"].result()
