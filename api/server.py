"""Start the service: check first, then listen, then print the address to open."""

import encodings.idna  # noqa: F401, before the workers are forked: see _announce
import http.client
import os
import signal
import socket
import sys
import threading
import time

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LOGGING_CONFIG, LogLevels
from granian.server import Server

from . import audit, create_app
from .config import ConfigError

MAX_HEADERS = 64 * 1024  # bytes of a request line and its headers


def _check(host, port):
    "Refuse to start, in one line, what could not serve."
    # Granian shares a port with whoever listens on it already (SO_REUSEPORT); half of the requests would go astray.
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as e:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {e.strerror.lower()}. Choose another port: PORT=8001"
            ) from None
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
    "Print the address once it answers."

    def wait():
        # The workers are forked: a lock that this thread held at that moment, on a module that it imports to connect, would stay locked in them for ever.
        while len(server.wrks) < server.workers:
            time.sleep(0.05)
        while True:
            time.sleep(0.05)
            try:
                connection = http.client.HTTPConnection(host, port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return print(line, flush=True)
            except OSError:
                pass

    threading.Thread(target=wait, daemon=True).start()


def listener(
    host: str,  # address to listen on
    port: int,
    workers: int,  # processes
    threads: int = 16,  # requests handled at once by each process
) -> Server:
    "The HTTP server, not yet started. The benchmark measures others on the same."
    logs = {
        "handlers": {
            name: {**handler, "stream": "ext://sys.stderr"}
            for name, handler in LOGGING_CONFIG["handlers"].items()
        }
    }
    return Server(
        "api:create_app",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        backpressure=512,
        websockets=False,
        log_level=LogLevels.error,
        log_dictconfig=logs,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=MAX_HEADERS),
    )


def serve(
    host: str = "127.0.0.1",  # address to listen on
    port: int = 8000,
    workers: int = 1,  # processes
    key: str = "",  # shown in the printed address, when given
) -> None:
    "Serve until SIGTERM or SIGINT; raises `ConfigError` or `ArtifactError` where the service cannot start."
    _check(host, port)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    server = listener(host, port, workers)
    _announce(
        server, shown.strip("[]"), port, f"http://{shown}:{port}/" + (f"#key={key}" if key else "")
    )
    server.serve(target_loader=_load, wrap_loader=False)
    sys.stdout.flush()
