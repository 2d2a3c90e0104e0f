"""The homes of the host's regular users, as its passwd database lists them.

A process of its own asks: a directory service may take long, and getpwent(3) holds up every thread of who does.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

from jsched.errors import Unavailable

_LOG = logging.getLogger(__name__)
_WITHIN = 10.0
_LIST = "import json, pwd; print(json.dumps([[one.pw_uid, one.pw_dir] for one in pwd.getpwall()]))"

# Whom login.defs(5) and systemd call regular users.
_REGULAR = range(1000, 60_001)


def regular_homes(file: Path = Path("/etc/passwd")) -> list[str]:
    """Return the home directories of regular users; blocks, for some seconds at most.

    Where the database takes longer they are those of `file`. Raises Unavailable if there is no answer for
    another reason.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LIST], capture_output=True, timeout=_WITHIN, check=True
        )
        accounts = [(int(uid), str(home)) for uid, home in json.loads(done.stdout)]
    except subprocess.TimeoutExpired:
        accounts = _parse(file)
        _LOG.warning(
            "the passwd database did not list the host's users within %.0f seconds: of homes outside of /home, "
            "only those of users in %s are hidden from jobs",
            _WITHIN,
            file,
        )
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        raise Unavailable(
            f"the host's users could not be listed: {error}",
            obj="isolation",
            hint="see what ended `getent passwd` or the process that does the same, and start again",
        ) from error
    return [home for uid, home in accounts if uid in _REGULAR]


def _parse(file: Path) -> list[tuple[int, str]]:
    try:
        lines = [line.split(":") for line in file.read_text(errors="surrogateescape").splitlines()]
    except FileNotFoundError:
        return []
    return [(int(fields[2]), fields[5]) for fields in lines if len(fields) == 7 and fields[2].isdecimal()]
