"""One row for each decision, chained by hashes and durable before the answer leaves."""

import fcntl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

import sqlalchemy as sa

from credit_risk.audit import FIRST, row_hash, stored_dossier
from credit_risk.database import driver_query, query

from . import metrics

STATEMENTS = ("append_decision", "begin_chain", "extend_chain", "remember_answer")


class AuditError(RuntimeError):
    "The decision could not be recorded, so it must not be given."


class Repeated(Exception):
    "The Idempotency-Key was answered meanwhile."


@dataclass(frozen=True)
class Once:
    "A request that is decided once, however often it is sent."

    jeton: str  # its Idempotency-Key
    corps: str  # SHA-256 of its body


@dataclass
class Waiting:
    "A row that waits for its commit, and what became of it."

    row: dict  # of `decisions`
    once: dict | None  # its row of `idempotence`
    done: bool = False  # committed, or failed
    failure: BaseException | None = None
    notified: threading.Lock = field(default_factory=threading.Lock)
    # its caller takes `notified` twice to sleep; a leader releases it to wake the caller


@dataclass(frozen=True)
class ChainEnd:
    "The last row of a writer's chain."

    ecrivain: str  # id of the writer
    rang: int  # number of the row, from 1; 0 before the first
    hash: str


def row_to_write(
    decision_id: str,
    cle: str,  # name of the API key
    client_id: int | None,  # where the facts were read from the bank
    dossier: dict,  # flat dossier
    resultat: str,  # the answer, as JSON
    modele_version: str,
    once: Once | None = None,  # is committed with the decision
) -> Waiting:
    "A decision for the audit."
    row = {
        "decision_id": decision_id,
        "horodatage": datetime.now(UTC).isoformat(timespec="microseconds"),
        "cle": cle,
        "dossier": stored_dossier(dossier, client_id),
        "resultat": resultat,
        "modele_version": modele_version,
    }
    if once is None:
        return Waiting(row, None)
    identity = {"cle": cle, "jeton": once.jeton, "corps": once.corps, "decision_id": decision_id}
    return Waiting(row, identity)


class Writer:
    """Appends decisions for one process, each row chained to the one before it, by group commit.

    Rows that arrive while a commit is under way share the next one. The caller of one of them leads
    it: it writes all rows that wait, names the next leader among the callers who came meanwhile,
    and notifies the others. A caller sleeps once and is woken once: when its rows are durable, or
    when it is to lead."""

    def __init__(self, engine: sa.Engine):
        self.engine = engine
        self.statements = {name: driver_query(name, engine) for name in STATEMENTS}
        self.waiting: list[Waiting] = []
        self.has_leader = False  # whether a caller is writing, or was told to
        self.arriving = threading.Lock()  # guards the two above
        self.lock_file: BinaryIO | None = None  # of the processes that write one SQLite file
        self.begin_chain()

    def begin_chain(self) -> None:
        "Start a new chain, with a writer's id of its own."
        self.end = ChainEnd(str(uuid.uuid4()), 0, FIRST)

    def append(self, row: Waiting) -> None:
        """Return once the row is committed.

        Raises `AuditError` where it could not be, `Repeated` where its Idempotency-Key was answered
        meanwhile."""
        self.append_all([row])

    def append_all(self, rows: list[Waiting]) -> None:
        "The same for several rows, which share a commit."
        last = rows[-1]  # the caller sleeps on this one for all of its rows
        last.notified.acquire()
        is_leader = self._arrive(rows)
        if not is_leader:
            last.notified.acquire()  # sleep
        if not last.done:  # it is the leader, from the start or since it was woken
            self._lead()
        _raise_failure(rows)

    def _arrive(self, rows):
        "Add rows to those that wait; whether their caller must lead, because nobody does."
        with self.arriving:
            self.waiting += rows
            is_leader = not self.has_leader
            self.has_leader = True
        return is_leader

    def _lead(self):
        "Commit all rows that wait, name the next leader, and wake the callers of these rows."
        with self.arriving:
            batch = self.waiting
            self.waiting = []
        self._commit(batch)
        for one in batch:
            one.done = True
        self._name_next_leader()
        for one in batch:
            if one.notified.locked():
                one.notified.release()

    def _name_next_leader(self):
        with self.arriving:
            next_leader = next((one for one in self.waiting if one.notified.locked()), None)
            self.has_leader = next_leader is not None
        if next_leader:
            next_leader.notified.release()

    def _commit(self, batch):
        "Write a batch, and mark the rows that failed: whatever happens, nobody may wait for ever."
        metrics.queue.observe(len(batch))
        start = time.perf_counter()
        try:
            self._write(batch)
        except sa.exc.IntegrityError:  # a caller repeats an answered key: the others must not fail
            for one in batch:
                self._write_alone(one)
        except BaseException as e:
            self._fail(batch, e)
        metrics.commit.observe(time.perf_counter() - start)

    def _write_alone(self, one):
        try:
            self._write([one])
        except sa.exc.IntegrityError as e:
            one.failure = Repeated() if one.once else e
        except Exception as e:
            self._fail([one], e)

    def _fail(self, batch, failure):
        "A commit that failed may have reached the disk: no row is chained to one in doubt."
        for one in batch:
            one.failure = failure
        self.begin_chain()

    def _write(self, batch):
        "Write a batch in one transaction; the chain moves on only when it is committed."
        end = self._chain(batch)
        answered = [one.once for one in batch if one.once]
        with self._turn(), self.engine.begin() as connection:
            self._execute(connection, "append_decision", [one.row for one in batch])
            self._move_end(connection, end)
            if answered:
                self._execute(connection, "remember_answer", answered)
        self.end = end

    def _chain(self, batch):
        "Give each row of a batch its place in the chain; the end that the chain then has."
        end = self.end
        for one in batch:
            rang = end.rang + 1
            one.row |= {"ecrivain": end.ecrivain, "rang": rang, "hash_precedent": end.hash}
            one.row["hash"] = row_hash(one.row)
            end = ChainEnd(end.ecrivain, rang, one.row["hash"])
        return end

    def _move_end(self, connection, end):
        "Store the end of the chain, on condition that it is where this writer left it."
        row = {
            "ecrivain": end.ecrivain,
            "rang": end.rang,
            "hash": end.hash,
            "rang_precedent": self.end.rang,
        }
        name = "extend_chain" if self.end.rang else "begin_chain"
        if self._execute(connection, name, row).rowcount != 1:
            raise AuditError("the end of the chain is not where this writer left it")

    def _execute(self, connection, name, rows):
        return connection.exec_driver_sql(self.statements[name], rows)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for this process's turn to write an SQLite file; other databases need none.

        A second writer of SQLite asks again after sleeps that grow. With a lock file it waits no
        longer than it must."""
        if self.engine.dialect.name != "sqlite" or not self.engine.url.database:
            yield
            return
        if self.lock_file is None:  # opened once, for as long as the process lives
            self.lock_file = open(f"{self.engine.url.database}-writers", "ab")
        fcntl.flock(self.lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.lock_file, fcntl.LOCK_UN)


def _raise_failure(rows):
    for one in rows:
        if isinstance(one.failure, Repeated):
            raise one.failure
        if one.failure:
            raise AuditError(type(one.failure).__name__) from one.failure


def answer_given(
    engine: sa.Engine,
    cle: str,  # name of the API key
    jeton: str,  # its Idempotency-Key
) -> tuple[str, str] | None:  # SHA-256 of the body, and the answer
    "What an Idempotency-Key of a caller was answered."
    statement = sa.text(query("answer_given"))
    with engine.connect() as connection:
        return connection.execute(statement, {"cle": cle, "jeton": jeton}).first()


def decision(engine: sa.Engine, decision_id: str) -> Mapping | None:
    "One row of the audit."
    statement = sa.text(query("decision_by_id"))
    with engine.connect() as connection:
        return connection.execute(statement, {"decision_id": decision_id}).mappings().first()


def answers(engine: sa.Engine) -> None:
    "Raises where the database is away or lacks a table that the service needs."
    with engine.connect() as connection:
        connection.execute(sa.text(query("audit_answers"))).first()
