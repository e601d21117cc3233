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
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from events.values import Scenario, ScenarioCommand
from learnd.lab.asked import Candidate, NoScenario, SynthesisRequest
from learnd.lab.commands import parts
from learnd.lab.installing import installations
from learnd.lab.lines import Lines
from learnd.lab.nearest import ImportGraph, named_after
from learnd.lab.programs import ORDER
from learnd.lab.prompts import mentioned
from learnd.lab.templates import Stack, is_test_path
from learnd.manifest.history import ExecutedCommand

__all__ = ["NoScenario", "SynthesisRequest", "packages", "synthesize"]

INSTALLED_FROM_MAX = 16 << 20
"""Lock files beyond this (bytes) are not read."""

MAX_TEST_FILES = 40


def synthesize(request: SynthesisRequest) -> Scenario:
    """The scenario for a change. Raises NoScenario."""
    search = _Search(request, Lines(request))
    sources: tuple[Callable[[], Iterator[Candidate]], ...] = (
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
    """One search: the request, and who reads the lines that it comes upon."""

    request: SynthesisRequest
    lines: Lines

    @property
    def changed_tests(self) -> tuple[str, ...]:
        stacks = self.request.stacks
        return tuple(path for path in self.request.changed_paths if is_test_path(path, stacks))

    # --- sources ---

    def from_history(self) -> Iterator[Candidate]:
        for executed in reversed(self.request.history):
            line: str | tuple[str, ...] = executed.argv or executed.line
            if not executed.succeeded:
                self.lines.note("execution_history", executed.line, _not_succeeded(executed))
                continue
            cwd = self.lines.folder(executed.cwd or ".")
            if cwd is None:
                self.lines.note(
                    "execution_history", executed.line, f"it ran in {executed.cwd}, outside of the repository"
                )
                continue
            for candidate in self.lines.classes(
                "execution_history", line, cwd, "the run's latest successful {cls} command"
            ):
                yield candidate
                if candidate.cls == "test":  # nothing earlier goes before it
                    return

    def from_prompt(self) -> Iterator[Candidate]:
        for name, text in (("acceptance criteria", self.request.acceptance), ("prompt", self.request.prompt)):
            for line in mentioned(text or ""):
                yield from self.lines.classes("prompt", line, ".", f"a {{cls}} command named in the {name}")

    def from_diff(self) -> Iterator[Candidate]:
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
                yield Candidate("diff", "test", commands, why)
                return
        yield from self._package_scripts(sources)

    def _package_scripts(self, sources: Sequence[str]) -> Iterator[Candidate]:
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
                        yield from self.lines.classes("diff", command.argv, folder, why)

    def from_last_known_good(self) -> Iterator[Candidate]:
        request = self.request
        folders = {*packages(request.changed_paths, request.files, request.stacks), "."}
        for known in request.last_known_good:
            line = shlex.join(known.argv)
            if posixpath.normpath(known.cwd) not in folders:
                self.lines.note("last_known_good", line, f"it is of another package ({known.cwd})")
            elif why := self.lines.unfit(known.argv, known.runner, known.cwd):
                self.lines.note("last_known_good", line, why)
            else:
                yield Candidate("execution_history", known.cls, (known,), "the command last known good for the package")

    def from_templates(self) -> Iterator[Candidate]:
        request = self.request
        share = {stack.name: sum(map(stack.owns, request.changed_paths)) for stack in request.stacks}
        for stack in sorted(request.stacks, key=lambda one: -share[one.name]):
            owned = [path for path in request.changed_paths if stack.owns(path)]
            folders = dict.fromkeys([stack.package_of(path, request.files) for path in owned] or ["."])
            for folder in folders:
                if stack.is_root(folder, request.files) and stack.recognised(folder, request.files, request.read):
                    for command in stack.applicable(folder, request.files, request.read):
                        why = f"the {stack.name} template's {{cls}} command"
                        yield from self.lines.classes("template", command.argv, folder, why)

    # --- commands for tests ---

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
                if command := self.lines.command("diff", part, folder):
                    return command
        return None

    def nothing(self) -> NoScenario:
        request = self.request
        detail = (
            str(self.lines.tried[0]["why_not"])
            if self.lines.tried
            else "no command in the history, the prompt or the diff"
        )
        if self.lines.tried:
            detail = (
                f"{len(self.lines.tried)} commands turned down; the first, `{self.lines.tried[0]['line']}`: {detail}"
            )
        partial: dict[str, object] = {
            "cause": "unfit" if self.lines.tried else "no_command",
            "detail": detail,
            "tried": self.lines.tried,
            "refused": self.lines.refused,
            "changed_paths": list(request.changed_paths[:200]),
            "changed_tests": list(self.changed_tests[:200]),
            "packages": list(packages(request.changed_paths, request.files, request.stacks)),
            "history": [executed.line[:300] for executed in request.history[-20:]],
        }
        return NoScenario("unfit" if self.lines.tried else "no_command", detail, partial)


def _not_succeeded(executed: ExecutedCommand) -> str:
    if executed.signal:
        return f"it was ended by {executed.signal}"
    return "how it ended is not recorded" if executed.exit_code is None else f"it ended with {executed.exit_code}"
