from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.helpers.archives import docker_archive, member, oci_archive, small, symlink, tar
from tests.helpers.trees import names
from tests.unit.archive.conftest import Unpack

BASE = tar(
    member("etc/"),
    member("etc/keep", b"keep"),
    member("etc/gone", b"gone"),
    member("var/"),
    member("var/cache/"),
    member("var/cache/a", b"a"),
    member("var/cache/b/"),
    member("var/cache/b/c", b"c"),
    symlink("lib", "usr/lib"),
)


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(docker_archive([small()]), id="docker"),
        pytest.param(gzip.compress(docker_archive([small()])), id="docker, compressed"),
        pytest.param(oci_archive([small()]), id="OCI"),
        pytest.param(oci_archive([small()], compress=False), id="OCI, layers not compressed"),
        pytest.param(oci_archive([small()], nested=True), id="OCI, index of several machines"),
        pytest.param(zstandard.compress(oci_archive([small()])), id="OCI, compressed"),
        pytest.param(docker_archive([zstandard.compress(small())]), id="docker, layer as zstd"),
    ],
)
def test_every_form_of_an_image_gives_its_tree(unpack: Unpack, tmp_path: Path, archive: bytes) -> None:
    """What docker and skopeo write is unpacked to the image's files, and nothing of the image's own is among them."""
    unpack(archive)
    assert names(tmp_path / "tree") == {"usr", "usr/bin", "usr/bin/tool", "usr/bin/same", "bin"}


def test_a_layer_that_comes_twice_may_be_a_link(unpack: Unpack, tmp_path: Path) -> None:
    """Older versions of docker write a layer for the second time as a link to the first."""
    archive = tar(
        member("1" * 64 + "/layer.tar", small()),
        symlink("2" * 64 + "/layer.tar", "../" + "1" * 64 + "/layer.tar"),
        member("manifest.json", b'[{"Layers": ["%s/layer.tar", "%s/layer.tar"]}]' % (b"1" * 64, b"2" * 64)),
    )
    assert unpack(archive).entries == 12
    assert (tmp_path / "tree/usr/bin/tool").is_file()


def test_a_tree_that_only_begins_like_an_image_is_a_tree(unpack: Unpack, tmp_path: Path) -> None:
    """A directory called blobs makes no image."""
    unpack(gzip.compress(tar(member("blobs/"), member("blobs/x", b"x"))))
    assert names(tmp_path / "tree") == {"blobs", "blobs/x"}


def test_a_whiteout_takes_away_what_is_below(unpack: Unpack, tmp_path: Path) -> None:
    """A file and a whole directory of a lower layer go, and nothing shows that they were there."""
    unpack(docker_archive([BASE, tar(member("etc/.wh.gone", b""), member("var/.wh.cache", b""))]))
    assert names(tmp_path / "tree") == {"etc", "etc/keep", "var", "lib"}


@pytest.mark.parametrize("marker_first", [True, False])
def test_an_opaque_directory_shows_its_own_layer_alone(unpack: Unpack, tmp_path: Path, marker_first: bool) -> None:
    """What lower layers put there is gone, what this layer puts there is not, wherever in the layer the marker is."""
    marker = [member("var/cache/.wh..wh..opq", b"")]
    own = [member("var/cache/b/"), member("var/cache/b/new", b"new"), member("var/cache/d/e/f", b"f")]
    upper = [member("var/cache/", mode=0o700), *(marker + own if marker_first else own + marker)]
    unpack(docker_archive([BASE, tar(*upper)]))
    found = {name for name in names(tmp_path / "tree") if name.startswith("var/cache/")}
    assert found == {f"var/cache/{name}" for name in ("b", "b/new", "d", "d/e", "d/e/f")}


def test_a_whiteout_does_not_take_away_its_own_layer(unpack: Unpack, tmp_path: Path) -> None:
    """A whiteout and a new file of the same name in one layer: the new file is there."""
    for order in (1, -1):
        members = [member("etc/.wh.gone", b""), member("etc/gone", b"new")][::order]
        (tmp_path / "tree").rename(tmp_path / "before") if order == -1 else None
        unpack(docker_archive([BASE, tar(*members)]))
        assert (tmp_path / "tree/etc/gone").read_bytes() == b"new"


def test_the_root_may_be_opaque(unpack: Unpack, tmp_path: Path) -> None:
    """A layer whose root is opaque begins anew."""
    unpack(docker_archive([BASE, tar(member(".wh..wh..opq", b""), member("new", b"x"))]))
    assert names(tmp_path / "tree") == {"new"}


def test_a_layer_may_change_what_kind_of_file_something_is(unpack: Unpack, tmp_path: Path) -> None:
    """A file may take a directory's place, a directory a link's or file's, and what was in it is gone."""
    upper = tar(member("var/cache", b"now a file"), member("lib/"), member("lib/x", b"x"), member("etc/gone/"))
    unpack(docker_archive([BASE, upper]))
    tree = tmp_path / "tree"
    assert names(tree) == {"etc", "etc/keep", "etc/gone", "var", "var/cache", "lib", "lib/x"}
    assert (tree / "var/cache").read_bytes() == b"now a file"
    assert (tree / "etc/gone").is_dir()


def test_whiteouts_of_nothing_are_harmless(unpack: Unpack, tmp_path: Path) -> None:
    """Markers for what is not there, and what AUFS left behind, change nothing."""
    of_aufs = [member(".wh..wh.plnk/"), member(".wh..wh.plnk/1", b""), member(".wh..wh.aufs", b"")]
    upper = tar(member("no/where/.wh.x", b""), member("etc/.wh.none", b""), *of_aufs)
    unpack(docker_archive([BASE, upper]))
    assert "etc/keep" in names(tmp_path / "tree")
    assert not [name for name in names(tmp_path / "tree") if ".wh." in name]


def test_a_directory_keeps_the_last_layer_s_mode(unpack: Unpack, tmp_path: Path) -> None:
    """A directory of a lower layer gets the mode and time of the last layer that has it."""
    unpack(docker_archive([tar(member("d/", mode=0o700)), tar(member("d/", mode=0o711, mtime=5))]))
    assert (tmp_path / "tree/d").stat().st_mode & 0o777 == 0o711
    assert (tmp_path / "tree/d").stat().st_mtime == 5


def test_hard_links_reach_into_lower_layers(unpack: Unpack, tmp_path: Path) -> None:
    """A link may be to a file that an earlier layer has brought."""
    upper = tar(member("etc/again", type=tarfile.LNKTYPE, linkname="etc/keep"))
    unpack(docker_archive([BASE, upper]))
    assert os.path.samefile(tmp_path / "tree/etc/again", tmp_path / "tree/etc/keep")


def test_in_a_plain_archive_a_whiteout_is_a_file(unpack: Unpack, tmp_path: Path) -> None:
    """Only layers have whiteouts."""
    unpack(tar(member("a", b"x"), member(".wh.a", b"")))
    assert names(tmp_path / "tree") == {"a", ".wh.a"}
