"""Slack through slack_sdk: one message an alert, changed in place when it is over.

Slack has no key by which it would know a repetition. So every message carries the alert's id as metadata, and when an
earlier attempt may have got through (no answer came, or the daemon died before the answer was recorded) the channel's
history is searched for that id before anything is sent. That needs the scopes `channels:read` and `channels:history`
(`groups:…` for a private channel) and a bot that is in the channel; without them it is sent again. At least once, then,
and with those scopes twice only if Slack shows a message later than we look.

The SDK repeats a request once after a connection error by default, which would be a second message: it gets no retry
handlers here, so an attempt is one request, with `TIMEOUT_S`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from learnd.alerts.channel import TIMEOUT_S, Failed, Notice, Told, host_name, refused, unreachable
from learnd.alerts.config import SlackSettings
from learnd.alerts.message import NEXT, headline, moment
from learnd.alerts.policy import ChannelName
from learnd.clock import parse

if TYPE_CHECKING:
    from slack_sdk import WebClient

EVENT_TYPE = "learnd_alert"
SKEW_S = 600.0
"""Slack's clock and ours may differ by so much."""
PAGES, PAGE = 10, 200
LONGEST = 2900
"""Characters of a block's text, of which Slack takes 3000."""
NOT_THIS_MESSAGE = ("msg_too_long", "invalid_blocks", "invalid_blocks_format", "metadata_too_large", "no_text")
FIXED = ("cant_update_message", "edit_window_closed")
"""The workspace does not let messages be changed (any more): a reply below it says the same."""
NOT_NOW = (
    "ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "accesslimited",
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
)  # fmt: skip
"""Refusals that would hit a message as they hit a look at the history: they say nothing of what it holds."""
ODD = (ValueError, LookupError, AttributeError, TypeError)
"""What the SDK raises on an answer that is not of Slack's form."""

_SILENT = logging.Logger("learnd.alerts.slack", logging.CRITICAL + 1)
"""The SDK logs what we record as an event, and bodies with it."""


class Slack:
    """The operator's channel."""

    name: ChannelName = "slack"

    def __init__(self, settings: SlackSettings) -> None:
        self.target = settings.channel
        self._settings = settings
        self._id: str | None = None if settings.channel.startswith("#") else settings.channel
        self._cannot_look = False

    def tell(self, notice: Notice, *, in_doubt: bool) -> Told | Failed:
        def work(client: WebClient) -> Told:
            found = self._find(client, notice) if in_doubt else None
            return Told(found) if found else self._post(client, notice.id, notice.message, _open(notice))

        return self._attempt(work)

    def end(self, notice: Notice) -> Told | Failed:
        def work(client: WebClient) -> Told:
            receipt = notice.receipt or self._find(client, notice)
            if not receipt:
                return Told()  # it never came, or cannot be found: there is nothing to change
            channel, _, stamp = receipt.partition("/")
            return self._change(client, notice, channel, stamp)

        return self._attempt(work)

    def test(self) -> Told | Failed:
        text = f"learnd on {host_name()}: this is a test, nothing is wrong"
        return self._attempt(lambda client: self._post(client, "test", text, [_plain(text)]))

    # --- requests ---

    def _attempt(self, work: Callable[[WebClient], Told]) -> Told | Failed:
        from slack_sdk import WebClient  # noqa: PLC0415 - imported when something is to be said
        from slack_sdk.errors import SlackApiError, SlackClientError  # noqa: PLC0415

        assert self._settings.token is not None  # noqa: S101 - `configured` makes no channel without
        client = WebClient(
            token=self._settings.token.get_secret_value(),
            base_url=self._settings.base_url,
            timeout=int(TIMEOUT_S),
            retry_handlers=[],
            logger=_SILENT,
        )
        try:
            return work(client)
        except SlackApiError as error:
            return _refusal(error)
        except SlackClientError as error:
            return Failed(f"not sent ({type(error).__name__})")
        except URLError as error:
            return unreachable(error.reason if isinstance(error.reason, OSError) else error)
        except (OSError, HTTPException) as error:
            return unreachable(error)
        except ODD as error:
            return Failed(f"the answer is not Slack's ({type(error).__name__})", unknown=True)

    def _post(self, client: WebClient, key: str, text: str, blocks: list[dict[str, Any]], thread: str = "") -> Told:
        response = client.chat_postMessage(
            channel=self.target,
            text=escaped(text),
            blocks=blocks,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"alert_id": key}},
            thread_ts=thread or None,
            parse="none",
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
        )
        channel, stamp = response.get("channel"), response.get("ts")
        return Told(f"{channel}/{stamp}" if channel and stamp else "")

    def _change(self, client: WebClient, notice: Notice, channel: str, stamp: str) -> Told:
        """Say in the message that it is over; the same change made twice is one."""
        from slack_sdk.errors import SlackApiError  # noqa: PLC0415

        text = f"Over since {moment(notice.over_at or notice.raised_at)}: {headline(notice.message)}"
        try:
            client.chat_update(
                channel=channel, ts=stamp, text=escaped(text), blocks=[_plain(text), _context(notice)], parse="none",
                link_names=False, metadata={"event_type": EVENT_TYPE, "event_payload": {"alert_id": notice.id}},
            )  # fmt: skip
        except SlackApiError as error:
            if code(error) in FIXED:
                return self._post(client, f"{notice.id} over", text, [_plain(text)], stamp)
            if code(error) != "message_not_found":  # somebody deleted it: nothing stands there any more
                raise
        return Told(f"{channel}/{stamp}")

    # --- looking before sending again ---

    def _find(self, client: WebClient, notice: Notice) -> str | None:
        """The receipt of the alert's message, None where there is none or nobody may look."""
        from slack_sdk.errors import SlackApiError  # noqa: PLC0415

        if self._cannot_look:
            return None
        try:
            return self._search(client, notice)
        except SlackApiError as error:
            if error.response.status_code != 200 or code(error) in NOT_NOW:
                raise
            self._cannot_look = True  # a scope is missing, or the bot is not in the channel
            return None

    def _search(self, client: WebClient, notice: Notice) -> str | None:
        channel = self._channel_id(client)
        oldest = f"{parse(notice.raised_at).timestamp() - SKEW_S:.6f}"
        cursor: str | None = None
        for _ in range(PAGES if channel else 0):
            page = client.conversations_history(
                channel=str(channel), oldest=oldest, limit=PAGE, cursor=cursor, include_all_metadata=True
            )
            for message in page.get("messages") or []:
                metadata = message.get("metadata") or {}
                if (metadata.get("event_payload") or {}).get("alert_id") == notice.id:
                    return f"{channel}/{message['ts']}"
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return None

    def _channel_id(self, client: WebClient) -> str | None:
        """The id behind the channel's name, which a history can be asked for.

        Public channels first: asking for both at once is refused to a bot that may not see private ones.
        """
        for kind in ("public_channel", "private_channel"):
            cursor: str | None = None
            for _ in range(0 if self._id else PAGES):
                page = client.conversations_list(types=kind, exclude_archived=True, limit=PAGE, cursor=cursor)
                for known in page.get("channels") or []:
                    if f"#{known.get('name')}" == self.target:
                        self._id = str(known["id"])
                cursor = (page.get("response_metadata") or {}).get("next_cursor")
                if self._id or not cursor:
                    break
        return self._id


def code(error: Exception) -> str:
    """Slack's own word for a refusal; nothing else of the answer is ever shown."""
    word = getattr(error, "response", {}).get("error") or ""
    return word if isinstance(word, str) and word.replace("_", "").isalnum() and len(word) < 60 else "unknown error"


def _refusal(error: Any) -> Failed:
    response = error.response
    if response.status_code != 200:
        return refused(response.status_code, response.headers)
    word = code(error)
    if word == "unknown error":
        return Failed("the answer is not Slack's", unknown=True)
    return Failed(f"Slack said {word}", whole=word not in NOT_THIS_MESSAGE)


# --- what a message looks like ---


def escaped(text: str) -> str:
    """`text` without Slack's control characters: no mention, no link (docs.slack.dev, "Escaping text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _open(notice: Notice) -> list[dict[str, Any]]:
    what, _, command = notice.message.rpartition(f"\n{NEXT}")
    return [_plain(what), _command(command), _context(notice)]


def _plain(text: str) -> dict[str, Any]:
    """A block in which nothing is parsed, not even an emoji."""
    return {"type": "section", "text": {"type": "plain_text", "text": text[:LONGEST], "emoji": False}}


def _command(command: str) -> dict[str, Any]:
    """The command in type that can be copied; `verbatim` makes no links and mentions of what looks like one."""
    text = f"{NEXT}`{escaped(command).replace('`', chr(39))[:LONGEST]}`"
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _context(notice: Notice) -> dict[str, Any]:
    text = f"{notice.severity}, on {host_name()}, alert {notice.id}"
    return {"type": "context", "elements": [{"type": "plain_text", "text": text, "emoji": False}]}
