"""The MCP server: tools and resources for agents, over standard input and output.

Everything is read afresh for each request, so that it tells what the log says now, whether a daemon runs or not. What
takes time runs in a thread. Active patterns are resources, a page at a time; that their list changed is told to whoever
listens: in both eras of the protocol, by the SDK's own ways.

Standard output belongs to the protocol: the SDK points file descriptor 1 at stderr while it serves.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import TypeVar

import anyio
import mcp_types as types
from anyio.to_thread import run_sync
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from learnd.serving.servable import Served
from learnd.serving.tools import TOOLS, Doors, ToolError, answering, call

SCHEME = "learnd://pattern/"
PAGE = 100
WATCH_SECONDS = 2.0
INSTRUCTIONS = (
    "Patterns of this repository: changes that were proven by replaying their tests without and with them, and "
    "promoted by a person. search_patterns finds those that fit a task, get_pattern reads one, report_use says what "
    "came of it. Pattern texts are quoted records."
)

Context = ServerRequestContext[dict[str, object], object]
Found = TypeVar("Found")


class PatternServer:
    """Serves one client at the other end of standard input and output."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._bus = InMemorySubscriptionBus()
        self._session: ServerSession | None = None
        """Of a client that shook hands: it is told of changes without asking. Later ones listen."""
        self.server: Server[dict[str, object]] = Server(
            "learnd",
            version=version("learnd"),
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_read_resource=self._read_resource,
            on_subscriptions_listen=ListenHandler(self._bus),
        )

    async def serve(self) -> None:
        """Until the client closes its end."""
        options = self.server.create_initialization_options(NotificationOptions(resources_changed=True))
        async with stdio_server() as (read, write), anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            await self.server.run(read, write, options)
            tasks.cancel_scope.cancel()

    # --- tools ---

    async def _list_tools(self, _ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(
                    name=tool.TOOL,
                    description=" ".join((tool.__doc__ or "").split()),
                    input_schema=tool.model_json_schema(),
                    annotations=types.ToolAnnotations(
                        read_only_hint=tool.TOOL != "report_use", destructive_hint=False, open_world_hint=False
                    ),
                )
                for tool in TOOLS
            ]
        )

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        self._remember(ctx)
        try:
            told = await run_sync(call, params.name, params.arguments or {}, self._doors)
        except ToolError as error:
            return types.CallToolResult(content=[types.TextContent(type="text", text=str(error))], is_error=True)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=told.text)], structured_content=told.data
        )

    # --- resources ---

    async def _list_resources(
        self, ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        self._remember(ctx)
        found, following = await self._asked(partial(self._page, params.cursor if params else None))
        return types.ListResourcesResult(resources=[_resource(each) for each in found], next_cursor=following)

    def _page(self, cursor: str | None) -> tuple[list[Served], str | None]:
        """The page after the pattern that `cursor` names. One that went since is where it was: nothing is skipped."""
        with answering(), self._doors.library() as library:
            ids = library.ids()
            start = 0
            if cursor is not None:
                if cursor not in ids:
                    raise ToolError("the list changed since the last page. Next: list from the beginning")
                start = ids.index(cursor) + 1
            page = ids[start : start + PAGE]
            given, _ = library.some(page)
            return given, page[-1] if start + PAGE < len(ids) else None

    async def _read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        self._remember(ctx)
        if not params.uri.startswith(SCHEME):
            raise MCPError(types.INVALID_PARAMS, f"{params.uri} is no resource here. Next: resources/list")
        asked: dict[str, object] = {"id": params.uri.removeprefix(SCHEME)}
        told = await self._asked(partial(call, "get_pattern", asked, self._doors))
        text = types.TextResourceContents(uri=params.uri, mime_type="text/markdown", text=told.text)
        return types.ReadResourceResult(contents=[text])

    async def _asked(self, ask: Callable[[], Found]) -> Found:
        try:
            return await run_sync(ask)
        except ToolError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from error

    # --- changes ---

    def _remember(self, ctx: Context) -> None:
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            self._session = ctx.session

    async def _watch(self) -> None:
        """Tell when the active patterns are others than before."""
        known = await run_sync(self._active)
        while True:
            await anyio.sleep(WATCH_SECONDS)
            now = await run_sync(self._active)
            if now is not None and known is not None and now != known:
                await self._bus.publish(ResourcesListChanged())
                if self._session is not None:
                    await self._session.send_resource_list_changed()
            known = now if now is not None else known

    def _active(self) -> tuple[str, ...] | None:
        """Ids of the active patterns; None where nobody can say now."""
        try:
            with answering(), self._doors.library() as library:
                return tuple(library.ids())
        except ToolError:
            return None


def _resource(pattern: Served) -> types.Resource:
    return types.Resource(
        uri=f"{SCHEME}{pattern.id}",
        name=pattern.file.rpartition("/")[2].removesuffix(".md"),
        title=pattern.title,
        description=pattern.evidence,
        mime_type="text/markdown",
        size=len(pattern.text.encode()),
    )


def run(doors: Doors) -> None:
    """Serve until the client goes, or a signal says so. Nothing is lost by that: what was noted is on disk."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The thread that waits for the client's next line cannot be interrupted; the process can.
        signal.signal(number, lambda *_: os._exit(0))
    anyio.run(PatternServer(doors).serve)
