"""What a run executed, from the best record it left.

The manifest lists commands without a working directory; the logs beside it hold what really ran:

1. `runner.ndjson` (`exec:begin`, `exec:end`), else its parts `commands/NN-*.ndjson`
2. `mcp-server.log`, JSON-RPC of an MCP server (`exec_command_begin`, `exec_command_end`): no times
3. the manifest's own commands, for agents-sdk with the exit code of the answer beside it (`NN-*.json`).
   There a model *said* what the exit code was, and the source says so.

Sources 1 and 2 leave out commands that only the manifest knows; those are added. No producer records the
environment, PATH or the executable that a command resolved to: `cwd` is all there is.

Only files in the run's own folder are opened, by their fixed names: never a path that a manifest names.
Files are read up to 20 MB (head and tail of a larger one), lines up to 4 MB; damaged lines are passed over.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from learnd.manifest import jsontext
from learnd.manifest.fields import Fields, WrongField
from learnd.manifest.inside import Folder, NotAFile, TooLarge
from learnd.manifest.jsontext import NotJson
from learnd.manifest.runs import Run, RunCommand

MAX_FILE = 20 * 1024 * 1024
MAX_LINE = 4 * 1024 * 1024
MAX_ANSWER = 256 * 1024
MAX_COMMANDS = 10_000
"""Commands kept of one run; more is no history but an accident, or an attack."""

HistorySource = Literal["runner.ndjson", "commands", "mcp-server.log", "response", "manifest"]


@dataclass(frozen=True, slots=True)
class ExecutedCommand:
    """One execution, in the order of the run.

    `line` is a shell line; `argv` stands where the record has a vector (then `line` is its quoted form).
    `cwd` is as recorded: absolute, or relative to the repository. `exit_code` is None when the end was not
    recorded. `index` is the number of the manifest's command, several executions (retries) may share it.
    """

    line: str
    source: HistorySource
    index: int | None = None
    argv: tuple[str, ...] | None = None
    cwd: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    status: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration_ms: int | None = None

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and self.signal is None


def execution_history(run: Run) -> tuple[ExecutedCommand, ...]:
    """All that the run is known to have executed; empty when nothing is known. Raises OSError only."""
    with Folder.open(str(run.repo), str(run.artifact_root)) as folder:
        executed = _from_runner_log(folder) or _from_command_logs(folder) or _from_server_log(folder)
        known = {command.index for command in executed}
        rest = [_from_manifest(command, folder) for command in run.commands if command.index not in known]
    merged = [*executed, *(command for command in rest if command is not None)]
    if all(command.started_at for command in merged):
        merged.sort(key=lambda command: command.started_at or "")
    return tuple(merged[:MAX_COMMANDS])


def _from_runner_log(folder: Folder) -> list[ExecutedCommand]:
    return _fold(_events(folder, "runner.ndjson", _is_exec), _runner_event, "runner.ndjson")


def _from_command_logs(folder: Folder) -> list[ExecutedCommand]:
    try:
        inner = folder.enter("commands")
    except OSError:
        return []
    executed: list[ExecutedCommand] = []
    with inner:
        for name in inner.names():
            if name.endswith(".ndjson") and len(executed) < MAX_COMMANDS:
                executed += _fold(_events(inner, name, _is_exec), _runner_event, "commands")
    return executed


def _from_server_log(folder: Folder) -> list[ExecutedCommand]:
    return _fold(_events(folder, "mcp-server.log", _is_server_exec), _server_event, "mcp-server.log")


def _from_manifest(command: RunCommand, folder: Folder) -> ExecutedCommand | None:
    """A command that ended, as the manifest tells it. None when it never ran or nobody knows how it ended."""
    if command.command is None or command.kind != "command" or command.status in {"pending", "running", "skipped"}:
        return None
    answered = _answer(folder, command.response_file) if command.response_file else None
    exit_code = command.exit_code if command.exit_code is not None else answered
    return ExecutedCommand(
        line=command.command,
        source="manifest" if answered is None else "response",
        index=command.index,
        exit_code=answered or exit_code,  # an answer that reports a failure outweighs a manifest that says 0
        status=command.status,
        started_at=command.started_at,
        ended_at=command.completed_at,
    )


def _answer(folder: Folder, name: str) -> int | None:
    """The exit code in an agents-sdk answer: a list of texts, one of them JSON with `exit_code`."""
    try:
        items = jsontext.parse(folder.read(name, MAX_ANSWER)[0])
        texts = [Fields.of(item).text("text") for item in items] if isinstance(items, list) else []
        for text in texts:
            if text and (code := Fields.of(jsontext.parse(text.encode())).integer("exit_code")) is not None:
                return code
    except (OSError, NotAFile, TooLarge, NotJson, WrongField):
        return None
    return None


# --- event logs -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Event:
    """The begin or the end of an execution; `key` pairs the two, `command` holds what this event knows."""

    begins: bool
    key: str
    command: ExecutedCommand


_Reader = Callable[[Fields, HistorySource], _Event | None]


def _fold(lines: Iterator[Fields], read: _Reader, source: HistorySource) -> list[ExecutedCommand]:
    """Pair begins with ends. An end without a begin is dropped, a begin without an end stays unfinished."""
    executed: list[ExecutedCommand] = []
    open_at: dict[str, int] = {}
    for line in lines:
        try:
            event = read(line, source)
        except WrongField:
            continue
        if event is None:
            continue
        if event.begins and len(executed) < MAX_COMMANDS:
            open_at[event.key] = len(executed)
            executed.append(event.command)
        elif not event.begins and event.key in open_at:
            at = open_at.pop(event.key)
            ended = event.command
            executed[at] = replace(
                executed[at],
                exit_code=ended.exit_code,
                signal=ended.signal,
                status=ended.status,
                ended_at=ended.ended_at,
                duration_ms=ended.duration_ms,
            )
    return executed


def _runner_event(line: Fields, source: HistorySource) -> _Event | None:
    key = f"{line.text('correlation_id')}#{line.integer('attempt')}"
    match line.value("type"):
        case "exec:begin":
            words = _words(line.value("args"))
            program = line.text("command") or ""
            command = ExecutedCommand(
                line=shlex.join([program, *words]) if words else program,
                source=source,
                index=line.integer("index"),
                argv=(program, *words) if words else None,
                cwd=line.text("cwd"),
                started_at=line.time("timestamp"),
            )
            return _Event(True, key, command) if program else None
        case "exec:end":
            ended = ExecutedCommand(
                line="",
                source=source,
                exit_code=line.integer("exit_code"),
                signal=line.text("signal"),
                status=line.text("status"),
                ended_at=line.time("timestamp"),
                duration_ms=line.integer("duration_ms"),
            )
            return _Event(False, key, ended)
    return None


def _server_event(line: Fields, source: HistorySource) -> _Event | None:
    params = line.inner("params")
    message = params.inner("msg") if params else None
    key = message.text("call_id") if message else None
    if message is None or key is None:
        return None
    match message.value("type"):
        case "exec_command_begin":
            argv = tuple(_words(message.value("command")))
            command = ExecutedCommand(line=shlex.join(argv), source=source, argv=argv, cwd=message.text("cwd"))
            return _Event(True, key, command) if argv else None
        case "exec_command_end":
            duration = message.inner("duration")
            spent = (
                (duration.integer("secs") or 0) * 1000 + (duration.integer("nanos") or 0) // 10**6 if duration else None
            )
            ended = ExecutedCommand(line="", source=source, exit_code=message.integer("exit_code"), duration_ms=spent)
            return _Event(False, key, ended)
    return None


def _words(value: object) -> list[str]:
    """A vector of words, empty unless it is wholly one."""
    words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
    return words if isinstance(value, list) and len(words) == len(value) else []


def _is_exec(line: bytes) -> bool:
    return b'"exec:begin"' in line or b'"exec:end"' in line


def _is_server_exec(line: bytes) -> bool:
    return b'"exec_command_begin"' in line or b'"exec_command_end"' in line


def _events(folder: Folder, name: str, wanted: Callable[[bytes], bool]) -> Iterator[Fields]:
    """The objects on the wanted lines of a log; nothing when there is no such file."""
    for line in _lines(folder, name):
        if wanted(line):
            try:
                value: object = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield Fields(value)


def _lines(folder: Folder, name: str) -> Iterator[bytes]:
    """Whole lines of a file, at most MAX_FILE bytes of them: head and tail when there are more."""
    try:
        file = os.fdopen(folder.open_file(name), "rb")
    except (OSError, NotAFile):
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        yield from _span(file.readline, MAX_FILE if size <= MAX_FILE else MAX_FILE // 2)
        if size > MAX_FILE:
            file.seek(size - MAX_FILE // 2)
            file.readline(MAX_LINE)  # what is left of a line in the middle
            yield from _span(file.readline, MAX_FILE // 2)


def _span(readline: Callable[[int], bytes], budget: int) -> Iterator[bytes]:
    too_long = False
    while budget > 0 and (line := readline(min(MAX_LINE, budget))):
        budget -= len(line)
        whole = line.endswith(b"\n")
        if not too_long and (whole or len(line) < MAX_LINE):
            yield line
        too_long = not whole
