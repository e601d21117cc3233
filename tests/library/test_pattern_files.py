"""Files follow the log: one pattern, one file, in the folder of its status; nobody's work is lost."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pattern_samples import SECTIONS, front_matter, pattern_id, want

from learnd.library.canonical import canonical_digest, file_name
from learnd.library.files import FOLDER_OF, FOLDERS, Library, Reconciliation, WantedPattern, find_edit, place, reconcile
from learnd.library.folders import MAX_FILE, FolderRefused
from learnd.library.patterns import parse, render
from state.pattern import PatternStatus

P = PatternStatus
STATUSES = tuple(status for status in P if status is not P.NEW)


def folder(library: Library, name: str) -> Path:
    return library.quarantine if name == "quarantine" else library.repo / ".agent/patterns" / name


def standing_files(library: Library) -> dict[str, Path]:
    """Folder to the one pattern file in it; a second one fails the test."""
    found: dict[str, Path] = {}
    for name in (*FOLDERS, "quarantine"):
        here = [path for path in folder(library, name).glob("*") if "edited-" not in path.name]
        assert len(here) <= 1, here
        if here:
            found[name] = here[0]
    return found


def put(library: Library, name: str, file: str, content: str | bytes) -> Path:
    path = folder(library, name) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def same(path: Path) -> tuple[int, ...]:
    """What must not change of a thing that is left alone; reading it may touch its access time."""
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def nothing(done: Reconciliation) -> bool:
    return not (done.placed or done.removed or done.set_aside)


@pytest.mark.parametrize("status", STATUSES)
def test_a_pattern_stands_in_the_folder_of_its_status_and_nowhere_else(library: Library, status: P) -> None:
    for before in STATUSES:
        place(library, want(before))
        pattern = want(status, approver="ada", approved_at="2026-02-01T00:00:00.000Z", reason="measured it")
        place(library, pattern)
        home = "quarantine" if status is P.QUARANTINED else FOLDER_OF.get(status)
        assert list(standing_files(library)) == ([home] if home else [])
        if home:
            text = standing_files(library)[home].read_text()
            assert canonical_digest(text) == pattern.digest
            assert parse(text).front.reason == "measured it"
        assert nothing(place(library, pattern))


def test_the_file_says_what_the_log_says(library: Library) -> None:
    place(library, want(P.CANDIDATE))
    done = place(library, want(P.ACTIVE, approver="ada", approved_at="2026-02-01", reason="it holds"))
    front = parse(done.placed[0].read_text()).front
    assert (front.status, front.approver, front.approved_at, front.reason) == (
        P.ACTIVE,
        "ada",
        "2026-02-01",
        "it holds",
    )
    restored = place(library, want(P.CANDIDATE))
    assert parse(restored.placed[0].read_text()).front.approver is None


def test_a_deleted_file_is_placed_again(library: Library) -> None:
    pattern = want(P.ACTIVE)
    (placed,) = place(library, pattern).placed
    shutil.rmtree(library.repo / ".agent")
    assert reconcile(library, [pattern]).placed == [placed]
    assert placed.read_text() == pattern.file_text


def test_standing_lines_changed_by_hand_go_back_to_what_the_log_says(library: Library) -> None:
    pattern = want(P.CANDIDATE)
    (path,) = place(library, pattern).placed
    path.write_text(path.read_text().replace("status: candidate", "status: active\napprover: mallory\nstatus: active"))
    assert not reconcile(library, [pattern]).edited
    assert path.read_text() == pattern.file_text


@pytest.mark.parametrize("edit", ["a person's words", "---\nid: x\n", "", "﻿"])
def test_an_edit_of_an_active_pattern_is_kept_and_reported(library: Library, edit: str) -> None:
    pattern = want(P.ACTIVE)
    (path,) = place(library, pattern).placed
    text = path.read_text().replace("Fetch all", f"{edit} Fetch some")
    path.write_text(text)
    done = reconcile(library, [pattern])
    assert [(edited.id, edited.path, edited.text) for edited in done.edited] == [(pattern.id, path, text)]
    assert done.edited[0].digest == canonical_digest(text) != pattern.digest
    assert path.read_text() == text
    assert find_edit(library, pattern) == done.edited[0]


def test_an_edited_pattern_leaves_the_folder_that_agents_look_in(library: Library) -> None:
    (path,) = place(library, want(P.ACTIVE)).placed
    path.write_text(path.read_text().replace("Fetch all", "Fetch some"))
    digest = canonical_digest(path.read_text())
    (edit,) = place(library, want(P.EDITED)).edited
    assert edit.digest == digest
    assert list(standing_files(library)) == ["candidates"]
    assert "Fetch some" in edit.path.read_text()
    assert find_edit(library, want(P.EDITED)) == edit
    assert nothing(reconcile(library, [want(P.EDITED)]))


def test_an_edit_that_an_editor_saves_to_active_once_more_is_the_one_that_counts(library: Library) -> None:
    (path,) = place(library, want(P.ACTIVE)).placed
    judged = path.read_text()
    path.write_text(judged.replace("Fetch all", "Fetch some"))
    place(library, want(P.EDITED))
    path.write_text(judged.replace("Fetch all", "Fetch most"))
    done = place(library, want(P.EDITED))
    assert list(standing_files(library)) == ["candidates"]
    assert "Fetch most" in standing_files(library)["candidates"].read_text()
    ((_, aside),) = done.set_aside
    assert "Fetch some" in aside.read_text(), "the edit before it is kept"
    assert nothing(reconcile(library, [want(P.EDITED)]))


def test_taking_an_edit_back_serves_the_judged_text_and_keeps_the_edit_aside(library: Library) -> None:
    (path,) = place(library, want(P.ACTIVE)).placed
    path.write_text(path.read_text().replace("Fetch all", "Fetch some"))
    place(library, want(P.EDITED))
    ((_, aside),) = place(library, want(P.ACTIVE)).set_aside
    assert standing_files(library)["active"].read_text() == want(P.ACTIVE).file_text
    assert "Fetch some" in aside.read_text()


def test_a_text_stripped_of_its_front_matter_is_an_edit(library: Library) -> None:
    pattern = want(P.ACTIVE)
    (path,) = place(library, pattern).placed
    path.write_text("just prose")
    assert [edited.text for edited in reconcile(library, [pattern]).edited] == ["just prose"]


def test_an_unchanged_file_is_no_edit(library: Library) -> None:
    assert find_edit(library, want(P.ACTIVE)) is None
    place(library, want(P.ACTIVE))
    assert find_edit(library, want(P.ACTIVE)) is None
    assert find_edit(library, want(P.REJECTED)) is None


def test_an_edit_moves_along_when_its_pattern_goes_stale(library: Library) -> None:
    (path,) = place(library, want(P.ACTIVE)).placed
    path.write_text(path.read_text().replace("Fetch all", "Fetch most"))
    done = place(library, want(P.STALE))
    (moved,) = standing_files(library).values()
    assert moved.parent.name == "staging"
    assert "Fetch most" in moved.read_text()
    assert "status: stale" in moved.read_text()
    assert len(done.edited) == 1
    assert not done.set_aside


def test_an_edit_that_nobody_approved_is_never_carried_into_active(library: Library) -> None:
    (path,) = place(library, want(P.CANDIDATE)).placed
    edit = path.read_text().replace("Fetch all", "Fetch nothing")
    path.write_text(edit)
    done = place(library, want(P.ACTIVE))
    assert standing_files(library)["active"].read_text() == want(P.ACTIVE).file_text
    ((_, aside),) = done.set_aside
    assert aside.read_text() == edit
    assert aside.is_relative_to(library.quarantine)
    assert not done.edited


def test_a_promoted_edit_is_the_text(library: Library) -> None:
    (path,) = place(library, want(P.CANDIDATE)).placed
    edit = path.read_text().replace("Fetch all", "Fetch most")
    path.write_text(edit)
    done = place(library, want(P.ACTIVE, text=edit, approver="ada"))
    assert not done.edited
    assert not done.set_aside
    assert "Fetch most" in standing_files(library)["active"].read_text()
    assert "approver: ada" in standing_files(library)["active"].read_text()


@pytest.mark.parametrize("status", [P.REJECTED, P.EXPIRED, P.QUARANTINED])
def test_an_edit_of_a_withdrawn_pattern_is_set_aside_where_no_agent_looks(library: Library, status: P) -> None:
    (path,) = place(library, want(P.CANDIDATE)).placed
    edit = path.read_text().replace("Fetch all", "Fetch most")
    path.write_text(edit)
    ((own, aside),) = place(library, want(status)).set_aside
    assert own == want(status).id
    assert aside.read_text() == edit
    assert not list(folder(library, "candidates").iterdir())


def test_quarantined_text_is_private_and_outside_the_repository(library: Library) -> None:
    (path,) = place(library, want(P.QUARANTINED)).placed
    assert path.parent == library.quarantine
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(library.quarantine.stat().st_mode) == 0o700
    assert not list(library.repo.iterdir())


def test_a_candidate_that_an_agent_moved_into_active_goes_back(library: Library) -> None:
    pattern = want(P.CANDIDATE)
    (path,) = place(library, pattern).placed
    active = put(library, "active", path.name, path.read_text().replace("status: candidate", "status: active"))
    path.unlink()
    reconcile(library, [pattern])
    assert not active.exists()
    assert path.read_text() == pattern.file_text


def test_what_learnd_does_not_know_is_left_alone(library: Library) -> None:
    place(library, want(P.ACTIVE))
    others = {
        put(library, "active", "README.md", "read me"),
        put(library, "active", "notes.txt", "mine"),
        put(library, "active", ".hidden.part", "mine"),
        put(library, "staging", want(seed="of a colleague").file_name, want(seed="of a colleague").text),
    }
    before = {path: path.read_bytes() for path in others}
    reconcile(library, [want(P.REJECTED), want(P.ACTIVE, seed="b")])
    assert {path: path.read_bytes() for path in others} == before


def test_what_a_crash_left_is_cleared(library: Library) -> None:
    pattern = want(P.ACTIVE)
    place(library, pattern)
    left = put(library, "active", f".{pattern.file_name[:40]}.0a1b2c3d.part", "half")
    with tempfile.NamedTemporaryFile(
        prefix=f".{pattern.file_name[:40]}.", suffix=".part", dir=left.parent, delete=False
    ) as other:
        other.write(b"half")
    reconcile(library, [pattern])
    assert [path.name for path in left.parent.iterdir()] == [pattern.file_name]


def make_link(path: Path) -> None:
    outside = path.parents[4] / "outside.md"
    outside.write_text("precious")
    path.symlink_to(outside)


FOREIGN = {
    "link": make_link,
    "dangling link": lambda path: path.symlink_to(path.parents[4] / "nowhere.md"),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "binary": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "huge": lambda path: path.write_bytes(b"x" * (MAX_FILE + 1)),
    "another pattern": lambda path: path.write_text(render(SECTIONS, front_matter(pattern_id("other")))),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_stands_in_the_way_is_kept_and_reported(library: Library, kind: str) -> None:
    pattern = want(P.ACTIVE)
    (before,) = place(library, want(P.CANDIDATE)).placed
    path = folder(library, "active") / pattern.file_name
    path.parent.mkdir()
    FOREIGN[kind](path)
    found = same(path)
    done = reconcile(library, [pattern, want(P.ACTIVE, seed="b")])
    assert [(conflict.id, conflict.path) for conflict in done.conflicts] == [(pattern.id, path)]
    assert "Next:" in str(done.conflicts[0])
    assert same(path) == found
    assert before.exists()
    assert not (library.repo.parent / "nowhere.md").exists()
    assert kind != "link" or (library.repo.parent / "outside.md").read_text() == "precious"
    assert (path.parent / want(seed="b").file_name).exists(), "others are not held up"


@pytest.mark.parametrize("part", [".agent", ".agent/patterns", ".agent/patterns/active", ".agent/patterns/staging"])
@pytest.mark.parametrize("target", ["../outside", "inside"])
def test_a_planted_folder_link_is_refused_and_nothing_is_written_behind_it(
    library: Library, part: str, target: str
) -> None:
    behind = (library.repo / target).resolve()
    for name in ("", "patterns", *(f"patterns/{name}" for name in FOLDERS), *FOLDERS):
        (behind / name).mkdir(parents=True, exist_ok=True)
    planted = library.repo / part
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(behind)
    with pytest.raises(FolderRefused, match=r"is a link.*Next:"):
        reconcile(library, [want(P.ACTIVE)])
    with pytest.raises(FolderRefused, match="is a link"):
        place(library, want(P.STAGED))
    assert not [path for path in behind.rglob("*") if path.is_file()]


def test_a_file_where_a_folder_must_be_is_refused(library: Library) -> None:
    (library.repo / ".agent").write_text("")
    with pytest.raises(FolderRefused, match="is not a folder"):
        place(library, want())


def test_a_repository_that_is_gone_is_not_made_again(library: Library) -> None:
    library.repo.rmdir()
    with pytest.raises(FolderRefused, match="no such folder"):
        place(library, want())
    assert not library.repo.exists()


def test_a_repository_that_cannot_be_written_is_refused_with_the_reason(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    active = library.repo / ".agent/patterns/active"
    active.mkdir(parents=True)
    monkeypatch.chdir(library.repo)
    here = Library(Path(), Path("quarantine"))
    for path in (active, active.parent, library.repo):
        path.chmod(0o555)
    # Root may write anywhere. Nobody cannot even reach the folder, except as the working directory.
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(FolderRefused, match=r"active.*cannot be written \(Permission denied\).*Next:"):
            place(here, want(P.ACTIVE))
        with pytest.raises(FolderRefused, match=r"staging.*cannot be written"):
            place(here, want(P.STAGED))
    finally:
        if root:
            os.seteuid(0)
        for path in (library.repo, active.parent, active):
            path.chmod(0o755)
    assert not list(active.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for somebody else")
def test_what_root_writes_belongs_to_the_owner_of_the_repository(library: Library) -> None:
    os.chown(library.repo, 12345, 54321)
    place(library, want(P.CANDIDATE))
    (path,) = place(library, want(P.ACTIVE)).placed
    for owned in (path, path.parent, path.parents[1], path.parents[2]):
        assert (owned.stat().st_uid, owned.stat().st_gid) == (12345, 54321)


@pytest.mark.parametrize("name", ["../x-01234567.md", "README.md", "a/b-01234567.md", ""])
def test_no_name_but_learnds_own_is_ever_wanted(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a pattern file"):
        want(file_name=name)


def test_patterns_whose_slugs_were_cut_to_the_same_stand_side_by_side(library: Library) -> None:
    slug = "the same long beginning of a title that goes on and on until it is cut"
    ids = [f"{'0' * 8}{number:x}{'f' * 30}" for number in range(3)]
    names: list[str] = []
    for own in ids:
        names.append(file_name(slug, own, names))
    patterns = [
        WantedPattern(own, P.ACTIVE, name, render(SECTIONS, front_matter(own)))
        for own, name in zip(ids, names, strict=True)
    ]
    reconcile(library, patterns)
    assert {path.name for path in folder(library, "active").iterdir()} == set(names)
    assert len(set(names)) == 3
    assert not reconcile(library, patterns).conflicts


# --- any state that a crash, a checkout or a person can leave ---------------------------------------------------

EDITS = ("Fetch some", "Fetch most", "Fetch none")
states = st.dictionaries(
    st.sampled_from([*FOLDERS, "quarantine"]),
    st.one_of(st.sampled_from(STATUSES), st.sampled_from(EDITS), st.sampled_from(sorted(FOREIGN))),
)
leftovers = st.sets(st.sampled_from(FOLDERS))


@settings(max_examples=150, deadline=None)
@given(states, leftovers, st.sampled_from(STATUSES))
def test_any_state_reconciles_to_the_one_right_file(state: dict[str, str], temps: set[str], status: P) -> None:
    with tempfile.TemporaryDirectory() as root:
        library = Library(Path(root) / "repo", Path(root) / "1/2/3/quarantine")
        library.repo.mkdir()
        pattern = want(status)
        for name, what in state.items():
            path = put(library, name, pattern.file_name, want(P(what)).file_text if what in set(P) else "")
            if what in EDITS:
                path.write_text(pattern.text.replace("Fetch all", what))
            elif what in FOREIGN:
                path.unlink()
                FOREIGN[what](path)
        for name in temps:
            put(library, name, f".{pattern.file_name[:40]}.0a1b2c3d.part", "half")
        foreign = {name for name, what in state.items() if what in FOREIGN}
        kept = {name: same(folder(library, name) / pattern.file_name) for name in foreign}
        edits = {what for what in state.values() if what in EDITS}

        done = reconcile(library, [pattern])

        home = "quarantine" if status is P.QUARANTINED else FOLDER_OF.get(status)
        everything = [path for path in Path(root).rglob("*.md") if path.is_file() and path.stat().st_size < MAX_FILE]
        texts = "".join(path.read_text(errors="replace") for path in everything)
        assert all(edit in texts for edit in edits), "an edit was lost"
        assert {name: same(folder(library, name) / pattern.file_name) for name in foreign} == kept
        assert len(done.conflicts) == (1 if home in foreign else len(foreign))
        assert not list(Path(root).rglob("*.part"))
        if home not in foreign:
            standing = {
                name for name in (*FOLDERS, "quarantine") if (folder(library, name) / pattern.file_name).exists()
            }
            assert standing - foreign == ({home} if home else set())
        if home and home not in foreign:
            text = (folder(library, home) / pattern.file_name).read_text()
            right = canonical_digest(text) == pattern.digest
            assert right != bool(done.edited)
            assert right or home != "active" or state.get("active") in EDITS, "an edit was carried into active"
        again = reconcile(library, [pattern])
        assert nothing(again)
        assert again.edited == done.edited


def killed_at(step: int, library: Library, pattern: WantedPattern) -> bool:
    """Place in a child process that dies before its `step`th change to the file system; whether it died."""
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        seen = 0

        def count(event: str, _: object) -> None:
            nonlocal seen
            if event in ("os.link", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.chown"):
                seen += 1
                if seen == step:
                    os._exit(9)

        sys.addaudithook(count)
        code = 1
        try:
            reconcile(library, [pattern])
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize(
    "way",
    [
        (P.STAGED, P.CANDIDATE),
        (P.CANDIDATE, P.ACTIVE),
        (P.ACTIVE, P.STALE),
        (P.ACTIVE, P.DEPRECATED),
        (P.STAGED, P.QUARANTINED),
        (P.QUARANTINED, P.STAGED),
        (P.CANDIDATE, P.REJECTED),
        (P.REJECTED, P.CANDIDATE),
    ],
)
def test_a_move_killed_at_any_point_is_mended_by_the_next_start(
    library: Library, way: tuple[P, P], edited: bool
) -> None:
    before, after = want(way[0]), want(way[1])
    crashes = 0
    while True:
        shutil.rmtree(library.repo)
        shutil.rmtree(library.quarantine, ignore_errors=True)
        library.repo.mkdir()
        for path in place(library, before).placed:
            if edited:
                path.write_text(path.read_text().replace("Fetch all", "Fetch most"))
        if not killed_at(crashes + 1, library, after):
            break
        crashes += 1
        reconcile(library, [after])
        home = "quarantine" if after.status is P.QUARANTINED else FOLDER_OF.get(after.status)
        assert set(standing_files(library)) == ({home} if home else set())
        assert not list(library.repo.parent.rglob("*.part"))
        texts = [path.read_text() for path in library.repo.parent.rglob("*.md")]
        assert not edited or before.status is P.REJECTED or any("Fetch most" in text for text in texts)
        assert nothing(reconcile(library, [after]))
    assert crashes >= (1 if after.status is P.REJECTED and not edited else 2)
