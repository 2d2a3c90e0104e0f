"""Why there is no connection: gRPC says little more than "unavailable", so look again by plain means.

Only called after a failure.
"""

from __future__ import annotations

import socket
import ssl
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jsched.client.connection import tls_context
from jsched.client.settings import ClientConfig, split_address
from jsched.errors import JschedError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from cryptography import x509

# Seconds that each step of the second look may take.
PATIENCE = 3.0
# A server that is about to end may close a connection, too; one that refuses a certificate does it every time.
_LOOKS = 3
_BETWEEN_LOOKS = 0.2
_VERIFY_EXPIRED = 10
_VERIFY_NOT_YET = 9
_VERIFY_WRONG_NAME = (62, 64)


class NotConnected(Unavailable):
    """There is no server to talk to: nothing of the request was sent."""


def diagnose(config: ClientConfig, details: str, *, was_connected: bool = False) -> JschedError:
    """Return the error that says why the server at `config.server` can't be talked to.

    Unauthenticated if trying again won't help: one of the two certificates is not accepted.
    NotConnected if nobody can be reached, and nobody was when the call was made. Otherwise
    plain Unavailable, with what the second look saw or gRPC's `details`: a call that
    `was_connected` shows that there was a server. Takes up to a few times PATIENCE seconds.
    """
    seen = own_certificate(config) or _look_again(config)
    if was_connected and isinstance(seen, NotConnected):
        return Unavailable(seen.message, obj=seen.obj, hint=seen.hint)
    return seen or Unavailable(
        f"the connection to the server at {config.server} was lost{f' ({details})' if details else ''}",
        obj=config.server,
        hint="try again",
    )


def own_certificate(config: ClientConfig) -> JschedError | None:
    """Return what is wrong with the caller's own certificate by its dates."""
    try:
        certificate = load_certificate(config)
    except (OSError, ValueError) as error:
        return Unauthenticated(f"your certificate {config.cert} can't be read: {error}", obj=str(config.cert))
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        return Unauthenticated(
            f"your certificate {config.cert} expired on {_date(certificate.not_valid_after_utc)}",
            obj=str(config.cert),
            hint="ask the server's administrator for a new one",
        )
    if now < certificate.not_valid_before_utc:
        return Unauthenticated(
            f"your certificate {config.cert} is not valid before {_date(certificate.not_valid_before_utc)}",
            obj=str(config.cert),
            hint=f"this computer's clock says {_date(now)}; is it right?",
        )
    return None


def load_certificate(config: ClientConfig) -> x509.Certificate:
    """Return the caller's own certificate; raises OSError or ValueError if its file can't be read as one."""
    from cryptography import x509

    with open(config.cert, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


class _Closed(Exception):
    """The server has closed the connection right after the handshake, without a word."""


def _look_again(config: ClientConfig) -> JschedError | None:
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN_LOOKS)
        try:
            return _second_look(config)
        except _Closed:
            continue
    return _not_accepted(config, "it closes the connection after having seen it")


def _second_look(config: ClientConfig) -> JschedError | None:
    host, port = split_address(config.server)
    try:
        plain = socket.create_connection((host, port), timeout=PATIENCE)
    except socket.gaierror as error:
        return NotConnected(
            f"the server's name {host!r} is not known ({error.strerror})", obj=config.server, hint="check --server"
        )
    except OSError as error:
        return _unreachable(config, "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error))
    with plain:
        try:
            return _handshake(config, host, plain)
        except JschedError as error:
            return error
        except OSError as error:
            return (
                _unreachable(config, "it accepts connections, but does not answer")
                if isinstance(error, TimeoutError)
                else None
            )


def _handshake(config: ClientConfig, host: str, plain: socket.socket) -> JschedError | None:
    context = tls_context(config)
    context.set_alpn_protocols(["h2"])
    try:
        secure = context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        return _server_refused(config, host, error)
    except ssl.SSLEOFError:
        return None
    except ssl.SSLError as error:
        return NotConnected(
            f"what answers at {config.server} does not speak TLS 1.3 ({_words(error)})",
            obj=config.server,
            hint="check --server: is this the port of jsched?",
        )
    with secure:
        try:
            # In TLS 1.3 the server looks at our certificate after our side of the handshake is
            # done (RFC 8446, section 4.4.2.4): its verdict is the first thing to read. Not
            # every server sends an alert; a content one begins HTTP/2 at once.
            if not secure.recv(1):
                raise _Closed
        except (ssl.SSLEOFError, ConnectionResetError):
            raise _Closed from None
        except ssl.SSLError as error:
            return _not_accepted(config, _words(error))
    return None


def _not_accepted(config: ClientConfig, why: str) -> Unauthenticated:
    return Unauthenticated(
        f"the server at {config.server} does not accept your certificate {config.cert} ({why})",
        obj=str(config.cert),
        hint="is it signed by the CA that this server trusts for clients? Ask its administrator",
    )


def _server_refused(config: ClientConfig, host: str, error: ssl.SSLCertVerificationError) -> JschedError:
    if error.verify_code in (_VERIFY_EXPIRED, _VERIFY_NOT_YET):
        state = "has expired" if error.verify_code == _VERIFY_EXPIRED else "is not valid yet"
        return Unauthenticated(
            f"the certificate of the server at {config.server} {state}",
            obj=config.server,
            hint="its administrator has to renew it, or one of the two clocks is wrong",
        )
    if error.verify_code in _VERIFY_WRONG_NAME:
        return Unauthenticated(
            f"the certificate of the server at {config.server} is not for {host!r}",
            obj=config.server,
            hint="name the server as its certificate does",
        )
    return Unauthenticated(
        f"the certificate of the server at {config.server} is not signed by the CA in {config.ca} "
        f"({error.verify_message})",
        obj=str(config.ca),
        hint="give this server's own CA with --ca; if that is what you gave, this is not the server you meant",
    )


def _unreachable(config: ClientConfig, reason: str) -> NotConnected:
    return NotConnected(
        f"can't reach the server at {config.server}: {reason.lower()}",
        obj=config.server,
        hint="is it running there? Check --server, the server's log and firewalls",
    )


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _date(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
