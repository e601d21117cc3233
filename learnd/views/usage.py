"""What became of a pattern where agents are, as its stream of use tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Rows = Callable[[str, tuple[object, ...]], list[tuple[object, ...]]]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """How often it was served, on which UTC day last, and how many reports said what. Today's notes come later."""

    served: int = 0
    served_on: str | None = None
    helped: int = 0
    did_not_help: int = 0
    wrong: int = 0

    @property
    def line(self) -> str:
        """For people; empty where nothing is known."""
        if not self.served and not self._reports:
            return ""
        times = f"served {self.served} time{'' if self.served == 1 else 's'}"
        last = f", last on {self.served_on}" if self.served_on else ""
        said = "; reported: " + ", ".join(self._reports) if self._reports else ""
        return f"{times}{last}{said}"

    @property
    def _reports(self) -> list[str]:
        counts = (("helped", self.helped), ("did not help", self.did_not_help), ("wrong", self.wrong))
        return [f"{count} {said}" for said, count in counts if count]


def usage_of(rows: Rows, pattern_id: str) -> UsageRow:
    """A row of nothing where there is no stream of use."""
    found = rows("SELECT served, served_on, helped, did_not_help, wrong FROM usage WHERE id = ?", (pattern_id,))
    if not found:
        return UsageRow()
    served, served_on, helped, did_not_help, wrong = found[0]
    counts = (int(str(count)) for count in (helped, did_not_help, wrong))
    return UsageRow(int(str(served)), str(served_on) if served_on else None, *counts)
