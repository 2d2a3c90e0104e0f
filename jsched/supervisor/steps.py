"""The steps of a launch: which one failed, and with which errno."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from jsched.isolation.init_process import StepFailed

__all__ = ["StepFailed", "step"]

T = TypeVar("T")


def step(name: str, action: Callable[..., T], *arguments: object) -> T:
    """Do one step and return what it returns; raises StepFailed with its name if the kernel refuses it."""
    try:
        return action(*arguments)
    except OSError as error:
        raise StepFailed(name, error.errno or errno.EIO) from error
    except ValueError as error:
        raise StepFailed(name, errno.EINVAL) from error
    except MemoryError as error:
        raise StepFailed(name, errno.ENOMEM) from error
