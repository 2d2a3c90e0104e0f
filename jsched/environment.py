"""The clean environment that a job gets."""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Mapping

from jsched.spec_fields import JOB_ID_VARIABLE

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def complete_environment(asked: Mapping[str, str], job_id: str, home: str) -> dict[str, str]:
    """Return PATH, HOME and LANG, what was asked for, and JSCHED_JOB_ID; nothing of the server's own."""
    return {
        "PATH": DEFAULT_PATH,
        "HOME": home,
        "LANG": "C.UTF-8",
        **asked,
        JOB_ID_VARIABLE: job_id,
    }


@functools.cache
def home_directory() -> str:
    """Return the home directory of the user that jobs run as, "/" if it has none on this host.

    Looked up once: behind it stand files, or a directory service that may take long.
    """
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"
    return home if os.path.isdir(home) else "/"
