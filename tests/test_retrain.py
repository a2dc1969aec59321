"""Retraining as its users do it, on real databases, up to an answer of the service.

Papermill by hand and `credit-risk retrain` make the same version; a run that is killed or fails
promotes nothing; only what can change a model renames a version.
"""

import ast
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from berka_files import REAL, write_synthetic
from command import COMMAND, credit_risk
from service import children, running, until

from credit_risk.answer import Result
from credit_risk.artifacts import FILES, current_version, digest, promotions, read_version, versions
from credit_risk.bank import create_bank
from credit_risk.contract import EXAMPLE
from credit_risk.database import ROOT, connect
from credit_risk.origin import DRAWING, JUDGES, TRAINING, code_of, imported_modules, training_code
from credit_risk.scoring import check_golden
from credit_risk.version import load_version

SPLIT = "2020-01-01"
METRICS_OF_SCORER = {
    *("auc", "auc_low", "auc_high", "gini", "ks", "brier", "ece", "log_loss", "n"),
    *("calibration", "by_class", "by_year", "by_segment", "fairness", "psi_score"),
    *("challengers", "profit", "learning_curve", "without_fact"),
}


def refusal(*arguments) -> str:
    "The line with which a command in this process ends."
    from credit_risk.cli import main

    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    return ended.value.code


def check_version(artifacts: Path) -> dict:
    "A promoted version is whole, and gives its golden answers; its metrics."
    version = current_version(artifacts)
    content = read_version(artifacts, version)
    metrics, scorer = content["metrics"], content["metrics"]["scorer"]
    assert check_golden(load_version(artifacts)) == []
    assert set(scorer) >= METRICS_OF_SCORER
    assert set(metrics["anomaly"]) >= {"alert_rate", "recall", "n"}
    assert scorer["auc_low"] <= scorer["auc"] <= scorer["auc_high"]
    rates = [row["observed"] for row in scorer["by_class_out_of_fold"]]
    assert len(rates) == len(content["scorer"]["scorecard"]["classes"])
    assert rates == sorted(rates), "classes whose rates of default do not rise"
    card = (artifacts / version / "model_card.md").read_text("utf-8")
    assert version in card and "nan" not in card and "None" not in card
    return metrics


def facts_left(folder: Path) -> list[Path]:
    "Files that hold the facts of clients beside the bank."
    return list(folder.rglob("applications.jsonl*"))


# the same version by hand and by the graph


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    "A folder with a small simulated bank."
    folder = tmp_path_factory.mktemp("retrain")
    create_bank(f"sqlite:///{folder}/bank.db", n_clients=1_500, progress=False)
    return folder


@pytest.fixture(scope="module")
def by_hand(simulated) -> Path:
    "The artifacts that papermill makes, one training notebook after the other."
    artifacts = simulated / "by hand"
    for name in TRAINING:
        assert not (artifacts / "current").exists(), "promoted before both models were there"
        parameters = {
            "database_url": "sqlite:///bank.db",
            "artifacts": artifacts.name,
            "split_date": SPLIT,
        }
        options = [part for pair in parameters.items() for part in ("-p", *pair)]
        notebook = ROOT / "nbs" / "runs" / f"{name}.ipynb"
        papermill = Path(sys.executable).with_name("papermill")
        command = [papermill, notebook, f"{name}.ipynb", "--no-progress-bar", *options]
        done = subprocess.run(command, cwd=simulated, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return artifacts


def test_papermill_by_hand_makes_a_whole_version(by_hand):
    metrics = check_version(by_hand)
    assert metrics["split_date"] == SPLIT and metrics["scorer"]["n"] > 100


def test_the_scorer_stays_near_what_the_simulated_truth_allows(by_hand):
    scorer = check_version(by_hand)["scorer"]
    assert scorer["auc"] < scorer["oracle"]["auc"] + 0.1


def test_a_version_made_by_hand_serves(simulated, by_hand):
    with running(simulated, CREDIT_RISK_ARTIFACTS=str(by_hand)) as service:
        answer = service.score(EXAMPLE)
    assert answer.status == 200
    assert Result.model_validate(answer.json).modele.version == current_version(by_hand)


def test_scenarios_are_added_to_the_promoted_models_which_stay_as_they_are(
    simulated, by_hand, tmp_path
):
    artifacts = shutil.copytree(by_hand, tmp_path / "artifacts")
    bank = f"sqlite:///{simulated}/bank.db"
    where = ("--database-url", bank, "--artifacts", str(artifacts))
    done = credit_risk("add-scenarios", *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = current_version(by_hand), current_version(artifacts)
    assert before != after
    for name in ("scorer.json", "anomaly.json"):
        assert (artifacts / after / name).read_bytes() == (by_hand / before / name).read_bytes()
    version = load_version(artifacts)
    assert "severe" in version.scenarios.to_dict()["scenarios"]
    assert check_golden(version) == []


# a run that is killed, and the next one


@dataclass(frozen=True)
class KilledRun:
    "A retraining that was killed when its first notebook was done."

    artifacts: Path
    status: int  # of the killed process
    left: list[str]  # names in the folder of versions
    processes: list[int]  # that it had started


def family(pid: int) -> list[int]:
    "A process and all that it started."
    return [pid, *(other for child in children(pid) for other in family(child))]


def alive(pid: int) -> bool:
    "Whether a process runs; one that nobody has waited for yet does not."
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and bool(command.read_bytes())


def retrain_command(folder: Path, artifacts: Path) -> list[str]:
    bank = f"sqlite:///{folder}/bank.db"
    options = ("--database-url", bank, "--artifacts", str(artifacts), "--split-date", SPLIT)
    return ["retrain", *options]


@pytest.fixture(scope="module")
def killed(simulated) -> KilledRun:
    artifacts = simulated / "graph"
    process = subprocess.Popen(
        [COMMAND, *retrain_command(simulated, artifacts)],
        cwd=simulated,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: process.poll() is not None or any(artifacts.glob(".steps/train_*")), 300)
    processes = family(process.pid)
    process.kill()
    process.wait()
    left = [path.name for path in artifacts.iterdir()]
    return KilledRun(artifacts, process.returncode, left, processes[1:])


@pytest.fixture(scope="module")
def resumed(simulated, killed) -> subprocess.CompletedProcess:
    "The run after the one that was killed."
    done = credit_risk(*retrain_command(simulated, killed.artifacts), cwd=simulated)
    assert done.returncode == 0, done.stderr
    return done


def test_a_killed_run_leaves_no_half_version(killed):
    assert killed.status == -signal.SIGKILL and killed.left == [".steps"]


def test_nothing_goes_on_for_a_dead_run(killed):
    assert killed.processes
    until(lambda: not any(alive(pid) for pid in killed.processes), 30)


def test_the_next_run_does_not_repeat_a_finished_step(resumed):
    assert ": as before" in resumed.stderr


def test_no_facts_of_clients_are_left_behind(simulated, resumed):
    assert facts_left(simulated) == []


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_the_graph_makes_the_bytes_that_papermill_makes_by_hand(name, by_hand, killed, resumed):
    version = current_version(by_hand)
    assert current_version(killed.artifacts) == version
    made = (killed.artifacts / version / name).read_bytes()
    assert made == (by_hand / version / name).read_bytes()


def test_a_run_that_has_nothing_new_changes_no_file(simulated, killed, resumed, capsys):
    from credit_risk.cli import main

    def written():
        files = [path for path in killed.artifacts.rglob("*") if path.is_file()]
        return {path: path.stat().st_mtime_ns for path in files}

    before = written()
    main(retrain_command(simulated, killed.artifacts))
    assert "serves already" in capsys.readouterr().err and written() == before


@pytest.fixture
def refused_candidate(killed, resumed, tmp_path) -> Path:
    "The artifacts before the promotion, all steps finished, with a candidate that must not serve."
    artifacts = tmp_path / killed.artifacts.name
    shutil.copytree(killed.artifacts / ".steps", artifacts / ".steps")
    (path,) = artifacts.glob(".steps/evaluate-*/comparison.json")
    comparison = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(comparison | {"parity": 1.0}), "utf-8")
    return artifacts


def test_a_candidate_that_the_gate_refuses_does_not_serve(simulated, refused_candidate):
    line = refusal(*retrain_command(simulated, refused_candidate))
    assert "is not promoted: parity: " in line and line.endswith("with --force REASON)")
    assert not (refused_candidate / "current").exists()


def test_a_refused_candidate_is_promoted_with_a_reason(simulated, refused_candidate):
    from credit_risk.cli import main

    main([*retrain_command(simulated, refused_candidate), "--force", "the board asked for it"])
    version = current_version(refused_candidate)
    gate = read_version(refused_candidate, version)["manifest"]["gate"]
    assert len(gate["refusals"]) == 1 and gate["forced"] == "the board asked for it"


WRITER = """
import sys
from credit_risk.artifacts import FILES, promote, write_version
for i in range(100_000):
    contents = {name: {"i": i} if name.endswith("json") else "x" * 100_000 for name in FILES}
    write_version(sys.argv[1], f"v{i}", contents, {}, [])
    promote(sys.argv[1], f"v{i}")
"""


@pytest.mark.parametrize("turn", range(8))
def test_a_killed_promotion_leaves_the_old_version_or_the_new_one(turn, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    until((tmp_path / "current").exists, 60)
    time.sleep(random.Random(turn).uniform(0, 0.1))
    process.kill()
    process.wait()
    names = sorted(versions(tmp_path), key=lambda name: int(name[1:]))
    for name in names:
        read_version(tmp_path, name)
    assert current_version(tmp_path) in names[-2:]
    assert promotions(tmp_path)[-1]["version"] in names[-2:]


# the Berka bank: the published files where this machine has them, else files in their format


@dataclass(frozen=True)
class BerkaRun:
    "A bank imported from Berka files into MariaDB, and the version that it made."

    folder: Path
    url: str  # of the bank
    artifacts: Path
    retraining: subprocess.CompletedProcess


@pytest.fixture(scope="module")
def berka(mariadb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("berka")
    files = REAL if REAL.is_dir() else write_synthetic(folder / "files")
    # The synthetic accounts were all opened in one season: the later applications are older than
    # any before, and the gate refuses.
    force = () if REAL.is_dir() else ("--force", "accounts of one season")
    options = ("--artifacts", "versions", "--split-date", "1996-01-01", *force)
    with mariadb.database() as url:
        done = credit_risk("import-berka", str(files), "--database-url", url, cwd=folder)
        assert done.returncode == 0, done.stderr
        done = credit_risk("retrain", *options, cwd=folder, CREDIT_RISK_DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
        yield BerkaRun(folder, url, folder / "versions", done)


def test_the_berka_bank_makes_a_whole_version(berka):
    scorer = check_version(berka.artifacts)["scorer"]
    if REAL.is_dir():
        assert (scorer["n"], scorer["defaults"]) == (117, 16)


def test_retraining_shows_bars_and_ends_with_the_measures(berka):
    assert "100%" in berka.retraining.stderr and "AUC" in berka.retraining.stdout


def test_the_executed_notebooks_are_kept_with_the_version(berka):
    runs = berka.artifacts / current_version(berka.artifacts) / "runs"
    steps = ("eda", "train_scorer", "train_anomaly", "evaluate")
    kept = sorted(f"{step}.{kind}" for step in steps for kind in ("ipynb", "html"))
    assert sorted(path.name for path in runs.iterdir()) == kept


def test_a_run_leaves_nothing_else_beside_its_version(berka):
    names = {path.name for path in berka.artifacts.iterdir()}
    assert names == {current_version(berka.artifacts), "current", "promotions.jsonl", ".steps"}
    assert facts_left(berka.folder) == []


def test_the_gate_leaves_its_verdict_in_the_manifest(berka):
    version = current_version(berka.artifacts)
    gate = read_version(berka.artifacts, version)["manifest"]["gate"]
    refusals, reason = (0, None) if REAL.is_dir() else (1, "accounts of one season")
    assert (gate["against"], len(gate["refusals"]), gate["forced"]) == (None, refusals, reason)


def test_no_report_shows_the_password_of_the_bank(berka):
    password = connect(berka.url).url.password.encode()
    files = [path for path in berka.folder.rglob("*") if path.is_file()]
    assert password and not [path for path in files if password in path.read_bytes()]


def test_the_service_answers_for_a_client_of_the_berka_bank(berka):
    last = "select client_id, date_demande from demandes_de_pret order by date_demande desc limit 1"
    with connect(berka.url).connect() as connection:
        client, day = connection.exec_driver_sql(last).first()
    demande = {"date_demande": str(day), "montant": 50_000, "duree_mois": 24}
    environment = {
        "CREDIT_RISK_DATABASE_URL": berka.url,
        "CREDIT_RISK_ARTIFACTS": str(berka.artifacts),
    }
    with running(berka.folder, **environment) as service:
        answer = service.score({"client_id": client, "demande": demande})
    assert answer.status == 200, answer.body
    Result.model_validate(answer.json)


# what fails, and what cannot be trained on


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    "A copy of what a retraining executes."
    copy = tmp_path_factory.mktemp("repository")
    for part in ("credit_risk", "sql", "nbs/runs", "requirements"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def broken(repository):
    "The copy while its scorer's notebook fails before it imports anything."
    notebook = repository / "nbs" / "runs" / "train_scorer.ipynb"
    text = notebook.read_text("utf-8")
    content = json.loads(text)
    failing = next(c for c in content["cells"][2:] if c["cell_type"] == "code")
    failing["source"] = "raise RuntimeError('planted')"
    notebook.write_text(json.dumps(content), "utf-8")
    yield repository
    notebook.write_text(text, "utf-8")


def test_a_failed_notebook_promotes_nothing(simulated, broken, tmp_path):
    (tmp_path / "current").write_text("an-older-version\n")
    done = credit_risk(*retrain_command(simulated, tmp_path), cwd=broken, PYTHONPATH=str(broken))
    assert done.returncode == 1
    reason, _, copy = done.stderr.strip().splitlines()[-1].partition("executed copy: ")
    failed = "credit-risk retrain: train_scorer failed: RuntimeError: planted"
    assert reason == f"{failed} (nothing was promoted; ", done.stderr
    assert "planted" in Path(copy.rstrip(")")).read_text("utf-8")
    assert (tmp_path / "current").read_text() == "an-older-version\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".steps", "current"]


@pytest.mark.parametrize(
    "option, value, reason",
    [
        ("--split-date", "1996-02-31", "split_date must be a date YYYY-MM-DD, not '1996-02-31'"),
        (
            "--split-date",
            "2045-01-01",
            "from split_date 2045-01-01 there are 0 matured loans with 0 defaults",
        ),
        (
            "--database-url",
            "sqlite:///nothing.db",
            "there is no bank in nothing.db: make one with credit-risk init-db",
        ),
        (
            "--database-url",
            "mariadb://nobody:x@127.0.0.1:1/bank",
            "the database refused: (2003",
        ),
        (
            "--database-url",
            "postgresql://x/y",
            "database url must begin with sqlite:// or mariadb://",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    option, value, reason, simulated, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = retrain_command(simulated, Path("artifacts"))
    line = refusal(*command, option, value)
    assert line.startswith("credit-risk retrain: ") and reason in line
    assert len(line.splitlines()) == 1
    assert not list(tmp_path.iterdir())


# what renames a version


@pytest.fixture(scope="module")
def renames(repository):
    "Whether one line more in a module changes the code that a version is named by."
    before = digest(training_code(root=repository))

    def changed_by(module: str) -> bool:
        path = repository / "credit_risk" / f"{module}.py"
        text = path.read_text("utf-8")
        path.write_text(f"{text}# another line\n", "utf-8")
        after = digest(training_code(root=repository))
        path.write_text(text, "utf-8")
        return after != before

    return changed_by


@pytest.mark.parametrize("module", sorted(DRAWING))
def test_a_change_of_plot_style_leaves_the_name_of_a_version(module, renames):
    assert f"{module}.py" in code_of(*TRAINING), "training does not import it"
    assert not renames(module)


@pytest.mark.parametrize("module", sorted(JUDGES))
def test_a_change_of_the_gate_leaves_the_name_of_a_version(module, renames):
    assert not renames(module)


@pytest.mark.parametrize(
    "module", ["features", "boosting", "anomaly", "intervals", "evaluation", "model_card"]
)
def test_a_change_that_may_change_a_sealed_file_renames_a_version(module, renames):
    assert renames(module)


@pytest.mark.parametrize("name", sorted(n for n in training_code() if n.endswith(".py")))
def test_a_module_that_makes_a_model_does_not_draw(name):
    source = (ROOT / "credit_risk" / name).read_text("utf-8")
    assert not imported_modules(source, "credit_risk") & DRAWING
    roots = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
    assert not roots & {"matplotlib", "seaborn"}
