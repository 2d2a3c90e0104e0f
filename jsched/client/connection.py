"""What a connection is made of: the caller's credentials and the channel's options."""

from __future__ import annotations

import os
import ssl

import grpc

from jsched.client.settings import ClientConfig
from jsched.errors import InvalidArgument, Unauthenticated

# A page of 1,000 jobs with long argument vectors is the largest message there is.
MAX_RECEIVE_BYTES = 64 * 1024 * 1024

OPTIONS: tuple[tuple[str, int], ...] = (
    # The address that the user gave is the one to connect to; a proxy could not read the stream anyway.
    ("grpc.enable_http_proxy", 0),
    # A host that vanished sends no reset: without pings a silent stream would wait for ever.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    # The server's limit is the one that counts, and it says which it is.
    ("grpc.max_send_message_length", -1),
    # gRPC's own waiting between attempts must be shorter than ours, or a restarted server
    # stays unreachable for as long as gRPC remembers the last failure.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # This one is the time that an attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    # A client that is closed has closed its connection, whoever else talks to the same server.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(config: ClientConfig) -> grpc.Channel:
    """Return a channel that is connecting already; a failure shows in the first call.

    Raises what `credentials` does.
    """
    channel = grpc.secure_channel(config.server, credentials(config), options=OPTIONS)
    # What makes subscribe() connect, without its thread: a process that ends, or closes the
    # channel, while that thread runs may hang for ever or print a traceback (grpcio 1.85).
    # The name is gRPC's own affair; without it the first call connects, some milliseconds later.
    begin = getattr(getattr(channel, "_channel", None), "check_connectivity_state", None)
    if begin is not None:
        begin(True)
    return channel


def credentials(config: ClientConfig) -> grpc.ChannelCredentials:
    """Return the channel credentials of `config`.

    Raises InvalidArgument for a file that can't be read or is not what it should be, and for
    a key that does not belong to its certificate: gRPC would only say that no connection
    could be made.
    """
    ca, cert, key = (_read(name, getattr(config, name)) for name in ("ca", "cert", "key"))
    tls_context(config)
    return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)


def tls_context(config: ClientConfig) -> ssl.SSLContext:
    """Return a context of Python's own ssl with the files of `config`, checked as in `credentials`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=config.ca)
    except (ssl.SSLError, OSError) as error:
        raise InvalidArgument(f"ca file {config.ca} holds no PEM certificate ({_reason(error)})", obj="ca") from None
    try:
        # The password is asked for on the terminal if it is not given here.
        context.load_cert_chain(config.cert, config.key, password=_no_password)
    except Unauthenticated:
        raise
    except (ssl.SSLError, OSError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise InvalidArgument(
                f"key file {config.key} does not belong to the certificate in {config.cert}",
                obj="key",
                hint="give the --cert and the --key that were made together",
            ) from None
        raise InvalidArgument(
            f"cert file {config.cert} and key file {config.key} are not a PEM certificate and its key "
            f"({_reason(error)})",
            obj="cert",
        ) from None
    return context


def _no_password() -> str:
    raise Unauthenticated(
        "the key file is encrypted", obj="key", hint="give a key without a passphrase, readable by you alone"
    )


def _read(name: str, path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidArgument(
            f"{name} file {path}: {error.strerror}",
            obj=name,
            hint=f"give another with --{name} or JSCHED_{name.upper()}",
        ) from None


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()
