"""A private MariaDB: a child process on a temporary data directory, gone when the block ends."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pymysql

MISSING = (
    "{} was not found: the database tests run on a real MariaDB. "
    "Install it with `apt-get install mariadb-server`, then run `make test` again"
)


def _program(name):
    "The path of a program of MariaDB; Debian keeps the server outside of an ordinary PATH."
    path = shutil.which(
        name, path=os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/usr/libexec"
    )
    if path is None:
        raise RuntimeError(MISSING.format(name))
    return path


@dataclass
class Server:
    "A running MariaDB, and an account that may create databases in it."

    port: int  # on 127.0.0.1
    user: str
    password: str  # random, alive as long as the server
    root_password: str
    pid: int  # process of the server
    directory: Path  # data, socket and log
    command: list  # that starts it
    process: subprocess.Popen

    def kill(self) -> None:
        "End it at once, as a power cut would."
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        "Start it again on its data."
        self.process = _start(self.command, self.directory)
        _await(self.process, self.directory, self.root_password).close()
        self.pid = self.process.pid

    def __post_init__(self):
        self._numbers = count(1)

    def url(
        self,
        database: str,  # a database of this server
    ) -> str:  # SQLAlchemy URL
        "The address of a database."
        return f"mariadb://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def run(
        self,
        *statements: str,  # SQL
    ) -> None:
        "Run statements outside of any database."
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            autocommit=True,
        )
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    @contextmanager
    def database(self) -> Iterator[str]:  # SQLAlchemy URL
        "A new empty database, dropped at the end of the block."
        name = f"bank_{next(self._numbers)}"
        self.run(f"create database {name} character set utf8mb4")
        try:
            yield self.url(name)
        finally:
            self.run(f"drop database {name}")


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _root(directory, password=""):
    return pymysql.connect(
        unix_socket=str(directory / "socket"), user="root", password=password, autocommit=True
    )


def _start(command, directory):
    with open(directory / "log", "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _await(process, directory, password="", seconds=60):
    "A connection as root, once the server answers."
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            return _root(directory, password)
        except pymysql.err.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(
        "mariadbd did not start:\n" + (directory / "log").read_text(errors="replace")[-2000:]
    )


@contextmanager
def private_mariadb(
    *options: str,  # further options of mariadbd, such as --innodb-buffer-pool-size=1G
) -> Iterator[Server]:  # answers on 127.0.0.1 and on a socket of its own
    "A MariaDB of our own, stopped and removed at the end of the block."
    install, mariadbd = _program("mariadb-install-db"), _program("mariadbd")
    directory = Path(tempfile.mkdtemp(prefix="mariadb-"))
    process = None
    try:
        user = ["--user=root"] if os.getuid() == 0 else []
        # small files: a fresh server in about two seconds
        sizes = [
            "--innodb-log-file-size=32M",
            "--innodb-buffer-pool-size=128M",
            "--innodb-data-file-path=ibdata1:12M:autoextend",
        ]
        made = subprocess.run(
            [
                install,
                "--no-defaults",
                f"--datadir={directory / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *sizes,
                *user,
            ],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise RuntimeError(
                f"mariadb-install-db failed:\n{made.stdout[-1000:]}{made.stderr[-1000:]}"
            )
        port, password = _free_port(), secrets.token_hex(16)
        command = [
            mariadbd,
            "--no-defaults",
            f"--datadir={directory / 'data'}",
            f"--socket={directory / 'socket'}",
            f"--pid-file={directory / 'pid'}",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            *sizes,
            *user,
            *options,
        ]
        process = _start(command, directory)
        root = _await(process, directory)
        with root.cursor() as cursor:
            cursor.execute("create user tester@'127.0.0.1' identified by %s", (password,))
            cursor.execute("grant all on *.* to tester@'127.0.0.1'")
            cursor.execute("set password for root@localhost = password(%s)", (password,))
        root.close()
        server = Server(
            port, "tester", password, password, process.pid, directory, command, process
        )
        try:
            yield server
        finally:
            process = server.process
    finally:
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(directory, ignore_errors=True)
