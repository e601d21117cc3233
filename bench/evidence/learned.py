"""What learnd makes of a pair: `learnd once` as a process of its own, and what its log then says.

Everything in a row is read from the events; only the time inside of the commands comes from the log of the replays, in
which each command stands with its own.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.evidence.project import Project
from events.catalog import ChangeValidated, Event, ManualScenarioRequired, ReplayStarted, ValidationFailed
from events.log import EventLog
from events.recorded import Recorded
from events.values import Evidence
from learnd.clock import seconds_between

CHECKOUT = Path(__file__).resolve().parents[2]
LEARN_S = 3600.0
HUNKS = ("exercised", "unexercised", "inseparable", "unknown")
_COMMAND_ENDED = re.compile(r"^\[(?:exit code|signal) .*?, (\d+\.\d+) s[;,]", re.MULTILINE)
_REPLAY = re.compile(r"^=== (?!verdict:|.*: does not revert$)", re.MULTILINE)
_CUT = "further entries left out: the log is full"


class NothingCame(Exception):
    """learnd ended without a verdict; the message has what it said and recorded."""


@dataclass(frozen=True)
class Learned:
    """`seconds` are of the replays and what is between them, `inside` of those in which the commands ran."""

    evidence: Evidence
    seconds: float
    inside: float
    replays: int
    by_hand: float
    whole_log: bool = True

    @property
    def added(self) -> float:
        """Seconds that a replay of the snapshot takes beyond the same command by hand: sandbox, cold byte code."""
        return max(0.0, statistics.median(one.seconds for one in self.evidence.snapshot) - self.by_hand)

    @property
    def foreign_share(self) -> float | None:
        """The share of the time that is not the tests' own; None where the replays' log was too long to be kept."""
        if not self.whole_log or not self.evidence.snapshot:
            return None
        return (self.seconds - self.inside + self.replays * self.added) / self.seconds

    def hunks(self) -> Counter[str]:
        return Counter(hunk.verdict for hunk in self.evidence.hunks)


def learn(project: Project, state: Path, **environ: str) -> Learned:
    """Let learnd work on the repository until it rests, and read what came of it.

    The command's time by hand is measured before and after, so that a slow moment of the machine hits both. Raises
    NothingCame, CommandFailed.
    """
    env = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "HOME": str(state), "XDG_CONFIG_HOME": str(state),
        "LEARND_STATE_DIR": str(state), **environ,
    }  # fmt: skip
    before = project.by_hand()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "learnd", "once", str(project.repo)],
        cwd=CHECKOUT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LEARN_S,
    )  # fmt: skip
    log = EventLog.open_readonly(state / "events.db")
    try:
        records = list(log.read_all())
    finally:
        log.close()
    return read(records, statistics.median(before + project.by_hand()), done.stdout + done.stderr)


def read(records: Sequence[Recorded], by_hand: float, said: str) -> Learned:
    """The verdict among the events of one job. Raises NothingCame."""
    begun = _last(records, ReplayStarted)
    ended = _last(records, ChangeValidated, ValidationFailed)
    if begun is None or ended is None or not isinstance(ended.data, ChangeValidated | ValidationFailed):
        required = _last(records, ManualScenarioRequired)
        if required is not None and isinstance(required.data, ManualScenarioRequired):
            raise NothingCame(f"needs_manual_scenario: {required.data.detail}")
        raise NothingCame(f"{', '.join(record.type for record in records[-4:])}: {said[-1500:]}")
    evidence = ended.data.evidence
    text = Path(evidence.log.path).read_text() if evidence.log else _CUT
    return Learned(
        evidence=evidence,
        seconds=seconds_between(begun.at, ended.at),
        inside=sum(map(float, _COMMAND_ENDED.findall(text))),
        replays=len(_REPLAY.findall(text)),
        by_hand=by_hand,
        whole_log=_CUT not in text,
    )


def _last(records: Sequence[Recorded], *types: type[Event]) -> Recorded | None:
    return next((record for record in reversed(records) if isinstance(record.data, types)), None)
