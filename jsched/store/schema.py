"""The database's schema, one migration a version; PRAGMA user_version says which have run."""

from __future__ import annotations

import secrets
import sqlite3

from jsched.errors import FailedPrecondition

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        seq           INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL UNIQUE,
        owner         TEXT NOT NULL,
        request_id    TEXT,
        name          TEXT,
        argv          TEXT NOT NULL,
        env           TEXT NOT NULL,
        workdir       TEXT,
        labels        TEXT NOT NULL,
        timeout       REAL,
        grace         REAL NOT NULL,
        state         TEXT NOT NULL,
        created_at    INTEGER NOT NULL,
        started_at    INTEGER,
        ended_at      INTEGER,
        log_path      TEXT NOT NULL,
        boot_id       TEXT,
        monitor_pid   INTEGER,
        monitor_start INTEGER,
        pid           INTEGER,
        exit_code     INTEGER,
        signal        INTEGER,
        failed_step   TEXT,
        errno         INTEGER,
        reason        TEXT,
        forced        INTEGER NOT NULL DEFAULT 0,
        stopped_by    TEXT,
        cpu_user      REAL,
        cpu_system    REAL,
        max_rss       INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX jobs_request ON jobs (owner, request_id) WHERE request_id IS NOT NULL;
    CREATE UNIQUE INDEX jobs_live_name ON jobs (name) WHERE name IS NOT NULL AND state IN ('pending', 'running');
    CREATE INDEX jobs_name ON jobs (name, seq) WHERE name IS NOT NULL;
    CREATE INDEX jobs_live ON jobs (seq) WHERE state IN ('pending', 'running');
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    """,
    "ALTER TABLE jobs ADD COLUMN pid_start INTEGER",
    # Limits asked and applied, those that could not be, and usage, each as JSON: a job is not looked up by them.
    """
    ALTER TABLE jobs ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE jobs ADD COLUMN applied TEXT;
    ALTER TABLE jobs ADD COLUMN unenforced TEXT;
    ALTER TABLE jobs ADD COLUMN usage TEXT;
    """,
    # What was asked of the job's walls, and what they are, as JSON; the slot of its id range while it runs.
    """
    ALTER TABLE jobs ADD COLUMN confinement TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE jobs ADD COLUMN walls TEXT;
    ALTER TABLE jobs ADD COLUMN slot INTEGER;
    """,
    """
    CREATE TABLE rootfs (
        name        TEXT PRIMARY KEY,
        digest      TEXT NOT NULL,
        size        INTEGER NOT NULL,
        entries     INTEGER NOT NULL,
        uploaded_by TEXT NOT NULL,
        uploaded_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX rootfs_digest ON rootfs (digest);
    """,
    # A name is one live job's of its owner. What one owner has is found without a look at the others'.
    """
    DROP INDEX jobs_live_name;
    CREATE UNIQUE INDEX jobs_live_name ON jobs (name, owner)
        WHERE name IS NOT NULL AND state IN ('pending', 'running');
    CREATE INDEX jobs_owner_name ON jobs (owner, name, seq) WHERE name IS NOT NULL;
    CREATE INDEX jobs_owner ON jobs (owner, seq);
    CREATE INDEX jobs_state ON jobs (owner, state);
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to this version's schema, each step in a transaction of its own.

    Raises FailedPrecondition for a database that a newer jsched has written.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise FailedPrecondition(
            f"the database has schema version {version}, this jsched knows {len(MIGRATIONS)}",
            hint="run the jsched that wrote it, or a newer one",
        )
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
    with connection:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('page_token_key', ?)", (secrets.token_bytes(16),))
