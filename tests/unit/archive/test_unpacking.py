from __future__ import annotations

import gzip
import lzma
import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from jsched.archive.jail import has_all_ids
from jsched.archive.refusal import Limits
from jsched.archive.tar import NOBODY
from jsched.archive.unpacking import Unpacking
from jsched.errors import InvalidArgument, ResourceExhausted
from tests.helpers.archives import hard_link, member, pax, record, small, symlink, tar
from tests.helpers.compressed import like_pzstd, skippable
from tests.helpers.small_disk import small_disk
from tests.helpers.trees import names, picture
from tests.unit.archive.conftest import LIMITS, Unpack

as_root = pytest.mark.skipif(not has_all_ids(), reason="giving files to other users")


@pytest.mark.parametrize(
    "compress",
    [
        pytest.param(bytes, id="plain"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]), id="gzip twice"),
        pytest.param(lzma.compress, id="xz"),
        pytest.param(zstandard.compress, id="zstd"),
        pytest.param(lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]), id="zstd twice"),
        pytest.param(like_pzstd, id="pzstd"),
        pytest.param(lambda data: lzma.compress(data[:700]) + bytes(8) + lzma.compress(data[700:]), id="xz, padding"),
    ],
)  # fmt: skip
def test_every_compression_gives_the_same_tree(unpack: Unpack, tmp_path: Path, compress: object) -> None:
    """What comes out does not depend on what the archive was compressed with."""
    done = unpack(compress(small()))  # type: ignore[operator]
    tree = tmp_path / "tree"
    assert names(tree) == {"usr", "usr/bin", "usr/bin/tool", "usr/bin/same", "bin"}
    assert (tree / "usr/bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert (tree / "usr/bin/tool").stat().st_ino == (tree / "usr/bin/same").stat().st_ino
    assert os.readlink(tree / "bin") == "usr/bin"
    assert (done.size, done.entries) == (10, 6)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_gives_long_names_and_links(unpack: Unpack, tmp_path: Path, format: int) -> None:
    """Names of 200 bytes and more come through, as far as the format has them, and so do the targets of links."""
    long = "/".join(["d" * 60] * 3)
    members = [member(f"{long}/file", b"x")]
    if format != tarfile.USTAR_FORMAT:
        members += [symlink("link", f"{long}/{'e' * 120}"), hard_link("hard", f"{long}/file")]
    unpack(tar(*members, format=format))
    assert (tmp_path / "tree" / long / "file").read_bytes() == b"x"
    if format != tarfile.USTAR_FORMAT:
        assert os.readlink(tmp_path / "tree/link").endswith("e" * 120)
        assert (tmp_path / "tree/hard").stat().st_nlink == 2


def test_modes_and_times_are_the_archive_s(unpack: Unpack, tmp_path: Path) -> None:
    """Permissions and times are as they were, whatever the umask, and a directory's too although files came into it."""
    unpack(
        tar(
            member("d/", mode=0o750, mtime=1000),
            member("d/f", b"x", mode=0o666, mtime=2000),
            member("late/", mode=0o500),
            member("late/f", b"x"),
        )
    )
    tree = tmp_path / "tree"
    directory, file = (tree / "d").stat(), (tree / "d/f").stat()
    assert (stat.S_IMODE(directory.st_mode), directory.st_mtime) == (0o750, 1000)
    assert (stat.S_IMODE(file.st_mode), file.st_mtime) == (0o666, 2000)
    assert stat.S_IMODE((tree / "late").stat().st_mode) == 0o500


def test_nothing_that_gives_privileges_is_kept(unpack: Unpack, tmp_path: Path) -> None:
    """Setuid and setgid bits, capabilities and other extended attributes are left out; /tmp keeps its sticky bit."""
    capability = record(b"SCHILY.xattr.security.capability", b"\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
    attribute = record(b"SCHILY.xattr.user.note", b"x")
    unpack(
        pax(capability + attribute)
        + tar(
            member("ping", b"x", mode=0o4755),
            member("wall", b"x", mode=0o2755),
            member("d/", mode=0o7777),
            member("tmp/", mode=0o1777),
        )
    )
    tree = tmp_path / "tree"
    modes = {name: stat.S_IMODE((tree / name).stat().st_mode) for name in ("ping", "wall", "d", "tmp")}
    assert modes == {"ping": 0o755, "wall": 0o755, "d": 0o1777, "tmp": 0o1777}
    assert [os.listxattr(tree / name) for name in modes] == [[]] * 4


@as_root
def test_owners_fit_into_the_range_of_ids(unpack: Unpack, tmp_path: Path) -> None:
    """Files, directories and links have the archive's owners, and ids above 65535 become nobody."""
    unpack(
        tar(
            member("f", b"x", uid=1000, gid=33),
            member("d/", uid=65535, gid=0),
            member("far", b"x", uid=65536, gid=2**31 + 1),
            member("link", type=tarfile.SYMTYPE, linkname="f", uid=7, gid=8),
        )
    )
    found = {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in (tmp_path / "tree").iterdir()}
    assert found["f"] == (1000, 33)
    assert found["d"] == (65535, 0)
    assert found["far"] == (NOBODY, NOBODY)
    assert found["link"] == (7, 8)
    assert found["tmp"] == (0, 0)


def test_the_last_of_several_members_of_a_name_counts(unpack: Unpack, tmp_path: Path) -> None:
    """A file or link that comes twice is replaced, never written through, and a directory gets its last mode."""
    unpack(
        tar(
            member("f", b"first"),
            symlink("f", "/etc/passwd"),
            member("f", b"last"),
            member("d/", mode=0o700),
            member("d/", mode=0o711),
            symlink("e", "d"),
            member("e/"),
            member("e/in", b"x"),
        )
    )
    tree = tmp_path / "tree"
    assert (tree / "f").read_bytes() == b"last"
    assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o711
    assert names(tree) == {"f", "d", "e", "e/in"}


def test_replacing_a_file_gives_its_bytes_back(unpack: Unpack) -> None:
    """The size that is told is that of what is there, not of what was written."""
    assert unpack(tar(member("f", b"x" * 1000), member("f", b"y" * 10))).size == 10


def test_absolute_links_are_kept_as_they_are(unpack: Unpack, tmp_path: Path) -> None:
    """A symbolic link to an absolute path stays one: inside the root it means a path of the root."""
    unpack(tar(symlink("usr/bin/awk", "/etc/alternatives/awk"), symlink("a", "../tree"[3:])))
    assert os.readlink(tmp_path / "tree/usr/bin/awk") == "/etc/alternatives/awk"


def test_the_mount_points_are_there(unpack: Unpack, tmp_path: Path) -> None:
    """A tree without /dev, /proc, /sys and /tmp gets them, so that no start of a job has to make them."""
    unpack(tar(member("bin", b"x")))
    assert {path.name for path in (tmp_path / "tree").iterdir() if path.is_dir()} == {"dev", "proc", "sys", "tmp"}
    assert stat.S_IMODE((tmp_path / "tree/tmp").stat().st_mode) == 0o1777


def test_a_time_limit_ends_it(unpack: Unpack) -> None:
    """An archive that takes too long is refused, saying so."""
    large = tarfile.TarInfo("f").tobuf() * 200_000 + bytes(1024)
    with pytest.raises(ResourceExhausted, match=r"takes (longer|more) than 1 seconds"):
        unpack(large, LIMITS._replace(seconds=1, entries=10**9))


@pytest.mark.parametrize(
    "needs",
    [
        pytest.param(lzma.compress(small(), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]), id="xz"),
        # One frame with a window of 128 MiB, and all of it as a raw block.
        pytest.param(
            b"\x28\xb5\x2f\xfd\0\x88" + (1 | len(small()) << 3).to_bytes(3, "little") + small(),
            id="zstd",
        ),
    ],
)
def test_too_little_memory_is_said(unpack: Unpack, needs: bytes) -> None:
    """Data that needs more memory to be read than is allowed is refused for that."""
    with pytest.raises(ResourceExhausted, match="would take too much memory"):
        unpack(needs, LIMITS._replace(memory=64 * 1024 * 1024))


def test_streams_without_content_cost_no_more_than_their_bytes(unpack: Unpack, tmp_path: Path) -> None:
    """Empty frames and skippable ones in any number take no memory, and the time limit holds among them too."""
    frames = (zstandard.compress(b"") + skippable()) * 20_000
    assert unpack(frames + zstandard.compress(small()), LIMITS._replace(memory=64 * 1024 * 1024)).entries == 6
    (tmp_path / "tree").rename(tmp_path / "before")
    with pytest.raises(ResourceExhausted, match=r"takes (longer|more) than 1 seconds"):
        unpack(frames * 100, LIMITS._replace(seconds=1))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (LIMITS._replace(size=100), "more than the 100 bytes"),
        (LIMITS._replace(entries=2), "member 3 'third': the archive has more than 2 members"),
    ],
)
def test_limits_are_named(unpack: Unpack, limits: Limits, reason: str) -> None:
    """What is too much says of what, and how much there may be."""
    with pytest.raises(ResourceExhausted, match=reason):
        unpack(tar(member("first", b"x"), member("second", b"x" * 100), member("third", b"x")), limits)


def test_a_full_disk_is_not_the_archive_s_fault(tmp_path: Path) -> None:
    """Without room for the tree it is ResourceExhausted, and says that it is the disk."""
    (tmp_path / "archive").write_bytes(tar(member("f", b"x" * 4 * 1024 * 1024)))
    with small_disk(tmp_path / "disk", 1024 * 1024) as disk, (tmp_path / "archive").open("rb") as archive:
        (disk / "tree").mkdir(mode=0o700)
        with pytest.raises(ResourceExhausted, match="no space left"):
            Unpacking(archive.fileno(), disk / "tree", LIMITS).run()


def test_an_empty_file_is_no_archive(unpack: Unpack) -> None:
    """A file without a byte is refused."""
    with pytest.raises(InvalidArgument, match="not a tar"):
        unpack(b"")


def test_an_archive_without_members_is_an_empty_tree(unpack: Unpack) -> None:
    """An end mark alone is an archive."""
    assert unpack(tar()).entries == 0


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar")
def test_a_part_of_this_host_is_as_it_was(unpack: Unpack, tmp_path: Path) -> None:
    """What GNU tar packs of a real system comes out with the same names, contents, modes, owners, links and times."""
    made = subprocess.run(["tar", "-C", "/", "-cz", "etc", "usr/sbin"], capture_output=True, check=False).stdout
    unpack(made, LIMITS._replace(size=2**30, entries=100_000))
    for part in ("etc", "usr/sbin"):
        before, after = (_described(root / part) for root in (Path("/"), tmp_path / "tree"))
        assert after == before
        assert len(after) > 50


def _described(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what is to be the same in both trees: nearly all that there is, but no setuid and setgid bits."""
    found: dict[str, tuple[object, ...]] = {}
    for name, (mode, uid, gid, content, _) in picture(root).items():
        assert isinstance(mode, int)
        bits = 0o1777 if stat.S_ISDIR(mode) else 0o777
        owner = (uid, gid) if has_all_ids() else ()
        modified = int((root / name).lstat().st_mtime)
        found[name] = (stat.S_IFMT(mode), mode & bits, owner, content, modified)
    return found
