"""Whatever is planted and whatever a manifest says: nothing outside is written, and the engine never raises."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_place import RUN, Place, defined, listing, place
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cases import thorough
from support.repos import git, manifest, put_manifest, write

from learnd.intake import Seen

PATHS = (
    ".runs/fix-mean", ".runs/fix-mean/cli", RUN, f"{RUN}/learning", f"{RUN}/learning/diff.patch",
    f"{RUN}/learning/run-1.tar.gz", f"{RUN}/learning/prompt.md", f"{RUN}/learning/learnd.json",
    f"{RUN}/learning/manual-scenario.md", f"{RUN}/learning/scenario.partial.json", f"{RUN}/prompt.md",
    f"{RUN}/runner.ndjson", f"{RUN}/commands", f"{RUN}/manifest.json", ".runs/fix-mean/metrics.json", "out",
    "out/fix-mean", "out/fix-mean/state.json", "learning-snapshots", "learning-snapshots/.gitignore",
    "learning-snapshots/fix-mean", "tasks", ".agent", ".agent/task", "docs", "docs/patterns",
)  # fmt: skip
KINDS = ("folder out", "file out", "dangling", "up", "git", "pipe", "folder", "loop", "endless")
NAMES = st.sampled_from(
    ["../../outside", "/etc/passwd", "..", ".", "a/b", "a\\b", "", " ", "\0", "x" * 300, "é" * 120, "-rf", "--help",
     "a\nb", "\u202e", "$(touch x)", "`id`", "fix-mean", "con", "a b", "\ud800"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "task_id", "run_id", "artifact_root", "compat_path", "log_path", "workspace_path", "prompt_path", "commands",
    "started_at", "completed_at", "status", "learning", "pipeline_title", "run_summary_path", "base_commit", "version",
)  # fmt: skip
HARMLESS = ("artifact_root", "compat_path", "log_path", "run_summary_path", "learning", "summary", "approvals")


@st.composite
def odd_fields(draw: st.DrawFn) -> dict[str, Any]:
    """What a manifest says otherwise than it should; half of them keep no run from being taken in."""
    fields = st.sampled_from(draw(st.sampled_from([FIELDS, HARMLESS])))
    found = draw(st.dictionaries(fields, NAMES | JSON, max_size=3))
    if draw(st.booleans()):
        paths = draw(st.dictionaries(st.sampled_from(["diff_path", "prompt_path", "payload_path"]), NAMES, max_size=3))
        found["learning"] = {"queue": paths, "snapshot": {"tarball_path": draw(NAMES), "tag": draw(NAMES)}}
    return found


def plant(here: Place, at: str, kind: str) -> None:
    path = here.repo / at
    if os.path.realpath(path.parent) != os.path.abspath(path.parent):  # noqa: PTH100 - links must stay in it
        return  # behind a link of an earlier plant: it is learnd that must not follow, not this
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        links = {
            "folder out": here.outside, "file out": here.outside / "precious.txt", "dangling": here.outside / "new",
            "up": here.folder, "git": here.repo / ".git", "loop": path, "endless": Path("/dev/zero"),
        }  # fmt: skip
        if kind in links:
            path.symlink_to(links[kind])
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()
    except OSError:
        return  # an earlier plant is in this one's way, which is as good


def attempt(folder: Path, fields: dict[str, Any], before: list[tuple[str, str]], during: tuple[str, str, str]) -> None:
    with place(folder) as here:
        git(here.repo, "rm", "-q", "calc.py", "test_calc.py")
        git(here.repo, "commit", "-q", "-m", "no code, so that nothing is replayed here")
        write(here.repo, {"notes.md": "new\n"})
        put_manifest(here.repo, manifest(commands=[]))
        (here.repo / RUN / "manifest.json").write_text(json.dumps({**manifest(commands=[]), **fields}))
        for at, kind in before:
            plant(here, at, kind)
        aims = {name: listing(folder / name) for name in ("outside", "repo/.git")}
        line, at, kind = during
        here.when(line, lambda: plant(here, at, kind))
        seen = _seen(here)
        here.engine.publisher.everything()
        here.work()
        for name, expected in aims.items():
            assert listing(folder / name) == expected
        assert {entry.name for entry in folder.iterdir()} == {"outside", "repo", "state"}
        for job in here.engine.views().jobs():
            assert defined(job.status), job
            assert job.cause != "internal_error", job
            assert here.explained(job.id)
        assert all(one.reason for one in seen)
        here.engine.log.verify()


def _seen(here: Place) -> list[Seen]:
    seen = here.sweep()
    here.work()
    return seen


LINES = ("taking the snapshot", "writing down", "looking for")


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    fields=odd_fields(),
    before=st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(KINDS)), max_size=3),
    during=st.tuples(st.sampled_from(LINES), st.sampled_from(PATHS), st.sampled_from(KINDS)),
)
def test_nothing_outside_is_written_and_every_job_ends_defined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], before: list[tuple[str, str]],
    during: tuple[str, str, str],
) -> None:  # fmt: skip
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    try:
        attempt(folder, fields, before, during)
    finally:
        capsys.readouterr()
        shutil.rmtree(folder, ignore_errors=True)


FIXTURE = Callable[[Place], None]


def big_file(here: Place) -> None:
    with (here.repo / "big.bin").open("wb") as file:
        for _ in range(50):
            file.write(os.urandom(1 << 20))


def many_files(here: Place) -> None:
    for number in range(5000):
        path = here.repo / f"many/{number % 50}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")


def odd_names(here: Place) -> None:
    for name in (b"\xff\xfe.txt", b"new\nline.txt", b"-rf", b"--help.md", b" ", b'quo"te', b"tab\t.md", b"\xc3\x28.py"):
        with open(os.path.join(os.fsencode(here.repo), name), "wb") as file:  # noqa: PTH118, PTH123 - odd bytes
            file.write(b"\x00\xff odd \n")


@pytest.mark.parametrize("change", [odd_names, *thorough(big_file, many_files)])
def test_changes_of_odd_size_and_names_are_taken_whole(tmp_path: Path, change: FIXTURE) -> None:
    with place(tmp_path) as here:
        git(here.repo, "rm", "-q", "calc.py", "test_calc.py")
        git(here.repo, "commit", "-q", "-m", "no code")
        change(here)
        put_manifest(here.repo, manifest(commands=[]))
        job = here.settle()
        assert job.status == "needs_manual_scenario", (job.cause, job.detail)
        assert here.explained(job.id)
        record = here.engine.door.job(job.id).snapshot
        assert record is not None
        assert record.files_changed == {big_file: 1, many_files: 5000, odd_names: 8}[change]
        block = json.loads((here.repo / RUN / "manifest.json").read_text())["learning"]
        assert block["snapshot"]["status"] == "captured"


@pytest.mark.parametrize("name", ["-rf", "..x", *thorough("task id with blanks", "é", "$(id)", "a'b\"c", "x" * 200)])
def test_odd_ids_name_files_and_nothing_else(tmp_path: Path, name: str) -> None:
    with place(tmp_path) as here:
        git(here.repo, "rm", "-q", "calc.py", "test_calc.py")
        git(here.repo, "commit", "-q", "-m", "no code")
        write(here.repo, {"notes.md": "new\n"})
        put_manifest(here.repo, manifest(task=name, run=name, commands=[]))
        before = listing(here.outside)
        seen = here.sweep()
        here.work()
        assert listing(here.outside) == before
        if name.startswith("."):
            assert [(one.done, "starts with a dot" in one.reason) for one in seen] == [(False, True)]
            return
        job = here.job()
        assert job.status == "needs_manual_scenario", (job.cause, job.detail)
        assert (here.repo / f".runs/{name}/cli/{name}/learning/learnd.json").is_file()
        assert (here.repo / f"out/{name}/state.json").is_file() is False, "nothing is at rest yet"
        assert (here.repo / f"learning-snapshots/{name}/{name}.tar.gz").is_file()
