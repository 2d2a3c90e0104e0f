"""What is said of a certificate that was issued."""

from __future__ import annotations

from jsched.ca.leaves import HandedOut


def say_issued(what: str, issued: HandedOut) -> None:
    """Print what was issued, until when it is valid, and the files that it is in."""
    certificate = issued.certificate
    print(f"issued {what}, valid until {certificate.not_valid_after_utc:%Y-%m-%d}")
    print(f"  serial  {certificate.serial_number:x}")
    print(f"  files   {issued.place}: {' '.join(issued.files)}")
