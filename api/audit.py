"""One row for each decision, chained by hashes, durable before the answer leaves. The only module of the API that opens `sql/`."""

import fcntl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa

from credit_risk.audit import FIRST, row_hash, stored_dossier
from credit_risk.database import driver_query, query

from . import metrics


class AuditError(RuntimeError):
    "The decision could not be recorded, so it must not be given."


class Repeated(Exception):
    "The Idempotency-Key was answered meanwhile."


@dataclass
class Waiting:
    "A row, and what became of it."

    row: dict
    once: dict | None  # its row of `idempotence`
    done: bool = False
    failure: Exception | None = None
    told: threading.Lock = field(default_factory=threading.Lock)  # taken by who waits


def row_to_write(
    decision_id: str,
    cle: str,
    client_id: int | None,
    dossier: dict,
    resultat: str,
    modele_version: str,
    once: tuple[str, str] | None = None,
) -> Waiting:
    "A decision for the audit; `once`, an Idempotency-Key and the hash of its body, is committed with it."
    row = {
        "decision_id": decision_id,
        "horodatage": datetime.now(UTC).isoformat(timespec="microseconds"),
        "cle": cle,
        "dossier": stored_dossier(dossier, client_id),
        "resultat": resultat,
        "modele_version": modele_version,
    }
    return Waiting(
        row, once and {"cle": cle, "jeton": once[0], "corps": once[1], "decision_id": decision_id}
    )


class Writer:
    """Appends decisions for one process, each row chained to the one before it.

    Rows that arrive while a commit is under way share the next one: the first of them writes for all who wait. Each caller sleeps once and is
    woken once, when its rows are durable or when it is its turn to write."""

    def __init__(self, engine: sa.Engine):
        self.engine = engine
        self.texts = {
            name: driver_query(name, engine)
            for name in ("append_decision", "begin_chain", "extend_chain", "remember_answer")
        }
        self.waiting, self.arriving, self.led = [], threading.Lock(), False
        self.door = None
        self.begin_chain()

    def begin_chain(self):
        self.ecrivain, self.rang, self.previous = str(uuid.uuid4()), 0, FIRST

    def append(self, row: Waiting) -> None:
        "Returns once the row is committed; raises `AuditError` where it could not be, `Repeated` where its Idempotency-Key was answered meanwhile."
        self.append_all([row])

    def append_all(self, rows: list[Waiting]) -> None:
        "The same for several rows."
        mine = rows[-1]
        mine.told.acquire()
        with self.arriving:
            self.waiting += rows
            leads, self.led = not self.led, True
        if not leads:
            mine.told.acquire()
        if not mine.done:
            self._commit()
        for one in rows:
            if isinstance(one.failure, Repeated):
                raise one.failure
            if one.failure:
                raise AuditError(type(one.failure).__name__) from one.failure

    def _commit(self):
        with self.arriving:
            batch, self.waiting = self.waiting, []
        metrics.queue.observe(len(batch))
        start = time.perf_counter()
        try:
            self._write(batch)
        except sa.exc.IntegrityError:
            for one in batch:  # somebody repeats an answered key: the others must not fail with it
                self._write_alone(one)
        except BaseException as e:  # whatever it is, nobody may wait for ever
            self._fail(batch, e)
        metrics.commit.observe(time.perf_counter() - start)
        for one in batch:
            one.done = True
        with self.arriving:
            heir = next((one for one in self.waiting if one.told.locked()), None)
            self.led = heir is not None
        if heir:
            heir.told.release()
        for one in batch:
            if one.told.locked():
                one.told.release()

    def _write(self, batch):
        "All of a batch in one transaction; the chain moves on only when it is committed."
        rang, previous = self.rang, self.previous
        for one in batch:
            rang += 1
            one.row |= {"ecrivain": self.ecrivain, "rang": rang, "hash_precedent": previous}
            one.row["hash"] = previous = row_hash(one.row)
        end = {
            "ecrivain": self.ecrivain,
            "rang": rang,
            "hash": previous,
            "rang_precedent": self.rang,
        }
        with self._turn(), self.engine.begin() as connection:
            connection.exec_driver_sql(self.texts["append_decision"], [one.row for one in batch])
            moved = connection.exec_driver_sql(
                self.texts["extend_chain" if self.rang else "begin_chain"], end
            ).rowcount
            if moved != 1:
                raise AuditError("the end of the chain is not where this writer left it")
            if once := [one.once for one in batch if one.once]:
                connection.exec_driver_sql(self.texts["remember_answer"], once)
        self.rang, self.previous = rang, previous

    @contextmanager
    def _turn(self) -> Iterator[None]:
        "SQLite lets one process write, and the others ask again after a sleep that grows. They queue here instead, and wait no longer than they must."
        if self.engine.dialect.name != "sqlite" or not self.engine.url.database:
            yield
            return
        if self.door is None:
            self.door = open(f"{self.engine.url.database}-writers", "ab")  # noqa: SIM115, for as long as the process lives
        fcntl.flock(self.door, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.door, fcntl.LOCK_UN)

    def _write_alone(self, one):
        try:
            self._write([one])
        except sa.exc.IntegrityError as e:
            one.failure = Repeated() if one.once else e
        except Exception as e:
            self._fail([one], e)

    def _fail(self, batch, failure):
        for one in batch:
            one.failure = failure
        self.begin_chain()  # a commit that failed may still have reached the disk: nothing is chained to a row in doubt


def answer_given(engine: sa.Engine, cle: str, jeton: str) -> tuple[str, str] | None:
    "The hash of the body and the answer that belong to an Idempotency-Key of a caller."
    with engine.connect() as connection:
        return connection.execute(
            sa.text(query("answer_given")), {"cle": cle, "jeton": jeton}
        ).first()


def decision(engine: sa.Engine, decision_id: str) -> Mapping | None:
    "One row of the audit."
    with engine.connect() as connection:
        return (
            connection.execute(sa.text(query("decision_by_id")), {"decision_id": decision_id})
            .mappings()
            .first()
        )


def answers(engine: sa.Engine) -> None:
    "Raises where the database is away or lacks a table that the service needs."
    with engine.connect() as connection:
        connection.execute(sa.text(query("audit_answers"))).first()
