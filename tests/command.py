"""The installed command `credit-risk`, as its users start it."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("credit-risk")


def credit_risk(
    *arguments: str,
    cwd: Path,
    **environment: str,  # beside what is inherited, without its CREDIT_RISK_ settings
) -> subprocess.CompletedProcess:
    "Run the command in a folder, to its end."
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("CREDIT_RISK_")
    }
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
