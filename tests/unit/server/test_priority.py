"""A server comes before its jobs as far as it may, and serves where it may not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.helpers.privileges import CAP_SYS_NICE, needs_capability

_SERVERS = """
import os, sys
from jsched.linux import priority as values, privileges
from jsched.server import priority
os.setsid()
# The tests themselves may have been given a nice value.
values.set_nice(0)
if sys.argv[1] == "ordinary":
    os.setuid(65534)
if sys.argv[1] == "with CAP_SYS_NICE":
    privileges.set_capabilities(1 << 23)
for _ in range(3):
    priority.come_before_jobs()
print(values.nice())
"""


@needs_capability(CAP_SYS_NICE, "CAP_SYS_NICE")
@pytest.mark.skipif(os.geteuid() != 0, reason="root, who may become another user or have fewer capabilities")
@pytest.mark.parametrize(("user", "nice"), [("root", -10), ("ordinary", 0), ("with CAP_SYS_NICE", -10)])
def test_coming_before_jobs(user: str, nice: int) -> None:
    """Root and whoever has been allowed to gets -10, an ordinary user nothing; nobody is kept from serving.

    The kernel lets all who are no administrators set ten nice values of sessions a second together: EAGAIN.
    """
    done = subprocess.run([sys.executable, "-c", _SERVERS, user], stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) == nice
