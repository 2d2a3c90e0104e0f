from __future__ import annotations

from pathlib import Path

from jsched.commands.doctor import policy
from jsched.commands.doctor.finding import Finding, Level
from jsched.config import Config


def looked_at(tmp_path: Path, text: str, mode: int = 0o644) -> list[Finding]:
    """What the doctor says of a policy file."""
    path = tmp_path / "policy.toml"
    path.write_text(text)
    path.chmod(mode)
    return list(policy.policy(Config(data_dir=tmp_path / "data", log_dir=tmp_path / "logs", policy=str(path))))


def test_presets_are_fine(tmp_path: Path) -> None:
    """A preset needs nothing, and its roles are counted."""
    (finding,) = policy.policy(Config(data_dir=tmp_path / "data", log_dir=tmp_path / "logs", policy="viewer"))
    assert finding == Finding(Level.OK, "policy", "viewer: 2 roles, 0 users")


def test_a_policy_that_is_wrong_fails_with_its_line(tmp_path: Path) -> None:
    """What the server would refuse to start with fails, naming file, line and what is known."""
    (finding,) = looked_at(tmp_path, "[roles.user.verbs]\nstrat = 'own'\n")
    assert finding.level is Level.FAIL
    assert finding.text == f"policy {tmp_path}/policy.toml:2: unknown verb 'strat' in roles.user.verbs"
    assert "start" in finding.advice


def test_commands_that_are_not_what_they_seem(tmp_path: Path) -> None:
    """A command that is not there, is a link, or may be replaced by anybody is a warning; all others are not."""
    tmp_path.chmod(0o755)
    for name in ("good", "real", "shared/tool", "open"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "shared").chmod(0o777)
    (tmp_path / "open").chmod(0o757)
    names = ("good", "missing", "link", "shared/tool", "open", "*")
    commands = ",\n".join(f'"{tmp_path}/{name}"' for name in names)
    first, *warnings = looked_at(tmp_path, f"[roles.user]\n[users.alice]\ncommands = [{commands}]\n")
    assert first.text.endswith("1 role, 1 user")
    assert [one.level for one in warnings] == [Level.WARN] * 4
    missing, link, shared, writable = warnings
    assert missing.text.endswith(f"policy.toml:3: {tmp_path}/missing: No such file or directory")
    assert link.text.endswith(f"{tmp_path}/link is a link to {tmp_path}/real, which it does not allow")
    assert link.advice == f"name {tmp_path}/real"
    assert shared.advice == f"chmod o-w {tmp_path}/shared"
    assert writable.advice == f"chmod o-w {tmp_path}/open"


def test_a_file_that_others_may_write_to_is_a_warning(tmp_path: Path) -> None:
    """Whoever may write to the policy may do anything, so that its mode is looked at."""
    (finding,) = looked_at(tmp_path, "[roles.user]\n", 0o664)
    assert finding.level is Level.WARN
    assert "0664" in finding.text
    assert finding.advice == f"chmod go-w {tmp_path}/policy.toml"
