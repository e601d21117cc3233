"""Asking whether the model's endpoint is there: free, and truthful about why it is not."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from learnd.crystalizer.endpoint import reachable
from learnd.settings import Settings


def settings(url: str, key: str | None = "sk-test") -> Settings:
    return Settings.model_validate({"openai_api_key": key, "openai_base_url": url, "model_timeout_seconds": 5})


@pytest.mark.parametrize(
    ("status", "there"), [(200, True), (404, True), (503, False), (500, False), (401, False), (429, False)]
)
def test_an_answer_is_read_for_what_it_says(httpserver: HTTPServer, status: int, there: bool) -> None:
    body = {"object": "list", "data": []} if status == 200 else {"error": {"message": "no"}}
    httpserver.expect_request("/v1/models", method="GET").respond_with_json(body, status=status)
    assert (reachable(settings(httpserver.url_for("/v1"))) is None) == there
    assert [request.path for request, _ in httpserver.log] == ["/v1/models"]


def test_nobody_there_is_said_so() -> None:
    assert reachable(settings("http://127.0.0.1:1/v1"))


def test_without_a_key_nothing_is_asked(httpserver: HTTPServer) -> None:
    assert "no key" in str(reachable(settings(httpserver.url_for("/v1"), None)))
    assert httpserver.log == []
