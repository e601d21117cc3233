"""Which commands verify a change: found in what the run executed, what it was asked, what it changed, or a template.

Sources in order: execution history > prompt and acceptance criteria > diff > last known good > stack templates. A test
command of any of the first four goes before a build or lint command of an earlier one, for only tests can fail on the
base for the change's sake; a template is a guess, and comes when nothing better is known. Within a source it is the
class that counts (test, build, lint), then the latest that succeeded; never simply the last thing that ended with 0.

Texts from outside (prompt, repository) choose among known runners and never bring a command of their own. Nothing
here runs anything.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from events.values import CommandClass, Scenario, ScenarioCommand, ScenarioSource
from learnd.lab.commands import Classified, parts
from learnd.lab.installing import installations
from learnd.lab.nearest import ImportGraph, ReadMany, named_after
from learnd.lab.programs import ORDER
from learnd.lab.prompts import mentioned
from learnd.lab.runners import ReadFile
from learnd.lab.templates import Stack, is_test_path
from learnd.manifest.history import ExecutedCommand

MAX_TRIED = 60
MAX_REFUSED = 30
INSTALLED_FROM_MAX = 16 << 20
"""Lock files beyond this (bytes) are not read."""

MAX_TEST_FILES = 40
_SOURCE_FILE = re.compile(r".*\.(py|js|jsx|ts|tsx|mjs|cjs|mts|cts|go|rs)$")


class NoScenario(Exception):
    """Nothing that verifies the change was found.

    `cause`: `no_command` (no candidate at all) or `unfit` (all were turned down). `partial` is what was tried, plain
    data for `scenario.partial.json` and the manual template.
    """

    def __init__(self, cause: str, detail: str, partial: dict[str, object]) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause, self.detail, self.partial = cause, detail, partial


@dataclass(frozen=True)
class SynthesisRequest:
    """What is known of a run and its change.

    `files` are the paths of the snapshot's tree; `read` gives a file's bytes from the base tree, else the snapshot's,
    `read_many` the snapshot's, `read_before` the base's alone (None: as `read`).
    `also_at` are other absolute paths by which the run knew the repository (a manifest's `workspace_path`).
    """

    repo_path: str
    history: tuple[ExecutedCommand, ...]
    changed_paths: tuple[str, ...]
    files: frozenset[str]
    read: ReadFile
    stacks: tuple[Stack, ...]
    prompt: str | None = None
    acceptance: str | None = None
    last_known_good: tuple[ScenarioCommand, ...] = ()
    also_at: tuple[str, ...] = ()
    read_many: ReadMany | None = None
    read_before: ReadFile | None = None

    def many(self, paths: Sequence[str], at_most: int) -> Mapping[str, bytes]:
        """The snapshot's files at `paths`, at most so many bytes of them."""
        if self.read_many is not None:
            return self.read_many(paths, at_most)
        return {path: data for path in paths if (data := self.read(path)) is not None}


@dataclass(frozen=True)
class _Candidate:
    """A command that would do, with where it came from."""

    source: ScenarioSource
    cls: CommandClass
    commands: tuple[ScenarioCommand, ...]
    why: str
    setup: tuple[ScenarioCommand, ...] = ()
    needs: tuple[str, ...] = ()


def synthesize(request: SynthesisRequest) -> Scenario:
    """The scenario for a change. Raises NoScenario."""
    search = _Search(request)
    sources: tuple[Callable[[], Iterator[_Candidate]], ...] = (
        search.from_history,
        search.from_prompt,
        search.from_diff,
        search.from_last_known_good,
    )
    found = [candidate for source in sources for candidate in source()]
    best = min(found, key=lambda candidate: ORDER.index(candidate.cls), default=None)  # the first of its class
    if best is None:
        best = min(search.from_templates(), key=lambda candidate: ORDER.index(candidate.cls), default=None)
    if best is None:
        raise search.nothing()
    reason = best.why + (f"; the run also had: {', '.join(best.needs)}" if best.needs else "")
    return Scenario(
        source=best.source,
        setup=best.setup,
        commands=best.commands,
        services=best.needs,
        changed_tests=search.changed_tests[:200],
        installations=installations(
            request.changed_paths,
            request.files,
            request.stacks,
            request.read_before or request.read,
            lambda path: request.many([path], INSTALLED_FROM_MAX).get(path),
        ),
        reason=reason,
    )


def packages(changed_paths: Sequence[str], files: frozenset[str], stacks: Sequence[Stack]) -> tuple[str, ...]:
    """The folders of the packages that a change touches, the most touched first; what `last_known_good` is kept by."""
    touched = [stack.package_of(path, files) for path in changed_paths for stack in stacks if stack.owns(path)]
    return tuple(sorted(dict.fromkeys(touched), key=lambda folder: (-touched.count(folder), folder))) or (".",)


@dataclass
class _Search:
    """One search: the request, and what was turned down on the way."""

    request: SynthesisRequest
    tried: list[dict[str, object]] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)

    @property
    def changed_tests(self) -> tuple[str, ...]:
        stacks = self.request.stacks
        return tuple(path for path in self.request.changed_paths if is_test_path(path, stacks))

    # --- sources ----------------------------------------------------------------------------------------

    def from_history(self) -> Iterator[_Candidate]:
        for executed in reversed(self.request.history):
            line: str | tuple[str, ...] = executed.argv or executed.line
            if not executed.succeeded:
                self._note("execution_history", executed.line, _not_succeeded(executed))
                continue
            cwd = self._folder(executed.cwd or ".")
            if cwd is None:
                self._note("execution_history", executed.line, f"it ran in {executed.cwd}, outside of the repository")
                continue
            for candidate in self._classes("execution_history", line, cwd, "the run's latest successful {cls} command"):
                yield candidate
                if candidate.cls == "test":  # nothing earlier goes before it
                    return

    def from_prompt(self) -> Iterator[_Candidate]:
        for name, text in (("acceptance criteria", self.request.acceptance), ("prompt", self.request.prompt)):
            for line in mentioned(text or ""):
                yield from self._classes("prompt", line, ".", f"a {{cls}} command named in the {name}")

    def from_diff(self) -> Iterator[_Candidate]:
        """The changed tests; where none changed, the nearest: by name and path, by imports, by package scripts."""
        request = self.request
        changed = [path for path in request.changed_paths if path in request.files]
        tests = [path for path in changed if any(stack.runnable_test(path) for stack in request.stacks)]
        sources = [path for path in changed if path not in tests and any(one.owns(path) for one in request.stacks)]
        graph = ImportGraph(request.files, request.stacks, request.many)
        ways: tuple[tuple[str, Callable[[], list[str]]], ...] = (
            ("the tests the change touches", lambda: tests),
            (
                "the tests named after the changed sources",
                lambda: [near for path in sources for near in named_after(path, request.files, request.stacks)],
            ),
            (
                "the tests that import the changed sources",
                lambda: [near for path in sources for near in graph.tests_of(path)],
            ),
        )
        for why, near in ways:
            if commands := self._for_tests(tuple(dict.fromkeys(near()))):
                yield _Candidate("diff", "test", commands, why)
                return
        yield from self._package_scripts(sources)

    def _package_scripts(self, sources: Sequence[str]) -> Iterator[_Candidate]:
        """The script `test` of the packages that changed sources belong to, by the package manager in use."""
        request = self.request
        for stack in request.stacks:
            if stack.language != "node":
                continue
            for folder in dict.fromkeys(stack.package_of(path, request.files) for path in sources if stack.owns(path)):
                if not stack.recognised(folder, request.files, request.read):
                    continue
                for command in stack.applicable(folder, request.files, request.read):
                    if command.cls == "test" and not command.each:
                        why = "the {cls} script of the changed package"
                        yield from self._classes("diff", command.argv, folder, why)

    def from_last_known_good(self) -> Iterator[_Candidate]:
        request = self.request
        folders = {*packages(request.changed_paths, request.files, request.stacks), "."}
        for known in request.last_known_good:
            line = shlex.join(known.argv)
            if posixpath.normpath(known.cwd) not in folders:
                self._note("last_known_good", line, f"it is of another package ({known.cwd})")
            elif why := self._unfit(known.argv, known.runner, known.cwd):
                self._note("last_known_good", line, why)
            else:
                yield _Candidate(
                    "execution_history", known.cls, (known,), "the command last known good for the package"
                )

    def from_templates(self) -> Iterator[_Candidate]:
        request = self.request
        share = {stack.name: sum(map(stack.owns, request.changed_paths)) for stack in request.stacks}
        for stack in sorted(request.stacks, key=lambda one: -share[one.name]):
            owned = [path for path in request.changed_paths if stack.owns(path)]
            folders = dict.fromkeys([stack.package_of(path, request.files) for path in owned] or ["."])
            for folder in folders:
                if stack.is_root(folder, request.files) and stack.recognised(folder, request.files, request.read):
                    for command in stack.applicable(folder, request.files, request.read):
                        why = f"the {stack.name} template's {{cls}} command"
                        yield from self._classes("template", command.argv, folder, why)

    # --- from a line to commands ------------------------------------------------------------------------

    def _classes(self, source: ScenarioSource, line: str | tuple[str, ...], cwd: str, why: str) -> Iterator[_Candidate]:
        """The candidates of one line: its commands of the best class, builds before them as set-up."""
        request = self.request
        found = parts(self._here(line), read=request.read, files=request.files, cwd=cwd)
        fit: list[tuple[Classified, ScenarioCommand]] = []
        for part in found:
            command = self._command(source, part, cwd)
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
        yield _Candidate(source, best, chosen, said, setup, needs)

    def _command(self, source: ScenarioSource, part: Classified, start: str) -> ScenarioCommand | None:
        """A classified part as a command of the scenario; None, and a note, where it cannot be replayed."""
        text = shlex.join(part.argv)
        if part.cls is None or part.runner is None:
            if not part.silent:
                self._note(source, text, part.why_not or "it verifies nothing")
            elif text and source == "execution_history":
                self._refuse(text, part.why_not or "it verifies nothing")
            return None
        cwd = self._folder(posixpath.join(start, part.cwd))
        if cwd is None:
            self._note(source, text, f"it runs in {part.cwd}, outside of the repository")
            return None
        if why := self._unfit(part.argv, part.runner, cwd):
            self._note(source, text, why)
            return None
        if _holds_secret(text):
            self._note(source, text, "it holds a secret, and a scenario is kept for ever")
            return None
        env = {
            name: value
            for name, value in part.env.items()
            if len(value) < 2000 and not _holds_secret(f"{name}={value}")
        }
        return ScenarioCommand(argv=part.argv, cls=part.cls, runner=part.runner, cwd=cwd, env=env)

    def _folder(self, path: str) -> str | None:
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

    def _unfit(self, argv: Sequence[str], runner: str, cwd: str) -> str | None:
        """Why a command cannot run in the snapshot's tree: a folder or file it names is not there."""
        files = self.request.files
        if cwd != "." and not any(path.startswith(f"{cwd}/") for path in files):
            return f"the folder {cwd} is not in the snapshot"
        for word in argv[1:]:
            named = word.split("::", 1)[0]
            if named.startswith("-") or "=" in named or not _SOURCE_FILE.fullmatch(named):
                continue
            path = self._folder(posixpath.join(cwd, named))
            if path is None:
                return f"{named} lies outside of the repository"
            by_end = runner in ("jest", "vitest") and any(file.endswith(f"/{named}") for file in files)
            if path not in files and not by_end:
                return f"{named} is not in the snapshot"
        return None

    # --- commands for tests -------------------------------------------------------------------------------

    def _for_tests(self, tests: tuple[str, ...]) -> tuple[ScenarioCommand, ...]:
        """Commands that run just these test files, one for each package."""
        request = self.request
        commands: list[ScenarioCommand] = []
        taken: set[str] = set()
        for stack in request.stacks:
            mine = [path for path in tests if stack.owns(path) and stack.runnable_test(path) and path not in taken]
            for folder in dict.fromkeys(stack.package_of(path, request.files) for path in mine):
                inside = [path for path in mine if stack.package_of(path, request.files) == folder][:MAX_TEST_FILES]
                command = self._of_stack(stack, folder, inside)
                if command is not None:
                    commands.append(command)
                    taken.update(inside)
        return tuple(commands[:5])

    def _of_stack(self, stack: Stack, folder: str, tests: list[str]) -> ScenarioCommand | None:
        request = self.request
        if not stack.recognised(folder, request.files, request.read):
            return None
        for template in stack.applicable(folder, request.files, request.read):
            if template.cls != "test":
                continue
            argv = (
                template.for_files([posixpath.relpath(path, folder) for path in tests])
                if template.each
                else template.argv
            )
            for part in parts(argv, read=request.read, files=request.files, cwd=folder):
                if command := self._command("diff", part, folder):
                    return command
        return None

    # --- what was found out on the way --------------------------------------------------------------------

    def _note(self, source: str, line: str, why: str) -> None:
        entry: dict[str, object] = {"source": source, "line": line[:300], "why_not": why[:300]}
        if len(self.tried) < MAX_TRIED and entry not in self.tried:
            self.tried.append(entry)

    def _refuse(self, line: str, why: str) -> None:
        """Write down why a command that is neither test nor build nor lint was left alone."""
        entry: dict[str, object] = {"line": line[:300], "why_not": why[:300]}
        if len(self.refused) < MAX_REFUSED and entry not in self.refused:
            self.refused.append(entry)

    def nothing(self) -> NoScenario:
        request = self.request
        detail = str(self.tried[0]["why_not"]) if self.tried else "no command in the history, the prompt or the diff"
        if self.tried:
            detail = f"{len(self.tried)} commands turned down; the first, `{self.tried[0]['line']}`: {detail}"
        partial: dict[str, object] = {
            "cause": "unfit" if self.tried else "no_command",
            "detail": detail,
            "tried": self.tried,
            "refused": self.refused,
            "changed_paths": list(request.changed_paths[:200]),
            "changed_tests": list(self.changed_tests[:200]),
            "packages": list(packages(request.changed_paths, request.files, request.stacks)),
            "history": [executed.line[:300] for executed in request.history[-20:]],
        }
        return NoScenario("unfit" if self.tried else "no_command", detail, partial)


def _holds_secret(text: str) -> bool:
    from learnd.crystalizer.redact import redact  # noqa: PLC0415 - its detectors are slow to import

    return redact(text).count > 0


def _not_succeeded(executed: ExecutedCommand) -> str:
    if executed.signal:
        return f"it was ended by {executed.signal}"
    return "how it ended is not recorded" if executed.exit_code is None else f"it ended with {executed.exit_code}"


def _distinct(commands: Iterator[ScenarioCommand]) -> tuple[ScenarioCommand, ...]:
    kept: list[ScenarioCommand] = []
    for command in commands:
        if command not in kept:
            kept.append(command)
    return tuple(kept)
