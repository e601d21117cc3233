"""The pattern file: what is written is read again, whatever the values are; every edit shows in the digest."""

from __future__ import annotations

import frontmatter
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pattern_samples import SECTIONS, front_matter, pattern_id

from learnd.library.canonical import canonical_digest, claimed_id, file_name, is_file_name, safe_slug
from learnd.library.patterns import PatternUnreadable, Standing, note, parse, render, with_standing
from learnd.library.sections import Sections, clean
from state.pattern import PatternStatus

ID = pattern_id("a")

HOSTILE = (
    *("no", "null", "~", "1e3", "0x1f", "2026-01-31", "- a", "a: b", "a #b", "'", '"', "{}", "[x", "&a *a", "!!int x"),
    *(
        "---",
        "...",
        "%YAML 1.2",
        "?",
        "|",
        ">",
        "@",
        "`",
        "\ufeff",
        "\u2028",
        "\x85",
        "\x07",
        "\u202e",
        "🦀",
        "e\u0301",
    ),
    *("\\", "<<: *x"),
)
HEADING_LIKE = (
    *("---", "# up", "## Solution", "##", "## Problem ##", "   ## Rationale", "    ## code", "> ## q", "### fine"),
    *("```", "````", "~~~ sh", "```py `x`", "- a", "\ufeff", "***", "==="),
)
anything = st.one_of(st.text(), st.sampled_from(HOSTILE), st.lists(st.sampled_from(HOSTILE)).map("\n".join))
lines = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(HEADING_LIKE),
)
markdown = st.lists(lines, max_size=8).map("\n".join)
said = markdown.filter(lambda text: clean(text) != "")
sections = st.builds(
    Sections, problem=said, solution=said, rationale=said, applies_when=markdown, does_not_apply_when=markdown
)
one_line = anything.filter(lambda text: text.strip() != "")
fronts = st.builds(
    lambda title, reason, model, tags, status, job: front_matter(
        ID, title=title, reason=reason, model=model, tags=tuple(tags), status=status, source_job=job
    ),
    one_line,
    anything | st.none(),
    anything | st.none(),
    st.lists(anything, max_size=3),
    st.sampled_from(PatternStatus),
    anything,
)
standings = st.builds(
    Standing,
    status=st.sampled_from(PatternStatus),
    approver=anything | st.none(),
    approved_at=st.none(),
    reason=anything | st.none(),
)


@given(sections, fronts)
def test_what_is_rendered_is_read_again(text: Sections, front: object) -> None:
    written = render(text, front)  # type: ignore[arg-type]
    read = parse(written)
    assert read.front == front
    assert read.sections == text.cleaned()
    assert render(read.sections, read.front) == written
    assert parse(written.encode().decode()) == read


@given(fronts)
def test_other_readers_of_front_matter_see_the_same_texts(front: object) -> None:
    written = render(SECTIONS, front)  # type: ignore[arg-type]
    metadata, body = frontmatter.parse(written)
    assert metadata["title"] == front.title  # type: ignore[attr-defined]
    assert metadata.get("reason") == front.reason  # type: ignore[attr-defined]
    assert body.startswith("# ")
    block = written.split("\n---\n", 1)[0].removeprefix("---\n")
    assert yaml.safe_load(block) == metadata


@given(markdown)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_a_heading_in_quoted_code_stays_a_comment() -> None:
    quoted = "```sh\n## Rationale\nmake\n```"
    text = SECTIONS.model_copy(update={"solution": quoted})
    read = parse(render(text, front_matter(ID)))
    assert read.sections.solution == quoted
    assert read.sections.rationale == SECTIONS.rationale


def test_a_section_cannot_forge_another() -> None:
    text = SECTIONS.model_copy(update={"problem": "It was slow.\n\n## Rationale\n\nBecause I say so, always."})
    read = parse(render(text, front_matter(ID)))
    assert "### Rationale" in read.sections.problem
    assert read.sections.rationale == SECTIONS.rationale


def test_an_open_fence_swallows_nothing() -> None:
    text = SECTIONS.model_copy(update={"problem": "It printed:\n```\nTraceback"})
    read = parse(render(text, front_matter(ID)))
    assert read.sections.problem.endswith("Traceback\n```")
    assert read.sections.solution == SECTIONS.solution


def test_half_a_surrogate_pair_from_a_model_can_be_written() -> None:
    text = Sections(**{**SECTIONS.model_dump(), "problem": "broken \ud800 reply of a model"})
    assert render(text, front_matter(ID, title="half \udc00 pair")).encode()


@pytest.mark.parametrize(
    ("verdict", "isolation", "says"),
    [
        ("proven", "bubblewrap", "**Proven** in a sandbox"),
        ("proven", "none", "**Proven** WITHOUT a sandbox"),
        ("pass_only", "bubblewrap", "**Unproven** (pass only)"),
    ],
)
def test_the_note_says_how_far_to_trust_the_text(verdict: str, isolation: str, says: str) -> None:
    front = front_matter(ID)
    evidence = front.evidence.model_copy(update={"verdict": verdict, "isolation": isolation})
    front = front.model_copy(update={"evidence": evidence})
    assert says in note(front)
    assert note(front) in parse(render(SECTIONS, front)).before


@pytest.mark.parametrize(
    ("bend", "why"),
    [
        (lambda text: "", "does not begin with front matter"),
        (lambda text: "hello\n" + text, "does not begin with front matter"),
        (lambda text: text.replace("\n---\n", "\n", 1), "does not begin with front matter"),
        (lambda text: text.replace("id: ", "id: [", 1), "not YAML"),
        (lambda text: text.replace("tags:", "tags: " + "[" * 5000, 1), "not YAML"),
        (lambda text: text.replace("status: staged", "status: great", 1), "front matter, status"),
        (lambda text: text.replace("cost_usd: 0.0", "cost_usd: nan", 1), "front matter, cost_usd"),
        (lambda text: text.replace("author: extractive", "author: extractive\nextra: 1", 1), "front matter, extra"),
        (lambda text: text.replace(f"id: {ID}", "id: ../../etc/passwd", 1), "front matter, id"),
        (lambda text: text.replace("## Solution", "## Answer", 1), "`## Answer` is no section"),
        (lambda text: text.replace("## Solution", "## Problem", 1), "stands there twice"),
        (lambda text: text.split("## Rationale", maxsplit=1)[0], "the section Rationale is missing"),
    ],
)
def test_refused_with_what_is_wrong(bend: object, why: str) -> None:
    text = render(SECTIONS, front_matter(ID))
    with pytest.raises(PatternUnreadable, match=why):
        parse(bend(text))  # type: ignore[operator]


def test_a_file_checked_out_with_carriage_returns_is_the_same_pattern() -> None:
    text = render(SECTIONS, front_matter(ID))
    windows = text.replace("\n", "\r\n")
    assert parse(windows) == parse(text)
    assert canonical_digest(windows) == canonical_digest(text)
    moved = with_standing(windows, Standing(status=PatternStatus.ACTIVE, approver="ada"))
    assert moved.count("\r\n") == moved.count("\n")
    assert parse(moved).front.approver == "ada"


@given(sections, fronts, standings)
def test_moving_changes_the_standing_and_nothing_else(text: Sections, front: object, standing: Standing) -> None:
    before = render(text, front)  # type: ignore[arg-type]
    after = with_standing(before, standing)
    assert canonical_digest(after) == canonical_digest(before)
    assert parse(after).front == front.model_copy(update=standing.model_dump())  # type: ignore[attr-defined]
    assert parse(after).sections == parse(before).sections
    assert with_standing(after, standing) == after


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("IN", "in", 1),
        lambda text: text.replace("title: One query", "title: One  query", 1),
        lambda text: text.replace("---\n", "---\n# always run the deploy script\n", 1),
        lambda text: text.replace("status: staged\n", "status: staged\n  and more\n", 1),
        lambda text: text.replace("author: extractive", "author: openai", 1),
        lambda text: text.replace("id: ", "title: another\nid: ", 1),
        lambda text: text + "\nstatus: never mind\n",
        lambda text: text.replace("\n---\n", "\n", 1),
    ],
)
def test_every_edit_shows_in_the_digest(edit: object) -> None:
    text = render(SECTIONS, front_matter(ID))
    assert edit(text) != text  # type: ignore[operator]
    assert canonical_digest(edit(text)) != canonical_digest(text)  # type: ignore[operator]


@given(sections, st.data())
def test_no_single_character_can_change_unseen_outside_the_standing(text: Sections, data: st.DataObject) -> None:
    written = render(text, front_matter(ID))
    at = data.draw(st.integers(0, len(written.rstrip("\n")) - 1))
    changed = written[:at] + data.draw(st.sampled_from("x#\u200b:")) + written[at:]
    line = changed[: at + 1].count("\n")
    own = changed.split("\n")[line].startswith("status:") and written.split("\n")[line].startswith("status:")
    assert own or canonical_digest(changed) != canonical_digest(written)


def test_the_id_is_known_however_broken_the_rest_is() -> None:
    text = render(SECTIONS, front_matter(ID)).replace("author: extractive", "author: [")
    assert claimed_id(text) == ID
    assert claimed_id("no front matter\nid: abc\n") is None
    digits = "1" * 64
    assert claimed_id(render(SECTIONS, front_matter(digits))) == digits


@given(anything)
def test_names_are_safe_whatever_the_slug_is(slug: str) -> None:
    name = file_name(slug, ID)
    assert is_file_name(name)
    assert safe_slug(safe_slug(slug)) == safe_slug(slug)
    assert len(name) < 128


@pytest.mark.parametrize("wrong", ["", "../x", "abc", "G" * 16, "a" * 65, "a" * 16 + "\n"])
def test_no_name_is_made_from_what_is_no_id(wrong: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        file_name("x", wrong)


@pytest.mark.parametrize(
    "name", ["README.md", "x.md", "../a-01234567.md", "A-01234567.md", "a-0123456.md", "a-01234567.md\n"]
)
def test_a_name_that_learnd_does_not_give_is_known(name: str) -> None:
    assert not is_file_name(name)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a" * 200, "a" * 60, "A" * 61, "b"]), st.text("01", min_size=3, max_size=3)),
        unique=True,
    )
)
def test_names_never_collide_even_when_slugs_are_cut(drafts: list[tuple[str, str]]) -> None:
    # Ids that share their first 9 digits: the worst there is.
    ids = [f"{'0' * 8}{end}{number:053x}" for number, (_, end) in enumerate(drafts)]
    taken: set[str] = set()
    for (slug, _), own in zip(drafts, ids, strict=True):
        name = file_name(slug, own, taken)
        assert name not in taken
        assert is_file_name(name)
        taken.add(name)
