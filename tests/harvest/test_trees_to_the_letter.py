"""What is written out, compared and put together again is what was taken, whatever the tree holds."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest
from harvest_repos import User, listing, new_user, on_disk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnd.harvest.faults import PatchDoesNotApply, SnapshotError
from learnd.harvest.livetree import RUN_OUTPUT
from learnd.harvest.store import SnapshotStore

LEFT_OUT = {b".", b"..", b".git", b".gitignore", b".gitmodules", *RUN_OUTPUT}
NAMES = st.one_of(
    st.sampled_from(
        [b"a", b"b.py", b"-x", b"--help", b"new\nline", b"tab\t", b"\xff\xfe", b'"', b"\\", b" ", b"a b", b"*",
         b":(top)", b".gitattributes", b"caf\xc3\xa9", b"con", b"x" * 200, b"\x7f\x01"]
    ),
    st.binary(min_size=1, max_size=6).filter(lambda name: not set(name) & {0, 47} and name.lower() not in LEFT_OUT),
)  # fmt: skip
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"one", b"two  ", b"\tthree\r", b"", b"$Id$"]), max_size=12).map(b"\n".join),
    st.sampled_from([b"* filter=evil -diff eol=crlf\n", b"\0" * 300, b"no newline", b"\r\n\r\n"]),
    st.just(b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n"),
)  # fmt: skip
NODES = st.one_of(st.tuples(st.sampled_from(["file", "executable"]), CONTENTS), st.tuples(st.just("link"), st.binary(
    min_size=1, max_size=20).filter(lambda target: b"\0" not in target)))  # fmt: skip
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(b"/".join), NODES, max_size=8)


def lay_out(root: Path, tree: dict[bytes, tuple[str, bytes]]) -> None:
    for path, (kind, content) in tree.items():
        place = root / os.fsdecode(path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                place.symlink_to(os.fsdecode(content))
            else:
                place.write_bytes(content)
                place.chmod(0o755 if kind == "executable" else 0o644)
        except OSError:
            continue  # a file already stands where this path needs a folder, or the other way round


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=TREES, after=TREES)
def test_any_tree_is_restored_and_base_plus_diff_is_the_snapshot(
    before: dict[bytes, tuple[str, bytes]], after: dict[bytes, tuple[str, bytes]]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        user = new_user(top / "repo")
        store = SnapshotStore(top / "state", "repo-1", user.root)
        git_folder = user.root / ".git"
        trees = []
        for number, tree in enumerate((before, after)):
            git_folder.rename(top / "git")
            shutil.rmtree(user.root)
            user.root.mkdir()
            lay_out(user.root, tree)
            expected = on_disk(user.root)
            (top / "git").rename(git_folder)
            taken = store.take_tree()
            assert taken.notes == ()
            store.restore(taken.tree, top / f"restored-{number}")
            assert on_disk(top / f"restored-{number}") == expected
            trees.append(taken.tree)
        patch = store.diff(*trees)
        assert store.apply(trees[0], patch) == trees[1]
        assert store.apply(trees[1], patch, reverse=True) == trees[0]


def test_reverting_one_hunk_leaves_the_others(user: User, store: SnapshotStore) -> None:
    lines = [f"line {number}\n" for number in range(40)]
    user.write("a.py", "".join(lines))
    base = store.take_tree().tree
    lines[3], lines[30] = "changed  \n", "also\n"
    user.write("a.py", "".join(lines))
    tree = store.take_tree().tree
    head, first, _second = store.diff(base, tree).split(b"@@ -")
    reverted = store.apply(tree, b"--- a/a.py\n+++ b/a.py\n@@ -" + first, reverse=True)
    lines[3] = "line 3\n"
    assert store.read_file(reverted, "a.py") == "".join(lines).encode()
    assert b"a.py" in head


def test_a_patch_for_another_tree_is_refused(user: User, store: SnapshotStore) -> None:
    base = store.take_tree().tree
    patch = b"--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-not there\n+new\n"
    with pytest.raises(PatchDoesNotApply, match=r"a\.py"):
        store.apply(base, patch)


@pytest.mark.parametrize("path", ["../outside", ".git/hooks/x", "/etc/x", "sub/../../x"])
def test_a_patch_cannot_leave_the_tree(user: User, store: SnapshotStore, path: str) -> None:
    base = store.take_tree().tree
    patch = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n"
    with pytest.raises((PatchDoesNotApply, SnapshotError)):
        store.apply(base, patch.encode())


def test_an_empty_patch_changes_nothing(store: SnapshotStore) -> None:
    tree = store.take_tree().tree
    assert store.apply(tree, store.diff(tree, tree)) == tree


def test_tree_with_takes_entries_contents_and_removals(user: User, store: SnapshotStore) -> None:
    user.write("tests/test_a.py", "old\n")
    user.write("gone/x")
    base = store.take_tree().tree
    user.write("tests/test_a.py", "new\n").chmod(0o755)
    entry = next(entry for entry in store.list_files(store.take_tree().tree) if entry.path == "tests/test_a.py")
    tree = store.tree_with(base, {"tests/test_a.py": entry, "gone/x": None, "gone": b"a file\n", "d/\udcff": b"odd"})
    assert listing(store, tree) == {
        "a.py": "100644", "tests/test_a.py": "100755", "gone": "100644", "d/\udcff": "100644",
    }  # fmt: skip
    assert store.read_file(tree, "tests/test_a.py") == b"new\n"
    assert store.read_file(tree, "d/\udcff") == b"odd"
    assert listing(store, base)["gone/x"] == "100644"


@pytest.mark.parametrize("path", ["../x", ".git/config", "a/../../x", "/x"])
def test_tree_with_cannot_make_a_tree_that_leaves_its_folder(store: SnapshotStore, path: str) -> None:
    with pytest.raises(SnapshotError):
        store.tree_with(store.empty_tree, {path: b"x"})


def test_read_file_takes_names_literally_and_tells_absent_from_empty(user: User, store: SnapshotStore) -> None:
    user.write("*", "star\n")
    user.write("empty", "")
    (user.root / "link").symlink_to("a.py")
    tree = store.take_tree().tree
    assert store.read_file(tree, "*") == b"star\n"
    assert store.read_file(tree, "empty") == b""
    assert store.read_file(tree, "link") == b"a.py"
    for absent in ("b*", "missing", "--help", ":(top)a.py", "../a.py", "a.py/x"):
        assert store.read_file(tree, absent) is None


def test_restoring_into_a_used_folder_is_refused_and_touches_nothing(store: SnapshotStore, tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "mine").write_text("mine\n")
    with pytest.raises(SnapshotError, match="not empty"):
        store.restore(store.take_tree().tree, dest)
    assert on_disk(dest) == {b"mine": ("file", b"mine\n")}


def test_a_restored_link_is_not_followed_by_what_comes_after(user: User, store: SnapshotStore, tmp_path: Path) -> None:
    """A tree that holds `x` as a link and `x/y` as a file cannot be made: git's index keeps a path once."""
    (user.root / "x").symlink_to(tmp_path)
    tree = store.tree_with(store.take_tree().tree, {"x/y": b"planted\n"})
    store.restore(tree, tmp_path / "dest")
    assert (tmp_path / "dest/x/y").read_bytes() == b"planted\n"
    assert not (tmp_path / "y").exists()


def test_the_archive_holds_every_file_whatever_export_attributes_say(user: User, store: SnapshotStore) -> None:
    user.write(".gitattributes", "* export-ignore export-subst\n")
    user.write("a.py", "$Format:%H$\n")
    user.write("run", "x").chmod(0o755)
    (user.root / "link").symlink_to("a.py")
    user.write(b"od\xff\nd", "x")
    out = io.BytesIO()
    store.archive(store.take_tree().tree, out)
    out.seek(0)
    with tarfile.open(fileobj=out, errors="surrogateescape") as tar:
        names = {member.name: member for member in tar}
        assert set(names) == {".gitattributes", "a.py", "run", "link", "od\udcff\nd"}
        assert (names["link"].linkname, names["run"].mode & 0o100) == ("a.py", 0o100)
        content = tar.extractfile("a.py")
        assert content is not None
        assert content.read() == b"$Format:%H$\n"


def test_gzip_of_this_python_is_without_time(user: User, store: SnapshotStore) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    tree = store.take_tree().tree
    for out in (first, second):
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as sink:
            store.archive(tree, sink)  # type: ignore[arg-type] # a writable stream
    assert first.getvalue() == second.getvalue()
