"""The operator's `[alerts]`: where alerts go, and how bad each is.

    [alerts.slack]
    token = "xoxb-…"                      # or SLACK_BOT_TOKEN
    [alerts.pagerduty]
    routing_key = "…"                     # or PAGERDUTY_ROUTING_KEY
    [[alerts.policy]]
    kind = "needs_manual_scenario"
    repository = "/srv/payments*"
    severity = "P1"

The first rule that fits says the severity; what no rule fits has the one of `policy.DEFAULTS`. A token never stands
in a log, an error or an output. Plain http is refused but to this machine itself: the token would be read on its way.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import PydanticBaseSettingsSource

from events.catalog import AlertKind, Severity

ESTABLISHED = {"SLACK_BOT_TOKEN": ("slack", "token"), "PAGERDUTY_ROUTING_KEY": ("pagerduty", "routing_key")}
"""Names that other tools use for the same secrets, and where they stand in `[alerts]`."""


def _safe_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be an https:// URL")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must be https://: over http:// anybody on the way could read the secret")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be a bare URL, without a user, a query or a fragment")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _none_for_nothing(value: object) -> object:
    """A variable that is set to nothing is not set."""
    return None if isinstance(value, str) and not value.strip() else value


BareUrl = Annotated[str, AfterValidator(_safe_url)]
Secret = Annotated[SecretStr | None, BeforeValidator(_none_for_nothing)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SlackSettings(Part):
    """Scopes: `chat:write`; with `channels:read` and `channels:history`, what may have got through is looked for."""

    token: Secret = Field(None, description="bot token (also `SLACK_BOT_TOKEN`); without it nothing goes there")
    channel: str = Field("#learning-alerts", min_length=2, description="channel's name or id")
    base_url: BareUrl = Field("https://slack.com/api/", description="Slack's API, or a proxy in front of it")


class PagerDutySettings(Part):
    routing_key: Secret = Field(
        None,
        description="integration key of Events API v2 (also `PAGERDUTY_ROUTING_KEY`); without it nothing goes there",
    )
    service: str = Field("learning-pipeline", min_length=1, description="service that the key belongs to, as shown")
    base_url: BareUrl = Field("https://events.pagerduty.com", description="the service region's Events API")


class Rule(Part):
    """One row of the policy. What is left out fits everything; `*` in a glob stands for any text, `/` too."""

    severity: Severity
    kind: AlertKind | None = None
    repository: str | None = None
    task: str | None = None
    cause: str | None = None

    @property
    def globs(self) -> tuple[str | None, str | None, str | None]:
        return (self.repository, self.task, self.cause)


class AlertSettings(Part):
    slack: SlackSettings = SlackSettings()
    pagerduty: PagerDutySettings = PagerDutySettings()
    policy: tuple[Rule, ...] = Field(
        (),
        description="rules: `kind`, globs `repository`, `task`, `cause` → `severity` P1…P5; the first that fits",
    )

    @model_validator(mode="after")
    def _every_rule_can_fit(self) -> Self:
        for number, rule in enumerate(self.policy, 1):
            if rule.kind == "machine_fault" and (rule.repository or rule.task):
                raise ValueError(
                    f"rule {number} of the policy can never fit: a machine_fault has no repository and no task"
                )
            for earlier, other in enumerate(self.policy[: number - 1], 1):
                if other.kind in (None, rule.kind) and other.globs in ((None, None, None), rule.globs):
                    raise ValueError(f"rule {number} of the policy can never fit: rule {earlier} fits first")
        return self


class EstablishedNames(PydanticBaseSettingsSource):
    """The secrets from the variables that other tools read too, or from systemd's credentials of these names."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, dict[str, str]] = {}
        for name, (part, field) in ESTABLISHED.items():
            value = os.environ.get(name, "").strip() or _credential(name)
            if value:
                found[part] = {field: value}
        return {"alerts": found} if found else {}


def _credential(name: str) -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    files = [Path(folder, name), Path(folder, name.lower())] if folder else []
    return next((file.read_text().strip() for file in files if file.is_file()), "")
