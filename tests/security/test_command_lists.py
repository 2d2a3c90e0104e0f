"""A user limited to a list of commands starts nothing else, judged by what really ran."""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jsched.client import Client
from jsched.confinement import Bind, Confinement, Mode
from jsched.environment import DEFAULT_PATH
from jsched.errors import InvalidArgument, PermissionDenied
from jsched.job import Job, JobSpec
from tests.helpers.members import write_certificates
from tests.helpers.server import Server

STARTS = 400
RACES = 40

# Each says which file it is, by what it is called by, and with which arguments.
PROGRAM = '#!/bin/sh\necho "ran {identity} as $0 with $*"\n'
POLICY = """
extends = "commands"

[users.alice]
env = ["LANG", "MY_*"]
commands = [
  "{play}/usr/bin/plain",
  "{play}/bin/through-a-link",
  "{play}/usr/lib/*/tool",
  {{ path = "{play}/usr/bin/args", args = ["pull", "**"] }},
  {{ path = "{play}/usr/bin/args", args = ["v-[0-9]", "x*"] }},
  "{play}/usr/bin/linked",
]
"""


@dataclass(frozen=True)
class Playground:
    """Programs, links to them, and directories to begin in; `programs` has the real path of each by its identity."""

    root: Path
    programs: dict[str, Path]
    links: list[Path]
    directories: list[Path]

    def allows(self, identity: str, args: tuple[str, ...]) -> bool:
        """Return whether the list has a program with these arguments: as the policy reads, but not as it is read."""
        path = str(self.programs[identity].relative_to(self.root))
        if path == "usr/bin/args":
            versions = {f"v-{digit}" for digit in range(10)}
            release = len(args) == 2 and args[0] in versions and args[1][:1] == "x" and "/" not in args[1]
            return args[:1] == ("pull",) or release
        return path in {"usr/bin/plain", "usr/bin/through-a-link", "usr/lib/a/tool", "usr/lib/b/tool"}


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Playground:
    """A small host: some programs are in the list, some are not, and links lead to both."""
    root = tmp_path_factory.mktemp("play").resolve()
    paths = ("plain", "through-a-link", "args", "forbidden", "many", "not-executable")
    programs = {name: root / "usr" / "bin" / name for name in paths}
    for name in ("a", "b", "b/c"):
        programs[f"lib-{name.replace('/', '-')}"] = root / "usr" / "lib" / name / "tool"
    programs["other-plain"] = root / "home" / "plain"
    for identity, path in programs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROGRAM.format(identity=identity))
        path.chmod(0o644 if identity == "not-executable" else 0o755)
    made: dict[str, str | Path] = {
        "bin": "usr/bin",
        "home/bin": "../usr/bin",
        "home/lib": root / "usr" / "lib",
        "home/ls": "../usr/bin/many",
        "home/good": "bin/plain",
        "home/twice": "good",
        "home/args": root / "bin" / "args",
        "home/bad": "../usr/bin/forbidden",
        "home/tool": "lib/b/tool",
        "home/deep": "lib/b/c/tool",
        "home/nowhere": "gone",
        "home/round": "round",
        "home/a-directory": "lib",
        "usr/bin/linked": "forbidden",
        "usr/lib/l": "b/c",
        "usr/lib/a/other": "tool",
    }
    for name, target in made.items():
        (root / name).symlink_to(target)
    links = [root / name for name in made]
    return Playground(root, programs, links, [root / name for name in ("", "usr/bin", "bin", "home", "home/lib/b")])


@pytest.fixture(scope="module")
def server(play: Playground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which alice may start what is in the list, bob nothing."""
    root = tmp_path_factory.mktemp("server")
    write_certificates(root / "certs", [("alice", "user"), ("bob", "user")])
    (root / "policy.toml").write_text(POLICY.format(play=play.root))
    with Server(root / "server", root / "certs", args=("--policy", str(root / "policy.toml"))) as server:
        yield server


@pytest.fixture(scope="module")
def alice(server: Server) -> Client:
    return server.client("alice")


def what_ran(server: Server, client: Client, job: Job) -> str:
    """Wait for a job's end and return what it printed."""
    client.wait(job.id)
    return (server.log_dir / f"{job.id}.log").read_text()


def test_whatever_is_asked_for(server: Server, alice: Client, play: Playground) -> None:
    """For random names, links, arguments, environments and working directories, only what is in the list ever runs.

    And what the host itself would run, if that is in the list, is started.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ran, refused = 0, 0
    for _ in range(STARTS):
        spec = made_up(chance, play)
        would_run = try_out(spec)
        allowed = would_run is not None and play.allows(*would_run)
        try:
            job = alice.start(spec)
        except PermissionDenied as error:
            refused += 1
            assert not allowed or not spec.env.keys() <= {"LANG", "MY_VARIABLE"}, (spec, error)
            continue
        ran += 1
        assert spec.env.keys() <= {"LANG", "MY_VARIABLE"}
        check_ran(play, spec, what_ran(server, alice, job))
        assert job.spec.argv[1:] == spec.argv[1:]
    assert ran > STARTS / 20
    assert refused > STARTS / 20


def check_ran(play: Playground, spec: JobSpec, printed: str) -> None:
    """Check that a job was one program in the list, by its real path and with the arguments asked for."""
    found = re.fullmatch(r"ran (\S+) as (\S+) with (.*)\n", printed)
    assert found, (spec, printed)
    args = tuple(spec.argv[1:])
    assert found[3] == " ".join(args), (spec, printed)
    assert play.allows(found[1], args), (spec, printed)
    assert found[2] == str(play.programs[found[1]]), (spec, printed)


def made_up(chance: random.Random, play: Playground) -> JobSpec:
    """Ask for something, more or less sensible."""
    workdir = chance.choice(play.directories)
    target = chance.choice([*play.programs.values(), *play.links, *play.links])
    name = chance.choice(
        (
            str(target),
            os.path.relpath(target, workdir.resolve()),
            f"./{os.path.relpath(target, workdir.resolve())}",
            f"{target.parent}//{target.name}",
            f"{target.parent}/../{target.parent.name}/{target.name}",
            f"/proc/self/root{target}",
            f"{target}/",
            target.name,
            chance.choice(("sh", "/bin/sh", "env", "busybox", ".", "..", "/", "~/x", "$HOME", "/proc/self/exe")),
        )
    )
    args = chance.choice(
        ((), ("pull",), ("pull", "a/b"), ("push",), ("v-1", "x1"), ("v-1", "x/"), ("-c", "id"), ("x",))
    )
    env = chance.choice(
        (
            {},
            {},
            {"LANG": "C"},
            {"MY_VARIABLE": "1"},
            {"LD_PRELOAD": str(target)},
            {"PATH": str(play.root / "home")},
            {"ENV": str(target), "LANG": "C"},
        )
    )
    return JobSpec([name, *args], env=env, workdir=str(workdir))


def try_out(spec: JobSpec) -> tuple[str, tuple[str, ...]] | None:
    """Run a command as a launch without a list would, and return which program of the playground that is."""
    try:
        done = subprocess.run(
            list(spec.argv), cwd=spec.workdir, env={"PATH": DEFAULT_PATH}, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split(" ")
    return (words[1], tuple(spec.argv[1:])) if words[0] == "ran" else None


def test_a_link_that_changes_all_the_time(server: Server, alice: Client, play: Playground) -> None:
    """A link that leads now here, now there, starts what is in the list or nothing."""
    link, spare = play.root / "home" / "changing", play.root / "home" / "spare"
    link.symlink_to("../usr/bin/plain")
    enough = threading.Event()

    def change() -> None:
        while not enough.is_set():
            for target in ("../usr/bin/forbidden", "../usr/bin/plain"):
                spare.symlink_to(target)
                spare.replace(link)

    changing = threading.Thread(target=change)
    changing.start()
    jobs = []
    try:
        for _ in range(RACES):
            try:
                jobs.append(alice.start(JobSpec([str(link)])))
            except PermissionDenied:
                continue
    finally:
        enough.set()
        changing.join()
    for job in jobs:
        check_ran(play, JobSpec([str(link)]), what_ran(server, alice, job))


ROUND_THE_LIST: dict[str, Callable[[Playground], JobSpec]] = {
    "rootfs": lambda play: JobSpec(["/bin/plain"], confinement=Confinement(rootfs="mine")),
    "binds": lambda play: JobSpec(
        [str(play.programs["plain"])],
        confinement=Confinement(mode=Mode.HOST, binds=(Bind(str(play.root / "home"), str(play.root / "usr" / "bin")),)),
    ),
    "loader": lambda play: JobSpec([str(play.programs["plain"])], env={"LD_LIBRARY_PATH": str(play.root)}),
    "link": lambda play: JobSpec([str(play.root / "usr" / "bin" / "linked")]),
    "argument": lambda play: JobSpec([str(play.programs["args"]), "push"]),
}


@pytest.mark.parametrize("way", ROUND_THE_LIST)
def test_ways_round_the_list(server: Server, alice: Client, play: Playground, way: str) -> None:
    """An own root file system, a bind over a program, the loader, a listed name that is a link: nothing runs."""
    before = server.job_ids()
    with pytest.raises(PermissionDenied):
        alice.start(ROUND_THE_LIST[way](play))
    assert server.job_ids() == before


def test_what_is_not_there_looks_like_what_is_not_allowed(alice: Client, play: Playground) -> None:
    """A caller does not find out by the list which programs there are."""
    answers = []
    for name in ("/usr/bin/env", "/usr/bin/no-such", str(play.programs["not-executable"]), str(play.root)):
        with pytest.raises(PermissionDenied) as caught:
            alice.start(JobSpec([name]))
        answers.append((caught.value.message.replace(name, "X"), caught.value.hint))
    assert len(set(answers)) == 1
    assert answers[0][0] == "user alice may not start 'X', or not with these arguments"


def test_who_has_no_list_starts_nothing(server: Server, play: Playground) -> None:
    """In the scheme of commands, a user that is not named starts nothing at all."""
    with pytest.raises(PermissionDenied):
        server.client("bob").start(JobSpec([str(play.programs["plain"])]))


def test_the_rule_is_in_the_audit(server: Server, alice: Client, play: Playground) -> None:
    """The audit says by which pattern something was started, and what exactly was refused."""
    alice.start(JobSpec([str(play.root / "home" / "good")]))
    with pytest.raises(PermissionDenied):
        alice.start(JobSpec([str(play.root / "home" / "bad")]))
    text = (server.data_dir / "audit.jsonl").read_text()
    plain = play.programs["plain"]
    assert f'"decision":"allow","rule":"user alice has command {plain}: {plain}"' in text
    assert f'"decision":"deny","rule":"user alice has no command {play.programs["forbidden"]} with these' in text


def test_an_empty_name_and_the_like(alice: Client) -> None:
    """What is no command at all is an error of the request, as for everybody."""
    with pytest.raises(InvalidArgument):
        JobSpec([""])
    with pytest.raises(PermissionDenied):
        alice.start(JobSpec(["x" * 5000]))
    with pytest.raises(PermissionDenied):
        alice.start(JobSpec(["/" * 100 + "x" * 300]))
