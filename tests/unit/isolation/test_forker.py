"""The process that forks inits: a child of the monitor's, with no privilege on the host, that no job can see."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.isolation import seccomp
from jsched.isolation.forker_process import Forker
from jsched.isolation.view import ROOT_CAPABILITIES
from jsched.linux import process
from jsched.linux.privileges import CAP_SYS_ADMIN
from tests.helpers.wait import wait_until
from tests.helpers.walled import REPOSITORY, make_sandbox, needs_root

pytestmark = needs_root

NONE = ("CapInh:", "CapAmb:")

PRELUDE = """
import json, os, signal, sys
from jsched.isolation.forker_process import Forker
from jsched.isolation.init_process import StepFailed
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.spare import Spare
from jsched.linux import process, syscalls
syscalls.block_all_signals()
sandbox = Sandbox.from_fields(json.loads(sys.argv[1]))
log = 1

def descriptors():
    return sorted(os.listdir('/proc/self/fd'))

def run(forker, script):
    started = Spare(forker.sandbox, forker).start(Command(('sh', '-c', script), {'PATH': '/bin:/usr/bin'}), log)
    started.wait_until_started()
    return started.take_status(os.waitpid(started.pid, 0)[1])
"""


def run(code: str, **fields: object) -> str:
    command = [sys.executable, "-c", PRELUDE + code, json.dumps(make_sandbox(**fields))]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_inits_are_the_monitors_children_and_nothing_is_left() -> None:
    """The monitor reaps each init, and after close() it has no child and the descriptors that it had."""
    code = """
before = descriptors()
forker = Forker(sandbox)
print([run(forker, f'exit {code}') >> 8 for code in (0, 3, 7)], flush=True)
spare = Spare(sandbox, forker)
print(sorted(process.children(os.getpid())) == sorted([forker.pid, spare.pid]), process.children(forker.pid))
spare.close()
forker.close()
print(process.children(os.getpid()), descriptors() == before)
"""
    assert run(code) == "[0, 3, 7]\nTrue []\n[] True\n"


def test_one_job_leaves_nothing_to_the_next() -> None:
    """Files, shared memory and the marks of one job are not there for the next, whose namespaces are its own."""
    code = """
forker = Forker(sandbox)
mark = 'touch /tmp/a /dev/shm/a /var/tmp/a; ls -A /tmp /dev/shm /var/tmp | grep -c a'
print(run(forker, 'ls -A /tmp /dev/shm /var/tmp | grep -c "^a$"; ' + mark), flush=True)
print(run(forker, 'ls -A /tmp /dev/shm /var/tmp | grep -c "^a$"; ' + mark), flush=True)
forker.close()
"""
    printed = run(code).split()
    assert printed[0] == printed[3] == "0"


@pytest.mark.parametrize("who", [1000, 0], ids=["a user", "root of the job"])
def test_a_job_does_not_see_it_and_can_not_change_what_is_common(who: int) -> None:
    """A job has its own processes in sight alone, and can neither write to nor chmod what the next job sees."""
    code = """
forker = Forker(sandbox)
script = '''
    set -- /proc/[0-9]*; echo $#
    for common in / /dev /home /root /sys; do
        touch $common/new 2>&- && echo wrote $common
        chmod 700 $common 2>&- && echo changed $common
        ls -A $common | grep new
    done
'''
run(forker, script)
forker.close()
"""
    inside = ROOT_CAPABILITIES if who == 0 else 0
    assert run(code, uid=who, gid=who, capabilities=inside) == "2\n"


def test_it_is_nobody_on_the_host_and_holds_two_descriptors() -> None:
    """It is root of the jobs' user namespace alone, gains nothing by exec, and has its socket and a pipe."""
    code = """
forker = Forker(sandbox)
spare = Spare(sandbox, forker)
status = dict(line.split(':\\t') for line in open(f'/proc/{forker.pid}/status').read().splitlines() if ':\\t' in line)
names = ('Name', 'Uid', 'Gid', 'Groups', 'CapInh', 'CapBnd', 'CapAmb', 'NoNewPrivs')
print(json.dumps([sorted(set(status[name].split())) for name in names]))
print(sorted(os.readlink(f'/proc/{forker.pid}/fd/{fd}').partition(':')[0]
             for fd in os.listdir(f'/proc/{forker.pid}/fd') if int(fd) > 2))
print(os.readlink(f'/proc/{forker.pid}/ns/user') != os.readlink('/proc/self/ns/user'))
spare.close()
forker.close()
"""
    status, held, namespace = run(code).splitlines()
    none = ["0" * 16]
    assert json.loads(status) == [["jsched-forker"], ["300000"], ["300000"], [], none, none, none, ["1"]]
    assert held == "['pipe', 'socket']"
    assert namespace == "True"


@pytest.mark.parametrize("who", [1000, 0], ids=["a user", "root of the job"])
def test_what_an_init_keeps_for_the_cgroup_is_gone_before_the_command(who: int, tmp_path: Path) -> None:
    """An init that waits has one capability more; neither it nor the command has it later, or a call to use it for."""
    code = """
script = "grep -h -e ^Cap -e ^Seccomp_filters /proc/1/status /proc/self/status; unshare -C true 2>/dev/null"
forker = Forker(sandbox)
spare = Spare(sandbox, forker)
spare.wait_until_ready()
print(*[line.split()[1] for line in open(f'/proc/{spare.pid}/status') if line[:6] in ('CapEff', 'CapPrm')], flush=True)
started = spare.start(Command(('sh', '-c', script), {'PATH': '/bin:/usr/bin'}), log)
started.wait_until_started()
print(started.take_status(os.waitpid(started.pid, 0)[1]) != 0)
forker.close()
"""
    kept = ROOT_CAPABILITIES if who == 0 else 0
    program = seccomp.store_program(tmp_path, seccomp.compile_profile())
    lines = run(code, uid=who, gid=who, capabilities=kept, seccomp=str(program)).splitlines()
    assert lines[0].split() == [f"{kept | 1 << CAP_SYS_ADMIN:016x}"] * 2
    assert lines[-1] == "True"
    inside = [line.split() for line in lines[1:-1]]
    assert inside
    for name, value in inside:
        assert value == ("2" if name == "Seccomp_filters:" else "0" * 16 if name in NONE else f"{kept:016x}")


def test_a_killed_one_forks_no_more_and_its_inits_go_on() -> None:
    """Asking one that is gone is a failure of clone, and a spare that it has forked before can still be used."""
    code = """
forker = Forker(sandbox)
spare = Spare(sandbox, forker)
os.kill(forker.pid, signal.SIGKILL)
os.waitpid(forker.pid, 0)
forker.ended()
try:
    Spare(sandbox, forker)
except StepFailed as failure:
    print(failure.step)
print(forker.fits(sandbox), flush=True)
started = spare.start(Command(('echo', 'ran'), {'PATH': '/bin'}), log)
started.wait_until_started()
print(started.take_status(os.waitpid(started.pid, 0)[1]))
before = descriptors()
forker.close()
print(len(before) - len(descriptors()))
"""
    assert run(code) == "clone\nFalse\nran\n0\n3\n"


def test_a_common_wall_that_fails() -> None:
    """A forker whose walls can't be built forks nothing, and leaves nothing."""
    code = """
before = descriptors()
forker = Forker(sandbox._replace(hostname='x' * 65))
try:
    Spare(forker.sandbox, forker)
except StepFailed as failure:
    print(failure.step)
forker.close()
print(process.children(os.getpid()), descriptors() == before)
"""
    assert run(code) == "clone\n[] True\n"


@pytest.mark.parametrize(
    "fields", [{"uid_map": (), "gid_map": ()}, {"binds": (("/usr", "/mnt"),)}, {"mode": "rootfs", "rootfs": "/usr"}]
)
def test_walls_that_nothing_is_common_of(fields: dict[str, object]) -> None:
    """Without a user namespace it would have privileges on the host; binds and trees are chosen for one job."""
    assert Forker.can_serve(make_sandbox())
    assert not Forker.can_serve(make_sandbox(**fields))


@pytest.mark.parametrize("forked", [False, True], ids=["while it builds", "while it waits"])
def test_it_ends_with_its_monitor(forked: bool) -> None:
    """A forker whose monitor ends is gone, and what it has forked, whether its walls are up or not."""
    fork = "Spare(sandbox, forker)" if forked else "None"
    pids = run(
        f"forker = Forker(sandbox)\nkept = {fork}\nprint(*process.children(os.getpid()), flush=True)\nos._exit(0)\n"
    )
    for pid in map(int, pids.split()):
        wait_until(lambda: _has_ended(pid), 20, "the end of what the monitor had")  # noqa: B023


def _has_ended(pid: int) -> bool:
    try:
        return not process.is_alive(pid, process.start_time(pid))
    except ProcessLookupError:
        return True
