"""`jsched certs` in this process, which is much quicker than one of its own."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from jsched.certificate_files import read_certificates, read_key
from jsched.certificates import Issued, Key
from jsched.commands.main import PROGRAM

_SERIAL = re.compile(r"serial\s+([0-9a-f]+)")


class Ran(NamedTuple):
    """How the command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def serial(self) -> str:
        """The serial number that it says it has issued."""
        match = _SERIAL.search(self.out)
        assert match, self
        return match[1]


def run(verb: str, *words: str | Path) -> Ran:
    """Run `jsched certs` with a verb to its end."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = PROGRAM.run(["certs", verb, *map(str, words)])
    return Ran(code, out.getvalue(), err.getvalue())


class Set:
    """A set of certificates in a directory, and the command with `--dir` for it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, verb: str, *words: str | Path) -> Ran:
        """Run a verb to its end."""
        return run(verb, *words, "--dir", self.root)

    def ok(self, verb: str, *words: str | Path) -> Ran:
        """Run a verb that must succeed and say nothing on stderr."""
        ran = self.run(verb, *words)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran

    def refused(self, verb: str, *words: str | Path) -> str:
        """Run a verb that must fail, changing nothing; return what it said on stderr."""
        before = self.contents()
        ran = self.run(verb, *words)
        assert ran.code != 0, ran
        assert ran.err.startswith("Error: "), ran
        assert self.contents() == before
        return ran.err

    def contents(self) -> dict[str, bytes]:
        """Return all files, by their path in the set."""
        return {str(one.relative_to(self.root)): one.read_bytes() for one in self.root.rglob("*") if one.is_file()}

    def certificate(self, name: str) -> x509.Certificate:
        """Return a file's first certificate."""
        return read_certificates(self.root / name)[0]

    def client_ca(self) -> Issued:
        """Return the CA that signs clients' certificates, for those that the command would not make."""
        key = read_key(self.root / "client-ca.key")
        assert isinstance(key, Key)
        return Issued(self.certificate("client-ca.crt"), key)


def new_set(root: Path, *words: str) -> Set:
    """Make a set."""
    made = Set(root)
    made.ok("init", *words)
    return made
