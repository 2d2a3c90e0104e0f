from __future__ import annotations

import os
from pathlib import Path

import pytest

from jsched.commands.main import PROGRAM
from jsched.policy.document import PRESETS

POLICY = """\
extends = "owner"
[profiles.small]
cpus = 1
memory = "256m"
[profiles.big]
memory = "1g"
pids = 0
[roles.user]
profile = "small"
ceiling = "big"
own_limits = true
isolation = ["host"]
max_jobs = 3
[users.alice]
commands = ["/usr/bin/env"]
verbs = { stop = "none" }
"""


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever this host has of jsched is not meant; the policy is in the working directory."""
    monkeypatch.setenv("JSCHED_SERVER_CONFIG", os.devnull)
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)


def check(capsys: pytest.CaptureFixture[str], *words: str, user: str = "alice", role: str = "user") -> tuple[int, str]:
    """Run `policy check` and return its exit code and what it printed."""
    code = PROGRAM.run(["policy", "check", "--policy=policy.toml", f"--user={user}", f"--role={role}", *words])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_an_allowed_start(capsys: pytest.CaptureFixture[str]) -> None:
    """A start that is allowed is 0, and says by which line, what is executed and with which limits."""
    code, text = check(capsys, "--env=LANG", "--", "start", "env", "-i", "two words")
    assert code == 0
    program = os.path.realpath("/usr/bin/env")
    lines = text.splitlines()
    assert lines[0] == f"allowed by policy.toml:15: user alice has command /usr/bin/env: {program}"
    assert lines[1] == f"what is executed: {program} -i 'two words'"
    assert lines[2].startswith("limits, where none are asked for: cpus 1, memory 268435456, swap 0")
    assert lines[3] == "jobs at once: 3"


@pytest.mark.parametrize(
    ("words", "user", "line", "rule"),
    [
        (("--", "start", "/bin/sh"), "alice", 15, "user alice has no command"),
        (("--", "start", "no-such"), "alice", 15, "user alice has commands, and there is no program 'no-such'"),
        (("--env=PATH", "--", "start", "env"), "alice", 15, "user alice has no env PATH"),
        (("--isolation=none", "--", "start", "true"), "bob", 12, "role user has no isolation none"),
        (("--isolation=rootfs", "--", "start", "true"), "bob", 12, "role user has no isolation rootfs"),
        (("--memory=2g", "start", "true"), "bob", 10, "role user has ceiling big, and memory is above it"),
        (("--", "stop"), "alice", 16, "user alice has no verb stop"),
        (("--", "rootfs", "upload"), "bob", 8, "role user has no verb rootfs upload"),
    ],
)
def test_what_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], user: str, line: int, rule: str
) -> None:
    """What is refused is 1, and says by which rule on which line, and what the caller is told."""
    code, text = check(capsys, *words, user=user)
    assert code == 1
    first, second = text.splitlines()
    assert first.startswith(f"refused by policy.toml:{line}: {rule}")
    assert second.startswith("the caller is told: ")


def test_what_the_configuration_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    """What the policy leaves to the configuration, and that does not allow, is refused as the server would."""
    Path("policy.toml").write_text('extends = "open"\n')
    code, text = check(capsys, "--isolation=none", "--", "start", "true")
    assert code == 1
    assert text.splitlines()[0] == "refused by [isolation] of the server's configuration"
    assert "the caller is told: isolation none is not allowed on this server" in text
    Path("jsched.toml").write_text('[isolation]\nmodes = ["none"]\ndefault = "none"\n')
    assert check(capsys, "--config=jsched.toml", "--isolation=none", "--", "start", "true")[0] == 0


def test_verbs_as_a_policy_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A verb can be named as people read it, and as a policy file has it."""
    assert check(capsys, "rootfs_upload", role="admin") == check(capsys, "rootfs", "upload", role="admin")
    assert check(capsys, "rootfs_list", "bob", user="root", role="admin")[0] == 0


def test_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A verb on a job of one's own, of another's, and of another's that is not seen, are told apart."""
    assert check(capsys, "stop", user="bob")[0] == 0
    code, text = check(capsys, "stop", "carol", user="bob")
    assert code == 1
    assert "there is nothing of carol's, as far as bob can see" in text
    assert check(capsys, "stop", "carol", user="root", role="admin")[0] == 0
    code, text = check(capsys, "stop", user="bob", role="guest")
    assert code == 1
    assert "no rule for role guest" in text


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("strat",), '"strat" is no verb: start, stop'),
        (("start",), "missing argument: COMMAND, after start"),
        (("status", "a", "b"), 'unexpected argument "b"'),
        (("reflection", "bob"), 'unexpected argument "bob"'),
        ((), "missing argument: VERB"),
    ],
)
def test_what_is_asked_wrongly(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str) -> None:
    """A verb that is none, or words too many or too few, are usage errors."""
    code, text = check(capsys, *words)
    assert code == 2
    assert complaint in text


def test_a_policy_that_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is wrong is named with its line by both commands, and is no answer."""
    Path("policy.toml").write_text("[roles.user]\nverb = 1\n")
    code, text = check(capsys, "stop")
    assert code == 1
    assert text.startswith("Error: policy policy.toml:2: unknown key 'verb' in roles.user\nknown are verbs")
    assert PROGRAM.run(["policy", "show", "policy.toml"]) == 1
    assert "policy.toml:2" in capsys.readouterr().err


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    """All that a policy says is shown, with its places, and the same for the one that is configured."""
    assert PROGRAM.run(["policy", "show", "policy.toml"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "policy policy.toml: the role is the role extension of a certificate",
        "stop           any    own",
        "delete         any    none",
        "role user: isolation host (policy.toml:12)",
        "user alice: stop none (policy.toml:16)",
        "user alice: commands /usr/bin/env (policy.toml:15)",
        "profile small: cpus 1, memory 268435456",
        "profile big: memory 1073741824; no limit of pids",
    ):
        assert line in shown.splitlines(), shown
    Path("jsched.toml").write_text('policy = "./policy.toml"\n')
    assert PROGRAM.run(["policy", "show", "--config=jsched.toml"]) == 0
    assert "user alice: commands /usr/bin/env" in capsys.readouterr().out


def test_a_role_that_the_preset_does_not_have_is_said_to_be_new(capsys: pytest.CaptureFixture[str]) -> None:
    """A role whose name may be misspelled is shown beside those that the preset has; one that is known is not."""
    Path("policy.toml").write_text('extends = "jsched"\n[roles.usr]\nmax_jobs = 3\n[roles.user]\nmax_jobs = 2\n')
    assert PROGRAM.run(["policy", "show", "policy.toml"]) == 0
    shown = capsys.readouterr().out
    assert "role usr is new here (policy.toml:2), and has nothing of those of jsched: admin, user" in shown.splitlines()
    assert "role user is new" not in shown


@pytest.mark.parametrize("words", [("--user=a b", "--role=user"), ("--user=alice", "--role=User")])
def test_who_is_not_let_in_is_allowed_nothing(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    """For a user or role that no certificate is let in with there is no answer, but an error."""
    assert PROGRAM.run(["policy", "check", "--policy=open", *words, "--", "status"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "lower-case letters" in printed.err or "letters, digits" in printed.err


def test_a_policy_without_roles_says_what_it_comes_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a policy without a role it is said that nobody may do anything."""
    Path("policy.toml").write_text("")
    assert PROGRAM.run(["policy", "show", "policy.toml"]) == 0
    assert "\nnobody may do anything: [roles] has no table" in capsys.readouterr().out


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_shown(capsys: pytest.CaptureFixture[str], preset: str) -> None:
    """Each preset is shown by its name."""
    assert PROGRAM.run(["policy", "show", preset]) == 0
    assert capsys.readouterr().out.startswith(f"policy {preset}: ")
