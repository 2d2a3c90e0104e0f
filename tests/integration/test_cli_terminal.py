"""stream, log and run on a terminal, into a pipe and into a file: what is shown, and what is left as it is."""

from __future__ import annotations

import os
import subprocess
import tty
from pathlib import Path

import pytest

from tests.helpers.server import BIN, CLI_SECONDS, Server

pytestmark = pytest.mark.timeout(90)

# A title, the clipboard, a cleared screen, a colour that stays, C1, marks of direction, no UTF-8, a cut character.
NASTY = (
    b"\x1b]0;owned\x07\x1b]52;c;bHM=\x07\x1b[2J\x1b[31mred\nrm -rf /\rls \r\n\x9b31m \xc2\x9b31m "
    + "abc\u202edef Grüße\n".encode()
    + b"\xff\xe2\x82"
)
SHOWN = (
    b"\\x1b]0;owned\\x07\\x1b]52;c;bHM=\\x07\\x1b[2J\x1b[31mred\nrm -rf /\nls \n\\x9b31m \\x9b31m "
    + "abc\\u202edef Grüße\n\\xff".encode()
    + b"\x1b[0m\\xe2\\x82\x1b[0m"
)


@pytest.fixture(scope="module")
def job(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a job whose output has everything that a terminal would act on."""
    output = tmp_path_factory.mktemp("nasty") / "output"
    output.write_bytes(NASTY)
    done = shared_server.cli("run", "cat", str(output))
    assert (done.returncode, done.stdout) == (0, NASTY)
    listed = shared_server.cli("list", "-a", "-q", "--limit", "1", text=True)
    return str(listed.stdout.strip())


def on_a_terminal(server: Server, *args: str) -> tuple[int, bytes]:
    """Run `jsched-cli` with a terminal as its stdout and stderr, and return its exit code and what that got."""
    master, terminal = os.openpty()
    # As the bytes come: without it, the terminal itself would make two of each line feed.
    tty.setraw(terminal)
    env = server.cli_environment() | {"PYTHONUTF8": "1"}
    process = subprocess.Popen(
        [BIN / "jsched-cli", *args], stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=env
    )
    os.close(terminal)
    got = bytearray()
    try:
        while piece := os.read(master, 65536):
            got += piece
    except OSError:
        # EIO: nobody has the terminal any more.
        pass
    finally:
        os.close(master)
    return process.wait(CLI_SECONDS), bytes(got)


@pytest.mark.parametrize("verb", [["stream"], ["log"], ["log", "-f"]])
def test_output_on_a_terminal_is_harmless(shared_server: Server, job: str, verb: list[str]) -> None:
    """On a terminal nothing of the output moves the cursor or sets anything but colours, which end with it."""
    assert on_a_terminal(shared_server, *verb, job) == (0, SHOWN)


@pytest.mark.parametrize("verb", [["stream"], ["log"]])
def test_raw_output_on_a_terminal(shared_server: Server, job: str, verb: list[str]) -> None:
    """With --raw a terminal gets the bytes of the log as they are."""
    assert on_a_terminal(shared_server, *verb, "--raw", job) == (0, NASTY)


@pytest.mark.parametrize("flags", [[], ["--raw"]])
def test_a_file_gets_the_bytes(shared_server: Server, job: str, tmp_path: Path, flags: list[str]) -> None:
    """Into a pipe and into a file the bytes go as they are, with and without --raw."""
    assert shared_server.cli("stream", *flags, job).stdout == NASTY
    with (tmp_path / "copy").open("wb") as copy:
        assert shared_server.cli("log", *flags, job, stdout=copy, stderr=subprocess.PIPE).returncode == 0
    assert (tmp_path / "copy").read_bytes() == NASTY


def test_run_on_a_terminal(shared_server: Server) -> None:
    """run does the same with its job's output, and what it says itself is not in the job's colours."""
    script = "printf 'a\\033[8m\\033[41mb\\007'; kill -9 $$"
    code, got = on_a_terminal(shared_server, "run", "sh", "-c", script)
    assert code == 137
    output, _, said = got.partition(b"jsched-cli: ")
    assert output == b"a\\x1b[8m\x1b[41mb\\x07\x1b[0m\x1b[0m"
    assert said.endswith(b": terminated, SIGKILL\n")
    assert on_a_terminal(shared_server, "run", "--raw", "printf", "\\033[8mx\\007") == (0, b"\x1b[8mx\x07")


def test_names_and_commands_on_a_terminal(shared_server: Server) -> None:
    """What a caller has called things reaches another's terminal as text: in tables, in details and in errors."""
    done = shared_server.cli("start", "-q", "--label", "x=\x1b[2J", "true", "\x1b]0;owned\x07", "\u202e", text=True)
    job_id = done.stdout.strip()
    for args in (["list", "-a", "--limit", "1"], ["status", job_id], ["status", "\x1b[2J\nError: x"]):
        _, got = on_a_terminal(shared_server, *args)
        assert b"\\x1b" in got
        assert not {0x1B, 0x07} & set(got)
        assert b"\xe2\x80\xae" not in got
    assert b"\\nError: x" in got
