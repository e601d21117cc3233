"""The operator's settings: one frozen model, read once, again only on SIGHUP.

Sources, later wins: defaults here; the configuration file (`locate.config_file` says which); files named like a
setting in `$CREDENTIALS_DIRECTORY`, where systemd puts what a unit's `LoadCredential=` names; then `LEARND_*` variables
and the established names `LEARNING_PIPELINE_ENABLED`, `LEARNING_SNAPSHOT_DIR`, `OPENAI_API_KEY`, `OPENAI_BASE_URL`.

A repository's own `learnd.toml` is not read: agents write it, and it can set none of these.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from learnd.alerts.config import AlertSettings, EstablishedNames
from learnd.locate import config_file, default_state_dir

ANY_MODEL = "*"
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SettingsInvalid(Exception):
    """The configuration cannot be used; the message names the setting and what it must be."""


class Lab(BaseModel):
    """Limits of one replay and of the evidence as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replays_min: int = Field(3, ge=3, le=10, description="replays a side before a verdict")
    replays_max: int = Field(10, ge=3, le=50, description="replays a side while they are cheap")
    cheap_seconds: float = Field(30, ge=0, description="total seconds a side in which more replays count as cheap")
    flaky_seconds: float = Field(300, ge=0, description="wall time for more replays when equal ones disagree")
    shuffle: bool = Field(True, description="run the tests of every other replay in another order, where that can be")
    timeout_seconds: float = Field(600, gt=0, description="wall time of one replay")
    hunk_seconds: float = Field(900, ge=0, description="wall time for all single-hunk reverts of a job")
    minimal_seconds: float = Field(600, ge=0, description="wall time for finding the smallest proven change")
    hunks_at_once: int = Field(1, ge=1, le=32, description="single-hunk reverts replayed at the same time")
    cpu_seconds: int = Field(3600, ge=1, description="CPU time of one process in a replay")
    memory_mb: int = Field(4096, ge=64, description="private memory of all processes of a replay together")
    processes: int = Field(512, ge=16, description="processes of a replay's user")
    file_mb: int = Field(1024, ge=1, description="largest file a replay may write")
    output_mb: int = Field(16, ge=1, description="output kept of one replay; more kills it")
    work_dir: Path | None = Field(None, description="where trees are restored (default: in memory where it fits)")
    setup_network: bool = Field(
        False,
        description="let set-up from changed lock files use the network, in its own sandbox; replays never do",
    )
    extra_binds: tuple[Path, ...] = Field((), description="further read-only paths that replays may see")


class Owner(BaseModel):
    """Who may promote what cites these paths, as a line of a CODEOWNERS file. No `repository` means all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(pattern=r"^/?[^\s!#/][^\x00-\x1f]*$", max_length=1024)
    users: tuple[str, ...] = ()
    repository: str | None = None


class Patterns(BaseModel):
    """How patterns are governed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    approvals: int = Field(1, ge=1, le=9, description="people who must consent before a pattern is served")
    owners: tuple[Owner, ...] = Field(
        (), description="who may promote patterns that cite these paths, as in CODEOWNERS; the last match counts"
    )
    remind_days: int = Field(0, ge=0, description="days after which approvers are reminded of a candidate; 0: never")
    expire_days: int = Field(0, ge=0, description="days after which an unreviewed candidate expires; 0: never")
    librarian: bool = Field(False, description="let the model read candidates first and leave a recommendation")
    librarian_pack: str = Field(
        "librarian-v1", pattern=r"^[a-z0-9][a-z0-9-]*$", description="the librarian's prompt pack"
    )

    @model_validator(mode="after")
    def _reminds_before_it_expires(self) -> Patterns:
        if self.expire_days and self.remind_days >= self.expire_days:
            raise ValueError("remind_days must be less than expire_days, or nobody is reminded in time")
        return self


class Validation(BaseModel):
    """Whether runs are validated one by one, or those that touch one service together. There is no other way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["per-task", "grouped"] = Field(
        "per-task", description="`grouped` validates runs together that touch the same service within the window"
    )
    window_hours: float = Field(24, ge=0, le=24 * 14, description="hours that a group stays open after its first run")
    services: dict[str, tuple[str, ...]] = Field(
        {}, description="services by name, with globs of their paths; other files belong to the nearest package"
    )

    @field_validator("mode", mode="before")
    @classmethod
    def _one_of_two(cls, mode: object) -> object:
        if mode not in ("per-task", "grouped"):
            raise ValueError(f"{mode!r} is no way to group: runs are validated per-task, or grouped by service")
        return mode

    @field_validator("services")
    @classmethod
    def _named_and_inside(cls, services: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, patterns in services.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}", name):
                raise ValueError(f"{name!r} cannot name a service: letters, digits, dots, dashes and blanks can")
            if not patterns:
                raise ValueError(f"service {name!r} has no path")
            for pattern in patterns:
                if {"", ".", ".."} & set(pattern.split("/")):
                    raise ValueError(f"service {name!r}: {pattern!r} must be relative to the repository, as a/b/**")
        return services


class Settings(BaseSettings):
    """Every setting has a use, a default that works, bounds, and a line in docs/settings.md."""

    model_config = SettingsConfigDict(
        env_prefix="LEARND_", env_nested_delimiter="__", frozen=True, extra="forbid", populate_by_name=True
    )

    learning_enabled: bool = Field(
        True,
        validation_alias=AliasChoices("LEARNING_PIPELINE_ENABLED", "learning_enabled"),
        description="false turns learning off: runs are seen, no job is worked on",
    )
    state_dir: Path = Field(default_factory=default_state_dir, description="log, snapshot stores, quarantined texts")
    snapshot_dir: Path | None = Field(
        None,
        validation_alias=AliasChoices("LEARNING_SNAPSHOT_DIR", "snapshot_dir"),
        description="where tarball copies go (default: learning-snapshots/ in the repository)",
    )
    trigger: Literal["completed", "approved"] = Field(
        "completed", description="`approved` waits for `learnd approve` after the snapshot"
    )
    approvers: tuple[str, ...] = Field((), description="users who may approve (default: the daemon's own user)")
    sandbox: Literal["bubblewrap", "none"] = Field(
        "bubblewrap", description="`none` replays without isolation and says so in every evidence"
    )
    retention_days: int = Field(30, ge=1, description="days after which snapshots that nothing leans on are pruned")
    snapshot_attempts: int = Field(3, ge=1, le=10, description="attempts at a snapshot before snapshot_failed")
    snapshot_backoff_seconds: float = Field(2.0, ge=0, description="first pause between snapshot attempts")
    crystalize_attempts: int = Field(3, ge=1, le=10, description="model calls before crystalization_failed")
    replay_attempts: int = Field(3, ge=1, le=10, description="replays lost to crashes before validation_failed")
    tag_in_repository: bool = Field(False, description="also write snapshot tags into the user's repository")
    skills: tuple[str, ...] = Field(
        (), description="folders of each repository in which active patterns are kept as Agent Skills: `.claude/skills`"
    )
    sweep_seconds: float = Field(300, ge=1, description="pause between full sweeps of .runs/")
    workers: int = Field(1, ge=1, le=32, description="jobs worked on at the same time")
    budget_usd: float = Field(0.50, ge=0, description="model spend a job may reserve without a grant")
    budget_day_usd: float = Field(5.0, ge=0, description="model spend of all jobs on a day (UTC); beyond it they wait")
    budget_month_usd: float = Field(50.0, ge=0, description="model spend of all jobs in a month (UTC)")
    model: str = Field("gpt-4o", description="model of the author `openai`")
    model_api: Literal["chat", "responses"] = Field("chat", description="chat completions, or the responses API")
    model_price: dict[str, tuple[Usd, Usd]] = Field(
        {},
        description="US dollars per million input and output tokens by model, overriding the price table; "
        "a bare pair is for whatever `model` is",
    )
    model_timeout_seconds: float = Field(120, gt=0, description="wall time of one model call")
    prompt_pack: str = Field("crystalizer-v1", pattern=r"^[a-z0-9][a-z0-9-]*$", description="prompt pack's folder name")
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"),
        description="key of the author `openai`; without it the author is `extractive`",
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias=AliasChoices("OPENAI_BASE_URL", "openai_base_url"),
        description="any OpenAI-compatible endpoint",
    )
    lab: Lab = Lab()
    validation: Validation = Validation()
    alerts: AlertSettings = AlertSettings()
    patterns: Patterns = Patterns()

    @model_validator(mode="after")
    def _approvers_suffice(self) -> Settings:
        if self.patterns.approvals > max(1, len(set(self.approvers))):
            raise ValueError(
                f"patterns.approvals is {self.patterns.approvals}, and approvers names {len(set(self.approvers))}: "
                "nothing could ever be promoted"
            )
        return self

    @field_validator("skills")
    @classmethod
    def _own_folders(cls, skills: tuple[str, ...]) -> tuple[str, ...]:
        for folder in skills:
            parts = folder.split("/")
            if {"", ".", ".."} & set(parts) or parts[0] in {".git", ".runs"} or folder.startswith(".agent/patterns"):
                raise ValueError(f"{folder!r} is no folder for skills: name one in the repository, as .claude/skills")
        return skills

    @field_validator("model_price", mode="before")
    @classmethod
    def _pair_is_for_any_model(cls, given: object) -> object:
        return {ANY_MODEL: given} if isinstance(given, list | tuple) else given

    def price_given(self, model: str) -> tuple[float, float] | None:
        """What the operator says that a model costs (as `model_price`), if they do."""
        return self.model_price.get(model) or self.model_price.get(ANY_MODEL)

    @property
    def log_path(self) -> Path:
        return self.state_dir / "events.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = config_file()
        sources = [init_settings, env_settings, EstablishedNames(settings_cls)]
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials:
            sources.append(SecretsSettingsSource(settings_cls, secrets_dir=credentials, env_prefix=""))
        if file is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)


def read_settings() -> Settings:
    """Read all sources once. Raises SettingsInvalid with a sentence an operator can act on."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        file = config_file() or "the environment"
        unknown = first["type"] == "extra_forbidden"
        said = "there is no such setting" if unknown else first["msg"].removeprefix("Value error, ")
        raise SettingsInvalid(f"setting {where}: {said} (from {file} or LEARND_*)") from error
    except (SettingsError, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise SettingsInvalid(f"{why} (from {config_file() or 'the environment'} or LEARND_*)") from error
