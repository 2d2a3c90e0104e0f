"""A server whose policy is a file that tests write."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from tests.helpers.members import write_certificates
from tests.helpers.server import WITHOUT_WALLS, Server
from tests.helpers.wait import wait_until


class Governed:
    """A server with certificates for these members (user and role), and a policy to begin with; not started."""

    def __init__(
        self, root: Path, members: Iterable[tuple[str, str]], policy: str, config: str = WITHOUT_WALLS
    ) -> None:
        write_certificates(root / "certs", members)
        self.path = root / "policy.toml"
        self.path.write_text(policy)
        (root / "server").mkdir()
        # Relative to the configuration file, which is in the server's directory.
        self.server = Server(root / "server", root / "certs", config=f'policy = "../policy.toml"\n{config}')

    def read_again(self, text: str) -> None:
        """Change the policy and return once the server has read it again, whatever it thinks of it."""
        before = self._answers()
        spare = self.path.with_suffix(".new")
        spare.write_text(text)
        spare.replace(self.path)
        os.kill(self.server.pid, signal.SIGHUP)
        wait_until(lambda: self._answers() > before, 20, "the server's word on its policy")

    def _answers(self) -> int:
        printed = self.server.printed()
        return printed.count("policy.toml read again") + printed.count("the policy stays as it was")
