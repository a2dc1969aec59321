"""Services behind nginx as in `api/nginx.conf.sample`, with addresses and certificate filled in."""

import http.client
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service import ROOT, Service, free_port, until

MISSING = (
    "nginx was not found: the tests of replicas run behind a real one. "
    "Install it with `apt-get install nginx-light`, then run `make test` again"
)
REPLICA = "    server 127.0.0.1:8000 max_fails=1 fail_timeout=5s;\n"
WHOLE = """{user}daemon off;
worker_processes 2;
pid {directory}/pid;
error_log {directory}/stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/sample;
}}
"""


@dataclass
class Balancer(Service):
    "nginx: asked as a service is, over TLS."

    http_port: int = 0  # where it redirects to TLS

    def connection(self, seconds=30):
        trusted = ssl.create_default_context(cafile=str(self.directory / "scoring.pem"))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=seconds, context=trusted)


def filled_in(directory: Path, ports: list[int], tls: int, plain: int, changes: dict) -> str:
    "The sample for these ports; fails where it no longer has what is replaced."
    text = (ROOT / "api" / "nginx.conf.sample").read_text("utf-8")
    places = {
        REPLICA: "".join(REPLICA.replace("8000", str(port)) for port in ports),
        "listen 443 ssl": f"listen 127.0.0.1:{tls} ssl",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "/etc/ssl/certs/": f"{directory}/",
        "/etc/ssl/private/": f"{directory}/",
        "10.0.0.0/8": "127.0.0.0/8",
    }
    for old, new in (places | changes).items():
        assert old in text, f"api/nginx.conf.sample has no {old.strip()}"
        text = text.replace(old, new)
    return text


@contextmanager
def balanced(
    *services: Service,
    changes: dict | None = None,  # further texts of the sample to replace
) -> Iterator[Balancer]:
    "nginx before services, stopped at the end of the block."
    program = shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if program is None:
        raise RuntimeError(MISSING)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        tls, plain = free_port(), free_port()
        make_certificate(directory)
        ports = [service.port for service in services]
        sample = filled_in(directory, ports, tls, plain, changes or {})
        (directory / "sample").write_text(sample, "utf-8")
        user = "user root;\n" if os.getuid() == 0 else ""
        (directory / "conf").write_text(WHOLE.format(directory=directory, user=user), "utf-8")
        process = subprocess.Popen(
            [program, "-p", directory, "-c", directory / "conf", "-e", directory / "stderr"],
            stderr=subprocess.DEVNULL,
        )
        balancer = Balancer(directory, tls, process, http_port=plain)
        try:
            until(lambda: process.poll() is not None or answers(balancer))
            if process.poll() is not None:
                raise RuntimeError(f"nginx did not start: {balancer.log}")
            yield balancer
        finally:
            process.terminate()
            process.wait(15)


def make_certificate(directory: Path) -> None:
    "A certificate of 127.0.0.1, signed by itself."
    options = {
        "-newkey": "ec",
        "-pkeyopt": "ec_paramgen_curve:prime256v1",
        "-days": "2",
        "-subj": "/CN=127.0.0.1",
        "-addext": "subjectAltName=IP:127.0.0.1",
        "-keyout": directory / "scoring.key",
        "-out": directory / "scoring.pem",
    }
    command = ["openssl", "req", "-x509", "-nodes"]
    for option in options.items():
        command += option
    subprocess.run(command, check=True, capture_output=True)


def answers(balancer: Balancer) -> bool:
    "Whether a service answers through it; without a key, which counts against none."
    try:
        return balancer.request("GET", "/healthz", headers={"Authorization": None}).status == 200
    except OSError:
        return False
