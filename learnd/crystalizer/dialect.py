"""How one endpoint wants the same request said: which API, and which of its parameters this model takes.

Both APIs of the SDK are spoken: chat completions, which every compatible server has, and responses. Models differ in
what they refuse: the newer ones `max_tokens`, older and local ones a schema for the reply. What was refused once is
said otherwise the next time, and remembered as long as the process lives.

Invariant: no request is made without an output limit, for a limit that was not sent is a budget that does not hold.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

Api = Literal["chat", "responses"]
Message = Mapping[str, str]

_MODERN = re.compile(r"(?:.*/)?(?:o\d|gpt-5)")
_LIMITS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NAMED: Final = {
    "response_format": "schema", "json_schema": "schema", "text.format": "schema", "structured output": "schema",
    "store": "store",
}  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """`limit` is the output limit's name; without `schema` the reply's schema is told in words."""

    api: Api
    limit: str
    schema: bool = True
    store: bool = True
    refused: frozenset[str] = frozenset()

    @classmethod
    def first(cls, api: Api, model: str, base_url: str | None) -> Dialect:
        """What to try before anything is known of the endpoint."""
        if api == "responses":
            return cls(api, "max_output_tokens")
        # OpenAI's newer models refuse `max_tokens`; elsewhere it is the one name that every server obeys.
        modern = base_url is None or _MODERN.match(model)
        return cls(api, "max_completion_tokens" if modern else "max_tokens")

    def refuses(self, parameter: str | None, message: str) -> str | None:
        """Which part of a request in this dialect an error is about, if it can be said otherwise."""
        said = f"{parameter or ''} {message}".lower()
        about = next((what for word, what in _NAMED.items() if word in said), None)
        if re.search(rf"\b{self.limit}\b", said) and self.limit in _LIMITS:
            about = self.limit
        known = (about == "schema" and self.schema) or (about == "store" and self.store and self.api == "responses")
        return about if known or (about in _LIMITS and _LIMITS[about] not in self.refused) else None

    def without(self, part: str) -> Dialect:
        """The same without the refused part."""
        if part in _LIMITS:
            return replace(self, limit=_LIMITS[part], refused=self.refused | {part})
        return replace(self, schema=False) if part == "schema" else replace(self, store=False)

    def body(
        self, model: str, messages: Sequence[Message], schema: Mapping[str, object], output: int
    ) -> dict[str, Any]:
        """The request, for at most `output` tokens of reply."""
        if not self.schema:
            messages = _told_in_words(messages, schema)
        form = {"name": "pattern_draft", "strict": True, "schema": schema}
        body: dict[str, Any] = {"model": model, self.limit: output}
        if self.api == "chat":
            body["messages"] = [dict(message) for message in messages]
            return body | ({"response_format": {"type": "json_schema", "json_schema": form}} if self.schema else {})
        body["input"] = [dict(message) for message in messages]
        if self.store:
            body["store"] = False  # else the provider keeps request and reply for a month
        return body | ({"text": {"format": {"type": "json_schema", **form}}} if self.schema else {})


def _told_in_words(messages: Sequence[Message], schema: Mapping[str, object]) -> list[Message]:
    told = f"The schema of the reply, which is that JSON object alone:\n{json.dumps(schema)}"
    first, *others = messages
    return [{**first, "content": f"{first['content']}\n\n{told}"}, *others]


_known: dict[tuple[str | None, str, Api], Dialect] = {}
_lock = threading.Lock()


def dialect_of(api: Api, model: str, base_url: str | None) -> Dialect:
    """How this endpoint wants it said, as far as is known."""
    with _lock:
        return _known.get((base_url, model, api)) or Dialect.first(api, model, base_url)


def remember(dialect: Dialect, part: str, model: str, base_url: str | None) -> None:
    """That this endpoint refused `part` of a request in `dialect`."""
    with _lock:
        _known[base_url, model, dialect.api] = dialect.without(part)
