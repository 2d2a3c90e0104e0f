"""Image archives: which layers the image has, and where in the archive they are.

Both forms are read: what `docker save` writes (manifest.json) and the OCI image layout that
`skopeo copy ... oci-archive:` writes (oci-layout, index.json). Sources: the OCI image
specification, image-layout.md, image-index.md and manifest.md; the Docker image specification v1.2.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any

from jsched.archive import names, tar
from jsched.archive.refusal import MEBIBYTE, Budget, Limits, Refused, shown
from jsched.archive.section import Section
from jsched.archive.stream import PIECE, Stream
from jsched.archive.tar import Members

# Layouts begin with blobs or oci-layout; docker's form with a layer or the configuration, named by digest.
_FIRST = re.compile(
    rb"blobs|oci-layout|repositories|(manifest|index)\.json|(sha256:)?[0-9a-f]{64}(\.json|\.tar(\.gz)?)?"
)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_BLOB = re.compile(rb"blobs/sha256/([0-9a-f]{64})")
_FEW = 16
_MAX_JSON = 4 * MEBIBYTE
_MAX_LAYERS = 128
_MAX_INDEXES = 4
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
# The names that images have for what uname(2) calls the machine.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def begins_like_an_image(section: Section) -> bool:
    """Return whether the first member's name is one that image archives begin with."""
    # Looks at a few headers; what they hold is counted, and what is wrong with them said, when they are unpacked.
    try:
        for member in Members(Stream(section), Budget(Limits(size=0, entries=_FEW, seconds=0))):
            path = names.path_inside(member.name)
            if path:
                return _FIRST.fullmatch(path.split(b"/")[0]) is not None
    except Refused:
        return False
    return False


class ImageArchive:
    """The files of an uncompressed image archive, by name."""

    def __init__(self, section: Section, budget: Budget) -> None:
        self._section = section
        self._files: dict[bytes, tuple[int, int]] = {}
        links: dict[bytes, bytes] = {}
        members = Members(Stream(section), budget)
        for member in members:
            try:
                path = names.path_inside(member.name)
            except Refused as refusal:
                raise refusal.inside(tar.member_shown(member.number, member.name)) from None
            if member.kind == tar.FILE:
                self._files[path] = members.offset, member.size
            elif member.kind == tar.SYMLINK:
                # Older versions of docker write a layer that comes twice as a link to the first.
                links[path] = os.path.normpath(os.path.join(os.path.dirname(path), member.target))
        self._files |= {path: self._files[target] for path, target in links.items() if target in self._files}

    @property
    def is_image(self) -> bool:
        """Whether there is an image in it after all."""
        return not self._files.keys().isdisjoint((b"oci-layout", b"manifest.json"))

    def layers(self) -> list[Section]:
        """Return the image's layers, the lowest first; raises Refused if there is not exactly one image."""
        found = self._of_docker() if b"manifest.json" in self._files else self._of_oci()
        if not found:
            raise Refused("the image has no layers")
        return found

    def _of_docker(self) -> list[Section]:
        images = self._json(b"manifest.json")
        if not isinstance(images, list) or not images:
            raise Refused("manifest.json lists no images")
        if len(images) > 1:
            raise Refused(f"the archive holds {len(images)} images, save one")
        # A name in JSON may have a lone surrogate; it is refused like any other that is not there.
        return [self._blob(path.encode("utf-8", "surrogatepass")) for path in _texts(images[0], "Layers")]

    def _of_oci(self) -> list[Section]:
        where, manifest = self._manifest("index.json", self._json(b"index.json"), _MAX_INDEXES)
        return [self._described(layer, where)[1] for layer in _list(manifest, "layers", where)]

    def _manifest(self, where: str, index: Any, depth: int) -> tuple[str, Any]:
        """Return the manifest of the one image for this machine that an index leads to, after its name."""
        found = [entry for entry in _list(index, "manifests", where) if _for_this_machine(entry)]
        if len(found) != 1:
            raise Refused(f"{where} lists {len(found)} images for this machine, not one")
        name, section = self._described(found[0], where)
        content = self._parse(section, name)
        if isinstance(content, dict) and (content.get("mediaType") in _INDEXES or "manifests" in content):
            if depth == 0:
                raise Refused(f"{name}: more than {_MAX_INDEXES} indexes lead to one another")
            return self._manifest(name, content, depth - 1)
        return name, content

    def _described(self, descriptor: Any, where: str) -> tuple[str, Section]:
        """Return the name of a descriptor's blob, and the blob; its size and digest have to be right."""
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
        if match is None:
            raise Refused(f"{where}: a descriptor has no SHA-256 digest")
        section = self._blob(b"blobs/sha256/" + match[1].encode())
        if descriptor.get("size") != section.size:
            raise Refused(f"blob {match[1]} has {section.size} bytes, not what its descriptor in {where} says")
        return f"blob {match[1]}", section

    def _blob(self, name: bytes) -> Section:
        try:
            path = names.path_inside(name)
        except Refused as refusal:
            raise refusal.inside(f"the image's file {shown(name)}") from None
        place = self._files.get(path)
        if place is None:
            raise Refused(f"the image's file {shown(path)} is not in the archive")
        section = Section(self._section.descriptor, self._section.offset + place[0], place[1])
        if (match := _BLOB.fullmatch(path)) is not None:
            _check_digest(section, match[1].decode())
        return section

    def _json(self, path: bytes) -> Any:
        return self._parse(self._blob(path), path.decode())

    def _parse(self, section: Section, where: str) -> Any:
        if section.size > _MAX_JSON:
            raise Refused(f"{where} has {section.size} bytes, more than {_MAX_JSON}", limit=True)
        try:
            # By UTF-8 alone: for what json takes for another encoding there is no codec behind the walls.
            return json.loads(section.read().decode())
        except (ValueError, RecursionError):
            raise Refused(f"{where} is not JSON") from None


def _check_digest(section: Section, wanted: str) -> None:
    found = hashlib.sha256()
    while data := section.read(PIECE):
        found.update(data)
    section.position = 0
    if found.hexdigest() != wanted:
        raise Refused(f"blob {wanted} is damaged: its digest is another")


def _for_this_machine(entry: Any) -> bool:
    platform = entry.get("platform") if isinstance(entry, dict) else None
    if not isinstance(platform, dict):
        return True
    machine = os.uname().machine
    return platform.get("os") == "linux" and platform.get("architecture") == _ARCHITECTURES.get(machine, machine)


def _list(value: Any, key: str, where: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise Refused(f"{where} has no list of {key}")
    if len(found) > _MAX_LAYERS:
        raise Refused(f"{where} lists {len(found)} {key}, more than {_MAX_LAYERS}", limit=True)
    return found


def _texts(value: Any, key: str) -> list[str]:
    found = _list(value, key, "manifest.json")
    if not all(isinstance(text, str) for text in found):
        raise Refused(f"the {key} in manifest.json are not names")
    return found
