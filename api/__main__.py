"""`python -m api`: serve on this machine."""

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from credit_risk.artifacts import ArtifactError
from credit_risk.database import ROOT

from .config import ConfigError, read_key
from .server import serve

METRICS = "credit-risk-metrics-"  # folder that the processes of one server share


def local_key() -> str:
    "The configured key; where there is none, one that is made once and kept for this machine."
    key = os.environ.get("CREDIT_RISK_API_KEY")
    file = os.environ.get("CREDIT_RISK_API_KEY_FILE")
    if not key and not file:
        path = ROOT / "var" / "api_key"
        if not path.exists():
            _make_key(path)
        os.environ["CREDIT_RISK_API_KEY_FILE"] = str(path)
    return read_key(os.environ)


def _make_key(path: Path) -> None:
    "Write a new key that only this account can read."
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m api",
        description="Serve POST /score and the page. Configured by CREDIT_RISK_DATABASE_URL, "
        "CREDIT_RISK_ARTIFACTS, and CREDIT_RISK_API_KEY or CREDIT_RISK_API_KEY_FILE.",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: this machine only); "
        "callers elsewhere come through a proxy, as in api/nginx.conf.sample",
    )
    parser.add_argument(
        "--port",
        default=os.environ.get("PORT") or "8000",
        help="port to listen on (default: PORT, or 8000)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "--print-key",
        action="store_true",
        help="print an address that carries the key, and make a key where none is configured",
    )
    return parser


def _restart_with_shared_metrics(words: list[str]) -> None:
    "Run this program again: the metrics library reads its folder when it is imported."
    folder = tempfile.mkdtemp(prefix=METRICS)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    command = [sys.executable, "-m", "api", *words]
    os.execv(sys.executable, command)


def _remove_shared_metrics() -> None:
    shared = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""))
    if shared.name.startswith(METRICS):
        shutil.rmtree(shared, ignore_errors=True)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigError(f"PORT must be a whole number between 1 and 65535, not {text}")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(words)
    if args.workers > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        _restart_with_shared_metrics(words)
    try:
        port = _port(args.port)
        key = local_key() if args.print_key else ""
        serve(args.host, port, args.workers, key)
    except (ConfigError, ArtifactError) as e:
        print(f"credit-risk: {e}", file=sys.stderr)
        return 2
    finally:
        _remove_shared_metrics()
    return 0


if __name__ == "__main__":
    sys.exit(main())
