"""After an older log was put back, learnd comes to the same end: every run learned, one pattern each."""

from __future__ import annotations

from pathlib import Path

import pytest
from daemon_process import Daemon
from keeping_place import Keep
from support.repos import FIXED_CALC, FIXED_TESTS, fix, git, make_repo, manifest, put_manifest, write

from events.catalog import JobLearned, LogRestored, SnapshotTaken
from events.log import EventLog
from learnd.keeping.anchor import require_agreement

CUBE = FIXED_CALC.replace(
    "    return value * value * value", "    return 0 if value is None else value * value * value"
)
CUBE_TESTS = FIXED_TESTS.replace("import mean", "import cube, mean") + (
    "\n    def test_cube_of_nothing(self):\n        self.assertEqual(cube(None), 0)\n"
)


def texts(repo: Path) -> list[str]:
    return sorted(path.name for path in (repo / ".agent/patterns").rglob("*-*.md"))


@pytest.mark.sandbox
def test_runs_after_the_backup_are_learned_again_and_each_has_one_pattern(keep: Keep, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    keep.registered(repo)
    with Daemon(keep.state) as daemon:
        daemon.ready()
        fix(repo)
        put_manifest(repo)
        daemon.waits_for(JobLearned, 1)
        folder = keep.backup_by_verb()
        git(repo, "add", "-A")
        git(repo, "commit", "-q", "-m", "the first fix")
        write(repo, {"calc.py": CUBE, "test_calc.py": CUBE_TESTS})
        put_manifest(repo, manifest("fix-cube", "run-2"))
        (_, later) = daemon.waits_for(JobLearned, 2)
        assert daemon.end() == 0
    before = texts(repo)
    assert len(before) == 2
    # What is in the tree now is no part of that run: its capture is found again, not made again.
    write(repo, {"afterwards.txt": "work that came later\n"})

    assert keep.restore(folder, "--accept-loss").returncode == 0
    assert len(texts(repo)) == 1, "what the restored log knows nothing of is set aside"
    with Daemon(keep.state) as daemon:
        daemon.ready()
        assert daemon.waits_for(JobLearned, 2)[1] == later, "the same job, and the same pattern"
        assert daemon.end() == 0
    assert texts(repo) == before
    with EventLog.open_readonly(keep.log) as log:
        log.verify()
        records = list(log.read_all())
    streams = [record.stream for record in records]
    assert len({stream for stream in streams if stream.startswith("job-")}) == 2
    assert len({stream for stream in streams if stream.startswith("pattern-")}) == 2
    assert [record.type for record in records].count("PatternEdited") == 0
    (restored,) = [record.data for record in records if isinstance(record.data, LogRestored)]
    assert restored.lost_position
    taken = [record.data for record in records if isinstance(record.data, SnapshotTaken)]
    assert [event.snapshot.changed_paths for event in taken][-1] == ("calc.py", "test_calc.py")
    require_agreement(keep.log)
