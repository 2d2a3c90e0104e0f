"""The process that unpacks one archive.

Started by: the server (`unpacking.py`), by exec, with an order as its argument.
Owns: the prisoner that it forks, which does the work inside the walls of `jail.py`.
Ends: when the prisoner has; or when the server closes its stdin, is gone, or the time is up:
the prisoner is killed then, as it is if this process is.

What the prisoner answers comes from where a stranger's bytes were read, so it is passed on as
it is, up to a length, and believed by nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import time
import traceback
from typing import Any, NamedTuple, NoReturn

from jsched.archive import jail
from jsched.archive.image import ImageArchive, begins_like_an_image
from jsched.archive.refusal import Budget, Limits, Refused
from jsched.archive.section import Section
from jsched.archive.stream import Stream
from jsched.archive.tree import Tree
from jsched.archive.unpack import make_mount_points, unpack
from jsched.linux import priority
from jsched.linux.namespaces import CLONE_NEWUSER, unshare
from jsched.linux.syscalls import syncfs

MAX_ANSWER = 64 * 1024
_STDIN, _STDOUT = 0, 1
_ABOVE_ALL = 16
_FRAMES = 8
_READY = b"r"


class Order(NamedTuple):
    """What to unpack: the archive's length, the directory's path, device and inode, and whether files get owners.

    `program` is the filter of the prisoner's system calls; empty, there is none.
    """

    size: int
    directory: str
    identity: tuple[int, int]
    limits: Limits
    own: bool
    program: bytes


def main(text: str, archive: int) -> NoReturn:
    """Unpack as the order says, print the answer as a line of JSON, and end."""
    size, directory, identity, limits, own, program = json.loads(text)
    order = Order(size, directory, (identity[0], identity[1]), Limits(*limits), own, bytes.fromhex(program))
    # The server comes before jobs, but this may take as long as one.
    priority.give_up_precedence()
    walls = jail.confine_children(own=own)
    result_read, result_write = os.pipe()
    lifeline_read, lifeline_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_the_prisoner(order, walls, archive, result_write, lifeline_read)
    for descriptor in (archive, result_write, lifeline_read):
        os.close(descriptor)
    os.write(_STDOUT, _keep(pid, walls, order, result_read, lifeline_write) + b"\n")
    os._exit(0)


def _keep(pid: int, walls: jail.Walls, order: Order, result: int, lifeline: int) -> bytes:
    """Wait for the prisoner's end, or bring it about, and return the answer."""
    deadline = time.monotonic() + order.limits.seconds
    answer = b""
    poller = select.poll()
    poller.register(result, select.POLLIN)
    poller.register(_STDIN, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        ready = [fd for fd, _ in poller.poll(max(left, 0) * 1000)]
        if not ready:
            _kill(pid)
            return _refusal(f"unpacking it takes longer than {order.limits.seconds} seconds")
        if _STDIN in ready or len(answer) > MAX_ANSWER:
            _kill(pid)
            return _answer({"broken": "it was given up"})
        data = os.read(result, MAX_ANSWER)
        if data == _READY and not answer:
            if walls.user and order.own:
                jail.map_ids(pid)
            os.write(lifeline, _READY)
            continue
        if not data:
            break
        answer += data
    _, status, usage = os.wait4(pid, 0)
    if status == 0 and answer:
        return answer
    if usage.ru_utime + usage.ru_stime >= order.limits.seconds - 1:
        return _refusal(f"unpacking it takes more than {order.limits.seconds} seconds of CPU time")
    return _answer({"broken": f"the process that unpacks ended with {os.waitstatus_to_exitcode(status)}"})


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _be_the_prisoner(order: Order, walls: jail.Walls, archive: int, result: int, lifeline: int) -> NoReturn:
    code = 1
    try:
        _arrange(archive, result, lifeline)
        if walls.user and order.own:
            unshare(CLONE_NEWUSER)
        os.write(jail.RESULT, _READY)
        if os.read(jail.LIFELINE, 1) == _READY:
            answer = _answer(_serve(order, walls))
            # Below what a pipe holds, so it is written whole.
            os.write(jail.RESULT, answer)
            code = 0
    except OSError:
        code = 2
    finally:
        os._exit(code)


def _serve(order: Order, walls: jail.Walls) -> dict[str, Any]:
    try:
        root = jail.enter(order.directory, order.identity, walls, order.limits, own=order.own, program=order.program)
    except OSError as error:
        return {"broken": f"the walls can't be put up: {error}"}
    try:
        done = _unpack_all(Section(jail.ARCHIVE, 0, order.size), root, order.limits, own=order.own)
        return done | {"missing": walls.missing()}
    except Refused as refusal:
        return {"refused": refusal.reason, "limit": refusal.limit}
    except MemoryError:
        return {"refused": f"unpacking it takes more than {order.limits.memory} bytes of memory", "limit": True}
    except OSError as error:
        return {"errno": error.errno or 0, "broken": f"unpacking failed: {error.strerror or error}"}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a defect, and the server has to hear of it
        return {"broken": _traced(error)}


def _unpack_all(archive: Section, root: int, limits: Limits, *, own: bool) -> dict[str, Any]:
    budget = Budget(limits)
    tree = Tree(root, own=own)
    layers = _layers(archive, root, budget) if begins_like_an_image(archive) else None
    archive.position = 0
    if layers is None:
        unpack(Stream(archive), tree, budget)
    for number, layer in enumerate(layers or (), start=1):
        try:
            unpack(Stream(layer), tree, budget, of_image=True)
        except Refused as refusal:
            raise refusal.inside(f"layer {number}") from None
    make_mount_points(tree)
    tree.finish()
    syncfs(root)
    return {"size": tree.size, "entries": budget.entries}


def _layers(archive: Section, root: int, budget: Budget) -> list[Section] | None:
    """Return the layers of an image archive, or None if it only began like one."""
    archive.position = 0
    stream = Stream(archive)
    if stream.compression:
        archive = _spool(stream, root, budget.limits.size)
    image = ImageArchive(archive, Budget(budget.limits))
    return image.layers() if image.is_image else None


def _spool(stream: Stream, root: int, most: int) -> Section:
    """Write out what is compressed, because an image can only be read here and there, to a file without a name."""
    name = b".image"
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root)
    os.unlink(name, dir_fd=root)
    while data := stream.read(most):
        if stream.position > most:
            raise Refused(f"the archive has more than the {most} bytes that are allowed", limit=True)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    return Section(descriptor, 0, stream.position)


def _arrange(archive: int, result: int, lifeline: int) -> None:
    """Put the prisoner's descriptors where they are to stay, and nothing at the places of stdio."""
    places = {jail.ARCHIVE: archive, jail.RESULT: result, jail.LIFELINE: lifeline}
    copies = {place: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_ALL) for place, fd in places.items()}
    null = fcntl.fcntl(os.open(os.devnull, os.O_RDWR), fcntl.F_DUPFD_CLOEXEC, _ABOVE_ALL)
    for place, descriptor in {0: null, 1: null, 2: null, **copies}.items():
        os.dup2(descriptor, place, inheritable=False)
    with contextlib.suppress(OSError):
        os.close(jail.ROOT)


def _refusal(reason: str) -> bytes:
    return _answer({"refused": reason, "limit": True})


def _answer(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode("ascii")


def _traced(error: Exception) -> str:
    return "".join(traceback.format_exception(error, limit=-_FRAMES))[-4000:]
