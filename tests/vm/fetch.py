"""Getting a back end's kernel and busybox from the distribution's archive, without installing them."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.vm import image, modules
from tests.vm.backend import Backend
from tests.vm.image import CannotHaveGuest, Image

_BUSYBOX = "busybox-static"
_XZ = b"\xfd7zXZ\0"
_SECONDS = 600
# As the user that asks, who owns the directory; and a machine without a network need not wait for it.
_PLAIN = ("-qq", "-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=0")


def get(backend: Backend) -> Image:
    """Return the back end's files from the cache; what is not there is fetched first.

    Raises CannotHaveGuest, saying what is missing, if this machine can't run or get it.
    """
    if missing := backend.missing():
        raise CannotHaveGuest(missing)
    return image.cached(backend.name) or fetch(backend)


def fetch(backend: Backend) -> Image:
    """Download and unpack the back end's files into the cache, replacing what was there.

    Raises CannotHaveGuest if apt is not there or the archive is out of reach.
    """
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(program) is None:
            raise CannotHaveGuest(f"{program}, to get the guest with")
    target = image.directory(backend.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".new-", dir=target.parent) as name:
        work = Path(name)
        options = _archive(work, backend.package)
        tree = _unpack(work, _kernel_package(backend.package, options), options)
        busybox = next(_unpack(work, _BUSYBOX, options).glob("*bin/busybox"))
        ready = work / "ready"
        (ready / "modules").mkdir(parents=True)
        (ready / "kernel").write_bytes(_kernel(next(tree.glob(backend.kernel))))
        (ready / "kernel").chmod(0o755)
        shutil.copy2(busybox, ready / "busybox")
        for number, path in enumerate(modules.in_loading_order(tree, backend.modules)):
            shutil.copyfile(path, ready / "modules" / f"{number:02}-{path.name}")
        shutil.rmtree(target, ignore_errors=True)
        ready.rename(target)
    found = image.cached(backend.name)
    assert found is not None
    return found


def _archive(work: Path, package: str) -> list[str]:
    """Return apt's options for package lists that know `package`: the machine's, or new ones of our own."""
    if re.search(r"Candidate: [^(]", _run(["apt-cache", "policy", package])):
        return []
    lists = work / "lists"
    (lists / "partial").mkdir(parents=True)
    cache = work / "cache"
    (cache / "archives" / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
    _run(["apt-get", *_PLAIN, "-o", "APT::Update::Error-Mode=any", *options, "update"])
    return options


def _kernel_package(package: str, options: list[str]) -> str:
    """Return the package that has the files: linux-image-amd64 only depends on it."""
    depends = re.search(r"Depends: (linux-image-\S+)", _run(["apt-cache", *options, "depends", package]))
    return depends[1] if depends else package


def _unpack(work: Path, package: str, options: list[str]) -> Path:
    tree = work / package
    tree.mkdir()
    _run(["apt-get", *_PLAIN, *options, "download", package], tree)
    for deb in tree.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(deb), str(tree)])
    return tree


def _kernel(path: Path) -> bytes:
    """Return the kernel in the file, unpacked: under emulation that alone would take seconds."""
    content = path.read_bytes()
    if content.startswith(b"\x7fELF"):
        return content
    return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(content[content.index(_XZ) :])


def _run(command: list[str], directory: Path | None = None) -> str:
    """Run a program and return what it printed."""
    plain = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=directory, env=plain, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CannotHaveGuest(f"an answer from the package archive ({command[0]} took {_SECONDS} s)") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise CannotHaveGuest(f"the guest's packages ({command[0]}: {said[-1]})")
    return done.stdout
