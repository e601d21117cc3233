"""A model reads candidates and recommends; it decides nothing, and what it costs is on every account."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from governed import Governed, governed
from money.model_server import Behaviour, Model, fails, model, page, says
from pydantic import SecretStr

from events import catalog as e
from learnd.clock import now
from learnd.crystalizer.pack import find_pack
from learnd.library.librarian import FORM
from learnd.requests import PromotePattern, RejectPattern
from learnd.settings import Patterns
from learnd.spending import month_of

Opened = Callable[..., AbstractContextManager[Governed]]
ADVICE = {
    "recommendation": "edit",
    "reasons": ["It is true of this table only.", "The rationale repeats the solution."],
}
COST = 0.009


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Model]:
    with model() as served:
        yield served


@pytest.fixture
def opened(endpoint: Model, tmp_path: Path) -> Opened:
    def build(**changes: object) -> AbstractContextManager[Governed]:
        given: dict[str, Any] = {
            "openai_api_key": SecretStr("sk-test"), "openai_base_url": endpoint.url, "model": "gpt-4o",
            "patterns": Patterns(librarian=True), **changes,
        }  # fmt: skip
        return governed(tmp_path, **given)

    return build


def advises(**changes: object) -> Behaviour:
    return says(json.dumps({**ADVICE, **changes}))


def reviews(house: Governed, own: str) -> list[e.PatternReviewed]:
    return [r.data for r in house.engine.log.read(f"pattern-{own}") if isinstance(r.data, e.PatternReviewed)]


def ledger_usd(house: Governed) -> float:
    return house.engine.door.ledger(month_of(now())).month_usd


def test_a_candidate_gets_a_recommendation_and_stays_a_candidate(endpoint: Model, opened: Opened) -> None:
    with opened() as house:
        own = house.draft("a", "Use one query.")
        endpoint.plays(advises())
        assert house.engine.librarian.read_all() == 1
        (told,) = reviews(house, own)
        assert (told.recommendation, told.reasons, told.cost_usd) == ("edit", tuple(ADVICE["reasons"]), COST)
        assert (house.pattern(own).status, ledger_usd(house)) == ("candidate", COST)
        assert house.types(own)[-2:] == ["PatternReviewStarted", "PatternReviewed"]
        assert house.engine.librarian.read_all() == 0, "once for one text"
        assert len(endpoint.requests) == 1
        spent = house.engine.views().rows("SELECT label, amount FROM measures WHERE kind = 'spent'")
        assert ("gpt-4o", COST) in spent
        sent = endpoint.requests[0]["messages"][-1]["content"]
        assert "Use one query." in sent
        assert "<<<RECORD " in sent
        assert "id: " not in sent, "no front matter"


def test_a_recommendation_to_promote_promotes_nothing(endpoint: Model, opened: Opened) -> None:
    with opened() as house:
        own = house.draft("a", "Use one query.")
        endpoint.plays(advises(recommendation="promote"))
        house.engine.librarian.read_all()
        assert house.pattern(own).status == "candidate"
        assert list((house.repo / ".agent/patterns").glob("active/pattern-*")) == []


def test_without_the_setting_or_a_key_nothing_is_asked(endpoint: Model, opened: Opened, tmp_path: Path) -> None:
    endpoint.plays(advises())
    with opened(patterns=Patterns()) as house:
        house.draft("a", "Use one query.")
        assert house.engine.librarian.read_all() == 0
    with opened(openai_api_key=None) as house:
        assert house.engine.librarian.read_all() == 0
    assert endpoint.requests == []


def test_what_its_job_has_no_money_for_is_not_asked(endpoint: Model, opened: Opened) -> None:
    endpoint.plays(advises())
    with opened(model_price={"gpt-4o": (500.0, 500.0)}) as house:
        own = house.draft("a", "Use one query.")
        assert house.engine.librarian.read_all() == 0
        assert (house.types(own)[-1], ledger_usd(house), endpoint.requests) == ("PatternProposed", 0, [])


def test_what_the_day_has_no_room_for_waits_and_nothing_else_does(endpoint: Model, opened: Opened) -> None:
    endpoint.plays(advises())
    with opened(budget_day_usd=0.001) as house:
        own = house.draft("a", "Use one query.")
        assert house.engine.librarian.read_all() == 0
        assert (house.engine.door.host().faults, house.types(own)[-1]) == ({}, "PatternProposed")
        house.engine.place.settings = replace_setting(house, budget_day_usd=5.0)
        assert house.engine.librarian.read_all() == 1


def replace_setting(house: Governed, **changes: object) -> Any:
    return house.engine.place.settings.model_copy(update=changes)


@pytest.mark.parametrize(
    ("behaviour", "failure", "cost", "assumed", "fault"),
    [
        (says("no JSON"), "draft_invalid", COST, False, None),
        (advises(recommendation="approve it now"), "draft_invalid", COST, False, None),
        (advises(reasons=[]), "draft_invalid", COST, False, None),
        (says(refusal="I will not"), "refused", COST, False, None),
        (page, "draft_invalid", None, True, None),
        (fails(429, headers={"retry-after": "60"}), "rate_limited", 0, False, "rate_limit"),
        (fails(401), "key_rejected", 0, False, "model"),
        (fails(500), "model_unavailable", None, True, "model"),
        (says(json.dumps(ADVICE), tokens=None), "", None, True, None),
    ],
)  # fmt: skip
def test_every_answer_is_settled_and_decides_nothing(
    endpoint: Model, opened: Opened, behaviour: Behaviour, failure: str, cost: float | None, assumed: bool,
    fault: str | None,
) -> None:  # fmt: skip
    with opened() as house:
        own = house.draft("a", "Use one query.")
        endpoint.plays(behaviour)
        house.engine.librarian.read_all()
        told = reviews(house, own)[0]
        started = next(r.data for r in house.engine.log.read(f"pattern-{own}") if r.type == "PatternReviewStarted")
        assert isinstance(started, e.PatternReviewStarted)
        assert told.failure.partition(":")[0] == failure
        assert (told.cost_usd, told.assumed) == (started.reserved_usd if cost is None else cost, assumed)
        assert (told.recommendation is None) == bool(failure)
        assert list(house.engine.door.host().faults) == ([fault] if fault else [])
        assert ledger_usd(house) == pytest.approx(sum(one.cost_usd for one in reviews(house, own)))
        assert house.pattern(own).status == "candidate"
        for _ in range(5):
            house.engine.librarian.read_all()
        assert len(endpoint.requests) <= 3, "tried again a few times at most"


def test_what_is_echoed_back_is_redacted_and_on_one_line(endpoint: Model, opened: Opened) -> None:
    with opened() as house:
        own = house.draft("a", "Use one query.")
        endpoint.plays(advises(reasons=["It holds a key: AKIA" + "ABCDEFGHIJKLMNOP and more", "two\nlines\x1b[2J"]))
        house.engine.librarian.read_all()
        (told,) = reviews(house, own)
        assert "AKIA" not in " ".join(told.reasons)
        assert told.reasons[1] == "two lines[2J"


def test_an_edited_secret_does_not_leave_the_machine(endpoint: Model, opened: Opened) -> None:
    with opened() as house:
        house.draft("a", "Use the key AKIA" + "ABCDEFGHIJKLMNOP for it.")
        endpoint.plays(advises())
        house.engine.librarian.read_all()
        assert "ABCDEFGHIJKLMNOP" not in json.dumps(endpoint.requests)


def test_a_review_that_a_crash_cut_off_counts_as_spent_on_every_account(endpoint: Model, opened: Opened) -> None:
    with opened() as house:
        own = house.draft("a", "Use one query.")
    endpoint.plays(lambda _, handler, __: handler.connection.close())
    child = os.fork()
    if child == 0:  # pragma: no cover - another process, killed between reserving and settling
        endpoint.plays(advises())
        with opened() as house:
            house.engine.librarian._ask = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
            house.engine.librarian.read_all()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    with opened() as house:
        pattern = house.pattern(own)
        assert pattern.review is not None
        reserved = pattern.review.reserved_usd
        assert reserved > 0
        house.engine.start()
        (told,) = reviews(house, own)
        assert (told.failure, told.cost_usd, told.assumed) == ("crash", reserved, True)
        assert ledger_usd(house) == reserved
        endpoint.plays(advises())
        assert house.engine.librarian.read_all() == 1
        assert house.pattern(own).reviews_usd == pytest.approx(reserved + COST)
        assert ledger_usd(house) == pytest.approx(reserved + COST)


def test_a_pattern_that_was_decided_meanwhile_still_pays(endpoint: Model, opened: Opened) -> None:
    with opened() as house:
        own = house.draft("a", "Use one query.")

        def decided_meanwhile(served: Model, handler: Any, api: str) -> None:
            assert house.ask(RejectPattern(pattern=own, reason="no need to wait")).ok
            advises()(served, handler, api)

        endpoint.plays(decided_meanwhile)
        house.engine.librarian.read_all()
        assert (house.pattern(own).status, ledger_usd(house)) == ("rejected", COST)


def test_a_contradicted_pattern_is_shown_to_the_model(endpoint: Model, opened: Opened) -> None:
    with opened() as house:
        one = house.draft("a", "Use one query for the page.")
        assert house.ask(PromotePattern(pattern=one)).ok
        other = house.draft("b", "Close every file that was opened.")
        house.contradict(one, other)
        endpoint.plays(advises())
        house.engine.librarian.read_all()
        sent = endpoint.requests[0]["messages"][-1]["content"]
        assert "Neighbour (it advises the opposite):" in sent
        assert "Use one query for the page." in sent


def test_the_shipped_pack_is_usable() -> None:
    pack = find_pack("librarian-v1", FORM)
    assert len(pack.examples) == 2
    assert len(pack.stamp) == 64
    assert replace(pack, name="other") != pack
