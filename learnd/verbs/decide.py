"""What a person decides: approve, dismiss, promote, reject, deprecate, supersede, release, restore.

Who they are is the kernel's word; `--approver` only adds the name they give.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.verbs.asking import answered, settled, understood
from learnd.verbs.terminal import USAGE, Stop, confirm, note, say

if TYPE_CHECKING:
    from learnd.requests import Reply

TEXT_LIMIT = 256 << 10
"""Bytes of a completed template. The form itself has a few kilobytes."""


@dataclass(frozen=True, slots=True)
class Word:
    """A person's word on it: the name they give, and why."""

    approver: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for beside moving a job on. Money is US dollars."""

    scenario: Path | None
    grant_usd: float
    accept_unproven: bool
    now: bool


def approve(log: Path | None, job: str, word: Word, asked: Asked) -> int:
    """Move a blocked job on. What is wrong with a form is said a line a field, before the refusal."""
    from learnd.requests import ApproveJob  # brings pydantic

    with understood():
        request = ApproveJob(
            job=job,
            claimed=word.approver,
            reason=word.reason,
            scenario=_text(asked.scenario) if asked.scenario else None,
            grant_usd=asked.grant_usd,
            accept_unproven=asked.accept_unproven,
            now=asked.now,
        )
    reply = answered(log, request)
    problems = reply.data.get("problems")
    for field, problem in problems if isinstance(problems, list) else []:  # type: ignore[misc, str-unpack] # pairs
        note(f"  {field}: {problem}")
    if not reply.ok:
        raise Stop(reply.message)
    say(reply.message)
    return 0


def dismiss(log: Path | None, job: str, word: Word, *, yes: bool) -> int:
    """Give a job up, for good."""
    from learnd.requests import DismissJob  # brings pydantic

    if not confirm(f"Dismiss job {job}? It cannot be taken up again.", yes=yes):
        raise Stop("nothing was dismissed")
    say(settled(log, DismissJob(job=job, claimed=word.approver, reason=word.reason)).message)
    return 0


def promote(log: Path | None, pattern: str, word: Word, *, as_edited: bool, as_judged: bool) -> int:
    """Serve a candidate to agents."""
    from learnd.requests import PromotePattern  # brings pydantic

    with understood():
        request = PromotePattern(
            pattern=pattern, claimed=word.approver, reason=word.reason, as_edited=as_edited, as_judged=as_judged
        )
    _say_done(settled(log, request))
    return 0


def reject(log: Path | None, pattern: str, word: Word) -> int:
    """Turn a candidate down; the same change is not learned from again."""
    from learnd.requests import RejectPattern  # brings pydantic

    say(settled(log, RejectPattern(pattern=pattern, claimed=word.approver, reason=word.reason)).message)
    return 0


def deprecate(log: Path | None, pattern: str, word: Word) -> int:
    """Serve an active pattern no longer."""
    from learnd.requests import DeprecatePattern  # brings pydantic

    say(settled(log, DeprecatePattern(pattern=pattern, claimed=word.approver, reason=word.reason)).message)
    return 0


def supersede(log: Path | None, pattern: str, by: str, word: Word, *, as_edited: bool) -> int:
    """Serve `by` in the pattern's place."""
    from learnd.requests import SupersedePattern  # brings pydantic

    with understood():
        request = SupersedePattern(
            pattern=pattern, by=by, claimed=word.approver, reason=word.reason, as_edited=as_edited
        )
    _say_done(settled(log, request))
    return 0


def release(log: Path | None, pattern: str, word: Word) -> int:
    """Overrule the gate that stopped a text."""
    from learnd.requests import ReleasePattern  # brings pydantic

    _say_done(settled(log, ReleasePattern(pattern=pattern, claimed=word.approver, reason=word.reason)))
    return 0


def restore(log: Path | None, pattern: str, word: Word) -> int:
    """Make a candidate of a deprecated, rejected or expired pattern."""
    from learnd.ids import SHORTEST
    from learnd.requests import RestorePattern  # brings pydantic

    if not set(pattern) <= set("0123456789abcdef") or len(pattern) < SHORTEST:
        step = f"learnd restore-backup {pattern}" if Path(pattern).exists() else "learnd review --all"
        raise Stop(f"{pattern} is no pattern's id. Next: {step}", USAGE)
    _say_done(settled(log, RestorePattern(pattern=pattern, claimed=word.approver, reason=word.reason)))
    return 0


def _say_done(reply: Reply) -> None:
    """What was done, and where the pattern's file stands now."""
    say(reply.message)
    file = reply.data.get("file")
    if isinstance(file, str):
        say(file)


def _text(file: Path) -> str:
    """The text of a completed template. Raises Stop."""
    step = "Next: name the completed template"
    try:
        if not file.is_file():  # whoever opens a pipe or a device waits, or reads for ever
            missing = "is no file" if file.exists() else "is not there"
            raise Stop(f"{file} {missing}. {step}", USAGE)
        with file.open("rb") as opened:
            data = opened.read(TEXT_LIMIT + 1)
        if len(data) > TEXT_LIMIT:
            raise Stop(f"{file} has more than {TEXT_LIMIT} bytes: that is no scenario template. {step}", USAGE)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Stop(f"{file} is not UTF-8 text ({error.reason} at byte {error.start}). {step}", USAGE) from error
    except OSError as error:
        raise Stop(f"{file} cannot be read: {error.strerror or error}. {step}", USAGE) from error
    if "\0" in text:
        raise Stop(f"{file} holds NUL characters: that is no text. {step}", USAGE)
    return text
