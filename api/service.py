"""What the routes share: one object for each process, reached through the application."""

import threading
import time
from dataclasses import dataclass

from flask import current_app

from .audit import Writer
from .bodies import BodyReads
from .config import Config
from .keys import KeyRing
from .logs import log
from .models import Promoted


@dataclass(frozen=True)
class Service:
    "The parts of a running service."

    config: Config
    keys: KeyRing
    models: Promoted
    writer: Writer
    reads: BodyReads

    def watch(self, seconds: float = 1) -> None:
        """Follow keys and promotions from now on, beside the requests.

        Each has a thread of its own, because a database that is away may take long to fail."""
        for refresh in (self.keys.refresh, self.models.refresh):
            threading.Thread(target=_repeat, args=(refresh, seconds), daemon=True).start()


def _repeat(refresh, seconds):
    while True:
        time.sleep(seconds)
        try:
            refresh()
        except Exception:
            log.exception("refresh failed")


def service() -> Service:
    "The service of the application that answers."
    return current_app.extensions["credit-risk"]
