"""Attempts to reach the network, and services of the host."""

from __future__ import annotations

import os
import socket

from tests.helpers.escapes.attempt import Host, NothingToTry, attempt

_SECONDS = 3
# Addresses that belong to nobody, RFC 5737 and RFC 3849; nothing is sent, a route is enough.
_NOBODY, _NOBODY_6 = ("192.0.2.1", 9), ("2001:db8::1", 9)


@attempt("network: a service of the host")
def _connect(host: Host) -> None:
    if host.address is None:
        raise NothingToTry
    socket.create_connection(host.address, _SECONDS).close()


@attempt("network: a Unix socket of the host")
def _connect_unix(host: Host) -> None:
    if host.socket is None:
        raise NothingToTry
    name = "\0" + host.socket[1:] if host.socket.startswith("@") else host.socket
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(name)


@attempt("network: sending to another machine")
def _send(_: Host) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(_NOBODY)


@attempt("network: sending to another machine, IPv6")
def _send_6(_: Host) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.connect(_NOBODY_6)


@attempt("network: raw IP")
def _raw(_: Host) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


@attempt("network: raw frames")
def _packet(_: Host) -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


@attempt("network: changing the host's name")
def _hostname(_: Host) -> None:
    socket.sethostname(os.uname().nodename)
