"""Opening the log's SQLite file: who may, where it may lie, and how a connection is set.

The writer (holder of the lock) has one connection, in WAL mode with `synchronous=FULL`; it alone checkpoints.
Readers open the file read-only, so that none of them can make a log, change one or checkpoint one. The writer brings
an older file's layout forward (see `migrate.py`); a newer one is refused by both.
"""

from __future__ import annotations

import os
import sqlite3
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from events.layouts import MIGRATIONS, Migration, newest

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x6C726E64  # "lrnd", so that `file` and we know a log from any other database
SCHEMA = newest()
"""Number of the table layout and of the hash encoding, in `user_version`. Not the schema of an event."""

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
BUSY_SECONDS = 10.0
MOUNTINFO = Path("/proc/self/mountinfo")
NETWORK_FILE_SYSTEMS = frozenset(
    {
        *(
            "9p",
            "acfs",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "davfs",
            "gfs2",
            "gpfs",
            "lustre",
            "ncpfs",
            "nfs",
            "nfs4",
        ),
        *("ocfs2", "orangefs", "prl_fs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "vmhgfs"),
        *(
            "fuse.ceph",
            "fuse.curlftpfs",
            "fuse.davfs2",
            "fuse.gcsfuse",
            "fuse.glusterfs",
            "fuse.goofys",
            "fuse.grpcfuse",
        ),
        *("fuse.juicefs", "fuse.mfs", "fuse.osxfs", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs"),
        "fuse.vmhgfs-fuse",
    }
)
"""Types whose locks or shared memory do not reach every host that may have the file open, which WAL needs."""


class LogUnusable(Exception):
    """The log cannot be opened here. The message says what, where and what next."""


class LogMissing(LogUnusable):
    """There is no log at this path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"there is no log at {path}. Next: start learnd, which makes one, or name another with --log")


def open_writer(path: Path, migrations: tuple[Migration, ...] = MIGRATIONS) -> sqlite3.Connection:
    """The writing connection to the log at `path`, made with its tables (mode 0600, folder 0700) where absent.

    A file of an older layout is led to the newest by `migrations`, after a copy of it was put beside it. The caller
    holds the log's lock. Raises LogUnusable.
    """
    # Imported here: it takes longer to load than all a reading verb does.
    from sqlite_utils import Database  # noqa: PLC0415

    _require_sqlite()
    require_local_file_system(path)
    make_private_folder(path.parent)
    _make_private_file(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database = Database(connection, recursive_triggers=True, execute_plugins=False)
        _require_log(connection, path, may_be_empty=True, known=newest(migrations))
        _require_wal(database, path)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=1000")
        _make_tables(database)
        _bring_forward(connection, path, migrations)
        # SQLite makes only those names durable that it made itself.
        sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _unusable(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, migrations: tuple[Migration, ...] = MIGRATIONS) -> sqlite3.Connection:
    """A read-only connection to the log at `path`, whether or not a writer is at work. Raises LogMissing, LogUnusable.

    A file of an older layout is read as it is; `migrations` say which layout is the newest that is known.

    Where neither the folder nor the side files can be written (another user's log, a read-only mount) and no
    write-ahead log stands beside the file, nobody is writing and the file is read as it lies.
    """
    _require_sqlite()
    require_local_file_system(path)
    _require_readable(path)
    try:
        return _open_uri(path, "mode=ro", newest(migrations))
    except sqlite3.DatabaseError as error:
        if _primary_code(error) not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            raise _unusable(path, error) from error
        wal = path.with_name(path.name + "-wal")
        if _size(wal):
            raise LogUnusable(
                f"{path} cannot be read without {wal.name}, which this user cannot open. "
                "Next: run as the user of learnd's daemon"
            ) from error
    try:
        return _open_uri(path, "mode=ro&immutable=1", newest(migrations))
    except sqlite3.DatabaseError as error:
        raise _unusable(path, error) from error


def empty_write_ahead_log(connection: sqlite3.Connection, path: Path) -> bool:
    """Move all that was committed into the file, for good; False when a reader stood in the way.

    What was written to the write-ahead log but never counted as committed can then not come back. Raises
    sqlite3.OperationalError, OSError.
    """
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    # SQLite syncs the file but not the cut: after a power loss the old frames could stand there again.
    sync(path.with_name(path.name + "-wal"), os.O_RDONLY)
    return not busy


def is_environmental(error: sqlite3.Error) -> bool:
    """Whether the machine (disk, memory, another process) and not a statement is the cause of `error`."""
    return _primary_code(error) in {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }


def is_disk_full(error: sqlite3.Error) -> bool:
    """Whether `error` is a write that found no space. A failed sync is never reported so."""
    return _primary_code(error) == sqlite3.SQLITE_FULL


def make_private_folder(folder: Path) -> None:
    """Make `folder` (0700) where it is absent; one that is there is left as it is. Raises LogUnusable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        step = "Next: set state_dir to a folder that this user can make and write"
        raise LogUnusable(f"the log's folder {folder} cannot be made: {error.strerror}. {step}") from error


def require_local_file_system(path: Path) -> None:
    """Raises LogUnusable when `path` lies on a network file system. Where mounts cannot be read, nothing is known."""
    try:
        mounts = MOUNTINFO.read_text(errors="surrogateescape")
    except OSError:
        return
    kind = file_system_type(path.resolve(), mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise LogUnusable(
            f"{path} lies on a network file system ({kind}), where SQLite's locks and shared memory do not hold. "
            "Next: put learnd's state directory on a local disk"
        )


def file_system_type(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds `path` (absolute, resolved), from the text of mountinfo (see proc(5))."""
    best, kind = -1, None
    for line in mounts.splitlines():
        mount, separator, source = line.partition(" - ")
        fields = mount.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = Path(_unescape(fields[4]))
        # A later mount on the same point covers the earlier one.
        if len(point.parts) >= best and path.is_relative_to(point):
            best, kind = len(point.parts), source.split(" ", maxsplit=1)[0]
    return kind


def _unescape(field: str) -> str:
    for escaped, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escaped, character)
    return field


def _require_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(str(part) for part in OLDEST_SQLITE)
        raise LogUnusable(
            f"SQLite {sqlite3.sqlite_version} is too old for the log, which needs {needed} or newer. "
            "Next: use a Python built with a newer SQLite"
        )


def _require_readable(path: Path) -> None:
    try:
        if not path.exists():
            raise LogMissing(path)
    except PermissionError as error:
        raise LogUnusable(f"{path} cannot be reached by this user. Next: run as the user of learnd's daemon") from error
    if not os.access(path, os.R_OK):
        raise LogUnusable(f"{path} may not be read by this user. Next: run as the user of learnd's daemon")


def _require_log(connection: sqlite3.Connection, path: Path, *, may_be_empty: bool, known: int) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == 0 and tables == 0:
        if may_be_empty:
            return
        raise LogUnusable(f"{path} is empty: its making was cut short. Next: learnd init REPO, which makes it whole")
    if application != APPLICATION_ID:
        raise LogUnusable(f"{path} is a database, but no learnd log. Next: name the log with --log")
    if number > known:
        raise LogUnusable(
            f"{path} was written by a newer learnd (log schema {number}, this one knows {known}). Next: upgrade learnd"
        )


def _require_wal(database: Database, path: Path) -> None:
    database.enable_wal()
    if database.journal_mode != "wal":
        raise LogUnusable(f"{path} cannot be put in WAL mode. Next: move the log to a local disk")


def _make_tables(database: Database) -> None:
    if "events" in database.table_names():
        return
    database.conn.execute("BEGIN IMMEDIATE")
    try:
        database.executescript(resources.files("events").joinpath("schema.sql").read_text())
        database.execute(f"PRAGMA application_id={APPLICATION_ID}")
        database.execute(f"PRAGMA user_version={SCHEMA}")
        database.conn.execute("COMMIT")
    except BaseException:
        database.conn.rollback()
        raise


def _bring_forward(connection: sqlite3.Connection, path: Path, migrations: tuple[Migration, ...]) -> None:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    if number < newest(migrations):
        from events.migrate import migrate  # noqa: PLC0415 - brings pydantic, and is hardly ever needed

        migrate(connection, path, migrations)


def _make_private_file(path: Path) -> None:
    """SQLite would make it under the umask; its side files take this file's mode.

    A file that is there is not opened: closing it again would drop the locks that SQLite holds on it for this
    process (POSIX locks belong to the process, not to the descriptor).
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK):
            raise LogUnusable(
                f"{path} may not be written by this user. Next: run as the user of learnd's daemon"
            ) from None
    except OSError as error:
        raise LogUnusable(f"the log {path} cannot be made: {error.strerror}. Next: `learnd doctor`") from error


def _open_uri(path: Path, query: str, known: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?{query}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _require_log(connection, path, may_be_empty=False, known=known)
    except BaseException:
        connection.close()
        raise
    return connection


def _unusable(path: Path, error: sqlite3.Error) -> LogUnusable:
    return LogUnusable(f"{path} cannot be opened: {error}. Next: `learnd doctor`")


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def sync(path: Path, flags: int) -> None:
    """Make durable what `path` holds: a file, or with `O_DIRECTORY` the names in a folder."""
    handle = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
