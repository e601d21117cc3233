"""`export`: the log as JSON Lines or CloudEvents, to stdout or, whole or not at all, to a file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from learnd.verbs.reading import Reading, reading
from learnd.verbs.tail import types_named
from learnd.verbs.terminal import USAGE, Stop, note, print_json, say


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which events: after a position, of types, of one job and its pattern, or of one repository."""

    after: int
    types: list[str]
    job: str | None
    repo: str | None


def export(log: Path | None, format_: str, chosen: Chosen, out: Path | None) -> int:
    """Write the chosen events, oldest first."""
    from learnd.keeping.export import FORMATS  # brings pydantic
    from learnd.keeping.export import export as lines

    known = next((name for name in FORMATS if name == format_), None)
    if known is None:
        raise Stop(f"{format_!r} is no format. Next: --format {' or '.join(FORMATS)}", USAGE)
    types = types_named(chosen.types)
    with reading(log) as book:
        head = book.head()
        if chosen.after > head:
            raise Stop(f"{book.place.log} ends at position {head}: it was restored, or is another log than before")
        told = lines(book.log.connection, known, after=chosen.after, types=types, streams=_streams(book, chosen))
        if out is None:
            for line in told:
                sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            return 0
        count = _write(out, told)
        events = "1 event" if count == 1 else f"{count} events"
        note(f"{events} up to position {head} written to {out}. Next time: learnd export --after {head}")
    return 0


def _streams(book: Reading, chosen: Chosen) -> frozenset[str] | None:
    """The streams that were asked for; None for all. Raises Stop."""
    if chosen.job is not None and chosen.repo is not None:
        raise Stop("a job is of one repository: --job and --repo do not go together. Next: one of them", USAGE)
    if chosen.job is not None:
        from learnd.ids import pattern_id

        row = book.views.job(chosen.job)
        pattern = row.pattern or pattern_id(row.id)
        return frozenset((f"job-{row.id}", f"pattern-{pattern}", f"usage-{pattern}"))
    if chosen.repo is None:
        return None
    ids = _repositories(book, chosen.repo)
    found = {f"repo-{repo_id}" for repo_id in ids}
    for repo_id in ids:
        found |= {f"job-{row.id}" for row in book.views.jobs(repo_id=repo_id)}
        for pattern_row in book.views.patterns(repo_id=repo_id):
            found |= {f"pattern-{pattern_row.id}", f"usage-{pattern_row.id}"}
    return frozenset(found)


def _repositories(book: Reading, what: str) -> tuple[str, ...]:
    """Ids of the repositories, forgotten ones too, that `what` names: an id or its beginning, or a path."""
    rows = [*book.views.repositories(), *book.views.forgotten()]
    by_id = tuple(row.id for row in rows if len(what) >= 8 and row.id.startswith(what))
    path = os.path.realpath(what)
    ids = by_id or book.views.repositories_at(path) or tuple(row.id for row in rows if row.path == path)
    if not ids:
        raise Stop(f"{what} was never registered. Next: learnd status lists what is")
    return ids


def _write(out: Path, lines: Iterator[str]) -> int:
    """Write all lines to a file that is there whole or not at all; only its owner reads it. Returns how many."""
    count = 0
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name[:40]}.", suffix=".part", dir=out.parent)
    except OSError as error:
        raise Stop(f"{out.parent} cannot be written: {error.strerror}. Next: --output another file") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"{line}\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        part.rename(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Stop(f"{out} was not written: {error.strerror}. Next: make room, or --output another file") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return count


def verify_export(file: Path, *, as_json: bool) -> int:
    """Check an exported file by its own hashes, without the log. JSON: `{ok, file, first, position, hash, reason}`."""
    from events.log import LogDamaged  # brings pydantic
    from learnd.keeping.export import ExportUnusable, verify

    try:
        with file.open(encoding="utf-8") as opened:
            first, found = verify(opened)
    except OSError as error:
        raise Stop(f"{file} cannot be read: {error.strerror}. Next: name an exported file", USAGE) from error
    except (LogDamaged, ExportUnusable, UnicodeDecodeError) as error:
        reason = error.reason if isinstance(error, LogDamaged) else str(error)
        at = f"position {error.position}: " if isinstance(error, LogDamaged) else ""
        if as_json:
            told = {"ok": False, "file": str(file), "first": None, "position": None, "hash": None}
            print_json({**told, "reason": f"{at}{reason}"})
        raise Stop(
            f"{file} does not hold: {at}{reason}. Next: export again, without --type, --job and --repo"
        ) from error
    if as_json:
        told = {"ok": True, "file": str(file), "first": first, "position": found.position, "hash": found.hash}
        print_json({**told, "reason": None})
        return 0
    if not found.count:
        say(f"{file} has no events")
        return 0
    events = "1 event" if found.count == 1 else f"{found.count} events"
    say(f"{file} holds: {events}, positions {first} to {found.position}")
    if first > 1:
        say(f"what was before position {first} is not in it: the first hash is taken as told")
    say(f"head {found.position} {found.hash}")
    return 0
