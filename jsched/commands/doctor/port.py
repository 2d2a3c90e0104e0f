"""The address that the server is to listen on."""

from __future__ import annotations

import errno

from jsched.commands.doctor.finding import Finding, fail, ok
from jsched.config import Config, split_address
from jsched.linux import listeners


def port(config: Config) -> Finding:
    """Whether the port is free, or taken by the server of this very data directory."""
    host, number = split_address(config.listen)
    try:
        listeners.try_to_listen(host, number)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            advice = "set listen to an address of this host, with a port from 1024 on unless the server is root"
            return fail("port", f"{config.listen}: {error.strerror}", advice)
    else:
        return ok("port", f"{config.listen} is free")
    holder = listeners.find_listener(number)
    if holder is None:
        return fail("port", f"{config.listen} is taken by a process that this user may not look into", "set another")
    if listeners.has_open(holder.pid, config.data_dir / "lock"):
        return ok("port", f"{config.listen} is served by process {holder.pid}")
    return fail(
        "port", f"{config.listen} is taken by process {holder.pid} ({holder.command})", "end it, or set another"
    )
