"""From what is asked to a sandbox: what is allowed, what is refused and in which words."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jsched import confiner
from jsched.config import Config
from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls
from jsched.confiner import Confiner
from jsched.errors import FailedPrecondition, InvalidArgument, JschedError, PermissionDenied, Unavailable
from jsched.isolation import ids, sandbox, view
from jsched.isolation_config import AllowedBind, IsolationConfig
from tests.helpers import walled
from tests.helpers.walled import needs_root

Make = Callable[..., Confiner]
ALL_MODES = frozenset(Mode)
ALL_NETWORKS = frozenset(Network)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a Confiner with such rules; `trials` are what trying the walls comes to, one after the other."""
    data, logs = tmp_path / "server/data", tmp_path / "server/logs"
    data.mkdir(parents=True)
    logs.mkdir()

    def make(trials: tuple[tuple[str, int] | None, ...] = (None,), user: int = 0, **rules: Any) -> Confiner:
        results = iter(trials)
        monkeypatch.setattr(confiner, "try_walls_apart", lambda _: next(results))
        monkeypatch.setattr(confiner, "regular_homes", list)
        monkeypatch.setattr(os, "geteuid", lambda: user)
        monkeypatch.setattr(os, "getegid", lambda: user)
        return Confiner(Config(data_dir=data, log_dir=logs, isolation=IsolationConfig(**rules)))

    return make


def allowed(directory: Path, *, writable: bool = True) -> tuple[AllowedBind, ...]:
    return (AllowedBind(directory, writable),)


def account_of(what: str, name: str) -> Confinement:
    return Confinement(user=name) if what == "user" else Confinement(group=name)


@needs_root
def test_walls_of_this_machine(tmp_path: Path) -> None:
    """The walls are really tried, and a job that asks for nothing has them, with no network and ids of its own."""
    (tmp_path / "data").mkdir()
    found = Confiner(Config(data_dir=tmp_path / "data", log_dir=tmp_path / "logs")).plan(NOTHING_ASKED)
    assert (found.walls.mode, found.walls.network) == (Mode.HOST, Network.NONE)
    assert found.walls.steps
    assert found.sandbox is not None
    first, second = found.sandbox(0), found.sandbox(1)
    assert first.network == sandbox.NONE
    assert os.path.isfile(first.seccomp)
    assert first.uid_map != second.uid_map or first.uid != second.uid
    assert first.capabilities == 0


@needs_root
def test_the_configuration_is_hidden(tmp_path: Path) -> None:
    """Neither the server's configuration nor its policy can be read by a job, or bound, whatever their modes."""
    (tmp_path / "data").mkdir()
    with tempfile.TemporaryDirectory(prefix="jsched-", dir="/srv") as directory:
        os.chmod(directory, 0o755)
        files = [Path(directory, name) for name in ("jsched.toml", "policy.toml", "other.toml")]
        for file in files:
            file.write_text("known\n")
        config = Config(
            data_dir=tmp_path / "data",
            log_dir=tmp_path / "logs",
            file=files[0],
            policy=str(files[1]),
            isolation=IsolationConfig(binds=allowed(Path(directory))),
        )
        confined = Confiner(config)
        found = confined.plan(NOTHING_ASKED)
        assert found.sandbox is not None
        outcome = walled.run(found.sandbox(0), ["/bin/cat", *map(str, files)], log=tmp_path / "log")
        assert outcome.output == "known\n"
        for file in (*files[:2], Path(directory)):
            with pytest.raises(PermissionDenied, match="would show the server's own files"):
                confined.plan(Confinement(binds=(Bind(str(file), "/mnt"),)))


def test_what_a_job_gets_that_asks_for_nothing(make: Make) -> None:
    """It is an ordinary user of its slot's id range, sees no binds, and begins in its own /tmp."""
    found = make().plan(NOTHING_ASKED)
    assert found.sandbox is not None
    built = found.sandbox(5)
    assert built._asdict().items() >= ids.in_range(5)._asdict().items()
    assert (built.mode, built.network, built.binds, built.capabilities) == (sandbox.HOST, sandbox.NONE, (), 0)
    assert built.scratch_size == IsolationConfig().scratch
    assert (found.home, found.workdir) == ("/tmp", "/tmp")


def test_none(make: Make) -> None:
    """Where it is allowed, a job may have no walls at all; nothing has to be tried for a server that builds none."""
    found = make(trials=(), default=Mode.NONE, modes=frozenset({Mode.NONE})).plan(NOTHING_ASKED)
    assert (found.walls, found.sandbox) == (Walls(Mode.NONE, Network.HOST), None)


def test_the_servers_network(make: Make) -> None:
    """The server says which network a job has that asks for none, and the job which of those that are allowed."""
    confined = make(network=Network.HOST, networks=ALL_NETWORKS)
    assert confined.plan(NOTHING_ASKED).walls.network is Network.HOST
    assert confined.plan(Confinement(network=Network.NONE)).walls.network is Network.NONE


def test_a_root_file_system(make: Make, tmp_path: Path) -> None:
    """The name asks for the mode; the walls tell the digest, and the sandbox has the tree."""
    found = make().plan(Confinement(rootfs="alpine"), tmp_path, "0f" * 32)
    assert (found.walls.mode, found.walls.rootfs) == (Mode.ROOTFS, "0f" * 32)
    assert found.sandbox is not None
    assert found.sandbox(0).rootfs == str(tmp_path)


def test_a_root_file_system_that_is_not_there(make: Make) -> None:
    """Without a tree there is no sandbox around one."""
    with pytest.raises(FailedPrecondition, match=r"^there is no root file system$"):
        make().plan(Confinement(rootfs="alpine"))


@pytest.mark.parametrize(
    ("asked", "obj", "what", "key"),
    [
        (Confinement(mode=Mode.NONE), "isolation", "isolation none", "modes"),
        (Confinement(network=Network.HOST), "network", "network host", "networks"),
        (Confinement(user="root"), "user", "user root", "users"),
        (Confinement(user="0"), "user", "user 0", "users"),
        (Confinement(group="100"), "group", "group 100", "groups"),
        (Confinement(binds=(Bind("/etc", "/etc"),)), "binds", "bind /etc", "binds"),
    ],
)
def test_denied_by_default(make: Make, asked: Confinement, obj: str, what: str, key: str) -> None:
    """What the configuration does not list is refused, in words that say where it would be listed."""
    with pytest.raises(PermissionDenied) as caught:
        make().plan(asked)
    assert (caught.value.obj, caught.value.message) == (obj, f"{what} is not allowed on this server")
    assert caught.value.hint == f"`{key}` in [isolation] of its configuration says what is"


def test_rootfs_that_is_not_allowed(make: Make, tmp_path: Path) -> None:
    """A job that names a root file system asks for the mode, and is refused where it is not allowed."""
    with pytest.raises(PermissionDenied, match=r"^isolation rootfs is not allowed on this server "):
        make(modes=frozenset({Mode.HOST})).plan(Confinement(rootfs="alpine"), tmp_path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Confinement(network=Network.NONE), "isolation none has no network of its own"),
        (Confinement(user="root"), "isolation none has no user of its own"),
        (Confinement(group="5"), "isolation none has no group of its own"),
        (Confinement(binds=(Bind("/usr", "/mnt"),)), "isolation none has no binds: it sees all files as they are"),
    ],
)
def test_none_by_default_is_not_less_than_was_asked(make: Make, asked: Confinement, message: str) -> None:
    """A job that asks for a wall is not started without any because the server's default is none."""
    rules: dict[str, Any] = {"users": frozenset({"root"}), "groups": frozenset({"5"}), "binds": allowed(Path("/usr"))}
    with pytest.raises(InvalidArgument) as caught:
        make(default=Mode.NONE, **rules).plan(asked)
    assert caught.value.message == message


def test_users_and_groups(make: Make) -> None:
    """An allowed user is that inside, its group the same number if none is asked for; root has some capabilities."""
    confined = make(users=frozenset({"root", "7"}), groups=frozenset({"root", "8"}))
    for user, group, uid, gid, capabilities in (
        ("root", None, 0, 0, view.ROOT_CAPABILITIES),
        ("7", None, 7, 7, 0),
        ("7", "root", 7, 0, 0),
        ("root", "8", 0, 8, view.ROOT_CAPABILITIES),
        (None, "8", ids.USER, 8, 0),
    ):
        found = confined.plan(Confinement(user=user, group=group))
        assert found.sandbox is not None
        built = found.sandbox(0)
        assert (built.uid, built.gid, built.capabilities) == (uid, gid, capabilities)
        assert built.uid_map


@pytest.mark.parametrize("account", ["alice", "65536", "4294967296", "1_0"])
@pytest.mark.parametrize("what", ["user", "group"])
def test_accounts_that_mean_nothing_inside(make: Make, account: str, what: str) -> None:
    """A name, or a number outside of the range, can't be had though it is listed."""
    with pytest.raises(FailedPrecondition) as caught:
        make(**{f"{what}s": frozenset({account})}).plan(account_of(what, account))
    assert caught.value.message == f"{what} {account!r} is neither root nor a number below 65536"
    assert (caught.value.obj, caught.value.hint) == (what, "names mean nothing behind the walls")


@pytest.mark.parametrize(
    ("make_with", "whom"),
    [
        ({"user": 1000}, "all of them run as this user"),
        (
            {"trials": (("clone", errno.EPERM), None)},
            "each is a user of the host that owns nothing, for want of user namespaces",
        ),
    ],
    ids=["ordinary user", "no user namespaces"],
)
@pytest.mark.parametrize("what", ["user", "group"])
def test_a_user_that_can_not_be_had(make: Make, make_with: dict[str, Any], whom: str, what: str) -> None:
    """Where jobs are one certain user, one that asks to be another is refused, and not started as somebody else."""
    confined = make(**make_with, users=frozenset({"root"}), groups=frozenset({"root"}))
    with pytest.raises(FailedPrecondition) as caught:
        confined.plan(account_of(what, "root"))
    assert caught.value.message == f"{what} root is not possible on this host"
    assert (caught.value.obj, caught.value.hint) == (what, f"of its jobs, {whom}")
    assert confined.plan(NOTHING_ASKED).sandbox is not None


def test_binds(make: Make, tmp_path: Path) -> None:
    """A listed directory, one below it and a file may be bound; what lies deeper is mounted later."""
    (tmp_path / "shared/deep").mkdir(parents=True)
    (tmp_path / "shared/file").touch()
    asked = Confinement(
        binds=(
            Bind(f"{tmp_path}/shared/deep", "/mnt/deep", writable=True),
            Bind(f"{tmp_path}/shared", "//mnt/"),
            Bind(f"{tmp_path}/shared/file", "/mnt/deep/./file"),
        )
    )
    found = make(binds=allowed(tmp_path / "shared")).plan(asked)
    assert found.sandbox is not None
    assert found.sandbox(0).binds == (
        sandbox.Bind(f"{tmp_path}/shared", "/mnt"),
        sandbox.Bind(f"{tmp_path}/shared/deep", "/mnt/deep", writable=True),
        sandbox.Bind(f"{tmp_path}/shared/file", "/mnt/deep/file"),
    )


def test_a_name_that_begins_alike_is_not_allowed(make: Make, tmp_path: Path) -> None:
    """Neither a neighbour of a listed directory nor what it lies in may be bound."""
    for name in ("shared", "shared-not"):
        (tmp_path / name).mkdir()
    confined = make(binds=allowed(tmp_path / "shared"))
    for source in (f"{tmp_path}/shared-not", str(tmp_path), "/"):
        with pytest.raises(PermissionDenied, match=f"^bind {source} is not allowed on this server "):
            confined.plan(Confinement(binds=(Bind(source, "/mnt"),)))


def test_a_link_is_where_it_leads_to(make: Make, tmp_path: Path) -> None:
    """A link out of a listed directory is refused, one into it is not, and what is mounted has no link in it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "shared").symlink_to("real")
    (tmp_path / "real/out").symlink_to("/etc")
    confined = make(binds=allowed(tmp_path / "shared"))
    with pytest.raises(PermissionDenied, match=f"^bind {tmp_path}/shared/out is not allowed on this server "):
        confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared/out", "/mnt"),)))
    with pytest.raises(PermissionDenied):
        confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared/out/passwd", "/mnt"),)))
    found = confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared", "/mnt"),)))
    assert found.sandbox is not None
    assert [one.source for one in found.sandbox(0).binds] == [f"{tmp_path}/real"]


def test_links_without_end(make: Make, tmp_path: Path) -> None:
    """A bind whose source is a chain of more links than Linux would ever follow is refused like one that is a loop."""
    (tmp_path / "0").mkdir()
    for number in range(1200):
        (tmp_path / str(number + 1)).symlink_to(str(number))
    with pytest.raises(FailedPrecondition, match="Too many levels of symbolic links"):
        make(binds=allowed(tmp_path)).plan(Confinement(binds=(Bind(str(tmp_path / "1200"), "/mnt"),)))


def test_a_link_that_changes_after_it_was_judged(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted is the very path that was found to be allowed, though a job changes the link in between."""
    (tmp_path / "shared/in").mkdir(parents=True)
    link = tmp_path / "shared/link"
    link.symlink_to("in")
    confined = make(binds=allowed(tmp_path / "shared"))
    real = os.path.realpath

    def realpath(path: Any, **options: Any) -> Any:
        found = real(path, **options)
        if os.fspath(path) == str(link):
            link.unlink()
            link.symlink_to("/etc")
        return found

    monkeypatch.setattr(os.path, "realpath", realpath)
    found = confined.plan(Confinement(binds=(Bind(str(link), "/mnt"),)))
    assert found.sandbox is not None
    assert [one.source for one in found.sandbox(0).binds] == [f"{tmp_path}/shared/in"]


def test_read_only_directories(make: Make, tmp_path: Path) -> None:
    """What is listed with `:ro` may be read and not written, unless another line allows that."""
    (tmp_path / "shared/open").mkdir(parents=True)
    rules = (*allowed(tmp_path / "shared", writable=False), *allowed(tmp_path / "shared/open"))
    confined = make(binds=rules)
    confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared", "/mnt"),)))
    confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared/open", "/mnt", writable=True),)))
    with pytest.raises(PermissionDenied, match=f"^bind {tmp_path}/shared is not allowed on this server "):
        confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared", "/mnt", writable=True),)))


@pytest.mark.parametrize("source", ["", "/server", "/server/data", "/server/logs", "/server/data/rootfs", "/link"])
def test_the_servers_own_files(make: Make, tmp_path: Path, source: str) -> None:
    """What holds, or lies in, a directory of the server's own is not bound, though a line of the list has it."""
    (tmp_path / "link").symlink_to("server/data")
    with pytest.raises(PermissionDenied) as caught:
        make(binds=allowed(tmp_path)).plan(Confinement(binds=(Bind(f"{tmp_path}{source}", "/mnt"),)))
    assert caught.value.message == f"bind {tmp_path}{source} would show the server's own files"
    assert caught.value.obj == "binds"


def test_a_bind_that_is_not_there(make: Make, tmp_path: Path) -> None:
    """It is told that a listed directory has no such file; of other directories nothing is told."""
    (tmp_path / "shared").mkdir()
    confined = make(binds=allowed(tmp_path / "shared"))
    with pytest.raises(FailedPrecondition) as caught:
        confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared/no", "/mnt"),)))
    assert caught.value.message == f"bind {tmp_path}/shared/no: No such file or directory"
    with pytest.raises(PermissionDenied):
        confined.plan(Confinement(binds=(Bind(f"{tmp_path}/no", "/mnt"),)))


@pytest.mark.parametrize(
    "target", ["/dev", "/dev/null", "/dev/shm/data", "/proc", "/proc/sys", "/sys", "/sys/fs", "//dev/.//", "/./proc"]
)
def test_targets_that_are_a_jobs_own(make: Make, tmp_path: Path, target: str) -> None:
    """Nothing is bound over what jsched mounts for every job and needs itself, and the error names the bind."""
    with pytest.raises(InvalidArgument) as caught:
        make(binds=allowed(tmp_path)).plan(Confinement(binds=(Bind(f"{tmp_path}/x", target),)))
    assert caught.value.message.startswith(f"bind {tmp_path}/x:{target} would cover what a job has at /")
    assert (caught.value.obj, caught.value.hint) == ("binds", "name a target outside of /dev, /proc, /sys")


@pytest.mark.parametrize("target", ["/devices", "/process", "/srv/dev", "/tmp/proc", "/run/sys"])
def test_targets_that_sound_alike(make: Make, tmp_path: Path, target: str) -> None:
    """A target that only has a reserved name in it is like any other."""
    (tmp_path / "x").mkdir()
    make(binds=allowed(tmp_path)).plan(Confinement(binds=(Bind(f"{tmp_path}/x", target),)))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOENT, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("changing", ["shared/x", "shared", "server/data"])
def test_a_path_that_changes_while_it_is_looked_at(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, changing: str
) -> None:
    """A link that is swapped for a directory in that moment makes a refusal that names the bind, no defect."""
    (tmp_path / "shared/x").mkdir(parents=True)
    confined = make(binds=allowed(tmp_path / "shared"))
    real = os.path.realpath

    def realpath(path: Any, **options: Any) -> Any:
        if os.fspath(path) == str(tmp_path / changing):
            raise OSError(number, os.strerror(number), path)
        return real(path, **options)

    monkeypatch.setattr(os.path, "realpath", realpath)
    with pytest.raises(FailedPrecondition) as caught:
        confined.plan(Confinement(binds=(Bind(f"{tmp_path}/shared/x", "/mnt"),)))
    assert caught.value.message == f"bind {tmp_path}/shared/x: {os.strerror(number)}"
    assert caught.value.obj == "binds"
    assert caught.value.hint


LACKING: tuple[tuple[str, int], ...] = (("clone", errno.EPERM), ("mounts", errno.ENOSYS))


def test_a_machine_that_can_build_none(make: Make) -> None:
    """A job is refused with the step that failed last, and what to do; one without walls is not."""
    confined = make(trials=LACKING, modes=ALL_MODES)
    with pytest.raises(FailedPrecondition) as caught:
        confined.plan(NOTHING_ASKED)
    assert caught.value.message == "isolation host is not possible on this host: mounts: Function not implemented"
    assert caught.value.obj == "isolation"
    assert caught.value.hint.startswith("`jsched doctor` says what is missing")
    assert confined.plan(Confinement(mode=Mode.NONE)).sandbox is None


def test_walls_that_are_not_required(make: Make, tmp_path: Path) -> None:
    """A job that asks for none is started without, and its walls say so; who asks for one is refused."""
    confined = make(trials=LACKING, required=False)
    assert confined.plan(NOTHING_ASKED).walls == Walls(Mode.NONE, Network.HOST)
    for asked in (Confinement(mode=Mode.HOST), Confinement(network=Network.NONE)):
        with pytest.raises(FailedPrecondition, match="is not possible on this host"):
            confined.plan(asked)
    with pytest.raises(PermissionDenied):
        confined.plan(Confinement(network=Network.HOST))
    with pytest.raises(FailedPrecondition, match=r"^isolation rootfs is not possible on this host: mounts: "):
        confined.plan(Confinement(rootfs="alpine"), tmp_path)


def test_homes_wherever_they_lie(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home of the server's own user and those of regular users are hidden, and what is bound there is not."""
    with tempfile.TemporaryDirectory(prefix="jsched-", dir="/srv") as directory:
        own, alice, data = (Path(directory) / name for name in ("own", "alice", "data"))
        for path in (own, alice, data):
            path.mkdir()
        os.chmod(directory, 0o755)
        os.chown(alice, 1234, 1234)
        made = make(binds=allowed(alice))
        monkeypatch.setattr(confiner, "regular_homes", lambda: [str(alice)])
        monkeypatch.setattr(confiner, "home_directory", lambda: str(own))
        monkeypatch.setattr(confiner, "try_walls_apart", lambda walls: None)
        made = Confiner(made._config)
        for network in (Network.NONE, Network.HOST):
            walls = made._of_host(network.value)
            assert {str(own), str(alice), "/home", "/root"} <= set(walls.hidden)
            assert directory not in walls.hidden and str(data) not in walls.hidden
        bound = made.plan(Confinement(binds=(Bind(str(alice), str(alice)),)))
        assert bound.sandbox is not None
        assert bound.sandbox(0).binds == (sandbox.Bind(str(alice), str(alice)),)


@pytest.mark.parametrize("required", [True, False])
def test_walls_that_could_not_be_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: bool) -> None:
    """A trial without an answer leads neither to weaker walls nor to none: there is no server then."""
    tried = []

    def no_answer(walls: sandbox.Sandbox) -> None:
        tried.append(walls)
        raise Unavailable("no answer")

    monkeypatch.setattr(confiner, "try_walls_apart", no_answer)
    (tmp_path / "data").mkdir()
    rules = IsolationConfig(required=required)
    with pytest.raises(Unavailable, match="no answer"):
        Confiner(Config(data_dir=tmp_path / "data", log_dir=tmp_path / "logs", isolation=rules))
    assert [walls.has_user_namespace for walls in tried] == [True]


def test_a_trial_that_is_killed_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever kills the trial of the best walls each time gets no server, and not one with weaker walls."""
    python, killed = tmp_path / "python", tmp_path / "killed"
    # A user namespace's map begins so, and the weaker walls have none.
    kill = f"case \"$3\" in *'[[0, '*) echo x >>'{killed}'; kill -9 $$;; esac"
    python.write_text(f'#!/bin/sh\n{kill}\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(Unavailable) as caught:
        Confiner(Config(data_dir=tmp_path / "data", log_dir=tmp_path / "logs"))
    assert caught.value.message.endswith("the trial was killed, SIGKILL")
    assert killed.read_text() == "x\n" * 3


def test_a_filter_that_can_not_be_made(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a filter of system calls there are no walls, and no job that needs them."""

    def store(*_: Any) -> Path:
        raise JschedError("no pyseccomp")

    monkeypatch.setattr("jsched.isolation.seccomp.store_program", store)
    with pytest.raises(FailedPrecondition, match="no pyseccomp"):
        make(trials=()).plan(NOTHING_ASKED)


@pytest.mark.parametrize("required", [True, False])
def test_a_filter_that_can_not_be_kept(make: Make, monkeypatch: pytest.MonkeyPatch, required: bool) -> None:
    """A full disk is no reason to run jobs without walls: there is no server then."""

    def store(*_: Any) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jsched.isolation.seccomp.store_program", store)
    with pytest.raises(FailedPrecondition, match="No space left on device") as caught:
        make(trials=(), required=required)
    assert caught.value.obj == "data_dir"


def test_directories_that_can_not_be_hidden(make: Make, tmp_path: Path) -> None:
    """A server whose logs are in the root directory can wall in nobody, and says so to each job."""
    config = Config(data_dir=tmp_path / "server/data", log_dir=Path("/"))
    with pytest.raises(FailedPrecondition, match="the root directory can't be hidden from a job"):
        Confiner(config).plan(NOTHING_ASKED)
