"""Retraining as its users do it: papermill by hand and credit-risk retrain, on real databases, up to an answer of the service."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from berka_files import REAL, write_synthetic
from service import children, running, until

from credit_risk.artifacts import (
    FILES,
    current_version,
    promotions,
    read_version,
    versions,
    write_version,
)
from credit_risk.bank import create_bank
from credit_risk.contract import EXAMPLE, Result
from credit_risk.database import ROOT, connect
from credit_risk.scoring import check_golden, load_models


def run(*command, cwd, **env):
    "A command in a folder of its own; what it printed, and its exit status."
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=600,
    )


def credit_risk(*arguments, cwd, **env):
    return run("-c", "from credit_risk.cli import main; main()", *arguments, cwd=cwd, **env)


def check_version(artifacts: Path) -> dict:
    "A promoted version is whole, and gives its golden answers; its metrics."
    version = current_version(artifacts)
    content = read_version(artifacts, version)
    assert check_golden(load_models(artifacts)) == []
    assert {"auc", "auc_low", "auc_high", "gini", "ks", "brier", "ece", "log_loss", "n"} <= set(
        content["metrics"]["scorer"]
    )
    assert {"alert_rate", "recall", "n"} <= set(content["metrics"]["anomaly"])
    assert (
        content["metrics"]["scorer"]["auc_low"]
        <= content["metrics"]["scorer"]["auc"]
        <= content["metrics"]["scorer"]["auc_high"]
    )
    assert {
        "calibration",
        "by_class",
        "by_year",
        "by_segment",
        "fairness",
        "psi_score",
        "challengers",
        "profit",
        "learning_curve",
        "without_fact",
    } <= set(content["metrics"]["scorer"])
    rates = [c["observed"] for c in content["metrics"]["scorer"]["by_class_out_of_fold"]]
    assert rates == sorted(rates) and len(rates) == len(
        content["scorer"]["scorecard"]["classes"]
    ), "classes whose rates of default do not rise"
    card = (artifacts / version / "model_card.md").read_text("utf-8")
    assert version in card and "nan" not in card and "None" not in card
    return content["metrics"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    "A folder with a small simulated bank."
    folder = tmp_path_factory.mktemp("retrain")
    create_bank(f"sqlite:///{folder}/bank.db", n_clients=1_500, progress=False)
    return folder


def test_papermill_by_hand_makes_a_version_that_serves(simulated):
    for name in ("train_scorer", "train_anomaly"):
        assert not (simulated / "artifacts" / "current").exists()
        done = run(
            "-m",
            "papermill",
            str(ROOT / "nbs" / "runs" / f"{name}.ipynb"),
            f"{name}.ipynb",
            "-p",
            "database_url",
            "sqlite:///bank.db",
            "-p",
            "artifacts",
            "artifacts",
            "-p",
            "split_date",
            "2020-01-01",
            "--no-progress-bar",
            cwd=simulated,
        )
        assert done.returncode == 0, done.stderr
    metrics = check_version(simulated / "artifacts")
    assert metrics["split_date"] == "2020-01-01" and metrics["scorer"]["n"] > 100
    assert (
        metrics["scorer"]["auc"] < metrics["scorer"]["oracle"]["auc"] + 0.1
    )  # beside the simulated truth, which only judged
    with running(simulated) as service:
        answer = service.score(EXAMPLE)
        assert answer.status == 200 and Result.model_validate(
            answer.json
        ).modele.version == current_version(simulated / "artifacts")


def retrain_command(folder):
    return [
        "-c",
        "from credit_risk.cli import main; main()",
        "retrain",
        "--database-url",
        f"sqlite:///{folder}/bank.db",
        "--artifacts",
        "killed",
        "--split-date",
        "2020-01-01",
    ]


def family(pid):
    return [pid, *(p for child in children(pid) for p in family(child))]


def test_a_killed_run_leaves_no_half_version_and_the_next_one_makes_the_same_bytes(simulated):
    "The graph, killed when its first notebook is done and then run again, makes bit for bit what papermill by hand made."
    artifacts = simulated / "killed"
    process = subprocess.Popen(
        [sys.executable, *retrain_command(simulated)],
        cwd=simulated,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: process.poll() is not None or any(artifacts.glob(".steps/train_*")), 300)
    processes = family(process.pid)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL and [p.name for p in artifacts.iterdir()] == [
        ".steps"
    ]
    until(
        lambda: (
            not [
                p
                for p in processes[1:]
                if Path(f"/proc/{p}/cmdline").exists() and Path(f"/proc/{p}/cmdline").read_bytes()
            ]
        ),
        30,
    )  # nobody goes on for a dead run
    done = run(*retrain_command(simulated), cwd=simulated)
    assert done.returncode == 0, done.stderr
    assert ": as before" in done.stderr and not list(simulated.rglob("applications.jsonl*"))
    version, by_hand = current_version(artifacts), simulated / "artifacts"
    assert version == current_version(by_hand)
    for name in (*FILES, "manifest.json"):
        assert (artifacts / version / name).read_bytes() == (
            by_hand / version / name
        ).read_bytes(), name
    before = {p: p.stat().st_mtime_ns for p in artifacts.rglob("*")}
    done = run(*retrain_command(simulated), cwd=simulated)
    assert done.returncode == 0 and "serves already" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in artifacts.rglob("*") if p.is_file()} == {
        p: t for p, t in before.items() if p.is_file()
    }


WRITER = """
import sys
from credit_risk.artifacts import FILES, promote, write_version
for i in range(100_000):
    write_version(sys.argv[1], f"v{i}", {name: {"i": i} if name.endswith("json") else "x" * 100_000 for name in FILES}, {}, [])
    promote(sys.argv[1], f"v{i}")
"""


def test_a_killed_promotion_leaves_the_old_version_or_the_new_one(tmp_path):
    draw = random.Random(0)
    for turn in range(8):
        folder = tmp_path / str(turn)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)])
        until(lambda: (folder / "current").exists(), 60)  # noqa: B023
        time.sleep(draw.uniform(0, 0.1))
        process.kill()
        process.wait()
        names = sorted(versions(folder), key=lambda name: int(name[1:]))
        for name in names:
            read_version(folder, name)
        assert (
            current_version(folder) in names[-2:]
            and promotions(folder)[-1]["version"] in names[-2:]
        )


BERKA = [pytest.param(lambda folder: REAL, id="real")] if REAL.is_dir() else []


@pytest.mark.parametrize(
    "files",
    [*BERKA, pytest.param(lambda folder: write_synthetic(folder / "files"), id="synthetic")],
)
def test_berka_from_its_files_to_an_answer(files, request, tmp_path):
    "The real files on MariaDB where this machine has them; a bank in their format on SQLite everywhere."
    real = request.node.callspec.id == "real"
    url = (
        request.getfixturevalue("mariadb_url")
        if real or not REAL.is_dir()
        else f"sqlite:///{tmp_path}/berka.db"
    )
    done = credit_risk("import-berka", str(files(tmp_path)), "--database-url", url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    # the synthetic accounts were all opened in one season: the later applications are older than any before, and the gate says so
    force = () if real else ("--force", "accounts of one season")
    done = credit_risk(
        "retrain",
        "--artifacts",
        "berka-artifacts",
        "--split-date",
        "1996-01-01",
        *force,
        cwd=tmp_path,
        CREDIT_RISK_DATABASE_URL=url,
    )
    assert done.returncode == 0, done.stderr
    assert "100%" in done.stderr and "AUC" in done.stdout
    metrics = check_version(tmp_path / "berka-artifacts")
    if real:
        assert (metrics["scorer"]["n"], metrics["scorer"]["defaults"]) == (117, 16)
    version = tmp_path / "berka-artifacts" / current_version(tmp_path / "berka-artifacts")
    assert sorted(p.name for p in (version / "runs").iterdir()) == sorted(
        f"{n}.{end}"
        for n in ("eda", "train_scorer", "train_anomaly", "evaluate")
        for end in ("ipynb", "html")
    )
    assert sorted(p.name for p in (tmp_path / "berka-artifacts").iterdir()) == sorted(
        [version.name, "current", "promotions.jsonl", ".steps"]
    )
    assert not [p for p in tmp_path.rglob("applications.jsonl*")], (
        "the facts of clients were left behind"
    )
    gate = read_version(version.parent, version.name)["manifest"]["gate"]
    assert (
        gate["against"] is None and (gate["refusals"], gate["forced"]) == ([], None)
        if real
        else (len(gate["refusals"]), gate["forced"]) == (1, "accounts of one season")
    )
    if password := connect(url).url.password:
        assert not [
            p for p in tmp_path.rglob("*") if p.is_file() and password.encode() in p.read_bytes()
        ], "a report shows the password"
    with connect(url).connect() as c:
        client, day = c.exec_driver_sql(
            "select client_id, date_demande from demandes_de_pret order by date_demande desc limit 1"
        ).first()
    with running(
        tmp_path,
        CREDIT_RISK_DATABASE_URL=url,
        CREDIT_RISK_ARTIFACTS=str(tmp_path / "berka-artifacts"),
    ) as service:
        answer = service.score(
            {
                "client_id": client,
                "demande": {"date_demande": str(day), "montant": 50_000, "duree_mois": 24},
            }
        )
        assert answer.status == 200, answer.body
        Result.model_validate(answer.json)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    "A copy of the library and its notebooks, in which the scorer's notebook fails early."
    copy = tmp_path_factory.mktemp("copy")
    for name in ("credit_risk", "sql", "nbs", "requirements"):
        shutil.copytree(
            ROOT / name,
            copy / name,
            ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"),
        )
    notebook = copy / "nbs" / "runs" / "train_scorer.ipynb"
    content = json.loads(notebook.read_text("utf-8"))
    content["cells"].insert(
        2,
        {
            "cell_type": "code",
            "id": "fails",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": "raise RuntimeError('planted')",
        },
    )
    notebook.write_text(json.dumps(content), "utf-8")
    return copy


def test_a_failed_notebook_promotes_nothing(simulated, broken, tmp_path):
    (tmp_path / "current").write_text("an-older-version\n")
    done = credit_risk(
        "retrain",
        "--database-url",
        f"sqlite:///{simulated}/bank.db",
        "--artifacts",
        str(tmp_path),
        cwd=broken,
        PYTHONPATH=str(broken),
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "credit-risk retrain: train_scorer failed: RuntimeError: planted (nothing was promoted; executed copy: "
    ), done.stderr
    copy = Path(last.split("executed copy: ")[1].rstrip(")"))
    assert "planted" in copy.read_text("utf-8")
    assert (tmp_path / "current").read_text() == "an-older-version\n"
    assert not [p for p in tmp_path.iterdir() if p.name != "current" and not p.name.startswith(".")]


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["--split-date", "1996-02-31"], "split_date must be a date YYYY-MM-DD, not '1996-02-31'"),
        (
            ["--split-date", "2045-01-01"],
            "from split_date 2045-01-01 there are 0 matured loans with 0 defaults",
        ),
        (
            ["--database-url", "sqlite:///nothing.db"],
            "there is no bank in nothing.db: make one with credit-risk init-db",
        ),
        (["--database-url", "mariadb://nobody:x@127.0.0.1:1/bank"], "the database refused: (2003"),
        (
            ["--database-url", "postgresql://x/y"],
            "database url must begin with sqlite:// or mariadb://",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(simulated, tmp_path, arguments, reason):
    bank = (
        []
        if "--database-url" in arguments
        else ["--database-url", f"sqlite:///{simulated}/bank.db"]
    )
    done = credit_risk("retrain", "--artifacts", "artifacts", *bank, *arguments, cwd=tmp_path)
    assert (
        done.returncode == 1
        and done.stderr.startswith("credit-risk retrain: ")
        and reason in done.stderr
        and len(done.stderr.splitlines()) == 1
    )
    assert not list(tmp_path.iterdir())


def cli(capsys, *arguments):
    "A command in this process: its status and what it said."
    from credit_risk.cli import main

    try:
        main([*arguments])
    except SystemExit as e:
        return e.code, capsys.readouterr().out
    return 0, capsys.readouterr().out


def test_versions_are_listed_shown_promoted_forced_and_taken_back(tmp_path, capsys):
    artifacts = ["--artifacts", str(tmp_path)]
    files = {"scorer.json": {}, "anomaly.json": {}, "model_card.md": "# A card"}
    gate = {"against": None, "refusals": [], "forced": None}
    for name, auc, said in (
        ("good", 0.8, gate),
        ("poor", 0.7, gate | {"against": "good", "refusals": ["discrimination: its AUC is 0.700"]}),
    ):
        write_version(
            tmp_path,
            name,
            files
            | {"metrics.json": {"scorer": {"auc": auc, "brier": 0.05}, "split_date": "2020-01-01"}},
            {},
            [],
            gate=said,
        )
    assert cli(capsys, "models", "promote", "good", *artifacts) == (0, "version good serves\n")
    status, _ = cli(capsys, "models", "promote", "poor", *artifacts)
    assert (
        status
        == "credit-risk models: version poor is not promoted: discrimination: its AUC is 0.700 (promote it all the same with --force REASON)"
    )
    assert current_version(tmp_path) == "good"
    assert (
        cli(capsys, "models", "promote", "poor", "--force", "the board asked for it", *artifacts)[0]
        == 0
    )
    assert (
        read_version(tmp_path, "poor")["manifest"]["gate"]["forced"] == "the board asked for it"
        and promotions(tmp_path)[-1]["force"] == "the board asked for it"
    )
    _, listed = cli(capsys, "models", "list", *artifacts)
    assert (
        [line.split()[:2] for line in listed.splitlines()] == [["good", "from"], ["*", "poor"]]
        and "forced: the board asked for it" in listed
        and "passed" in listed
    )
    _, shown = cli(capsys, "models", "show", *artifacts)
    assert (
        shown.startswith("# A card")
        and "Beside good: discrimination: its AUC is 0.700. Promoted all the same: the board asked for it"
        in shown
    )
    assert (
        cli(capsys, "models", "rollback", *artifacts) == (0, "version good serves again\n")
        and current_version(tmp_path) == "good"
    )
    assert (
        cli(capsys, "models", "rollback", *artifacts)[0]
        == "credit-risk models: nothing was promoted before version good"
    )
    (tmp_path / "poor" / "scorer.json").write_text("{ }")
    assert (
        "poor  cannot be used: version poor: scorer.json does not match"
        in cli(capsys, "models", "list", *artifacts)[1]
    )
