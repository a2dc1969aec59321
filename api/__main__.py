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
    if not os.environ.get("CREDIT_RISK_API_KEY") and not os.environ.get("CREDIT_RISK_API_KEY_FILE"):
        path = Path(ROOT / "var" / "api_key")
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
                f.write(secrets.token_urlsafe(32))
        os.environ["CREDIT_RISK_API_KEY_FILE"] = str(path)
    return read_key(os.environ)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        "python -m api",
        description="Serve POST /score and the page. Configured by CREDIT_RISK_DATABASE_URL, "
        "CREDIT_RISK_ARTIFACTS, and CREDIT_RISK_API_KEY or CREDIT_RISK_API_KEY_FILE.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
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
    args = parser.parse_args(argv)
    if (
        args.workers > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    ):  # read when its library is imported, which is done by now
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=METRICS)
        os.execv(
            sys.executable, [sys.executable, "-m", "api", *(sys.argv[1:] if argv is None else argv)]
        )
    try:
        if not args.port.isdecimal() or not 0 < int(args.port) < 65536:
            raise ConfigError(f"PORT must be a whole number between 1 and 65535, not {args.port}")
        serve(args.host, int(args.port), args.workers, local_key() if args.print_key else "")
    except (ConfigError, ArtifactError) as e:
        print(f"credit-risk: {e}", file=sys.stderr)
        return 2
    finally:
        if Path(shared := os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")).name.startswith(METRICS):
            shutil.rmtree(shared, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
