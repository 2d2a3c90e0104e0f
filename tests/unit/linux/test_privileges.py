"""Privileges that are given up are gone; each test in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PRELUDE = """
import os, subprocess
from jsched.linux import privileges as p

def status(name):
    with open('/proc/self/status') as lines:
        return next(int(line.split()[1], 16) for line in lines if line.startswith(name + ':'))

def after_exec(name):
    return int(subprocess.check_output(['grep', f'^{name}:', '/proc/self/status']).split()[1], 16)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_last_capability_is_the_kernels() -> None:
    """The number is what /proc says."""
    assert run("print(p.last_capability() == int(open('/proc/sys/kernel/cap_last_cap').read()))") == "True"


@needs_root
def test_bounding_set() -> None:
    """Only what is kept is left in the bounding set, and exec as root gains no more than that."""
    code = "p.drop_from_bounding_set(1 << p.CAP_CHOWN)\nprint(status('CapBnd'), after_exec('CapEff'))"
    assert run(code) == "1 1"


@needs_root
def test_root_is_nothing_special_after_exec() -> None:
    """With the securebits locked, a program that root executes has no capability."""
    assert run("p.lock_securebits(root_is_special=False)\nprint(after_exec('CapEff'))") == "0"
    assert run("p.lock_securebits(root_is_special=True)\nprint(after_exec('CapEff') > 0)") == "True"


@needs_root
def test_capabilities() -> None:
    """The sets are exactly what was asked for, also above number 31."""
    mask = 1 << 0 | 1 << 39
    code = f"p.set_capabilities({mask})\nprint([status(n) for n in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')])"
    assert run(code) == f"[0, {mask}, {mask}, 0]"


@needs_root
def test_capabilities_do_not_come_back() -> None:
    """What was dropped can't be taken up again."""
    code = "p.set_capabilities(0)\ntry:\n    p.set_capabilities(1)\nexcept PermissionError as error:\n    print(error)"
    assert run(code) == "[Errno 1] capset: Operation not permitted"


@needs_root
def test_kept_capabilities() -> None:
    """They stay permitted when root becomes somebody else, and do not otherwise."""
    become = "os.setresuid(54321, 54321, 54321)\nprint(status('CapPrm') > 0, status('CapEff'))"
    assert run("p.keep_capabilities()\n" + become) == "True 0"
    assert run(become) == "False 0"


def test_no_new_privileges() -> None:
    """The flag is set, and inherited."""
    assert run("p.set_no_new_privileges()\nprint(status('NoNewPrivs'), after_exec('NoNewPrivs'))") == "1 1"


def test_not_dumpable() -> None:
    """An ordinary process of the same user can't look into one that is not dumpable."""
    code = """
p.set_not_dumpable()
if os.geteuid() == 0:
    os.setresuid(54321, 54321, 54321)
    p.set_not_dumpable()
me = os.getpid()
print(subprocess.run(['ls', f'/proc/{me}/fd'], capture_output=True).returncode)
"""
    assert run(code) == "2"
