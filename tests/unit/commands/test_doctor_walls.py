"""What the doctor says of the walls around jobs: tried for real, and printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jsched.commands.doctor import walls
from jsched.commands.doctor.finding import Level
from jsched.config import Config
from jsched.confinement import Mode
from jsched.errors import FailedPrecondition, Unavailable
from jsched.isolation import seccomp
from jsched.isolation.sandbox import Sandbox
from jsched.isolation_config import IsolationConfig
from tests.helpers.walled import needs_root


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A configuration with directories of its own."""
    return Config(data_dir=tmp_path / "data", log_dir=tmp_path / "logs")


@needs_root
def test_walls_that_stand(config: Config) -> None:
    """On a machine where everything works the doctor has built the walls, and says whom jobs run as."""
    found = walls.isolation(config)
    assert (found.level, "all walls stand" in found.text) == (Level.OK, True)
    assert walls.root_file_systems(config).level in (Level.OK, Level.WARN)
    assert not list(config.data_dir.parent.iterdir())


def test_a_wall_that_does_not_stand_is_named(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that failed and its error are the finding."""
    monkeypatch.setattr(walls, "try_walls_apart", lambda sandbox: ("proc", 1))
    found = walls.isolation(config)
    assert (found.level, found.text) == (Level.FAIL, "proc: Operation not permitted")


@needs_root
def test_without_user_namespaces_it_is_said_what_is_done_instead(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the user namespace is refused, jobs run with fewer walls, and the doctor says so."""
    monkeypatch.setattr(walls, "try_walls_apart", lambda sandbox: ("clone", 28) if sandbox.has_user_namespace else None)
    found = walls.isolation(config)
    assert found.level is Level.WARN
    assert "max_user_namespaces" in found.advice


@needs_root
def test_without_user_namespaces_there_are_root_file_systems(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the user namespace is refused the server runs jobs with root file systems, and nothing fails."""
    monkeypatch.setattr(walls, "try_walls_apart", lambda sandbox: ("clone", 28) if sandbox.has_user_namespace else None)
    assert walls.root_file_systems(config).level in (Level.OK, Level.WARN)


def test_the_setting_that_forbids_namespaces_is_named(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where namespaces are forbidden by a sysctl that is what has to be done, whoever asks and for which jobs."""
    (tmp_path / "max_pid_namespaces").write_text("0\n")
    (tmp_path / "max_user_namespaces").write_text("65536\n")
    monkeypatch.setattr(walls, "_LIMITS", tmp_path)
    monkeypatch.setattr(walls, "try_walls_apart", lambda sandbox: ("clone", 28))
    for found in (walls.isolation(config), walls.root_file_systems(config)):
        assert (found.level, found.advice) == (Level.FAIL, "sysctl user.max_pid_namespaces=65536")
    (tmp_path / "max_pid_namespaces").write_text("65536\n")
    assert walls.isolation(config).advice == "sysctl user.max_user_namespaces=65536"


def test_walls_that_are_not_required_do_not_fail(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server runs jobs without walls, or is to build none, the doctor does not say that none could run."""

    def refuse() -> bytes:
        raise FailedPrecondition("no library", hint="install it")

    monkeypatch.setattr(seccomp, "compile_profile", refuse)
    monkeypatch.setattr(walls, "try_walls_apart", lambda sandbox: ("clone", 28))
    optional = replace(config, isolation=IsolationConfig(required=False))
    found = [walls.filter_of_calls(optional), walls.isolation(optional), walls.root_file_systems(optional)]
    assert [one.level for one in found] == [Level.WARN] * 3
    assert "jobs run without walls" in found[1].text
    without = replace(config, isolation=IsolationConfig(default=Mode.NONE, modes=frozenset()))
    assert walls.filter_of_calls(without).level is Level.WARN
    assert walls.isolation(without).level is Level.OK
    assert walls.root_file_systems(without).level is Level.OK


def test_a_filter_that_can_not_be_compiled_is_a_failure(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libseccomp no job may run, and the doctor says what to install."""

    def refuse() -> bytes:
        raise FailedPrecondition("no library", hint="install it")

    monkeypatch.setattr(seccomp, "compile_profile", refuse)
    assert walls.filter_of_calls(config).level is Level.FAIL
    monkeypatch.undo()
    assert walls.filter_of_calls(config).level is Level.OK


def test_the_plan_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each wall of each mode has its line."""
    walls.show_plan()
    printed = capsys.readouterr().out
    host, _, rootfs = printed.partition("--isolation rootfs")
    assert "pivot" in rootfs and "pivot" not in host
    for name in ("bounding-set", "seccomp", "proc"):
        assert f"  {name} " in host and f"  {name} " in rootfs


def test_walls_that_could_not_be_tried_are_a_failure(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor takes no answer for no refusal: it fails, with what happened, and speaks of no weaker walls."""

    def no_answer(sandbox: Sandbox) -> None:
        raise Unavailable("tried without an answer: the trial was killed", hint="start again")

    monkeypatch.setattr(walls, "try_walls_apart", no_answer)
    config.data_dir.mkdir()
    for found in (walls.isolation(config), walls.root_file_systems(config)):
        assert (found.level, found.advice) == (Level.FAIL, "start again")
        assert found.text == "tried without an answer: the trial was killed"
