"""Start the service: check first, then listen, then print the address to open."""

import encodings.idna  # noqa: F401, before the workers are forked: see `_wait_for_workers`
import http.client
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LOGGING_CONFIG, LogLevels
from granian.server import Server
from granian.server.common import AbstractServer

from . import audit, create_app
from .bodies import THREADS
from .config import ConfigError

MAX_HEADERS = 64 * 1024  # bytes of a request line and its headers
HEADER_SECONDS = 10  # for them to arrive
WAITING = 512  # requests that may wait for a thread of a process
EVERY_ADDRESS = ("0.0.0.0", "::")


def _check(host, port):
    "Refuse to start, in one line, what could not serve."
    _check_port(host, port)
    engine = create_app().extensions["credit-risk"].config.engine
    try:
        audit.answers(engine)
    except Exception as e:
        raise ConfigError(
            f"the database does not answer or has no tables ({type(e).__name__}). "
            "Create them with: credit-risk init-db"
        ) from None
    finally:
        engine.dispose()  # no connection may cross the fork


def _check_port(host, port):
    """Refuse a port that somebody listens on.

    Granian would share it (SO_REUSEPORT), and half of the requests would go astray."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as e:
            reason = (e.strerror or type(e).__name__).lower()
            raise ConfigError(
                f"cannot listen on {host}:{port}: {reason}. Choose another port: PORT=8001"
            ) from None


def _stop_with_parent():
    "A worker whose parent was killed would keep the port."
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _load():
    "The application of one worker."
    _stop_with_parent()
    app = create_app()
    app.extensions["credit-risk"].watch()
    return app


def _announce(server, host, port, line):
    "Print a line once the service is ready."

    def wait():
        _wait_for_workers(server)
        while not _is_ready(host, port):
            time.sleep(0.05)
        print(line, flush=True)

    threading.Thread(target=wait, daemon=True).start()


def _wait_for_workers(server):
    """Wait until all workers are forked.

    To connect, this thread imports a module. In a worker that is forked meanwhile, the lock of that
    import would stay locked for ever."""
    while len(server.wrks) < server.workers:
        time.sleep(0.05)


def _is_ready(host, port):
    try:
        connection = http.client.HTTPConnection(host, port, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False


def _logging() -> dict[str, Any]:
    "Granian's own lines, on stderr."
    config: dict[str, Any] = LOGGING_CONFIG
    handlers = {
        name: {**handler, "stream": "ext://sys.stderr"}
        for name, handler in config["handlers"].items()
    }
    return {"handlers": handlers}


def listener(
    host: str,  # address to listen on
    port: int,
    workers: int,  # processes
    threads: int = THREADS,  # requests handled at once by each process
) -> AbstractServer:
    """The HTTP server, not yet started. The benchmark measures others on the same.

    It speaks HTTP/1.1 only: in granian a cancelled body of HTTP/2 keeps a thread busy for ever."""
    return Server(
        "api:create_app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=workers,
        blocking_threads=threads,
        backpressure=WAITING,
        websockets=False,
        log_level=LogLevels.error,
        log_dictconfig=_logging(),
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        http1_settings=HTTP1Settings(
            header_read_timeout=1000 * HEADER_SECONDS, max_buffer_size=MAX_HEADERS
        ),
    )


def serve(
    host: str = "127.0.0.1",  # address to listen on
    port: int = 8000,
    workers: int = 1,  # processes
    key: str = "",  # shown in the printed address, when given
) -> None:
    "Serve until SIGTERM or SIGINT; raises `ConfigError` or `ArtifactError` where it cannot start."
    _check(host, port)
    reached = "127.0.0.1" if host in EVERY_ADDRESS else host
    address = f"[{reached}]" if ":" in reached else reached
    fragment = f"#key={key}" if key else ""
    server = listener(host, port, workers)
    _announce(server, reached, port, f"http://{address}:{port}/{fragment}")
    server.serve(target_loader=_load, wrap_loader=False)
    sys.stdout.flush()
