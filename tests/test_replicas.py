"""Two replicas behind the balancer of `api/nginx.conf.sample`, on one MariaDB."""

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
from service import (
    KEY,
    UNLIMITED,
    Load,
    Service,
    another_version,
    changed,
    environment,
    running,
    until,
)

from credit_risk.artifacts import promote
from credit_risk.audit import verify
from credit_risk.bank import create_bank
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
        "Start a replica, or start it again."
        changes = {"CREDIT_RISK_DATABASE_URL": self.url, **self.changes}
        service = running(self.directories[i], port=port, **changes)
        self.replicas[i : i + 1] = [self.stack.enter_context(service)]

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
        with self.bank() as connection:
            return connection.exec_driver_sql(statement).fetchall()

    def count(self, table):
        return self.rows(f"select count(*) from {table}")[0][0]


@contextmanager
def fleet(trained, mariadb, **changes):
    "Two replicas on a new bank."
    with ExitStack() as stack:
        url = stack.enter_context(mariadb.database())
        engine = connect(url)
        create_bank(engine, 5, progress=False)
        engine.dispose()
        directories = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        for directory in directories:
            shutil.copytree(trained / "artifacts", directory / "artifacts")
        made = Fleet(url, directories, UNLIMITED | changes, stack)
        for i in range(2):
            made.start(i)
        yield made


@pytest.fixture(scope="module")
def two(trained, mariadb):
    "Two replicas for the tests that leave them as they were."
    with fleet(trained, mariadb) as made, balanced(*made.replicas) as made.balancer:
        yield made


# ---- the sample --------------------------------------------------------------------------------


def test_the_sample_ends_tls_and_shows_the_service_behind_it(two):
    answer = two.balancer.score()
    assert answer.status == 200
    assert answer.headers["strict-transport-security"]
    assert answer.headers["server"] == "credit-risk"


def test_the_sample_redirects_to_tls(two):
    port = two.balancer.http_port
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as plain:
        plain.request("GET", "/")
        assert plain.getresponse().status == 301


def test_the_sample_keeps_what_is_for_machines_inside(two):
    assert two.balancer.request("GET", "/readyz").status == 200  # this machine counts as inside
    with balanced(*two.replicas, changes={"10.0.0.0/8": "10.0.0.0/8"}) as outside:
        assert outside.request("GET", "/readyz").status == 403
        assert outside.request("GET", "/metrics").status == 403
        assert outside.score().status == 200


# ---- keys --------------------------------------------------------------------------------------


def test_a_key_holds_on_both_replicas_until_it_is_revoked(two):
    everywhere = (*two.replicas, two.balancer)
    with two.bank() as connection:
        key = create_key(connection, "agence-12", ["score"])
    for service in everywhere:
        until(lambda s=service: s.score_with(key).status == 200, 5)
    with two.bank() as connection:
        revoke_key(connection, "agence-12")
    for service in everywhere:
        until(lambda s=service: s.score_with(key).status == 401, 5)


def test_an_idempotency_key_is_answered_once_by_all_replicas(two):
    before = two.count("decisions")
    key = {"Idempotency-Key": "order-1"}
    first, again = (replica.score(**key) for replica in two.replicas)
    assert first.status == again.status == 200
    assert first.body == again.body
    assert again.headers["idempotency-replayed"] == "true"
    other = two.replicas[1].score(changed(montant=9001), **key)
    assert other.status == 409
    assert other.json["type"] == "/problems/key-reused"
    assert two.count("decisions") == before + 1


def test_requests_with_one_idempotency_key_that_race_on_two_replicas_get_one_decision(two):
    def race(i):
        body = changed(montant=5000 + i // 16)
        return two.replicas[i % 2].score(body, **{"Idempotency-Key": f"race-{i // 16}"})

    before = two.count("decisions")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(race, range(64)))
    assert {a.status for a in answers} == {200}
    assert len({a.body for a in answers}) == 4
    assert two.count("decisions") == before + 4


SPELLINGS = ("Bearer ", "bearer ", "Bearer  ", "Bearer ", "BEARER ", "Bearer ", "bearer  ")


def test_the_limit_of_the_balancer_counts_for_all_replicas_and_for_each_key_alone(two):
    slow = {"rate=1000r/s": "rate=5r/m", "burst=1000": "burst=4"}
    with two.bank() as connection:
        other = create_key(connection, "other", ["score"])
    for replica in two.replicas:
        until(lambda r=replica: r.score_with(other).status == 200, 5)
    with balanced(*two.replicas, changes=slow) as balancer:
        answers = [balancer.score(Authorization=f"{scheme}{KEY}") for scheme in SPELLINGS]
        assert [a.status for a in answers] == [200] * 5 + [429] * 2
        assert answers[-1].headers["content-type"] == "application/problem+json"
        assert answers[-1].json["type"] == "/problems/too-many-requests"
        assert answers[-1].headers["retry-after"] == "1"
        assert balancer.score_with(other).status == 200


def test_the_limit_of_a_process_counts_for_itself(trained, mariadb):
    with fleet(trained, mariadb, CREDIT_RISK_RATE_LIMIT="10/minute") as made:
        statuses = [replica.score().status for replica in made.replicas for _ in range(12)]
    assert statuses.count(200) == 20  # ten each: two replicas let twice the rate through


# ---- killed and promoted -----------------------------------------------------------------------


def kill_and_start_again(made, i, loads):
    "Kill a replica under load, and wait until its successor decides."
    for load in loads:
        load.goes_on()
    made.kill(i)
    for load in loads:
        load.goes_on()
    writers = made.count("ecrivains")
    made.start(i, made.replicas[i].port)
    until(lambda: made.count("ecrivains") > writers)


def verify_on_the_command_line(made):
    return subprocess.run(
        [Path(sys.executable).with_name("credit-risk"), "audit", "verify"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(made.directories[0], CREDIT_RISK_DATABASE_URL=made.url),
    )


def test_a_replica_killed_under_load_loses_nothing_acknowledged(trained, mariadb):
    numbers = count(1)

    def order():
        return {"Idempotency-Key": f"order-{next(numbers)}"}

    with fleet(trained, mariadb) as made, balanced(*made.replicas) as balancer:
        with Load(balancer, 4) as plain, Load(balancer, 4, headers=order) as repeatable:
            for i in (0, 1):
                kill_and_start_again(made, i, (plain, repeatable))
        # the balancer asked the other replica; without a key, what was under way is lost
        assert set(repeatable.statuses) == {200}
        assert set(plain.statuses) <= {200, 502}
        assert plain.statuses.count(502) <= 2 * 4
        decisions = {row[0] for row in made.rows("select decision_id from decisions")}
        answers = [row[0] for row in made.rows("select decision_id from idempotence")]
        assert {*plain.received, *repeatable.received} <= decisions
        assert set(repeatable.received) <= set(answers)
        assert len(answers) == len(set(answers))
        verified = verify_on_the_command_line(made)
        n = len(decisions)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert f"{n} decisions, {n} made again, 0 problems" in verified.stdout


def version_of(replica):
    return replica.request("GET", "/readyz").json["version"]


def test_a_rolling_change_of_version_mixes_nothing(trained, mariadb):
    seen = set()

    def see(answer):
        version = answer["modele"]["version"]
        seen.add((version, answer["probabilite_defaut"], answer["base"]))

    with fleet(trained, mariadb) as made, balanced(*made.replicas) as balancer:
        for directory in made.directories:
            another_version(directory, "next", 0.5)
        with Load(balancer, 4, seen=see) as load:
            load.goes_on()
            for directory, replica in zip(made.directories, made.replicas, strict=True):
                promote(directory / "artifacts", "next")
                until(lambda r=replica: version_of(r) == "next")
                load.goes_on()
        assert set(load.statuses) == {200}
        assert sorted(version for version, *_ in seen) == ["next", "test"]
        with made.bank() as connection:
            verified = verify(connection, made.directories[0] / "artifacts")
        assert verified["problems"] == []  # each again to its bytes, by its version
        assert verified["replayed"] == verified["rows"] >= len(load.received)
        once = made.replicas[0].score(**{"Idempotency-Key": "before"})
        assert json.loads(once.body)["modele"]["version"] == "next"
        promote(made.directories[1] / "artifacts", "test")
        until(lambda: version_of(made.replicas[1]) == "test")
        again = made.replicas[1].score(**{"Idempotency-Key": "before"})
        assert again.body == once.body  # the answer that was given, not a new one
