from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, subprocess, sys
from jsched.linux import stderr
assert stderr.descriptor() == 2
reader = stderr.divert()
print("python", file=sys.stderr)
subprocess.run(["sh", "-c", "echo child >&2"], stderr=stderr.descriptor(), check=True)
os.write(2, b"library")
assert os.read(reader, 100) == b"library"
try:
    while os.write(2, bytes(65536)):
        pass
except BlockingIOError:
    os.write(stderr.descriptor(), b"full")
"""


def test_only_descriptor_2_is_diverted() -> None:
    """What a C library writes comes out of the pipe, and never waits; Python's and children's messages do not."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "python\nchild\nfull")
