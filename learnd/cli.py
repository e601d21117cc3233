"""The command line: the verbs of all panels under one command, and how it runs and ends.

Exit codes: 0 ok; 1 something failed, was refused or (for `once`) is blocked; 2 usage or configuration.
Errors are one line on stderr: what, where, what next. `LEARND_DEBUG=1` shows the traceback of an error that
nobody foresaw.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Annotated

import typer

from learnd.commandline import decide, keep, look, serve, work
from learnd.commandline.panels import Panels
from learnd.verbs.terminal import USAGE, Stop, clean

INTERRUPTED = 130

app = typer.Typer(
    name="learnd",
    help="Turns completed coding-agent runs into proven, reviewed patterns.",
    epilog="Start with: learnd init   |   Watch the whole loop on a sample: learnd demo",
    no_args_is_help=True,
    add_completion=False,
    cls=Panels,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"learnd {version('learnd')}")
        raise typer.Exit


@app.callback()
def learnd(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Turns completed coding-agent runs into proven, reviewed patterns."""


for verbs in (work, look, serve, decide, keep):
    app.registered_commands += verbs.panel.verbs

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for a command line that cannot be understood; it exports only this one kind of it."""


def main() -> None:
    """Run the command line and exit."""
    sys.excepthook = _unforeseen
    sys.unraisablehook = _left_behind
    for stream in (sys.stdout, sys.stderr):
        # A name that is not UTF-8 is shown, not raised.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    sys.exit(_run())


def _run() -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="learnd", standalone_mode=False)
        sys.stdout.flush()
    except Stop as stop:
        return _fail(str(stop), stop.code)
    except UsageError as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has heard enough. Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return USAGE  # the help that it carries was printed when it was made
    path = context.command_path if context else "learnd"
    told = getattr(error, "format_message", lambda: str(error))()
    return _fail(f"{' '.join(told.split()).rstrip('.')}. Next: {path} --help", USAGE)


def _fail(message: str, code: int) -> int:
    print(f"learnd: {clean(message)}", file=sys.stderr)
    return code


def _left_behind(what: sys.UnraisableHookArgs) -> None:
    """What breaks while Python tidies up, as a file does that Ctrl-C closed under its user: it changes nothing."""
    if os.environ.get("LEARND_DEBUG"):
        sys.__unraisablehook__(what)


def _unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error that no verb explains: one line, and the traceback on request."""
    if os.environ.get("LEARND_DEBUG"):
        sys.__excepthook__(kind, error, trace)
        return
    _fail(f"{kind.__name__}: {error}. Next: LEARND_DEBUG=1 shows where; learnd doctor may say why", 1)
