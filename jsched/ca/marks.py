"""What was revoked here, as the index remembers it: the list of a CA is one file, and others may write it.

Beside `issued/SERIAL.crt` stands `SERIAL.revoked` with the number of the list that first had it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from jsched import certificate_files
from jsched.ca import layout, writing
from jsched.errors import FailedPrecondition

_MARK = re.compile(r"[0-9a-f]+\.revoked")


def marked(root: Path) -> dict[x509.Certificate, int]:
    """Return the certificates that were revoked here, each with the number of a list that had it.

    Raises FailedPrecondition naming a file that is damaged.
    """
    found = {}
    for path in sorted((root / layout.ISSUED).glob("*.revoked")):
        if _MARK.fullmatch(path.name):
            certificate = certificate_files.read_certificates(path.with_suffix(".crt"))[0]
            found[certificate] = _number(path)
    return found


def mark(root: Path, certificates: Iterable[x509.Certificate], number: int) -> None:
    """Write down that certificates of the index are revoked; to be done before the list says so."""
    names = [f"{layout.ISSUED}/{one.serial_number:x}" for one in certificates]
    files = {f"{name}.revoked": f"{number}\n".encode() for name in names if (root / f"{name}.crt").exists()}
    if files:
        writing.put(root, files, replace=True)


def _number(path: Path) -> int:
    content = certificate_files.read(path).strip()
    if not content.isdigit():
        raise FailedPrecondition(
            f"{path} does not hold the number of a revocation list",
            obj=str(path),
            hint="write 1 into it: that the file is there says that the certificate was revoked",
        )
    return int(content)
