"""The real daemon, ended by SIGKILL at one chosen moment: put in front of its command line, as strace would be.

Nothing of the product knows of this. Python tells an audit hook of every call that changes something in the world
(files opened for writing, renames, folders, links, processes, connections) just before it is made; the stack says
which effect makes it. So the points inside of an effect are not listed by hand: a dry run writes them all down
(`KILL_TRACE`), and each is then named to a further run (`KILL_AT`), which does not live past it.

An effect that changes nothing by itself is ended at what it reads. A point is `place|thread|n`: the n-th such call of
that thread in that place. Places are the effects, `publish` (files that follow the log), `start` and `intake`;
`append|n` is the moment after the n-th append was acknowledged, `append|Type` after one that holds such an event.
`during:` in front of a point that starts a process kills a moment later, when that process is at work.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from types import CodeType, FrameType

from events.log import EventLog
from events.recorded import Recorded
from learnd.engine import Engine
from learnd.publisher import Publisher
from learnd.runner import STEPS

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = (
    "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown",
    "os.utime", "os.setxattr", "os.posix_spawn", "subprocess.Popen", "socket.connect",
)  # fmt: skip
FORGOTTEN = ("/dev/null", "/proc/")
MOMENT_S = 0.004

PLACES: dict[CodeType, str] = {
    **{step.__code__: effect.value for effect, step in STEPS.items()},  # type: ignore[attr-defined] # plain functions
    **{method.__code__: "publish" for method in vars(Publisher).values() if isfunction(method)},
    Engine.start.__code__: "start",
    Engine.look.__code__: "intake",
}

trace = os.open(os.environ["KILL_TRACE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
during, _, wanted = os.environ.get("KILL_AT", "").rpartition(":")
seen: Counter[tuple[str, str, str]] = Counter()
appends = 0


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kind_of(event: str, args: tuple[object, ...]) -> str | None:
    """`change` for what is about to change something outside of this process, `read` for a file about to be read."""
    if event != "open":
        return "change" if event in CHANGING else None
    path, _, flags = args
    if isinstance(path, int) or not isinstance(flags, int):
        return None
    name = os.fsdecode(path)  # type: ignore[arg-type] # a path, as `open` takes it
    if name.startswith(FORGOTTEN) or name.endswith((".pyc", ".py")):
        return None
    return "change" if flags & WRITING else "read"


def place_of(frame: FrameType | None) -> str | None:
    while frame is not None:
        found = PLACES.get(frame.f_code)
        if found is not None:
            return found
        frame = frame.f_back
    return None


def place() -> str | None:
    """Where this thread is; a thread that works for an effect (the launching one, say) is where its worker is."""
    own = place_of(sys._getframe(2))
    if own is not None or not threading.current_thread().name.startswith("learnd-"):
        return own
    others = (place_of(frame) for frame in sys._current_frames().values())
    return next((found for found in others if found in STEPS), None)


def hook(event: str, args: tuple[object, ...]) -> None:
    kind = kind_of(event, args)
    where = place() if kind is not None else None
    if kind is None or where is None:
        return
    thread = threading.current_thread().name.removeprefix("learnd-").rstrip("_-0123456789")
    seen[where, thread, kind] += 1
    point = f"{where}|{thread}|{'' if kind == 'change' else 'read '}{seen[where, thread, kind]}"
    shown = " ".join(str(arg) for arg in args[:2]).replace("\n", " ")[:160]
    os.write(trace, f"{point}\t{event}\t{shown}\n".encode(errors="replace"))
    if point == wanted:
        if not during:
            end()
        threading.Timer(MOMENT_S, end).start()


def acknowledged(append: Callable[..., list[Recorded]]) -> Callable[..., list[Recorded]]:
    """The log's own append; the process does not live past the wanted one."""

    @wraps(append)
    def counted(*args: object, **named: object) -> list[Recorded]:
        global appends  # noqa: PLW0603 - one count for the process
        recorded = append(*args, **named)
        appends += 1
        point = f"append|{appends}"
        os.write(trace, f"{point}\tappend\t{' '.join(record.type for record in recorded)}\n".encode())
        if wanted in (point, *(f"append|{record.type}" for record in recorded)):
            end()
        return recorded

    return counted


EventLog.append = acknowledged(EventLog.append)  # type: ignore[method-assign] # the log is made deep inside
tempfile.gettempdir()  # Python tries the folder out once in a process, in whatever place that happens to be
sys.addaudithook(hook)
sys.argv = ["learnd", *sys.argv[sys.argv.index("learnd") + 1 :]]
runpy.run_module("learnd", run_name="__main__", alter_sys=True)
