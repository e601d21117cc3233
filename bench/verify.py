"""Checking a million events: positions, versions, and the hash of each over the one before.

The peer reads the same rows and hashes as many bytes in one piece each: nothing that checks a chain of SHA-256 over
rows in SQLite does less.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from bench.measuring import Line, in_turns, median, scaled, shown
from bench.million import COUNT, make_log, mean_bytes
from events.log import PAGE, EventLog

ROUNDS = 3
AIM_S = 4.0
WHY = "the chain is checked in one thread, and each row's text is put together in Python before it is hashed"


def measure(folder: Path, scale: float) -> list[Line]:
    count = scaled(COUNT, scale, 100)
    with make_log(folder / "verify/events.db", count) as log:
        taken = in_turns({"learnd": log.verify, "peer": lambda: _hash_all(log)}, ROUNDS)
        ours, peer = median(taken["learnd"]), median(taken["peer"])
        size = mean_bytes(log)
    return [
        Line(
            f"verify {count:,} events of {size:.0f} bytes",
            shown(ours),
            f"read and hash each row, no check: {shown(peer)}",
            f"{ours / peer:.2f} × the time",
            f"< {AIM_S:.0f} s",
            ours < AIM_S,
            f"{ROUNDS}",
            WHY,
        )
    ]


def _hash_all(log: EventLog) -> None:
    after = 0
    query = "SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?"
    while page := log.connection.execute(query, (after, PAGE)).fetchall():
        for row in page:
            sha256("".join(map(str, row)).encode()).hexdigest()
        after = page[-1][0]
