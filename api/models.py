"""The promoted models: a new version is picked up while requests go on, a bad one is refused and the one before it stays."""

from pathlib import Path

from credit_risk.artifacts import ArtifactError, current_version, previous_version, read_version
from credit_risk.scoring import Models, check_golden, load_models

from . import metrics
from .logs import log


def sound(artifacts: Path, version: str) -> Models:
    "The models of a version whose files match their hashes and that still gives its golden rows; raises `ArtifactError`."
    models = load_models(artifacts, version)
    if wrong := check_golden(models):
        raise ArtifactError(wrong[0])
    return models


class Promoted:
    "`now` is the version that serves; `refused` says why the promoted one does not, where it is another."

    def __init__(self, artifacts: Path):
        self.artifacts, self.refused, self.seen = artifacts, "", None
        version = current_version(artifacts)
        try:
            self.now = sound(artifacts, version)
        except ArtifactError as e:
            before = previous_version(artifacts)
            if before is None:
                raise
            self.now, self.refused = sound(artifacts, before), str(e)
            log.error("version refused", extra={"reason": self.refused, "version": before})
        metrics.serves(self.now.version)

    def refresh(self) -> None:
        "Follow the promotion; what was refused is tried again once its files change."
        try:
            version = current_version(self.artifacts)
            if version == self.now.version:
                self.refused = ""
                return
            seen = (
                version,
                *sorted(
                    (f.name, f.stat().st_mtime_ns, f.stat().st_size)
                    for f in (self.artifacts / version).glob("*.*")
                ),
            )
            if seen == self.seen:
                return
            self.seen = seen
            self.now, self.refused = sound(self.artifacts, version), ""
        except (ArtifactError, OSError) as e:
            if str(e) != self.refused:
                self.refused = str(e)
                log.error(
                    "version refused", extra={"reason": self.refused, "version": self.now.version}
                )
        else:
            metrics.serves(version)
            log.info("version promoted", extra={"version": version})

    def damage(self) -> str:
        "What no longer matches on the disk or in memory of the version that serves; nothing where all is well."
        try:
            read_version(self.artifacts, self.now.version)
        except ArtifactError as e:
            return str(e)
        return next(iter(check_golden(self.now)), "")
