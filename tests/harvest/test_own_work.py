"""learnd never learns from itself: what it wrote is taken out of a change, and runs of its own verbs are known."""

from __future__ import annotations

import pytest
from harvest_repos import User

from learnd.harvest.own_work import is_own_run, own_paths, without_own
from learnd.harvest.store import SnapshotStore
from learnd.manifest.history import ExecutedCommand

SKILL = '---\nname: retry-b2b2\ndescription: "x"\nmetadata:\n  learnd-pattern: "b2b2b2b2b2b2b2b2"\n---\n\nRetry.\n'


def ran(*lines: str) -> list[ExecutedCommand]:
    return [ExecutedCommand(line=line, source="manifest") for line in lines]


def test_files_are_own_by_their_place_or_by_learnds_mark(user: User, store: SnapshotStore) -> None:
    base = store.take_tree().tree
    user.write("a.py", "two = 2\n")
    user.write(".agent/patterns/active/x.md", "# x\n")
    user.write("team/skills/retry-b2b2/SKILL.md", SKILL)
    user.write("team/skills/by-hand/SKILL.md", "---\nname: by-hand\ndescription: x\n---\nWrite tests.\n")
    tree = store.take_tree().tree
    changed = [change.path.decode() for change in store.numstat(base, tree)]
    own = own_paths(changed, base, tree, store)
    assert sorted(own) == [".agent/patterns/active/x.md", "team/skills/retry-b2b2/SKILL.md"]
    left = without_own(store.diff(base, tree), own).decode()
    assert "+two = 2" in left
    assert "Write tests." in left
    assert "# x" not in left
    assert "Retry." not in left


def test_a_skill_that_is_gone_was_learnds(user: User, store: SnapshotStore) -> None:
    user.write("s/x/SKILL.md", SKILL)
    base = store.take_tree().tree
    (user.root / "s/x/SKILL.md").unlink()
    tree = store.take_tree().tree
    assert own_paths(["s/x/SKILL.md"], base, tree, store) == ("s/x/SKILL.md",)
    assert without_own(store.diff(base, tree), ("s/x/SKILL.md",)) == b""


@pytest.mark.parametrize(
    "lines",
    [
        ("learnd fix --yes",), ("learnd skills .agents/skills", "learnd promote ab12"), ("python -m learnd once",),
        ("/opt/learnd/bin/learnd librarian",), ("uv run learnd check",),
        ("bash -lc 'learnd skills x'",), ("LEARND_X=1 learnd once",),
    ],
)  # fmt: skip
def test_a_run_of_nothing_but_learnd_is_its_own(lines: tuple[str, ...]) -> None:
    assert is_own_run(ran(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        (), ("pytest",), ("learnd check", "pytest"), ("bash -c 'learnd check && sed -i s/a/b/ x.py'",), ("cat learnd",),
        ("python -m learnd_tools",), ("bash -c 'learnd $(rm x)'",), ("learnd '",),
    ],
)  # fmt: skip
def test_other_runs_are_not(lines: tuple[str, ...]) -> None:
    assert not is_own_run(ran(*lines))
