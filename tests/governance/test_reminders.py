"""Candidates that wait: reminded of once a period through the alerts, then expired, and no tombstone is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from governed import Governed, governed

from learnd import door
from learnd.clock import iso, now, parse
from learnd.keeping import reviews
from learnd.keeping.reviews import remind_and_expire
from learnd.requests import PromotePattern, RestorePattern
from learnd.settings import Patterns
from learnd.steps.known import already_known

Later = Callable[[float], None]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Governed]:
    with governed(tmp_path, patterns=Patterns(remind_days=7, expire_days=20)) as found:
        yield found


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch, house: Governed) -> Later:
    """The log's and the reminders' clock moved on by so many days, and the round that then comes."""

    def go(days: float) -> None:
        moment = iso(parse(now()) + timedelta(days=days, minutes=1))
        monkeypatch.setattr(reviews, "now", lambda: moment)
        monkeypatch.setattr(door, "now", lambda: moment)
        house.engine.remind()

    return go


def reminders(house: Governed, own: str) -> list[int]:
    found = [record.data for record in house.engine.log.read(f"pattern-{own}") if record.type == "ReviewReminded"]
    return [int(getattr(event, "days", 0)) for event in found]


def open_alerts(house: Governed) -> list[str]:
    return [alert.message for alert, _ in house.engine.views().alerts.unsettled() if alert.over_at is None]


def test_nobody_is_reminded_before_the_time(house: Governed, after: Later) -> None:
    own = house.draft("a", "Use one query.")
    after(6.9)
    assert (reminders(house, own), open_alerts(house)) == ([], [])


def test_approvers_are_reminded_once_a_period_with_one_alert_for_all(house: Governed, after: Later) -> None:
    ids = [house.draft(seed, f"Use {seed} query.") for seed in ("one", "two")]
    for days in (7, 7.5, 8, 14, 14.2, 15):
        after(days)
    assert [reminders(house, own) for own in ids] == [[7, 14], [7, 14]]
    (message,) = open_alerts(house)
    assert message.splitlines()[0] == "2 patterns wait for a review, the longest for 14 days"
    assert message.splitlines()[1].startswith(f"{ids[0][:8]} Pattern one, in ")
    assert message.endswith("Next: learnd review")


def test_the_alert_is_over_when_the_last_one_was_decided(house: Governed, after: Later) -> None:
    ids = [house.draft(seed, f"Use {seed} query.") for seed in ("one", "two")]
    after(8)
    assert house.ask(PromotePattern(pattern=ids[0])).ok
    assert len(open_alerts(house)) == 1
    assert house.ask(PromotePattern(pattern=ids[1])).ok
    assert open_alerts(house) == []
    assert house.engine.door.host().alerts[-1].over


def test_an_unreviewed_candidate_expires_without_a_tombstone_and_can_be_restored(house: Governed, after: Later) -> None:
    own = house.draft("a", "Use one query.")
    after(20)
    pattern = house.pattern(own)
    assert (pattern.status, house.file(own), open_alerts(house)) == ("expired", None, [])
    job = house.engine.door.job(pattern.job_id)
    assert already_known(job, house.engine.place, pattern.text, pattern.change, None) is None, "it is learned again"
    assert house.ask(RestorePattern(pattern=own)).ok
    assert house.file(own) is not None
    after(21)
    assert house.pattern(own).status == "candidate", "its time begins anew"


def test_one_that_a_first_approver_consented_to_does_not_expire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Patterns(approvals=2, remind_days=7, expire_days=20)
    with governed(tmp_path, patterns=rules, approvers=("anna", "berta")) as house:
        own = house.draft("a", "Use one query.")
        assert house.ask(PromotePattern(pattern=own), "anna").ok
        monkeypatch.setattr(reviews, "now", lambda: iso(parse(now()) + timedelta(days=30)))
        house.engine.remind()
        assert house.pattern(own).status == "candidate"
        assert reminders(house, own) == [30]


def test_by_default_nobody_is_reminded_and_nothing_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with governed(tmp_path) as house:
        own = house.draft("a", "Use one query.")
        monkeypatch.setattr(reviews, "now", lambda: iso(parse(now()) + timedelta(days=3650)))
        remind_and_expire(house.engine.place)
        assert house.types(own) == ["PatternStaged", "PatternProposed"]
