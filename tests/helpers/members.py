"""A server with callers of any name and role, whose jobs and root file systems are there before it starts."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from jsched.certificates import make_ca, make_server
from jsched.job import Job, JobSpec
from jsched.linux import process
from jsched.rootfs import Rootfs
from jsched.state import JobState
from jsched.store import Store
from tests.helpers.certificates import make_odd_client, utf8_string, write_server_files
from tests.helpers.server import Server


def write_certificates(directory: Path, members: Iterable[tuple[str, str]], *, in_ou: bool = False) -> None:
    """Write what a server needs, and for each member (user and role) a certificate and a client configuration.

    The role is in the role extension, or with `in_ou` in the organizational unit alone.
    """
    server_ca, client_ca = make_ca("test server CA"), make_ca("test client CA")
    write_server_files(directory, make_server(server_ca), [client_ca])
    (directory / "server-ca.crt").write_bytes(server_ca.certificate_pem)
    for user, role in members:
        where = {"units": (role,), "roles": ()} if in_ou else {"roles": (utf8_string(role),)}
        client = make_odd_client(client_ca, users=(user,), **where)
        (directory / f"{user}.crt").write_bytes(client.certificate_pem)
        (directory / f"{user}.key").write_bytes(client.key_pem)
        (directory / f"{user}.key").chmod(0o600)
        (directory / f"{user}.toml").write_text(
            f'server = "localhost:1"\nca = "server-ca.crt"\ncert = "{user}.crt"\nkey = "{user}.key"\n'
        )


def put_jobs(server: Server, owners: Iterable[str]) -> list[str]:
    """Write an ended job with a log into a stopped server's files for each of these owners; return the jobs' ids."""
    return asyncio.run(_put_jobs(server, list(owners)))


async def _put_jobs(server: Server, owners: list[str]) -> list[str]:
    for directory in (server.data_dir, server.log_dir):
        directory.mkdir(parents=True, exist_ok=True)
    store = Store(server.data_dir / "state.db", lambda _: None)
    await store.open()
    ids = []
    for owner in owners:
        job_id = str(uuid.uuid4())
        log = server.log_dir / f"{job_id}.log"
        log.write_text(f"output of {owner}\n")
        job = Job(job_id, JobSpec(["true"]), owner, JobState.PENDING, datetime.now(UTC), str(log))
        await store.insert(job, None, process.boot_id())
        await store.advance(job_id, JobState.PENDING, JobState.COMPLETED, {"exit_code": 0})
        ids.append(job_id)
    await store.close()
    return ids


def put_trees(server: Server, names: dict[str, str]) -> None:
    """Write a root file system into a stopped server's files for each name, with its owner."""
    asyncio.run(_put_trees(server, names))


async def _put_trees(server: Server, names: dict[str, str]) -> None:
    store = Store(server.data_dir / "state.db", lambda _: None)
    await store.open()
    for name, owner in names.items():
        digest = hashlib.sha256(name.encode()).hexdigest()
        (server.data_dir / "rootfs" / digest).mkdir(parents=True)
        await store.rootfs.insert(Rootfs(name, digest, 0, 0, owner, datetime.now(UTC)))
    await store.close()
