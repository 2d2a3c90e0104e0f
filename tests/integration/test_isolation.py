"""Walls, through the whole server: what a job is walled in with, what is refused, and that nothing is left."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.client import Client
from jsched.confinement import Bind, Confinement, Mode, Network
from jsched.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, StartFailed
from jsched.job import Exited, FailedStep, Job, JobSpec, Signaled
from jsched.limits import Limits
from jsched.linux import process
from jsched.state import JobState
from tests.helpers.aftermath import DEADLINE, assert_nothing_left, end_jobs, in_background, is_gone
from tests.helpers.server import Server
from tests.helpers.wait import wait_until
from tests.helpers.walled import open_directory

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def open_root() -> Iterator[Path]:
    """A directory that jobs may be shown, on a file system with owners that can be mapped."""
    with open_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def by_default(open_root: Path, certs: Path) -> Iterator[Server]:
    """A server as it is by default, but that it may bind a directory and run jobs as root inside."""
    shared = open_root / "shared"
    shared.mkdir()
    config = f'[isolation]\nbinds = ["{shared}", "/etc:ro"]\nusers = ["root"]\nnetworks = ["none", "host"]\n'
    server = Server(open_root / "server", certs, config=config)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def walled(by_default: Server) -> Iterator[Server]:
    """That server, whatever the test before has done to it."""
    if not by_default.is_running:
        by_default.start()
    yield by_default
    end_jobs(by_default)


def run(
    client: Client, *argv: str, confinement: Confinement | None = None, workdir: str | None = None
) -> tuple[Job, str]:
    """Run a job to its end; return it and its output."""
    job = client.start(JobSpec(argv, confinement=confinement or Confinement()))
    output = b"".join(chunk.data for chunk in client.follow(job.id))
    return client.wait(job.id), output.decode()


def shell(client: Client, text: str, confinement: Confinement | None = None) -> str:
    """Run a shell line and return its output."""
    job, output = run(client, "sh", "-c", text, confinement=confinement)
    assert job.outcome == Exited(0), output
    return output


def test_the_default(walled: Server) -> None:
    """A job that asks for nothing is alone, is nobody, has no privilege and no network, and its status says so."""
    client = walled.client()
    job, output = run(
        client,
        "sh",
        "-c",
        "ls /proc | grep -c '^[0-9]'; id -u; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status;"
        " ls /sys/class/net 2>/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1; pwd; echo $HOME",
    )
    lines = output.split()
    assert int(lines[0]) <= 4
    assert lines[1] == "10000"
    assert lines[2:10] == [
        "CapBnd:" if name == "bound" else name
        for name in ("CapEff:", "0000000000000000", "bound", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2")
    ]
    assert lines[10:] == ["lo", "/tmp", "/tmp"]
    assert job.walls is not None
    assert (job.walls.mode, job.walls.network) == (Mode.HOST, Network.NONE)
    assert {"seccomp", "user", "capabilities", "mounts", "no-new-privileges"} <= set(job.walls.steps)
    assert job.usage is not None
    assert_nothing_left(walled)


def test_nothing_of_the_servers_is_in_sight(walled: Server) -> None:
    """State, logs and keys of the server, and homes, are not there, and the host's files can't be changed."""
    client = walled.client()
    for path in (walled.data_dir, walled.log_dir, walled.certs):
        job, _ = run(client, "ls", "-A", str(path))
        listed = run(client, "sh", "-c", f"ls -A {path} 2>/dev/null | wc -l")[1].strip()
        assert listed == "0", path
        assert job.state is JobState.COMPLETED
    assert shell(client, "ls -A /root /home | grep -vc -e : -e ^$ || :").strip() == "0"
    job, output = run(client, "touch", "/etc/made-by-a-job", "/usr/made-by-a-job")
    assert job.outcome == Exited(1)
    assert "Read-only file system" in output
    assert not Path("/etc/made-by-a-job").exists()


def test_exit_codes_and_signals(walled: Server) -> None:
    """How a walled command ended is told as exactly as without walls."""
    client = walled.client()
    assert run(client, "sh", "-c", "exit 77")[0].outcome == Exited(77)
    killed, _ = run(client, "sh", "-c", "kill -SEGV $$")
    assert (killed.state, killed.outcome) == (JobState.TERMINATED, Signaled(signal.SIGSEGV))


def test_what_cannot_be_executed(walled: Server) -> None:
    """A command or a directory that is not there behind the walls is told as such, and leaves nothing."""
    client = walled.client()
    with pytest.raises(StartFailed, match="cannot execute '/no/such/command': No such file"):
        client.start(JobSpec(["/no/such/command"]))
    with pytest.raises(StartFailed, match="working directory /nowhere: No such file"):
        client.start(JobSpec(["true"], workdir="/nowhere"))
    assert_nothing_left(walled)


def test_stop(walled: Server) -> None:
    """SIGTERM reaches the command behind its walls; one that is deaf, and all that it has forked, is killed."""
    client = walled.client()
    polite = client.start(JobSpec(["sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done"]))
    assert next(client.follow(polite.id)).data == b"up\n"
    stopped = client.stop(polite.id, 30).job
    assert (stopped.state, stopped.outcome, stopped.forced) == (JobState.STOPPED, Exited(3), False)
    deaf = client.start(
        JobSpec(["sh", "-c", "trap '' TERM; (setsid sleep 1000 &); echo up; while :; do sleep 1; done"])
    )
    assert next(client.follow(deaf.id)).data == b"up\n"
    stopped = client.stop(deaf.id, 0.2).job
    assert (stopped.state, stopped.outcome, stopped.forced) == (JobState.STOPPED, Signaled(signal.SIGKILL), True)
    assert_nothing_left(walled)


def test_time_limit_and_restart(walled: Server) -> None:
    """A walled job runs on without a server, keeps its time limit, and its id range is nobody else's meanwhile."""
    client = walled.client()
    job = client.start(JobSpec(["sleep", "1000"]))
    limited = client.start(JobSpec(["sleep", "1000"], timeout=2.0))
    assert job.pid is not None
    uid = os.stat(f"/proc/{job.pid}").st_uid
    walled.kill()
    walled.start()
    others = [client.start(JobSpec(["sleep", "1000"])) for _ in range(4)]
    uids = [Path(f"/proc/{other.pid}/status").read_text().split("Uid:")[1].split()[0] for other in [job, *others]]
    if os.geteuid() == 0:
        assert len(set(uids)) == 5, uid
    assert client.wait(limited.id).state is JobState.TERMINATED
    for one in (job, *others):
        assert client.stop(one.id, 0).job.state is JobState.STOPPED
    assert_nothing_left(walled)


def test_monitor_killed(walled: Server) -> None:
    """With its monitor killed, a walled job is gone with all that it has forked, and UNKNOWN."""
    client = walled.client()
    job = client.start(JobSpec(["sh", "-c", "(env -i setsid sleep 1000 &); echo up; exec env -i sleep 1000"]))
    assert next(client.follow(job.id)).data == b"up\n"
    assert job.pid is not None
    init = _parent(job.pid)
    monitor = _parent(init)
    family = process.family(init)
    waiter = in_background(client.wait, job.id)
    os.kill(monitor, signal.SIGKILL)
    assert waiter.result(DEADLINE).state is JobState.UNKNOWN
    wait_until(lambda: all(is_gone(*one) for one in family.items()), DEADLINE, "the end of all that it has forked")
    assert_nothing_left(walled)


def test_memory_of_a_walled_job(walled: Server) -> None:
    """Limits hold behind walls, for what is written to memory too."""
    client = walled.client()
    job = client.start(
        JobSpec(["sh", "-c", "head -c 200000000 /dev/zero > /tmp/big"], limits=Limits(memory=64 * 1024 * 1024))
    )
    ended = client.wait(job.id)
    assert ended.outcome != Exited(0), ended


def test_binds(walled: Server, open_root: Path) -> None:
    """A directory that the configuration allows is seen, and written to if that was asked for; no other is."""
    client = walled.client()
    shared = open_root / "shared"
    (shared / "in").write_text("from the host\n")
    shared.chmod(0o777)
    readable = Confinement(binds=(Bind(str(shared), str(shared)),))
    assert shell(client, f"cat {shared}/in; touch {shared}/out 2>&1 || echo refused", readable).endswith("refused\n")
    writable = Confinement(binds=(Bind(str(shared), str(shared), writable=True),))
    shell(client, f"echo from the job > {shared}/out", writable)
    assert (shared / "out").read_text() == "from the job\n"
    for bind in (Bind("/root", "/mnt"), Bind("/etc", "/mnt", writable=True)):
        with pytest.raises(PermissionDenied, match="is not allowed on this server"):
            client.start(JobSpec(["true"], confinement=Confinement(binds=(bind,))))
    (shared / "link").symlink_to("/root")
    with pytest.raises(PermissionDenied):
        client.start(JobSpec(["true"], confinement=Confinement(binds=(Bind(f"{shared}/link", "/mnt"),))))


def test_binds_that_can_not_be_made(walled: Server, open_root: Path) -> None:
    """Which bind it is, and what is wrong with it, is told to the caller, and is no defect; what is recorded, too."""
    client = walled.client()
    shared = open_root / "shared"
    (shared / "file").touch()
    (shared / "directory").mkdir()
    for source, target, what, step, number in (
        ("directory", "/usr/nowhere/at/all", "its target is not there, and", "bind", errno.EROFS),
        ("file", "/mnt", "its source is no directory, and its target is one", "bind", errno.EISDIR),
        ("directory", "/etc/passwd", "its target, or what leads there, is no directory", "bind", errno.ENOTDIR),
        ("file", "/etc/passwd/x", "its target, or what leads there, is no directory", "bind", errno.ENOTDIR),
        ("directory", "/proc/self", "would cover what a job has at /proc", "", 0),
        ("directory", "/dev", "would cover what a job has at /dev", "", 0),
    ):
        binds = (Bind(str(shared), "/tmp/other"), Bind(f"{shared}/{source}", target))
        with pytest.raises(InvalidArgument) as caught:
            client.start(JobSpec(["true"], confinement=Confinement(binds=binds)))
        assert f"bind {shared}/{source}:{target}" in caught.value.message
        assert what in caught.value.message
        assert caught.value.obj == "binds"
        assert caught.value.hint
        if step:
            assert isinstance(caught.value, StartFailed)
            assert client.get(caught.value.job_id).outcome == FailedStep(step, number)


def test_what_the_configuration_does_not_allow(walled: Server) -> None:
    """No walls at all, and users that are not listed, are refused by default, saying what is to be done."""
    client = walled.client()
    before = client.list().jobs
    for asked in (Confinement(mode=Mode.NONE), Confinement(user="1234"), Confinement(group="root")):
        with pytest.raises(PermissionDenied, match="is not allowed on this server"):
            client.start(JobSpec(["true"], confinement=asked))
    assert client.list().jobs == before


def test_network_of_the_host(walled: Server) -> None:
    """A job that was given the host's network has its interfaces."""
    client = walled.client()
    interfaces = shell(client, "tail -n +3 /proc/net/dev | cut -d: -f1", Confinement(network=Network.HOST)).split()
    assert sorted(interfaces) == sorted(os.listdir("/sys/class/net"))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _tree(root: Path) -> Path:
    """Return an archive of a small root file system: some of the host's programs, and what they are linked with."""
    programs = [shutil.which(name) for name in ("sh", "cat", "ls", "id", "sleep", "true")]
    paths = [os.path.realpath(program) for program in programs if program]
    linked = subprocess.run(["ldd", *paths], capture_output=True, text=True, check=True).stdout
    libraries = {word for word in linked.split() if word.startswith("/") and not word.endswith(":")}
    archive = root / "tree.tar"
    with tarfile.open(archive, "w", dereference=True) as tar:
        for program in programs:
            if program:
                tar.add(program, f"bin/{os.path.basename(program)}")
        for library in sorted(libraries - set(paths)):
            tar.add(library, library.lstrip("/"))
        content = b"inside\n"
        file = tarfile.TarInfo("etc/which")
        file.size = len(content)
        tar.addfile(file, io.BytesIO(content))
    return archive


def test_rootfs(walled: Server, tmp_path: Path) -> None:
    """A job runs in an uploaded tree, may change it, and nobody else sees that; in use, it can't be deleted."""
    client = walled.client()
    uploaded = client.rootfs.upload(_tree(tmp_path), "small")
    inside = Confinement(rootfs="small")
    assert shell(client, "cat /etc/which; echo changed > /tmp/x; ls /", inside).startswith("inside\n")
    root = Confinement(rootfs="small", user="root")
    assert shell(client, "echo changed > /etc/which && cat /etc/which && id -u", root) == "changed\n0\n"
    assert shell(client, "cat /etc/which", root) == "inside\n"
    assert not (Path("/etc/which")).exists()
    job = client.start(JobSpec(["sleep", "1000"], confinement=inside))
    assert job.walls is not None
    assert job.walls.rootfs == uploaded.digest
    with pytest.raises(FailedPrecondition, match=job.id):
        client.rootfs.delete("small")
    walled.kill()
    walled.start()
    with pytest.raises(FailedPrecondition, match=job.id):
        client.rootfs.delete("small")
    client.stop(job.id, 0)
    client.rootfs.delete("small")
    with pytest.raises(NotFound):
        client.start(JobSpec(["true"], confinement=inside))
    assert_nothing_left(walled)


def test_no_id_of_one_owner_is_anothers_next(walled: Server) -> None:
    """Jobs of one user run under ids that jobs of another have not had, though they share monitors."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    ids: dict[str, set[str]] = {"admin": set(), "user": set()}
    clients = {name: walled.client(name) for name in ids}
    for _ in range(4):
        for name, client in clients.items():
            ids[name].add(shell(client, "cat /proc/self/uid_map").split()[1])
    assert ids["admin"].isdisjoint(ids["user"])
