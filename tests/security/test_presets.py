"""Every cell of every preset's table, against a real server with real certificates."""

from __future__ import annotations

import functools
import hashlib
import itertools
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from jsched.policy.document import PRESETS
from jsched.policy.load import load
from jsched.policy.policy import Policy, RoleSource
from jsched.policy.rules import EVERY_ROLE
from jsched.policy.verbs import Reach, Verb
from jsched.v1 import jobs_pb2 as pb
from jsched.v1 import rootfs_pb2, rootfs_pb2_grpc
from tests.helpers import archives, calls
from tests.helpers.members import put_jobs, put_trees, write_certificates
from tests.helpers.server import Server

OK, DENIED, NOT_FOUND = grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
OTHER = "somebody"
# A role that stands in no policy, but in those that are for every role.
STRANGER = "stranger"
ROLES = {name: [*(role for role in load(name).roles if role != EVERY_ROLE), STRANGER] for name in PRESETS}


@dataclass
class Site:
    """A server with a policy; `jobs` and `trees` are by owner and by the verb that they are for."""

    policy: Policy
    server: Server
    jobs: dict[tuple[str, Verb, str], str]
    channels: dict[str, grpc.Channel]

    def expected(self, role: str, verb: Verb, owner: str) -> grpc.StatusCode:
        """Return what the policy says of a cell."""
        user = user_of(role)
        reach = self.policy.decide(user, role, verb).reach
        if reach is Reach.NONE:
            return DENIED
        if reach is Reach.ANY or owner == user:
            return OK
        on_trees = verb is Verb.ROOTFS_DELETE
        sees = self.policy.decide(user, role, Verb.ROOTFS_LIST).reach if on_trees else self.policy.sees(user, role)
        return DENIED if sees is Reach.ANY else NOT_FOUND


def user_of(role: str) -> str:
    """Return the caller who has a role."""
    return f"a-{role}"


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """A server with each preset, started when the first test asks for it."""
    with ExitStack() as stack:
        yield functools.cache(lambda name: open_site(name, tmp_path_factory.mktemp(name), stack))


@pytest.fixture
def site(sites: Callable[[str], Site], preset: str) -> Site:
    """The server with the preset that the test is about."""
    return sites(preset)


def open_site(name: str, root: Path, stack: ExitStack) -> Site:
    """Start a server with a preset, and with what callers and somebody else own."""
    policy = load(name)
    members = [(user_of(role), role) for role in ROLES[name]]
    write_certificates(root / "certs", members, in_ou=policy.role_source is RoleSource.OU)
    server = Server(root / "server", root / "certs", args=("--policy", name))
    keys = [
        (role, verb, owner)
        for role, verb in itertools.product(ROLES[name], ON_JOBS)
        for owner in (user_of(role), OTHER)
    ]
    jobs = dict(zip(keys, put_jobs(server, [owner for _, _, owner in keys]), strict=True))
    put_trees(server, {tree_of(role, owner): owner for role in ROLES[name] for owner in (user_of(role), OTHER)})
    stack.callback(server.close)
    server.start()
    channels = {role: stack.enter_context(calls.channel(server, user_of(role))) for role in ROLES[name]}
    return Site(policy, server, jobs, channels)


def tree_of(role: str, owner: str) -> str:
    """Return the name of a root file system that a role's caller tries to delete."""
    return f"{role}-of-{owner}"


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    """Make a call to its end and return its status."""
    try:
        answer = call()
        if isinstance(answer, grpc.Call):
            list(answer)  # type: ignore[call-overload]
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        code: grpc.StatusCode = error.code()
        return code
    return OK


ON_JOBS: dict[Verb, Callable[[Any, str], Any]] = {
    Verb.STOP: lambda stub, ref: stub.StopJob(pb.StopJobRequest(job_id=ref), timeout=calls.DEADLINE),
    Verb.STATUS: lambda stub, ref: stub.GetJob(pb.GetJobRequest(job_id=ref), timeout=calls.DEADLINE),
    Verb.STREAM: lambda stub, ref: stub.StreamOutput(pb.StreamOutputRequest(job_id=ref), timeout=calls.DEADLINE),
    Verb.WAIT: lambda stub, ref: stub.WaitJob(pb.WaitJobRequest(job_id=ref), timeout=calls.DEADLINE),
    Verb.DELETE: lambda stub, ref: stub.DeleteJob(pb.DeleteJobRequest(job_id=ref), timeout=calls.DEADLINE),
}


def cells(*verbs: Verb) -> list[Any]:
    """Return the cells of these verbs: for each preset, role and verb."""
    return [
        pytest.param(name, role, verb, id=f"{name}-{role}-{verb.key}")
        for name in PRESETS
        for role in ROLES[name]
        for verb in verbs
    ]


def every_cell(*verbs: Verb) -> pytest.MarkDecorator:
    """Run a test for each cell of these verbs, all those of one preset on one server."""
    return pytest.mark.parametrize(("preset", "role", "verb"), cells(*verbs))


@every_cell(*ON_JOBS)
def test_a_verb_on_a_job(site: Site, role: str, verb: Verb) -> None:
    """A verb on a job of one's own, and on another's, does what the policy says; what is not seen never was."""
    stub = calls.stub(site.channels[role])
    for owner in (user_of(role), OTHER):
        job_id = site.jobs[role, verb, owner]
        expected = site.expected(role, verb, owner)
        if expected is NOT_FOUND:
            never = str(uuid.uuid4())
            for ref, none in ((job_id, never), (job_id[:8], never[:8])):
                unseen = calls.refused(functools.partial(_timed, ON_JOBS[verb], stub), ref)
                unknown = calls.refused(functools.partial(_timed, ON_JOBS[verb], stub), none)
                assert unseen.code is NOT_FOUND
                assert repr(unseen).replace(ref, none) == repr(unknown)
        assert code_of(functools.partial(ON_JOBS[verb], stub, job_id)) is expected, owner


def _timed(call: Callable[[Any, str], Any], stub: Any, ref: str, timeout: float) -> Any:
    return call(stub, ref)


@every_cell(Verb.LIST)
def test_list(site: Site, role: str, verb: Verb) -> None:
    """A list shows the jobs that the policy says, by the owner too that is asked for, and on every page."""
    stub = calls.stub(site.channels[role])
    user = user_of(role)
    reach = site.policy.decide(user, role, verb).reach
    if reach is Reach.NONE:
        assert calls.refused(stub.ListJobs, pb.ListJobsRequest()).code is DENIED
        return
    owners: set[str] = set()
    token = ""
    while True:
        page = stub.ListJobs(pb.ListJobsRequest(page_size=3, page_token=token), timeout=calls.DEADLINE)
        owners.update(job.owner for job in page.jobs)
        token = page.next_page_token
        if not token:
            break
    others = stub.ListJobs(pb.ListJobsRequest(owner=OTHER), timeout=calls.DEADLINE).jobs
    if reach is Reach.ANY:
        assert owners == {OTHER, *map(user_of, site.channels)}
        assert others
    else:
        assert owners == {user}
        assert not others


@every_cell(Verb.START)
def test_start(site: Site, role: str, verb: Verb) -> None:
    """Who may start starts a job of its own; without a command in the list there is nothing to start."""
    stub = calls.stub(site.channels[role])
    user = user_of(role)
    grant = site.policy.grant(user, role)
    request = pb.StartJobRequest(argv=["true"])
    if grant is None or grant.decisions[verb].reach is Reach.NONE or grant.commands == ():
        assert calls.refused(stub.StartJob, request).code is DENIED
        return
    started = stub.StartJob(request, timeout=calls.DEADLINE).job
    assert started.owner == user
    limited = pb.StartJobRequest(argv=["true"], limits=pb.Limits(memory=64 << 20))
    assert code_of(lambda: stub.StartJob(limited, timeout=calls.DEADLINE)) is (OK if grant.own_limits else DENIED)


@every_cell(Verb.STATS)
def test_stats(site: Site, role: str, verb: Verb) -> None:
    """Numbers are of all jobs, or of the caller's own."""
    stub = calls.stub(site.channels[role])
    reach = site.policy.decide(user_of(role), role, verb).reach
    if reach is Reach.NONE:
        assert calls.refused(stub.GetStats, pb.GetStatsRequest()).code is DENIED
        return
    stats = stub.GetStats(pb.GetStatsRequest(), timeout=calls.DEADLINE)
    assert stats.owner == ("" if reach is Reach.ANY else user_of(role))


@every_cell(Verb.REFLECTION)
def test_reflection(site: Site, role: str, verb: Verb) -> None:
    """Reflection tells of the services whom the policy lets ask."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(site.channels[role])
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    code = code_of(lambda: stub.ServerReflectionInfo(iter([request]), timeout=calls.DEADLINE))
    assert code is site.expected(role, verb, user_of(role))


@every_cell(Verb.ROOTFS_UPLOAD)
def test_rootfs_upload(site: Site, role: str, verb: Verb) -> None:
    """Who may upload has its archive taken, and all others can't even ask how much of one there is."""
    stub = rootfs_stub(site.channels[role])
    archive = archives.tar(archives.member("etc/"), archives.member(f"etc/{role}", b"x"))
    digest = hashlib.sha256(archive).hexdigest()
    header = rootfs_pb2.RootfsUploadHeader(name=f"new-{role}", digest=digest, size=len(archive))
    messages = [rootfs_pb2.UploadRootfsRequest(header=header), rootfs_pb2.UploadRootfsRequest(data=archive)]
    expected = site.expected(role, verb, user_of(role))
    asked = rootfs_pb2.GetRootfsUploadRequest(digest=digest)
    assert code_of(lambda: stub.GetRootfsUpload(asked, timeout=calls.DEADLINE)) is expected
    assert code_of(lambda: stub.UploadRootfs(iter(messages), timeout=calls.DEADLINE)) is expected


@every_cell(Verb.ROOTFS_LIST)
def test_rootfs_list(site: Site, role: str, verb: Verb) -> None:
    """A list of root file systems shows those that the policy says."""
    stub = rootfs_stub(site.channels[role])
    reach = site.policy.decide(user_of(role), role, verb).reach
    if reach is Reach.NONE:
        assert calls.refused(stub.ListRootfs, rootfs_pb2.ListRootfsRequest()).code is DENIED
        return
    shown = stub.ListRootfs(rootfs_pb2.ListRootfsRequest(), timeout=calls.DEADLINE).rootfs
    assert (OTHER in {one.uploaded_by for one in shown}) is (reach is Reach.ANY)


@every_cell(Verb.ROOTFS_DELETE)
def test_rootfs_delete(site: Site, role: str, verb: Verb) -> None:
    """A root file system is deleted by whom the policy lets."""
    stub = rootfs_stub(site.channels[role])
    for owner in (user_of(role), OTHER):
        request = rootfs_pb2.DeleteRootfsRequest(name=tree_of(role, owner))
        code = code_of(functools.partial(stub.DeleteRootfs, request, timeout=calls.DEADLINE))
        assert code is site.expected(role, verb, owner), owner


def rootfs_stub(channel: grpc.Channel) -> Any:
    """Return RootfsService's stub."""
    return rootfs_pb2_grpc.RootfsServiceStub(channel)  # type: ignore[no-untyped-call]
