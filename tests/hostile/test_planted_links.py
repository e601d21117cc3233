"""Links, pipes and folders planted where learnd writes or reads: nothing outside changes, nothing hangs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_place import RUN, Place, changed_run, defined, listing, place
from support.cases import thorough

from learnd.verbs.terminal import Stop

pytestmark = pytest.mark.sandbox

LEARNING = f"{RUN}/learning"
WRITTEN = (
    "diff.patch", "run-1.tar.gz", "prompt.md", "execution-history.json", "queue-payload.json", "scenario.json",
    "scenario-validation.log", "evidence.json", "learnd.json",
)  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as found:
        yield found


def to_folder(path: Path, outside: Path) -> None:
    _away(path)
    path.symlink_to(outside)


def to_file(path: Path, outside: Path) -> None:
    _away(path)
    path.symlink_to(outside / "precious.txt")


def to_nothing(path: Path, outside: Path) -> None:
    _away(path)
    path.symlink_to(outside / "not-there-yet")


def pipe(path: Path, outside: Path) -> None:
    _away(path)
    os.mkfifo(path)


def folder(path: Path, outside: Path) -> None:
    _away(path)
    path.mkdir()
    (path / "in-the-way").write_text("here first\n")


def endless(path: Path, outside: Path) -> None:
    _away(path)
    path.symlink_to("/dev/zero")


def _away(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


Plant = Callable[[Path, Path], None]

STOPPING = (LEARNING, "learning-snapshots", "learning-snapshots/fix-mean")
"""Where the snapshot's own files go: without them there is no snapshot."""

BY_THE_WAY = (
    ("out", "docs", ".agent"),
    ("out/fix-mean", "docs/patterns", ".agent/patterns"),
    (".agent/patterns/candidates", ".agent/patterns/staging"),
)


@pytest.mark.parametrize("at", [STOPPING[0], *thorough(*STOPPING[1:])])
def test_a_folder_that_leads_out_is_not_written_through(here: Place, at: str) -> None:
    changed_run(here)
    to_folder(here.repo / at, here.outside)
    before = listing(here.outside)
    job = here.settle()
    assert listing(here.outside) == before
    assert (job.status, job.cause) == ("snapshot_failed", "link_refused")
    assert here.explained(job.id)


@pytest.mark.parametrize("places", [BY_THE_WAY[1], *thorough((BY_THE_WAY[0],), (BY_THE_WAY[2],))])
def test_what_is_written_by_the_way_is_left_out_where_its_folder_leads_out(
    here: Place, places: tuple[str, ...]
) -> None:
    changed_run(here)
    for at in places:
        to_folder(here.repo / at, here.outside)
    before = listing(here.outside)
    job = here.settle()
    assert listing(here.outside) == before
    assert job.status == "learned"
    assert any("link" in trouble for trouble in here.engine.publisher.troubles.values())


ASIDE = (".runs/fix-mean/metrics.json", "out/fix-mean/state.json", "docs/patterns/README.md",
    f"{RUN}/manifest.json.lock", ".runs/fix-mean/metrics.lock", f"{RUN}/prompt.md", f"{RUN}/runner.ndjson",
    f"{RUN}/commands", "tasks", "learning-snapshots/.gitignore", "learning-snapshots/fix-mean/run-1.tar.gz",
)  # fmt: skip


@pytest.mark.parametrize("plant", [to_file, pipe, *thorough(folder, endless)])
def test_files_that_are_something_else_neither_hang_learnd_nor_lead_it_out(here: Place, plant: Plant) -> None:
    changed_run(here)
    for at in (*(f"{LEARNING}/{name}" for name in WRITTEN), *ASIDE):
        if not at.endswith(".lock"):
            plant(here.repo / at, here.outside)
    before = listing(here.outside)
    job = here.settle()
    assert listing(here.outside) == before
    assert defined(job.status), job
    assert here.explained(job.id)
    if plant is not folder:
        assert job.status == "learned", "what stood in the way was replaced, as a rename does"


@pytest.mark.parametrize("plant", [pipe, *thorough(to_file, folder)])
def test_old_locks_that_were_planted_are_cleared_or_reported(here: Place, plant: Plant) -> None:
    manifest = changed_run(here)
    locks = [here.repo / RUN / "manifest.json.lock", here.repo / ".runs/fix-mean/metrics.lock"]
    for lock in locks:
        plant(lock, here.outside)
        os.utime(lock, (0, 0), follow_symlinks=False)
    before = listing(here.outside)
    job = here.settle()
    assert listing(here.outside) == before
    assert job.status == "learned"
    told = json.loads(manifest.read_text())["learning"]["validation"]["status"]
    if plant is folder:
        assert told == "pending"
        assert job.id in here.engine.publisher.troubles
    else:
        assert told == "validated"
        assert not any(os.path.lexists(lock) for lock in locks)


@pytest.mark.parametrize("at", [".runs", RUN, *thorough(".runs/fix-mean", ".runs/fix-mean/cli")])
def test_runs_behind_a_link_that_leaves_the_repository_are_not_taken_in(here: Place, at: str) -> None:
    changed_run(here)
    (here.repo / at).rename(here.outside / "moved")
    (here.repo / at).symlink_to(here.outside / "moved")
    before = listing(here.outside)
    assert not any(seen.done for seen in here.sweep())
    assert here.engine.views().jobs() == []
    assert listing(here.outside) == before
    assert here.explained(str(here.repo / RUN / "manifest.json"))


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("writing down", LEARNING), ("replaying the snapshot (1)", RUN),
        *thorough(
            ("writing down", ".runs"), ("looking for", RUN), ("replaying the snapshot (1)", LEARNING),
            ("writing the pattern", ".runs"),
        ),
    ],
)  # fmt: skip
def test_a_folder_swapped_for_a_link_while_a_job_runs_is_not_followed(here: Place, line: str, at: str) -> None:
    changed_run(here)

    def swap() -> None:
        (here.repo / at).rename(here.repo / "moved-away")
        (here.repo / at).symlink_to(here.outside)

    here.when(line, swap)
    before = listing(here.outside)
    job = here.settle()
    assert listing(here.outside) == before
    assert defined(job.status), job
    assert here.explained(job.id)


@pytest.mark.parametrize("aim", [".git", "src", *thorough(".git/hooks", ".")])
def test_a_learning_folder_that_leads_elsewhere_in_the_repository_is_refused(here: Place, aim: str) -> None:
    """`diff.patch` or a run called `config` must not land in `.git`, nor over a file of the user's."""
    changed_run(here)
    (here.repo / aim).mkdir(exist_ok=True)
    (here.repo / "prompt.md").write_text("mine\n")
    to_folder(here.repo / LEARNING, here.repo / aim)
    before = listing(here.repo, but=lambda path: path.startswith((".runs", "learning-snapshots")))
    job = here.settle()
    assert listing(here.repo, but=lambda path: path.startswith((".runs", "learning-snapshots"))) == before
    assert (job.status, job.cause) == ("snapshot_failed", "link_refused")


@pytest.mark.parametrize("plant", [pipe, to_nothing, *thorough(folder, to_file, endless)])
def test_a_manifest_that_is_no_file_is_explained_and_opens_nothing(here: Place, plant: Plant) -> None:
    manifest = changed_run(here)
    plant(manifest, here.outside)
    before = listing(here.outside)
    assert not any(seen.done for seen in here.sweep())
    if plant is folder:
        with pytest.raises(Stop, match="is not there"):
            here.explained(str(manifest))
    else:
        assert here.explained(str(manifest))
    assert listing(here.outside) == before


@pytest.mark.parametrize(
    ("plant", "line"),
    [
        (pipe, "taking the snapshot"), (to_file, "replaying the snapshot (1)"),
        *thorough((folder, "writing down"), (endless, "looking for")),
    ],
)  # fmt: skip
def test_a_manifest_swapped_while_its_job_runs_leads_to_a_defined_end(here: Place, plant: Plant, line: str) -> None:
    manifest = changed_run(here)
    here.when(line, lambda: plant(manifest, here.outside))
    before = listing(here.outside)
    job = here.settle()
    assert listing(here.outside) == before
    assert defined(job.status), job
    assert here.explained(job.id)


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("run-1.tar.gz", endless), ("diff.patch", to_file),
        *thorough(("diff.patch", pipe), ("run-1.tar.gz", pipe), ("prompt.md", pipe), ("scenario.json", pipe)),
    ],
)  # fmt: skip
def test_recorded_files_swapped_before_the_replay_do_not_hang_it(here: Place, name: str, plant: Plant) -> None:
    changed_run(here)
    here.when("looking for", lambda: plant(here.repo / LEARNING / name, here.outside))
    before = listing(here.outside)
    job = here.settle()
    assert listing(here.outside) == before
    stalls = name in ("diff.patch", "run-1.tar.gz")
    assert job.status == ("stalled_snapshot" if stalls else "learned")
    assert here.explained(job.id)


def test_a_diff_changed_after_the_replay_puts_no_words_into_the_pattern(here: Place) -> None:
    """What was replayed is what is written up: the file beside the run is for readers, not for learnd."""
    changed_run(here)
    diff = here.repo / LEARNING / "diff.patch"

    def forge() -> None:
        diff.write_text(diff.read_text().replace("return 0.0", "return run_anything()"))

    here.when("writing the pattern", forge)
    job = here.settle()
    assert job.status == "learned"
    texts = [path.read_text() for path in (here.repo / ".agent/patterns").rglob("*-*.md")]
    assert "return 0.0" in texts[0]
    assert "run_anything" not in texts[0]


def test_pattern_files_planted_as_links_are_left_alone(here: Place) -> None:
    changed_run(here)
    folder_ = here.repo / ".agent/patterns/candidates"
    job = here.settle()
    (file,) = folder_.glob("*.md")
    text = file.read_text()
    for plant in (to_file, pipe, endless, folder):
        plant(file, here.outside)
        before = listing(here.outside)
        here.engine.publisher.everything()
        assert listing(here.outside) == before
        assert str(file) in here.engine.publisher.troubles
    shutil.rmtree(file)
    here.engine.publisher.everything()
    assert file.read_text() == text
    assert json.loads((here.repo / LEARNING / "learnd.json").read_text())["job"] == job.id
