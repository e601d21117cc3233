"""From a line of a shell to commands of a scenario: those of its best class, where the snapshot has what they name.

What is turned down on the way is kept, with the reason, for whoever has to say what to execute instead.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from events.values import ScenarioCommand, ScenarioSource
from learnd.lab.asked import Candidate, SynthesisRequest
from learnd.lab.commands import Classified, parts
from learnd.lab.programs import ORDER

MAX_TRIED = 60
MAX_REFUSED = 30
_SOURCE_FILE = re.compile(r".*\.(py|js|jsx|ts|tsx|mjs|cjs|mts|cts|go|rs)$")


@dataclass
class Lines:
    """Reads lines for one request. `tried` and `refused` are what was turned down."""

    request: SynthesisRequest
    tried: list[dict[str, object]] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)

    def classes(self, source: ScenarioSource, line: str | tuple[str, ...], cwd: str, why: str) -> Iterator[Candidate]:
        """The candidates of one line: its commands of the best class, builds before them as set-up."""
        request = self.request
        found = parts(self._here(line), read=request.read, files=request.files, cwd=cwd)
        fit: list[tuple[Classified, ScenarioCommand]] = []
        for part in found:
            command = self.command(source, part, cwd)
            if command is not None:
                fit.append((part, command))
        if not fit:
            return
        best = min((command.cls for _, command in fit), key=ORDER.index)
        chosen = _distinct(command for _, command in fit if command.cls == best)
        first = next(at for at, (_, command) in enumerate(fit) if command.cls == best)
        setup = tuple(command for _, command in fit[:first] if best == "test" and command.cls == "build")
        needs = tuple(dict.fromkeys(need for part, _ in fit for need in part.needs))
        alone = [part.alone for part, command in fit if part.alone and command in (*setup, *chosen)]
        said = "; ".join(dict.fromkeys((f"{why.format(cls=best)}: {shlex.join(chosen[-1].argv)}"[:400], *alone)))
        yield Candidate(source, best, chosen, said, setup, needs)

    def command(self, source: ScenarioSource, part: Classified, start: str) -> ScenarioCommand | None:
        """A classified part as a command of the scenario; None, and a note, where it cannot be replayed."""
        text = shlex.join(part.argv)
        if part.cls is None or part.runner is None:
            if not part.silent:
                self.note(source, text, part.why_not or "it verifies nothing")
            elif text and source == "execution_history":
                self._refuse(text, part.why_not or "it verifies nothing")
            return None
        cwd = self.folder(posixpath.join(start, part.cwd))
        if cwd is None:
            self.note(source, text, f"it runs in {part.cwd}, outside of the repository")
            return None
        if why := self.unfit(part.argv, part.runner, cwd):
            self.note(source, text, why)
            return None
        if _holds_secret(text):
            self.note(source, text, "it holds a secret, and a scenario is kept for ever")
            return None
        env = {
            name: value
            for name, value in part.env.items()
            if len(value) < 2000 and not _holds_secret(f"{name}={value}")
        }
        return ScenarioCommand(argv=part.argv, cls=part.cls, runner=part.runner, cwd=cwd, env=env)

    def folder(self, path: str) -> str | None:
        """A folder relative to the root; None where it lies outside. The run may have known the root by other names."""
        path = posixpath.normpath(path)
        if not path.startswith("/"):
            return None if path == ".." or path.startswith("../") else path
        for root in map(posixpath.normpath, (self.request.repo_path, *self.request.also_at)):
            if path == root:
                return "."
            if path.startswith(root + "/"):
                return path[len(root) + 1 :]
        return None

    def _here(self, line: str | tuple[str, ...]) -> str | tuple[str, ...]:
        """The line with other names of the repository's root replaced by where the tree will stand."""
        for other in self.request.also_at:
            if posixpath.normpath(other) == posixpath.normpath(self.request.repo_path) or len(other) < 2:
                continue
            here = re.compile(re.escape(other.rstrip("/")) + r"(?=/|$|[\s\"';&|)])")
            root = self.request.repo_path.rstrip("/").replace("\\", r"\\")
            line = here.sub(root, line) if isinstance(line, str) else tuple(here.sub(root, word) for word in line)
        return line

    def unfit(self, argv: Sequence[str], runner: str, cwd: str) -> str | None:
        """Why a command cannot run in the snapshot's tree: a folder or file it names is not there."""
        files = self.request.files
        if cwd != "." and not any(path.startswith(f"{cwd}/") for path in files):
            return f"the folder {cwd} is not in the snapshot"
        for word in argv[1:]:
            named = word.split("::", 1)[0]
            if named.startswith("-") or "=" in named or not _SOURCE_FILE.fullmatch(named):
                continue
            path = self.folder(posixpath.join(cwd, named))
            if path is None:
                return f"{named} lies outside of the repository"
            by_end = runner in ("jest", "vitest") and any(file.endswith(f"/{named}") for file in files)
            if path not in files and not by_end:
                return f"{named} is not in the snapshot"
        return None

    def note(self, source: str, line: str, why: str) -> None:
        entry: dict[str, object] = {"source": source, "line": line[:300], "why_not": why[:300]}
        if len(self.tried) < MAX_TRIED and entry not in self.tried:
            self.tried.append(entry)

    def _refuse(self, line: str, why: str) -> None:
        """Write down why a command that is neither test nor build nor lint was left alone."""
        entry: dict[str, object] = {"line": line[:300], "why_not": why[:300]}
        if len(self.refused) < MAX_REFUSED and entry not in self.refused:
            self.refused.append(entry)


def _holds_secret(text: str) -> bool:
    from learnd.crystalizer.redact import redact  # noqa: PLC0415 - its detectors are slow to import

    return redact(text).count > 0


def _distinct(commands: Iterator[ScenarioCommand]) -> tuple[ScenarioCommand, ...]:
    kept: list[ScenarioCommand] = []
    for command in commands:
        if command not in kept:
            kept.append(command)
    return tuple(kept)
