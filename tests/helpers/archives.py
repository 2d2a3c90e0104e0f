"""Archives as anybody could make them, good and bad."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

BLOCK = 512


def member(name: str, content: bytes | None = None, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member: a file with this content, a directory if the name ends in "/", or what `type` says."""
    info = tarfile.TarInfo(name)
    if content is None and name.endswith("/"):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    for field, value in fields.items():
        setattr(info, field, value)
    info.size = len(content or b"")
    return info, content or b""


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """Return a symbolic link."""
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """Return a hard link."""
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def device(name: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    """Return a character or block device, 1:3."""
    return member(name, type=kind, devmajor=1, devminor=3)


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar archive of these members, in this order."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    """Return a pax header with these bytes as its records, whatever they are."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = kind, len(records)
    return info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % BLOCK)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a header alone, that says so many bytes follow."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def record(keyword: bytes, value: bytes) -> bytes:
    """Return one record of a pax header, with its right length."""
    rest = b" " + keyword + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def small() -> bytes:
    """Return a small good archive: usr/bin/tool with a link to it, bin as a symbolic link."""
    return tar(
        member("./"),
        member("./usr/"),
        member("./usr/bin/"),
        member("./usr/bin/tool", b"#!/bin/sh\n", mode=0o755),
        hard_link("./usr/bin/same", "./usr/bin/tool"),
        symlink("./bin", "usr/bin"),
    )


def digest(content: bytes) -> str:
    """Return a SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def docker_archive(layers: Iterable[bytes], **more: bytes) -> bytes:
    """Return what `docker save` writes for an image of these layers."""
    layers = list(layers)
    names = [f"{digest(layer)}/layer.tar" for layer in layers]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["x:1"], "Layers": names}]).encode()
    files = dict(zip(names, layers, strict=True)) | {"manifest.json": manifest} | more
    return tar(*(member(name, content) for name, content in files.items()))


def oci_archive(
    layers: Iterable[bytes], *, compress: bool = True, blobs: Mapping[str, bytes] | None = None, nested: bool = False
) -> bytes:
    """Return an OCI image layout as an archive; `blobs` replaces some of its blobs by digest."""
    layers = [gzip.compress(layer, 1) if compress else layer for layer in layers]
    config = b"{}"
    kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if compress else "")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor(config, "application/vnd.oci.image.config.v1+json"),
            "layers": [_descriptor(layer, kind) for layer in layers],
        }
    ).encode()
    content = [config, manifest, *layers]
    top = _descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")
    if nested:
        other = _descriptor(b"{}", "application/vnd.oci.image.manifest.v1+json")
        other["platform"] = {"os": "linux", "architecture": "s390x"}
        inner = json.dumps({"schemaVersion": 2, "manifests": [other, top]}).encode()
        content.append(inner)
        top = _descriptor(inner, "application/vnd.oci.image.index.v1+json")
    files = {f"blobs/sha256/{digest(blob)}": blob for blob in content}
    files |= {f"blobs/sha256/{name}": blob for name, blob in (blobs or {}).items()}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    return tar(member("blobs/"), member("blobs/sha256/"), *(member(name, blob) for name, blob in files.items()))


def _descriptor(content: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{digest(content)}", "size": len(content)}
