"""The configuration of the service: read from the environment, refused at start when it is wrong."""
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from credit_risk.database import ROOT, connect, database_url


class ConfigError(ValueError):
    "One line that says which setting is wrong, and what it must be."


@dataclass(frozen=True)
class Config:
    "What the service needs to know."
    engine: sa.Engine = field(repr=False)
    artifacts: Path
    keys: dict[bytes, str] = field(repr=False)  # SHA-256 of each key: its name


def read_key(env: Mapping[str, str]) -> str:
    "The API key itself, from the environment or from the file that it names."
    key, file = env.get("CREDIT_RISK_API_KEY"), env.get("CREDIT_RISK_API_KEY_FILE")
    if key and file:
        raise ConfigError("set CREDIT_RISK_API_KEY or CREDIT_RISK_API_KEY_FILE, not both")
    if file:
        try:
            key = Path(file).read_text("ascii").strip()
        except (OSError, ValueError) as e:
            raise ConfigError(f"CREDIT_RISK_API_KEY_FILE: {file} cannot be read ({type(e).__name__})") from None
    if not key:
        raise ConfigError("CREDIT_RISK_API_KEY is not set: it must hold the key that callers send, at least 20 characters")
    if len(key) < 20 or not all("!" <= c <= "~" for c in key):
        raise ConfigError("CREDIT_RISK_API_KEY must be at least 20 printable ASCII characters, without spaces")
    return key


def read_config(env: Mapping[str, str] = os.environ) -> Config:
    "The configuration, checked as far as it can be without opening the bank."
    key = read_key(env)
    try:
        engine = connect(database_url(env.get("CREDIT_RISK_DATABASE_URL")))
    except sa.exc.ArgumentError:  # its message may quote a password
        raise ConfigError("CREDIT_RISK_DATABASE_URL must read sqlite:///FILE or mariadb://USER:PASSWORD@HOST/NAME") from None
    except (ValueError, OSError) as e:
        raise ConfigError(f"CREDIT_RISK_DATABASE_URL is not usable: {e if type(e) is ValueError else e.strerror.lower()}") from None
    artifacts = Path(env.get("CREDIT_RISK_ARTIFACTS") or ROOT / "artifacts")
    return Config(engine, artifacts, {hashlib.sha256(key.encode()).digest(): "local"})
