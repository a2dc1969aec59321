"""The service as its users meet it: the real server, a child process on a free port of this machine, on a real bank and real models.

Fixtures: `trained` (a folder with bank.db and artifacts/), `service` (one server for the run) and `own_service` (a server and a bank to damage).
"""

import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from credit_risk.contract import EXAMPLE

ROOT = Path(__file__).resolve().parent.parent
KEY = "a-key-for-the-tests-only"


@dataclass
class Answer:
    "What came back."

    status: int
    headers: dict  # names in lower case
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Service:
    "A server and the folder that it works on."

    directory: Path  # holds bank.db, artifacts/ and stderr
    port: int
    process: subprocess.Popen = field(repr=False)
    key: str = KEY

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self):
        return (self.directory / "stderr").read_text("utf-8")

    def connection(self, seconds: float = 30) -> http.client.HTTPConnection:
        "A connection that gives up after some seconds."
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict | None = None,  # None as a value leaves that header out
        chunked: bool = False,  # send the body in parts, without its length
    ) -> Answer:
        "One request on a connection of its own."
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | (
            headers or {}
        )
        parts = (body[i : i + 50_000] for i in range(0, len(body), 50_000)) if chunked else body
        with closing(self.connection()) as connection:
            connection.request(
                method, path, parts, {k: v for k, v in sent.items() if v is not None}
            )
            response = connection.getresponse()
            return Answer(
                response.status,
                {k.lower(): v for k, v in response.headers.items()},
                response.read(),
            )

    def score(self, body, **headers) -> Answer:
        "POST /score."
        return self.request("POST", "/score", json.dumps(body).encode(), headers)

    def sql(self, statement: str, *values) -> list[tuple]:
        "Run a statement on the bank, behind the server's back."
        with (
            closing(sqlite3.connect(self.directory / "bank.db", timeout=30)) as connection,
            connection,
        ):
            return connection.execute(statement, values).fetchall()

    def decisions(self) -> int:
        "Rows of the audit."
        return self.sql("select count(*) from decisions")[0][0]

    def workers(self) -> list[int]:
        "Processes of the server, the first one aside."
        return children(self.process.pid)


def children(pid: int) -> list[int]:
    "Processes started by a process."
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def environment(directory: Path, **changes) -> dict:
    "The environment of a server on a folder."
    mine = {
        "CREDIT_RISK_DATABASE_URL": f"sqlite:///{directory}/bank.db",
        "CREDIT_RISK_ARTIFACTS": f"{directory}/artifacts",
        "CREDIT_RISK_API_KEY": KEY,
    }
    theirs = {
        k: v for k, v in os.environ.items() if not k.startswith("CREDIT_RISK_") and k != "PORT"
    }
    return {k: v for k, v in (theirs | mine | changes).items() if v is not None}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def running(
    directory: Path,  # with bank.db and artifacts/
    *options: str,  # further options of `python -m api`
    port: int = 0,  # 0: one that is free
    **changes: str | None,  # of the environment; None takes a name out of it
) -> Iterator[Service]:
    "A server, stopped at the end of the block with all that it started."
    port = port or free_port()
    with open(directory / "stderr", "ab") as log:  # two servers may work on one folder
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "--port", str(port), *options],
            cwd=ROOT,
            env=environment(directory, **changes),
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        line = process.stdout.readline().decode()
        if not line.startswith(f"http://127.0.0.1:{port}/"):
            raise RuntimeError(
                f"the service did not start: {line}{(directory / 'stderr').read_text('utf-8')}"
            )
        yield Service(directory, port, process)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()


def train(directory: Path) -> None:
    "A small simulated bank and models fitted on it, as artifacts."
    from credit_risk.anomaly import AnomalyDetector
    from credit_risk.artifacts import promote, write_version
    from credit_risk.bank import create_bank
    from credit_risk.database import all_dossiers, connect
    from credit_risk.decision import scorecard
    from credit_risk.features import WATCHED, feature_table
    from credit_risk.scorer import CreditScorer
    from credit_risk.scoring import golden_rows, models_from

    engine = connect(f"sqlite:///{directory}/bank.db")
    create_bank(engine, n_clients=1_500, progress=False)
    with engine.connect() as connection:
        known = [(d, o["statut_pret"]) for d, o in all_dossiers(connection) if o["statut_pret"]]
    engine.dispose()
    X = feature_table(d for d, _ in known)
    pd_model = CreditScorer(pairs=8, ratios=6).fit(X, [status == "Défaut" for _, status in known])
    detector = AnomalyDetector(pairs=5, bags=1).fit(feature_table((d for d, _ in known), WATCHED))
    scorer = {
        "model": pd_model.to_additive().to_dict(),
        "scorecard": scorecard(),
        "interval": pd_model.interval_,
    }
    anomaly = {
        "model": detector.to_additive().to_dict(),
        "threshold": detector.threshold_,
        "percentiles": detector.percentiles_,
        "quantiles": detector.quantiles_,
    }
    golden = golden_rows([d for d, _ in known[:5]], models_from("test", scorer, anomaly))
    files = {
        "scorer.json": scorer,
        "anomaly.json": anomaly,
        "metrics.json": {},
        "model_card.md": "Fitted by the tests on simulated data.",
    }
    write_version(directory / "artifacts", "test", files, {}, golden)
    promote(directory / "artifacts", "test")


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    "A folder with a small simulated bank (bank.db) and models fitted on it (artifacts/)."
    directory = tmp_path_factory.mktemp("trained")
    train(directory)
    return directory


@pytest.fixture(scope="session")
def service(trained) -> Iterator[Service]:
    "One server for the whole run: leave it as you found it."
    with running(trained) as running_service:
        yield running_service


@pytest.fixture
def own_directory(trained) -> Iterator[Path]:
    "A copy of the bank and its models, to damage."
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (
            closing(sqlite3.connect(trained / "bank.db")) as source,
            closing(sqlite3.connect(directory / "bank.db")) as copy,
        ):
            source.backup(copy)
        shutil.copytree(trained / "artifacts", directory / "artifacts")
        yield directory


@pytest.fixture
def own_service(own_directory) -> Iterator[Service]:
    "A server on a copy of the bank: damage it."
    with running(own_directory) as running_service:
        yield running_service


def until(condition, seconds=15):
    "Wait for something to become true."
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


class Load:
    "Callers who keep on through every failure; the decisions received whole, and the statuses of all answers."

    def __init__(self, service, callers=8, pause=0.0, headers=dict, seen=lambda answer: None):
        "`headers` is called before each request; `seen` with each decision."
        self.service, self.received, self.statuses, self.over, self.pause = (
            service,
            [],
            [],
            threading.Event(),
            pause,
        )
        self.headers, self.seen = headers, seen
        self.body = json.dumps(EXAMPLE).encode()
        self.threads = [threading.Thread(target=self.call, daemon=True) for _ in range(callers)]

    def call(self):
        while not self.over.is_set():
            with closing(self.service.connection(20)) as connection:
                try:
                    while not self.over.is_set():
                        connection.request(
                            "POST",
                            "/score",
                            self.body,
                            {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
                            | self.headers(),
                        )
                        response = connection.getresponse()
                        body = response.read()
                        self.statuses.append(response.status)
                        if response.status == 200:
                            self.received.append(json.loads(body)["decision_id"])
                            self.seen(json.loads(body))
                        else:
                            time.sleep(0.02)
                        if self.pause:
                            self.over.wait(self.pause)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(30)

    def goes_on(self):
        before = len(self.received)
        until(lambda: len(self.received) > before + 20, 30)
