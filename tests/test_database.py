"""The rules of the bank on SQLite and on a real MariaDB.

Integrity, migration, point in time, the same answer from both, and loads that are killed.
"""

import os
import random
import re
import signal
import subprocess
import sys
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from mariadb_server import private_mariadb

from credit_risk.database import (
    SQL,
    all_dossiers,
    analyzed,
    connect,
    dossier_of_client,
    dossier_query,
    driver_query,
    empty_bank,
    insert_rows,
    is_empty,
    matured,
    migrate,
    query,
    read_applications,
)
from credit_risk.fields import BANK_ONLY, DEMANDE, FIELDS

# a row that is right, in each table
VALID = {
    "clients": dict(
        client_id=2,
        date_naissance="1980-05-17",
        sexe="F",
        situation_familiale="marie",
        personnes_a_charge=2,
        statut_logement="locataire",
        statut_emploi="cdi",
        date_embauche="2005-03-01",
        revenu_mensuel=2450.25,
        charges_mensuelles=720,
        departement="2A",
    ),
    "comptes": dict(
        compte_id=2,
        client_id=1,
        type_compte="courant",
        date_ouverture="2010-01-31",
        solde=-12.5,
        decouvert_autorise=800,
    ),
    "releves_mensuels": dict(
        compte_id=1,
        mois="2020-02-01",
        solde_moyen=1500.5,
        solde_min=-20,
        total_credits=2000,
        total_debits=1900,
        jours_decouvert=2,
        nb_rejets=1,
    ),
    "demandes_de_pret": dict(
        demande_id=2,
        client_id=1,
        date_demande="2020-06-15",
        montant=9000,
        duree_mois=48,
        taux_annuel=5.125,
        mensualite=207.3,
        objet="auto",
        canal="agence",
        decision="acceptee",
        statut_pret="Défaut",
        date_statut="2021-01-10",
    ),
    "decisions": dict(
        decision_id="b",
        horodatage="2024-03-15T10:00:00Z",
        cle="page",
        dossier="{}",
        resultat="{}",
        modele_version="1",
        ecrivain="w",
        rang=2,
        hash_precedent="0",
        hash="1",
    ),
    "cles": dict(
        nom="b",
        empreinte="2",
        portees="score",
        creee_le="2024-03-15T10:00:00Z",
        expire_le=None,
        revoquee_le=None,
    ),
    "ecrivains": dict(ecrivain="x", rang=1, hash="1"),
    "idempotence": dict(cle="page", jeton="2", corps="1", decision_id="a"),
}
OF_THE_SERVICE = ("decisions", "cles", "ecrivains", "idempotence")
KEYS = {
    "clients": ("client_id",),
    "comptes": ("compte_id",),
    "releves_mensuels": ("compte_id", "mois"),
    "demandes_de_pret": ("demande_id",),
    "decisions": ("decision_id",),
    "cles": ("nom",),
    "ecrivains": ("ecrivain",),
    "idempotence": ("cle", "jeton"),
}

# every named rule of the schema: the row that breaks it and no other
BROKEN = {
    "clients_client_id": ("clients", dict(client_id=0)),
    "clients_date_naissance": ("clients", dict(date_naissance="1980-13-31")),
    "clients_sexe": ("clients", dict(sexe="M")),
    "clients_situation_familiale": ("clients", dict(situation_familiale="marié")),
    "clients_personnes_a_charge": ("clients", dict(personnes_a_charge=-1)),
    "clients_statut_logement": ("clients", dict(statut_logement="LOCATAIRE")),
    "clients_statut_emploi": ("clients", dict(statut_emploi="chomeur")),
    "clients_date_embauche": ("clients", dict(date_embauche="1980-05-17")),
    "clients_revenu_mensuel": ("clients", dict(revenu_mensuel=-0.01)),
    "clients_charges_mensuelles": ("clients", dict(charges_mensuelles=1_000_000.01)),
    "comptes_client": ("comptes", dict(client_id=99)),
    "comptes_compte_id": ("comptes", dict(compte_id=-5)),
    "comptes_type_compte": ("comptes", dict(type_compte="livret")),
    "comptes_date_ouverture": ("comptes", dict(date_ouverture="yesterday")),
    "comptes_solde": ("comptes", dict(solde=100_000_000.01)),
    "comptes_decouvert_autorise": ("comptes", dict(decouvert_autorise=-1)),
    "releves_compte": ("releves_mensuels", dict(compte_id=99)),
    "releves_mois": ("releves_mensuels", dict(mois="2020-02-02")),
    "releves_solde_moyen": ("releves_mensuels", dict(solde_moyen=100_000_000.01)),
    "releves_solde_min": ("releves_mensuels", dict(solde_min=-10_000_000.01)),
    "releves_total_credits": ("releves_mensuels", dict(total_credits=-0.01)),
    "releves_total_debits": ("releves_mensuels", dict(total_debits=-0.01)),
    "releves_jours_decouvert": ("releves_mensuels", dict(jours_decouvert=32)),
    "releves_nb_rejets": ("releves_mensuels", dict(nb_rejets=-1)),
    "releves_min_sous_moyenne": ("releves_mensuels", dict(solde_min=1500.51)),
    "demandes_client": ("demandes_de_pret", dict(client_id=99)),
    "demandes_demande_id": ("demandes_de_pret", dict(demande_id=0)),
    "demandes_date_demande": ("demandes_de_pret", dict(date_demande="20200615x")),
    "demandes_montant": ("demandes_de_pret", dict(montant=99.99)),
    "demandes_duree_mois": ("demandes_de_pret", dict(duree_mois=0)),
    "demandes_taux_annuel": ("demandes_de_pret", dict(taux_annuel=30.001)),
    "demandes_mensualite": ("demandes_de_pret", dict(mensualite=-0.01)),
    "demandes_objet": ("demandes_de_pret", dict(objet="casino")),
    "demandes_canal": ("demandes_de_pret", dict(canal="fax")),
    "demandes_decision": (
        "demandes_de_pret",
        dict(decision="peut-être", statut_pret=None, date_statut=None),
    ),
    "demandes_statut_pret": ("demandes_de_pret", dict(statut_pret="Defaut")),
    "demandes_statut_accepte": ("demandes_de_pret", dict(decision="refusee")),
    "demandes_date_statut": ("demandes_de_pret", dict(date_statut="2020-06-14")),
    "demandes_statut_date": ("demandes_de_pret", dict(date_statut=None)),
    "decisions_chaine": ("decisions", dict(rang=1)),
    "cles_empreinte": ("cles", dict(empreinte="1")),
    "idempotence_decision": ("idempotence", dict(decision_id="none")),
}


def insert(connection, table, row):
    insert_rows(connection, table, tuple(row), [tuple(row.values())])


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def small(request, tmp_path_factory):
    "A bank with one row in each table, to break rules against; every test rolls back."
    if request.param == "mariadb":
        with request.getfixturevalue("mariadb").database() as url:
            yield from _small(url)
    else:
        yield from _small(f"sqlite:///{tmp_path_factory.mktemp('small') / 'bank.db'}")


def _small(url):
    engine = connect(url)
    migrate(engine)
    with engine.begin() as c:
        insert(c, "clients", VALID["clients"] | dict(client_id=1))
        insert(c, "comptes", VALID["comptes"] | dict(compte_id=1))
        insert(c, "releves_mensuels", VALID["releves_mensuels"] | dict(mois="2020-01-01"))
        insert(c, "demandes_de_pret", VALID["demandes_de_pret"] | dict(demande_id=1))
        insert(c, "decisions", VALID["decisions"] | dict(decision_id="a", rang=1))
        insert(c, "cles", VALID["cles"] | dict(nom="a", empreinte="1"))
    yield engine
    engine.dispose()


def refusal(engine, table, changes):
    "What the database says of a row, and None where it takes it. Nothing stays."
    with engine.connect() as c:
        try:
            insert(c, table, VALID[table] | changes)
        except sa.exc.DBAPIError as e:
            return str(e.orig)
        finally:
            c.rollback()


def test_the_rows_that_are_right_are_taken(small):
    for table, row in VALID.items():
        assert refusal(small, table, {}) is None, table
        inspected = {column["name"] for column in sa.inspect(small).get_columns(table)}
        assert inspected == set(row), f"VALID names every column of {table}"


def test_every_named_rule_of_the_schema_has_a_row_that_breaks_it():
    text = "\n".join(path.read_text("utf-8") for path in sorted((SQL / "migrations").glob("*.sql")))
    named = set(re.findall(r"^\s*constraint (\w+)", text, flags=re.M))
    assert named == set(BROKEN)


@pytest.mark.parametrize("rule", BROKEN)
def test_a_row_that_breaks_a_rule_is_refused_by_name(small, rule):
    table, changes = BROKEN[rule]
    says = refusal(small, table, changes)
    assert says is not None, f"{rule} accepts {changes}"
    if (
        rule in ("comptes_client", "releves_compte", "demandes_client", "idempotence_decision")
        and small.dialect.name == "sqlite"
    ):
        assert says == "FOREIGN KEY constraint failed"  # SQLite has no name for it
    elif rule == "decisions_chaine" and small.dialect.name == "sqlite":
        assert "decisions.ecrivain, decisions.rang" in says
    elif rule == "cles_empreinte" and small.dialect.name == "sqlite":
        assert "cles.empreinte" in says
    elif small.dialect.name == "sqlite":
        assert f"CHECK constraint failed: {rule}" in says
    else:
        assert (
            f"`{rule}`" in says or f"'{rule}'" in says or f"`{next(iter(changes))}`" in says
        )  # a wrong date is a wrong type first, and the column is named


@pytest.mark.parametrize("table", VALID)
def test_a_missing_value_is_refused_where_one_must_be(small, table):
    required = {
        column["name"] for column in sa.inspect(small).get_columns(table) if not column["nullable"]
    }
    assert required >= set(KEYS[table])
    for name in required:
        # to SQLite, no number in an integer key means the next one
        if small.dialect.name == "sqlite" and KEYS[table] == (name,) and name != "decision_id":
            continue
        says = refusal(small, table, {name: None})
        assert says and name in says and ("NOT NULL" in says or "cannot be null" in says), (
            name,
            says,
        )


@pytest.mark.parametrize("table", VALID)
def test_a_key_is_used_once(small, table):
    with small.connect() as c:
        insert(c, table, VALID[table])
        other = {"decisions": dict(rang=3), "cles": dict(empreinte="3")}.get(
            table, {}
        )  # so that its second key differs
        with pytest.raises(sa.exc.IntegrityError) as refused:
            insert(c, table, VALID[table] | other)
        c.rollback()
    says = str(refused.value.orig)
    assert (
        f"UNIQUE constraint failed: {table}.{KEYS[table][0]}" in says or "for key 'PRIMARY'" in says
    )


@pytest.mark.parametrize(
    "statement",
    [
        "delete from clients",
        "delete from comptes",
        "update clients set client_id = 7",
        "update comptes set compte_id = 7",
    ],
)
def test_a_parent_with_children_stays(small, statement):
    with small.connect() as c:
        with pytest.raises(sa.exc.IntegrityError, match="(?i)foreign key constraint"):
            c.exec_driver_sql(statement)
        c.rollback()


STORED = [f for f in (*FIELDS.values(), *BANK_ONLY) if f.table]
# statements have the contract's ranges under the names that a dossier gives to their sums and means
RANGES = [(f.table, f.name, f) for f in STORED if f.low is not None] + [
    ("comptes", "solde", FIELDS["solde_moyen_12m"]),
    ("releves_mensuels", "solde_moyen", FIELDS["solde_moyen_12m"]),
    ("releves_mensuels", "solde_min", FIELDS["solde_min_12m"]),
    ("releves_mensuels", "total_credits", FIELDS["credits_moyens_12m"]),
    ("releves_mensuels", "total_debits", FIELDS["debits_moyens_12m"]),
]


@pytest.mark.parametrize("table,column,field", RANGES, ids=[f"{t}.{c}" for t, c, _ in RANGES])
def test_the_tables_hold_the_ranges_of_the_contract(small, table, column, field):
    step = 1 if field.kind == "integer" else 0.001 if column == "taux_annuel" else 0.01
    # the two balances of a statement are also in order
    other = {"solde_moyen": dict(solde_min=None), "solde_min": dict(solde_moyen=None)}.get(
        column, {}
    )
    for value in (field.low, field.high):
        assert refusal(small, table, {column: value} | other) is None, value
    for value in (field.low - step, field.high + step):
        says = refusal(small, table, {column: value} | other)
        assert says and column in says, value
    assert column in refusal(small, table, {column: "beaucoup"} | other)


CATEGORIES = [f for f in STORED if f.kind == "category"]


@pytest.mark.parametrize("field", CATEGORIES, ids=[f.name for f in CATEGORIES])
def test_the_tables_hold_the_categories_of_the_contract(small, field):
    for code in field.categories:
        # a refused loan has no outcome
        other = dict(statut_pret=None, date_statut=None) if code == "refusee" else {}
        assert refusal(small, field.table, {field.name: code} | other) is None, code
    # sexe is one letter wide, and standard SQL drops the spaces that do not fit
    spaced = () if field.name == "sexe" else (field.categories[0] + " ",)
    for code in (
        "",
        "x",
        " " + field.categories[0],
        field.categories[0].upper() + "S",
        field.categories[-1].swapcase(),
        *spaced,
    ):
        says = refusal(small, field.table, {field.name: code})
        assert says and field.name in says, code


DATES = [f for f in STORED if f.kind == "date"]


@pytest.mark.parametrize("field", DATES, ids=[f.name for f in DATES])
def test_the_tables_hold_dates(small, field):
    other = (
        dict(date_embauche=None)
        if field.name == "date_naissance"
        else dict(date_statut=None, statut_pret=None)
        if field.name == "date_demande"
        else {}
    )
    assert refusal(small, field.table, {field.name: "2012-02-29"} | other) is None
    # SQLite checks the form and not the length of the month; such a day is refused when it is read
    longer = ("2021-02-29", "2020-04-31") if small.dialect.name == "mariadb" else ()
    for value in ("2020-13-01", "2020-04-32", "15/06/2020", "hier", "", *longer):
        says = refusal(small, field.table, {field.name: value} | other)
        assert says and field.name in says, value


def test_accents_survive_and_count(small):
    with small.connect() as c:
        insert(c, "demandes_de_pret", VALID["demandes_de_pret"] | dict(statut_pret="Remboursé"))
        assert c.exec_driver_sql(
            "select statut_pret from demandes_de_pret where statut_pret = 'Remboursé'"
        ).scalars().all() == ["Remboursé"]
        assert (
            c.exec_driver_sql(
                "select count(*) from demandes_de_pret where statut_pret = 'Rembourse'"
            ).scalar()
            == 0
        )
        c.rollback()
    for wrong in ("Rembourse", "remboursé", "Rembourse\u0301", "RemboursÃ©"):
        assert "statut_pret" in refusal(small, "demandes_de_pret", dict(statut_pret=wrong)), wrong


def test_money_is_exact(small):
    with small.connect() as c:
        insert(c, "comptes", VALID["comptes"] | dict(solde=99_999_999.99))
        insert(c, "comptes", VALID["comptes"] | dict(compte_id=3, solde=0.01))
        assert [
            float(x)
            for x in c.exec_driver_sql(
                "select solde from comptes where compte_id > 1 order by compte_id"
            ).scalars()
        ] == [99_999_999.99, 0.01]
        c.rollback()


# migrations


def _alembic(engine, revision):
    "Bring the schema to a revision, as an older version of the program did; and the newest one."
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SQL / "migrations").replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return ScriptDirectory.from_config(config).get_current_head()


def _schema(engine):
    seen = sa.inspect(engine)
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)],
            sorted(i["name"] for i in seen.get_indexes(table)),
            sorted(c["name"] for c in seen.get_check_constraints(table)),
        )
        for table in sorted(seen.get_table_names())
    }


def test_an_older_bank_is_upgraded_without_losing_a_row(bank_url):
    engine, tables = connect(bank_url), random_bank(1, clients=20)
    head = _alembic(engine, "0001")
    old = _schema(engine)
    assert "comptes_par_client" not in old["comptes"][1]
    load(engine, tables)
    with engine.begin() as c:
        insert(c, "decisions", VALID["decisions"])
    before = _contents(engine)
    assert migrate(engine) == head != "0001"
    assert {t: rows for t, rows in _contents(engine).items() if t in before} == before
    new = _schema(engine)
    assert "comptes_par_client" in new["comptes"][1]
    assert (
        migrate(engine) == head
        and _schema(engine) == new
        and {t: rows for t, rows in _contents(engine).items() if t in before} == before
    )
    engine.dispose()


def test_upgraded_and_new_banks_have_the_same_schema(bank):
    fresh = _schema(bank)
    with bank.begin() as c:  # from nothing once more, by way of the first revision
        for table in (
            "alembic_version",
            "idempotence",
            "ecrivains",
            "cles",
            "decisions",
            "demandes_de_pret",
            "releves_mensuels",
            "comptes",
            "clients",
        ):
            c.exec_driver_sql(f"drop table {table}")
    _alembic(bank, "0001")
    migrate(bank)
    assert _schema(bank) == fresh


def _contents(engine):
    with engine.connect() as c:
        return {
            table: [tuple(row) for row in c.exec_driver_sql(f"select * from {table} order by 1, 2")]
            for table in VALID
            if table not in OF_THE_SERVICE or table == "decisions"
        }


# a bank drawn at random: nothing in it is believable, everything in it is allowed


class Draw:
    "Random values of a bank."

    def __init__(self, seed):
        self.random = random.Random(seed)

    def day(self, first, last):
        days = (last - first).days
        return first + timedelta(self.random.randrange(days + 1))

    def text_day(self, first, last):
        return self.day(first, last).isoformat()

    def maybe(self, value, share=0.1):
        "The value, or None for a share of the rows."
        return None if self.random.random() < share else value

    def money(self, low, high):
        return self.random.randrange(100 * low, 100 * high) / 100

    def code(self, field):
        return self.random.choice(FIELDS[field].categories)


def _client_row(draw, client):
    return (
        client,
        draw.text_day(date(1940, 1, 1), date(1990, 1, 1)),
        draw.maybe(draw.random.choice("FH")),
        draw.maybe(draw.code("situation_familiale")),
        draw.maybe(draw.random.randrange(5)),
        draw.maybe(draw.code("statut_logement")),
        draw.maybe(draw.code("statut_emploi")),
        draw.maybe(draw.text_day(date(1991, 1, 1), date(2014, 1, 1))),
        draw.maybe(draw.money(0, 9000)),
        draw.maybe(draw.money(0, 3000)),
        draw.maybe(f"{draw.random.randrange(1, 96):02d}"),
    )


def _account_row(draw, client, compte, opened):
    return (
        compte,
        client,
        draw.random.choice(("courant", "courant", "epargne")),
        opened.isoformat(),
        draw.maybe(draw.money(-500, 9000)),
        draw.maybe(draw.money(0, 2000)),
    )


def _statement_row(draw, compte, month):
    low, above = draw.money(-2000, 6000), draw.money(0, 3000)
    return (
        compte,
        f"{month // 12}-{month % 12 + 1:02d}-01",
        draw.maybe(round(low + above, 2)),
        draw.maybe(low),
        draw.maybe(draw.money(0, 5000)),
        draw.maybe(draw.money(0, 5000)),
        draw.maybe(draw.random.randrange(29)),
        draw.maybe(draw.random.choice((0, 0, 0, 1, 4))),
    )


def _application_row(draw, client, number):
    asked = draw.day(date(2015, 1, 1), date(2020, 12, 31))
    decision = draw.maybe(draw.random.choice(("acceptee", "acceptee", "refusee")))
    status = None
    if decision == "acceptee":
        status = draw.maybe(draw.random.choice(("Remboursé", "Défaut")), 0.3)
    return (
        100 * client + number,
        client,
        asked.isoformat(),
        draw.money(100, 50000),
        draw.random.randrange(6, 85),
        draw.maybe(draw.random.randrange(500, 12000) / 1000),
        draw.maybe(draw.money(10, 900)),
        draw.maybe(draw.code("objet")),
        draw.maybe(draw.code("canal")),
        decision,
        status,
        status and draw.text_day(asked, asked + timedelta(900)),
    )


def random_bank(
    seed: int,  # of the draw
    clients: int,  # how many
) -> dict:  # table: (columns, rows)
    "Rows of every table, with gaps, missing values and several loans a client."
    draw = Draw(seed)
    tables = {table: [] for table in VALID if table not in OF_THE_SERVICE}
    for client in range(1, clients + 1):
        tables["clients"].append(_client_row(draw, client))
        for number in range(draw.random.randrange(4)):
            compte = 100 * client + 10 * number + 10
            opened = draw.day(date(2014, 1, 1), date(2019, 6, 1))
            tables["comptes"].append(_account_row(draw, client, compte, opened))
            for month in range(12 * opened.year + opened.month - 1, 12 * 2021):
                if draw.random.random() >= 0.05:
                    tables["releves_mensuels"].append(_statement_row(draw, compte, month))
        for number in range(draw.random.randrange(1, 8)):
            tables["demandes_de_pret"].append(_application_row(draw, client, number))
    return {table: (tuple(VALID[table]), rows) for table, rows in tables.items()}


def load(engine, tables):
    with empty_bank(engine) as c:
        for table, (columns, rows) in tables.items():
            insert_rows(c, table, columns, rows)


@pytest.fixture(scope="module")
def loaded(mariadb, tmp_path_factory):
    "The same random bank on both databases. Tests roll back."
    tables = random_bank(20260101, clients=300)
    with mariadb.database() as url:
        engines = {
            "sqlite": connect(f"sqlite:///{tmp_path_factory.mktemp('loaded') / 'bank.db'}"),
            "mariadb": connect(url),
        }
        for engine in engines.values():
            migrate(engine)
            load(engine, tables)
        yield engines
        for engine in engines.values():
            engine.dispose()


def dossiers(connection):
    return {
        outcome["demande_id"]: (dossier, outcome) for dossier, outcome in all_dossiers(connection)
    }


def test_both_databases_give_the_same_dossiers_to_the_last_bit(loaded):
    with loaded["sqlite"].connect() as one, loaded["mariadb"].connect() as other:
        first, second = list(all_dossiers(one)), list(all_dossiers(other))
    assert len(first) == len(second) > 1000
    for left, right in zip(first, second, strict=True):
        assert repr(left) == repr(right)
    # the comparison is of something: every fact is known in some dossier, and unknown in some
    for name in FIELDS:
        assert any(d[name] is not None for d, _ in first), name
        if name not in (
            "date_naissance",
            "date_demande",
            "montant",
            "duree_mois",
        ) and not name.startswith("nb_"):
            assert any(d[name] is None for d, _ in first), name


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_training_and_request_give_the_same_dossier(loaded, name):
    with loaded[name].connect() as c:
        trained = dossiers(c)
        assert len(trained) > 1000
        for dossier, outcome in trained.values():
            asked = dossier_of_client(
                c, outcome["client_id"], {f.name: dossier[f.name] for f in DEMANDE}
            )
            assert repr(asked) == repr(dossier), outcome


def _month(day, later):
    year, month = divmod(12 * day.year + day.month - 1 + later, 12)
    return date(year, month + 1, 1).isoformat()


EXTREME = dict(
    solde_moyen=-9_000_000,
    solde_min=-9_500_000,
    total_credits=90_000_000,
    total_debits=90_000_000,
    jours_decouvert=31,
    nb_rejets=1000,
)


def plant_the_future(c, client, day):
    "Extreme facts that the bank learns on the day of an application or later, in every table."
    sets = ", ".join(f"{name} = {value}" for name, value in EXTREME.items())
    accounts = (
        c.exec_driver_sql(f"select compte_id from comptes where client_id = {client}")
        .scalars()
        .all()
    )
    opened = 100 * client + 1  # lower than the number of every account that it has
    for number, kind in enumerate(("courant", "epargne")):
        insert(
            c,
            "comptes",
            dict(
                compte_id=opened + number,
                client_id=client,
                type_compte=kind,
                date_ouverture=(day + timedelta(1 + 40 * number)).isoformat(),
                solde=1e7,
                decouvert_autorise=1e6,
            ),
        )
        insert_rows(
            c,
            "releves_mensuels",
            ("compte_id", "mois", *EXTREME),
            [(opened + number, _month(day, later), *EXTREME.values()) for later in range(-2, 4)],
        )
    c.exec_driver_sql(f"update comptes set solde = -9999999 where client_id = {client}")
    for account in accounts:
        c.exec_driver_sql(
            f"update releves_mensuels set {sets} "
            f"where compte_id = {account} and mois >= '{_month(day, 0)}'"
        )
        there = {
            str(m)
            for m in c.exec_driver_sql(
                f"select mois from releves_mensuels where compte_id = {account}"
            ).scalars()
        }
        insert_rows(
            c,
            "releves_mensuels",
            ("compte_id", "mois", *EXTREME),
            [
                (account, m, *EXTREME.values())
                for m in (_month(day, later) for later in (0, 1, 2, 30))
                if m not in there
            ],
        )
    for number, later in enumerate((0, 0, 1, 200)):
        known = (day + timedelta(later + 300)).isoformat() if number else None
        insert(
            c,
            "demandes_de_pret",
            dict(
                demande_id=1_000_000 + 10 * client + number,
                client_id=client,
                date_demande=(day + timedelta(later)).isoformat(),
                montant=1e6,
                duree_mois=420,
                decision="acceptee",
                statut_pret=known and "Défaut",
                date_statut=known,
            ),
        )
    c.exec_driver_sql(
        f"update demandes_de_pret set statut_pret = 'Défaut', date_statut = '{day}' "
        f"where client_id = {client} and decision = 'acceptee' "
        f"and date_demande <= '{day}' and (date_statut is null or date_statut >= '{day}')"
    )


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_the_future_changes_no_dossier(loaded, name):
    with loaded[name].connect() as c:
        before, targets = dossiers(c), {}
        for (
            demande,
            (dossier, outcome),
        ) in (
            before.items()
        ):  # the middle one of each client: a past behind it and a future before it
            targets.setdefault(outcome["client_id"], []).append((dossier["date_demande"], demande))
        targets = {client: sorted(asked)[len(asked) // 2] for client, asked in targets.items()}
        for client, (day, _) in targets.items():
            plant_the_future(c, client, day)
        after = dossiers(c)
        for client, (_, demande) in targets.items():
            assert repr(after[demande][0]) == repr(before[demande][0]), demande
            asked = dossier_of_client(
                c, client, {f.name: before[demande][0][f.name] for f in DEMANDE}
            )
            assert repr(asked) == repr(before[demande][0]), demande
        later = [
            d
            for d, (dossier, outcome) in before.items()
            if dossier["date_demande"] > targets[outcome["client_id"]][0] + timedelta(62)
        ]
        changed = {
            field for d in later for field in FIELDS if after[d][0][field] != before[d][0][field]
        }
        c.rollback()
    # the same rows are the past of later applications, which do see them
    assert changed >= {
        "solde_moyen_12m",
        "solde_min_12m",
        "credits_moyens_12m",
        "debits_moyens_12m",
        "jours_decouvert_3m",
        "nb_rejets_12m",
        "mois_depuis_rejet",
        "nb_prets_en_cours",
        "nb_prets_defaut",
        "nb_demandes_12m",
        "nb_comptes",
        "epargne",
        "nb_releves_12m",
    }


def test_the_day_itself(bank):
    "What is known on 15 March 2020, and one day more."
    with bank.begin() as c:
        insert(c, "clients", dict(client_id=1, date_naissance="1980-01-01"))
        insert_rows(
            c,
            "comptes",
            ("compte_id", "client_id", "type_compte", "date_ouverture"),
            [
                (1, 1, "courant", "2019-01-01"),
                (2, 1, "epargne", "2020-03-15"),
                (3, 1, "courant", "2020-03-16"),
            ],
        )
        insert_rows(
            c,
            "releves_mensuels",
            ("compte_id", "mois", "solde_moyen"),
            [
                (1, "2019-02-01", 7),
                (1, "2019-03-01", 1200),
                (1, "2020-02-01", 600),
                (1, "2020-03-01", 9),
            ],
        )
        insert_rows(
            c,
            "demandes_de_pret",
            (
                "demande_id",
                "client_id",
                "date_demande",
                "montant",
                "duree_mois",
                "decision",
                "statut_pret",
                "date_statut",
            ),
            [
                (1, 1, "2019-01-01", 500, 12, "acceptee", "Remboursé", "2020-03-14"),
                (2, 1, "2019-01-02", 500, 12, "acceptee", "Défaut", "2020-03-15"),
                (3, 1, "2020-03-15", 500, 12, "acceptee", None, None),
            ],
        )
    names = (
        "nb_comptes",
        "nb_releves_12m",
        "solde_moyen_12m",
        "nb_prets_rembourses",
        "nb_prets_defaut",
        "nb_prets_en_cours",
    )
    with bank.connect() as c:
        known = [
            dossier_of_client(c, 1, dict(date_demande=day))
            for day in (date(2020, 3, 15), date(2020, 3, 16), date(2020, 4, 1))
        ]
    assert [[facts[n] for n in names] for facts in known] == [
        [2, 2, 900.0, 1, 0, 1],
        [3, 2, 900.0, 1, 1, 1],
        [3, 2, 304.5, 1, 1, 1],
    ]


def test_twins_are_other_clients_of_this_month_or_the_last(bank):
    born, income = "1980-01-01", 2000
    with bank.begin() as c:
        for client, (b, r) in enumerate(
            [
                (born, income),
                (born, income),
                (born, income),
                (born, 2001),
                ("1980-01-02", income),
                (born, None),
                (born, income),
            ],
            1,
        ):
            insert(c, "clients", dict(client_id=client, date_naissance=b, revenu_mensuel=r))
        days = [
            (1, "2020-03-01"),
            (2, "2020-02-01"),
            (2, "2020-03-02"),
            (3, "2020-01-31"),
            (4, "2020-03-01"),
            (5, "2020-03-01"),
            (6, "2020-03-01"),
            (7, "2020-03-15"),
        ]
        insert_rows(
            c,
            "demandes_de_pret",
            ("demande_id", "client_id", "date_demande", "montant", "duree_mois"),
            [(i, client, day, 500, 12) for i, (client, day) in enumerate(days, 1)],
        )
    with bank.connect() as c:
        seen = {
            (client, str(day)): dossier_of_client(c, client, dict(date_demande=day))["nb_jumeaux"]
            for client in (1, 6)
            for day in (date(2020, 2, 1), date(2020, 3, 15), date(2020, 3, 16), date(2020, 5, 1))
        }
    # client 2 counts once; 3 is too early in March, 7 is not there yet on the day itself;
    # 6 has no income to compare
    assert seen == {
        (1, "2020-02-01"): 1,
        (1, "2020-03-15"): 1,
        (1, "2020-03-16"): 2,
        (1, "2020-05-01"): 0,
    } | {
        (6, str(day)): 0
        for day in (date(2020, 2, 1), date(2020, 3, 15), date(2020, 3, 16), date(2020, 5, 1))
    }


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_a_request_reads_no_table_whole(loaded, name):
    text = (
        dossier_query("une_demande")
        .replace(":client_id", "77")
        .replace(":date_demande", "'2019-06-15'")
    )
    with loaded[name].connect() as c:
        if name == "sqlite":
            steps = [step[-1] for step in c.exec_driver_sql(f"explain query plan {text}")]
            assert not [step for step in steps if step.startswith("SCAN")]
            used = " ".join(steps)
        else:
            steps = [dict(step._mapping) for step in c.exec_driver_sql(f"explain {text}")]
            assert not [
                step for step in steps if step["table"] and step["type"] in ("ALL", "index")
            ], steps
            assert not [
                step
                for step in steps
                if "temporary" in step["Extra"] or "filesort" in step["Extra"]
            ], steps
            used = " ".join(str(step["key"]) for step in steps)
    assert {"comptes_par_client", "demandes_par_client", "clients_jumeaux"} <= set(used.split())


def test_the_rows_that_a_request_reads_are_those_of_one_client(loaded):
    with loaded["mariadb"].connect() as c:
        whole = c.exec_driver_sql("select count(*) from releves_mensuels").scalar()
        most = c.exec_driver_sql(
            "select max(n) from (select count(*) as n from comptes join releves_mensuels "
            "using (compte_id) group by client_id) as each_client"
        ).scalar()
        for client in (7, 77, 277):
            read = analyzed(
                c, dossier_query("une_demande"), client_id=client, date_demande="2019-06-15"
            )
            assert {t["table"] for t in read} == {
                "clients",
                "passe",
                "comptes",
                "principal",
                "releves_mensuels",
                "tous",
                "livret",
                "jumeau",
                "ailleurs",
            }
            assert sum(t["rows"] for t in read) <= most + 20 < whole / 10, read


@pytest.mark.parametrize("scheme", ["mariadb", "mysql"])
def test_a_server_that_is_not_mariadb_is_refused(scheme):
    with private_mariadb("--version=8.0.40") as server, server.database() as url:
        with pytest.raises(sa.exc.InvalidRequestError, match="8.0.40 is not a MariaDB"):
            connect(url.replace("mariadb", scheme, 1)).connect()


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_a_bank_read_whole_says_which_loans_can_teach(loaded, name):
    with loaded[name].connect() as c:
        # without this, no loan is older than all that run
        c.exec_driver_sql(
            "delete from demandes_de_pret where decision = 'acceptee' "
            "and statut_pret is null and date_demande < '2020-06-01'"
        )
        facts, outcomes = read_applications(c)
        rows = list(all_dossiers(c))
        c.rollback()
    flags = [outcome.pop("matured") for outcome in outcomes]
    assert list(zip(facts, outcomes, strict=True)) == rows
    assert flags == matured([dossier | outcome for dossier, outcome in rows])
    assert set(flags) == {True, False}


@pytest.mark.parametrize("name", ["sqlite", "mariadb"])
def test_pages_of_any_length_give_the_same_dossiers(loaded, name):
    with loaded[name].connect() as c:
        whole = [repr(row) for row in all_dossiers(c, page=100_000)]
        assert len(whole) > 1000
        for page in (7, len(whole), len(whole) - 1):
            assert [repr(row) for row in all_dossiers(c, page=page)] == whole, page


def test_a_request_finds_its_prepared_text_after_the_schema_changed(mariadb_url):
    engine = connect(mariadb_url)
    migrate(engine)
    load(engine, random_bank(5, clients=3))
    asked = dict(date_demande=date(2020, 6, 15))
    with engine.connect() as c:
        before = dossier_of_client(c, 1, asked)
        c.rollback()  # a table that is being read waits to be altered
        with engine.connect() as other:
            other.exec_driver_sql("alter table releves_mensuels add column commentaire varchar(20)")
        assert before is not None and dossier_of_client(c, 1, asked) == before
        assert dossier_of_client(c, 99, asked) is None
    engine.dispose()


# loads

KILLED = """
import itertools, sys, time
from credit_risk.database import connect, empty_bank, insert_rows
with empty_bank(connect(sys.argv[1])) as c:
    clients = ((i, '1980-01-01') for i in range(1, 60_001))
    insert_rows(c, 'clients', ('client_id', 'date_naissance'), clients)
    accounts = ((i, i, 'courant', '2010-01-01') for i in range(1, 20_001))
    columns = ('compte_id', 'client_id', 'type_compte', 'date_ouverture')
    insert_rows(c, 'comptes', columns, accounts)
    print(c.exec_driver_sql('select count(*) from clients').scalar(), flush=True)
    time.sleep(600)
"""


def test_a_load_killed_half_way_leaves_an_empty_bank_that_can_be_loaded(bank):
    url = bank.url.render_as_string(hide_password=False)
    child = subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE, text=True)
    try:
        assert (
            child.stdout.readline().strip() == "60000"
        )  # written in its transaction, seen by nobody else
        with bank.connect() as c:
            assert is_empty(c)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert not any(_contents(bank).values())
    tables = random_bank(2, clients=30)
    load(bank, tables)
    assert {table: len(rows) for table, rows in _contents(bank).items() if rows} == {
        table: len(rows) for table, (_, rows) in tables.items()
    }


def test_a_load_that_fails_leaves_an_empty_bank_and_a_full_bank_is_refused(bank):
    tables = random_bank(3, clients=30)
    with pytest.raises(ZeroDivisionError), empty_bank(bank) as c:
        insert_rows(c, "clients", *tables["clients"])
        raise ZeroDivisionError
    assert not any(_contents(bank).values())
    load(bank, tables)
    before = _contents(bank)
    with pytest.raises(ValueError, match="already holds a bank"):
        load(bank, random_bank(4, clients=1))
    assert _contents(bank) == before


def test_a_text_comes_back_as_it_was_written_whatever_is_in_it(bank):
    texts = [
        "'",
        "''",
        "\\",
        "\\'",
        "'\\",
        "\\\\'; drop table decisions; --",
        "\\0\\n\\%\\_",
        "é 漢 😀 \u2028 \x00",
        '{"a": "\\u0027\\\\"}',
        "%s %(rang)s :rang",
    ]
    with bank.begin() as c:
        for i, text in enumerate(texts):
            row = VALID["decisions"] | {
                "decision_id": str(i),
                "rang": i + 1,
                "dossier": text,
                "resultat": text,
            }
            c.execute(sa.text(query("append_decision")), row)
            c.exec_driver_sql(
                driver_query("append_decision", bank),
                row | {"decision_id": f"driver {i}", "ecrivain": "driver"},
            )
    with bank.connect() as c:
        assert [
            row.dossier
            for row in c.execute(sa.text("select dossier from decisions order by ecrivain, rang"))
        ] == texts * 2
        for text in texts:
            assert (
                c.execute(
                    sa.text("select count(*) from decisions where resultat = :text"), {"text": text}
                ).scalar()
                == 2
            )
