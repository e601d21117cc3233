"""The server, spoken to by the SDK's own client: in a process of its own over its standard input and output, and, where
that makes no difference, within this one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from daemon.daemon_process import Daemon
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import CallToolResult, TextContent
from serving_place import ANNA, ServingPlace

from bench.patterns import texts
from events.catalog import PatternServed, UseReported
from learnd.locate import Place
from learnd.serving import notes
from learnd.serving.mcp_server import PAGE, SCHEME, PatternServer
from learnd.verbs.mcp import doors
from learnd.verbs.serving import note_use_at
from state import commands as c

QUESTION = {"question": "the orders page runs a query for each row"}
SECRET = "ghp_" + "a1B2" * 9


def server(place: ServingPlace, *more: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "learnd", "mcp", *more], cwd=place.repo, env=environ(place)
    )


def environ(place: ServingPlace) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LEARND_STATE_DIR": str(place.state), "HOME": str(place.state.parent)}


def talk(place: ServingPlace, speak: Callable[[Client], Awaitable[None]], **how: Any) -> None:
    async def main() -> None:
        with anyio.fail_after(90):
            async with Client(server(place), **how) as client:
                await speak(client)

    anyio.run(main)


def talk_within(place: ServingPlace, speak: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        with anyio.fail_after(90):
            async with Client(PatternServer(doors(place.state / "events.db", place.repo)).server) as client:
                await speak(client)

    anyio.run(main)


def text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def reports(place: ServingPlace) -> list[UseReported]:
    with place.log() as log:
        return [record.data for record in log.read_all() if isinstance(record.data, UseReported)]


def test_an_agent_searches_reads_and_reports(place: ServingPlace) -> None:
    async def speak(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"search_patterns", "get_pattern", "report_use"}
        found = await client.call_tool("search_patterns", QUESTION)
        assert not found.is_error
        (hit,) = found.structured_content["patterns"]
        assert hit["id"] == place.ids[0]
        assert "proven: fails 3 of 3" in text(found)
        assert "Solution" not in text(found)
        read = await client.call_tool("get_pattern", {"id": hit["id"][:8], "run": "task/now"})
        assert "## Solution" in text(read)
        assert read.structured_content["use"] == "noted"
        said = {"id": hit["id"][:8], "outcome": "wrong", "run": "task/now", "note": f"token {SECRET}"}
        told = await client.call_tool("report_use", said)
        assert "its status is as before" in text(told)
        again = await client.call_tool("report_use", said)
        assert again.is_error
        assert "said so" in text(again)

    talk(place, speak)
    (report,) = reports(place)
    assert (report.pattern_id, report.outcome, report.run) == (place.ids[0], "wrong", "task/now")
    assert SECRET not in report.note
    assert report.redactions == 1
    assert place.found(QUESTION["question"]) == [0]


def test_what_cannot_be_answered_is_an_error_with_a_next_step(place: ServingPlace) -> None:
    with place.file(1).open("a") as file:
        file.write("mine\n")

    async def speak(client: Client) -> None:
        wrong: list[tuple[str, dict[str, object], str]] = [
            ("get_pattern", {"id": "deadbeef"}, "there is no pattern"),
            ("get_pattern", {"id": place.ids[1]}, "was edited"),
            ("get_pattern", {}, "id: Field required"),
            ("get_pattern", {"id": "../../../../etc/passwd"}, "is no pattern id"),
            ("search_patterns", {"question": "x", "limit": 10_000}, "limit"),
            ("search_patterns", {"question": ["x"]}, "question"),
            ("report_use", {"id": place.ids[0], "outcome": "splendid"}, "outcome"),
            ("drop_tables", {}, "there is no tool"),
        ]
        for tool, arguments, said in wrong:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, (tool, arguments)
            assert said in text(result)
            assert "Next:" in text(result) or "digits" in text(result)
        none = await client.call_tool("search_patterns", {"question": "brew tea for visitors"})
        assert not none.is_error
        assert none.structured_content["patterns"] == []
        with pytest.raises(MCPError, match="is no resource here"):
            await client.read_resource("file:///etc/passwd")

    talk_within(place, speak)


def test_resources_come_a_page_at_a_time_and_each_can_be_read(tmp_path: Path) -> None:
    place = ServingPlace.made(tmp_path, list(texts(PAGE + 3)))

    async def speak(client: Client) -> None:
        page = await client.list_resources()
        assert len(page.resources) == PAGE
        rest = await client.list_resources(cursor=page.next_cursor)
        assert rest.next_cursor is None
        uris = [resource.uri for resource in (*page.resources, *rest.resources)]
        assert sorted(uris) == sorted(f"{SCHEME}{identity}" for identity in place.ids)
        read = await client.read_resource(uris[-1])
        assert uris[-1].removeprefix(SCHEME)[:8] in read.contents[0].text  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="Next: list from the beginning"):
            await client.list_resources(cursor="c" * 64)

    talk_within(place, speak)
    assert [note.pattern_id for _, path in notes.days(place.state) for note in notes.read(path)]


def test_a_listener_is_told_that_the_list_changed(place: ServingPlace) -> None:
    async def speak(client: Client) -> None:
        async with client.listen(resources_list_changed=True) as changes:
            await anyio.to_thread.run_sync(place.record, c.Deprecate(place.ids[0], ANNA))
            async for _ in changes:
                break
        left = await client.list_resources(cache_mode="bypass")
        assert len(left.resources) == 2

    talk(place, speak)


def test_a_client_of_the_older_protocol_is_told_too(place: ServingPlace) -> None:
    told = anyio.Event()

    async def hear(message: object) -> None:
        if type(message).__name__ == "ResourceListChangedNotification":
            told.set()

    async def speak(client: Client) -> None:
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.list_changed
        assert len((await client.list_resources()).resources) == 3
        await anyio.to_thread.run_sync(place.record, c.Deprecate(place.ids[0], ANNA))
        await told.wait()

    talk(place, speak, mode="legacy", message_handler=hear)


def test_without_a_log_every_call_says_so_and_the_server_stands(tmp_path: Path) -> None:
    place = ServingPlace(tmp_path / "state", tmp_path)

    async def speak(client: Client) -> None:
        for tool, arguments in (("search_patterns", QUESTION), ("get_pattern", {"id": "deadbeef"})):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert "no log yet" in text(result)
        said = await client.call_tool("report_use", {"id": "deadbeef", "outcome": "helped"})
        assert "no log yet" in text(said)

    talk_within(place, speak)
    assert not place.state.exists()


def test_while_a_daemon_runs_it_is_the_daemon_that_records(place: ServingPlace) -> None:
    with Daemon(place.state, LEARND_SANDBOX="none").ready() as daemon:

        async def speak(client: Client) -> None:
            await client.call_tool("get_pattern", {"id": place.ids[0], "run": "task/now"})
            told = await client.call_tool("report_use", {"id": place.ids[0], "outcome": "helped"})
            assert not told.is_error, text(told)

        talk_within(place, speak)
        (served,) = daemon.waits_for(PatternServed)
        assert (served.pattern_id, served.times, served.runs) == (place.ids[0], 1, ("task/now",))
        # Whoever cannot write beside the log has the daemon note it.
        elsewhere = Place(place.state / "nowhere/events.db", (place.state,))
        assert note_use_at(elsewhere, [place.ids[1]], "task/sandboxed")
        assert daemon.waits_for(PatternServed, 2)[1].runs == ("task/sandboxed",)
        assert len(daemon.waits_for(UseReported)) == 1


@pytest.mark.parametrize("ended_by", ["end of input", "SIGTERM"])
def test_it_ends_cleanly_and_says_nothing_but_the_protocol(place: ServingPlace, ended_by: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "learnd", "mcp"], cwd=place.repo, env=environ(place), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}) + "\n")
    process.stdin.write("this is no JSON\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "learnd"
    if ended_by == "end of input":
        process.stdin.close()
        process.stdin = None
    else:
        process.send_signal(getattr(signal, ended_by))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    for line in out.splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"
    assert "Traceback" not in err
