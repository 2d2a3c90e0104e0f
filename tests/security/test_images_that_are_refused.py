"""Image archives that are not whole, or that want out of their tree: each refused, saying which part of it and why."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from pathlib import Path

import pytest

from jsched.config import Config
from tests.helpers.archives import device, digest, docker_archive, member, oci_archive, small, symlink, tar
from tests.helpers.library import refusal, small_config

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small_config(tmp_path)


def oci(files: dict[str, bytes]) -> bytes:
    """Return an OCI image layout of these files, whatever they are."""
    return tar(member("oci-layout", b"{}"), *(member(name, content) for name, content in files.items()))


def index(manifest: bytes) -> bytes:
    """Return an index that leads to this manifest."""
    return json.dumps({"manifests": [{"digest": f"sha256:{digest(manifest)}", "size": len(manifest)}]}).encode()


IMAGES = [
    (
        "an image that lacks a layer",
        docker_archive([small()], **{"manifest.json": b'[{"Layers": ["gone"]}]'}),
        "'gone' is not in the archive",
    ),
    (
        "two images",
        docker_archive([small()], **{"manifest.json": b'[{"Layers": []}, {"Layers": []}]'}),
        "holds 2 images",
    ),
    ("no layers", docker_archive([], **{"manifest.json": b'[{"Layers": []}]'}), "the image has no layers"),
    ("a manifest that is no JSON", docker_archive([small()], **{"manifest.json": b"["}), "not JSON"),
    ("a manifest without end", docker_archive([small()], **{"manifest.json": b"[" * 100_000}), "not JSON"),
    ("a manifest of something else", docker_archive([small()], **{"manifest.json": b'{"a": 1}'}), "lists no images"),
    (
        "a layer outside",
        docker_archive([small()], **{"manifest.json": b'[{"Layers": ["../../etc/passwd"]}]'}),
        r"the image's file '\.\./\.\./etc/passwd': its name has a '\.\.'",
    ),
    (
        "a layer whose name is no text",
        docker_archive([small()], **{"manifest.json": b'[{"Layers": ["\\ud800\\n"]}]'}),
        r"file '\\xed\\xa0\\x80\\u000a' is not in the archive",
    ),
    (
        "a manifest in UTF-16",
        docker_archive([small()], **{"manifest.json": '[{"Layers": []}]'.encode("utf-16")}),
        "manifest.json is not JSON",
    ),
    (
        "a manifest without layers",
        docker_archive([small()], **{"manifest.json": b"[{}]"}),
        "manifest.json has no list of Layers",
    ),
    (
        "layers without names",
        docker_archive([small()], **{"manifest.json": b'[{"Layers": [1]}]'}),
        "the Layers in manifest.json are not names",
    ),
    (
        "too many layers",
        docker_archive([small()], **{"manifest.json": json.dumps([{"Layers": ["x"] * 129}]).encode()}),
        "manifest.json lists 129 Layers, more than 128",
    ),
    ("an index without images", oci({"index.json": b"{}"}), "index.json has no list of manifests"),
    (
        "an index with no digest",
        oci({"index.json": b'{"manifests": [{"digest": "x"}]}'}),
        "index.json: a descriptor has no SHA-256 digest",
    ),
    (
        "an OCI manifest that is no JSON",
        oci({"index.json": index(b"["), f"blobs/sha256/{digest(b'[')}": b"["}),
        f"blob {digest(b'[')} is not JSON",
    ),
    (
        "an OCI manifest without layers",
        oci({"index.json": index(b"{}"), f"blobs/sha256/{digest(b'{}')}": b"{}"}),
        f"blob {digest(b'{}')} has no list of layers",
    ),
    (
        "a layer that is cut off",
        docker_archive([small(), gzip.compress(small())[:-9]]),
        "layer 2: after member 6 './bin': the gzip data is cut off",
    ),
    (
        "a layer that leads out",
        docker_archive([small(), tar(member("../x", b"x"))]),
        r"layer 2: member 1 '../x': its name has a '\.\.'",
    ),
    (
        "a layer with a device",
        oci_archive([tar(device("null", tarfile.CHRTYPE))]),
        "layer 1: member 1 'null': it is a character device",
    ),
    (
        "a layer through the link of another",
        docker_archive([tar(symlink("a", "/etc")), tar(member("a/passwd", b"x"))]),
        "layer 2: .* through a symbolic link",
    ),
    (
        "a whiteout through a link",
        docker_archive([tar(symlink("a", "/etc")), tar(member("a/.wh.passwd", b""))]),
        "layer 2: .* through a symbolic link",
    ),
    (
        "a whiteout of the directory itself",
        docker_archive([small(), tar(member("usr/.wh..", b""))]),
        "takes away what has no name",
    ),
    (
        "a whiteout of the directory above",
        docker_archive([small(), tar(member("usr/.wh...", b""))]),
        "takes away what has no name",
    ),
    ("a whiteout of nothing", docker_archive([small(), tar(member("usr/.wh.", b""))]), "takes away what has no name"),
    (
        "a damaged blob",
        oci_archive([small()], blobs={digest(gzip.compress(small(), 1)): gzip.compress(small(), 9)}),
        "damaged|has .* bytes",
    ),
    (
        "an image that does not begin like one",
        tar(member("a", b"x"), member("oci-layout", b"{}")),
        "a file of an image archive",
    ),
]


@pytest.mark.parametrize(("content", "reason"), [pytest.param(*case, id=name) for name, *case in IMAGES])
def test_images_are_refused_for_the_same_reasons(config: Config, content: bytes, reason: str) -> None:
    """What is wrong in a layer or with the image itself is refused, saying in which layer."""
    error = refusal(config, content)
    assert re.search(reason, error.message), error.message
