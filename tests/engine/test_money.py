"""A proven change and a model behind a real endpoint on loopback: events, ledger and status for each answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.repos import fix, make_repo, put_manifest
from werkzeug import Response

from events.catalog import ModelCallSettled
from learnd.engine import Engine
from learnd.repositories import register
from learnd.requests import ApproveJob
from learnd.settings import Lab, Settings
from state import commands as c
from state.job import Job

pytestmark = pytest.mark.sandbox

GOOD = {
    "title": "Answer zero for the mean of nothing",
    "problem": "`mean` divides by the number of values, which is zero when there are none.",
    "solution": "Return early in `calc.py` when there are no values: `if not values`.",
    "rationale": "The replays failed without the change and passed with it.",
    "applies_when": ["A mean is taken of values that may be none."],
    "does_not_apply_when": [],
    "cited_files": ["calc.py"],
    "tags": ["python"],
}
USAGE = {"prompt_tokens": 2_000, "completion_tokens": 400, "total_tokens": 2_400}
SETTLED = 0.009


def completion(content: str, usage: object = USAGE) -> dict[str, Any]:
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o", "usage": usage,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
    }  # fmt: skip


def answer(server: HTTPServer, body: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
    response = Response(json.dumps(body), status=status, headers=headers, content_type="application/json")
    server.expect_request("/v1/chat/completions", method="POST").respond_with_response(response)


@contextmanager
def opened(tmp_path: Path, server: HTTPServer, **changes: Any) -> Iterator[Engine]:
    settings = Settings.model_validate(
        {
            "state_dir": tmp_path / "state", "lab": Lab(cheap_seconds=0), "openai_api_key": "sk-test",
            "openai_base_url": server.url_for("/v1"), "model_timeout_seconds": 10, **changes,
        }
    )  # fmt: skip
    with Engine.opened(settings) as engine:
        yield engine


def work(engine: Engine) -> Job:
    """Work until nothing is left to do now; sleepers are woken once, as if their time had come."""
    for _ in range(6):
        while (job_id := engine.scheduler.take(0)) is not None:
            engine.work(job_id)
        row = engine.views().jobs()[-1]
        if engine.scheduler.next_wake() is None:
            break
        # A pause is for politeness; here nobody is hurt by none.
        job = engine.door.job(row.id)
        if job.retry_at is None or engine.door.host().faults:
            break
        while engine.scheduler.take(0.2) is None and engine.scheduler.next_wake() is not None:
            pass
        engine.work(row.id)
    return engine.door.job(engine.views().jobs()[-1].id)


def take_in(engine: Engine, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    tree = register(engine.door, engine.views(), repo, "anna")
    fix(repo)
    put_manifest(repo)
    list(engine.sweep(tree))


def types(engine: Engine, job: Job) -> list[str]:
    return [record.type for record in engine.log.read(job.stream)]


def test_a_good_reply_is_learned_and_paid_for(tmp_path: Path, httpserver: HTTPServer) -> None:
    answer(httpserver, completion(json.dumps(GOOD)))
    with opened(tmp_path, httpserver) as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        assert job.status == "learned"
        assert types(engine, job)[-4:] == ["CrystalizationStarted", "ModelCallSettled", "PatternDrafted", "JobLearned"]
        assert job.spent_usd == pytest.approx(SETTLED)
        (pattern,) = engine.views().patterns()
        assert (pattern.status, pattern.title) == ("candidate", GOOD["title"])


def test_a_reply_that_claims_what_no_replay_exercised_is_quarantined_outside_of_the_repository(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    lie = {**GOOD, "solution": "Also rewrite `billing/invoice.py`, whose `charge_twice` has the same fault."}
    answer(httpserver, completion(json.dumps(lie)))
    with opened(tmp_path, httpserver) as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        assert (job.status, job.cause) == ("learned", "quarantined")
        (pattern,) = engine.views().patterns()
        assert (pattern.status, pattern.gate) == ("quarantined", "grounding")
        assert list((tmp_path / "repo/.agent").rglob("*-*.md")) == []


def test_invalid_replies_are_paid_for_each_and_end_as_crystalization_failed(
    tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnd.steps.crystalize.PAUSE_S", 0.0)
    answer(httpserver, completion("this is no JSON"))
    with opened(tmp_path, httpserver) as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        assert (job.status, job.cause) == ("crystalization_failed", "draft_invalid")
        assert types(engine, job).count("ModelCallSettled") == len(httpserver.log) == 3
        assert job.spent_usd == pytest.approx(3 * SETTLED)


def test_a_budget_that_cannot_pay_for_the_worst_case_sends_nothing_until_more_is_granted(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    answer(httpserver, completion(json.dumps(GOOD)))
    with opened(tmp_path, httpserver, budget_usd=0.01) as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        assert (job.status, httpserver.log) == ("over_budget", [])
        request = ApproveJob(job=job.id[:8], grant_usd=0.5, reason="worth it")
        assert engine.desk.answer(request.model_dump_json(), os.getuid()).ok
        assert work(engine).status == "learned"


def test_a_rate_limit_makes_the_job_wait_without_costing_it_an_attempt(tmp_path: Path, httpserver: HTTPServer) -> None:
    answer(httpserver, {"error": {"message": "slow down"}}, 429, {"Retry-After": "7"})
    with opened(tmp_path, httpserver) as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        assert (job.status, job.attempts, job.spent_usd) == ("validated", 0, 0.0)
        assert [fault.kind for fault in engine.views().faults()] == ["rate_limit"]
        assert engine.waiting_for_faults() == [job.id]
        assert len(httpserver.log) == 1, "the SDK's own retries are off"


def test_a_server_error_is_charged_as_a_whole_and_waits(tmp_path: Path, httpserver: HTTPServer) -> None:
    answer(httpserver, {"error": {"message": "oops"}}, 500)
    with opened(tmp_path, httpserver) as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        settled = [r.data for r in engine.log.read(job.stream) if isinstance(r.data, ModelCallSettled)]
        assert [event.assumed for event in settled] == [True]
        assert (job.status, job.attempts) == ("validated", 0)
        assert job.spent_usd == settled[0].cost_usd > 0
        assert len(httpserver.log) == 1


def test_an_unknown_price_refuses_the_call(tmp_path: Path, httpserver: HTTPServer) -> None:
    with opened(tmp_path, httpserver, model="house-model-7") as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        assert (job.status, httpserver.log) == ("validated", [])
        (fault,) = engine.views().faults()
        assert "price" in fault.detail


def test_a_call_that_a_crash_cut_off_counts_as_spent(tmp_path: Path, httpserver: HTTPServer) -> None:
    answer(httpserver, {"error": {"message": "slow down"}}, 429)
    with opened(tmp_path, httpserver) as engine:
        take_in(engine, tmp_path)
        job = work(engine)
        start = c.StartCrystalization(job.id, "another-boot", "openai", "gpt-4o", 0.2, 3, "p", "c3" * 32)
        engine.door.handle(start, "test")
    with opened(tmp_path, httpserver) as engine:
        engine.runner.recover()
        after = engine.door.job(job.id)
        assert (after.status, after.reserved_usd) == ("validated", 0.0)
        assert after.spent_usd == pytest.approx(0.2)


def test_secrets_of_a_run_reach_neither_the_model_nor_the_log(tmp_path: Path, httpserver: HTTPServer) -> None:
    secret = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    answer(httpserver, completion(json.dumps({**GOOD, "rationale": f"The token {secret} was in the prompt."})))
    with opened(tmp_path, httpserver) as engine:
        repo = make_repo(tmp_path / "repo")
        tree = register(engine.door, engine.views(), repo, "anna")
        fix(repo)
        path = put_manifest(repo)
        (path.parent / "prompt.md").write_text(f"Fix the mean. My token is {secret}, do not lose it.\n")
        list(engine.sweep(tree))
        work(engine)
        assert len(httpserver.log) == 1
        assert secret not in httpserver.log[0][0].get_data(as_text=True)
        assert all(secret not in json.dumps(record.envelope()) for record in engine.log.read_all())
