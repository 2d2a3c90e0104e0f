from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsched.certificates import make_ca, make_client, make_server
from jsched.server.trust import Trust, read_trust
from jsched.server.trust_watch import TrustWatch
from tests.helpers.realm import Realm
from tests.helpers.trust import make_list
from tests.helpers.wait import wait_until

DEADLINE = 30.0


class Watched:
    """A watch on a realm's files, with an event loop of its own; `told` has the trust at each time it told."""

    def __init__(self, realm: Realm, loop: asyncio.AbstractEventLoop) -> None:
        self.realm = realm
        self.told: list[Trust] = []
        self.threads: set[str] = set()
        self.watch = asyncio.run_coroutine_threadsafe(self._open(), loop).result(DEADLINE)

    async def _open(self) -> TrustWatch:
        watch = TrustWatch(self.realm.certs_dir, read_trust(self.realm.certs_dir), every=0.05)
        watch.listeners.append(lambda: self._told(watch.current))
        return watch

    def _told(self, trust: Trust) -> None:
        self.threads.add(threading.current_thread().name)
        self.told.append(trust)

    def wait(self, condition: Callable[[Trust], bool], what: str) -> None:
        """Wait until the listener was told of a trust that is as it must be."""
        wait_until(lambda: any(map(condition, self.told)), DEADLINE, what)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="the loop")
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE)
    loop.close()


@pytest.fixture
def watched(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> Iterator[Watched]:
    watched = Watched(Realm(tmp_path), loop)
    yield watched
    watched.watch.close()


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records)


def test_each_file_is_taken_when_it_changes(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """A new list, a second CA and a new pair of the server are in use, told on the event loop, and in the log."""
    caplog.set_level(logging.INFO)
    realm = watched.realm
    client, second = realm.client(), make_ca("the next CA")
    realm.revoke(client)
    watched.wait(lambda trust: trust.has_revoked(trust.leaf(client.certificate_pem)), "the revocation")
    realm.put("client-ca.crt", realm.client_ca.certificate_pem + second.certificate_pem)
    pem = make_client(second, "bob", "user").certificate_pem
    watched.wait(lambda trust: not trust.leaf(pem).reason, "the second CA")
    server = make_server(realm.server_ca)
    realm.put("server.key", server.key_pem)
    realm.put("server.crt", server.certificate_pem)
    watched.wait(lambda trust: trust.server.certificate == server.certificate, "the server's new certificate")
    assert watched.threads == {"the loop"}
    assert watched.told[-1].has_revoked(watched.told[-1].leaf(client.certificate_pem))
    assert said(caplog, "client-ca.crl: 1 certificate of CN=test client CA revoked, number 1, the next is due ")
    assert said(caplog, "client-ca.crt: trusted are CN=test client CA until ")
    assert said(caplog, f"with serial number {server.certificate.serial_number:x}, valid until ")


def half_a_bundle(realm: Realm) -> bytes:
    return realm.client_ca.certificate_pem + make_ca("x").certificate_pem[:-50]


WRONG: dict[str, tuple[str, Callable[[Realm], bytes | None], str]] = {
    "half a certificate": ("server.crt", lambda realm: b"-----BEGIN CERTIFICATE-----\nMIIB", "holds no certificate"),
    "another key": ("server.key", lambda realm: make_ca("x").key_pem, "does not belong to"),
    "no key": ("server.key", lambda realm: None, "is not there"),
    "half a bundle": ("client-ca.crt", half_a_bundle, "damaged"),
    "a leaf as CA": ("client-ca.crt", lambda realm: realm.client().certificate_pem, "is not a CA's"),
    "no bundle": ("client-ca.crt", lambda realm: None, "is not there"),
    "a stranger's list": ("client-ca.crl", lambda realm: make_list(make_ca("x")), "is not signed by a CA"),
    "an older list": ("client-ca.crl", lambda realm: make_list(realm.client_ca, number=0), "is older than"),
    "no list any more": ("client-ca.crl", lambda realm: None, "is gone or empty"),
}


@pytest.fixture(scope="module")
def revoking(tmp_path_factory: pytest.TempPathFactory, loop: asyncio.AbstractEventLoop) -> Iterator[Watched]:
    realm = Realm(tmp_path_factory.mktemp("revoking"))
    realm.revoke(realm.client())
    watched = Watched(realm, loop)
    yield watched
    watched.watch.close()


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_wrong_changes_nothing_but_the_log(
    revoking: Watched, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """What was in use stays, one warning says so, another at a request, and the right file makes all well again."""
    caplog.set_level(logging.INFO)
    file, make, wrong = WRONG[name]
    before, path = revoking.watch.current, revoking.realm.certs_dir / file
    good, bad = path.read_bytes(), make(revoking.realm)
    try:
        if bad is None:
            path.unlink()
        else:
            revoking.realm.put(file, bad)
        wait_until(lambda: said(caplog, wrong), DEADLINE, "the warning")
        looks = count_looks(revoking.watch)
        wait_until(lambda: looks() > 2, DEADLINE, "more looks")
        assert said(caplog, wrong) == 1
        revoking.watch.look_now()
        wait_until(lambda: said(caplog, wrong) == 2, DEADLINE, "the warning again")
        assert revoking.watch.current is before
        assert revoking.told == []
    finally:
        revoking.realm.put(file, good)
    wait_until(lambda: said(caplog, "all is well again"), DEADLINE, "the end of the complaint")
    assert revoking.watch.current is before


def count_looks(watch: TrustWatch) -> Callable[[], int]:
    """Let the watch look without a pause, and return how to ask how often it has done so."""
    count = 0

    def looked() -> int:
        nonlocal count
        if not watch._wake.is_set():
            watch._wake.set()
            count += 1
        return count

    return looked


def test_a_list_stays_in_force_when_its_ca_goes_and_comes(watched: Watched) -> None:
    """A CA that is taken out of the bundle and put back finds its revocations as they were."""
    realm = watched.realm
    client, second = realm.client(), make_ca("the next CA")
    realm.revoke(client)
    watched.wait(lambda trust: trust.has_revoked(trust.leaf(client.certificate_pem)), "the revocation")
    realm.put("client-ca.crt", second.certificate_pem)
    watched.wait(lambda trust: bool(trust.leaf(client.certificate_pem).reason), "the first CA's removal")
    realm.put("client-ca.crt", second.certificate_pem + realm.client_ca.certificate_pem)
    wait_until(lambda: not watched.watch.current.leaf(client.certificate_pem).reason, DEADLINE, "its return")
    current = watched.watch.current
    assert current.has_revoked(current.leaf(client.certificate_pem))


def test_a_list_that_forgets_is_noted(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Another list of the same number changes nothing, with a line in log and audit; a later one says who is let in."""
    caplog.set_level(logging.INFO, "jsched.server")
    ca, mallory = watched.realm.client_ca, make_client(watched.realm.client_ca, "mallory", "user").certificate
    noted: list[dict[str, str]] = []
    watched.watch._note = lambda kind, **fields: noted.append(fields)
    path = watched.realm.certs_dir / "client-ca.crl"
    path.write_bytes(make_list(ca, [mallory], number=2))
    watched.wait(lambda trust: bool(trust.revocations.by_authority), "the list")
    in_use = watched.watch.current.revocations
    path.write_bytes(make_list(ca, number=2))
    wait_until(lambda: said(caplog, "has number 2, as the one in use, and says something else") > 0, DEADLINE, "a line")
    assert watched.watch.current.revocations is in_use
    wait_until(lambda: any("as the one in use" in fields["reason"] for fields in noted), DEADLINE, "an audit event")
    path.write_bytes(make_list(ca, number=3))
    watched.wait(lambda trust: not any(one.serials for one in trust.revocations.by_authority.values()), "the next")
    assert said(caplog, f"1 that were revoked are so no more: {mallory.serial_number:x}") == 1


def test_a_watch_that_is_closed_has_ended(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    """After close there is no thread that looks at the files."""
    watched = Watched(Realm(tmp_path), loop)
    watched.watch.close()
    assert not watched.watch._thread.is_alive()
