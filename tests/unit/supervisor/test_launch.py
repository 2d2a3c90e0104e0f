"""What a command is given, and how its start can fail."""

from __future__ import annotations

import errno
import os
import signal
import stat
import uuid
from pathlib import Path

import pytest

from jsched.errors import FailedPrecondition, Internal, InvalidArgument, StartFailed
from jsched.linux import file_attributes
from jsched.supervisor import record
from tests.unit.supervisor.conftest import Bench


@pytest.mark.parametrize("code", [0, 1, 2, 77, 125, 126, 127, 128, 137, 255])
def test_exit_code(bench: Bench, code: int) -> None:
    """An exit code is recorded as it is, and not taken for a signal."""

    async def test() -> None:
        end = await bench.ended(await bench.launch("sh", "-c", f"exit {code}"))
        assert (end.exit_code, end.signal, end.failed_step) == (code, None, None)
        assert not (end.stopped or end.timed_out or end.forced)

    bench.run(test())


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGHUP", "SIGPIPE", "SIGXFSZ", "SIGRTMAX"])
def test_signal(bench: Bench, name: str) -> None:
    """A signal that ends the command is recorded, with no exit code made up."""
    number = getattr(signal, name)

    async def test() -> None:
        end = await bench.ended(await bench.launch("sh", "-c", f"kill -{int(number)} $$"))
        assert (end.exit_code, end.signal, end.forced) == (None, int(number), False)

    bench.run(test())


def test_record_and_usage(bench: Bench) -> None:
    """The records fit each other: the same id, start and command, an end after it, CPU time that was used."""

    async def test() -> None:
        run = await bench.launch("sh", "-c", "i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done")
        await bench.noted(run)
        end = await bench.ended(run)
        assert end.job_id == run.job_id
        assert end.started_at_ns == run.started_at_ns < end.ended_at_ns
        assert 0.02 < end.cpu_user < 30
        assert end.max_rss > 100_000

    bench.run(test())


@pytest.mark.parametrize(
    ("argv", "number", "said"),
    [
        (["no-such-command"], errno.ENOENT, "cannot execute 'no-such-command': No such file or directory"),
        (["/nowhere/command"], errno.ENOENT, "cannot execute '/nowhere/command': No such file or directory"),
        (["/etc/passwd"], errno.EACCES, "cannot execute '/etc/passwd': Permission denied"),
        (["/etc/passwd/x"], errno.ENOTDIR, "cannot execute '/etc/passwd/x': Not a directory"),
        (["true", "x" * 200_000], errno.E2BIG, "cannot execute 'true': Argument list too long"),
    ],
)
def test_exec_fails(bench: Bench, argv: list[str], number: int, said: str) -> None:
    """A command that can't be executed fails with its errno, recorded for a server that is away, log left empty."""

    async def test() -> None:
        job_id = str(uuid.uuid4())
        with pytest.raises(StartFailed, match=said) as failure:
            await bench.launch(*argv, job_id=job_id)
        assert (failure.value.step, failure.value.errno) == ("exec", number)
        end = record.read_exit(bench.exits, job_id)
        assert end is not None
        assert (end.failed_step, end.errno, end.exit_code, end.signal) == ("exec", number, None, None)
        assert bench.log(job_id).read_bytes() == b""

    bench.run(test())


def test_file_of_no_known_format(bench: Bench, tmp_path: Path) -> None:
    """A text file without #! is not run by some shell: it fails with ENOEXEC."""
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)

    async def test() -> None:
        with pytest.raises(StartFailed, match="Exec format error") as failure:
            await bench.launch(str(script))
        assert (failure.value.step, failure.value.errno) == ("exec", errno.ENOEXEC)

    bench.run(test())


def test_bad_workdir(bench: Bench) -> None:
    """A working directory that isn't there is the step that fails, before the command is looked for."""

    async def test() -> None:
        with pytest.raises(StartFailed, match="working directory /nowhere: No such file") as failure:
            await bench.launch("no-such-command", workdir="/nowhere")
        assert (failure.value.step, failure.value.errno) == ("workdir", errno.ENOENT)

    bench.run(test())


def test_log_that_is_there(bench: Bench, tmp_path: Path) -> None:
    """A log file that is there, or a symbolic link, is never written to, and nothing is started."""

    async def test() -> None:
        for job_id in ("file", "link"):
            if job_id == "file":
                bench.log(job_id).write_text("precious")
            else:
                bench.log(job_id).symlink_to(tmp_path / "elsewhere")
            with pytest.raises(FailedPrecondition, match=r"log file .*: File exists"):
                await bench.launch("touch", str(tmp_path / "started"), job_id=job_id)
        assert bench.log("file").read_text() == "precious"
        assert not (tmp_path / "elsewhere").exists()
        assert not (tmp_path / "started").exists()

    bench.run(test())


def test_same_id_twice(bench: Bench, tmp_path: Path) -> None:
    """A second launch of a running job's id fails and writes nothing about the first one's end."""

    async def test() -> None:
        run = await bench.launch("sleep", "1000")
        with pytest.raises(FailedPrecondition, match=r"log file .*File exists"):
            await bench.launch("touch", str(tmp_path / "started"), job_id=run.job_id)
        file_attributes.release(bench.log(run.job_id))
        bench.log(run.job_id).unlink()
        with pytest.raises(Internal, match=r"run record .*File exists"):
            await bench.launch("touch", str(tmp_path / "started"), job_id=run.job_id)
        assert record.read_exit(bench.exits, run.job_id) is None
        assert not (tmp_path / "started").exists()
        await bench.stop(run, 0)
        await bench.ended(run)

    bench.run(test())


def test_claim_beats_monitor(bench: Bench, tmp_path: Path) -> None:
    """What recovery has claimed is never started by a monitor that comes late, and it leaves no log."""
    assert record.claim_run(bench.runs, "claimed")

    async def test() -> None:
        with pytest.raises(Internal, match=r"run record .*File exists"):
            await bench.launch("touch", str(tmp_path / "started"), job_id="claimed")
        assert not (tmp_path / "started").exists()
        assert record.read_exit(bench.exits, "claimed") is None
        assert not bench.log("claimed").exists()

    bench.run(test())


def test_environment_is_what_was_given(bench: Bench) -> None:
    """The command's environment is exactly the given one, in UTF-8."""
    env = {"PATH": "/usr/bin:/bin", "A": "", "B": "ü\n=x"}

    async def test() -> None:
        job_id = str(uuid.uuid4())
        output = await bench.output("env", "-0", env=env, job_id=job_id)
        entries = dict(entry.split("=", 1) for entry in output.split("\0") if entry)
        assert entries == {**env, "JSCHED_JOB_ID": job_id}

    bench.run(test())


def test_path_of_the_job_is_searched(bench: Bench, tmp_path: Path) -> None:
    """The command is looked for in the PATH of the job, not in the server's."""
    (tmp_path / "hello").write_text("#!/bin/sh\necho from the job path\n")
    (tmp_path / "hello").chmod(0o755)

    async def test() -> None:
        assert await bench.output("hello", env={"PATH": str(tmp_path)}) == "from the job path\n"
        with pytest.raises(StartFailed):
            await bench.launch("ls", env={"PATH": str(tmp_path)})

    bench.run(test())


def test_descriptors(bench: Bench) -> None:
    """The command has descriptors 0, 1 and 2: /dev/null and its log, whatever the server has open."""

    async def test() -> None:
        kept = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(kept, True)
        run = await bench.launch("sh", "-c", "ls -l /proc/$$/fd; echo error >&2")
        await bench.ended(run)
        os.close(kept)
        lines = bench.log(run.job_id).read_text().splitlines()
        log = str(bench.log(run.job_id))
        shown = dict(line.split()[-3::2] for line in lines if " -> " in line)
        assert shown == {"0": "/dev/null", "1": log, "2": log}
        assert lines[-1] == "error"

    bench.run(test())


def test_own_session_umask_and_workdir(bench: Bench, tmp_path: Path) -> None:
    """The command leads its own session and group, has umask 022 and the asked working directory."""

    async def test() -> None:
        run = await bench.launch("sh", "-c", "cat /proc/$$/stat; umask; pwd", workdir=str(tmp_path))
        await bench.ended(run)
        stat_line, umask, workdir = bench.log(run.job_id).read_text().splitlines()
        fields = stat_line.rpartition(")")[2].split()
        assert [int(field) for field in fields[1:4]] == [run.monitor_pid, run.pid, run.pid]
        assert (umask, workdir) == ("0022", str(tmp_path))

    bench.run(test())


def test_signals_are_default(bench: Bench) -> None:
    """No signal is blocked or ignored, though server, launcher and monitor ignore and block some."""

    async def test() -> None:
        output = await bench.output("cat", "/proc/self/status")
        masks = {
            line.split()[0]: int(line.split()[1], 16)
            for line in output.splitlines()
            if line.startswith("Sig") and "/" not in line
        }
        assert (masks["SigBlk:"], masks["SigIgn:"], masks["SigCgt:"]) == (0, 0, 0)

    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        bench.run(test())
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_log_mode_and_group(bench: Bench) -> None:
    """The log has mode 0640 whatever the umask, and the configured group."""
    groups = os.getgroups() if os.geteuid() else [12345]
    bench.log_gid = groups[-1] if groups else os.getgid()

    async def test() -> None:
        run = await bench.launch("true")
        await bench.ended(run)
        found = bench.log(run.job_id).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o640, bench.log_gid)

    before = os.umask(0o077)
    try:
        bench.run(test())
    finally:
        os.umask(before)


def test_what_cannot_be_encoded(bench: Bench) -> None:
    """An argument that is no UTF-8 text is refused as such, and a NUL fails at exec."""

    async def test() -> None:
        with pytest.raises(InvalidArgument):
            await bench.launch("true", "\udc80")
        with pytest.raises(StartFailed) as failure:
            await bench.launch("true", "a\0b")
        assert (failure.value.step, failure.value.errno) == ("exec", errno.EINVAL)
        assert (await bench.output("printf", "%s", "ü€")) == "ü€"

    bench.run(test())
