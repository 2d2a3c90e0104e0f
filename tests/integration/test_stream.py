"""Streams are their log files, byte for byte."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.client import AsyncClient
from jsched.job import Exited, Job, JobSpec
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.calls import DEADLINE, refused, run, whole
from tests.helpers.feed import Feed
from tests.helpers.server import Server

pytestmark = pytest.mark.timeout(90)

PYTHON = sys.executable
EVERY_BYTE = bytes(range(256)) * 17
LARGE = 100_000_000

# What jobs print, and how many bytes that is.
OUTPUTS = {
    "nothing": (("true",), 0),
    "one byte": (("printf", "x"), 1),
    "no final newline": (("printf", "one\\ntwo"), 7),
    "one NUL": (("printf", "\\000"), 1),
    "every byte": ((PYTHON, "-c", "import os; os.write(1, bytes(range(256)) * 17)"), len(EVERY_BYTE)),
    "100 MB at once": ((PYTHON, "-c", f"import os; assert os.write(1, os.urandom({LARGE})) == {LARGE}"), LARGE),
}


def start(stub: Any, *argv: str, **fields: Any) -> Any:
    """Start a job and return it as the API shows it."""
    return stub.StartJob(pb.StartJobRequest(argv=argv, **fields), timeout=DEADLINE).job


def finished(stub: Any, *argv: str) -> Any:
    """Start a job, wait for its end, and return it."""
    job_id = start(stub, *argv).job_id
    return stub.WaitJob(pb.WaitJobRequest(job_id=job_id), timeout=DEADLINE).job


def stream(stub: Any, job_id: str, offset: int = 0, follow: bool = True) -> Any:
    """Open a stream."""
    return stub.StreamOutput(pb.StreamOutputRequest(job_id=job_id, offset=offset, follow=follow), timeout=DEADLINE)


def log_of(job: Any) -> bytes:
    """Return what is in a job's log file."""
    return Path(job.log_path).read_bytes()


def assert_same(one: Path, other: Path) -> None:
    """Compare two files with cmp(1)."""
    result = subprocess.run(["cmp", one, other], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@asynccontextmanager
async def connected(server: Server, number: int) -> AsyncIterator[list[AsyncClient]]:
    """Give some clients with connections of their own."""
    clients = [AsyncClient(calls.config(server)) for _ in range(number)]
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()


async def collect(client: AsyncClient, job_id: str, offset: int = 0) -> tuple[bytes, Job | None]:
    """Follow a job to its end."""
    data = bytearray()
    async with await client.follow(job_id, offset) as output:
        async for chunk in output:
            assert chunk.offset == offset + len(data)
            data += chunk.data
        return bytes(data), output.ended


@pytest.mark.parametrize("name", OUTPUTS)
def test_stream_by_cli(shared_server: Server, stub: Any, tmp_path: Path, name: str) -> None:
    """What `jsched-cli stream` writes to stdout is the log, and what it writes to stderr is nothing."""
    argv, size = OUTPUTS[name]
    job = start(stub, *argv)
    copy = tmp_path / "copy"
    with copy.open("wb") as stdout:
        result = shared_server.cli("stream", job.job_id, stdout=stdout, stderr=subprocess.PIPE)
    assert (result.returncode, result.stderr) == (0, b"")
    assert copy.stat().st_size == size
    assert_same(copy, Path(job.log_path))


@pytest.mark.parametrize("name", OUTPUTS)
def test_stream_by_client(shared_server: Server, stub: Any, tmp_path: Path, name: str) -> None:
    """What the client's stream yields is the log, and its end tells the outcome."""
    argv, size = OUTPUTS[name]
    job = start(stub, *argv)
    copy = tmp_path / "copy"
    with copy.open("wb") as target, shared_server.client() as client, client.follow(job.job_id) as output:
        for chunk in output:
            target.write(chunk.data)
    assert output.ended is not None
    assert (output.ended.state, output.ended.outcome) == (JobState.COMPLETED, Exited(0))
    assert output.offset == copy.stat().st_size == size
    assert_same(copy, Path(job.log_path))


def test_every_byte_value(stub: Any) -> None:
    """Output is bytes, not text: NUL, invalid UTF-8 and carriage returns come as they were written."""
    argv, _ = OUTPUTS["every byte"]
    assert whole(stream(stub, start(stub, *argv).job_id))[0] == EVERY_BYTE


def test_slow_drips(stub: Any, feed: Feed) -> None:
    """Each piece that a job prints arrives before it prints the next, however small and wherever it is cut."""
    job = start(stub, *feed.argv)
    messages = stream(stub, job.job_id)
    pieces = [
        b"a",
        b"line\n",
        b"half a ",
        b"line\n",
        b"\0",
        b"\xff\xfe",
        b"\n",
        b"x" * 5000,
        *(b"%d\n" % n for n in range(100)),
    ]
    offset = 0
    for piece in pieces:
        feed.write(piece)
        got = b""
        while len(got) < len(piece):
            message = next(messages)
            assert message.offset == offset + len(got)
            got += message.data
        assert got == piece
        offset += len(piece)
    feed.end(b"end")
    rest, ended = whole(messages, offset)
    assert rest == b"end"
    assert ended.exit_code == 0
    assert log_of(job) == b"".join(pieces) + b"end"


def test_output_racing_with_the_end(shared_server: Server) -> None:
    """A thousand short jobs, 16 at a time, followed from their start: each stream is whole and has the outcome."""

    async def one(client: AsyncClient, number: int) -> None:
        script = 'seq "$0"; printf "end %s" "$0"; exit $(($0 % 256))'
        job = await client.start(JobSpec(["sh", "-c", script, str(number)]))
        data, ended = await collect(client, job.id)
        expected = b"".join(b"%d\n" % n for n in range(1, number + 1)) + b"end %d" % number
        assert data == expected
        assert data == log_of(job)
        assert ended is not None
        assert (ended.id, ended.state, ended.outcome) == (job.id, JobState.COMPLETED, Exited(number % 256))

    async def work(client: AsyncClient, numbers: list[int]) -> None:
        while numbers:
            await one(client, numbers.pop())

    async def test() -> None:
        numbers = list(range(1000))
        async with connected(shared_server, 4) as clients, asyncio.TaskGroup() as tasks:
            for index in range(16):
                tasks.create_task(work(clients[index % 4], numbers))

    run(test(), 80)


def test_output_of_children(stub: Any) -> None:
    """What children and grandchildren print is in the stream, up to the last that the job waits for."""
    script = (
        'for i in 1 2 3; do (echo child $i; (echo grandchild $i; setsid sh -c "echo session $i") ) & done\n'
        "wait; echo parent"
    )
    data, ended = whole(stream(stub, start(stub, "sh", "-c", script).job_id))
    lines = data.decode().splitlines()
    assert sorted(lines[:-1]) == sorted(f"{who} {i}" for who in ("child", "grandchild", "session") for i in (1, 2, 3))
    assert lines[-1] == "parent"
    assert ended.exit_code == 0


def test_output_of_a_child_that_outlives_its_parent(stub: Any, feed: Feed) -> None:
    """A grandchild whose parent has gone still prints into the stream, as long as the job runs."""
    fifo = feed.argv[-1]
    script = 'sh -c \'(read -r line < "$0.go"; echo "orphan $line") &\' "$0"; cat "$0"'
    with Feed(Path(fifo + ".go")) as go:
        job = start(stub, "sh", "-c", script, fifo)
        messages = stream(stub, job.job_id)
        feed.write(b"running\n")
        assert next(messages).data == b"running\n"
        go.write(b"prints\n")
        assert next(messages).data == b"orphan prints\n"
        feed.end(b"")
    assert whole(messages, 22)[1].exit_code == 0


def test_stdout_and_stderr_in_order(stub: Any) -> None:
    """Stdout and stderr are one file: their lines stand in the order in which they were printed."""
    script = "i=0; while [ $i -lt 1000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"
    data, _ = whole(stream(stub, start(stub, "sh", "-c", script).job_id))
    assert data.decode() == "".join(f"out {i}\nerr {i}\n" for i in range(1000))


def test_followers_that_join_at_any_time(shared_server: Server, feed: Feed) -> None:
    """Followers that join before the first byte, midway, as the job ends, and after it, get the same bytes."""

    async def test() -> None:
        async with connected(shared_server, 1) as (client,):
            job = await client.start(JobSpec(feed.argv))
            watcher = await client.follow(job.id)
            followers = [asyncio.create_task(collect(client, job.id))]
            written = b""
            for step in range(5):
                piece = (b"step %d\n" % step) * 1000
                feed.write(piece)
                written += piece
                while watcher.offset < len(written):
                    await anext(watcher)
                followers.append(asyncio.create_task(collect(client, job.id)))
            await asyncio.to_thread(feed.end, b"the end")
            written += b"the end"
            followers += [asyncio.create_task(collect(client, job.id)) for _ in range(5)]
            ended = await client.wait(job.id)
            followers.append(asyncio.create_task(collect(client, job.id)))
            assert log_of(job) == written
            for data, known in await asyncio.gather(*followers):
                assert data == written
                assert known == ended

    run(test())


def test_fifty_followers_at_once(shared_server: Server, feed: Feed) -> None:
    """Fifty followers on ten connections, each from an offset of its own, get every byte once."""

    async def test() -> None:
        async with connected(shared_server, 10) as clients:
            job = await clients[0].start(JobSpec(feed.argv))
            written = b"".join(b"line %d\n" % n for n in range(200))
            feed.write(written)
            watcher = await clients[0].follow(job.id)
            while watcher.offset < len(written):
                await anext(watcher)
            followers = [asyncio.create_task(collect(clients[n % 10], job.id, n * 20)) for n in range(50)]
            for n in range(200):
                line = b"more %d\n" % n
                await asyncio.to_thread(feed.write, line)
                written += line
            await asyncio.to_thread(feed.end, b"\0")
            written += b"\0"
            for n, (data, ended) in enumerate(await asyncio.gather(*followers)):
                assert data == written[n * 20 :]
                assert ended is not None
                assert ended.outcome == Exited(0)
            assert log_of(job) == written

    run(test())


def test_every_offset(stub: Any) -> None:
    """A stream of an ended job may start at any byte up to the end, and yields the rest of the log."""
    job = finished(stub, "printf", "0123456789")
    for offset in range(11):
        data, ended = whole(stream(stub, job.job_id, offset), offset)
        assert data == b"0123456789"[offset:]
        assert ended == job


def test_offset_deep_in_a_large_log(stub: Any) -> None:
    """An offset far into a large log is where the stream begins."""
    job = finished(stub, PYTHON, "-c", "import os; os.write(1, bytes(range(256)) * 40000)")
    offset = 10_000_003
    assert whole(stream(stub, job.job_id, offset), offset)[0] == (bytes(range(256)) * 40000)[offset:]


def test_offset_at_the_end_of_a_running_job(stub: Any, feed: Feed) -> None:
    """A stream that starts exactly at the end of a running job's output waits for the next byte."""
    job = start(stub, *feed.argv)
    feed.write(b"before")
    assert next(stream(stub, job.job_id)).data == b"before"
    messages = stream(stub, job.job_id, 6)
    feed.write(b"after")
    message = next(messages)
    assert (message.offset, message.data) == (6, b"after")
    feed.end()
    assert whole(messages, 11) == (b"\n", stub.GetJob(pb.GetJobRequest(job_id=job.job_id), timeout=DEADLINE).job)


@pytest.mark.parametrize("beyond", [1, 2**31, 2**63 - 3, 2**63, 2**64 - 3])
@pytest.mark.parametrize("follow", [True, False])
def test_offset_past_the_end(stub: Any, feed: Feed, follow: bool, beyond: int) -> None:
    """An offset past the end is OUT_OF_RANGE, whether the job runs or has ended."""
    job = start(stub, *feed.argv)
    feed.write(b"xy")
    assert next(stream(stub, job.job_id)).data == b"xy"
    request = pb.StreamOutputRequest(job_id=job.job_id, offset=2 + beyond, follow=follow)
    refusal = refused(stub.StreamOutput, request)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.OUT_OF_RANGE, "OUT_OF_RANGE")
    assert refusal.message == f"offset {2 + beyond} is past the end of the output, which has 2 bytes"
    feed.end(b"")
    stub.WaitJob(pb.WaitJobRequest(job_id=job.job_id), timeout=DEADLINE)
    assert refused(stub.StreamOutput, request) == refusal


def test_without_follow_on_a_running_job(stub: Any, feed: Feed) -> None:
    """Without follow a running job's stream ends with OK after what is there, and says nothing of an end."""
    job = start(stub, *feed.argv)
    assert whole(stream(stub, job.job_id, follow=False)) == (b"", None)
    feed.write(b"so far")
    assert next(stream(stub, job.job_id)).data == b"so far"
    assert whole(stream(stub, job.job_id, follow=False)) == (b"so far", None)
    assert whole(stream(stub, job.job_id, 3, follow=False), 3) == (b"far", None)
    assert whole(stream(stub, job.job_id, 6, follow=False), 6) == (b"", None)


def test_without_follow_on_an_ended_job(stub: Any) -> None:
    """Without follow an ended job's stream is the same as with it: the last message says that it has ended."""
    job = finished(stub, "echo", "all")
    assert whole(stream(stub, job.job_id, follow=False)) == (b"all\n", job)


def test_stream_of_a_job_that_could_not_start(stub: Any) -> None:
    """The log of a job whose command can't be executed is there and empty, and the stream says which step failed."""
    refusal = refused(stub.StartJob, pb.StartJobRequest(argv=["/nonexistent/command"]))
    data, ended = whole(stream(stub, refusal.metadata["job_id"]))
    assert data == b""
    assert (ended.state, ended.failed_step.step) == (pb.JOB_STATE_FAILED, "exec")


def test_cancelled_streams_leave_the_others_alone(stub: Any, feed: Feed) -> None:
    """Followers that go away in the middle take nothing from one that stays."""
    job = start(stub, *feed.argv)
    stays = stream(stub, job.job_id)
    leaving = [stream(stub, job.job_id) for _ in range(10)]
    feed.write(b"first\n")
    for messages in (stays, *leaving):
        assert next(messages).data == b"first\n"
    for messages in leaving:
        messages.cancel()
    feed.write(b"second\n")
    assert next(stays).data == b"second\n"
    feed.end()
    assert whole(stays, 13)[0] == b"\n"


def test_many_streams_of_one_large_log(stub: Any) -> None:
    """Eight readers of one large log at the same time each get the whole of it."""
    job = finished(stub, PYTHON, "-c", "import os; os.write(1, os.urandom(8_000_000))")
    log = log_of(job)
    with ThreadPoolExecutor(8) as threads:
        for data, ended in threads.map(lambda _: whole(stream(stub, job.job_id)), range(8)):
            assert data == log
            assert ended == job


def test_a_follower_of_a_silent_job_is_answered_at_once(stub: Any, feed: Feed) -> None:
    """A client that comes back to a job that says nothing learns that it is being served."""
    job = start(stub, *feed.argv)
    call = stream(stub, job.job_id)
    call.initial_metadata()
    assert call.is_active()
    feed.end(b"x")
    assert b"".join(message.data for message in call) == b"x"
