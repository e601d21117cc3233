"""A budget too small, an author without a usable word, and a model that cannot be reached: the real SDK on loopback."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from daemon.daemon_process import until
from failures_place import House
from pytest_httpserver import HTTPServer
from werkzeug import Response

from events.catalog import BudgetExhausted, CrystalizationFailed, JobRequeued, ModelCallSettled

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


def completion(message: dict[str, object], reason: str = "stop") -> dict[str, object]:
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "usage": {"prompt_tokens": 2_000, "completion_tokens": 400, "total_tokens": 2_400},
        "choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", **message}}],
    }  # fmt: skip


def says(server: HTTPServer, message: dict[str, object], status: int = 200) -> None:
    server.clear()
    server.expect_request("/v1/models").respond_with_json({"object": "list", "data": []})
    response = Response(json.dumps(completion(message)), status=status, content_type="application/json")
    server.expect_request("/v1/chat/completions", method="POST").respond_with_response(response)


def model(server: HTTPServer, **more: str) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": server.url_for("/v1"), **more}


def test_a_budget_too_small_blocks_without_a_call_and_the_printed_grant_is_enough(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    says(httpserver, {"content": json.dumps(GOOD)})
    house = House(tmp_path, **model(httpserver, LEARND_BUDGET_USD="0.01"))
    with house.at_work():
        job = house.fixed("poor")
        row = house.reaches(job, "over_budget")
        needed = house.last(job, BudgetExhausted)
        assert (row.cause, row.spent_usd, httpserver.log) == ("budget", 0, [])
        plain = house.learnd("approve", job[:8])
        assert plain.code == 1
        assert plain.err.strip().endswith(f"Next: {house.next(job)}"), "with the very amount"
        assert house.learnd("approve", job[:8], "--grant-usd", "0.0001").code == 0  # not enough: it comes back
        until(lambda: house.types(job).count("BudgetExhausted") == 2, "the second time")
        house.reaches(job, "over_budget")
        assert house.block(job)["approvals"][-1]["state"] == "requeue"  # type: ignore[index]
        done = house.does_next(job)
        assert "is validated now" in done.out
        granted = house.last(job, JobRequeued).grant_usd
        assert needed.needed_usd - needed.available_usd - 0.0001 <= granted < needed.needed_usd + 0.01
        assert house.reaches(job, "learned", "over_budget").status == "learned"
        assert house.job(job).spent_usd <= 0.01 + 0.0001 + granted


def test_an_author_that_refuses_or_talks_garbage_blocks_the_job_and_is_asked_again_when_a_person_says_so(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    says(httpserver, {"content": None, "refusal": "I will not."})
    house = House(tmp_path, **model(httpserver, LEARND_CRYSTALIZE_ATTEMPTS="1", LEARND_BUDGET_USD="2"))
    with house.at_work():
        job = house.fixed("refused")
        row = house.reaches(job, "crystalization_failed")
        first = house.last(job, CrystalizationFailed)
        assert "refus" in f"{first.cause} {first.detail}".lower()
        assert row.spent_usd > 0
        says(httpserver, {"content": "{this is no JSON"})
        house.does_next(job)
        until(lambda: house.types(job).count("CrystalizationFailed") == 2, "the second time")
        assert house.last(job, CrystalizationFailed).cause == "draft_invalid"
        house.reaches(job, "crystalization_failed")
        assert "--grant-usd" not in house.next(job)
        says(httpserver, {"content": json.dumps(GOOD)})
        house.does_next(job)
        house.reaches(job, "learned")
        assert house.types(job).count("ModelCallSettled") == 3, "every reply was paid for"
        assert house.last(job, ModelCallSettled).cost_usd > 0


def test_a_model_out_of_reach_and_one_that_limits_its_rate_are_waited_for_and_work_goes_on_by_itself(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    """Two daemons at once, for their pauses are the same."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    says(httpserver, {"content": "slow down"}, 429)
    silent = House(tmp_path / "silent", OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=f"http://127.0.0.1:{port}/v1")
    limited = House(tmp_path / "limited", **model(httpserver))
    silent.root.mkdir()
    limited.root.mkdir()
    with silent.at_work(), limited.at_work():
        jobs = {house: house.fixed(kind) for house, kind in ((silent, "model"), (limited, "rate_limit"))}
        for house, kind in ((silent, "model"), (limited, "rate_limit")):
            assert [fault.kind for fault in until(house.faults, "a fault of the machine")] == [kind]
            house.reaches(jobs[house], "validated")
        # The other one is asked again every few seconds, and its fault comes and goes with that.
        assert silent.next(jobs[silent]) == "learnd doctor"
        assert "the machine is at fault since" in silent.learnd("why", jobs[silent][:8]).out
        urgent = silent.learnd("approve", jobs[silent][:8], "--now")
        assert "goes first; it waits for the machine: model" in urgent.out
        says(httpserver, {"content": json.dumps(GOOD)})
        server = HTTPServer("127.0.0.1", port)
        says(server, {"content": json.dumps(GOOD)})
        server.start()
        try:
            for house, job in jobs.items():
                house.reaches(job, "learned")
                assert house.faults() == []
                blamed = {"JobRequeued", "CrystalizationFailed", "BudgetExhausted"}
                assert not blamed & set(house.types(job)), "no person, and no attempt"
        finally:
            server.stop()
