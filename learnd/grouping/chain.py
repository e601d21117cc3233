"""Do runs build on each other, and what did they change together? Pure.

A group's change goes from the base of its first run to the snapshot of its last. That is the change of its members,
and of nobody else, only if

- each run began, in every file that both changed, with what the run before had left there; where its base was not
  observed when it began (but taken from HEAD, say), with what an earlier one began with is as good;
- what each run left is still there in the last snapshot, unless a later member changed it;
- the commits that they began at stand on one line of history.

Files that no member changed are nobody's in the group: both sides have them as the last snapshot has. So work of
others in between, in other files, is neither claimed nor in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Content = tuple[str, str]
"""A file as git knows it: mode and object."""


@dataclass(frozen=True)
class RunChange:
    """What one run did. `before` and `after` hold the files, by path, that any run looked at changed; absent: no file.

    `observed`: its base is the tree that was there when it began. `commit` is the user's commit that it began at.
    """

    job: str
    before: Mapping[str, Content]
    after: Mapping[str, Content]
    observed: bool
    commit: str | None = None

    @property
    def touched(self) -> frozenset[str]:
        return frozenset(p for p in self.before.keys() | self.after.keys() if self.before.get(p) != self.after.get(p))


Descends = Callable[[str, str], bool | None]
"""Whether the first commit has the second among its ancestors, or is it; None where nobody can say."""


def misfit(runs: Sequence[RunChange], following: RunChange, descends: Descends) -> str | None:
    """Why `following` is no continuation of `runs`, which are one; None when it is."""
    first = runs[0]
    if first.commit and following.commit and descends(following.commit, first.commit) is False:
        return f"commit {first.commit[:12]}, at which job {first.job[:8]} began, is no ancestor of where it began"
    for path in sorted(frozenset[str]().union(*(run.touched for run in runs))):
        earlier = [run for run in runs if path in run.touched]
        left, found = earlier[-1].after.get(path), following.before.get(path)
        if path not in following.touched:
            if following.after.get(path) != left:
                return f"what job {earlier[-1].job[:8]} left in {path} is not in its snapshot"
        elif found != left and (following.observed or found not in {run.before.get(path) for run in earlier}):
            return f"{path} was changed between job {earlier[-1].job[:8]} and it, by neither"
    return None


@dataclass(frozen=True)
class Chain:
    """Runs that are validated together, in order, and why the next ones are not among them."""

    runs: tuple[RunChange, ...]
    apart: tuple[str, ...] = ()


def chains(runs: Sequence[RunChange], may_follow: Callable[[str, str], bool], descends: Descends) -> list[Chain]:
    """`runs`, which are in the order of their completion, taken apart where one does not build on those before.

    `may_follow(first, job)`: whether the window that the first run opened was still open for this job.
    """
    found: list[Chain] = []
    for run in runs:
        if found:
            last = found[-1]
            if may_follow(last.runs[0].job, run.job):
                reason = misfit(last.runs, run, descends)
                if reason is None:
                    found[-1] = Chain((*last.runs, run), last.apart)
                    continue
                told = f"not together with job {run.job[:8]}: {reason}"
                found[-1] = Chain(last.runs, (*last.apart, told))
                back = f"not together with job {last.runs[-1].job[:8]}: {reason}"
                found.append(Chain((run,), (back,)))
                continue
        found.append(Chain((run,)))
    return found


def before_all(runs: Sequence[RunChange]) -> dict[str, Content | None]:
    """Every file that a chain changed, as it was before the first that changed it; None: there was none."""
    files: dict[str, Content | None] = {}
    for run in runs:
        for path in run.touched:
            files.setdefault(path, run.before.get(path))
    return files
