from __future__ import annotations

from pathlib import Path

import pytest

from jsched.certificates import make_ca
from jsched.errors import FailedPrecondition
from jsched.server.authorities import authorities_in
from tests.helpers.certificates import make_odd_client, utf8_string


def test_an_extension_that_stands_twice() -> None:
    """A bundle with a certificate that has an extension twice is refused like any other that can't be read."""
    ca = make_ca("test CA")
    odd = make_odd_client(ca, roles=(utf8_string("a"), utf8_string("b")))
    with pytest.raises(FailedPrecondition, match="can't be used: Duplicate"):
        authorities_in(ca.certificate_pem + odd.certificate_pem, Path("client-ca.crt"))
