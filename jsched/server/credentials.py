"""What gRPC is given for its handshakes: the server's pair and the CAs of clients, as they are at each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import grpc

from jsched.server.trust import Trust


def current_credentials(current: Callable[[], Trust], begins: Callable[[], None]) -> grpc.ServerCredentials:
    """Return credentials of one server that demand a certificate of the CAs, as `current` tells at each handshake.

    `begins` is called before each of them, on a thread of gRPC's.
    """
    shown = current()

    def next_configuration() -> grpc.ServerCertificateConfiguration | None:
        # gRPC calls this before each handshake, on a thread of its own, and never twice at once.
        # A new configuration costs it a TLS context, and its session tickets end with it.
        nonlocal shown
        begins()
        trust = current()
        if trust.server is shown.server and trust.bundle is shown.bundle:
            return None
        shown = trust
        return _configuration(trust)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown),
        # None, for no change, is what the documentation has and the stub has not.
        cast("Callable[[], grpc.ServerCertificateConfiguration]", next_configuration),
        require_client_authentication=True,
    )


def _configuration(trust: Trust) -> grpc.ServerCertificateConfiguration:
    # gRPC takes it over: one object serves once.
    return grpc.ssl_server_certificate_configuration(
        [(trust.server.key_pem, trust.server.chain_pem)], root_certificates=trust.bundle.pem
    )
