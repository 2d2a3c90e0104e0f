from __future__ import annotations

from jsched import config


def test_an_ipv6_address_is_split() -> None:
    """An IPv6 host stands in brackets."""
    assert config.split_address("[::1]:50051") == ("::1", 50051)
