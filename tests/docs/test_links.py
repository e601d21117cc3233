"""Every link between the pages leads somewhere, as GitHub resolves it, and every page can be reached from README.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (
    README,
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "bench").glob("*.md")),
    *sorted((ROOT / "systemd").glob("*.md")),
    *sorted((ROOT / ".agent").glob("*/*.md")),
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def parsed(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def links(page: Path) -> Iterator[str]:
    """Where links and images of the page lead, save to other hosts; what stands in code is none."""
    for token in parsed(page):
        for child in token.children or ():
            target = str(child.attrGet("href") or child.attrGet("src") or "")
            if target and not ELSEWHERE.match(target):
                yield target


def anchors(page: Path) -> set[str]:
    """The headings' anchors: lower case, spaces to hyphens, other punctuation out, a number behind a repeated one."""
    tokens = parsed(page)
    seen: Counter[str] = Counter()
    found = set()
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inline.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def unresolved(page: Path, root: Path = ROOT) -> list[str]:
    """The page's links that lead to nothing below `root`, or to no heading of what they lead to."""
    found = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        inside = target.is_relative_to(root) and target.exists()
        if not inside or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert unresolved(page) == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(README)}
    assert set((ROOT / "docs").glob("*.md")) <= linked


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "outside.md").touch()
    root = tmp_path / "project"
    root.mkdir()
    page = root / "page.md"
    page.write_text("# A *job's* `life`\n\n## A\n\n## A\n\n[a](#a-jobs-life) [b](#a-1) [c](#a-2) `[d](x.md)`\n\n")
    with page.open("a") as more:
        more.write(
            "    [e](x.md)\n\n| [f](y.md) | [g](https://example.org/z.md) |\n| --- | --- |\n\n[h](../outside.md)\n"
        )
    assert anchors(page) == {"a-jobs-life", "a", "a-1"}
    assert unresolved(page, root) == ["#a-2", "y.md", "../outside.md"]
