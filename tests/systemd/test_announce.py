"""systemd that does not read: nothing waits for it, and what matters reaches it once it reads again."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.daemon_process import Daemon, registered, until
from support.repos import make_repo

from learnd.announce import KEPT, Announcer


class Listener:
    """The end of NOTIFY_SOCKET that is systemd's; reads when told to and no sooner."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def read(self) -> list[str]:
        """All datagrams that wait."""
        heard = []
        while True:
            try:
                heard.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    folder = tmp_path_factory.mktemp("n")
    made = Listener(str(folder / "s") if request.param == "path" else f"@learnd-test-{os.getpid()}-{folder.name}")
    yield made
    made.close()


def in_time(act: threading.Thread) -> None:
    act.start()
    act.join(30)
    assert not act.is_alive(), "it waits for systemd to read"


def test_thousands_of_pings_that_nobody_reads_hold_nobody_up(listener: Listener) -> None:
    announcer = Announcer(listener.address)
    in_time(threading.Thread(target=lambda: [announcer.ping() for _ in range(5000)], daemon=True))
    assert 0 < len(listener.read()) < 5000
    announcer.ping()
    assert listener.read() == ["WATCHDOG=1"]


def test_words_that_found_no_room_come_in_order_once_there_is_room(listener: Listener) -> None:
    announcer = Announcer(listener.address)
    for _ in range(5000):
        announcer.ping()
    announcer.say("READY=1", "STATUS=watching")
    announcer.say("RELOADING=1")
    assert set(listener.read()) == {"WATCHDOG=1"}
    announcer.ping()
    assert listener.read() == ["READY=1\nSTATUS=watching", "RELOADING=1", "WATCHDOG=1"]


def test_the_words_of_a_reader_that_never_comes_do_not_pile_up(listener: Listener) -> None:
    announcer = Announcer(listener.address)
    in_time(threading.Thread(target=lambda: [announcer.say(f"STATUS={n}") for n in range(1000)], daemon=True))
    heard = listener.read()
    for _ in range(KEPT):
        announcer.ping()
        heard += [word for word in listener.read() if word != "WATCHDOG=1"]
    assert heard[-1] == "STATUS=999"
    assert len(heard) < 1000


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify", "@nobody-listens-here", "/" + "deep/" * 40])
def test_an_address_without_a_listener_troubles_nobody(address: str | None) -> None:
    announcer = Announcer(address)
    announcer.say("READY=1")
    announcer.needs_time(30)
    announcer.close()
    announcer.ping()


def test_a_daemon_whose_systemd_reads_nothing_still_answers_reloads_and_ends(
    listener: Listener, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    registered(state, make_repo(tmp_path / "repo"))
    with Daemon(state, NOTIFY_SOCKET=listener.address) as daemon:
        daemon.ready()
        # The kernel keeps eleven datagrams (net.unix.max_dgram_qlen); then the daemon has to live with it.
        until(lambda: _full(listener.address), "a queue without room")
        boots = daemon.boots()
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.boots() > boots, "a daemon that serves again")
        assert daemon.health()
        listener.read()
        until(lambda: any("READY=1" in word for word in listener.read()), "what it owes systemd")
        assert daemon.end() == 0


def _full(address: str) -> bool:
    """Whether there is no room for another datagram. Asking takes up room itself, where there is any."""
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        asking.sendto(b"STATUS=?", "\0" + address[1:] if address.startswith("@") else address)
    except BlockingIOError:
        return True
    finally:
        asking.close()
    return False
