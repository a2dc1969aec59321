"""Monitoring as a scheduler runs it: the command, its status, its JSON and its page."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from test_retrain import credit_risk

from api.audit import Writer, row_to_write
from credit_risk.artifacts import FILES, promote, read_version, write_version
from credit_risk.bank import create_bank
from credit_risk.database import connect, read_applications
from credit_risk.evaluation import scorer_metrics
from credit_risk.portfolio import read_portfolio
from credit_risk.profiles import answers, reference
from credit_risk.scoring import load_models, score


@pytest.fixture(scope="module")
def judged(trained, tmp_path_factory):
    "The models of the tests, judged on the clients of one bank; the decisions will be on those of another."
    folder = tmp_path_factory.mktemp("monitored")
    for name, seed in (("judge", 1), ("bank", 2)):
        create_bank(f"sqlite:///{folder}/{name}.db", n_clients=1_500, seed=seed, progress=False)
    portfolio, models = (
        read_portfolio(f"sqlite:///{folder}/judge.db", "2019-01-01"),
        load_models(trained / "artifacts"),
    )
    metrics = {
        "reference": reference(portfolio, models),
        "scorer": scorer_metrics(
            portfolio.default[portfolio.test],
            answers(models, portfolio.known[portfolio.test]).probabilite_defaut,
        ),
    }
    old = read_version(trained / "artifacts", "test")
    files = {
        name: metrics
        if name == "metrics.json"
        else ""
        if name.endswith("md")
        else old[name.removesuffix(".json")]
        for name in FILES
    }
    write_version(folder / "artifacts", "judged", files, {}, [])
    promote(folder / "artifacts", "judged")
    return folder


def decide(folder, models, change=lambda dossier: dossier):
    "What the service would have answered to the applications of the bank since 2019, in its audit."
    engine = connect(f"sqlite:///{folder}/bank.db")
    with engine.connect() as connection:
        applications = list(zip(*read_applications(connection), strict=True))
    asked = [
        (change(dossier), outcome)
        for dossier, outcome in applications
        if dossier["date_demande"].year >= 2019
    ]
    Writer(engine).append_all(
        [
            row_to_write(
                f"d{o['demande_id']}",
                "test",
                o["client_id"],
                d,
                json.dumps(score(d, models), ensure_ascii=False),
                "judged",
            )
            for d, o in asked
        ]
    )
    engine.dispose()


def monitor(folder, *arguments):
    done = credit_risk(
        "monitor",
        "--database-url",
        f"sqlite:///{folder}/bank.db",
        "--artifacts",
        "artifacts",
        "--out",
        "out",
        *arguments,
        cwd=folder,
    )
    return done, json.loads((folder / "out" / "monitoring.json").read_text("utf-8")) if (
        folder / "out" / "monitoring.json"
    ).exists() else None


def test_a_scheduler_hears_of_drift_and_only_of_drift(judged, tmp_path):
    models = load_models(judged / "artifacts")
    for name in ("steady", "poorer"):
        shutil.copytree(judged, tmp_path / name)
        decide(
            tmp_path / name,
            models,
            (lambda d: d)
            if name == "steady"
            else lambda d: (
                d | {"revenu_mensuel": d["revenu_mensuel"] and round(0.7 * d["revenu_mensuel"], 2)}
            ),
        )
    done, verdict = monitor(tmp_path / "steady")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        verdict["verdict"] == "steady"
        and verdict["findings"] == []
        and verdict["unanswered"] == []
        and verdict["applications"] > 900
        and verdict["defaults"] > 10
    )
    assert "Nothing has changed beyond luck" in (
        tmp_path / "steady" / "out" / "monitoring.html"
    ).read_text("utf-8")
    done, verdict = monitor(tmp_path / "poorer")
    assert done.returncode == 3 and done.stdout.startswith("drift: ")
    assert "features: Net monthly income has moved" in done.stdout and "Something has changed" in (
        tmp_path / "poorer" / "out" / "monitoring.html"
    ).read_text("utf-8")


def test_too_few_decisions_say_nothing(judged):
    done, verdict = monitor(judged, "--since", "2100-01-01")
    assert done.returncode == 4 and verdict["verdict"] == "too few" and verdict["applications"] == 0


def test_a_version_that_carries_no_reference_is_refused(trained, judged, tmp_path):
    with (
        closing(sqlite3.connect(judged / "bank.db")) as source,
        closing(sqlite3.connect(tmp_path / "bank.db")) as copy,
    ):
        source.backup(copy)
    shutil.copytree(trained / "artifacts", tmp_path / "artifacts")
    done, verdict = monitor(tmp_path)
    assert done.returncode == 1 and verdict is None
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith(
            "credit-risk monitor: monitoring failed: ValueError: version test carries no profile"
        )
    )
