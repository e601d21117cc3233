"""The way out when no scenario was found: a person fills in a form, and each of its fields is held to what it must be.

The form is Markdown with one TOML block (`manual-scenario-template.md`). Whoever signs it decides what is run, so its
commands need no known runner; they run in the sandbox like any other, and their outcome is the runner's own report
where there is one, else the exit code. Nothing of an invalid form is used.
"""

from __future__ import annotations

import datetime
import json
import posixpath
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from events.values import Scenario, ScenarioCommand
from learnd.lab.commands import parts
from learnd.lab.shell import Unparseable, simple_commands

TEMPLATE = "manual-scenario-template.md"
_MAX_BYTES = 256 * 1024
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)
_SHELL = "shell"
"""The runner of a manual command that is no known runner's."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the form."""

    field: str
    problem: str


@dataclass(frozen=True)
class ManualInvalid:
    """A form that cannot be used, with every field that has to be mended."""

    errors: tuple[FieldError, ...]

    def __str__(self) -> str:
        return "\n".join(f"{error.field}: {error.problem}" for error in self.errors)


def fill(template: str, partial: Mapping[str, object], *, job: str) -> str:
    """The form for a job, with what was tried (`NoScenario.partial`) and a proposal for its first fields."""
    tried = partial.get("tried")
    entries = [entry for entry in tried if isinstance(entry, dict)] if isinstance(tried, list) else []
    lines = [
        f"- {_quoted(entry.get('line'))} ({entry.get('source')}): {entry.get('why_not')}" for entry in entries[:20]
    ]
    changed = partial.get("changed_paths")
    paths = [str(path) for path in changed[:10]] if isinstance(changed, list) else []
    packages = partial.get("packages")
    places = {
        "{job}": job,
        "{short}": job[:8],
        "{cause}": f"> {_flat(partial.get('detail') or partial.get('cause'))}",
        "{tried}": "\n".join(map(_flat, lines)) or "- nothing: the run left no commands",
        "{changed}": ", ".join(_quoted(path) for path in paths) or "none",
        "{cwd}": _in_toml(packages[0]) if isinstance(packages, list) and packages else ".",
    }
    return re.sub("|".join(map(re.escape, places)), lambda place: places[place.group()], template)


def parse_manual(text: str) -> Scenario | ManualInvalid:
    """The scenario a filled-in form describes, or everything that is wrong with it. Never raises."""
    block = _block(text)
    if isinstance(block, FieldError):
        return ManualInvalid((block,))
    try:
        form = _Form.model_validate(tomllib.loads(block))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return ManualInvalid((FieldError("(the toml block)", f"is no TOML: {error}"),))
    except ValidationError as error:
        return ManualInvalid(tuple(_told(one["loc"], one["msg"], one["type"]) for one in error.errors()))
    return form.scenario()


class _Form(BaseModel):
    """The form's fields and what each must be."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    entrypoint: str
    setup: list[str] = Field([], max_length=20)
    cwd: str = "."
    env: dict[str, str] = Field({}, max_length=50)
    fixtures: list[str] = Field([], max_length=100)
    services: list[str] = Field([], max_length=20)
    expected_signals: list[str] = Field([], max_length=20)
    timeout_minutes: float | int = Field(10, ge=0.1, le=120)
    approver: str
    date: str | datetime.date

    @field_validator("entrypoint")
    @classmethod
    def _verifies(cls, line: str) -> str:
        line = _command(line)
        found = parts(line)
        if all(part.silent for part in found):
            raise ValueError(f"verifies nothing ({found[0].why_not}): name the command that fails without the change")
        return line

    @field_validator("setup")
    @classmethod
    def _readable(cls, lines: list[str]) -> list[str]:
        return [_command(line) for line in lines]

    @field_validator("cwd")
    @classmethod
    def _inside(cls, path: str) -> str:
        return _relative(path)

    @field_validator("fixtures")
    @classmethod
    def _all_inside(cls, paths: list[str]) -> list[str]:
        return [_relative(path) for path in paths]

    @field_validator("env")
    @classmethod
    def _no_secrets(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"`{name[:60]}` is no variable name")
            if _SECRET.search(name) or re.search(r"://[^/\s@]*:[^/\s@]*@", value):
                raise ValueError(f"`{name}` looks like a secret, and this file is kept for ever")
            if name.startswith(("LD_", "LEARND_")) or name in ("PATH", "HOME"):
                raise ValueError(f"`{name}` is the sandbox's own")
            if "\0" in value:
                raise ValueError(f"`{name}` holds a NUL character")
        return env

    @field_validator("services", "expected_signals")
    @classmethod
    def _said(cls, texts: list[str]) -> list[str]:
        if any(not text.strip() or len(text) > 500 for text in texts):
            raise ValueError("holds an empty or too long text")
        return texts

    @field_validator("approver")
    @classmethod
    def _named(cls, name: str) -> str:
        if not name.strip() or len(name) > 200 or "\n" in name:
            raise ValueError("must name the person who vouches for this scenario")
        return name.strip()

    @field_validator("date")
    @classmethod
    def _day(cls, date: str | datetime.date) -> str:
        try:
            return datetime.date.fromisoformat(str(date)[:10] if isinstance(date, datetime.date) else date).isoformat()
        except ValueError as error:
            raise ValueError("must be a day as YYYY-MM-DD") from error

    def scenario(self) -> Scenario:
        return Scenario(
            source="manual",
            setup=tuple(self._one(line, "build") for line in self.setup),
            commands=(self._one(self.entrypoint, "test"),),
            env=self.env,
            fixtures=tuple(self.fixtures),
            services=tuple(self.services),
            expected_signals=tuple(self.expected_signals),
            reason=f"written by {self.approver} on {self.date}",
        )

    def _one(self, line: str, cls: str) -> ScenarioCommand:
        """The line as typed; without a shell where it is one command of a known runner, so that it can report."""
        limit = float(self.timeout_minutes) * 60
        found = parts(line)
        known = found[0]
        if len(found) == 1 and known.cls == "test" and known.runner and cls == "test" and not _needs_shell(line):
            cwd = posixpath.normpath(posixpath.join(self.cwd, known.cwd))
            if not cwd.startswith(("/", "..")):
                return ScenarioCommand(
                    argv=known.argv, cls="test", runner=known.runner, cwd=cwd, env=known.env, timeout_s=limit
                )
        argv = ("bash", "-c", line)
        return ScenarioCommand(
            argv=argv, cls="test" if cls == "test" else "build", runner=_SHELL, cwd=self.cwd, timeout_s=limit
        )


def _needs_shell(line: str) -> bool:
    """Whether anything besides words stands in the line: a pipe, a pattern, a redirection."""
    return any(sign in line for sign in "|&;<>*?[]()$`~{}\n")


def _command(line: str) -> str:
    line = line.strip()
    if not line:
        raise ValueError("is empty")
    if len(line) > 5000:
        raise ValueError("is longer than 5000 characters")
    try:
        simple_commands(line)
    except Unparseable as error:
        if "not closed" in str(error) or "NUL" in str(error):
            raise ValueError(f"cannot be read: {error}") from error
    return line


def _relative(path: str) -> str:
    normal = posixpath.normpath(path) if path else ""
    if not normal or normal.startswith("/") or normal.split("/")[0] == ".." or "\0" in path:
        raise ValueError(f"`{path[:200]}` must be a path inside the repository, relative to its root")
    return normal


def _block(text: str) -> str | FieldError:
    if len(text) > _MAX_BYTES:
        return FieldError("(the file)", f"is larger than {_MAX_BYTES // 1024} KB")
    blocks: list[str] = []
    inside: list[str] | None = None
    for line in text.replace("\r\n", "\n").split("\n"):
        if inside is None and line.strip() == "```toml":
            inside = []
        elif inside is not None and line.strip() == "```":
            blocks.append("\n".join(inside))
            inside = None
        elif inside is not None:
            inside.append(line)
    if len(blocks) != 1 or inside is not None:
        return FieldError(
            "(the file)", f"must hold one ```toml block, found {len(blocks)}: start from the template again"
        )
    return blocks[0]


def _told(location: tuple[int | str, ...], message: str, kind: str) -> FieldError:
    name = ".".join(str(part) for part in location) or "(the toml block)"
    known = {"missing": "is missing", "extra_forbidden": "is not a field of this form"}
    return FieldError(name, known.get(kind, message.removeprefix("Value error, ")))


def _quoted(value: object) -> str:
    return f"`{_flat(value).replace('`', chr(39))}`"


def _flat(value: object) -> str:
    return " ".join(str(value).split())[:500].encode("utf-8", "backslashreplace").decode()


def _in_toml(value: object) -> str:
    """A text as the inside of a TOML string; JSON's escapes are TOML's."""
    return json.dumps(_flat(value), ensure_ascii=False)[1:-1].replace("\x7f", "")
