"""Waits in `read` on an inotify descriptor, and says when it woke: the peer of `detect.py`, with nothing around it.

`python listen.py FOLDER` writes the monotonic time as a double: once when it watches, then for each file moved there.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import time

IN_MOVED_TO = 0x80

if __name__ == "__main__":
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init()
    libc.inotify_add_watch(handle, os.fsencode(sys.argv[1]), IN_MOVED_TO)
    while True:
        os.write(1, struct.pack("d", time.monotonic()))
        os.read(handle, 4096)
