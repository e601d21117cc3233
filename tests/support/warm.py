"""Verbs in processes of their own that begin with learnd's modules imported, for the many tests of what a verb does.

Importing is most of what a verb costs, and no part of what those tests look at. A process per test worker imports
once, and forks for each verb: own pid, environment, folder, streams and exit, as `python -m learnd` would have them.
Tests of starting up, of signals and of terminals, those with an environment of their own, and whatever is traced or
run as another user start Python anew.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import select
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

LARGEST = 1 << 20
"""Bytes of a request: arguments and environment."""


def run(
    argv: Sequence[str | Path], *, env: dict[str, str], cwd: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """`learnd` with these arguments, to its end, without a terminal; `timeout` in seconds, TimeoutExpired after it."""
    words = [str(word) for word in argv]
    request = json.dumps({"argv": words, "env": env, "cwd": str(cwd)}).encode()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open() as nothing:
        told, tells = os.pipe()
        try:
            files = [nothing.fileno(), out.fileno(), err.fileno(), tells]
            socket.send_fds(_server(), [request], files)
        finally:
            os.close(tells)
        with os.fdopen(told, "rb", buffering=0) as replies:
            code = _end_of(replies.fileno(), words, timeout)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(["learnd", *words], code, *texts)


def _end_of(replies: int, words: list[str], timeout: float) -> int:
    """The exit code, negative for a signal, as `subprocess` has it. The server says the pid first."""
    deadline, said = time.monotonic() + timeout, b""
    while said.count(b"\n") < 2:
        if not select.select([replies], [], [], max(0.0, deadline - time.monotonic()))[0]:
            os.kill(int(said.split()[0]), 9)
            raise subprocess.TimeoutExpired(words, timeout)
        piece = os.read(replies, 100)
        assert piece, f"the warm server died of {words}"
        said += piece
    return int(said.split()[1])


@lru_cache(maxsize=1)
def _server() -> socket.socket:
    """The socket to this worker's server, which ends with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, its):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    process = subprocess.Popen([sys.executable, "-P", __file__, str(its.fileno())], pass_fds=[its.fileno()])
    its.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# --- the server ---


def _imported() -> None:
    """What verbs import, each when it is typed."""
    import learnd.verbs

    for module in pkgutil.iter_modules(learnd.verbs.__path__, "learnd.verbs."):
        importlib.import_module(module.name)
    for name in ("learnd.cli", "learnd.engine", "learnd.control", "git", "rich.table", "structlog"):
        importlib.import_module(name)


def _serve(asked: socket.socket) -> None:
    """A process for each verb, and one beside it that waits for its end."""
    _imported()
    while True:
        request, files, _, _ = socket.recv_fds(asked, LARGEST, 4)
        if not request:
            return
        if os.fork() == 0:
            asked.close()
            _watch(json.loads(request), files)
        for file in files:
            os.close(file)
        while _reaped():
            pass


def _reaped() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _watch(request: dict[str, object], files: list[int]) -> None:
    told = files[3]
    os.set_inheritable(told, False)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _verb(request, files[:3])
    for file in files[:3]:
        os.close(file)
    os.write(told, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _verb(request: dict[str, object], files: list[int]) -> None:
    """As Python would begin and end: environment, folder, streams, then `main`, then what is registered for the end."""
    from learnd.cli import main

    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    time.tzset()
    os.chdir(str(request["cwd"]))
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, "r" if number == 0 else "w") for number in range(3))
    sys.argv = ["learnd", *request["argv"]]  # type: ignore[misc]
    code: object = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does with whatever comes up to it
        sys.excepthook(*sys.exc_info())
        traceback.clear_frames(sys.exc_info()[2])
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
