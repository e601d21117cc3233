"""What files held when they were last read, so that an unchanged tree is not read again.

A stat is believed only when the file had been at rest for two seconds before it was read: a file system's clock ticks
in steps, and a change within the step of the last one would leave the same times. The cache is a hint: losing it costs
a full read, and object ids that have left the store are noticed when the tree is written.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from learnd.harvest.livetree import Signature

_AT_REST_NS = 2_000_000_000
_HEADING = b"learnd stat cache 1\0"


class StatCache:
    """Signatures and object ids by path, in one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[bytes, tuple[Signature, str]] = {}
        self._next: dict[bytes, tuple[Signature, str]] = {}

    @property
    def empty(self) -> bool:
        """True when nothing came from an earlier capture."""
        return not self._known

    def load(self) -> None:
        """Read the file; a missing or unknown one is an empty cache."""
        self._known, self._next = {}, {}
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return
        if not content.startswith(_HEADING):
            return
        for record in content[len(_HEADING) :].split(b"\0")[:-1]:
            facts, _, path = record.partition(b"\t")
            object_id, *numbers = facts.decode().split(" ")
            mode, size, mtime, ctime, inode, device = map(int, numbers)
            self._known[path] = ((mode, size, mtime, ctime, inode, device), object_id)

    def get(self, path: bytes, seen: Signature) -> str | None:
        """The object id of `path`, if it still has the signature it had when it was read."""
        known = self._known.get(path)
        if known is None or known[0] != seen:
            return None
        self._next[path] = known
        return known[1]

    def put(self, path: bytes, seen: Signature, object_id: str, read_at_ns: int) -> None:
        """Remember what was read at `read_at_ns`, unless the file was too young to be believed later."""
        if 0 < max(seen[2], seen[3]) < read_at_ns - _AT_REST_NS:
            self._next[path] = (seen, object_id)

    def save(self) -> None:
        """Keep what this capture used; paths that are gone are forgotten."""
        if self._next == self._known:
            return
        records = (
            b"%s %s\t%s\0" % (object_id.encode(), " ".join(map(str, seen)).encode(), path)
            for path, (seen, object_id) in self._next.items()
        )
        with tempfile.NamedTemporaryFile(dir=self._file.parent, delete=False) as part:
            part.write(_HEADING + b"".join(records))
        Path(part.name).replace(self._file)

    def forget(self) -> None:
        """Drop everything: the objects it names are gone."""
        self._file.unlink(missing_ok=True)
