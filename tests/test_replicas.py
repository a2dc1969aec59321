"""Two replicas behind the balancer of `api/nginx.conf.sample`, on one MariaDB: what must hold across them."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from balancer import balanced
from service import KEY, Load, Service, environment, running, until
from test_api import changed
from test_faults import another_version

from credit_risk.artifacts import promote
from credit_risk.audit import verify
from credit_risk.bank import create_bank
from credit_risk.contract import EXAMPLE
from credit_risk.database import connect
from credit_risk.keys import create_key, revoke_key


@dataclass
class Fleet:
    "Replicas on one database, each with a folder of versions of its own."

    url: str  # of the database
    directories: list[Path]
    changes: dict  # of the environment
    stack: ExitStack
    replicas: list[Service] = field(default_factory=list)

    def start(self, i, port=0):
        replica = self.stack.enter_context(
            running(
                self.directories[i], port=port, CREDIT_RISK_DATABASE_URL=self.url, **self.changes
            )
        )
        self.replicas[i : i + 1] = [replica]

    def kill(self, i):
        "All processes of a replica at once."
        os.killpg(self.replicas[i].process.pid, signal.SIGKILL)
        self.replicas[i].process.wait()

    @contextmanager
    def bank(self):
        "A transaction on the database."
        engine = connect(self.url)
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def rows(self, statement):
        with self.bank() as c:
            return c.exec_driver_sql(statement).fetchall()

    def audit(self):
        "What `credit-risk audit verify` says."
        return subprocess.run(
            [Path(sys.executable).with_name("credit-risk"), "audit", "verify"],
            capture_output=True,
            text=True,
            check=False,
            env=environment(self.directories[0], CREDIT_RISK_DATABASE_URL=self.url),
        )


@contextmanager
def fleet(trained, mariadb, **changes):
    with ExitStack() as stack:
        url = stack.enter_context(mariadb.database())
        engine = connect(url)
        create_bank(engine, 5, progress=False)
        engine.dispose()
        directories = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        for directory in directories:
            shutil.copytree(trained / "artifacts", directory / "artifacts")
        made = Fleet(url, directories, {"CREDIT_RISK_RATE_LIMIT": "100000/second"} | changes, stack)
        for i in range(2):
            made.start(i)
        yield made


@pytest.fixture(scope="module")
def two(trained, mariadb):
    "Two replicas for the tests that leave them as they were."
    with fleet(trained, mariadb) as made, balanced(*made.replicas) as made.balancer:
        yield made


def called(service, key, body=EXAMPLE, **headers):
    return service.score(body, Authorization=f"Bearer {key}", **headers)


def test_the_sample_ends_tls_and_keeps_what_is_for_machines_inside(two):
    answer = two.balancer.score(EXAMPLE)
    assert (
        answer.status == 200
        and answer.headers["strict-transport-security"]
        and answer.headers["server"] == "credit-risk"
    )
    with closing(
        http.client.HTTPConnection("127.0.0.1", two.balancer.http_port, timeout=10)
    ) as plain:
        plain.request("GET", "/")
        assert plain.getresponse().status == 301
    assert (
        two.balancer.request("GET", "/readyz").status == 200
    )  # this machine stands in for the inside
    with balanced(*two.replicas, changes={"10.0.0.0/8": "10.0.0.0/8"}) as outside:
        assert (
            outside.request("GET", "/readyz").status
            == outside.request("GET", "/metrics").status
            == 403
            and outside.score(EXAMPLE).status == 200
        )


def test_a_key_holds_on_both_replicas_until_it_is_revoked(two):
    with two.bank() as c:
        key = create_key(c, "agence-12", ["score"])
    for service in (*two.replicas, two.balancer):
        until(lambda s=service: called(s, key).status == 200, 5)
    with two.bank() as c:
        revoke_key(c, "agence-12")
    for service in (*two.replicas, two.balancer):
        until(lambda s=service: called(s, key).status == 401, 5)


def test_an_idempotency_key_is_answered_once_by_all_replicas(two):
    before = two.rows("select count(*) from decisions")[0][0]
    first, again = (r.score(EXAMPLE, **{"Idempotency-Key": "order-1"}) for r in two.replicas)
    assert (
        first.status == again.status == 200
        and first.body == again.body
        and again.headers["idempotency-replayed"] == "true"
    )
    other = two.replicas[1].score(changed(montant=9001), **{"Idempotency-Key": "order-1"})
    assert other.status == 409 and other.json["type"] == "/problems/key-reused"
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda i: two.replicas[i % 2].score(
                    changed(montant=5000 + i // 16), **{"Idempotency-Key": f"race-{i // 16}"}
                ),
                range(64),
            )
        )
    assert {a.status for a in answers} == {200} and len({a.body for a in answers}) == 4
    assert two.rows("select count(*) from decisions")[0][0] == before + 5


def test_the_limit_of_a_process_counts_for_itself_and_that_of_the_balancer_for_all(
    trained, mariadb
):
    slow = {"rate=1000r/s": "rate=5r/m", "burst=1000": "burst=4"}
    with (
        fleet(trained, mariadb, CREDIT_RISK_RATE_LIMIT="10/minute") as made,
        balanced(*made.replicas, changes=slow) as balancer,
    ):
        answers = [
            balancer.score(EXAMPLE, Authorization=f"{scheme}{KEY}")
            for scheme in (
                "Bearer ",
                "bearer ",
                "Bearer  ",
                "Bearer ",
                "BEARER ",
                "Bearer ",
                "bearer  ",
            )
        ]
        assert [a.status for a in answers] == [200] * 5 + [429] * 2
        assert (
            answers[-1].headers["content-type"] == "application/problem+json"
            and answers[-1].json["type"] == "/problems/too-many-requests"
            and answers[-1].headers["retry-after"] == "1"
        )
        with made.bank() as c:
            other = create_key(c, "other", ["score"])
        for replica in made.replicas:
            until(lambda r=replica: called(r, other).status == 200, 5)
        assert called(balancer, other).status == 200
        statuses = [called(r, KEY).status for r in made.replicas for _ in range(12)]
        assert statuses.count(200) == 20 - 5  # ten each: two replicas let twice the rate through


def test_a_replica_killed_under_load_loses_nothing_acknowledged(trained, mariadb):
    numbers = count(1)
    with fleet(trained, mariadb) as made, balanced(*made.replicas) as balancer:
        plain, repeatable = (
            Load(balancer, 4),
            Load(balancer, 4, headers=lambda: {"Idempotency-Key": f"order-{next(numbers)}"}),
        )
        with plain, repeatable:
            for i in (0, 1):
                for load in (plain, repeatable):
                    load.goes_on()
                made.kill(i)
                for load in (plain, repeatable):
                    load.goes_on()
                before = made.rows("select count(*) from ecrivains")[0][0]
                made.start(i, made.replicas[i].port)
                until(
                    lambda n=before: made.rows("select count(*) from ecrivains")[0][0] > n
                )  # the new process decides
        assert set(repeatable.statuses) == {200}  # the balancer asked the other replica
        assert (
            set(plain.statuses) <= {200, 502} and plain.statuses.count(502) <= 2 * 4
        )  # none but those that were under way
        rows, once = (
            made.rows("select decision_id from decisions"),
            made.rows("select decision_id, count(*) from idempotence group by decision_id"),
        )
        assert {*plain.received, *repeatable.received} <= {r[0] for r in rows} and set(
            repeatable.received
        ) <= {r[0] for r in once}
        assert {n for _, n in once} == {1} and len(rows) >= len(plain.received) + len(
            repeatable.received
        )
        said = made.audit()
        assert (
            said.returncode == 0
            and f"{len(rows)} decisions, {len(rows)} made again, 0 problems" in said.stdout
        ), said.stdout + said.stderr


def test_a_rolling_change_of_version_mixes_nothing(trained, mariadb):
    seen = []
    with fleet(trained, mariadb) as made, balanced(*made.replicas) as balancer:
        for directory in made.directories:
            another_version(directory, "next", 0.5)
        with Load(
            balancer,
            4,
            seen=lambda a: seen.append(
                (a["modele"]["version"], a["probabilite_defaut"], a["base"])
            ),
        ) as load:
            load.goes_on()
            for directory, replica in zip(made.directories, made.replicas, strict=True):
                promote(directory / "artifacts", "next")
                until(lambda r=replica: r.request("GET", "/readyz").json["version"] == "next")
                load.goes_on()
        assert (
            set(load.statuses) == {200}
            and {v for v, *_ in seen} == {"test", "next"}
            and len(set(seen)) == 2
        )
        with made.bank() as c:
            said = verify(c, made.directories[0] / "artifacts")
        assert said["problems"] == [] and said["replayed"] == said["rows"] >= len(
            load.received
        )  # each to its bytes, by its version
        once = made.replicas[0].score(EXAMPLE, **{"Idempotency-Key": "before"})
        promote(made.directories[1] / "artifacts", "test")
        until(lambda: made.replicas[1].request("GET", "/readyz").json["version"] == "test")
        assert (
            made.replicas[1].score(EXAMPLE, **{"Idempotency-Key": "before"}).body == once.body
        )  # the answer that was given, not a new one
        assert json.loads(once.body)["modele"]["version"] == "next"
