"""Jobs of several owners in one engine: what each may see, and on which terms each starts jobs."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jsched import Engine, preparation
from jsched.confinement import Bind, Confinement
from jsched.confiner import Confiner
from jsched.errors import (
    AlreadyExists,
    DataLoss,
    FailedPrecondition,
    JschedError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    StartFailed,
)
from jsched.isolation.hierarchy import Hierarchy
from jsched.job import Exited, JobFilter, JobSpec
from jsched.limits import Limits
from jsched.looks import Looks
from jsched.rootfs import Archive
from jsched.state import LIVE_STATES
from jsched.terms import Terms
from tests.helpers.archives import digest, small
from tests.helpers.calls import run
from tests.helpers.engine import opened
from tests.helpers.library import in_pieces
from tests.helpers.open_config import open_config

pytestmark = pytest.mark.timeout(60)
SLEEP = JobSpec(["sleep", "1000"])
TWO = Terms(max_jobs=2)


async def told(attempt: Awaitable[object]) -> tuple[type[JschedError], str, str, str]:
    """Return all that a caller is told of what is refused."""
    with pytest.raises(JschedError) as raised:
        await attempt
    return type(raised.value), raised.value.message, raised.value.obj, raised.value.hint


def calls(engine: Engine, who: str | None) -> list[Callable[[str], Awaitable[object]]]:
    """Return all that can be asked of one job."""
    return [
        lambda ref: engine.get(ref, visible_to=who),
        lambda ref: engine.stop(ref, visible_to=who),
        lambda ref: engine.wait(ref, visible_to=who),
        lambda ref: engine.follow(ref, visible_to=who),
        lambda ref: engine.remove(ref, visible_to=who),
    ]


async def of_no_job(engine: Engine, ref: str) -> list[tuple[type[JschedError], str, str, str]]:
    """Return what is told of a reference in all calls, by somebody who has no job."""
    return [await told(call(ref)) for call in calls(engine, "nobody")]


def test_a_job_that_is_not_the_callers(tmp_path: Path) -> None:
    """Live, ended, and with its log lost, it is told of as if it had never been, whatever is asked by which name."""

    async def test() -> None:
        async with opened(open_config(tmp_path)) as engine:
            never = await of_no_job(engine, "web")
            assert {kind for kind, *_ in never} == {NotFound}
            job = await engine.start(JobSpec(["sleep", "1000"], name="web"), owner="alice")
            unknown = str(uuid.uuid4())

            async def is_unknown() -> None:
                assert [await told(call("web")) for call in calls(engine, "bob")] == never
                for length in (36, 8):
                    real, made_up = job.id[:length], unknown[:length]
                    assert [
                        (kind, message.replace(real, made_up), obj.replace(real, made_up), hint)
                        for kind, message, obj, hint in [await told(call(real)) for call in calls(engine, "bob")]
                    ] == await of_no_job(engine, made_up)
                assert (await engine.list(JobFilter(owner="bob"))).jobs == ()

            await is_unknown()
            assert (await engine.get("web", visible_to="alice")).id == job.id
            async with await engine.follow(job.id, visible_to="alice"):
                pass
            waiting = asyncio.create_task(engine.wait(job.id, visible_to="alice"))
            assert not (await engine.stop("web", grace=0, visible_to="alice")).already_ended
            assert (await waiting).id == job.id
            await is_unknown()
            os.unlink(job.log_path)
            await is_unknown()
            assert (await told(engine.follow(job.id, visible_to="alice")))[0] is DataLoss
            assert (await engine.remove(job.id, visible_to="alice")).id == job.id
            await is_unknown()

    run(test())


def test_names_of_several_owners(tmp_path: Path) -> None:
    """Two owners' live jobs have one name; each is refused a second, and told of the own one alone."""

    async def test() -> None:
        async with opened(open_config(tmp_path)) as engine:
            spec = JobSpec(["sleep", "1000"], name="web")
            alices = await engine.start(spec, owner="alice")
            bobs = await engine.start(spec, owner="bob")
            kind, message, obj, _ = await told(engine.start(spec, owner="bob"))
            assert (kind, obj) == (AlreadyExists, bobs.id)
            assert alices.id not in message
            assert (await engine.get("web", visible_to="bob")).id == bobs.id
            kind, message, _, hint = await told(engine.stop("web", grace=0))
            assert alices.id in message
            assert bobs.id in message
            assert hint == "give the id of one of them"
            await engine.stop("web", grace=0, visible_to="bob")
            assert (await engine.get("web")).id == alices.id

    run(test())


def test_max_jobs(tmp_path: Path) -> None:
    """Of starts at the same time so many pass as there is room for; a place is free with an end or a failure."""

    async def test() -> None:
        async with opened(open_config(tmp_path)) as engine:
            results = await asyncio.gather(
                *(engine.start(SLEEP, owner="alice", terms=TWO) for _ in range(6)), return_exceptions=True
            )
            started = [job for job in results if not isinstance(job, BaseException)]
            refused = [error for error in results if isinstance(error, ResourceExhausted)]
            assert (len(started), len(refused)) == (2, 4)
            assert refused[0].message == "max_jobs is 2, and user alice has so many jobs that have not ended"
            assert refused[0].obj == "max_jobs"
            await engine.start(SLEEP, owner="bob", terms=TWO)
            await engine.start(SLEEP, owner="alice")
            assert (await told(engine.start(SLEEP, owner="alice", terms=TWO)))[0] is ResourceExhausted
            live = await engine.list(JobFilter(states=LIVE_STATES, owner="alice"))
            for job in live.jobs[:2]:
                await engine.stop(job.id, grace=0)
            for _ in range(3):
                with pytest.raises(StartFailed):
                    await engine.start(JobSpec(["/no/such/command"]), owner="alice", terms=TWO)
                with pytest.raises(JschedError):
                    await engine.start(
                        JobSpec(["true"], confinement=Confinement(rootfs="none")), owner="alice", terms=TWO
                    )
            job = await engine.start(JobSpec(["true"]), owner="alice", terms=TWO)
            assert (await engine.wait(job.id)).outcome == Exited(0)
            await engine.start(SLEEP, owner="alice", terms=TWO)
            assert (await told(engine.start(SLEEP, owner="alice", terms=TWO)))[0] is ResourceExhausted

    run(test())


def test_max_jobs_of_a_request_that_comes_again(tmp_path: Path) -> None:
    """A repeated request takes no place of its own, and finds its job where there is no room for another."""

    async def test() -> None:
        async with opened(open_config(tmp_path)) as engine:
            one = Terms(max_jobs=1)
            jobs = await asyncio.gather(
                *(engine.start(SLEEP, owner="alice", request_id="once", terms=one) for _ in range(10))
            )
            assert len({job.id for job in jobs}) == 1
            assert (await engine.start(SLEEP, owner="alice", request_id="once", terms=one)).id == jobs[0].id
            assert (await told(engine.start(SLEEP, owner="alice", request_id="new", terms=one)))[0] is ResourceExhausted
            await engine.stop(jobs[0].id, grace=0)
            other = await engine.start(SLEEP, owner="alice", request_id="new", terms=one)
            # Its job has ended, and another one has the place.
            assert (await engine.start(SLEEP, owner="alice", request_id="once", terms=one)).id == jobs[0].id
            assert other.id != jobs[0].id

    run(test())


def test_max_jobs_after_a_restart(tmp_path: Path) -> None:
    """Jobs that an earlier engine has started count, each once, and are found by their request ids."""
    config = open_config(tmp_path)

    async def start() -> str:
        async with Engine(config) as engine:
            await engine.start(SLEEP, owner="alice")
            return (await engine.start(SLEEP, owner="alice", request_id="once")).id

    async def go_on(job_id: str) -> None:
        async with opened(config) as engine:
            assert (await told(engine.start(SLEEP, owner="alice", terms=TWO)))[0] is ResourceExhausted
            assert (await engine.start(SLEEP, owner="alice", request_id="once", terms=TWO)).id == job_id
            await engine.stop(job_id, grace=0)
            await engine.start(SLEEP, owner="alice", terms=TWO)

    run(go_on(run(start())))


def test_limits_and_rules_of_ones_own(tmp_path: Path) -> None:
    """A job gets the limits that its owner's terms say, where it asks for none, and walls only as they allow."""
    config = open_config(tmp_path)

    async def test() -> None:
        async with opened(config) as engine:
            granted = Terms(profile=Limits(pids=40, memory=64 << 20))
            job = await engine.start(JobSpec(["sleep", "1000"], limits=Limits(pids=30)), owner="alice", terms=granted)
            if isinstance(engine._resources.hierarchy, Hierarchy):
                assert job.applied == Limits(pids=30, memory=64 << 20)
            else:
                assert {one.limit for one in job.unenforced} == {"pids", "memory"}
            nothing = Terms(rules=config.isolation.narrowed(modes=[]))
            kind, message, *_ = await told(engine.start(SLEEP, owner="alice", terms=nothing))
            assert (kind, message) == (
                PermissionDenied,
                "no isolation was asked for, and the server's is not allowed to you",
            )
            await engine.start(SLEEP, owner="alice", terms=Terms(rules=config.isolation.narrowed()))

    run(test())


def test_root_file_systems_of_ones_own(tmp_path: Path) -> None:
    """Whose terms say so starts no job in another's root file system: it does not exist."""

    async def test() -> None:
        async with opened(open_config(tmp_path)) as engine:
            content = small()
            archive = Archive("mine", digest(content), len(content))
            await engine.rootfs.upload(archive, 0, in_pieces(content), by="alice")

            def start(name: str, who: str) -> Awaitable[object]:
                spec = JobSpec(["true"], confinement=Confinement(rootfs=name))
                return engine.start(spec, owner=who, terms=Terms(rootfs_of=who))

            never = await told(start("none", "bob"))
            assert never[0] is NotFound
            assert await told(start("mine", "bob")) == tuple(
                one.replace("none", "mine") if isinstance(one, str) else one for one in never
            )
            # Its owner gets further: to this server's having no such walls.
            assert (await told(start("mine", "alice")))[0] is PermissionDenied
            assert (await engine.rootfs.delete("mine", visible_to="alice")).used_by == ()

    run(test())


def test_a_path_that_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts with binds on a file system that hangs fail, keep no place, and hold up nothing else."""
    answer = threading.Event()
    plan = Confiner.plan

    def hang(self: Confiner, asked: Confinement, **more: Any) -> Any:
        if asked.binds and not answer.wait(60):
            raise AssertionError("nobody let it go on")
        return plan(self, asked, **more)

    async def test() -> None:
        monkeypatch.setattr(Confiner, "plan", hang)
        monkeypatch.setattr(preparation, "Looks", lambda: Looks(within=0.5))
        async with opened(open_config(tmp_path)) as engine:
            spec = JobSpec(["true"], confinement=Confinement(binds=(Bind("/hangs", "/mnt"),)))
            starts = [asyncio.create_task(told(engine.start(spec, owner="alice"))) for _ in range(40)]
            job = await engine.start(SLEEP, owner="bob")
            assert not (await engine.stop(job.id, grace=0)).already_ended
            kinds = {kind for kind, *_ in await asyncio.gather(*starts)}
            assert kinds <= {FailedPrecondition, ResourceExhausted}
            assert (await engine.list()).jobs == ((await engine.get(job.id)),)
            await engine.start(SLEEP, owner="alice", terms=Terms(max_jobs=1))
            answer.set()

    try:
        run(test())
    finally:
        answer.set()
