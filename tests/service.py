"""The service as its users meet it: the real server on a free port, with a real bank and models.

Fixtures: `trained` (a folder with bank.db and artifacts/), `service` (one server for the run),
`own_directory` (a copy of the folder to damage), `own_service` (a server on such a copy) and
`module_service` (the same for a whole module).
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
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from credit_risk.audit import verify
from credit_risk.contract import EXAMPLE
from credit_risk.database import connect
from credit_risk.fields import FIELDS

ROOT = Path(__file__).resolve().parent.parent
KEY = "a-key-for-the-tests-only"
UNLIMITED = {"CREDIT_RISK_RATE_LIMIT": "100000/second"}


def changed(body=EXAMPLE, **facts):
    "A body with other facts; None leaves a fact out."
    body = deepcopy(body)
    for name, value in facts.items():
        section = body[FIELDS[name].section]
        if value is None:
            section.pop(name, None)
        else:
            section[name] = value
    return body


def encoded(**facts) -> bytes:
    "The example with other facts, as the bytes of a body."
    return json.dumps(changed(**facts)).encode()


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
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            **(headers or {}),
        }
        sent = {name: value for name, value in headers.items() if value is not None}
        with closing(self.connection()) as connection:
            connection.request(method, path, in_parts(body) if chunked else body, sent)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, received, response.read())

    def post(self, path: str, body, **headers) -> Answer:
        "POST a value as JSON."
        return self.request("POST", path, json.dumps(body).encode(), headers)

    def score(self, body=EXAMPLE, **headers) -> Answer:
        "POST /score."
        return self.post("/score", body, **headers)

    def score_with(self, key: str) -> Answer:
        "POST /score with another key."
        return self.score(Authorization=f"Bearer {key}")

    def is_ready(self) -> bool:
        "Whether GET /readyz says so."
        try:
            return self.request("GET", "/readyz").status == 200
        except OSError:
            return False

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

    def decision_ids(self) -> set[str]:
        "Decisions in the audit."
        return {row[0] for row in self.sql("select decision_id from decisions")}

    @contextmanager
    def bank(self):
        "A transaction on the bank, behind the server's back."
        engine = connect(f"sqlite:///{self.directory}/bank.db")
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def audit_problems(self) -> list[str]:
        "What is wrong with the audit, by its chains and by making every decision again."
        with self.bank() as connection:
            return verify(connection, self.directory / "artifacts")["problems"]

    def workers(self) -> list[int]:
        "Processes of the server, the first one aside."
        return children(self.process.pid)


def in_parts(body: bytes) -> Iterator[bytes]:
    "A body in parts, which http.client sends without its length."
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


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
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CREDIT_RISK_") and name != "PORT"
    }
    settings = {
        **inherited,
        "CREDIT_RISK_DATABASE_URL": f"sqlite:///{directory}/bank.db",
        "CREDIT_RISK_ARTIFACTS": f"{directory}/artifacts",
        "CREDIT_RISK_API_KEY": KEY,
        **changes,
    }
    return {name: value for name, value in settings.items() if value is not None}


def free_port() -> int:
    "A port that nobody listens on."
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(directory: Path, *options: str, **changes: str | None) -> subprocess.CompletedProcess:
    "A start of the service that is expected to be refused."
    return subprocess.run(
        [sys.executable, "-m", "api", "--port", str(free_port()), *options],
        cwd=ROOT,
        env=environment(directory, **changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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
    "A small simulated bank and a version fitted on it, as artifacts."
    from credit_risk.anomaly import AnomalyDetector
    from credit_risk.bank import create_bank
    from credit_risk.candidate import detector_part, scorer_part
    from credit_risk.database import all_dossiers, connect
    from credit_risk.features import WATCHED, feature_table
    from credit_risk.scorer import CreditScorer
    from credit_risk.scoring import golden_rows
    from credit_risk.version import Version

    engine = connect(f"sqlite:///{directory}/bank.db")
    create_bank(engine, n_clients=1_500, progress=False)
    with engine.connect() as connection:
        known = [(d, o["statut_pret"]) for d, o in all_dossiers(connection) if o["statut_pret"]]
    engine.dispose()
    dossiers = [dossier for dossier, _ in known]
    defaulted = [status == "Défaut" for _, status in known]
    estimator = CreditScorer(pairs=8, ratios=6).fit(feature_table(dossiers), defaulted)
    detector = AnomalyDetector(pairs=5, bags=1).fit(feature_table(dossiers, WATCHED))
    version = Version("test", scorer_part(estimator), detector_part(detector))
    models = {"scorer": version.scorer.to_dict(), "anomaly": version.detector.to_dict()}
    promote_models(directory / "artifacts", "test", models, golden_rows(dossiers[:5], version))


def write_models(artifacts: Path, name: str, models: dict, golden=()) -> None:
    "Write a version from what `read_version` gives: scorer, anomaly and, if there, metrics."
    from credit_risk.artifacts import write_version

    files = {
        "scorer.json": models["scorer"],
        "anomaly.json": models["anomaly"],
        "metrics.json": models.get("metrics", {}),
        "model_card.md": "Fitted by the tests on simulated data.",
    }
    write_version(artifacts, name, files, {}, list(golden))


def promote_models(artifacts: Path, name: str, models: dict, golden=()) -> None:
    "The same, and promote it."
    from credit_risk.artifacts import promote

    write_models(artifacts, name, models, golden)
    promote(artifacts, name)


def another_version(directory: Path, name: str, intercept: float) -> None:
    "A copy of the version that serves, without golden rows, under another name and intercept."
    from credit_risk.artifacts import read_version

    models = read_version(directory / "artifacts", "test") | {"metrics": {}}
    models["scorer"]["model"]["intercept"] += intercept
    write_models(directory / "artifacts", name, models)


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


@contextmanager
def copy_of(directory: Path) -> Iterator[Path]:
    "A copy of a bank and its models."
    with tempfile.TemporaryDirectory() as name:
        copied = Path(name)
        with (
            closing(sqlite3.connect(directory / "bank.db")) as source,
            closing(sqlite3.connect(copied / "bank.db")) as copy,
        ):
            source.backup(copy)
        shutil.copytree(directory / "artifacts", copied / "artifacts")
        yield copied


@pytest.fixture
def own_directory(trained) -> Iterator[Path]:
    "A copy of the bank and its models, to damage."
    with copy_of(trained) as directory:
        yield directory


@pytest.fixture
def own_service(own_directory) -> Iterator[Service]:
    "A server on a copy of the bank: damage it."
    with running(own_directory) as running_service:
        yield running_service


@pytest.fixture(scope="module")
def module_service(trained) -> Iterator[Service]:
    "A server on a copy of the bank, for the tests of a module that repair what they damage."
    with copy_of(trained) as directory, running(directory) as running_service:
        yield running_service


def until(condition, seconds=15):
    "Wait for something to become true."
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


class Load:
    """Callers who keep on through every failure, while the block lasts or until `stop`.

    `received` holds the decisions that arrived whole, `statuses` those of all answers."""

    def __init__(
        self,
        service: Service,
        callers: int = 8,
        pause: float = 0.0,  # seconds between two requests of a caller
        headers=dict,  # called before each request: further headers
        seen=lambda answer: None,  # called with each decision
    ):
        self.service = service
        self.pause = pause
        self.headers = headers
        self.seen = seen
        self.received: list[str] = []
        self.statuses: list[int] = []
        self.over = threading.Event()
        self.body = json.dumps(EXAMPLE).encode()
        self.threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]

    def _call(self):
        while not self.over.is_set():
            with closing(self.service.connection(20)) as connection:
                try:
                    while not self.over.is_set():
                        self._request(connection)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)

    def _request(self, connection):
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        connection.request("POST", "/score", self.body, headers | self.headers())
        response = connection.getresponse()
        body = response.read()
        self.statuses.append(response.status)
        if response.status == 200:
            answer = json.loads(body)
            self.received.append(answer["decision_id"])
            self.seen(answer)
        else:
            time.sleep(0.02)
        if self.pause:
            self.over.wait(self.pause)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        "End the callers, each after its answer."
        self.over.set()
        for thread in self.threads:
            thread.join(30)

    def goes_on(self):
        "Wait for twenty more decisions."
        before = len(self.received)
        until(lambda: len(self.received) > before + 20, 30)
