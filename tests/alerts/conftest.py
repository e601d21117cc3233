"""Slack and PagerDuty that listen here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alert_servers import PagerDutyServer, SlackServer


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    server = SlackServer()
    yield server
    server.stop()


@pytest.fixture
def pagerduty() -> Iterator[PagerDutyServer]:
    server = PagerDutyServer()
    yield server
    server.stop()
