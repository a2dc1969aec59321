"""Fixtures for every test: banks on SQLite and on a real MariaDB, services, and a browser."""

import pytest
from browser import browser, open_page  # noqa: F401
from mariadb_server import private_mariadb
from service import module_service, own_directory, own_service, service, trained  # noqa: F401


@pytest.fixture(scope="session")
def mariadb():
    "A private MariaDB, one for the whole run; see `mariadb_server.Server`."
    with private_mariadb() as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb):
    "The address of an empty database on MariaDB, dropped after the test."
    with mariadb.database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path):
    "The address of an SQLite file that does not exist yet."
    return f"sqlite:///{tmp_path / 'bank.db'}"


@pytest.fixture(params=["sqlite", "mariadb"])
def bank_url(request):
    "The address of an empty database: the test runs once on each."
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def bank(bank_url):
    "An engine on an empty bank with its tables: the test runs once on each database."
    from credit_risk.database import connect, migrate

    engine = connect(bank_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def banks(sqlite_url, mariadb_url):
    "Engines on two empty banks with their tables, SQLite and MariaDB, side by side."
    from credit_risk.database import connect, migrate

    engines = {"sqlite": connect(sqlite_url), "mariadb": connect(mariadb_url)}
    for engine in engines.values():
        migrate(engine)
    yield engines
    for engine in engines.values():
        engine.dispose()
