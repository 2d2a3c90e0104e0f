"""A set of certificates that is made once, and a copy for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.certs_command import Set, new_set


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with a server, another server, an admin and a user."""
    made = new_set(tmp_path_factory.mktemp("template") / "ca")
    made.ok("server", "--host", "build7.example.com", "--host", "10.1.2.3")
    made.ok("server", "--host", "build8.example.com", "--name", "build8")
    made.ok("client", "--user", "alice", "--role", "user")
    made.ok("client", "--user", "olivia", "--role", "admin")
    return made.root


@pytest.fixture
def ca(template: Path, tmp_path: Path) -> Set:
    """A set of the test's own, with all that the template has."""
    return Set(Path(shutil.copytree(template, tmp_path / "ca")))
