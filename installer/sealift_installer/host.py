"""The host as one value: its places, its engine, the time, and who is told."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, Optional

from sealift_manifests.errors import BusyError, PreflightError, StagingError
from sealift_manifests.model import Manifest

from sealift_installer import durable, ledger
from sealift_installer.engine import Engine, EngineFacts
from sealift_installer.layout import Layout
from sealift_installer.report import Report


@dataclass(frozen=True)
class Host:
    """Where a command works. `engine` may not answer: ask it when it is needed.

    `waits`: this command waits until another one is done, as long as that takes.
    """

    layout: Layout
    engine: Engine
    report: Report
    waits: bool = False

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(timezone.utc)

    def engine_for(self, manifest: Manifest) -> Optional[EngineFacts]:
        """Return the engine's facts; None where none answers and none is needed.

        Raises EngineError when the bundle needs one, PreflightError when it runs
        another platform.
        """
        if not (manifest.images or manifest.stack or manifest.volumes):
            return self.engine.probe()
        facts = self.engine.facts()
        if facts.platform != manifest.platform:
            raise PreflightError(
                f"the bundle is for {manifest.platform}, and the engine at "
                f"{self.engine.socket_path} runs {facts.platform}",
                hint="Build the bundle with this platform in its spec, or install it "
                "on a host of the right kind.",
            )
        return facts

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands from changing this installation meanwhile."""
        with self._lock_file() as fd:
            if not _take(fd):
                if not self.waits:
                    raise BusyError(
                        f"another command is changing {self.layout.state}",
                        hint="Wait until it has finished, then run this again.",
                    )
                self.report.step(
                    f"another command is changing {self.layout.state}: waiting for it"
                )
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield

    @contextmanager
    def locked_if_free(self) -> Iterator[None]:
        """Do the same, or go on beside a command that is at work already."""
        with self._lock_file() as fd:
            if not _take(fd):
                self.report.step(
                    f"another command is changing {self.layout.state}: going on "
                    "beside it"
                )
            yield

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        try:
            durable.make_directories(self.layout.state)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self.layout.lock, flags, 0o600)
        except OSError as error:
            raise StagingError(
                f"{self.layout.state} cannot be written: {error.strerror}",
                hint="Run this as root, or give --state-dir and --config-dir that you "
                "may write to.",
            ) from error
        try:
            yield fd
        finally:
            os.close(fd)

    def log(self, event: str, manifest: Manifest, **facts: Any) -> None:
        """Add a line about a bundle to the ledger."""
        common: Dict[str, Any] = {
            "bundle": manifest.name,
            "version": manifest.version,
            "serial": manifest.serial,
        }
        ledger.append(self.layout, event, self.now(), **common, **facts)

    def log_if_possible(self, event: str, manifest: Manifest, **facts: Any) -> None:
        """Add a line to the ledger, unless this user may not write there."""
        if os.access(self.layout.state, os.W_OK):
            self.log(event, manifest, **facts)


def _take(fd: int) -> bool:
    """Take the lock if nobody has it, and say whether."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
