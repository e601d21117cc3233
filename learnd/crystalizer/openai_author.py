"""The author `openai`: one priced, bounded call of a model, one draft or one named failure.

`estimate` makes the exact request and says what it can cost at most; the caller records that reservation and
only then hands it to `call`, which sends that request once. A reply that is no draft can be sent back once with what
is wrong with it: `estimate` takes the failure, and prices the longer conversation anew.

Invariants:

- No request leaves without a price, and none asks for more than its reservation covers.
- Nothing unredacted leaves the machine, and nothing unredacted of a reply leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from events.values import Citations, Usage
from learnd.crystalizer.answer import Answer, read_answer, read_json
from learnd.crystalizer.briefing import NothingToBrief, brief
from learnd.crystalizer.budget import Price, UnknownPrice, context_window, input_bound, price_of
from learnd.crystalizer.dialect import Dialect, dialect_of, remember
from learnd.crystalizer.draft import Draft, DraftRequest, Reply, ReplyInvalid, bullets, read_reply, safe
from learnd.crystalizer.endpoint import said, send
from learnd.crystalizer.failures import CallFailed, DraftInvalid, ParameterRefused
from learnd.crystalizer.pack import Pack, PackInvalid, find_pack
from learnd.library.sections import HEADINGS

if TYPE_CHECKING:
    from learnd.settings import Settings

INPUT_MAX: Final = 40_000
"""Bound of input tokens of a call: with gpt-4o's prices a call reserves $0.13, three fit into $0.50."""
OUTPUT_MAX: Final = 3_000
_REPLY_BACK: Final = 12_000
"""Characters of an invalid reply that are sent back."""
_REPAIR: Final = (
    "That reply cannot be used: {why}. Reply again with the JSON object that the schema describes, whole, and nothing "
    "else. It must stay well under the output limit."
)


@dataclass(frozen=True)
class Reservation:
    """The request as it will be sent, and the most it can cost, in US dollars."""

    usd: float
    model: str
    at_most: Usage
    price: Price
    dialect: Dialect
    body: dict[str, Any]
    redactions: int


def estimate(request: DraftRequest, pack: Pack, settings: Settings, failed: CallFailed | None = None) -> Reservation:
    """Make the request and price its worst case; after `failed`, the request to mend that reply. Nothing is sent.

    Raises UnknownPrice (of `budget`), NothingToBrief (of `briefing`), DiffUnreadable (of `change`).
    """
    url, model = settings.openai_base_url, settings.model
    dialect = dialect_of(settings.model_api, model, url)
    window = context_window(model, url)
    output = min(OUTPUT_MAX, window // 4)
    bound = min(INPUT_MAX, window - output)
    again, hidden = _sent_back(failed)
    frame = dialect.body(model, [{"role": "system", "content": ""}, *again], pack.schema, output)
    briefing = brief(request, pack, bound - input_bound(frame) - 16 * (2 * len(pack.examples) + 2))
    body = dialect.body(model, [*briefing.messages, *again], pack.schema, output)
    tokens = Usage(input_tokens=input_bound(body), output_tokens=output)
    if tokens.input_tokens + output > window:
        raise NothingToBrief(f"the request needs {tokens.input_tokens + output} tokens, {model} has {window}")
    price = price_of(model, url, settings.price_given(model), tokens)
    return Reservation(price.cost(tokens), model, tokens, price, dialect, body, briefing.redactions + hidden)


def call(reservation: Reservation, pack: Pack, settings: Settings) -> Draft:
    """Send the reserved request, once. Raises a CallFailed (of `failures`) that says what it cost."""
    dialect = reservation.dialect
    try:
        content = send(reservation.body, dialect, settings)
    except ParameterRefused as error:
        remember(dialect, error.parameter, reservation.model, settings.openai_base_url)
        raise
    answer = read_answer(content, dialect.api, reservation.price, reservation.at_most)
    try:
        reply = read_reply(read_json(answer))
    except ReplyInvalid as error:
        detail = f"the reply does not fit the schema: {said(str(error))}"
        raise DraftInvalid(detail, cost_usd=answer.cost_usd, usage=answer.usage, reply=answer.text) from error
    return _draft(reply, answer, reservation, pack)


def unusable(settings: Settings) -> str | None:
    """What in the settings keeps every call from being made, whatever the change; None when nothing does."""
    url, model = settings.openai_base_url, settings.model
    try:
        find_pack(settings.prompt_pack)
        price_of(model, url, settings.price_given(model), Usage(input_tokens=INPUT_MAX, output_tokens=OUTPUT_MAX))
    except (PackInvalid, UnknownPrice) as error:
        return str(error)
    return None


def _sent_back(failed: CallFailed | None) -> tuple[list[dict[str, str]], int]:
    """An invalid reply and what is wrong with it, as the end of the conversation; and the lines redacted in it."""
    if failed is None:
        return [], 0
    reply, hidden = safe(failed.reply[:_REPLY_BACK])
    return [
        {"role": "assistant", "content": reply or "(nothing that could be read)"},
        {"role": "user", "content": _REPAIR.format(why=failed)},
    ], hidden


def _draft(reply: Reply, answer: Answer, reservation: Reservation, pack: Pack) -> Draft:
    """The reply without the secrets that it may have repeated."""
    texts = {
        "title": reply.title,
        "problem": reply.problem,
        "solution": reply.solution,
        "rationale": reply.rationale,
        "applies_when": bullets(reply.applies_when),
        "does_not_apply_when": bullets(reply.does_not_apply_when),
        "rule": reply.rule or "",
        **{name: "\n".join(getattr(reply, f"cited_{name}")) for name in Citations.model_fields},
    }
    made = {name: safe(text) for name, text in texts.items()}
    return Draft(
        **{name: made[name][0] for name in ("title", *HEADINGS)},
        cited=Citations(**{name: tuple(made[name][0].splitlines()) for name in Citations.model_fields}),
        tags=reply.tags,
        rule=None if made["rule"][1] else made["rule"][0] or None,  # redacted, it is a rule no more
        author="openai",
        model=reservation.model,
        prompt_pack=pack.name,
        prompt_pack_stamp=pack.stamp,
        redactions=reservation.redactions + sum(count for _, count in made.values()),
        cost_usd=reservation.usd if answer.cost_usd is None else answer.cost_usd,
        cost_assumed=answer.cost_usd is None,
        usage=answer.usage,
    )
