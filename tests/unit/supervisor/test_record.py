"""The files that outlive their writers: whole or not there."""

from __future__ import annotations

import json
from binascii import crc32
from pathlib import Path

import pytest

from jsched.supervisor import record
from jsched.supervisor.record import ExitRecord, RunRecord

RUN = RunRecord("job", "boot", 10, 20, 40, 30, 50)
EXIT = ExitRecord("job", 3, None, None, None, True, False, False, 40, 50, 0.5, 0.25, 4096)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Each record comes back as it was written, and leaves no other file."""
    record.write_run(tmp_path, RUN)
    assert record.read_run(tmp_path, "job") == RUN
    record.forget(tmp_path, tmp_path, tmp_path, "job")
    record.write_exit(tmp_path, EXIT)
    assert record.read_exit(tmp_path, "job") == EXIT
    record.write_stop(tmp_path, "job", 2.5)
    assert record.read_stop(tmp_path, "job") == 2.5
    record.write_stop(tmp_path, "job", 0)
    assert record.read_stop(tmp_path, "job") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


def test_what_is_not_there(tmp_path: Path) -> None:
    """No record is None; to forget nothing is no error, once and twice."""
    assert record.read_run(tmp_path, "job") is None
    assert record.read_exit(tmp_path, "job") is None
    assert record.read_stop(tmp_path, "job") is None
    record.forget(tmp_path, tmp_path, tmp_path, "job")


def test_every_half_is_ignored(tmp_path: Path) -> None:
    """A record cut at any byte is no record."""
    record.write_exit(tmp_path, EXIT)
    whole = (tmp_path / "job").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "job").write_bytes(whole[:length])
        assert record.read_exit(tmp_path, "job") is None
    (tmp_path / "job").write_bytes(whole)
    assert record.read_exit(tmp_path, "job") == EXIT


def test_every_flipped_byte_is_ignored(tmp_path: Path) -> None:
    """A record with one damaged byte is no record."""
    record.write_exit(tmp_path, EXIT)
    whole = (tmp_path / "job").read_bytes()
    for position in range(len(whole)):
        (tmp_path / "job").write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert record.read_exit(tmp_path, "job") is None


@pytest.mark.parametrize(
    "change", [{"job_id": "other"}, {"exit_code": "3"}, {"stopped": 1}, {"ended_at_ns": None}, {"max_rss": True}]
)
def test_what_is_no_exit_record(tmp_path: Path, change: dict[str, object]) -> None:
    """Another job's record, or a field of a wrong type, is no record, however right the checksum."""
    _write(tmp_path / "job", {**EXIT._asdict(), **change})
    assert record.read_exit(tmp_path, "job") is None


def test_other_versions(tmp_path: Path) -> None:
    """Fields of a later version are skipped; a record that lacks one that is needed is none."""
    _write(tmp_path / "job", {**EXIT._asdict(), "later": [1]})
    assert record.read_exit(tmp_path, "job") == EXIT
    _write(tmp_path / "job", {name: value for name, value in EXIT._asdict().items() if name != "stopped"})
    assert record.read_exit(tmp_path, "job") is None


def test_first_run_wins(tmp_path: Path) -> None:
    """An id that is taken stays with its first taker, be it a monitor or a claim."""
    record.write_run(tmp_path, RUN)
    with pytest.raises(FileExistsError):
        record.write_run(tmp_path, RUN._replace(pid=31))
    assert not record.claim_run(tmp_path, "job")
    assert record.read_run(tmp_path, "job") == RUN
    assert record.claim_run(tmp_path, "claimed")
    with pytest.raises(FileExistsError):
        record.write_run(tmp_path, RUN._replace(job_id="claimed"))
    assert record.read_run(tmp_path, "claimed") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claimed", "job"]


def test_claim_twice(tmp_path: Path) -> None:
    """A recovery that was cut short may claim again, and so may one that finds a damaged record."""
    assert record.claim_run(tmp_path, "job")
    assert record.claim_run(tmp_path, "job")
    (tmp_path / "damaged").write_bytes(b"{")
    assert record.claim_run(tmp_path, "damaged")


@pytest.mark.parametrize("grace", ["-1", "NaN", '"1"', "null"])
def test_bad_grace(tmp_path: Path, grace: str) -> None:
    """A stop request whose grace is no number of seconds counts as none."""
    _write(tmp_path / "job", {"job_id": "job", "grace": json.loads(grace)})
    assert record.read_stop(tmp_path, "job") is None


@pytest.mark.parametrize("job_id", ["", ".", "..", "../job", "a/b", ".hidden"])
def test_ids_that_are_paths(tmp_path: Path, job_id: str) -> None:
    """An id that would leave the directory, or hide in it, is refused."""
    with pytest.raises(ValueError, match="not a job id"):
        record.write_exit(tmp_path, EXIT._replace(job_id=job_id))


def _write(path: Path, fields: dict[str, object]) -> None:
    body = json.dumps(fields).encode()
    path.write_bytes(b"%s\ncrc32 %08x\n" % (body, crc32(body)))
