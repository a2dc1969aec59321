"""A bank of three clients in the format of the PKDD'99 files, small enough to compute by hand."""

import os
from pathlib import Path

from credit_risk.database import ROOT

REAL = ROOT.parent / "shared" / "data" / "berka"  # the published files, where this machine has them

FILES = {
    "account.asc": """\
"account_id";"district_id";"frequency";"date"
1;18;"POPLATEK MESICNE";930105
2;1;"POPLATEK TYDNE";930228
3;1;"POPLATEK PO OBRATU";940101
""",
    "client.asc": """\
"client_id";"birth_number";"district_id"
1;"706213";18
2;"450204";1
3;"406009";1
""",
    "disp.asc": """\
"disp_id";"client_id";"account_id";"type"
1;1;1;"OWNER"
2;2;2;"OWNER"
3;3;2;"DISPONENT"
4;3;3;"OWNER"
""",
    "loan.asc": """\
"loan_id";"account_id";"date";"amount";"duration";"payments";"status"
5314;1;930831;24000;18;1333.33;"B"
5315;1;930430;12000;12;1000.00;"A"
5316;2;931231;48000;60;800.00;"C"
5317;3;940202;60000;60;1000.00;"D"
""",
    "trans.asc": """\
"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"
4;1;930331;"VYDAJ";"VYBER";14.60;290.80;"SLUZBY";"";""
5;1;930331;"PRIJEM";"";5.40;305.40;"UROK";"";""
1;1;930105;"PRIJEM";"VKLAD";1000.00;1000.00;" ";"";""
3;1;930125;"PRIJEM";"PREVOD Z UCTU";500.00;300.00;"";"AB";"41403269"
2;1;930120;"VYBER";"VYBER";1200.00;-200.00;"";"";""
6;1;930410;"PRIJEM";"VKLAD";9.20;300.00;"";"";""
7;2;930228;"PRIJEM";"VKLAD";700.00;700.00;"";"";""
8;2;930331;"PRIJEM";"";1.00;751.00;"UROK";"";""
""",
    "district.asc": """\
A1;A2;A3;A4;A5;A6;A7;A8;A9;A10;A11;A12;A13;A14;A15;A16
1;"Hl.m. Praha";"Prague";1204953;0;0;0;1;1;100.0;12541;0.29;0.43;167;85677;99107
18;"Pisek";"south Bohemia";70699;60;13;2;1;4;65.3;8968;2.83;3.35;131;1740;1910
""",
    "card.asc": """\
"card_id";"disp_id";"type";"issued"
1;1;"classic";931107 00:00:00
""",
    "order.asc": """\
"order_id";"account_id";"bank_to";"account_to";"amount";"k_symbol"
29401;1;"YZ";"87144583";2452.00;"SIPO"
29402;2;"ST";"89597016";3372.70;" "
""",
}

# what must be in the bank, computed by hand
ROWS = {
    "clients": [
        (1, "1970-12-13", "F", "18"),
        (2, "1945-02-04", "H", "1"),
        (3, "1940-10-09", "F", "1"),
    ],
    "comptes": [
        (1, 1, "courant", "1993-01-05", 300.0),
        (2, 2, "courant", "1993-02-28", 751.0),
        (3, 3, "courant", "1994-01-01", None),
    ],
    "releves_mensuels": [
        # 15 days at 1000, 5 at -200, 7 at 300: 16 100 over 27 days
        (1, "1993-01-01", 596.3, -200.0, 1500.0, 1200.0, 5),
        # no movement
        (1, "1993-02-01", 300.0, 300.0, 0.0, 0.0, 0),
        # 30 days at 300; on the 31st the fee follows the interest, whatever the file's order:
        # 9 290.80 over 31 days
        (1, "1993-03-01", 299.7, 290.8, 5.4, 14.6, 0),
        # April of account 1 ends on the 10th: not whole
        (2, "1993-02-01", 700.0, 700.0, 700.0, 0.0, 0),
        # the balance is the file's, 50 more than the movements: 30 days at 700, one at 751
        (2, "1993-03-01", 701.65, 700.0, 1.0, 0.0, 0),
    ],
    "demandes_de_pret": [
        # 31 August and 18 months: the last day of a shorter month
        (5314, 1, "1993-08-31", 24000.0, 18, 1333.33, "acceptee", "Défaut", "1995-02-28"),
        (5315, 1, "1993-04-30", 12000.0, 12, 1000.0, "acceptee", "Remboursé", "1994-04-30"),
        (5316, 2, "1993-12-31", 48000.0, 60, 800.0, "acceptee", "Remboursé", "1998-12-31"),
        (5317, 3, "1994-02-02", 60000.0, 60, 1000.0, "acceptee", "Défaut", "1998-12-31"),
    ],
}
COLUMNS = {
    "clients": "client_id, date_naissance, sexe, departement",
    "comptes": "compte_id, client_id, type_compte, date_ouverture, solde",
    "releves_mensuels": (
        "compte_id, mois, solde_moyen, solde_min, total_credits, total_debits, jours_decouvert"
    ),
    "demandes_de_pret": (
        "demande_id, client_id, date_demande, montant, duree_mois, mensualite, decision, "
        "statut_pret, date_statut"
    ),
}
UNKNOWN = {  # columns of which Berka knows nothing
    "clients": (
        "situation_familiale",
        "personnes_a_charge",
        "statut_logement",
        "statut_emploi",
        "date_embauche",
        "revenu_mensuel",
        "charges_mensuelles",
    ),
    "comptes": ("decouvert_autorise",),
    "releves_mensuels": ("nb_rejets",),
    "demandes_de_pret": ("taux_annuel", "objet", "canal"),
}


def write_berka(
    directory: str | os.PathLike,  # folder, made where it is missing
    files: dict[str, str | bytes | None]
    | None = None,  # text instead of that of `FILES`; None leaves the file out
    end: str = "\r\n",  # end of each line
) -> Path:  # the folder
    "Write the miniature."
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in (FILES | (files or {})).items():
        if text is None:
            (directory / name).unlink(missing_ok=True)
        else:
            (directory / name).write_bytes(
                text if isinstance(text, bytes) else text.replace("\n", end).encode()
            )
    return directory


def write_synthetic(
    directory: str | os.PathLike,  # folder, made where it is missing
    loans: int = 200,  # one for each account, granted 1994 to 1996
    seed: int = 0,
) -> Path:  # the folder
    "A larger bank in the same format, drawn at random: poorer accounts default more often."
    import random
    from datetime import date, timedelta

    rng, short = random.Random(seed), "%y%m%d"
    out = {
        name: [text.splitlines()[0]]
        for name, text in FILES.items()
        if name not in ("district.asc", "card.asc", "order.asc")
    }
    movement = 0
    for n in range(1, loans + 1):
        salary, thrift = rng.uniform(8_000, 30_000), rng.gauss(0, 0.06)
        born = date(rng.randint(1935, 1972), rng.randint(1, 12), rng.randint(1, 28))
        granted = date(1994, 1, 1) + timedelta(rng.randrange(3 * 365))
        out["client.asc"].append(
            f'{n};"{born:%y}{born.month + rng.choice((0, 50)):02d}{born:%d}";{rng.randint(1, 77)}'
        )
        out["disp.asc"].append(f'{n};{n};{n};"OWNER"')
        out["account.asc"].append(f'{n};1;"POPLATEK MESICNE";930101')
        balance = 2_000.0
        for m in range(12 * (granted.year - 1993) + granted.month):
            for day, kind, amount in (
                (5, "PRIJEM", salary),
                (28, "VYDAJ", salary * (1 - thrift - rng.gauss(0, 0.1))),
            ):
                at = date(1993 + m // 12, m % 12 + 1, day)
                if at >= granted:
                    continue
                movement, amount = movement + 1, round(abs(amount), 2)
                balance = round(balance + (amount if kind == "PRIJEM" else -amount), 2)
                out["trans.asc"].append(
                    f'{movement};{n};{at:{short}};"{kind}";"VKLAD";{amount:.2f};{balance:.2f};"";"";""'
                )
        months, amount = rng.choice((12, 24, 36)), rng.randint(20, 200) * 1_000
        bad = rng.random() < (0.6 if balance < 3 * amount / months else 0.06)
        out["loan.asc"].append(
            f"{4_000 + n};{n};{granted:{short}};{amount};{months};{amount / months:.2f};"
            f'"{"B" if bad else "A"}"'
        )
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, lines in out.items():
        (directory / name).write_text("\n".join(lines) + "\n")
    return directory
