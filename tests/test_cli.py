"""The command line as its users meet it: the installed command, its lines and its exit status."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from command import credit_risk
from service import ROOT

HELP = [
    ("init-db",),
    ("import-berka",),
    ("retrain",),
    ("key",),
    ("key", "create"),
    ("key", "list"),
    ("key", "revoke"),
    ("audit",),
    ("score-batch",),
    ("models",),
    ("models", "list"),
    ("models", "show"),
    ("models", "promote"),
    ("models", "rollback"),
    ("monitor",),
    ("add-scenarios",),
]
COMMANDS = sorted({names[0] for names in HELP})
HEAVY = {"pandas", "numpy", "scipy", "sklearn", "alembic", "matplotlib", "statsmodels", "lightgbm"}


@cache
def help_of(*names) -> str:
    "What a command says of itself."
    done = credit_risk(*names, "--help", cwd=ROOT)
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout


def imported(*arguments, cwd) -> set[str]:
    "The packages that a command imports, as the interpreter lists them."
    done = credit_risk(*arguments, cwd=cwd, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in lines[1:]}  # the first is the heading
    return {name.partition(".")[0] for name in names}


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> str:
    "The address of a bank with its tables and one key."
    from credit_risk.database import connect, migrate
    from credit_risk.keys import create_key

    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('cli')}/bank.db")
    migrate(engine)
    with engine.begin() as connection:
        create_key(connection, "agence-12", ["score"])
    engine.dispose()
    return str(engine.url)


def test_help_lists_every_command():
    lines = [line for line in help_of().splitlines() if line.startswith("    ")]
    assert set(COMMANDS) <= {line.split()[0] for line in lines}


@pytest.mark.parametrize("names", HELP, ids=" ".join)
def test_help_of_a_command_begins_with_its_usage(names):
    assert help_of(*names).startswith(f"usage: credit-risk {' '.join(names)}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_address_of_the_bank(name):
    assert "--database-url URL" in help_of(name)


def test_help_imports_only_the_standard_library(tmp_path):
    known = {*sys.stdlib_module_names, "sitecustomize"}  # the latter is what a machine adds
    packages = {name for name in imported("--help", cwd=tmp_path) if not name.startswith("_")}
    assert packages - known == {"credit_risk"}


def test_the_keys_are_listed_without_the_packages_of_training(bank, tmp_path):
    packages = imported("key", "--database-url", bank, "list", cwd=tmp_path)
    assert "sqlalchemy" in packages and not packages & HEAVY


def test_retrain_is_imported_without_the_packages_of_training(tmp_path):
    code = "import sys, credit_risk.retrain; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    packages = set(done.stdout.split())
    assert "credit_risk" in packages and not packages & HEAVY


def test_a_key_is_printed_by_itself(bank, tmp_path):
    arguments = ("create", "agence-13", "--scope", "score", "--scope", "audit")
    done = credit_risk("key", "--database-url", bank, *arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("cr_") and len(done.stdout.splitlines()) == 1
    assert done.stderr == "key agence-13 opens score and audit; it is shown this once\n"


def test_keys_are_listed_with_their_states(bank, tmp_path):
    def key(*arguments):
        return credit_risk("key", "--database-url", bank, *arguments, cwd=tmp_path)

    assert key("create", "brief", "--scope", "score", "--expires", "2099-01-01").returncode == 0
    assert key("create", "ended", "--scope", "operate").returncode == 0
    assert key("revoke", "ended").returncode == 0
    lines = {line.split()[0]: line for line in key("list").stdout.splitlines()}
    assert "good" in lines["agence-12"] and lines["agence-12"].endswith("no end")
    assert "good" in lines["brief"] and lines["brief"].endswith("until 2099-01-01")
    assert "operate" in lines["ended"] and "revoked" in lines["ended"]


def test_the_address_of_the_bank_may_come_from_the_environment(bank, tmp_path):
    done = credit_risk("key", "list", cwd=tmp_path, CREDIT_RISK_DATABASE_URL=bank)
    assert done.returncode == 0 and "agence-12" in done.stdout


REFUSALS = [
    (("init-db", "--database-url", "oracle://x"), "database url must begin with sqlite://"),
    (("import-berka", "nowhere"), "nowhere: there is no such directory; name the folder"),
    (("retrain", "--database-url", "sqlite:///no.db"), "there is no bank in no.db: make one with"),
    (
        ("key", "--database-url", "sqlite:///empty.db", "list"),
        "the database refused: no such table: cles; create the tables with credit-risk init-db",
    ),
    (
        ("key", "create", "a", "--scope", "score", "--expires", "soon"),
        "expires must be a date YYYY-MM-DD, not soon",
    ),
    (("models", "show"), "no model is promoted in artifacts/: run credit-risk retrain"),
    (("models", "rollback"), "no model is promoted in artifacts/: run credit-risk retrain"),
    (("models", "promote", "x"), "version x: scorer.json cannot be read"),
    (("score-batch", "in.csv", "out.csv"), "no model is promoted in artifacts/"),
    (("score-batch", "in", "out"), "no model is promoted in artifacts/"),
    (("add-scenarios",), "no model is promoted in artifacts/: run credit-risk retrain"),
]


@pytest.mark.parametrize("arguments, reason", REFUSALS, ids=lambda value: str(value)[:40])
def test_a_refusal_is_one_line_and_exits_with_1(arguments, reason, bank, tmp_path):
    url = {} if "--database-url" in arguments else {"CREDIT_RISK_DATABASE_URL": bank}
    done = credit_risk(*arguments, cwd=tmp_path, **url)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"credit-risk {arguments[0]}: ") and reason in done.stderr
    assert len(done.stderr.splitlines()) == 1


WRONG = [
    (),
    ("nothing",),
    ("models",),
    ("key", "create", "a"),
    ("key", "create", "a", "--scope", "everything"),
    ("audit", "believe"),
    ("score-batch", "in.csv"),
    ("init-db", "--simulate", "many"),
]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda names: " ".join(names) or "no command")
def test_wrong_usage_exits_with_2(arguments, tmp_path):
    done = credit_risk(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("usage: credit-risk")


def test_an_untouched_audit_is_verified(bank, tmp_path):
    done = credit_risk("audit", "--database-url", bank, "verify", "--chains-only", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == "0 decisions, 0 made again, 0 problems\n"


def test_a_bank_that_has_clients_is_not_filled_again(tmp_path):
    arguments = ("init-db", "--database-url", "sqlite:///bank.db", "--simulate", "5")
    first = credit_risk(*arguments, cwd=tmp_path)
    again = credit_risk(*arguments, cwd=tmp_path)
    assert first.returncode == again.returncode == 0
    assert '"clients": 5' in first.stdout
    assert again.stdout.splitlines()[-1] == "the bank already has clients: nothing is simulated"


# the versions of a folder


@pytest.fixture
def two_versions(tmp_path) -> Path:
    "A folder with a version that passed the gate, promoted, and one that the gate refused."
    from credit_risk.artifacts import promote, write_version

    passed = {"against": None, "refusals": [], "forced": None}
    refused = passed | {"against": "good", "refusals": ["discrimination: its AUC is 0.700"]}
    for name, auc, gate in (("good", 0.8, passed), ("poor", 0.7, refused)):
        metrics = {"scorer": {"auc": auc, "brier": 0.05}, "split_date": "2020-01-01"}
        files = {
            "scorer.json": {},
            "anomaly.json": {},
            "metrics.json": metrics,
            "model_card.md": "# A card",
        }
        write_version(tmp_path / "artifacts", name, files, {}, [], gate=gate)
    promote(tmp_path / "artifacts", "good")
    return tmp_path


def models(*arguments, cwd) -> subprocess.CompletedProcess:
    return credit_risk("models", *arguments, cwd=cwd)


def force_poor(folder):
    return models("promote", "poor", "--force", "the board asked for it", cwd=folder)


def test_the_promoted_version_is_starred_in_the_list(two_versions):
    lines = models("list", cwd=two_versions).stdout.splitlines()
    assert lines == [
        "* good  from 2020-01-01  AUC 0.800  Brier 0.0500  passed",
        "  poor  from 2020-01-01  AUC 0.700  Brier 0.0500  refused",
    ]


def test_a_version_that_passed_is_promoted(two_versions):
    done = models("promote", "good", cwd=two_versions)
    assert (done.returncode, done.stdout) == (0, "version good serves\n")


def test_a_version_that_the_gate_refused_is_not_promoted(two_versions):
    from credit_risk.artifacts import current_version

    done = models("promote", "poor", cwd=two_versions)
    assert done.returncode == 1
    assert done.stderr == (
        "credit-risk models: version poor is not promoted: discrimination: its AUC is 0.700"
        " (promote it all the same with --force REASON)\n"
    )
    assert current_version(two_versions / "artifacts") == "good"


def test_the_reason_of_a_forced_promotion_is_kept(two_versions):
    from credit_risk.artifacts import promotions, read_version

    artifacts = two_versions / "artifacts"
    assert force_poor(two_versions).returncode == 0
    gate = read_version(artifacts, "poor")["manifest"]["gate"]
    assert gate["forced"] == promotions(artifacts)[-1]["force"] == "the board asked for it"


def test_the_list_and_the_card_show_a_forced_promotion(two_versions):
    force_poor(two_versions)
    listed = models("list", cwd=two_versions).stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["good", "*"]
    assert "forced: the board asked for it" in listed
    shown = models("show", cwd=two_versions).stdout
    assert shown.startswith("# A card")
    assert shown.endswith(
        "Beside good: discrimination: its AUC is 0.700."
        " Promoted all the same: the board asked for it\n"
    )


def test_a_rollback_goes_back_once(two_versions):
    force_poor(two_versions)
    back = models("rollback", cwd=two_versions)
    assert (back.returncode, back.stdout) == (0, "version good serves again\n")
    further = models("rollback", cwd=two_versions)
    assert further.returncode == 1
    assert further.stderr == "credit-risk models: nothing was promoted before version good\n"


def test_a_damaged_version_is_listed_as_such(two_versions):
    (two_versions / "artifacts" / "poor" / "scorer.json").write_text("{ }")
    listed = models("list", cwd=two_versions).stdout
    assert "poor  cannot be used: version poor: scorer.json does not match" in listed
