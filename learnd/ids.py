"""Identities that follow from what they name, so that doing a thing twice finds the first time.

People see and type the shortest unique prefix, at least `SHORTEST` digits, as with git.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SHORTEST = 8


def job_id(repo_id: str, task_id: str, run_id: str, moment: str) -> str:
    """sha256 over repository, task, run and `moment`: the completion, or for a run still in progress
    `observed-<n>`, where n counts the jobs that the run had before. Such a job keeps its id when it completes.
    """
    return _digest("job", repo_id, task_id, run_id, moment)


def pattern_id(job_id: str) -> str:
    """The id of the pattern that a job drafts."""
    return _digest("pattern", job_id)


def group_id(service: str, members: Iterable[str]) -> str:
    """The id of the group that these jobs, in this order, make."""
    return _digest("group", service, *members)


def _digest(*parts: str) -> str:
    # Lengths stand before the parts: ("ab", "c") and ("a", "bc") must differ.
    text = "".join(f"{len(part.encode())}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def short(identity: str) -> str:
    """The part of an id that people see."""
    return identity[:SHORTEST]
