"""The way out when no scenario was found: a person fills in a form, and each of its fields is held to what it must be.

The form is Markdown with one TOML block (`manual-scenario-template.md`). Whoever signs it decides what is run, so its
commands need no known runner; they run in the sandbox like any other, and their outcome is the runner's own report
where there is one, else the exit code. Nothing of an invalid form is used; all that is wrong with it is said at once.

Services that have a command are started beside the replay's own (`services.py`); one without is what the entrypoint
has to start itself.
"""

from __future__ import annotations

import datetime
import posixpath
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from events.values import Scenario, ScenarioCommand, Service
from learnd.lab.commands import parts
from learnd.lab.form_text import FieldError, field_problem, toml_block, toml_problem
from learnd.lab.shell import Unparseable, simple_commands

_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)
_URL = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?(/[^\s\"'<>]*)?")
_SHELL = "shell"
"""The runner of a manual command that is no known runner's."""


@dataclass(frozen=True)
class ManualInvalid:
    """A form that cannot be used, with every field that has to be mended."""

    errors: tuple[FieldError, ...]

    def __str__(self) -> str:
        return "\n".join(f"{error.field}: {error.problem}" for error in self.errors)


@dataclass(frozen=True)
class _Held:
    """What a form is held against: the snapshot's files, and the day it is handed in."""

    files: Collection[str]
    today: datetime.date


def parse_manual(text: str, files: Collection[str], today: datetime.date) -> Scenario | ManualInvalid:
    """The scenario a filled-in form describes, or everything that is wrong with it. Never raises.

    `files` are the paths of the snapshot's tree, which `cwd` and `fixtures` must name; `today` is the day at the door.
    """
    block = toml_block(text)
    if isinstance(block, FieldError):
        return ManualInvalid((block,))
    try:
        form = _Form.model_validate(tomllib.loads(block.text), context=_Held(files, today))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return ManualInvalid((toml_problem(block, error),))
    except ValidationError as error:
        told = [field_problem(one["loc"], one["msg"], one["type"]) for one in error.errors(include_url=False)]
        return ManualInvalid(tuple({problem.field: problem for problem in reversed(told)}.values())[::-1])
    return form.scenario()


# --- what each field must be ------------------------------------------------------------------------


def _no_secret(text: str) -> str:
    from learnd.crystalizer.redact import redact  # noqa: PLC0415 - its detectors are slow to import

    if redact(text).count or re.search(r"://[^/\s@]*:[^/\s@]*@", text):
        raise ValueError("looks like a secret, and this file is kept for ever")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


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
    return _no_secret(line)


def _relative(path: str) -> str:
    normal = posixpath.normpath(path) if path else ""
    if not normal or normal.startswith("/") or normal.split("/")[0] == ".." or "\0" in path:
        raise ValueError(f"`{path[:200]}` is no path inside the repository")
    return normal


def _is_folder(path: str, files: Collection[str]) -> bool:
    return any(name.startswith(f"{path}/") for name in files)


def _fixture(path: str, info: ValidationInfo) -> str:
    path, files = _relative(path), _held(info).files
    if path not in files and not _is_folder(path, files):
        raise ValueError(f"`{path[:200]}` is not in the snapshot, which has no ignored files")
    return path


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"`{name[:60]}` is no variable name")
    if _SECRET.search(name):
        raise ValueError(f"`{name}` looks like a secret, and this file is kept for ever")
    if name.startswith(("LD_", "LEARND_")) or name in ("PATH", "HOME"):
        raise ValueError(f"`{name}` is the sandbox's own")
    return name


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if len(text) > 500:
        raise ValueError("is longer than 500 characters")
    return _no_secret(text)


def _held(info: ValidationInfo) -> _Held:
    assert isinstance(info.context, _Held)  # noqa: S101 - given by parse_manual, for the type checker
    return info.context


_Command = Annotated[str, AfterValidator(_command)]
_Said = Annotated[str, AfterValidator(_said)]
_Variable = Annotated[str, AfterValidator(_variable)]


class _Service(BaseModel):
    """A service as the form describes it; one without a command is not started."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field([], max_length=20)
    health: _Command | None = None
    command: _Command | None = None
    ready_seconds: float | int = Field(60, ge=0.1, le=600)

    @field_validator("health")
    @classmethod
    def _on_localhost(cls, health: str | None) -> str | None:
        if health and "://" in health.split()[0] and not _URL.fullmatch(health):
            raise ValueError(f"`{health[:200]}` is no http:// address on localhost")
        return health

    @model_validator(mode="after")
    def _can_be_waited_for(self) -> Self:
        if self.command and not self.ports and not self.health:
            raise ValueError(f"nothing tells when {self.name} is up: name its ports or its health check")
        return self

    def __str__(self) -> str:
        ports = f" on {', '.join(map(str, self.ports))}" if self.ports else ""
        return f"{self.name}{ports}{f', healthy when: {self.health}' if self.health else ''}"

    def started(self, cwd: str) -> Service:
        """As the lab starts it, in the folder `cwd`."""
        check = self.health or ()
        return Service(
            name=self.name,
            argv=("bash", "-c", self.command or ""),
            cwd=cwd,
            ports=tuple(self.ports),
            health=("bash", "-c", check) if isinstance(check, str) and not _URL.fullmatch(check) else check,
            ready_s=float(self.ready_seconds),
        )


class _Form(BaseModel):
    """The form's fields and what each must be."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    entrypoint: _Command
    setup: list[_Command] = Field([], max_length=20)
    cwd: str = "."
    env: dict[_Variable, Annotated[str, AfterValidator(_no_secret)]] = Field({}, max_length=50)
    fixtures: list[Annotated[str, AfterValidator(_fixture)]] = Field([], max_length=100)
    services: list[_Service] = Field([], max_length=20)
    expected_signals: list[_Said] = Field([], max_length=20)
    timeout_minutes: float | int = Field(10, ge=0.1, le=120)
    approver: str
    date: str | datetime.date

    @field_validator("entrypoint")
    @classmethod
    def _verifies(cls, line: str) -> str:
        found = parts(line)
        if all(part.silent for part in found):
            raise ValueError(f"verifies nothing ({found[0].why_not}): name the command that fails without the change")
        return line

    @field_validator("cwd")
    @classmethod
    def _a_folder(cls, path: str, info: ValidationInfo) -> str:
        path = _relative(path)
        if path != "." and not _is_folder(path, _held(info).files):
            raise ValueError(f"`{path[:200]}` is no folder of the snapshot")
        return path

    @field_validator("services")
    @classmethod
    def _each_once(cls, services: list[_Service]) -> list[_Service]:
        names = [service.name for service in services]
        ports = [port for service in services for port in service.ports]
        twice = [str(one) for one in (*names, *ports) if names.count(one) + ports.count(one) > 1]  # type: ignore[arg-type]
        if twice:
            raise ValueError(f"`{twice[0]}` stands twice")
        return services

    @field_validator("approver")
    @classmethod
    def _named(cls, name: str) -> str:
        if not name.strip() or len(name) > 200 or not name.strip().isprintable():
            raise ValueError("is no name on one line" if name.strip() else "is empty")
        return name.strip()

    @field_validator("date")
    @classmethod
    def _day(cls, date: str | datetime.date, info: ValidationInfo) -> str:
        try:
            day = datetime.date.fromisoformat(str(date)[:10] if isinstance(date, datetime.date) else date)
        except ValueError as error:
            raise ValueError(f"is no day (today is {_held(info).today})" if date else "is empty") from error
        if day > _held(info).today + datetime.timedelta(days=1):  # whoever wrote it may be a time zone ahead
            raise ValueError(f"is a day that has not come (today is {_held(info).today})")
        return day.isoformat()

    def scenario(self) -> Scenario:
        return Scenario(
            source="manual",
            setup=tuple(self._one(line, "build") for line in self.setup),
            commands=(self._one(self.entrypoint, "test"),),
            env=self.env,
            fixtures=tuple(self.fixtures),
            services=tuple(map(str, self.services)),
            served=tuple(service.started(self.cwd) for service in self.services if service.command),
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
