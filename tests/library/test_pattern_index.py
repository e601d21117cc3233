"""The generated page: same patterns, same bytes; never over a page of somebody else's."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pattern_samples import SECTIONS, front_matter, pattern_id

from learnd.library.canonical import file_name
from learnd.library.files import Library
from learnd.library.folders import FolderRefused
from learnd.library.index import MARKER, IndexEntry, IndexTaken, render_index, write_index
from learnd.library.patterns import render


def entry(seed: str, **front: object) -> IndexEntry:
    own = pattern_id(seed)
    return IndexEntry(file_name(seed, own), render(SECTIONS, front_matter(own, **front)))


ENTRIES = [entry("b", title="Batch"), entry("a", title="Array"), entry("c", title="Batch")]


def page(library: Library) -> Path:
    return library.repo / "docs/patterns/README.md"


def test_the_order_of_patterns_does_not_matter() -> None:
    pages = {render_index(order) for order in itertools.permutations(ENTRIES)}
    assert len(pages) == 1
    assert pages.pop().index("Array") < render_index(ENTRIES).index("Batch")


def test_links_lead_to_the_files(library: Library) -> None:
    write_index(library.repo, ENTRIES)
    active = library.repo / ".agent/patterns/active"
    active.mkdir(parents=True)
    (active / ENTRIES[0].file_name).write_text("")
    link = next(part for part in page(library).read_text().split("(") if ENTRIES[0].file_name in part).split(")")[0]
    assert (page(library).parent / link).is_file()


def test_written_only_when_it_differs(library: Library) -> None:
    assert write_index(library.repo, ENTRIES)
    before = page(library).stat()
    assert not write_index(library.repo, reversed(ENTRIES))
    assert page(library).stat().st_mtime_ns == before.st_mtime_ns
    assert page(library).stat().st_ino == before.st_ino
    assert write_index(library.repo, ENTRIES[:1])
    assert "Array" not in page(library).read_text()


def test_no_page_for_no_patterns_but_an_old_one_is_emptied(library: Library) -> None:
    assert not write_index(library.repo, [])
    assert not list(library.repo.iterdir())
    write_index(library.repo, ENTRIES)
    assert write_index(library.repo, [])
    assert "No pattern is active" in page(library).read_text()


@pytest.mark.parametrize("own", ["# Our patterns\n", "", f"see {MARKER}\n"])
def test_a_persons_page_is_left_alone(library: Library, own: str) -> None:
    page(library).parent.mkdir(parents=True)
    page(library).write_text(own)
    with pytest.raises(IndexTaken, match=r"left alone.*Next:"):
        write_index(library.repo, ENTRIES)
    assert page(library).read_text() == own


def test_a_link_at_the_page_is_left_alone(library: Library) -> None:
    outside = library.repo.parent / "precious.md"
    outside.write_text(MARKER)
    page(library).parent.mkdir(parents=True)
    page(library).symlink_to(outside)
    with pytest.raises(IndexTaken, match="is a link"):
        write_index(library.repo, ENTRIES)
    assert outside.read_text() == MARKER


def test_nothing_is_written_behind_a_planted_docs_link(library: Library, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (library.repo / "docs").symlink_to(outside)
    with pytest.raises(FolderRefused, match="is a link"):
        write_index(library.repo, ENTRIES)
    assert not list(outside.iterdir())


@given(st.text(min_size=1).filter(lambda title: title.strip() != ""))
def test_a_title_cannot_break_out_of_its_cell(title: str) -> None:
    text = render_index([entry("a", title=title)])
    (row,) = [line for line in text.split("\n") if line.startswith("| [")]
    unescaped = row.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 4
    assert text.count("\n") == render_index(ENTRIES[:1]).count("\n")


def test_a_text_that_is_no_pattern_is_named_all_the_same() -> None:
    assert "unreadable" in render_index([IndexEntry("x-01234567.md", "prose")])
