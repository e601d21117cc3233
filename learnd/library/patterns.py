"""A pattern file: YAML front matter that says where the text comes from, and the text.

Four lines of the front matter are learnd's own: `status`, `approver`, `approved_at`, `reason` (the
*standing*). They change when the file moves, everything else is what was judged. Hence two rules:

- `canonical_digest` (`canonical.py`) covers the whole text but those lines, line ends and the final newline. It is
  the digest that shows a person's edit, and the one that promotions and edits carry in the log.
- `with_standing` writes those lines and touches no other byte.

Front matter is read without YAML's guesses (`no`, `1e3`, dates stay the text they are); what a value
must be is said by `FrontMatter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from frontmatter.default_handlers import YAMLHandler
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from events.values import Evidence, Isolation, Value, Verdict
from learnd.library.canonical import BOUNDARY, ID, STANDING, front_lines
from learnd.library.sections import HEADINGS, Sections, SectionsUnreadable, encodable, join, one_line, split
from state.pattern import PatternStatus

if TYPE_CHECKING:
    from learnd.crystalizer.draft import Draft

Line = Annotated[str, BeforeValidator(encodable), AfterValidator(one_line)]


class PatternUnreadable(Exception):
    """The text is no pattern; the message says what is wrong and where."""


class EvidenceLine(Value):
    """What the replays showed, as counts. `flake_upper_bound` is a rate, 0 to 1 (see `Evidence`)."""

    verdict: Verdict
    isolation: Isolation
    base_replays: int = Field(ge=0)
    snapshot_replays: int = Field(ge=0)
    exercised_hunks: int = Field(ge=0)
    hunks: int = Field(ge=0)
    flake_upper_bound: float | None = None

    @classmethod
    def of(cls, evidence: Evidence) -> EvidenceLine:
        return cls(
            verdict=evidence.verdict,
            isolation=evidence.isolation,
            base_replays=len(evidence.base),
            snapshot_replays=len(evidence.snapshot),
            exercised_hunks=sum(hunk.verdict == "exercised" for hunk in evidence.hunks),
            hunks=len(evidence.hunks),
            flake_upper_bound=evidence.flake_upper_bound,
        )


class Standing(Value):
    """Where a pattern stands and who put it there: the lines that learnd rewrites."""

    status: PatternStatus
    approver: Line | None = None
    approved_at: Line | None = None
    reason: Line | None = None


class FrontMatter(Value):
    """Everything a reader needs in order to trust a pattern, or not. Money is US dollars."""

    id: str = Field(pattern=ID.pattern)
    status: PatternStatus
    approver: Line | None = None
    approved_at: Line | None = None
    reason: Line | None = None
    title: Line = Field(min_length=1)
    source_job: Line
    manifest_path: Line
    validated_with: tuple[Line, ...] = ()
    """Manifests of the runs whose change was validated together with this one's, in the order of their completion."""
    evidence: EvidenceLine
    author: Literal["openai", "extractive"]
    model: Line | None = None
    cost_usd: float = Field(ge=0, allow_inf_nan=False)
    prompt_pack: Line
    prompt_pack_stamp: Line
    snapshot_commit: Line
    created: Line
    tags: tuple[Line, ...] = ()


class PatternText(Value):
    """A pattern file, read. `before` is what stands above the first section (title and note)."""

    front: FrontMatter
    before: str
    sections: Sections


class _PlainYaml(YAMLHandler):
    """Front matter between lines of exactly three dashes, every scalar read as text."""

    FM_BOUNDARY = BOUNDARY

    def load(self, fm: str, **_: object) -> Any:
        # BaseLoader makes nothing but text, lists and mappings.
        return yaml.load(fm, Loader=yaml.BaseLoader)  # noqa: S506

    def export(self, metadata: dict[str, object], **_: object) -> str:
        # No folding: a value is one line, so none can end the front matter.
        return yaml.dump(metadata, Dumper=_OneLineDumper, sort_keys=False, allow_unicode=True, width=1_000_000)


class _OneLineDumper(yaml.SafeDumper):
    """Writes text with anything unprintable in double quotes, where YAML escapes it."""


_OneLineDumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)
_YAML = _PlainYaml()


def sections_of(draft: Draft) -> Sections:
    """What a draft says, as the sections of a pattern."""
    return Sections(**{name: getattr(draft, name) for name in HEADINGS})


def render(sections: Sections, front: FrontMatter) -> str:
    """The file's text. `parse(render(s, f))` gives `f` and `s.cleaned()` back."""
    alone = set() if front.validated_with else {"validated_with"}
    metadata = front.model_dump(mode="json", exclude_none=True, exclude=alone)
    return f"---\n{_YAML.export(metadata)}---\n\n{join(front.title, note(front), sections.cleaned())}"


def parse(text: str) -> PatternText:
    """Read a pattern file. Raises PatternUnreadable."""
    import frontmatter  # noqa: PLC0415 - only here; it pulls in its JSON and TOML handlers

    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    if not front_lines(text):
        raise PatternUnreadable("it does not begin with front matter between two lines of ---")
    try:
        metadata, body = frontmatter.parse(text, handler=_YAML)
        front = FrontMatter.model_validate(metadata)
        before, sections = split(body)
    except (yaml.YAMLError, RecursionError) as error:
        raise PatternUnreadable(f"the front matter is not YAML: {one_line(str(error)) or 'too deep'}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PatternUnreadable(f"front matter, {where}: {first['msg']}") from error
    except SectionsUnreadable as error:
        raise PatternUnreadable(str(error)) from error
    return PatternText(front=front, before=before, sections=sections)


def note(front: FrontMatter) -> str:
    """What learnd says above the sections: how far to trust the text, in words without paths or symbols."""
    seen = front.evidence
    failed, passed = (
        f"{seen.base_replays} of {seen.base_replays}",
        f"{seen.snapshot_replays} of {seen.snapshot_replays}",
    )
    where = "in a sandbox" if seen.isolation == "bubblewrap" else "WITHOUT a sandbox"
    if seen.verdict == "proven":
        lines = [
            f"> **Proven** {where}: the verification failed {failed} times without the change and passed "
            f"{passed} times with it; {seen.exercised_hunks} of {seen.hunks} hunks exercised."
        ]
        if seen.flake_upper_bound is not None:
            lines.append(f"> That many equal replays leave a flake rate below {seen.flake_upper_bound:.0%}.")
    else:
        lines = [
            f"> **Unproven** ({seen.verdict.replace('_', ' ')}): the replays, run {where}, do not prove this change."
        ]
    if front.validated_with:
        runs = len(front.validated_with) + 1
        lines.append(
            f"> Validated together: {runs} runs, whose manifests the front matter names; one change of them all."
        )
    if front.author == "extractive":
        lines.append("> Written without a model: quoted from the run and its evidence.")
    return "\n".join(lines)


def with_standing(text: str, standing: Standing) -> str:
    """`text` with learnd's own lines saying `standing`. A text without front matter is left as it is."""
    front = len(front_lines(text))
    lines = text.split("\n")
    own = [at for at in range(1, front + 1) if STANDING.match(lines[at])]
    if front == 0:
        return text
    fresh = _YAML.export(standing.model_dump(mode="json", exclude_none=True)).rstrip("\n").split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    place = own[0] if own else 1
    rest = [line for at, line in enumerate(lines) if at not in own]
    return "\n".join([*rest[:place], *(line + end for line in fresh), *rest[place:]])
