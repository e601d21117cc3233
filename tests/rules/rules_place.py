"""Given: a change in a real git repository, the spots that were exercised, and a bench in the real sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.repos import git, make_repo, write

from learnd.harvest.store import SnapshotStore
from learnd.lab.hunks import split
from learnd.lab.sandbox import Sandbox
from learnd.rules.bench import Bench, Where, code_of, laid_out
from learnd.rules.languages import language_of
from learnd.rules.target import Spot, spot_of
from learnd.settings import Lab

FilesOf = Mapping[str, str]


@contextmanager
def changed(folder: Path, before: FilesOf, after: FilesOf, language: str) -> Iterator[tuple[Bench, tuple[Spot, ...]]]:
    """A bench with both sides of a change, every hunk of which counts as exercised."""
    repo = make_repo(folder / "repo", dict(before))
    store = SnapshotStore(folder / "state", "r", repo)
    base = store.observe().tree
    write(repo, dict(after))
    git(repo, "add", "-A")
    tree = store.observe().tree
    units = split(store.diff(base, tree), lambda _path: False)
    where = Where(Sandbox("bubblewrap"), folder / "work", Lab(), (repo.stat().st_uid, repo.stat().st_gid), "bench")
    files = {"base": code_of(store, base, language), "snapshot": code_of(store, tree, language)}
    with laid_out(where, files) as bench:  # type: ignore[arg-type] # the two sides
        yield bench, tuple(spot_of(unit) for unit in units if language_of(unit.file) == language)
