"""Monitoring as a scheduler runs it: the command, its status, its JSON and its page."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import credit_risk
from service import promote_models

from api.audit import Writer, row_to_write
from credit_risk.artifacts import read_version
from credit_risk.bank import create_bank
from credit_risk.candidate import reference
from credit_risk.database import connect, read_applications
from credit_risk.evaluation import scorer_metrics
from credit_risk.portfolio import read_portfolio
from credit_risk.scoring import assess_table, decide, decision_text
from credit_risk.version import load_version

SINCE = 2019  # year of the first application that is judged, and of the first that is monitored


@dataclass(frozen=True)
class Report:
    "What `credit-risk monitor` leaves."

    status: int
    stdout: str
    stderr: str
    verdict: dict | None  # monitoring.json
    page: str | None  # monitoring.html


def monitor(folder: Path, *arguments: str) -> Report:
    "Run the command on the bank and the artifacts of a folder."
    out = folder / "out"
    bank = f"sqlite:///{folder}/bank.db"
    where = ("--database-url", bank, "--artifacts", "artifacts", "--out", "out")
    done = credit_risk("monitor", *where, *arguments, cwd=folder)
    verdict, page = out / "monitoring.json", out / "monitoring.html"
    return Report(
        status=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
        verdict=json.loads(verdict.read_text("utf-8")) if verdict.exists() else None,
        page=page.read_text("utf-8") if page.exists() else None,
    )


def measured(portfolio, version) -> dict:
    "What metrics.json holds of a version that was judged on a portfolio."
    answers = assess_table(version, portfolio.known[portfolio.test])
    outcomes = portfolio.default[portfolio.test]
    return {
        "reference": reference(portfolio, version),
        "scorer": scorer_metrics(outcomes, answers.probabilite_defaut),
    }


@pytest.fixture(scope="module")
def judged(trained, tmp_path_factory):
    "The models of the tests, judged on one bank and promoted beside another, without decisions."
    folder = tmp_path_factory.mktemp("monitored")
    for name, seed in (("judge", 1), ("bank", 2)):
        create_bank(f"sqlite:///{folder}/{name}.db", n_clients=1_500, seed=seed, progress=False)
    portfolio = read_portfolio(f"sqlite:///{folder}/judge.db", f"{SINCE}-01-01")
    models = read_version(trained / "artifacts", "test")
    metrics = measured(portfolio, load_version(trained / "artifacts"))
    promote_models(folder / "artifacts", "judged", models | {"metrics": metrics})
    return folder


def as_it_is(dossier: dict) -> dict:
    return dossier


def poorer(dossier: dict) -> dict:
    "The same application with seven tenths of the income."
    income = dossier["revenu_mensuel"]
    return dossier | {"revenu_mensuel": income and round(0.7 * income, 2)}


def decided(judged: Path, folder: Path, change) -> Path:
    "A copy in which the service has answered the applications of the bank, each of them changed."
    shutil.copytree(judged, folder)
    version = load_version(folder / "artifacts")
    engine = connect(f"sqlite:///{folder}/bank.db")
    with engine.connect() as connection:
        applications = list(zip(*read_applications(connection), strict=True))
    rows = []
    for dossier, outcome in applications:
        if dossier["date_demande"].year < SINCE:
            continue
        name, facts = f"d{outcome['demande_id']}", change(dossier)
        text = decision_text(name, decide(version, facts))
        rows.append(row_to_write(name, "test", outcome["client_id"], facts, text, "judged"))
    Writer(engine).append_all(rows)
    engine.dispose()
    return folder


@pytest.fixture(scope="module")
def steady(judged, tmp_path_factory) -> Report:
    "The report on clients of the kind on which the version was judged."
    return monitor(decided(judged, tmp_path_factory.mktemp("steady") / "bank", as_it_is))


@pytest.fixture(scope="module")
def drifted(judged, tmp_path_factory) -> Report:
    "The report on clients who are poorer."
    return monitor(decided(judged, tmp_path_factory.mktemp("poorer") / "bank", poorer))


def test_unchanged_applications_end_with_status_0(steady):
    assert steady.status == 0, steady.stdout + steady.stderr


def test_unchanged_applications_are_steady_without_a_finding(steady):
    assert steady.verdict["verdict"] == "steady"
    assert steady.verdict["findings"] == []


def test_a_sample_that_is_large_enough_answers_every_question(steady):
    assert steady.verdict["unanswered"] == []
    assert steady.verdict["applications"] > 900
    assert steady.verdict["defaults"] > 10


def test_the_page_says_that_nothing_has_changed(steady):
    assert "Nothing has changed beyond luck" in steady.page


def test_drift_ends_with_status_3(drifted):
    assert drifted.status == 3
    assert drifted.stdout.startswith("drift: ")


def test_drift_is_called_by_the_label_of_what_has_moved(drifted):
    assert "features: Net monthly income has moved" in drifted.stdout


def test_the_page_says_that_something_has_changed(drifted):
    assert "Something has changed" in drifted.page


def test_too_few_decisions_end_with_status_4(judged):
    report = monitor(judged, "--since", "2100-01-01")
    assert report.status == 4
    assert report.verdict["verdict"] == "too few"
    assert report.verdict["applications"] == 0


def copy_of_bank(source: Path, target: Path) -> None:
    "A consistent copy of an SQLite bank that others may have open."
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def test_a_version_that_carries_no_reference_is_refused(trained, judged, tmp_path):
    copy_of_bank(judged / "bank.db", tmp_path / "bank.db")
    shutil.copytree(trained / "artifacts", tmp_path / "artifacts")
    report = monitor(tmp_path)
    assert report.status == 1
    assert report.verdict is None
    failure = "credit-risk monitor: monitoring failed: ValueError: version test carries no profile"
    assert report.stderr.strip().splitlines()[-1].startswith(failure)
