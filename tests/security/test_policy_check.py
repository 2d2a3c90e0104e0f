"""`jsched policy check` says what the server does: made-up policies and questions, each asked of both."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from jsched.commands.main import PROGRAM
from jsched.errors import InvalidArgument
from jsched.policy.load import parse
from jsched.policy.verbs import Verb
from jsched.v1 import jobs_pb2 as pb
from jsched.v1 import rootfs_pb2, rootfs_pb2_grpc
from tests.helpers import calls
from tests.helpers.governed import Governed
from tests.helpers.members import put_jobs, put_trees

POLICIES = 25
QUESTIONS = 40
MEMBERS = (("alice", "user"), ("bob", "user"), ("carol", "admin"), ("dave", "viewer"))
OWNERS = tuple(user for user, _ in MEMBERS)
TREES = 25
CONFIG = """
[isolation]
default = "none"
modes = ["none", "host", "rootfs"]
networks = ["none", "host"]
"""
PROFILES = """
[profiles.small]
memory = "64m"
[profiles.big]
memory = "1g"
cpus = 2
pids = 100
"""
PROGRAMS = ("/usr/bin/true", "/bin/true", "true", "./true", "../bin/true", "/usr/bin/env", "no-such", "/usr", "/true")
PATTERNS = (
    '"/usr/bin/true"',
    '"/bin/*"',
    '"/**"',
    '"/usr/bin/env"',
    '{ path = "/usr/bin/true", args = ["a", "**"] }',
    '{ path = "/usr/bin/t*", args = ["[a-b]"] }',
    '{ path = "/usr/bin/true", args = [] }',
)
WAYS = {
    "isolation": ("none", "host", "rootfs"),
    "network": ("none", "host"),
    "env": ("LANG", "LD_PRELOAD", "PATH", "MY_NAME"),
    "workdir": ("/usr/bin", "/usr/lib"),
    "memory": ("32m", "512m", "4g"),
    "cpus": ("1", "8"),
    "pids": ("50", "200"),
}


@dataclass
class Question:
    """A caller with a verb: with what it starts, or whose thing it is on."""

    user: str
    role: str
    verb: Verb
    owner: str | None = None
    argv: Sequence[str] = ()
    ways: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A server, what is there of each owner's, and the plain stubs of each caller."""

    governed: Governed
    ended: dict[str, str]
    running: dict[str, str]
    trees: dict[str, list[str]]
    jobs: dict[str, Any]
    rootfs: dict[str, Any]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that knows jobs, ended and running, and root file systems of four owners."""
    governed = Governed(tmp_path_factory.mktemp("governed"), MEMBERS, 'extends = "open"\n', CONFIG)
    server = governed.server
    trees = {owner: [f"{owner}-{number}" for number in range(TREES)] for owner in OWNERS}
    ended = dict(zip(OWNERS, put_jobs(server, OWNERS), strict=True))
    put_trees(server, {name: owner for owner, names in trees.items() for name in names})
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        server.start()
        channels = {user: stack.enter_context(calls.channel(server, user)) for user in OWNERS}
        stubs = {user: calls.stub(channel) for user, channel in channels.items()}
        long = pb.StartJobRequest(argv=["sleep", "1000"])
        running = {user: stub.StartJob(long, timeout=calls.DEADLINE).job_id for user, stub in stubs.items()}
        rootfs = {
            user: rootfs_pb2_grpc.RootfsServiceStub(channel)  # type: ignore[no-untyped-call]
            for user, channel in channels.items()
        }
        yield Site(governed, ended, running, trees, stubs, rootfs)


def test_it_says_what_the_server_does(site: Site) -> None:
    """For made-up policies and questions the command allows what the server does, and refuses the rest."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    allowed = 0
    for _ in range(POLICIES):
        text = made_up_policy(chance)
        site.governed.read_again(text)
        for _ in range(QUESTIONS):
            question = made_up_question(chance)
            said, printed = ask_command(site, question)
            assert ask_server(site, question) == said, (question, printed, text)
            allowed += said
    assert POLICIES * QUESTIONS / 10 < allowed < POLICIES * QUESTIONS * 9 / 10


def ask_command(site: Site, question: Question) -> tuple[bool, str]:
    """Return whether `policy check` says that it is allowed, and all that it printed."""
    words = ["policy", "check", f"--config={site.governed.server.root / 'jsched.toml'}"]
    words += [f"--user={question.user}", f"--role={question.role}"]
    words += [f"--{name}={value}" for name, value in question.ways.items()]
    words += ["--", question.verb.key, *question.argv, *([question.owner] if question.owner else [])]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = PROGRAM.run(words)
    said = printed.getvalue()
    assert said.startswith("allowed by" if code == 0 else "refused by"), (words, said)
    return code == 0, said


def ask_server(site: Site, question: Question) -> bool:
    """Return whether the server allows it, whatever comes of it."""
    jobs, rootfs, owner = site.jobs[question.user], site.rootfs[question.user], question.owner or question.user
    asking: dict[Verb, Callable[[], bool]] = {
        Verb.START: lambda: allows(jobs.StartJob, start_request(question)),
        Verb.STOP: lambda: allows(jobs.StopJob, pb.StopJobRequest(job_id=site.ended[owner])),
        Verb.STATUS: lambda: allows(jobs.GetJob, pb.GetJobRequest(job_id=site.ended[owner])),
        Verb.STREAM: lambda: allows(jobs.StreamOutput, pb.StreamOutputRequest(job_id=site.ended[owner])),
        Verb.WAIT: lambda: allows(jobs.WaitJob, pb.WaitJobRequest(job_id=site.ended[owner])),
        # A job that runs is not deleted, so that it is there for the next question, too.
        Verb.DELETE: lambda: allows(jobs.DeleteJob, pb.DeleteJobRequest(job_id=site.running[owner])),
        Verb.LIST: lambda: lists(jobs.ListJobs, pb.ListJobsRequest(owner=owner), "jobs"),
        Verb.STATS: lambda: allows(jobs.GetStats, pb.GetStatsRequest()),
        Verb.ROOTFS_UPLOAD: lambda: allows(rootfs.UploadRootfs, iter([rootfs_pb2.UploadRootfsRequest()])),
        Verb.ROOTFS_LIST: lambda: lists(rootfs.ListRootfs, rootfs_pb2.ListRootfsRequest(), "rootfs", owner),
        Verb.ROOTFS_DELETE: lambda: deletes_tree(site, rootfs, owner),
    }
    return asking[question.verb]()


def allows(method: Callable[..., Any], request: Any) -> bool:
    """Make a call and return whether it was neither refused nor about what does not exist for the caller."""
    try:
        answer = method(request, timeout=calls.DEADLINE)
        if isinstance(answer, grpc.Call):
            list(answer)  # type: ignore[call-overload]
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        assert error.code() is not grpc.StatusCode.UNAUTHENTICATED
        if error.code() is grpc.StatusCode.NOT_FOUND:
            # Of a start, it is about the root file system, which the command does not ask for.
            return isinstance(request, pb.StartJobRequest)
        return error.code() is not grpc.StatusCode.PERMISSION_DENIED
    return True


def lists(method: Callable[..., Any], request: Any, name: str, owner: str | None = None) -> bool:
    """Return whether a list has anything of the owner's."""
    try:
        found = getattr(method(request, timeout=calls.DEADLINE), name)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        return False
    return any(owner in (None, getattr(one, "uploaded_by", None)) for one in found)


def deletes_tree(site: Site, rootfs: Any, owner: str) -> bool:
    """Return whether a root file system of the owner's may be deleted; then it is gone."""
    name = site.trees[owner][-1]
    if not allows(rootfs.DeleteRootfs, rootfs_pb2.DeleteRootfsRequest(name=name)):
        return False
    site.trees[owner].pop()
    return True


def start_request(question: Question) -> pb.StartJobRequest:
    """Return the start that the command was asked about."""
    ways, sizes = question.ways, {"32m": 32 << 20, "512m": 512 << 20, "4g": 4 << 30}
    modes = {"none": pb.ISOLATION_MODE_NONE, "host": pb.ISOLATION_MODE_HOST, "rootfs": pb.ISOLATION_MODE_ROOTFS}
    networks = {"none": pb.NETWORK_MODE_NONE, "host": pb.NETWORK_MODE_HOST}
    return pb.StartJobRequest(
        argv=question.argv,
        env={ways["env"]: ""} if "env" in ways else {},
        workdir=ways.get("workdir", ""),
        limits=pb.Limits(
            memory=sizes[ways["memory"]] if "memory" in ways else 0,
            cpus=float(ways.get("cpus", 0)),
            pids=int(ways.get("pids", 0)),
        ),
        confinement=pb.Confinement(
            isolation=modes[ways["isolation"]] if "isolation" in ways else pb.ISOLATION_MODE_UNSPECIFIED,
            network=networks[ways["network"]] if "network" in ways else pb.NETWORK_MODE_UNSPECIFIED,
            rootfs="there-is-none" if ways.get("isolation") == "rootfs" else "",
        ),
    )


def made_up_question(chance: random.Random) -> Question:
    """Ask for something, one time in two a start."""
    user, role = chance.choice(MEMBERS)
    if chance.random() < 0.5:
        ways = {name: chance.choice(values) for name, values in WAYS.items() if chance.random() < 0.15}
        if ways.get("isolation") == "none":
            # It has the host's network, and to ask for another is an error, whoever asks.
            ways.pop("network", None)
        argv = [chance.choice(PROGRAMS), *chance.choice(([], [], ["a"], ["a", "b"], ["c"], ["a\nb"]))]
        return Question(user, role, Verb.START, argv=argv, ways=ways)
    verb = chance.choice([verb for verb in Verb if verb not in (Verb.START, Verb.REFLECTION)])
    owned = verb not in (Verb.STATS, Verb.ROOTFS_UPLOAD)
    return Question(user, role, verb, owner=chance.choice((None, *OWNERS)) if owned else None)


def made_up_policy(chance: random.Random) -> str:
    """Return a policy, often a strange one, that is none of those that contradict themselves."""
    while True:
        extends = chance.choice(("", "jsched", "owner", "commands", "open"))
        text = (f'extends = "{extends}"\n' if extends else "") + PROFILES
        for name in ("user", "admin", '"*"'):
            if chance.random() < 0.7:
                text += f"[roles.{name}]\n{made_up_keys(chance)}"
        for name in ("alice", "carol"):
            if chance.random() < 0.5:
                text += f"[users.{name}]\n{made_up_keys(chance)}"
        try:
            parse("made-up", text)
        except InvalidArgument:
            continue
        return text


def made_up_keys(chance: random.Random) -> str:
    """Return the keys of a role or a user."""
    reaches = ("none", "own", "any")
    verbs = [f'{verb.key} = "{chance.choice(reaches)}"' for verb in Verb if chance.random() < 0.6]
    made = {
        "verbs": chance.choice((f'"{chance.choice(reaches)}"', f"{{ {', '.join(verbs)} }}")),
        "profile": chance.choice(('"small"', '"big"')),
        "ceiling": chance.choice(('"small"', '"big"')),
        "own_limits": chance.choice(("true", "false")),
        "commands": f"[{', '.join(chance.sample(PATTERNS, chance.randrange(4)))}]",
        "isolation": chance.choice(('["none"]', '["host"]', '["none", "host"]', '["rootfs", "host"]', "[]")),
        "network": chance.choice(('["none"]', '["host"]', '["none", "host"]', "[]")),
        "env": chance.choice(('["LANG"]', '["MY_*", "LANG"]', '["*"]', "[]")),
    }
    often = {"verbs": 0.9, "commands": 0.3}
    return "".join(f"{key} = {value}\n" for key, value in made.items() if chance.random() < often.get(key, 0.2))
