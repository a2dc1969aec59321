"""What the routes share: one object for each process, reached through the application."""
import logging
import threading
import time
from dataclasses import dataclass

from flask import current_app

from .audit import Writer
from .config import Config
from .keys import KeyRing
from .models import Promoted

log = logging.getLogger("credit-risk")


@dataclass(frozen=True)
class Service:
    "The parts of a running service."
    config: Config
    keys: KeyRing
    models: Promoted
    writer: Writer

    def watch(self, seconds: float = 1) -> None:
        "Follow keys and promotions from now on, beside the requests; each in a thread of its own, because a database may take long to say no."
        for refresh in (self.keys.refresh, self.models.refresh):
            threading.Thread(target=_again, args=(refresh, seconds), daemon=True).start()


def _again(refresh, seconds):
    while True:
        time.sleep(seconds)
        try:
            refresh()
        except Exception:
            log.exception("refresh failed")


def service() -> Service:
    "The service of the application that answers."
    return current_app.extensions["credit-risk"]
