"""The operator's settings: one frozen model, read once, again only on SIGHUP.

Sources, later wins: defaults here; the configuration file (`locate.config_file` says which); files named like a
setting in `$CREDENTIALS_DIRECTORY`, where systemd puts what a unit's `LoadCredential=` names; then `LEARND_*` variables
and the established names `LEARNING_PIPELINE_ENABLED`, `LEARNING_SNAPSHOT_DIR`, `OPENAI_API_KEY`, `OPENAI_BASE_URL`.

A repository's own `learnd.toml` is not read: agents write it, and it can set none of these.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
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


class Settings(BaseSettings):
    """Every setting has a use, a default that works, bounds, and a line in the README."""

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
    sweep_seconds: float = Field(300, ge=1, description="pause between full sweeps of .runs/")
    workers: int = Field(1, ge=1, le=32, description="jobs worked on at the same time")
    budget_usd: float = Field(0.50, ge=0, description="model spend a job may reserve without a grant")
    model: str = Field("gpt-4o", description="model of the author `openai`")
    model_price: tuple[float, float] | None = Field(
        None, description="US dollars per million input and output tokens, overriding the price table"
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
    alerts: AlertSettings = AlertSettings()

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
        raise SettingsInvalid(f"setting {where}: {first['msg']} (from {file} or LEARND_*)") from error
    except (SettingsError, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        raise SettingsInvalid(f"{why} (from {config_file() or 'the environment'} or LEARND_*)") from error
