"""The one thing that no namespace hides: kernel keyrings. A seccomp filter refuses the calls that reach them.

A process inherits its session keyring, and with it whatever the daemon's session put there (Kerberos tickets, network
file system keys, secrets of a login); in a sandbox without this filter `keyctl(KEYCTL_READ)` gave a planted one back.
bubblewrap loads the filter last, so that it binds the replay and all its children for good.

The program is classic BPF over `struct seccomp_data` (linux/seccomp.h): call number at offset 0, architecture at 4.
"""

from __future__ import annotations

import errno
import struct
from typing import Final

LOAD: Final = 0x20
AND: Final = 0x54
IF_EQUAL: Final = 0x15
RETURN: Final = 0x06
ALLOW: Final = 0x7FFF0000
REFUSE: Final = 0x00050000 | errno.ENOSYS
NOT_X32: Final = 0xFFFFFFFF ^ 0x40000000

KEYRING_CALLS: Final = {
    0xC000003E: (248, 249, 250),  # x86_64, and x32 by its bit: add_key, request_key, keyctl
    0x40000003: (286, 287, 288),  # i386, which x86_64 kernels run too
    0xC00000B7: (217, 218, 219),  # aarch64
    0x40000028: (309, 310, 311),  # arm
    0xC00000F3: (217, 218, 219),  # riscv64
    0xC0000102: (217, 218, 219),  # loongarch64
    0x80000016: (278, 279, 280),  # s390x
    0xC0000015: (269, 270, 271),  # ppc64le
}
"""By AUDIT_ARCH_* (linux/audit.h), from each architecture's table of system calls."""


def keyring_filter() -> bytes:
    """The filter as bwrap's `--seccomp` reads it: `struct sock_filter` after `struct sock_filter`."""
    program = [_step(LOAD, 4)]
    for architecture, calls in KEYRING_CALLS.items():
        block = [_step(LOAD, 0), _step(AND, NOT_X32)]
        block += [_step(IF_EQUAL, call, then=len(calls) - index) for index, call in enumerate(calls)]
        block += [_step(RETURN, ALLOW), _step(RETURN, REFUSE)]
        program += [_step(IF_EQUAL, architecture, otherwise=len(block)), *block]
    return b"".join([*program, _step(RETURN, ALLOW)])


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; `then` and `otherwise` say how many of the following ones to skip."""
    return struct.pack("=HBBI", code, then, otherwise, value)
