from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jsched.commands.doctor import certificates, files, host, limits, port
from jsched.commands.doctor.finding import Finding, Level
from jsched.config import Config
from jsched.isolation.hierarchy import NoHierarchy
from jsched.isolation.hierarchy_v2 import HierarchyV2
from jsched.limits import DiskLimit, Limits
from jsched.linux.disks import Disk
from jsched.linux.file_attributes import clear_append_only, set_append_only
from jsched.profile import Profile
from tests.helpers.certs_command import new_set
from tests.helpers.server import BIN


def _config(tmp_path: Path, certs: Path | None = None, **settings: object) -> Config:
    listen = str(settings.pop("listen", "127.0.0.1:0"))
    directories = {"data_dir": tmp_path / "data", "log_dir": tmp_path / "logs"} | settings
    return Config(certs_dir=certs, listen=listen, **directories)  # type: ignore[arg-type]


def _doctor(tmp_path: Path, certs: Path, listen: str) -> subprocess.CompletedProcess[str]:
    flags = [f"--data-dir={tmp_path}/data", f"--log-dir={tmp_path}/logs", f"--certs={certs}", f"--listen={listen}"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "JSCHED_SERVER_CONFIG": os.devnull}
    return subprocess.run(
        [BIN / "jsched", "doctor", *flags], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_host_that_can_run_jobs_passes(tmp_path: Path, certs: Path) -> None:
    """With certificates and writable directories nothing fails, and nothing was made."""
    run = _doctor(tmp_path, certs, "127.0.0.1:0")
    assert run.returncode == 0, run.stdout
    assert "FAIL" not in run.stdout
    assert "server.crt" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_host_without_certificates_fails_and_is_told_what_to_do(tmp_path: Path) -> None:
    """A missing certificate is a line that names the file and the command that makes it, and exit code 1."""
    run = _doctor(tmp_path, tmp_path / "none", "127.0.0.1:0")
    assert run.returncode == 1
    assert f"{tmp_path}/none/server.crt is not there" in run.stdout
    assert "jsched certs dev" in run.stdout


def test_a_certificate_that_ends_within_30_days_is_a_warning(tmp_path: Path, certs: Path) -> None:
    """Ten days before its end the server's certificate is a warning with the date; today it is fine."""
    config = _config(tmp_path, certs)
    assert {one.level for one in certificates.certificates(config)} == {Level.OK}
    near_the_end = datetime.now(UTC) + timedelta(days=355)
    levels = {one.subject: one for one in certificates.certificates(config, near_the_end)}
    assert levels["server.crt"].level is Level.WARN
    assert "9 days" in levels["server.crt"].text
    assert levels["client-ca.crt"].level is Level.OK


def test_each_ca_and_each_revocation_list_is_looked_at(tmp_path: Path) -> None:
    """A CA that ends soon and a revocation list that is due are warnings of their own, with what to do."""
    made = new_set(tmp_path / "ca", "--days", "20")
    made.ok("server", "--host", "localhost")
    made.ok("client", "--user", "alice", "--role", "user")
    made.ok("revoke", "alice")
    made.ok("renew", "client-ca")
    found = list(certificates.certificates(_config(tmp_path, made.root)))
    assert [(one.subject, one.level) for one in found] == [
        ("server.crt", Level.WARN),
        ("client-ca.crt", Level.OK),
        ("client-ca.crt", Level.WARN),
        ("client-ca.crl", Level.OK),
        ("client-ca.crl", Level.WARN),
    ]
    assert "jsched certs renew client-ca" in found[2].advice
    (made.root / "client-ca.crl").write_bytes(b"")
    assert [one.level for one in certificates.certificates(_config(tmp_path, made.root))] == [Level.FAIL]


@pytest.mark.parametrize("name", ["client-ca.crt", "client-ca.crl", "server-ca.crt", "server.crt", "server.key", ""])
def test_what_is_trusted_and_others_may_write_is_a_warning(tmp_path: Path, name: str) -> None:
    """Whoever may write to the CAs, the revocation list or their directory may do anything: the mode is looked at."""
    made = new_set(tmp_path / "ca")
    made.ok("server", "--host", "localhost")
    made.ok("client", "--user", "alice", "--role", "user")
    made.ok("revoke", "alice")
    config = _config(tmp_path, made.root)
    assert {one.level for one in certificates.certificates(config)} == {Level.OK}
    path = made.root / name
    path.chmod(path.stat().st_mode | 0o020)
    (warning,) = (one for one in certificates.certificates(config) if one.level is Level.WARN)
    assert warning.subject == (name or "certificates")
    assert "who may write to it may do anything" in warning.text
    assert warning.advice == f"chmod go-w {path}"


def test_a_free_port_and_one_that_a_stranger_has(tmp_path: Path) -> None:
    """A port that another process listens on fails, naming that process; once it is free it is fine."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = _config(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        finding = port.port(config)
        assert finding.level is Level.FAIL
        assert f"process {os.getpid()} " in finding.text
    assert port.port(config).level is Level.OK


def test_the_port_that_our_own_server_has_is_fine(tmp_path: Path) -> None:
    """A listener that holds the lock of the configured data directory is the server that was meant."""
    (tmp_path / "data").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken, (tmp_path / "data" / "lock").open("w"):
        finding = port.port(_config(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}"))
    assert finding.level is Level.OK
    assert f"served by process {os.getpid()}" in finding.text


def test_an_address_of_another_host_fails(tmp_path: Path) -> None:
    """An address that this host does not have (RFC 5737) fails with the errno's text."""
    finding = port.port(_config(tmp_path, listen="192.0.2.1:50051"))
    assert finding.level is Level.FAIL
    assert "Cannot assign requested address" in finding.text


def _by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_directories_that_are_not_there_are_to_be_made(tmp_path: Path) -> None:
    """A directory that the server will make is fine where its parent can be written."""
    found = _by_subject(list(files.data(_config(tmp_path))))
    assert found["data directory"].level is Level.OK
    assert f"to be made in {tmp_path}" in found["data directory"].text


def test_a_directory_that_can_not_be_made_is_to_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be given to the server's user is the directory itself, never what lies above it."""
    config = _config(tmp_path, data_dir=tmp_path / "a b")
    monkeypatch.setattr(os, "access", lambda *_: False)
    data, *_ = files.data(config)
    logs, *_ = files.logs(config)
    assert (data.level, logs.level) == (Level.FAIL, Level.FAIL)
    assert data.text == f"{tmp_path}/a b can't be made by user {os.geteuid()}"
    assert data.advice.startswith(f"install -d -o {os.geteuid()} -m 0700 '{tmp_path}/a b', ")
    assert logs.advice.startswith(f"install -d -o {os.geteuid()} -m 0755 {tmp_path}/logs, ")
    (tmp_path / "logs").mkdir()
    assert next(files.logs(config)).advice.startswith(f"chown {os.geteuid()} {tmp_path}/logs, ")


def test_a_data_directory_that_others_may_read_is_a_warning(tmp_path: Path) -> None:
    """A data directory with mode 0755 is a warning that shows the mode."""
    (tmp_path / "data").mkdir(mode=0o755)
    found = _by_subject(list(files.data(_config(tmp_path))))
    assert found["data directory"].level is Level.WARN
    assert "0755" in found["data directory"].text


def test_a_file_in_the_directory_s_place_fails(tmp_path: Path) -> None:
    """A log directory that is a file fails and is named."""
    (tmp_path / "logs").write_text("")
    found = _by_subject(list(files.logs(_config(tmp_path))))
    assert found["log directory"].level is Level.FAIL
    assert f"{tmp_path}/logs is not a directory" in found["log directory"].text


def test_whether_logs_can_be_append_only_is_tried_and_nothing_stays(tmp_path: Path) -> None:
    """Where the attribute can be set the log directory is fine, where it can't it is a warning; no file is left."""
    can = _with_a_file(tmp_path, set_append_only)
    finding = _by_subject(list(files.logs(_config(tmp_path, log_dir=tmp_path))))["append-only logs"]
    assert finding.level is (Level.OK if can else Level.WARN)
    assert list(tmp_path.iterdir()) == []
    nothing = _by_subject(list(files.logs(_config(tmp_path, log_dir=Path("/proc")))))["append-only logs"]
    assert nothing.level is Level.WARN
    assert "can change what it has printed" in nothing.text


def _with_a_file(directory: Path, change: Callable[[int], None]) -> bool:
    with tempfile.TemporaryFile(dir=directory) as file:
        try:
            change(file.fileno())
        except OSError:
            return False
        clear_append_only(file.fileno())
    return True


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs at /dev/shm")
def test_state_in_memory_is_a_warning(tmp_path: Path) -> None:
    """A data directory on a tmpfs is a warning: it would not outlive the host's restart."""
    config = _config(tmp_path, data_dir=Path("/dev/shm/jsched-test"))
    found = _by_subject(list(files.data(config)))
    assert found["its file system"].level is Level.WARN
    assert "tmpfs" in found["its file system"].text


def test_a_group_that_is_not_there_fails(tmp_path: Path) -> None:
    """A log group that this host does not know fails by its name; the default is fine."""
    assert files.log_group(_config(tmp_path)).level is Level.OK
    finding = files.log_group(_config(tmp_path, log_group="no-such-group"))
    assert finding.level is Level.FAIL
    assert "no-such-group" in finding.text


@pytest.mark.parametrize(("release", "level"), [("5.8.0-1", Level.FAIL), ("5.9.0", Level.OK), ("6.18.44", Level.OK)])
def test_the_oldest_kernel(release: str, level: Level) -> None:
    """Kernels older than the newest system call that jobs need fail."""
    assert host.kernel(release).level is level


def test_few_watches_and_few_descriptors_are_warnings(tmp_path: Path) -> None:
    """Limits that a busy server would reach are warnings that name the setting."""
    (tmp_path / "max_user_watches").write_text("100\n")
    (tmp_path / "max_user_instances").write_text("128\n")
    watches = host.inotify(tmp_path)
    assert watches.level is Level.WARN
    assert "fs.inotify.max_user_watches" in watches.advice
    assert host.open_files(1024).level is Level.WARN
    assert host.open_files(65536).level is Level.OK


def test_cgroups_that_have_everything(tmp_path: Path) -> None:
    """A machine with all controllers is fine, and nothing is made in its hierarchies."""
    mountinfo, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    lines = [f"1 1 0:1 / {tmp_path}/{name} rw - cgroup cgroup rw,{name}" for name in ("cpu", "memory", "blkio", "pids")]
    for name in ("cpu", "memory", "blkio", "pids"):
        (tmp_path / name).mkdir()
    mountinfo.write_text("\n".join(lines) + "\n")
    own.write_text("")
    finding = limits.cgroups(_config(tmp_path), mountinfo, own)
    assert finding.level is Level.OK
    assert "version 1" in finding.text
    assert list((tmp_path / "memory").iterdir()) == []
    mountinfo.write_text("\n".join(lines[:2]) + "\n")
    finding = limits.cgroups(_config(tmp_path), mountinfo, own)
    assert finding.level is Level.WARN
    assert "no limit on disks, processes" in finding.advice
    mountinfo.write_text("")
    assert "no cgroup hierarchy is mounted" in limits.cgroups(_config(tmp_path), mountinfo, own).text


def test_disks_are_named(tmp_path: Path) -> None:
    """The disks that `all` means are listed; a machine without any is warned."""
    config = _config(tmp_path)
    assert limits.disks(config, [Disk(8, 0), Disk(8, 16)]).text.startswith("8:0, 8:16")
    assert limits.disks(config, []).level is Level.WARN


def test_a_disk_of_the_configuration_with_which_the_server_does_not_start_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `jsched serve` refuses the doctor has found; where no limit is looked at it is no hindrance."""
    default = Limits(disk=(DiskLimit("/dev/nope", read_bps=10_000_000),))
    config = _config(tmp_path, limits=Profile(default))
    hierarchy = HierarchyV2(str(tmp_path), "", "group")
    monkeypatch.setattr(limits, "look", lambda *_: hierarchy)
    found = limits.disks(config, [Disk(8, 0)])
    assert (found.level, "/dev/nope" in found.text) == (Level.FAIL, True)
    assert "[[limits.disk]]" in found.advice
    monkeypatch.setattr(limits, "look", lambda *_: NoHierarchy("not mounted"))
    assert limits.disks(config, [Disk(8, 0)]).level is Level.WARN
    disabled = _config(tmp_path, limits=Profile(default, enabled=False))
    assert limits.disks(disabled, [Disk(8, 0)]).level is Level.OK
