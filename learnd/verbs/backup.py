"""`backup`: log, snapshot stores and pattern texts, copied and read back while the daemon works."""

from __future__ import annotations

from pathlib import Path

from learnd.verbs import diagnostics
from learnd.verbs.asking import settled
from learnd.verbs.reading import no_log, place_of
from learnd.verbs.terminal import Stop, note, print_json, say, size


def backup(log: Path | None, target: Path, *, as_json: bool) -> int:
    """Make a backup in a dated folder of its own in `target`, and have the log told.

    JSON: `{path, position, hash, made_at, size_bytes, stores, left_out: [{what, reason}]}`. 1 when something had to be
    left out, or the log could not be told; the backup stands all the same.
    """
    place = place_of(log)
    if not place.has_log():
        raise Stop(no_log(place))
    diagnostics.configure(quiet=True)
    from learnd.keeping.backup import make_backup  # brings pydantic
    from learnd.keeping.manifest import BackupUnusable
    from learnd.requests import NoteBackup

    try:
        made = make_backup(place.log, target.absolute())
    except BackupUnusable as error:
        raise Stop(str(error)) from error
    manifest = made.manifest
    if as_json:
        shown = manifest.model_dump(mode="json", include={"position", "hash", "made_at"})
        left_out = [entry.model_dump(mode="json") for entry in manifest.left_out]
        more = {"size_bytes": manifest.size_bytes, "stores": len(manifest.stores), "left_out": left_out}
        print_json({"path": str(made.folder), **shown, **more})
    else:
        stores = f"{len(manifest.stores)} snapshot store{'' if len(manifest.stores) == 1 else 's'}"
        say(f"{made.folder} holds {manifest.position} events and {stores}, {size(manifest.size_bytes)}; read back")
        say(f"head {manifest.position} {manifest.hash}")
    for entry in manifest.left_out:
        note(f"left out: {entry.what}: {entry.reason}. Next: mend it, and back up again")
    try:
        told = {"path": str(made.folder), "position": manifest.position, "hash": manifest.hash}
        settled(log, NoteBackup(**told, size_bytes=manifest.size_bytes))
    except Stop as stop:
        raise Stop(f"the backup stands, but the log was not told of it: {stop}") from stop
    return int(bool(manifest.left_out))
