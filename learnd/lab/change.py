"""The change that a proof is about: two trees that differ in source alone, and the units of that difference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from events.values import Scenario, SnapshotRecord
from learnd.assets import agent_dir
from learnd.harvest.store import SnapshotStore
from learnd.lab.hunks import AddedNames, DiffUnreadable, Unit, added_names, split
from learnd.lab.templates import FOLDER, Stack, is_test_path, load
from state.own_work import is_own_place

RUNNER_SETTINGS = re.compile(
    r"\.?pytest\.(ini|toml)|tox\.(ini|toml)|setup\.cfg|pyproject\.toml|hatch\.toml|noxfile\.py|package\.json"
    r"|(jest|vitest|vite|ava)\.config\.\w+|\.mocharc(\.\w+)?|(GNUm|M|m)akefile|\.?[Jj]ustfile|.+\.py[co]"
)


@dataclass(frozen=True)
class Change:
    """A change as two trees that differ in source alone, and the units of that difference."""

    base: str
    snapshot: str
    base_files: frozenset[str]
    snapshot_files: frozenset[str]
    source_paths: tuple[str, ...]
    test_paths: tuple[str, ...]
    units: tuple[Unit, ...]
    names: AddedNames
    tree_bytes: int
    unreadable: str = ""


def read_change(
    record: SnapshotRecord, scenario: Scenario, own_stacks: Sequence[Stack], store: SnapshotStore
) -> Change:
    """The change of a snapshot: base with the change's test files over it, snapshot, and source units between them.

    Test files are those whose path says so to any stack, the scenario's fixtures, and the runners' settings: these
    choose which tests run and what is loaded beside them, so both sides are judged under the same; and byte code, which
    Python may take for the source beside it. A repository's own stacks can add to what learnd's call a test, never take
    from it: a test taken for source could prove a test-only change.
    """
    before = {entry.path: entry for entry in store.list_files(record.base_tree)}
    after = {entry.path: entry for entry in store.list_files(record.tree)}
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    tree_bytes = sum(entry.size for entry in after.values())

    def is_test(path: str) -> bool:
        if is_test_path(path, stacks) or RUNNER_SETTINGS.fullmatch(path.rpartition("/")[2]):
            return True
        return any(path == name or path.startswith(f"{name}/") for name in fixtures)

    stacks = (*load(agent_dir() / FOLDER.removeprefix(".agent/")).stacks, *own_stacks)
    fixtures = tuple(name.rstrip("/") for name in scenario.fixtures)
    tests = [path for path in changed if is_test(path)]
    # What learnd wrote itself is no part of the change: both sides have it.
    own = {path for path in changed if path in record.own_paths or is_own_place(path)}
    base = store.tree_with(record.base_tree, {path: after.get(path) for path in (*tests, *own)})
    source = tuple(path for path in changed if not is_test(path) and path not in own)
    units: tuple[Unit, ...] = ()
    unreadable = ""
    try:
        units = split(store.diff(base, record.tree), is_test)
    except DiffUnreadable as error:
        unreadable = str(error)
    names = added_names(units)
    return Change(
        base=base,
        snapshot=record.tree,
        base_files=frozenset(before),
        snapshot_files=frozenset(after),
        source_paths=source,
        test_paths=tuple(tests),
        units=units,
        names=names,
        tree_bytes=tree_bytes,
        unreadable=unreadable,
    )
