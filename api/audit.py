"""One row for each decision, chained by hashes, durable before the answer leaves. The only module of the API that opens `sql/`."""
import hashlib
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import UTC, datetime

import sqlalchemy as sa

from credit_risk.artifacts import canonical
from credit_risk.contract import dossier_to_json
from credit_risk.database import query

FIRST = "0" * 64  # hash_precedent of a writer's first row
HASHED = ("decision_id", "horodatage", "cle", "dossier", "resultat", "modele_version", "ecrivain", "rang", "hash_precedent")


class AuditError(RuntimeError):
    "The decision could not be recorded, so it must not be given."


def row_hash(row: Mapping) -> str:
    "What `hash` must be: SHA-256 of the canonical list of the row's other columns."
    return hashlib.sha256(canonical([row[name] for name in HASHED]).encode()).hexdigest()


class Writer:
    """Appends decisions for one process, each row chained to the one before it.

    Rows that arrive while a commit is under way share the next one: whoever takes the lock writes for all who wait."""

    def __init__(self, engine: sa.Engine):
        self.engine, self.insert = engine, sa.text(query("append_decision"))
        self.waiting, self.arriving, self.committing = [], threading.Lock(), threading.Lock()
        self.begin_chain()

    def begin_chain(self):
        self.ecrivain, self.rang, self.previous = str(uuid.uuid4()), 0, FIRST

    def append(self, decision_id: str, cle: str, client_id: int | None, dossier: dict, resultat: str, modele_version: str) -> None:
        "Returns once the row is committed; raises `AuditError` where it could not be."
        facts = dossier_to_json(dossier) | ({} if client_id is None else {"client_id": client_id})
        row = {"decision_id": decision_id, "horodatage": datetime.now(UTC).isoformat(timespec="microseconds"), "cle": cle,
               "dossier": canonical(facts), "resultat": resultat, "modele_version": modele_version}
        mine = Future()
        with self.arriving:
            self.waiting.append((row, mine))
        with self.committing:
            if not mine.done():
                self._commit()
        if failure := mine.exception():
            raise AuditError(type(failure).__name__) from failure

    def _commit(self):
        with self.arriving:
            batch, self.waiting = self.waiting, []
        failure = None
        try:
            for row, _ in batch:
                row |= {"ecrivain": self.ecrivain, "rang": self.rang + 1, "hash_precedent": self.previous}
                row["hash"] = row_hash(row)
                self.rang, self.previous = row["rang"], row["hash"]
            with self.engine.begin() as connection:
                connection.execute(self.insert, [row for row, _ in batch])
        except Exception as e:
            failure = e
            self.begin_chain()  # a commit that failed may still have reached the disk: nothing is chained to a row in doubt
        for _, future in batch:
            future.set_exception(failure) if failure else future.set_result(None)


def answers(engine: sa.Engine) -> None:
    "Raises where the database is away or has no audit table."
    with engine.connect() as connection:
        connection.execute(sa.text(query("audit_answers"))).first()


def verify(connection: sa.Connection) -> list[str]:
    "What is wrong with the chains, one line for each row concerned; empty when every row is as it was written."
    problems, ecrivain, rang, previous = [], None, 0, FIRST
    for row in connection.execution_options(stream_results=True).execute(sa.text(query("decisions_in_order"))).mappings():
        if row["ecrivain"] != ecrivain:
            ecrivain, rang, previous = row["ecrivain"], 0, FIRST
        where = f"decision {row['decision_id']} (writer {ecrivain}, row {row['rang']})"
        if row["rang"] != rang + 1:
            problems.append(f"{where}: rows {rang + 1} to {row['rang'] - 1} are missing before it")
        elif row["hash_precedent"] != previous:
            problems.append(f"{where}: does not continue the row before it")
        if row_hash(row) != row["hash"]:
            problems.append(f"{where}: was changed after it was written")
        rang, previous = row["rang"], row["hash"]
    return problems
