"""The import of the PKDD'99 bank.

What it writes, what it refuses, and that a refusal leaves no trace.
"""

from datetime import date
from decimal import Decimal

import pytest
import sqlalchemy as sa
from berka_files import COLUMNS, FILES, REAL, ROWS, UNKNOWN, write_berka

from credit_risk import database
from credit_risk.berka import import_berka, read_berka
from credit_risk.berka_files import FORMAT, REQUIRED, BerkaError


def _plain(value):
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def rows(url, table, columns):
    engine = database.connect(url)
    with engine.connect() as c:
        found = [
            tuple(map(_plain, row))
            for row in c.exec_driver_sql(f"select {columns} from {table} order by 1, 2")
        ]
    engine.dispose()
    return found


def everything(url):
    return {table: rows(url, table, columns) for table, columns in COLUMNS.items()}


def test_the_miniature_becomes_the_rows_computed_by_hand(tmp_path, bank_url):
    report = import_berka(write_berka(tmp_path / "berka"), bank_url, progress=False)
    assert everything(bank_url) == ROWS
    for table, columns in UNKNOWN.items():
        assert {
            value
            for row in rows(bank_url, table, ", ".join((columns[0], *columns)))
            for value in row
        } == {None}
    assert report.rows == {table: len(found) for table, found in ROWS.items()}
    assert report.loans == {"A": 1, "B": 1, "C": 1, "D": 1}
    assert (report.first, report.last) == (date(1993, 1, 5), date(1993, 4, 10))
    assert (report.days, report.off) == (7, 1)
    assert "6 of 7 days reconcile" in str(report)


def test_what_does_not_agree_is_reported(tmp_path, sqlite_url):
    changes = {
        "trans.asc": FILES["trans.asc"].replace("930228", "930227"),
        "loan.asc": FILES["loan.asc"].replace("12000", "12100"),
    }
    report = str(import_berka(write_berka(tmp_path / "berka", changes), sqlite_url, progress=False))
    assert (
        "1 movements are dated before their account was opened" in report
        and "1 loans whose amount is not instalment × months" in report
    )


def test_dossiers_read_only_months_before_the_loan(tmp_path, bank):
    import_berka(
        write_berka(tmp_path / "berka"),
        bank.url.render_as_string(hide_password=False),
        progress=False,
    )
    with bank.connect() as c:
        found = {outcome["demande_id"]: dossier for dossier, outcome in database.all_dossiers(c)}
    assert (
        found[5314]["nb_releves_12m"] == 3
        and found[5314]["jours_decouvert_12m"] == 5
        and found[5314]["solde_min_12m"] == -200
    )
    assert found[5314]["solde_moyen_12m"] == pytest.approx((596.3 + 300 + 299.7) / 3, abs=1e-9)
    assert (
        found[5317]["nb_releves_12m"] == 0
        and found[5317]["solde_moyen_12m"] is None
        and found[5317]["revenu_mensuel"] is None
    )


VARIANTS = {
    "lf": dict(end="\n"),
    "cr": dict(end="\r"),
    "no last line end": dict(files={name: text.rstrip("\n") for name, text in FILES.items()}),
    "empty lines at the end": dict(files={name: text + "\n \n\n" for name, text in FILES.items()}),
    "space for empty": dict(files={"trans.asc": FILES["trans.asc"].replace('""', '" "')}),
    "nothing for empty": dict(files={"trans.asc": FILES["trans.asc"].replace(';""', ";")}),
    "byte order mark": dict(files={name: "\ufeff" + text for name, text in FILES.items()}),
    "quotes everywhere": dict(
        files={
            "trans.asc": FILES["trans.asc"]
            .replace(";1;", ';"1";')
            .replace("700.00;700.00", '"700.00";"700.00"')
        }
    ),
    "no quotes": dict(files={name: text.replace('"', "") for name, text in FILES.items()}),
    "without what no table needs": dict(
        files={name: None for name in set(FILES).difference(REQUIRED)}
    ),
    "other order": dict(
        files={
            name: "\n".join([text.split("\n")[0], *reversed(text.split("\n")[1:-1])]) + "\n"
            for name, text in FILES.items()
        }
    ),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_files_give_the_same_bank(tmp_path, sqlite_url, variant):
    import_berka(write_berka(tmp_path / "berka", **VARIANTS[variant]), sqlite_url, progress=False)
    assert everything(sqlite_url) == ROWS


# name: file, old text, new text, line of the error (None: the whole file), part of the message
DAMAGE = {
    "unknown status": (
        "loan.asc",
        '800.00;"C"',
        '800.00;"E"',
        4,
        "status is 'E'; it must be one of A, B, C, D",
    ),
    "amount below the contract": (
        "loan.asc",
        "12000",
        "12",
        3,
        "montant must be a number between 100",
    ),
    "amount above the contract": (
        "loan.asc",
        "12000",
        "12000000",
        3,
        "montant must be a number between 100",
    ),
    "negative instalment": ("loan.asc", ";800.00", ";-800.00", 4, "mensualite must be a number"),
    "term above the contract": (
        "loan.asc",
        ";18;",
        ";421;",
        2,
        "duree_mois must be a whole number between 1 and 420",
    ),
    "fractional term": ("loan.asc", ";18;", ";18.5;", 2, "duration is '18.5'"),
    "loan before the account": (
        "loan.asc",
        "930831",
        "930101",
        2,
        "before its account 1 was opened",
    ),
    "loan after the observation": ("loan.asc", "931231", "990101", 4, "date is '990101'"),
    "loan of an unknown account": (
        "loan.asc",
        "5316;2",
        "5316;9",
        4,
        "account_id 9 is not in account.asc",
    ),
    "second loan of the same number": (
        "loan.asc",
        "5315",
        "5314",
        3,
        "loan_id 5314 is already on line 2",
    ),
    "column lost": ("loan.asc", ";18;", ";", 2, "6 columns instead of 7"),
    "column gained": ("loan.asc", ";18;", ";18;18;", 2, "8 columns instead of 7"),
    "comma for semicolon": ("loan.asc", "5314;1", "5314,1", 2, "6 columns instead of 7"),
    "decimal comma": (
        "loan.asc",
        "800.00",
        "800,00",
        4,
        "payments is '800,00'; it must be an amount such as 3372.70",
    ),
    "no header": (
        "loan.asc",
        FILES["loan.asc"].split("\n")[0] + "\n",
        "",
        1,
        "the header is '5314",
    ),
    "header of another file": (
        "loan.asc",
        FILES["loan.asc"].split("\n")[0],
        FILES["disp.asc"].split("\n")[0],
        1,
        "it must be loan_id;account_id",
    ),
    "columns in another order": (
        "loan.asc",
        '"amount";"duration"',
        '"duration";"amount"',
        1,
        "the header is",
    ),
    "empty loans": ("loan.asc", FILES["loan.asc"], "", 1, "the file is empty"),
    "header alone": (
        "loan.asc",
        FILES["loan.asc"].split("\n", 1)[1],
        "",
        1,
        "there is no row below the header",
    ),
    "empty line inside": ("loan.asc", "5316;", "\n5316;", 4, "the line is empty and others follow"),
    "31 April": ("trans.asc", "930410", "930431", 7, "date is '930431'; it must be a day YYMMDD"),
    "month 13": ("trans.asc", "930410", "931310", 7, "date is '931310'"),
    "day with a century": ("trans.asc", "930410", "19930410", 7, "date is '19930410'"),
    "day of ISO 8601": ("trans.asc", "930410", "1993-04-10", 7, "date is '1993-04-10'"),
    "day before the bank": ("trans.asc", "930410", "390410", 7, "date is '390410'"),
    "empty day": ("trans.asc", "930410", "", 7, "date is ''"),
    "unknown type": (
        "trans.asc",
        '"VYBER";"VYBER";1200',
        '"VYBRR";"VYBER";1200',
        6,
        "type is 'VYBRR'; it must be one of PRIJEM, VYDAJ, VYBER",
    ),
    "type in lower case": (
        "trans.asc",
        '930410;"PRIJEM"',
        '930410;"prijem"',
        7,
        "type is 'prijem'",
    ),
    "letter in a number": ("trans.asc", "1200.00", "12O0.00", 6, "amount is '12O0.00'"),
    "not a number": ("trans.asc", "-200.00", "nan", 6, "balance is 'nan'"),
    "infinite": ("trans.asc", "-200.00", "inf", 6, "balance is 'inf'"),
    "exponent": ("trans.asc", "-200.00", "2e2", 6, "balance is '2e2'"),
    "underscore": ("trans.asc", "1200.00", "1_200.00", 6, "amount is '1_200.00'"),
    "digits of another script": ("trans.asc", "1200.00", "١٢٠٠.00", 6, "amount is"),
    "empty amount": ("trans.asc", "1200.00", "", 6, "amount is ''"),
    "empty balance": ("trans.asc", ";-200.00;", ";;", 6, "balance is ''"),
    "negative amount": ("trans.asc", "1200.00", "-1200.00", 6, "amount is '-1200.00'"),
    "balance above the contract": (
        "trans.asc",
        "-200.00",
        "100000000.01",
        6,
        "solde_min_12m must be a number between",
    ),
    "balance below the contract": (
        "trans.asc",
        "-200.00",
        "-10000000.01",
        6,
        "solde_min_12m must be a number between",
    ),
    "month above the contract": (
        "trans.asc",
        "1000.00;1000.00",
        "100000000.00;1000.00",
        2,
        "account 1 moves 100000500.00 in 1993-01",
    ),
    "movement of an unknown account": (
        "trans.asc",
        "7;2;930228",
        "7;99;930228",
        8,
        "account_id 99 is not in account.asc",
    ),
    "movement twice": (
        "trans.asc",
        "2;1;930120",
        "1;1;930120",
        6,
        "trans_id 1 is already on line 4",
    ),
    "quote opened and never closed": (
        "trans.asc",
        '"VYBER";1200',
        '"VYBER;1200',
        6,
        "a quote is not closed",
    ),
    "text after a quote": (
        "trans.asc",
        '"VKLAD";9.20',
        '"VKL"AD;9.20',
        7,
        "cannot be split into columns",
    ),
    "NUL": ("trans.asc", "1200.00", "12\x0000.00", 6, "character U+0000"),
    "two lines run together": ("trans.asc", "\n6;1", "6;1", 6, "cannot be split into columns"),
    "movements that end years before the loans": (
        "loan.asc",
        "940202",
        "971202",
        None,
        "the movements end on 1993-04-10",
    ),
    "number that no column holds": (
        "account.asc",
        "\n3;1",
        "\n99999999999;1",
        4,
        "account_id is '99999999999'",
    ),
    "zero as a key": ("client.asc", "\n1;", "\n0;", 2, "client_id is '0'"),
    "account twice": ("account.asc", "\n2;1", "\n1;1", 3, "account_id 1 is already on line 2"),
    "account opened on no day": ("account.asc", "930228", "930229", 3, "date is '930229'"),
    "account in no district": (
        "account.asc",
        "1;18",
        "1;19",
        2,
        "district_id 19 is not in district.asc",
    ),
    "client in no district": (
        "client.asc",
        ";18",
        ";19",
        2,
        "district_id 19 is not in district.asc",
    ),
    "client without district": ("client.asc", ";18", ";", 2, "district_id is ''"),
    "birth in month 33": (
        "client.asc",
        "706213",
        "703313",
        2,
        "birth_number is '703313'; it must be a day of birth YYMMDD",
    ),
    "birth in month 63": ("client.asc", "706213", "706313", 2, "birth_number is '706313'"),
    "birth in month 50": ("client.asc", "706213", "705013", 2, "birth_number is '705013'"),
    "birth on 30 February": ("client.asc", "450204", "450230", 3, "birth_number is '450230'"),
    "birth without its first zero": ("client.asc", "450204", "50204", 3, "birth_number is '50204'"),
    "born after the account": (
        "client.asc",
        "450204",
        "930301",
        None,
        "client 2 was born after account 2 was opened",
    ),
    "client lost": ("client.asc", '2;"450204";1\n', "", None, "client_id 2 is not in client.asc"),
    "client twice": (
        "client.asc",
        '2;"450204";1\n',
        '2;"450204";1\n2;"450204";1\n',
        4,
        "client_id 2 is already on line 3",
    ),
    "account lost": (
        "account.asc",
        '3;1;"POPLATEK PO OBRATU";940101\n',
        "",
        None,
        "account_id 3 is not in account.asc",
    ),
    "owner lost": (
        "disp.asc",
        '2;2;2;"OWNER"\n',
        "",
        None,
        "account_id 2 has no OWNER in disp.asc",
    ),
    "second owner": ("disp.asc", '"DISPONENT"', '"OWNER"', 4, "account_id 2 has a second OWNER"),
    "unknown right": (
        "disp.asc",
        '"DISPONENT"',
        '"USER"',
        4,
        "type is 'USER'; it must be one of OWNER, DISPONENT",
    ),
    "right of an unknown client": (
        "disp.asc",
        "3;3;2",
        "3;8;2",
        4,
        "client_id 8 is not in client.asc",
    ),
    "right on an unknown account": (
        "disp.asc",
        "3;3;2",
        "3;3;8",
        4,
        "account_id 8 is not in account.asc",
    ),
    "district twice": ("district.asc", '18;"Pisek"', '1;"Pisek"', 3, "A1 1 is already on line 2"),
    "district without a column": (
        "district.asc",
        ";1740;1910",
        ";1740",
        3,
        "15 columns instead of 16",
    ),
    "card of nobody": ("card.asc", "1;1;", "1;77;", 2, "disp_id 77 is not in disp.asc"),
    "card without its time": ("card.asc", "931107 00:00:00", "931107", 2, "issued is '931107'"),
    "order of an unknown account": (
        "order.asc",
        "29402;2",
        "29402;22",
        3,
        "account_id 22 is not in account.asc",
    ),
    "order of no amount": ("order.asc", "3372.70", "much", 3, "amount is 'much'"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_with_its_file_and_line(tmp_path, sqlite_url, name):
    file, old, new, line, says = DAMAGE[name]
    whole = FILES[file]
    assert old in whole, "the damage would change nothing"
    damaged = whole.replace(old, new, 1)
    directory = write_berka(tmp_path / "berka", {file: damaged})
    with pytest.raises(BerkaError) as refused:
        import_berka(directory, sqlite_url, progress=False)
    message = str(refused.value)
    assert says in message
    if line:
        assert message.startswith(f"{file}, line {line}: ")
    assert not (tmp_path / "bank.db").exists()


@pytest.mark.parametrize("file", REQUIRED)
def test_a_missing_file_is_named(tmp_path, sqlite_url, file):
    directory = write_berka(tmp_path / "berka", {file: None})
    with pytest.raises(BerkaError, match=f"^{file}: the file is missing"):
        import_berka(directory, sqlite_url, progress=False)
    (directory / file).mkdir()
    with pytest.raises(BerkaError, match=f"^{file}: the file cannot be read"):
        import_berka(directory, sqlite_url, progress=False)


@pytest.mark.parametrize("file", FORMAT)
def test_other_bytes_than_text_are_refused(tmp_path, file):
    whole = FILES[file].encode()
    at = whole.rindex(b"\n", 0, -1) + 1
    for wrong, says in (
        (whole[:at] + b"\xff" + whole[at:], "0xff is not UTF-8"),
        (whole[:at] + b"\xe9" + whole[at:], "0xe9 is not UTF-8"),
        (whole.decode().encode("utf-16"), "0xff is not UTF-8"),
        (b"\x1f\x8b\x08\x00" + whole, "line 1"),
        (b"\n" + whole, "line 1"),
        (whole[:at] + b"\x00" * 50, r"U\+0000"),
    ):
        with pytest.raises(BerkaError, match=says) as refused:
            read_berka(write_berka(tmp_path / "berka", {file: wrong}))
        assert refused.value.file == file


def _reads_well(file, line):
    """Whether a line that was cut looks whole without its line end.

    The cut leaves every column as it was, or shortens a number of no fixed length.
    """
    if line.count(";") < len(FORMAT[file]) - 1:
        return False
    return (
        file in ("client.asc", "district.asc")
        and line[-1] != ";"
        or file in ("trans.asc", "district.asc", "order.asc")
        and line[-1] == ";"
    )


@pytest.mark.parametrize("file", FORMAT)
def test_a_file_cut_anywhere_inside_a_line_is_refused(tmp_path, file):
    text, directory = FILES[file], write_berka(tmp_path / "berka")
    for at in range(len(text) - 1):
        if at and (text[at - 1] == "\n" or text[at] == "\n"):
            continue  # between two lines
        kept, last = text[:at], text[:at].rsplit("\n", 1)[-1]
        if "\n" in kept and _reads_well(file, last):
            continue
        (directory / file).write_text(kept)
        with pytest.raises(BerkaError) as refused:
            read_berka(directory)
        assert refused.value.file == file or file in (
            "client.asc",
            "account.asc",
            "disp.asc",
            "district.asc",
        )


def test_no_single_changed_byte_escapes_as_another_error(tmp_path):
    directory, refused = write_berka(tmp_path / "berka"), 0
    for file, text in FILES.items():
        whole = text.encode()
        for at in range(0, len(whole), 7):
            for byte in b'\x00;"9-\n':
                (directory / file).write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
                try:
                    read_berka(directory)
                except BerkaError as e:
                    refused += 1
                    assert e.file in FORMAT and "; " in str(e)
        (directory / file).write_bytes(whole)
    read_berka(directory)
    assert refused > 500


def test_a_refused_import_leaves_the_bank_as_it_was(tmp_path, bank):
    url = bank.url.render_as_string(hide_password=False)
    broken = write_berka(
        tmp_path / "broken", {"trans.asc": FILES["trans.asc"].replace("751.00", "75I.00")}
    )
    with pytest.raises(BerkaError):
        import_berka(broken, url, progress=False)
    assert everything(url) == {table: [] for table in ROWS}
    import_berka(write_berka(tmp_path / "berka"), url, progress=False)
    with pytest.raises(BerkaError):
        import_berka(broken, url, progress=False)
    with pytest.raises(ValueError, match="already holds a bank"):
        import_berka(tmp_path / "berka", url, progress=False)
    assert everything(url) == ROWS


def test_a_database_that_fails_half_way_keeps_nothing(tmp_path, bank):
    with bank.begin() as c:  # the last table to be filled is gone
        c.exec_driver_sql("drop table demandes_de_pret")
    url = bank.url.render_as_string(hide_password=False)
    with pytest.raises(sa.exc.DBAPIError):
        import_berka(write_berka(tmp_path / "berka"), url, progress=False)
    assert [
        rows(url, table, COLUMNS[table]) for table in ("clients", "comptes", "releves_mensuels")
    ] == [[], [], []]


# the published files too, where they are
@pytest.mark.parametrize("source", ["miniature"] + ["published"] * REAL.is_dir())
def test_a_directory_reads_the_same_into_both_databases(tmp_path, sqlite_url, mariadb_url, source):
    directory = REAL if source == "published" else write_berka(tmp_path / "berka")
    reports = [import_berka(directory, url, progress=False) for url in (sqlite_url, mariadb_url)]
    assert reports[0] == reports[1]
    found = everything(sqlite_url)
    assert everything(mariadb_url) == found
    clients, accounts = ({row[0] for row in found[table]} for table in ("clients", "comptes"))
    assert {row[1] for row in found["comptes"]} <= clients and {
        row[0] for row in found["releves_mensuels"]
    } <= accounts
    assert all(
        month.endswith("-01") and low <= mean and 0 <= overdrawn <= 31
        for _, month, mean, low, _, _, overdrawn in found["releves_mensuels"]
    )
    assert all(
        asked <= known <= "1998-12-31"
        for *_, asked, _, _, _, _, _, known in found["demandes_de_pret"]
    )
    assert reports[0].off <= 0.2 * reports[0].days
    if source == "published":
        assert (
            reports[0].rows["clients"],
            reports[0].rows["comptes"],
            reports[0].rows["demandes_de_pret"],
        ) == (5369, 4500, 328)
        assert (
            sum(row[7] == "Défaut" for row in found["demandes_de_pret"]) == 46
            and sum(row[7] == "Remboursé" for row in found["demandes_de_pret"]) == 282
        )
        assert reports[0].off < 0.001 * reports[0].days and (reports[0].first, reports[0].last) == (
            date(1993, 1, 1),
            date(1996, 12, 18),
        )


def test_a_missing_directory_is_named(tmp_path, sqlite_url):
    with pytest.raises(BerkaError, match="there is no such directory"):
        import_berka(tmp_path / "elsewhere", sqlite_url, progress=False)
