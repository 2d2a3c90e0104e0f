"""Warnings in the log that a certificate or a revocation list ends soon, or has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from jsched.certificate_expiries import expiries
from jsched.errors import FailedPrecondition

DAY = 86400.0
_LOG = logging.getLogger("jsched.server")


class ExpiryWarnings:
    """Warns of what ends within 30 days in a directory, once a day."""

    def __init__(self, certs_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._certs_dir = certs_dir
        self._clock = clock
        self._due = clock()

    def look(self) -> None:
        """Warn if the last time is a day ago; blocks for a few reads of small files."""
        if self._clock() < self._due:
            return
        try:
            found = expiries(self._certs_dir)
        except FailedPrecondition:
            # Whoever reads the files for use has said so; the next look may find them as they should be.
            return
        self._due = self._clock() + DAY
        now = datetime.now(UTC)
        for one in found:
            if one.is_soon(now):
                _LOG.warning("%s", one.describe(now))
