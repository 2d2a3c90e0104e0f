"""Binds: which places of the host a job may be shown, and in which words the others are refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jsched.allowance import Allowance
from jsched.binds import allowed_bind
from jsched.confinement import Bind
from jsched.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from jsched.isolation import sandbox
from jsched.isolation_config import AllowedBind, IsolationConfig

Judge = Callable[[Bind], sandbox.Bind]
MakeJudge = Callable[..., Judge]


@pytest.fixture
def judge(tmp_path: Path) -> MakeJudge:
    """Return what judges binds where these lines of the configuration say what is allowed, besides the server's own."""
    private = [tmp_path / "server/data", tmp_path / "server/logs"]
    for path in private:
        path.mkdir(parents=True)

    def judge(*lines: AllowedBind) -> Judge:
        allowance = Allowance(IsolationConfig(binds=lines))
        return lambda bind: allowed_bind(bind, allowance, private)

    return judge


def test_a_name_that_begins_alike_is_not_allowed(judge: MakeJudge, tmp_path: Path) -> None:
    """Neither a neighbour of a listed directory nor what it lies in may be bound."""
    for name in ("shared", "shared-not"):
        (tmp_path / name).mkdir()
    allowed = judge(AllowedBind(tmp_path / "shared", True))
    for source in (f"{tmp_path}/shared-not", str(tmp_path), "/"):
        with pytest.raises(PermissionDenied, match=f"^bind {source} is not allowed on this server "):
            allowed(Bind(source, "/mnt"))


def test_a_link_is_where_it_leads_to(judge: MakeJudge, tmp_path: Path) -> None:
    """A link out of a listed directory is refused, one into it is not, and what is mounted has no link in it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "shared").symlink_to("real")
    (tmp_path / "real/out").symlink_to("/etc")
    allowed = judge(AllowedBind(tmp_path / "shared", True))
    with pytest.raises(PermissionDenied, match=f"^bind {tmp_path}/shared/out is not allowed on this server "):
        allowed(Bind(f"{tmp_path}/shared/out", "/mnt"))
    with pytest.raises(PermissionDenied):
        allowed(Bind(f"{tmp_path}/shared/out/passwd", "/mnt"))
    assert allowed(Bind(f"{tmp_path}/shared", "/mnt")).source == f"{tmp_path}/real"


def test_links_without_end(judge: MakeJudge, tmp_path: Path) -> None:
    """A bind whose source is a chain of more links than Linux would ever follow is refused like one that is a loop."""
    (tmp_path / "0").mkdir()
    for number in range(1200):
        (tmp_path / str(number + 1)).symlink_to(str(number))
    with pytest.raises(FailedPrecondition, match="Too many levels of symbolic links"):
        judge(AllowedBind(tmp_path, True))(Bind(str(tmp_path / "1200"), "/mnt"))


def test_a_link_that_changes_after_it_was_judged(
    judge: MakeJudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is mounted is the very path that was found to be allowed, though a job changes the link in between."""
    (tmp_path / "shared/in").mkdir(parents=True)
    link = tmp_path / "shared/link"
    link.symlink_to("in")
    allowed = judge(AllowedBind(tmp_path / "shared", True))
    real = os.path.realpath

    def realpath(path: Any, **options: Any) -> Any:
        found = real(path, **options)
        if os.fspath(path) == str(link):
            link.unlink()
            link.symlink_to("/etc")
        return found

    monkeypatch.setattr(os.path, "realpath", realpath)
    assert allowed(Bind(str(link), "/mnt")).source == f"{tmp_path}/shared/in"


def test_read_only_directories(judge: MakeJudge, tmp_path: Path) -> None:
    """What is listed with `:ro` may be read and not written, unless another line allows that."""
    (tmp_path / "shared/open").mkdir(parents=True)
    allowed = judge(AllowedBind(tmp_path / "shared", False), AllowedBind(tmp_path / "shared/open", True))
    assert not allowed(Bind(f"{tmp_path}/shared", "/mnt")).writable
    assert allowed(Bind(f"{tmp_path}/shared/open", "/mnt", writable=True)).writable
    with pytest.raises(PermissionDenied, match=f"^bind {tmp_path}/shared is not allowed on this server "):
        allowed(Bind(f"{tmp_path}/shared", "/mnt", writable=True))


@pytest.mark.parametrize("source", ["", "/server", "/server/data", "/server/logs", "/server/data/rootfs", "/link"])
def test_the_servers_own_files(judge: MakeJudge, tmp_path: Path, source: str) -> None:
    """What holds, or lies in, a directory of the server's own is not bound, though a line of the list has it."""
    (tmp_path / "link").symlink_to("server/data")
    with pytest.raises(PermissionDenied) as caught:
        judge(AllowedBind(tmp_path, True))(Bind(f"{tmp_path}{source}", "/mnt"))
    assert caught.value.message == f"bind {tmp_path}{source} would show the server's own files"
    assert caught.value.obj == "binds"


def test_a_bind_that_is_not_there(judge: MakeJudge, tmp_path: Path) -> None:
    """It is told that a listed directory has no such file; of other directories nothing is told."""
    (tmp_path / "shared").mkdir()
    allowed = judge(AllowedBind(tmp_path / "shared", True))
    with pytest.raises(FailedPrecondition) as caught:
        allowed(Bind(f"{tmp_path}/shared/no", "/mnt"))
    assert caught.value.message == f"bind {tmp_path}/shared/no: No such file or directory"
    with pytest.raises(PermissionDenied):
        allowed(Bind(f"{tmp_path}/no", "/mnt"))


@pytest.mark.parametrize(
    "target", ["/dev", "/dev/null", "/dev/shm/data", "/proc", "/proc/sys", "/sys", "/sys/fs", "//dev/.//", "/./proc"]
)
def test_targets_that_are_a_jobs_own(judge: MakeJudge, tmp_path: Path, target: str) -> None:
    """Nothing is bound over what jsched mounts for every job and needs itself, and the error names the bind."""
    with pytest.raises(InvalidArgument) as caught:
        judge(AllowedBind(tmp_path, True))(Bind(f"{tmp_path}/x", target))
    assert caught.value.message.startswith(f"bind {tmp_path}/x:{target} would cover what a job has at /")
    assert (caught.value.obj, caught.value.hint) == ("binds", "name a target outside of /dev, /proc, /sys")


@pytest.mark.parametrize("target", ["/devices", "/process", "/srv/dev", "/tmp/proc", "/run/sys"])
def test_targets_that_sound_alike(judge: MakeJudge, tmp_path: Path, target: str) -> None:
    """A target that only has a reserved name in it is like any other."""
    (tmp_path / "x").mkdir()
    assert judge(AllowedBind(tmp_path, True))(Bind(f"{tmp_path}/x", target)).target == target


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOENT, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("changing", ["shared/x", "shared", "server/data"])
def test_a_path_that_changes_while_it_is_looked_at(
    judge: MakeJudge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, changing: str
) -> None:
    """A link that is swapped for a directory in that moment makes a refusal that names the bind, no defect."""
    (tmp_path / "shared/x").mkdir(parents=True)
    allowed = judge(AllowedBind(tmp_path / "shared", True))
    real = os.path.realpath

    def realpath(path: Any, **options: Any) -> Any:
        if os.fspath(path) == str(tmp_path / changing):
            raise OSError(number, os.strerror(number), path)
        return real(path, **options)

    monkeypatch.setattr(os.path, "realpath", realpath)
    with pytest.raises(FailedPrecondition) as caught:
        allowed(Bind(f"{tmp_path}/shared/x", "/mnt"))
    assert caught.value.message == f"bind {tmp_path}/shared/x: {os.strerror(number)}"
    assert caught.value.obj == "binds"
    assert caught.value.hint
