"""The promoted version: a new one is picked up while requests go on.

A bad one is refused, and the one before it stays."""

from pathlib import Path

from credit_risk.artifacts import ArtifactError, current_version, previous_version, read_version
from credit_risk.scoring import check_golden
from credit_risk.version import Version, load_version

from . import metrics
from .logs import log


def sound(artifacts: Path, name: str) -> Version:
    """A version whose files match their hashes and that still gives its golden rows.

    Raises `ArtifactError` for any other."""
    version = load_version(artifacts, name)
    wrong = check_golden(version)
    if wrong:
        raise ArtifactError(wrong[0])
    return version


class Promoted:
    """The version that serves, which follows the promoted one.

    `now` is the version; `refused` says why the promoted one does not serve, where it does not."""

    def __init__(self, artifacts: Path):
        self.artifacts = artifacts
        self.refused = ""
        self.seen: tuple = ()  # the version that was tried last, with the state of its files
        version = current_version(artifacts)
        try:
            self.now = sound(artifacts, version)
        except ArtifactError as e:
            before = previous_version(artifacts)
            if before is None:
                raise
            self.now = sound(artifacts, before)
            self.refused = str(e)
            log.error("version refused", extra={"reason": self.refused, "version": before})
        metrics.serves(self.name)

    @property
    def name(self) -> str:
        "The name of the version that serves."
        return self.now.name

    def refresh(self) -> None:
        "Follow the promotion; what was refused is tried again once its files change."
        try:
            version = current_version(self.artifacts)
            if version == self.name:
                self.refused = ""
                return
            seen = (version, *self._state_of_files(version))
            if seen == self.seen:
                return
            self.seen = seen
            self.now = sound(self.artifacts, version)
            self.refused = ""
        except (ArtifactError, OSError) as e:
            self._refuse(str(e))
        else:
            metrics.serves(version)
            log.info("version promoted", extra={"version": version})

    def _state_of_files(self, version):
        states = []
        for file in (self.artifacts / version).glob("*.*"):
            stat = file.stat()
            states.append((file.name, stat.st_mtime_ns, stat.st_size))
        return sorted(states)

    def _refuse(self, reason):
        "Keep the version that serves, and log the reason once."
        if reason != self.refused:
            self.refused = reason
            log.error("version refused", extra={"reason": reason, "version": self.name})

    def damage(self) -> str:
        "What no longer matches, on the disk or in memory, of the version that serves; or nothing."
        try:
            read_version(self.artifacts, self.name)
        except ArtifactError as e:
            return str(e)
        return next(iter(check_golden(self.now)), "")
