"""Which severity, which channel; and which settings are refused, by what sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.catalog import AlertKind, Severity
from learnd.alerts.config import AlertSettings, Rule
from learnd.alerts.policy import DEFAULTS, KINDS, Subject, channels_of, severity_of
from learnd.settings import Settings, SettingsInvalid, read_settings
from state.job import BLOCKED

BOTH = ("slack", "pagerduty")


@pytest.mark.parametrize(
    ("kind", "severity", "channels"),
    [
        ("snapshot_failed", "P2", BOTH),
        ("stalled_snapshot", "P2", BOTH),
        ("needs_manual_scenario", "P3", ("slack",)),
        ("over_budget", "P3", ("slack",)),
        ("machine_fault", "P3", ("slack",)),
        ("validation_failed", "P4", ()),
        ("crystalization_failed", "P4", ()),
        ("awaiting_approval", "P4", ()),
    ],
)
def test_without_a_policy_each_kind_has_its_severity_and_its_channels(
    kind: AlertKind, severity: Severity, channels: tuple[str, ...]
) -> None:
    assert severity_of(Subject(kind), ()) == severity
    assert channels_of(kind, severity) == channels


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
def test_the_worst_goes_everywhere_and_the_mildest_only_where_the_kind_always_goes(kind: AlertKind) -> None:
    assert channels_of(kind, "P1") == channels_of(kind, "P2") == BOTH
    always = {
        "snapshot_failed": BOTH,
        "stalled_snapshot": BOTH,
        "needs_manual_scenario": ("slack",),
        "over_budget": ("slack",),
    }
    assert channels_of(kind, "P5") == channels_of(kind, "P4") == always.get(kind, ())
    assert channels_of(kind, "P3") == (BOTH if always.get(kind) == BOTH else ("slack",))


def test_every_blocked_status_is_a_kind_with_a_severity() -> None:
    assert {*BLOCKED, "machine_fault", "reintroduction", "review_waiting"} == set(KINDS) == set(DEFAULTS)


def test_the_first_rule_that_fits_counts() -> None:
    rules = (
        Rule(kind="over_budget", repository="/srv/pay*", task="fix-*", severity="P1"),
        Rule(kind="over_budget", repository="/srv/pay*", severity="P2"),
        Rule(cause="flaky", severity="P5"),
        Rule(repository="/srv/*", severity="P3"),
    )

    def of(kind: AlertKind, cause: str, repository: str, task: str) -> Severity:
        return severity_of(Subject(kind, cause, repository, task), rules)

    assert of("over_budget", "budget", "/srv/payments/api", "fix-7") == "P1"
    assert of("over_budget", "budget", "/srv/payments/api", "new-7") == "P2"
    assert of("validation_failed", "flaky", "/srv/shop", "t") == "P5"
    assert of("validation_failed", "failed", "/srv/shop", "t") == "P3"
    assert of("validation_failed", "failed", "/home/anna/shop", "t") == DEFAULTS["validation_failed"]


def test_a_rate_limit_is_told_to_nobody_unless_a_rule_says_so() -> None:
    limited = Subject("machine_fault", "rate_limit")
    assert channels_of("machine_fault", severity_of(limited, ())) == ()
    assert severity_of(limited, (Rule(kind="machine_fault", severity="P2"),)) == "P2"
    assert channels_of("machine_fault", severity_of(Subject("machine_fault", "sandbox"), ())) == ("slack",)


BAD = [
    (
        '[[alerts.policy]]\nkind = "nonsense"\nseverity = "P1"',
        "alerts.policy.0.kind: Input should be 'snapshot_failed'",
    ),
    ('[[alerts.policy]]\nkind = "over_budget"\nseverity = "P0"', "alerts.policy.0.severity: Input should be 'P1'"),
    ('[[alerts.policy]]\nkind = "over_budget"', "alerts.policy.0.severity: Field required"),
    (
        '[[alerts.policy]]\nseverity = "P1"\n[[alerts.policy]]\nkind = "over_budget"\nseverity = "P2"',
        "rule 2 of the policy can never fit: rule 1 fits first",
    ),
    (
        '[[alerts.policy]]\nkind = "machine_fault"\ntask = "x"\nseverity = "P1"',
        "rule 1 of the policy can never fit: a machine_fault has no repository and no task",
    ),
    ('[alerts.slack]\nbase_url = "http://slack.example/api/"', "alerts.slack.base_url: must be https://"),
    ('[alerts.pagerduty]\nbase_url = "ftp://x"', "alerts.pagerduty.base_url: must be an https:// URL"),
    ('[alerts.slack]\nbase_url = "https://anna:secret@slack.example"', "without a user"),
    ('[alerts.slack]\ntokn = "xoxb-1"', "alerts.slack.tokn: there is no such setting"),
]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "learnd/config.toml"
    file.parent.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SLACK_BOT_TOKEN", "PAGERDUTY_ROUTING_KEY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return file


@pytest.mark.parametrize(("text", "said"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_meant_is_refused_with_a_sentence(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(SettingsInvalid) as refused:
        read_settings()
    assert said in str(refused.value)
    assert "secret" not in str(refused.value).replace("the secret", "")


def test_secrets_come_from_the_file_the_established_names_or_credentials_and_are_never_shown(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('[alerts.slack]\ntoken = "xoxb-from-file"\nchannel = "#ops"\n')
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/PAGERDUTY_ROUTING_KEY").write_text("from-credentials\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    alerts = read_settings().alerts
    assert alerts.slack.token is not None
    assert alerts.pagerduty.routing_key is not None
    assert alerts.slack.token.get_secret_value() == "xoxb-from-file"
    assert alerts.pagerduty.routing_key.get_secret_value() == "from-credentials"
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-from-name")
    settings = read_settings()
    assert settings.alerts.slack.token is not None
    assert settings.alerts.slack.token.get_secret_value() == "xoxb-from-name"
    assert settings.alerts.slack.channel == "#ops", "what the file says beside it stands"
    assert "xoxb" not in f"{settings!r}{settings.model_dump_json()}"
    assert "from-credentials" not in f"{settings!r}{settings.model_dump_json()}"


def test_a_variable_that_is_set_to_nothing_is_not_set(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "")
    monkeypatch.setenv("LEARND_ALERTS__PAGERDUTY__ROUTING_KEY", " ")
    assert not config.exists()
    assert read_settings().alerts == AlertSettings() == Settings().alerts
