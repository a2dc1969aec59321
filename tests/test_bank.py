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
    with mariadb.database() as url:
        engines = {"sqlite": connect(f"sqlite:///{folder / 'bank.db'}"), "mariadb": connect(url)}
        yield {
            name: (
                e,
                create_bank(e, CLIENTS, SEED, truth=folder / f"{name}-verite.db", progress=False)[
                    "verite"
                ],
            )
            for name, e in engines.items()
        }
        for engine in engines.values():
            engine.dispose()


@pytest.fixture(scope="module")
def dossiers(loaded):
    "Dossiers and outcomes of the small bank, read from SQLite."
    with loaded["sqlite"][0].connect() as c:
        return [facts | outcome for facts, outcome in all_dossiers(c)]


# one seed, one bank


def test_a_part_alone_gives_the_rows_of_the_whole(made):
    assert digest(simulate(3 * BLOCK_SIZE, SEED, blocks=[1])) == digest(made[1:2])


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
    small = list(simulate(BLOCK_SIZE + 300, SEED))
    assert digest(small[:1]) == digest(made[:1])
    for table in (*TABLES, "verite"):
        rows = list(small[1].rows(table))
        assert rows and rows == list(made[1].rows(table))[: len(rows)]
    assert {r[0] for r in small[1].rows("clients")} == set(range(BLOCK_SIZE + 1, BLOCK_SIZE + 301))


def test_another_seed_is_another_bank(made):
    assert not set(next(simulate(BLOCK_SIZE, SEED + 1)).rows("clients")) & set(
        made[0].rows("clients")
    )


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
    return sorted((tuple(map(_plain, row)) for row in rows), key=lambda row: row[:2])


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
    for name, (_, path) in loaded.items():
        with closing(sqlite3.connect(path)) as c:
            assert list(c.execute("select * from verite order by 1")) == list(
                block.rows("verite")
            ), name


def test_both_databases_give_the_same_dossiers_to_the_last_bit(loaded):
    read = {}
    for name, (engine, _) in loaded.items():
        with engine.connect() as c:
            read[name] = [repr(pair) for pair in all_dossiers(c)]  # the repr of a float is exact
    assert len(read["sqlite"]) > CLIENTS and read["sqlite"] == read["mariadb"]


OF_EVERY_CLIENT = (
    "solde_moyen_3m",
    "solde_moyen_12m",
    "credits_moyens_12m",
    "jours_decouvert_12m",
    "nb_rejets_12m",
)


def _months_between(first, last):
    return 12 * (last.year - first.year) + last.month - first.month


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_every_client_can_be_scored_today(loaded, name):
    today = LAST_DAY.item() + timedelta(1)
    demande = dict(date_demande=today, montant=9_000.0, duree_mois=36)
    with loaded[name][0].connect() as c:
        opened = dict(
            c.exec_driver_sql(
                "select client_id, date_ouverture from comptes where type_compte = 'courant'"
            ).all()
        )
        savers = set(
            c.exec_driver_sql(
                "select client_id from comptes where type_compte = 'epargne'"
            ).scalars()
        )
        for client in random.Random(0).sample(range(1, CLIENTS + 1), 250):
            facts = dossier_of_client(c, client, demande)
            months = _months_between(date.fromisoformat(str(opened[client])), today)
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
    first, last = FIRST_MONTH.astype("datetime64[D]").item(), LAST_DAY.item()
    for d in dossiers:
        assert first < d["date_demande"] <= last
        assert d["date_statut"] is None or d["date_demande"] < d["date_statut"] <= last
        assert d["decision"] == "acceptee" or d["statut_pret"] is None


def test_statements_before_an_application_have_no_hole(dossiers):
    asked = {d["demande_id"]: d for d in dossiers}
    for d in asked.values():
        months = _months_between(d["date_ouverture"], d["date_demande"])
        assert d["nb_releves_12m"] == min(12, months), d["demande_id"]


def test_the_truth_is_not_in_the_bank(loaded):
    for name, (engine, path) in loaded.items():
        truth = read_truth(path)
        with engine.connect() as c:
            for table in TABLES:
                result = c.exec_driver_sql(f"select * from {table}")
                names, rows = list(result.keys()), result.all()
                assert not {"pd_vraie", "type_anomalie", "champs_falsifies", "champs_sales"} & set(
                    names
                )
                words = {value for row in rows for value in row if isinstance(value, str)}
                assert not words & set(KINDS), (name, table)
        assert (
            set(truth.type_anomalie.dropna()) <= set(KINDS)
            and truth.type_anomalie.notna().sum() > 10
        )
    with loaded["sqlite"][0].connect() as c:
        tables = set(
            c.exec_driver_sql(
                "select name from sqlite_master where type in ('table', 'view')"
            ).scalars()
        )
    assert "verite" not in tables


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


def test_the_truth_follows_from_the_dossiers(loaded, dossiers):
    "An honest and complete dossier gives the probability from which its outcome was drawn."
    truth = read_truth(loaded["sqlite"][1]).set_index("demande_id")
    honest = truth.index[truth.type_anomalie.isna() & truth.champs_sales.isna()]
    known = [d for d in dossiers if d["demande_id"] in set(honest) and _is_complete(d)]
    assert len(known) > 1_200
    arrays = {
        name: np.array([d[name] for d in known], dtype=DTYPES.get(field.kind, float))
        for name, field in FIELDS.items()
    }
    drawn = truth.pd_vraie[[d["demande_id"] for d in known]]
    np.testing.assert_array_equal(true_probability(arrays), drawn)


def test_the_oracle_is_calibrated():
    "Of the loans that must have ended, as many defaulted as the truth predicts, in each fifth."
    p, y = [], []
    for block in simulate(6 * BLOCK_SIZE, SEED):
        d = block.tables["demandes_de_pret"]
        # 84 months is the longest term: every loan of these years has ended
        old = (d["decision"] == "acceptee") & (d["date_demande"] < np.datetime64("2017-09-01"))
        status = d["statut_pret"][old]
        assert set(status) == {"Défaut", "Remboursé"}
        p.append(block.truth["pd_vraie"][old])
        y.append(status == "Défaut")
    p = np.concatenate(p)
    y = np.concatenate(y).astype(int)
    fifth = np.searchsorted(np.quantile(p, [0.2, 0.4, 0.6, 0.8]), p)
    for part in (p >= 0, *(fifth == k for k in range(5))):
        # six intervals at 99.8 % hold together 99 times in 100
        interval = binomtest(int(y[part].sum()), int(part.sum())).proportion_ci(0.998)
        assert part.sum() > 800 and interval.low <= p[part].mean() <= interval.high
    assert (np.diff([y[fifth == k].mean() for k in range(5)]) > 0).all()


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


def test_a_simulation_killed_half_way_leaves_an_empty_bank_that_can_be_filled(bank_url, tmp_path):
    path = tmp_path / "apart" / "verite.db"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, bank_url, str(path)], stdout=subprocess.PIPE, text=True
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
        assert is_empty(c) and [
            c.exec_driver_sql(f"select count(*) from {table}").scalar() for table in TABLES
        ] == [0] * len(TABLES)
    written = create_bank(engine, 300, SEED, truth=path, progress=False)
    assert written["clients"] == 300 and len(read_truth(path)) == written["demandes_de_pret"]
    assert [f.name for f in path.parent.iterdir()] == [
        path.name
    ]  # nothing is left of the one that was killed
    engine.dispose()


def test_a_full_bank_and_its_truth_are_left_as_they_were(bank_url, tmp_path):
    path = tmp_path / "verite.db"
    written = create_bank(bank_url, 200, SEED, truth=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="already holds a bank"):
        create_bank(bank_url, 300, SEED + 1, truth=path, progress=False)
    assert path.read_bytes() == before and not list(tmp_path.glob("*.partial"))
    engine = connect(bank_url)
    with engine.connect() as c:
        assert (
            c.exec_driver_sql("select count(*) from clients").scalar() == written["clients"] == 200
        )
    engine.dispose()


def test_the_truth_is_beside_an_sqlite_bank(sqlite_url):
    engine = connect(sqlite_url)
    written = create_bank(engine, 100, SEED, progress=False)
    assert (
        written["verite"]
        == truth_path(engine)
        == Path(engine.url.database).with_name("bank-verite.db")
        and written["verite"].is_file()
    )
    engine.dispose()
