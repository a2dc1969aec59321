"""The simulated bank.

One seed is one bank, wherever it is made and kept. The truth is kept apart. A load that is killed
leaves nothing.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from credit_risk.bank import BLOCK_SIZE, create_bank, digest, read_truth, simulate, truth_path
from credit_risk.contract import disagreements
from credit_risk.database import TABLES, all_dossiers, connect, dossier_of_client, is_empty, migrate
from credit_risk.economy import FIRST_MONTH, LAST_DAY
from credit_risk.fields import BANK_ONLY, FIELDS
from credit_risk.outcomes import true_probability
from credit_risk.population import KINDS

CLIENTS, SEED = 1_500, 5


@pytest.fixture(scope="module")
def made():
    "Three blocks, made in order."
    return list(simulate(3 * BLOCK_SIZE, SEED))


@pytest.fixture(scope="module")
def loaded(mariadb, tmp_path_factory):
    "The same small bank on both databases: engine and truth of each."
    folder = tmp_path_factory.mktemp("simulated")
    made = {}
    with mariadb.database() as url:
        engines = {
            "sqlite": connect(f"sqlite:///{folder / 'bank.db'}"),
            "mariadb": connect(url),
        }
        for name, engine in engines.items():
            truth = folder / f"{name}-verite.db"
            create_bank(engine, CLIENTS, SEED, truth=truth, progress=False)
            made[name] = (engine, truth)
        yield made
        for engine in engines.values():
            engine.dispose()


@pytest.fixture(scope="module")
def dossiers(loaded):
    "Dossiers and outcomes of the small bank, read from SQLite."
    with loaded["sqlite"][0].connect() as c:
        return [facts | outcome for facts, outcome in all_dossiers(c)]


# one seed, one bank


def test_a_part_alone_gives_the_rows_of_the_whole(made):
    alone = simulate(3 * BLOCK_SIZE, SEED, blocks=[1])
    assert digest(alone) == digest(made[1:2])


WORKER = "from credit_risk.bank import *; print(digest(simulate(6_000, 5, blocks=[2, 0])))"


def test_a_fresh_process_in_another_order_gives_the_rows_of_the_whole(made):
    assert (BLOCK_SIZE, SEED) == (2_000, 5)  # what the worker is told
    worker = subprocess.run(
        [sys.executable, "-c", WORKER],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
    )
    assert worker.stdout.strip() == digest([made[2], made[0]])


def test_a_smaller_bank_is_the_beginning_of_a_larger_one(made):
    whole, part = simulate(BLOCK_SIZE + 300, SEED)
    assert digest([whole]) == digest(made[:1])
    for table in (*TABLES, "verite"):
        rows = list(part.rows(table))
        in_larger = list(made[1].rows(table))
        assert rows
        assert rows == in_larger[: len(rows)]


def test_a_smaller_bank_holds_the_clients_asked_for():
    _, part = simulate(BLOCK_SIZE + 300, SEED)
    clients = {row[0] for row in part.rows("clients")}
    assert clients == set(range(BLOCK_SIZE + 1, BLOCK_SIZE + 301))


def test_another_seed_is_another_bank(made):
    other = next(simulate(BLOCK_SIZE, SEED + 1))
    clients = set(made[0].rows("clients"))
    assert clients.isdisjoint(other.rows("clients"))


# two databases, one bank


def _plain(value):
    "A value as SQLite holds it."
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int):
        return value
    return float(value)


def _sorted_rows(rows):
    "Rows as plain values, in the order of their keys."
    plain = []
    for row in rows:
        plain.append(tuple(map(_plain, row)))
    return sorted(plain, key=lambda row: row[:2])


def test_both_databases_give_back_what_was_simulated(loaded):
    block = next(simulate(CLIENTS, SEED))
    for table in TABLES:
        columns = ", ".join(block.tables[table])
        simulated = _sorted_rows(block.rows(table))
        for name, (engine, _) in loaded.items():
            with engine.connect() as c:
                kept = _sorted_rows(c.exec_driver_sql(f"select {columns} from {table}"))
            assert len(kept) > 1_000, (table, name)
            assert kept == simulated, (table, name)


def test_the_truth_that_was_simulated_is_kept(loaded):
    block = next(simulate(CLIENTS, SEED))
    simulated = list(block.rows("verite"))
    for name, (_, path) in loaded.items():
        with closing(sqlite3.connect(path)) as c:
            kept = list(c.execute("select * from verite order by 1"))
        assert kept == simulated, name


def test_both_databases_give_the_same_dossiers_to_the_last_bit(loaded):
    read = {}
    for name, (engine, _) in loaded.items():
        with engine.connect() as c:
            read[name] = [repr(pair) for pair in all_dossiers(c)]  # the repr of a float is exact
    assert len(read["sqlite"]) > CLIENTS
    assert read["sqlite"] == read["mariadb"]


OF_EVERY_CLIENT = (
    "solde_moyen_3m",
    "solde_moyen_12m",
    "credits_moyens_12m",
    "jours_decouvert_12m",
    "nb_rejets_12m",
)


def _months_between(first, last):
    "Months from the month of a day to that of another."
    years = last.year - first.year
    return 12 * years + last.month - first.month


OPENINGS = "select client_id, date_ouverture from comptes where type_compte = 'courant'"


SAVERS = "select client_id from comptes where type_compte = 'epargne'"


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_every_client_can_be_scored_today(loaded, name):
    today = LAST_DAY.item() + timedelta(1)
    demande = dict(date_demande=today, montant=9_000.0, duree_mois=36)
    clients = random.Random(0).sample(range(1, CLIENTS + 1), 250)
    engine, _ = loaded[name]
    with engine.connect() as c:
        opened = dict(c.exec_driver_sql(OPENINGS).all())
        savers = set(c.exec_driver_sql(SAVERS).scalars())
        for client in clients:
            facts = dossier_of_client(c, client, demande)
            opening = date.fromisoformat(str(opened[client]))
            months = _months_between(opening, today)
            assert facts["nb_releves_12m"] == min(12, months), client
            assert None not in [facts[name] for name in OF_EVERY_CLIENT], client
            assert (facts["epargne"] is not None) == (client in savers)
            assert not disagreements(facts, today)


# what the bank holds


def test_no_dossier_disagrees_with_itself(dossiers):
    for facts in dossiers:
        dossier = {name: facts[name] for name in FIELDS}
        assert not disagreements(dossier, LAST_DAY.item()), facts["demande_id"]


def test_the_dossiers_hold_the_ranges_and_codes_of_the_contract(dossiers):
    ranged = coded = 0
    for name, f in FIELDS.items():
        known = [d[name] for d in dossiers if d[name] is not None]
        assert known, name
        if f.low is not None:
            ranged += 1
            assert f.low <= min(known) and max(known) <= f.high, name
        if f.categories:
            coded += 1
            assert set(known) == set(f.categories), name
        if f.required:
            assert len(known) == len(dossiers), name
    assert ranged > 25 and coded == 5


def test_the_outcomes_hold_the_ranges_and_codes_of_the_contract(loaded):
    with loaded["sqlite"][0].connect() as c:
        for f in BANK_ONLY:
            distinct = f"select distinct {f.name} from {f.table} where {f.name} is not null"
            known = set(c.exec_driver_sql(distinct).scalars())
            if f.categories:
                assert known == set(f.categories), f.name
            else:
                assert f.low <= min(known) and max(known) <= f.high, f.name


def test_dates_are_those_of_the_bank(dossiers):
    first = FIRST_MONTH.astype("datetime64[D]").item()
    last = LAST_DAY.item()
    for d in dossiers:
        asked = d["date_demande"]
        known = d["date_statut"]
        assert first < asked <= last
        assert known is None or asked < known <= last


def test_a_refused_loan_has_no_outcome(dossiers):
    refused = [d for d in dossiers if d["decision"] != "acceptee"]
    assert refused
    assert {d["statut_pret"] for d in refused} == {None}


def test_statements_before_an_application_have_no_hole(dossiers):
    for d in dossiers:
        months = _months_between(d["date_ouverture"], d["date_demande"])
        assert d["nb_releves_12m"] == min(12, months), d["demande_id"]


TRUE_COLUMNS = {"pd_vraie", "type_anomalie", "champs_falsifies", "champs_sales"}


NAMES = "select name from sqlite_master where type in ('table', 'view')"


def _words(rows):
    "Every text of some rows."
    words = set()
    for row in rows:
        words.update(value for value in row if isinstance(value, str))
    return words


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_the_truth_is_not_in_the_bank(loaded, name):
    engine, _ = loaded[name]
    with engine.connect() as c:
        for table in TABLES:
            result = c.exec_driver_sql(f"select * from {table}")
            assert TRUE_COLUMNS.isdisjoint(result.keys())
            words = _words(result.all())
            assert words.isdisjoint(KINDS), table


# what the truth says


# facts that may be unknown to the true probability too, or do not enter it
NOT_NEEDED = {
    *("date_embauche", "epargne", "mois_depuis_rejet", "taux_annuel", "decouvert_autorise"),
    *("solde_moyen_3m", "solde_moyen_12m", "solde_min_12m", "solde_max_12m"),
    *("credits_moyens_12m", "debits_moyens_12m", "jours_decouvert_12m", "jours_decouvert_3m"),
    *("nb_rejets_12m", "nb_rejets_3m"),
}
WITHOUT_JOB = ("retraite", "etudiant", "sans_emploi")
DTYPES = {"date": "datetime64[D]", "category": object}


def _is_complete(dossier):
    "Whether everything that the true probability needs is known."
    if any(dossier[name] is None for name in FIELDS if name not in NOT_NEEDED):
        return False
    return bool(dossier["date_embauche"]) or dossier["statut_emploi"] in WITHOUT_JOB


def test_the_truth_has_no_table_in_the_bank(loaded):
    engine, _ = loaded["sqlite"]
    with engine.connect() as c:
        tables = set(c.exec_driver_sql(NAMES).scalars())
    assert "verite" not in tables


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_the_truth_names_the_falsified_applications(loaded, name):
    _, path = loaded[name]
    kinds = read_truth(path).type_anomalie.dropna()
    assert set(kinds) <= set(KINDS)
    assert len(kinds) > 10


def _arrays(dossiers):
    "The fields of dossiers as arrays, as the true probability reads them."
    arrays = {}
    for name, field in FIELDS.items():
        dtype = DTYPES.get(field.kind, float)
        arrays[name] = np.array([d[name] for d in dossiers], dtype=dtype)
    return arrays


def test_the_truth_follows_from_the_dossiers(loaded, dossiers):
    "An honest and complete dossier gives the probability from which its outcome was drawn."
    _, path = loaded["sqlite"]
    truth = read_truth(path).set_index("demande_id")
    is_honest = truth.type_anomalie.isna() & truth.champs_sales.isna()
    honest = set(truth.index[is_honest])
    known = [d for d in dossiers if d["demande_id"] in honest and _is_complete(d)]
    assert len(known) > 1_200
    drawn = truth.pd_vraie[[d["demande_id"] for d in known]]
    computed = true_probability(_arrays(known))
    np.testing.assert_array_equal(computed, drawn)


# a load that dies

KILLED = """
import sys, time
import credit_risk.bank as bank
whole = bank.simulate
def slow(n, seed):
    for block in whole(n, seed, 500):    # clients a block
        yield block
        print("one block is in", flush=True)
        if block.number: time.sleep(60)
bank.simulate = slow
bank.create_bank(sys.argv[1], 1_000, 5, truth=sys.argv[2], progress=False)
"""


@pytest.fixture(scope="module")
def ended():
    "True probability and outcome of the loans that must have ended, and the fifth of each."
    probabilities = []
    defaults = []
    for block in simulate(6 * BLOCK_SIZE, SEED):
        d = block.tables["demandes_de_pret"]
        # 84 months is the longest term: every loan of these years has ended
        is_early = d["date_demande"] < np.datetime64("2017-09-01")
        old = (d["decision"] == "acceptee") & is_early
        status = d["statut_pret"][old]
        assert set(status) == {"Défaut", "Remboursé"}
        probabilities.append(block.truth["pd_vraie"][old])
        defaults.append(status == "Défaut")
    p = np.concatenate(probabilities)
    bounds = np.quantile(p, [0.2, 0.4, 0.6, 0.8])
    return pd.DataFrame(
        {
            "p": p,
            "default": np.concatenate(defaults),
            "fifth": np.searchsorted(bounds, p),
        }
    )


def test_as_many_loans_default_as_the_truth_predicts(ended):
    parts = [ended, *(part for _, part in ended.groupby("fifth"))]
    assert len(parts) == 6
    for part in parts:
        assert len(part) > 800
        test = binomtest(int(part.default.sum()), len(part))
        interval = test.proportion_ci(0.998)  # six of them hold together 99 times in 100
        assert interval.low <= part.p.mean() <= interval.high


def test_the_observed_rate_rises_with_the_true_probability(ended):
    rates = ended.groupby("fifth").default.mean()
    assert rates.is_monotonic_increasing
    assert rates.is_unique


def _count(connection, table):
    "The number of rows of a table."
    return connection.exec_driver_sql(f"select count(*) from {table}").scalar()


def test_a_simulation_killed_half_way_leaves_an_empty_bank_that_can_be_filled(bank_url, tmp_path):
    path = tmp_path / "apart" / "verite.db"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, bank_url, str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(2):
            assert child.stdout.readline() == "one block is in\n"
    finally:
        os.kill(child.pid, signal.SIGKILL)
    assert child.wait(30) == -signal.SIGKILL
    assert not path.exists()
    engine = connect(bank_url)
    migrate(engine)
    with engine.connect() as c:
        assert is_empty(c)
        assert {_count(c, table) for table in TABLES} == {0}
    written = create_bank(engine, 300, SEED, truth=path, progress=False)
    assert written["clients"] == 300
    assert len(read_truth(path)) == written["demandes_de_pret"]
    assert list(path.parent.iterdir()) == [path]  # nothing is left of the one that was killed
    engine.dispose()


def test_a_full_bank_and_its_truth_are_left_as_they_were(bank_url, tmp_path):
    path = tmp_path / "verite.db"
    written = create_bank(bank_url, 200, SEED, truth=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="already holds a bank"):
        create_bank(bank_url, 300, SEED + 1, truth=path, progress=False)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))
    engine = connect(bank_url)
    with engine.connect() as c:
        assert _count(c, "clients") == written["clients"] == 200
    engine.dispose()


def test_the_truth_is_beside_an_sqlite_bank(sqlite_url):
    engine = connect(sqlite_url)
    written = create_bank(engine, 100, SEED, progress=False)
    bank = Path(engine.url.database)
    assert written["verite"] == truth_path(engine)
    assert written["verite"] == bank.with_name("bank-verite.db")
    assert written["verite"].is_file()
    engine.dispose()
