"""The hash chain: each event's hash covers the previous hash and its own stored envelope, actor included.

What is hashed is unambiguous: the previous hash (64 characters), the three numbers each ended by a comma, then
every text as `<length in characters>:<text>`, an absent one as `-`; in UTF-8, sha256, lower-case hex.

A chain shows any change inside the log. It cannot show a cut tail or a whole rewrite: for those the head
(position and hash) has to be anchored outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from events.recorded import Row, Stored

GENESIS = "0" * 64
"""The hash before the first event."""


class LogDamaged(Exception):
    """The first position that does not hold, and why."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(
            f"the log does not hold from position {position} on: {reason}. "
            "Next: stop learnd, keep a copy of the log, restore the last backup whose head was anchored"
        )
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that holds: its head's position and hash, and how many events were checked."""

    position: int
    hash: str
    count: int


def link(previous: str, stored: Stored) -> str:
    """The hash of the event `stored` whose predecessor's hash is `previous`."""
    position, stream, version, id_, type_, schema, at, actor, correlation, causation, text = stored
    first = "-" if correlation is None else f"{len(correlation)}:{correlation}"
    second = "-" if causation is None else f"{len(causation)}:{causation}"
    return sha256(
        f"{previous}{position},{version},{schema:d},{len(stream)}:{stream}{len(id_)}:{id_}{len(type_)}:{type_}"
        f"{len(at)}:{at}{len(actor)}:{actor}{first}{second}{len(text)}:{text}".encode()
    ).hexdigest()


class Chain:
    """Checks rows in order of position, from the first on. Raises LogDamaged at the first that does not hold."""

    def __init__(self) -> None:
        self.position = 0
        self.hash = GENESIS
        self._versions: dict[str, int] = {}

    def check(self, rows: Iterable[Row]) -> None:
        """Check the next rows. A million of them take seconds, so that what each needs is kept at hand."""
        position_before, hash_before, versions = self.position, self.hash, self._versions
        for row in rows:
            position, stream, version, hash_ = row[0], row[1], row[2], row[11]
            if position != position_before + 1:
                raise LogDamaged(position_before + 1, f"it is missing, position {position} stands next")
            try:
                found = link(hash_before, row[:11])
            except (TypeError, ValueError) as error:
                raise LogDamaged(position, f"a column is not of its type: {error}") from error
            if found != hash_:
                raise LogDamaged(position, f"its hash differs (stored {str(hash_)[:12]}…, computed {found[:12]}…)")
            last = versions.get(stream, 0)
            if version != last + 1:
                raise LogDamaged(position, f"version {version} of stream {stream} follows version {last}")
            versions[stream] = version
            position_before, hash_before = position, found
        self.position, self.hash = position_before, hash_before
