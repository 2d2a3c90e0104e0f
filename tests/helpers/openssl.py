"""What plain openssl sees of a server."""

from __future__ import annotations

import subprocess
from pathlib import Path

from jsched.certificates import Issued


def connects(port: int, client: Issued, server_ca: Issued, directory: Path, *options: str) -> bool:
    """Whether openssl, with a good client certificate, completes a handshake with these options."""
    (directory / "crt").write_bytes(client.certificate_pem)
    (directory / "key").write_bytes(client.key_pem)
    (directory / "ca").write_bytes(server_ca.certificate_pem)
    words = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-alpn", "h2", *options]
    words += ["-cert", "crt", "-key", "key", "-CAfile", "ca", "-verify_return_error"]
    said = subprocess.run(words, cwd=directory, capture_output=True, check=False, input=b"")
    return b"New, TLSv1" in said.stdout
