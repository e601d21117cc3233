"""A backup's `backup.json`: what is in it, and how to tell that it is still what was put there."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from events.catalog import CATALOG
from events.copies import check_copy
from events.database import LogUnusable, open_reader
from events.log import LogDamaged
from events.values import Digest, Value
from learnd.keeping.bundles import StoreCopy
from learnd.locate import NAME

MANIFEST = "backup.json"
FORMAT = 1


class BackupUnusable(Exception):
    """A backup cannot be used, or cannot be made; the message says why and what next."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError("a part lies inside its backup")
    return path


class Part(Value):
    """A file of the backup; `path` is relative to it."""

    path: Annotated[str, AfterValidator(_inside)]
    size_bytes: int = Field(ge=0)
    sha256: Digest


class LeftOut(Value):
    """Something that could not be copied, and why."""

    what: str
    reason: str


class Backup(Value):
    """The log ended with the event `position`, of `head_at`, whose hash is `hash`."""

    format: int
    learnd_version: str
    made_at: str
    log_layout: int
    position: int = Field(ge=0)
    hash: Digest
    head_at: str | None
    parts: tuple[Part, ...]
    stores: tuple[StoreCopy, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


def is_backup(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Backup:
    """What a backup says of itself. Raises BackupUnusable, for a newer learnd's as well."""
    file = folder / MANIFEST
    try:
        text = file.read_bytes()
        said = json.loads(text)
        number = said.get("format") if isinstance(said, dict) else None
        if isinstance(number, int) and number > FORMAT:
            newer = f"{said.get('learnd_version')} (backup format {number}, this one knows {FORMAT})"
            raise BackupUnusable(f"{folder} was written by a newer learnd, {newer}. Next: upgrade learnd")
        return Backup.model_validate_json(text)
    except OSError as error:
        raise BackupUnusable(
            f"{folder} is no backup: {file.name} cannot be read ({error.strerror}). Next: name a folder that learnd "
            "backup made"
        ) from error
    except (ValueError, ValidationError) as error:
        raise BackupUnusable(f"{file} is damaged. Next: restore another backup") from error


def check_backup(folder: Path) -> Backup:
    """Hold every part of a backup against its manifest, and the log against its chain. Raises BackupUnusable."""
    backup = read_manifest(folder)
    check_parts(folder, backup)
    try:
        _require_known(folder, backup)
        checked = check_copy(folder / NAME)
    except LogUnusable as error:
        raise BackupUnusable(str(error)) from error
    except (LogDamaged, sqlite3.Error) as error:
        said = str(error).partition(" Next:")[0]
        raise BackupUnusable(f"{folder / NAME}: {said} Next: restore another backup") from error
    if (checked.position, checked.hash) != (backup.position, backup.hash):
        raise BackupUnusable(f"{folder}: the log is not the one of {MANIFEST}. Next: restore another backup")
    return backup


def check_parts(folder: Path, backup: Backup) -> None:
    """Hold every part against its size and digest. Raises BackupUnusable."""
    for part in backup.parts:
        if _look(folder, part) != (part.size_bytes, part.sha256):
            raise BackupUnusable(f"{folder / part.path} is not what was put there. Next: restore another backup")


def parts_of(folder: Path) -> tuple[Part, ...]:
    """Every file below `folder` as a part, read back. Raises OSError."""
    return tuple(
        Part(path=file.relative_to(folder).as_posix(), size_bytes=file.stat().st_size, sha256=digest(file))
        for file in _files(folder)
    )


def digest(file: Path) -> str:
    """sha256 of a file. Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _look(folder: Path, part: Part) -> tuple[int, str] | None:
    file = folder / part.path
    try:
        return file.stat().st_size, digest(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BackupUnusable(f"{file} cannot be read: {error.strerror}. Next: restore another backup") from error


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _require_known(folder: Path, backup: Backup) -> None:
    """Events of a kind that this learnd does not know could be kept, but not folded. Raises BackupUnusable."""
    connection = open_reader(folder / NAME)
    try:
        kinds = connection.execute("SELECT type, max(schema) FROM events GROUP BY type").fetchall()
    finally:
        connection.close()
    for name, schema in kinds:
        model = CATALOG.get(name)
        if model is None or schema > model.SCHEMA:
            raise BackupUnusable(
                f"{folder} was written by a newer learnd, {backup.learnd_version}: it holds events {name} of schema "
                f"{schema}. Next: upgrade learnd"
            )
