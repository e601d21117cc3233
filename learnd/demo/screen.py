"""What the demo shows: parts with headings on a terminal, the same words in plain lines anywhere else."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from events.recorded import Recorded
from events.values import Evidence, ReplayOutcome
from learnd.clock import seconds_between
from learnd.verbs.terminal import STYLES, clean, clock_time
from learnd.views.timeline import facts, subject

WIDTH = 100
_RUN_FOLDER = re.compile(r"\.runs/\S+/")
GOOD, BAD, QUIET = "green", "red", "dim"
NOTABLE = {
    "RunObserved": "cyan", "JobOpened": "cyan", "SnapshotTaken": "cyan", "ReplayStarted": "cyan",
    "ChangeValidated": "bold green", "PatternPromoted": "bold green", "JobLearned": "green",
    "ValidationFailed": "bold red", "SnapshotFailed": "bold red", "FaultRaised": "bold red",
}  # fmt: skip


class Screen:
    """`plain` leaves out colours, boxes, spinners and line breaks; Rich does so itself in a pipe or under NO_COLOR."""

    def __init__(self, repo: Path, *, plain: bool) -> None:
        probe = Console()
        self.plain = plain or not probe.is_terminal
        width = min(WIDTH, probe.width) if not self.plain else 10_000
        self._console = Console(
            width=width, no_color=self.plain or None, force_terminal=False if self.plain else None,
            highlight=False, emoji=False, soft_wrap=self.plain,
        )  # fmt: skip
        self._repo = f"{repo}/"
        self._last: str | None = None
        self._part = 0

    # --- parts and lines ---

    def part(self, title: str) -> None:
        """The heading of the next part."""
        self._part += 1
        self.line()
        if self.plain:
            self._console.print(f"== {self._part}. {title}")
        else:
            self._console.print(Rule(Text(f" {self._part}  {title} ", "bold"), style="blue", align="left"))

    def line(self, text: str = "", style: str = "") -> None:
        """One line of text."""
        self._console.print(Text(clean(text), style=style))

    def _show(self, table: RenderableType) -> None:
        """A table; where plain, without the blanks that fill its cells up."""
        with self._console.capture() as captured:
            self._console.print(table)
        if self.plain:
            print("\n".join(line.rstrip() for line in captured.get().splitlines()))
        else:
            print(captured.get(), end="")

    def banner(self, title: str, lines: Sequence[str], style: str) -> None:
        """A few lines that nobody shall overlook."""
        if self.plain:
            self._console.print(f"*** {title}")
            for line in lines:
                self._console.print(f"    {clean(line)}")
        else:
            body = Text("\n".join(clean(line) for line in lines))
            self._console.print(Panel(body, title=Text(title, "bold"), title_align="left", border_style=style))

    def code(self, text: str, language: str) -> None:
        """A piece of source code, or a diff."""
        if self.plain:
            for line in text.rstrip().splitlines():
                self._console.print(Text(f"    {clean(line)}"))
            return
        shown = Syntax(text.rstrip(), language, theme="ansi_dark", background_color="default", word_wrap=True)
        self._console.print(Padding(shown, (0, 0, 0, 4), expand=False))

    def markdown(self, text: str) -> None:
        """A Markdown text: rendered on a terminal, else as it is."""
        safe = "\n".join(clean(line) for line in text.splitlines())
        if self.plain:
            print(safe)
        else:
            self._console.print(Panel(Markdown(safe, code_theme="ansi_dark"), border_style=GOOD, padding=(1, 2)))

    def commands(self, rows: Sequence[tuple[str, str]]) -> None:
        """What may be typed next, and what it does."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="bold cyan")
        grid.add_column(style=QUIET)
        for command, does in rows:
            grid.add_row(Text(command), Text(does))
        self._show(Padding(grid, (0, 0, 0, 2), expand=False))

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[str], None]]:
        """While the block runs, a spinner says what is going on; the block may say so itself. Nothing where plain."""
        if self.plain:
            yield lambda _line: None
            return
        with self._console.status(Text(text, QUIET)) as status:
            yield lambda line: status.update(Text(clean(line)[: WIDTH - 4], QUIET))

    # --- the timeline ---

    def event(self, record: Recorded) -> None:
        """One event as it is recorded: when, how long after the one before, about what, which, and its facts."""
        passed = seconds_between(self._last, record.at) if self._last else 0.0
        self._last = record.at
        told = _RUN_FOLDER.sub("", clean(facts(record.data)).replace(self._repo, "")).replace(sys.executable, "python")
        after, about = f"+{passed:.2f}s", subject(record)
        if self.plain:
            self._console.print(Text(f"  {record.at}  {after:>8}  {about:<20}  {record.type:<22}  {told}".rstrip()))
            return
        row = Table.grid(padding=(0, 1))
        for width in (8, 7, 16, 21):
            row.add_column(width=width, no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(
            Text(clock_time(record.at), QUIET),
            Text(f"{after:>7}", QUIET),
            Text(about, QUIET, overflow="ellipsis"),
            Text(record.type, NOTABLE.get(record.type, "")),
            Text(told),
        )
        self._console.print(Padding(row, (0, 0, 0, 1), expand=False))

    # --- evidence ---

    def evidence(self, evidence: Evidence) -> None:
        """Both sides of the change, then what taking each hunk away did."""
        sides = self._table("SIDE", "REPLAYS", "RESULT", "TESTS", "WHICH FAIL, AND WHY")
        for name, outcomes in (("base + new tests", evidence.base), ("with the change", evidence.snapshot)):
            if outcomes:
                sides.add_row(*_side(name, outcomes))
        self._show(Padding(sides, (0, 0, 1, 2), expand=False))
        hunks = self._table("HUNK ALONE TAKEN AWAY", "VERDICT", "WHAT THEN FAILS")
        for hunk in evidence.hunks:
            first, last = hunk.lines
            where = f"{hunk.file}:{first}" if first == last else f"{hunk.file}:{first}-{last}"
            turned = ", ".join(_short(test) for test in hunk.turned) or "nothing: no pattern may claim it"
            hunks.add_row(Text(where), Text(hunk.verdict, STYLES.get(hunk.verdict, "")), Text(turned))
        if evidence.hunks:
            self._show(Padding(hunks, (0, 0, 1, 2), expand=False))
        verdict = Text("  verdict ").append(evidence.verdict, f"bold {STYLES.get(evidence.verdict, BAD)}")
        verdict.append(f", isolation {evidence.isolation}", "" if evidence.isolation != "none" else "bold red")
        if evidence.cause:
            verdict.append(f", because of {clean(evidence.cause)}: {clean(evidence.detail)}")
        self._console.print(verdict)
        if evidence.flake_upper_bound is not None:
            bound = f"{len(evidence.snapshot)} equal replays a side leave room for a flake rate up to"
            self.line(f"  {bound} {evidence.flake_upper_bound:.0%} (95 % confidence)", QUIET)

    def _table(self, *titles: str) -> Table:
        shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
        for title in titles:
            last = title == titles[-1]
            shown.add_column(title, no_wrap=not last or self.plain, overflow="fold")
        return shown


def _side(name: str, outcomes: Sequence[ReplayOutcome]) -> tuple[RenderableType, ...]:
    passed = sum(outcome.ok for outcome in outcomes)
    result = "passes" if passed == len(outcomes) else "fails" if passed == 0 else f"passes {passed} times"
    counts = outcomes[0].counts
    tests = f"{counts.passed} passed, {counts.failed + counts.errors} failed" if counts else f"by {outcomes[0].source}"
    failing = Counter(_short(test) for outcome in outcomes for test in outcome.failing)
    causes = dict.fromkeys(outcome.cause for outcome in outcomes if outcome.cause)
    why = [f"{test} ({times} of {len(outcomes)})" for test, times in failing.items()]
    if causes:
        why.append(f"cause: {', '.join(clean(cause) for cause in causes)}")
    style = GOOD if passed == len(outcomes) else BAD
    return (
        Text(name), Text(f"{len(outcomes)}"), Text(result, f"bold {style}"), Text(tests),
        Text("\n".join(why)) if why else Text("none", QUIET),
    )  # fmt: skip


def _short(test: str) -> str:
    """A test's own name, without the module and class that it stands in."""
    return clean(test).rsplit("::", 1)[-1].rsplit(".", 1)[-1]
