"""What systemd hears of the daemon: the words of sd_notify(3), in datagrams that never wait for whoever reads them.

Written here and not taken from a library: sd_notify and what wraps it send on a blocking socket. When nobody reads
(systemd busy, or stopped), the eleventh datagram waits in the kernel for as long as that lasts
(net.unix.max_dgram_qlen is 10), and with it a main loop that should answer signals.

Invariants:
- Saying something takes no time, whatever is at the other end, and never raises.
- A ping that finds no room is dropped: the next one says the same. Every other word is kept, in order, and goes out
  before the next one; systemd would wait for READY=1 in vain otherwise.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque

import structlog

PING = "WATCHDOG=1"
KEPT = 64
"""Words kept for a reader that is away. There are a few per reload; the oldest go first."""

log = structlog.get_logger("learnd.announce")


class Announcer:
    """Speaks to `address`, the value of $NOTIFY_SOCKET: a path or an abstract `@name`; to nobody where it is None."""

    def __init__(self, address: str | None) -> None:
        # The kernel's own form of an abstract address begins with a NUL byte.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._owed: deque[str] = deque(maxlen=KEPT)
        self._deaf = False
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    @classmethod
    def of_environment(cls) -> Announcer:
        return cls(os.environ.get("NOTIFY_SOCKET"))

    def say(self, *words: str) -> None:
        """Assignments such as `READY=1`, in one datagram."""
        self._owed.append("\n".join(words))
        self._deliver()

    def ping(self, *more: str) -> None:
        """The daemon lives. `more` are words that lose their meaning with the ping."""
        if self._deliver():
            self._send("\n".join((PING, *more)))

    def needs_time(self, seconds: float) -> None:
        """A ping that also asks systemd not to lose patience with a start or a stop for the next `seconds`."""
        self.ping(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _deliver(self) -> bool:
        """Whether nothing is owed any more."""
        while self._owed:
            if not self._send(self._owed[0]):
                return False
            self._owed.popleft()
        return True

    def _send(self, text: str) -> bool:
        if self._socket is None or self._address is None:
            return True
        try:
            self._socket.sendto(text.encode(), socket.MSG_NOSIGNAL, self._address)
        except OSError as error:
            if not self._deaf and error.errno not in (errno.EAGAIN, errno.ENOBUFS):
                log.warning("systemd does not hear us", reason=str(error), address=self._address)
                self._deaf = True
            return False
        self._deaf = False
        return True
