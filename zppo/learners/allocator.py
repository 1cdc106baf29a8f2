"""The C library's allocator, told to keep what an update frees for the next one."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep its freed memory, which then stays at its peak.

    By default glibc maps large tensors anew and gives them back as soon as they are freed, so that the
    kernel zeroes the same pages in every update: a tenth of an update's time on the CPU (mallopt(3)).

    Returns:
        Whether the C library is glibc, and did so.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))
