"""Whether the audit trail can be written, and is whole at its end."""

from __future__ import annotations

import os
import tempfile

from jsched.audit.trail import Trail
from jsched.audit.verify import verify_tail
from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.config import Config
from jsched.linux import space

_SUBJECT = "audit trail"
_LENGTH = 1 << 20


def room(config: Config) -> Finding:
    """Whether room can be set aside for lines, so that stops work on a full disk; tried on a file without a name."""
    subject = "room for the audit"
    there = next(one for one in (config.data_dir, *config.data_dir.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            space.set_aside(file.fileno(), 0, 4096)
    except PermissionError as error:
        return warn(subject, f"can't be tried: {error.strerror}", "see the data directory")
    except OSError as error:
        text = f"can't be set aside ({error.strerror}): on a full disk stops are refused as well"
        return warn(subject, text, "use ext4, xfs or btrfs for the data directory")
    return ok(subject, "is set aside before a call does anything")


def trail(config: Config) -> Finding:
    """Whether the last lines fit each other and what the server has written down of them."""
    trail = Trail(config.audit_log)
    if trail.path.is_symlink() or (trail.path.exists() and not trail.path.is_file()):
        return fail(_SUBJECT, f"{trail.path} is not a regular file", "move it away; the server makes a new one")
    if not trail.path.exists():
        return ok(_SUBJECT, f"{trail.path}, to be made")
    if not os.access(trail.path, os.R_OK | os.W_OK):
        user = os.geteuid()
        return fail(_SUBJECT, f"{trail.path} can't be written by user {user}", f"chown {user} {trail.path}")
    anchor = trail.anchor()
    try:
        report = verify_tail(trail.path, _LENGTH, [anchor] if anchor else [])
    except OSError as error:
        return fail(_SUBJECT, f"{trail.path} can't be read: {error.strerror}", "look at its disk")
    if report.problems:
        place, text = report.problems[0]
        found = f"{place} {text}" if place else text
        return fail(_SUBJECT, found, "somebody has changed it, or its disk has: jsched audit verify says more")
    return ok(_SUBJECT, f"{trail.path}, its last {report.lines} lines are whole")
