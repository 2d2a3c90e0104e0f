"""Where large blocks of memory come from: it is not the same while connections begin as while logs are sent.

gRPC puts each line of its trace of handshakes together in a block of 30 KiB, and where that lay are
the buffers of the new connection afterwards, nearly empty, on pages that were written to: 11 KiB a
connection. With a mapping of its own, such a block leaves nothing behind. But the blocks that
logs are sent in would have mappings, too, and the kernel would clear each of their pages anew,
which takes twice as long as all the rest. So whichever came last decides: a connection that
begins, or a large message.
"""

from __future__ import annotations

import threading

from jsched.linux import heap

# More than any block that a connection keeps (17,408 bytes), less than one of the trace's lines (30,544).
_BEGINNING = 24 * 1024
# More than the largest message.
_SENDING = 4 * 1024 * 1024
# What is freed after one large message is needed for the next.
_KEPT = 4 * 1024 * 1024


class _Setting:
    """What was said last; the C library has one setting a process, and so is this."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size = 0

    def set(self, size: int) -> None:
        """Say so if it is something else."""
        if self._size == size:
            return
        # What is noted and what holds must not differ for good.
        with self._lock:
            heap.map_from(size)
            self._size = size


_map_from = _Setting()


def prepare() -> None:
    """Have enough of freed memory kept for the next message; to be called once, before there are connections."""
    heap.keep(_KEPT)
    connection_begins()


def connection_begins() -> None:
    """Note that gRPC is about to make what a connection needs; from any thread."""
    _map_from.set(_BEGINNING)


def message_passes(size: int) -> None:
    """Note that a message of `size` bytes is sent or has come; from any thread."""
    if size > _BEGINNING:
        _map_from.set(_SENDING)
